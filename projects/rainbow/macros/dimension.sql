{#- A dimension over a snapshot: one row for each state, the first of which is valid from the beginning, so that a fact from before
    the first look at its dimension finds it. -#}
{% macro dimension(history, columns) %}
select
    {{ dbt_utils.generate_surrogate_key(['id', 'dbt_valid_from']) }} as {{ history | replace('_history', '') }}_key,
    id,
    {%- for column in columns %}
    {{ column }},
    {%- endfor %}
    case
        when row_number() over (partition by id order by dbt_valid_from) = 1 then cast('1900-01-01' as timestamp)
        else dbt_valid_from
    end as valid_from,
    dbt_valid_to as valid_to,
    dbt_valid_to = cast('{{ var('open_end') }}' as timestamp) as is_current
from {{ ref(history) }}
{% endmacro %}

{#- The state a dimension had at a moment. -#}
{% macro valid_at(alias, moment) -%}
    {{ moment }} >= {{ alias }}.valid_from and {{ moment }} < {{ alias }}.valid_to
{%- endmacro %}
