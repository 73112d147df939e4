{{ dimension('seller_history', ['name', 'link', 'is_best_store']) }}
