-- One row for each order line, with the states its dimensions had when it was ordered.
with priced as (
    select
        lines.*,
        products.product_key,
        products.seller_id,
        coalesce(promotions.promotion_key, 'none') as promotion_key,
        lines.price as regular_unit_price,
        cast(case promotions.coupon_type
            when 'Percentage' then lines.price * promotions.price_treatment / 100
            when 'Fixed Amount' then promotions.price_treatment * 1000
            else 0
        end as decimal(18, 2)) as discount_unit_price
    from {{ ref('stg_order_lines') }} lines
    left join {{ ref('dim_products') }} products
        on products.id = lines.product_id and {{ valid_at('products', 'lines.ordered_at') }}
    left join {{ ref('dim_promotions') }} promotions
        on promotions.id = lines.promotion_id and {{ valid_at('promotions', 'lines.ordered_at') }}
)

select
    cast(date_part('year', ordered_at) * 10000 + date_part('month', ordered_at) * 100 + date_part('day', ordered_at) as integer) as date_key,
    priced.product_key,
    sellers.seller_key,
    priced.promotion_key,
    customers.customer_key,
    payments.payment_key,
    order_id as order_transaction,
    product_id,
    quantity as sales_quantity,
    regular_unit_price,
    discount_unit_price,
    regular_unit_price - discount_unit_price as net_unit_price,
    quantity * discount_unit_price as extended_discount_amount,
    quantity * regular_unit_price as extended_sales_amount
from priced
left join {{ ref('dim_sellers') }} sellers on sellers.id = priced.seller_id and {{ valid_at('sellers', 'ordered_at') }}
left join {{ ref('dim_customers') }} customers on customers.id = customer_id and {{ valid_at('customers', 'ordered_at') }}
left join {{ ref('dim_payments') }} payments on payments.id = payment_id and {{ valid_at('payments', 'ordered_at') }}
