-- Every distinct raw listen of a logged-in user is in the facts, and nothing else is.
with distinct_events as (
    select distinct ts, "sessionId", "itemInSession"
    from {{ source('events', 'listen_events') }}
    where "userId" is not null and {{ is_reconciled_event('ts') }}
),

raw as (
    select cast({{ event_time('ts') }} as date) as event_date, count(*) as listens
    from distinct_events
    group by cast({{ event_time('ts') }} as date)
),

facts as (
    select event_date, count(*) as listens
    from {{ ref('fact_listen_events') }}
    where {{ is_reconciled('event_date') }}
    group by event_date
)

select coalesce(raw.event_date, facts.event_date) as event_date, raw.listens as raw_listens, facts.listens
from raw
full join facts on facts.event_date = raw.event_date
where coalesce(raw.listens, 0) <> coalesce(facts.listens, 0)
