{{ config(incremental_strategy='append') }}

with arrived as (
    select
        {{ event_time('ts') }} as event_datetime,
        cast("userId" as bigint) as user_id,
        lower(level) as prev_level,
        _ingested_at,
        row_number() over (partition by "userId", ts order by _ingested_at, _partition, _offset) as delivery
    from {{ source('events', 'status_change_events') }}
    where "userId" is not null
        {%- if is_incremental() %} and {{ arrived_since(this) }}{% endif %}
)

select
    event_datetime,
    user_id,
    prev_level,
    _ingested_at
from arrived
where delivery = 1
    {%- if is_incremental() %}
    and not exists (
        select 1 from {{ this }} as known
        where known.user_id = arrived.user_id and known.event_datetime = arrived.event_datetime
    )
    {%- endif %}
