#!/usr/bin/env python3
"""Files in an object store and at addresses of the web, while requests for them fail.

    python stores.py --binary PATH [--objects 1100] [--seed 1] [--keep FOLDER]

The store is the one of `tests/s3`: moto behind a proxy that cuts answers off, loses them, or asks to slow down. The web server is
this script: bodies that end early, 503, another version in the middle of a body, no tags, nothing there. What is in the lake in
the end must be what the files hold, each once.

Prints `N passed, M failed` last; exits 1 when anything failed. Needs the packages moto[server] and pyarrow.
"""

import email.utils
import gzip
import hashlib
import io
import json
import sys
import urllib.parse
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE / "harness"), str(HERE / "s3")]

from faulty_store import BUCKET, KEYS, Faults, FaultyStore, faulty_store  # noqa: E402
from lakes import Folder  # noqa: E402
from project import Outcome  # noqa: E402
from script import parser, workplace  # noqa: E402
from web import Handler, Server  # noqa: E402

SECRET = "canary-4711"


def lines(ids) -> bytes:
    return b"".join(json.dumps({"id": n, "word": f"w{n}"}).encode() + b"\n" for n in ids)


def parquet(ids) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"id": list(ids)}), out, row_group_size=500)
    return out.getvalue()


class Web(Server):
    """Files by path; `trouble` maps a path to what happens to its requests, one after the other."""

    def __init__(self):
        super().__init__(File)
        self.files: dict[str, bytes] = {}
        self.tagless: set[str] = set()
        self.trouble: dict[str, list] = {}
        self.needs: dict[str, str] = {}
        self.asked: Counter = Counter()


class File(Handler):
    def do_GET(self):
        path = self.path.split("?")[0]
        server: Web = self.server
        server.asked[f"{self.command} {path}"] += 1
        if server.needs.get(path, "") not in (self.headers.get("Authorization", ""), self.path.partition("?")[2]):
            return self.answer(status=403)
        trouble = server.trouble.get(path, [])
        event = trouble.pop(0) if trouble and self.command == "GET" else None
        if isinstance(event, int):
            return self.answer(status=event)
        data = server.files.get(path)
        if data is None:
            return self.answer(status=404)
        tag = '"' + hashlib.sha256(data).hexdigest()[:16] + '"'
        wanted = self.headers.get("If-Match")
        if wanted and path not in server.tagless and wanted != tag:
            return self.answer(status=412)
        start, end = 0, len(data)
        if asked := self.headers.get("Range"):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last) + 1, len(data)) if last else len(data)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(end - start))
        if path not in server.tagless:
            self.send_header("ETag", tag)
        self.send_header("Last-Modified", email.utils.formatdate(1_700_000_000, usegmt=True))
        self.end_headers()
        if self.command == "HEAD":
            return None
        if event == "short" or isinstance(event, tuple):
            self.wfile.write(data[start: start + (end - start) // 2])
            if isinstance(event, tuple):
                server.files[path] = event[1]
            return self.hang_up()
        self.wfile.write(data[start:end])
        return None

    do_HEAD = do_GET


def differing(what: str, expected, found) -> list[str]:
    return [] if expected == found else [f"{what}: expected {str(expected)[:300]}, found {str(found)[:300]}"]


SETTINGS = """\
name: stores
connections:
  store: {{kind: s3, endpoint: "{endpoint}", region: us-east-1, access_key_id: "${{AWS_ACCESS_KEY_ID}}",
          secret_access_key: "${{AWS_SECRET_ACCESS_KEY}}", allow_http: true}}
  wrong: {{kind: s3, endpoint: "{endpoint}", region: us-east-1, access_key_id: a, secret_access_key: b, allow_http: true}}
"""
SOURCES = {
    "events": "from: {path: 's3://%s/in/events', connection: store, include: ['**/*.json.gz'], path_columns: true, on_change: replace}",
    "tables": "from: {path: 's3://%s/in/tables', connection: store, format: parquet}",
}


def source(name: str, text: str) -> str:
    return f"kind: files\nname: {name}\n{text}\nrotate: {{rows: 5000}}\n"


# The service looks whether a request says who it is from, and takes it at its word.
SIGNED = "AWS4-HMAC-SHA256 Credential=key/20240101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


def put(store: FaultyStore, key: str, data: bytes) -> None:
    headers = {"host": "127.0.0.1", "authorization": SIGNED}
    status, _, body = store.send("PUT", f"/{BUCKET}/{urllib.parse.quote(key)}", headers, data)
    if status != 200:
        raise RuntimeError(f"{key}: {status} {body[:200]!r}")


def objects(binary: Path, folder: Path, store: FaultyStore, arguments, outcome: Outcome) -> None:
    sources = {name: source(name, text % BUCKET) for name, text in SOURCES.items()}
    lake = Folder(binary, folder, SETTINGS.format(endpoint=store.endpoint), sources)
    count = arguments.objects
    expected = Counter()
    for number in range(count):
        day = f"2024-01-{number % 28 + 1:02}"
        put(store, f"in/events/day={day}/part {number}%.json.gz", gzip.compress(lines(range(number * 10, number * 10 + 10))))
        expected[day] += 10
    put(store, "in/events/readme.txt", b"no")
    put(store, "in/eventsother/a.json.gz", b"no")
    put(store, "in/tables/a.parquet", parquet(range(5000)))
    put(store, "in/tables/deep/b.parquet", parquet(range(5000, 6000)))
    put(store, "in/tables/broken.parquet", parquet(range(5000))[:-6])

    def held() -> list[str]:
        days = {day: int(n) for day, n in lake.rows("select cast(day as varchar), count(*) from events.events group by 1")}
        numbers = lake.rows("select count(*), count(distinct id), count(distinct _source_file) from events.events")
        rows = lake.rows("select count(*), count(distinct id), count(distinct _source_file) from tables.tables")
        total = sum(expected.values())
        return (
            differing("rows by day", dict(expected), days)
            + differing("events", [[str(total), str(total), str(count)]], numbers)
            + differing("tables", [["6000", "6000", "2"]], rows)
        )

    store.faults = Faults(arguments.seed, others=0.1)
    done = lake.run("ingest", variables=KEYS, seconds=900)
    outcome.hold("objects while requests fail", [done.stderr[-800:]] if done.returncode else held())
    outcome.hold("requests failed", [] if store.faults.happened.total() > count // 50 else ["hardly any request failed"])
    outcome.hold("a broken object is told of", [] if "broken.parquet" in done.stderr else [done.stderr[-800:]])
    gets = store.requests["GET"]
    done = lake.run("ingest", variables=KEYS)
    outcome.hold("a second run adds nothing", [done.stderr[-800:]] if done.returncode else held())
    outcome.hold("and reads no object again", [] if store.requests["GET"] - gets < 60 else [str(store.requests["GET"] - gets)])
    store.faults = Faults()
    put(store, "in/events/day=2024-01-01/part 0%.json.gz", gzip.compress(lines(range(1_000_000, 1_000_003))))
    put(store, "in/events/day=2024-02-01/new.json.gz", gzip.compress(lines(range(2_000_000, 2_000_005))))
    expected["2024-01-01"] -= 7
    expected["2024-02-01"] = 5
    count += 1
    lake.run("ingest", variables=KEYS)
    outcome.hold("a changed object takes the place of its rows, a new one is found", held())
    print(f"requests: {dict(store.requests)}; faults: {dict(store.faults.happened)}", flush=True)


def addresses(binary: Path, folder: Path, outcome: Outcome) -> None:
    web = Web()
    big = lines(range(40_000))
    web.files = {
        "/a.json": lines(range(10)), "/short.json": big, "/busy.json": lines(range(20)), "/moving.json": lines(range(30_000)),
        "/tagless.json": lines(range(50)), "/tagless_short.json": lines(range(30_000)), "/signed.json": lines(range(5)),
        "/private.json.gz": gzip.compress(lines(range(7))), "/table.parquet": parquet(range(3000)),
    }
    web.tagless = {"/tagless.json", "/tagless_short.json"}
    web.trouble = {
        "/short.json": ["short", "short", "short"], "/busy.json": [503, 503, 429],
        "/moving.json": [("moving", lines(range(100_000, 130_000)))], "/tagless_short.json": ["short"],
        "/table.parquet": ["short", 500, "short"],
    }
    web.needs = {"/signed.json": f"sig={SECRET}", "/private.json.gz": f"Bearer {SECRET}"}
    plain = ["a", "short", "busy", "moving", "tagless", "tagless_short", "missing"]
    urls = [f"{web.url}/{name}.json" for name in plain] + [f"{web.url}/signed.json?sig={SECRET}"]
    settings = f'name: web\nconnections:\n  site: {{kind: http, url: "{web.url}/", auth: {{type: bearer, token: "${{TOKEN}}"}}}}\n'
    sources = {
        "web": source("web", f"from: {{path: {json.dumps(urls)}}}"),
        "private": source("private", f'from: {{path: "{web.url}/private.json.gz", connection: site}}'),
        "tables": source("tables", f'from: {{path: "{web.url}/table.parquet", format: parquet}}'),
        "denied": source("denied", f'from: {{path: "{web.url}/private.json.gz"}}'),
    }
    lake = Folder(binary, folder, settings, sources)
    variables = {"TOKEN": SECRET}
    done = lake.run("ingest", "web", "private", "tables", variables=variables)
    outcome.hold("files of the web while requests fail", [done.stderr[-800:]] if done.returncode else [])
    rows = lake.rows("select _source_file, count(*), count(distinct id), min(id) from web.web group by 1 order by 1")
    expected = [[f"{web.url}/{name}.json", *numbers] for name, numbers in sorted({
        "a": ("10", "10", "0"), "short": ("40000", "40000", "0"), "busy": ("20", "20", "0"),
        "moving": ("30000", "30000", "100000"), "tagless": ("50", "50", "0"), "tagless_short": ("30000", "30000", "0"),
        "signed": ("5", "5", "0"),
    }.items())]
    outcome.hold("each is there once, of one version", differing("rows", expected, rows))
    outcome.hold("with a token", differing("rows", [["7"]], lake.rows("select count(*) from private.private")))
    outcome.hold("a table", differing("rows", [["3000", "3000"]], lake.rows("select count(*), max(_line) from tables.tables")))
    outcome.hold("what is not there is told", [] if "missing.json" in done.stderr else [done.stderr[-800:]])
    denied = lake.run("ingest", "denied", variables=variables)
    told = denied.returncode != 0 and "keys" in denied.stderr
    outcome.hold("a refusal is told and not tried for ever", [] if told else [denied.stderr[-800:]])
    outcome.hold("no secret is written", [] if SECRET not in done.stderr + denied.stderr else ["it is in the words of ingest"])
    held = [path for path in (lake.folder / ".headwater").rglob("*.json") if SECRET in path.read_text(errors="replace")]
    outcome.hold("nor stored", [str(path) for path in held])
    before = web.asked["GET /a.json"]
    lake.run("ingest", "web", variables=variables)
    outcome.hold("a second run reads nothing again", differing("requests", before, web.asked["GET /a.json"]))
    web.close()


def main() -> int:
    options = parser(__doc__, objects=1100, seed=1, keep=None).parse_args()
    outcome = Outcome()
    with workplace(options.keep) as folder:
        try:
            addresses(options.binary, folder / "web", outcome)
            with faulty_store() as store:
                objects(options.binary, folder / "bucket", store, options, outcome)
        except RuntimeError as failure:
            outcome.hold("the proof", [str(failure)])
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
