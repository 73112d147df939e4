{#- Of dbt_utils: macros that write queries and expressions. -#}

{% macro generate_surrogate_key(field_list) -%}
    {{ return(adapter.dispatch('generate_surrogate_key', 'dbt_utils')(field_list)) }}
{%- endmacro %}
{% macro default__generate_surrogate_key(field_list) -%}
    {%- set missing = '' if var('surrogate_key_treat_nulls_as_empty_strings', false) else '_dbt_utils_surrogate_key_null_' -%}
    {%- set parts = [] -%}
    {%- for field in field_list -%}
        {%- do parts.append("coalesce(cast(" ~ field ~ " as " ~ dbt.type_string() ~ "), '" ~ missing ~ "')") -%}
        {%- if not loop.last -%}{%- do parts.append("'-'") -%}{%- endif -%}
    {%- endfor -%}
    {{ return(dbt.hash(dbt.concat(parts))) }}
{%- endmacro %}

{% macro surrogate_key(field_list) -%}{{ return(adapter.dispatch('surrogate_key', 'dbt_utils')(field_list)) }}{%- endmacro %}
{% macro default__surrogate_key(field_list) -%}
    {{ exceptions.raise_compiler_error('dbt_utils.surrogate_key is gone: generate_surrogate_key tells a null from an empty string (the variable surrogate_key_treat_nulls_as_empty_strings brings the old keys back)') }}
{%- endmacro %}

{% macro star(from, relation_alias=false, except=[], prefix='', suffix='', quote_identifiers=true) -%}
    {{ return(adapter.dispatch('star', 'dbt_utils')(from, relation_alias, except, prefix, suffix, quote_identifiers)) }}
{%- endmacro %}
{% macro default__star(from, relation_alias=false, except=[], prefix='', suffix='', quote_identifiers=true) -%}
    {%- do dbt_utils._is_relation(from, 'star') -%}
    {%- do dbt_utils._is_ephemeral(from, 'star') -%}
    {%- set columns = dbt_utils.get_filtered_columns_in_relation(from, except) if execute else [] -%}
    {%- if not columns -%}{{ return('*') }}{%- endif -%}
    {%- set shown = [] -%}
    {%- for column in columns -%}
        {%- set name = adapter.quote(column) if quote_identifiers else column -%}
        {%- set renamed = prefix ~ column ~ suffix -%}
        {%- set alias = ' as ' ~ (adapter.quote(renamed) if quote_identifiers else renamed) if prefix or suffix else '' -%}
        {%- do shown.append((relation_alias ~ '.' if relation_alias else '') ~ name ~ alias) -%}
    {%- endfor -%}
    {{ return(shown | join(',\n  ')) }}
{%- endmacro %}

{% macro date_spine(datepart, start_date, end_date) -%}
    {{ return(adapter.dispatch('date_spine', 'dbt_utils')(datepart, start_date, end_date)) }}
{%- endmacro %}
{% macro default__date_spine(datepart, start_date, end_date) -%}
    {{ return(dbt.date_spine(datepart, start_date, end_date)) }}
{%- endmacro %}
{% macro generate_series(upper_bound) -%}{{ return(adapter.dispatch('generate_series', 'dbt_utils')(upper_bound)) }}{%- endmacro %}
{% macro default__generate_series(upper_bound) -%}{{ return(dbt.generate_series(upper_bound)) }}{%- endmacro %}

{% macro deduplicate(relation, partition_by, order_by) -%}
    {{ return(adapter.dispatch('deduplicate', 'dbt_utils')(relation, partition_by, order_by)) }}
{%- endmacro %}
{% macro default__deduplicate(relation, partition_by, order_by) -%}
    select *
    from {{ relation }} as tt
    qualify row_number() over (partition by {{ partition_by }} order by {{ order_by }}) = 1
{%- endmacro %}
{% macro postgres__deduplicate(relation, partition_by, order_by) -%}
    select distinct on ({{ partition_by }}) *
    from {{ relation }} as tt
    order by {{ partition_by }}, {{ order_by }}
{%- endmacro %}
{% macro redshift__deduplicate(relation, partition_by, order_by) -%}
    {{ return(dbt_utils.default__deduplicate(relation, partition_by, order_by)) }}
{%- endmacro %}

{% macro union_relations(relations, column_override=none, include=[], exclude=[], source_column_name='_dbt_source_relation', where=none) -%}
    {{ return(adapter.dispatch('union_relations', 'dbt_utils')(relations, column_override, include, exclude, source_column_name, where)) }}
{%- endmacro %}
{% macro default__union_relations(relations, column_override=none, include=[], exclude=[], source_column_name='_dbt_source_relation', where=none) -%}
    {%- if include and exclude -%}
        {{ exceptions.raise_compiler_error('union_relations takes include or exclude, not both') }}
    {%- endif -%}
    {%- if not execute -%}{{ return('') }}{%- endif -%}
    {%- set override = column_override or {} -%}
    {%- set order = [] -%}
    {%- set types = {} -%}
    {%- set columns_of = {} -%}
    {%- set wanted = include | map('lower') | list -%}
    {%- set unwanted = exclude | map('lower') | list -%}
    {%- for relation in relations -%}
        {%- do dbt_utils._is_relation(relation, 'union_relations') -%}
        {%- do dbt_utils._is_ephemeral(relation, 'union_relations') -%}
        {%- set own = [] -%}
        {%- for column in adapter.get_columns_in_relation(relation) -%}
            {%- set name = column.column -%}
            {%- if (not wanted or name | lower in wanted) and name | lower not in unwanted -%}
                {%- do own.append(name) -%}
                {%- if name not in types -%}{%- do order.append(name) -%}{%- do types.update({name: override.get(name, column.data_type)}) -%}{%- endif -%}
            {%- endif -%}
        {%- endfor -%}
        {%- do columns_of.update({relation | string: own}) -%}
    {%- endfor -%}
    {%- for relation in relations %}
    (
        select
            {%- if source_column_name %}
            cast({{ dbt.string_literal(relation) }} as {{ dbt.type_string() }}) as {{ source_column_name }}{{ ',' if order }}
            {%- endif %}
            {%- for name in order %}
            cast({{ adapter.quote(name) if name in columns_of[relation | string] else 'null' }} as {{ types[name] }}) as {{ adapter.quote(name) }}{{ ',' if not loop.last }}
            {%- endfor %}
        from {{ relation }}
        {{ 'where ' ~ where if where }}
    )
    {{ 'union all' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{% macro pivot(column, values, alias=true, agg='sum', cmp='=', prefix='', suffix='', then_value=1, else_value=0, quote_identifiers=true, distinct=false) -%}
    {{ return(adapter.dispatch('pivot', 'dbt_utils')(column, values, alias, agg, cmp, prefix, suffix, then_value, else_value, quote_identifiers, distinct)) }}
{%- endmacro %}
{% macro default__pivot(column, values, alias=true, agg='sum', cmp='=', prefix='', suffix='', then_value=1, else_value=0, quote_identifiers=true, distinct=false) -%}
    {%- for value in values %}
    {{ agg }}({{ 'distinct ' if distinct }}case when {{ column }} {{ cmp }} '{{ dbt.escape_single_quotes(value | string) }}' then {{ then_value }} else {{ else_value }} end)
        {%- if alias %} as {{ adapter.quote(prefix ~ value ~ suffix) if quote_identifiers else dbt_utils.slugify(prefix ~ value ~ suffix) }}{% endif %}
        {%- if not loop.last %},{% endif -%}
    {%- endfor %}
{%- endmacro %}

{% macro unpivot(relation=none, cast_to='varchar', exclude=none, remove=none, field_name='field_name', value_name='value', quote_identifiers=false) -%}
    {{ return(adapter.dispatch('unpivot', 'dbt_utils')(relation, cast_to, exclude, remove, field_name, value_name, quote_identifiers)) }}
{%- endmacro %}
{% macro default__unpivot(relation=none, cast_to='varchar', exclude=none, remove=none, field_name='field_name', value_name='value', quote_identifiers=false) -%}
    {%- do dbt_utils._is_relation(relation, 'unpivot') -%}
    {%- do dbt_utils._is_ephemeral(relation, 'unpivot') -%}
    {%- set kept = exclude or [] -%}
    {%- set left_out = (kept + (remove or [])) | map('lower') | list -%}
    {%- set turned = [] -%}
    {%- for column in adapter.get_columns_in_relation(relation) -%}
        {%- if column.column | lower not in left_out -%}{%- do turned.append(column) -%}{%- endif -%}
    {%- endfor -%}
    {%- for column in turned %}
    {%- set name = adapter.quote(column.column) if quote_identifiers else column.column %}
    select
        {%- for other in kept %}
        {{ adapter.quote(other) if quote_identifiers else other }},
        {%- endfor %}
        cast('{{ column.column }}' as {{ dbt.type_string() }}) as {{ adapter.quote(field_name) if quote_identifiers else field_name }},
        cast({{ dbt.cast_bool_to_text(name) if column.data_type | lower == 'boolean' else name }} as {{ cast_to }}) as {{ adapter.quote(value_name) if quote_identifiers else value_name }}
    from {{ relation }}
    {{ 'union all' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{% macro group_by(n) -%}{{ return(adapter.dispatch('group_by', 'dbt_utils')(n)) }}{%- endmacro %}
{% macro default__group_by(n) -%}group by {{ range(1, n + 1) | join(',') }}{%- endmacro %}

{#- Arithmetic that survives nulls and zeros. -#}

{% macro _or_zero(field_list, macro) -%}
    {%- if field_list is string or field_list is mapping or field_list is not iterable -%}
        {{ exceptions.raise_compiler_error(macro ~ " takes one list of fields, such as ['a', 'b']") }}
    {%- endif -%}
    {%- set parts = [] -%}
    {%- for field in field_list -%}{%- do parts.append('coalesce(' ~ field ~ ', 0)') -%}{%- endfor -%}
    {{ return(parts) }}
{%- endmacro %}
{% macro safe_add(field_list) -%}{{ return(adapter.dispatch('safe_add', 'dbt_utils')(field_list)) }}{%- endmacro %}
{% macro default__safe_add(field_list) -%}{{ dbt_utils._or_zero(field_list, 'safe_add') | join(' +\n  ') }}{%- endmacro %}
{% macro safe_subtract(field_list) -%}{{ return(adapter.dispatch('safe_subtract', 'dbt_utils')(field_list)) }}{%- endmacro %}
{% macro default__safe_subtract(field_list) -%}{{ dbt_utils._or_zero(field_list, 'safe_subtract') | join(' -\n  ') }}{%- endmacro %}
{% macro safe_divide(numerator, denominator) -%}{{ return(adapter.dispatch('safe_divide', 'dbt_utils')(numerator, denominator)) }}{%- endmacro %}
{% macro default__safe_divide(numerator, denominator) -%}({{ numerator }}) / nullif(({{ denominator }}), 0){%- endmacro %}

{% macro nullcheck(cols) -%}{{ return(adapter.dispatch('nullcheck', 'dbt_utils')(cols)) }}{%- endmacro %}
{% macro default__nullcheck(cols) -%}
    {%- for column in cols %}
    {{ "nullif(" ~ column.name ~ ", '') as " ~ column.name if column.is_string() else column.name }}{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
{% macro nullcheck_table(relation) -%}{{ return(adapter.dispatch('nullcheck_table', 'dbt_utils')(relation)) }}{%- endmacro %}
{% macro default__nullcheck_table(relation) -%}
    {%- do dbt_utils._is_relation(relation, 'nullcheck_table') -%}
    {%- do dbt_utils._is_ephemeral(relation, 'nullcheck_table') -%}
    select {{ dbt_utils.nullcheck(adapter.get_columns_in_relation(relation)) }}
    from {{ relation }}
{%- endmacro %}

{% macro width_bucket(expr, min_value, max_value, num_buckets) -%}
    {{ return(adapter.dispatch('width_bucket', 'dbt_utils')(expr, min_value, max_value, num_buckets)) }}
{%- endmacro %}
{% macro default__width_bucket(expr, min_value, max_value, num_buckets) -%}
    {%- set width = '((' ~ max_value ~ ' - ' ~ min_value ~ ') / (1.0 * ' ~ num_buckets ~ '))' -%}
    case
        when {{ expr }} < {{ min_value }} then 0
        when {{ expr }} >= {{ max_value }} then {{ num_buckets }} + 1
        else cast(floor(({{ expr }} - {{ min_value }}) / {{ width }}) as {{ dbt.type_int() }}) + 1
    end
{%- endmacro %}

{% macro degrees_to_radians(degrees) -%}acos(-1) * {{ degrees }} / 180{%- endmacro %}
{% macro haversine_distance(lat1, lon1, lat2, lon2, unit='mi') -%}
    {{ return(adapter.dispatch('haversine_distance', 'dbt_utils')(lat1, lon1, lat2, lon2, unit)) }}
{%- endmacro %}
{#- 3961 is the radius of the Earth in miles, as the package has it. -#}
{% macro default__haversine_distance(lat1, lon1, lat2, lon2, unit='mi') -%}
    {%- if unit not in ['mi', 'km'] -%}
        {{ exceptions.raise_compiler_error("haversine_distance measures in 'mi' or 'km', not '" ~ unit ~ "'") }}
    {%- endif -%}
    {%- set half_north = dbt_utils.degrees_to_radians('(' ~ lat2 ~ ' - ' ~ lat1 ~ ')') ~ ' / 2' -%}
    {%- set half_east = dbt_utils.degrees_to_radians('(' ~ lon2 ~ ' - ' ~ lon1 ~ ')') ~ ' / 2' -%}
    2 * 3961 * asin(sqrt(
        power(sin({{ half_north }}), 2)
        + cos({{ dbt_utils.degrees_to_radians(lat1) }}) * cos({{ dbt_utils.degrees_to_radians(lat2) }}) * power(sin({{ half_east }}), 2)
    )){{ ' * 1.60934' if unit == 'km' }}
{%- endmacro %}
