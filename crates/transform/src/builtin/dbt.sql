{#- The macros every project sees. A project replaces any of them with a macro of the same name. -#}

{% macro generate_schema_name(custom_schema_name=none, node=none) -%}
    {{ return(adapter.dispatch('generate_schema_name', 'dbt')(custom_schema_name, node)) }}
{%- endmacro %}

{% macro default__generate_schema_name(custom_schema_name=none, node=none) -%}
    {%- if custom_schema_name is none -%}
        {{ return(target.schema) }}
    {%- endif -%}
    {{ return(target.schema ~ '_' ~ (custom_schema_name | trim)) }}
{%- endmacro %}

{% macro generate_schema_name_for_env(custom_schema_name, node=none) -%}
    {%- if target.name == 'prod' and custom_schema_name is not none -%}
        {{ return(custom_schema_name | trim) }}
    {%- endif -%}
    {{ return(target.schema) }}
{%- endmacro %}

{% macro generate_alias_name(custom_alias_name=none, node=none) -%}
    {{ return(adapter.dispatch('generate_alias_name', 'dbt')(custom_alias_name, node)) }}
{%- endmacro %}

{% macro default__generate_alias_name(custom_alias_name=none, node=none) -%}
    {%- if custom_alias_name -%}{{ return(custom_alias_name | trim) }}{%- endif -%}
    {{ return(node.name) }}
{%- endmacro %}

{% macro generate_database_name(custom_database_name=none, node=none) -%}
    {{ return(adapter.dispatch('generate_database_name', 'dbt')(custom_database_name, node)) }}
{%- endmacro %}

{% macro default__generate_database_name(custom_database_name=none, node=none) -%}
    {{ return(custom_database_name if custom_database_name is not none else target.database) }}
{%- endmacro %}

{% macro get_where_subquery(relation) -%}
    {% do return(adapter.dispatch('get_where_subquery', 'dbt')(relation)) %}
{%- endmacro %}

{% macro default__get_where_subquery(relation) -%}
    {%- set condition = config.get('where', '') -%}
    {%- if not condition -%}{% do return(relation) %}{%- endif -%}
    {%- do return('(select * from ' ~ relation ~ ' where ' ~ condition ~ ') dbt_subquery') -%}
{%- endmacro %}

{% test not_null(model, column_name) %}{{ adapter.dispatch('test_not_null', 'dbt')(model, column_name) }}{% endtest %}

{% macro default__test_not_null(model, column_name) %}
select {{ column_name }}
from {{ model }}
where {{ column_name }} is null
{% endmacro %}

{% test unique(model, column_name) %}{{ adapter.dispatch('test_unique', 'dbt')(model, column_name) }}{% endtest %}

{% macro default__test_unique(model, column_name) %}
select {{ column_name }} as unique_field, count(*) as n_records
from {{ model }}
where {{ column_name }} is not null
group by {{ column_name }}
having count(*) > 1
{% endmacro %}

{% test accepted_values(model, column_name, values, quote=true) %}{{ adapter.dispatch('test_accepted_values', 'dbt')(model, column_name, values, quote) }}{% endtest %}

{% macro default__test_accepted_values(model, column_name, values, quote=true) %}
with all_values as (
    select {{ column_name }} as value_field, count(*) as n_records
    from {{ model }}
    group by {{ column_name }}
)

select *
from all_values
where value_field not in (
    {%- for value in values -%}
        {%- if quote -%}'{{ value }}'{%- else -%}{{ value }}{%- endif -%}
        {%- if not loop.last %}, {% endif -%}
    {%- endfor -%}
)
{% endmacro %}

{% test relationships(model, column_name, to, field) %}{{ adapter.dispatch('test_relationships', 'dbt')(model, column_name, to, field) }}{% endtest %}

{% macro default__test_relationships(model, column_name, to, field) %}
with child as (
    select {{ column_name }} as from_field
    from {{ model }}
    where {{ column_name }} is not null
),

parent as (
    select {{ field }} as to_field
    from {{ to }}
)

select child.from_field
from child
left join parent on child.from_field = parent.to_field
where parent.to_field is null
{% endmacro %}

{#- SQL every dialect spells differently, as DataFusion spells it. -#}

{% macro current_timestamp() -%}{{ return(adapter.dispatch('current_timestamp', 'dbt')()) }}{%- endmacro %}
{% macro default__current_timestamp() -%}now(){%- endmacro %}

{% macro type_string() -%}{{ return(adapter.dispatch('type_string', 'dbt')()) }}{%- endmacro %}
{% macro default__type_string() -%}varchar{%- endmacro %}
{% macro type_int() -%}{{ return(adapter.dispatch('type_int', 'dbt')()) }}{%- endmacro %}
{% macro default__type_int() -%}int{%- endmacro %}
{% macro type_bigint() -%}{{ return(adapter.dispatch('type_bigint', 'dbt')()) }}{%- endmacro %}
{% macro default__type_bigint() -%}bigint{%- endmacro %}
{% macro type_float() -%}{{ return(adapter.dispatch('type_float', 'dbt')()) }}{%- endmacro %}
{% macro default__type_float() -%}double{%- endmacro %}
{% macro type_numeric() -%}{{ return(adapter.dispatch('type_numeric', 'dbt')()) }}{%- endmacro %}
{% macro default__type_numeric() -%}decimal(28, 6){%- endmacro %}
{% macro type_boolean() -%}{{ return(adapter.dispatch('type_boolean', 'dbt')()) }}{%- endmacro %}
{% macro default__type_boolean() -%}boolean{%- endmacro %}
{% macro type_timestamp() -%}{{ return(adapter.dispatch('type_timestamp', 'dbt')()) }}{%- endmacro %}
{% macro default__type_timestamp() -%}timestamp{%- endmacro %}

{% macro cast(field, type) -%}{{ return(adapter.dispatch('cast', 'dbt')(field, type)) }}{%- endmacro %}
{% macro default__cast(field, type) -%}cast({{ field }} as {{ type }}){%- endmacro %}
{% macro safe_cast(field, type) -%}{{ return(adapter.dispatch('safe_cast', 'dbt')(field, type)) }}{%- endmacro %}
{% macro default__safe_cast(field, type) -%}try_cast({{ field }} as {{ type }}){%- endmacro %}

{% macro concat(fields) -%}{{ return(adapter.dispatch('concat', 'dbt')(fields)) }}{%- endmacro %}
{% macro default__concat(fields) -%}{{ fields | join(' || ') }}{%- endmacro %}

{% macro hash(field) -%}{{ return(adapter.dispatch('hash', 'dbt')(field)) }}{%- endmacro %}
{% macro default__hash(field) -%}md5(cast({{ field }} as {{ dbt.type_string() }})){%- endmacro %}

{% macro dateadd(datepart, interval, from_date_or_timestamp) -%}
    {{ return(adapter.dispatch('dateadd', 'dbt')(datepart, interval, from_date_or_timestamp)) }}
{%- endmacro %}
{% macro default__dateadd(datepart, interval, from_date_or_timestamp) -%}
    {%- set part = 'month' if datepart | lower == 'quarter' else datepart -%}
    {%- set factor = 3 if datepart | lower == 'quarter' else 1 -%}
    {%- if interval is number -%}
    ({{ from_date_or_timestamp }} + interval '{{ interval * factor }} {{ part }}')
    {%- else -%}
    ({{ from_date_or_timestamp }} + cast(cast({{ '3 * ' if factor == 3 }}({{ interval }}) as varchar) || ' {{ part }}' as interval))
    {%- endif -%}
{%- endmacro %}

{% macro date_trunc(datepart, date) -%}{{ return(adapter.dispatch('date_trunc', 'dbt')(datepart, date)) }}{%- endmacro %}
{% macro default__date_trunc(datepart, date) -%}date_trunc('{{ datepart }}', {{ date }}){%- endmacro %}

{% macro string_literal(value) -%}{{ return(adapter.dispatch('string_literal', 'dbt')(value)) }}{%- endmacro %}
{% macro default__string_literal(value) -%}'{{ value }}'{%- endmacro %}
{% macro escape_single_quotes(expression) -%}{{ return(adapter.dispatch('escape_single_quotes', 'dbt')(expression)) }}{%- endmacro %}
{% macro default__escape_single_quotes(expression) -%}{{ expression | replace("'", "''") }}{%- endmacro %}

{% macro length(expression) -%}{{ return(adapter.dispatch('length', 'dbt')(expression)) }}{%- endmacro %}
{% macro default__length(expression) -%}length({{ expression }}){%- endmacro %}
{% macro position(substring_text, string_text) -%}{{ return(adapter.dispatch('position', 'dbt')(substring_text, string_text)) }}{%- endmacro %}
{% macro default__position(substring_text, string_text) -%}strpos({{ string_text }}, {{ substring_text }}){%- endmacro %}
{% macro replace(field, old_chars, new_chars) -%}{{ return(adapter.dispatch('replace', 'dbt')(field, old_chars, new_chars)) }}{%- endmacro %}
{% macro default__replace(field, old_chars, new_chars) -%}replace({{ field }}, {{ old_chars }}, {{ new_chars }}){%- endmacro %}
{% macro right(string_text, length_expression) -%}{{ return(adapter.dispatch('right', 'dbt')(string_text, length_expression)) }}{%- endmacro %}
{% macro default__right(string_text, length_expression) -%}right({{ string_text }}, {{ length_expression }}){%- endmacro %}
{% macro split_part(string_text, delimiter_text, part_number) -%}{{ return(adapter.dispatch('split_part', 'dbt')(string_text, delimiter_text, part_number)) }}{%- endmacro %}
{% macro default__split_part(string_text, delimiter_text, part_number) -%}split_part({{ string_text }}, {{ delimiter_text }}, {{ part_number }}){%- endmacro %}

{% macro any_value(expression) -%}{{ return(adapter.dispatch('any_value', 'dbt')(expression)) }}{%- endmacro %}
{% macro default__any_value(expression) -%}first_value({{ expression }}){%- endmacro %}
{% macro bool_or(expression) -%}{{ return(adapter.dispatch('bool_or', 'dbt')(expression)) }}{%- endmacro %}
{% macro default__bool_or(expression) -%}bool_or({{ expression }}){%- endmacro %}
{% macro listagg(measure, delimiter_text="','", order_by_clause=none, limit_num=none) -%}
    {{ return(adapter.dispatch('listagg', 'dbt')(measure, delimiter_text, order_by_clause, limit_num)) }}
{%- endmacro %}
{% macro default__listagg(measure, delimiter_text="','", order_by_clause=none, limit_num=none) -%}
    {%- if limit_num is not none -%}
        {{ exceptions.raise_compiler_error('listagg with a limit is not supported by this engine') }}
    {%- endif -%}
    string_agg({{ measure }}, {{ delimiter_text }}{{ ' ' ~ order_by_clause if order_by_clause }})
{%- endmacro %}
{% macro except() -%}except{%- endmacro %}
{% macro intersect() -%}intersect{%- endmacro %}

{#- Dates. -#}

{% macro datediff(first_date, second_date, datepart) -%}
    {{ return(adapter.dispatch('datediff', 'dbt')(first_date, second_date, datepart)) }}
{%- endmacro %}
{% macro default__datediff(first_date, second_date, datepart) -%}
    {%- set part = datepart | lower -%}
    {%- set from_at = "cast(" ~ first_date ~ " as timestamp)" -%}
    {%- set to_at = "cast(" ~ second_date ~ " as timestamp)" -%}
    {%- set months -%}
        ((date_part('year', {{ to_at }}) - date_part('year', {{ from_at }})) * 12 + date_part('month', {{ to_at }}) - date_part('month', {{ from_at }}))
    {%- endset -%}
    {%- set seconds = {'week': 604800, 'day': 86400, 'hour': 3600, 'minute': 60, 'second': 1} -%}
    {%- if part == 'year' -%}
        cast(date_part('year', {{ to_at }}) - date_part('year', {{ from_at }}) as bigint)
    {%- elif part == 'quarter' -%}
        cast((date_part('year', {{ to_at }}) - date_part('year', {{ from_at }})) * 4 + date_part('quarter', {{ to_at }}) - date_part('quarter', {{ from_at }}) as bigint)
    {%- elif part == 'month' -%}
        cast({{ months }} as bigint)
    {%- elif part in seconds -%}
        cast((date_part('epoch', date_trunc('{{ part }}', {{ to_at }})) - date_part('epoch', date_trunc('{{ part }}', {{ from_at }}))) / {{ seconds[part] }} as bigint)
    {%- elif part in ['millisecond', 'microsecond'] -%}
        cast((date_part('epoch', {{ to_at }}) - date_part('epoch', {{ from_at }})) * {{ 1000 if part == 'millisecond' else 1000000 }} as bigint)
    {%- else -%}
        {{ exceptions.raise_compiler_error("datediff does not know the part '" ~ datepart ~ "'") }}
    {%- endif -%}
{%- endmacro %}

{% macro last_day(date, datepart) -%}{{ return(adapter.dispatch('last_day', 'dbt')(date, datepart)) }}{%- endmacro %}
{% macro default__last_day(date, datepart) -%}
    cast(date_trunc('{{ datepart }}', {{ date }}) + interval '{{ '3 month' if datepart | lower == 'quarter' else '1 ' ~ datepart }}' - interval '1 day' as date)
{%- endmacro %}

{% macro date(year, month, day) -%}
    cast('{{ '%04d' | format(year) }}-{{ '%02d' | format(month) }}-{{ '%02d' | format(day) }}' as date)
{%- endmacro %}

{% macro convert_datetime(date_str, date_fmt) -%}{{ return(modules.datetime.datetime.strptime(date_str, date_fmt)) }}{%- endmacro %}
{% macro current_timestamp_backcompat() -%}{{ return(current_timestamp()) }}{%- endmacro %}
{% macro current_timestamp_in_utc_backcompat() -%}{{ return(current_timestamp()) }}{%- endmacro %}
{% macro snapshot_get_time() -%}{{ return(current_timestamp()) }}{%- endmacro %}

{#- Arrays and literals. -#}

{% macro array_construct(inputs=[], data_type='varchar') -%}
    {%- if inputs -%}make_array({{ inputs | join(', ') }}){%- else -%}cast(make_array() as {{ data_type }}[]){%- endif -%}
{%- endmacro %}
{% macro array_append(array, new_element) -%}array_append({{ array }}, {{ new_element }}){%- endmacro %}
{% macro array_concat(array_1, array_2) -%}array_concat({{ array_1 }}, {{ array_2 }}){%- endmacro %}
{% macro cast_bool_to_text(field) -%}cast({{ field }} as {{ dbt.type_string() }}){%- endmacro %}

{% macro get_powers_of_two(upper_bound) -%}
    {%- set ns = namespace(count=1) -%}
    {%- for power in range(1, 100) -%}{%- if 2 ** power < upper_bound -%}{%- set ns.count = power + 1 -%}{%- endif -%}{%- endfor -%}
    {{ return(ns.count) }}
{%- endmacro %}

{#- Rows out of nothing. The default is plain SQL, a digit for each place of the number: every adapter's text can say it, and few joins
    plan fast. -#}

{% macro generate_series(upper_bound) -%}{{ return(adapter.dispatch('generate_series', 'dbt')(upper_bound)) }}{%- endmacro %}
{% macro default__generate_series(upper_bound) -%}
    {%- set places = range(upper_bound | string | length) -%}
    select generated_number
    from (
        select 1{% for place in places %} + place_{{ place }}.digit * {{ 10 ** place }}{% endfor %} as generated_number
        from {% for place in places -%}
            (select 0 as digit{% for digit in range(1, 10) %} union all select {{ digit }}{% endfor %}) as place_{{ place }}{{ ' cross join ' if not loop.last }}
        {%- endfor %}
    ) as numbers
    where generated_number <= {{ upper_bound }}
{%- endmacro %}
{% macro duckdb__generate_series(upper_bound) -%}
    select unnest(generate_series(1, {{ upper_bound }})) as generated_number
{%- endmacro %}
{% macro datafusion__generate_series(upper_bound) -%}
    select value as generated_number from (select unnest(generate_series(1, {{ upper_bound }})) as value) numbers
{%- endmacro %}

{% macro get_intervals_between(start_date, end_date, datepart) -%}
    {{ return(adapter.dispatch('get_intervals_between', 'dbt')(start_date, end_date, datepart)) }}
{%- endmacro %}
{% macro default__get_intervals_between(start_date, end_date, datepart) -%}
    {%- if not execute -%}{{ return(1) }}{%- endif -%}
    {{ return(run_query('select ' ~ dbt.datediff(start_date, end_date, datepart) ~ ' as intervals').rows[0][0]) }}
{%- endmacro %}

{% macro date_spine(datepart, start_date, end_date) -%}
    {{ return(adapter.dispatch('date_spine', 'dbt')(datepart, start_date, end_date)) }}
{%- endmacro %}
{% macro default__date_spine(datepart, start_date, end_date) -%}
select {{ dbt.dateadd(datepart, 'generated_number - 1', start_date) }} as date_{{ datepart }}
from (
    {{ dbt.generate_series([dbt.get_intervals_between(start_date, end_date, datepart), 1] | max) }}
) as steps
where {{ dbt.dateadd(datepart, 'generated_number - 1', start_date) }} < {{ end_date }}
{%- endmacro %}
{% macro datafusion__date_spine(datepart, start_date, end_date) -%}
    {%- set first = 'cast(' ~ start_date ~ ' as timestamp)' -%}
    {%- set steps = dbt.datediff(start_date, end_date, datepart) ~ ' - 1' -%}
select date_{{ datepart }}
from (
    select unnest(generate_series(
        {{ first }}, {{ dbt.dateadd(datepart, steps, first) }}, interval '{{ '3 month' if datepart | lower == 'quarter' else '1 ' ~ datepart }}'
    )) as date_{{ datepart }}
)
{%- endmacro %}

{#- What a project's own materialisations are made of. -#}

{% macro run_hooks(hooks, inside_transaction=true) -%}
    {%- for hook in hooks -%}
        {%- set rendered = render(hook['sql'] if hook is mapping else hook) | trim -%}
        {%- if rendered -%}{%- do run_query(rendered) -%}{%- endif -%}
    {%- endfor -%}
{%- endmacro %}

{% macro load_cached_relation(relation) -%}{% do return(load_relation(relation)) %}{%- endmacro %}
{% macro make_temp_relation(base_relation, suffix='__dbt_tmp') -%}
    {% do return(base_relation.incorporate(path={'identifier': base_relation.identifier ~ suffix})) %}
{%- endmacro %}
{% macro make_intermediate_relation(base_relation, suffix='__dbt_tmp') -%}
    {% do return(base_relation.incorporate(path={'identifier': base_relation.identifier ~ suffix})) %}
{%- endmacro %}
{% macro make_backup_relation(base_relation, backup_relation_type, suffix='__dbt_backup') -%}
    {% do return(base_relation.incorporate(path={'identifier': base_relation.identifier ~ suffix}, type=backup_relation_type)) %}
{%- endmacro %}

{% macro create_table_as(temporary, relation, compiled_code, language='sql') -%}
    {{ adapter.dispatch('create_table_as', 'dbt')(temporary, relation, compiled_code) }}
{%- endmacro %}
{% macro default__create_table_as(temporary, relation, sql) -%}
    create or replace {{ 'temporary ' if temporary }}table {{ relation }} as (
        {{ sql }}
    )
{%- endmacro %}
{% macro get_create_table_as_sql(temporary, relation, sql) -%}{{ create_table_as(temporary, relation, sql) }}{%- endmacro %}
{% macro create_view_as(relation, sql) -%}{{ adapter.dispatch('create_view_as', 'dbt')(relation, sql) }}{%- endmacro %}
{% macro default__create_view_as(relation, sql) -%}
    create or replace view {{ relation }} as (
        {{ sql }}
    )
{%- endmacro %}
{% macro get_create_view_as_sql(relation, sql) -%}{{ create_view_as(relation, sql) }}{%- endmacro %}
{% macro drop_relation(relation) -%}{% do adapter.drop_relation(relation) %}{%- endmacro %}
{% macro drop_relation_if_exists(relation) -%}
    {%- if relation is not none -%}{% do adapter.drop_relation(relation) %}{%- endif -%}
{%- endmacro %}
{% macro rename_relation(from_relation, to_relation) -%}{% do adapter.rename_relation(from_relation, to_relation) %}{%- endmacro %}
{% macro truncate_relation(relation) -%}{% do adapter.truncate_relation(relation) %}{%- endmacro %}
{% macro get_columns_in_relation(relation) -%}{% do return(adapter.get_columns_in_relation(relation)) %}{%- endmacro %}
{% macro get_columns_in_query(select_sql) -%}
    {%- set found = run_query('select * from (' ~ select_sql ~ ') dbt_internal_columns where false limit 0') -%}
    {% do return(found.column_names if found else []) %}
{%- endmacro %}
{% macro get_empty_subquery_sql(select_sql, select_sql_header=none) -%}
    select * from ({{ select_sql }}) dbt_internal_empty where false limit 0
{%- endmacro %}
{% macro get_quoted_csv(column_names) -%}
    {%- set shown = [] -%}
    {%- for name in column_names -%}{%- do shown.append(adapter.quote(name)) -%}{%- endfor -%}
    {% do return(shown | join(', ')) %}
{%- endmacro %}
{#- What a lake has no use for is accepted. -#}
{% macro create_schema(relation) -%}{%- endmacro %}
{% macro drop_schema(relation) -%}{%- endmacro %}
{% macro persist_docs(relation, model, for_relation=true, for_columns=true) -%}{%- endmacro %}
{% macro apply_grants(relation, grant_config, should_revoke=true) -%}{%- endmacro %}
{% macro should_revoke(existing_relation, full_refresh_mode=true) -%}{% do return(false) %}{%- endmacro %}
{% macro create_indexes(relation) -%}{%- endmacro %}
{% macro set_sql_header(config) -%}{%- set ignored = caller() -%}{%- endmacro %}
