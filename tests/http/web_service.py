"""A web service that misbehaves, and what the lake makes of it.

    web_service.py --binary target/release/headwater
"""

import argparse
import base64
import json
import sys
import tempfile
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

from lakes import Folder  # noqa: E402
from project import Outcome  # noqa: E402

SECRET = "canary-secret-0815"
RECORDS = [{"id": n, "word": f"w{n}", "at": f"2024-01-01T00:{n // 60:02}:{n % 60:02}Z", "seq": n} for n in range(1, 251)]
PAGE = 40


class Service(ThreadingHTTPServer):
    """Answers by path; `trouble` maps a path to answers given before the right one."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.trouble: dict[str, list] = {}
        self.asked: list[tuple[float, str]] = []
        self.headers_seen: list[dict] = []
        self.records = list(RECORDS)
        self.tokens = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, body, status=200, headers=(), kind="application/json"):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):
        body = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if body.get("client_secret") != [SECRET]:
            return self.answer({"error": "invalid_client"}, 401)
        self.server.tokens += 1
        self.answer({"access_token": f"token-{self.server.tokens}", "expires_in": 3600})

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        server = self.server
        server.asked.append((time.monotonic(), self.path))
        server.headers_seen.append(dict(self.headers))
        if server.trouble.get(url.path):
            trouble = server.trouble[url.path].pop(0)
            if trouble == "hang up":
                self.close_connection = True
                return self.connection.close()
            if trouble == "half":
                return self.answer(b'{"items": [{"id": 1')
            if trouble == "html":
                return self.answer(b"<html>login</html>", kind="text/html")
            status, headers = trouble
            return self.answer({"error": "trouble"}, status, headers)
        match url.path:
            case "/paged":
                start = (int(query["page"]) - 1) * PAGE
                self.answer({"data": {"items": server.records[start : start + PAGE]}})
            case "/offset":
                start = int(query["offset"])
                self.answer(server.records[start : start + PAGE])
            case "/cursor":
                start = int(query.get("after", 0))
                more = start + PAGE < len(server.records)
                self.answer({"items": server.records[start : start + PAGE], "next": start + PAGE if more else None})
            case "/linked":
                start = int(query.get("from", 0))
                more = start + PAGE < len(server.records)
                link = [("Link", f'</linked?from={start + PAGE}>; rel="next"')] if more else []
                self.answer(server.records[start : start + PAGE], headers=link)
            case "/since":
                newer = [one for one in server.records if one["at"] >= query.get("since", "")]
                start = int(query.get("offset", 0))
                self.answer(newer[start : start + PAGE])
            case "/circle":
                self.answer({"items": server.records[:3], "next": "again"})
            case "/away":
                self.answer({}, 302, [("Location", "http://169.254.169.254/latest/meta-data")])
            case "/file":
                self.answer({}, 302, [("Location", "file:///etc/passwd")])
            case "/moved":
                self.answer({}, 301, [("Location", "/linked?from=240")])
            case "/basic":
                right = "Basic " + base64.b64encode(f"u:{SECRET}".encode()).decode()
                self.answer(server.records[:1], 200 if self.headers.get("Authorization") == right else 401)
            case "/bearer":
                self.answer(server.records[:1], 200 if self.headers.get("Authorization") == f"Bearer {SECRET}" else 401)
            case "/key":
                self.answer(server.records[:1], 200 if query.get("api_key") == SECRET else 403)
            case "/oauth":
                # The first token is refused, as one that was revoked.
                self.answer(server.records[:1], 200 if self.headers.get("Authorization") == "Bearer token-2" else 401)
            case _:
                self.answer({"error": "no such path"}, 404)


def project(binary: Path, folder: Path, service: Service, source: str, connection: str = "") -> Folder:
    settings = f"name: p\nconnections:\n  api:\n    kind: http\n    url: {service.url}\n{connection}"
    return Folder(binary, folder, settings, {"s": f"kind: http\nname: s\ntable: t\nfrom:\n  connection: api\n{source}"})


VARIABLES = {"SECRET": SECRET}


def ids(folder: Folder) -> list[int]:
    return sorted(int(row[0]) for row in folder.rows("select id from s.t"))


def check_pages(outcome: Outcome, service: Service, binary: Path, root: Path) -> None:
    kinds = {
        "paged": "  path: /paged\n  records: /data/items\n  pagination: {type: page}\n",
        "offset": "  path: /offset\n  pagination: {type: offset}\n",
        "cursor": "  path: /cursor\n  records: /items\n  pagination: {type: cursor, pointer: /next, parameter: after}\n",
        "linked": "  path: /linked\n  pagination: {type: link}\n",
    }
    for name, source in kinds.items():
        folder = project(binary, root / name, service, source)
        done = folder.run("ingest")
        found = ids(folder) if done.returncode == 0 else []
        outcome.hold(f"pages by {name}", [] if found == [one["id"] for one in RECORDS] else [done.stderr[-300:] or str(len(found))])
    service.records = RECORDS[:10]
    folder.run("ingest")
    outcome.hold("a second look replaces the first", [] if ids(folder) == list(range(1, 11)) else [str(len(ids(folder)))])
    service.records = list(RECORDS)


def check_trouble(outcome: Outcome, service: Service, binary: Path, root: Path) -> None:
    service.trouble = {"/linked": [(503, []), "hang up", "half", (429, [("Retry-After", "2")]), "html"]}
    service.asked.clear()
    folder = project(binary, root / "trouble", service, "  path: /linked\n  pagination: {type: link}\n  tries: 10\n")
    done = folder.run("ingest")
    outcome.hold("a service in trouble is asked again", [] if done.returncode == 0 and ids(folder) == [one["id"] for one in RECORDS] else [done.stderr[-400:]])
    times = [at for at, _ in service.asked]
    waits = [later - earlier for earlier, later in zip(times, times[1:])]
    outcome.hold("Retry-After is obeyed", [] if len(waits) > 3 and 1.9 < waits[3] < 4 else [str(waits[:6])])
    refusals = {
        "a circle": ("  path: /circle\n  records: /items\n  pagination: {type: cursor, pointer: /next, parameter: c}\n", "go in circles"),
        "another server": ("  path: /away\n  tries: 1\n", "another server"),
        "a file": ("  path: /file\n  tries: 1\n", "answered 302"),
        "nothing there": ("  path: /none\n", "answered 404"),
        "no records": ("  path: /paged\n  query: {page: '1'}\n  records: /nowhere\n", "nothing at `/nowhere`"),
    }
    for name, (source, told) in refusals.items():
        folder = project(binary, root / name.replace(" ", "-"), service, source)
        process = folder.start("ingest")
        said = process.until(told, 20)
        outcome.hold(f"{name} is told", [] if said else [process.said()[-400:]])
        process.kill()
    folder = project(binary, root / "moved", service, "  path: /moved\n")
    folder.run("ingest")
    outcome.hold("a move on the same server is followed", [] if ids(folder) == list(range(241, 251)) else [str(ids(folder))])
    folder = project(binary, root / "rate", service, "  path: /linked\n  pagination: {type: link}\n", "    requests_per_second: 5\n")
    service.asked.clear()
    folder.run("ingest")
    took = service.asked[-1][0] - service.asked[0][0]
    outcome.hold("no more requests than allowed", [] if took >= (len(service.asked) - 1) / 5 * 0.9 else [f"{len(service.asked)} in {took:.2f} s"])


def check_incremental(outcome: Outcome, service: Service, binary: Path, root: Path) -> None:
    service.records = RECORDS[:100]
    source = "  path: /since\n  pagination: {type: offset}\n  incremental: {field: /at, parameter: since}\n"
    folder = project(binary, root / "since", service, source)
    folder.run("ingest")
    service.records = RECORDS + [{"id": 999, "at": "never"}]
    service.asked.clear()
    done = folder.run("ingest")
    outcome.hold("only what is newer is added", [] if ids(folder) == [one["id"] for one in RECORDS] else [f"{len(ids(folder))}: {done.stderr[-300:]}"])
    first = service.asked[0][1]
    outcome.hold("and asked for", [] if "since=2024-01-01T00%3A01%3A40Z" in first else [first])
    bad = folder.rows("select count(*) from s.t_quarantine")
    outcome.hold("a record without the value is set aside", [] if bad == [["1"]] else [str(bad)])
    service.records = list(RECORDS)


def check_auth(outcome: Outcome, service: Service, binary: Path, root: Path) -> None:
    kinds = {
        "basic": '    auth: {type: basic, user: u, password: "${SECRET}"}\n',
        "bearer": '    auth: {type: bearer, token: "${SECRET}"}\n',
        "key": '    auth: {type: api_key, key: "${SECRET}", query: api_key}\n',
        "oauth": f'    auth: {{type: client_credentials, token_url: {service.url}/token, client_id: c, client_secret: "${{SECRET}}"}}\n',
    }
    said = ""
    for name, auth in kinds.items():
        folder = project(binary, root / f"auth-{name}", service, f"  path: /{name}\n", auth)
        done = folder.run("ingest", variables=VARIABLES)
        said += done.stdout + done.stderr
        outcome.hold(f"login by {name}", [] if done.returncode == 0 and ids(folder) == [1] else [done.stderr[-300:]])
        wrong = folder.run("ingest", variables={"SECRET": SECRET + "x"}) if name != "oauth" else done
        said += wrong.stdout + wrong.stderr
        if name != "oauth":
            outcome.hold(f"a wrong {name} is told", [] if wrong.returncode and ("401" in wrong.stderr or "403" in wrong.stderr) else [wrong.stderr[-300:]])
        stored = b"".join(path.read_bytes() for path in (folder.folder / ".headwater").rglob("*") if path.is_file())
        said += SECRET if SECRET.encode() in stored else ""
    outcome.hold("no secret is shown or stored", ["it was"] if SECRET in said else [])


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", type=Path, required=True)
    options = parser.parse_args()
    outcome, service = Outcome(), Service()
    with tempfile.TemporaryDirectory() as root:
        for check in (check_pages, check_trouble, check_incremental, check_auth):
            check(outcome, service, options.binary, Path(root))
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
