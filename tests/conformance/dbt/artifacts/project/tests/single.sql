{{ config(severity='warn') }}
select * from {{ ref('a') }} where id > 100
