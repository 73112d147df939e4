{{ config(materialized='incremental', unique_key='id', pre_hook="select 1") }}
select * from {{ ref('b') }} join {{ source('s', 'events') }} using (id)
{% if is_incremental() %} where id > 0 {% endif %}

