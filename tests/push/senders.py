"""Records sent to a running process: what was answered with 2xx is in the lake, whatever died in between.

    senders.py --binary target/release/headwater [--kills 6] [--seed 1]
"""

import argparse
import gzip
import hashlib
import hmac
import json
import random
import re
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

from lakes import Folder  # noqa: E402
from project import Outcome  # noqa: E402

SOURCES = {
    "hooks": "kind: push\nname: hooks\nfrom: {max_body: 1 MiB}\nrotate: {every: 300ms}\n",
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
    expect("another type", server.send("hooks", b"a,b", {"Content-Type": "text/csv"}), 415)
    expect("another packing", server.send("hooks", b"x", {"Content-Encoding": "br"}), 415)
    expect("too large", server.send("hooks", b'"' + b"x" * (1 << 20) + b'"'), 413)
    expect("a bomb", server.send("hooks", gzip.compress(b" " * (200 << 20)), {"Content-Encoding": "gzip"}), 413)
    expect("an unknown source", server.send("none", b"{}"), 404)


def check_keys(outcome: Outcome, server: Server) -> None:
    key = {"Idempotency-Key": "k-1"}
    first = server.send("hooks", b'[{"id": 100}, {"id": 101}]', key)
    again = server.send("hooks", b'[{"id": 100}, {"id": 101}]', key)
    other = server.send("hooks", b'[{"id": 102}]', key)
    outcome.hold("the same request gets the same answer", [] if first == again and first[0] == 200 else [f"{first} {again}"])
    outcome.hold("another body under the key is refused", [] if other[0] == 422 else [str(other)])
    outcome.hold("and it is there once", wait_for(server.folder, "select count(*) from hooks.hooks where id >= 100", [["2"]]))


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
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as root:
        server = Server(Folder(options.binary, Path(root) / "p", "name: p\n", SOURCES))
        try:
            check_bodies(outcome, server)
            check_keys(outcome, server)
            check_proofs(outcome, server)
            outcome.hold("a polite stop", [] if server.stop() == 0 else [server.started.said()[-300:]])
            server = Server(server.folder)
            again = server.send("hooks", b'[{"id": 100}, {"id": 101}]', {"Idempotency-Key": "k-1"})
            outcome.hold("a key is known after a restart", [] if again[0] == 200 else [str(again)])
            outcome.hold("and nothing comes twice", wait_for(server.folder, "select count(*) from hooks.hooks where id >= 100", [["2"]]))
        finally:
            server.started.kill()
        check_kills(outcome, options.binary, Path(root) / "kills", options.kills, options.seed)
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
