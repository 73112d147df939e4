"""Rows on their way out of the lake: into PostgreSQL, files, buckets, web services and topics, with faults on every way.

    sinks.py --binary target/release/headwater [--kills 20] [--only postgres] [--seed 1]

The truth is the lake's own table, which is read as the destination is: every row must be there once, and at a web service at
least once and once by key. Prints `N passed, M failed` last.
"""

import json
import random
import re
import sys
import threading
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "postgres"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "s3"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kafka"))

import debezium_topics  # noqa: E402
import duckdb  # noqa: E402
from broker import jars  # noqa: E402
from cluster import Cluster, binaries  # noqa: E402
from faulty_store import BUCKET, KEYS, Faults, faulty_store  # noqa: E402
from lakes import Folder  # noqa: E402
from project import Outcome, tail  # noqa: E402
from script import cargo_test, parser, run_checks, workplace  # noqa: E402
from receiver import Receiver  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "kind: files\nname: s\nfrom: {path: data, settle_seconds: 0, poll_seconds: 1}\nrotate: {every: 200ms}\n"
PADDING = "'\"\\ü\t," * 60
ROWS = 2500


class Sending:
    """A project with one table of numbered rows, and its sinks."""

    def __init__(self, binary: Path, folder: Path, settings: str, sinks: dict[str, str]):
        self.lake = Folder(binary, folder, f"name: p\n{settings}", {"s": SOURCE})
        self.count = 0
        (folder / "data").mkdir()
        (folder / "sinks").mkdir()
        for name, text in sinks.items():
            self.sink(name, text)

    def sink(self, name: str, text: str) -> None:
        (self.lake.folder / "sinks" / f"{name}.yml").write_text(f"name: {name}\n{text}")

    def add(self, rows: int = ROWS) -> None:
        """Rows that nobody has seen: numbers, text that breaks quoting, parts, and what is missing."""
        numbers = range(self.count, self.count + rows)
        lines = [
            json.dumps({
                "id": n, "word": f"{n} {PADDING}" if n % 5 else None, "half": n / 2, "day": f"2024-05-{n % 3 + 1:02}",
                "tags": [n, None], "at": f"2024-05-01T00:00:{n % 60:02}.{n % 1000:03}Z",
            })
            for n in numbers
        ]
        staged = self.lake.folder / "staged.json"
        staged.write_text("\n".join(lines) + "\n")
        staged.rename(self.lake.folder / "data" / f"{self.count:09}.json")
        self.count += rows

    def ingest(self) -> None:
        done = self.lake.run("ingest")
        if done.returncode:
            raise RuntimeError(f"ingest: {tail(done.stderr)}")

    def export(self, *names: str, fault: str | None = None, variables: dict[str, str] | None = None):
        given = (variables or {}) | ({"HEADWATER_FAULT": fault} if fault else {})
        return self.lake.run("export", *names, "--json", variables=given)


class Test:
    def __init__(self, outcome: Outcome, binary: Path, root: Path, kills: int, seed: int):
        self.outcome, self.binary, self.root, self.kills = outcome, binary, root, kills
        self.chance = random.Random(seed)

    def equal(self, what: str, found, expected) -> None:
        self.outcome.hold(what, [] if found == expected else [f"{str(found)[:600]} instead of {str(expected)[:300]}"])

    def sending(self, name: str, settings: str, sinks: dict[str, str]) -> Sending:
        return Sending(self.binary, self.root / name, settings, sinks)

    def says(self, what: str, done, *expected: str) -> None:
        """A command that failed, with these words."""
        said = done.stdout + done.stderr
        missing = [word for word in expected if word not in said]
        self.outcome.hold(what, [] if done.returncode and not missing else [f"ended with {done.returncode}, without {missing}: {said[-700:]}"])

    def sent(self, what: str, done, rows: int | None) -> None:
        """A command that succeeded and sent so many rows."""
        if done.returncode:
            return self.outcome.hold(what, [tail(done.stderr, 8)])
        found = sum(one["rows"] for one in json.loads(done.stdout))
        self.outcome.hold(what, [] if rows in (None, found) else [f"{found} rows instead of {rows}"])

    def cargo(self, what: str, tests: str, variables: dict[str, str], count: int) -> None:
        done = cargo_test(tests, variables)
        held = sum(map(int, re.findall(r"(\d+) passed", done.stdout)))
        good = done.returncode == 0 and "skipped:" not in done.stdout and held == count
        self.outcome.hold(what, [] if good else [f"{held} of {count}: {done.stdout[-2000:]}{done.stderr[-1000:]}"])

    def faults(self, sending: Sending, points: list[str], holds, actions=("abort", "error")) -> None:
        """Dies and fails at each point, and holds every row once in the end."""
        for point in points:
            for action in actions:
                sending.add()
                sending.ingest()
                done = sending.export(fault=f"{point}={action}")
                reached = f"fault point {point} reached" in done.stderr
                self.outcome.hold(f"{point} {action}, reached", [] if reached else [tail(done.stderr)])
                self.sent(f"{point} {action}, the next export ends well", sending.export(), None)
                self.equal(f"{point} {action}, rows", holds(), once(sending))
        self.sent("and a last one sends nothing", sending.export(), 0)

    def random_kills(self, what: str, sending: Sending, holds) -> None:
        """A process that is killed at any moment while rows come and go."""
        for _ in range(self.kills):
            sending.add(self.chance.randrange(1, ROWS))
            process = sending.lake.start("up", "--port", "0")
            if not process.until("Listening on", 60):
                self.outcome.hold(what, [process.said()[-600:]])
                return process.kill()
            time.sleep(self.chance.random() * 1.5)
            process.kill()
        sending.ingest()
        self.sent(f"{what}: the last export ends well", sending.export(), None)
        self.equal(f"{what}: rows after {self.kills} kills", holds(), once(sending))


def once(sending: Sending) -> tuple[int, int, int]:
    """Rows, different rows, and the sum of their numbers."""
    return sending.count, sending.count, sum(range(sending.count))


# --- PostgreSQL ---------------------------------------------------------------------------------------------------------


def database(cluster: Cluster, user: str = "postgres") -> str:
    return (f"connections:\n  db: {{kind: postgres, host: 127.0.0.1, port: {cluster.port}, database: postgres, user: {user}}}\n"
            "  web: {kind: http, url: 'http://127.0.0.1:1'}\n")


def in_table(cluster: Cluster, table: str):
    def holds():
        rows = cluster.sql(f"select count(*), count(distinct id), sum(id) from {table}")
        return tuple(int(value or 0) for value in rows[0])
    return holds


SENT_COLUMNS = "columns: [id, word, half, day, tags, at]\n"


def check_postgres(test: Test) -> None:
    with Cluster() as cluster:
        test.cargo("the sink against a real server, test by test", "postgres::sink::tests", {"HEADWATER_TEST_POSTGRES": str(cluster.port)}, 6)
        for check in (postgres_faults, postgres_modes, postgres_marks, postgres_refusals, postgres_kills):
            check(test, cluster)


def postgres_faults(test: Test, cluster: Cluster) -> None:
    sending = test.sending("pg-append", database(cluster), {"out": "kind: postgres\ntable: s.s\nto: {connection: db, table: rows}\n"})
    sending.add()
    sending.ingest()
    test.sent("a first export sends all", sending.export(), ROWS)
    test.sent("a second sends nothing", sending.export(), 0)
    test.equal("every row is there once", in_table(cluster, "rows")(), once(sending))
    points = ["snk.mid_write", "snk.before_commit", "snk.after_commit"]
    test.faults(sending, points, in_table(cluster, "rows"))
    lake = sending.lake.rows("select id, word, half, cast(at as varchar), tags[1] from s.s order by id")
    there = cluster.sql("select id, replace(word, E'\\t', '\\t'), half, at, tags->>0 from rows order by id")
    same = [(row[0], row[1].replace("\t", "\\t"), float(row[2]), row[4]) for row in lake] == [(row[0], row[1], float(row[2]), row[4]) for row in there]
    test.equal("values are those of the lake", same, True)
    marks = cluster.sql("select sink, sends, position > 0, rows from headwater_sinks where sink = 'p/out'")
    test.equal("the watermark is a row of its own", [row[:3] for row in marks], [["p/out", "added rows of s.s", "t"]])
    cluster.stop("immediate")
    sending.add(10)
    sending.ingest()
    away = sending.export()
    cluster.start()
    test.says("a server that is away is told", away, "connect")
    test.sent("and gets its rows when it is back", sending.export(), 10)


def postgres_modes(test: Test, cluster: Cluster) -> None:
    sending = test.sending("pg-modes", database(cluster), {
        "keyed": f"kind: postgres\ntable: s.s\n{SENT_COLUMNS}to: {{connection: db, table: app.keyed, key: id}}\n",
        "whole": "kind: postgres\ntable: main.model\nsend: all\nto: {connection: db, table: app.whole, watermarks: app.marks}\n",
    })
    cluster.sql(
        "create schema app; create domain day as date;"
        "create table app.keyed (id integer primary key, word varchar(500), half float8, day day, tags json, at timestamp, more text default 'kept');"
    )
    models = sending.lake.folder / "models"
    models.mkdir()
    model = models / "model.sql"
    model.write_text("{{ config(materialized='table') }} select id, day, half from {{ source('s', 's') }} where id < 1000")
    sending.add()
    sending.ingest()
    sending.lake.run("build")
    test.sent("two sinks in one go", sending.export(), ROWS + 1000)
    test.equal("a table that was there is filled by name", cluster.sql("select count(*), min(day), max(day), max(more), pg_typeof(max(at)) from app.keyed"),
               [[str(ROWS), "2024-05-01", "2024-05-03", "kept", "timestamp without time zone"]])
    cluster.sql("update app.keyed set word = 'lost', more = 'mine'; delete from app.headwater_sinks")
    test.sent("without its watermark everything comes again", sending.export("keyed"), ROWS)
    test.equal("and takes the place of what has its key", cluster.sql("select count(*), count(*) filter (where word = 'lost'), max(more) from app.keyed"), [[str(ROWS), "0", "mine"]])
    seen = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add(cluster.value("select count(*) from app.whole"))

    reading = threading.Thread(target=read)
    reading.start()
    for most in (500, 2000, 1):
        model.write_text(f"{{{{ config(materialized='table') }}}} select id, day, half from {{{{ source('s', 's') }}}} where id < {most}")
        sending.lake.run("build")
        test.sent(f"a table of {most} rows takes the place of the one before", sending.export("whole"), most)
    test.sent("and is not sent again as it is", sending.export(), 0)
    stop.set()
    reading.join()
    test.equal("readers never see a table half filled", seen <= {"1000", "500", "2000", "1"}, True)
    test.equal("the last set is there", cluster.value("select count(*) from app.whole"), "1")
    tested = sending.lake.run("connections", "test", "db")
    lines = ["sink keyed: \"app\".\"keyed\" is there and can be written", "sink whole: \"app\".\"marks\" is there and can be written"]
    test.equal("a test of the connection covers its sinks", [line in tested.stdout for line in lines], [True, True])


def postgres_marks(test: Test, cluster: Cluster) -> None:
    """Somebody deletes how far a sink is while it runs: it alone stops, and says what to do."""
    sending = test.sending("pg-marks", database(cluster), {
        "marked": "kind: postgres\ntable: s.s\ncolumns: [id]\nevery: 100ms\nto: {connection: db, table: marked, watermarks: marks}\n",
        "beside": "kind: files\ntable: s.s\ncolumns: [id]\nevery: 100ms\nto: {path: out, format: csv}\n",
    })
    sending.add(10)
    process = sending.lake.start("up", "--port", "0")

    def reached(what: str, expected: dict) -> None:
        end, found = time.monotonic() + 60, {}
        while time.monotonic() < end and found != expected:
            found = {name: (sink["state"], sink["rows_sent"]) for name, sink in status_of(sending).items()}
        test.equal(what, found, expected)

    try:
        test.outcome.hold("a process sends", [] if process.until("Listening on", 60) else [process.said()[-600:]])
        reached("both sinks have all rows", {"marked": ("caught up", 10), "beside": ("caught up", 10)})
        cluster.sql("delete from marks")
        sending.add(5)
        reached("the one without its row stands still, the other goes on", {"marked": ("failed", 10), "beside": ("caught up", 15)})
        test.says("it names the row and what to do", sending.lake.run("export", "status"), "deleted the row of sink `p/marked`", '"marks"', "Start `headwater up` again")
    finally:
        process.kill()
    test.sent("the next start sends everything", sending.export("marked"), 15)


def postgres_refusals(test: Test, cluster: Cluster) -> None:
    sending = test.sending("pg-no", database(cluster, "guest"), {})
    sending.add(20)
    sending.ingest()
    cluster.sql("create role guest login; create schema locked; create table locked.t (id bigint, half integer); create table nokey (id bigint);"
                "create schema open; grant all on schema open to guest; grant usage on schema locked to guest;"
                "create table open.strict (id bigint, half integer); grant all on open.strict, nokey to guest; grant create on schema public to guest;")
    cases = {
        "a table in a schema that is closed": ("to: {connection: db, table: locked.new}", ["schema locked", "Grant the role"]),
        "a table without the right to it": ("columns: [id]\nto: {connection: db, table: locked.t, watermarks: open.marks}", ["permission denied", "Grant the role"]),
        "a table that is not to be made": ("to: {connection: db, table: open.none, create: false}", ["open.none does not exist"]),
        "a type that would lose something": ("columns: [id, half]\nto: {connection: db, table: open.strict}", ["`half`", "integer", "double precision"]),
        "columns that are missing": ("to: {connection: db, table: nokey, watermarks: open.marks}", ["lacks", "`word` text", "evolve: true"]),
        "a key without an index": ("columns: [id]\nto: {connection: db, table: nokey, key: id, watermarks: open.marks}", ["42P10", "CREATE UNIQUE INDEX"]),
        "a schema that is not there": ("to: {connection: db, table: nowhere.t}", ["nowhere"]),
    }
    for number, (what, (to, expected)) in enumerate(cases.items()):
        sending.sink(f"no{number}", f"kind: postgres\ntable: s.s\n{to}\n")
        test.says(f"{what} is told", sending.export(f"no{number}"), *expected)
    done = sending.export()
    test.equal("one sink that fails does not keep the others", len(json.loads(done.stdout)), len(cases))
    for path in (sending.lake.folder / "sinks").glob("*.yml"):
        path.unlink()
    wrong = {
        "kind: postgres\ntable: s.s\nto: {connection: none, table: t}\n": "there is no connection `none`",
        "kind: postgres\ntable: s.s\nto: {connection: web, table: t}\n": "is of kind http",
        "kind: postgres\ntable: s.s\nto: {connection: db, table: t, mode: upsert}\n": "needs a key",
        "kind: postgres\ntable: s.s\nto: {connection: db, table: t, mod: upsert}\n": "Did you mean `mode`",
        "kind: postgres\ntable: nothing\nto: {connection: db, table: t}\n": "is no table",
        "kind: postgres\ntable: s.s\ncolumns: half\nto: {connection: db, table: t, key: id}\n": "column `id` is needed and not sent",
        "kind: files\ntable: s.s\nto: {path: out, layout: file}\n": "rows cannot be added to one file",
        "kind: http\ntable: s.s\nto: {connection: web, path: rows}\n": "does not begin with a slash",
    }
    for text, told in wrong.items():
        sending.sink("wrong", text)
        test.says(f"check says: {told}", sending.lake.run("check"), told)


def postgres_kills(test: Test, cluster: Cluster) -> None:
    sinks = {
        "append": "kind: postgres\ntable: s.s\nto: {connection: db, table: killed_append}\nevery: 100ms\n",
        "keyed": "kind: postgres\ntable: s.s\nto: {connection: db, table: killed_keyed, key: id}\nevery: 100ms\n",
    }
    sending = test.sending("pg-kills", database(cluster), sinks)
    append, keyed = in_table(cluster, "killed_append"), in_table(cluster, "killed_keyed")
    test.random_kills("killed beside PostgreSQL", sending, append)
    test.equal("and the sink by key", keyed(), once(sending))


# --- files --------------------------------------------------------------------------------------------------------------

READERS = {"parquet": "read_parquet({0}, hive_partitioning = true)", "csv": "read_csv({0}, hive_partitioning = true)",
           "jsonl": "read_json({0}, format = 'newline_delimited', hive_partitioning = true)"}


def in_files(folder: Path):
    def holds():
        files = [str(path) for path in sorted(folder.rglob("*")) if path.is_file() and "_headwater" not in path.parts]
        if not files:
            return 0, 0, 0
        reader = next(text for kind, text in READERS.items() if f".{kind}" in files[0])
        with duckdb.connect() as connection:
            return connection.execute(f"select count(*), count(distinct id), sum(id)::bigint from {reader.format(files)}").fetchone()
    return holds


def check_files(test: Test) -> None:
    kinds = {
        "hive": "path: out/hive, partition_by: day",
        "parts": "path: out/parts, max_file: 100 KiB",
        "csv": "path: out/csv, format: csv, compression: gzip",
        "json": "path: out/json, format: json, compression: zstd, partition_by: [day]",
    }
    sinks = {name: f"kind: files\ntable: s.s\nto: {{{to}}}\nevery: 100ms\n" for name, to in kinds.items()}
    sending = test.sending("files", "", sinks)
    sending.add()
    sending.ingest()
    test.sent("files of four kinds", sending.export(), 4 * ROWS)
    test.sent("and nothing twice", sending.export(), 0)
    out = sending.lake.folder / "out"
    for name in kinds:
        test.equal(f"another engine reads {name}", in_files(out / name)(), once(sending))
    with duckdb.connect() as connection:
        hive = connection.execute(
            f"select day::varchar, count(*) from read_parquet('{out}/hive/*/*.parquet', hive_partitioning = true) group by all order by all").fetchall()
        test.equal("folders are named by values", hive, [(f"2024-05-0{n + 1}", len(range(n, ROWS, 3))) for n in range(3)])
        columns = [row[0] for row in connection.execute(f"describe select * from '{out}/parts/*.parquet'").fetchall()]
        test.equal("all columns are in the files", {"id", "word", "half", "day", "tags", "at", "_ingested_at"} <= set(columns), True)
    for name in list(kinds)[1:]:
        (sending.lake.folder / "sinks" / f"{name}.yml").unlink()
    points = ["snk.mid_write", "snk.files_staged", "snk.plan_written", "snk.mid_publish", "snk.published_before_mark", "snk.marked_before_cleanup"]
    test.faults(sending, points, in_files(out / "hive"))
    left = [path.name for path in (out / "hive" / "_headwater").rglob("*") if path.is_file()]
    test.equal("nothing is left over", left, ["sent.json"])
    test.random_kills("killed beside files", sending, in_files(out / "hive"))
    files_of_all(test)


def files_of_all(test: Test) -> None:
    sending = test.sending("files-all", "", {
        "set": "kind: files\ntable: main.model\nsend: all\nto: {path: set, partition_by: day}\n",
        "one": "kind: files\ntable: main.model\nsend: all\nto: {path: one/model.csv, layout: file, format: csv}\n",
    })
    model = sending.lake.folder / "models" / "model.sql"
    model.parent.mkdir()
    sending.add()
    sending.ingest()
    for most in (900, 30, 0, 600):
        model.write_text(f"{{{{ config(materialized='table') }}}} select id, day from {{{{ source('s', 's') }}}} where id < {most}")
        sending.lake.run("build")
        test.sent(f"all {most} rows", sending.export(), 2 * most)
        expected = (most, most, sum(range(most)))
        found = in_files(sending.lake.folder / "set")()
        test.equal(f"a set of {most} takes the place of the one before", (found[0], found[1], found[2] or 0), expected)
        one = sending.lake.folder / "one" / "model.csv"
        test.equal(f"and so does one file of {most}", (len(one.read_text().splitlines()), [path.name for path in one.parent.iterdir() if path.is_file()]), (most + 1, ["model.csv"]))
    test.sent("and nothing twice", sending.export(), 0)
    sending.sink("set", "kind: files\ntable: main.model\nto: {path: set, partition_by: day}\n")
    test.says("another thing under the same name is refused", sending.export("set"), "sent all rows of main.model before", "begin anew")


def check_bucket(test: Test) -> None:
    import pyarrow.compute as pc
    import pyarrow.dataset as ds
    import pyarrow.fs as fs

    with faulty_store() as store:
        test.cargo("the sink in a bucket, test by test", "a_sink_in_a_bucket", {"HEADWATER_TEST_S3": store.endpoint}, 1)
        credentials = f"credentials: {{endpoint: '{store.endpoint}', region: us-east-1, access_key_id: test, secret_access_key: test, allow_http: true}}"
        sending = test.sending("bucket", "", {"out": f"kind: files\ntable: s.s\nto:\n  path: s3://{BUCKET}/out/rows\n  partition_by: day\n  {credentials}\nevery: 100ms\n"})
        reach = fs.S3FileSystem(access_key="test", secret_key="test", endpoint_override=f"127.0.0.1:{store.port}", scheme="http", region="us-east-1")

        def holds():
            rows = ds.dataset(f"{BUCKET}/out/rows", filesystem=reach, partitioning="hive").to_table(columns=["id"])["id"]
            return len(rows), len(rows.unique()), pc.sum(rows).as_py()

        sending.add()
        sending.ingest()
        test.sent("files in a bucket", sending.export(variables=KEYS), ROWS)
        test.equal("another engine reads them", holds(), once(sending))
        test.faults(sending, ["snk.plan_written", "snk.mid_publish", "snk.published_before_mark"], holds, actions=("abort",))
        store.faults = Faults(1, commits=0.0, others=0.05)
        for _ in range(5):
            sending.add(500)
            sending.ingest()
            for _ in range(10):
                if sending.export(variables=KEYS).returncode == 0:
                    break
        happened, store.faults = store.faults.happened, Faults()
        test.outcome.hold("requests failed", [] if happened.total() else ["none did"])
        test.sent("after requests that failed", sending.export(variables=KEYS), 0)
        test.equal("rows after requests that failed", holds(), once(sending))


# --- web services -------------------------------------------------------------------------------------------------------


def at_receiver(receiver: Receiver):
    def holds():
        numbers = [row["id"] for row in receiver.rows()]
        return len(numbers), len(set(numbers)), sum(numbers)
    return holds


def check_http(test: Test) -> None:
    receiver = Receiver()
    settings = f"connections:\n  web: {{kind: http, url: '{receiver.url}', headers: {{X-Client: p}}}}\n"
    sink = "kind: http\ntable: s.s\ncolumns: [id, word]\nto: {connection: web, path: /rows, batch: 300, tries: 10, headers: {X-Mark: sinks}}\nevery: 100ms\n"
    sending = test.sending("http", settings, {"out": sink})
    sending.add()
    sending.ingest()
    receiver.trouble = [(503, []), "cut off after taking", (429, [("Retry-After", "2")]), (500, [("X-Taken", "yes")]), "cut off", (409, [])]
    test.sent("a service in trouble gets every row", sending.export(), ROWS)
    holds = at_receiver(receiver)
    test.equal("once by key", holds(), once(sending))
    test.equal("what was taken and not answered came again under its key", sorted(receiver.times.values())[-2:], [1, 3])
    waits = [later - earlier for earlier, later in zip(receiver.asked, receiver.asked[1:])]
    test.outcome.hold("Retry-After is obeyed", [] if any(1.9 < wait < 4 for wait in waits[:6]) else [str(waits[:8])])
    head = {name.lower(): value for name, value in receiver.headers_seen[0].items()}
    test.equal("headers of connection and sink", (head.get("x-client"), head.get("x-mark"), head.get("content-type")), ("p", "sinks", "application/json"))
    rows = {row["id"]: row.get("word") for row in receiver.rows()}
    test.equal("values are those of the lake", rows[1] == f"1 {PADDING}" and rows[5] is None, True)
    before = dict(receiver.taken)
    receiver.forget()
    (sending.lake.folder / ".headwater" / "sinks" / "out.progress").unlink()
    test.sent("without its notes everything is sent again", sending.export(), ROWS)
    test.equal("under the same keys, with the same bodies", receiver.taken == before, True)
    test.faults(sending, ["snk.sent_before_note", "snk.noted_before_commit"], holds)
    test.equal("no key came with two bodies", receiver.differing, [])
    sending.add(10)
    sending.ingest()
    receiver.trouble = [(422, [])]
    test.says("a refusal stops and says why", sending.export(), "answered 422", "trouble", "does not take these rows")
    receiver.trouble = [(503, [])] * 6
    sending.sink("out", sink.replace("tries: 10", "tries: 2"))
    test.says("a service that stays away is told", sending.export(), "answered 503")
    receiver.trouble = []
    test.sent("and gets its rows when it is back", sending.export(), 10)
    test.random_kills("killed beside a service", sending, holds)
    test.equal("no key came with two bodies, kills and all", receiver.differing, [])


# --- changes on topics -----------------------------------------------------------------------------------------------------


def check_topics(test: Test) -> None:
    root = test.root / "topics"
    root.mkdir()
    debezium_topics.check(test.outcome, test.binary, root, test.kills // 2, test.chance)


# --- how far sinks are ----------------------------------------------------------------------------------------------------


def status_of(sending: Sending) -> dict[str, dict]:
    done = sending.lake.run("export", "status", "--json")
    return {sink["name"]: sink for sink in json.loads(done.stdout)} if done.stdout else {"?": done.stderr}


def check_status(test: Test) -> None:
    """What is told of sinks: by their destinations while nothing runs, by the process while one does."""
    receiver = Receiver()
    settings = f"connections:\n  web: {{kind: http, url: '{receiver.url}'}}\n  away: {{kind: http, url: 'http://127.0.0.1:1'}}\n"
    sending = test.sending("status", settings, {
        "out": "description: What others read\nkind: files\ntable: s.s\nto: {path: out}\nevery: 100ms\n",
        "whole": "kind: files\ntable: main.model\nsend: all\nto: {path: one/model.csv, layout: file, format: csv}\nevery: 100ms\n",
        "web": "kind: http\ntable: s.s\ncolumns: [id]\nto: {connection: web, path: /rows, tries: 1}\nevery: 100ms\n",
        "away": "kind: http\ntable: s.s\ncolumns: [id]\nto: {connection: away, path: /rows, tries: 1}\nevery: 100ms\n",
    })
    model = sending.lake.folder / "models" / "model.sql"
    model.parent.mkdir()
    model.write_text("{{ config(materialized='table') }} select id from {{ source('s', 's') }} where id < 40")
    sending.add(100)
    sending.ingest()
    sending.lake.run("build")
    rest = status_of(sending)
    told = {name: (sink["state"], sink["waiting_rows"], sink["up_to"], sink["version"], sink["rows_sent"]) for name, sink in rest.items()}
    test.equal("before the first export everything waits", told, {
        "out": ("not running", 100, None, None, None), "whole": ("not running", 40, None, None, None),
        "web": ("not running", 100, None, None, None), "away": ("not running", 100, None, None, None),
    })
    test.equal("what a file says is told", [(sink["kind"], sink["table"], sink["sends"], sink["connection"], sink["destination"], sink["description"])
                                            for sink in (rest["out"], rest["web"], rest["whole"])],
               [("files", "s.s", "added", None, "out", "What others read"), ("http", "s.s", "added", "web", "/rows", None),
                ("files", "main.model", "all", None, "one/model.csv", None)])
    test.equal("a look makes nothing", [(sending.lake.folder / name).exists() for name in ("out", "one", ".headwater/sinks")], [False] * 3)
    test.sent("three sinks are exported", sending.export("out", "whole", "web"), 240)
    rest = status_of(sending)
    test.equal("then nothing waits for them", [(rest[name]["waiting_rows"], rest[name]["behind_seconds"]) for name in ("out", "whole", "web")], [(0, 0.0)] * 3)
    newest = sending.lake.rows("select max(_ingested_at) from s.s")[0][0]
    test.equal("their destinations have all up to the newest commit", [rest[name]["up_to"][:23].replace("T", " ") for name in ("out", "web")], [newest[:23].replace("T", " ")] * 2)
    test.equal("or the version", (rest["whole"]["up_to"], isinstance(rest["whole"]["version"], int)), (None, True))
    sending.add(10)
    sending.ingest()
    model.write_text(model.read_text().replace("40", "60"))
    sending.lake.run("build")
    rest = status_of(sending)
    test.equal("what came since waits", [rest[name]["waiting_rows"] for name in ("out", "whole", "web", "away")], [10, 60, 10, 110])
    test.equal("and for how long is told", [rest[name]["behind_seconds"] > 0 for name in ("out", "whole", "web", "away")], [True] * 4)
    shown = sending.lake.run("export", "status")
    test.equal("the table has every sink", (shown.returncode, [name in shown.stdout for name in rest]), (0, [True] * 4))
    test.says("a name that no sink has is refused", sending.lake.run("export", "status", "wub"), "there is no sink `wub`", "Known sinks: away, out, web, whole.")
    (sending.lake.folder / "out" / "_headwater" / "p%2Fout" / "sent.json").write_text("{")
    test.says("a destination that cannot say is told", sending.lake.run("export", "status"), "out:", "cannot be read", "Restore it")
    (sending.lake.folder / "out" / "_headwater" / "p%2Fout" / "sent.json").unlink()
    receiver.trouble = [(422, [])]
    process = sending.lake.start("up", "--port", "0")
    try:
        test.outcome.hold("a process runs them", [] if process.until("Listening on", 60) else [process.said()[-600:]])
        reached = {"out": ("caught up", 0, 110), "whole": ("caught up", 0, 60), "web": ("failed", 10, 0), "away": ("retrying", 110, 0)}
        end, found = time.monotonic() + 60, {}
        while time.monotonic() < end and found != reached:
            live = status_of(sending)
            found = {name: (sink["state"], sink["waiting_rows"], sink["rows_sent"]) for name, sink in live.items()}
        test.equal("the process says how far each is", found, reached)
        test.equal("when it sent last", [live[name]["last_sent_at"] is not None for name in reached], [True, True, False, False])
        test.equal("that it runs", [live[name]["is_running"] for name in reached], [True] * 4)
        error = live["web"]["error"]
        test.equal("what a service refused, and what to do", ("answered 422" in json.dumps(error), bool(error["hint"]), live["web"]["failed_at"] is not None), (True, True, True))
        test.equal("what is tried again", (live["away"]["error"]["kind"], live["out"]["error"]), ("external", None))
        test.says("the command ends with 1 and says so", sending.lake.run("export", "status"), "web:", "answered 422")
        url = re.search(r"Listening on (http://\S+)", process.said()).group(1)
        with urllib.request.urlopen(f"{url}/api/home", timeout=30) as answer:
            home = json.load(answer)
        test.equal("the first page has what fails", sorted(problem["check"] for problem in home["problems"] if problem["verdict"] != "ok"), ["sink away", "sink web"])
    finally:
        process.kill()


# --- lists for engines that read Parquet alone -----------------------------------------------------------------------------


def check_manifests(test: Test) -> None:
    sending = test.sending("manifests", "lake: {symlink_manifests: [s.s, main.model]}\n", {})
    models = sending.lake.folder / "models"
    models.mkdir()
    model = "{{{{ config(materialized='table', partition_by=['day']) }}}}\nselect id, day from {{{{ source('s', 's') }}}} where {0}"
    tables = {"s.s": sending.lake.table("s", "s"), "main.model": sending.lake.table("main", "model")}

    def listed(table: str) -> list[str]:
        files = sorted((tables[table] / "_symlink_format_manifest").rglob("manifest"))
        return [line.removeprefix("file://") for file in files for line in file.read_text().splitlines()]

    for condition in ("id % 2 = 0", "day = '2024-05-02'"):
        sending.add()
        sending.ingest()
        (models / "model.sql").write_text(model.format(condition))
        sending.lake.run("build")
        told = sending.lake.run("maintain")
        test.outcome.hold("maintenance says what it wrote", [] if "manifests brought up to date" in told.stdout else [told.stdout + told.stderr])
        for table in tables:
            with duckdb.connect() as connection:
                found = connection.execute(f"select count(*), sum(id)::bigint from read_parquet({listed(table)!r})").fetchone()
            expected = sending.lake.rows(f"select count(*), sum(id) from {table}")[0]
            test.equal(f"the list of {table} is the table", [str(value) for value in found], expected)
    days = sorted(path.parent.name for path in (tables["main.model"] / "_symlink_format_manifest").rglob("manifest"))
    test.equal("a partition that went has no list", days, ["day=2024-05-02"])
    again = sending.lake.run("maintain")
    test.equal("what did not change is left alone", "manifests" in again.stdout, False)


def missing(check) -> str:
    """What a check needs that this machine has not."""
    if check in (check_postgres, check_topics) and binaries() is None:
        return "PostgreSQL"
    return "Kafka" if check is check_topics and jars() is None else ""


def main() -> int:
    options = parser(__doc__, kills=20, seed=1, only="").parse_args()
    outcome = Outcome()
    with workplace() as root:
        test = Test(outcome, options.binary, root, options.kills, options.seed)
        for check in (check_postgres, check_files, check_bucket, check_http, check_topics, check_status, check_manifests):
            if options.only in check.__name__ and (name := missing(check)):
                print(f"skipped: no {name} to test with")
            else:
                run_checks([check], options.only, test)
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
