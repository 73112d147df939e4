select dimension.id as seller_id, max(dimension.name) as seller, sum(facts.sales_quantity) as quantity, sum(facts.extended_sales_amount) as amount,
    sum(facts.extended_sales_amount - facts.extended_discount_amount) as profit
from {{ ref('fact_sales') }} facts
join {{ ref('dim_sellers') }} dimension on dimension.seller_key = facts.seller_key
group by dimension.id
