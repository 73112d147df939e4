//! The publication that says which tables the stream is of.

use super::CaptureSource;
use crate::postgres::catalog::{self, CatalogTable};
use crate::postgres::config::split_name;
use crate::postgres::error::{PgError, Result};
use crate::postgres::wire::{Connection, quoted_name, quoted_text};

impl CaptureSource {
    /// Makes the publication that is ours to make name exactly the tables; one that was given must name them. Dropped tables
    /// leave publications by themselves; one that is left without any still tells what was changed before.
    pub(super) fn ensure_publication(&self, statements: &mut Connection, tables: &[&CatalogTable]) -> Result<()> {
        if tables.is_empty() {
            return Ok(());
        }
        let publication = self.publication();
        let quoted = quoted_text(&publication);
        let exists =
            !statements.query(&format!("SELECT 1 FROM pg_publication WHERE pubname = {quoted}"))?.rows.is_empty();
        let found = statements.query(&format!(
            "SELECT schemaname || '.' || tablename FROM pg_publication_tables WHERE pubname = {quoted} ORDER BY 1"
        ))?;
        let named: Vec<String> = found.rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
        let mut wanted: Vec<String> = tables.iter().map(|table| format!("{}.{}", table.schema, table.name)).collect();
        wanted.sort();
        if self.config.publication.is_some() {
            return match wanted.iter().find(|table| !named.contains(table)) {
                None if exists => Ok(()),
                None => Err(PgError::refused(
                    format!("there is no publication `{publication}`"),
                    "Create it, or leave `publication` out.",
                )),
                Some(missing) => Err(PgError::refused(
                    format!("publication `{publication}` does not name {missing}"),
                    format!("ALTER PUBLICATION {} ADD TABLE {missing}.", quoted_name(&publication)),
                )),
            };
        }
        let list: Vec<String> = tables.iter().map(|table| table.quoted()).collect();
        let (name, list) = (quoted_name(&publication), list.join(", "));
        if !exists {
            let through_root =
                if catalog::version(statements)? >= 130_000 { " WITH (publish_via_partition_root = true)" } else { "" };
            statements.query(&format!("CREATE PUBLICATION {name} FOR TABLE {list}{through_root}"))?;
        } else if named != wanted {
            statements.query(&format!("ALTER PUBLICATION {name} SET TABLE {list}"))?;
        }
        Ok(())
    }

    /// The number of each table's entry in the publication, or of the publication where it has none of its own. An entry
    /// that was taken out and put in again has another number: what changed in between was not published.
    pub(super) fn published(&self, statements: &mut Connection, tables: &[u32]) -> Result<Vec<Option<i64>>> {
        let found = statements.query(&format!(
            "SELECT coalesce(r.prrelid, 0), coalesce(r.oid, p.oid) \
             FROM pg_publication p LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid WHERE p.pubname = {} \
             UNION ALL SELECT 0, oid FROM pg_publication WHERE pubname = {0}",
            quoted_text(&self.publication())
        ))?;
        let number = |cell: Option<&Option<String>>| cell?.as_deref()?.parse::<i64>().ok();
        let entries: Vec<(i64, i64)> =
            found.rows.iter().filter_map(|row| Some((number(row.first())?, number(row.get(1))?))).collect();
        let entry = |table: i64| entries.iter().find(|(of, _)| *of == table).map(|(_, entry)| *entry);
        Ok(tables.iter().map(|table| entry((*table).into()).or_else(|| entry(0))).collect())
    }
}

/// What the table of a number is called now; nothing when it is gone.
pub(super) fn table_name(statements: &mut Connection, number: u32) -> Result<Option<String>> {
    let found = statements.query(&format!(
        "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.oid = {number}"
    ))?;
    Ok(found.first(0).map(str::to_owned))
}

/// Where a table stands now, to notice one that was dropped and made again.
pub(super) fn table_number(statements: &mut Connection, name: &str) -> Result<Option<u32>> {
    let (schema, table) = split_name(name);
    let found = statements.query(&format!(
        "SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = {} AND c.relname = {}",
        quoted_text(schema),
        quoted_text(table)
    ))?;
    Ok(found.first(0).and_then(|text| text.parse().ok()))
}
