"""Changes of a real PostgreSQL through a real Debezium into the lake: tables are there as they are, every change once, in order.

    debezium.py --binary target/release/headwater [--seed 1] [--record FILE]

`--record` keeps the messages that one statement of every kind comes to, with the statements. What is expected is said by
PostgreSQL itself. Says `skipped` where there is no Java or Maven, or no PostgreSQL.
"""

import json
import random
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parent / "harness", HERE.parent / "postgres"):
    sys.path.insert(0, str(folder))

from broker import Broker, jars  # noqa: E402
from bus import Bus, Follower  # noqa: E402
from changes import Change, Reference  # noqa: E402
from cluster import Cluster, binaries  # noqa: E402
from confluent_kafka import Message  # noqa: E402
from connect import Connect, capture  # noqa: E402
from kinds import COLUMNS, FULL_ROW, ODD_ROW, create_kinds, insert  # noqa: E402
from lakes import Folder  # noqa: E402
from project import Outcome, tail  # noqa: E402
from script import parser, timed, workplace  # noqa: E402

# Rows that go to the quarantine, because JSON has no numbers for their floats, are left out.
ROWS = {"kinds": "id <> 5", "kinds_full": "id <> 5", "pairs": "true"}
NOT_FINITE = ("NaN", "Infinity", "-Infinity")
KEYS = {"kinds": ["id"], "kinds_full": ["id"], "pairs": ["a", "b"]}
PREFIXES = {"plain": False, "wrapped": True}
WAIT_SECONDS = 60

CREATE = create_kinds("kinds") + create_kinds("kinds_full") + """
alter table kinds_full replica identity full;
create table pairs (a integer, b text, n integer not null, note text, primary key (a, b));
"""
SOURCE = """kind: kafka
name: {name}
table: {table}
from:
  connection: bus
  topics: {prefix}.public.{table}
  envelope: {{debezium: {{key: [{key}]}}}}
rotate: {{every: 200ms}}
"""


class Topic:
    """What Debezium wrote so far."""

    def __init__(self, bus: Bus, name: str, schemas: bool):
        self.follower, self.name, self.schemas = Follower(bus, name), name, schemas
        # Messages with their envelopes; nothing in place of the envelope of a tombstone.
        self.messages: list[tuple[Message, dict | None]] = []

    def read(self) -> list[dict]:
        """Every envelope."""
        self.messages += [(one, self.envelope(one.value())) for one in self.follower.new()]
        return [envelope for _, envelope in self.messages if envelope is not None]

    def envelope(self, value: bytes | None) -> dict | None:
        found = None if value is None else json.loads(value)
        return found["payload"] if found and self.schemas else found


class Test:
    def __init__(self, outcome: Outcome, cluster: Cluster, bus: Bus, connect: Connect, folder: Folder):
        self.outcome, self.cluster, self.connect, self.folder = outcome, cluster, connect, folder
        self.reference = Reference(cluster, KEYS)
        self.topics = {(prefix, table): Topic(bus, f"{prefix}.public.{table}", schemas) for prefix, schemas in PREFIXES.items() for table in KEYS}
        self.snapshot = 0
        # Places of changes that go to the quarantine.
        self.set_aside: set[int] = set()

    def equal(self, what: str, found, expected) -> None:
        self.outcome.hold(what, [] if found == expected else [f"found {str(found)[:500]}, expected {str(expected)[:500]}"])

    def changes(self, table: str) -> list[Change]:
        """What changed since the snapshot."""
        return [change for change in self.reference.changes[self.snapshot:] if change.table == table]

    def wait(self) -> None:
        """Until Debezium has written every change."""
        end = time.monotonic() + WAIT_SECONDS
        for (prefix, table), topic in self.topics.items():
            lsns = {change.lsn for change in self.changes(table)}
            rows = sum(change.table == table for change in self.reference.changes[:self.snapshot])
            while True:
                found = topic.read()
                snapshot = sum(envelope["op"] == "r" for envelope in found)
                if snapshot >= rows and lsns <= {envelope["source"]["lsn"] for envelope in found}:
                    break
                if time.monotonic() > end:
                    missing = sorted(lsns - {envelope["source"]["lsn"] for envelope in found})
                    raise RuntimeError(f"Debezium did not write {missing[:5]} to {topic.name}: {self.connect.state()} {self.connect.said()[-2000:]}")
                time.sleep(0.1)

    def ingest(self, what: str, fault: str = "") -> None:
        done = self.folder.run("ingest", variables={"HEADWATER_FAULT": f"{fault}=abort"} if fault else None)
        if bool(done.returncode) != bool(fault):
            self.outcome.hold(what, [tail(done.stderr + done.stdout)])

    def round(self, what: str) -> None:
        self.wait()
        self.ingest(what)
        self.compare(what)

    def compare(self, what: str) -> None:
        for prefix, table in self.topics:
            self.compare_table(f"{what}: {prefix} {table} is as in PostgreSQL", f"{prefix}_{table}", table)
            self.compare_log(f"{what}: {prefix} {table} has every change once, in order", prefix, table)

    def compare_table(self, what: str, schema: str, table: str) -> None:
        columns = [(name, name, str) for name in ("a", "b", "n", "note")] if table == "pairs" else COLUMNS
        key = ", ".join(KEYS[table])
        here = self.cluster.sql(f"select {', '.join(sql for _, sql, _ in columns)} from {table} where {ROWS[table]} order by {key}")
        there = self.folder.rows(f"select {', '.join(name for name, _, _ in columns)} from {schema}.{table} order by {key}")
        problems = [f"{len(there)} rows, expected {len(here)}"] if len(here) != len(there) else []
        for expected, found in zip(here, there):
            for (name, _, read), one, other in zip(columns, expected, found):
                if (read(other) if other else "") != one:
                    problems.append(f"{name} of {expected[0]} is {other[:100]!r}, expected {one[:100]!r}")
        self.outcome.hold(what, problems[:3])

    def compare_log(self, what: str, prefix: str, table: str) -> None:
        key = ", ".join(KEYS[table])
        log = self.folder.rows(f"select _op, _source_position, {key} from {prefix}_{table}.{table}__changes order by _offset")
        problems = []
        if log != (sent := [written(one, KEYS[table]) for one in self.topics[prefix, table].read() if is_taken(one)]):
            place = next((n for n, (one, other) in enumerate(zip(log, sent)) if one != other), min(len(log), len(sent)))
            problems.append(f"{len(log)} of {len(sent)} messages, from {place} on: {log[place:place + 2]}, expected {sent[place:place + 2]}")
        # What Debezium wrote again, because it was killed, is there again, with its position.
        once = list(dict.fromkeys((operation, int(position)) for operation, position, *_ in log if operation != "r"))
        expected = [pair for change in self.changes(table) if change.lsn not in self.set_aside for pair in steps(change)]
        if once != expected:
            place = next((n for n, (one, other) in enumerate(zip(once, expected)) if one != other), min(len(once), len(expected)))
            problems.append(f"{len(once)} of {len(expected)} changes, from {place} on: {once[place:place + 2]}, expected {expected[place:place + 2]}")
        self.outcome.hold(what, problems)


def is_taken(envelope: dict) -> bool:
    return envelope["op"] in "crudt" and (envelope["after"] or {}).get("half") not in NOT_FINITE


def written(envelope: dict, key: list[str]) -> list[str]:
    row = (envelope["before"] if envelope["op"] == "d" else envelope["after"]) or dict.fromkeys(key, "")
    return [envelope["op"], str(envelope["source"]["lsn"]), *(str(row[name]) for name in key)]


def steps(change: Change) -> list[tuple[str, int]]:
    """What Debezium makes of a change: of another key, the row going and coming."""
    operations = {"u": ["d", "c"] if change.moved else ["u"]}.get(change.operation, [change.operation])
    return [(operation, change.lsn) for operation in operations]


def fill(test: Test) -> None:
    for table in ("kinds", "kinds_full"):
        test.reference.run(insert(table, 1, FULL_ROW), insert(table, 2, {}))
    test.reference.run("insert into pairs select n, 'row ' || n, n, case n % 2 when 0 then 'even' end from generate_series(1, 100) as n")
    test.snapshot = len(test.reference.changes)


def check_operations(test: Test) -> None:
    for table in ("kinds", "kinds_full"):
        test.reference.run(insert(table, 3, FULL_ROW), insert(table, 4, {}), insert(table, 6, {"day": "infinity", "at": "infinity", "zoned": "-infinity"}))
        test.reference.run(insert(table, 5, ODD_ROW))
        test.set_aside.add(test.reference.changes[-1].lsn)
        test.reference.run(
            f"update {table} set word = 'changed', price = 0.10, flag = false where id = 3",
            f"update {table} set long = repeat('y', 3000) where id = 3",
            f"update {table} set long = null, word = null where id = 1",
            f"update {table} set id = 30 where id = 3",
            f"update {table} set id = 300, word = 'both' where id = 30",
            f"delete from {table} where id = 2",
            f"begin; {insert(table, 7, FULL_ROW)}; update {table} set word = 'again' where id = 7; delete from {table} where id = 7; commit",
        )
    test.reference.run(
        "insert into pairs values (0, 'new', 30, 'new'), (0, '', 31, 'empty text')",
        "update pairs set n = n + 1000 where a % 3 = 0",
        "update pairs set b = b || ' moved' where a between 10 and 19",
        "update pairs set a = a + 1000, b = 'other' where a between 20 and 24",
        "delete from pairs where a between 30 and 39",
        "begin; delete from pairs where a = 1; insert into pairs values (1, 'row 1', 1, 'back'); update pairs set n = 2 where a = 1; commit",
        "begin; update pairs set note = 'rolled back'; rollback",
        "begin; update pairs set a = -1 where a = 2; update pairs set a = 2, b = 'row 2' where a = 3; update pairs set a = 3, b = 'row 3' where a = -1; commit",
    )
    test.round("one statement of every kind")
    reasons = [test.folder.rows(f"select reason from {prefix}_{table}.{table}_quarantine") for prefix, table in test.topics if table != "pairs"]
    test.equal("floats that are no numbers are set aside with their reason", reasons, [[["field `half` holds numbers, found text"]]] * 4)


def check_columns(test: Test) -> None:
    test.reference.run("alter table pairs add column more integer default 7; update pairs set more = 8 where a = 4", "insert into pairs values (5000, 'wide', 1, null, 9)")
    test.round("a column that is added")
    for prefix in PREFIXES:
        rows = test.folder.rows(f"select a, more from {prefix}_pairs.pairs where a in (4, 5000) order by a")
        test.equal(f"{prefix} has the new column", rows, [["4", "8"], ["5000", "9"]])
    again = test.folder.rows("select count(*) from plain_pairs.pairs__changes")
    test.ingest("nothing new")
    test.equal("a second look adds nothing", test.folder.rows("select count(*) from plain_pairs.pairs__changes"), again)


def load(test: Test, random_of: random.Random, transactions: int) -> None:
    """Changes of all kinds, many to a transaction."""
    for _ in range(transactions):
        first = random_of.randrange(1, 90)
        test.reference.run(
            f"begin; update pairs set n = n + 1, note = md5(n::text) where a between {first} and {first + 9};"
            f" delete from pairs where a = {first}; insert into pairs values ({first}, 'load', {first}, 'x') on conflict do nothing;"
            f" update pairs set b = b || '.' where a = {first + 1}; update kinds_full set count_needed = count_needed + 1 where id <> 5; commit"
        )


def check_kills(test: Test, random_of: random.Random) -> None:
    for turn in range(3):
        up = test.folder.start("up", "--port", "0")
        up.until("Listening on", 60)
        load(test, random_of, 3)
        time.sleep(random_of.random() * 0.5)
        up.kill()
        load(test, random_of, 1)
    for point in ("cdc.log_committed_before_current", "dl.commit_done_before_upstream_ack"):
        test.wait()
        test.ingest(f"{point} is reached", point)
        load(test, random_of, 1)
    test.round("headwater killed at five moments")


def check_connect_kills(test: Test, random_of: random.Random) -> None:
    for _ in range(2):
        load(test, random_of, 3)
        test.connect.kill()
        test.ingest("Connect is away")
        load(test, random_of, 2)
        test.connect.start()
        load(test, random_of, 1)
    test.round("Connect killed at two moments")


def check_truncation(test: Test) -> None:
    test.reference.run("truncate pairs", "insert into pairs values (7, 'after', 7, 'x')")
    test.round("a truncation")


def record(test: Test, path: Path) -> None:
    """What came of the statements so far, message by message."""
    with path.open("w") as out:
        for (_, table), topic in test.topics.items():
            topic.read()
            sql = {change.lsn: change.sql for change in test.changes(table)}
            said = None
            for one, envelope in topic.messages:
                if envelope is not None:
                    said = "snapshot" if envelope["op"] == "r" else sql[envelope["source"]["lsn"]]
                text = lambda some: None if some is None else some.decode()  # noqa: E731
                line = {"topic": topic.name, "key": text(one.key()), "value": text(one.value()), "schemas": topic.schemas, "sql": said}
                out.write(json.dumps(line | {"headers": [[name, text(value)] for name, value in one.headers() or []]}, ensure_ascii=False) + "\n")
    path.with_suffix(".sql").write_text(CREATE + ";\n".join(change.sql for change in test.reference.changes[:test.snapshot]) + ";\n")


def sources() -> dict[str, str]:
    names = {f"{prefix}_{table}": (prefix, table) for prefix in PREFIXES for table in KEYS}
    return {name: SOURCE.format(name=name, prefix=prefix, table=table, key=", ".join(KEYS[table])) for name, (prefix, table) in names.items()}


def main() -> int:
    options = parser(__doc__, seed=1, record=None).parse_args()
    if jars() is None or jars("debezium") is None or binaries() is None:
        print("skipped: there is no Debezium or no PostgreSQL")
        return 0
    outcome, random_of = Outcome(), random.Random(options.seed)
    with workplace() as root, Cluster() as cluster, Broker() as broker:
        cluster.sql(CREATE)
        folder = Folder(options.binary, root / "p", f"name: p\nconnections:\n  bus:\n    kind: kafka\n    brokers: {broker.address}\n", sources())
        connect = Connect(broker, [capture(cluster, prefix, schemas) for prefix, schemas in PREFIXES.items()])
        test = Test(outcome, cluster, Bus(broker), connect, folder)
        fill(test)
        with connect:
            timed("the first copy", test.round, "the first copy")
            timed("operations", check_operations, test)
            if options.record:
                record(test, options.record)
            timed("columns", check_columns, test)
            timed("kills", check_kills, test, random_of)
            timed("kills of Connect", check_connect_kills, test, random_of)
            timed("truncation", check_truncation, test)
            for topic in test.topics.values():
                topic.follower.close()
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
