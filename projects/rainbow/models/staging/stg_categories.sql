select id, name, description, created_at, updated_at
from {{ ref('categories') }}
where deleted_at is null
