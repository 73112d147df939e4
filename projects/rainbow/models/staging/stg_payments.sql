select id, name, type, created_at, updated_at
from {{ ref('payments') }}
where deleted_at is null
