-- The ad revenue of a day is the sum over the distinct raw events of that day.
with served as (
    select distinct ts, "sessionId", "itemInSession", ad_revenue
    from {{ source('events', 'page_view_events') }}
    where auth = 'Logged In' and "userId" is not null and {{ is_reconciled_event('ts') }}
),

raw as (
    select cast({{ event_time('ts') }} as date) as event_date, sum({{ money('ad_revenue') }}) as ad_revenue
    from served
    group by cast({{ event_time('ts') }} as date)
),

model as (
    select event_date, ad_revenue from {{ ref('daily_ad_revenue') }} where {{ is_reconciled('event_date') }}
)

select coalesce(raw.event_date, model.event_date) as event_date, raw.ad_revenue as raw_revenue, model.ad_revenue
from raw
full join model on model.event_date = raw.event_date
where coalesce(raw.ad_revenue, 0) <> coalesce(model.ad_revenue, 0) or model.event_date is null or raw.event_date is null
