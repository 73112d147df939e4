select
    coalesce(sum(sales_quantity), 0) as quantity,
    coalesce(sum(extended_sales_amount), 0) as amount,
    coalesce(sum(extended_sales_amount - extended_discount_amount), 0) as profit
from {{ ref('fact_sales') }}
