{#- Of dbt_date: rows of dates, the date dimension and the fiscal calendar. -#}

{% macro get_powers_of_two(upper_bound) -%}{{ return(dbt.get_powers_of_two(upper_bound)) }}{%- endmacro %}
{% macro generate_series(upper_bound) -%}{{ return(adapter.dispatch('generate_series', 'dbt_date')(upper_bound)) }}{%- endmacro %}
{% macro default__generate_series(upper_bound) -%}{{ return(dbt.generate_series(upper_bound)) }}{%- endmacro %}
{% macro get_intervals_between(start_date, end_date, datepart) -%}
    {{ return(adapter.dispatch('get_intervals_between', 'dbt_date')(start_date, end_date, datepart)) }}
{%- endmacro %}
{% macro default__get_intervals_between(start_date, end_date, datepart) -%}
    {{ return(dbt.get_intervals_between(start_date, end_date, datepart)) }}
{%- endmacro %}
{% macro date_spine(datepart, start_date, end_date) -%}
    {{ return(adapter.dispatch('date_spine', 'dbt_date')(datepart, start_date, end_date)) }}
{%- endmacro %}
{% macro default__date_spine(datepart, start_date, end_date) -%}{{ return(dbt.date_spine(datepart, start_date, end_date)) }}{%- endmacro %}

{% macro get_base_dates(start_date=none, end_date=none, n_dateparts=none, datepart='day') -%}
    {{ return(adapter.dispatch('get_base_dates', 'dbt_date')(start_date, end_date, n_dateparts, datepart)) }}
{%- endmacro %}
{% macro default__get_base_dates(start_date, end_date, n_dateparts, datepart) -%}
    {%- set type = dbt.type_timestamp() -%}
    {%- if start_date and end_date -%}
        {%- set first = "cast('" ~ start_date ~ "' as " ~ type ~ ')' -%}
        {%- set beyond = "cast('" ~ end_date ~ "' as " ~ type ~ ')' -%}
    {%- elif n_dateparts -%}
        {%- set first = 'cast(' ~ dbt.dateadd(datepart, -1 * n_dateparts, dbt_date.today()) ~ ' as ' ~ type ~ ')' -%}
        {%- set beyond = 'cast(' ~ dbt_date.tomorrow() ~ ' as ' ~ type ~ ')' -%}
    {%- else -%}
        {{ exceptions.raise_compiler_error('get_base_dates needs start_date and end_date, or n_dateparts') }}
    {%- endif -%}
    select cast(spine.date_{{ datepart }} as {{ type }}) as date_{{ datepart }}
    from (
        {{ dbt_date.date_spine(datepart, first, beyond) }}
    ) spine
{%- endmacro %}

{% macro get_date_dimension(start_date, end_date) -%}
    {{ return(adapter.dispatch('get_date_dimension', 'dbt_date')(start_date, end_date)) }}
{%- endmacro %}
{% macro default__get_date_dimension(start_date, end_date) %}
{%- set day = 'days.date_day' -%}
{%- set year_ago = 'days.prior_year_date_day' -%}
{#- The same day of the week a year ago. -#}
{%- set weekday_ago = 'days.prior_year_over_year_date_day' -%}
with base_dates as (
    select {{ dbt_date._day('date_day') }} as date_day
    from ({{ dbt_date.get_base_dates(start_date, end_date) }}) spine
),

days as (
    select
        date_day,
        {{ dbt_date._day(dbt.dateadd('year', -1, 'date_day')) }} as prior_year_date_day,
        {{ dbt_date._day(dbt.dateadd('day', -364, 'date_day')) }} as prior_year_over_year_date_day
    from base_dates
)

select
    days.date_day,
    {{ dbt_date.yesterday(day) }} as prior_date_day,
    {{ dbt_date.tomorrow(day) }} as next_date_day,
    days.prior_year_date_day,
    days.prior_year_over_year_date_day,
    {{ dbt_date.day_of_week(day, isoweek=false) }} as day_of_week,
    {{ dbt_date.day_of_week(day) }} as day_of_week_iso,
    {{ dbt_date.day_name(day, short=false) }} as day_of_week_name,
    {{ dbt_date.day_name(day) }} as day_of_week_name_short,
    {{ dbt_date.day_of_month(day) }} as day_of_month,
    {{ dbt_date.day_of_year(day) }} as day_of_year,

    {{ dbt_date.week_start(day) }} as week_start_date,
    {{ dbt_date.week_end(day) }} as week_end_date,
    {{ dbt_date.week_start(weekday_ago) }} as prior_year_week_start_date,
    {{ dbt_date.week_end(weekday_ago) }} as prior_year_week_end_date,
    {{ dbt_date.week_of_year(day) }} as week_of_year,
    {{ dbt_date.iso_week_start(day) }} as iso_week_start_date,
    {{ dbt_date.iso_week_end(day) }} as iso_week_end_date,
    {{ dbt_date.iso_week_start(weekday_ago) }} as prior_year_iso_week_start_date,
    {{ dbt_date.iso_week_end(weekday_ago) }} as prior_year_iso_week_end_date,
    {{ dbt_date.iso_week_of_year(day) }} as iso_week_of_year,
    {{ dbt_date.week_of_year(weekday_ago) }} as prior_year_week_of_year,
    {{ dbt_date.iso_week_of_year(weekday_ago) }} as prior_year_iso_week_of_year,

    {{ dbt_date._int(dbt_date.date_part('month', day)) }} as month_of_year,
    {{ dbt_date.month_name(day, short=false) }} as month_name,
    {{ dbt_date.month_name(day) }} as month_name_short,
    {{ dbt_date._day(dbt.date_trunc('month', day)) }} as month_start_date,
    {{ dbt_date._day(dbt.last_day(day, 'month')) }} as month_end_date,
    {{ dbt_date._day(dbt.date_trunc('month', year_ago)) }} as prior_year_month_start_date,
    {{ dbt_date._day(dbt.last_day(year_ago, 'month')) }} as prior_year_month_end_date,
    {{ dbt_date._int(dbt_date.date_part('quarter', day)) }} as quarter_of_year,
    {{ dbt_date._day(dbt.date_trunc('quarter', day)) }} as quarter_start_date,
    {{ dbt_date._day(dbt.last_day(day, 'quarter')) }} as quarter_end_date,
    {{ dbt_date._int(dbt_date.date_part('year', day)) }} as year_number,
    {{ dbt_date._day(dbt.date_trunc('year', day)) }} as year_start_date,
    {{ dbt_date._day(dbt.last_day(day, 'year')) }} as year_end_date
from days
order by days.date_day
{% endmacro %}

{#- A fiscal year ends with the week whose last day is nearest to the end of the month `year_end_month`: at most three days from it. Weeks begin on the day `week_start_day`: 1 for Sunday to 7. A year is called after that in which it ends, less `shift_year`.
    `dates` is a relation with the columns of get_date_dimension. -#}
{% macro get_fiscal_year_dates(dates, year_end_month=12, week_start_day=1, shift_year=1) -%}
    {{ return(adapter.dispatch('get_fiscal_year_dates', 'dbt_date')(dates, year_end_month, week_start_day, shift_year)) }}
{%- endmacro %}
{% macro default__get_fiscal_year_dates(dates, year_end_month, week_start_day, shift_year) %}
with weeks as (
    select
        date_day as week_start_date,
        {{ dbt_date._day(dbt.dateadd('day', 6, 'date_day')) }} as week_end_date,
        year_number - {{ shift_year }} as fiscal_year_number,
        month_of_year,
        month_end_date
    from {{ dates }}
    where day_of_week = {{ week_start_day }}
),

last_weeks as (
    select fiscal_year_number, week_end_date
    from weeks
    where month_of_year = {{ year_end_month }}
        and week_end_date between {{ dbt_date._day(dbt.dateadd('day', -3, 'month_end_date')) }} and {{ dbt_date._day(dbt.dateadd('day', 3, 'month_end_date')) }}
),

year_ends as (
    select
        fiscal_year_number,
        lag(week_end_date) over (order by week_end_date) as previous_year_end_date,
        week_end_date as fiscal_year_end_date
    from last_weeks
),

fiscal_years as (
    select
        fiscal_year_number,
        {{ dbt_date._day(dbt.dateadd('day', 1, 'previous_year_end_date')) }} as fiscal_year_start_date,
        fiscal_year_end_date
    from year_ends
    where previous_year_end_date is not null
)

select
    days.date_day,
    fiscal_years.fiscal_year_number,
    fiscal_years.fiscal_year_start_date,
    fiscal_years.fiscal_year_end_date,
    weeks.week_start_date,
    weeks.week_end_date,
    {{ dbt_date._int('(' ~ dbt.datediff('fiscal_years.fiscal_year_start_date', 'weeks.week_start_date', 'day') ~ ') / 7') }} + 1 as fiscal_week_of_year
from {{ dates }} as days
inner join fiscal_years on days.date_day between fiscal_years.fiscal_year_start_date and fiscal_years.fiscal_year_end_date
inner join weeks on days.date_day between weeks.week_start_date and weeks.week_end_date
{% endmacro %}

{#- Quarters of thirteen weeks, whose periods have four, five and four; a 53rd week belongs to the last period. -#}
{% macro get_fiscal_periods(dates, year_end_month, week_start_day, shift_year=1) -%}
    {{ return(adapter.dispatch('get_fiscal_periods', 'dbt_date')(dates, year_end_month, week_start_day, shift_year)) }}
{%- endmacro %}
{% macro default__get_fiscal_periods(dates, year_end_month, week_start_day, shift_year=1) %}
with fiscal_days as (
    select
        years.*,
        case when fiscal_week_of_year = 53 then 4 else {{ dbt_date._int('floor((fiscal_week_of_year - 1) / 13.0)') }} + 1 end as fiscal_quarter_number,
        case when fiscal_week_of_year = 53 then 14 else (fiscal_week_of_year - 1) % 13 + 1 end as week_of_quarter
    from ({{ dbt_date.get_fiscal_year_dates(dates, year_end_month, week_start_day, shift_year) }}) years
),

periods as (
    select
        fiscal_days.*,
        case when week_of_quarter <= 4 then 1 when week_of_quarter <= 9 then 2 else 3 end as fiscal_period_of_quarter
    from fiscal_days
)

select
    date_day,
    fiscal_year_number,
    week_start_date,
    week_end_date,
    fiscal_week_of_year,
    week_of_quarter - case fiscal_period_of_quarter when 1 then 0 when 2 then 4 else 9 end as fiscal_week_of_period,
    (fiscal_quarter_number - 1) * 3 + fiscal_period_of_quarter as fiscal_period_number,
    fiscal_quarter_number,
    fiscal_period_of_quarter
from periods
{% endmacro %}
