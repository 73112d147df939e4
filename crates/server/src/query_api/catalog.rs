//! `GET /api/catalog`: what an editor may complete.

use axum::Json;
use axum::extract::State;

use crate::api::{Answer, SharedApi};
use crate::wire;

const KEYWORDS: &[&str] = &[
    "select",
    "from",
    "where",
    "group by",
    "order by",
    "having",
    "limit",
    "offset",
    "join",
    "left join",
    "right join",
    "full join",
    "cross join",
    "inner join",
    "on",
    "using",
    "as",
    "with",
    "union",
    "union all",
    "intersect",
    "except",
    "distinct",
    "case",
    "when",
    "then",
    "else",
    "end",
    "and",
    "or",
    "not",
    "in",
    "between",
    "like",
    "ilike",
    "is null",
    "is not null",
    "exists",
    "over",
    "partition by",
    "rows between",
    "unbounded preceding",
    "current row",
    "cast",
    "interval",
    "date",
    "timestamp",
    "true",
    "false",
    "null",
    "asc",
    "desc",
    "nulls first",
    "nulls last",
    "explain",
    "show tables",
    "values",
    "filter",
    "qualify",
    "unnest",
    "lateral",
];

pub(crate) async fn catalog(State(api): SharedApi) -> Answer<wire::Catalog> {
    let tables = api.instance.tables().await?.into_iter().map(|table| {
        let (schema, name) = table.name.split_once('.').unwrap_or(("", &table.name));
        wire::CatalogTable {
            schema: schema.to_owned(),
            name: name.to_owned(),
            is_view: table.is_view,
            columns: table
                .columns
                .into_iter()
                .map(|column| wire::Column { name: column.name, data_type: column.data_type })
                .collect(),
        }
    });
    Ok(Json(wire::Catalog {
        default_schema: api.instance.project().default_schema().to_owned(),
        tables: tables.collect(),
        functions: api.instance.function_names(),
        keywords: KEYWORDS.iter().map(ToString::to_string).collect(),
    }))
}
