select dimension.day_name, sum(facts.sales_quantity) as quantity, sum(facts.extended_sales_amount) as amount,
    sum(facts.extended_sales_amount - facts.extended_discount_amount) as profit
from {{ ref('fact_sales') }} facts
join {{ ref('dim_dates') }} dimension on dimension.date_key = facts.date_key
group by 1
