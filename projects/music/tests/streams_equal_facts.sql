-- The daily aggregates of listens add up to the facts, each of them.
with facts as (select count(*) as streams from {{ ref('fact_listen_events') }}),

aggregates as (
    select 'daily_song_streams' as model, coalesce(sum(streams), 0) as streams from {{ ref('daily_song_streams') }}
    union all
    select 'daily_state_song_streams', coalesce(sum(streams), 0) from {{ ref('daily_state_song_streams') }}
    union all
    select 'daily_genre_streams', coalesce(sum(streams), 0) from {{ ref('daily_genre_streams') }}
    union all
    select 'daily_hour_streams', coalesce(sum(streams), 0) from {{ ref('daily_hour_streams') }}
)

select aggregates.model, aggregates.streams, facts.streams as listens
from aggregates
cross join facts
where aggregates.streams <> facts.streams
