#!/usr/bin/env python3
"""What a source's file says about the way into its table: new fields, declared columns, expressions, masks; and reading again
what was set aside.

    python landing.py --binary PATH

Each case is a project of its own whose records are files. The last cases kill the process in the middle of a replay. Standard
library only.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))
from project import Outcome
from script import parser, workplace

KEY = "of the house"


class Site:
    """A project with one source of files."""

    def __init__(self, binary: Path, folder: Path, more: str, form: str = "json"):
        self.binary, self.folder = binary.resolve(), folder
        (folder / "data").mkdir(parents=True)
        (folder / "sources").mkdir()
        (folder / "headwater.yml").write_text("name: site\n")
        self.say(more, form)

    def say(self, more: str, form: str = "json") -> None:
        """Writes the source's file anew."""
        source = f"kind: files\nname: site\ntable: visits\nfrom: {{path: data, format: {form}, settle_seconds: 0}}\n"
        (self.folder / "sources" / "site.yml").write_text(source + more)

    def file(self, name: str, *records: object) -> None:
        lines = [one if isinstance(one, str) else json.dumps(one) for one in records]
        (self.folder / "data" / name).write_text("".join(line + "\n" for line in lines))

    def run(self, *arguments: str, fault: str | None = None) -> subprocess.CompletedProcess[str]:
        variables = {key: value for key, value in os.environ.items() if not key.startswith("HEADWATER_")}
        variables |= {"MASK_KEY": KEY} | ({"HEADWATER_FAULT": fault} if fault else {})
        command = [self.binary, "-C", self.folder, "--no-color", *arguments]
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=variables
        )

    def ingest(self, fault: str | None = None) -> str:
        done = self.run("ingest", fault=fault)
        return "" if done.returncode == 0 else done.stderr

    def rows(self, sql: str) -> list[dict]:
        done = self.run("query", sql, "--format", "json")
        return json.loads(done.stdout) if done.returncode == 0 else [{"error": done.stderr}]

    def visits(self, columns: str = "*") -> list[dict]:
        wanted = self.rows(f"select {columns} from site.visits order by _source_file, _line")
        return [{key: value for key, value in row.items() if not key.startswith("_s") and key not in UNSHOWN} for row in wanted]

    def set_aside(self) -> list[tuple[int, str]]:
        rows = self.rows("select position, reason from site.visits_quarantine order by position")
        return [(int(row.get("position", -1)), row.get("reason", str(row))) for row in rows]

    def replay(self, *arguments: str, fault: str | None = None) -> dict:
        done = self.run("quarantine", "replay", "site.visits", "--json", *arguments, fault=fault)
        return json.loads(done.stdout) if done.returncode == 0 else {"error": done.stderr}


UNSHOWN = {"_line", "_ingested_at"}


def same(expected: object, found: object) -> list[str]:
    return [] if expected == found else [f"expected {expected}, found {found}"]


def new_fields(site, outcome: Outcome) -> None:
    def check(policy: str, rows: list[dict], aside: list[int], says: str = "") -> None:
        one = site(f"schema: {{new_fields: {policy}}}\n")
        one.file("1.json", {"id": 1})
        outcome.hold(f"{policy}: the first records make the columns", same("", one.ingest()))
        one.file("2.json", {"id": 2, "place": "Bern"}, {"id": 3})
        said = one.ingest()
        problems = same(rows, one.visits()) + ([] if says in said and bool(says) == bool(said) else [said])
        found = [position for position, _ in one.set_aside()] if aside else []
        outcome.hold(f"{policy}: a field without a column", problems + same(aside, found))

    check("evolve", [{"id": 1, "place": None}, {"id": 2, "place": "Bern"}, {"id": 3, "place": None}], [])
    check("freeze", [{"id": 1}, {"id": 3}], [1])
    overflow = [{"id": 1, "_overflow": None}, {"id": 2, "_overflow": '{"place":"Bern"}'}, {"id": 3, "_overflow": None}]
    check("discard", overflow, [])
    check("fail", [{"id": 1}], [], "the records have a field `place`")


def declared(site, outcome: Outcome) -> None:
    one = site('schema: {columns: {amount: "decimal(8, 2)", at: timestamp, id: bigint}}\n')
    one.file("1.json", {"id": 1, "amount": 12.3, "at": "2024-05-01T10:00:00Z"}, {"id": 2, "amount": 0.001})
    problems = same("", one.ingest()) + same([{"amount": "12.30"}], one.visits("cast(amount as varchar) as amount"))
    reasons = [reason for _, reason in one.set_aside()]
    kept_out = len(reasons) == 1 and "no decimal(8, 2)" in reasons[0]
    outcome.hold("declared columns have their types from the start", problems + ([] if kept_out else [str(reasons)]))
    one.say('schema: {columns: {amount: "decimal(8, 2)", at: timestamp, id: bigint, place: varchar}}\n')
    one.file("2.json", {"id": 3})
    problems = same("", one.ingest()) + same([{"place": None}] * 2, one.visits("place"))
    outcome.hold("a column that is declared later is added", problems)
    wrong = site("schema: {columns: {id: bigfoot}}\n")
    wrong.file("1.json", {"id": 1})
    said = wrong.ingest()
    outcome.hold("a type that is none is told", [] if "schema.columns" in said and "bigfoot" in said else [said])
    delimited = site("schema: {new_fields: discard}\n", "csv")
    delimited.file("1.csv", "id,name", "1,a")
    delimited.ingest()
    delimited.file("2.csv", "id,name,zip", "2,b,08001")
    problems = same("", delimited.ingest())
    expected = [{"id": 1, "name": "a", "_overflow": None}, {"id": 2, "name": "b", "_overflow": '{"zip":"08001"}'}]
    outcome.hold("delimited rows keep what has no column as well", problems + same(expected, delimited.visits()))


def expressions(site, outcome: Outcome) -> None:
    one = site('rows: {select: ["id", "upper(place) AS place", "10 / n AS share"], where: "id > 1"}\n')
    one.file("1.json", *[{"id": number, "place": "bern", "n": number - 3} for number in range(1, 6)])
    problems = same("", one.ingest())
    problems += same([{"id": 2, "place": "BERN", "share": -10}, {"id": 4, "place": "BERN", "share": 10},
                      {"id": 5, "place": "BERN", "share": 5}], one.visits())
    aside = one.set_aside()
    problems += [] if len(aside) == 1 and aside[0][0] == 3 and "divide by zero" in aside[0][1].lower() else [str(aside)]
    outcome.hold("rows are chosen, computed, filtered; one that fails is set aside", problems)
    # The second file has numbers where the first has; its records lack a field that an expression names.
    one.file("2.json", {"id": 6, "n": 1})
    problems = same("", one.ingest()) + same([{"id": 6, "place": None, "share": 10}], one.visits()[-1:])
    outcome.hold("the records' columns are known again after a restart", problems)
    one.say("rows: {select: [id]}\n")
    one.file("3.json", {"id": 7, "other": 1})
    problems = same("", one.ingest()) + same([{"id": 7, "place": None, "share": None}], one.visits()[-1:])
    outcome.hold("less may be chosen later", problems)
    for text, says in [
        ("select: [\"count(*) AS n\"]", "aggregates"),
        ("select: [\"random() AS n\"]", "`random` gives another result"),
        ("select: [idd]", "Did you mean `id`"),
        ("where: \"id in (select id from records)\"", "more than one row"),
    ]:
        wrong = site(f"rows: {{{text}}}\n")
        wrong.file("1.json", {"id": 1})
        said = wrong.ingest()
        outcome.hold(f"refused: {text}", [] if says in said else [said])


def masks(site, outcome: Outcome) -> None:
    rules = "{email: hash, phone: redact, card: {keep_last: 4}, id: hash}"
    one = site(f'rows: {{exclude: [secret], mask: {rules}, mask_key: "${{MASK_KEY}}"}}\n')
    person = {"id": 7, "email": "a@b.ch", "phone": "079", "card": "4111111111111234", "secret": "x", "name": "A"}
    one.file("1.json", person, person | {"email": None}, person)
    problems = same("", one.ingest())
    rows = one.visits()
    problems += same(["***"] * 3, [row.get("phone") for row in rows])
    problems += same(["************1234"] * 3, [row.get("card") for row in rows])
    problems += same([True] * 3, ["secret" not in row for row in rows])
    hashes = [row.get("email") for row in rows]
    problems += same((True, None, 64), (hashes[0] == hashes[2], hashes[1], len(hashes[0] or "")))
    everything = b"".join(path.read_bytes() for path in (one.folder / ".headwater").rglob("*") if path.is_file())
    problems += [f"`{text}` is in the lake" for text in ("a@b.ch", "41111111", KEY) if text.encode() in everything]
    outcome.hold("masked values do not get into the lake", problems)
    checked = site("rows: {mask: {email: hash}}\n").run("check")
    problems = [] if checked.returncode == 1 and "without a key" in checked.stdout + checked.stderr else [str(checked)]
    outcome.hold("a hash without a key is refused by check", problems)


def replays(site, outcome: Outcome) -> None:
    for name, fault in [("", None), (" that was killed", "qr.rows_committed_before_quarantine=abort")]:
        one = site("schema: {new_fields: freeze}\n")
        one.file("1.json", {"id": 1})
        one.ingest()
        one.file("2.json", {"id": 2, "place": "Bern"}, "{nonsense", {"id": 3, "place": "Chur"})
        one.ingest()
        outcome.hold("records were set aside", same([1, 2, 3], [position for position, _ in one.set_aside()]))
        one.say("")
        told = one.replay(fault=fault)
        if fault:
            rows = {row["id"] for row in one.visits()}
            outcome.hold("the kill was between the two commits", same({1, 2, 3}, rows) + same(3, len(one.set_aside())))
            told = one.replay()
            expected = {"table": "site.visits", "taken": 0, "left_out": 0, "remaining": 1, "cut_short": 0}
        else:
            expected = {"table": "site.visits", "taken": 2, "left_out": 0, "remaining": 1, "cut_short": 0}
        problems = same(expected, told)
        visits = [{"id": 1, "place": None}, {"id": 2, "place": "Bern"}, {"id": 3, "place": "Chur"}]
        problems += same(visits, one.visits()) + same([2], [position for position, _ in one.set_aside()])
        outcome.hold(f"what fits by now is taken by a replay{name}", problems)
        outcome.hold(f"and only once{name}", same(0, one.replay().get("taken")) + same(visits, one.visits()))
        one.file("3.json", {"id": 4})
        outcome.hold(f"the source goes on{name}", same("", one.ingest()) + same(4, len(one.visits())))
    half = site("schema: {new_fields: freeze}\n")
    half.file("1.json", {"id": 1})
    half.ingest()
    half.file("2.json", {"id": 2, "place": "Bern"}, "{nonsense")
    died = half.ingest("dl.rejected_committed_before_rows=abort")
    outcome.hold("a table's commit is cut off", same([1, 2], [position for position, _ in half.set_aside()]) + same(True, bool(died)))
    half.say("")
    outcome.hold("what its source will yield again is not replayed", same(0, half.replay().get("taken")) + same([], half.set_aside()))
    problems = same("", half.ingest()) + same([{"id": 1, "place": None}, {"id": 2, "place": "Bern"}], half.visits())
    outcome.hold("and is there once", problems + same([2], [position for position, _ in half.set_aside()]))
    many = site("schema: {new_fields: freeze}\n")
    many.file("1.json", {"id": 0})
    many.ingest()
    many.file("2.json", *({"id": number, "place": "Bern"} for number in range(1, 25_001)))
    many.ingest()
    many.say("")
    told = many.replay()
    outcome.hold("a replay of several rounds takes all", same((25_000, 0), (told.get("taken"), told.get("remaining"))))
    found = many.rows("select count(*) as n, count(distinct id) as ids from site.visits")
    outcome.hold("each once", same([{"n": 25_001, "ids": 25_001}], found) + same([], many.set_aside()))
    delimited = site("schema: {columns: {id: bigint}}\n", "csv")
    delimited.file("1.csv", "id,name", "1,a", "x,b")
    delimited.ingest()
    delimited.file("2.csv", "name,id", "c,3")
    delimited.ingest()
    delimited.say('rows: {where: "id <> 9"}\n', "csv")
    told = delimited.replay()
    outcome.hold("what still does not fit stays", same((0, 1), (told.get("taken"), told.get("remaining"))))
    (delimited.folder / "data" / "1.csv").write_text("id,name\n1,a\n")
    shown = delimited.run("quarantine", "show", "site.visits", "--format", "json")
    records = [row["record"] for row in json.loads(shown.stdout or "[]")]
    outcome.hold("show prints what was set aside", same(["x,b"], records))
    listed = json.loads(delimited.run("quarantine", "list", "--json").stdout or "[]")
    outcome.hold("list counts it", same([("site.visits", 1)], [(table["of"], table["total"]) for table in listed]))
    frozen = site("schema: {new_fields: freeze}\n", "csv")
    frozen.file("1.csv", "id", "1")
    frozen.ingest()
    frozen.file("2.csv", "id,name", "2,b")
    frozen.ingest()
    frozen.say("", "csv")
    problems = same(1, frozen.replay().get("taken")) + same([{"id": 1, "name": None}, {"id": 2, "name": "b"}], frozen.visits())
    outcome.hold("rows of delimited files are read by the header of their file", problems)
    nothing = frozen.run("quarantine", "replay", "site.nothing")
    outcome.hold("a table without a quarantine is told", [] if "was set aside" in nothing.stderr else [nothing.stderr])


def verifies(site, outcome: Outcome) -> None:
    one = site('rows: {select: [id, "id * 2 AS twice"], where: "id <> 3", mask: {id: redact}}\n')
    one.file("1.json", {"id": 1}, "{nonsense", {"id": 3})
    one.file("2.json", {"id": 4}, {"id": 5})
    one.ingest()

    def check(what: str, expected: dict[str, str | None]) -> None:
        done = one.run("verify", "site", "--json")
        parts = json.loads(done.stdout)[0]["parts"] if done.stdout else [{"part": done.stderr, "difference": None}]
        problems = same(expected, {part["part"]: part["difference"] for part in parts})
        outcome.hold(what, problems + same(int(any(expected.values())), done.returncode))

    check("a table is told to be its source", {"1.json": None, "2.json": None})
    before = one.run("tables", "--json").stdout
    outcome.hold("and nothing was written", same(before, one.run("tables", "--json").stdout))
    one.file("2.json", {"id": 4}, {"id": 6})
    check("a changed value is found", {"1.json": None, "2.json": "rows differ in their values"})
    one.file("2.json", {"id": 4})
    check("a row too many is found", {"1.json": None, "2.json": "rows in the lake that the source lacks: 1"})
    one.file("2.json", {"id": 4}, {"id": 5})
    one.file("3.json", {"id": 7})
    missing = "rows missing from the lake: 1"
    check("a missing file is found", {"1.json": None, "2.json": None, "3.json": missing})
    (one.folder / "data" / "3.json").unlink()
    one.file("1.json", {"id": 1}, {"id": 3})
    more = "quarantined records in the lake that the source lacks: 1"
    check("quarantined records count", {"1.json": more, "2.json": None})
    unknown = one.run("verify", "sit")
    outcome.hold("an unknown source is told", [] if "Did you mean `site`" in unknown.stderr else [unknown.stderr])


def main() -> int:
    options = parser(__doc__).parse_args()
    outcome = Outcome()
    with workplace() as folder:
        count = iter(range(1_000))

        def site(more: str, form: str = "json") -> Site:
            return Site(options.binary, folder / str(next(count)), more, form)

        for case in (new_fields, declared, expressions, masks, replays, verifies):
            case(site, outcome)
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
