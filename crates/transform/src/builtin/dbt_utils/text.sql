{#- Of dbt_utils: addresses of the web, and words for names and logs. -#}

{% macro get_url_parameter(field, url_parameter) -%}
    {{ return(adapter.dispatch('get_url_parameter', 'dbt_utils')(field, url_parameter)) }}
{%- endmacro %}
{% macro default__get_url_parameter(field, url_parameter) -%}
    {%- set after = dbt.split_part(field, "'" ~ url_parameter ~ "='", 2) -%}
    nullif({{ dbt.split_part(after, "'&'", 1) }}, '')
{%- endmacro %}

{#- The address without the part before its host. -#}
{% macro _without_scheme(field) -%}
    {%- set bare = namespace(sql=field) -%}
    {%- for scheme in ['android-app://', 'http://', 'https://'] -%}
        {%- set bare.sql = dbt.replace(bare.sql, "'" ~ scheme ~ "'", "''") -%}
    {%- endfor -%}
    {{ return(bare.sql) }}
{%- endmacro %}
{% macro get_url_host(field) -%}{{ return(adapter.dispatch('get_url_host', 'dbt_utils')(field)) }}{%- endmacro %}
{% macro default__get_url_host(field) -%}
    {%- set host_and_query = dbt.split_part(dbt_utils._without_scheme(field), "'/'", 1) -%}
    {{ dbt.safe_cast(dbt.split_part(host_and_query, "'?'", 1), dbt.type_string()) }}
{%- endmacro %}
{% macro get_url_path(field) -%}{{ return(adapter.dispatch('get_url_path', 'dbt_utils')(field)) }}{%- endmacro %}
{% macro default__get_url_path(field) -%}
    {%- set bare = dbt_utils._without_scheme(field) -%}
    {%- set slash = dbt.position("'/'", bare) -%}
    {%- set after = 'case when ' ~ slash ~ " = 0 then '' else " ~ dbt.right(bare, dbt.length(bare) ~ ' - ' ~ slash) ~ ' end' -%}
    {{ dbt.safe_cast(dbt.split_part(after, "'?'", 1), dbt.type_string()) }}
{%- endmacro %}

{% macro slugify(string) -%}
    {%- if not string -%}{{ return('') }}{%- endif -%}
    {%- set text = modules.re.sub('[ -]+', '_', string | lower) -%}
    {%- set text = modules.re.sub('[^a-z0-9_]+', '', text) -%}
    {{ return(modules.re.sub('^([0-9])', '_\\1', text)) }}
{%- endmacro %}

{% macro pretty_time(format='%H:%M:%S') -%}{{ return(adapter.dispatch('pretty_time', 'dbt_utils')(format)) }}{%- endmacro %}
{% macro default__pretty_time(format='%H:%M:%S') -%}{{ return(modules.datetime.datetime.now().strftime(format)) }}{%- endmacro %}
{% macro pretty_log_format(message) -%}{{ return(adapter.dispatch('pretty_log_format', 'dbt_utils')(message)) }}{%- endmacro %}
{% macro default__pretty_log_format(message) -%}{{ return(dbt_utils.pretty_time() ~ ' + ' ~ message) }}{%- endmacro %}
{% macro log_info(message) -%}{{ return(adapter.dispatch('log_info', 'dbt_utils')(message)) }}{%- endmacro %}
{% macro default__log_info(message) -%}{{ log(dbt_utils.pretty_log_format(message), info=true) }}{%- endmacro %}
