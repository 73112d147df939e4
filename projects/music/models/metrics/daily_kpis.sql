-- The figures of the business at the end of each day on which anything happened.
-- Users are counted from their first event on. Conversion is paid users of all users. Recurring revenue is what the paid
-- users pay in a week. Revenue per free user is what ads earned in the seven days up to this one, over the free users.
with steps as (
    select
        cast(row_effective_datetime as date) as metric_date,
        case when level = 'free' then 1 else 0 end as free_step,
        case when level = 'paid' then 1 else 0 end as paid_step
    from {{ ref('dim_users') }}
    where pk_user <> {{ unknown_key() }}
    union all
    select
        cast(row_expiration_datetime as date),
        case when level = 'free' then -1 else 0 end,
        case when level = 'paid' then -1 else 0 end
    from {{ ref('dim_users') }}
    where pk_user <> {{ unknown_key() }} and not is_current
    union all
    select event_date, 0, 0
    from {{ ref('daily_ad_revenue') }}
),

days as (
    select metric_date, sum(free_step) as free_step, sum(paid_step) as paid_step
    from steps
    group by metric_date
),

users as (
    select
        metric_date,
        cast(sum(free_step) over (order by metric_date) as bigint) as free_users,
        cast(sum(paid_step) over (order by metric_date) as bigint) as paid_users
    from days
),

revenue as (
    select
        users.metric_date,
        coalesce(sum(ads.ad_revenue), 0) as ad_revenue_of_week
    from users
    left join {{ ref('daily_ad_revenue') }} as ads
        on ads.event_date between users.metric_date - interval '6 days' and users.metric_date
    group by users.metric_date
)

select
    users.metric_date,
    users.free_users + users.paid_users as total_users,
    users.free_users,
    users.paid_users,
    cast(users.paid_users as double) / nullif(users.free_users + users.paid_users, 0) as conversion_rate,
    cast(users.paid_users * cast({{ var('price_per_week') }} as decimal(8, 3)) as decimal(20, 3)) as weekly_recurring_revenue,
    cast(revenue.ad_revenue_of_week as decimal(20, 4)) as ad_revenue_of_week,
    cast(revenue.ad_revenue_of_week as double) / nullif(users.free_users, 0) as ad_revenue_per_free_user
from users
inner join revenue on revenue.metric_date = users.metric_date
