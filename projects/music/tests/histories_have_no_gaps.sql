-- Each span of a user's history ends where the next begins, the last one is open, and only the last one is.
with spans as (
    select
        user_id,
        row_effective_datetime,
        row_expiration_datetime,
        is_current,
        lead(row_effective_datetime) over (partition by user_id order by row_effective_datetime) as next_effective_datetime
    from {{ ref('dim_users') }}
)

select *
from spans
where row_effective_datetime >= row_expiration_datetime
    or is_current <> (next_effective_datetime is null)
    or (next_effective_datetime is not null and next_effective_datetime <> row_expiration_datetime)
    or (next_effective_datetime is null and row_expiration_datetime <> {{ utc('9999-01-01T00:00:00Z') }})
