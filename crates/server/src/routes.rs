//! The table of routes: each path once, with what protects it.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post};
use headwater_project::Failure;

use crate::api::{Api, ApiError};
use crate::{assets_api, dash_api, guard, home, query_api, runs_api, status_api, topics_api};

/// Bytes of a request body.
const BODY_LIMIT: usize = 1 << 20;

/// What a route may do, and so what stands before it. All pass the `Host` check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Says only that the process lives.
    Open,
    /// Reads the project and its data through the façade.
    Read,
    /// Runs statements of the caller, in a worker process with limits.
    UntrustedSql,
    /// Starts work. The `Origin` check guards it, as it does every unsafe method.
    Act,
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
        route("GET", "/", Policy::Read, get(home::page)),
        route("GET", "/health", Policy::Open, get(status_api::health)),
        route("GET", "/api/status", Policy::Read, get(status_api::status)),
        route("GET", "/api/assets", Policy::Read, get(assets_api::list)),
        route("GET", "/api/assets/{name}", Policy::Read, get(assets_api::one)),
        route("GET", "/api/runs", Policy::Read, get(runs_api::list)),
        route("POST", "/api/runs", Policy::Act, post(runs_api::start)),
        route("GET", "/api/runs/{id}", Policy::Read, get(runs_api::one)),
        route("GET", "/api/topics", Policy::Read, get(topics_api::list)),
        route("GET", "/api/topics/{name}/tail", Policy::Read, get(topics_api::tail)),
        route("POST", "/api/sql", Policy::UntrustedSql, post(query_api::query)),
        route("GET", "/api/dashboards", Policy::Read, get(dash_api::list)),
        route("GET", "/api/dashboards/{name}", Policy::Read, get(dash_api::one)),
    ]
}

/// The router with its guard around everything, the answers for unknown paths included.
pub(crate) fn router(api: Arc<Api>) -> Router {
    let mut router = Router::new();
    for route in routes() {
        tracing::trace!(method = route.method, path = route.path, policy = ?route.policy, "route");
        router = router.route(route.path, route.handler);
    }
    router
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn_with_state(Arc::clone(&api), guard::guard))
        .with_state(api)
}

async fn no_such_path() -> ApiError {
    ApiError::not_found("there is nothing at this path", "`GET /` lists what there is.")
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
        check("POST", "/api/runs", Policy::Act);
        check("POST", "/api/sql", Policy::UntrustedSql);
        let unsafe_routes = routes().iter().filter(|route| route.method != "GET").count();
        assert_eq!(unsafe_routes, 2, "a new unsafe route needs a line above");
    }

    #[test]
    fn only_health_is_open() {
        let open: Vec<_> =
            routes().iter().filter(|route| route.policy == Policy::Open).map(|route| route.path).collect();
        assert_eq!(open, ["/health"]);
    }
}
