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

{#- Tests of tables against each other. -#}

{% test equal_rowcount(model, compare_model, group_by_columns=[]) %}
{%- set keys = group_by_columns | join(', ') -%}
{%- set select_keys = keys ~ ', ' if keys -%}
{%- set group_keys = 'group by ' ~ keys if keys -%}
select {{ select_keys }}sum(a) as count_a, sum(b) as count_b, abs(sum(a) - sum(b)) as diff_count
from (
    select {{ select_keys }}count(*) as a, 0 as b from {{ model }} {{ group_keys }}
    union all
    select {{ select_keys }}0 as a, count(*) as b from {{ compare_model }} {{ group_keys }}
) counted
{{ group_keys }}
having sum(a) <> sum(b)
{% endtest %}

{% test fewer_rows_than(model, compare_model, group_by_columns=[]) %}
{%- set keys = group_by_columns | join(', ') -%}
{%- set select_keys = keys ~ ', ' if keys -%}
{%- set group_keys = 'group by ' ~ keys if keys -%}
select {{ select_keys }}sum(a) as count_our_model, sum(b) as count_comparison_model
from (
    select {{ select_keys }}count(*) as a, 0 as b from {{ model }} {{ group_keys }}
    union all
    select {{ select_keys }}0 as a, count(*) as b from {{ compare_model }} {{ group_keys }}
) counted
{{ group_keys }}
having sum(a) >= sum(b)
{% endtest %}

{% test equality(model, compare_model, compare_columns=none, exclude_columns=none, precision=none) %}
{%- if execute -%}
    {%- if compare_columns -%}
        {%- set names = compare_columns -%}
    {%- else -%}
        {%- set names = dbt_utils.get_filtered_columns_in_relation(model, exclude_columns or []) -%}
    {%- endif -%}
    {%- set shown = [] -%}
    {%- for name in names -%}
        {%- set quoted = name if compare_columns else adapter.quote(name) -%}
        {%- do shown.append('round(' ~ quoted ~ ', ' ~ precision ~ ') as ' ~ quoted if precision is not none else quoted) -%}
    {%- endfor -%}
    {%- set columns = shown | join(', ') -%}
(
    select 'a_minus_b' as which_diff, differing.* from (select {{ columns }} from {{ model }} except select {{ columns }} from {{ compare_model }}) differing
)
union all
(
    select 'b_minus_a' as which_diff, differing.* from (select {{ columns }} from {{ compare_model }} except select {{ columns }} from {{ model }}) differing
)
{%- else -%}
select 1 where false
{%- endif -%}
{% endtest %}

{% test cardinality_equality(model, column_name, to, field) %}
with here as (
    select {{ column_name }} as value, count(*) as n from {{ model }} group by 1
), there as (
    select {{ field }} as value, count(*) as n from {{ to }} group by 1
)
select * from (select * from here except select * from there) only_here
union all
select * from (select * from there except select * from here) only_there
{% endtest %}

{% test recency(model, field, datepart, interval, ignore_time_component=false, group_by_columns=[]) %}
{%- set keys = group_by_columns | join(', ') -%}
{%- set threshold = dbt.dateadd(datepart, interval * -1, dbt.current_timestamp()) -%}
{%- set kind = 'date' if ignore_time_component else 'timestamp' -%}
select * from (
    select {{ keys ~ ', ' if keys }}cast(max({{ field }}) as {{ kind }}) as most_recent, cast({{ threshold }} as {{ kind }}) as threshold
    from {{ model }} {{ 'group by ' ~ keys if keys }}
) recency
where most_recent < threshold
{% endtest %}

{% test not_null_proportion(model, column_name, at_least, at_most=1.0, group_by_columns=[]) %}
{%- set keys = group_by_columns | join(', ') -%}
select * from (
    select {{ keys ~ ', ' if keys }}sum(case when {{ column_name }} is null then 0 else 1 end) / cast(count(*) as double) as not_null_proportion
    from {{ model }} {{ 'group by ' ~ keys if keys }}
) proportions
where not_null_proportion < {{ at_least }} or not_null_proportion > {{ at_most }}
{% endtest %}

{% test not_accepted_values(model, column_name, values, quote=true) %}
select {{ column_name }} as value_field
from {{ model }}
where {{ column_name }} in (
    {%- for value in values -%}{{ "'" ~ value ~ "'" if quote else value }}{{ ', ' if not loop.last }}{%- endfor -%}
)
{% endtest %}

{% test relationships_where(model, column_name, to, field, from_condition='1=1', to_condition='1=1') %}
select child.id
from (select {{ column_name }} as id from {{ model }} where {{ column_name }} is not null and {{ from_condition }}) child
left join (select {{ field }} as id from {{ to }} where {{ field }} is not null and {{ to_condition }}) parent on child.id = parent.id
where parent.id is null
{% endtest %}

{% test sequential_values(model, column_name, interval=1, datepart=none, group_by_columns=[]) %}
{%- set previous = 'lag(' ~ column_name ~ ') over (' ~ ('partition by ' ~ group_by_columns | join(', ') if group_by_columns) ~ ' order by ' ~ column_name ~ ')' -%}
select * from (
    select {{ column_name }}, {{ previous }} as previous_value from {{ model }}
) windowed
where previous_value is not null and not ({{ column_name }} =
    {%- if datepart %} {{ dbt.dateadd(datepart, interval, 'cast(previous_value as timestamp)') }}{% else %} previous_value + {{ interval }}{% endif %})
{% endtest %}

{% test mutually_exclusive_ranges(model, lower_bound_column, upper_bound_column, partition_by=none, gaps='allowed', zero_length_range_allowed=false) %}
{%- set compare = {'not_allowed': '=', 'allowed': '<=', 'required': '<'}[gaps] -%}
{%- set order = '(' ~ ('partition by ' ~ partition_by if partition_by) ~ ' order by ' ~ lower_bound_column ~ ', ' ~ upper_bound_column ~ ')' -%}
select * from (
    select
        {{ partition_by ~ ' as partition_by_col,' if partition_by }}
        {{ lower_bound_column }} as lower_bound,
        {{ upper_bound_column }} as upper_bound,
        lead({{ lower_bound_column }}) over {{ order }} as next_lower_bound,
        row_number() over (
            {{- 'partition by ' ~ partition_by if partition_by }} order by {{ lower_bound_column }} desc, {{ upper_bound_column }} desc) = 1 as is_last
    from {{ model }}
) ranges
where not (
    coalesce(lower_bound {{ '<=' if zero_length_range_allowed else '<' }} upper_bound, false)
    and (is_last or coalesce(upper_bound {{ compare }} next_lower_bound, false))
)
{% endtest %}

{#- Queries whose answers templates use. -#}

{% macro get_single_value(query, default=none) -%}
    {%- if not execute -%}{% do return(default) %}{%- endif -%}
    {%- set rows = run_query(query).rows -%}
    {%- if rows | length > 0 and rows[0][0] is not none -%}{% do return(rows[0][0]) %}{%- endif -%}
    {% do return(default) %}
{%- endmacro %}

{% macro get_query_results_as_dict(query) -%}
    {%- set answer = {} -%}
    {%- if execute -%}
        {%- for column in run_query(query).columns -%}{%- do answer.update({column.name: column.values()}) -%}{%- endfor -%}
    {%- endif -%}
    {% do return(answer) %}
{%- endmacro %}

{% macro get_tables_by_pattern_sql(schema_pattern, table_pattern, exclude='', database=none) -%}
    select distinct table_schema, table_name, lower(table_type) as table_type
    from information_schema.tables
    where lower(table_schema) like lower('{{ schema_pattern }}') and lower(table_name) like lower('{{ table_pattern }}')
        {%- if exclude %} and lower(table_name) not like lower('{{ exclude }}'){% endif %}
    order by 1, 2
{%- endmacro %}
{% macro get_tables_by_prefix_sql(schema, prefix, exclude='', database=none) -%}
    {{ dbt_utils.get_tables_by_pattern_sql(schema, prefix ~ '%', exclude, database) }}
{%- endmacro %}
{% macro get_relations_by_pattern(schema_pattern, table_pattern, exclude='', database=none) -%}
    {%- set found = [] -%}
    {%- if execute -%}
        {%- for row in run_query(dbt_utils.get_tables_by_pattern_sql(schema_pattern, table_pattern, exclude, database)) -%}
            {%- do found.append(api.Relation.create(database=database, schema=row[0], identifier=row[1], type='view' if 'view' in row[2] else 'table')) -%}
        {%- endfor -%}
    {%- endif -%}
    {% do return(found) %}
{%- endmacro %}
{% macro get_relations_by_prefix(schema, prefix, exclude='', database=none) -%}
    {% do return(dbt_utils.get_relations_by_pattern(schema, prefix ~ '%', exclude, database)) %}
{%- endmacro %}

{#- SQL made of lists of columns. -#}

{% macro union_relations(relations, column_override=none, include=[], exclude=[], source_column_name='_dbt_source_relation', where=none) -%}
    {%- if not execute -%}{% do return('') %}{%- endif -%}
    {%- set override = column_override or {} -%}
    {%- set order = [] -%}
    {%- set types = {} -%}
    {%- set columns_of = {} -%}
    {%- set wanted = include | map('lower') | list -%}
    {%- set unwanted = exclude | map('lower') | list -%}
    {%- for relation in relations -%}
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
            cast({{ dbt.string_literal(relation) }} as {{ dbt.type_string() }}) as {{ source_column_name }},
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

{% macro unpivot(relation=none, cast_to='varchar', exclude=none, remove=none, field_name='field_name', value_name='value', quote_identifiers=false) -%}
    {%- set kept = exclude or [] -%}
    {%- set left_out = (kept + (remove or [])) | map('lower') | list -%}
    {%- set names = [] -%}
    {%- for column in adapter.get_columns_in_relation(relation) -%}
        {%- if column.column | lower not in left_out -%}{%- do names.append(column.column) -%}{%- endif -%}
    {%- endfor -%}
    {%- for name in names %}
    select
        {%- for other in kept %}
        {{ adapter.quote(other) if quote_identifiers else other }},
        {%- endfor %}
        cast('{{ name }}' as {{ dbt.type_string() }}) as {{ field_name }},
        cast({{ adapter.quote(name) if quote_identifiers else name }} as {{ cast_to }}) as {{ value_name }}
    from {{ relation }}
    {{ 'union all' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{% macro deduplicate(relation, partition_by, order_by) -%}
    select * from (
        select distinct_rows.*, row_number() over (partition by {{ partition_by }} order by {{ order_by }}) as __row_number
        from {{ relation }} as distinct_rows
    ) numbered
    where __row_number = 1
{%- endmacro %}

{% macro generate_series(upper_bound) -%}{{ dbt.generate_series(upper_bound) }}{%- endmacro %}
{% macro get_powers_of_two(upper_bound) -%}{{ return(dbt.get_powers_of_two(upper_bound)) }}{%- endmacro %}

{% macro safe_subtract(field_list) -%}
    {%- set parts = [] -%}
    {%- for field in field_list -%}{%- do parts.append('coalesce(' ~ field ~ ', 0)') -%}{%- endfor -%}
    {{ parts | join(' -\n  ') }}
{%- endmacro %}

{% macro nullcheck(cols) -%}
    {%- for column in cols %}
    {{ "nullif(" ~ column.name ~ ", '') as " ~ column.name if column.is_string() else column.name }}{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
{% macro nullcheck_table(relation) -%}select {{ dbt_utils.nullcheck(adapter.get_columns_in_relation(relation)) }} from {{ relation }}{%- endmacro %}

{#- Places, buckets, addresses, words. -#}

{% macro degrees_to_radians(degrees) -%}acos(-1) * {{ degrees }} / 180{%- endmacro %}
{% macro haversine_distance(lat1, lon1, lat2, lon2, unit='mi') -%}
    {%- if unit not in ['mi', 'km'] -%}{{ exceptions.raise_compiler_error("haversine_distance measures in 'mi' or 'km', not '" ~ unit ~ "'") }}{%- endif -%}
    {%- set factor = '1.60934' if unit == 'km' else '1' -%}
    2 * 3961 * asin(sqrt(power(sin(radians(({{ lat2 }} - {{ lat1 }}) / 2)), 2)
        + cos(radians({{ lat1 }})) * cos(radians({{ lat2 }})) * power(sin(radians(({{ lon2 }} - {{ lon1 }}) / 2)), 2))) * {{ factor }}
{%- endmacro %}
{% macro width_bucket(expr, min_value, max_value, num_buckets) -%}
    case
        when {{ expr }} < {{ min_value }} then 0
        when {{ expr }} >= {{ max_value }} then {{ num_buckets }} + 1
        else cast(floor(({{ expr }} - {{ min_value }}) / (({{ max_value }} - {{ min_value }}) / cast({{ num_buckets }} as double))) as bigint) + 1
    end
{%- endmacro %}
{% macro get_url_parameter(field, url_parameter) -%}
    nullif(split_part(split_part({{ field }}, '{{ url_parameter }}=', 2), '&', 1), '')
{%- endmacro %}
{% macro get_url_host(field) -%}
    split_part(split_part(replace(replace(replace({{ field }}, 'android-app://', ''), 'http://', ''), 'https://', ''), '/', 1), '?', 1)
{%- endmacro %}
{% macro get_url_path(field) -%}
    {%- set bare = "replace(replace(" ~ field ~ ", 'http://', ''), 'https://', '')" -%}
    split_part(case when strpos({{ bare }}, '/') = 0 then '' else substr({{ bare }}, strpos({{ bare }}, '/') + 1) end, '?', 1)
{%- endmacro %}
{% macro slugify(string) -%}
    {%- set text = modules.re.sub('[ -]+', '_', string | lower) -%}
    {%- set text = modules.re.sub('[^a-z0-9_]+', '', text) -%}
    {{ return(modules.re.sub('^([0-9])', '_\\1', text)) }}
{%- endmacro %}
{% macro pretty_time(format='%H:%M:%S') -%}{{ return(modules.datetime.datetime.now().strftime(format)) }}{%- endmacro %}
{% macro pretty_log_format(message) -%}{{ return(dbt_utils.pretty_time() ~ ' + ' ~ message) }}{%- endmacro %}
{% macro log_info(message) -%}{{ log(dbt_utils.pretty_log_format(message), info=true) }}{%- endmacro %}
