//! Checks every request passes before a handler sees it, and headers every response carries.
//!
//! A page in the reader's browser can reach the loopback address. Two things stop it: the `Host` check refuses requests
//! that came through a name the attacker resolves to 127.0.0.1, and the `Origin` check refuses unsafe methods from pages
//! of another origin. Answers to a foreign page's reads are kept from it by the browser, as no CORS header is sent.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use headwater_project::Failure;

use crate::api::{Api, ApiError};
use crate::auth::{Caller, Peer, authorize, require_csrf_header};
use crate::routes::Policy;

/// What a handler does not set itself.
const SECURITY_HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Runs the checks, then the handler, then adds the headers, to refusals too.
pub(crate) async fn guard(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let mut response = match admit(&api, &mut request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Notes with the request who is calling.
fn admit(api: &Api, request: &mut Request) -> Result<(), ApiError> {
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
    check_host(request.headers(), authority.as_deref(), &api.allowed_hosts)?;
    check_origin(request.method(), request.headers(), &api.allowed_hosts)?;
    let host = authority.as_deref().or_else(|| host_header(request.headers())).unwrap_or("");
    let by_loopback_name = is_allowed(host, &BTreeSet::new());
    let peer = request.extensions().get::<Peer>().copied();
    let peer = peer.ok_or_else(|| Failure::internal("a request has no sender"))?;
    let caller = api.auth.caller(request.headers(), peer.0, by_loopback_name, api.instance.now())?;
    if !request.method().is_safe() {
        require_csrf_header(&caller, request.headers())?;
    }
    request.extensions_mut().insert(caller);
    Ok(())
}

/// Before a route's handler: may the caller use it?
pub(crate) async fn authorized(
    State((api, policy)): State<(Arc<Api>, Policy)>,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Response {
    match authorize(policy, &caller, api.auth.read_only) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn host_header(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST).and_then(|value| value.to_str().ok())
}

/// The name a request is addressed to must be this machine's own, or one the user allowed.
fn check_host(headers: &HeaderMap, authority: Option<&str>, allowed: &BTreeSet<String>) -> Result<(), ApiError> {
    let host = authority.or_else(|| host_header(headers)).unwrap_or("");
    if headers.get_all(header::HOST).iter().count() <= 1 && is_allowed(host, allowed) {
        return Ok(());
    }
    let failure = Failure::user("this server does not answer for that host name")
        .with_detail("The `Host` of the request is neither a loopback name nor an allowed one.")
        .with_hint("Address it as `127.0.0.1` or `localhost`.");
    Err(ApiError::new(StatusCode::MISDIRECTED_REQUEST, failure))
}

/// An unsafe method sent by a page must come from a page of this server.
fn check_origin(method: &Method, headers: &HeaderMap, allowed: &BTreeSet<String>) -> Result<(), ApiError> {
    let Some(origin) = headers.get(header::ORIGIN).filter(|_| !method.is_safe()) else { return Ok(()) };
    let host = host_header(headers).unwrap_or("");
    let origin_host = origin.to_str().ok().and_then(|text| text.split_once("://")).map(|(_, host)| host);
    if origin_host.is_some_and(|origin| origin.eq_ignore_ascii_case(host) && is_allowed(origin, allowed)) {
        return Ok(());
    }
    let failure = Failure::user("a page of another origin may not do this")
        .with_detail("The `Origin` of the request is not this server's.")
        .with_hint("Call the API without a browser, or from a page this server sent.");
    Err(ApiError::new(StatusCode::FORBIDDEN, failure))
}

fn is_allowed(authority: &str, allowed: &BTreeSet<String>) -> bool {
    let Some(host) = host_of(authority) else { return false };
    let host = host.to_ascii_lowercase();
    let is_loopback_address = host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    host == "localhost" || is_loopback_address || allowed.contains(&host)
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`; nothing when the text is none of these.
fn host_of(authority: &str) -> Option<&str> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?,
        None => match authority.find(':') {
            Some(colon) => authority.split_at_checked(colon)?,
            None => (authority, ""),
        },
    };
    let port_is_number =
        rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    (!host.is_empty() && port_is_number).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn check_host_of(host: &str, accepted: bool) {
        let allowed = BTreeSet::from(["data.example".to_owned()]);
        let verdict = check_host(&headers(&[(header::HOST, host)]), None, &allowed);
        assert_eq!(verdict.is_ok(), accepted, "host {host:?}");
        if let Err(refusal) = verdict {
            assert_eq!(refusal.status, StatusCode::MISDIRECTED_REQUEST);
        }
    }

    #[test]
    fn loopback_and_allowed_hosts_are_served_and_others_refused() {
        for host in ["localhost", "LOCALHOST:1", "127.0.0.1:8080", "127.9.9.9", "[::1]", "[::1]:80", "data.example:9"] {
            check_host_of(host, true);
        }
        for host in [
            "",
            ":80",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "localhost:80@evil.example",
            "[::1",
            "10.0.0.1",
            "0.0.0.0",
            "other.example",
        ] {
            check_host_of(host, false);
        }
    }

    #[test]
    fn two_host_headers_and_no_host_header_are_refused() {
        let two = headers(&[(header::HOST, "localhost"), (header::HOST, "evil.example")]);
        assert!(check_host(&two, None, &BTreeSet::new()).is_err());
        assert!(check_host(&HeaderMap::new(), None, &BTreeSet::new()).is_err());
    }

    #[test]
    fn an_absolute_request_target_decides_over_the_host_header() {
        let headers = headers(&[(header::HOST, "localhost")]);
        assert!(check_host(&headers, Some("evil.example"), &BTreeSet::new()).is_err());
    }

    fn check_origin_of(method: Method, origin: Option<&str>, accepted: bool) {
        let mut pairs = vec![(header::HOST, "127.0.0.1:8080")];
        pairs.extend(origin.map(|origin| (header::ORIGIN, origin)));
        let verdict = check_origin(&method, &headers(&pairs), &BTreeSet::new());
        assert_eq!(verdict.is_ok(), accepted, "{method} from {origin:?}");
        if let Err(refusal) = verdict {
            assert_eq!(refusal.status, StatusCode::FORBIDDEN);
        }
    }

    #[test]
    fn only_pages_of_this_server_may_use_unsafe_methods() {
        check_origin_of(Method::POST, None, true);
        check_origin_of(Method::POST, Some("http://127.0.0.1:8080"), true);
        check_origin_of(Method::GET, Some("http://evil.example"), true);
        check_origin_of(Method::POST, Some("http://evil.example"), false);
        check_origin_of(Method::POST, Some("http://127.0.0.1:9090"), false);
        check_origin_of(Method::DELETE, Some("http://localhost:8080"), false);
        check_origin_of(Method::POST, Some("null"), false);
    }
}
