"""Topics of a real Kafka into the lake: what is there is what was written, once, or why not is said.

    kafka.py --binary target/release/headwater [--kills 20] [--seed 1] [--only NAME]

Numbers such as K5 are those of the faults in docs/sources.md. Says `skipped` where there is no Java or Maven.
"""

import gzip
import json
import random
import shutil
import sys
import threading
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "harness"))

from broker import Broker, jars  # noqa: E402
from bus import Bus, Registry, avro_long, avro_text, field, framed, message, reference  # noqa: E402
from lakes import Folder  # noqa: E402
from project import Outcome, tail  # noqa: E402
from script import parser, run_checks, until, workplace  # noqa: E402
from web import free_port  # noqa: E402

EVENTS = HERE.parents[2] / "shared" / "data" / "eventsim" / "log"
CANARY = "canary-secret-9317"


def settings(address: str, more: str = "") -> str:
    return f"name: p\nconnections:\n  bus:\n    kind: kafka\n    brokers: {address}\n{more}"


def source(topic: str, more: str = "") -> str:
    return f"kind: kafka\nname: s\nfrom:\n  connection: bus\n  topics: {topic}\n{more}rotate: {{every: 500ms}}\n"


class Test:
    def __init__(self, outcome: Outcome, bus: Bus, binary: Path, root: Path):
        self.outcome, self.bus, self.binary, self.root = outcome, bus, binary, root

    def folder(self, name: str, topic: str, more: str = "", connection: str = "", address: str | None = None) -> Folder:
        text = settings(address or self.bus.broker.address, connection)
        return Folder(self.binary, self.root / name, text, {"s": source(topic, more)})

    def equal(self, what: str, found, expected) -> None:
        self.outcome.hold(what, [] if found == expected else [f"found {str(found)[:300]}, expected {str(expected)[:300]}"])

    def ingest(self, folder: Folder, what: str = "", *arguments: str, **more) -> None:
        done = folder.run("ingest", *arguments, **more)
        if done.returncode:
            self.outcome.hold(what or f"ingest of {folder.folder.name}", [tail(done.stderr + done.stdout)])

    def told(self, what: str, folder: Folder, *words: str, arguments: tuple[str, ...] = ("ingest",), variables=None) -> str:
        """A command that must fail and say these words."""
        done = folder.run(*arguments, variables=variables)
        said = done.stdout + done.stderr
        problems = [f"ended with {done.returncode}"] if done.returncode == 0 else []
        problems += [f"does not say `{word}`: {tail(said)}" for word in words if word not in said]
        self.outcome.hold(what, problems)
        return said

    def numbers(self, folder: Folder, table: str = "s.s") -> Counter:
        return Counter(int(row[0]) for row in folder.rows(f"select n from {table} where n is not null"))

    def whole(self, what: str, folder: Folder, count: int, first: int = 0) -> None:
        """Every number there, once."""
        found = self.numbers(folder)
        missing = [n for n in range(first, first + count) if n not in found]
        doubled = [n for n, times in found.items() if times > 1]
        other = [n for n in found if not first <= n < first + count]
        problems = [f"{len(some)} {kind}, such as {some[:3]}" for kind, some in
                    (("missing", missing), ("doubled", doubled), ("unexpected", other)) if some]
        self.outcome.hold(what, problems)


def numbered(first: int, count: int) -> list[dict]:
    return [{"n": n, "word": f"w{n}"} for n in range(first, first + count)]


def check_columns(test: Test) -> None:
    bus = test.bus
    bus.create("columns", 2)
    bus.write("columns", [{"n": 1, "deep": {"a": [1, 2]}}], 0, key="k1", headers=[("h", b"1"), ("h", None)], timestamp=1_500_000_000_000)
    bus.write("columns", [None], 1, key="k2")
    bus.write("columns", [{"n": 2}], 1, key=None)
    folder = test.folder("columns", "columns", "  headers: true\n")
    test.ingest(folder)
    rows = folder.rows("select n, _partition, _offset, _message_key, _tombstone, _timestamp from s.s order by _partition, _offset")
    test.equal("key, partition, offset and time are columns", rows[0][:5] + [rows[0][5][:19]], ["1", "0", "0", "k1", "false", "2017-07-14T02:40:00"])
    test.equal("K10 a tombstone is a row of nulls with its key", rows[1][:5], ["", "1", "0", "k2", "true"])
    test.equal("a message without a key has none", rows[2][:5], ["2", "1", "1", "", "false"])
    headers = folder.rows("select _message_headers[1]['name'], _message_headers[1]['value'], array_length(_message_headers) from s.s where n = 1")
    test.equal("headers are kept, also those of one name", headers, [["h", "1", "2"]])
    test.equal("nested values are columns", folder.rows("select deep['a'][2] from s.s where n = 1"), [["2"]])
    test.ingest(folder)
    test.equal("a second run adds nothing", folder.rows("select count(*) from s.s"), [["3"]])
    dropped = test.folder("dropped", "columns", "  tombstones: drop\n  key: none\n")
    test.ingest(dropped)
    test.equal("tombstones are dropped on request", dropped.rows("select count(*) from s.s"), [["2"]])


def check_starts(test: Test) -> None:
    test.bus.create("starts")
    test.bus.write("starts", numbered(0, 50), timestamp=1_600_000_000_000)
    test.bus.write("starts", numbered(50, 50), timestamp=1_700_000_000_000)
    for name, start, first in (("earliest", "earliest", 0), ("offset", "{offset: 70}", 70), ("time", "{timestamp: '2022-01-01T00:00:00Z'}", 50)):
        folder = test.folder(f"start-{name}", "starts", f"  start: {start}\n")
        test.ingest(folder)
        test.whole(f"a start at {name}", folder, 100 - first, first)
    text = test.folder("text", "starts", "  value: text\n")
    test.ingest(text)
    test.equal("text is kept as it is", text.rows("select line from s.s where _offset = 3"), [['{"n": 3, "word": "w3"}']])
    raw = test.folder("bytes", "starts", "  value: bytes\n  key: bytes\n")
    test.ingest(raw)
    test.equal("bytes are kept as they are", raw.rows("select cast(value as varchar) from s.s where _offset = 3"), [['{"n": 3, "word": "w3"}']])
    pattern = Folder(test.binary, test.root / "pattern", settings(test.bus.broker.address),
                     {"s": source("[]", "  pattern: 'start.|columns'\n")})
    test.ingest(pattern)
    test.equal("a pattern takes every topic that fits", pattern.rows("select _topic, count(*) from s.s group by 1 order by 1"), [["columns", "3"], ["starts", "100"]])


FIRST = {"type": "record", "name": "E", "fields": [{"name": "n", "type": "long"}, {"name": "word", "type": "string"}]}
SECOND = {"type": "record", "name": "E", "fields": [{"name": "n", "type": "long"}, {"name": "more", "type": ["null", "double"]}]}


def check_topics_made(test: Test) -> None:
    """Topics are listed before a broker leads them: whoever follows a pattern meets them then."""
    text = source("[]", "  pattern: 'made\\..*'\n  look_every: 10ms\n")
    test.bus.create("made.0")
    test.bus.write("made.0", numbered(0, 1))
    folder = Folder(test.binary, test.root / "made", settings(test.bus.broker.address), {"s": text})
    up = folder.start("up", "--port", "0")
    up.until("Listening on", 30)
    for number in range(1, 60):
        test.bus.create(f"made.{number}", 4)
        test.bus.write(f"made.{number}", numbered(number, 1), number % 4)
    done = until(lambda: folder_count(folder) == 60)
    up.kill()
    test.outcome.hold("topics that are being made do not stop a source", [] if done else [f"{folder_count(folder)} of 60; {tail(up.said())}"])
    test.whole("and each message of theirs is there once", folder, 60)


def check_avro(test: Test) -> None:
    test.bus.create("avro")
    one = lambda n: framed(1, avro_long(n) + avro_text(f"w{n}"))  # noqa: E731
    two = lambda n: framed(2, avro_long(n) + b"\0")  # noqa: E731
    bad = [framed(77, b""), b"{}", framed(1, b"\x02\x7f")]
    test.bus.write("avro", [one(n) for n in range(100)] + [two(n) for n in range(100, 200)] + bad)
    registry = Registry()
    registry.schemas = {1: {"schema": json.dumps(FIRST)}, 2: {"schema": json.dumps(SECOND)}}
    with registry:
        folder = test.folder("avro", "avro", "  value: avro\n", f"    registry: {{url: '{registry.url}'}}\n")
        registry.status = 500
        up = folder.start("up", "--port", "0")
        time.sleep(2)
        test.equal("K16 nothing is taken while the registry is ill", (folder.folder / ".headwater/lake/tables/s/s").exists(), False)
        registry.status = 200
        told = up.until("Listening on", 30) and until(lambda: folder_count(folder) == 200)
        test.outcome.hold("K16 it goes on when the registry is well", [] if told else [tail(up.said())])
        asked = registry.asked
        registry.status = 500
        test.bus.write("avro", [one(n) for n in range(200, 210)])
        test.outcome.hold("K16 a schema is asked for once", [] if until(lambda: folder_count(folder) == 210) and registry.asked == asked else [tail(up.said())])
        test.outcome.hold("K16 the trouble was told", [] if "registry answers with 500" in up.said() else [tail(up.said())])
        up.kill()
    test.whole("Avro of two versions", folder, 210)
    reasons = [row[0] for row in folder.rows("select reason from s.s_quarantine order by position")]
    expected = ["the registry has no schema 77", "record does not begin with the number of a schema", "a length of -64"]
    test.equal("K9 what does not read is set aside with its reason", reasons, expected)
    missing = test.folder("noregistry", "avro", "  value: avro\n")
    test.told("a registry that is not named is told", missing, "has no schema registry", arguments=("check",))


ORDER = """syntax = "proto3";
package shop;
import "shop/place.proto";
import "google/protobuf/timestamp.proto";
enum State { NEW = 0; PAID = 1; }
message Order {
  int64 n = 1; string word = 2; State state = 3; other.Place place = 4; repeated int32 sizes = 5; map<string, double> prices = 6;
  oneof pay { string card = 7; bool cash = 8; } optional int32 rating = 9; google.protobuf.Timestamp at = 10; Tree tree = 11;
  message Line { int64 n = 1; string sku = 2; }
}
message Tree { string name = 1; repeated Tree below = 2; }
"""
PLACE = 'syntax = "proto3"; package other; import "shop/country.proto"; message Place { string city = 1; Country country = 2; }'
COUNTRY = 'syntax = "proto3"; package other; enum Country { NONE = 0; DE = 49; }'
LATER = 'syntax = "proto3"; package shop; message Order { int64 n = 1; string word = 2; string note = 12; }'


def order(n: int) -> bytes:
    body = field(1, n) + field(2, f"w{n}") + field(3, n % 3) + field(4, field(1, "Ulm") + field(2, 49)) + field(5, bytes([1, 2, n % 100]))
    body += field(6, field(1, "a") + field(2, n / 4)) + (field(7, "visa") if n % 2 else field(8, 1)) + field(10, field(1, 1_700_000_000 + n))
    return body + field(11, field(1, "root") + field(2, field(1, "leaf") + field(2, field(1, "end"))))


def check_protobuf(test: Test) -> None:
    test.bus.create("protobuf")
    bad = [message(1, b"\x08"), message(9, b""), message(1, field(1, "text")), b"\0\0", message(1, b"", 7)]
    test.bus.write("protobuf", [message(1, order(n)) for n in range(100)] + [message(2, field(1, n) + field(12, "new")) for n in range(100, 150)] + bad)
    test.bus.write("protobuf", [message(1, field(1, 150) + field(2, "sku"), 0, 0), None])
    registry = Registry()
    registry.schemas = {
        1: {"schemaType": "PROTOBUF", "schema": ORDER, "references": [reference("shop/place.proto", "shop/place.proto", 3)]},
        2: {"schemaType": "PROTOBUF", "schema": LATER},
    }
    registry.versions = {
        ("shop/place.proto", 3): {"schemaType": "PROTOBUF", "schema": PLACE, "references": [reference("shop/country.proto", "country")]},
        ("country", 1): {"schemaType": "PROTOBUF", "schema": COUNTRY},
    }
    with registry:
        folder = test.folder("protobuf", "protobuf", "  value: protobuf\n", f"    registry: {{url: '{registry.url}'}}\n")
        test.ingest(folder)
        asked = registry.asked
        test.ingest(folder)
        test.equal("Protobuf: a second run reads nothing", registry.asked, asked)
    test.whole("Protobuf of two versions, with a schema that refers to others", folder, 151)
    row = folder.rows("select word, state, place['city'], place['country'], sizes[3], prices[1]['key'], prices[1]['value'], card, cash, rating, at, tree['name'], tree['below'][1] from s.s where n = 7")
    expected = ["w7", "PAID", "Ulm", "DE", "7", "a", "1.75", "visa", "", "", "2023-11-14T22:13:27", "root", '{"name":"leaf","below":[{"name":"end"}]}']
    test.equal("Protobuf: every kind of field has its column", row[0][:10] + [row[0][10][:19]] + row[0][11:], expected)
    test.equal("Protobuf: names that are not known are numbers", folder.rows("select state from s.s where n = 8"), [["2"]])
    test.equal("Protobuf: a version adds its columns, and lacks others", folder.rows("select note, card, word from s.s where n = 120"), [["new", "", ""]])
    test.equal("Protobuf: another message of the schema", folder.rows("select sku from s.s where n = 150"), [["sku"]])
    reasons = [row[0] for row in folder.rows("select reason from s.s_quarantine order by position")]
    expected = ["record ends inside a value", "the registry has no schema 9", "field `n` holds integers, found bytes after their length",
                "record does not begin with the number of a schema", "schema has no message at [7]"]
    test.equal("K9 Protobuf that does not read is set aside with its reason", reasons, expected)


MONEY = {"type": "record", "name": "Money", "namespace": "shop", "fields": [{"name": "cents", "type": "long"}]}
BILL = {"type": "record", "name": "Bill", "fields": [{"name": "n", "type": "long"}, {"name": "total", "type": "shop.Money"}, {"name": "state", "type": "State"}]}
STATE = {"type": "enum", "name": "State", "symbols": ["OPEN", "PAID"]}


def check_references(test: Test) -> None:
    test.bus.create("bills")
    test.bus.write("bills", [framed(1, avro_long(n) + avro_long(n * 100) + avro_long(n % 2)) for n in range(20)] + [framed(2, b"")])
    test.bus.create("described")
    test.bus.write("described", [framed(3, json.dumps({"n": n}).encode()) for n in range(20)] + [b"{}"])
    registry = Registry()
    registry.schemas = {
        1: {"schema": json.dumps(BILL), "references": [reference("shop.Money", "money"), reference("State", "state", 4)]},
        2: {"schema": json.dumps(BILL), "references": [reference("shop.Money", "nowhere", 2)]},
        3: {"schemaType": "JSON", "schema": '{"$ref": "money.json"}', "references": [reference("money.json", "money-json")]},
    }
    registry.versions = {("money", 1): {"schema": json.dumps(MONEY)}, ("state", 4): {"schema": json.dumps(STATE)}}
    with registry:
        connection = f"    registry: {{url: '{registry.url}/'}}\n"
        folder = test.folder("bills", "bills", "  value: avro\n", connection)
        test.ingest(folder)
        described = test.folder("described", "described", "  value: json_schema\n", connection)
        test.ingest(described)
    test.whole("Avro of a schema that refers to others", folder, 20)
    test.equal("types of other subjects are columns", folder.rows("select total['cents'], state from s.s where n = 3"), [["300", "PAID"]])
    reasons = folder.rows("select reason from s.s_quarantine")
    test.equal("a reference that is not there is told", reasons, [["schema 2 refers to `shop.Money`: the registry has no version 2 of subject `nowhere`"]])
    test.whole("JSON Schema, also with references", described, 20)
    test.equal("K9 JSON without its number is set aside", described.rows("select count(*) from s.s_quarantine"), [["1"]])


def check_compression(test: Test) -> None:
    for n, codec in enumerate(("none", "gzip", "snappy", "lz4", "zstd")):
        topic = f"packed-{codec}"
        # The broker packs what comes in another way again, so that the topic really has this one.
        test.bus.create(topic, 1, **({"compression_type": codec} if codec != "none" else {}))
        test.bus.write(topic, numbered(0, 5000), **{"compression.type": codec, "batch.num.messages": "1000"})
        folder = test.folder(topic, topic)
        test.ingest(folder)
        test.whole(f"a topic packed with {codec}", folder, 5000)
    test.bus.create("packed-mixed")
    for n, codec in enumerate(("gzip", "snappy", "lz4", "zstd", "none")):
        test.bus.write("packed-mixed", numbered(n * 100, 100), **{"compression.type": codec})
    mixed = test.folder("packed-mixed", "packed-mixed")
    test.ingest(mixed)
    test.whole("a topic whose batches are packed each in another way", mixed, 500)


def check_later(test: Test) -> None:
    """Starts and patterns while it runs."""
    test.bus.create("later.a")
    test.bus.write("later.a", numbered(0, 50))
    text = source("[]", "  pattern: 'later\\..*'\n  start: latest\n  look_every: 1s\n")
    folder = Folder(test.binary, test.root / "later", settings(test.bus.broker.address), {"s": text})
    up = folder.start("up", "--port", "0")
    up.until("Listening on", 30)
    time.sleep(2)
    test.bus.write("later.a", numbered(1000, 10))
    first = until(lambda: folder_count(folder) == 10)
    test.bus.create("later.b", 2)
    test.bus.write("later.b", numbered(1010, 10), 1)
    second = until(lambda: folder_count(folder) == 20)
    up.kill()
    test.outcome.hold("a start at latest takes what comes from then on", [] if first else [tail(up.said())])
    test.outcome.hold("a topic of a pattern that is made later is found", [] if second else [tail(up.said())])
    test.bus.write("later.a", numbered(1020, 10))
    test.ingest(folder)
    test.whole("and is read on from its position, not from latest", folder, 30, 1000)
    test.bus.create("ends")
    test.bus.write("ends", numbered(0, 10), timestamp=1_600_000_000_000)
    for name, start, count in (("past-the-end", "{offset: 500}", 0), ("before-the-first", "{offset: -5}", 10), ("late", "{timestamp: '2100-01-01T00:00:00Z'}", 0),
                               ("early", "{timestamp: '1971-01-01T00:00:00+01:00'}", 10)):
        other = test.folder(f"start-{name}", "ends", f"  start: {start}\n")
        test.ingest(other)
        test.equal(f"a start {name}", max(folder_count(other), 0), count)


def objects(folder: Folder, below: str) -> dict[str, bytes]:
    root = folder.folder / ".headwater" / "lake"
    return {str(path.relative_to(root)): path.read_bytes() for path in (root / below).rglob("*") if path.is_file()}


CONNECT = {
    "name": "web-clicks",
    "config": {
        "connector.class": "io.confluent.connect.s3.S3SinkConnector", "tasks.max": "2", "topics": "clicks", "s3.bucket.name": "lake",
        "flush.size": "40", "format.class": "io.confluent.connect.s3.format.json.JsonFormat",
        "partitioner.class": "io.confluent.connect.storage.partitioner.HourlyPartitioner", "timestamp.extractor": "Record",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false", "made.up": "1",
    },
}


def check_connect(test: Test) -> None:
    """What a configuration of Kafka Connect becomes, run."""
    test.bus.create("clicks", 2)
    for partition in range(2):
        test.bus.write("clicks", numbered(partition * 100, 60), partition, timestamp=1_700_049_600_000)
        test.bus.write("clicks", numbered(partition * 100 + 60, 40), partition, timestamp=1_700_053_200_000)
    test.bus.write("clicks", [None], 0)
    folder = Folder(test.binary, test.root / "connect", settings(test.bus.broker.address), {})
    (folder.folder / "connect.json").write_text(json.dumps(CONNECT))
    done = folder.run("import", "connect", str(folder.folder / "connect.json"))
    test.outcome.hold("a configuration of Connect is imported", [] if done.returncode == 0 and "sources/web_clicks.yml" in done.stdout else [tail(done.stderr + done.stdout)])
    missing = [key for key in ("tasks.max", "made.up", "It is not known here") if key not in done.stderr]
    test.outcome.hold("keys that have no place are told", [f"{missing} not told"] if missing else [])
    again = folder.run("import", "connect", str(folder.folder / "connect.json"))
    test.outcome.hold("a source that is there is not written over", [] if again.returncode == 2 and "is there already" in again.stderr else [tail(again.stderr)])
    shown = folder.run("import", "connect", str(folder.folder / "connect.json"), "--print")
    test.equal("it is printed on request", shown.stdout, (folder.folder / "sources" / "web_clicks.yml").read_text())
    checked = folder.run("check")
    test.outcome.hold("the source is sound", [] if checked.returncode == 0 else [tail(checked.stderr + checked.stdout)])
    test.ingest(folder)
    found = objects(folder, "topics")
    expected = {f"topics/clicks/year=2023/month=11/day=15/hour={hour}/clicks+{partition}+{offset:010}.json": numbered(partition * 100 + offset, count)
                for partition in range(2) for hour, offset, count in ((12, 0, 40), (12, 40, 20), (13, 60, 40))}
    test.equal("objects lie where the connector puts them", sorted(found), sorted(expected))
    lines = {path: [json.loads(line) for line in bytes.splitlines()] for path, bytes in found.items()}
    test.equal("and hold the values", lines, expected)
    test.equal("and the table has all of them", folder.rows("select count(*) from web_clicks.web_clicks where n is not null"), [["200"]])


def check_raw_files(test: Test) -> None:
    test.bus.create("kept")
    test.bus.write("kept", numbered(0, 30) + [b"no json"])
    raw = "  raw: {path: 'kept/{topic}/{partition}-{offset:6}.txt', compression: none, records: 25}\n"
    folder = test.folder("kept", "kept", raw)
    for point in ("dl.mid_stage", "dl.after_stage", "dl.commit_put_done_reply_lost"):
        folder.run("ingest", variables={"HEADWATER_FAULT": f"{point}=abort"})
    test.ingest(folder)
    test.bus.write("kept", numbered(31, 5))
    test.ingest(folder)
    found = objects(folder, "kept")
    test.equal("raw files are named by their first offsets", sorted(found), [f"kept/kept/0-{offset:06}.txt" for offset in (0, 25, 31)])
    lines = b"".join(found[path] for path in sorted(found)).splitlines()
    test.equal("and hold every value once, whatever it died of", lines, [json.dumps(value).encode() for value in numbered(0, 30)] + [b"no json"] + [json.dumps(value).encode() for value in numbered(31, 5)])
    for raw, words in (("{path: '{topic}/{offset}'}", "without `{partition}`"), ("{format: json_lines}\n  value: text", "needs values of `json`")):
        wrong = test.folder(f"kept-{len(words)}", "kept", f"  raw: {raw}\n")
        test.told(f"raw files that cannot be are told: {words}", wrong, words, arguments=("check",))


def folder_count(folder: Folder, table: str = "s.s") -> int:
    done = folder.run("query", f"select count(*) as n from {table} where n is not null", "--format", "json")
    return int(json.loads(done.stdout)[0]["n"]) if done.returncode == 0 else -1


def check_poison(test: Test) -> None:
    test.bus.create("poison", 2, max_message_bytes="33554432")
    big = b'{"n": 1, "long": "' + b"x" * (20 << 20) + b'"}'
    test.bus.write("poison", numbered(0, 10) + [b"{no json", b'{"n": "text"}', b"\xff\xfe\x00"], 0)
    test.bus.write("poison", [big], 1, **{"message.max.bytes": "33554432"})
    test.bus.write("poison", numbered(10, 10), 1)
    folder = test.folder("poison", "poison")
    test.ingest(folder)
    test.whole("K9 K11 the good ones are taken", folder, 20)
    rows = folder.rows("select partition, position, length, reason from s.s_quarantine order by 1, 2")
    test.equal("K9 the bad ones are set aside with partition and offset", [row[:2] for row in rows], [["0", "10"], ["0", "11"], ["0", "12"], ["1", "0"]])
    test.equal("K11 a message over the limit is set aside", (rows[3][2], "over the limit" in rows[3][3]), (str(len(big)), True))


def check_gaps(test: Test) -> None:
    test.bus.create("gap", 2)
    test.bus.write("gap", numbered(0, 100), 0)
    test.bus.write("gap", numbered(1000, 10), 1)
    folder = test.folder("gap", "gap")
    test.ingest(folder)
    test.bus.write("gap", numbered(100, 100), 0)
    test.bus.forget("gap", 150)
    test.told("K5 records that went before they were taken are told", folder, "are gone", "--restart")
    test.equal("K5 and nothing is taken meanwhile", folder.rows("select count(*) from s.s"), [["110"]])
    test.ingest(folder, "K5 a restart goes on with what is there", "--restart", "s")
    found = test.numbers(folder)
    expected = Counter([*range(100), *range(150, 200), *range(1000, 1010)])
    test.equal("K5 without reading anything twice", found, expected)


def check_replaced(test: Test) -> None:
    for name, before, after in (("shorter", 100, 20), ("longer", 100, 300), ("same", 100, 100)):
        topic = f"replaced-{name}"
        test.bus.create(topic)
        test.bus.write(topic, numbered(0, before))
        folder = test.folder(topic, topic)
        test.ingest(folder)
        test.bus.remove(topic)
        until(lambda: topic not in test.bus.admin.list_topics(timeout=60).topics)
        test.bus.create(topic)
        test.bus.write(topic, numbered(5000, after))
        words = "was already taken" if name == "shorter" else "holds another record"
        test.told(f"K6 a topic made anew, {name}, is told", folder, words)
        test.ingest(folder, f"K6 a restart takes it, {name}", "--restart", "s")
        test.equal(f"K6 and what it has comes in, {name}", test.numbers(folder), Counter([*range(before), *range(5000, 5000 + after)]))


def check_growth(test: Test) -> None:
    test.bus.create("growing", 3)
    for partition in range(3):
        test.bus.write("growing", numbered(partition * 100, 100), partition)
    folder = test.folder("growing", "growing", "  start: latest\n  look_every: 1s\n")
    up = folder.start("up", "--port", "0")
    up.until("Listening on", 30)
    time.sleep(1)
    test.bus.grow("growing", 6)
    for partition in range(3, 6):
        test.bus.write("growing", numbered(partition * 100, 100), partition)
    done = until(lambda: folder_count(folder) == 300)
    up.kill()
    test.outcome.hold("K7 partitions added later are read from their first message", [] if done else [f"{folder_count(folder)} rows; {tail(up.said())}"])
    test.whole("K7 each once, and a start at latest skips what was before", folder, 300, 300)


def check_transactions(test: Test) -> None:
    test.bus.create("txn")
    test.bus.transaction("txn", numbered(0, 100), "commit", "a")
    test.bus.transaction("txn", numbered(9000, 100), "abort", "b")
    test.bus.write("txn", numbered(100, 50))
    held = test.bus.transaction("txn", numbered(150, 50), "leave", "c")
    test.bus.write("txn", numbered(200, 50))
    folder = test.folder("txn", "txn")
    test.ingest(folder)
    test.whole("K8 aborted ones are passed over, and nothing behind an open one is read", folder, 150)
    held.commit_transaction(60)
    test.ingest(folder)
    test.whole("K8 what was open comes when it is committed", folder, 250)
    test.bus.transaction("txn", numbered(9100, 10), "abort", "b")
    test.ingest(folder)
    test.ingest(folder)
    test.whole("K8 marks of transactions are no gap", folder, 250)
    dirty = test.folder("dirty", "txn", "  read_committed: false\n")
    test.ingest(dirty)
    test.equal("uncommitted messages are read on request", dirty.rows("select count(*) from s.s where n >= 9000"), [["110"]])


def check_many_partitions(test: Test) -> None:
    test.bus.create("wide", 1000)
    producer = test.bus.producer()
    for partition in range(1000):
        producer.produce("wide", json.dumps({"n": partition}), partition=partition)
    producer.flush(60)
    text = source("wide").replace("500ms", "10m")
    folder = Folder(test.binary, test.root / "wide", settings(test.bus.broker.address), {"s": text})
    test.ingest(folder)
    test.whole("K12 a thousand partitions", folder, 1000)
    most = max(len(positions) for positions in commits(folder))
    test.equal("K12 and their positions in one commit", most, 1000)
    test.ingest(folder)
    test.whole("K12 and again nothing new", folder, 1000)


def commits(folder: Folder) -> list[dict[str, int]]:
    """Positions of each commit that has any, oldest first."""
    found = []
    for path in sorted(folder.table("s", "s").glob("_delta_log/*.json")):
        actions = [json.loads(line) for line in path.read_text().splitlines()]
        positions = {one["txn"]["appId"]: one["txn"]["version"] for one in actions if "txn" in one and one["txn"]["appId"].startswith("k/")}
        found += [positions] if positions else []
    return found


def check_order_and_times(test: Test) -> None:
    test.bus.create("hot", 1, message_timestamp_after_max_ms=str(2**63 - 1))
    test.bus.write("hot", numbered(0, 20_000), key="one")
    folder = test.folder("hot", "hot")
    test.ingest(folder)
    wrong = folder.rows("select count(*) from s.s where n <> _offset or _message_key <> 'one'")
    test.equal("K13 messages of one key keep their order", wrong, [["0"]])
    test.bus.write("hot", numbered(20_000, 1), timestamp=1)
    test.bus.write("hot", numbered(20_001, 1), timestamp=253_402_300_799_000)
    test.ingest(folder)
    times = [row[0][:19] for row in folder.rows("select _timestamp from s.s where n >= 20000 order by n")]
    test.equal("K14 times of 1970 and 9999 are kept", times, ["1970-01-01T00:00:00", "9999-12-31T23:59:59"])


def check_group(test: Test) -> None:
    test.bus.create("grouped")
    test.bus.write("grouped", numbered(0, 100))
    test.bus.set_group("headwater-s", "grouped", 90)
    folder = test.folder("grouped", "grouped")
    done = folder.run("ingest")
    test.whole("K17 a group that is ahead makes no difference", folder, 100)
    test.outcome.hold("K17 and is told", [] if "ahead of the lake" in done.stderr else [tail(done.stderr)])
    up = folder.start("up", "--port", "0")
    up.until("Listening on", 30)
    for n in range(4):
        member = test.bus.member("headwater-s", "grouped")
        member.poll(0.5)
        test.bus.write("grouped", numbered(100 + n * 100, 100))
        member.close()
    done = until(lambda: folder_count(folder) == 500)
    test.outcome.hold("K2 others who join and leave the group make no difference", [] if done else [tail(up.said())])
    test.outcome.hold("the group is told where the lake is", [] if until(lambda: test.bus.group("headwater-s", "grouped") == 500) else ["it is not"])
    up.kill()
    test.whole("K2 and every message is there once", folder, 500)


def check_coordinator(test: Test) -> None:
    """The group's coordinator goes while messages are taken: its topic is taken away, then the broker itself."""
    test.bus.create("coordinated", 2)
    test.bus.write("coordinated", numbered(0, 100))
    folder = test.folder("coordinated", "coordinated")
    up = folder.start("up", "--port", "0")
    up.until("Listening on", 30)
    first = until(lambda: test.bus.group("headwater-s", "coordinated") == 100)
    test.outcome.hold("K4 the group is told before", [] if first else [tail(up.said())])
    test.bus.remove("__consumer_offsets")
    for n in range(5):
        test.bus.write("coordinated", numbered(100 + n * 20, 20), n % 2)
    done = until(lambda: folder_count(folder) == 200)
    test.outcome.hold("K4 a coordinator that is gone makes no difference to what is taken", [] if done else [tail(up.said())])
    test.bus.broker.kill()
    test.bus.broker.start()
    test.bus.write("coordinated", numbered(200, 100))
    done = until(lambda: folder_count(folder) == 300)
    test.outcome.hold("K4 and it goes on with the next", [] if done else [tail(up.said())])
    told = until(lambda: test.bus.group("headwater-s", "coordinated") == sum(test.bus.ends("coordinated", 1)))
    test.outcome.hold("K4 which is told where the lake is", [] if told else [f"{test.bus.group('headwater-s', 'coordinated')} of {test.bus.ends('coordinated', 2)}"])
    up.kill()
    test.whole("K4 every message is there once", folder, 300)


def check_unreachable(test: Test) -> None:
    absent = test.folder("absent", "nowhere")
    test.told("an unknown topic is told", absent, "unknown topic `nowhere`")
    gone = test.folder("gone", "nowhere", address=f"127.0.0.1:{free_port()}")
    test.told("brokers that are not there are told", gone, "cannot reach the brokers", arguments=("connections", "test"))
    works = absent.run("connections", "test")
    test.outcome.hold("a connection that works says what is there", [] if works.returncode == 0 and "Kafka cluster" in works.stdout else [tail(works.stdout + works.stderr)])


def check_security(outcome: Outcome, binary: Path, root: Path) -> None:
    users = {"admin": "admin-" + CANARY, "reader": CANARY}
    with Broker(users, tls=True) as broker:
        secured = {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.username": "admin",
                   "sasl.password": users["admin"], "ssl.ca.location": str(broker.ca_file)}
        test = Test(outcome, Bus(broker, **secured), binary, root)
        test.bus.create("secret")
        test.bus.write("secret", numbered(0, 10))
        said = ""
        for mechanism in ("plain", "scram-sha-256"):
            sasl = f'    tls: verify\n    ca_file: {broker.ca_file}\n    sasl: {{mechanism: {mechanism}, user: reader, password: "${{PASSWORD}}"}}\n'
            folder = test.folder(f"sasl-{mechanism}", "secret", connection=sasl)
            test.ingest(folder, f"K15 {mechanism} over TLS", variables={"PASSWORD": CANARY})
            found = folder.run("query", "select count(*) from s.s", "--format", "csv", variables={"PASSWORD": CANARY})
            test.equal(f"K15 {mechanism} over TLS reads", found.stdout.split(), ["count(*)", "10"])
            began = time.monotonic()
            said += test.told(f"K15 a wrong password is told, {mechanism}", folder, "do not accept who we are", variables={"PASSWORD": "wrong-" + CANARY})
            test.outcome.hold(f"K15 and not tried for long, {mechanism}", [] if time.monotonic() - began < 30 else ["it took long"])
            said += folder.run("connections", "test", variables={"PASSWORD": CANARY}).stdout
        unknown = test.folder("tls", "secret", connection='    tls: verify\n    sasl: {mechanism: plain, user: reader, password: "${PASSWORD}"}\n')
        said += test.told("K15 a certificate nobody vouches for is told", unknown, "no encrypted connection", variables={"PASSWORD": CANARY})
        outcome.hold("K15 no secret is shown", ["it was"] if CANARY in said else [])


def check_other_cluster(test: Test) -> None:
    test.bus.create("twin")
    test.bus.write("twin", numbered(0, 100))
    folder = Folder(test.binary, test.root / "twin", settings('"${BUS}"'), {"s": source("twin")})
    test.ingest(folder, variables={"BUS": test.bus.broker.address})
    with Broker() as other:
        bus = Bus(other)
        bus.create("twin")
        bus.write("twin", numbered(0, 100))
        test.told("K18 another cluster behind the same name is told", folder, "another cluster", variables={"BUS": other.address})


def check_faults(test: Test) -> None:
    test.bus.create("faults", 2)
    for partition in range(2):
        test.bus.write("faults", numbered(partition * 500, 500), partition)
    folder = test.folder("faults", "faults")
    points = ("k.before_assign", "k.after_poll", "dl.mid_stage", "dl.commit_put_done_reply_lost", "dl.commit_done_before_upstream_ack",
              "k.after_lake_commit_before_group_commit")
    for n, point in enumerate(points):
        done = folder.run("ingest", variables={"HEADWATER_FAULT": f"{point}=abort"})
        reached = point in done.stderr and done.returncode != 0
        test.outcome.hold(f"{point} is reached", [] if reached else [tail(done.stderr)])
        test.ingest(folder)
        test.whole(f"{point} loses and doubles nothing", folder, 1000 + n * 100)
        test.bus.write("faults", numbered(1000 + n * 100, 100), n % 2)


def check_debezium(test: Test) -> None:
    test.bus.create("shop.orders")
    row = lambda n, state: {"id": n, "state": state}  # noqa: E731
    change = lambda op, before, after: {"op": op, "before": before, "after": after, "ts_ms": 1}  # noqa: E731
    events = [change("r", None, row(n, "new")) for n in range(100)]
    events += [change("u", row(n, "new"), row(n, "paid")) for n in range(0, 100, 2)]
    for n in range(0, 100, 10):
        events += [change("d", row(n, "paid"), None), None]
    test.bus.write("shop.orders", events)
    test.bus.write("shop.orders", [{"op": "d", "before": None, "after": None}, {"n": 1}])
    folder = test.folder("debezium", "shop.orders", "  envelope: {debezium: {key: id}}\n")
    test.ingest(folder)
    found = folder.rows("select state, count(*) from s.s group by 1 order by 1")
    test.equal("envelopes keep the table as its source is", found, [["new", "50"], ["paid", "40"]])
    test.bus.write("shop.orders", [change("u", row(1, "new"), row(1, "late")), change("d", row(3, "new"), None)])
    test.ingest(folder)
    found = folder.rows("select state, count(*) from s.s group by 1 order by 1")
    test.equal("and go on doing so", found, [["late", "1"], ["new", "48"], ["paid", "40"]])
    test.equal("what is no envelope is set aside", folder.rows("select count(*) from s.s_quarantine"), [["2"]])
    log = folder.rows("select _op, count(*) from s.s__changes group by 1 order by 1")
    test.equal("every change is in the log of changes", log, [["d", "11"], ["r", "100"], ["u", "51"]])
    test.equal("each once", folder.rows("select count(*), count(distinct _offset) from s.s__changes"), [["162", "162"]])
    last = folder.rows("select _op, id, state, _source_position, _source_time, _old_key from s.s__changes order by _offset desc limit 1")
    test.equal("a row that went is in the log as it was", last, [["d", "3", "new", "", "", ""]])
    found = {"before": {"id": 5, "state": "new"}, "after": {"id": 1005, "state": "moved"}, "op": "u", "source": {"lsn": 77, "ts_ms": 1_700_000_000_000}}
    test.bus.write("shop.orders", [found])
    test.ingest(folder)
    moved = folder.rows("select _op, id, state, _source_position, substr(cast(_source_time as varchar), 1, 19), _old_key from s.s__changes order by _offset desc limit 1")
    test.equal("the log says where, when, and which key was before", moved, [["u", "1005", "moved", "77", "2023-11-14T22:13:20", "[5]"]])
    test.equal("and the table has the row once", folder.rows("select count(*) from s.s where id in (5, 1005)"), [["1"]])
    for n, point in enumerate(("dl.mid_stage", "cdc.log_committed_before_current", "dl.commit_put_done_reply_lost", "dl.commit_done_before_upstream_ack", "cdc.log_committed_before_current")):
        test.bus.write("shop.orders", [change("c", None, row(2000 + n * 10 + more, "late")) for more in range(10)])
        done = folder.run("ingest", variables={"HEADWATER_FAULT": f"{point}=abort"})
        test.outcome.hold(f"{point} is reached with a log of changes", [] if point in done.stderr and done.returncode else [tail(done.stderr)])
        test.bus.write("shop.orders", [change("u", row(2000 + n * 10, "late"), row(2000 + n * 10, "later"))])
        test.ingest(folder)
        problems = folder.rows("select count(*), count(distinct _offset) from s.s__changes")
        test.equal(f"{point} loses and doubles no change", problems, [[str(163 + 11 * (n + 1))] * 2])
    test.equal("and the table is what the source is", folder.rows("select state, count(*) from s.s where id >= 2000 group by 1 order by 1"), [["late", "45"], ["later", "5"]])
    plain = test.folder("debezium-plain", "shop.orders", "  envelope: {debezium: {key: id, changes: false}}\n")
    test.ingest(plain)
    test.equal("without a log on request", plain.table("s", "s__changes").exists(), False)
    test.bus.remove("shop.orders")
    until(lambda: "shop.orders" not in test.bus.admin.list_topics(timeout=60).topics)
    test.bus.create("shop.orders")
    test.bus.write("shop.orders", [change("c", None, row(1, "anew"))])
    test.told("K6 a topic of changes that was made anew is told", folder, "was already taken")
    test.ingest(folder, "K6 a restart takes it", "--restart", "s")
    anew = folder.rows("select count(*) from s.s__changes where state = 'anew'")
    test.equal("K6 and its changes are in the log", anew, [["1"]])


SINK = "kind: kafka\nname: out\ntable: {table}\nsend: {send}\nto: {{connection: bus, topic: {topic}, partitions: 2, key: n}}\nevery: 200ms\n"


def check_sinks(test: Test) -> None:
    test.bus.create("inward")
    folder = test.folder("sinks", "inward")
    (folder.folder / "sinks").mkdir()
    (folder.folder / "sinks" / "out.yml").write_text(SINK.format(table="s.s", send="added", topic="outward"))
    sent = 0
    for fault in ("", "k.before_transaction_commit=abort", "k.after_transaction_commit=abort", ""):
        test.bus.write("inward", numbered(sent, 300))
        sent += 300
        test.ingest(folder)
        done = folder.run("export", variables={"HEADWATER_FAULT": fault} if fault else None)
        test.outcome.hold(f"an export {fault or 'without a fault'} ends as it should", [] if bool(done.returncode) == bool(fault) else [tail(done.stderr)])
    done = folder.run("export")
    test.outcome.hold("the last export ends", [] if done.returncode == 0 else [tail(done.stderr)])
    found = Counter(value["n"] for value in test.bus.read("outward", 2))
    test.equal("a sink sends every row once, whatever it died of", (len(found), found.total()), (sent, sent))
    (folder.folder / "sinks" / "out.yml").write_text(SINK.format(table="s.s", send="all", topic="whole"))
    for _ in range(2):
        folder.run("export")
    test.equal("a sink of whole versions sends each once", len(test.bus.read("whole", 2)), sent)


def check_files(test: Test) -> None:
    logs = sorted(EVENTS.glob("2018-11-*-events.json.gz")) if EVENTS.is_dir() else []
    if not logs:
        print(f"skipped: no daily logs in {EVENTS}")
        return
    lines = [line for log in logs for line in gzip.open(log, "rb").read().splitlines() if line.strip()]
    test.bus.create("site")
    test.bus.write("site", lines)
    bus = test.folder("site", "site", "  key: none\n")
    test.ingest(bus)
    files = Folder(test.binary, test.root / "site-files", "name: p\n", {"s": "kind: files\nname: s\nfrom: {path: data, include: ['*.json.gz'], settle_seconds: 0}\n"})
    (files.folder / "data").mkdir()
    for log in logs:
        shutil.copyfile(log, files.folder / "data" / log.name)
    test.ingest(files)
    described = {folder.folder.name: {row[0]: row[1] for row in folder.rows("select column_name, data_type from information_schema.columns where table_schema = 's' and table_name = 's'") if not row[0].startswith("_")}
                 for folder in (bus, files)}
    test.equal("files through Kafka get the columns files get", described["site"], described["site-files"])
    columns = ", ".join(f'"{name}"' for name in sorted(described["site"]))
    compare = [Counter(map(tuple, folder.rows(f"select {columns} from s.s"))) for folder in (bus, files)]
    test.equal("and the same rows", compare[0] == compare[1] and compare[0].total() == len(lines), True)


class Writing(threading.Thread):
    """Writes numbered messages for as long as it is told to, whatever becomes of the broker."""

    def __init__(self, bus: Bus, topic: str, partitions: int):
        super().__init__()
        self.bus, self.topic, self.partitions = bus, topic, partitions
        self.stopped, self.count, self.failed = threading.Event(), 0, []

    def run(self) -> None:
        producer = self.bus.producer(**{"message.timeout.ms": "120000"})
        noted = lambda error, _: self.failed.append(str(error)) if error else None  # noqa: E731
        while not self.stopped.is_set():
            for _ in range(200):
                message = json.dumps({"n": self.count, "word": "w" * 50})
                # While the broker is away its client's memory fills; it goes on when there is room again.
                while True:
                    try:
                        producer.produce(self.topic, message, partition=self.count % self.partitions, on_delivery=noted)
                        break
                    except BufferError:
                        producer.poll(0.1)
                self.count += 1
            producer.poll(0.05)
        if producer.flush(120):
            self.failed.append("not everything was delivered")


def check_kills(test: Test, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    test.bus.create("killed", 4)
    folder = test.folder("killed", "killed")
    writing = Writing(test.bus, "killed", 4)
    writing.start()
    try:
        for kill in range(kills):
            up = folder.start("up", "--port", "0")
            time.sleep(chance.uniform(0.1, 1.5))
            if kill % 5 == 4:
                test.bus.broker.kill()
                time.sleep(chance.uniform(0, 0.5))
                test.bus.broker.start()
                time.sleep(1)
            ended = up.process.poll()
            up.kill()
            if ended is not None:
                test.outcome.hold(f"kill {kill}", [f"it ended by itself with {ended}: {tail(up.said())}"])
    finally:
        writing.stopped.set()
        writing.join()
    test.outcome.hold("everything was written", writing.failed[:3])
    up = folder.start("up", "--port", "0")
    done = until(lambda: folder_count(folder) == writing.count, 90)
    test.outcome.hold("A1 K1 it catches up after the last kill", [] if done else [f"{folder_count(folder)} of {writing.count}: {tail(up.said())}"])
    up.kill()
    test.whole("A1 K1 every message is there once", folder, writing.count)
    problems, reached = [], {}
    for positions in commits(folder):
        for key, last in positions.items():
            if last <= reached.get(key, -1):
                problems.append(f"{key} was committed at {reached[key]} and then at {last}")
            reached[key] = last
    test.outcome.hold("each range of offsets is in one commit", problems[:3])
    wrong = folder.rows("select count(*) from (select _partition, _offset from s.s group by 1, 2 having count(*) > 1)")
    test.equal("no offset is there twice", wrong, [["0"]])


def main() -> int:
    options = parser(__doc__, kills=20, seed=1, only="").parse_args()
    if jars() is None:
        print("skipped: no Kafka to test with")
        return 0
    outcome = Outcome()
    with workplace() as root, Broker() as broker:
        test = Test(outcome, Bus(broker), options.binary, root)
        run_checks(
            [check_columns, check_starts, check_later, check_topics_made, check_avro, check_protobuf, check_references, check_compression, check_poison, check_gaps, check_replaced, check_growth, check_transactions,
             check_many_partitions, check_order_and_times, check_group, check_unreachable, check_other_cluster, check_faults,
             check_debezium, check_sinks, check_files, check_raw_files, check_connect, check_coordinator],
            options.only, test,
        )
        run_checks([check_security], options.only, outcome, options.binary, root)
        if options.kills:
            run_checks([check_kills], options.only, test, options.kills, options.seed)
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
