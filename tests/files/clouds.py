#!/usr/bin/env python3
"""Sources and sinks of files at Azure Blob Storage and Google Cloud Storage, as emulators of them have it.

    python clouds.py --binary PATH [--only azure] [--objects 1100] [--kills 3] [--seed 1] [--keep FOLDER]

What is in the lake must be what the objects hold, each once: over pages of listings, with names of any text, let in by keys of
each kind, after objects came and changed. Who is not let in is told so, without the key. What a sink sends must be at the service
exactly as it is in the lake, once, although its process was killed.

Prints `N passed, M failed` last; exits 1 when anything failed. Says `skipped` for each service whose emulator is not to be had.
Needs the packages duckdb, deltalake and pyarrow.
"""

import gzip
import io
import json
import random
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import TimeoutExpired

HERE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HERE / "harness"))

import duckdb  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from cloud_services import CLOSED, OPEN, PAGE, SERVICES, Service, program  # noqa: E402
from lakes import Folder  # noqa: E402
from project import Outcome, tail  # noqa: E402
from script import parser, timed, workplace  # noqa: E402
from tables import differences, files_of, scan  # noqa: E402

# What addresses, forms, XML and other encodings take to be something else, each in the name of an object.
NAMES = [
    "a b.jsonl", "50%.jsonl", "a%20b.jsonl", "a%2Fb.jsonl", "grün/日本 語.jsonl", "plus+and&equals=.jsonl", "q?u#ery;.jsonl",
    "'quoted' <tag> \"text\".jsonl", "~!$(),@[]{}^|.jsonl",
]
# Refusals are told at once; who keeps trying is told apart by this.
REFUSAL_SECONDS = 15

SOURCES = {
    "events": "path: '{scheme}://{closed}/in/events', connection: by_other_key, include: ['**/*.jsonl'], path_columns: true, on_change: replace",
    "cells": "path: '{scheme}://{closed}/in/cells', connection: by_key, include: ['**/*.csv.gz'], format: csv, on_change: append",
    "tables": "path: '{scheme}://{open}/tables', connection: by_nothing, format: parquet",
}


def lines(ids: range) -> bytes:
    return b"".join(json.dumps({"id": n, "word": f"w{n}"}).encode() + b"\n" for n in ids)


def cells(ids: range) -> bytes:
    return gzip.compress("".join(["id,word\n", *(f'{n},"w, {n}"\n' for n in ids)]).encode())


def parquet(ids: range) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"id": list(ids)}), out, row_group_size=500)
    return out.getvalue()


# Where the objects of each source lie, and what makes one of them of numbers.
PLACES = {"events": (CLOSED, "in/events", lines), "cells": (CLOSED, "in/cells", cells), "tables": (OPEN, "tables", parquet)}


def settings(connections: dict[str, str]) -> str:
    return "\n".join(["name: clouds", "connections:", *(f"  {name}: {text}" for name, text in connections.items()), ""])


def source(service: Service, name: str, text: str) -> str:
    where = text.format(scheme=service.scheme, closed=CLOSED, open=OPEN)
    return f"kind: files\nname: {name}\nfrom: {{{where}}}\nrotate: {{rows: 5000}}\n"


def differing(what: str, expected: dict, found: dict) -> list[str]:
    if expected == found:
        return []
    names = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    one = names[0]
    return [f"{len(names)} of {len(expected)} {what} differ, such as {one}: expected {expected.get(one)}, found {found.get(one)}"]


class Reading:
    """A project that reads from a service, and what it should have read: by source and object, the rows, the first and the last."""

    def __init__(self, service: Service, binary: Path, folder: Path):
        self.service = service
        self.expected: dict[str, dict[str, list]] = {name: {} for name in SOURCES}
        sources = {name: source(service, name, text) for name, text in SOURCES.items()}
        self.lake = Folder(binary, folder, settings(service.connections()), sources)

    def put(self, source: str, objects: dict[str, range]) -> None:
        """Objects of a source with these numbers; `expected` is what is in the lake once they are taken."""
        bucket, prefix, pack = PLACES[source]
        self.service.put_all(bucket, {f"{prefix}/{name}": pack(ids) for name, ids in objects.items()})
        self.expected[source] |= {name: [str(len(ids)), str(ids[0]), str(ids[-1])] for name, ids in objects.items()}

    def ingest(self, *names: str):
        return self.lake.run("ingest", *names, variables=self.service.variables())

    def held(self, done) -> list[str]:
        """What is not as expected after an ingest."""
        if done.returncode:
            return [tail(done.stderr)]
        problems = []
        for name, expected in self.expected.items():
            rows = self.lake.rows(f"select _source_file, count(*), min(id), max(id), count(distinct id) from {name}.{name} group by 1")
            problems += differing(f"objects of {name}", expected, {file: numbers for file, *numbers, _ in rows})
            if [one for one in rows if one[1] != one[4]]:
                problems.append(f"{name}: there are rows twice")
        return problems

    def files(self) -> dict[str, list[str]]:
        return {name: files_of(self.lake.table(name, name)) for name in SOURCES}


def check_reading(outcome: Outcome, service: Service, binary: Path, root: Path, options) -> None:
    reading = Reading(service, binary, root / "reading")
    days = {f"day=2024-01-{number % 28 + 1:02}/{number}.jsonl": range(number * 3, number * 3 + 3) for number in range(options.objects)}
    odd = {f"day=2024-02-01/{name}": range(10_000 + 10 * number, 10_002 + 10 * number) for number, name in enumerate(NAMES)}
    reading.put("events", days | odd)
    reading.put("cells", {"a b%.csv.gz": range(300), "deep/ü.csv.gz": range(300, 500)})
    reading.put("tables", {"a.parquet": range(3000), "deep/b 1.parquet": range(3000, 4000)})
    # Nobody wants these, though they lie there, or beside.
    service.put_all(CLOSED, {"in/events/day=2024-01-15/other.txt": b"no", "in/events/": b"", "in/eventsother/a.jsonl": b"no"})
    outcome.hold("every object is taken", reading.held(reading.ingest()))
    outcome.hold("over more than one page", [] if service.asked["page"] >= len(days | odd) // PAGE > 0 else [str(service.asked)])
    day = reading.lake.rows("select cast(day as varchar), count(*) from events.events where _source_file like 'day=2024-02-01/%' group by 1")
    outcome.hold("folders are columns", [] if day == [["2024-02-01", str(2 * len(NAMES))]] else [str(day)])
    files, asked = reading.files(), service.asked["object"]
    outcome.hold("a second ingest ends well", reading.held(reading.ingest()))
    outcome.hold("and takes nothing", differing("tables", files, reading.files()))
    outcome.hold("nor reads anything", [] if 0 < asked == service.asked["object"] else [f"{asked} objects before, then {service.asked}"])
    check_verify(outcome, reading, "as they were taken", 0)
    check_changes(outcome, reading)
    check_verify(outcome, reading, "one of them changed", 1)
    check_connections(outcome, reading)


def check_changes(outcome: Outcome, reading: Reading) -> None:
    """Objects that come, and objects that change after they were taken: replaced, added, or reported."""
    reading.put("events", {"day=2024-01-01/0.jsonl": range(50_000, 50_007), "day=2024-03-01/new.jsonl": range(60_000, 60_004)})
    reading.put("cells", {"later.csv.gz": range(500, 505)})
    reading.service.put(CLOSED, "in/cells/deep/ü.csv.gz", cells(range(900, 910)))
    reading.expected["cells"]["deep/ü.csv.gz"] = ["210", "300", "909"]
    reading.service.put(OPEN, "tables/a.parquet", parquet(range(7000, 7100)))
    done = reading.ingest()
    outcome.hold("what came is taken, what changed replaced, added or left alone", reading.held(done))
    told = "a.parquet" in done.stderr and "it changed after it was taken" in done.stderr
    outcome.hold("what is left alone is told", [] if told else [tail(done.stderr)])


def check_verify(outcome: Outcome, reading: Reading, what: str, expected: int) -> None:
    done = reading.lake.run("verify", "tables", variables=reading.service.variables())
    good = done.returncode == expected
    outcome.hold(f"objects read once more, {what}", [] if good else [f"ended with {done.returncode}: {tail(done.stdout + done.stderr)}"])


def check_connections(outcome: Outcome, reading: Reading) -> None:
    secrets = list(reading.service.variables().values())
    for arguments, word in ((("connections",), reading.service.endpoint), (("connections", "test"), "by_other_key: ok")):
        done = reading.lake.run(*arguments, variables=reading.service.variables())
        said = done.stdout + done.stderr
        good = done.returncode == 0 and word in said and not any(secret in said for secret in secrets)
        outcome.hold(f"`{' '.join(arguments)}` says what it knows", [] if good else [tail(said)])


def check_refusals(outcome: Outcome, service: Service, binary: Path, root: Path, _) -> None:
    """Who is not let in is told so at once, what to look at, and never the key; and so is who asks for what cannot be listed."""
    refused = service.refused()
    names = {what: f"s{number}" for number, what in enumerate(refused)}
    connections = {names[what]: text for what, (text, _, _) in refused.items()} | {"good": service.connections()["by_key"]}
    places = {name: ("{closed}/in/cells", name) for name in names.values()} | {"nowhere": ("nowhere", "good"), "odd": ("{closed}/odd", "good")}
    sources = {
        name: source(service, name, f"path: '{{scheme}}://{place}', connection: {connection}")
        for name, (place, connection) in places.items()
    }
    lake = Folder(binary, root / "refusals", settings(connections), sources)
    service.put(CLOSED, "odd//name.json", b"{}")
    key = service.variables()["STORE_KEY"]
    for what, (_, told, secret) in refused.items():
        check_refusal(outcome, service, lake, names[what], what, told, secret)
    check_refusal(outcome, service, lake, "nowhere", "a bucket that is not there", "Check `path`", key)
    check_refusal(outcome, service, lake, "odd", "a name that no path has", "Rename the object", key)


def check_refusal(outcome: Outcome, service: Service, lake: Folder, name: str, what: str, told: str, secret: str) -> None:
    try:
        done = lake.run("ingest", name, variables=service.variables(), seconds=REFUSAL_SECONDS)
    except TimeoutExpired:
        return outcome.hold(f"{what} is told", ["it kept trying"])
    said = done.stdout + done.stderr
    outcome.hold(f"{what} is told", [] if done.returncode and told in said else [f"ended with {done.returncode}: {tail(said)}"])
    outcome.hold(f"{what}: the secret is not", ["it is in the words of ingest"] if secret in said else [])
    held = [path for path in (lake.folder / ".headwater").rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    outcome.hold(f"{what}: nor is it stored", [str(path) for path in held])


SINKS = {
    "rows": "path: '%s/rows', partition_by: day",
    "lines": "path: '%s/lines', format: json, compression: none",
}
READERS = {
    "rows": "read_parquet({0}, hive_partitioning = true)",
    "lines": "read_json({0}, format = 'newline_delimited', columns = {{"
             "id: 'BIGINT', word: 'VARCHAR', half: 'DOUBLE', day: 'VARCHAR', tags: 'BIGINT[]'}})",
}
COLUMNS = "select id, word, half, cast(day as varchar) as day, tags from "
PADDING = "'\"\\ü\t," * 40
# Bytes of a file that a sink keeps until it sends them on.
PART = 8 << 20
# Enough for an object of more than that.
MANY_ROWS = 20_000
FEW_ROWS = 1500


class Sending:
    """A project with one table of numbered rows, and sinks at a service that find their keys in the environment."""

    def __init__(self, service: Service, binary: Path, folder: Path):
        self.service, self.count = service, 0
        self.where = f"{service.scheme}://{CLOSED}/out"
        local = "kind: files\nname: s\nfrom: {path: data, settle_seconds: 0}\nrotate: {every: 200ms}\n"
        self.lake = Folder(binary, folder, settings({}).replace("connections:\n", ""), {"s": local})
        (folder / "data").mkdir()
        (folder / "sinks").mkdir()
        for name, to in SINKS.items():
            (folder / "sinks" / f"{name}.yml").write_text(f"kind: files\nname: {name}\ntable: s.s\nto: {{{to % self.where}}}\n")

    def add(self, rows: int) -> list[str]:
        """Rows that nobody has seen, and what went wrong on their way into the lake."""
        numbers = range(self.count, self.count + rows)
        each = (
            {"id": n, "word": f"{n} {PADDING}" if n % 5 else None, "half": n / 2, "day": f"2024-05-{n % 3 + 1:02}", "tags": [n, None]}
            for n in numbers
        )
        (self.lake.folder / "data" / f"{self.count:09}.json").write_text("".join(json.dumps(one) + "\n" for one in each))
        self.count += rows
        done = self.lake.run("ingest")
        return [tail(done.stderr)] if done.returncode else []

    def export(self, fault: str | None = None):
        given = {"HEADWATER_FAULT": f"{fault}=abort"} if fault else {}
        return self.lake.run("export", "--json", variables=self.service.environment() | given)

    def sent(self, rows: int | None = None) -> list[str]:
        """What is wrong with an export that must succeed, and the rows it says that it sent."""
        done = self.export()
        if done.returncode:
            return [tail(done.stderr, 8)]
        found = sum(one["rows"] for one in json.loads(done.stdout))
        return [] if rows in (None, found) else [f"{found} rows instead of {rows}"]

    def held(self) -> list[str]:
        """How the objects differ from the table in the lake, row by row."""
        problems = []
        copies = self.lake.folder / "copies"
        for name, reader in READERS.items():
            shutil.rmtree(copies, ignore_errors=True)
            files = [str(path) for path in self.service.download(CLOSED, f"out/{name}/", copies)]
            with duckdb.connect() as connection:
                lake = COLUMNS + scan(files_of(self.lake.table("s", "s")))
                rows, found = differences(connection, lake, COLUMNS + reader.format(files))
            problems += [f"{name}: {one}" for one in found]
            if rows != self.count:
                problems.append(f"{name}: the lake has {rows} rows instead of {self.count}")
        return problems


def check_writing(outcome: Outcome, service: Service, binary: Path, root: Path, options) -> None:
    sending = Sending(service, binary, root / "writing")
    outcome.hold("rows come", sending.add(MANY_ROWS))
    outcome.hold("an export sends them all", sending.sent(2 * MANY_ROWS))
    outcome.hold("they are there as in the lake", sending.held())
    largest = max(len(service.get(CLOSED, key)) for key in service.keys(CLOSED, "out/lines/lines-"))
    outcome.hold("one object went up in parts", [] if largest > PART else [f"the largest has {largest} bytes"])
    keys = service.keys(CLOSED, "out/")
    outcome.hold("a second export sends nothing", sending.sent(0))
    outcome.hold("and changes no names", [] if service.keys(CLOSED, "out/") == keys else ["there are others"])
    wrong, secret = service.wrong_environment()
    refused = sending.lake.run("export", variables=wrong)
    said = refused.stdout + refused.stderr
    good = refused.returncode and "Give the process the right" in said and secret not in said
    outcome.hold("another key is refused, and not shown", [] if good else [f"ended with {refused.returncode}: {tail(said)}"])
    for point in ("snk.mid_write", "snk.plan_written", "snk.mid_publish", "snk.published_before_mark"):
        outcome.hold(f"{point}: rows come", sending.add(FEW_ROWS))
        died = sending.export(point)
        outcome.hold(f"{point}: the process dies", [] if died.returncode < 0 and point in died.stderr else [tail(died.stderr)])
        outcome.hold(f"{point}: the next export ends well", sending.sent())
        outcome.hold(f"{point}: rows are there once", sending.held())
    check_kills(outcome, sending, options.kills, random.Random(options.seed))
    left = [key for key in service.keys(CLOSED, "out/") if "/_headwater/" in key and not key.endswith("/sent.json")]
    outcome.hold("nothing is left over", left)


def check_kills(outcome: Outcome, sending: Sending, kills: int, dice: random.Random) -> None:
    """The process is killed at any moment of an export, without a word."""
    interrupted = 0
    for number in range(kills):
        outcome.hold(f"kill {number + 1}: rows come", sending.add(FEW_ROWS))
        process = sending.lake.start("export", variables=sending.service.environment())
        time.sleep(dice.uniform(0.05, 0.4))
        interrupted += process.process.poll() is None
        process.kill()
    outcome.hold("exports were interrupted", [] if interrupted else ["each was over before"])
    outcome.hold(f"after {kills} kills an export ends well", sending.sent())
    outcome.hold(f"and rows are there once after {kills} kills", sending.held())


def prove(name: str, options, root: Path) -> Outcome | None:
    """Nothing where there is no emulator to prove it with."""
    outcome, service = Outcome(), None
    command = program(name)
    if command is None:
        print(f"skipped: no emulator of {SERVICES[name].name} to test with", flush=True)
        return None
    try:
        service = SERVICES[name](command, root / f"{name}-service")
        for check in (check_reading, check_refusals, check_writing):
            timed(f"{name}, {check.__name__}", check, outcome, service, options.binary, root / name, options)
    except RuntimeError as failure:
        outcome.hold(f"the proof of {name}", [str(failure)])
    finally:
        if service:
            service.close()
    return outcome


def main() -> int:
    options = parser(__doc__, only="", objects=1100, kills=3, seed=1, keep=None).parse_args()
    chosen = [name for name in SERVICES if options.only in name]
    # Beside each other, because most of what they do is to wait.
    with workplace(options.keep) as root, ThreadPoolExecutor() as pool:
        outcomes = [one for one in pool.map(lambda name: prove(name, options, root), chosen) if one]
    if not outcomes:
        return 0
    outcome = Outcome(sum(one.passed for one in outcomes), [failure for one in outcomes for failure in one.failures])
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
