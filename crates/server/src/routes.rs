//! The table of routes: each path once, with what protects it.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, delete, get, post};
use headwater_project::Failure;

use crate::api::{Api, ApiError};
use crate::{
    assets_api, dash_api, events_api, guard, metrics_api, overview_api, push_api, query_api, runs_api, session_api,
    sinks_api, sources_api, status_api, topics_api, ui,
};

/// Bytes of a request body.
const BODY_LIMIT: usize = 1 << 20;

/// What a route may do, and so who may call it. All pass the `Host` check, unsafe methods the `Origin` check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Anybody: says that the process lives, who is calling, or lets somebody in or out.
    Open,
    /// A viewer: reads the project and its data through the façade.
    Read,
    /// A viewer with a name, or on this machine: runs statements of the caller, in a worker process with limits.
    UntrustedSql,
    /// An editor: starts work. Nobody in read-only mode.
    Act,
    /// Whoever proves to a source what it asks for; of a source that asks for nothing, as [`Policy::Act`]. The handler checks.
    Push,
}

pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) policy: Policy,
    pub(crate) handler: MethodRouter<Arc<Api>>,
}

fn route(method: &'static str, path: &'static str, policy: Policy, handler: MethodRouter<Arc<Api>>) -> Route {
    Route { method, path, policy, handler }
}

/// Every route there is.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        route("GET", "/health", Policy::Open, get(status_api::health)),
        route("GET", "/api/session", Policy::Open, get(session_api::show)),
        route("POST", "/api/login", Policy::Open, post(session_api::log_in)),
        route("POST", "/api/logout", Policy::Open, post(session_api::log_out)),
        route("GET", "/api/home", Policy::Read, get(overview_api::home)),
        route("GET", "/api/status", Policy::Read, get(status_api::status)),
        route("GET", "/metrics", Policy::Read, get(metrics_api::metrics)),
        route("GET", "/api/events", Policy::Read, get(events_api::events)),
        route("GET", "/api/lineage", Policy::Read, get(overview_api::lineage)),
        route("GET", "/api/assets", Policy::Read, get(assets_api::list)),
        route("GET", "/api/assets/{name}", Policy::Read, get(assets_api::one)),
        route("GET", "/api/assets/{name}/columns", Policy::Read, get(assets_api::columns)),
        route("GET", "/api/assets/{name}/sample", Policy::Read, get(assets_api::sample)),
        route("GET", "/api/runs", Policy::Read, get(runs_api::list)),
        route("POST", "/api/runs", Policy::Act, post(runs_api::start)),
        route("GET", "/api/runs/{id}", Policy::Read, get(runs_api::one)),
        route("GET", "/api/runs/{id}/log", Policy::Read, get(runs_api::log)),
        route("POST", "/api/runs/{id}/rerun", Policy::Act, post(runs_api::rerun)),
        route("POST", "/api/runs/{id}/cancel", Policy::Act, post(runs_api::cancel)),
        route("GET", "/api/topics", Policy::Read, get(topics_api::list)),
        route("GET", "/api/topics/{name}", Policy::Read, get(topics_api::one)),
        route("GET", "/api/topics/{name}/tail", Policy::Read, get(topics_api::tail)),
        route("POST", "/ingest/{name}", Policy::Push, post(push_api::push)),
        route("GET", "/api/sources", Policy::Read, get(sources_api::list)),
        route("GET", "/api/sources/{name}", Policy::Read, get(sources_api::one)),
        route("GET", "/api/sources/{name}/tables", Policy::Read, get(sources_api::tables)),
        route("POST", "/api/sources/{name}/pause", Policy::Act, post(sources_api::pause)),
        route("POST", "/api/sources/{name}/resume", Policy::Act, post(sources_api::resume)),
        route("POST", "/api/sources/{name}/restart", Policy::Act, post(sources_api::restart)),
        route("POST", "/api/sources/{name}/recopy", Policy::Act, post(sources_api::recopy)),
        route("GET", "/api/sinks", Policy::Read, get(sinks_api::list)),
        route("GET", "/api/quarantine", Policy::Read, get(overview_api::quarantine)),
        route("POST", "/api/sql", Policy::UntrustedSql, post(query_api::query)),
        route("DELETE", "/api/sql/{id}", Policy::UntrustedSql, delete(query_api::cancel)),
        route("POST", "/api/sql/explain", Policy::UntrustedSql, post(query_api::explain)),
        route("GET", "/api/catalog", Policy::Read, get(query_api::catalog)),
        route("GET", "/api/dashboards", Policy::Read, get(dash_api::list)),
        route("GET", "/api/dashboards/{name}", Policy::Read, get(dash_api::one)),
        route("POST", "/api/dashboards/{name}/tiles/{tile}", Policy::Read, post(dash_api::tile)),
        route("POST", "/api/dashboards/{name}/tiles/{tile}/detail", Policy::Read, post(dash_api::detail)),
    ]
}

/// The router with its guard around everything, the answers for unknown paths included.
pub(crate) fn router(api: Arc<Api>) -> Router {
    let mut router = Router::new();
    for route in routes() {
        tracing::trace!(method = route.method, path = route.path, policy = ?route.policy, "route");
        let policy = from_fn_with_state((Arc::clone(&api), route.policy), guard::authorized);
        router = router.route(route.path, route.handler.route_layer(policy));
    }
    router
        .fallback(get(ui::file_or_page).fallback(no_such_path))
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn_with_state(Arc::clone(&api), guard::guard))
        .with_state(api)
}

async fn no_such_path() -> ApiError {
    ApiError::not_found("there is nothing at this path", "The pages are below `/`, the API below `/api`.")
}

async fn no_such_method() -> ApiError {
    let failure = Failure::user("this path does not take that method");
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, path: &str, policy: Policy) {
        let found: Vec<_> = routes().into_iter().filter(|route| route.method == method && route.path == path).collect();
        assert_eq!(found.len(), 1, "{method} {path} is in the table once");
        assert_eq!(found[0].policy, policy, "{method} {path}");
    }

    #[test]
    fn every_unsafe_route_is_named_here_with_its_policy() {
        check("POST", "/api/login", Policy::Open);
        check("POST", "/api/logout", Policy::Open);
        check("POST", "/api/runs", Policy::Act);
        check("POST", "/api/runs/{id}/rerun", Policy::Act);
        check("POST", "/api/runs/{id}/cancel", Policy::Act);
        check("POST", "/api/sql", Policy::UntrustedSql);
        check("DELETE", "/api/sql/{id}", Policy::UntrustedSql);
        check("POST", "/api/sql/explain", Policy::UntrustedSql);
        check("POST", "/api/sources/{name}/pause", Policy::Act);
        check("POST", "/api/sources/{name}/resume", Policy::Act);
        check("POST", "/api/sources/{name}/restart", Policy::Act);
        check("POST", "/api/sources/{name}/recopy", Policy::Act);
        check("POST", "/ingest/{name}", Policy::Push);
        // They ask with a body; nothing changes.
        check("POST", "/api/dashboards/{name}/tiles/{tile}", Policy::Read);
        check("POST", "/api/dashboards/{name}/tiles/{tile}/detail", Policy::Read);
        let unsafe_routes = routes().iter().filter(|route| route.method != "GET").count();
        assert_eq!(unsafe_routes, 15, "a new unsafe route needs a line above");
    }

    #[test]
    fn only_health_and_the_session_are_open() {
        let open: Vec<_> =
            routes().iter().filter(|route| route.policy == Policy::Open).map(|route| route.path).collect();
        assert_eq!(open, ["/health", "/api/session", "/api/login", "/api/logout"]);
    }
}
