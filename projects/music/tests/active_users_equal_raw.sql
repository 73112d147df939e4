-- The active users of a day are the distinct users of its raw logged-in page views.
with raw as (
    select cast({{ event_time('ts') }} as date) as event_date, count(distinct "userId") as active_users
    from {{ source('events', 'page_view_events') }}
    where auth = 'Logged In' and "userId" is not null and {{ is_reconciled_event('ts') }}
    group by cast({{ event_time('ts') }} as date)
),

model as (
    select event_date, cast(sum(active_users) as bigint) as active_users
    from {{ ref('daily_active_users') }}
    where {{ is_reconciled('event_date') }}
    group by event_date
)

select coalesce(raw.event_date, model.event_date) as event_date, raw.active_users as raw_users, model.active_users
from raw
full join model on model.event_date = raw.event_date
where coalesce(raw.active_users, 0) <> coalesce(model.active_users, 0)
