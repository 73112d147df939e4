{{ config(materialized='incremental', incremental_strategy='insert_overwrite', partition_by=['event_date']) }}

-- Active on a day: at least one view of a page while logged in. A user counts once, under the level of the last view.
with user_days as (
    select
        event_date,
        user_id,
        max(case when level = 'free' then event_datetime end) as last_free,
        max(case when level = 'paid' then event_datetime end) as last_paid,
        max(_ingested_at) as _ingested_at
    from {{ ref('stg_page_view_events') }}
    {%- if is_incremental() %}
    where {{ on_days_of('event_date', 'select event_date from ' ~ ref('stg_page_view_events') ~ ' where ' ~ arrived_since(this)) }}
    {%- endif %}
    group by event_date, user_id
),

levels as (
    select
        event_date,
        case when last_paid is null or last_free > last_paid then 'free' else 'paid' end as level,
        _ingested_at
    from user_days
)

select
    event_date,
    level,
    count(*) as active_users,
    max(_ingested_at) as _ingested_at
from levels
group by event_date, level
