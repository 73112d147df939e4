{{ config(materialized='incremental', incremental_strategy='insert_overwrite', partition_by=['event_date']) }}

-- depends_on: {{ ref('fact_listen_events') }}
select
    streams.event_date,
    streams.state,
    songs.genre,
    cast(sum(streams.streams) as bigint) as streams,
    max(streams._ingested_at) as _ingested_at
from {{ ref('daily_state_song_streams') }} as streams
inner join {{ ref('dim_songs') }} as songs on songs.pk_song = streams.pk_song
{%- if is_incremental() %}
where {{ on_changed_listen_days(this, "state = 'NO STATE' or genre = 'Unknown'") }}
{%- endif %}
group by streams.event_date, streams.state, songs.genre
