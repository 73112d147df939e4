with sold as (
    select
        products.category, products.id as product_id, max(products.name) as product,
        sum(facts.sales_quantity) as quantity, sum(facts.extended_sales_amount - facts.extended_discount_amount) as profit
    from {{ ref('fact_sales') }} facts
    join {{ ref('dim_products') }} products on products.product_key = facts.product_key
    group by products.category, products.id
)

select * from (
    select sold.*, row_number() over (partition by category order by profit desc, product_id) as place from sold
) ranked
where place <= 5
