"""Records sent to a running process: what was answered with 2xx is in the lake, whatever died in between.

    senders.py --binary target/release/headwater [--kills 6] [--seed 1]

Numbers such as H5 are those of the faults in docs/sources.md.
"""

import gzip
import hashlib
import hmac
import io
import json
import random
import re
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

import pyarrow as pa  # noqa: E402
from lakes import Folder  # noqa: E402
from project import Outcome  # noqa: E402
from script import parser, workplace  # noqa: E402

SOURCES = {
    "hooks": "kind: push\nname: hooks\nfrom: {max_body: 1 MiB}\nrotate: {every: 300ms}\n",
    "tables": "kind: push\nname: tables\nfrom: {max_body: 1 MiB}\nrotate: {every: 300ms}\n",
    "sheets": "kind: push\nname: sheets\nfrom: {max_body: 1 MiB, csv: {delimiter: ';', types: {id: integer, price: number}}}\nrotate: {every: 300ms}\n",
    "corpus": "kind: push\nname: corpus\nfrom: {max_body: 80 MiB}\nrotate: {every: 300ms}\n",
    "drift": "kind: push\nname: drift\nfrom: {max_body: 8 MiB}\nrotate: {every: 300ms}\n",
    "guarded": 'kind: push\nname: guarded\nfrom: {token: "${PUSH_TOKEN}"}\nrotate: {every: 300ms}\n',
    "signed": 'kind: push\nname: signed\nfrom: {signature: {secret: "${PUSH_SECRET}", timestamp_header: X-Time}}\nrotate: {every: 300ms}\n',
}
VARIABLES = {"PUSH_TOKEN": "canary-token-3", "PUSH_SECRET": "canary-secret-4"}


class Server:
    def __init__(self, folder: Folder):
        self.folder = folder
        self.started = folder.start("up", "--port", "0", variables=VARIABLES)
        if not self.started.until("Listening on ", 30):
            raise RuntimeError(self.started.said()[-600:])
        self.url = re.search(r"Listening on (http://\S+)", self.started.said()).group(1)

    def send(self, source: str, body: bytes, headers: dict[str, str] | None = None, timeout: float = 10) -> tuple[int, dict]:
        request = urllib.request.Request(f"{self.url}/ingest/{source}", data=body, method="POST")
        for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.loads(refusal.read() or b"{}")

    def stop(self) -> int:
        self.started.process.terminate()
        return self.started.process.wait(60)


def wait_for(folder: Folder, sql: str, expected: list[list[str]], seconds: float = 20) -> list[str]:
    end, found = time.monotonic() + seconds, None
    while time.monotonic() < end:
        try:
            found = folder.rows(sql)
        except RuntimeError as error:
            found = str(error)
        if found == expected:
            return []
        time.sleep(0.2)
    return [f"{found}, {expected} expected"]


def check_bodies(outcome: Outcome, server: Server) -> None:
    folder = server.folder
    ndjson = {"Content-Type": "application/x-ndjson"}
    expect = lambda what, found, status: outcome.hold(what, [] if found[0] == status else [str(found)])  # noqa: E731
    expect("one record", server.send("hooks", b'{"id": 1, "word": "a"}'), 200)
    expect("a list", server.send("hooks", b'[{"id": 2}, {"id": 3}]'), 200)
    expect("lines", server.send("hooks", b'{"id": 4}\nbroken\n{"id": 5}\n', ndjson), 200)
    expect("packed", server.send("hooks", gzip.compress(b'{"id": 6}'), {"Content-Encoding": "gzip"}), 200)
    expect("nothing", server.send("hooks", b"[]"), 200)
    outcome.hold("all arrive", wait_for(folder, "select count(*), sum(id) from hooks.hooks", [["6", "21"]]))
    outcome.hold("the bad line is set aside", wait_for(folder, "select count(*) from hooks.hooks_quarantine", [["1"]]))
    expect("half a body", server.send("hooks", b'{"id": '), 400)
    expect("H11 another type", server.send("hooks", b"a,b", {"Content-Type": "application/avro"}), 415)
    expect("another packing", server.send("hooks", b"x", {"Content-Encoding": "br"}), 415)
    expect("H3 a packing inside another", server.send("hooks", gzip.compress(gzip.compress(b"{}")), {"Content-Encoding": "gzip"}), 400)
    expect("H1 too large", server.send("hooks", b'"' + b"x" * (1 << 20) + b'"'), 413)
    expect("H3 a bomb", server.send("hooks", gzip.compress(b" " * (200 << 20)), {"Content-Encoding": "gzip"}), 413)
    expect("an unknown source", server.send("none", b"{}"), 404)


CSV = {"Content-Type": "text/csv"}
NDJSON = {"Content-Type": "application/x-ndjson"}
ARROW = {"Content-Type": "application/vnd.apache.arrow.stream"}


def arrow_stream(table: pa.Table, **options) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=1000)
    return sink.getvalue()


def check_tables(outcome: Outcome, server: Server) -> None:
    """Rows of CSV and Arrow, plain and packed."""
    folder = server.folder
    expect = lambda what, found, status: outcome.hold(what, [] if found[0] == status else [str(found)])  # noqa: E731
    expect("CSV", server.send("tables", b'id,word\r\n007,"a ""b""\nc"\r\n8,\r\n', CSV), 200)
    expect("packed CSV", server.send("tables", gzip.compress(b"id,word\n9,=cmd|' /C calc'!A0\n"), CSV | {"Content-Encoding": "gzip"}), 200)
    zstd = pa.Codec("zstd").compress(b"id,word\n10,z\n", asbytes=True)
    expect("CSV packed with zstd", server.send("tables", zstd, CSV | {"Content-Encoding": "zstd"}), 200)
    expect("CSV that says its delimiter", server.send("tables", b"id;word\n11;a,b\n", {"Content-Type": 'text/csv; delimiter=";"'}), 200)
    rows = [["007", 'a "b"\nc'], ["10", "z"], ["11", "a,b"], ["8", ""], ["9", "=cmd|' /C calc'!A0"]]
    outcome.hold("H12 rows are text as it was sent", wait_for(folder, "select id, word from tables.tables order by id", rows))
    expect("CSV as the source says", server.send("sheets", b"id;price;paid\n1;1.50;x\n2;;\nthree;1;\n", CSV), 200)
    outcome.hold("and typed as it says", wait_for(folder, "select id, price, paid from sheets.sheets order by id", [["1", "1.5", "x"], ["2", "", ""]]))
    outcome.hold("a value of another type is set aside with its line", wait_for(folder, "select reason, record from sheets.sheets_quarantine", [["line 4: field `id` is no integer: three", "three;1;"]]))
    table = pa.table({
        "id": pa.array([1, 2, None], pa.int64()),
        "ratio": pa.array([0.5, None, 1e300]),
        "amount": pa.array([None, "12345678901234567890.1234", "1.0000"]).cast(pa.decimal128(38, 4)),
        "at": pa.array([0, 1_700_000_000_123_456, None], pa.timestamp("us", "UTC")),
        "tags": pa.array([["a", "b"], [], None]),
        "kind": pa.array(["x", "y", "x"]).dictionary_encode(),
        "inner": pa.array([{"n": 1}, {"n": 2}, None]),
        "raw": pa.array([b"\x00\xff", None, b""]),
    })
    expect("Arrow", server.send("drift", arrow_stream(table), ARROW), 200)
    expect("packed Arrow", server.send("drift", pa.Codec("zstd").compress(arrow_stream(table), asbytes=True), ARROW | {"Content-Encoding": "zstd"}), 200)
    expected = [["1", "0.5", "", "1970-01-01T00:00:00Z", "2", "x", "1", "00ff"], ["2", "", "12345678901234567890.1234", "2023-11-14T22:13:20.123456Z", "0", "y", "2", ""],
                ["", "1e300", "1.0000", "", "", "x", "", ""]]
    sql = "select id, ratio, amount, at, array_length(tags), kind, inner['n'], raw from drift.drift where kind is not null order by id nulls last, _offset"
    problems = wait_for(folder, "select count(*) from drift.drift", [["6"]])
    found = [row for row in folder.rows(sql)] if not problems else []
    outcome.hold("Arrow's rows mean what they meant", problems or ([] if found[::2] == found[1::2] and [row[:1] + row[2:] for row in found[::2]] == [row[:1] + row[2:] for row in expected] else [str(found)]))
    expect("a column that no number has", server.send("drift", arrow_stream(pa.table({"ratio": [float("nan"), 2.0]})), ARROW), 200)
    outcome.hold("goes to quarantine, its neighbour to the table", wait_for(folder, "select count(*) from drift.drift_quarantine", [["1"]]))
    refused = {
        "Arrow with packed buffers": arrow_stream(table, compression="zstd"),
        "half an Arrow stream": arrow_stream(table)[:-100],
        "Arrow with a name twice": arrow_stream(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])),
        "Arrow with a reserved name": arrow_stream(pa.table({"_offset": [1]})),
        "Arrow with a map": arrow_stream(pa.table({"m": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))})),
    }
    for what, body in refused.items():
        expect(what, server.send("drift", body, ARROW), 400)
    grown = pa.table({"d": pa.array(["x" * 200_000] * 200).dictionary_encode()})
    expect("H3 Arrow that grows too large", server.send("drift", arrow_stream(grown), ARROW), 413)


def json_corpus() -> list[tuple[str, bytes, bool]]:
    """(name, line, whether it is a record)."""
    deep = b"[" * 100_000 + b"]" * 100_000
    return [
        ("depth", b'{"deep": ' + deep + b"}", False),
        ("too large a number", b'{"n": 1e400}', False),
        ("NaN", b'{"n": NaN}', False),
        ("Infinity", b'{"n": -Infinity}', False),
        ("a key twice", b'{"id": 1, "id": 2}', False),
        ("a lone surrogate", b'{"t": "\\ud800"}', False),
        ("a pair of surrogates", b'{"t": "\\ud83d\\ude00", "id": 101}', True),
        ("an escaped NUL", b'{"t": "a\\u0000b", "id": 102}', True),
        ("a bare NUL", b'{"t": "a\x00b"}', False),
        ("a mark of byte order", b'\xef\xbb\xbf{"id": 103}', True),
        ("UTF-16", '{"id": 1}'.encode("utf-16"), False),
        ("Latin-1", '{"t": "ü"}'.encode("latin-1"), False),
        ("a trailing comma", b'{"id": 1,}', False),
        ("single quotes", b"{'id': 1}", False),
        ("a comment", b'{"id": 1} // yes', False),
        ("two records", b'{"id": 1} {"id": 2}', False),
        ("a number with zeros", b'{"id": 007}', False),
        ("a plus", b'{"id": +1}', False),
        ("hexadecimal", b'{"id": 0x1}', False),
        ("a half string", b'{"t": "half', False),
        ("a bare word", b"id", False),
        ("a list", b"[1, 2]", False),
        ("nothing", b"null", False),
        ("a control character", b'{"t": "a\x01"}', False),
        ("a reserved name", b'{"_offset": 1}', False),
        ("what sets aside", b"\x00mine\x00{}", False),
        ("a million keys", b"{" + b",".join(b'"k%d": null' % n for n in range(300_000)) + b', "id": 104}', True),
        ("a torn last line", b'{"id": 105', False),
    ]


CSV_CORPUS = [
    ("an unclosed quote", b'id,t\n201,"open\n202,x\n', 1, 1),
    ("mixed line ends", b"id,t\r\n203,x\n204,y\r\n\n205,z", 3, 0),
    ("ragged rows", b"id,t\n206\n207,x,y\n208,x\n", 1, 2),
    ("the header again", b"id,t\n209,x\nid,t\n", 1, 1),
    ("a NUL", b"id,t\n210,a\x00\n211,x\n", 1, 1),
    ("Latin-1", "id,t\n212,ü\n213,x\n".encode("latin-1"), 1, 1),
    ("text after a quote", b'id,t\n214,"a"b\n215,x\n', 1, 1),
    ("a mark of byte order", b"\xef\xbb\xbfid,t\n216,x\n", 1, 0),
    ("a line that is long", b"id,t\n217," + b"x" * (4 << 20) + b"\n218,x\n", 2, 0),
]
CSV_REFUSED = {
    "10,000 columns": ",".join(f"c{n}" for n in range(10_000)).encode() + b"\n",
    "a header with a name twice": b"a,a\n1,2\n",
    "a header with no name": b"a,\n1,2\n",
    "another delimiter": b"id;t\n1;2\n",
    "bare carriage returns": b"id,t\r1,2\r",
    "an unclosed header": b'"id,t\n1,2\n',
    "UTF-16": "id,t\n1,2\n".encode("utf-16"),
}


def check_corpus(outcome: Outcome, server: Server) -> None:
    """H8 and H9: what is no record goes to quarantine with its reason, and its neighbours to the table."""
    folder, good, bad = server.folder, 1, 0
    server.send("corpus", b'{"id": 100, "n": 1.5, "t": "first"}')
    for name, line, is_record in json_corpus():
        status, said = server.send("corpus", line, NDJSON, timeout=60)
        good, bad = good + is_record, bad + (not is_record)
        outcome.hold(f"H8 {name} is taken as it is", [] if status == 200 else [f"{status} {str(said)[:200]}"])
    outcome.hold("H8 records are told from what is none", wait_for(folder, "select count(*) from corpus.corpus", [[str(good)]])
                 + wait_for(folder, "select count(*) from corpus.corpus_quarantine where reason <> ''", [[str(bad)]]))
    rows = folder.rows("select id from corpus.corpus where id is not null order by id")
    outcome.hold("H8 and they are those", [] if rows == [[str(n)] for n in range(100, 105)] else [str(rows)])
    outcome.hold("H8 a NUL that is written out is kept", [] if folder.rows("select length(t) from corpus.corpus where id = 102") == [["3"]] else ["it is not"])
    whole, rejected = int(folder.rows("select count(*) from tables.tables")[0][0]), 0
    for name, body, taken, set_aside in CSV_CORPUS:
        status, said = server.send("tables", body.replace(b"id,t", b"id,word", 2), CSV)
        fits = len(body) < 1 << 20
        whole, rejected = whole + taken * fits, rejected + set_aside * fits
        outcome.hold(f"H9 {name}", [] if status == (200 if fits else 413) else [f"{status} {said}"])
    outcome.hold("H9 rows are told from what is none", wait_for(folder, "select count(*) from tables.tables", [[str(whole)]])
                 + wait_for(folder, "select count(*) from tables.tables_quarantine where reason like 'line %'", [[str(rejected)]]))
    for name, body in CSV_REFUSED.items():
        status, said = server.send("tables", body, CSV)
        outcome.hold(f"H9 {name} is refused", [] if status == 400 and said["error"].get("detail") else [f"{status} {said}"])


def check_bytes(outcome: Outcome, server: Server, seed: int) -> None:
    """H10: an Arrow stream with wrong bytes is answered, whatever they are."""
    good = arrow_stream(pa.table({"id": [1, 2], "word": ["a", "b"], "list": [[1], [2, 3]]}))
    dice, statuses = random.Random(seed), set()
    for _ in range(300):
        body = bytearray(good)
        for _ in range(dice.choice([1, 1, 2, 8])):
            body[dice.randrange(len(body))] ^= 1 << dice.randrange(8)
        statuses.add(server.send("corpus", bytes(body[: dice.choice([len(body), dice.randrange(len(body))])]), ARROW)[0])
    outcome.hold("H10 wrong bytes are answered", [] if statuses <= {200, 400, 413} and 400 in statuses else [str(statuses)])
    outcome.hold("H10 and the process lives", [] if server.send("corpus", b"[]")[0] == 200 else ["it does not"])


def check_drift(outcome: Outcome, server: Server) -> None:
    """H15: types that change and columns without end."""
    folder = server.folder
    before = [int(folder.rows(f"select count(*) from drift.{table}")[0][0]) for table in ("drift", "drift_quarantine")]
    for body in (b'{"id": 1000}', b'{"id": "text"}', b'{"id": {"a": 1}}', b'{"id": 1001, "more": true}'):
        server.send("drift", body)
    wide = json.dumps({f"x{n}": n for n in range(5_000)}).encode()
    outcome.hold("H15 5,000 columns are answered", [] if server.send("drift", wide)[0] == 200 else ["they are not"])
    server.send("drift", b'{"id": 1002, "more": false}')
    outcome.hold("H15 what fits is taken", wait_for(folder, "select count(*), count(more) from drift.drift", [[str(before[0] + 3), "2"]]))
    outcome.hold("H15 what does not is set aside", wait_for(folder, "select count(*) from drift.drift_quarantine", [[str(before[1] + 3)]]))
    reasons = [row[0] for row in folder.rows("select reason from drift.drift_quarantine order by position")][-3:]
    told = ["holds integers, found text" in reasons[0], "found an object" in reasons[1], "has no column" in reasons[2]]
    outcome.hold("H15 with its reason", [] if all(told) else [str(reasons)])


def raw(server: Server, data: bytes, timeout: float = 20, then: bytes = b"") -> bytes:
    """What comes back for these bytes until the connection ends or is quiet."""
    host, port = server.url.removeprefix("http://").split(":")
    found = b""
    with socket.create_connection((host, int(port)), timeout=timeout) as connection:
        try:
            connection.sendall(data)
            if then:
                connection.sendall(then)
            while chunk := connection.recv(65536):
                found += chunk
                if b"\r\n\r\n" in found and not then:
                    break
        except OSError:
            pass
    return found


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0


def check_requests(outcome: Outcome, server: Server) -> None:
    """H1, H4: bodies and heads that say one thing and are another."""
    post = b"POST /ingest/hooks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    cases = {
        "H1 a length over the limit is refused before the body": (post + b"Content-Length: 104857600\r\n\r\n", 413),
        "H1 chunks over the limit": (post + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 20, 413),
        "H4 a length and chunks": (post + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", (200, 400)),
        "H4 two lengths": (post + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x", 400),
        "H4 a length that is no number": (post + b"Content-Length: +2\r\n\r\n{}", 400),
        "H4 a chunk without a size": (post + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", 400),
        "H4 a chunk larger than any": (post + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n", 400),
        "H4 a head of 600 KB": (post + b"X-Long: " + b"x" * 600_000 + b"\r\n\r\n", (400, 431)),
        "H4 10,000 headers": (post + b"".join(b"X-%d: 1\r\n" % n for n in range(10_000)) + b"\r\n", (400, 431)),
        "H4 HTTP/2 by itself": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (0, 400)),
    }
    for what, (data, status) in cases.items():
        found = status_of(raw(server, data))
        outcome.hold(what, [] if found in (status if isinstance(status, tuple) else (status,)) else [str(found)])
    # What follows a body that was cut short must never be taken for a request of its own.
    inner = b"POST /ingest/hooks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 12\r\n\r\n{\"id\": 666}"
    raw(server, post + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n", then=inner)
    raw(server, post + b"Content-Length: 104857600\r\n\r\n", then=inner)
    outcome.hold("H1 the process serves on", [] if server.send("hooks", b'{"id": 667}')[0] == 200 else ["it does not"])
    outcome.hold("H4 nothing was taken for a request that was none", wait_for(server.folder, "select id from hooks.hooks where id in (666, 667)", [["667"]]))


def check_half(outcome: Outcome, server: Server) -> None:
    """H6: a client that dies before it reads its answer."""
    body = b'[{"id": 300}, {"id": 301}]'
    head = b"POST /ingest/hooks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nIdempotency-Key: dies\r\nContent-Length: %d\r\n\r\n"
    host, port = server.url.removeprefix("http://").split(":")
    for _ in range(5):
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(head % len(body) + body)
    status, end = 0, time.monotonic() + 60
    while status != 200 and time.monotonic() < end:
        status, _ = server.send("hooks", body, {"Idempotency-Key": "dies"})
        time.sleep(0.05)
    outcome.hold("H6 it is there once, and answered when it comes again", [] if status == 200 else [str(status)])
    outcome.hold("H6 once in the lake", wait_for(server.folder, "select count(*) from hooks.hooks where id in (300, 301)", [["2"]]))


class Slow:
    """H2: clients that send a byte now and then, or nothing."""

    def __init__(self, server: Server, count: int):
        host, port = server.url.removeprefix("http://").split(":")
        self.sockets = []
        for number in range(count):
            connection = socket.create_connection((host, int(port)), timeout=60)
            if number % 3:
                connection.sendall(b"POST /ingest/hooks HTTP/1.1\r\nHost: localhost\r\n")
            if number % 3 == 2:
                connection.sendall(b"Content-Length: 1000\r\n\r\n{")
            self.sockets.append(connection)

    def check(self, outcome: Outcome, server: Server) -> None:
        for connection in self.sockets[::7]:
            try:
                connection.sendall(b" ")
            except OSError:
                pass
        statuses = {server.send("hooks", b'{"id": 400}', {"Idempotency-Key": f"beside-{n}"})[0] for n in range(20)}
        outcome.hold(f"H2 others are served beside {len(self.sockets)} slow ones", [] if statuses == {200} else [str(statuses)])
        for connection in self.sockets:
            connection.close()


def check_keys(outcome: Outcome, server: Server) -> None:
    key = {"Idempotency-Key": "k-1"}
    first = server.send("hooks", b'[{"id": 100}, {"id": 101}]', key)
    again = server.send("hooks", b'[{"id": 100}, {"id": 101}]', key)
    other = server.send("hooks", b'[{"id": 102}]', key)
    outcome.hold("the same request gets the same answer", [] if first == again and first[0] == 200 else [f"{first} {again}"])
    outcome.hold("another body under the key is refused", [] if other[0] == 422 else [str(other)])
    outcome.hold("and it is there once", wait_for(server.folder, "select count(*) from hooks.hooks where id in (100, 101)", [["2"]]))


def check_proofs(outcome: Outcome, server: Server) -> None:
    def signed(body: bytes, at: float, secret: str = VARIABLES["PUSH_SECRET"]) -> dict[str, str]:
        digest = hmac.new(secret.encode(), f"{int(at)}.".encode() + body, hashlib.sha256).hexdigest()
        return {"X-Time": str(int(at)), "X-Hub-Signature-256": f"sha256={digest}"}

    body, now = b'{"id": 1}', time.time()
    cases = [
        ("the right token", "guarded", {"Authorization": f"Bearer {VARIABLES['PUSH_TOKEN']}"}, 200),
        ("a wrong token", "guarded", {"Authorization": "Bearer canary-token-4"}, 401),
        ("no token", "guarded", {}, 401),
        ("the right signature", "signed", signed(body, now), 200),
        ("another secret", "signed", signed(body, now, "other"), 401),
        ("another body", "signed", signed(b'{"id": 2}', now), 401),
        ("an old request", "signed", signed(body, now - 400), 401),
        ("a future request", "signed", signed(body, now + 400), 401),
        ("no signature", "signed", {}, 401),
    ]
    for what, source, headers, status in cases:
        found = server.send(source, body, headers)
        outcome.hold(what, [] if found[0] == status else [str(found)])
    said = server.started.said()
    shown = [secret for secret in VARIABLES.values() if secret in said]
    outcome.hold("no secret is shown", shown)


def check_kills(outcome: Outcome, binary: Path, folder: Path, kills: int, seed: int) -> None:
    """Senders repeat a request, with its key, until it is answered; each of its records must be there once."""
    project = Folder(binary, folder, "name: p\n", {"hooks": SOURCES["hooks"]})
    dice, acknowledged, lock, over = random.Random(seed), set(), threading.Lock(), threading.Event()
    holder = {"server": Server(project)}

    def sender(number: int) -> None:
        count = 0
        while not over.is_set():
            count += 1
            size = random.Random(f"{number}/{count}").choice([1, 3, 2000])
            ids = [number * 10_000_000 + count * 2_000 + n for n in range(size)]
            body = json.dumps([{"id": one, "pad": "x" * 600} for one in ids]).encode()
            while True:
                try:
                    status, _ = holder["server"].send("hooks", body, {"Idempotency-Key": f"{number}-{count}"})
                except (OSError, ValueError):
                    status = 0
                if status == 200:
                    with lock:
                        acknowledged.update(ids)
                    break
                if over.is_set() and status == 0:
                    return
                time.sleep(0.02)

    project_limit = (folder / "sources" / "hooks.yml").read_text().replace("1 MiB", "4 MiB")
    (folder / "sources" / "hooks.yml").write_text(project_limit)
    holder["server"].started.kill()
    holder["server"] = Server(project)
    threads = [threading.Thread(target=sender, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(kills):
        time.sleep(dice.uniform(0.1, 1.5))
        holder["server"].started.kill()
        holder["server"] = Server(project)
    time.sleep(0.5)
    over.set()
    for thread in threads:
        thread.join(60)
    outcome.hold("a polite stop", [] if holder["server"].stop() == 0 else ["it was not"])
    project.run("ingest")
    found = [int(row[0]) for row in project.rows("select id from hooks.hooks")]
    missing, twice = acknowledged - set(found), len(found) - len(set(found))
    outcome.hold(f"what was answered is there after {kills} kills", [f"{len(missing)} of {len(acknowledged)} missing"] if missing else [])
    outcome.hold("and there once", [f"{twice} of {len(found)} are there twice"] if twice else [])
    print(f"{len(acknowledged)} records answered, {len(found)} in the lake", flush=True)


def main() -> int:
    options = parser(__doc__, kills=6, seed=1).parse_args()
    outcome = Outcome()
    with workplace() as root:
        server = Server(Folder(options.binary, root / "p", "name: p\n", SOURCES))
        try:
            slow = Slow(server, 600)
            check_bodies(outcome, server)
            check_tables(outcome, server)
            check_corpus(outcome, server)
            check_bytes(outcome, server, options.seed)
            check_drift(outcome, server)
            check_requests(outcome, server)
            check_half(outcome, server)
            slow.check(outcome, server)
            check_keys(outcome, server)
            check_proofs(outcome, server)
            outcome.hold("a polite stop", [] if server.stop() == 0 else [server.started.said()[-300:]])
            server = Server(server.folder)
            again = server.send("hooks", b'[{"id": 100}, {"id": 101}]', {"Idempotency-Key": "k-1"})
            outcome.hold("a key is known after a restart", [] if again[0] == 200 else [str(again)])
            outcome.hold("and nothing comes twice", wait_for(server.folder, "select count(*) from hooks.hooks where id in (100, 101)", [["2"]]))
        finally:
            server.started.kill()
        check_kills(outcome, options.binary, root / "kills", options.kills, options.seed)
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
