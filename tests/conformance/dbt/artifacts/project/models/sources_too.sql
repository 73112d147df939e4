{# a comment #}
select * from {{ source('other', 'one') }}
