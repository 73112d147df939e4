{{ config(materialized='incremental', incremental_strategy='insert_overwrite', partition_by=['event_date']) }}

with listens as (
    select event_date, pk_location, pk_song, count(*) as streams, max(_ingested_at) as _ingested_at
    from {{ ref('fact_listen_events') }}
    {%- if is_incremental() %}
    where {{ on_changed_listen_days(this, "state = 'NO STATE' or pk_song = " ~ unknown_key()) }}
    {%- endif %}
    group by event_date, pk_location, pk_song
)

select
    listens.event_date,
    locations.state,
    listens.pk_song,
    cast(sum(listens.streams) as bigint) as streams,
    max(listens._ingested_at) as _ingested_at
from listens
inner join {{ ref('dim_locations') }} as locations on locations.pk_location = listens.pk_location
group by listens.event_date, locations.state, listens.pk_song
