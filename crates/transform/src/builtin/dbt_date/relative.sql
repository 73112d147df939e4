{#- Of dbt_date: dates counted from today, in the zone `tz` or that of the variable dbt_date:time_zone. -#}

{% macro now(tz=none) -%}{{ return(adapter.dispatch('now', 'dbt_date')(tz)) }}{%- endmacro %}
{% macro default__now(tz=none) -%}{{ dbt_date.convert_timezone(dbt.current_timestamp(), tz) }}{%- endmacro %}
{% macro today(tz=none) -%}{{ return(adapter.dispatch('today', 'dbt_date')(tz)) }}{%- endmacro %}
{% macro default__today(tz=none) -%}{{ dbt_date._day(dbt_date.now(tz)) }}{%- endmacro %}

{% macro n_days_away(n, date=none, tz=none) -%}{{ return(adapter.dispatch('n_days_away', 'dbt_date')(n, date, tz)) }}{%- endmacro %}
{% macro default__n_days_away(n, date=none, tz=none) -%}
    {{ dbt_date._day(dbt.dateadd('day', n | int, dbt_date._day(date) if date else dbt_date.today(tz))) }}
{%- endmacro %}
{% macro n_days_ago(n, date=none, tz=none) -%}{{ return(adapter.dispatch('n_days_ago', 'dbt_date')(n, date, tz)) }}{%- endmacro %}
{% macro default__n_days_ago(n, date=none, tz=none) -%}{{ dbt_date.n_days_away(-1 * (n | int), date, tz) }}{%- endmacro %}
{% macro tomorrow(date=none, tz=none) -%}{{ dbt_date.n_days_away(1, date, tz) }}{%- endmacro %}
{% macro yesterday(date=none, tz=none) -%}{{ dbt_date.n_days_ago(1, date, tz) }}{%- endmacro %}

{#- The first day of a week (that of the adapter's date_trunc) or month before or after this one. -#}
{% macro _start_of(period, n, tz) -%}
    {{ dbt_date._day(dbt.date_trunc(period, dbt.dateadd(period, n, dbt_date.today(tz)))) }}
{%- endmacro %}
{% macro n_weeks_away(n, tz=none) -%}{{ return(adapter.dispatch('n_weeks_away', 'dbt_date')(n, tz)) }}{%- endmacro %}
{% macro default__n_weeks_away(n, tz=none) -%}{{ dbt_date._start_of('week', n | int, tz) }}{%- endmacro %}
{% macro n_weeks_ago(n, tz=none) -%}{{ return(adapter.dispatch('n_weeks_ago', 'dbt_date')(n, tz)) }}{%- endmacro %}
{% macro default__n_weeks_ago(n, tz=none) -%}{{ dbt_date._start_of('week', -1 * (n | int), tz) }}{%- endmacro %}
{% macro next_week(tz=none) -%}{{ dbt_date.n_weeks_away(1, tz) }}{%- endmacro %}
{% macro last_week(tz=none) -%}{{ dbt_date.n_weeks_ago(1, tz) }}{%- endmacro %}

{% macro n_months_away(n, tz=none) -%}{{ return(adapter.dispatch('n_months_away', 'dbt_date')(n, tz)) }}{%- endmacro %}
{% macro default__n_months_away(n, tz=none) -%}{{ dbt_date._start_of('month', n | int, tz) }}{%- endmacro %}
{% macro n_months_ago(n, tz=none) -%}{{ return(adapter.dispatch('n_months_ago', 'dbt_date')(n, tz)) }}{%- endmacro %}
{% macro default__n_months_ago(n, tz=none) -%}{{ dbt_date._start_of('month', -1 * (n | int), tz) }}{%- endmacro %}
{% macro next_month(tz=none) -%}{{ dbt_date.n_months_away(1, tz) }}{%- endmacro %}
{% macro last_month(tz=none) -%}{{ dbt_date.n_months_ago(1, tz) }}{%- endmacro %}

{% macro next_month_name(short=true, tz=none) -%}{{ dbt_date.month_name(dbt_date.next_month(tz), short) }}{%- endmacro %}
{% macro last_month_name(short=true, tz=none) -%}{{ dbt_date.month_name(dbt_date.last_month(tz), short) }}{%- endmacro %}
{% macro next_month_number(tz=none) -%}{{ dbt_date.date_part('month', dbt_date.next_month(tz)) }}{%- endmacro %}
{% macro last_month_number(tz=none) -%}{{ dbt_date.date_part('month', dbt_date.last_month(tz)) }}{%- endmacro %}

{% macro periods_since(date_col, period_name='day', tz=none) -%}{{ dbt.datediff(date_col, dbt_date.now(tz), period_name) }}{%- endmacro %}

{#- Values of templates, not SQL. -#}

{% macro date(year, month, day) -%}{{ return(modules.datetime.date(year, month, day)) }}{%- endmacro %}
{% macro datetime(year, month, day, hour=0, minute=0, second=0, microsecond=0, tz=none) -%}
    {%- if tz -%}
        {{ return(modules.datetime.datetime(year, month, day, hour, minute, second, microsecond, tzinfo=modules.pytz.timezone(tz))) }}
    {%- endif -%}
    {{ return(modules.datetime.datetime(year, month, day, hour, minute, second, microsecond)) }}
{%- endmacro %}
