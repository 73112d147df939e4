"""A table with a column of many types: how PostgreSQL is asked for a value, and how what Debezium makes of it is read."""

import base64
import json
from collections.abc import Callable
from decimal import Decimal


def decimal(scale: int) -> Callable[[str], str]:
    """The unscaled value as the bytes of an integer."""
    return lambda text: str(Decimal(int.from_bytes(base64.b64decode(text), "big", signed=True)).scaleb(-scale))


def decimal_of_any_scale(text: str) -> str:
    found = json.loads(text)
    return f"{Decimal(decimal(found['scale'])(found['value'])):f}"


def decimals(text: str) -> str:
    return "[" + ",".join(decimal(2)(one) for one in json.loads(text)) + "]"


def microseconds(name: str) -> str:
    return f"(extract(epoch from {name}) * 1000000)::bigint"


# Name, type, the SQL of its value, how the text of the lake's value is read.
TYPES: list[tuple[str, str, str, Callable[[str], str]]] = [
    ("id", "integer primary key", "id", str),
    ("small", "smallint", "small", str),
    ("big", "bigint", "big", str),
    ("price", "numeric(12,2)", "price", decimal(2)),
    ("free", "numeric", "free", decimal_of_any_scale),
    ("half", "real", "half", str),
    ("whole", "double precision", "whole", str),
    ("word", "text", "word", str),
    ("code", "varchar(8)", "code", str),
    ("pad", "char(4)", "pad", str),
    ("flag", "boolean", "flag::text", str),
    ("bytes", "bytea", "encode(bytes, 'base64')", str),
    ("day", "date", "case when isfinite(day) is false then -2147472692 else day - date '1970-01-01' end", str),
    ("at", "timestamp", f"case when isfinite(at) is false then 9223372036825200000 else {microseconds('at')} end", str),
    ("at_ms", "timestamp(3)", "(extract(epoch from at_ms) * 1000)::bigint", str),
    ("zoned", "timestamptz",
     "case when isfinite(zoned) then to_char(zoned at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') else zoned::text end", str),
    ("clock", "time", microseconds("clock"), str),
    ("zoned_clock", "timetz", "replace((zoned_clock at time zone 'UTC')::text, '+00', 'Z')", str),
    ("span", "interval", microseconds("span"), str),
    ("doc", "json", "doc", str),
    ("docb", "jsonb", "docb", str),
    ("ident", "uuid", "ident", str),
    ("numbers", "integer[]", "to_json(numbers)", str),
    ("words", "text[]", "to_json(words)", str),
    ("prices", "numeric(6,2)[]", "to_json(prices)", decimals),
    ("feeling", "mood", "feeling", str),
    ("address", "inet", "address", str),
    ("count_needed", "integer not null", "count_needed", str),
    ("note_needed", "text not null", "note_needed", str),
    ("day_needed", "date not null", "day_needed - date '1970-01-01'", str),
    ("price_needed", "numeric(12,2) not null", "price_needed", decimal(2)),
    ("with_default", "integer not null default 7", "with_default", str),
    ("long", "text", "long", str),
]
COLUMNS = [(name, sql, read) for name, _, sql, read in TYPES]

NEEDED = {"count_needed": "0", "note_needed": "", "day_needed": "1970-01-01", "price_needed": "0"}
FULL_ROW = {
    "small": "-32768", "big": "9223372036854775807", "price": "1234567890.12", "free": "3.14159", "half": "1.5", "whole": "2.718281828459045",
    "word": 'naïve "quoted" \\ 日本', "code": "v1", "pad": "ab", "flag": "true", "bytes": "\\xdeadbeef00", "day": "2024-02-29",
    "at": "2024-02-29 12:34:56.789012", "at_ms": "2024-02-29 12:34:56.789", "zoned": "2024-02-29 12:34:56.789012+02",
    "clock": "12:34:56.789012", "zoned_clock": "12:34:56.789012+02", "span": "3 days 04:05:06.789",
    "doc": '{"a":  1, "b": [true, null]}', "docb": '{"a":  1, "b": [true, null]}', "ident": "123e4567-e89b-12d3-a456-426614174000",
    "numbers": "{1,NULL,3}", "words": '{a,NULL,"c d"}', "prices": "{1.50,-2.25}", "feeling": "calm", "address": "192.168.0.1/24",
    "count_needed": "5", "note_needed": "needed", "day_needed": "2024-01-01", "price_needed": "-0.01", "long": "x" * 3000,
}
ODD_ROW = {
    "half": "NaN", "whole": "-Infinity", "free": "1e30", "day": "0044-03-15 BC", "at": "1500-01-01 00:00:00", "zoned": "1500-01-01 00:00:00+00",
    "price": "-9999999999.99", "day_needed": "9999-12-31", "price_needed": "9999999999.99", "numbers": "{}",
}


def create_kinds(name: str) -> str:
    """Long values are kept apart from their row, so that an update may leave them alone."""
    mood = "do $$ begin create type mood as enum ('calm', 'loud'); exception when duplicate_object then null; end $$;\n"
    columns = ",\n  ".join(f"{column} {of}" for column, of, _, _ in TYPES)
    return f"{mood}create table {name} (\n  {columns}\n);\nalter table {name} alter long set storage external;\n"


def insert(table: str, key: int, values: dict[str, str]) -> str:
    row = {"id": str(key)} | NEEDED | values
    texts = ", ".join("'" + text.replace("'", "''") + "'" for text in row.values())
    return f"insert into {table} ({', '.join(row)}) values ({texts})"
