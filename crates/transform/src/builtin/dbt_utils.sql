{#- Stands in for the package of this name when a project uses it and the folder is not there. -#}

{% test unique_combination_of_columns(model, combination_of_columns, quote_columns=false) %}
{%- set names = [] -%}
{%- for column in combination_of_columns -%}
    {%- do names.append(adapter.quote(column) if quote_columns else column) -%}
{%- endfor -%}
{%- set columns = names | join(', ') -%}
select {{ columns }}
from {{ model }}
group by {{ columns }}
having count(*) > 1
{% endtest %}

{% test accepted_range(model, column_name, min_value=none, max_value=none, inclusive=true) %}
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
{% endtest %}

{% test expression_is_true(model, expression, column_name=none) %}
select *
from {{ model }}
where not ({{ column_name ~ ' ' if column_name }}{{ expression }})
{% endtest %}

{% test not_constant(model, column_name) %}
select count(distinct {{ column_name }}) as filler_column
from {{ model }}
having count(distinct {{ column_name }}) = 1
{% endtest %}

{% test at_least_one(model, column_name) %}
select count({{ column_name }}) as filler_column
from {{ model }}
having count({{ column_name }}) = 0
{% endtest %}

{% test not_empty_string(model, column_name, trim_whitespace=true) %}
select {{ column_name }}
from {{ model }}
where {{ 'trim(' ~ column_name ~ ')' if trim_whitespace else column_name }} = ''
{% endtest %}

{% macro generate_surrogate_key(field_list) -%}
    {%- set missing = '' if var('surrogate_key_treat_nulls_as_empty_strings', false) else '_dbt_utils_surrogate_key_null_' -%}
    {%- set parts = [] -%}
    {%- for field in field_list -%}
        {%- do parts.append("coalesce(cast(" ~ field ~ " as " ~ dbt.type_string() ~ "), '" ~ missing ~ "')") -%}
        {%- if not loop.last -%}{%- do parts.append("'-'") -%}{%- endif -%}
    {%- endfor -%}
    {{ dbt.hash(dbt.concat(parts)) }}
{%- endmacro %}

{% macro get_filtered_columns_in_relation(from, except=[]) -%}
    {%- set excluded = except | map('lower') | list -%}
    {%- set kept = [] -%}
    {%- for column in adapter.get_columns_in_relation(from) -%}
        {%- if column.name | lower not in excluded -%}{%- do kept.append(column.name) -%}{%- endif -%}
    {%- endfor -%}
    {{ return(kept) }}
{%- endmacro %}

{% macro star(from, relation_alias=false, except=[], prefix='', suffix='', quote_identifiers=true) -%}
    {%- if not execute -%}{{ return('*') }}{%- endif -%}
    {%- set columns = dbt_utils.get_filtered_columns_in_relation(from, except) -%}
    {%- if not columns -%}{{ return('*') }}{%- endif -%}
    {%- set shown = [] -%}
    {%- for column in columns -%}
        {%- set name = adapter.quote(column) if quote_identifiers else column -%}
        {%- set renamed = prefix ~ column ~ suffix -%}
        {%- set alias = ' as ' ~ (adapter.quote(renamed) if quote_identifiers else renamed) if prefix or suffix else '' -%}
        {%- do shown.append((relation_alias ~ '.' if relation_alias else '') ~ name ~ alias) -%}
    {%- endfor -%}
    {{ shown | join(',\n  ') }}
{%- endmacro %}

{% macro date_spine(datepart, start_date, end_date) -%}
select date_{{ datepart }}
from (
    select unnest(generate_series(
        cast({{ start_date }} as timestamp),
        cast({{ end_date }} as timestamp) - interval '1 microsecond',
        interval '1 {{ datepart }}'
    )) as date_{{ datepart }}
)
{%- endmacro %}

{% macro get_column_values(table, column, order_by='count(*) desc', max_records=none, default=[], where=none) -%}
    {%- if not execute -%}{{ return(default) }}{%- endif -%}
    {%- set found = run_query(
        'select ' ~ column ~ ' as value from ' ~ table ~ (' where ' ~ where if where else '')
        ~ ' group by ' ~ column ~ ' order by ' ~ order_by ~ (' limit ' ~ max_records if max_records is not none else '')
    ) -%}
    {%- set values = found.columns[0].values() -%}
    {{ return(values if values else default) }}
{%- endmacro %}

{% macro pivot(column, values, alias=true, agg='sum', cmp='=', prefix='', suffix='', then_value=1, else_value=0, quote_identifiers=true, distinct=false) -%}
    {%- for value in values %}
    {{ agg }}({{ 'distinct ' if distinct }}case when {{ column }} {{ cmp }} '{{ dbt.escape_single_quotes(value) }}' then {{ then_value }} else {{ else_value }} end)
        {%- if alias %} as {{ adapter.quote(prefix ~ value ~ suffix) if quote_identifiers else prefix ~ value ~ suffix }}{% endif %}
        {%- if not loop.last %},{% endif -%}
    {%- endfor %}
{%- endmacro %}

{% macro safe_divide(numerator, denominator) -%}({{ numerator }}) / nullif(({{ denominator }}), 0){%- endmacro %}

{% macro group_by(n) -%}
    {%- set places = [] -%}
    {%- for place in range(1, n + 1) -%}{%- do places.append(place) -%}{%- endfor -%}
    group by {{ places | join(',') }}
{%- endmacro %}

{% macro safe_add(field_list) -%}
    {%- set parts = [] -%}
    {%- for field in field_list -%}{%- do parts.append('coalesce(' ~ field ~ ', 0)') -%}{%- endfor -%}
    {{ parts | join(' +\n  ') }}
{%- endmacro %}
