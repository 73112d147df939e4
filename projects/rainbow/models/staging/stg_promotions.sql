select id, name, type, price_treatment, coupon_type, is_global, promo_begin, promo_end, created_at, updated_at
from {{ ref('promotions') }}
where deleted_at is null
