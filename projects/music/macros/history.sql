{# The history of the users as ranges that cover all time, for as-of joins: whatever happened before the first that is
   known of a user belongs to the first row. #}
{% macro user_ranges() -%}
select
    user_id,
    pk_user,
    change_ingested_at,
    case when is_first then {{ utc('1900-01-01T00:00:00Z') }} else row_effective_datetime end as valid_from,
    row_expiration_datetime as valid_to
from {{ ref('dim_users') }}
where pk_user <> {{ unknown_key() }}
{%- endmacro %}

{# Users whose level changed by events that came in after everything `target` was joined to, and since when. #}
{% macro moved_users(target) -%}
select user_id, min(valid_from) as since
from ({{ user_ranges() }}) as ranges
where {{ arrived_since(target, '_change_ingested_at', 'change_ingested_at') }} and change_ingested_at is not null
group by user_id
{%- endmacro %}

{# Days of listens to derive anew: days with new listens; days on which users listened after a change of level that
   came in late; days with users, songs or places that were unknown and now are known. #}
{% macro listen_days_to_rebuild(target) -%}
select event_date from {{ ref('stg_listen_events') }} where {{ arrived_since(target) }}
{% set since = run_query('select cast(cast(min(since) as date) as varchar) from (' ~ moved_users(target) ~ ') as moved').rows[0][0] -%}
{% if since -%}
union
select listens.event_date
from {{ target }} as listens
inner join ({{ moved_users(target) }}) as moved
    on moved.user_id = listens.user_id and moved.since <= listens.event_datetime
where listens.event_date >= date '{{ since }}'
{% endif -%}
{% set unknown = 'pk_user = ' ~ unknown_key() ~ ' or pk_song = ' ~ unknown_key() ~ ' or pk_location = ' ~ unknown_key() -%}
{% set unknown_listens = run_query('select count(*) from ' ~ target ~ ' where ' ~ unknown).rows[0][0] | int -%}
{% if unknown_listens > 0 -%}
union
select listens.event_date
from (select * from {{ target }} where {{ unknown }}) as listens
inner join {{ ref('stg_listen_events') }} as events
    on events.event_date = listens.event_date
    and events.session_id = listens.session_id
    and events.item_in_session = listens.item_in_session
left join {{ ref('dim_users') }} as users on users.user_id = listens.user_id
left join {{ ref('dim_songs') }} as songs on songs.title = events.song and songs.artist = events.artist
left join {{ ref('dim_locations') }} as locations on locations.postal_code = events.postal_code
where (listens.pk_user = {{ unknown_key() }} and users.user_id is not null)
    or (listens.pk_song = {{ unknown_key() }} and songs.pk_song is not null)
    or (listens.pk_location = {{ unknown_key() }} and locations.pk_location is not null)
{% endif -%}
{%- endmacro %}
