"""A web service that takes rows, and misbehaves as services do."""

import json
import threading
import time
from collections import Counter

from web import Handler, Server


class Receiver(Server):
    """Keeps what it was sent by `Idempotency-Key`. `trouble` are answers given before the right ones, in turn."""

    def __init__(self):
        super().__init__(Taking)
        self.lock = threading.Lock()
        self.trouble: list = []
        self.asked: list[float] = []
        self.headers_seen: list[dict] = []
        # What a receiver keeps that tells requests apart by their key, and how often each came.
        self.taken: dict[str, bytes] = {}
        self.times: Counter = Counter()
        self.differing: list[str] = []

    def take(self, key: str, body: bytes) -> None:
        with self.lock:
            self.times[key] += 1
            if self.taken.setdefault(key, body) != body:
                self.differing.append(key)

    def rows(self) -> list[dict]:
        with self.lock:
            bodies = list(self.taken.values())
        found = []
        for body in bodies:
            parsed = json.loads(body)
            found += parsed if isinstance(parsed, list) else [parsed]
        return found

    def forget(self) -> None:
        with self.lock:
            self.taken.clear()
            self.times.clear()
            self.asked.clear()


class Taking(Handler):
    def do_POST(self):
        server: Receiver = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.asked.append(time.monotonic())
        server.headers_seen.append(dict(self.headers))
        with server.lock:
            trouble = server.trouble.pop(0) if server.trouble else None
        key = self.headers["Idempotency-Key"]
        if trouble is None:
            server.take(key, body)
            return self.answer({})
        if trouble == "cut off after taking":
            server.take(key, body)
            return self.hang_up()
        if trouble == "cut off":
            return self.hang_up()
        status, headers = trouble
        if ("X-Taken", "yes") in headers:
            server.take(key, body)
        self.answer({"error": "trouble"}, status, headers)
