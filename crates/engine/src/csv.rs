//! Seeds: small CSV files of a project as tables.

use std::io::Cursor;
use std::sync::Arc;

use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::prelude::DataFrame;
use headwater_lake::storable_schema;

use crate::apply::{Applied, Target};
use crate::error::{EngineError, Result};
use crate::session::{Engine, Session};

/// Stands for the value while a cast is translated.
const VALUE: &str = "headwater_value";

/// How a seed file is read.
#[derive(Clone, Debug)]
pub struct CsvOptions {
    pub delimiter: u8,
    /// SQL types by column; the others are inferred from all rows.
    pub column_types: Vec<(String, String)>,
}

impl Session {
    /// Loads a CSV text with a header into a table.
    pub async fn load_csv(&self, text: &str, options: &CsvOptions, target: &Target) -> Result<Applied> {
        let frame = self.csv_frame(text, options).await?;
        self.apply_frame(frame, target, std::collections::BTreeMap::new()).await
    }

    /// The columns a table of this text would have.
    pub async fn csv_columns(&self, text: &str, options: &CsvOptions) -> Result<SchemaRef> {
        let frame = self.csv_frame(text, options).await?;
        Ok(storable_schema(frame.schema().as_arrow())?)
    }

    async fn csv_frame(&self, text: &str, options: &CsvOptions) -> Result<DataFrame> {
        let format = Format::default().with_header(true).with_delimiter(options.delimiter);
        let (inferred, _) = format.infer_schema(Cursor::new(text), None).map_err(EngineError::Csv)?;
        let typed = |field: &Field| options.column_types.iter().any(|(name, _)| name == field.name());
        // A column with a declared type is read as text and cast by SQL, so that `007` stays `007` for VARCHAR.
        let fields: Vec<Field> = inferred
            .fields()
            .iter()
            .map(|field| {
                let text = typed(field) || field.data_type() == &DataType::Null;
                Field::new(field.name(), if text { DataType::Utf8 } else { field.data_type().clone() }, true)
            })
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let reader = ReaderBuilder::new(Arc::clone(&schema))
            .with_format(format)
            .build(Cursor::new(text))
            .map_err(EngineError::Csv)?;
        let batches: std::result::Result<Vec<_>, _> = reader.collect();
        let context = self.engine.bare_context();
        let table =
            datafusion::datasource::MemTable::try_new(Arc::clone(&schema), vec![batches.map_err(EngineError::Csv)?])?;
        context.register_table("seed", Arc::new(table))?;
        let columns = schema.fields().iter().map(|field| self.engine.cast_column(field.name(), options));
        let columns: Vec<String> = columns.collect::<Result<_>>()?;
        Ok(context.sql(&format!("SELECT {} FROM seed", columns.join(", "))).await?)
    }
}

impl Engine {
    fn cast_column(&self, name: &str, options: &CsvOptions) -> Result<String> {
        let declared = options.column_types.iter().find(|(column, _)| column == name);
        let name = quoted(name);
        match declared {
            Some((_, sql_type)) => Ok(format!("{} AS {name}", self.cast(&name, sql_type)?)),
            None => Ok(name),
        }
    }

    /// A value of our own SQL as a type of the project's, in our own SQL.
    pub(crate) fn cast(&self, value: &str, sql_type: &str) -> Result<String> {
        if self.dialect().is_some() {
            let cast = self.translate_expression(&format!("CAST({VALUE} AS {sql_type})"))?;
            return Ok(cast.replace(VALUE, value));
        }
        // Nanoseconds end in the year 2262.
        let is_timestamp = matches!(sql_type.to_lowercase().as_str(), "timestamp" | "datetime");
        Ok(format!("CAST({value} AS {})", if is_timestamp { "TIMESTAMP(6)" } else { sql_type }))
    }
}

impl Session {
    /// NULL of a type of the project's SQL.
    pub fn null_of(&self, sql_type: &str) -> Result<String> {
        self.engine.cast("NULL", sql_type)
    }
}

pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
