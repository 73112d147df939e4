{{ config(
    materialized='incremental',
    incremental_strategy='merge',
    unique_key=['session_id', 'user_id'],
    partition_by=['session_date']
) }}

{#- A session is derived again from all its views when one of them came in since, when a change of its user's level came
    in that happened before it, or when its user was unknown and now is known. -#}
{%- if is_incremental() %}
{%- set new_views = 'select session_id, user_id, min(event_date) as first_date, max(event_date) as last_date from '
    ~ ref('stg_page_view_events') ~ ' where ' ~ arrived_since(this) ~ ' group by session_id, user_id' %}
{%- set new_users = 'select sessions.session_id, sessions.user_id, sessions.session_date, '
    ~ 'cast(sessions.session_end_datetime as date) from ' ~ this ~ ' as sessions inner join (' ~ moved_users(this)
    ~ ') as moved on moved.user_id = sessions.user_id and moved.since <= sessions.session_start_datetime'
    ~ ' union all select sessions.session_id, sessions.user_id, sessions.session_date, '
    ~ 'cast(sessions.session_end_datetime as date) from ' ~ this ~ ' as sessions inner join ' ~ ref('dim_users')
    ~ ' as users on users.user_id = sessions.user_id where sessions.pk_user = ' ~ unknown_key() %}
{%- set known_sessions = 'select sessions.session_id, sessions.user_id, sessions.session_date, '
    ~ 'cast(sessions.session_end_datetime as date) from ' ~ this ~ ' as sessions inner join (' ~ new_views
    ~ ') as views on views.session_id = sessions.session_id and views.user_id = sessions.user_id' %}
{%- set stale = new_views ~ ' union all ' ~ new_users %}
{%- set span = run_query('select cast(min(first_date) as varchar), cast(max(last_date) as varchar) from (' ~ stale
    ~ ' union all ' ~ known_sessions ~ ') as touched').rows[0] %}
{%- endif %}

with views as (
    select *
    from {{ ref('stg_page_view_events') }} as events
    {%- if is_incremental() %}
    {%- if span[0] %}
    where event_date between date '{{ span[0] }}' and date '{{ span[1] }}'
        and exists (
            select 1 from ({{ stale }}) as stale
            where stale.session_id = events.session_id and stale.user_id = events.user_id
        )
    {%- else %}
    where false
    {%- endif %}
    {%- endif %}
),

sessions as (
    select
        session_id,
        user_id,
        min(event_datetime) as session_start_datetime,
        max(event_datetime) as session_end_datetime,
        min(item_in_session) as first_item,
        count(*) as num_pages_visited,
        count(case when page = 'PlayAd' then 1 end) as num_ads_served,
        {{ money('coalesce(sum(ad_revenue), 0)') }} as total_ad_revenue,
        max(_ingested_at) as _ingested_at
    from views
    group by session_id, user_id
),

user_ranges as (
    {{ user_ranges() }}
)

select
    sessions.session_id,
    sessions.user_id,
    coalesce(user_ranges.pk_user, {{ unknown_key() }}) as pk_user,
    coalesce(pages.pk_page, {{ unknown_key() }}) as pk_entry_page,
    cast(sessions.session_start_datetime as date) as session_date,
    sessions.session_start_datetime,
    sessions.session_end_datetime,
    {{ whole_seconds('sessions.session_end_datetime', 'sessions.session_start_datetime') }} as session_seconds,
    sessions.num_pages_visited,
    sessions.num_ads_served,
    sessions.total_ad_revenue,
    sessions._ingested_at,
    user_ranges.change_ingested_at as _change_ingested_at
from sessions
inner join views as entries
    on entries.session_id = sessions.session_id
    and entries.user_id = sessions.user_id
    and entries.item_in_session = sessions.first_item
left join {{ ref('dim_pages') }} as pages on pages.page = entries.page
left join user_ranges
    on user_ranges.user_id = sessions.user_id
    and user_ranges.valid_from <= sessions.session_start_datetime
    and user_ranges.valid_to > sessions.session_start_datetime
