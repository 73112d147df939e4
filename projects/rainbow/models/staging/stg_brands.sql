select id, name, created_at, updated_at
from {{ ref('brands') }}
where deleted_at is null
