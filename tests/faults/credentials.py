"""Keys to an object store that end while the lake is written, and a clock that the store does not believe (L7)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "s3"))

from faulty_store import BUCKET, KEYS, FaultyStore, Request, faulty_store  # noqa: E402
from foreign import make_checkpointed  # noqa: E402
from served import PUSH, Served, World, Wrapped, comes, up  # noqa: E402

SETTINGS = """\
name: p
lake:
  location: s3://{bucket}/p
  credentials:
    endpoint: {endpoint}
    region: us-east-1
    access_key_id: ${{AWS_ACCESS_KEY_ID}}
    secret_access_key: ${{AWS_SECRET_ACCESS_KEY}}
    allow_http: true
"""
HOOKS = "select count(*), count(distinct id) from hooks.hooks"
# Code, the service's words, and a word of what to do.
REFUSALS = (
    ("ExpiredToken", "The provided token has expired.", "keys"),
    ("RequestTimeTooSkewed", "The difference between the request time and the current time is too large.", "clock"),
)


def body(code: str, message: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


def check_credentials(world: World) -> None:
    with faulty_store() as store:
        settings = SETTINGS.format(bucket=BUCKET, endpoint=store.endpoint)
        folder = Wrapped(world.binary, world.folder / "project", settings, {"hooks": PUSH})
        with up(folder, variables=KEYS) as served:
            served.push(0)
            sent = 1
            world.hold("L7 a row comes while the keys are good", comes(lambda: served.rows(HOOKS) == "1,1"), served.rows(HOOKS))
            for code, message, remedy in REFUSALS:
                sent = refuse(world, served, store, sent, code, message, remedy)
            world.hold("L7 the process stops well", served.stop() == 0, served.started.said())
        passing_refusal(world, store, folder)


def refuse(world: World, served: Served, store: FaultyStore, sent: int, code: str, message: str, remedy: str) -> int:
    store.refuses = lambda _: (403, body(code, message))

    def send() -> None:
        nonlocal sent
        sent += served.push(sent)[0] == 200

    before = sent
    world.hold(f"L7 {code}: the source tells it", comes(lambda: send() or code in served.told("hooks")), served.source("hooks"))
    world.hold(f"L7 {code}: and what to do", remedy in served.told("hooks").lower(), served.told("hooks"))
    world.hold(f"L7 {code}: pushes are taken meanwhile", sent > before, sent)
    world.hold(f"L7 {code}: the source is not given up", served.source("hooks")["state"] != "failed", served.source("hooks")["state"])
    store.refuses = lambda _: None
    send()
    world.hold(f"L7 {code}: it goes on by itself when that ends, each row once", comes(lambda: served.rows(HOOKS) == f"{sent},{sent}"), (served.rows(HOOKS), sent))
    return sent


def passing_refusal(world: World, store: FaultyStore, folder: Wrapped) -> None:
    """One refused reading of a checkpoint that the log no longer can do without."""
    at = world.folder / "checkpointed"
    make_checkpointed(at)
    for path in at.rglob("*"):
        if path.is_file():
            store.send("PUT", f"/{BUCKET}/p/tables/foreign/checkpointed/{path.relative_to(at)}", {"host": "127.0.0.1"}, path.read_bytes())
    refused = []

    def once(request: Request) -> tuple[int, bytes] | None:
        if request.method == "GET" and request.path.endswith(".checkpoint.parquet") and not refused:
            refused.append(request.path)
            return 403, body(*REFUSALS[0][:2])
        return None

    store.refuses = once
    first = folder.run("query", "select count(*) as n from foreign.checkpointed", "--format", "csv", variables=KEYS)
    again = folder.run("query", "select count(*) as n from foreign.checkpointed", "--format", "csv", variables=KEYS)
    world.hold("L7 a checkpoint was refused once", bool(refused), first)
    world.hold("L7 a table whose checkpoint was refused once is there afterwards", again.stdout == "n\n3\n", (first.stderr, again.stderr))
