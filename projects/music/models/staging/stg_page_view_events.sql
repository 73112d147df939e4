{{ config(incremental_strategy='append', partition_by=['event_date']) }}

{%- set key = ['event_datetime', 'session_id', 'item_in_session'] %}

with arrived as (
    select
        {{ event_time('ts') }} as event_datetime,
        cast({{ event_time('ts') }} as date) as event_date,
        cast("userId" as bigint) as user_id,
        cast("sessionId" as bigint) as session_id,
        cast("itemInSession" as bigint) as item_in_session,
        page,
        lower(level) as level,
        "userAgent" as user_agent,
        {{ money('ad_revenue') }} as ad_revenue,
        _ingested_at,
        {{ delivery_order() }} as delivery_order
    from {{ source('events', 'page_view_events') }}
    where auth = 'Logged In'
        and "userId" is not null
        {%- if is_incremental() %} and {{ arrived_since(this) }}{% endif %}
),

{{ first_deliveries(key) }}

select
    event_datetime,
    event_date,
    user_id,
    session_id,
    item_in_session,
    page,
    level,
    user_agent,
    ad_revenue,
    _ingested_at
from first_deliveries
{%- if is_incremental() %}
where not exists (
    select 1 from {{ this }} as known
    where {{ same(key, 'known', 'first_deliveries') }}
        and {{ on_days_of('known.event_date', 'select cast(' ~ event_time('ts') ~ ' as date) from ' ~ source('events', 'page_view_events') ~ ' where ' ~ arrived_since(this)) }}
)
{%- endif %}
