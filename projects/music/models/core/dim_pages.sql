select
    {{ surrogate_key(['page']) }} as pk_page,
    page,
    category
from {{ ref('pages') }}
union all
select {{ unknown_key() }}, 'Unknown', 'Unknown'
