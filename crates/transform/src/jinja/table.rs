//! Query results as templates see them: `.columns[0].values()`, `.rows`, loops over both.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr};
use minijinja::{Error, ErrorKind, State, Value};

use super::value::List;
use crate::warehouse::{Cell, QueryTable};

pub(crate) fn cell_value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::from(()),
        Cell::Bool(value) => Value::from(*value),
        Cell::Integer(value) => Value::from(*value),
        Cell::Float(value) => Value::from(*value),
        Cell::Text(value) => Value::from(value.as_str()),
    }
}

/// A whole result.
#[derive(Debug)]
pub(crate) struct ResultTable {
    table: Arc<QueryTable>,
}

impl ResultTable {
    pub(crate) fn of(table: QueryTable) -> Value {
        Value::from_object(Self { table: Arc::new(table) })
    }

    fn names(&self) -> Arc<Vec<String>> {
        Arc::new(self.table.columns.iter().map(|column| column.name.clone()).collect())
    }

    fn rows(&self) -> Vec<Value> {
        let names = self.names();
        let row = |cells: &Vec<Cell>| Cells::of(&names, cells.iter().map(cell_value).collect());
        self.table.rows.iter().map(row).collect()
    }

    fn columns(&self) -> Value {
        let column = |index: usize, name: &str| {
            let cells = self.table.rows.iter().map(|row| row.get(index).map_or(Value::from(()), cell_value)).collect();
            Value::from_object(ResultColumn { name: name.to_owned(), cells })
        };
        let names = self.names();
        let columns = names.iter().enumerate().map(|(index, name)| column(index, name)).collect();
        Cells::of(&names, columns)
    }
}

impl Object for ResultTable {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        if let Some(index) = key.as_usize() {
            return self.rows().get(index).cloned();
        }
        Some(match key.as_str()? {
            "rows" => List::of(self.rows()),
            "columns" => self.columns(),
            "column_names" => List::of(self.names().iter().map(|name| Value::from(name.as_str())).collect()),
            _ => return None,
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.rows())
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, _: &[Value]) -> Result<Value, Error> {
        match method {
            "print_table" => Ok(Value::from("")),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn render(self: &Arc<Self>, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "<table of {} rows>", self.table.rows.len())
    }
}

/// Named values: a row, or the columns of a result. Indexed by position and by name.
#[derive(Debug)]
struct Cells {
    names: Arc<Vec<String>>,
    values: Vec<Value>,
}

impl Cells {
    fn of(names: &Arc<Vec<String>>, values: Vec<Value>) -> Value {
        Value::from_object(Self { names: Arc::clone(names), values })
    }

    fn named(&self, wanted: &str) -> Option<Value> {
        let exact = self.names.iter().position(|name| name == wanted);
        let at = exact.or_else(|| self.names.iter().position(|name| name.eq_ignore_ascii_case(wanted)))?;
        self.values.get(at).cloned()
    }

    fn names_list(&self) -> Value {
        List::of(self.names.iter().map(|name| Value::from(name.as_str())).collect())
    }
}

impl Object for Cells {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_usize() {
            Some(index) => self.values.get(index).cloned(),
            None => self.named(key.as_str()?),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.values.clone())
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        match method {
            "values" => Ok(List::of(self.values.clone())),
            "keys" => Ok(self.names_list()),
            "get" => Ok(args.first().and_then(Value::as_str).and_then(|name| self.named(name)).unwrap_or_default()),
            "items" => {
                let pair = |(name, value): (&String, &Value)| List::of(vec![Value::from(name.as_str()), value.clone()]);
                Ok(List::of(self.names.iter().zip(&self.values).map(pair).collect()))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

#[derive(Debug)]
struct ResultColumn {
    name: String,
    cells: Vec<Value>,
}

impl Object for ResultColumn {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_usize() {
            Some(index) => self.cells.get(index).cloned(),
            None if key.as_str() == Some("name") => Some(Value::from(self.name.as_str())),
            None => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.cells.clone())
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, _: &[Value]) -> Result<Value, Error> {
        match method {
            "values" => Ok(List::of(self.cells.clone())),
            "values_distinct" => {
                let mut distinct: Vec<Value> = Vec::new();
                for cell in &self.cells {
                    if !distinct.contains(cell) {
                        distinct.push(cell.clone());
                    }
                }
                Ok(List::of(distinct))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}
