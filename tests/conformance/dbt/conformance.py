"""What `record.py` and `run.py` share: cases as data, and results in a form that two engines can agree on.

A file below `cases/` holds a list of cases. A case is a small dbt project and what is done with it:

    - name: view_reads_seed           unique within its file
      files: {path: text, ...}        the project; dbt_project.yml and profiles.yml are added when absent
      steps:                          commands as one types them after `dbt`, in order
        - build
        - {write: {path: text}, delete: [path], run: "run --select a+"}      without `target` dbt parses anew
      tables: [main.a]                compared at the end; everything in the warehouse when absent; [] for nothing
      ignore_columns: [loaded_at]     columns whose values no two runs share
      differs: {heading: what, aspects: [tables]}
                                      an intended difference: the heading in docs/dbt-differences.md that gives the reason, and
                                      what is therefore not compared: exit, statuses, listing, tables

`expected/<file>.json` holds what real dbt made of each: for every step its exit code, the status of every node it ran (with
the failures of tests), and the lines `ls` printed; at the end the rows of the tables.
"""

import json
import math
import pathlib
import re
import shutil
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import yaml

HERE = pathlib.Path(__file__).resolve().parent
CASES = HERE / "cases"
EXPECTED = HERE / "expected"
ROOT = HERE.parents[2]
DIFFERENCES = ROOT / "docs" / "dbt-differences.md"
# Commands whose run_results.json is compared.
RUNS = {"build", "run", "test", "seed", "snapshot", "retry", "run-operation"}
ASPECTS = {"exit", "statuses", "listing", "tables"}

PROJECT = "name: shop\nversion: '1.0'\nconfig-version: 2\nprofile: shop\n"
PROFILES = """
shop:
  target: dev
  outputs:
    dev: {type: duckdb, path: warehouse.duckdb, schema: main, threads: 1}
"""


def load_cases(only=None):
    """(file stem, case) of every case, in order; `only` are words of which one must be in `file/name`."""
    for path in sorted(CASES.glob("*.yml")):
        seen = set()
        for case in yaml.safe_load(path.read_text()):
            name = case["name"]
            if name in seen:
                raise SystemExit(f"{path.name}: two cases are called {name}")
            seen.add(name)
            check_difference(path, case)
            if not only or any(word in f"{path.stem}/{name}" for word in only):
                yield path.stem, case


def check_difference(path, case):
    differs = case.get("differs")
    if not differs:
        return
    unknown = set(differs["aspects"]) - ASPECTS
    if unknown:
        raise SystemExit(f"{path.name}: {case['name']}: unknown aspects {unknown}")
    if f"## {differs['heading']}\n" not in DIFFERENCES.read_text():
        raise SystemExit(f"{path.name}: {case['name']}: no heading '{differs['heading']}' in {DIFFERENCES}")


def lay_out(case, folder):
    files = {"dbt_project.yml": PROJECT, "profiles.yml": PROFILES, **case["files"]}
    write(files, folder)


def write(files, folder):
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode())


def steps_of(case, folder):
    """Yields each command's words after its changes to the folder are made."""
    for step in case["steps"]:
        if isinstance(step, str):
            step = {"run": step}
        write(step.get("write", {}), folder)
        for path in step.get("delete", []):
            target = folder / path
            shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        yield words(step["run"])


def words(command):
    import shlex

    return shlex.split(command)


def statuses(path):
    """What run_results.json says: node to status, with a test's failures behind it."""
    if not path.exists():
        return {}
    found = {}
    for result in json.loads(path.read_text())["results"]:
        status = result["status"]
        failures = result.get("failures")
        found[result["unique_id"]] = f"{status} {failures}" if status in ("fail", "warn") and failures is not None else status
    return dict(sorted(found.items()))


def listing(lines):
    """What `ls` printed, in any order; JSON whatever its spacing."""
    def shown(line):
        return json.dumps(json.loads(line), sort_keys=True) if line.startswith("{") else line

    return sorted(shown(line) for line in lines if line.strip())


TIMESTAMP = re.compile(r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?(Z|\+00:?00)?$")


def plain(value):
    """A value as both sides write it."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, Decimal, float)):
        if isinstance(value, float):
            if math.isnan(value) or math.isinf(value):
                return str(value)
            value = Decimal(repr(round(value, 9)))
        number = Decimal(value)
        return int(number) if number == number.to_integral_value() else number.normalize()
    if isinstance(value, datetime):
        return plain(value.replace(tzinfo=None).isoformat(sep=" "))
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    text = str(value)
    match = TIMESTAMP.match(text)
    if match:
        day, clock, fraction, _ = match.groups()
        fraction = (fraction or "").rstrip("0").rstrip(".")
        return f"{day} {clock}{fraction}"
    return text


def table(columns, rows, ignored):
    """A table independent of the order of its rows."""
    kept = [index for index, column in enumerate(columns) if column not in ignored]
    shown = [[plain(row[index]) for index in kept] for row in rows]
    return {"columns": [columns[index] for index in kept], "rows": sorted(shown, key=lambda row: json.dumps(row, sort_keys=True, default=str))}
