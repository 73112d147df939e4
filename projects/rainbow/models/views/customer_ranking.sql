select dimension.id as customer_id, max(dimension.first_name || ' ' || dimension.last_name) as customer, sum(facts.sales_quantity) as quantity, sum(facts.extended_sales_amount) as amount,
    sum(facts.extended_sales_amount - facts.extended_discount_amount) as profit
from {{ ref('fact_sales') }} facts
join {{ ref('dim_customers') }} dimension on dimension.customer_key = facts.customer_key
group by dimension.id
