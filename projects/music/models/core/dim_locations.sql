-- A listen has a postal code, and that alone places it.
with places as (
    select
        country_code,
        postal_code,
        city,
        state,
        state_code,
        county,
        row_number() over (partition by postal_code order by country_code, city, county) as place
    from {{ source('events', 'locations') }}
)

select
    {{ surrogate_key(['country_code', 'postal_code']) }} as pk_location,
    country_code,
    postal_code,
    city,
    state,
    state_code,
    county
from places
where place = 1
union all
select {{ unknown_key() }}, 'unknown', 'unknown', 'NO CITY', 'NO STATE', 'unknown', 'unknown'
