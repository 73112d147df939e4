"""A corpus of PostgreSQL values, and whether a lake's table holds each of them."""

import struct
from decimal import Decimal
from pathlib import Path

import pyarrow
import pyarrow.parquet
from deltalake import DeltaTable

# Column, type, and SQL of its values; each value is a row of its own, all other columns NULL.
CORPUS = [
    ("flag", "boolean", ["true", "false"]),
    ("small", "smallint", ["-32768", "32767"]),
    ("plain", "integer", ["-2147483648", "2147483647"]),
    ("big", "bigint", ["'-9223372036854775808'::bigint", "9223372036854775807"]),
    ("number", "oid", ["4294967295::oid"]),
    ("single", "real", ["'NaN'", "'Infinity'", "'-Infinity'", "1.17549435e-38", "3.4028235e38", "0.1"]),
    ("double", "double precision", ["'NaN'", "'Infinity'", "'-Infinity'", "5e-324", "1.7976931348623157e308", "0.1"]),
    ("money2", "numeric(10,2)", ["-99999999.99", "0", "0.01", "12.30"]),
    ("wide", "numeric(38,10)", ["1234567890123456789012345678.0123456789", "-0.0000000001"]),
    ("free", "numeric", ["'NaN'", "'Infinity'", "1e100", "123.4500", "0.00000000000000000000000000000000000000000001"]),
    ("odd_scale", "numeric(3,-2)", ["12300", "99900"]),
    ("day", "date", ["'0001-01-01'", "'0044-03-15 BC'", "'4714-11-24 BC'", "'1970-01-01'", "'5874897-12-31'"]),
    ("moment", "timestamptz", ["'1970-01-01 00:00:00.000001+00'", "'2024-03-31 02:30:00+05:45'", "'1883-11-18 12:00:00-07'", "'0001-01-01 00:00:00+00 BC'"]),
    ("local", "timestamp", ["'2024-02-29 23:59:59.999999'", "'1900-01-01'", "'9999-12-31 23:59:59.999999'"]),
    ("clock", "time", ["'24:00:00'", "'00:00:00.000001'"]),
    ("zoned", "timetz", ["'04:05:06.789-08'"]),
    ("span", "interval", ["'1 year 2 mons 3 days 04:05:06.7'", "'-1 day +00:00:01'", "'178000000 years'"]),
    ("words", "text", ["''", "'üñí 日本 🎵'", "E'tab\\tline\\nquote\"\\\\'", "repeat('x', 100000)"]),
    ("padded", "char(5)", ["'ab'"]),
    ("short", "varchar(3)", ["'abc'"]),
    ("letter", '"char"', ["'x'"]),
    ("id", "uuid", ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"]),
    ("raw", "bytea", ["'\\x'", "'\\x00ff'", "decode(repeat('ab', 70000), 'hex')"]),
    ("doc", "json", ["'{\"a\": [1,  2]}'"]),
    ("docb", "jsonb", ["'{\"b\": 1, \"a\": null}'", "'\"text\"'", "'null'"]),
    ("markup", "xml", ["'<a>b</a>'"]),
    ("ints", "integer[]", ["'{1,NULL,3}'", "'[2:3]={7,8}'", "'{{1,2},{3,4}}'", "'{}'"]),
    ("texts", "text[]", ["ARRAY['a,b', NULL, 'c\"d', '']"]),
    ("span_of", "int4range", ["'[1,5)'", "'empty'", "'(,)'"]),
    ("pair", "pair", ["ROW(1, 'a,b')", "ROW(NULL, NULL)"]),
    ("mood", "mood", ["'happy'", "'so so'"]),
    ("positive", "positive", ["7"]),
    ("price", "price", ["12.34"]),
    ("cash", "money", ["1234.56"]),
    ("address", "inet", ["'10.0.0.1'", "'10.0.0.0/8'", "'::1'"]),
    ("network", "cidr", ["'10.0.0.0/8'"]),
    ("hardware", "macaddr", ["'08:00:2b:01:02:03'"]),
    ("bits", "bit(3)", ["B'101'"]),
    ("more_bits", "bit varying", ["B''", "B'10110'"]),
    ("place", "point", ["'(1.5,-2)'"]),
    ("lexemes", "tsvector", ["'fat cat'"]),
    ("lsn", "pg_lsn", ["'16/B374D848'"]),
]

SETUP = """
do $$ begin
  create type mood as enum ('happy', 'so so');
  create type pair as (a int, b text);
  create domain positive as integer check (value > 0);
  create domain price as numeric(10,2);
exception when duplicate_object then null; end $$;
"""

FLOATS = {"real", "double precision"}
DECIMALS = {"numeric(10,2)", "numeric(38,10)", "price"}
TIMES = {"timestamptz", "timestamp"}


def create(table: str, options: str = "") -> str:
    columns = ", ".join(f'"{name}" {kind}' for name, kind, _ in CORPUS)
    return f"{SETUP} create table {table} (row_no integer primary key, {columns}) {options};"


def insert(table: str) -> str:
    statements, row = [f"insert into {table} (row_no) values (0);"], 0
    for name, _, values in CORPUS:
        for value in values:
            row += 1
            statements.append(f'insert into {table} (row_no, "{name}") values ({row}, {value});')
    return "".join(statements)


def expected_sql(name: str, kind: str) -> str:
    """The value as text that has one spelling here and there."""
    column = f'"{name}"'
    if kind in TIMES:
        zone = "" if kind == "timestamptz" else " at time zone 'UTC'"
        return f"(extract(epoch from {column}{zone}) * 1000000)::bigint::text"
    if kind == "date":
        return f"({column} - date '1970-01-01')::text"
    if kind == "boolean":
        return f"{column}::int::text"
    if kind == "bytea":
        return f"encode({column}, 'hex')"
    return f"concat({column})"


def found_text(kind: str, scalar) -> str:

    if kind in TIMES:
        return str(scalar.cast(pyarrow.timestamp("us", tz="UTC")).cast(pyarrow.int64()).as_py())
    if kind == "date":
        return str(scalar.cast(pyarrow.int32()).as_py())
    value = scalar.as_py()
    if kind == "boolean":
        return str(int(value))
    if kind == "bytea":
        return value.hex()
    return str(value)


def same(kind: str, expected: str, found: str) -> bool:
    if kind in FLOATS:
        size = "f" if kind == "real" else "d"
        return struct.pack(size, float(expected)) == struct.pack(size, float(found))
    if kind in DECIMALS:
        return Decimal(expected) == Decimal(found)
    return expected == found


def value_differences(cluster, table: str, path: Path) -> list[str]:
    rows = pyarrow.parquet.ParquetDataset(DeltaTable(str(path)).file_uris()).read().sort_by("row_no")
    numbers = {number: index for index, number in enumerate(rows.column("row_no").to_pylist())}
    problems, row = [], 0
    for name, kind, values in CORPUS:
        expected = dict(cluster.sql(f'select row_no, replace({expected_sql(name, kind)}, E\'\\n\', E\'\\\\n\') from {table} where num_nulls("{name}") = 0'))
        for value in values:
            row += 1
            if row not in numbers:
                problems.append(f"{name}: row {row} is missing")
                continue
            scalar = rows.column(name)[numbers[row]]
            found = found_text(kind, scalar).replace("\n", "\\n") if scalar.is_valid else "NULL"
            if not same(kind, expected[str(row)], found):
                problems.append(f"{name} {kind}: {expected[str(row)][:60]} became {found[:60]}")
        nulls = rows.column(name).null_count
        if nulls != len(rows) - len(values):
            problems.append(f"{name}: {nulls} NULLs, {len(rows) - len(values)} expected")
    if rows.num_rows != row + 1:
        problems.append(f"{rows.num_rows} rows, {row + 1} expected")
    return problems
