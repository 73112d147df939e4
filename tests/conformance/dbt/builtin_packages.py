#!/usr/bin/env python3
"""The packages that are built in and the functions of dbt: every macro as a model with the rows it must give, every generic test
with data that passes and data that fails.

    tests/conformance/dbt/builtin_packages.py --binary target/release/headwater [WORD ...]
        --from crates/transform/src/builtin    tests these files, as packages of the project, instead of what is built in
        --adapter duckdb                       the macros of that adapter
        --dbt .../bin/dbt                      real dbt with DuckDB instead of Headwater; needs --from, and a Python with duckdb

`packages/<package>.yml` holds the cases:

    seeds: {name: text}, column_types: {seed: {column: type}}
    models: {name: {sql: ..., rows: [[...]]}}       rows in any order; without them the model is there for tests.
                                                    `with: {adapter: rows}` where an adapter means something else by the same macro
                                                    (nothing when it has no such thing)
    tests: [[relation or relation.column, test, arguments, pass | fail | fail <failures>, adapters it is left out with]]
    errors: [{sql: ..., says: text}]                a model that must be refused with these words; `built_in` when only ours says so
    operations: [{run: name, says: text}]           run-operation, and what it says

Prints what differs, and `N passed, M failed`. A public macro no case names is a failure.
"""

import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import conformance
import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "harness"))

from project import Outcome  # noqa: E402

CASES = conformance.HERE / "packages"
BUILTIN = conformance.ROOT / "crates" / "transform" / "src" / "builtin"
PROJECT = {
    "name": "shop",
    "version": "1.0",
    "config-version": 2,
    "profile": "shop",
    "models": {"+materialized": "table"},
    "vars": {"dbt_date:time_zone": "America/New_York"},
    "flags": {"require_generic_test_arguments_property": True},
}


class Headwater:
    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.results = folder / ".headwater" / "target" / "run_results.json"
        self.loud = ["--verbose"]

    def run(self, *words):
        done = subprocess.run([self.binary, "-C", self.folder, "--no-color", *words], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def rows(self, model):
        code, said = self.run("query", f'select * from "{model}"', "--format", "json")
        if code != 0:
            return None, said
        return [list(row.values()) for row in json.JSONDecoder().raw_decode(said[said.index("["):])[0]], said


class RealDbt:
    def __init__(self, dbt, folder):
        self.dbt, self.folder = dbt, folder
        self.results = folder / "target" / "run_results.json"
        self.loud = []

    def run(self, *words):
        words = [*words, "--project-dir", ".", "--profiles-dir", ".", "--no-use-colors"]
        done = subprocess.run([self.dbt, *words], capture_output=True, text=True, cwd=self.folder)
        return done.returncode, done.stdout + done.stderr

    def rows(self, model):
        import duckdb

        with duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True) as connection:
            try:
                return connection.execute(f'select * from main."{model}"').fetchall(), ""
            except duckdb.Error as error:
                return None, str(error)


def macros_of(package):
    """Files of a built-in package: a folder, or one file."""
    folder = BUILTIN / package
    return sorted(folder.glob("*.sql")) if folder.is_dir() else [BUILTIN / f"{package}.sql"]


def public_macros(package):
    """Names of macros and tests that projects may call: no part of another, and not the variant of one adapter."""
    found = []
    for path in macros_of(package):
        found += re.findall(r"{%-?\s*(?:macro|test)\s+(\w+)\(", path.read_text())
    return {name for name in found if not name.startswith("_") and "__" not in name}


def lay_out(folder, arguments, files):
    """A project with these files, and the packages where they are to be tested from files."""
    project = {"dbt_project.yml": json.dumps(PROJECT), **files}
    if arguments.dbt or arguments.adapter:
        project["profiles.yml"] = conformance.PROFILES.replace("duckdb, path", f"{arguments.adapter or 'duckdb'}, path")
    conformance.write(project, folder)
    for package in ["dbt", *(path.stem for path in CASES.glob("dbt_*.yml"))] if arguments.folder else []:
        if package == "dbt" and arguments.dbt:
            continue
        target = folder / "dbt_packages" / package
        (target / "macros").mkdir(parents=True)
        (target / "dbt_project.yml").write_text(f"name: {package}\nversion: '1.0'\nconfig-version: 2\n")
        for path in macros_of(package):
            shutil.copy(path, target / "macros")
        dialects = BUILTIN / "dialects.sql"
        if package == "dbt" and dialects.exists():
            shutil.copy(dialects, target / "macros")


def files_of(package, cases):
    """The project that holds all cases of a package."""
    seeds, columns = cases.get("seeds", {}), cases.get("column_types", {})
    files = {f"seeds/{name}.csv": text for name, text in seeds.items()}
    files.update({f"models/{name}.sql": case["sql"] for name, case in cases.get("models", {}).items()})
    described = {"seeds": {}, "models": {}}
    for number, (place, test, given, *_) in enumerate(cases.get("tests", [])):
        relation, _, column = place.partition(".")
        kind = "seeds" if relation in seeds else "models"
        entry = described[kind].setdefault(relation, {"name": relation, "data_tests": [], "columns": {}})
        name = test if "." in test or package == "dbt" else f"{package}.{test}"
        written = {name: {"name": f"test_{number}", **({"arguments": given} if given else {})}}
        if column:
            entry["columns"].setdefault(column, {"name": column, "data_tests": []})["data_tests"].append(written)
        else:
            entry["data_tests"].append(written)
    for seed, types in columns.items():
        entry = described["seeds"].setdefault(seed, {"name": seed, "data_tests": [], "columns": {}})
        entry["config"] = {"column_types": types}
    for kind, entries in described.items():
        listed = [{**entry, "columns": list(entry["columns"].values())} for entry in entries.values()]
        files[f"{'models' if kind == 'models' else 'seeds'}/properties.yml"] = json.dumps({"version": 2, kind: listed})
    files.update(cases.get("files", {}))
    return files


class Count(Outcome):
    def check(self, fine, what, why=""):
        self.hold(what, [] if fine else ["\n" + str(why).strip()])


def build(tool, cases):
    """Seeds, then models: those that fail are left out of a second run, for nothing of a failed run is published."""
    code, said = tool.run("seed")
    if code != 0:
        return said, {}
    code, said = tool.run("run")
    broken = {node.rsplit(".", 1)[1]: status for node, status in conformance.statuses(tool.results).items() if status != "success"}
    failing = [name for name, status in broken.items() if status == "error" and name in cases.get("models", {})]
    if code != 0 and failing and len(failing) < len(cases["models"]):
        tool.run("run", "--exclude", *failing)
    return (said if code != 0 else ""), broken


def message_of(tool, said, name):
    lines = said.splitlines()
    at = next((index for index, line in enumerate(lines) if re.search(rf"\b{re.escape(name)}\b", line) and re.search("rror|FAIL", line)), None)
    return "\n".join(lines[at:at + 8]) if at is not None else said[-600:]


def check_models(tool, cases, count, package, adapter):
    said, _ = build(tool, cases)
    if said and not cases.get("models"):
        count.check(False, f"{package}: seeds", said[-1500:])
    for name, case in cases.get("models", {}).items():
        wanted = case.get("with", {}).get(adapter, case.get("rows"))
        if not wanted:
            continue
        rows, why = tool.rows(name)
        if rows is None:
            count.check(False, f"{package}.{name}", message_of(tool, said, name) or why)
            continue
        rows = [[conformance.plain(value) for value in row] for row in rows]
        expected = [[conformance.plain(value) for value in row] for row in wanted]
        count.check(sorted(rows, key=str) == sorted(expected, key=str), f"{package}.{name}", f"is       {rows}\nexpected {expected}")


def check_tests(tool, cases, count, package, adapter):
    if not cases.get("tests"):
        return
    _, said = tool.run("test")
    results = conformance.statuses(tool.results)
    for number, (place, test, given, expected, *left_out) in enumerate(cases["tests"]):
        if left_out and adapter in left_out[0]:
            continue
        status = next((status for node, status in results.items() if f".test_{number}." in node or node.endswith(f".test_{number}")), "absent")
        fine = status == expected or (expected == "fail" and status.startswith("fail"))
        count.check(fine, f"{package}: {place} {test} {given}: {status}, expected {expected}", message_of(tool, said, f"test_{number}") if not fine and not status.startswith(("fail", "pass")) else "")


def check_refusals(make, arguments, cases, count, package):
    for case in cases.get("errors", []):
        if case.get("built_in") and arguments.folder:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary) / "shop"
            folder.mkdir()
            lay_out(folder, arguments, {"models/refused.sql": case["sql"], **case.get("files", {})})
            code, said = make(folder).run("compile")
            count.check(code != 0 and case["says"] in " ".join(said.split()), f"{package}: {case['sql']} must be refused with: {case['says']}", f"exit code {code}\n{said[-800:]}")


def check_operations(tool, cases, count, package):
    for case in cases.get("operations", []):
        code, said = tool.run("run-operation", case["run"], *case.get("with", []), *tool.loud)
        wanted = [case["says"]] if isinstance(case["says"], str) else case["says"]
        missing = [text for text in wanted if text not in said]
        count.check(code == case.get("exit", 0) and not missing, f"{package}: run-operation {case['run']}: does not say {missing}", f"exit code {code}\n{said[-800:]}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", type=pathlib.Path)
    parser.add_argument("--dbt", type=pathlib.Path)
    parser.add_argument("--from", dest="folder", type=pathlib.Path)
    parser.add_argument("--adapter")
    parser.add_argument("only", nargs="*", help="packages")
    arguments = parser.parse_args()
    if arguments.folder and arguments.folder.resolve() != BUILTIN:
        parser.error(f"--from takes {BUILTIN}: that is where the names of the macros are looked up")

    def make(folder):
        if arguments.dbt:
            return RealDbt(arguments.dbt.absolute(), folder)
        return Headwater(arguments.binary.resolve(), folder)

    count = Count()
    for path in sorted(CASES.glob("*.yml")):
        package = path.stem
        if (arguments.only and package not in arguments.only) or (arguments.dbt and package == "dbt"):
            continue
        cases = yaml.safe_load(path.read_text())
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary) / "shop"
            folder.mkdir()
            lay_out(folder, arguments, files_of(package, cases))
            tool = make(folder)
            check_models(tool, cases, count, package, arguments.adapter)
            check_tests(tool, cases, count, package, arguments.adapter)
            check_operations(tool, cases, count, package)
        check_refusals(make, arguments, cases, count, package)
        text = path.read_text()
        unnamed = sorted(name for name in public_macros(package) if not re.search(rf"\b{name}\b", text))
        if package != "dbt":
            count.check(not unnamed, f"{package}: no case names {', '.join(unnamed)}")
    return count.finish()


if __name__ == "__main__":
    sys.exit(main())
