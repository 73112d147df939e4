{#- Of dbt_utils before 1.0: what has since moved to dbt, for projects that still call it here. -#}

{% macro current_timestamp() -%}{{ return(dbt.current_timestamp()) }}{%- endmacro %}
{% macro current_timestamp_in_utc() -%}{{ return(dbt.current_timestamp()) }}{%- endmacro %}
{% macro dateadd(datepart, interval, from_date_or_timestamp) -%}{{ return(dbt.dateadd(datepart, interval, from_date_or_timestamp)) }}{%- endmacro %}
{% macro datediff(first_date, second_date, datepart) -%}{{ return(dbt.datediff(first_date, second_date, datepart)) }}{%- endmacro %}
{% macro date_trunc(datepart, date) -%}{{ return(dbt.date_trunc(datepart, date)) }}{%- endmacro %}
{% macro last_day(date, datepart) -%}{{ return(dbt.last_day(date, datepart)) }}{%- endmacro %}
{% macro split_part(string_text, delimiter_text, part_number) -%}{{ return(dbt.split_part(string_text, delimiter_text, part_number)) }}{%- endmacro %}
{% macro right(string_text, length_expression) -%}{{ return(dbt.right(string_text, length_expression)) }}{%- endmacro %}
{% macro replace(field, old_chars, new_chars) -%}{{ return(dbt.replace(field, old_chars, new_chars)) }}{%- endmacro %}
{% macro position(substring_text, string_text) -%}{{ return(dbt.position(substring_text, string_text)) }}{%- endmacro %}
{% macro length(expression) -%}{{ return(dbt.length(expression)) }}{%- endmacro %}
{% macro concat(fields) -%}{{ return(dbt.concat(fields)) }}{%- endmacro %}
{% macro hash(field) -%}{{ return(dbt.hash(field)) }}{%- endmacro %}
{% macro safe_cast(field, type) -%}{{ return(dbt.safe_cast(field, type)) }}{%- endmacro %}
{% macro cast_bool_to_text(field) -%}{{ return(dbt.cast_bool_to_text(field)) }}{%- endmacro %}
{% macro string_literal(value) -%}{{ return(dbt.string_literal(value)) }}{%- endmacro %}
{% macro escape_single_quotes(expression) -%}{{ return(dbt.escape_single_quotes(expression)) }}{%- endmacro %}
{% macro listagg(measure, delimiter_text="','", order_by_clause=none, limit_num=none) -%}{{ return(dbt.listagg(measure, delimiter_text, order_by_clause, limit_num)) }}{%- endmacro %}
{% macro any_value(expression) -%}{{ return(dbt.any_value(expression)) }}{%- endmacro %}
{% macro bool_or(expression) -%}{{ return(dbt.bool_or(expression)) }}{%- endmacro %}
{% macro except() -%}{{ return(dbt.except()) }}{%- endmacro %}
{% macro intersect() -%}{{ return(dbt.intersect()) }}{%- endmacro %}
{% macro type_string() -%}{{ return(dbt.type_string()) }}{%- endmacro %}
{% macro type_int() -%}{{ return(dbt.type_int()) }}{%- endmacro %}
{% macro type_bigint() -%}{{ return(dbt.type_bigint()) }}{%- endmacro %}
{% macro type_float() -%}{{ return(dbt.type_float()) }}{%- endmacro %}
{% macro type_numeric() -%}{{ return(dbt.type_numeric()) }}{%- endmacro %}
{% macro type_timestamp() -%}{{ return(dbt.type_timestamp()) }}{%- endmacro %}
