//! Cutting a table into parts that are copied side by side, each whole or not at all.
//!
//! Parts are ranges of pages: every table has those, whatever its key, and a part is read without touching the rest. Views
//! and foreign tables have no pages and are one part; a partitioned table is the parts of its partitions.

use crate::postgres::catalog::CatalogTable;
use crate::postgres::error::Result;
use crate::postgres::wire::{Connection, quoted_name};

/// Pages of one part: 16 MiB.
const PAGES: u64 = 2_048;
/// The first version that reads a range of pages without reading all.
const RANGE_SCANS: u32 = 140_000;

/// A part of a table: what to read, and from which pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Quoted name of the table or partition.
    relation: String,
    /// First page, and the page after the last unless it is open.
    pages: Option<(u64, Option<u64>)>,
}

impl Chunk {
    /// Whether its size is known, so that it may be held until all of it came.
    pub(crate) fn is_bounded(&self) -> bool {
        self.pages.is_some()
    }

    pub(crate) fn copy_statement(&self, select_list: &str) -> String {
        let mut sql = format!("COPY (SELECT {select_list} FROM {}", self.relation);
        if let Some((from, to)) = self.pages {
            sql.push_str(&format!(" WHERE ctid >= '({from},0)'::tid"));
            if let Some(to) = to {
                sql.push_str(&format!(" AND ctid < '({to},0)'::tid"));
            }
        }
        sql.push_str(") TO STDOUT (FORMAT binary)");
        sql
    }
}

/// The parts of a table as of now. The last one of each relation is open: pages may be added until the snapshot is used.
pub(crate) fn chunks(connection: &mut Connection, table: &CatalogTable, version: u32) -> Result<Vec<Chunk>> {
    match table.kind {
        'r' | 'm' => pages_of(connection, table.oid, version),
        'p' => {
            let leaves = connection.query(&format!(
                "WITH RECURSIVE tree AS (\
                   SELECT {oid}::oid AS relid UNION ALL \
                   SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.relid) \
                 SELECT c.oid FROM tree JOIN pg_class c ON c.oid = tree.relid WHERE c.relkind = 'r' ORDER BY c.oid",
                oid = table.oid
            ))?;
            let mut parts = Vec::new();
            for leaf in leaves.rows.iter().filter_map(|row| row.first()?.as_deref()?.parse().ok()) {
                parts.append(&mut pages_of(connection, leaf, version)?);
            }
            Ok(parts)
        }
        _ => Ok(vec![Chunk { relation: table.quoted(), pages: None }]),
    }
}

fn pages_of(connection: &mut Connection, oid: u32, version: u32) -> Result<Vec<Chunk>> {
    let found = connection.query(&format!(
        "SELECT n.nspname, c.relname, pg_relation_size(c.oid) / current_setting('block_size')::bigint \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = {oid}"
    ))?;
    let text = |column| found.first(column).unwrap_or_default();
    let relation = format!("ONLY {}.{}", quoted_name(text(0)), quoted_name(text(1)));
    let pages: u64 = text(2).parse().unwrap_or(0);
    if version < RANGE_SCANS {
        return Ok(vec![Chunk { relation, pages: None }]);
    }
    Ok(cut(&relation, pages))
}

fn cut(relation: &str, pages: u64) -> Vec<Chunk> {
    let count = pages.div_ceil(PAGES).max(1);
    let part = |index: u64| {
        let to = (index + 1 < count).then_some((index + 1) * PAGES);
        Chunk { relation: relation.to_owned(), pages: Some((index * PAGES, to)) }
    };
    (0..count).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_every_page_once_and_the_last_is_open() {
        for pages in [0, 1, PAGES, PAGES + 1, 10 * PAGES] {
            let parts: Vec<_> = cut("t", pages).into_iter().filter_map(|part| part.pages).collect();
            let mut next = 0;
            for (index, (from, to)) in parts.iter().enumerate() {
                assert_eq!(*from, next);
                assert_eq!(to.is_none(), index + 1 == parts.len(), "of {pages} pages");
                next = to.unwrap_or(next);
            }
        }
    }

    #[test]
    fn a_part_is_read_by_its_pages() {
        let part = Chunk { relation: String::from("\"a\".\"b\""), pages: Some((2, Some(4))) };
        let expected = "COPY (SELECT \"id\" FROM \"a\".\"b\" WHERE ctid >= '(2,0)'::tid AND ctid < '(4,0)'::tid) \
                        TO STDOUT (FORMAT binary)";
        assert_eq!(part.copy_statement("\"id\""), expected);
    }
}
