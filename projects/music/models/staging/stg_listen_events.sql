{{ config(incremental_strategy='append', partition_by=['event_date']) }}

{%- set key = ['event_datetime', 'session_id', 'item_in_session'] %}

with arrived as (
    select
        {{ event_time('ts') }} as event_datetime,
        cast({{ event_time('ts') }} as date) as event_date,
        cast("userId" as bigint) as user_id,
        cast("sessionId" as bigint) as session_id,
        cast("itemInSession" as bigint) as item_in_session,
        zip as postal_code,
        coalesce(city, 'NO CITY') as city,
        coalesce(state, 'NO STATE') as state,
        lower(level) as level,
        replace(song, '"', '') as song,
        artist,
        round(duration, 2) as duration,
        _ingested_at,
        {{ delivery_order() }} as delivery_order
    from {{ source('events', 'listen_events') }}
    where "userId" is not null
        {%- if is_incremental() %} and {{ arrived_since(this) }}{% endif %}
),

{{ first_deliveries(key) }}

select
    event_datetime,
    event_date,
    user_id,
    session_id,
    item_in_session,
    postal_code,
    city,
    state,
    level,
    song,
    artist,
    duration,
    _ingested_at
from first_deliveries
{%- if is_incremental() %}
where not exists (
    select 1 from {{ this }} as known
    where {{ same(key, 'known', 'first_deliveries') }}
        and {{ on_days_of('known.event_date', 'select cast(' ~ event_time('ts') ~ ' as date) from ' ~ source('events', 'listen_events') ~ ' where ' ~ arrived_since(this)) }}
)
{%- endif %}
