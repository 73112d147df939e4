use std::path::Path;

use super::*;
use crate::http::test_service::{Ticking, service};

/// Pages of a service: `/list?page=N`, one record each, tagged by what they hold.
fn pages(count: u64) -> impl Fn(&str) -> (u16, String, String) + Send {
    move |head: &str| {
        let path = head.split(' ').nth(1).unwrap();
        let page: u64 = path.rsplit('=').next().unwrap().parse().unwrap_or(1);
        let tag = format!("ETag: \"{count}-{page}\"\r\n");
        if head.to_lowercase().contains(&format!("if-none-match: \"{count}-{page}\"")) {
            return (304, tag, String::new());
        }
        let next = if page < count { format!("Link: </list?page={}>; rel=next\r\n", page + 1) } else { String::new() };
        (200, format!("{tag}{next}"), format!("[{{\"page\": {page}}}]"))
    }
}

/// One look, from what the lake has; the records it brings, and what is committed after it (if it is).
fn look(address: &str, folder: &Path, config: &str, committed: Option<i64>, commits: bool) -> (usize, Option<i64>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let connection: HttpConnection = serde_json::from_value(serde_json::json!({ "url": address })).unwrap();
    let config = serde_json::from_str(&format!(r#"{{"connection": "c", "path": "/list"{config}}}"#)).unwrap();
    let clock = Arc::new(Ticking::default());
    let mut source =
        HttpSource::new("s", connection, config, folder.to_owned(), Arc::clone(&clock) as _, clock).stop_at_end();
    let mut positions = Positions::default();
    committed.into_iter().for_each(|position| positions.set(http_key("s"), position));
    source.resume(&positions).unwrap();
    let (mut records, mut reached) = (0, committed);
    loop {
        match source.next_batch(&ReadLimits { max_bytes: 1 }, RecordBuffer::default()).unwrap() {
            Next::Batch(batch) => {
                records += batch.records.len();
                if batch.boundary && commits {
                    reached = batch.positions.get(&http_key("s"));
                    source.committed(&batch.positions).unwrap();
                }
            }
            Next::Rows(_) => panic!("records are not typed"),
            Next::Idle => {}
            Next::End => return (records, reached),
        }
    }
}

#[test]
fn what_the_lake_has_is_asked_for_on_condition() {
    let folder = tempfile::tempdir().unwrap();
    let (address, asked) = service(pages(1));
    let take = |committed, commits| look(&address, folder.path(), "", committed, commits);
    // A look that never reached the lake is taken again.
    assert_eq!(take(None, false), (1, None));
    assert_eq!(take(None, true), (1, Some(1)));
    assert_eq!(take(Some(1), true), (0, Some(1)));
    // A lake that has another look, or none, is given everything.
    assert_eq!(take(Some(7), true), (1, Some(8)));
    assert_eq!(take(None, true), (1, Some(1)));
    let conditions: Vec<bool> =
        asked.lock().unwrap().iter().map(|head| head.to_lowercase().contains("if-none-match")).collect();
    assert_eq!(conditions, [false, false, true, false, false]);
}

#[test]
fn a_look_of_several_pages_is_taken_whole() {
    let folder = tempfile::tempdir().unwrap();
    let config = r#", "pagination": {"type": "link"}"#;
    let (address, _) = service(pages(3));
    assert_eq!(look(&address, folder.path(), config, None, true), (3, Some(1)));
    assert_eq!(look(&address, folder.path(), config, Some(1), true), (3, Some(2)));
}

#[test]
fn one_page_that_became_several_is_taken_whole() {
    let folder = tempfile::tempdir().unwrap();
    let config = r#", "pagination": {"type": "link"}"#;
    // The second page has the tag that the first had.
    let grown = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_grown = Arc::clone(&grown);
    let (address, _) = service(move |head| {
        let is_grown = is_grown.load(std::sync::atomic::Ordering::Relaxed);
        let tag = if is_grown && head.starts_with("GET /list ") { "b" } else { "a" };
        if head.to_lowercase().contains(&format!("if-none-match: \"{tag}\"")) {
            return (304, String::new(), String::new());
        }
        let next = if is_grown && tag == "b" { "Link: </list?page=2>; rel=next\r\n" } else { "" };
        (200, format!("ETag: \"{tag}\"\r\n{next}"), String::from("[{}]"))
    });
    assert_eq!(look(&address, folder.path(), config, None, true), (1, Some(1)));
    grown.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(look(&address, folder.path(), config, Some(1), true), (2, Some(2)));
}

#[test]
fn answers_that_are_kept_stand_for_the_service() {
    let folder = tempfile::tempdir().unwrap();
    let (address, asked) = service(pages(3));
    let config = r#", "pagination": {"type": "link"}, "cache": "1h""#;
    assert_eq!(look(&address, folder.path(), config, None, true), (3, Some(1)));
    assert_eq!(look(&address, folder.path(), config, Some(1), true), (3, Some(2)));
    assert_eq!(asked.lock().unwrap().len(), 3);
    // Too old, they are asked about, and stand for those that did not change.
    let config = r#", "pagination": {"type": "link"}, "cache": "0s""#;
    assert_eq!(look(&address, folder.path(), config, Some(2), true), (3, Some(3)));
    let asked = asked.lock().unwrap();
    assert!(
        asked.len() == 6 && asked[3..].iter().all(|head| head.to_lowercase().contains("if-none-match")),
        "{asked:?}"
    );
}
