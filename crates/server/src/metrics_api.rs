//! `GET /metrics`: counters and gauges in the text format of Prometheus.
//!
//! Names are never renamed. Counters begin anew with the process, as their readers expect.

use std::fmt::Write;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use headwater_app::view::{PipelineDetail, SinkSummary, SourceSummary, Status};

use crate::api::{ApiError, SharedApi};

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) async fn metrics(State(api): SharedApi) -> Result<Response, ApiError> {
    let text = text(&api.up.status(), &api.up.sources().await?, &api.up.sinks().await?);
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// A figure of a table; nothing where it is not known.
type Figure = fn(&PipelineDetail) -> Option<f64>;

const OF_TABLES: [(&str, &str, &str, Figure); 10] = [
    ("ingest_records_total", "counter", "Records taken in, rejected ones included.", |one| {
        Some(one.status.records_in as f64)
    }),
    ("ingest_rows_total", "counter", "Rows committed.", |one| Some(one.status.rows_out as f64)),
    ("ingest_quarantined_total", "counter", "Records set aside.", |one| Some(one.status.quarantined as f64)),
    ("ingest_bytes_total", "counter", "Bytes of records as they came.", |one| Some(one.status.bytes_in as f64)),
    ("ingest_commits_total", "counter", "Commits of the table.", |one| Some(one.status.commits as f64)),
    ("ingest_rows_per_second", "gauge", "Rows committed per second, over the last minute.", |one| {
        Some(one.rows_per_second)
    }),
    ("ingest_lag_records", "gauge", "Records that wait at the source.", |one| one.lag_records.map(|lag| lag as f64)),
    ("ingest_lag_bytes", "gauge", "Bytes that wait at the source, about.", |one| one.lag_bytes.map(|lag| lag as f64)),
    ("ingest_behind_seconds", "gauge", "Time since the table had everything the source had.", |one| one.behind_seconds),
    ("ingest_last_commit_timestamp_seconds", "gauge", "When the table was committed to last.", |one| {
        one.status.last_commit_at.map(|at| at.as_micros() as f64 / 1e6)
    }),
];

/// The same of a sink.
type SinkFigure = fn(&SinkSummary) -> Option<f64>;

const OF_SINKS: [(&str, &str, &str, SinkFigure); 5] = [
    ("sink_rows_total", "counter", "Rows sent.", |one| one.rows_sent.map(|rows| rows as f64)),
    ("sink_transfers_total", "counter", "Sets of rows that went out whole.", |one| {
        one.transfers.map(|sets| sets as f64)
    }),
    ("sink_waiting_rows", "gauge", "Rows that are still to be sent.", |one| one.waiting_rows.map(|rows| rows as f64)),
    ("sink_behind_seconds", "gauge", "Time since the first of the rows that wait came.", |one| one.behind_seconds),
    ("sink_last_sent_timestamp_seconds", "gauge", "When rows were sent last.", |one| {
        one.last_sent_at.map(|at| at.as_micros() as f64 / 1e6)
    }),
];

fn text(status: &Status, sources: &[SourceSummary], sinks: &[SinkSummary]) -> String {
    let mut text = String::new();
    let of_process: [(&str, &str, &str, f64); 3] = [
        ("process_resident_memory_bytes", "gauge", "Resident memory of the process.", status.memory_bytes as f64),
        ("start_time_seconds", "gauge", "When the process began.", status.started_at.as_micros() as f64 / 1e6),
        ("runs_running", "gauge", "Runs under way.", status.running_runs.len() as f64),
    ];
    for (name, kind, help, value) in of_process {
        head(&mut text, name, kind, help);
        line(&mut text, name, &[], value);
    }
    for (name, kind, help, figure) in OF_TABLES {
        head(&mut text, name, kind, help);
        for (source, pipeline) in tables(sources) {
            if let Some(value) = figure(pipeline) {
                line(&mut text, name, &[("source", source), ("table", &pipeline.status.table)], value);
            }
        }
    }
    head(&mut text, "ingest_state", "gauge", "1 for the state a table is in.");
    for (source, pipeline) in tables(sources) {
        let status = &pipeline.status;
        line(&mut text, "ingest_state", &[("source", source), ("table", &status.table), ("state", &status.state)], 1.0);
    }
    head(&mut text, "source_paused", "gauge", "1 for a source that is paused.");
    for source in sources {
        let paused = if source.paused_at.is_some() { 1.0 } else { 0.0 };
        line(&mut text, "source_paused", &[("source", &source.name)], paused);
    }
    for (name, kind, help, figure) in OF_SINKS {
        head(&mut text, name, kind, help);
        for sink in sinks {
            if let Some(value) = figure(sink) {
                line(&mut text, name, &[("sink", &sink.name), ("table", &sink.table)], value);
            }
        }
    }
    head(&mut text, "sink_state", "gauge", "1 for the state a sink is in.");
    for sink in sinks {
        line(&mut text, "sink_state", &[("sink", &sink.name), ("table", &sink.table), ("state", sink.state)], 1.0);
    }
    text
}

fn tables(sources: &[SourceSummary]) -> impl Iterator<Item = (&str, &PipelineDetail)> {
    sources.iter().flat_map(|source| source.pipelines.iter().map(|pipeline| (source.name.as_str(), pipeline)))
}

// Writing to a text cannot fail.
fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    writeln!(text, "# HELP headwater_{name} {help}\n# TYPE headwater_{name} {kind}").unwrap_or(());
}

fn line(text: &mut String, name: &str, labels: &[(&str, &str)], value: f64) {
    let labels: Vec<String> = labels.iter().map(|(label, of)| format!("{label}=\"{}\"", escaped(of))).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    writeln!(text, "headwater_{name}{labels} {value}").unwrap_or(());
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use headwater_app::view::PipelineStatus;
    use headwater_project::Timestamp;

    use super::*;

    #[test]
    fn figures_that_are_not_known_are_left_out_and_labels_are_escaped() {
        let status = Status {
            project: String::from("p"),
            version: String::from("1"),
            started_at: Timestamp(2_500_000),
            now: Timestamp(3_000_000),
            generators: Vec::new(),
            pipelines: Vec::new(),
            running_runs: vec![7],
            last_run: None,
            schedules: Vec::new(),
            memory_bytes: 1 << 20,
        };
        let table = PipelineStatus {
            table: String::from("s.a\"b"),
            rows_out: 3,
            state: String::from("paused"),
            ..Default::default()
        };
        let pipeline = PipelineDetail { status: table, lag_bytes: Some(9), ..PipelineDetail::default() };
        let source = SourceSummary { name: String::from("s"), pipelines: vec![pipeline], ..SourceSummary::default() };
        let sink = SinkSummary {
            name: String::from("out"),
            table: String::from("s.t"),
            state: "retrying",
            rows_sent: Some(5),
            ..SinkSummary::default()
        };
        let text = text(&status, &[source], &[sink]);
        for line in [
            "headwater_start_time_seconds 2.5",
            "headwater_runs_running 1",
            "headwater_ingest_rows_total{source=\"s\",table=\"s.a\\\"b\"} 3",
            "headwater_ingest_lag_bytes{source=\"s\",table=\"s.a\\\"b\"} 9",
            "headwater_ingest_state{source=\"s\",table=\"s.a\\\"b\",state=\"paused\"} 1",
            "headwater_source_paused{source=\"s\"} 0",
            "# TYPE headwater_ingest_rows_total counter",
            "headwater_sink_rows_total{sink=\"out\",table=\"s.t\"} 5",
            "headwater_sink_state{sink=\"out\",table=\"s.t\",state=\"retrying\"} 1",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("headwater_ingest_lag_records{"), "{text}");
        assert!(!text.contains("headwater_sink_waiting_rows{"), "{text}");
    }
}
