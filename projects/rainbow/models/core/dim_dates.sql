with days as (
    {{ dbt_utils.date_spine('day', "cast('" ~ var('first_day') ~ "' as date)", "cast('" ~ var('last_day') ~ "' as date)") }}
)

select
    cast(date_part('year', date_day) * 10000 + date_part('month', date_day) * 100 + date_part('day', date_day) as integer) as date_key,
    cast(date_day as date) as day,
    cast(date_part('month', date_day) as integer) as month,
    cast(date_part('year', date_day) as integer) as year,
    cast(date_part('quarter', date_day) as integer) as quarter,
    cast(date_part('week', date_day) as integer) as week,
    case cast(date_part('dow', date_day) as integer)
        when 0 then 'Sunday' when 1 then 'Monday' when 2 then 'Tuesday' when 3 then 'Wednesday'
        when 4 then 'Thursday' when 5 then 'Friday' else 'Saturday'
    end as day_name,
    case cast(date_part('month', date_day) as integer)
        when 1 then 'January' when 2 then 'February' when 3 then 'March' when 4 then 'April' when 5 then 'May' when 6 then 'June'
        when 7 then 'July' when 8 then 'August' when 9 then 'September' when 10 then 'October' when 11 then 'November' else 'December'
    end as month_name,
    cast(date_part('dow', date_day) as integer) in (0, 6) as is_weekend,
    cast(date_part('doy', date_day) as integer) as day_of_year,
    cast(date_trunc('month', date_day) as date) as first_day_of_month,
    {{ dbt.last_day('date_day', 'month') }} as last_day_of_month
from days
