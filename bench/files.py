#!/usr/bin/env python3
"""How fast CSV and JSON lines come into Delta, and how fast other engines write the same files as Parquet.

    files.py --binary target/release/headwater [--rows 5000000] [--runs 3]

Every engine is a process of its own that reads the same files and writes all columns; seconds of the whole process and its peak
memory, the best of `--runs`. Headwater checks every record, keeps file and line of each and commits with its position; the
others infer, read and write. Puts its table into the notes of bench/RESULTS.md, in place of the one before. Refuses to measure
beside other work: the load of the last minute must be below 1.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "harness"))

from lakes import Folder  # noqa: E402

RESULTS = ROOT / "bench" / "RESULTS.md"
HEAD = "### Files\n"
FILES = 8

PEERS = {
    "DuckDB": {
        "csv": "import duckdb; duckdb.sql(\"copy (from read_csv('{files}')) to '{out}' (format parquet, compression zstd)\")",
        "json": "import duckdb; duckdb.sql(\"copy (from read_json('{files}', format='newline_delimited')) to '{out}' (format parquet, compression zstd)\")",
    },
    "Polars": {
        "csv": "import polars as pl; pl.scan_csv('{files}').sink_parquet('{out}', compression='zstd')",
        "json": "import polars as pl; pl.scan_ndjson('{files}').sink_parquet('{out}', compression='zstd')",
    },
}


def fill(folder: Path, rows: int) -> dict[str, int]:
    """The same rows as CSV and as JSON lines; bytes of each."""
    chance = random.Random(1)
    words = ["".join(chance.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(8)) for _ in range(1000)]
    for kind in ("csv", "json"):
        (folder / kind).mkdir(parents=True)
    for number in range(FILES):
        with (folder / "csv" / f"{number}.csv").open("w") as csv, (folder / "json" / f"{number}.json").open("w") as lines:
            csv.write("id,user,page,amount,paid,note\n")
            for row in range(number * rows // FILES, (number + 1) * rows // FILES):
                user, page, amount = row * 7919 % 99991, words[row % 1000], row % 100_000 / 4
                note = f"{words[row * 31 % 1000]} {words[row * 17 % 1000]}, {page}"
                csv.write(f'{row},{user},/{page}/{row % 311},{amount},{"true" if row % 3 else "false"},"{note}"\n')
                lines.write(
                    f'{{"id": {row}, "user": {user}, "page": "/{page}/{row % 311}", "amount": {amount}, '
                    f'"paid": {"true" if row % 3 else "false"}, "note": "{note}"}}\n'
                )
    return {kind: sum(file.stat().st_size for file in (folder / kind).iterdir()) for kind in ("csv", "json")}


def measured(command: list[str]) -> tuple[float, int]:
    """Seconds and peak memory in bytes of a process that must succeed."""
    with tempfile.TemporaryFile("w+") as words:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=words, stderr=words)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            words.seek(0)
            raise SystemExit(f"{command[:4]} failed: {words.read()[-2000:]}")
        return wall, usage.ru_maxrss * 1024


def headwater(binary: Path, work: Path, data: Path, kind: str, rows: int) -> tuple[float, int]:
    source = f"kind: files\nname: bench\nfrom: {{path: '{data / kind}', format: {kind}, settle_seconds: 0}}\n"
    lake = Folder(binary, work, "name: bench\n", {"bench": source})
    found = measured(lake.command("ingest"))
    held = lake.rows("select count(*), count(distinct id) from bench.bench")
    if held != [[str(rows), str(rows)]]:
        raise SystemExit(f"the lake has {held}, not {rows} rows")
    return found


def peer(name: str, kind: str, data: Path, out: Path) -> tuple[float, int]:
    code = PEERS[name][kind].format(files=data / kind / f"*.{kind}", folder=data / kind, out=out)
    return measured([sys.executable, "-c", code])


def table(results: dict[tuple[str, str], tuple[float, int]], sizes: dict[str, int], rows: int) -> list[str]:
    lines = [
        HEAD,
        f"{rows:,} rows of six columns in {FILES} files, {sizes['csv'] / 1e6:.0f} MB as CSV and {sizes['json'] / 1e6:.0f} MB as JSON lines:",
        "",
        "| engine | CSV | peak | JSON lines | peak |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in ("Headwater", *PEERS):
        cells = []
        for kind in ("csv", "json"):
            seconds, peak = results[name, kind]
            ours = results["Headwater", kind][0]
            ratio = "" if name == "Headwater" else f" ({seconds / ours:.2f} x)"
            cells.append(f"{seconds:.2f} s, {rows / seconds / 1e6:.2f} million rows/s{ratio} | {peak / 1e6:.0f} MB")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--print", action="store_true", help="print the table instead of writing it")
    arguments = parser.parse_args()
    if os.getloadavg()[0] >= 1:
        raise SystemExit(f"the machine is busy: its load is {os.getloadavg()[0]:.2f}")
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as temporary:
        folder = Path(temporary)
        sizes = fill(folder / "data", arguments.rows)
        results = {}
        for run in range(arguments.runs):
            for kind in ("csv", "json"):
                found = headwater(arguments.binary, folder / f"lake-{kind}-{run}", folder / "data", kind, arguments.rows)
                results["Headwater", kind] = min(found, results.get(("Headwater", kind), found))
                for name in PEERS:
                    found = peer(name, kind, folder / "data", folder / f"{name}-{kind}-{run}")
                    results[name, kind] = min(found, results.get((name, kind), found))
        lines = table(results, sizes, arguments.rows)
    print("\n".join(lines))
    print(json.dumps({f"{name} {kind}": found for (name, kind), found in results.items()}))
    if not arguments.print:
        text = RESULTS.read_text()
        before, _, rest = text.partition(HEAD)
        after = rest.partition("\n### ")[2] if HEAD in text else ""
        RESULTS.write_text(before.rstrip("\n") + "\n\n" + "\n".join(lines) + "\n" + (f"\n### {after}" if after else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
