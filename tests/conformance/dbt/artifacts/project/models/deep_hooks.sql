{{ config(materialized='table', alias='renamed', schema='more') }}
select id from {{ ref('a') }}
