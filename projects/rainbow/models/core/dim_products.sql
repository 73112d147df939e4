{{ dimension('product_history', ['name', 'price', 'rating_average', 'review_count', 'sold_count', 'category', 'brand', 'seller_id']) }}
