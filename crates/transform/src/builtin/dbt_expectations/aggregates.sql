{#- Of dbt_expectations: tests of figures of a whole column, by group when asked, and of how its values are distributed. -#}

{% test expect_column_distinct_count_to_equal(model, column_name, value, quote_values=false, group_by=none, row_condition=none) %}
{{ return(adapter.dispatch('test_expect_column_distinct_count_to_equal', 'dbt_expectations')(model, column_name, value, quote_values, group_by, row_condition)) }}
{% endtest %}
{% macro default__test_expect_column_distinct_count_to_equal(model, column_name, value, quote_values=false, group_by=none, row_condition=none) %}
{{ dbt_expectations.expression_is_true(model, 'count(distinct ' ~ column_name ~ ') = ' ~ value, group_by_columns=group_by, row_condition=row_condition) }}
{% endmacro %}

{% test expect_column_distinct_count_to_be_greater_than(model, column_name, value, quote_values=false, group_by=none, row_condition=none) %}
{{ return(adapter.dispatch('test_expect_column_distinct_count_to_be_greater_than', 'dbt_expectations')(model, column_name, value, quote_values, group_by, row_condition)) }}
{% endtest %}
{% macro default__test_expect_column_distinct_count_to_be_greater_than(model, column_name, value, quote_values=false, group_by=none, row_condition=none) %}
{{ dbt_expectations.expression_is_true(model, 'count(distinct ' ~ column_name ~ ') > ' ~ value, group_by_columns=group_by, row_condition=row_condition) }}
{% endmacro %}

{% test expect_column_distinct_count_to_be_less_than(model, column_name, value, quote_values=false, group_by=none, row_condition=none) %}
{{ return(adapter.dispatch('test_expect_column_distinct_count_to_be_less_than', 'dbt_expectations')(model, column_name, value, quote_values, group_by, row_condition)) }}
{% endtest %}
{% macro default__test_expect_column_distinct_count_to_be_less_than(model, column_name, value, quote_values=false, group_by=none, row_condition=none) %}
{{ dbt_expectations.expression_is_true(model, 'count(distinct ' ~ column_name ~ ') < ' ~ value, group_by_columns=group_by, row_condition=row_condition) }}
{% endmacro %}

{% test expect_column_distinct_count_to_equal_other_table(model, compare_model=none, column_name=none, compare_column_name=none, row_condition=none, compare_row_condition=none) %}
{{ return(adapter.dispatch('test_expect_column_distinct_count_to_equal_other_table', 'dbt_expectations')(model, compare_model, column_name, compare_column_name, row_condition, compare_row_condition)) }}
{% endtest %}
{% macro default__test_expect_column_distinct_count_to_equal_other_table(model, compare_model=none, column_name=none, compare_column_name=none, row_condition=none, compare_row_condition=none) %}
{%- set other_name = compare_column_name or column_name -%}
{{ dbt_expectations.equal_expression(model, 'count(distinct ' ~ column_name ~ ')', compare_model or model, 'count(distinct ' ~ other_name ~ ')', row_condition=row_condition, compare_row_condition=compare_row_condition) }}
{% endmacro %}

{% test expect_column_distinct_values_to_be_in_set(model, column_name, value_set, quote_values=true, row_condition=none) %}
{{ return(adapter.dispatch('test_expect_column_distinct_values_to_be_in_set', 'dbt_expectations')(model, column_name, value_set, quote_values, row_condition)) }}
{% endtest %}
{% macro default__test_expect_column_distinct_values_to_be_in_set(model, column_name, value_set, quote_values=true, row_condition=none) %}
{{ dbt_expectations._without(dbt_expectations._all_values(model, column_name, row_condition, true), dbt_expectations._set_values(value_set, quote_values)) }}
{% endmacro %}

{% test expect_column_distinct_values_to_contain_set(model, column_name, value_set, quote_values=true, row_condition=none) %}
{{ return(adapter.dispatch('test_expect_column_distinct_values_to_contain_set', 'dbt_expectations')(model, column_name, value_set, quote_values, row_condition)) }}
{% endtest %}
{% macro default__test_expect_column_distinct_values_to_contain_set(model, column_name, value_set, quote_values=true, row_condition=none) %}
{{ dbt_expectations._without(dbt_expectations._set_values(value_set, quote_values), dbt_expectations._all_values(model, column_name, row_condition, true)) }}
{% endmacro %}

{% test expect_column_distinct_values_to_equal_set(model, column_name, value_set, quote_values=true, row_condition=none) %}
{{ return(adapter.dispatch('test_expect_column_distinct_values_to_equal_set', 'dbt_expectations')(model, column_name, value_set, quote_values, row_condition)) }}
{% endtest %}
{% macro default__test_expect_column_distinct_values_to_equal_set(model, column_name, value_set, quote_values=true, row_condition=none) %}
{%- set in_column = dbt_expectations._all_values(model, column_name, row_condition, true) -%}
{%- set in_set = dbt_expectations._set_values(value_set, quote_values) -%}
select cast(value_field as {{ dbt.type_string() }}) as value_field from ({{ dbt_expectations._without(in_column, in_set) }}) only_in_column
union all
select cast(value_field as {{ dbt.type_string() }}) as value_field from ({{ dbt_expectations._without(in_set, in_column) }}) only_in_set
{% endmacro %}

{% test expect_column_most_common_value_to_be_in_set(model, column_name, value_set, top_n, quote_values=true, data_type='decimal', row_condition=none, strictly=false) %}
{{ return(adapter.dispatch('test_expect_column_most_common_value_to_be_in_set', 'dbt_expectations')(model, column_name, value_set, top_n, quote_values, data_type, row_condition, strictly)) }}
{% endtest %}
{% macro default__test_expect_column_most_common_value_to_be_in_set(model, column_name, value_set, top_n, quote_values=true, data_type='decimal', row_condition=none, strictly=false) %}
{%- set common -%}
    select {{ column_name if quote_values else 'cast(' ~ column_name ~ ' as ' ~ data_type ~ ')' }} as value_field
    from (
        select {{ column_name }}, row_number() over (order by count(*) desc) as value_count_rank
        from {{ model }}
        {{ dbt_expectations._where(row_condition) }}
        group by {{ column_name }}
    ) ranked
    where value_count_rank <= {{ top_n }}
{%- endset -%}
{{ dbt_expectations._without(common, dbt_expectations._set_values(value_set, quote_values)) }}
{% endmacro %}

{% test expect_column_max_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ return(adapter.dispatch('test_expect_column_max_to_be_between', 'dbt_expectations')(model, column_name, min_value, max_value, group_by, row_condition, strictly)) }}
{% endtest %}
{% macro default__test_expect_column_max_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ dbt_expectations.expression_between(model, 'max(' ~ column_name ~ ')', min_value, max_value, group_by, row_condition, strictly) }}
{% endmacro %}

{% test expect_column_min_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ return(adapter.dispatch('test_expect_column_min_to_be_between', 'dbt_expectations')(model, column_name, min_value, max_value, group_by, row_condition, strictly)) }}
{% endtest %}
{% macro default__test_expect_column_min_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ dbt_expectations.expression_between(model, 'min(' ~ column_name ~ ')', min_value, max_value, group_by, row_condition, strictly) }}
{% endmacro %}

{% test expect_column_mean_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ return(adapter.dispatch('test_expect_column_mean_to_be_between', 'dbt_expectations')(model, column_name, min_value, max_value, group_by, row_condition, strictly)) }}
{% endtest %}
{% macro default__test_expect_column_mean_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ dbt_expectations.expression_between(model, 'avg(' ~ column_name ~ ')', min_value, max_value, group_by, row_condition, strictly) }}
{% endmacro %}

{% test expect_column_median_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ return(adapter.dispatch('test_expect_column_median_to_be_between', 'dbt_expectations')(model, column_name, min_value, max_value, group_by, row_condition, strictly)) }}
{% endtest %}
{% macro default__test_expect_column_median_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ dbt_expectations.expression_between(model, dbt_expectations.median(column_name), min_value, max_value, group_by, row_condition, strictly) }}
{% endmacro %}

{% test expect_column_sum_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ return(adapter.dispatch('test_expect_column_sum_to_be_between', 'dbt_expectations')(model, column_name, min_value, max_value, group_by, row_condition, strictly)) }}
{% endtest %}
{% macro default__test_expect_column_sum_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ dbt_expectations.expression_between(model, 'sum(' ~ column_name ~ ')', min_value, max_value, group_by, row_condition, strictly) }}
{% endmacro %}

{% test expect_column_stdev_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ return(adapter.dispatch('test_expect_column_stdev_to_be_between', 'dbt_expectations')(model, column_name, min_value, max_value, group_by, row_condition, strictly)) }}
{% endtest %}
{% macro default__test_expect_column_stdev_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ dbt_expectations.expression_between(model, 'stddev(' ~ column_name ~ ')', min_value, max_value, group_by, row_condition, strictly) }}
{% endmacro %}

{% test expect_column_quantile_values_to_be_between(model, column_name, quantile, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ return(adapter.dispatch('test_expect_column_quantile_values_to_be_between', 'dbt_expectations')(model, column_name, quantile, min_value, max_value, group_by, row_condition, strictly)) }}
{% endtest %}
{% macro default__test_expect_column_quantile_values_to_be_between(model, column_name, quantile, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ dbt_expectations.expression_between(model, dbt_expectations.percentile_cont(column_name, quantile), min_value, max_value, group_by, row_condition, strictly) }}
{% endmacro %}

{% test expect_column_unique_value_count_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ return(adapter.dispatch('test_expect_column_unique_value_count_to_be_between', 'dbt_expectations')(model, column_name, min_value, max_value, group_by, row_condition, strictly)) }}
{% endtest %}
{% macro default__test_expect_column_unique_value_count_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ dbt_expectations.expression_between(model, 'count(distinct ' ~ column_name ~ ')', min_value, max_value, group_by, row_condition, strictly) }}
{% endmacro %}

{% test expect_column_proportion_of_unique_values_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{{ return(adapter.dispatch('test_expect_column_proportion_of_unique_values_to_be_between', 'dbt_expectations')(model, column_name, min_value, max_value, group_by, row_condition, strictly)) }}
{% endtest %}
{% macro default__test_expect_column_proportion_of_unique_values_to_be_between(model, column_name, min_value=none, max_value=none, group_by=none, row_condition=none, strictly=false) %}
{%- set proportion = 'cast(count(distinct ' ~ column_name ~ ') as ' ~ dbt.type_float() ~ ') / count(' ~ column_name ~ ')' -%}
{{ dbt_expectations.expression_between(model, proportion, min_value, max_value, group_by, row_condition, strictly) }}
{% endmacro %}

{% test expect_column_values_to_be_within_n_stdevs(model, column_name, group_by=none, sigma_threshold=3) %}
{{ return(adapter.dispatch('test_expect_column_values_to_be_within_n_stdevs', 'dbt_expectations')(model, column_name, group_by, sigma_threshold)) }}
{% endtest %}
{% macro default__test_expect_column_values_to_be_within_n_stdevs(model, column_name, group_by=none, sigma_threshold=3) %}
with metric_values as (
    {%- if group_by %}
    select {{ group_by if group_by is string else group_by | join(', ') }}, sum({{ column_name }}) as metric_value
    from {{ model }}
    group by {{ group_by if group_by is string else group_by | join(', ') }}
    {%- else %}
    select {{ column_name }} as metric_value from {{ model }}
    {%- endif %}
),

moments as (
    select metric_values.*, avg(metric_value) over () as metric_average, stddev(metric_value) over () as metric_stdev
    from metric_values
)

select *
from (select moments.*, (metric_value - metric_average) / nullif(metric_stdev, 0) as metric_sigma from moments) distances
where abs(metric_sigma) > {{ sigma_threshold }}
{% endmacro %}

{% test expect_column_values_to_be_within_n_moving_stdevs(model, column_name, date_column_name, group_by=none, period='day', lookback_periods=1, trend_periods=7, test_periods=14, sigma_threshold=3, sigma_threshold_upper=none, sigma_threshold_lower=none, take_diffs=true, take_logs=true) %}
{{ return(adapter.dispatch('test_expect_column_values_to_be_within_n_moving_stdevs', 'dbt_expectations')(model, column_name, date_column_name, group_by, period, lookback_periods, trend_periods, test_periods, sigma_threshold, sigma_threshold_upper, sigma_threshold_lower, take_diffs, take_logs)) }}
{% endtest %}
{% macro default__test_expect_column_values_to_be_within_n_moving_stdevs(model, column_name, date_column_name, group_by=none, period='day', lookback_periods=1, trend_periods=7, test_periods=14, sigma_threshold=3, sigma_threshold_upper=none, sigma_threshold_lower=none, take_diffs=true, take_logs=true) %}
{%- set upper = sigma_threshold if sigma_threshold_upper is none else sigma_threshold_upper -%}
{%- set lower = -1 * sigma_threshold if sigma_threshold_lower is none else sigma_threshold_lower -%}
{%- if upper <= lower -%}
    {{ exceptions.raise_compiler_error('sigma_threshold_upper must be above sigma_threshold_lower') }}
{%- endif -%}
{%- set keys = [group_by] if group_by is string else group_by or [] -%}
{%- set partition = 'partition by ' ~ keys | join(', ') ~ ' ' if keys else '' -%}
{%- set this_period = dbt.date_trunc(period, dbt_date.now()) -%}
with metric_values as (
    select
        {{ dbt_expectations._columns(keys) }}{{ dbt.date_trunc(period, date_column_name) }} as metric_period,
        sum({{ column_name }}) as agg_metric_value
    from {{ model }}
    group by {{ dbt_expectations._columns(keys) }}{{ dbt.date_trunc(period, date_column_name) }}
),

measured as (
    select
        metric_values.*,
        coalesce({{ dbt_expectations.log_natural('nullif(agg_metric_value, 0)') if take_logs else 'agg_metric_value' }}, 0) as metric_test_value
    from metric_values
),

changes as (
    select
        {{ dbt_expectations._columns(keys) }}metric_period,
        agg_metric_value,
        metric_test_value{% if take_diffs %} - lag(metric_test_value, {{ lookback_periods }}) over ({{ partition }}order by metric_period){% endif %} as metric_test_value
    from measured
),

moments as (
    select
        changes.*,
        avg(metric_test_value) over ({{ partition }}order by metric_period rows between {{ trend_periods }} preceding and 1 preceding) as metric_test_rolling_average,
        stddev(metric_test_value) over ({{ partition }}order by metric_period rows between {{ trend_periods }} preceding and 1 preceding) as metric_test_rolling_stddev
    from changes
)

select *
from (
    select moments.*, (metric_test_value - metric_test_rolling_average) / nullif(metric_test_rolling_stddev, 0) as metric_test_value_sigma
    from moments
) distances
where metric_period >= cast({{ dbt.dateadd(period, -1 * test_periods, this_period) }} as {{ dbt.type_timestamp() }})
    and metric_period < cast({{ this_period }} as {{ dbt.type_timestamp() }})
    and not (metric_test_value_sigma >= {{ lower }} and metric_test_value_sigma <= {{ upper }})
{% endmacro %}

{% test expect_row_values_to_have_data_for_every_n_datepart(model, date_col, date_part='day', interval=none, row_condition=none, exclusion_condition=none, test_start_date=none, test_end_date=none) %}
{{ return(adapter.dispatch('test_expect_row_values_to_have_data_for_every_n_datepart', 'dbt_expectations')(model, date_col, date_part, interval, row_condition, exclusion_condition, test_start_date, test_end_date)) }}
{% endtest %}
{% macro default__test_expect_row_values_to_have_data_for_every_n_datepart(model, date_col, date_part='day', interval=none, row_condition=none, exclusion_condition=none, test_start_date=none, test_end_date=none) %}
{%- if not execute -%}{{ return('') }}{%- endif -%}
{%- set type = dbt.type_timestamp() -%}
{%- set truncated = 'cast(' ~ dbt.date_trunc(date_part, date_col) ~ ' as ' ~ type ~ ')' -%}
{%- if not test_start_date or not test_end_date -%}
    {%- set range_query -%}
        select
            cast(min({{ truncated }}) as {{ dbt.type_string() }}) as first_date,
            cast({{ dbt.dateadd(date_part, 1, 'max(' ~ truncated ~ ')') }} as {{ dbt.type_string() }}) as beyond
        from {{ model }}
        {{ dbt_expectations._where(row_condition) }}
    {%- endset -%}
    {%- set found = run_query(range_query).rows[0] -%}
{%- endif -%}
{%- set start_date = test_start_date or found[0] -%}
{%- set end_date = test_end_date or found[1] -%}
{%- if start_date is none -%}{{ return(dbt_expectations._as_rows([])) }}{%- endif -%}
{%- set first = "cast('" ~ start_date ~ "' as " ~ type ~ ')' -%}
with spine as (
    select cast(date_{{ date_part }} as {{ type }}) as date_{{ date_part }}
    from ({{ dbt_date.get_base_dates(start_date, end_date, datepart=date_part) }}) days
    {%- if interval %}
    where {{ dbt.datediff(first, 'date_' ~ date_part, date_part) }} % {{ interval }} = 0
    {%- endif %}
),

periods as (
    select {{ 'cast(' ~ dbt.dateadd(date_part, '-1 * (' ~ dbt.datediff(first, truncated, date_part) ~ ' % ' ~ interval ~ ')', truncated) ~ ' as ' ~ type ~ ')' if interval else truncated }} as period_start
    from {{ model }}
    {{ dbt_expectations._where(row_condition) }}
)

select *
from (
    select spine.date_{{ date_part }}, count(periods.period_start) as row_cnt
    from spine
    left join periods on spine.date_{{ date_part }} = periods.period_start
    group by spine.date_{{ date_part }}
) counted
where row_cnt = 0
    {{- ' and (' ~ exclusion_condition ~ ')' if exclusion_condition }}
{% endmacro %}
