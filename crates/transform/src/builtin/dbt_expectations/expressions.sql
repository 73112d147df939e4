{#- The package dbt_expectations, where a project has no folder of that name: the expressions its tests are made of. -#}

{% macro _where(row_condition) -%}{{ 'where ' ~ row_condition if row_condition }}{%- endmacro %}
{% macro _columns(columns) -%}{{ return(columns | join(', ') ~ ', ' if columns else '') }}{%- endmacro %}
{% macro _group_by(columns) -%}{{ 'group by ' ~ columns | join(', ') if columns }}{%- endmacro %}
{% macro group_by(n) -%}{{ 'group by ' ~ range(1, n + 1) | join(',') if n }}{%- endmacro %}

{#- Rows, or groups, of which an expression is false. One that is null is not false. -#}
{% macro expression_is_true(model, expression, test_condition='= true', group_by_columns=none, row_condition=none) -%}
    {{ return(adapter.dispatch('expression_is_true', 'dbt_expectations')(model, expression, test_condition, group_by_columns, row_condition)) }}
{%- endmacro %}
{% macro default__expression_is_true(model, expression, test_condition='= true', group_by_columns=none, row_condition=none) -%}
select *
from (
    select {{ dbt_expectations._columns(group_by_columns) }}{{ dbt_expectations.truth_expression(expression) }}
    from {{ model }}
    {{ dbt_expectations._where(row_condition) }}
    {{ dbt_expectations._group_by(group_by_columns) }}
) checked
where not (expression {{ test_condition }})
{%- endmacro %}

{% macro truth_expression(expression) -%}{{ return(adapter.dispatch('truth_expression', 'dbt_expectations')(expression)) }}{%- endmacro %}
{% macro default__truth_expression(expression) -%}({{ expression }}) as expression{%- endmacro %}

{% macro expression_between(model, expression, min_value=none, max_value=none, group_by_columns=none, row_condition=none, strictly=false) -%}
    {%- if min_value is none and max_value is none -%}
        {{ exceptions.raise_compiler_error('this test needs min_value, max_value or both') }}
    {%- endif -%}
    {%- set or_equal = '' if strictly else '=' -%}
    {%- set bounds = [] -%}
    {%- if min_value is not none -%}{%- do bounds.append(expression ~ ' >' ~ or_equal ~ ' ' ~ min_value) -%}{%- endif -%}
    {%- if max_value is not none -%}{%- do bounds.append(expression ~ ' <' ~ or_equal ~ ' ' ~ max_value) -%}{%- endif -%}
    {{ return(dbt_expectations.expression_is_true(model, bounds | join(' and '), group_by_columns=group_by_columns, row_condition=row_condition)) }}
{%- endmacro %}

{#- Groups in which two expressions differ by more than is tolerated. A group that one side lacks counts as zero there. What is not said
    of the other side is as on this one. -#}
{% macro equal_expression(model, expression, compare_model=none, compare_expression=none, group_by=none, compare_group_by=none, row_condition=none, compare_row_condition=none, tolerance=0.0, tolerance_percent=none) -%}
    {{ return(adapter.dispatch('equal_expression', 'dbt_expectations')(model, expression, compare_model or model, compare_expression or expression, group_by, compare_group_by or group_by, row_condition, compare_row_condition or row_condition, tolerance, tolerance_percent)) }}
{%- endmacro %}
{% macro default__equal_expression(model, expression, compare_model, compare_expression, group_by, compare_group_by, row_condition, compare_row_condition, tolerance, tolerance_percent) -%}
{%- set places = range(group_by | length) if group_by else [] -%}
with a as (
    select {% for place in places %}{{ group_by[place] }} as col_{{ place + 1 }}, {% endfor %}{{ expression }} as expression
    from {{ model }}
    {{ dbt_expectations._where(row_condition) }}
    {{ dbt_expectations._group_by(group_by) }}
),

b as (
    select {% for place in places %}{{ compare_group_by[place] }} as col_{{ place + 1 }}, {% endfor %}{{ compare_expression }} as expression
    from {{ compare_model }}
    {{ dbt_expectations._where(compare_row_condition) }}
    {{ dbt_expectations._group_by(compare_group_by) }}
),

compared as (
    select
        {% for place in places %}coalesce(a.col_{{ place + 1 }}, b.col_{{ place + 1 }}) as col_{{ place + 1 }},
        {% endfor %}a.expression,
        b.expression as compare_expression,
        abs(coalesce(a.expression, 0) - coalesce(b.expression, 0)) as expression_difference,
        abs(coalesce(a.expression, 0) - coalesce(b.expression, 0)) / nullif(a.expression * 1.0, 0) as expression_difference_percent
    from a
    {% if places -%}
    full outer join b on {% for place in places %}(a.col_{{ place + 1 }} is not distinct from b.col_{{ place + 1 }}){{ ' and ' if not loop.last }}{% endfor %}
    {%- else -%}
    cross join b
    {%- endif %}
)

select *
from compared
where {{ 'expression_difference_percent > ' ~ tolerance_percent if tolerance_percent else 'expression_difference > ' ~ tolerance }}
{%- endmacro %}

{#- Rows in which all, or any, of some columns are null may be left out. -#}
{% macro ignore_row_if_expression(ignore_row_if, columns) -%}
    {{ return(adapter.dispatch('ignore_row_if_expression', 'dbt_expectations')(ignore_row_if, columns)) }}
{%- endmacro %}
{% macro default__ignore_row_if_expression(ignore_row_if, columns) -%}
    {%- set joint = {'all_values_are_missing': ' or ', 'any_value_is_missing': ' and '}.get(ignore_row_if) -%}
    {%- if ignore_row_if == 'never' -%}
    1 = 1
    {%- elif not joint -%}
        {{ exceptions.raise_compiler_error("ignore_row_if is 'all_values_are_missing', 'any_value_is_missing' or 'never', not '" ~ ignore_row_if ~ "'") }}
    {%- else -%}
    ({% for column in columns %}{{ column }} is not null{{ joint if not loop.last }}{% endfor %})
    {%- endif -%}
{%- endmacro %}

{#- Functions with a name of their own in each adapter. -#}

{#- Where a regular expression matches first, from 1; 0 when it does not. Nothing but whether it is above 0 is said of it here. -#}
{% macro regexp_instr(source_value, regexp, position=1, occurrence=1, is_raw=false, flags='') -%}
    {{ return(adapter.dispatch('regexp_instr', 'dbt_expectations')(source_value, regexp, position, occurrence, is_raw, flags)) }}
{%- endmacro %}
{% macro default__regexp_instr(source_value, regexp, position, occurrence, is_raw, flags) -%}
    regexp_instr({{ source_value }}, '{{ regexp }}', {{ position }}, {{ occurrence }}{{ ", 0, '" ~ flags ~ "'" if flags }})
{%- endmacro %}
{% macro datafusion__regexp_instr(source_value, regexp, position, occurrence, is_raw, flags) -%}
    regexp_instr({{ source_value }}, '{{ '(?' ~ flags ~ ')' if flags }}{{ dbt_expectations._quoted(regexp) }}', {{ position }}, {{ occurrence }})
{%- endmacro %}
{% macro duckdb__regexp_instr(source_value, regexp, position, occurrence, is_raw, flags) -%}
    cast(regexp_matches({{ source_value }}, '{{ dbt_expectations._quoted(regexp) }}'{{ ", '" ~ flags ~ "'" if flags }}) as int)
{%- endmacro %}
{% macro postgres__regexp_instr(source_value, regexp, position, occurrence, is_raw, flags) -%}
    case when {{ source_value }} is null then null when {{ source_value }} ~{{ '*' if 'i' in flags }} '{{ dbt_expectations._quoted(regexp) }}' then 1 else 0 end
{%- endmacro %}
{% macro bigquery__regexp_instr(source_value, regexp, position, occurrence, is_raw, flags) -%}
    case when regexp_contains({{ source_value }}, {{ 'r' if is_raw }}'{{ '(?' ~ flags ~ ')' if flags }}{{ regexp }}') then 1 when {{ source_value }} is not null then 0 end
{%- endmacro %}
{% macro snowflake__regexp_instr(source_value, regexp, position, occurrence, is_raw, flags) -%}
    {%- set quote = '$$' if is_raw else "'" -%}
    {%- if flags -%}
    case when regexp_substr({{ source_value }}, {{ quote }}{{ regexp }}{{ quote }}, {{ position }}, {{ occurrence }}, '{{ flags }}') is not null then 1 when {{ source_value }} is not null then 0 end
    {%- else -%}
    regexp_instr({{ source_value }}, {{ quote }}{{ regexp }}{{ quote }}, {{ position }}, {{ occurrence }})
    {%- endif -%}
{%- endmacro %}
{% macro redshift__regexp_instr(source_value, regexp, position, occurrence, is_raw, flags) -%}
    case when {{ source_value }} is null then null when {{ source_value }} ~{{ '*' if 'i' in flags }} '{{ regexp }}' then 1 else 0 end
{%- endmacro %}
{% macro spark__regexp_instr(source_value, regexp, position, occurrence, is_raw, flags) -%}
    case when {{ source_value }} rlike {{ 'r' if is_raw }}'{{ '(?' ~ flags ~ ')' if flags }}{{ regexp }}' then 1 when {{ source_value }} is not null then 0 end
{%- endmacro %}
{% macro _quoted(text) -%}{{ return(text | replace("'", "''")) }}{%- endmacro %}

{% macro median(field) -%}{{ return(adapter.dispatch('median', 'dbt_expectations')(field)) }}{%- endmacro %}
{% macro default__median(field) -%}median({{ field }}){%- endmacro %}
{% macro postgres__median(field) -%}percentile_cont(0.5) within group (order by {{ field }}){%- endmacro %}
{% macro bigquery__median(field) -%}{{ dbt_expectations.percentile_cont(field, 0.5) }}{%- endmacro %}
{% macro percentile_cont(field, p, partition=none) -%}
    {{ return(adapter.dispatch('percentile_cont', 'dbt_expectations')(field, p, partition)) }}
{%- endmacro %}
{% macro default__percentile_cont(field, p, partition=none) -%}
    percentile_cont({{ p }}) within group (order by {{ field }}){{ ' over (partition by ' ~ partition ~ ')' if partition }}
{%- endmacro %}
{% macro bigquery__percentile_cont(field, p, partition=none) -%}
    {%- if partition -%}
    percentile_cont({{ field }}, {{ p }}) over (partition by {{ partition }})
    {%- else -%}
    approx_quantiles({{ field }}, 1000)[offset({{ (1000 * p) | round | int }})]
    {%- endif -%}
{%- endmacro %}
{% macro spark__percentile_cont(field, p, partition=none) -%}
    percentile({{ field }}, {{ p }}){{ ' over (partition by ' ~ partition ~ ')' if partition }}
{%- endmacro %}

{% macro log_natural(x) -%}{{ return(adapter.dispatch('log_natural', 'dbt_expectations')(x)) }}{%- endmacro %}
{% macro default__log_natural(x) -%}ln({{ x }}){%- endmacro %}
{% macro rand() -%}{{ return(adapter.dispatch('rand', 'dbt_expectations')()) }}{%- endmacro %}
{% macro default__rand() -%}random(){%- endmacro %}
{% macro bigquery__rand() -%}rand(){%- endmacro %}
{% macro spark__rand() -%}rand(){%- endmacro %}
{% macro type_timestamp() -%}{{ return(dbt.type_timestamp()) }}{%- endmacro %}
{% macro type_datetime() -%}{{ return(adapter.dispatch('type_datetime', 'dbt_expectations')()) }}{%- endmacro %}
{% macro default__type_datetime() -%}{{ return(dbt.type_timestamp()) }}{%- endmacro %}
{% macro bigquery__type_datetime() -%}datetime{%- endmacro %}
