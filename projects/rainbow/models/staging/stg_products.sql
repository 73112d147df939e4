select id, name, price, original_price, rating_average, review_count, sold_count, category_id, seller_id, brand_id, promotion_id, created_at, updated_at
from {{ ref('products') }}
where deleted_at is null
