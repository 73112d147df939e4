//! Every route for every identity.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use headwater_app::SystemEntropy;

use super::world::{ELSEWHERE, HERE, World, answer};
use crate::auth::{AccountRole, Accounts};
use crate::routes::{Policy, routes};

/// Who asks: where from, under which name of the server, with which headers.
struct Identity {
    name: &'static str,
    is_here: bool,
    host: &'static str,
    headers: Vec<(header::HeaderName, String)>,
    /// What it gets for open, read, statement and act routes: 200 stands for admitted.
    expected: [u16; 4],
}

impl Identity {
    fn anonymous(name: &'static str, is_here: bool, host: &'static str, expected: [u16; 4]) -> Self {
        Self { name, is_here, host, headers: Vec::new(), expected }
    }

    fn with(self, name: header::HeaderName, value: String) -> Self {
        Self { headers: vec![(name, value)], ..self }
    }
}

fn expected(policy: Policy, by_policy: [u16; 4]) -> u16 {
    let [open, read, sql, act] = by_policy;
    match policy {
        Policy::Open => open,
        Policy::Read => read,
        Policy::UntrustedSql => sql,
        // There is no such source, or one that asks for nothing itself.
        Policy::Act | Policy::Push => act,
    }
}

/// Bodies that are refused after the door, so that nothing starts.
const NO_BODY: &str = "{\"no such key\": 1}";

async fn check(world: &World, identity: &Identity) {
    for route in routes() {
        let path = route.path.replace("{name}", "none").replace("{id}", "999").replace("{tile}", "none");
        let mut request = Request::builder().method(route.method).uri(&path).header(header::HOST, identity.host);
        request = request.header("x-headwater", "1").header(header::CONTENT_TYPE, "application/json");
        for (name, value) in &identity.headers {
            request = request.header(name, value);
        }
        let peer = if identity.is_here { HERE } else { ELSEWHERE };
        let body = if route.method == "GET" { "" } else { NO_BODY };
        let response = world.send(peer, request.body(Body::from(body)).unwrap()).await;
        let found = match response.status().as_u16() {
            refused @ (401 | 403) => refused,
            _ => 200,
        };
        assert_eq!(found, expected(route.policy, identity.expected), "{} {} as {}", route.method, path, identity.name);
    }
}

const ALL: [u16; 4] = [200, 200, 200, 200];
const NONE: [u16; 4] = [200, 401, 401, 401];
const VIEWER: [u16; 4] = [200, 200, 200, 403];

#[tokio::test]
async fn without_accounts_only_this_machine_may_do_anything() {
    let world = World::new().await;
    check(&world, &Identity::anonymous("anonymous here", true, "localhost", ALL)).await;
    check(&world, &Identity::anonymous("anonymous elsewhere", false, "data.example", NONE)).await;
    check(&world, &Identity::anonymous("anonymous through a proxy here", true, "data.example", NONE)).await;
    let unknown = Identity::anonymous("a wrong token", true, "localhost", NONE);
    check(&world, &unknown.with(header::AUTHORIZATION, "Bearer hw_00".into())).await;
    world.end().await;
}

#[tokio::test]
async fn with_accounts_everybody_may_do_what_the_role_says() {
    let mut accounts = Accounts::default();
    let mut tokens = Vec::new();
    for (name, role) in [("v", AccountRole::Viewer), ("e", AccountRole::Editor), ("a", AccountRole::Admin)] {
        accounts.set_user(name, role, "correct horse battery", &SystemEntropy).unwrap();
        tokens.push(accounts.add_token(&format!("{name}-token"), role, &SystemEntropy).unwrap());
    }
    let world = World::with(&accounts, false).await;
    check(&world, &Identity::anonymous("anonymous here", true, "localhost", NONE)).await;
    check(&world, &Identity::anonymous("anonymous elsewhere", false, "data.example", NONE)).await;
    for ((name, token), expected) in ["v", "e", "a"].into_iter().zip(tokens).zip([VIEWER, ALL, ALL]) {
        let by_token = Identity::anonymous("a token", false, "data.example", expected);
        check(&world, &by_token.with(header::AUTHORIZATION, format!("Bearer {token}"))).await;
        // Each check logs out on its way: the session is taken anew.
        let by_cookie = Identity::anonymous("a session", false, "data.example", expected);
        let cookie = log_in(&world, name).await;
        check_before_logout(&world, &by_cookie.with(header::COOKIE, cookie)).await;
    }
    check_foreign_form(&world).await;
    world.end().await;
}

async fn log_in(world: &World, name: &str) -> String {
    let body = format!("{{\"name\": \"{name}\", \"password\": \"correct horse battery\"}}");
    let request = Request::post("/api/login").header(header::HOST, "data.example").body(Body::from(body)).unwrap();
    let found = answer(world.send(ELSEWHERE, request).await).await;
    assert_eq!((found.status, found.json["user"]["name"].as_str()), (StatusCode::OK, Some(name)));
    found.headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned()
}

/// As [`check`], without the route that ends the session.
async fn check_before_logout(world: &World, identity: &Identity) {
    for route in routes().into_iter().filter(|route| route.path != "/api/logout") {
        let path = route.path.replace("{name}", "none").replace("{id}", "999").replace("{tile}", "none");
        let mut request = Request::builder().method(route.method).uri(&path).header(header::HOST, identity.host);
        request = request.header("x-headwater", "1").header(header::CONTENT_TYPE, "application/json");
        for (name, value) in &identity.headers {
            request = request.header(name, value);
        }
        let body = if route.method == "GET" { "" } else { NO_BODY };
        let status = world.send(ELSEWHERE, request.body(Body::from(body)).unwrap()).await.status().as_u16();
        let found = if matches!(status, 401 | 403) { status } else { 200 };
        assert_eq!(found, expected(route.policy, identity.expected), "{} {path} as {}", route.method, identity.name);
    }
}

/// A page elsewhere can make a browser send a form with its cookie, but not with our header.
async fn check_foreign_form(world: &World) {
    let cookie = log_in(world, "e").await;
    let form = |with_header: bool| {
        let request = Request::post("/api/runs").header(header::HOST, "data.example").header(header::COOKIE, &cookie);
        let request = if with_header { request.header("x-headwater", "1") } else { request };
        request.body(Body::from("{\"command\": \"none\"}")).unwrap()
    };
    assert_eq!(world.send(ELSEWHERE, form(false)).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(world.send(ELSEWHERE, form(true)).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn in_read_only_mode_nobody_starts_anything() {
    let open = World::with(&Accounts::default(), true).await;
    check(&open, &Identity::anonymous("anonymous here", true, "localhost", VIEWER)).await;
    check(&open, &Identity::anonymous("anonymous elsewhere", false, "data.example", [200, 200, 403, 403])).await;
    let session = open.get("/api/session").await;
    assert_eq!((&session["role"], &session["read_only"]), (&"viewer".into(), &true.into()));
    open.end().await;
    let mut accounts = Accounts::default();
    let token = accounts.add_token("admin", AccountRole::Admin, &SystemEntropy).unwrap();
    let closed = World::with(&accounts, true).await;
    check(&closed, &Identity::anonymous("anonymous here", true, "localhost", NONE)).await;
    let admin = Identity::anonymous("an admin's token", false, "data.example", VIEWER);
    check(&closed, &admin.with(header::AUTHORIZATION, format!("Bearer {token}"))).await;
    closed.end().await;
}

#[tokio::test]
async fn pages_and_unknown_paths_answer_anybody_and_tell_nothing() {
    let world = World::new().await;
    for (path, accept, status) in [
        ("/", "text/html", StatusCode::OK),
        ("/dashboards/none", "text/html", StatusCode::OK),
        ("/assets/none.js", "*/*", StatusCode::NOT_FOUND),
        ("/api/none", "text/html", StatusCode::NOT_FOUND),
    ] {
        let request = Request::get(path).header(header::HOST, "data.example").header(header::ACCEPT, accept);
        let response = world.send(ELSEWHERE, request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), status, "{path}");
        for header in ["content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy"] {
            assert!(response.headers().contains_key(header), "{path} has no {header}");
        }
    }
    let foreign = Request::get("/api/home").header(header::HOST, "evil.example").body(Body::empty()).unwrap();
    assert_eq!(world.send(HERE, foreign).await.status(), StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(world.ask(Method::DELETE, "/api/home", "").await.status, StatusCode::METHOD_NOT_ALLOWED);
    world.end().await;
}
