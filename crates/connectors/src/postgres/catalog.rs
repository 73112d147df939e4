//! What the server's catalog says about a table.

use crate::postgres::column::{ColumnType, Kind};
use crate::postgres::config::{TableConfig, split_name};
use crate::postgres::error::{PgError, Result};
use crate::postgres::wire::{Connection, quoted_name, quoted_text};

/// A column as the catalog has it.
#[derive(Clone, Debug)]
pub(crate) struct CatalogColumn {
    pub(crate) column: ColumnType,
    /// Number of its type, below any domain, and the modifier that counts.
    pub(crate) type_oid: u32,
    pub(crate) modifier: i32,
    pub(crate) is_generated: bool,
    pub(crate) is_nullable: bool,
}

/// A table, partitioned table or view.
#[derive(Clone, Debug)]
pub(crate) struct CatalogTable {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    /// `pg_class.relkind`.
    pub(crate) kind: char,
    /// `pg_class.relreplident`.
    pub(crate) replica_identity: char,
    pub(crate) columns: Vec<CatalogColumn>,
    pub(crate) primary_key: Vec<String>,
    /// Columns of the index that is the replica identity, when it is one.
    pub(crate) identity_index: Vec<String>,
}

impl CatalogTable {
    /// Looks a table up; columns left out by the configuration are not in it.
    pub(crate) fn read(connection: &mut Connection, name: &str, config: &TableConfig) -> Result<Self> {
        let (schema, table) = split_name(name);
        let found = connection.query(&format!(
            "SELECT c.oid, c.relkind, c.relreplident FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = {} AND c.relname = {} AND c.relkind IN ('r', 'p', 'v', 'm', 'f')",
            quoted_text(schema),
            quoted_text(table)
        ))?;
        let missing = || PgError::NoSuchTable(format!("{schema}.{table}"));
        let oid: u32 = found.first(0).and_then(|text| text.parse().ok()).ok_or_else(missing)?;
        let letter = |column| found.first(column).and_then(|text| text.chars().next()).unwrap_or(' ');
        let columns = columns(connection, oid, config)?;
        let known = |name: &String| columns.iter().any(|column| column.column.name == *name);
        let wanted = config.key.iter().flatten().chain(&config.soft_delete).chain(&config.as_text);
        for column in wanted.chain(config.cursor.iter().map(|cursor| &cursor.column)) {
            if !known(column) {
                let names: Vec<&str> = columns.iter().map(|column| column.column.name.as_str()).collect();
                let hint = format!("Its columns are {}.", names.join(", "));
                return Err(PgError::refused(format!("{schema}.{table} has no column `{column}`"), hint));
            }
        }
        Ok(Self {
            oid,
            schema: schema.to_owned(),
            name: table.to_owned(),
            kind: letter(1),
            replica_identity: letter(2),
            primary_key: index_columns(connection, oid, "i.indisprimary")?,
            identity_index: index_columns(connection, oid, "i.indisreplident")?,
            columns,
        })
    }

    /// Without what the server computes, which the stream does not carry.
    pub(crate) fn without_generated(mut self) -> Self {
        self.columns.retain(|column| !column.is_generated);
        self
    }

    pub(crate) fn quoted(&self) -> String {
        format!("{}.{}", quoted_name(&self.schema), quoted_name(&self.name))
    }

    /// The configured key, or the primary key; empty when there is neither.
    pub(crate) fn key(&self, config: &TableConfig) -> Vec<String> {
        config.key.clone().unwrap_or_else(|| self.primary_key.clone())
    }

    pub(crate) fn column_types(&self) -> Vec<ColumnType> {
        self.columns.iter().map(|column| column.column.clone()).collect()
    }

    /// The columns as a COPY in binary form has to name them. What is kept as text is written by its type's output function,
    /// as the stream of changes writes it: a cast would add a mask to addresses and cut blanks off.
    pub(crate) fn select_list(&self) -> String {
        let each = self.columns.iter().map(|column| {
            let name = quoted_name(&column.column.name);
            match column.column.kind {
                Kind::Cast => format!("CASE WHEN num_nulls({name}) = 0 THEN concat({name}) END"),
                _ => name,
            }
        });
        each.collect::<Vec<_>>().join(", ")
    }
}

/// Types below domains, with the modifier that counts: of domains over domains, the innermost's.
fn columns(connection: &mut Connection, oid: u32, config: &TableConfig) -> Result<Vec<CatalogColumn>> {
    let found = connection.query(&format!(
        "WITH RECURSIVE chain AS (\
           SELECT a.attnum, t.oid, t.typtype, t.typbasetype, \
                  CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END AS modifier \
           FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
           WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped \
           UNION ALL \
           SELECT chain.attnum, t.oid, t.typtype, t.typbasetype, \
                  CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE chain.modifier END \
           FROM chain JOIN pg_type t ON t.oid = chain.typbasetype WHERE chain.typtype = 'd') \
         SELECT a.attname, chain.oid, chain.modifier, chain.typtype, \
                coalesce(to_jsonb(a) ->> 'attgenerated', ''), NOT a.attnotnull \
         FROM chain JOIN pg_attribute a ON a.attrelid = {oid} AND a.attnum = chain.attnum \
         WHERE chain.typtype <> 'd' ORDER BY a.attnum"
    ))?;
    let mut columns = Vec::with_capacity(found.rows.len());
    for row in &found.rows {
        let text = |index: usize| row.get(index).and_then(Option::as_deref).unwrap_or_default();
        let name = text(0).to_owned();
        if config.exclude.contains(&name) {
            continue;
        }
        let oid = text(1).parse().map_err(|_| PgError::Protocol("a type without its number"))?;
        let modifier = text(2).parse().map_err(|_| PgError::Protocol("a type modifier that is no number"))?;
        let kind = if config.as_text.contains(&name) { Kind::Cast } else { Kind::of(oid, modifier, text(3)) };
        columns.push(CatalogColumn {
            column: ColumnType { name, kind },
            type_oid: oid,
            modifier,
            is_generated: !text(4).is_empty(),
            is_nullable: text(5) == "t",
        });
    }
    Ok(columns)
}

fn index_columns(connection: &mut Connection, oid: u32, condition: &str) -> Result<Vec<String>> {
    let found = connection.query(&format!(
        "SELECT a.attname FROM pg_index i \
         CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, place) \
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
         WHERE i.indrelid = {oid} AND {condition} AND k.place <= i.indnkeyatts ORDER BY k.place"
    ))?;
    Ok(found.rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
}

/// `server_version_num`, such as 150018.
pub(crate) fn version(connection: &mut Connection) -> Result<u32> {
    let found = connection.query("SHOW server_version_num")?;
    found.first(0).and_then(|text| text.parse().ok()).ok_or(PgError::Protocol("a version that is no number"))
}

/// A place in the write-ahead log, as `16/B374D848`.
pub(crate) fn parse_lsn(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    Some(u64::from_str_radix(high, 16).ok()? << 32 | u64::from(u32::from_str_radix(low, 16).ok()?))
}

pub(crate) fn lsn_text(lsn: u64) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_the_log_reads_as_it_is_written() {
        for (text, lsn) in [
            ("0/0", Some(0)),
            ("16/B374D848", Some(0x16_b374_d848)),
            ("16", None),
            ("x/1", None),
            ("1/100000000", None),
        ] {
            assert_eq!(parse_lsn(text), lsn, "{text}");
            if let Some(lsn) = lsn {
                assert_eq!(lsn_text(lsn), text);
            }
        }
    }
}
