//! Every bound of ingestion, named, with its unit.

/// Largest payload of one record, in bytes; a bigger one is refused by the log and quarantined by file sources.
pub const MAX_RECORD_BYTES: usize = 16 << 20;

/// Largest part of a rejected record that is kept with its reason, in bytes.
pub const MAX_REJECTED_BYTES: usize = 64 << 10;

/// Payload one frame of the local log aims at, in bytes. Larger frames saved nothing when measured, and a reader that wants
/// part of a frame must check all of it.
pub const FRAME_TARGET_BYTES: usize = 1 << 20;

/// Records in one frame of the local log.
pub const FRAME_MAX_RECORDS: usize = 64 << 10;

/// Distance between two entries of a segment's sparse index, in bytes.
pub const INDEX_INTERVAL_BYTES: u64 = 4 << 20;

/// Read cursors remembered per partition.
pub const READ_CURSORS: usize = 4;

/// Bytes appended between two looks at the free disk space.
pub const FREE_SPACE_CHECK_BYTES: u64 = 16 << 20;

/// Deepest nesting of arrays and objects in a JSON record.
pub const MAX_JSON_DEPTH: usize = 64;

/// Deepest nesting for which a struct or list column is made; what lies deeper is kept as JSON text.
pub const MAX_COLUMN_DEPTH: usize = 8;

/// Most columns a table grows to by itself, nested fields counted.
pub const MAX_COLUMNS: usize = 1_000;

/// Most records looked at to infer a schema.
pub const INFERENCE_SAMPLE_RECORDS: usize = 10_000;
