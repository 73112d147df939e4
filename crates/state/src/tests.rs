//! The conformance suite runs on every form; the rest is about the SQLite file.

mod conformance;
mod differential;
mod sqlite_file;
