-- At the end of the last day, as many users are counted as were announced, and the paid ones of them are those with an
-- odd number of changes if they began as free, and an even number if they began as paid.
with users as (
    select "userId" as user_id, min(lower(level)) as level
    from {{ source('events', 'user_info') }}
    where "userId" is not null
    group by "userId"
),

changes as (
    select distinct "userId" as user_id, ts
    from {{ source('events', 'status_change_events') }}
    where "userId" is not null
),

changes_of_users as (
    select users.user_id, users.level, count(changes.ts) as changes
    from users
    left join changes on changes.user_id = users.user_id
    group by users.user_id, users.level
),

raw as (
    select
        count(*) as total_users,
        count(case when (level = 'free') = (changes % 2 = 1) then 1 end) as paid_users
    from changes_of_users
),

model as (
    select total_users, paid_users
    from {{ ref('daily_kpis') }}
    where metric_date = (select max(metric_date) from {{ ref('daily_kpis') }})
)

select raw.total_users as raw_users, model.total_users, raw.paid_users as raw_paid_users, model.paid_users
from raw
cross join model
where raw.total_users <> model.total_users or raw.paid_users <> model.paid_users
