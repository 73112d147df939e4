{#- Of dbt_expectations: tests of several columns beside each other. -#}

{% test expect_column_pair_values_A_to_be_greater_than_B(model, column_A, column_B, or_equal=false, row_condition=none) %}
{{ return(adapter.dispatch('test_expect_column_pair_values_A_to_be_greater_than_B', 'dbt_expectations')(model, column_A, column_B, or_equal, row_condition)) }}
{% endtest %}
{% macro default__test_expect_column_pair_values_A_to_be_greater_than_B(model, column_A, column_B, or_equal=false, row_condition=none) %}
{{ dbt_expectations.expression_is_true(model, column_A ~ (' >= ' if or_equal else ' > ') ~ column_B, row_condition=row_condition) }}
{% endmacro %}

{% test expect_column_pair_values_to_be_equal(model, column_A, column_B, row_condition=none) %}
{{ return(adapter.dispatch('test_expect_column_pair_values_to_be_equal', 'dbt_expectations')(model, column_A, column_B, row_condition)) }}
{% endtest %}
{% macro default__test_expect_column_pair_values_to_be_equal(model, column_A, column_B, row_condition=none) %}
{{ dbt_expectations.expression_is_true(model, column_A ~ ' = ' ~ column_B, row_condition=row_condition) }}
{% endmacro %}

{% test expect_column_pair_values_to_be_in_set(model, column_A, column_B, value_pairs_set, row_condition=none) %}
{{ return(adapter.dispatch('test_expect_column_pair_values_to_be_in_set', 'dbt_expectations')(model, column_A, column_B, value_pairs_set, row_condition)) }}
{% endtest %}
{% macro default__test_expect_column_pair_values_to_be_in_set(model, column_A, column_B, value_pairs_set, row_condition=none) %}
{%- set pairs = [] -%}
{%- for pair in value_pairs_set -%}
    {%- if pair | length != 2 -%}{{ exceptions.raise_compiler_error('value_pairs_set is a list of pairs') }}{%- endif -%}
    {%- do pairs.append('(' ~ column_A ~ ' = ' ~ pair[0] ~ ' and ' ~ column_B ~ ' = ' ~ pair[1] ~ ')') -%}
{%- endfor -%}
{{ dbt_expectations.expression_is_true(model, pairs | join(' or '), row_condition=row_condition) }}
{% endmacro %}

{% test expect_multicolumn_sum_to_equal(model, column_list, sum_total, group_by=none, row_condition=none) %}
{{ return(adapter.dispatch('test_expect_multicolumn_sum_to_equal', 'dbt_expectations')(model, column_list, sum_total, group_by, row_condition)) }}
{% endtest %}
{% macro default__test_expect_multicolumn_sum_to_equal(model, column_list, sum_total, group_by=none, row_condition=none) %}
{{ dbt_expectations.expression_is_true(model, dbt_expectations._sum_of(column_list) ~ ' = ' ~ sum_total, group_by_columns=group_by, row_condition=row_condition) }}
{% endmacro %}

{% test expect_multicolumn_sum_to_be_between(model, column_list, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ return(adapter.dispatch('test_expect_multicolumn_sum_to_be_between', 'dbt_expectations')(model, column_list, min_value, max_value, group_by, row_condition, strictly)) }}
{% endtest %}
{% macro default__test_expect_multicolumn_sum_to_be_between(model, column_list, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ dbt_expectations.expression_between(model, dbt_expectations._sum_of(column_list), min_value, max_value, group_by, row_condition, strictly) }}
{% endmacro %}

{% macro _sum_of(column_list) -%}
    {%- set sums = [] -%}
    {%- for column in column_list -%}{%- do sums.append('sum(' ~ column ~ ')') -%}{%- endfor -%}
    {{ return('(' ~ sums | join(' + ') ~ ')') }}
{%- endmacro %}
{% macro _column_names(column_list, quote_columns) -%}
    {%- set names = [] -%}
    {%- for column in column_list -%}{%- do names.append(adapter.quote(column) if quote_columns else column) -%}{%- endfor -%}
    {{ return(names) }}
{%- endmacro %}

{% test expect_compound_columns_to_be_unique(model, column_list, quote_columns=false, ignore_row_if='all_values_are_missing', row_condition=none) %}
{{ return(adapter.dispatch('test_expect_compound_columns_to_be_unique', 'dbt_expectations')(model, column_list, quote_columns, ignore_row_if, row_condition)) }}
{% endtest %}
{% macro default__test_expect_compound_columns_to_be_unique(model, column_list, quote_columns=false, ignore_row_if='all_values_are_missing', row_condition=none) %}
{%- set names = dbt_expectations._column_names(column_list, quote_columns) -%}
select {{ names | join(', ') }}, count(*) as n_records
from {{ model }}
where {{ dbt_expectations.ignore_row_if_expression(ignore_row_if, names) }}
    {{- ' and (' ~ row_condition ~ ')' if row_condition }}
group by {{ names | join(', ') }}
having count(*) > 1
{% endmacro %}

{% test expect_select_column_values_to_be_unique_within_record(model, column_list, quote_columns=false, ignore_row_if='all_values_are_missing', row_condition=none) %}
{{ return(adapter.dispatch('test_expect_select_column_values_to_be_unique_within_record', 'dbt_expectations')(model, column_list, quote_columns, ignore_row_if, row_condition)) }}
{% endtest %}
{% macro default__test_expect_select_column_values_to_be_unique_within_record(model, column_list, quote_columns=false, ignore_row_if='all_values_are_missing', row_condition=none) %}
{%- set names = dbt_expectations._column_names(column_list, quote_columns) -%}
{#- Two columns of one record are the same when both are null, too. -#}
{%- set same = [] -%}
{%- for left in names -%}
    {%- for right in names[loop.index:] -%}{%- do same.append('(' ~ left ~ ' is not distinct from ' ~ right ~ ')') -%}{%- endfor -%}
{%- endfor -%}
select {{ names | join(', ') }}
from {{ model }}
where {{ dbt_expectations.ignore_row_if_expression(ignore_row_if, names) }}
    {{- ' and (' ~ row_condition ~ ')' if row_condition }}
    and ({{ same | join(' or ') if same else '1 = 0' }})
{% endmacro %}
