//! `GET /`: a page without script for somebody who opens the address in a browser.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Html;
use headwater_app::rfc3339;
use headwater_app::view::{RunSummary, Status, TableSummary};

use crate::api::{ApiError, SharedApi};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;\
color:#1a1a1a;background:#fff}table{border-collapse:collapse}td,th{padding:.2rem 1rem .2rem 0;text-align:left;\
border-bottom:1px solid #ddd}td.n{text-align:right;font-variant-numeric:tabular-nums}code,pre{background:#f3f3f3;\
padding:.1rem .3rem}@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}\
td,th{border-color:#333}code,pre{background:#262626}a{color:#8ab4ff}}";

pub(crate) async fn page(State(api): SharedApi, headers: HeaderMap) -> Result<Html<String>, ApiError> {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or("localhost");
    let status = api.up.status();
    let tables = api.instance.tables().await?;
    let runs = api.instance.runs(10).await?;
    let dashboards = api.instance.project().dashboards();
    Ok(Html(render(host, &status, &dashboards, &tables, &runs)))
}

fn render(
    host: &str,
    status: &Status,
    dashboards: &[(String, String)],
    tables: &[TableSummary],
    runs: &[RunSummary],
) -> String {
    let name = escape(&status.project);
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{name} · Headwater</title>\
         <style>{STYLE}</style><h1>{name}</h1><p>Headwater {}. \
         <a href=\"/api/status\">status</a> · <a href=\"/api/assets\">assets</a> · <a href=\"/api/runs\">runs</a> · \
         <a href=\"/api/topics\">topics</a> · <a href=\"/api/dashboards\">dashboards</a></p>\
         <pre>curl -s http://{}/api/sql --data-binary 'select 1'</pre>",
        escape(&status.version),
        escape(host),
    );
    page.push_str("<h2>Dashboards</h2><ul>");
    for (dashboard, title) in dashboards {
        let address = path_segment(dashboard);
        page.push_str(&format!("<li><a href=\"/api/dashboards/{address}\">{}</a></li>", escape(title)));
    }
    page.push_str("</ul><h2>Tables</h2><table><tr><th>table<th>rows<th>bytes<th>version");
    for table in tables {
        page.push_str(&table_row(table));
    }
    page.push_str("</table><h2>Runs</h2><table><tr><th>run<th>command<th>status<th>queued");
    for run in runs {
        page.push_str(&run_row(run));
    }
    page.push_str("</table></html>");
    page
}

fn table_row(table: &TableSummary) -> String {
    let rows =
        if table.is_view { "view".to_owned() } else { table.rows.map_or_else(|| "?".into(), |rows| rows.to_string()) };
    format!(
        "<tr><td><a href=\"/api/assets/{}\">{}</a><td class=\"n\">{rows}<td class=\"n\">{}<td class=\"n\">{}",
        path_segment(&table.name),
        escape(&table.name),
        table.bytes,
        table.version
    )
}

fn run_row(run: &RunSummary) -> String {
    format!(
        "<tr><td><a href=\"/api/runs/{0}\">{0}</a><td>{1}<td>{2}<td>{3}",
        run.id,
        escape(&run.command),
        escape(&run.status),
        rfc3339(run.queued_at)
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Percent-encodes everything but what a path segment may hold plainly.
fn path_segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use headwater_project::Timestamp;

    use super::*;

    fn status(project: &str) -> Status {
        Status {
            project: project.into(),
            version: "1".into(),
            started_at: Timestamp(0),
            now: Timestamp(0),
            generators: vec![],
            pipelines: vec![],
            running_runs: vec![],
            last_run: None,
            schedules: vec![],
            memory_bytes: 0,
        }
    }

    #[test]
    fn names_from_the_project_cannot_become_markup() {
        let dashboards = [("a/b\"".to_owned(), "<script>alert(1)</script>".to_owned())];
        let page = render("h", &status("<b>&"), &dashboards, &[], &[]);
        assert!(!page.contains("<script") && !page.contains("<b>&"));
        assert!(page.contains("&lt;b&gt;&amp;") && page.contains("/api/dashboards/a%2Fb%22"));
    }
}
