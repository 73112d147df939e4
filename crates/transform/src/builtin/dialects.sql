{#- What dbt's macros are in the SQL of each adapter, where the default is the engine's own. The SQL they give is translated with
    the rest of a model. A prefix that is not here falls back: redshift to postgres, databricks to spark, then the default. -#}

{#- BigQuery. -#}

{% macro bigquery__current_timestamp() -%}current_timestamp(){%- endmacro %}
{% macro bigquery__type_string() -%}string{%- endmacro %}
{% macro bigquery__type_int() -%}int64{%- endmacro %}
{% macro bigquery__type_bigint() -%}int64{%- endmacro %}
{% macro bigquery__type_float() -%}float64{%- endmacro %}
{% macro bigquery__type_numeric() -%}numeric{%- endmacro %}
{% macro bigquery__type_boolean() -%}bool{%- endmacro %}
{% macro bigquery__type_timestamp() -%}timestamp{%- endmacro %}
{% macro bigquery__safe_cast(field, type) -%}safe_cast({{ field }} as {{ type }}){%- endmacro %}
{% macro bigquery__concat(fields) -%}concat({{ fields | join(', ') }}){%- endmacro %}
{% macro bigquery__hash(field) -%}to_hex(md5(cast({{ field }} as string))){%- endmacro %}
{% macro bigquery__dateadd(datepart, interval, from_date_or_timestamp) -%}
    datetime_add(cast({{ from_date_or_timestamp }} as datetime), interval {{ interval }} {{ datepart }})
{%- endmacro %}
{% macro bigquery__datediff(first_date, second_date, datepart) -%}
    datetime_diff(cast({{ second_date }} as datetime), cast({{ first_date }} as datetime), {{ datepart }})
{%- endmacro %}
{% macro bigquery__date_trunc(datepart, date) -%}timestamp_trunc(cast({{ date }} as timestamp), {{ datepart }}){%- endmacro %}
{% macro bigquery__last_day(date, datepart) -%}last_day(cast({{ date }} as date), {{ datepart }}){%- endmacro %}
{% macro bigquery__split_part(string_text, delimiter_text, part_number) -%}
    {%- if part_number >= 0 -%}
    split({{ string_text }}, {{ delimiter_text }})[safe_offset({{ part_number - 1 }})]
    {%- else -%}
    array_reverse(split({{ string_text }}, {{ delimiter_text }}))[safe_offset({{ -part_number - 1 }})]
    {%- endif -%}
{%- endmacro %}
{% macro bigquery__any_value(expression) -%}any_value({{ expression }}){%- endmacro %}
{% macro bigquery__bool_or(expression) -%}logical_or({{ expression }}){%- endmacro %}
{% macro bigquery__listagg(measure, delimiter_text="','", order_by_clause=none, limit_num=none) -%}
    string_agg({{ measure }}, {{ delimiter_text }}{{ ' ' ~ order_by_clause if order_by_clause }}{{ ' limit ' ~ limit_num if limit_num }})
{%- endmacro %}
{% macro bigquery__escape_single_quotes(expression) -%}{{ expression | replace("'", "\\'") }}{%- endmacro %}
{% macro bigquery__position(substring_text, string_text) -%}strpos({{ string_text }}, {{ substring_text }}){%- endmacro %}
{% macro bigquery__except() -%}except distinct{%- endmacro %}
{% macro bigquery__intersect() -%}intersect distinct{%- endmacro %}

{#- PostgreSQL and Redshift. -#}

{% macro postgres__current_timestamp() -%}now(){%- endmacro %}
{% macro postgres__type_string() -%}text{%- endmacro %}
{% macro postgres__type_float() -%}double precision{%- endmacro %}
{% macro postgres__safe_cast(field, type) -%}cast({{ field }} as {{ type }}){%- endmacro %}
{% macro postgres__dateadd(datepart, interval, from_date_or_timestamp) -%}
    {{ from_date_or_timestamp }} + ((interval '1 {{ datepart if datepart | lower != 'quarter' else 'month' }}') * ({{ '3 * ' if datepart | lower == 'quarter' }}({{ interval }})))
{%- endmacro %}
{% macro postgres__any_value(expression) -%}(array_agg({{ expression }}))[1]{%- endmacro %}
{% macro postgres__last_day(date, datepart) -%}
    cast(date_trunc('{{ datepart }}', {{ date }}) + interval '{{ '3 month' if datepart | lower == 'quarter' else '1 ' ~ datepart }}' - interval '1 day' as date)
{%- endmacro %}
{% macro postgres__position(substring_text, string_text) -%}position({{ substring_text }} in {{ string_text }}){%- endmacro %}
{% macro redshift__current_timestamp() -%}getdate(){%- endmacro %}
{% macro redshift__type_string() -%}varchar{%- endmacro %}
{% macro redshift__dateadd(datepart, interval, from_date_or_timestamp) -%}
    dateadd({{ datepart }}, {{ interval }}, {{ from_date_or_timestamp }})
{%- endmacro %}
{% macro redshift__datediff(first_date, second_date, datepart) -%}
    datediff({{ datepart }}, {{ first_date }}, {{ second_date }})
{%- endmacro %}
{% macro redshift__any_value(expression) -%}any_value({{ expression }}){%- endmacro %}
{% macro redshift__listagg(measure, delimiter_text="','", order_by_clause=none, limit_num=none) -%}
    listagg({{ measure }}, {{ delimiter_text }}){{ ' within group (' ~ order_by_clause ~ ')' if order_by_clause }}
{%- endmacro %}
{% macro postgres__datediff(first_date, second_date, datepart) -%}
    {%- set part = datepart | lower -%}
    {%- set from_at = '(' ~ first_date ~ ')::timestamp' -%}
    {%- set to_at = '(' ~ second_date ~ ')::timestamp' -%}
    {%- set years = "(date_part('year', " ~ to_at ~ ") - date_part('year', " ~ from_at ~ "))" -%}
    {%- if part == 'year' -%}
        cast({{ years }} as bigint)
    {%- elif part == 'quarter' -%}
        cast({{ years }} * 4 + date_part('quarter', {{ to_at }}) - date_part('quarter', {{ from_at }}) as bigint)
    {%- elif part == 'month' -%}
        cast({{ years }} * 12 + date_part('month', {{ to_at }}) - date_part('month', {{ from_at }}) as bigint)
    {%- else -%}
        {%- set seconds = {'week': 604800, 'day': 86400, 'hour': 3600, 'minute': 60, 'second': 1} -%}
        cast((extract(epoch from date_trunc('{{ part }}', {{ to_at }})) - extract(epoch from date_trunc('{{ part }}', {{ from_at }}))) / {{ seconds[part] }} as bigint)
    {%- endif -%}
{%- endmacro %}

{#- Snowflake. -#}

{% macro snowflake__current_timestamp() -%}to_timestamp_ntz(current_timestamp()){%- endmacro %}
{% macro snowflake__safe_cast(field, type) -%}try_cast({{ field }} as {{ type }}){%- endmacro %}
{% macro snowflake__type_timestamp() -%}timestamp_ntz{%- endmacro %}
{% macro snowflake__dateadd(datepart, interval, from_date_or_timestamp) -%}
    dateadd({{ datepart }}, {{ interval }}, {{ from_date_or_timestamp }})
{%- endmacro %}
{% macro snowflake__datediff(first_date, second_date, datepart) -%}
    datediff({{ datepart }}, {{ first_date }}, {{ second_date }})
{%- endmacro %}
{% macro snowflake__last_day(date, datepart) -%}last_day({{ date }}, {{ datepart }}){%- endmacro %}
{% macro snowflake__any_value(expression) -%}any_value({{ expression }}){%- endmacro %}
{% macro snowflake__bool_or(expression) -%}boolor_agg({{ expression }}){%- endmacro %}
{% macro snowflake__position(substring_text, string_text) -%}charindex({{ substring_text }}, {{ string_text }}){%- endmacro %}
{% macro snowflake__listagg(measure, delimiter_text="','", order_by_clause=none, limit_num=none) -%}
    listagg({{ measure }}, {{ delimiter_text }}){{ ' within group (' ~ order_by_clause ~ ')' if order_by_clause }}
{%- endmacro %}

{#- DuckDB. -#}

{% macro duckdb__dateadd(datepart, interval, from_date_or_timestamp) -%}
    {{ from_date_or_timestamp }} + (({{ interval }}) * (interval 1 {{ datepart }}))
{%- endmacro %}
{% macro duckdb__datediff(first_date, second_date, datepart) -%}
    date_diff('{{ datepart }}', cast({{ first_date }} as timestamp), cast({{ second_date }} as timestamp))
{%- endmacro %}
{% macro duckdb__any_value(expression) -%}any_value({{ expression }}){%- endmacro %}

{#- Spark and Databricks. -#}

{% macro spark__current_timestamp() -%}current_timestamp(){%- endmacro %}
{% macro spark__type_string() -%}string{%- endmacro %}
{% macro spark__safe_cast(field, type) -%}cast({{ field }} as {{ type }}){%- endmacro %}
{% macro spark__concat(fields) -%}concat({{ fields | join(', ') }}){%- endmacro %}
{% macro spark__dateadd(datepart, interval, from_date_or_timestamp) -%}
    dateadd({{ datepart }}, {{ interval }}, {{ from_date_or_timestamp }})
{%- endmacro %}
{% macro spark__datediff(first_date, second_date, datepart) -%}
    timestampdiff({{ datepart }}, date_trunc('{{ datepart }}', {{ first_date }}), date_trunc('{{ datepart }}', {{ second_date }}))
{%- endmacro %}
{% macro spark__any_value(expression) -%}any_value({{ expression }}){%- endmacro %}
{% macro spark__bool_or(expression) -%}bool_or({{ expression }}){%- endmacro %}
{% macro spark__last_day(date, datepart) -%}last_day({{ date }}){%- endmacro %}
{% macro spark__listagg(measure, delimiter_text="','", order_by_clause=none, limit_num=none) -%}
    array_join(collect_list({{ measure }}), {{ delimiter_text }})
{%- endmacro %}
