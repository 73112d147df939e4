{#- Of dbt_utils: macros that ask the warehouse and hand the answer to the template. -#}

{% macro get_filtered_columns_in_relation(from, except=[]) -%}
    {{ return(adapter.dispatch('get_filtered_columns_in_relation', 'dbt_utils')(from, except)) }}
{%- endmacro %}
{% macro default__get_filtered_columns_in_relation(from, except=[]) -%}
    {%- do dbt_utils._is_relation(from, 'get_filtered_columns_in_relation') -%}
    {%- set excluded = except | map('lower') | list -%}
    {%- set kept = [] -%}
    {%- for column in adapter.get_columns_in_relation(from) -%}
        {%- if column.name | lower not in excluded -%}{%- do kept.append(column.name) -%}{%- endif -%}
    {%- endfor -%}
    {{ return(kept) }}
{%- endmacro %}

{#- Only a relation has columns to ask for: text such as the name of a CTE has none. -#}
{% macro _is_relation(obj, macro) -%}
    {%- if obj is string or obj is number or obj is none -%}
        {{ exceptions.raise_compiler_error(macro ~ " takes a relation, such as ref('...') gives, and was given '" ~ obj ~ "'") }}
    {%- endif -%}
{%- endmacro %}
{% macro _is_ephemeral(obj, macro) -%}
    {%- if obj.is_cte -%}
        {{ exceptions.raise_compiler_error(macro ~ " asks the warehouse for the columns of '" ~ obj ~ "', which is ephemeral: build it as a view or table") }}
    {%- endif -%}
{%- endmacro %}

{% macro get_column_values(table, column, order_by='count(*) desc', max_records=none, default=none, where=none) -%}
    {{ return(adapter.dispatch('get_column_values', 'dbt_utils')(table, column, order_by, max_records, default, where)) }}
{%- endmacro %}
{% macro default__get_column_values(table, column, order_by='count(*) desc', max_records=none, default=none, where=none) -%}
    {%- if not execute -%}{{ return(default or []) }}{%- endif -%}
    {%- if table is not string and not table.is_cte and load_relation(table) is none -%}
        {%- if default is none -%}
            {{ exceptions.raise_compiler_error('get_column_values: ' ~ table ~ ' does not exist and no default is given') }}
        {%- endif -%}
        {{ return(default) }}
    {%- endif -%}
    {%- set found = run_query(
        'select ' ~ column ~ ' as value from ' ~ table ~ (' where ' ~ where if where else '')
        ~ ' group by ' ~ column ~ ' order by ' ~ order_by ~ (' limit ' ~ max_records if max_records is not none else '')
    ) -%}
    {%- set values = found.columns[0].values() | list -%}
    {{ return(values if values else default or []) }}
{%- endmacro %}

{% macro get_single_value(query, default=none) -%}
    {{ return(adapter.dispatch('get_single_value', 'dbt_utils')(query, default)) }}
{%- endmacro %}
{% macro default__get_single_value(query, default=none) -%}
    {%- if not execute -%}{{ return(default) }}{%- endif -%}
    {%- set rows = run_query(query).rows -%}
    {%- if rows | length > 0 and rows[0][0] is not none -%}{{ return(rows[0][0]) }}{%- endif -%}
    {{ return(default) }}
{%- endmacro %}

{% macro get_query_results_as_dict(query) -%}
    {{ return(adapter.dispatch('get_query_results_as_dict', 'dbt_utils')(query)) }}
{%- endmacro %}
{% macro default__get_query_results_as_dict(query) -%}
    {%- set answer = {} -%}
    {%- if execute -%}
        {%- set table = run_query(query) -%}
        {%- for name in table.column_names -%}{%- do answer.update({name: table.columns[loop.index0].values()}) -%}{%- endfor -%}
    {%- endif -%}
    {{ return(answer) }}
{%- endmacro %}

{% macro get_table_types_sql() -%}{{ return(adapter.dispatch('get_table_types_sql', 'dbt_utils')()) }}{%- endmacro %}
{% macro default__get_table_types_sql() -%}
    case lower(table_type) when 'base table' then 'table' when 'materialized view' then 'materializedview' else lower(table_type) end as table_type
{%- endmacro %}

{% macro get_tables_by_pattern_sql(schema_pattern, table_pattern, exclude='', database=target.database) -%}
    {{ return(adapter.dispatch('get_tables_by_pattern_sql', 'dbt_utils')(schema_pattern, table_pattern, exclude, database)) }}
{%- endmacro %}
{% macro default__get_tables_by_pattern_sql(schema_pattern, table_pattern, exclude='', database=target.database) -%}
    select distinct table_schema, table_name, {{ dbt_utils.get_table_types_sql() }}
    from information_schema.tables
    where lower(table_schema) like lower('{{ schema_pattern }}') and lower(table_name) like lower('{{ table_pattern }}')
        {%- if exclude %} and lower(table_name) not like lower('{{ exclude }}'){% endif %}
    order by table_schema, table_name
{%- endmacro %}
{% macro get_tables_by_prefix_sql(schema, prefix, exclude='', database=target.database) -%}
    {{ return(adapter.dispatch('get_tables_by_prefix_sql', 'dbt_utils')(schema, prefix, exclude, database)) }}
{%- endmacro %}
{% macro default__get_tables_by_prefix_sql(schema, prefix, exclude='', database=target.database) -%}
    {{ return(dbt_utils.get_tables_by_pattern_sql(schema, prefix ~ '%', exclude, database)) }}
{%- endmacro %}

{% macro get_relations_by_pattern(schema_pattern, table_pattern, exclude='', database=target.database) -%}
    {{ return(adapter.dispatch('get_relations_by_pattern', 'dbt_utils')(schema_pattern, table_pattern, exclude, database)) }}
{%- endmacro %}
{% macro default__get_relations_by_pattern(schema_pattern, table_pattern, exclude='', database=target.database) -%}
    {%- set found = [] -%}
    {%- if execute -%}
        {%- for row in run_query(dbt_utils.get_tables_by_pattern_sql(schema_pattern, table_pattern, exclude, database)).rows -%}
            {%- do found.append(api.Relation.create(database=database, schema=row[0], identifier=row[1], type='view' if 'view' in row[2] else 'table')) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro %}
{% macro get_relations_by_prefix(schema, prefix, exclude='', database=target.database) -%}
    {{ return(adapter.dispatch('get_relations_by_prefix', 'dbt_utils')(schema, prefix, exclude, database)) }}
{%- endmacro %}
{% macro default__get_relations_by_prefix(schema, prefix, exclude='', database=target.database) -%}
    {{ return(dbt_utils.get_relations_by_pattern(schema, prefix ~ '%', exclude, database)) }}
{%- endmacro %}

{% macro get_intervals_between(start_date, end_date, datepart) -%}
    {{ return(adapter.dispatch('get_intervals_between', 'dbt_utils')(start_date, end_date, datepart)) }}
{%- endmacro %}
{% macro default__get_intervals_between(start_date, end_date, datepart) -%}
    {{ return(dbt.get_intervals_between(start_date, end_date, datepart)) }}
{%- endmacro %}
{% macro get_powers_of_two(upper_bound) -%}
    {{ return(adapter.dispatch('get_powers_of_two', 'dbt_utils')(upper_bound)) }}
{%- endmacro %}
{% macro default__get_powers_of_two(upper_bound) -%}{{ return(dbt.get_powers_of_two(upper_bound)) }}{%- endmacro %}
