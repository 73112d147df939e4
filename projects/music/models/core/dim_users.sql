-- The history of each user's level. An event of a change carries the level before it, so the level after is the other.
with changes as (
    select
        changes.user_id,
        changes.event_datetime,
        case when changes.prev_level = 'free' then 'paid' else 'free' end as level,
        changes._ingested_at as change_ingested_at
    from {{ ref('stg_status_change_events') }} as changes
    inner join {{ ref('stg_users') }} as users on users.user_id = changes.user_id
),

starts as (
    select
        users.user_id,
        users.first_event_datetime as row_effective_datetime,
        users.level,
        {{ no_time() }} as change_ingested_at
    from {{ ref('stg_users') }} as users
    left join changes on changes.user_id = users.user_id and changes.event_datetime = users.first_event_datetime
    where changes.user_id is null
    union all
    select user_id, event_datetime, level, change_ingested_at
    from changes
),

ranges as (
    select
        user_id,
        row_effective_datetime,
        lead(row_effective_datetime) over (partition by user_id order by row_effective_datetime) as next_datetime,
        lag(row_effective_datetime) over (partition by user_id order by row_effective_datetime) is null as is_first,
        level,
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
    nullif('Unknown', 'Unknown'),
    nullif('unknown', 'unknown'),
    {{ no_time() }},
    {{ utc('1900-01-01T00:00:00Z') }},
    {{ utc('9999-01-01T00:00:00Z') }},
    true,
    true,
    {{ no_time() }}
