{{ config(materialized='incremental', incremental_strategy='insert_overwrite', partition_by=['event_date']) }}

-- A day is derived as a whole or not at all, so that whatever made a day stale, all of it is right again.
with listens as (
    select *
    from {{ ref('stg_listen_events') }}
    {%- if is_incremental() %}
    where {{ on_days_of('event_date', listen_days_to_rebuild(this)) }}
    {%- endif %}
),

user_ranges as (
    {{ user_ranges() }}
)

select
    listens.event_datetime,
    listens.event_date,
    listens.user_id,
    listens.session_id,
    listens.item_in_session,
    coalesce(user_ranges.pk_user, {{ unknown_key() }}) as pk_user,
    coalesce(songs.pk_song, {{ unknown_key() }}) as pk_song,
    coalesce(locations.pk_location, {{ unknown_key() }}) as pk_location,
    listens.duration,
    listens._ingested_at,
    user_ranges.change_ingested_at as _change_ingested_at
from listens
left join user_ranges
    on user_ranges.user_id = listens.user_id
    and user_ranges.valid_from <= listens.event_datetime
    and user_ranges.valid_to > listens.event_datetime
left join {{ ref('dim_songs') }} as songs on songs.title = listens.song and songs.artist = listens.artist
left join {{ ref('dim_locations') }} as locations on locations.postal_code = listens.postal_code
