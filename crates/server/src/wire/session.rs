//! Who is calling.

use serde::{Deserialize, Serialize};

/// What the caller may do. A role may do what the one before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks at everything and asks in SQL.
    Viewer,
    /// Also starts runs.
    Editor,
    /// Also what may come later: users, settings.
    Admin,
}

/// `GET /api/session`, and the answer of a login.
#[derive(Debug, Serialize)]
pub struct Session {
    pub project: String,
    pub version: String,
    /// None when nobody is logged in, or when no login is asked for.
    pub user: Option<User>,
    /// What this caller may do now; none before a login.
    pub role: Option<Role>,
    /// Whether this server asks for a login at all.
    pub login_required: bool,
    /// The server takes no changes from anybody.
    pub read_only: bool,
}

#[derive(Debug, Serialize)]
pub struct User {
    pub name: String,
    pub role: Role,
}

/// The body of `POST /api/login`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    pub name: String,
    pub password: String,
}
