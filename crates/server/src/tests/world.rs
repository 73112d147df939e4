use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::Response;
use axum::{Extension, Router};
use headwater_app::{Access, BuildRequest, Instance, OpenOptions, Project, Silent, Up, UpOptions, init_project};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::auth::{Accounts, Auth, Peer};
use crate::routes;

pub(super) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub(super) const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

/// A dashboard with what the first project's own has not: filters, a click, a misspelt column.
const DASHBOARD: &str = "\
name: filtered
title: Filtered
filters:
  - {name: countries, kind: multi_select, default: [], options_sql: \"select distinct country from {{ ref('daily_visits') }} order by 1\"}
  - {name: days, kind: date_range, default: all}
tiles:
  - name: by_country
    kind: bars
    x: country
    y: visits
    select: {filter: countries}
    detail_sql: \"select visit_id, country from {{ ref('stg_visits') }}\"
    sql: |
      select country, cast(sum(visits) as bigint) as visits from {{ ref('daily_visits') }}
      where cardinality($countries) = 0 or array_has($countries, country)
      group by country order by country
  - {name: total, kind: number, sql: \"select count(*) as value from {{ ref('daily_visits') }}\"}
  - {name: broken, kind: bars, x: land, y: visits, sql: \"select country, visits from {{ ref('daily_visits') }}\"}
  - {name: words, kind: text, text: \"<b>not bold</b>\"}
";

const SINK: &str =
    "kind: files\nname: visits\ndescription: What others read\ntable: site.visits\nto: {path: out}\nevery: 100ms\n";

/// One project at work. Dropped, its processes' parts end.
pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    pub(super) instance: Instance,
    pub(super) up: Up,
    pub(super) api: Arc<Api>,
    pub(super) router: Router,
}

/// What a request came to.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) json: Value,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(&Accounts::default(), false).await
    }

    pub(super) async fn with(accounts: &Accounts, read_only: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("site");
        init_project(&project, Some("site")).unwrap();
        std::fs::write(project.join("dashboards/filtered.yml"), DASHBOARD).unwrap();
        std::fs::create_dir_all(project.join("sinks")).unwrap();
        std::fs::write(project.join("sinks/visits.yml"), SINK).unwrap();
        std::fs::write(project.join("data/visits-2.jsonl"), "{\"visit\": 99, \"at\": \"2024-05-01T0\n").unwrap();
        let options = OpenOptions { project_dir: project.clone(), memory_bytes: Some(512 << 20), ..Default::default() };
        let project = Project::load(&options).unwrap();
        assert_eq!(project.findings(), []);
        if !accounts.is_empty() {
            accounts.write(&Accounts::path(&project.data_folder())).unwrap();
        }
        let instance = Instance::open(project, Access::Writer).await.unwrap();
        instance.ingest(&[], CancellationToken::new(), Arc::new(Silent)).await.unwrap();
        let build = BuildRequest { trigger: "manual", ..BuildRequest::default() };
        let report = instance.build(build, Arc::new(Silent), CancellationToken::new()).await.unwrap();
        assert!(report.succeeded, "{report:?}");
        let up = instance.up(UpOptions::default()).await.unwrap();
        let auth = Auth::of_instance(&instance, read_only);
        let hosts = BTreeSet::from([String::from("data.example")]);
        let stop = CancellationToken::new();
        let api = Arc::new(Api::new(instance.clone(), up.handle(), hosts, auth, stop));
        let router = routes::router(Arc::clone(&api));
        Self { folder, instance, up, api, router }
    }

    pub(super) async fn send(&self, peer: IpAddr, request: Request<Body>) -> Response {
        let router = self.router.clone().layer(Extension(Peer(peer)));
        TowerToHyperService::new(router).call(request).await.unwrap()
    }

    pub(super) async fn ask(&self, method: Method, path: &str, body: &str) -> Answer {
        let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        answer(self.send(HERE, request.body(Body::from(body.to_owned())).unwrap()).await).await
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        let answer = self.ask(Method::GET, path, "").await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.json);
        answer.json
    }

    /// What a path gives once the value at a pointer is this one. Longer than a minute means never.
    pub(super) async fn until(&self, path: &str, pointer: &str, wanted: &str) -> Value {
        let asking = async {
            loop {
                let found = self.get(path).await;
                if found.pointer(pointer).and_then(Value::as_str) == Some(wanted) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(60), asking).await {
            Ok(found) => found,
            Err(_) => panic!("{path} never had {wanted} at {pointer}: {}", self.get(path).await),
        }
    }

    pub(super) async fn text(&self, path: &str) -> String {
        let request = Request::builder().uri(path).header(header::HOST, "localhost").body(Body::empty()).unwrap();
        let response = self.send(HERE, request).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let bytes = axum::body::to_bytes(response.into_body(), 16 << 20).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, &body.to_string()).await
    }

    pub(super) async fn end(self) {
        self.api.stop.cancel();
        self.api.tasks.close();
        self.api.tasks.wait().await;
        self.up.shutdown().await.unwrap();
        drop(self.folder);
    }
}

pub(super) async fn answer(response: Response) -> Answer {
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 16 << 20).await.unwrap();
    let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Answer { status: parts.status, headers: parts.headers, json }
}
