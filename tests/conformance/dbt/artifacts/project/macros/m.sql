{% macro shout(x) %}{{ x }}{% endmacro %}
{% macro unused(a, b=2) %}{{ shout(a) }}{% endmacro %}
{% test positive(model, column_name) %}
select * from {{ model }} where {{ column_name }} <= 0
{% endtest %}
