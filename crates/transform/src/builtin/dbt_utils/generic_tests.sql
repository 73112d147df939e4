{#- The package dbt_utils, where a project has no folder of that name: its generic tests. -#}

{#- The parts of a query that counts by group: `keys`, and what stands before and after because of them. -#}
{% macro _grouping(columns) -%}
    {%- set keys = columns | join(', ') -%}
    {{ return({'keys': keys, 'select': keys ~ ', ' if keys else '', 'group_by': 'group by ' ~ keys if keys else ''}) }}
{%- endmacro %}

{% test unique_combination_of_columns(model, combination_of_columns, quote_columns=false) %}
{{ return(adapter.dispatch('test_unique_combination_of_columns', 'dbt_utils')(model, combination_of_columns, quote_columns)) }}
{% endtest %}

{% macro default__test_unique_combination_of_columns(model, combination_of_columns, quote_columns=false) %}
{%- set names = [] -%}
{%- for column in combination_of_columns -%}
    {%- do names.append(adapter.quote(column) if quote_columns else column) -%}
{%- endfor -%}
{%- set columns = names | join(', ') -%}
select {{ columns }}
from {{ model }}
group by {{ columns }}
having count(*) > 1
{% endmacro %}

{% test accepted_range(model, column_name, min_value=none, max_value=none, inclusive=true) %}
{{ return(adapter.dispatch('test_accepted_range', 'dbt_utils')(model, column_name, min_value, max_value, inclusive)) }}
{% endtest %}

{% macro default__test_accepted_range(model, column_name, min_value=none, max_value=none, inclusive=true) %}
{%- if min_value is none and max_value is none -%}
    {{ exceptions.raise_compiler_error('accepted_range needs min_value, max_value or both') }}
{%- endif -%}
{%- set or_equal = '=' if inclusive else '' -%}
select *
from {{ model }}
where 1 = 2
{%- if min_value is not none %}
    or not {{ column_name }} >{{ or_equal }} {{ min_value }}
{%- endif -%}
{%- if max_value is not none %}
    or not {{ column_name }} <{{ or_equal }} {{ max_value }}
{%- endif %}
{% endmacro %}

{% test expression_is_true(model, expression, column_name=none) %}
{{ return(adapter.dispatch('test_expression_is_true', 'dbt_utils')(model, expression, column_name)) }}
{% endtest %}

{% macro default__test_expression_is_true(model, expression, column_name=none) %}
select *
from {{ model }}
where not ({{ column_name ~ ' ' if column_name }}{{ expression }})
{% endmacro %}

{% test not_constant(model, column_name, group_by_columns=[]) %}
{{ return(adapter.dispatch('test_not_constant', 'dbt_utils')(model, column_name, group_by_columns)) }}
{% endtest %}

{% macro default__test_not_constant(model, column_name, group_by_columns=[]) %}
{%- set by = dbt_utils._grouping(group_by_columns) -%}
select {{ by.select }}count(distinct {{ column_name }}) as filler_column
from {{ model }}
{{ by.group_by }}
having count(distinct {{ column_name }}) = 1
{% endmacro %}

{% test at_least_one(model, column_name, group_by_columns=[]) %}
{{ return(adapter.dispatch('test_at_least_one', 'dbt_utils')(model, column_name, group_by_columns)) }}
{% endtest %}

{% macro default__test_at_least_one(model, column_name, group_by_columns=[]) %}
{%- set by = dbt_utils._grouping(group_by_columns) -%}
select {{ by.select }}count({{ column_name }}) as filler_column
from {{ model }}
{{ by.group_by }}
having count({{ column_name }}) = 0
{% endmacro %}

{% test not_empty_string(model, column_name, trim_whitespace=true) %}
{{ return(adapter.dispatch('test_not_empty_string', 'dbt_utils')(model, column_name, trim_whitespace)) }}
{% endtest %}

{% macro default__test_not_empty_string(model, column_name, trim_whitespace=true) %}
select {{ column_name }}
from {{ model }}
where {{ 'trim(' ~ column_name ~ ')' if trim_whitespace else column_name }} = ''
{% endmacro %}

{% test not_accepted_values(model, column_name, values, quote=true) %}
{{ return(adapter.dispatch('test_not_accepted_values', 'dbt_utils')(model, column_name, values, quote)) }}
{% endtest %}

{% macro default__test_not_accepted_values(model, column_name, values, quote=true) %}
select {{ column_name }} as value_field
from {{ model }}
where {{ column_name }} in (
    {%- for value in values -%}{{ "'" ~ value ~ "'" if quote else value }}{{ ', ' if not loop.last }}{%- endfor -%}
)
{% endmacro %}

{% test not_null_proportion(model, column_name, at_least=0, at_most=1.0, group_by_columns=[]) %}
{{ return(adapter.dispatch('test_not_null_proportion', 'dbt_utils')(model, column_name, at_least, at_most, group_by_columns)) }}
{% endtest %}

{% macro default__test_not_null_proportion(model, column_name, at_least=0, at_most=1.0, group_by_columns=[]) %}
{%- set by = dbt_utils._grouping(group_by_columns) -%}
select *
from (
    select {{ by.select }}sum(case when {{ column_name }} is null then 0 else 1 end) / cast(count(*) as {{ dbt.type_numeric() }}) as not_null_proportion
    from {{ model }}
    {{ by.group_by }}
) proportions
where not_null_proportion < {{ at_least }} or not_null_proportion > {{ at_most }}
{% endmacro %}

{#- The number of failures is the difference, so that `warn_if: "> 10"` speaks of rows; there is always a row to say so. -#}

{% test equal_rowcount(model, compare_model, group_by_columns=[]) %}
{{ config(fail_calc='sum(coalesce(diff_count, 0))') }}
{{ return(adapter.dispatch('test_equal_rowcount', 'dbt_utils')(model, compare_model, group_by_columns)) }}
{% endtest %}

{% macro default__test_equal_rowcount(model, compare_model, group_by_columns=[]) %}
select counts.*, abs(count_a - count_b) as diff_count
from ({{ dbt_utils._rows_side_by_side(model, compare_model, group_by_columns) }}) counts
{% endmacro %}

{% test fewer_rows_than(model, compare_model, group_by_columns=[]) %}
{{ config(fail_calc='sum(coalesce(row_count_delta, 0))') }}
{{ return(adapter.dispatch('test_fewer_rows_than', 'dbt_utils')(model, compare_model, group_by_columns)) }}
{% endtest %}

{% macro default__test_fewer_rows_than(model, compare_model, group_by_columns=[]) %}
select counts.*, case when count_a > count_b then count_a - count_b when count_a = count_b then 1 else 0 end as row_count_delta
from ({{ dbt_utils._rows_side_by_side(model, compare_model, group_by_columns) }}) counts
{% endmacro %}

{#- Rows of two relations, counted by group: a group that one of them lacks has zero there. -#}
{% macro _rows_side_by_side(model, compare_model, group_by_columns) -%}
{%- set by = dbt_utils._grouping(group_by_columns) -%}
select {{ by.select }}coalesce(sum(a), 0) as count_a, coalesce(sum(b), 0) as count_b
from (
    select {{ by.select }}1 as a, 0 as b from {{ model }}
    union all
    select {{ by.select }}0 as a, 1 as b from {{ compare_model }}
) labelled
{{ by.group_by }}
{%- endmacro %}

{% test equality(model, compare_model, compare_columns=none, exclude_columns=none, precision=none) %}
{{ return(adapter.dispatch('test_equality', 'dbt_utils')(model, compare_model, compare_columns, exclude_columns, precision)) }}
{% endtest %}

{% macro default__test_equality(model, compare_model, compare_columns=none, exclude_columns=none, precision=none) %}
{%- if compare_columns and exclude_columns -%}
    {{ exceptions.raise_compiler_error('equality takes compare_columns or exclude_columns, not both') }}
{%- endif -%}
{%- set shown = [] -%}
{%- set types = {} -%}
{%- if precision is not none or not compare_columns -%}
    {%- for column in adapter.get_columns_in_relation(model) -%}{%- do types.update({column.name: column}) -%}{%- endfor -%}
{%- endif -%}
{%- for name in compare_columns or dbt_utils.get_filtered_columns_in_relation(model, exclude_columns or []) -%}
    {%- set written = name if compare_columns else adapter.quote(name) -%}
    {%- set rounded = precision is not none and name in types and (types[name].is_float() or types[name].is_numeric()) -%}
    {%- do shown.append('round(' ~ written ~ ', ' ~ precision ~ ') as ' ~ written if rounded else written) -%}
{%- endfor -%}
{%- set columns = shown | join(', ') or '*' -%}
(
    select 'a_minus_b' as which_diff, differing.*
    from (select {{ columns }} from {{ model }} {{ dbt.except() }} select {{ columns }} from {{ compare_model }}) differing
)
union all
(
    select 'b_minus_a' as which_diff, differing.*
    from (select {{ columns }} from {{ compare_model }} {{ dbt.except() }} select {{ columns }} from {{ model }}) differing
)
{% endmacro %}

{% test cardinality_equality(model, column_name, to, field) %}
{{ return(adapter.dispatch('test_cardinality_equality', 'dbt_utils')(model, column_name, to, field)) }}
{% endtest %}

{% macro default__test_cardinality_equality(model, column_name, to, field) %}
with here as (
    select {{ column_name }} as value_field, count(*) as num_rows from {{ model }} group by {{ column_name }}
), there as (
    select {{ field }} as value_field, count(*) as num_rows from {{ to }} group by {{ field }}
)
select * from (select * from here {{ dbt.except() }} select * from there) only_here
union all
select * from (select * from there {{ dbt.except() }} select * from here) only_there
{% endmacro %}

{% test relationships_where(model, column_name, to, field, from_condition='1=1', to_condition='1=1') %}
{{ return(adapter.dispatch('test_relationships_where', 'dbt_utils')(model, column_name, to, field, from_condition, to_condition)) }}
{% endtest %}

{% macro default__test_relationships_where(model, column_name, to, field, from_condition='1=1', to_condition='1=1') %}
select child.id
from (select {{ column_name }} as id from {{ model }} where {{ column_name }} is not null and {{ from_condition }}) child
left join (select {{ field }} as id from {{ to }} where {{ field }} is not null and {{ to_condition }}) parent on child.id = parent.id
where parent.id is null
{% endmacro %}

{% test recency(model, field, datepart, interval, ignore_time_component=false, group_by_columns=[]) %}
{{ return(adapter.dispatch('test_recency', 'dbt_utils')(model, field, datepart, interval, ignore_time_component, group_by_columns)) }}
{% endtest %}

{% macro default__test_recency(model, field, datepart, interval, ignore_time_component=false, group_by_columns=[]) %}
{%- set by = dbt_utils._grouping(group_by_columns) -%}
{%- set type = 'date' if ignore_time_component else dbt.type_timestamp() -%}
{%- set now = 'cast(' ~ dbt.current_timestamp() ~ ' as ' ~ dbt.type_timestamp() ~ ')' -%}
select *
from (
    select {{ by.select }}cast(max({{ field }}) as {{ type }}) as most_recent, cast({{ dbt.dateadd(datepart, interval * -1, now) }} as {{ type }}) as threshold
    from {{ model }}
    {{ by.group_by }}
) recency
where most_recent < threshold
{% endmacro %}

{% test sequential_values(model, column_name, interval=1, datepart=none, group_by_columns=[]) %}
{{ return(adapter.dispatch('test_sequential_values', 'dbt_utils')(model, column_name, interval, datepart, group_by_columns)) }}
{% endtest %}

{% macro default__test_sequential_values(model, column_name, interval=1, datepart=none, group_by_columns=[]) %}
{%- set partition = 'partition by ' ~ group_by_columns | join(', ') ~ ' ' if group_by_columns else '' -%}
select *
from (
    select {{ column_name }} as value_field, lag({{ column_name }}) over ({{ partition }}order by {{ column_name }}) as previous_value
    from {{ model }}
) neighbours
where previous_value is not null
{%- if datepart %}
    and not cast(value_field as {{ dbt.type_timestamp() }}) = {{ dbt.dateadd(datepart, interval, 'cast(previous_value as ' ~ dbt.type_timestamp() ~ ')') }}
{%- else %}
    and not value_field = previous_value + {{ interval }}
{%- endif %}
{% endmacro %}

{% test mutually_exclusive_ranges(model, lower_bound_column, upper_bound_column, partition_by=none, gaps='allowed', zero_length_range_allowed=false) %}
{{ return(adapter.dispatch('test_mutually_exclusive_ranges', 'dbt_utils')(model, lower_bound_column, upper_bound_column, partition_by, gaps, zero_length_range_allowed)) }}
{% endtest %}

{% macro default__test_mutually_exclusive_ranges(model, lower_bound_column, upper_bound_column, partition_by=none, gaps='allowed', zero_length_range_allowed=false) %}
{%- set compare = {'not_allowed': '=', 'allowed': '<=', 'required': '<'}.get(gaps) -%}
{%- if not compare -%}
    {{ exceptions.raise_compiler_error("mutually_exclusive_ranges: gaps is 'not_allowed', 'allowed' or 'required', not '" ~ gaps ~ "'") }}
{%- endif -%}
{%- set partition = 'partition by ' ~ partition_by ~ ' ' if partition_by else '' -%}
select *
from (
    select
        {{ partition_by ~ ' as partition_by_col,' if partition_by }}
        {{ lower_bound_column }} as lower_bound,
        {{ upper_bound_column }} as upper_bound,
        lead({{ lower_bound_column }}) over ({{ partition }}order by {{ lower_bound_column }}, {{ upper_bound_column }}) as next_lower_bound,
        row_number() over ({{ partition }}order by {{ lower_bound_column }} desc, {{ upper_bound_column }} desc) as places_to_last
    from {{ model }}
) ranges
where not (
    coalesce((lower_bound {{ '<=' if zero_length_range_allowed else '<' }} upper_bound), false)
    and (places_to_last = 1 or coalesce((upper_bound {{ compare }} next_lower_bound), false))
)
{% endmacro %}
