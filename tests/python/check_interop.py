#!/usr/bin/env python3
"""Opens every Delta table of a lake with three other engines and compares what they see.

    python check_interop.py LAKE_DIR

deltalake reads the table's log; DuckDB and polars read the table through it. Row counts must agree between the engines
and with the counts that the log itself keeps, columns must agree by name and order, and every row must decode.
Prints one line for each finding, then `N passed, N failed`; exits 1 when anything failed or there was nothing to check.

Needs the packages deltalake, duckdb, polars and pyarrow.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars
import pyarrow.parquet
from deltalake import DeltaTable

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

from project import Outcome  # noqa: E402


def tables(lake: Path) -> Iterator[Path]:
    for log in sorted(lake.rglob("_delta_log")):
        if log.is_dir():
            yield log.parent


def local(uri: str) -> str:
    return uri.removeprefix("file://")


def logged_rows(table: DeltaTable) -> int | None:
    """Rows by the statistics in the log, or None when a file has none."""
    actions = table.get_add_actions(flatten=True)
    if actions.num_rows == 0:
        return 0
    if "num_records" not in actions.schema.names:
        return None
    counts = actions["num_records"].to_pylist()
    return None if any(count is None for count in counts) else sum(counts)


def stored_rows(table: DeltaTable) -> int:
    """Rows by decoding every column of every file."""
    rows = 0
    for uri in table.file_uris():
        for batch in pyarrow.parquet.ParquetFile(local(uri)).iter_batches():
            batch.validate(full=True)
            rows += batch.num_rows
    return rows


def duckdb_rows(table: DeltaTable) -> int:
    files = [local(uri) for uri in table.file_uris()]
    if not files:
        return 0
    query = "select count(*) from read_parquet(?, hive_partitioning = true, union_by_name = true)"
    return duckdb.execute(query, [files]).fetchone()[0]


def check(folder: Path) -> list[str]:
    """What is wrong with a table; empty when nothing is."""
    table = DeltaTable(str(folder))
    problems = []
    stored = stored_rows(table)
    seen = {
        "the log's statistics": logged_rows(table),
        "duckdb": duckdb_rows(table),
        "polars": polars.scan_delta(str(folder)).select(polars.len()).collect().item(),
    }
    problems += [
        f"{engine} counts {rows} rows, the files hold {stored}"
        for engine, rows in seen.items()
        if rows is not None and rows != stored
    ]
    expected = [field.name for field in table.schema().fields]
    found = polars.scan_delta(str(folder)).collect_schema().names()
    if found != expected:
        problems.append(f"polars sees the columns {found}, the log has {expected}")
    return problems


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    lake = Path(sys.argv[1])
    outcome = Outcome()
    for folder in tables(lake):
        try:
            problems = check(folder)
        except Exception as error:  # any engine may refuse in its own way: that is the finding
            problems = [f"cannot be read: {type(error).__name__}: {error}"]
        outcome.hold(str(folder.relative_to(lake)), ["\n".join(problems)] if problems else [])
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
