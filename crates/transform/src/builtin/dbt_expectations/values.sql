{#- Of dbt_expectations: tests of each value of a column, alone or beside its neighbours, and of columns beside each other. -#}

{% test expect_column_values_to_be_null(model, column_name, row_condition=none) %}
{{ return(adapter.dispatch('test_expect_column_values_to_be_null', 'dbt_expectations')(model, column_name, row_condition)) }}
{% endtest %}
{% macro default__test_expect_column_values_to_be_null(model, column_name, row_condition=none) %}
{{ dbt_expectations.expression_is_true(model, column_name ~ ' is null', row_condition=row_condition) }}
{% endmacro %}

{% test expect_column_values_to_not_be_null(model, column_name, row_condition=none) %}
{{ return(adapter.dispatch('test_expect_column_values_to_not_be_null', 'dbt_expectations')(model, column_name, row_condition)) }}
{% endtest %}
{% macro default__test_expect_column_values_to_not_be_null(model, column_name, row_condition=none) %}
{{ dbt_expectations.expression_is_true(model, column_name ~ ' is not null', row_condition=row_condition) }}
{% endmacro %}

{% test expect_column_values_to_be_unique(model, column_name, row_condition=none) %}
{{ return(adapter.dispatch('test_expect_column_values_to_be_unique', 'dbt_expectations')(model, column_name, row_condition)) }}
{% endtest %}
{% macro default__test_expect_column_values_to_be_unique(model, column_name, row_condition=none) %}
{{ dbt_expectations.test_expect_compound_columns_to_be_unique(model, [column_name], row_condition=row_condition) }}
{% endmacro %}

{#- One name for the types that are one type here: widths of integers and texts, the precision of numbers and whether a time says its
    zone do not count, for the lake keeps one type of each. -#}
{% macro _type_family(type) -%}
    {%- set name = (type | string | upper).split('(')[0] | trim -%}
    {%- set families = {
        'INTEGER': ['INT', 'INTEGER', 'BIGINT', 'SMALLINT', 'TINYINT', 'BYTEINT', 'INT2', 'INT4', 'INT8', 'INT16', 'INT32', 'INT64', 'LONG', 'SHORT', 'UINT8', 'UINT16', 'UINT32', 'UINT64', 'HUGEINT'],
        'TEXT': ['TEXT', 'VARCHAR', 'CHARACTER VARYING', 'STRING', 'CHAR', 'CHARACTER', 'BPCHAR', 'NVARCHAR', 'UTF8', 'LARGEUTF8', 'UTF8VIEW'],
        'FLOAT': ['FLOAT', 'DOUBLE', 'DOUBLE PRECISION', 'REAL', 'FLOAT4', 'FLOAT8', 'FLOAT16', 'FLOAT32', 'FLOAT64'],
        'NUMERIC': ['NUMERIC', 'DECIMAL', 'NUMBER', 'BIGNUMERIC', 'DECIMAL128', 'DECIMAL256'],
        'TIMESTAMP': ['TIMESTAMP', 'TIMESTAMP WITHOUT TIME ZONE', 'TIMESTAMP_NTZ', 'DATETIME', 'TIMESTAMP WITH TIME ZONE', 'TIMESTAMPTZ', 'TIMESTAMP_TZ', 'TIMESTAMP_LTZ'],
        'BOOLEAN': ['BOOLEAN', 'BOOL'],
        'DATE': ['DATE', 'DATE32', 'DATE64']
    } -%}
    {%- for family, names in families.items() -%}{%- if name in names -%}{{ return(family) }}{%- endif -%}{%- endfor -%}
    {{ return(name) }}
{%- endmacro %}

{% test expect_column_values_to_be_of_type(model, column_name, column_type) %}
{{ return(adapter.dispatch('test_expect_column_values_to_be_of_type', 'dbt_expectations')(model, column_name, column_type)) }}
{% endtest %}
{% macro default__test_expect_column_values_to_be_of_type(model, column_name, column_type) %}
{{ dbt_expectations.test_expect_column_values_to_be_in_type_list(model, column_name, [column_type]) }}
{% endmacro %}

{% test expect_column_values_to_be_in_type_list(model, column_name, column_type_list) %}
{{ return(adapter.dispatch('test_expect_column_values_to_be_in_type_list', 'dbt_expectations')(model, column_name, column_type_list)) }}
{% endtest %}
{% macro default__test_expect_column_values_to_be_in_type_list(model, column_name, column_type_list) %}
{%- set families = [] -%}
{%- for type in column_type_list -%}{%- do families.append(dbt_expectations._type_family(type)) -%}{%- endfor -%}
{%- set wrong = [] -%}
{%- for column in adapter.get_columns_in_relation(model) if execute -%}
    {%- if column.name | upper == column_name | upper and dbt_expectations._type_family(column.data_type) not in families -%}
        {%- do wrong.append(column.name ~ ' ' ~ column.data_type) -%}
    {%- endif -%}
{%- endfor -%}
{{ dbt_expectations._as_rows(wrong) }}
{% endmacro %}

{% test expect_column_values_to_have_consistent_casing(model, column_name, display_inconsistent_columns=false) %}
{{ return(adapter.dispatch('test_expect_column_values_to_have_consistent_casing', 'dbt_expectations')(model, column_name, display_inconsistent_columns)) }}
{% endtest %}
{% macro default__test_expect_column_values_to_have_consistent_casing(model, column_name, display_inconsistent_columns=false) %}
{%- set variants -%}
    select lower({{ column_name }}) as lower_value, count(distinct {{ column_name }}) as set_count_case_insensitive
    from {{ model }}
    where {{ column_name }} is not null
    group by lower({{ column_name }})
    having count(distinct {{ column_name }}) > 1
{%- endset -%}
{%- if display_inconsistent_columns -%}
select distinct {{ column_name }}
from {{ model }}
where lower({{ column_name }}) in (select lower_value from ({{ variants }}) variants)
{%- else -%}
{{ variants }}
{%- endif -%}
{% endmacro %}

{#- A set of values as the rows of a query, and the values of a column, each written the way that lets them be compared. -#}
{% macro _set_values(value_set, quote_values) -%}
    {%- for value in value_set -%}
    select {{ "cast('" ~ dbt_expectations._quoted(value | string) ~ "' as " ~ dbt.type_string() ~ ')' if quote_values else value }} as value_field{{ ' union all ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
{% macro _all_values(model, column_name, row_condition, distinct=false) -%}
    select {{ 'distinct ' if distinct }}{{ column_name }} as value_field from {{ model }} {{ dbt_expectations._where(row_condition) }}
{%- endmacro %}
{#- Values of one query that another does not have. A null is in no set. -#}
{% macro _without(values, known) -%}
select v.value_field
from ({{ values }}) v
left join (select distinct value_field from ({{ known }}) listed) s on v.value_field = s.value_field
where s.value_field is null
{%- endmacro %}

{% test expect_column_values_to_be_in_set(model, column_name, value_set, quote_values=true, row_condition=none) %}
{{ return(adapter.dispatch('test_expect_column_values_to_be_in_set', 'dbt_expectations')(model, column_name, value_set, quote_values, row_condition)) }}
{% endtest %}
{% macro default__test_expect_column_values_to_be_in_set(model, column_name, value_set, quote_values=true, row_condition=none) %}
{{ dbt_expectations._without(dbt_expectations._all_values(model, column_name, row_condition), dbt_expectations._set_values(value_set, quote_values)) }}
{% endmacro %}

{% test expect_column_values_to_not_be_in_set(model, column_name, value_set, quote_values=true, row_condition=none) %}
{{ return(adapter.dispatch('test_expect_column_values_to_not_be_in_set', 'dbt_expectations')(model, column_name, value_set, quote_values, row_condition)) }}
{% endtest %}
{% macro default__test_expect_column_values_to_not_be_in_set(model, column_name, value_set, quote_values=true, row_condition=none) %}
select v.value_field
from ({{ dbt_expectations._all_values(model, column_name, row_condition) }}) v
inner join (select distinct value_field from ({{ dbt_expectations._set_values(value_set, quote_values) }}) listed) s on v.value_field = s.value_field
{% endmacro %}

{% test expect_column_values_to_be_between(model, column_name, min_value=none, max_value=none, row_condition=none, strictly=false) %}
{{ return(adapter.dispatch('test_expect_column_values_to_be_between', 'dbt_expectations')(model, column_name, min_value, max_value, row_condition, strictly)) }}
{% endtest %}
{% macro default__test_expect_column_values_to_be_between(model, column_name, min_value=none, max_value=none, row_condition=none, strictly=false) %}
{{ dbt_expectations.expression_between(model, column_name, min_value, max_value, none, row_condition, strictly) }}
{% endmacro %}

{#- Values that do not follow the one before them in the order of a column. -#}
{% macro _out_of_order(model, column_name, operator, sort_column, strictly, row_condition, group_by, step) -%}
{%- set sign = '+' if operator == '>' else '-' -%}
select *
from (
    select
        {{ dbt_expectations._columns(group_by) }}{{ column_name }} as value_field,
        lag({{ column_name }}) over ({{ 'partition by ' ~ group_by | join(', ') if group_by }} order by {{ sort_column or column_name }}) as value_field_lag
    from {{ model }}
    {{ dbt_expectations._where(row_condition) }}
) neighbours
where value_field_lag is not null
    {%- if step %}
    and not value_field = value_field_lag {{ sign }} {{ step }}
    {%- else %}
    and not value_field {{ operator }}{{ '' if strictly else '=' }} value_field_lag
    {%- endif %}
{%- endmacro %}

{% test expect_column_values_to_be_increasing(model, column_name, sort_column=none, strictly=true, row_condition=none, group_by=none, step=none) %}
{{ return(adapter.dispatch('test_expect_column_values_to_be_increasing', 'dbt_expectations')(model, column_name, sort_column, strictly, row_condition, group_by, step)) }}
{% endtest %}
{% macro default__test_expect_column_values_to_be_increasing(model, column_name, sort_column=none, strictly=true, row_condition=none, group_by=none, step=none) %}
{{ dbt_expectations._out_of_order(model, column_name, '>', sort_column, strictly, row_condition, group_by, step) }}
{% endmacro %}

{% test expect_column_values_to_be_decreasing(model, column_name, sort_column=none, strictly=true, row_condition=none, group_by=none, step=none) %}
{{ return(adapter.dispatch('test_expect_column_values_to_be_decreasing', 'dbt_expectations')(model, column_name, sort_column, strictly, row_condition, group_by, step)) }}
{% endtest %}
{% macro default__test_expect_column_values_to_be_decreasing(model, column_name, sort_column=none, strictly=true, row_condition=none, group_by=none, step=none) %}
{{ dbt_expectations._out_of_order(model, column_name, '<', sort_column, strictly, row_condition, group_by, step) }}
{% endmacro %}

{#- Lengths and patterns of text. -#}

{#- One condition of several patterns: any of them, or all. -#}
{% macro _joined(conditions, match_on) -%}
    {%- if match_on not in ['any', 'all'] -%}
        {{ exceptions.raise_compiler_error("match_on is 'any' or 'all', not '" ~ match_on ~ "'") }}
    {%- endif -%}
    {{ return(conditions | join(' or ' if match_on == 'any' else ' and ')) }}
{%- endmacro %}
{% macro _regex_conditions(column_name, regex_list, matches, is_raw, flags) -%}
    {%- set conditions = [] -%}
    {%- for regex in regex_list -%}
        {%- do conditions.append(dbt_expectations.regexp_instr(column_name, regex, is_raw=is_raw, flags=flags) ~ (' > 0' if matches else ' = 0')) -%}
    {%- endfor -%}
    {{ return(conditions) }}
{%- endmacro %}
{% macro _like_conditions(column_name, like_pattern_list, operator) -%}
    {%- set conditions = [] -%}
    {%- for pattern in like_pattern_list -%}{%- do conditions.append(column_name ~ ' ' ~ operator ~ " '" ~ pattern ~ "'") -%}{%- endfor -%}
    {{ return(conditions) }}
{%- endmacro %}

{% test expect_column_value_lengths_to_equal(model, column_name, value, row_condition=none) %}
{{ return(adapter.dispatch('test_expect_column_value_lengths_to_equal', 'dbt_expectations')(model, column_name, value, row_condition)) }}
{% endtest %}
{% macro default__test_expect_column_value_lengths_to_equal(model, column_name, value, row_condition=none) %}
{{ dbt_expectations.expression_is_true(model, dbt.length(column_name) ~ ' = ' ~ value, row_condition=row_condition) }}
{% endmacro %}

{% test expect_column_value_lengths_to_be_between(model, column_name, min_value=none, max_value=none, row_condition=none, strictly=false) %}
{{ return(adapter.dispatch('test_expect_column_value_lengths_to_be_between', 'dbt_expectations')(model, column_name, min_value, max_value, row_condition, strictly)) }}
{% endtest %}
{% macro default__test_expect_column_value_lengths_to_be_between(model, column_name, min_value=none, max_value=none, row_condition=none, strictly=false) %}
{{ dbt_expectations.expression_between(model, dbt.length(column_name), min_value, max_value, none, row_condition, strictly) }}
{% endmacro %}

{% test expect_column_values_to_match_regex(model, column_name, regex, row_condition=none, is_raw=false, flags='') %}
{{ return(adapter.dispatch('test_expect_column_values_to_match_regex', 'dbt_expectations')(model, column_name, regex, row_condition, is_raw, flags)) }}
{% endtest %}
{% macro default__test_expect_column_values_to_match_regex(model, column_name, regex, row_condition=none, is_raw=false, flags='') %}
{{ dbt_expectations.test_expect_column_values_to_match_regex_list(model, column_name, [regex], row_condition=row_condition, is_raw=is_raw, flags=flags) }}
{% endmacro %}

{% test expect_column_values_to_not_match_regex(model, column_name, regex, row_condition=none, is_raw=false, flags='') %}
{{ return(adapter.dispatch('test_expect_column_values_to_not_match_regex', 'dbt_expectations')(model, column_name, regex, row_condition, is_raw, flags)) }}
{% endtest %}
{% macro default__test_expect_column_values_to_not_match_regex(model, column_name, regex, row_condition=none, is_raw=false, flags='') %}
{{ dbt_expectations.test_expect_column_values_to_not_match_regex_list(model, column_name, [regex], row_condition=row_condition, is_raw=is_raw, flags=flags) }}
{% endmacro %}

{% test expect_column_values_to_match_regex_list(model, column_name, regex_list, match_on='any', row_condition=none, is_raw=false, flags='') %}
{{ return(adapter.dispatch('test_expect_column_values_to_match_regex_list', 'dbt_expectations')(model, column_name, regex_list, match_on, row_condition, is_raw, flags)) }}
{% endtest %}
{% macro default__test_expect_column_values_to_match_regex_list(model, column_name, regex_list, match_on='any', row_condition=none, is_raw=false, flags='') %}
{%- set conditions = dbt_expectations._regex_conditions(column_name, regex_list, true, is_raw, flags) -%}
{{ dbt_expectations.expression_is_true(model, dbt_expectations._joined(conditions, match_on), row_condition=row_condition) }}
{% endmacro %}

{% test expect_column_values_to_not_match_regex_list(model, column_name, regex_list, match_on='any', row_condition=none, is_raw=false, flags='') %}
{{ return(adapter.dispatch('test_expect_column_values_to_not_match_regex_list', 'dbt_expectations')(model, column_name, regex_list, match_on, row_condition, is_raw, flags)) }}
{% endtest %}
{% macro default__test_expect_column_values_to_not_match_regex_list(model, column_name, regex_list, match_on='any', row_condition=none, is_raw=false, flags='') %}
{%- set conditions = dbt_expectations._regex_conditions(column_name, regex_list, false, is_raw, flags) -%}
{{ dbt_expectations.expression_is_true(model, dbt_expectations._joined(conditions, match_on), row_condition=row_condition) }}
{% endmacro %}

{% test expect_column_values_to_match_like_pattern(model, column_name, like_pattern, row_condition=none) %}
{{ return(adapter.dispatch('test_expect_column_values_to_match_like_pattern', 'dbt_expectations')(model, column_name, like_pattern, row_condition)) }}
{% endtest %}
{% macro default__test_expect_column_values_to_match_like_pattern(model, column_name, like_pattern, row_condition=none) %}
{{ dbt_expectations.test_expect_column_values_to_match_like_pattern_list(model, column_name, [like_pattern], row_condition=row_condition) }}
{% endmacro %}

{% test expect_column_values_to_not_match_like_pattern(model, column_name, like_pattern, row_condition=none) %}
{{ return(adapter.dispatch('test_expect_column_values_to_not_match_like_pattern', 'dbt_expectations')(model, column_name, like_pattern, row_condition)) }}
{% endtest %}
{% macro default__test_expect_column_values_to_not_match_like_pattern(model, column_name, like_pattern, row_condition=none) %}
{{ dbt_expectations.test_expect_column_values_to_not_match_like_pattern_list(model, column_name, [like_pattern], row_condition=row_condition) }}
{% endmacro %}

{% test expect_column_values_to_match_like_pattern_list(model, column_name, like_pattern_list, match_on='any', row_condition=none) %}
{{ return(adapter.dispatch('test_expect_column_values_to_match_like_pattern_list', 'dbt_expectations')(model, column_name, like_pattern_list, match_on, row_condition)) }}
{% endtest %}
{% macro default__test_expect_column_values_to_match_like_pattern_list(model, column_name, like_pattern_list, match_on='any', row_condition=none) %}
{%- set conditions = dbt_expectations._like_conditions(column_name, like_pattern_list, 'like') -%}
{{ dbt_expectations.expression_is_true(model, dbt_expectations._joined(conditions, match_on), row_condition=row_condition) }}
{% endmacro %}

{% test expect_column_values_to_not_match_like_pattern_list(model, column_name, like_pattern_list, match_on='any', row_condition=none) %}
{{ return(adapter.dispatch('test_expect_column_values_to_not_match_like_pattern_list', 'dbt_expectations')(model, column_name, like_pattern_list, match_on, row_condition)) }}
{% endtest %}
{% macro default__test_expect_column_values_to_not_match_like_pattern_list(model, column_name, like_pattern_list, match_on='any', row_condition=none) %}
{%- set conditions = dbt_expectations._like_conditions(column_name, like_pattern_list, 'not like') -%}
{{ dbt_expectations.expression_is_true(model, dbt_expectations._joined(conditions, match_on), row_condition=row_condition) }}
{% endmacro %}
