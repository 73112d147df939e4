"""A web service on this machine: pages, credentials, answers that may be kept, a lookup by key; in trouble on request."""

import base64
import time
import urllib.parse

from web import Handler, Server

SECRET = "canary-secret-0815"
RECORDS = [{"id": n, "word": f"w{n}", "at": f"2024-01-01T00:{n // 60:02}:{n % 60:02}Z", "seq": n} for n in range(1, 251)]
PAGE = 40


class Service(Server):
    """Answers by path; `trouble` maps a path to answers given before the right one."""

    def __init__(self):
        super().__init__(Answers)
        self.trouble: dict[str, list] = {}
        self.asked: list[tuple[float, str]] = []
        self.headers_seen: list[dict] = []
        self.records = list(RECORDS)
        self.tokens = 0
        self.etag = '"1"'
        self.unchanged = 0
        self.dead = False
        # What the lookup knows, by place.
        self.places: dict[str, dict] = {}

    def paths(self) -> list[str]:
        return [path for _, path in self.asked]


class Answers(Handler):
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
        if server.dead:
            return self.hang_up()
        if server.trouble.get(url.path):
            return self.in_trouble(server.trouble[url.path].pop(0))
        if url.path.startswith("/weather/"):
            return self.weather(urllib.parse.unquote(url.path.removeprefix("/weather/")), query)
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
            case "/same":
                self.answer({"items": server.records[:3]})
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
            case "/key-header":
                self.answer(server.records[:1], 200 if self.headers.get("X-API-Key") == SECRET else 403)
            case "/key-other-header":
                self.answer(server.records[:1], 200 if self.headers.get("X-Token") == SECRET else 403)
            case "/oauth":
                # The first token is refused, as one that was revoked.
                self.answer(server.records[:1], 200 if self.headers.get("Authorization") == "Bearer token-2" else 401)
            case "/tagged":
                self.kept([("ETag", server.etag)], "If-None-Match", server.etag)
            case "/dated":
                self.kept([("Last-Modified", server.etag)], "If-Modified-Since", server.etag)
            case "/private":
                self.answer(server.records, headers=[("Cache-Control", "private, max-age=60")])
            case "/cookie":
                self.answer(server.records, headers=[("Set-Cookie", "session=1")])
            case "/companies":
                ids = [int(one) for one in query["ids"].split(",")]
                found = [{"company": {"id": one}, "name": f"c{one}"} for one in reversed(ids) if one % 10]
                self.answer({"found": found})
            case _:
                self.answer({"error": "no such path"}, 404)

    def in_trouble(self, trouble):
        if trouble == "hang up":
            return self.hang_up()
        if trouble == "half":
            return self.answer(b'{"items": [{"id": 1')
        if trouble == "html":
            return self.answer(b"<html>login</html>", kind="text/html")
        status, headers = trouble
        return self.answer({"error": "trouble"}, status, headers)

    def kept(self, headers, condition, value):
        """What is there, unless the caller has it."""
        if self.headers.get(condition) == value:
            self.server.unchanged += 1
            return self.answer(b"", 304, headers)
        self.answer(self.server.records, headers=headers)

    def weather(self, place, query):
        if place == "broken":
            return self.answer({"error": "no such kind of place"}, 400)
        if place not in self.server.places:
            return self.answer({"error": "unknown place"}, 404)
        found = self.server.places[place]
        self.answer({"place": place, "asked_hour": query.get("hour"), "main": found})
