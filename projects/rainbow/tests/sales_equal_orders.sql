-- What was sold is what was ordered: both sums over everything.
select facts.amount, orders.amount as ordered
from (select coalesce(sum(extended_sales_amount), 0) as amount from {{ ref('fact_sales') }}) facts
cross join (select coalesce(sum(quantity * price), 0) as amount from {{ ref('stg_order_lines') }}) orders
where facts.amount <> orders.amount
