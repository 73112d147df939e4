{# Deterministic key of a row of a dimension: the same text on every build, whatever arrived first. #}
{% macro surrogate_key(columns) -%}
md5(concat_ws('|'{% for column in columns %}, cast({{ column }} as varchar){% endfor %}))
{%- endmacro %}

{# Key of the member that stands for "not in the dimension (yet)". It sorts before every hash, so the statistics of a
   file tell whether the file has such rows at all. #}
{% macro unknown_key() -%}
'00000000000000000000000000000000'
{%- endmacro %}

{# Epoch milliseconds as a UTC timestamp in microseconds. #}
{% macro event_time(milliseconds) -%}
arrow_cast({{ milliseconds }} * 1000, 'Timestamp(Microsecond, Some("UTC"))')
{%- endmacro %}

{# A literal UTC timestamp in microseconds: nanoseconds end in 2262, before the open end of a history. #}
{% macro utc(text) -%}
arrow_cast('{{ text }}', 'Timestamp(Microsecond, Some("UTC"))')
{%- endmacro %}

{# No time, of the type of the other times: an untyped null would leave the column's type to chance. #}
{% macro no_time() -%}
arrow_cast(null, 'Timestamp(Microsecond, Some("UTC"))')
{%- endmacro %}

{% macro whole_seconds(later, earlier) -%}
(arrow_cast({{ later }}, 'Int64') - arrow_cast({{ earlier }}, 'Int64')) / 1000000
{%- endmacro %}

{# Money is decimal from the first model on: the events carry it as a double. #}
{% macro money(amount) -%}
cast({{ amount }} as decimal(12, 4))
{%- endmacro %}

{# Condition: the day is one of the latest that the tests against the raw events look at. The reference stands on a line of
   its own: parsing does not execute, and would not see it inside the condition. #}
{% macro is_reconciled(day) -%}
{%- set kpis = ref('daily_ad_revenue') -%}
{%- set first = run_query('select cast(max(event_date) - interval \'' ~ (var('reconciled_days') - 1) ~ ' days\' as varchar) from '
    ~ kpis).rows[0][0] if execute else none -%}
{%- if first -%}
{{ day }} >= cast(timestamp '{{ first }}' as date)
{%- else -%}
true
{%- endif -%}
{%- endmacro %}

{# The same bound on epoch milliseconds, as the raw events carry them. #}
{% macro is_reconciled_event(milliseconds) -%}
{{ is_reconciled('cast(' ~ event_time(milliseconds) ~ ' as date)') }}
{%- endmacro %}
