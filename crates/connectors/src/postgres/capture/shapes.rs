//! Which columns the stream has: what a table looks like from here on, and whether its rows of before can be told.

use headwater_ingest::capture::Changes;
use headwater_ingest::error::Result;
use headwater_project::{Failure, Kind};

use super::publication;
use super::stream::{State, Streaming};
use super::table::Shape;
use crate::postgres::column::{ColumnType, Kind as ColumnKind};
use crate::postgres::config::TableConfig;
use crate::postgres::error::{PgError, Result as PgResult};
use crate::postgres::pgoutput::Relation;
use crate::postgres::wire::{Connection, quoted_text};

impl Streaming<'_> {
    /// A table is about to be named by its number, with these columns.
    pub(super) fn relation(&mut self, relation: &Relation) -> Result<()> {
        let Some(index) = self.state.table_of(relation) else { return Ok(()) };
        if !self.has_key(index, relation) {
            tracing::warn!(
                table = relation.name,
                "the last changes of a dropped table are not taken: with REPLICA IDENTITY FULL only `key` says what its rows are told apart by"
            );
            return Ok(());
        }
        let shape = self.shape(index, relation)?;
        self.state.by_oid.retain(|_, table| *table != index);
        self.state.by_oid.insert(relation.oid, index);
        if self.state.tables.get(index).is_some_and(|table| table.has_shape(&shape)) {
            return Ok(());
        }
        self.look_for_filled(index, relation.oid, &shape)?;
        // Rows of before and after have different columns: they are different batches.
        let before = match self.state.tables.get(index) {
            Some(table) if !table.is_empty() => Some(self.take_table(index)?),
            _ => None,
        };
        if let Some(table) = self.state.tables.get_mut(index) {
            table.reshape(shape);
        }
        if let Some(changes) = before {
            self.send_now(Changes { tables: vec![changes], boundary: None, bytes: 0 })?;
        }
        Ok(())
    }

    /// Whether it is known what tells the rows of a table apart; of one that was dropped the stream says it.
    fn has_key(&mut self, index: usize, relation: &Relation) -> bool {
        let Some(key) = self.state.key_names.get_mut(index).filter(|key| key.is_empty()) else { return true };
        let named = relation.columns.iter().filter(|column| column.is_key && !relation.is_full);
        *key = named.map(|column| column.name.clone()).collect();
        if let (true, Some((_, TableConfig { key: Some(given), .. }))) = (key.is_empty(), self.source.tables.get(index))
        {
            key.clone_from(given);
        }
        !key.is_empty()
    }

    /// A column that came with values for the rows there were: the stream will not tell them.
    fn look_for_filled(&mut self, index: usize, oid: u32, shape: &Shape) -> Result<()> {
        for column in &shape.columns {
            let is_known = self.state.known.get(index).is_some_and(|known| known.contains(&column.name));
            if !is_known {
                if has_filled_rows(&mut self.statements, oid, &column.name)? && !self.state.stale.contains(&index) {
                    self.state.stale.push(index);
                }
                if let Some(known) = self.state.known.get_mut(index) {
                    known.push(column.name.clone());
                }
            }
        }
        Ok(())
    }

    fn shape(&mut self, index: usize, relation: &Relation) -> Result<Shape> {
        let (_, config) = &self.source.tables[index];
        let mut shape = Shape { columns: Vec::new(), places: Vec::new(), key: Vec::new() };
        for column in &relation.columns {
            if config.exclude.contains(&column.name) {
                shape.places.push(None);
                continue;
            }
            let kind = if config.as_text.contains(&column.name) {
                ColumnKind::Cast
            } else {
                self.kind(column.type_oid, column.modifier)?
            };
            shape.places.push(Some(shape.columns.len()));
            shape.columns.push(ColumnType { name: column.name.clone(), kind });
        }
        for name in self.state.key_names.get(index).into_iter().flatten() {
            let place = shape.columns.iter().position(|column| column.name == *name);
            let place = place.ok_or_else(|| {
                let table = &relation.name;
                PgError::refused(format!("{table} no longer has its key column `{name}`"), "Name another `key`.")
            })?;
            shape.key.push(place);
        }
        let is_key = |place: usize| {
            let column = relation.columns.iter().zip(&shape.places).find(|(_, at)| **at == Some(place));
            column.is_some_and(|(column, _)| column.is_key)
        };
        if let Some(place) = shape.key.iter().find(|place| !is_key(**place)) {
            let column = shape.columns.get(*place).map(|column| column.name.clone()).unwrap_or_default();
            let message =
                format!("key column `{column}` of {} is no longer part of its replica identity", relation.name);
            return Err(PgError::refused(message, "Set REPLICA IDENTITY back, or name another `key`.").into());
        }
        Ok(shape)
    }

    /// How values of a type are kept; types that are not the server's own are looked up once.
    fn kind(&mut self, oid: u32, modifier: i32) -> Result<ColumnKind> {
        const FIRST_OWN: u32 = 16_384;
        if oid < FIRST_OWN {
            return Ok(ColumnKind::of(oid, modifier, "b"));
        }
        if let Some(kind) = self.state.kinds.get(&(oid, modifier)) {
            return Ok(*kind);
        }
        let found = self.statements.query(&format!(
            "WITH RECURSIVE chain AS (\
               SELECT oid, typtype, typbasetype, CASE WHEN typtype = 'd' THEN typtypmod ELSE {modifier} END AS modifier \
               FROM pg_type WHERE oid = {oid} \
               UNION ALL \
               SELECT t.oid, t.typtype, t.typbasetype, \
                      CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE chain.modifier END \
               FROM chain JOIN pg_type t ON t.oid = chain.typbasetype WHERE chain.typtype = 'd') \
             SELECT oid, modifier, typtype FROM chain WHERE typtype <> 'd'"
        ))?;
        let number = |column: usize| found.first(column).and_then(|text| text.parse::<i64>().ok());
        let base = number(0).and_then(|oid| u32::try_from(oid).ok()).unwrap_or(oid);
        let below = number(1).and_then(|modifier| i32::try_from(modifier).ok()).unwrap_or(-1);
        let kind = ColumnKind::of(base, below, found.first(2).unwrap_or("b"));
        self.state.kinds.insert((oid, modifier), kind);
        Ok(kind)
    }

    /// A table that was dropped and made again is another one, which the publication does not name. One that was only dropped
    /// holds nobody up.
    pub(super) fn look_for_new_tables(&mut self) -> Result<()> {
        let entries = self.source.published(&mut self.statements, &self.state.numbers)?;
        for (index, entry) in entries.into_iter().enumerate() {
            let (name, _) = &self.source.tables[index];
            let Some(number) = publication::table_number(&mut self.statements, name)? else {
                self.look_for_dropped(index)?;
                continue;
            };
            if let Some(problem) = self.state.replaced(index, number, entry) {
                let kind = Kind::External { retry_after: None };
                return Err(Failure::new(kind, format!("table {name} {problem}")).into());
            }
        }
        Ok(())
    }

    /// There is no table of this name. Under another name it goes on.
    fn look_for_dropped(&mut self, index: usize) -> Result<()> {
        let Some(number) = self.state.numbers.get(index) else { return Ok(()) };
        if publication::table_name(&mut self.statements, *number)?.is_none()
            && let Some(dropped) = self.state.dropped.get_mut(index)
            && !std::mem::replace(dropped, true)
        {
            self.source.tell_dropped(index);
        }
        Ok(())
    }
}

impl State {
    /// Why a table is not the one that is followed.
    fn replaced(&self, index: usize, number: u32, entry: Option<i64>) -> Option<&'static str> {
        let was_dropped = self.dropped.get(index) == Some(&true);
        if was_dropped || self.by_oid.iter().any(|(oid, of)| *of == index && *oid != number) {
            return Some("was made anew; it is copied again");
        }
        (self.entries.get(index) != Some(&entry)).then_some("was taken out of the publication")
    }
}

/// Whether rows from before a column was added have a value in it: the stream does not tell them.
pub(super) fn has_filled_rows(statements: &mut Connection, table: u32, column: &str) -> PgResult<bool> {
    let found = statements.query(&format!(
        "SELECT coalesce((to_jsonb(a) ->> 'atthasmissing')::boolean, a.atthasdef) FROM pg_attribute a \
         WHERE a.attrelid = {table} AND a.attname = {}",
        quoted_text(column)
    ))?;
    Ok(found.first(0) == Some("t"))
}
