-- Listens name a song by title and artist, so those two identify it here; of several tracks the first by id stays.
with tracks as (
    select
        track_id,
        replace(title, '"', '') as title,
        artist,
        round(duration, 2) as duration,
        genre,
        row_number() over (partition by replace(title, '"', ''), artist order by track_id) as place
    from {{ source('events', 'songs') }}
)

select
    {{ surrogate_key(['artist', 'title']) }} as pk_song,
    cast(track_id as varchar) as track_id,
    title,
    artist,
    duration,
    coalesce(genre, 'Unknown') as genre
from tracks
where place = 1
union all
select {{ unknown_key() }}, 'unknown', 'Unknown', 'Unknown', cast(null as double), 'Unknown'
