select
    lines.id as order_id,
    lines.product_id,
    orders.customer_id,
    orders.payment_id,
    lines.promotion_id,
    lines.quantity,
    lines.price,
    -- An order that is edited later keeps its day.
    orders.created_at as ordered_at
from {{ ref('orderdetails') }} lines
join {{ ref('orders') }} orders on orders.id = lines.id
where lines.deleted_at is null and orders.deleted_at is null
