{{ config(materialized='incremental', incremental_strategy='insert_overwrite', partition_by=['event_date']) }}

-- An ad earns on the day it is served. A day with views but no ads earns nothing, and has a row that says so.
select
    event_date,
    count(case when page = 'PlayAd' then 1 end) as ads_served,
    {{ money('coalesce(sum(ad_revenue), 0)') }} as ad_revenue,
    max(_ingested_at) as _ingested_at
from {{ ref('stg_page_view_events') }}
{%- if is_incremental() %}
where {{ on_days_of('event_date', 'select event_date from ' ~ ref('stg_page_view_events') ~ ' where ' ~ arrived_since(this)) }}
{%- endif %}
group by event_date
