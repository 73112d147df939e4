//! What envelopes of changes say of a captured table: its columns as the server's catalog has them now.

use std::sync::Arc;

use headwater_ingest::error::Result;
use headwater_project::Entropy;

use crate::postgres::Target;
use crate::postgres::capture::required_key;
use crate::postgres::catalog::{CatalogColumn, CatalogTable};
use crate::postgres::config::TableConfig;
use crate::postgres::error::{PgError, Result as PgResult};
use crate::postgres::numeric;
use crate::postgres::wire::{Connection, Purpose};
use crate::sink::debezium::{ColumnType, SourceColumn, SourceTable};

/// A captured table whose changes go into envelopes.
pub struct TopicTable {
    pub target: Target,
    /// As the source's file writes it.
    pub name: String,
    pub config: TableConfig,
    /// Columns whose values in the lake are not the server's.
    pub masked: Vec<String>,
    pub entropy: Arc<dyn Entropy>,
}

impl TopicTable {
    /// Asks the server for its columns and its key, which are then the `last` that are known: those of a table that was dropped,
    /// whose last changes may be yet to be written. Blocks.
    pub fn describe(&self, last: &mut Option<SourceTable>) -> Result<SourceTable> {
        let mut connection = Connection::open(&self.target, Purpose::Statements, &*self.entropy)?;
        let described = self.ask(&mut connection);
        Ok(self.or_last(described, last)?)
    }

    fn or_last(&self, described: PgResult<SourceTable>, last: &mut Option<SourceTable>) -> PgResult<SourceTable> {
        match described {
            Ok(table) => Ok(last.insert(table).clone()),
            Err(PgError::NoSuchTable(name)) => last.clone().ok_or_else(|| {
                PgError::refused(
                    format!("table {name} is not in the database: what its last changes are written with went with it"),
                    "A sink that runs when a table is dropped knows its types and its key, this one does not. Make the \
                     table again as it was, without rows, until its changes are sent; or remove the sink.",
                )
            }),
            Err(error) => Err(error),
        }
    }

    fn ask(&self, connection: &mut Connection) -> PgResult<SourceTable> {
        let catalog = CatalogTable::read(connection, &self.name, &self.config)?.without_generated();
        let key = required_key(&self.name, &catalog, &self.config)?;
        Ok(SourceTable {
            database: self.target.config.database.clone(),
            columns: catalog.columns.iter().map(|column| self.column(column)).collect(),
            schema: catalog.schema,
            table: catalog.name,
            key,
        })
    }

    /// What is text in the lake by somebody's wish is text in envelopes, whatever it is at the server.
    fn column(&self, CatalogColumn { column, type_oid, modifier, .. }: &CatalogColumn) -> SourceColumn {
        let is_text = self.config.as_text.contains(&column.name) || self.masked.contains(&column.name);
        let column_type = if is_text { ColumnType::Text } else { column_type(*type_oid, *modifier) };
        SourceColumn { name: column.name.clone(), column_type }
    }
}

/// What a type is called in envelopes; text for all that is kept as the text the server writes.
fn column_type(oid: u32, modifier: i32) -> ColumnType {
    match oid {
        16 => ColumnType::Boolean,
        21 => ColumnType::Int16,
        23 => ColumnType::Int32,
        20 | 26 => ColumnType::Int64,
        700 => ColumnType::Float32,
        701 => ColumnType::Float64,
        1700 => match numeric::precision_and_scale(modifier) {
            Some((precision, scale)) => ColumnType::Decimal { precision, scale },
            None => ColumnType::VariableDecimal,
        },
        1082 => ColumnType::Date,
        1083 => ColumnType::Time { millis: digits(modifier) <= 3 },
        1266 => ColumnType::ZonedTime,
        1114 => ColumnType::Timestamp { millis: digits(modifier) <= 3 },
        1184 => ColumnType::ZonedTimestamp { digits: digits(modifier) },
        114 | 3802 => ColumnType::Json,
        142 => ColumnType::Xml,
        2950 => ColumnType::Uuid,
        17 => ColumnType::Bytes,
        _ => match element(oid) {
            Some(element) => ColumnType::Array(Box::new(column_type(element, modifier))),
            None => ColumnType::Text,
        },
    }
}

/// Digits of a fraction of a second: six, unless the type says less.
fn digits(modifier: i32) -> u8 {
    u8::try_from(modifier).unwrap_or(6).min(6)
}

/// The type of the elements of the server's own array types.
fn element(array: u32) -> Option<u32> {
    const ARRAYS: &[(u32, u32)] = &[
        (1000, 16),
        (1005, 21),
        (1007, 23),
        (1016, 20),
        (1028, 26),
        (1021, 700),
        (1022, 701),
        (1231, 1700),
        (1182, 1082),
        (1183, 1083),
        (1270, 1266),
        (1115, 1114),
        (1185, 1184),
        (1009, 25),
        (1015, 1043),
        (1014, 1042),
        (1002, 18),
        (1003, 19),
        (199, 114),
        (3807, 3802),
        (143, 142),
        (2951, 2950),
        (1001, 17),
        (1041, 869),
        (651, 650),
        (1040, 829),
        (775, 774),
        (3905, 3904),
        (3907, 3906),
        (3909, 3908),
        (3911, 3910),
        (3913, 3912),
        (3927, 3926),
    ];
    ARRAYS.iter().find(|(of, _)| *of == array).map(|(_, element)| *element)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use headwater_project::Classify;

    use super::*;
    use crate::postgres::column::Kind;
    use crate::sink::still_surroundings;

    #[test]
    fn types_are_those_envelopes_have() {
        let numeric = |precision: i32, scale: i32| ((precision << 16) | (scale & 0x7ff)) + 4;
        let array = |element| ColumnType::Array(Box::new(element));
        let cases = [
            (20, -1, ColumnType::Int64),
            (1700, numeric(10, 2), ColumnType::Decimal { precision: 10, scale: 2 }),
            (1700, numeric(3, -2), ColumnType::Decimal { precision: 3, scale: -2 }),
            (1700, -1, ColumnType::VariableDecimal),
            (1114, -1, ColumnType::Timestamp { millis: false }),
            (1114, 3, ColumnType::Timestamp { millis: true }),
            (1184, -1, ColumnType::ZonedTimestamp { digits: 6 }),
            (1184, 0, ColumnType::ZonedTimestamp { digits: 0 }),
            (1083, 4, ColumnType::Time { millis: false }),
            (1007, -1, array(ColumnType::Int32)),
            (1231, numeric(5, 1), array(ColumnType::Decimal { precision: 5, scale: 1 })),
            (1041, -1, array(ColumnType::Text)),
            (1186, -1, ColumnType::Text),
            (99_999, -1, ColumnType::Text),
        ];
        for (oid, modifier, expected) in cases {
            assert_eq!(column_type(oid, modifier), expected, "{oid} {modifier}");
        }
    }

    fn table() -> TopicTable {
        let connection = serde_json::from_str(r#"{"database": "d", "user": "u"}"#).unwrap();
        TopicTable {
            target: Target::new(&connection, Path::new("/")),
            name: String::from("items"),
            config: serde_json::from_str(r#"{"as_text": ["wished"]}"#).unwrap(),
            masked: vec![String::from("masked")],
            entropy: still_surroundings().entropy,
        }
    }

    #[test]
    fn a_table_that_was_dropped_is_what_it_was_last() {
        let described = SourceTable {
            database: String::from("d"),
            schema: String::from("public"),
            table: String::from("items"),
            columns: Vec::new(),
            key: vec![String::from("id")],
        };
        let (table, mut last) = (table(), None);
        let gone = || Err(PgError::NoSuchTable(String::from("public.items")));
        let refused = table.or_last(gone(), &mut last).unwrap_err().failure();
        assert!(refused.message.contains("public.items is not in the database"), "{refused}");
        assert_eq!(table.or_last(Ok(described.clone()), &mut last).unwrap(), described);
        assert_eq!(table.or_last(gone(), &mut last).unwrap(), described);
        let other = table.or_last(Err(PgError::Closed), &mut last);
        assert!(matches!(other, Err(PgError::Closed)));
    }

    #[test]
    fn what_is_text_by_wish_or_by_a_mask_is_text() {
        let table = table();
        let told = |name: &str| {
            let column = crate::postgres::column::ColumnType { name: name.to_owned(), kind: Kind::Cast };
            let column = CatalogColumn { column, type_oid: 1700, modifier: -1, is_generated: false, is_nullable: true };
            table.column(&column).column_type
        };
        let expected = [ColumnType::Text, ColumnType::Text, ColumnType::VariableDecimal];
        assert_eq!([told("wished"), told("masked"), told("other")], expected);
    }
}
