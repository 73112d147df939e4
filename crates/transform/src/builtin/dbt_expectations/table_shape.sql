{#- Of dbt_expectations: tests of which columns and how many rows a table has. -#}

{#- The names of a relation's columns; nothing while parsing. `transform` is a filter such as upper, so that case does not matter. -#}
{% macro _get_column_list(model, transform='upper') -%}
    {%- set names = [] -%}
    {%- if execute -%}
        {%- for column in adapter.get_columns_in_relation(model) -%}{%- do names.append(column.name) -%}{%- endfor -%}
    {%- endif -%}
    {{ return(dbt_expectations._transformed(names, transform)) }}
{%- endmacro %}
{% macro _transformed(names, transform) -%}{{ return(names | map(transform) | list if transform else names | list) }}{%- endmacro %}

{#- Names as the rows of a query: what a test found wrong. -#}
{% macro _as_rows(names) -%}
    {%- for name in names -%}
    select cast('{{ name }}' as {{ dbt.type_string() }}) as relation_column{{ ' union all ' if not loop.last }}
    {%- else -%}
    select relation_column from (select cast(null as {{ dbt.type_string() }}) as relation_column) nothing where 1 = 0
    {%- endfor -%}
{%- endmacro %}
{#- One row when a figure known to the template is not what it should be. -#}
{% macro _unless(fulfilled, actual) -%}
    select actual from (select {{ actual }} as actual) figures where {{ '1 = 0' if fulfilled else '1 = 1' }}
{%- endmacro %}
{% macro _between(value, min_value, max_value) -%}
    {%- if min_value is none and max_value is none -%}
        {{ exceptions.raise_compiler_error('this test needs min_value, max_value or both') }}
    {%- endif -%}
    {{ return((min_value is none or value >= min_value) and (max_value is none or value <= max_value)) }}
{%- endmacro %}

{% test expect_column_to_exist(model, column_name, column_index=none, transform='upper') %}
{{ return(adapter.dispatch('test_expect_column_to_exist', 'dbt_expectations')(model, column_name, column_index, transform)) }}
{% endtest %}
{% macro default__test_expect_column_to_exist(model, column_name, column_index=none, transform='upper') %}
{%- set names = dbt_expectations._get_column_list(model, transform) -%}
{%- set wanted = dbt_expectations._transformed([column_name], transform) -%}
{%- set candidates = names if column_index is none else names[column_index - 1:column_index] -%}
{{ dbt_expectations._as_rows([] if not execute or wanted[0] in candidates else wanted) }}
{% endmacro %}

{% test expect_table_column_count_to_equal(model, value) %}
{{ return(adapter.dispatch('test_expect_table_column_count_to_equal', 'dbt_expectations')(model, value)) }}
{% endtest %}
{% macro default__test_expect_table_column_count_to_equal(model, value) %}
{%- set number = dbt_expectations._get_column_list(model) | length -%}
{{ dbt_expectations._unless(number == value, number) }}
{% endmacro %}

{% test expect_table_column_count_to_be_between(model, min_value=none, max_value=none) %}
{{ return(adapter.dispatch('test_expect_table_column_count_to_be_between', 'dbt_expectations')(model, min_value, max_value)) }}
{% endtest %}
{% macro default__test_expect_table_column_count_to_be_between(model, min_value=none, max_value=none) %}
{%- set number = dbt_expectations._get_column_list(model) | length -%}
{{ dbt_expectations._unless(dbt_expectations._between(number, min_value, max_value), number) }}
{% endmacro %}

{% test expect_table_column_count_to_equal_other_table(model, compare_model) %}
{{ return(adapter.dispatch('test_expect_table_column_count_to_equal_other_table', 'dbt_expectations')(model, compare_model)) }}
{% endtest %}
{% macro default__test_expect_table_column_count_to_equal_other_table(model, compare_model) %}
{%- set number = dbt_expectations._get_column_list(model) | length -%}
{{ dbt_expectations._unless(number == dbt_expectations._get_column_list(compare_model) | length, number) }}
{% endmacro %}

{% test expect_table_columns_to_contain_set(model, column_list, transform='upper') %}
{{ return(adapter.dispatch('test_expect_table_columns_to_contain_set', 'dbt_expectations')(model, column_list, transform)) }}
{% endtest %}
{% macro default__test_expect_table_columns_to_contain_set(model, column_list, transform='upper') %}
{%- set names = dbt_expectations._get_column_list(model, transform) -%}
{{ dbt_expectations._as_rows(dbt_expectations._transformed(column_list, transform) | reject('in', names) | list if execute else []) }}
{% endmacro %}

{% test expect_table_columns_to_not_contain_set(model, column_list, transform='upper') %}
{{ return(adapter.dispatch('test_expect_table_columns_to_not_contain_set', 'dbt_expectations')(model, column_list, transform)) }}
{% endtest %}
{% macro default__test_expect_table_columns_to_not_contain_set(model, column_list, transform='upper') %}
{%- set names = dbt_expectations._get_column_list(model, transform) -%}
{{ dbt_expectations._as_rows(dbt_expectations._transformed(column_list, transform) | select('in', names) | list) }}
{% endmacro %}

{% test expect_table_columns_to_match_set(model, column_list, transform='upper') %}
{{ return(adapter.dispatch('test_expect_table_columns_to_match_set', 'dbt_expectations')(model, column_list, transform)) }}
{% endtest %}
{% macro default__test_expect_table_columns_to_match_set(model, column_list, transform='upper') %}
{%- set names = dbt_expectations._get_column_list(model, transform) -%}
{%- set wanted = dbt_expectations._transformed(column_list, transform) -%}
{%- set missing = wanted | reject('in', names) | list -%}
{%- set unwanted = names | reject('in', wanted) | list -%}
{{ dbt_expectations._as_rows(missing + unwanted if execute else []) }}
{% endmacro %}

{% test expect_table_columns_to_match_ordered_list(model, column_list, transform='upper') %}
{{ return(adapter.dispatch('test_expect_table_columns_to_match_ordered_list', 'dbt_expectations')(model, column_list, transform)) }}
{% endtest %}
{% macro default__test_expect_table_columns_to_match_ordered_list(model, column_list, transform='upper') %}
{%- set names = dbt_expectations._get_column_list(model, transform) -%}
{%- set wanted = dbt_expectations._transformed(column_list, transform) -%}
{%- set misplaced = [] -%}
{%- for place in range([names | length, wanted | length] | max) if execute -%}
    {%- set name = names[place] if place < names | length else '' -%}
    {%- set expected = wanted[place] if place < wanted | length else '' -%}
    {%- if name != expected -%}{%- do misplaced.append(name or expected) -%}{%- endif -%}
{%- endfor -%}
{{ dbt_expectations._as_rows(misplaced) }}
{% endmacro %}

{% test expect_table_row_count_to_equal(model, value, group_by=none, row_condition=none) %}
{{ return(adapter.dispatch('test_expect_table_row_count_to_equal', 'dbt_expectations')(model, value, group_by, row_condition)) }}
{% endtest %}
{% macro default__test_expect_table_row_count_to_equal(model, value, group_by=none, row_condition=none) %}
{{ dbt_expectations.expression_is_true(model, 'count(*) = ' ~ value, group_by_columns=group_by, row_condition=row_condition) }}
{% endmacro %}

{% test expect_table_row_count_to_be_between(model, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ return(adapter.dispatch('test_expect_table_row_count_to_be_between', 'dbt_expectations')(model, min_value, max_value, group_by, row_condition, strictly)) }}
{% endtest %}
{% macro default__test_expect_table_row_count_to_be_between(model, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ dbt_expectations.expression_between(model, 'count(*)', min_value, max_value, group_by, row_condition, strictly) }}
{% endmacro %}

{% test expect_table_row_count_to_equal_other_table(model, compare_model, group_by=none, compare_group_by=none, factor=1, row_condition=none, compare_row_condition=none) %}
{{ return(adapter.dispatch('test_expect_table_row_count_to_equal_other_table', 'dbt_expectations')(model, compare_model, group_by, compare_group_by, factor, row_condition, compare_row_condition)) }}
{% endtest %}
{% macro default__test_expect_table_row_count_to_equal_other_table(model, compare_model, group_by=none, compare_group_by=none, factor=1, row_condition=none, compare_row_condition=none) %}
{{ dbt_expectations.equal_expression(model, 'count(*)', compare_model, 'count(*) * ' ~ factor, group_by, compare_group_by, row_condition, compare_row_condition) }}
{% endmacro %}

{% test expect_table_row_count_to_equal_other_table_times_factor(model, compare_model, factor, group_by=none, compare_group_by=none, row_condition=none, compare_row_condition=none) %}
{{ return(adapter.dispatch('test_expect_table_row_count_to_equal_other_table_times_factor', 'dbt_expectations')(model, compare_model, factor, group_by, compare_group_by, row_condition, compare_row_condition)) }}
{% endtest %}
{% macro default__test_expect_table_row_count_to_equal_other_table_times_factor(model, compare_model, factor, group_by=none, compare_group_by=none, row_condition=none, compare_row_condition=none) %}
{{ dbt_expectations.equal_expression(model, 'count(*)', compare_model, 'count(*) * ' ~ factor, group_by, compare_group_by, row_condition, compare_row_condition) }}
{% endmacro %}

{% test expect_table_aggregation_to_equal_other_table(model, expression, compare_model, compare_expression=none, group_by=none, compare_group_by=none, row_condition=none, compare_row_condition=none, tolerance=0.0, tolerance_percent=none) %}
{{ return(adapter.dispatch('test_expect_table_aggregation_to_equal_other_table', 'dbt_expectations')(model, expression, compare_model, compare_expression, group_by, compare_group_by, row_condition, compare_row_condition, tolerance, tolerance_percent)) }}
{% endtest %}
{% macro default__test_expect_table_aggregation_to_equal_other_table(model, expression, compare_model, compare_expression=none, group_by=none, compare_group_by=none, row_condition=none, compare_row_condition=none, tolerance=0.0, tolerance_percent=none) %}
{{ dbt_expectations.equal_expression(model, expression, compare_model, compare_expression, group_by, compare_group_by, row_condition, compare_row_condition, tolerance, tolerance_percent) }}
{% endmacro %}

{#- The newest time that is not in the future must be at most an interval old; no time at all is too old. -#}
{% macro _recent_threshold(datepart, interval) -%}
    cast({{ dbt.dateadd(datepart, -1 * interval, dbt_date.now()) }} as {{ dbt.type_timestamp() }})
{%- endmacro %}

{% test expect_row_values_to_have_recent_data(model, column_name, datepart, interval, row_condition=none) %}
{{ return(adapter.dispatch('test_expect_row_values_to_have_recent_data', 'dbt_expectations')(model, column_name, datepart, interval, row_condition)) }}
{% endtest %}
{% macro default__test_expect_row_values_to_have_recent_data(model, column_name, datepart, interval, row_condition=none) %}
{%- set moment = 'cast(' ~ column_name ~ ' as ' ~ dbt.type_timestamp() ~ ')' -%}
select *
from (
    select max({{ moment }}) as max_timestamp
    from {{ model }}
    where {{ moment }} <= cast({{ dbt_date.now() }} as {{ dbt.type_timestamp() }})
        {{- ' and (' ~ row_condition ~ ')' if row_condition }}
) newest
where max_timestamp is null or max_timestamp < {{ dbt_expectations._recent_threshold(datepart, interval) }}
{% endmacro %}

{% test expect_grouped_row_values_to_have_recent_data(model, group_by, timestamp_column, datepart, interval, row_condition=none) %}
{{ return(adapter.dispatch('test_expect_grouped_row_values_to_have_recent_data', 'dbt_expectations')(model, group_by, timestamp_column, datepart, interval, row_condition)) }}
{% endtest %}
{% macro default__test_expect_grouped_row_values_to_have_recent_data(model, group_by, timestamp_column, datepart, interval, row_condition=none) %}
{%- set keys = group_by | join(', ') -%}
{%- set moment = 'cast(' ~ timestamp_column ~ ' as ' ~ dbt.type_timestamp() ~ ')' -%}
with newest as (
    select {{ keys }}, max({{ moment }}) as latest_timestamp_column
    from {{ model }}
    {{ dbt_expectations._where(row_condition) }}
    group by {{ keys }}
)

select {% for key in group_by %}cast({{ key }} as {{ dbt.type_string() }}) as {{ key }}, {% endfor %}latest_timestamp_column
from newest
where latest_timestamp_column < {{ dbt_expectations._recent_threshold(datepart, interval) }}
union all
select {% for key in group_by %}null, {% endfor %}null
from (select count(*) as number_of_groups from newest) counted
where number_of_groups = 0
{% endmacro %}
