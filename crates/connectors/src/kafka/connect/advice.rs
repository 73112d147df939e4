//! What to do about keys that have no place here.

use super::{Draft, Keys};

/// Beginnings of keys, and what is said of those that begin so. The first that fits counts.
const ADVICE: &[(&str, &str)] = &[
    ("tasks.max", "One process reads all partitions; nothing to set."),
    ("transforms", "Do it in a model over the table: SQL takes the place of transforms."),
    ("predicates", "Do it in a model over the table: SQL takes the place of transforms."),
    (
        "errors.deadletterqueue",
        "What does not read goes to the table `<table>_quarantine` with its reason; there is no topic for it.",
    ),
    ("errors.", "What does not read goes to the quarantine, and the source goes on; `headwater ingest` says how much."),
    ("confluent.", "There is no licence to keep; nothing to set."),
    ("reporter.", "What came in is in the commits of the table; nothing to set."),
    (
        "schema.compatibility",
        "The table follows the schemas: new fields become columns, what does not fit goes to the quarantine.",
    ),
    ("schema.cache", "Schemas are asked for once and kept; nothing to set."),
    ("schemas.", "Schemas are asked for once and kept; nothing to set."),
    ("connect.meta.data", "It concerns Connect's own schemas; nothing to set."),
    ("enhanced.avro", "It concerns Connect's own schemas; nothing to set."),
    ("avro.codec", "There are no Avro files; the table's are Parquet."),
    ("parquet.codec", "The table's files are Parquet with Zstandard; nothing to set."),
    ("json.decimal", "Values are kept as they came."),
    ("s3.credentials", "Keys come from the usual AWS variables of the environment."),
    ("aws.credentials", "Keys come from the usual AWS variables of the environment."),
    ("aws.sts", "Keys come from the usual AWS variables of the environment."),
    ("s3.part", "Files are sent in one piece; nothing to set."),
    ("gcs.part", "Files are sent in one piece; nothing to set."),
    ("s3.ssea", "Set encryption at rest on the bucket."),
    ("s3.sse", "Set encryption at rest on the bucket."),
    ("s3.acl", "Set the rights on the bucket."),
    ("s3.object.tagging", "Objects get no tags. Set rules on the bucket by prefix instead."),
    ("s3.", "Nothing here corresponds to it; see `lake` in headwater.yml for what a bucket needs."),
    ("gcs.", "Nothing here corresponds to it; see `lake` in headwater.yml for what a bucket needs."),
    ("aws.s3.", "Nothing here corresponds to it; see `lake` in headwater.yml for what a bucket needs."),
    ("retry.", "Failed requests are tried again with growing waits; nothing to set."),
    ("kafka.retry", "Failed requests are tried again with growing waits; nothing to set."),
    ("partition.duration.ms", "Paths have no time; nothing to set."),
    ("path.format", "Paths have no time; nothing to set."),
    ("timestamp.", "Paths have no time; nothing to set."),
    ("timezone", "Paths have no time; nothing to set."),
    ("locale", "Times are written with digits; nothing to set."),
    ("partition.field.name", "In the table every field is a column to filter by."),
    ("header.converter", "Headers are kept as text on request (`headers: true`)."),
    ("value.converter.", "The converter's own options have no place here; values are read by the schema they name."),
    ("key.converter.", "Keys are kept as text or bytes."),
    ("consumer.override.group.id", "The group is `headwater-<source>`, for display alone; `group` names another."),
    ("consumer.", "Settings of the client library go under `settings` of the connection, by the library's names."),
    ("sasl.", "Settings of the client library go under `settings` of the connection, by the library's names."),
    ("ssl.", "Settings of the client library go under `settings` of the connection, by the library's names."),
    ("offset.flush", "`rotate` says when the source commits."),
    ("topic", "Topics cannot be treated apart in one source: make one for each."),
];

/// Notes for every key that is left.
pub(super) fn rest(keys: Keys, draft: &mut Draft) {
    for key in keys.0.into_keys() {
        let found = ADVICE.iter().find(|(beginning, _)| key.starts_with(beginning));
        let advice = found.map_or("It is not known here and was left out.", |(_, advice)| advice);
        draft.note(&key, advice);
    }
}
