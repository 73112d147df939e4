{#- The package dbt_date, where a project has no folder of that name: parts of dates, weeks, names, time zones and epochs. -#}

{#- What the adapters call the same part differently. -#}
{% macro date_part(datepart, date) -%}{{ return(adapter.dispatch('date_part', 'dbt_date')(datepart, date)) }}{%- endmacro %}
{% macro default__date_part(datepart, date) -%}
    {%- set name = {'dayofweek': 'dow', 'dayofweekiso': 'isodow', 'dayofweek_iso': 'isodow', 'dayofyear': 'doy', 'weekiso': 'week', 'week_iso': 'week', 'isoweek': 'week'}.get(datepart | lower, datepart) -%}
    date_part('{{ name }}', {{ date }})
{%- endmacro %}
{% macro bigquery__date_part(datepart, date) -%}extract({{ datepart }} from {{ date }}){%- endmacro %}
{% macro snowflake__date_part(datepart, date) -%}date_part('{{ datepart }}', {{ date }}){%- endmacro %}
{% macro spark__date_part(datepart, date) -%}date_part('{{ datepart }}', {{ date }}){%- endmacro %}

{% macro _int(sql) -%}cast({{ sql }} as {{ dbt.type_int() }}){%- endmacro %}
{% macro _day(date) -%}cast({{ date }} as date){%- endmacro %}

{#- 0 for Sunday to 6 for Saturday. -#}
{% macro _days_since_sunday(date) -%}{{ return(adapter.dispatch('_days_since_sunday', 'dbt_date')(date)) }}{%- endmacro %}
{% macro default___days_since_sunday(date) -%}date_part('dow', {{ dbt_date._day(date) }}){%- endmacro %}
{% macro bigquery___days_since_sunday(date) -%}(extract(dayofweek from {{ dbt_date._day(date) }}) - 1){%- endmacro %}
{% macro snowflake___days_since_sunday(date) -%}dayofweek({{ dbt_date._day(date) }}){%- endmacro %}
{% macro spark___days_since_sunday(date) -%}(dayofweek({{ dbt_date._day(date) }}) - 1){%- endmacro %}

{% macro day_of_week(date, isoweek=true) -%}{{ return(adapter.dispatch('day_of_week', 'dbt_date')(date, isoweek)) }}{%- endmacro %}
{% macro default__day_of_week(date, isoweek=true) -%}
    {%- set days = dbt_date._days_since_sunday(date) -%}
    {{ dbt_date._int('(' ~ days ~ ' + 6) % 7 + 1' if isoweek else days ~ ' + 1') }}
{%- endmacro %}

{% macro day_of_month(date) -%}{{ return(adapter.dispatch('day_of_month', 'dbt_date')(date)) }}{%- endmacro %}
{% macro default__day_of_month(date) -%}{{ dbt_date._int(dbt_date.date_part('day', dbt_date._day(date))) }}{%- endmacro %}
{% macro day_of_year(date) -%}{{ return(adapter.dispatch('day_of_year', 'dbt_date')(date)) }}{%- endmacro %}
{% macro default__day_of_year(date) -%}{{ dbt_date._int(dbt_date.date_part('dayofyear', dbt_date._day(date))) }}{%- endmacro %}

{#- Names, in English. -#}

{% macro _name(number, first, names, short) -%}
    case {{ number }}
        {%- for name in names %} when {{ loop.index0 + first }} then '{{ name[:3] if short else name }}'{% endfor %} end
{%- endmacro %}
{% macro day_name(date, short=true) -%}{{ return(adapter.dispatch('day_name', 'dbt_date')(date, short)) }}{%- endmacro %}
{% macro default__day_name(date, short=true) -%}
    {{ dbt_date._name(dbt_date._days_since_sunday(date), 0, ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'], short) }}
{%- endmacro %}
{% macro month_name(date, short=true, tz=none) -%}{{ return(adapter.dispatch('month_name', 'dbt_date')(date, short)) }}{%- endmacro %}
{% macro default__month_name(date, short=true) -%}
    {%- set months = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December'] -%}
    {{ dbt_date._name(dbt_date.date_part('month', dbt_date._day(date)), 1, months, short) }}
{%- endmacro %}

{#- Weeks: from Sunday to Saturday, and those of ISO 8601 from Monday to Sunday. Without a date, the week of today. -#}

{% macro week_start(date=none, tz=none) -%}{{ return(adapter.dispatch('week_start', 'dbt_date')(date or dbt_date.today(tz))) }}{%- endmacro %}
{% macro default__week_start(date) -%}
    {%- set next_day = dbt.dateadd('day', 1, dbt_date._day(date)) -%}
    {{ dbt_date._day(dbt.dateadd('day', -1, dbt.date_trunc('week', next_day))) }}
{%- endmacro %}
{% macro bigquery__week_start(date) -%}{{ dbt_date._day(dbt.date_trunc('week', date)) }}{%- endmacro %}
{% macro week_end(date=none, tz=none) -%}{{ return(adapter.dispatch('week_end', 'dbt_date')(date or dbt_date.today(tz))) }}{%- endmacro %}
{% macro default__week_end(date) -%}{{ dbt_date._day(dbt.dateadd('day', 6, dbt_date.week_start(date))) }}{%- endmacro %}

{% macro iso_week_start(date=none, tz=none) -%}{{ return(adapter.dispatch('iso_week_start', 'dbt_date')(date or dbt_date.today(tz))) }}{%- endmacro %}
{% macro default__iso_week_start(date) -%}{{ dbt_date._day(dbt.date_trunc('week', dbt_date._day(date))) }}{%- endmacro %}
{% macro bigquery__iso_week_start(date) -%}{{ dbt_date._day(dbt.date_trunc('isoweek', date)) }}{%- endmacro %}
{% macro iso_week_end(date=none, tz=none) -%}{{ return(adapter.dispatch('iso_week_end', 'dbt_date')(date or dbt_date.today(tz))) }}{%- endmacro %}
{% macro default__iso_week_end(date) -%}{{ dbt_date._day(dbt.dateadd('day', 6, dbt_date.iso_week_start(date))) }}{%- endmacro %}

{#- The first seven days of a year are its first week, and so on; some adapters count otherwise. -#}
{% macro week_of_year(date=none, tz=none) -%}{{ return(adapter.dispatch('week_of_year', 'dbt_date')(date or dbt_date.today(tz))) }}{%- endmacro %}
{% macro default__week_of_year(date) -%}{{ dbt_date._int('ceil(' ~ dbt_date.day_of_year(date) ~ ' / 7.0)') }}{%- endmacro %}
{% macro bigquery__week_of_year(date) -%}{{ dbt_date._int('extract(week from ' ~ dbt_date._day(date) ~ ')') }}{%- endmacro %}
{% macro snowflake__week_of_year(date) -%}{{ dbt_date._int("date_part('week', " ~ dbt_date._day(date) ~ ')') }}{%- endmacro %}
{% macro spark__week_of_year(date) -%}{{ dbt_date._int('weekofyear(' ~ dbt_date._day(date) ~ ')') }}{%- endmacro %}
{% macro iso_week_of_year(date=none, tz=none) -%}{{ return(adapter.dispatch('iso_week_of_year', 'dbt_date')(date or dbt_date.today(tz))) }}{%- endmacro %}
{% macro default__iso_week_of_year(date) -%}{{ dbt_date._int("date_part('week', " ~ dbt_date._day(date) ~ ')') }}{%- endmacro %}
{% macro bigquery__iso_week_of_year(date) -%}{{ dbt_date._int('extract(isoweek from ' ~ dbt_date._day(date) ~ ')') }}{%- endmacro %}
{% macro snowflake__iso_week_of_year(date) -%}{{ dbt_date._int('weekiso(' ~ dbt_date._day(date) ~ ')') }}{%- endmacro %}
{% macro spark__iso_week_of_year(date) -%}{{ dbt_date._int('weekofyear(' ~ dbt_date._day(date) ~ ')') }}{%- endmacro %}

{#- Such as 2025-W01, the week that the Monday, 30 December 2024 begins. -#}
{% macro iso_year_week(date=none, tz=none) -%}{{ return(adapter.dispatch('iso_year_week', 'dbt_date')(date or dbt_date.today(tz))) }}{%- endmacro %}
{% macro default__iso_year_week(date) -%}
    {%- set thursday = dbt_date._day(dbt.dateadd('day', 3, dbt_date.iso_week_start(date))) -%}
    {%- set week = 'cast(' ~ dbt_date.iso_week_of_year(date) ~ ' as ' ~ dbt.type_string() ~ ')' -%}
    {{ dbt.concat(['cast(' ~ dbt_date._int(dbt_date.date_part('year', thursday)) ~ ' as ' ~ dbt.type_string() ~ ')', "'-W'", "lpad(" ~ week ~ ", 2, '0')"]) }}
{%- endmacro %}

{#- Time zones: a time as the clocks of another zone show it, without a zone. A time without a zone is one of UTC. -#}

{% macro _zone(tz) -%}{{ return(tz or var('dbt_date:time_zone')) }}{%- endmacro %}
{% macro convert_timezone(column, target_tz=none, source_tz=none) -%}
    {{ return(adapter.dispatch('convert_timezone', 'dbt_date')(column, dbt_date._zone(target_tz), source_tz)) }}
{%- endmacro %}
{% macro default__convert_timezone(column, target_tz, source_tz=none) -%}
    {%- set moment -%}
        {%- if source_tz -%}cast({{ column }} as timestamp) at time zone '{{ source_tz }}'{%- else -%}cast({{ column }} as timestamp with time zone){%- endif -%}
    {%- endset -%}
    cast(({{ moment }}) at time zone '{{ target_tz }}' as timestamp)
{%- endmacro %}
{% macro datafusion__convert_timezone(column, target_tz, source_tz=none) -%}
    to_local_time((cast({{ column }} as timestamp) at time zone '{{ source_tz or 'UTC' }}') at time zone '{{ target_tz }}')
{%- endmacro %}
{% macro bigquery__convert_timezone(column, target_tz, source_tz=none) -%}
    {%- set moment = "timestamp(datetime(" ~ column ~ "), '" ~ source_tz ~ "')" if source_tz else 'cast(' ~ column ~ ' as timestamp)' -%}
    timestamp(datetime({{ moment }}, '{{ target_tz }}'))
{%- endmacro %}
{% macro snowflake__convert_timezone(column, target_tz, source_tz=none) -%}
    convert_timezone('{{ source_tz or 'UTC' }}', '{{ target_tz }}', cast({{ column }} as timestamp_ntz))
{%- endmacro %}
{% macro redshift__convert_timezone(column, target_tz, source_tz=none) -%}
    convert_timezone('{{ source_tz or 'UTC' }}', '{{ target_tz }}', cast({{ column }} as timestamp))
{%- endmacro %}
{% macro spark__convert_timezone(column, target_tz, source_tz=none) -%}
    from_utc_timestamp(to_utc_timestamp({{ column }}, '{{ source_tz or 'UTC' }}'), '{{ target_tz }}')
{%- endmacro %}

{#- Seconds, or parts of them, since 1970. -#}

{% macro from_unixtimestamp(epochs, format='seconds') -%}
    {%- if format not in ['seconds', 'milliseconds', 'microseconds'] -%}
        {{ exceptions.raise_compiler_error("from_unixtimestamp reads seconds, milliseconds or microseconds, not '" ~ format ~ "'") }}
    {%- endif -%}
    {{ return(adapter.dispatch('from_unixtimestamp', 'dbt_date')(epochs, format)) }}
{%- endmacro %}
{% macro default__from_unixtimestamp(epochs, format='seconds') -%}
    {{ dbt.dateadd(format[:-1], epochs, "cast('1970-01-01' as " ~ dbt.type_timestamp() ~ ')') }}
{%- endmacro %}
{% macro duckdb__from_unixtimestamp(epochs, format='seconds') -%}
    {%- set elapsed = {'seconds': 'to_seconds(' ~ epochs, 'milliseconds': 'to_milliseconds(' ~ epochs, 'microseconds': 'to_seconds(' ~ epochs ~ ' / 1000000.0'}[format] ~ ')' -%}
    cast('1970-01-01' as timestamp) + {{ elapsed }}
{%- endmacro %}
{% macro datafusion__from_unixtimestamp(epochs, format='seconds') -%}
    cast({{ {'seconds': 'to_timestamp_seconds', 'milliseconds': 'to_timestamp_millis', 'microseconds': 'to_timestamp_micros'}[format] }}({{ epochs }}) as timestamp)
{%- endmacro %}

{% macro to_unixtimestamp(timestamp) -%}{{ return(adapter.dispatch('to_unixtimestamp', 'dbt_date')(timestamp)) }}{%- endmacro %}
{% macro default__to_unixtimestamp(timestamp) -%}
    cast(floor(date_part('epoch', cast({{ timestamp }} as {{ dbt.type_timestamp() }}))) as {{ dbt.type_bigint() }})
{%- endmacro %}
{% macro duckdb__to_unixtimestamp(timestamp) -%}cast(floor(epoch(cast({{ timestamp }} as timestamp))) as bigint){%- endmacro %}
{% macro bigquery__to_unixtimestamp(timestamp) -%}unix_seconds(cast({{ timestamp }} as timestamp)){%- endmacro %}
{% macro snowflake__to_unixtimestamp(timestamp) -%}date_part('epoch_second', cast({{ timestamp }} as timestamp_ntz)){%- endmacro %}
{% macro spark__to_unixtimestamp(timestamp) -%}unix_timestamp({{ timestamp }}){%- endmacro %}

{% macro round_timestamp(timestamp) -%}{{ return(adapter.dispatch('round_timestamp', 'dbt_date')(timestamp)) }}{%- endmacro %}
{% macro default__round_timestamp(timestamp) -%}
    {%- set moment = 'cast(' ~ timestamp ~ ' as ' ~ dbt.type_timestamp() ~ ')' -%}
    {{ dbt.date_trunc('day', dbt.dateadd('hour', 12, moment)) }}
{%- endmacro %}
