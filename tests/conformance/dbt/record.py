#!/usr/bin/env python3
"""Runs every case through real dbt and writes what it made of it to `expected/`.

    python3 -m venv /tmp/dbt && /tmp/dbt/bin/pip install 'dbt-core~=1.10.0' 'dbt-duckdb~=1.10.0'
    /tmp/dbt/bin/python tests/conformance/dbt/record.py [WORD ...]      only cases with one of the words in file/name
"""

import json
import os
import pathlib
import sys
import tempfile

import conformance


def in_child(work):
    """Runs `work` in a forked child and returns its exit code: dbt keeps state in its process, and takes seconds to import."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 3
        try:
            code = work()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def invoke(folder, words, output):
    def work():
        os.chdir(folder)
        log = os.open(str(output), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        from dbt.cli.main import dbtRunner

        quiet = ["--quiet"] if words[0] == "ls" else []
        result = dbtRunner().invoke([*quiet, "--no-use-colors", "--no-send-anonymous-usage-stats", *words, "--project-dir", ".", "--profiles-dir", "."])
        sys.stdout.flush()
        if result.success:
            return 0
        if result.exception is not None:
            print(result.exception)
            sys.stdout.flush()
            return 2
        return 1

    return in_child(work)


def tables(folder, case):
    target = folder / "tables.json"

    def work():
        import duckdb

        found = {}
        database = folder / "warehouse.duckdb"
        if database.exists():
            connection = duckdb.connect(str(database), read_only=True)
            names = connection.execute(
                "select table_schema || '.' || table_name from information_schema.tables where table_catalog = 'warehouse'"
            ).fetchall()
            wanted = case.get("tables")
            for (name,) in sorted(names):
                if wanted is not None and name not in wanted:
                    continue
                schema, table = name.split(".", 1)
                result = connection.execute(f'select * from "{schema}"."{table}"')
                columns = [column[0] for column in result.description]
                found[name] = conformance.table(columns, result.fetchall(), case.get("ignore_columns", []))
        target.write_text(json.dumps(found, default=float))
        return 0

    if in_child(work) != 0:
        raise SystemExit(f"the tables of {case['name']} could not be read")
    return json.loads(target.read_text())


def record(case):
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary) / "shop"
        folder.mkdir()
        conformance.lay_out(case, folder)
        steps = []
        for words in conformance.steps_of(case, folder):
            results = folder / "target" / "run_results.json"
            previous = results.read_text() if results.exists() else None
            output = folder / "output.txt"
            code = invoke(folder, words, output)
            fresh = results.exists() and results.read_text() != previous
            step = {"exit": code, "statuses": conformance.statuses(results) if fresh and words[0] in conformance.RUNS else {}}
            if words[0] == "ls":
                step["listing"] = sorted(line for line in output.read_text().splitlines() if line.strip())
            if code == 2:
                step["error"] = output.read_text().strip().replace(str(folder), "")[-600:]
            steps.append(step)
            if os.environ.get("SHOW"):
                print(output.read_text())
        return {"steps": steps, "tables": tables(folder, case)}


def main():
    only = sys.argv[1:]
    import dbt.cli.main  # noqa: F401 imported once, before the forks
    import duckdb  # noqa: F401

    recorded = {}
    for file, case in conformance.load_cases(only):
        recorded.setdefault(file, {})[case["name"]] = record(case)
        codes = [step["exit"] for step in recorded[file][case["name"]]["steps"]]
        print(f"{file}/{case['name']}: {codes}", flush=True)
    conformance.EXPECTED.mkdir(exist_ok=True)
    for file, cases in recorded.items():
        path = conformance.EXPECTED / f"{file}.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        if not only:
            known = {}
        known.update(cases)
        path.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
