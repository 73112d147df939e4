select id, name, link, is_best_store, created_at, updated_at
from {{ ref('sellers') }}
where deleted_at is null
