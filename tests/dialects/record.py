"""Runs snippets in the engine of their dialect and writes its answers to their `rows:`.

    python3 -m venv /tmp/engines && /tmp/engines/bin/pip install PyYAML 'psycopg[binary]' duckdb==2.0.0 pytz pyspark
    /tmp/engines/bin/python tests/dialects/record.py --dialect postgres [--only WORD] [--new] [--check]

BigQuery, Snowflake and Redshift have no engine to run here: their rows are written by hand from the documentation.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timezone
from decimal import Decimal
from pathlib import Path
from time import tzset
from uuid import UUID

import corpus

for folder in ("harness", "postgres"):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / folder))

Answer = tuple[list[str], list[list]]


@contextmanager
def postgres() -> Iterator[Callable[[str], Answer]]:
    import psycopg
    from cluster import Cluster
    from psycopg.types.string import TextLoader

    with Cluster() as cluster:
        # Text in the order of its bytes, as the engine sorts it, with the letters of Unicode.
        cluster.sql("create database snippets template template0 lc_collate 'C' lc_ctype 'C.UTF-8'")
        address = f"host=127.0.0.1 port={cluster.port} user=postgres dbname=snippets options='-c TimeZone=UTC'"
        with psycopg.connect(address, autocommit=True) as connection:
            for name in ("json", "jsonb"):
                connection.adapters.register_loader(name, TextLoader)

            def ask(sql: str) -> Answer:
                # Without parameters, so that a per cent sign in the SQL is one.
                cursor = connection.execute(sql)
                return [column.name for column in cursor.description], [plain(list(row)) for row in cursor]

            yield ask


@contextmanager
def duckdb() -> Iterator[Callable[[str], Answer]]:
    import duckdb as engine

    with engine.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")

        def ask(sql: str) -> Answer:
            found = connection.execute(sql)
            return [column[0] for column in found.description], [plain(list(row)) for row in found.fetchall()]

        yield ask


@contextmanager
def spark() -> Iterator[Callable[[str], Answer]]:
    os.environ["TZ"] = "UTC"
    tzset()

    from pyspark.sql import Row, SparkSession
    from pyspark.sql.types import ArrayType, MapType, StructType, TimestampType

    def value(one, kind):
        """Spark hands out instants as local times, so only the type says which of them are instants."""
        if one is None:
            return None
        if isinstance(kind, TimestampType):
            return one.replace(tzinfo=timezone.utc)
        if isinstance(kind, ArrayType):
            return [value(item, kind.elementType) for item in one]
        if isinstance(kind, MapType):
            return {str(key): value(item, kind.valueType) for key, item in one.items()}
        if isinstance(kind, StructType):
            return {field.name: value(item, field.dataType) for field, item in zip(kind.fields, one)}
        return list(one) if isinstance(one, Row) else one

    settings = {"spark.sql.session.timeZone": "UTC", "spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "1"}
    builder = SparkSession.builder.master("local[1]")
    for key, setting in settings.items():
        builder = builder.config(key, setting)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")

    def ask(sql: str) -> Answer:
        frame = session.sql(sql)
        kinds = [field.dataType for field in frame.schema.fields]
        return frame.columns, [plain([value(*pair) for pair in zip(row, kinds)]) for row in frame.collect()]

    try:
        yield ask
    finally:
        session.stop()


def plain(value):
    """A value of an engine in the form of the corpus."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Decimal):
        return Decimal(format(value.normalize(), "f")) if value.is_finite() else str(value)
    if isinstance(value, datetime):
        return corpus.instant(value.isoformat(" "))
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    raise TypeError(f"{type(value).__name__} has no form in the corpus: cast it to text in the snippet")


def number(value: float):
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return Decimal(repr(value))


def record(snippet: corpus.Snippet, ask: Callable[[str], Answer]) -> str:
    """Sets the rows (and the columns, when they are wanted); answers what was wrong, or nothing."""
    try:
        columns, rows = ask(snippet.sql)
    except Exception as error:
        return str(error).strip()[:600]
    if len(set(columns)) < len(columns):
        return f"two columns have one name: {columns}"
    if snippet.columns is not None:
        snippet.columns = columns
    known, snippet.rows = snippet.rows, rows
    return "" if known is None or corpus.same(known, rows) else f"was {corpus.scalar(known)}, is {corpus.scalar(rows)}"


def wanted(snippet: corpus.Snippet, options: argparse.Namespace) -> bool:
    return options.only in snippet.model and not (options.new and snippet.rows is not None)


def main() -> int:
    engines = {"postgres": postgres, "duckdb": duckdb, "spark": spark}
    parser = argparse.ArgumentParser()
    parser.add_argument("--dialect", choices=engines, required=True)
    parser.add_argument("--only", default="", help="snippets whose group__name has this in it")
    parser.add_argument("--new", action="store_true", help="snippets that have no rows yet")
    parser.add_argument("--check", action="store_true", help="write nothing, say what differs")
    options = parser.parse_args()
    said = 0
    with engines[options.dialect]() as ask:
        for path in corpus.files(options.dialect):
            snippets = corpus.read(path)
            for snippet in snippets:
                problem = record(snippet, ask) if wanted(snippet, options) else ""
                said += bool(problem)
                if problem:
                    print(f"{options.dialect} {snippet.group}: {snippet.name}: {problem}\n{snippet.sql}", flush=True)
            if not options.check:
                corpus.write(path, snippets)
    print(f"{said} changed or failed")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
