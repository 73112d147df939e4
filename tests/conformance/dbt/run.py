#!/usr/bin/env python3
"""Runs every case through Headwater and compares it with what real dbt was recorded to do.

    tests/conformance/dbt/run.py --binary target/release/headwater [WORD ...]    only cases with one of the words in file/name

Prints what differs, and `N passed, M failed`.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from decimal import Decimal

import conformance


class Project:
    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("DBT_")}
        self.environment["HEADWATER_LOG"] = "error"
        self.environment["HOME"] = str(folder.parent)

    def headwater(self, *words):
        return subprocess.run(
            [str(self.binary), "-C", str(self.folder), "--no-color", *words],
            capture_output=True, text=True, env=self.environment, timeout=120,
        )

    def tables(self, case):
        listed = self.headwater("tables", "--json")
        if listed.returncode != 0:
            raise RuntimeError(f"tables: {listed.stderr.strip()}")
        wanted = case.get("tables")
        found = {}
        for entry in json.loads(listed.stdout or "[]"):
            name = entry["name"]
            if wanted is not None and name not in wanted:
                continue
            schema, table = name.split(".", 1)
            answer = self.headwater("query", f'select * from "{schema}"."{table}"', "--format", "json")
            if answer.returncode != 0:
                raise RuntimeError(f"query of {name}: {answer.stderr.strip()}")
            rows = json.loads(answer.stdout or "[]")
            columns = [column["name"] for column in entry["columns"]]
            # Decimals are written as text, so that no digit is lost; the recordings have numbers.
            decimals = [column["name"] for column in entry["columns"] if column["data_type"].lower().startswith("decimal")]
            for row in rows:
                row.update({name: Decimal(row[name]) for name in decimals if row.get(name) is not None})
            found[name] = conformance.table(columns, [[row.get(column) for column in columns] for row in rows], case.get("ignore_columns", []))
        return found


def run_case(binary, case, expected):
    """What differs, as lines."""
    found = []
    ignored = set(case.get("differs", {}).get("aspects", []))
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary) / "shop"
        folder.mkdir()
        conformance.lay_out(case, folder)
        project = Project(binary, folder)
        for number, (words, step) in enumerate(zip(conformance.steps_of(case, folder), expected["steps"], strict=True)):
            results = folder / ".headwater" / "target" / "run_results.json"
            before = results.stat().st_mtime_ns if results.exists() else None
            done = project.headwater(*words)
            said = done.stderr.strip()[-1500:]
            at = f"step {number + 1} ({' '.join(words)})"
            if "exit" not in ignored and done.returncode != step["exit"]:
                found.append(f"{at}: exit code {done.returncode}, dbt's is {step['exit']}\n{said}")
            if "statuses" not in ignored and words[0] in conformance.RUNS:
                fresh = results.exists() and results.stat().st_mtime_ns != before
                statuses = conformance.statuses(results) if fresh else {}
                found += differences(f"{at}: status of", statuses, step["statuses"], said)
            if "listing" in step and "listing" not in ignored:
                listing = conformance.listing(done.stdout.splitlines())
                if listing != conformance.listing(step["listing"]):
                    found.append(f"{at}: lists {listing}, dbt lists {step['listing']}")
        if "tables" not in ignored:
            try:
                tables = project.tables(case)
                recorded = {
                    name: conformance.table(table["columns"], table["rows"], []) for name, table in expected["tables"].items()
                }
                found += differences("table", tables, recorded, "")
            except RuntimeError as error:
                found.append(str(error))
    return found


def differences(what, ours, theirs, said):
    found = []
    for key in sorted({*ours, *theirs}):
        if ours.get(key) != theirs.get(key):
            found.append(f"{what} {key}\n      ours:  {json.dumps(ours.get(key), default=str)}\n      dbt's: {json.dumps(theirs.get(key), default=str)}")
    if found and said:
        found.append(said)
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True, type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--brief", action="store_true", help="one line for each case that fails")
    parser.add_argument("only", nargs="*")
    arguments = parser.parse_args()
    binary = arguments.binary.resolve()
    recorded = {path.stem: json.loads(path.read_text(), parse_float=Decimal) for path in conformance.EXPECTED.glob("*.json")}
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        waiting = []
        for file, case in conformance.load_cases(arguments.only):
            expected = recorded.get(file, {}).get(case["name"])
            if expected is None:
                print(f"FAILED {file}/{case['name']}: nothing is recorded; run record.py")
                failed += 1
                continue
            waiting.append((f"{file}/{case['name']}", pool.submit(run_case, binary, case, expected)))
        for name, future in waiting:
            found = future.result()
            if not found:
                passed += 1
                continue
            failed += 1
            print(f"FAILED {name}")
            for line in found[:1] if arguments.brief else found:
                print("   ", line.splitlines()[0] if arguments.brief else line.replace("\n", "\n    "))
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
