select
    visit as visit_id,
    cast("at" as timestamp) as visited_at,
    cast(cast("at" as timestamp) as date) as visit_date,
    page,
    seconds,
    country
from {{ source('site', 'visits') }}
