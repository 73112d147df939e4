{{ dimension('promotion_history', ['name', 'type', 'price_treatment', 'coupon_type']) }}
union all
-- A line without a promotion has one all the same.
select
    'none' as promotion_key, cast(0 as bigint) as id, 'no promotion' as name, 'none' as type, cast(0 as decimal(18, 2)) as price_treatment,
    'none' as coupon_type, cast('1900-01-01' as timestamp) as valid_from, cast('{{ var('open_end') }}' as timestamp) as valid_to, true as is_current
