{#- The package dbt_external_tables, where a project has no folder of that name. There is no warehouse to create external tables in:
    files are read where they are, as sources of the project. So staging checks what is declared and says so; it changes nothing. -#}

{#- `select` is as in the package: names of sources or source.table, with blanks or commas between them. -#}
{% macro stage_external_sources(select=none) -%}
    {{ return(adapter.dispatch('stage_external_sources', 'dbt_external_tables')(select)) }}
{%- endmacro %}
{% macro default__stage_external_sources(select=none) -%}
    {%- if not execute -%}{{ return([]) }}{%- endif -%}
    {%- set nodes = dbt_external_tables._external_sources(select) -%}
    {%- if not nodes -%}{%- do log('No external sources selected', info=true) -%}{%- endif -%}
    {%- set staged = [] -%}
    {%- for node in nodes -%}
        {%- set name = node.source_name ~ '.' ~ node.name -%}
        {%- set steps = dbt_external_tables.get_external_build_plan(node) -%}
        {%- for step in steps if step -%}{%- do run_query(step) -%}{%- endfor -%}
        {%- set location = dbt_external_tables._external(node).get('location') -%}
        {%- set done = steps | length ~ ' statements run' if steps else 'nothing to create, read in place' -%}
        {%- do log(loop.index ~ ' of ' ~ nodes | length ~ ' external source ' ~ name ~ (' (' ~ location ~ ')' if location else '') ~ ': ' ~ done, info=true) -%}
        {%- do staged.append(name) -%}
    {%- endfor -%}
    {{ return(staged) }}
{%- endmacro %}

{#- What a source declares under `external:`, beside its name or under its configuration; nothing when it is an ordinary one. -#}
{% macro _external(node) -%}
    {{ return(node.get('external') or node.get('config', {}).get('external') or {}) }}
{%- endmacro %}
{% macro _external_sources(select) -%}
    {%- set wanted = (select or '') | replace(',', ' ') -%}
    {%- set wanted = wanted.split() -%}
    {%- set found = [] -%}
    {%- for node in graph.sources.values() if dbt_external_tables._external(node) -%}
        {%- set names = [node.source_name, node.source_name ~ '.' ~ node.name] -%}
        {%- if not wanted or wanted | select('in', names) | list -%}{%- do found.append(node) -%}{%- endif -%}
    {%- endfor -%}
    {{ return(found | sort(attribute='name') | sort(attribute='source_name')) }}
{%- endmacro %}

{#- The statements that would make a source queryable. A project that has some defines `default__get_external_build_plan`. -#}
{% macro get_external_build_plan(source_node) -%}
    {{ return(adapter.dispatch('get_external_build_plan', 'dbt_external_tables')(source_node)) }}
{%- endmacro %}
{% macro default__get_external_build_plan(source_node) -%}{{ return([]) }}{%- endmacro %}
{% macro refresh_external_table(source_node) -%}
    {{ return(adapter.dispatch('refresh_external_table', 'dbt_external_tables')(source_node)) }}
{%- endmacro %}
{% macro default__refresh_external_table(source_node) -%}{{ return([]) }}{%- endmacro %}
{% macro update_external_table_columns(source_node) -%}
    {{ return(adapter.dispatch('update_external_table_columns', 'dbt_external_tables')(source_node)) }}
{%- endmacro %}
{% macro default__update_external_table_columns(source_node) -%}{%- endmacro %}

{% macro create_external_table(source_node) -%}
    {{ return(adapter.dispatch('create_external_table', 'dbt_external_tables')(source_node)) }}
{%- endmacro %}
{% macro default__create_external_table(source_node) -%}
    {{ exceptions.raise_compiler_error('there is no warehouse to create the external table ' ~ source_node.source_name ~ '.' ~ source_node.name ~ ' in: declare its files as a source of the project') }}
{%- endmacro %}
{% macro create_external_schema(source_node) -%}
    {{ return(adapter.dispatch('create_external_schema', 'dbt_external_tables')(source_node)) }}
{%- endmacro %}
{% macro default__create_external_schema(source_node) -%}
    create schema if not exists {{ source_node.schema }}
{%- endmacro %}
{% macro dropif(node) -%}{{ return(adapter.dispatch('dropif', 'dbt_external_tables')(node)) }}{%- endmacro %}
{% macro default__dropif(node) -%}
    drop table if exists {{ api.Relation.create(database=node.database, schema=node.schema, identifier=node.identifier) }}
{%- endmacro %}
{% macro exit_transaction() -%}{{ return(adapter.dispatch('exit_transaction', 'dbt_external_tables')()) }}{%- endmacro %}
{% macro default__exit_transaction() -%}{{ return('') }}{%- endmacro %}
