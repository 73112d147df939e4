{{ dimension('customer_history', ['first_name', 'last_name', 'email']) }}
