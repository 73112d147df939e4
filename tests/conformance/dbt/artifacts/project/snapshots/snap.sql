{% snapshot snap %}
{{ config(target_schema='snaps', unique_key='id', strategy='check', check_cols=['name']) }}
select * from {{ ref('raw') }}
{% endsnapshot %}
