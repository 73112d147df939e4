#!/usr/bin/env python3
"""Sources that are files: read in place by a dbt project, whatever the format, and built again when a file comes.

    tests/external/sources.py --binary target/release/headwater

Prints what differs, and `N passed, M failed`. Needs duckdb, to write Parquet.
"""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

from project import Outcome  # noqa: E402
from script import parser, workplace  # noqa: E402

ROWS = [(1, "a", "007", "2024-01-01"), (2, "b", "008", "2024-01-02"), (3, None, "009", "2024-01-03")]
COLUMNS = ["id", "kind", "code", "day"]
DECLARED = "[{name: id, data_type: bigint}, {name: kind, data_type: varchar}, {name: code, data_type: varchar}, {name: day, data_type: date}]"
EXPECTED = [{"id": 1, "kind": "a", "code": "007", "day": "2024-01-01"}, {"id": 2, "kind": "b", "code": "008", "day": "2024-01-02"}, {"id": 3, "kind": None, "code": "009", "day": "2024-01-03"}]

# Name of the source's table, and what its properties say besides its columns.
SOURCES = {
    "named_csv": "external: {location: 'files/named.csv'}",
    "packed_csv": "external: {location: 'gs://shop/packed/*', options: {format: csv, skip_leading_rows: 1}}",
    "nameless_csv": "external: {location: '@raw.stage/nameless', file_format: \"(type = csv field_delimiter = '|' skip_header = 0)\"}",
    "found_nameless": "external: {location: 'files/found.csv'}",
    "lines": "external: {location: 'files/lines.json.gz', using: json}",
    "parquet": "external: {location: 'files/parquet/', using: parquet}",
    "by_meta": "meta: {external_location: 'files/{name}.parquet'}",
    "by_call": "meta: {external_location: \"read_csv('files/named.csv', header = true)\"}",
}


def csv(rows, header=True, delimiter=","):
    lines = [delimiter.join(COLUMNS)] if header else []
    return "\n".join(lines + [delimiter.join("" if value is None else str(value) for value in row) for row in rows]) + "\n"


def documents(rows):
    return "".join(json.dumps({key: value for key, value in zip(COLUMNS, row) if value is not None}) + "\n" for row in rows)


def parquet(path: Path, rows) -> None:
    values = ", ".join("(" + ", ".join("null" if value is None else repr(value) for value in row) + ")" for row in rows)
    duckdb.sql(f"copy (select id, kind, code, cast(day as date) as day from (values {values}) v({', '.join(COLUMNS)})) to '{path}' (format parquet)")


class Shop:
    def __init__(self, binary: Path, folder: Path):
        self.binary, self.folder = binary.resolve(), folder

    def write(self, path: str, content: str | bytes) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        command = [self.binary, "-C", self.folder, "--no-color", *arguments]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    def rows(self, sql: str) -> list[dict]:
        done = self.run("query", sql, "--format", "json")
        if done.returncode:
            raise RuntimeError(done.stderr)
        return json.loads(done.stdout)


def lay_out(shop: Shop) -> None:
    shop.write("dbt_project.yml", "name: shop\nprofile: shop\nmodels: {shop: {+materialized: table}}\n")
    shop.write("headwater.yml", "name: shop\nlocations:\n  gs://shop: mapped\n  '@raw.stage/': files/stage\n")
    sources = "version: 2\nsources:\n- name: raw\n  tables:\n"
    for name, said in SOURCES.items():
        sources += f"  - name: {name}\n    {said}\n    columns: {DECLARED}\n"
        shop.write(f"models/{name}_model.sql", f"select * from {{{{ source('raw', '{name}') }}}}\n")
    sources += "  - name: by_day\n    external: {location: 'files/days/', using: parquet, partitions: [{name: on_day, data_type: date}]}\n"
    sources += "  - name: found_days\n    external: {location: 'files/days/', using: parquet}\n"
    sources += "  - name: undeclared\n    external: {location: 'files/named.csv'}\n"
    for name in ("by_day", "found_days", "undeclared"):
        shop.write(f"models/{name}_model.sql", f"select * from {{{{ source('raw', '{name}') }}}}\n")
    shop.write("models/reading_view.sql", "{{ config(materialized='view') }}\nselect kind, count(*) as n from {{ source('raw', 'named_csv') }} group by kind\n")
    shop.write("models/sources.yml", sources)
    shop.write("files/named.csv", csv(ROWS))
    shop.write("files/found.csv", csv(ROWS, header=False))
    shop.write("mapped/packed/one.csv.gz", gzip.compress(csv(ROWS[:2]).encode()))
    shop.write("mapped/packed/two.csv.gz", gzip.compress(csv(ROWS[2:]).encode()))
    shop.write("files/stage/nameless/one.csv", csv(ROWS, header=False, delimiter="|"))
    shop.write("files/lines.json.gz", gzip.compress(documents(ROWS).encode()))
    shop.write("files/parquet/none", "")
    parquet(shop.folder / "files/parquet/one.parquet", ROWS[:1])
    parquet(shop.folder / "files/parquet/two.parquet", ROWS[1:])
    parquet(shop.folder / "files/by_meta.parquet", ROWS)
    for day, rows in (("2024-01-01", ROWS[:1]), ("2024-01-02", ROWS[1:])):
        (shop.folder / f"files/days/on_day={day}").mkdir(parents=True)
        parquet(shop.folder / f"files/days/on_day={day}/part.parquet", rows)


def difference(expected, found) -> list[str]:
    return [] if found == expected else [f"expected {expected}, found {found}"]


def check_formats(outcome: Outcome, shop: Shop) -> None:
    done = shop.run("build")
    outcome.hold("build", [] if done.returncode == 0 else [done.stderr])
    for name in SOURCES:
        outcome.hold(name, difference(EXPECTED, shop.rows(f"select * from {name}_model order by id")))
    days = [{"id": 1, "on_day": "2024-01-01"}, {"id": 2, "on_day": "2024-01-02"}, {"id": 3, "on_day": "2024-01-02"}]
    for name in ("by_day", "found_days"):
        outcome.hold(name, difference(days, shop.rows(f"select id, on_day from {name}_model order by id")))
    types = json.loads(shop.run("tables", "main.by_day_model", "--json").stdout)["columns"]
    outcome.hold("a folder's declared type", difference("DATE", {one["name"]: one["data_type"] for one in types}["on_day"]))
    inferred = shop.rows("select code, day from undeclared_model order by id limit 1")
    outcome.hold("types are inferred where none is declared", difference([{"code": 7, "day": "2024-01-01"}], inferred))


def check_changes(outcome: Outcome, shop: Shop) -> None:
    again = shop.run("build").stderr
    outcome.hold("nothing came, nothing is built", [] if "NO-OP=12 " in again and " OK created" not in again else [again])
    shop.write("mapped/packed/three.csv.gz", gzip.compress(csv([(4, "d", "010", "2024-01-04")]).encode()))
    done = shop.run("build")
    outcome.hold("a new file is built", difference([{"n": 4}], shop.rows("select count(*) as n from packed_csv_model")) + ([] if done.returncode == 0 else [done.stderr]))
    outcome.hold("a view reads what is there now", difference([{"n": 3}], shop.rows("select count(*) as n from reading_view")))
    shop.write("files/named.csv", csv([*ROWS, (5, "e", "011", "2024-01-05")]))
    outcome.hold("a view reads the new file", difference([{"n": 4}], shop.rows("select count(*) as n from reading_view")))
    shop.write("elsewhere/packed/one.csv", csv(ROWS[:1]))
    done = shop.run("build", "--select", "packed_csv_model", "--map-location", f"gs://shop={shop.folder}/elsewhere")
    outcome.hold("a location is mapped by the command", difference([{"n": 1}], shop.rows("select count(*) as n from packed_csv_model")) + ([] if done.returncode == 0 else [done.stderr]))


def check_refusals(outcome: Outcome, shop: Shop) -> None:
    def refuses(what: str, table: str, *expected: str) -> None:
        shop.write("models/wrong.yml", f"sources:\n- name: wrong\n  tables:\n  - name: t\n{table}")
        shop.write("models/wrong.sql", "select * from {{ source('wrong', 't') }}\n")
        done = shop.run("build", "--select", "wrong")
        missing = [word for word in expected if word not in done.stderr]
        outcome.hold(what, [f"{missing} not in: {done.stderr}"] if missing or not done.returncode else [])

    refuses("no files", "    external: {location: 'files/none/*.csv'}\n", "there are no files at", "--map-location")
    refuses("a misspelt column", "    external: {location: 'files/named.csv'}\n    columns: [{name: kinds, data_type: varchar}, {name: id, data_type: int}]\n", "have no column `kinds`", "Did you mean `kind`?")
    refuses("a place that is not reached", "    external: {location: 'gs://other/x.csv'}\n", "gs://other/x.csv cannot be reached", "--map-location")
    refuses("a format that is not read", "    external: {location: 'files/x', using: iceberg}\n", "files of the format iceberg are not read in place")
    refuses("a value that is not of its type", "    external: {location: 'files/named.csv'}\n    columns: [{name: kind, data_type: int}]\n", "'a'", "Int32")


def main() -> int:
    options = parser(__doc__).parse_args()
    outcome = Outcome()
    with workplace() as folder:
        shop = Shop(options.binary, folder)
        lay_out(shop)
        for check in (check_formats, check_changes, check_refusals):
            check(outcome, shop)
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
