{{ config(incremental_strategy='append') }}

-- A user is announced once. Announced twice is a repeated delivery: the first to arrive stays.
with arrived as (
    select
        cast("userId" as bigint) as user_id,
        {{ event_time('ts') }} as first_event_datetime,
        "firstName" as first_name,
        "lastName" as last_name,
        gender,
        lower(level) as level,
        {{ event_time('registration') }} as registration_datetime,
        _ingested_at,
        row_number() over (partition by "userId" order by _ingested_at, _partition, _offset) as delivery
    from {{ source('events', 'user_info') }}
    where "userId" is not null
        {%- if is_incremental() %} and {{ arrived_since(this) }}{% endif %}
)

select
    user_id,
    first_event_datetime,
    first_name,
    last_name,
    gender,
    level,
    registration_datetime,
    _ingested_at
from arrived
where delivery = 1
    {%- if is_incremental() %}
    and not exists (select 1 from {{ this }} as known where known.user_id = arrived.user_id)
    {%- endif %}
