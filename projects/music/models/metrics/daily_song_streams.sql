{{ config(materialized='incremental', incremental_strategy='insert_overwrite', partition_by=['event_date']) }}

select
    event_date,
    pk_song,
    count(*) as streams,
    max(_ingested_at) as _ingested_at
from {{ ref('fact_listen_events') }}
{%- if is_incremental() %}
where {{ on_changed_listen_days(this, 'pk_song = ' ~ unknown_key()) }}
{%- endif %}
group by event_date, pk_song
