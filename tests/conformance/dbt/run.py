#!/usr/bin/env python3
"""Runs every case through Headwater and compares it with what real dbt was recorded to do.

    tests/conformance/dbt/run.py --binary target/release/headwater [WORD ...]    only cases with one of the words in file/name

Prints what differs, and `N passed, M failed`.
"""

import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from decimal import Decimal

import conformance

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "harness"))

from project import Outcome  # noqa: E402
from script import parser  # noqa: E402


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
        wanted = case.get("tables")
        if wanted == []:
            return {}
        listed = self.headwater("tables", "--json")
        if listed.returncode != 0:
            raise RuntimeError(f"tables: {listed.stderr.strip()}")
        entries = [entry for entry in json.loads(listed.stdout or "[]") if wanted is None or entry["name"] in wanted]
        if not entries:
            return {}
        # All tables by one command, side by side in columns of their own: most of the time of a command is its start.
        places = [(number, column["name"]) for number, entry in enumerate(entries) for column in entry["columns"]]
        selects = []
        for number, entry in enumerate(entries):
            schema, table = entry["name"].split(".", 1)
            columns = [f'{quoted(name) if of == number else "null"} as "{of}.{name}"' for of, name in places]
            selects.append(f'select {number} as "table", {", ".join(columns)} from "{schema}"."{table}"')
        answer = self.headwater("query", " union all ".join(selects), "--format", "json")
        if answer.returncode != 0:
            raise RuntimeError(f"query of {', '.join(entry['name'] for entry in entries)}: {answer.stderr.strip()}")
        rows = json.loads(answer.stdout or "[]")
        found = {}
        for number, entry in enumerate(entries):
            columns = [column["name"] for column in entry["columns"]]
            held = [[cell(row, number, column) for column in entry["columns"]] for row in rows if row["table"] == number]
            found[entry["name"]] = conformance.table(columns, held, case.get("ignore_columns", []))
        return found


def cell(row, number, column):
    """Decimals are written as text, so that no digit is lost; the recordings have numbers."""
    value = row.get(f"{number}.{column['name']}")
    return Decimal(value) if value is not None and column["data_type"].lower().startswith("decimal") else value


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


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
    words = parser(__doc__, jobs=2)
    words.add_argument("--brief", action="store_true", help="one line for each case that fails")
    words.add_argument("only", nargs="*")
    options = words.parse_args()
    recorded = {path.stem: json.loads(path.read_text(), parse_float=Decimal) for path in conformance.EXPECTED.glob("*.json")}
    outcome = Outcome()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        waiting = []
        for file, case in conformance.load_cases(options.only):
            expected = recorded.get(file, {}).get(case["name"])
            if expected is None:
                outcome.hold(f"{file}/{case['name']}", ["nothing is recorded; run record.py"])
                continue
            waiting.append((f"{file}/{case['name']}", pool.submit(run_case, options.binary, case, expected)))
        for name, future in waiting:
            text = "\n".join(["", *future.result()])
            outcome.hold(name, [text.splitlines()[1] if options.brief else text] if text else [])
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
