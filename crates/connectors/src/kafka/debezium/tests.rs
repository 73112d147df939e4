use super::*;
use arrow::json::LineDelimitedWriter;
use headwater_ingest::schema::MessageColumns;

fn lines(batch: &RecordBatch) -> Vec<String> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    String::from_utf8(writer.into_inner()).unwrap().lines().map(str::to_owned).collect()
}

fn check(records: &[Option<&str>], rows: &[&str], removed: &[&str], refused: &[&str]) {
    let provenance = Provenance::Message(MessageColumns::default());
    let mut decoder = Decoder::new(Codec::Json, DriftPolicy::default(), provenance, None).unwrap();
    let mut buffer = RecordBuffer::default();
    for (offset, record) in (0..).zip(records) {
        let payload = record.unwrap_or_default().as_bytes();
        let record_of = headwater_ingest::Record { offset, timestamp: 0, key: b"", payload };
        if record.is_some() { buffer.push(record_of) } else { buffer.push_absent(record_of) }
    }
    let origin = Origin::Log { topic: "t".into(), partition: 0 };
    let decoded = decoder.decode(&buffer, &[], &origin).unwrap();
    let found = changes(&decoded.rows, &["id".to_owned()], PLACEHOLDER, false).unwrap();
    let fields = found.rows.schema().fields().iter().filter(|field| !is_reserved(field.name())).count();
    let shown = found.rows.project(&(0..fields).collect::<Vec<_>>()).unwrap();
    assert_eq!(lines(&shown), rows);
    assert_eq!(lines(&found.removed), removed);
    let reasons: Vec<_> = refuse(&found.refused, &decoded.rows, &buffer, &origin);
    assert_eq!(reasons.iter().map(|one| one.reason.as_str()).collect::<Vec<_>>(), refused);
}

#[test]
fn the_last_change_of_a_key_counts() {
    check(
        &[
            Some(r#"{"op": "r", "before": null, "after": {"id": 1, "name": "a"}}"#),
            Some(r#"{"op": "u", "before": {"id": 1, "name": "a"}, "after": {"id": 1, "name": "b"}}"#),
            Some(r#"{"op": "c", "before": null, "after": {"id": 2, "name": "c"}}"#),
            Some(r#"{"op": "d", "before": {"id": 2, "name": "c"}, "after": null}"#),
            None,
            Some(r#"{"op": "d", "before": {"id": 3, "name": "x"}, "after": null}"#),
            Some(r#"{"op": "c", "before": null, "after": {"id": 3, "name": "again"}}"#),
            Some(r#"{"op": "t"}"#),
            Some(r#"{"op": "d", "before": null, "after": null}"#),
        ],
        &[r#"{"id":1,"name":"b"}"#, r#"{"id":3,"name":"again"}"#],
        &[r#"{"id":2}"#],
        &["operation `t` of an envelope is not one of c, r, u and d", "envelope of a delete lacks the row before"],
    );
}

#[test]
fn values_with_their_schema_are_looked_into_and_others_refused() {
    let wrapped = r#"{"schema": {"type": "struct"}, "payload": {"op": "c", "after": {"id": 1}}}"#;
    check(&[Some(wrapped)], &[r#"{"id":1}"#], &[], &[]);
    check(&[Some(r#"{"id": 1}"#)], &[], &[], &["record is no envelope of a change"]);
}

/// What says how values are read, and from how many partitions, and nothing else.
struct Nothing(usize);

impl Source for Nothing {
    fn codec(&self) -> Option<Codec> {
        Some(Codec::Json)
    }

    fn provenance(&self) -> Provenance {
        Provenance::Message(MessageColumns::default())
    }

    fn partitions(&self) -> Option<usize> {
        Some(self.0)
    }

    fn resume(&mut self, _: &Positions) -> Result<()> {
        Ok(())
    }

    fn next_batch(&mut self, _: &ReadLimits, _: RecordBuffer) -> Result<Next> {
        Ok(Next::End)
    }

    fn committed(&mut self, _: &Positions) -> Result<()> {
        Ok(())
    }
}

fn raw(first: i64, records: &[&str]) -> RawBatch {
    let mut buffer = RecordBuffer::default();
    for (offset, record) in (first..).zip(records) {
        buffer.push(headwater_ingest::Record { offset, timestamp: 0, key: b"k", payload: record.as_bytes() });
    }
    RawBatch {
        records: buffer,
        header: Arc::default(),
        origin: Origin::Log { topic: "t".into(), partition: 3 },
        rejected: Vec::new(),
        positions: Positions::default(),
        boundary: true,
        replaces: false,
        info: None,
    }
}

/// Rows of the log without what every message has.
fn shown(log: &headwater_ingest::source::LogRows) -> Vec<String> {
    let schema = log.rows.schema();
    let kept = schema.fields().iter().enumerate().filter(|(_, field)| !is_reserved(field.name()));
    lines(&log.rows.project(&kept.map(|(place, _)| place).collect::<Vec<_>>()).unwrap())
}

#[test]
fn every_change_is_a_row_of_the_log() {
    let mut source = Unwrapped::new(Nothing(2), &["id".to_owned()], PLACEHOLDER).logged("s");
    let batch = source
        .unwrap(raw(
            7,
            &[
                r#"{"op": "c", "before": null, "after": {"id": 1, "price": 2}, "source": {"lsn": 5, "ts_ms": 1000}}"#,
                r#"{"op": "u", "before": {"id": 1, "price": 2.5, "old": "x"}, "after": {"id": 2, "price": 3}, "source": {"lsn": 6, "ts_ms": 2000}}"#,
                r#"{"op": "d", "before": {"id": 9, "price": 1.5}, "after": null, "source": {"lsn": 7, "ts_ms": 3000}}"#,
                r#"{"op": "z", "after": {"id": 4}}"#,
            ],
        ))
        .unwrap();
    assert_eq!(lines(&batch.rows).len(), 1);
    assert_eq!(batch.rejected.len(), 1);
    let Effect::Merge { removed, log: Some(log), .. } = batch.effect else { panic!("{:?}", batch.effect) };
    assert_eq!(lines(&removed), [r#"{"id":1}"#, r#"{"id":9}"#]);
    assert_eq!((log.position.as_str(), log.offsets.as_slice()), ("k/s/t/3", &[7, 8, 9][..]));
    assert_eq!(
        shown(&log),
        [
            r#"{"_op":"c","_source_position":"5","_source_time":"1970-01-01T00:00:01Z","id":1,"price":2.0}"#,
            r#"{"_op":"u","_source_position":"6","_source_time":"1970-01-01T00:00:02Z","_old_key":"[1]","id":2,"price":3.0}"#,
            r#"{"_op":"d","_source_position":"7","_source_time":"1970-01-01T00:00:03Z","id":9,"price":1.5}"#,
        ]
    );
}

#[test]
fn a_truncation_takes_what_came_before_where_all_is_in_one_order() {
    let records = [
        r#"{"op": "c", "before": null, "after": {"id": 1}, "source": {"lsn": 5}}"#,
        r#"{"op": "d", "before": {"id": 2}, "after": null, "source": {"lsn": 6}}"#,
        r#"{"op": "t", "before": null, "after": null, "source": {"lsn": 7}}"#,
        r#"{"op": "c", "before": null, "after": {"id": 3}, "source": {"lsn": 8}}"#,
    ];
    let mut source = Unwrapped::new(Nothing(1), &["id".to_owned()], PLACEHOLDER).logged("s");
    let batch = source.unwrap(raw(0, &records)).unwrap();
    let Effect::Replace { log: Some(log) } = batch.effect else { panic!("{:?}", batch.effect) };
    assert_eq!(lines(&batch.rows.project(&[0]).unwrap()), [r#"{"id":3}"#]);
    assert!(batch.rejected.is_empty(), "{:?}", batch.rejected);
    assert_eq!(
        shown(&log),
        [
            r#"{"_op":"c","_source_position":"5","id":1}"#,
            r#"{"_op":"d","_source_position":"6","id":2}"#,
            r#"{"_op":"t","_source_position":"7"}"#,
            r#"{"_op":"c","_source_position":"8","id":3}"#,
        ]
    );
    let mut several = Unwrapped::new(Nothing(2), &["id".to_owned()], PLACEHOLDER);
    let batch = several.unwrap(raw(0, &records)).unwrap();
    assert!(matches!(batch.effect, Effect::Merge { .. }), "{:?}", batch.effect);
    assert!(batch.rejected[0].reason.contains("operation `t`"), "{:?}", batch.rejected);
}

#[test]
fn the_schema_around_a_value_is_not_looked_into() {
    let record =
        r#"{"schema": {"fields": [{"default": 7}, {"default": "false"}]}, "payload": {"op": "c", "after": {"id": 1}}}"#;
    let mut source = Unwrapped::new(Nothing(1), &["id".to_owned()], PLACEHOLDER);
    let batch = source.unwrap(raw(0, &[record])).unwrap();
    assert_eq!(lines(&batch.rows.project(&[0]).unwrap()), [r#"{"id":1}"#]);
    assert!(batch.rejected.is_empty(), "{:?}", batch.rejected);
}

#[test]
fn the_place_in_a_database_is_what_its_connector_says() {
    let mut source = Unwrapped::new(Nothing(2), &["id".to_owned()], PLACEHOLDER).logged("s");
    let record =
        r#"{"schema": {}, "payload": {"op": "r", "after": {"id": "a"}, "source": {"file": "bin.1", "pos": 4}}}"#;
    let Effect::Merge { log: Some(log), .. } = source.unwrap(raw(0, &[record])).unwrap().effect else { panic!() };
    assert_eq!(shown(&log), [r#"{"_op":"r","_source_position":"bin.1:4","id":"a"}"#]);
}

#[test]
fn values_are_read_as_the_table_has_them() {
    let table = Schema::new(vec![
        arrow::datatypes::Field::new("id", arrow::datatypes::DataType::Int64, true),
        arrow::datatypes::Field::new("price", arrow::datatypes::DataType::Float64, true),
    ]);
    let table = Arc::new(table);
    for record in [
        r#"{"op": "c", "after": {"id": 1, "price": 2}}"#,
        r#"{"schema": {"a": 1}, "payload": {"op": "c", "after": {"id": 1, "price": 2}}}"#,
    ] {
        let mut source =
            Unwrapped::new(Nothing(2), &["id".to_owned()], PLACEHOLDER).with_columns(Some(Arc::clone(&table)));
        let batch = source.unwrap(raw(0, &[record])).unwrap();
        assert_eq!(lines(&batch.rows.project(&[0, 1]).unwrap()), [r#"{"id":1,"price":2.0}"#]);
    }
}

const PLACEHOLDER: &str = "__unavailable";

/// Rows and cells the table keeps, as `row/column<before` each, of envelopes of rows with `id`, `word` and `list`.
fn unsent_check(records: &[&str], rows: &[&str], kept: &[&str], log: &[&str]) {
    let mut source = Unwrapped::new(Nothing(1), &["id".to_owned()], PLACEHOLDER).logged("s");
    let batch = source.unwrap(raw(0, records)).unwrap();
    assert!(batch.rejected.is_empty(), "{:?}", batch.rejected);
    let schema = batch.rows.schema();
    let own: Vec<usize> = (0..schema.fields().len()).filter(|at| !is_reserved(schema.field(*at).name())).collect();
    assert_eq!(lines(&batch.rows.project(&own).unwrap()), rows);
    let Effect::Merge { unchanged, log: Some(found), .. } = batch.effect else { panic!("{:?}", batch.effect) };
    let shown_cells = unchanged.iter().flat_map(|cells| {
        let before = cells.before.map_or_else(String::new, |before| format!("<{before}"));
        let schema = &schema;
        cells.columns.iter().map(move |column| format!("{}/{}{before}", cells.row, schema.field(*column).name()))
    });
    assert_eq!(shown_cells.collect::<Vec<_>>(), kept);
    let texts: Vec<String> = shown(&found).iter().map(|line| line.replace(r#","_source_position":"5""#, "")).collect();
    assert_eq!(texts, log);
}

#[test]
fn what_was_not_sent_comes_from_the_change_before_or_stays_in_the_table() {
    let full = r#"{"op": "c", "before": null, "after": {"id": 1, "word": "long", "list": ["a"]}}"#;
    let update =
        r#"{"op": "u", "before": null, "after": {"id": 1, "word": "__unavailable", "list": ["__unavailable"]}}"#;
    let word = r#"{"op": "u", "before": null, "after": {"id": 1, "word": "new", "list": ["__unavailable"]}}"#;
    let (log_of_full, log_of_update) =
        (r#"{"_op":"c","id":1,"word":"long","list":["a"]}"#, r#"{"_op":"u","_unchanged":"word, list","id":1}"#);
    let log_of_word = r#"{"_op":"u","_unchanged":"list","id":1,"word":"new"}"#;
    unsent_check(&[update], &[r#"{"id":1}"#], &["0/word", "0/list"], &[log_of_update]);
    let whole = r#"{"id":1,"word":"long","list":["a"]}"#;
    unsent_check(&[full, update, update], &[whole], &[], &[log_of_full, log_of_update, log_of_update]);
    unsent_check(&[word, update], &[r#"{"id":1,"word":"new"}"#], &["0/list"], &[log_of_word, log_of_update]);
}

#[test]
fn what_was_not_sent_follows_a_row_to_its_new_key_and_ends_with_it() {
    let moved = r#"{"op": "u", "before": {"id": 1}, "after": {"id": 2, "word": "__unavailable"}}"#;
    let log_of_moved = r#"{"_op":"u","_old_key":"[1]","_unchanged":"word","id":2}"#;
    unsent_check(&[moved], &[r#"{"id":2}"#], &["0/word<0"], &[log_of_moved]);
    let full = r#"{"op": "c", "before": null, "after": {"id": 1, "word": "long"}}"#;
    let log_of_full = r#"{"_op":"c","id":1,"word":"long"}"#;
    unsent_check(&[full, moved], &[r#"{"id":2,"word":"long"}"#], &[], &[log_of_full, log_of_moved]);
    let gone = r#"{"op": "d", "before": {"id": 2}, "after": null}"#;
    let again = r#"{"op": "u", "before": null, "after": {"id": 2, "word": "__unavailable"}}"#;
    let logs = [r#"{"_op":"d","id":2}"#, r#"{"_op":"u","_unchanged":"word","id":2}"#];
    unsent_check(&[gone, again], &[r#"{"id":2}"#], &[], &logs);
}

#[test]
fn a_row_that_comes_under_another_key_has_what_the_one_that_went_before_it_had() {
    let full = r#"{"op": "c", "before": null, "after": {"id": 1, "word": "long"}, "source": {"lsn": 4}}"#;
    let gone = r#"{"op": "d", "before": {"id": 1}, "after": null, "source": {"lsn": 5}}"#;
    let come = r#"{"op": "c", "before": null, "after": {"id": 2, "word": "__unavailable"}, "source": {"lsn": 5}}"#;
    let other = r#"{"op": "c", "before": null, "after": {"id": 2, "word": "__unavailable"}, "source": {"lsn": 6}}"#;
    let (log_of_gone, log_of_come) = (r#"{"_op":"d","id":1}"#, r#"{"_op":"c","_unchanged":"word","id":2}"#);
    unsent_check(&[gone, come], &[r#"{"id":2}"#], &["0/word<0"], &[log_of_gone, log_of_come]);
    let log_of_full = r#"{"_op":"c","_source_position":"4","id":1,"word":"long"}"#;
    let whole = r#"{"id":2,"word":"long"}"#;
    unsent_check(&[full, gone, come], &[whole], &[], &[log_of_full, log_of_gone, log_of_come]);
    let log_of_other = r#"{"_op":"c","_source_position":"6","_unchanged":"word","id":2}"#;
    unsent_check(&[gone, other], &[r#"{"id":2}"#], &["0/word"], &[log_of_gone, log_of_other]);
}

#[test]
fn bytes_that_were_not_sent_are_known_in_base64() {
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, PLACEHOLDER);
    let record = format!(r#"{{"op": "u", "before": null, "after": {{"id": 1, "word": "{encoded}"}}}}"#);
    let log = [r#"{"_op":"u","_unchanged":"word","id":1}"#];
    unsent_check(&[&record], &[r#"{"id":1}"#], &["0/word"], &log);
}
