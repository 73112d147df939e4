//! Documents read into typed values: FROM_JSON with its schema, and rows of documents with the types of their columns.

use datafusion::sql::sqlparser::ast::{DataType, Expr};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::arrays::lambda;
use super::build::{call, cast, column, literal_text, text};
use super::template::Problem;
use super::{Dialect, casts, paths};

/// What a piece of a document is read as.
enum Shape {
    Text,
    Json,
    Whole,
    /// A type of the engine's.
    Plain(DataType),
    Instant,
    List(Box<Shape>),
    Map(Box<Shape>),
    Fields(Vec<(String, Shape)>),
}

fn problem(schema: &str) -> Problem {
    (
        format!("the schema `{schema}` of a document"),
        String::from("Write the schema as text: 'a INT, b ARRAY<STRING>' in Spark, '{\"a\": \"INTEGER\"}' in DuckDB."),
    )
}

/// `FROM_JSON(document, schema)`: NULL where there is no document, NULL in what is not as the schema says.
pub(super) fn read(dialect: Dialect, given: &[Expr]) -> Result<Expr, Problem> {
    let [document, schema, ..] = given else { return Err(problem("")) };
    let schema = literal_text(schema).ok_or_else(|| problem(&schema.to_string()))?;
    let shape = match dialect {
        Dialect::DuckDb => of_document(schema),
        _ => Words::new(schema).whole(dialect),
    };
    let shape = shape.ok_or_else(|| problem(schema))?;
    let value = shape.value(document, "$");
    Ok(match shape {
        Shape::Fields(_) => {
            let present = Expr::IsNotNull(Box::new(super::build::wrapped(document.clone())));
            super::build::case(vec![(present, value)], None)
        }
        _ => value,
    })
}

/// A column of a document's row, by its name and type.
pub(super) fn field(dialect: Dialect, document: &Expr, name: &str, data_type: &DataType) -> Result<Expr, Problem> {
    let mut path = String::from("$");
    paths::key(&mut path, name);
    Ok(shape_of(dialect, data_type).ok_or_else(|| problem(&data_type.to_string()))?.value(document, &path))
}

fn shape_of(dialect: Dialect, data_type: &DataType) -> Option<Shape> {
    use datafusion::sql::sqlparser::ast::ArrayElemTypeDef;
    if let DataType::Array(
        ArrayElemTypeDef::AngleBracket(item)
        | ArrayElemTypeDef::SquareBracket(item, _)
        | ArrayElemTypeDef::Parenthesis(item),
    ) = data_type
    {
        return Some(Shape::List(Box::new(shape_of(dialect, item)?)));
    }
    if matches!(data_type, DataType::JSON | DataType::JSONB) {
        return Some(Shape::Json);
    }
    Some(match casts::plain(dialect, data_type).ok()? {
        DataType::Varchar(_) => Shape::Text,
        DataType::BigInt(_) => Shape::Whole,
        DataType::Timestamp(..) if casts::is_instant(dialect, data_type) => Shape::Instant,
        other => Shape::Plain(other),
    })
}

impl Shape {
    /// What a path of a document holds.
    fn value(&self, document: &Expr, path: &str) -> Expr {
        let at = |function: &str| {
            let mut args = vec![document.clone()];
            args.extend((path != "$").then(|| text(path)));
            call(function, args)
        };
        let tried = |data_type: &DataType| {
            cast(datafusion::sql::sqlparser::ast::CastKind::TryCast, at("json_scalar"), data_type.clone())
        };
        match self {
            Self::Text => at("json_piece_text"),
            Self::Json => at("json_piece"),
            Self::Whole => call("try_whole_number", vec![at("json_scalar")]),
            Self::Plain(DataType::Date) => call("try_date_of", vec![at("json_scalar")]),
            Self::Plain(DataType::Timestamp(..)) => call("try_wall_time_of", vec![at("json_scalar")]),
            Self::Instant => call("try_instant_of", vec![at("json_scalar")]),
            Self::Plain(data_type) => tried(data_type),
            Self::List(item) => match item.as_ref() {
                Self::Text => at("json_element_texts"),
                Self::Json => at("json_elements"),
                item => call("array_transform", vec![at("json_elements"), item.of_item()]),
            },
            Self::Map(value) => {
                let values = call("array_transform", vec![at("json_values"), value.of_item()]);
                call("map", vec![at("json_keys"), values])
            }
            Self::Fields(fields) => {
                let each = fields.iter().flat_map(|(name, shape)| {
                    let mut path = path.to_owned();
                    paths::key(&mut path, name);
                    [text(name), shape.value(document, &path)]
                });
                call("named_struct", each.collect())
            }
        }
    }

    /// The lambda that reads an item of a list of documents.
    fn of_item(&self) -> Expr {
        lambda(&[String::from("__document")], self.value(&column("__document"), "$"))
    }
}

/// The text of a Spark schema, read from its begin.
struct Words<'t> {
    rest: &'t str,
}

impl<'t> Words<'t> {
    fn new(rest: &'t str) -> Self {
        Self { rest }
    }

    /// Columns with their types, or a type alone.
    fn whole(mut self, dialect: Dialect) -> Option<Shape> {
        let before = self.rest;
        if let Some(shape) = self.shape(dialect)
            && self.rest.trim().is_empty()
        {
            return Some(shape);
        }
        self.rest = before;
        let fields = self.fields(dialect)?;
        self.rest.trim().is_empty().then_some(Shape::Fields(fields))
    }

    fn takes(&mut self, mark: char) -> bool {
        match self.rest.trim_start().strip_prefix(mark) {
            Some(after) => {
                self.rest = after;
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> Option<&'t str> {
        let rest = self.rest.trim_start();
        if let Some(quoted) = rest.strip_prefix('`') {
            let (name, after) = quoted.split_once('`')?;
            self.rest = after;
            return Some(name);
        }
        let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        self.rest = after;
        (!word.is_empty()).then_some(word)
    }

    /// `name TYPE, name: TYPE`
    fn fields(&mut self, dialect: Dialect) -> Option<Vec<(String, Shape)>> {
        let mut fields = Vec::new();
        loop {
            let name = self.word()?.to_owned();
            self.takes(':');
            fields.push((name, self.shape(dialect)?));
            if !self.takes(',') {
                return Some(fields);
            }
        }
    }

    fn shape(&mut self, dialect: Dialect) -> Option<Shape> {
        let word = self.word()?.to_lowercase();
        let shape = match word.as_str() {
            "array" | "map" | "struct" => {
                if !self.takes('<') {
                    return None;
                }
                let shape = match word.as_str() {
                    "array" => Shape::List(Box::new(self.shape(dialect)?)),
                    "struct" => Shape::Fields(self.fields(dialect)?),
                    _ => {
                        // Keys of objects are text.
                        let (Shape::Text, true) = (self.shape(dialect)?, self.takes(',')) else { return None };
                        Shape::Map(Box::new(self.shape(dialect)?))
                    }
                };
                return self.takes('>').then_some(shape);
            }
            _ => {
                let rest = self.rest.trim_start();
                let size = match rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
                    Some((size, after)) => {
                        self.rest = after;
                        format!("({size})")
                    }
                    None => String::new(),
                };
                named(dialect, &format!("{word}{size}"))?
            }
        };
        Some(shape)
    }
}

/// A type by its name.
fn named(dialect: Dialect, name: &str) -> Option<Shape> {
    let mut parser = Parser::new(&GenericDialect {}).try_with_sql(name).ok()?;
    shape_of(dialect, &parser.parse_data_type().ok()?)
}

/// A DuckDB structure: `{"a": "INTEGER", "b": ["VARCHAR"]}`
fn of_document(schema: &str) -> Option<Shape> {
    fn of(value: &serde_json::Value) -> Option<Shape> {
        match value {
            serde_json::Value::String(name) => named(Dialect::DuckDb, name),
            serde_json::Value::Array(items) => match items.as_slice() {
                [item] => Some(Shape::List(Box::new(of(item)?))),
                _ => None,
            },
            serde_json::Value::Object(fields) => {
                let field = |(name, value): (&String, &serde_json::Value)| Some((name.clone(), of(value)?));
                Some(Shape::Fields(fields.iter().map(field).collect::<Option<_>>()?))
            }
            _ => None,
        }
    }
    of(&serde_json::from_str(schema).ok()?)
}
