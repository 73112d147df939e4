-- The history of each user's level. An event of a change carries the level before it, so the level after is the other.
with changes as (
    select
        changes.user_id,
        changes.event_datetime,
        case when changes.prev_level = 'free' then 'paid' else 'free' end as level,
        changes._ingested_at as change_ingested_at
    from {{ ref('stg_status_change_events') }} as changes
    inner join {{ ref('stg_users') }} as users
        on users.user_id = changes.user_id and users.first_event_datetime < changes.event_datetime
),

starts as (
    select user_id, first_event_datetime as row_effective_datetime, level, true as is_first, null as change_ingested_at
    from {{ ref('stg_users') }}
    union all
    select user_id, event_datetime, level, false, change_ingested_at
    from changes
),

ranges as (
    select
        user_id,
        row_effective_datetime,
        lead(row_effective_datetime) over (partition by user_id order by row_effective_datetime) as next_datetime,
        level,
        is_first,
        change_ingested_at
    from starts
)

select
    {{ surrogate_key(['ranges.user_id', 'ranges.row_effective_datetime']) }} as pk_user,
    ranges.user_id,
    users.first_name,
    users.last_name,
    users.gender,
    ranges.level,
    users.registration_datetime,
    ranges.row_effective_datetime,
    coalesce(ranges.next_datetime, {{ utc('9999-01-01T00:00:00Z') }}) as row_expiration_datetime,
    ranges.is_first,
    ranges.next_datetime is null as is_current,
    ranges.change_ingested_at
from ranges
inner join {{ ref('stg_users') }} as users on users.user_id = ranges.user_id
union all
select
    {{ unknown_key() }},
    cast(-1 as bigint),
    'Unknown',
    'Unknown',
    null,
    null,
    null,
    {{ utc('1900-01-01T00:00:00Z') }},
    {{ utc('9999-01-01T00:00:00Z') }},
    true,
    true,
    null
