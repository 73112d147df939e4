//! Types and casts.

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, CastFormat, CastKind, DataType, ExactNumberInfo, Expr, StructField, TimezoneInfo,
};

use super::Dialect;
use super::build::{call, cast, function_name, literal_text, number, text};
use super::formats;
use super::template::Problem;

/// What a type's name stands for.
enum Kind {
    /// At most so many characters.
    Text(Option<u64>),
    Whole(DataType),
    Plain(DataType),
    Instant,
    Json,
}

/// The function that shows a value as the dialect's casts do.
pub(super) fn text_function(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::BigQuery => "bigquery_text",
        Dialect::Postgres => "postgres_text",
        Dialect::Redshift => "redshift_text",
        Dialect::Snowflake => "snowflake_text",
        Dialect::DuckDb => "duckdb_text",
        Dialect::Spark => "spark_text",
    }
}

fn unknown(data_type: &DataType) -> Problem {
    (format!("the type {data_type}"), String::from("docs/dialects.md lists the types of each dialect."))
}

/// Microseconds, without a zone.
pub(super) fn timestamp() -> DataType {
    DataType::Timestamp(Some(6), TimezoneInfo::None)
}

fn decimal(precision: u64, scale: i64) -> DataType {
    DataType::Decimal(ExactNumberInfo::PrecisionAndScale(precision.clamp(1, 38), scale.clamp(0, 38)))
}

/// A type's name in lower case and the numbers in its parentheses.
fn taken_apart(data_type: &DataType) -> (String, Vec<i64>) {
    let shown = data_type.to_string().to_lowercase();
    let Some((name, rest)) = shown.split_once('(') else { return (shown, Vec::new()) };
    let (inside, after) = rest.split_once(')').unwrap_or((rest, ""));
    let numbers = inside.split(',').filter_map(|number| number.trim().parse().ok()).collect();
    (format!("{}{}", name.trim_end(), after), numbers)
}

fn kind(dialect: Dialect, data_type: &DataType) -> Result<Kind, Problem> {
    let (name, numbers) = taken_apart(data_type);
    let is_postgres = matches!(dialect, Dialect::Postgres | Dialect::Redshift);
    let first = numbers.first().and_then(|number| u64::try_from(*number).ok());
    Ok(match name.as_str() {
        "text" | "string" | "varchar" | "char" | "character" | "character varying" | "char varying" | "nvarchar"
        | "nchar" | "bpchar" | "name" | "uuid" | "clob" | "fixedstring" => {
            // Snowflake and others refuse longer text; cutting it is what a cast does in PostgreSQL and Redshift.
            Kind::Text(first.filter(|_| is_postgres || matches!(dialect, Dialect::Snowflake | Dialect::Spark)))
        }
        "hugeint" | "uhugeint" | "ubigint" | "uint64" if dialect == Dialect::DuckDb => Kind::Plain(decimal(38, 0)),
        "int64" | "bigint" | "int8" | "long" | "ubigint" | "uint64" | "bigserial" => {
            Kind::Whole(DataType::BigInt(None))
        }
        "int" | "integer" | "int4" | "int32" | "serial" | "mediumint" | "signed" | "uinteger" => match dialect {
            Dialect::BigQuery | Dialect::Snowflake => Kind::Whole(DataType::BigInt(None)),
            _ => Kind::Whole(DataType::Int(None)),
        },
        "tinyint" | "byte" | "int1" if matches!(dialect, Dialect::DuckDb | Dialect::Spark) => {
            Kind::Whole(DataType::TinyInt(None))
        }
        "smallint" | "int2" | "int16" | "short" | "tinyint" | "byteint" | "byte" | "utinyint" | "usmallint"
        | "uint8" => match dialect {
            Dialect::BigQuery | Dialect::Snowflake => Kind::Whole(DataType::BigInt(None)),
            _ => Kind::Whole(DataType::SmallInt(None)),
        },
        "float64" | "double" | "double precision" | "float8" => Kind::Plain(DataType::Double(ExactNumberInfo::None)),
        "float" | "real" | "float4" | "float32" => match dialect {
            Dialect::Spark | Dialect::DuckDb => Kind::Plain(DataType::Real),
            Dialect::Postgres | Dialect::Redshift if name != "float" => Kind::Plain(DataType::Real),
            _ => Kind::Plain(DataType::Double(ExactNumberInfo::None)),
        },
        "numeric" | "decimal" | "dec" | "number" | "bignumeric" | "bigdecimal" => {
            let given = numbers.first().map(|precision| (*precision, numbers.get(1).copied().unwrap_or(0)));
            let (precision, scale) = given.unwrap_or(match dialect {
                Dialect::BigQuery if name.starts_with("big") => (38, 18),
                Dialect::BigQuery => (38, 9),
                Dialect::Postgres => (38, 10),
                Dialect::Redshift => (18, 0),
                Dialect::Snowflake => (38, 0),
                Dialect::DuckDb => (18, 3),
                Dialect::Spark => (10, 0),
            });
            Kind::Plain(decimal(u64::try_from(precision).unwrap_or(38), scale))
        }
        "bool" | "boolean" => Kind::Plain(DataType::Boolean),
        "date" => Kind::Plain(DataType::Date),
        "time" | "time without time zone" => Kind::Plain(DataType::Time(None, TimezoneInfo::None)),
        "timestamp" | "timestamp_ltz" if matches!(dialect, Dialect::BigQuery | Dialect::Spark) => Kind::Instant,
        "timestamptz" | "timestamp with time zone" | "timestamp_tz" | "timestamp_ltz" if dialect != Dialect::Spark => {
            Kind::Instant
        }
        "datetime"
        | "timestamp"
        | "timestamp without time zone"
        | "timestamp_ntz"
        | "timestampntz"
        | "timestamp_ltz"
        | "timestamp_s"
        | "timestamp_ms"
        | "timestamp_us"
        | "timestamp_ns" => Kind::Plain(timestamp()),
        "bytes" | "bytea" | "binary" | "varbinary" | "blob" => Kind::Plain(DataType::Bytea),
        "json" | "jsonb" | "variant" | "object" | "super" | "array" => Kind::Json,
        "interval" => Kind::Plain(DataType::Interval { fields: None, precision: None }),
        _ => match data_type {
            DataType::Array(_) | DataType::Struct(..) => Kind::Plain(plain(dialect, data_type)?),
            _ => return Err(unknown(data_type)),
        },
    })
}

/// A type as the engine names it, where a cast to it is not special.
pub(super) fn plain(dialect: Dialect, data_type: &DataType) -> Result<DataType, Problem> {
    match data_type {
        DataType::Array(
            ArrayElemTypeDef::AngleBracket(item)
            | ArrayElemTypeDef::SquareBracket(item, _)
            | ArrayElemTypeDef::Parenthesis(item),
        ) => Ok(DataType::Array(ArrayElemTypeDef::AngleBracket(Box::new(plain(dialect, item)?)))),
        DataType::Struct(fields, brackets) => {
            let field = |field: &StructField| {
                Ok(StructField { field_type: plain(dialect, &field.field_type)?, ..field.clone() })
            };
            Ok(DataType::Struct(fields.iter().map(field).collect::<Result<_, Problem>>()?, *brackets))
        }
        _ => Ok(match kind(dialect, data_type)? {
            Kind::Text(_) | Kind::Json => DataType::Varchar(None),
            Kind::Whole(data_type) | Kind::Plain(data_type) => data_type,
            Kind::Instant => timestamp(),
        }),
    }
}

/// Whether a type is one of instants.
pub(super) fn is_instant(dialect: Dialect, data_type: &DataType) -> bool {
    matches!(kind(dialect, data_type), Ok(Kind::Instant))
}

/// The function that makes a date, or a time without a zone, of a value; none for other types.
fn time_function(dialect: Dialect, data_type: &DataType) -> Option<&'static str> {
    let is_postgres = matches!(dialect, Dialect::Postgres | Dialect::Redshift);
    match data_type {
        DataType::Date if is_postgres => Some("postgres_date"),
        DataType::Date => Some("date_of"),
        DataType::Timestamp(..) if is_postgres => Some("postgres_time"),
        DataType::Timestamp(..) if matches!(dialect, Dialect::Snowflake | Dialect::Spark) => Some("wall_time_of"),
        DataType::Timestamp(..) => Some("time_of"),
        _ => None,
    }
}

/// Each item of an array cast by itself, as the dialect casts.
fn items(dialect: Dialect, kind: CastKind, expr: Expr, data_type: &DataType) -> Option<Result<Expr, Problem>> {
    let DataType::Array(
        ArrayElemTypeDef::AngleBracket(item)
        | ArrayElemTypeDef::SquareBracket(item, _)
        | ArrayElemTypeDef::Parenthesis(item),
    ) = data_type
    else {
        return None;
    };
    if matches!(item.as_ref(), DataType::Struct(..)) {
        return None;
    }
    let array = match (literal_text(&expr), dialect) {
        (Some(given), Dialect::Postgres | Dialect::Redshift) => match super::comparisons::items(given) {
            Some(items) => call("make_array", items),
            None => return Some(Err(unknown(data_type))),
        },
        (_, Dialect::DuckDb) => call("list_of", vec![expr]),
        _ => expr,
    };
    if matches!(&array, Expr::Function(function) if super::build::arguments(function).is_some_and(|args| args.is_empty()))
        || matches!(&array, Expr::Array(array) if array.elem.is_empty())
    {
        let plain = plain(dialect, data_type);
        return Some(plain.map(|plain| cast(CastKind::Cast, array, plain)));
    }
    let one = cast_to(dialect, kind, super::build::column("__item"), item, None);
    Some(one.map(|one| call("array_transform", vec![array, super::arrays::lambda(&[String::from("__item")], one)])))
}

/// A cast as the dialect does it.
pub(super) fn cast_to(
    dialect: Dialect,
    kind_of_cast: CastKind,
    expr: Expr,
    data_type: &DataType,
    format: Option<&CastFormat>,
) -> Result<Expr, Problem> {
    let is_safe = matches!(kind_of_cast, CastKind::SafeCast | CastKind::TryCast);
    if let Some(format) = format {
        return formatted(dialect, is_safe, expr, data_type, format);
    }
    let tried = |name: &str| if is_safe { format!("try_{name}") } else { name.to_owned() };
    if let Some(items) = items(dialect, kind_of_cast.clone(), expr.clone(), data_type) {
        return items;
    }
    Ok(match kind(dialect, data_type)? {
        Kind::Text(length) => {
            let mut shown = call(text_function(dialect), vec![expr]);
            match taken_apart(data_type).0.as_str() {
                "uuid" => shown = call("lower", vec![shown]),
                // Blanks at the end of text of a fixed length mean nothing.
                "char" | "character" | "bpchar" | "nchar" if dialect == Dialect::Postgres => {
                    let length = length.and_then(|length| i64::try_from(length).ok()).unwrap_or(1);
                    return Ok(call("rtrim", vec![call("left", vec![shown, number(length)])]));
                }
                _ => {}
            }
            match length.and_then(|length| i64::try_from(length).ok()) {
                Some(length) => call("left", vec![shown, number(length)]),
                None => shown,
            }
        }
        Kind::Whole(width) => {
            let name = match dialect {
                Dialect::Spark => tried("whole_number_cut"),
                Dialect::Snowflake => tried("whole_number_of_any"),
                Dialect::DuckDb => tried("whole_number_of_any_even"),
                Dialect::Postgres => String::from("whole_number_even"),
                _ => tried("whole_number"),
            };
            let whole = call(&name, vec![expr]);
            if matches!(width, DataType::BigInt(_)) { whole } else { cast(kind_of_cast, whole, width) }
        }
        Kind::Plain(data_type) if time_function(dialect, &data_type).is_some() => {
            let name = time_function(dialect, &data_type).unwrap_or_default();
            // PostgreSQL has no casts that give NULL.
            let name = if name.starts_with("postgres") { name.to_owned() } else { tried(name) };
            // A time with an offset that loses it stays on its wall.
            match expr {
                Expr::Function(instant)
                    if dialect == Dialect::Snowflake && function_name(&instant.name) == "instant_of" =>
                {
                    call(&name, super::build::arguments(&instant).unwrap_or_default())
                }
                expr => call(&name, vec![expr]),
            }
        }
        Kind::Plain(data_type) => {
            let kind_of_cast = if is_safe { CastKind::TryCast } else { kind_of_cast };
            cast(kind_of_cast, expr, data_type)
        }
        Kind::Instant if is_safe => call("try_instant_of", vec![expr]),
        Kind::Instant => call("instant_of", vec![expr]),
        Kind::Json if dialect == Dialect::Postgres && matches!(data_type, DataType::JSONB) => {
            call("jsonb_document", vec![expr])
        }
        Kind::Json if dialect == Dialect::DuckDb && !is_safe => call("json_document_short", vec![expr]),
        Kind::Json if is_postgres_json(dialect, data_type) => call(&tried("json_document"), vec![expr]),
        Kind::Json => call("json_of", vec![expr]),
    })
}

/// Text becomes the document it is in these, and a string in a document elsewhere.
fn is_postgres_json(dialect: Dialect, data_type: &DataType) -> bool {
    matches!(dialect, Dialect::Postgres | Dialect::DuckDb) || matches!(data_type, DataType::JSON)
}

/// `CAST(x AS DATE FORMAT 'YYYY-MM-DD')`: the words of the pattern are the standard's, which are PostgreSQL's too.
fn formatted(
    dialect: Dialect,
    is_safe: bool,
    expr: Expr,
    data_type: &DataType,
    format: &CastFormat,
) -> Result<Expr, Problem> {
    let CastFormat::Value(value) = format else {
        return Err((
            String::from("CAST with FORMAT and AT TIME ZONE"),
            String::from("Convert the time zone in a step of its own."),
        ));
    };
    let value = Expr::Value(value.clone());
    let pattern = literal_text(&value).ok_or_else(|| unknown(data_type))?;
    let pattern = text(&formats::strftime(Dialect::Postgres, pattern)?);
    let tried = |name: &str| if is_safe { format!("try_{name}") } else { name.to_owned() };
    Ok(match kind(dialect, data_type)? {
        Kind::Text(_) => call("time_text", vec![expr, pattern]),
        Kind::Plain(DataType::Date) => call(&tried("date_parse"), vec![expr, pattern]),
        Kind::Plain(DataType::Timestamp(..)) => call(&tried("time_parse"), vec![expr, pattern]),
        Kind::Instant => call("instant_of", vec![call(&tried("time_parse"), vec![expr, pattern])]),
        _ => {
            return Err((
                format!("CAST to {data_type} with FORMAT"),
                String::from("Only text, dates and times have formats here."),
            ));
        }
    })
}
