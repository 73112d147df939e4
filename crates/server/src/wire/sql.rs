//! Statements of the caller.

use serde::{Deserialize, Serialize};

/// The body of `POST /api/sql`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlRequest {
    pub sql: String,
    /// A name of the caller's choice, up to 64 letters, digits, `-` and `_`, by which `DELETE /api/sql/{id}` ends it.
    pub id: Option<String>,
}

/// The answer of `POST /api/sql?format=json`. After a failure `error` stands in place of `row_count`.
#[derive(Debug, Serialize)]
pub struct SqlAnswer {
    #[serde(flatten)]
    pub rows: super::Rows,
    pub error: Option<super::Error>,
}

/// `POST /api/sql/explain`.
#[derive(Debug, Serialize)]
pub struct SqlPlan {
    pub logical: String,
    pub physical: String,
}

/// `DELETE /api/sql/{id}`.
#[derive(Debug, Serialize)]
pub struct SqlCancelled {
    /// False when no statement of that name was running.
    pub cancelled: bool,
}

/// `GET /api/catalog`: what an editor may complete.
#[derive(Debug, Serialize)]
pub struct Catalog {
    pub default_schema: String,
    pub tables: Vec<CatalogTable>,
    pub functions: Vec<String>,
    pub keywords: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct CatalogTable {
    pub schema: String,
    pub name: String,
    pub is_view: bool,
    pub columns: Vec<super::Column>,
}
