-- The sessions together have as many views, ads and as much revenue as the views they are made of.
with sessions as (
    select
        coalesce(sum(num_pages_visited), 0) as views,
        coalesce(sum(num_ads_served), 0) as ads,
        coalesce(sum(total_ad_revenue), 0) as revenue
    from {{ ref('fact_session_events') }}
),

views as (
    select
        count(*) as views,
        count(case when page = 'PlayAd' then 1 end) as ads,
        coalesce(sum(ad_revenue), 0) as revenue
    from {{ ref('stg_page_view_events') }}
)

select sessions.views as session_views, views.views, sessions.ads as session_ads, views.ads, sessions.revenue as session_revenue, views.revenue
from sessions
cross join views
where sessions.views <> views.views or sessions.ads <> views.ads or sessions.revenue <> views.revenue
