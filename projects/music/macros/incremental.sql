{# How incremental models find their work.

   An event may arrive long after it happened, so nothing here asks when events happened. Rows are new when they came
   into the lake later than anything the target holds: `_ingested_at` grows with every commit, and all rows of a commit
   share it. The bounds are fetched first and stand in the SQL as literals, so that files are skipped by their
   statistics. #}

{# The greatest value of a bookkeeping column in a relation, as text; empty when there is none. #}
{% macro latest(relation, column='_ingested_at') -%}
{{ run_query('select cast(max(' ~ column ~ ') as varchar) from ' ~ relation).rows[0][0] or '' }}
{%- endmacro %}

{# Condition: the row came in after everything `target` holds. True for every row when the target is empty. #}
{% macro arrived_since(target, target_column='_ingested_at', column='_ingested_at') -%}
{%- set seen = latest(target, target_column) | trim -%}
{%- if seen -%}
{{ column }} > {{ utc(seen) }}
{%- else -%}
true
{%- endif -%}
{%- endmacro %}

{# Condition: `column` is one of the dates that the query returns. False for every row when it returns none. #}
{% macro on_days_of(column, query) -%}
{%- set days = run_query('select distinct cast(day as varchar) from (' ~ query ~ ') as days(day) order by 1').rows -%}
{%- if days | length > 0 -%}
{{ column }} in ({% for day in days %}date '{{ day[0] }}'{% if not loop.last %}, {% endif %}{% endfor %})
{%- else -%}
false
{%- endif -%}
{%- endmacro %}

{# Condition for a daily aggregate of listens: the days with listens that came in since the target was built, and the
   days on which the target shows songs or places that were unknown then. #}
{% macro on_changed_listen_days(target, unresolved) -%}
{{ on_days_of('event_date',
    'select event_date from ' ~ ref('fact_listen_events') ~ ' where ' ~ arrived_since(target)
    ~ ' union select event_date from ' ~ target ~ ' where ' ~ unresolved) }}
{%- endmacro %}

{# A number that orders deliveries: by arrival, then by position in the topic. #}
{% macro delivery_order() -%}
cast(arrow_cast(_ingested_at, 'Int64') as decimal(20, 0)) * cast(1000000000000000000 as decimal(19, 0))
    + cast(_offset * 10000 + _partition as decimal(19, 0))
{%- endmacro %}

{# The rows of `arrived` (a CTE of the model, with `delivery_order` as a column) without second deliveries of the same
   event: the first delivery stays. Repeated events are few, so they are what the join keeps in memory. #}
{% macro first_deliveries(key) -%}
repeated as (
    select {{ key | join(', ') }}, min(delivery_order) as first_delivery
    from arrived
    group by {{ key | join(', ') }}
    having count(*) > 1
),

first_deliveries as (
    select arrived.*
    from repeated
    right join arrived on {{ same(key, 'repeated', 'arrived') }}
    where repeated.first_delivery is null or repeated.first_delivery = arrived.delivery_order
)
{%- endmacro %}

{# Join condition: two relations agree on all columns of a key. #}
{% macro same(key, left, right) -%}
{% for column in key %}{{ left }}.{{ column }} = {{ right }}.{{ column }}{% if not loop.last %} and {% endif %}{% endfor %}
{%- endmacro %}
