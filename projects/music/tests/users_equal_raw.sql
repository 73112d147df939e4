-- At the end of the last day, as many users are counted as were announced; paid are those whose last change was from
-- free, and those who never changed and were announced as paid.
with users as (
    select "userId" as user_id, min(lower(level)) as level
    from {{ source('events', 'user_info') }}
    where "userId" is not null
    group by "userId"
),

last_changes as (
    select "userId" as user_id, max(ts) as ts
    from {{ source('events', 'status_change_events') }}
    where "userId" is not null
    group by "userId"
),

changes as (
    select distinct last_changes.user_id, lower(events.level) as prev_level
    from last_changes
    inner join {{ source('events', 'status_change_events') }} as events
        on events."userId" = last_changes.user_id and events.ts = last_changes.ts
),

raw as (
    select
        count(*) as total_users,
        count(case when changes.prev_level = 'free' or (changes.prev_level is null and users.level = 'paid') then 1 end) as paid_users
    from users
    left join changes on changes.user_id = users.user_id
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
