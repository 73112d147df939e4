select dimension.name as payment_method, sum(facts.sales_quantity) as quantity, sum(facts.extended_sales_amount) as amount,
    sum(facts.extended_sales_amount - facts.extended_discount_amount) as profit
from {{ ref('fact_sales') }} facts
join {{ ref('dim_payments') }} dimension on dimension.payment_key = facts.payment_key
group by 1
