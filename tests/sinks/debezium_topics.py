"""Changes of a captured PostgreSQL table on a topic, read by a consumer that knows nothing but Debezium's JSON.

Run by sinks.py. The consumer keeps a copy of each table by the messages alone; it must end as the table is.
"""

import base64
import hashlib
import json
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from broker import Broker
from bus import Bus
from cluster import Cluster
from lakes import Folder
from project import Outcome, tail
from values import create, insert

UNAVAILABLE = "__debezium_unavailable_value"
SOURCE = "kind: postgres\nname: shop\nfrom:\n  connection: db\n  mode: capture\n  tables:\n    public.items: {}\n    public.pairs: {}\n    public.whole: {key: [id]}\nrotate: {every: 200ms}\n"
SINK = "kind: kafka\nname: {name}\ntable: shop.{table}__changes\nevery: 100ms\nto: {{connection: bus, format: debezium{more}}}\n"
SINKS = {
    "items": ("items", ""),
    "pairs": ("pairs", ", partitions: 3"),
    "whole": ("whole", ", topic: 'all-{table}', debezium: {name: crm, schemas: true, decimal: string, tombstones: false, truncations: skip}"),
}
TABLES = """
create table items (id int primary key, word text, price numeric(10,2), free numeric, at timestamp, moment timestamptz, day date,
                    clock time, flag boolean, doc jsonb, tag uuid, raw bytea, numbers int[], names text[], long text);
alter table items alter column long set storage external;
create table pairs (a int, b text, word text, primary key (b, a));
create table whole (id int, price numeric(10,2), word text, long text);
alter table whole replica identity full;
alter table whole alter column long set storage external;
insert into items select n, 'w' || n, n + 0.25, 1.5, timestamp '2024-05-01 00:00:00.000001' + n * interval '1 s', timestamptz '2024-05-01 00:00:00+02', '1969-12-31',
    '12:34:56.5', n % 2 = 0, '{"a": 1}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\\x00ff', '{1,NULL,-3}', array['a,b', null, '"q"'], repeat(md5(n::text), 200)
    from generate_series(1, 5) n;
insert into pairs values (9, 'z', 'first');
insert into whole select n, n / 4.0, 'w' || n, repeat(md5(n::text), 200) from generate_series(1, 5) n;
"""
# What a consumer makes of each column, in the words of the database.
SEEN = {
    "items": """select id, word, price, free, (extract(epoch from at) * 1000000)::bigint, to_char(moment at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        day - date '1970-01-01', (extract(epoch from clock) * 1000000)::bigint, flag::text, doc::text, tag, encode(raw, 'base64'), to_json(numbers)::text, to_json(names)::text, md5(long) from items""",
    "pairs": "select a, b, word from pairs",
    "whole": "select id, price, word, md5(long) from whole",
}


@dataclass
class Read:
    key: object
    value: dict | None
    headers: dict[str, bytes]
    partition: int


def read(bus: Bus, topic: str, partitions: int = 1, schemas: bool = False) -> list[Read]:
    """Every committed message of a topic, partition by partition."""
    unwrap = lambda text: None if text is None else json.loads(text)["payload"] if schemas else json.loads(text)  # noqa: E731
    return [Read(unwrap(one.key()), unwrap(one.value()), dict(one.headers() or []), one.partition()) for one in bus.messages(topic, partitions)]


def decimal(value, scale: int = 2) -> str:
    if value is None or isinstance(value, str) and "." in value:
        return value or ""
    if isinstance(value, dict):
        return decimal(value["value"], value["scale"])
    return str(Decimal(int.from_bytes(base64.b64decode(value), "big", signed=True)).scaleb(-scale))


def md5(text: str | None) -> str:

    return "" if text is None else hashlib.md5(text.encode()).hexdigest()


def seen(table: str, row: dict) -> list[str]:
    """A row of the consumer's copy in the words of the database."""
    plain = lambda value: "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)  # noqa: E731
    listed = lambda value: "" if value is None else json.dumps(value, separators=(",", ":"), ensure_ascii=False)  # noqa: E731
    shapes = {"price": decimal, "free": decimal, "numbers": listed, "names": listed, "long": md5}
    return [shapes.get(name, plain)(value) for name, value in row.items()]


class Copy:
    """What a consumer holds after these messages, and what is wrong with them."""

    def __init__(self, messages: list[Read], tombstones: bool = True):
        self.rows: dict[str, dict] = {}
        self.problems: list[str] = []
        self.ops = Counter(message.value["op"] for message in messages if message.value)
        for before, message in zip([None, *messages], [*messages, None]):
            deleted = before is not None and before.value is not None and before.value["op"] == "d"
            is_tombstone = message is not None and message.value is None
            if tombstones and deleted and not (is_tombstone and message.key == before.key) or is_tombstone and not deleted:
                self.problems.append(f"after {before} comes {message}")
            if message is not None and message.value is not None:
                self.apply(message)

    def apply(self, message: Read) -> None:
        value, key = message.value, json.dumps(message.key)
        if value["op"] == "t":
            self.rows.clear()
        elif value["op"] == "d":
            if self.rows.pop(key, None) is None:
                self.problems.append(f"a delete of {key}, which is not there")
            if {name: value["before"][name] for name in message.key} != message.key or value["after"] is not None:
                self.problems.append(f"a delete of {key} with {value['before']}, {value['after']}")
        else:
            held = self.rows.get(key, {})
            self.rows[key] = {name: held.get(name) if one == UNAVAILABLE else one for name, one in value["after"].items()}
            if value["op"] == "c" and held:
                self.problems.append(f"an insert of {key}, which is there")


class Stage:
    """A database, a broker and a project between them."""

    def __init__(self, outcome: Outcome, binary: Path, root: Path, cluster: Cluster, bus: Bus):
        self.outcome, self.cluster, self.bus = outcome, cluster, bus
        cluster.sql(TABLES)
        settings = (f"name: p\nconnections:\n  db: {{kind: postgres, host: 127.0.0.1, port: {cluster.port}, database: postgres, user: postgres}}\n"
                    f"  bus: {{kind: kafka, brokers: '{bus.broker.address}'}}\n")
        self.folder = Folder(binary, root, settings, {"shop": SOURCE})
        (root / "sinks").mkdir()
        for name, (table, more) in SINKS.items():
            (root / "sinks" / f"{name}.yml").write_text(SINK.format(name=name, table=table, more=more))

    def equal(self, what: str, found, expected) -> None:
        self.outcome.hold(what, [] if found == expected else [f"{str(found)[:700]} instead of {str(expected)[:500]}"])

    def run(self, what: str, *arguments: str, variables: dict[str, str] | None = None) -> None:
        done = self.folder.run(*arguments, variables=variables)
        self.outcome.hold(what, [] if done.returncode == 0 else [tail(done.stdout + done.stderr, 8)])

    def messages(self, table: str) -> list[Read]:
        match table:
            case "items":
                return read(self.bus, "shop.public.items")
            case "pairs":
                return read(self.bus, "shop.public.pairs", 3)
            case _:
                return read(self.bus, "all-whole", schemas=True)

    def copies(self, when: str) -> None:
        """Each copy is the table, and was made without a step that says something wrong."""
        for table, query in SEEN.items():
            copy = Copy(self.messages(table), tombstones=table != "whole")
            self.outcome.hold(f"messages of {table} follow each other {when}", copy.problems[:3])
            expected = sorted(self.cluster.sql(query))
            found = sorted(seen(table, row) for row in copy.rows.values())
            self.equal(f"a consumer's copy of {table} is the table {when}", found, expected)

    def each_once(self, when: str) -> None:
        """Every change of the log of changes is on its topic once, and in the order of the database's log."""
        for table in SEEN:
            messages = [one for one in self.messages(table) if one.value and one.value["op"] not in ("r", "t")]
            # A change of the key is two messages with one place.
            moved = lambda one: "__debezium.oldkey" in one.headers  # noqa: E731
            places = Counter((one.value["source"]["lsn"], json.dumps(one.key)) for one in messages if not moved(one))
            again = [place for place, times in places.items() if times > 1]
            count = self.folder.rows(f"select count(*) from shop.{table}__changes where _op <> 't'")[0][0]
            self.equal(f"every change of {table} is there once {when}", (places.total(), again[:3]), (int(count), []))
            order = {place: number for number, place in enumerate(
                (int(row[0]) for row in self.folder.rows(f"select _change_lsn from shop.{table}__changes order by _lsn, _seq")))}
            for partition in range(3):
                numbers = [order.get(one.value["source"]["lsn"], -1) for one in messages if one.partition == partition]
                self.equal(f"partition {partition} of {table} has the order of the log {when}", numbers, sorted(numbers))


@contextmanager
def staged(outcome: Outcome, binary: Path, root: Path):
    with Cluster() as cluster, Broker() as broker:
        yield Stage(outcome, binary, root, cluster, Bus(broker))


def check_forms(stage: Stage) -> None:
    """What single changes look like."""
    stage.run("the copy ends", "ingest")
    stage.run("the rows there are go out", "export")
    first = sorted(stage.messages("items"), key=lambda one: one.key["id"])
    stage.equal("they are reads, under their key", [(one.key, one.value["op"], one.value["source"]["snapshot"]) for one in first],
                [({"id": n}, "r", "true") for n in range(1, 6)])
    stage.copies("after the first export")
    xid = stage.cluster.sql("begin; insert into items (id, word) values (10, 'new'); select pg_current_xact_id(); commit;")
    stage.cluster.sql("update items set word = 'short' where id = 1; update items set id = 20 where id = 2; delete from items where id = 3;")
    stage.cluster.sql("insert into pairs values (1, 'x', 'one'), (2, 'x', 'two'), (1, 'y,\"', null); update pairs set a = 7 where a = 2; delete from pairs where b = 'x' and a = 1;")
    stage.cluster.sql("update whole set word = 'changed' where id = 1; delete from whole where id = 2; update whole set id = 30 where id = 3;")
    stage.run("changes come", "ingest")
    stage.run("and go out", "export")
    told = stage.messages("items")[5:]
    stage.equal("each change is one message, of the key two, and deletes are followed by nothing", [(one.key["id"], one.value and one.value["op"]) for one in told],
                [(10, "c"), (1, "u"), (2, "d"), (2, None), (20, "c"), (3, "d"), (3, None)])
    source = told[0].value["source"]
    stage.equal("the envelope says where it was", [source[name] for name in ("connector", "name", "db", "schema", "table", "txId", "xmin", "snapshot")],
                ["postgresql", "shop", "postgres", "public", "items", int(xid[-1][0]), None, "false"])
    stage.equal("and when", [source["ts_ms"] <= told[0].value["ts_ms"] <= time.time() * 1000, source["ts_us"] // 1000 == source["ts_ms"]], [True, True])
    stage.equal("a value that was not sent says so", told[1].value["after"]["long"], UNAVAILABLE)
    stage.equal("old and new key know each other", [told[2].headers.get("__debezium.newkey"), told[4].headers.get("__debezium.oldkey")], [b'{"id":20}', b'{"id":2}'])
    stage.equal("the new row lacks the value, too", told[4].value["after"]["long"], UNAVAILABLE)
    stage.cluster.sql("update items set long = 'brought again' where id = 20")
    stage.run("the value comes", "ingest")
    stage.run("and goes out", "export")
    keys = {json.dumps(one.key) for one in stage.messages("pairs")}
    stage.equal("a key of two columns has their order in the index", keys, {'{"b": "z", "a": 9}', '{"b": "x", "a": 1}', '{"b": "x", "a": 2}', '{"b": "x", "a": 7}', '{"b": "y,\\"", "a": 1}'})
    stage.copies("after changes")
    stage.each_once("after changes")
    wrapped = read(stage.bus, "all-whole")
    stage.equal("schemas are around keys and values on request", (sorted(wrapped[0].key), sorted(wrapped[0].value), wrapped[0].value["schema"]["name"]),
                (["payload", "schema"], ["payload", "schema"], "crm.public.whole.Envelope"))
    stage.run("nothing is new", "export")
    stage.equal("and nothing is sent again", len(stage.messages("items")), 13)


SAME = {
    "items": ("id, word, at, moment, day, tag", "id, word, (extract(epoch from at) * 1000000)::bigint, to_char(moment at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), day - date '1970-01-01', tag"),
    "pairs": ("a, b, word", "a, b, word"),
    "whole": ("id, price, word, md5(long)", "id, price, word, md5(long)"),
}


def reading_back(stage: Stage, binary: Path, root: Path) -> Folder:
    """A project that makes the tables again from the topics."""
    settings = f"name: p\nconnections:\n  bus: {{kind: kafka, brokers: '{stage.bus.broker.address}'}}\n"
    source = "kind: kafka\nname: {name}\nfrom:\n  connection: bus\n  topics: [{topic}]\n  envelope: {{debezium: {{key: {key}}}}}\nrotate: {{every: 200ms}}\n"
    return Folder(binary, root, settings, {
        "items": source.format(name="items", topic="shop.public.items", key="[id]"),
        "pairs": source.format(name="pairs", topic="shop.public.pairs", key="[b, a]"),
        "whole": source.format(name="whole", topic="all-whole", key="[id]"),
    })


def check_back(stage: Stage, back: Folder, when: str) -> None:
    """A source of ours makes the tables again."""
    done = back.run("ingest")
    stage.outcome.hold(f"the topics are read back {when}", [] if done.returncode == 0 else [tail(done.stderr)])
    for table, (here, there) in SAME.items():
        found = sorted(back.rows(f"select {here} from {table}.{table}"))
        stage.equal(f"{table} read back is the table {when}", found, sorted(stage.cluster.sql(f"select {there} from {table}")))
        refused = back.table(table, f"{table}_quarantine").exists()
        stage.equal(f"no message of {table} was refused {when}", refused, False)


def check_truncation(stage: Stage) -> None:
    stage.cluster.sql("begin; insert into items (id, word) values (50, 'goes'); truncate items; insert into items (id, word) values (51, 'stays'); commit;")
    stage.run("a truncation comes", "ingest")
    stage.run("and goes out", "export")
    told = stage.messages("items")[-3:]
    stage.equal("it is a message without a key, in its place", [(one.key, one.value["op"], one.value["before"], (one.value["after"] or {}).get("id")) for one in told],
                [({"id": 50}, "c", None, 50), (None, "t", None, None), ({"id": 51}, "c", None, 51)])
    copy = Copy(stage.messages("items"))
    stage.equal("a consumer's copy has what came after", [row["word"] for row in copy.rows.values()], ["stays"])


def check_kills(stage: Stage, kills: int, chance) -> None:
    """Changes go on while the process dies, at its points and at random."""
    number = 1000

    def change() -> None:
        nonlocal number
        statements = []
        for _ in range(40):
            number += 1
            statements += [f"insert into items (id, word, long) values ({number}, 'v0', repeat('x', 9000))", f"update items set word = 'v1' where id = {number}"]
            statements += [f"begin; update items set word = 'v2' where id = {number}; insert into pairs values ({number}, 'k', 'p'); commit"]
            statements += [f"delete from items where id = {number - 20}", f"update pairs set a = -{number} where a = {number}", f"update whole set word = 'v{number}'"]
        stage.cluster.sql(";\n".join(statements) + ";")

    for point in ("k.before_transaction_commit", "k.after_transaction_commit"):
        for action in ("abort", "error"):
            change()
            stage.run(f"changes come before {point} {action}", "ingest")
            done = stage.folder.run("export", variables={"HEADWATER_FAULT": f"{point}={action}"})
            stage.outcome.hold(f"{point} {action} is reached", [] if point in done.stderr + done.stdout else [tail(done.stderr)])
    for _ in range(kills):
        change()
        process = stage.folder.start("up", "--port", "0")
        if not process.until("Listening on", 60):
            stage.outcome.hold("up begins", [process.said()[-600:]])
            return process.kill()
        time.sleep(chance.random() * 2)
        process.kill()
    stage.run("the rest comes", "ingest")
    stage.run("and goes out", "export")
    stage.each_once(f"after {kills} kills")
    stage.copies(f"after {kills} kills")


def check_refusals(stage: Stage) -> None:
    wrong = {
        "table: shop.items\nto: {connection: bus, format: debezium}\n": "is not the log of changes of a captured table",
        "table: shop.items__changes\nsend: all\nto: {connection: bus, format: debezium}\n": "as they are added",
        "table: shop.items__changes\ncolumns: [id]\nto: {connection: bus, format: debezium}\n": "with all their columns",
        "table: shop.items__changes\nto: {connection: bus, format: debezium, key: id}\n": "`key` is not for",
        "table: shop.items__changes\nto: {connection: bus}\n": "no topic is named",
    }
    path = stage.folder.folder / "sinks" / "wrong.yml"
    for text, expected in wrong.items():
        path.write_text(f"kind: kafka\nname: wrong\n{text}")
        done = stage.folder.run("check")
        said = done.stdout + done.stderr
        stage.outcome.hold(f"check says: {expected}", [] if done.returncode and expected in said else [said[-500:]])
    path.unlink()


# Of every type a value that says how it is written; of the others, see golden messages beside the encoder.
FORMS = {
    "single": "NaN", "wide": "-0.0000000001", "free": "0.00000000000000000000000000000000000000000001", "odd_scale": "12300", "day": -2440588,
    "moment": "1883-11-18T19:00:00.000000Z", "local": 253402300799999999, "clock": 86400000000, "zoned": "12:05:06.789Z", "words": "",
    "padded": "ab   ", "id": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "raw": "AP8=", "doc": '{"a": [1,  2]}', "docb": '{"a": null, "b": 1}',
    "markup": "<a>b</a>", "ints": [7, 8], "texts": ["a,b", None, 'c"d', ""], "span_of": "(,)", "pair": '(1,"a,b")', "mood": "so so", "positive": 7,
    "price": "12.34", "address": "10.0.0.0/8", "bits": "101", "lsn": "16/B374D848",
}


def check_values(stage: Stage, binary: Path, root: Path) -> None:
    """Every type the capture knows goes out, or is refused by name."""
    stage.cluster.sql(create("kinds"))
    settings = (stage.folder.folder / "headwater.yml").read_text()
    stage.cluster.sql("create table texts (id int primary key, price numeric(10,2), free numeric, clock time, numbers int[])")
    folder = Folder(binary, root, settings, {
        "v": "kind: postgres\nname: v\nfrom: {connection: db, mode: capture, tables: {kinds: {}}}\n",
        "w": "kind: postgres\nname: w\nfrom: {connection: db, mode: capture, tables: {texts: {as_text: [price, free]}}}\nrows: {mask: {clock: redact, numbers: redact}}\n",
    })
    (root / "sinks").mkdir()
    (root / "sinks" / "texts.yml").write_text(SINK.format(name="texts", table="texts", more=", topic: texts").replace("shop.", "w."))
    for decimals in ("string", "double", "precise"):
        more = f", topic: {decimals}, debezium: {{decimal: {decimals}, schemas: true}}"
        (root / "sinks" / f"{decimals}.yml").write_text(SINK.format(name=decimals, table="kinds", more=more).replace("shop.", "v."))
    folder.run("ingest")
    stage.cluster.sql(insert("kinds") + " insert into texts values (1, 12.5, 'NaN', '12:00', '{1,2}')")
    folder.run("ingest")
    done = folder.run("export")
    told = [] if done.returncode and "`NaN` in column `free`" in done.stderr and "decimal: string" in done.stderr else [tail(done.stderr)]
    stage.outcome.hold("a number that bytes cannot say is told", told)
    stage.equal("what is text by wish or by a mask is text in a message", [one.value["after"] for one in read(stage.bus, "texts")],
                [{"id": 1, "price": "12.50", "free": "NaN", "clock": "***", "numbers": "***"}])
    rows = [one.value["after"] for one in read(stage.bus, "string", schemas=True)]
    count = stage.cluster.value("select count(*) from kinds")
    stage.equal("a row for each value goes out", (len(rows), len(read(stage.bus, "double", schemas=True))), (int(count), int(count)))
    for column, expected in FORMS.items():
        found = [row[column] for row in rows if row[column] is not None]
        stage.outcome.hold(f"{column} is written as documented", [] if expected in found else [f"{found[:4]} without {expected}"])


def check_beginnings(stage: Stage, binary: Path, root: Path) -> None:
    """A sink begins with the rows of the table, whatever the log of changes says of it."""
    stage.cluster.sql("create table begun (id int primary key, word text)")
    settings = (stage.folder.folder / "headwater.yml").read_text()
    folder = Folder(binary, root, settings, {"b": "kind: postgres\nname: b\nfrom: {connection: db, mode: capture, chunk_rows: 100, tables: {begun: {}}}\n"})
    (root / "sinks").mkdir()

    def run(what: str, *arguments: str) -> None:
        done = folder.run(*arguments)
        stage.outcome.hold(what, [] if done.returncode == 0 else [tail(done.stdout + done.stderr, 8)])

    def add(name: str) -> None:
        (root / "sinks" / f"{name}.yml").write_text(SINK.format(name=name, table="begun", more=f", topic: {name}").replace("shop.", "b."))

    def copied(name: str) -> Copy:
        copy = Copy(read(stage.bus, name))
        stage.outcome.hold(f"messages of {name} follow each other", copy.problems[:3])
        found = sorted([str(row["id"]), row["word"]] for row in copy.rows.values())
        stage.equal(f"a consumer's copy by {name} is the table", found, sorted(stage.cluster.sql("select id, word from begun")))
        return copy

    def told_too_early(what: str, name: str) -> None:
        done = folder.run("export", name)
        told = done.returncode and "is not copied to the end yet" in done.stderr and "headwater ingest" in done.stderr
        stage.outcome.hold(what, [] if told else [tail(done.stdout + done.stderr, 8)])

    def told_well(when: str, state: str, name: str = "early", is_begun: bool = False) -> None:
        end, found, expected = time.monotonic() + 60, None, (0, state, 0, None, is_begun)
        while time.monotonic() < end and found != expected:
            done = folder.run("export", "status", name, "--json")
            sink = json.loads(done.stdout)[0] if done.stdout else {}
            found = (done.returncode, sink.get("state"), sink.get("waiting_rows"), sink.get("error"), sink.get("up_to") is not None)
        stage.equal(f"nothing waits and nothing is wrong {when}", found, expected)

    add("early")
    told_well("before the first copy", "not running")
    told_too_early("a table that was never copied is told", "early")
    run("a table without rows is copied", "ingest")
    run("nothing is there to send", "export", "early")
    told_well("before the first change", "not running")
    process = folder.start("up", "--port", "0")
    stage.outcome.hold("up begins", [] if process.until("Listening on", 60) else [process.said()[-600:]])
    told_well("while a process waits for the first change", "caught up")
    process.kill()
    (root / "sinks" / "early.yml").unlink()
    stage.cluster.sql("insert into begun values (1, 'told')")
    run("a change comes", "ingest")
    stage.cluster.sql("select pg_drop_replication_slot('headwater_b'); delete from begun; insert into begun values (2, 'after the gap')")
    run("a gap is copied over", "ingest", "--restart", "b")
    add("after_gap")
    run("the sink begins", "export", "after_gap")
    stage.equal("with the rows, not with what the log of changes lacks", copied("after_gap").ops, Counter(r=1))
    stage.cluster.sql("insert into begun select n, 'w' || n from generate_series(10, 600) n; analyze begun")
    run("rows come", "ingest")
    cut = folder.run("ingest", "b", "--recopy", "begun", variables={"HEADWATER_FAULT": "cdc.chunk_between_watermarks=abort@2"})
    stage.outcome.hold("a copy beside the stream is cut off", [] if "cdc.chunk_between_watermarks" in cut.stdout + cut.stderr else [tail(cut.stderr)])
    add("beside")
    told_too_early("and told", "beside")
    stage.equal("a table that is copied is not sent before the copy ends", len(read(stage.bus, "beside")), 0)
    run("the copy goes on to its end", "ingest")
    run("then the sink begins", "export", "beside")
    stage.equal("with every row", copied("beside").ops, Counter(r=592))
    (root / "sinks" / "after_gap.yml").unlink()
    process = folder.start("up", "--port", "0")
    stage.outcome.hold("up begins again", [] if process.until("Listening on", 60) else [process.said()[-600:]])
    told_well("before the table is dropped", "caught up", "beside", is_begun=True)
    stage.cluster.sql("delete from begun where id < 100; drop table begun")
    end, deletes = time.monotonic() + 60, 0
    while time.monotonic() < end and deletes < 91:
        deletes = Copy(read(stage.bus, "beside")).ops["d"]
    stage.equal("what was captured of a dropped table goes out", deletes, 91)
    process.kill()


# What a real Debezium wrote, with its defaults but `skipped.operations=none`, of the statements named beside it, after those of the `.sql`.
GOLDEN = Path(__file__).resolve().parent / "golden" / "debezium-3.3.1.jsonl"
# Columns that docs/sinks.md says are written otherwise, or have another schema; what else it says is left out in `as_written`.
OTHERWISE, OTHER_SCHEMA = {"span"}, {"span", "feeling"}
MOVED = ("__debezium.oldkey", "__debezium.newkey")


def golden() -> tuple[dict[str, list[dict]], list[str]]:
    """The messages of each topic, and the statements they came from, in order."""
    topics, statements = {}, {}
    for line in GOLDEN.read_text().splitlines():
        one = json.loads(line)
        topics.setdefault(one["topic"], []).append(one)
        if one["value"] and one["sql"] != "snapshot":
            value = json.loads(one["value"])
            statements.setdefault(one["sql"], value.get("payload", value)["source"]["lsn"])
    return topics, sorted(statements, key=statements.get)


def as_written(key: dict | None, value: dict | None, headers: dict[str, bytes | str]) -> tuple:
    """What does not depend on the day and the place."""
    place = value and {name: value["source"][name] for name in ("connector", "name", "schema", "table")}
    sides = {side: value and value[side] and {name: one for name, one in value[side].items() if name not in OTHERWISE} for side in ("before", "after")}
    if value and value["op"] == "d":
        # The log of changes has no more of a row that went than its key.
        sides["before"] = {name: one if name in key else None for name, one in sides["before"].items()}
    moved = {name: json.loads(headers[name]) for name in MOVED if name in headers}
    return key, value and value["op"], place, sides, moved


def columns_of(schema: dict) -> dict[str, tuple]:
    """The types of a row in the schema of an envelope."""
    after = next(one for one in schema["fields"] if one["field"] == "after")
    shape = lambda one: (one["type"], one.get("name"), one.get("parameters"), one.get("items") and shape(one["items"]))  # noqa: E731
    return {one["field"]: shape(one) for one in after["fields"] if one["field"] not in OTHER_SCHEMA}


def check_golden(stage: Stage, binary: Path, root: Path) -> None:
    """Of the same statements come the messages that a real Debezium wrote."""
    topics, statements = golden()
    stage.cluster.sql("create database golden")
    stage.cluster.sql(GOLDEN.with_suffix(".sql").read_text(), "golden")
    settings = (stage.folder.folder / "headwater.yml").read_text().replace("name: p\n", "name: golden\n").replace("database: postgres", "database: golden")
    source = "kind: postgres\nname: g\nfrom: {connection: db, mode: capture, tables: {kinds: {}, pairs: {}}}\n"
    folder = Folder(binary, root, settings, {"g": source})
    (root / "sinks").mkdir()
    for topic in topics:
        prefix, _, table = topic.split(".")
        more = f", debezium: {{name: {prefix}, schemas: {str(prefix == 'wrapped').lower()}}}"
        (root / "sinks" / f"{prefix}_{table}.yml").write_text(SINK.format(name=f"{prefix}_{table}", table=table, more=more).replace("shop.", "g."))
    for step in ("the copy", "changes"):
        for command in ("ingest", "export"):
            done = folder.run(command)
            stage.outcome.hold(f"golden: {command} of {step}", [] if done.returncode == 0 else [tail(done.stdout + done.stderr, 8)])
        for statement in statements:
            stage.cluster.sql(statement, "golden")
        statements = []
    for topic, expected in topics.items():
        schemas = topic.startswith("wrapped.")
        load = lambda text: text and (json.loads(text)["payload"] if schemas else json.loads(text))  # noqa: E731, B023
        found = [as_written(one.key, one.value, one.headers) for one in read(stage.bus, topic, schemas=schemas)]
        problems = [f"{len(found)} messages"] if len(found) != expected[-1]["offset"] + 1 else []
        for one in [] if problems else expected:
            wanted, ours = as_written(load(one["key"]), load(one["value"]), dict(one["headers"])), found[one["offset"]]
            problems += [f"message {one['offset']}: {our} instead of {other}" for our, other in zip(ours, wanted) if our != other]
        stage.outcome.hold(f"{topic} is what Debezium wrote", problems[:3])
        if schemas:
            theirs = columns_of(json.loads(expected[0]["value"])["schema"])
            ours = columns_of(read(stage.bus, topic)[0].value["schema"])
            stage.equal(f"the schema of {topic} is Debezium's", {name: (ours.get(name), theirs.get(name)) for name in {*ours, *theirs} if ours.get(name) != theirs.get(name)}, {})


def check(outcome: Outcome, binary: Path, root: Path, kills: int, chance) -> None:
    with staged(outcome, binary, root / "captured") as stage:
        back = reading_back(stage, binary, root / "back")
        check_forms(stage)
        check_back(stage, back, "after changes")
        check_truncation(stage)
        check_back(stage, back, "after a truncation")
        check_kills(stage, kills, chance)
        check_back(stage, back, f"after {kills} kills")
        check_refusals(stage)
        check_values(stage, binary, root / "values")
        check_beginnings(stage, binary, root / "beginnings")
        check_golden(stage, binary, root / "golden")
