"""An S3 service on this machine and, before it, a proxy that lets it fail as networks and services do.

The service is moto's: code that knows nothing of us answers the requests. The proxy passes requests on one at a time where
they are conditional, because moto looks and writes in two steps, which the real service does in one.
"""

import http.client
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from web import Handler, Server, free_port

BUCKET = "lake"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
# Headers that speak of one connection, not of the request.
OF_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length"}
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
CONFLICT = b"<Error><Code>ConditionalRequestConflict</Code><Message>Try again.</Message></Error>"
BROKEN = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
# What another writer of the same table commits: nothing that ours depends on.
COMPETITOR = b'{"txn":{"appId":"competitor","version":%d}}\n{"commitInfo":{"timestamp":1,"operation":"STREAMING UPDATE"}}\n'


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def is_commit(self) -> bool:
        """Creates a version of a table."""
        return self.is_conditional() and "/_delta_log/" in self.path and self.path.endswith(".json")

    def is_conditional(self) -> bool:
        return self.method == "PUT" and self.headers.get("if-none-match") == "*"


@dataclass
class Faults:
    """Which requests fail, and how; drawn from a seed, counted by kind."""

    seed: int = 1
    commits: float = 0.0
    others: float = 0.0
    happened: Counter = field(default_factory=Counter)

    COMMIT_KINDS = ("reply lost", "error after writing", "slow down", "conflict", "competitor")
    OTHER_KINDS = ("reply lost", "slow down", "cut off")

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.lock = threading.Lock()

    def draw(self, request: Request) -> str | None:
        with self.lock:
            is_commit = request.is_commit()
            if self.chance.random() >= (self.commits if is_commit else self.others):
                return None
            kind = self.chance.choice(self.COMMIT_KINDS if is_commit else self.OTHER_KINDS)
            self.happened[f"{'commit' if is_commit else 'other'}: {kind}"] += 1
            return kind


class Proxy(Handler):
    def pass_on(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in OF_CONNECTION:
                self.send_header(name, value)
        length = next((value for name, value in headers if name.lower() == "content-length"), None)
        self.send_header("content-length", length if self.command == "HEAD" and length else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, body: bytes) -> None:
        self.answer(body, status, kind="application/xml")

    def handle_any(self) -> None:
        length = int(self.headers.get("content-length", 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path.split("?")[0], headers, self.rfile.read(length))
        store: FaultyStore = self.server.store
        if refusal := store.refuses(request):
            self.refuse(*refusal)
            return
        kind = store.faults.draw(request)
        if kind == "slow down":
            self.refuse(503, SLOW_DOWN)
        elif kind == "conflict":
            self.refuse(409, CONFLICT)
        elif kind == "cut off":
            self.hang_up()
        else:
            if kind == "competitor":
                store.compete(self.path, request)
            answer = store.forward(self.path, request)
            if kind == "reply lost":
                self.hang_up()
            elif kind == "error after writing":
                self.refuse(500, BROKEN)
            else:
                self.pass_on(*answer)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = handle_any


class FaultyStore:
    """The service and the proxy, running."""

    def __init__(self) -> None:
        self.faults = Faults()
        # Status and body of the answer to a request that is not to reach the service.
        self.refuses: Callable[[Request], tuple[int, bytes] | None] = lambda _: None
        self.requests = Counter()
        self.conditional = threading.Lock()
        self.connections = threading.local()
        self.port = free_port()
        self.service = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        self.proxy = Server(Proxy)
        self.proxy.store = self

    @property
    def endpoint(self) -> str:
        return self.proxy.url

    def options(self) -> dict[str, str]:
        """How other engines reach it; not through the faults."""
        return KEYS | {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}", "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true",
        }

    def send(self, method: str, path: str, headers: dict[str, str], body: bytes):
        """One request to the service. A connection that idled too long is replaced."""
        for fresh in (False, True):
            connection = None if fresh else getattr(self.connections, "open", None)
            if connection is None:
                connection = self.connections.open = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                connection.request(method, path, body, headers)
                reply = connection.getresponse()
                return reply.status, reply.getheaders(), reply.read()
            except (ConnectionError, http.client.HTTPException):
                connection.close()
                if fresh:
                    raise

    def forward(self, path: str, request: Request):
        self.requests[request.method] += 1
        headers = {name: value for name, value in request.headers.items() if name not in OF_CONNECTION}
        if request.is_conditional():
            with self.conditional:
                return self.send(request.method, path, headers, request.body)
        return self.send(request.method, path, headers, request.body)

    def compete(self, path: str, request: Request) -> None:
        """Another writer creates the version first. Never the first one: it would be a table without columns."""
        if path.endswith(f"{0:020}.json"):
            return
        headers = {name: value for name, value in request.headers.items() if name in ("host", "if-none-match")}
        with self.conditional:
            self.send("PUT", path, headers, COMPETITOR % self.faults.happened.total())

    def make_bucket(self) -> None:
        end = time.monotonic() + 60
        while True:
            try:
                status, _, body = self.send("PUT", f"/{BUCKET}", {"host": "127.0.0.1"}, b"")
                break
            except OSError:
                if time.monotonic() > end or self.service.poll() is not None:
                    raise
                time.sleep(0.1)
        if status != 200:
            raise RuntimeError(f"the service made no bucket: {status} {body!r}")

    def close(self) -> None:
        self.proxy.close()
        self.service.terminate()
        self.service.wait(10)


@contextmanager
def faulty_store() -> Iterator[FaultyStore]:
    store = FaultyStore()
    try:
        store.make_bucket()
        yield store
    finally:
        store.close()
