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

{# The rows of `arrived` (a CTE of the model) without second deliveries of the same event. The first delivery wins:
   first by arrival, then by position in its topic. Repeated events are few, so they alone are sorted. #}
{% macro first_deliveries(key) -%}
repeated as (
    select {{ key | join(', ') }}
    from arrived
    group by {{ key | join(', ') }}
    having count(*) > 1
),

deliveries as (
    select
        arrived.*,
        row_number() over (
            partition by {% for column in key %}arrived.{{ column }}, {% endfor %}1
            order by arrived._ingested_at, arrived._partition, arrived._offset
        ) as delivery
    from arrived
    inner join repeated on {{ same(key, 'repeated', 'arrived') }}
),

first_deliveries as (
    select arrived.*
    from arrived
    left join deliveries on {{ same(key, 'deliveries', 'arrived') }} and deliveries.delivery = 1
    where deliveries.delivery is null
        or (deliveries._partition = arrived._partition and deliveries._offset = arrived._offset)
)
{%- endmacro %}

{# Join condition: two relations agree on all columns of a key. #}
{% macro same(key, left, right) -%}
{% for column in key %}{{ left }}.{{ column }} = {{ right }}.{{ column }}{% if not loop.last %} and {% endif %}{% endfor %}
{%- endmacro %}
