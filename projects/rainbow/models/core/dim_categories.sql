select id, name, description from {{ ref('stg_categories') }}
