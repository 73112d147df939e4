//! The browser application: the files of `ui/dist`, which travel in the binary.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::api::ApiError;

#[derive(RustEmbed)]
#[folder = "../../ui/dist"]
struct Dist;

const PAGE: &str = "index.html";
/// The build packs what is worth it: such a file stands beside the one it is made of.
const PACKED: &str = ".gz";
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Headwater</title>\
<h1>Headwater runs; its browser application is not built</h1>\
<p>Run <code>npm ci &amp;&amp; npm run build</code> in <code>ui/</code> and build again. \
The API is there: <a href=\"/api/home\">/api/home</a>.</html>";

/// What a browser may do with anything of ours: load our own files and talk to us. Nothing inline runs or styles.
const BROWSER_POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
font-src 'self'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/// An embedded tile or dashboard stands in a page of the same origin.
const EMBEDDED_POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
font-src 'self'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'";

/// A file of the application; its page for any other address a person opens; else nothing.
pub(crate) async fn file_or_page(uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if let Some(file) = Dist::get(path).filter(|_| path != PAGE && !path.starts_with('.') && !path.ends_with(PACKED)) {
        return send(path, file, &headers, &uri);
    }
    let wants_page = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.split(',').any(|range| range.trim().starts_with("text/html")));
    if path.starts_with("api/") || path == "api" || !(wants_page || path.is_empty()) {
        return ApiError::not_found("there is nothing at this path", "The pages are below `/`, the API below `/api`.")
            .into_response();
    }
    match Dist::get(PAGE) {
        Some(page) => send(PAGE, page, &headers, &uri),
        None => with_policy((StatusCode::OK, Html(NOT_BUILT)).into_response(), BROWSER_POLICY),
    }
}

/// The packed file, where there is one and the browser takes it.
fn packed(path: &str, headers: &HeaderMap) -> Option<EmbeddedFile> {
    let accepted = headers.get(header::ACCEPT_ENCODING)?.to_str().ok()?;
    let takes_it = accepted.split(',').any(|coding| {
        let (name, weight) = coding.trim().split_once(';').unwrap_or((coding.trim(), ""));
        name.eq_ignore_ascii_case("gzip") && weight.trim() != "q=0"
    });
    if takes_it { Dist::get(&format!("{path}{PACKED}")) } else { None }
}

fn send(path: &str, file: EmbeddedFile, headers: &HeaderMap, uri: &Uri) -> Response {
    let packed = packed(path, headers);
    let is_packed = packed.is_some();
    let file = packed.unwrap_or(file);
    let tag = entity_tag(&file);
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, content_type(path))], Body::from(file.data.into_owned())).into_response()
    };
    // The build names files below `files/` by their content: a name never stands for something else.
    let cache = if path.starts_with("files/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if is_packed && !is_known {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let is_embedded =
        uri.query().is_some_and(|query| query.split('&').any(|part| part.split('=').next() == Some("embed")));
    with_policy(response, if is_embedded { EMBEDDED_POLICY } else { BROWSER_POLICY })
}

fn with_policy(mut response: Response, policy: &'static str) -> Response {
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

fn entity_tag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    let digits: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, end)| end) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(path: &str, accept: &str) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
        file_or_page(path.parse().unwrap(), headers).await
    }

    async fn check(path: &str, accept: &str, status: StatusCode) {
        assert_eq!(ask(path, accept).await.status(), status, "{path} {accept}");
    }

    #[tokio::test]
    async fn addresses_a_person_opens_get_the_page_and_others_nothing() {
        check("/", "*/*", StatusCode::OK).await;
        check("/dashboards/kpi", "text/html,application/xhtml+xml", StatusCode::OK).await;
        check("/assets/main.dim_users", "text/html", StatusCode::OK).await;
        check("/dashboards/kpi", "application/json", StatusCode::NOT_FOUND).await;
        check("/files/gone-12345678.js", "*/*", StatusCode::NOT_FOUND).await;
        check("/api/none", "text/html", StatusCode::NOT_FOUND).await;
        check("/.gitignore", "*/*", StatusCode::NOT_FOUND).await;
    }

    #[tokio::test]
    async fn nothing_inline_runs_or_styles() {
        let response = ask("/", "text/html").await;
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        let script = policy.split("; ").find(|part| part.starts_with("script-src")).unwrap();
        assert_eq!(script, "script-src 'self'");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
    }
}
