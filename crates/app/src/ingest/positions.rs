//! Positions as people read them. Their keys are named where they are made: `headwater_ingest::position` and the connectors.

use headwater_project::Timestamp;

use crate::text_time::rfc3339;

/// Microseconds since 1970 of this century: a position in that range is taken for a time.
const TIMES: std::ops::Range<i64> = 946_684_800_000_000..4_102_444_800_000_000;

/// Which part of a source a position is of, and how far it was taken. Nothing for what only tells parts apart.
pub(crate) fn told(key: &str, position: i64) -> Option<(String, String)> {
    let (kind, rest) = key.split_once('/')?;
    match kind {
        "k" => {
            let (_, part) = rest.split_once('/')?;
            Some((part.to_owned(), position.to_string()))
        }
        "f" => Some((String::from("files"), format!("batch {position}"))),
        "h" => Some((String::from("records"), value(position))),
        "pg" => postgres(rest, position),
        // Fingerprints of Kafka's records and clusters, and what the lake keeps for itself.
        "kh" | "kc" | "fence" | "owner" | "clock" | "layout" | "g" | "rejected-at" => None,
        _ => Some((rest.to_owned(), value(position))),
    }
}

fn postgres(rest: &str, position: i64) -> Option<(String, String)> {
    let parts: Vec<&str> = rest.split('/').collect();
    match parts.as_slice() {
        ["snapshot", _, table] => Some(((*table).to_owned(), log_place(position))),
        ["cursor", _, table] => Some(((*table).to_owned(), value(position))),
        [_, table] if !matches!(*table, "system" | "intent") => Some(((*table).to_owned(), log_place(position))),
        _ => None,
    }
}

/// A place in PostgreSQL's log as it writes it.
fn log_place(position: i64) -> String {
    format!("{:X}/{:X}", position >> 32, position & 0xffff_ffff)
}

fn value(position: i64) -> String {
    if TIMES.contains(&position) { rfc3339(Timestamp(position)) } else { position.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &str, position: i64, expected: Option<(&str, &str)>) {
        let found = told(key, position);
        assert_eq!(found.as_ref().map(|(part, place)| (part.as_str(), place.as_str())), expected, "{key}");
    }

    #[test]
    fn positions_are_told_by_what_they_are_of() {
        check("k/events/views/3", 41, Some(("views/3", "41")));
        check("kh/events/views/3", 12_345, None);
        check("fence/events", 3, None);
        check("rejected-at/events", 1_714_564_800_000_000, None);
        check("f/visits", 2, Some(("files", "batch 2")));
        check("h/crm", 1_714_564_800_000_000, Some(("records", "2024-05-01T12:00:00.000000Z")));
        check("h/crm", 42, Some(("records", "42")));
        check("pg/shop/orders", 0x1_6B37_4848, Some(("orders", "1/6B374848")));
        check("pg/shop/orders/oid", 16_384, None);
        check("pg/cursor/shop/public.orders", 7, Some(("public.orders", "7")));
        check("pg/snapshot/shop/public.orders", 0x2_0000_0010, Some(("public.orders", "2/10")));
    }
}
