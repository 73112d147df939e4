{{ dimension('payment_history', ['name', 'type']) }}
