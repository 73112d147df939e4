{{ config(materialized='incremental', incremental_strategy='microbatch', event_time='at', batch_size='day', begin='2024-01-01') }}
select * from {{ ref('dim', v=1) }} cross join {{ ref('shop', 'raw') }}
