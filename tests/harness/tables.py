"""Delta tables as engines other than ours see them."""

from collections.abc import Iterable
from pathlib import Path

import duckdb
from deltalake import DeltaTable


def files_of(folder: Path, version: int | None = None) -> list[str]:
    """Data files of a version of a table, the latest when none is named, as another engine reads the log; none for a table
    that is not there."""
    if not (folder / "_delta_log").is_dir():
        return []
    return [uri.removeprefix("file://") for uri in DeltaTable(str(folder), version=version).file_uris()]


def version_of(folder: Path) -> int:
    return DeltaTable(str(folder)).version()


def scan(files: Iterable[str]) -> str:
    """SQL over data files, partition columns included."""
    return f"read_parquet({list(files)!r}, union_by_name = true, hive_partitioning = true)"


def differences(connection: duckdb.DuckDBPyConnection, expected: str, found: str) -> tuple[int, list[str]]:
    """Rows compared, and what differs between two queries. Columns are matched by name; rows are counted, so that
    repetitions show."""
    names = {}
    for label, query in (("expected", expected), ("found", found)):
        connection.execute(f"create or replace temp table {label} as {query}")
        names[label] = [row[0] for row in connection.execute(f"describe {label}").fetchall()]
    if sorted(names["expected"]) != sorted(names["found"]):
        return 0, [f"the columns differ: {sorted(names['expected'])} and {sorted(names['found'])}"]
    columns = ", ".join(f'"{name}"' for name in names["expected"])
    problems = []
    for label, more, less in (("missing", "expected", "found"), ("unexpected", "found", "expected")):
        difference = f"select {columns} from {more} except all select {columns} from {less}"
        count = connection.execute(f"select count(*) from ({difference})").fetchone()[0]
        if count:
            sample = connection.execute(f"select columns(*)::varchar from ({difference}) limit 1").fetchone()
            example = dict(zip(names["expected"], sample))
            problems.append(f"{count} rows {label}, for example {example}")
    return connection.execute("select count(*) from expected").fetchone()[0], problems
