{{ config(tags=['x'], meta={'k': 1}) }}
select id, name, {{ shout('at') }} as at from {{ ref('raw') }} where id < {{ var('threshold') }}
