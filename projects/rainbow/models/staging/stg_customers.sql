select id, first_name, last_name, email, created_at, updated_at
from {{ ref('customers') }}
where deleted_at is null
