-- A product as the dimension tells it: a change of its category's or brand's name is a change of the product.
select
    products.id,
    products.name,
    products.price,
    products.rating_average,
    products.review_count,
    products.sold_count,
    products.seller_id,
    categories.name as category,
    brands.name as brand,
    products.created_at,
    greatest(products.updated_at, categories.updated_at, brands.updated_at) as updated_at
from {{ ref('stg_products') }} products
join {{ ref('stg_categories') }} categories on categories.id = products.category_id
join {{ ref('stg_brands') }} brands on brands.id = products.brand_id
