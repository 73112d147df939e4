{{ config(materialized='table') }}

select
    visit_date,
    country,
    count(*) as visits,
    round(avg(seconds), 1) as average_seconds
from {{ ref('stg_visits') }}
group by visit_date, country
