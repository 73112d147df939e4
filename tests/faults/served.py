"""A project of the test's own and the process that serves it, watched from outside."""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

from lakes import Folder, Started  # noqa: E402
from project import Failed, Outcome, tail  # noqa: E402

# Nothing here is measured: a wait this long means that it does not come.
SECONDS = 20
PUSH = "kind: push\nname: hooks\nfrom: {max_body: 8 MiB}\nrotate: {every: 100ms}\n"
FILES = "kind: files\nname: lines\nfrom: {path: '%s', format: json, settle_seconds: 0, poll_seconds: 1}\nrotate: {every: 100ms}\n"


@dataclass
class World:
    """What every check gets: the binary, a folder of its own, and where to say what held."""

    binary: Path
    folder: Path
    outcome: Outcome
    commits: int
    starts: int

    def hold(self, what: str, is_so: bool, otherwise: object) -> None:
        self.outcome.hold(what, [] if is_so else [str(otherwise)])


class Wrapped(Folder):
    """A project whose commands are run by another command, such as one that limits them."""

    prefix: tuple[str, ...] = ()

    def command(self, *arguments: str) -> list[str]:
        return [*self.prefix, *super().command(*arguments)]


class Served:
    """A running `headwater up`, its answers and what it takes of the machine."""

    def __init__(self, folder: Folder, started: Started):
        self.folder, self.started = folder, started
        if not started.until("Listening on ", SECONDS):
            started.kill()
            raise Failed(f"`headwater up` does not listen: {tail(started.said())}")
        self.url = re.search(r"Listening on (http://\S+)", started.said()).group(1)

    def ask(self, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        request = urllib.request.Request(self.url + path, data=body, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read()

    def push(self, number: int, fill: int = 0) -> tuple[int, str]:
        """One record whose key is its number: sent again, it is the same."""
        body = json.dumps({"id": number, "fill": "x" * fill}).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(number)}
        status, answer = self.ask("/ingest/hooks", body, headers)
        return status, answer.decode()

    def rows(self, sql: str) -> str:
        """The one line that a query answers, or the refusal."""
        status, answer = self.ask("/api/sql?format=csv", sql.encode())
        return answer.decode().split("\n", 1)[1].strip() if status == 200 else f"{status} {answer.decode()}"

    def source(self, name: str) -> dict:
        return next(one for one in json.loads(self.ask("/api/sources")[1]) if one["name"] == name)

    def told(self, name: str) -> str:
        """What is said of a source that has a problem; empty when all is well."""
        return " ".join(json.dumps(table["error"]) for table in self.source(name)["tables"] if table["error"])

    def processor_seconds(self) -> float:
        fields = Path(f"/proc/{self.started.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.started.process.pid}/fd"))

    def resident(self) -> int:
        return int(Path(f"/proc/{self.started.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def lives(self) -> bool:
        return self.started.process.poll() is None

    def stop(self) -> int:
        self.started.process.terminate()
        return self.started.process.wait(SECONDS)


@contextmanager
def up(folder: Folder, *arguments: str, variables: dict[str, str] | None = None) -> Iterator[Served]:
    """A process that does not outlive the block, whatever happens in it."""
    started = folder.start("up", "--port", "0", *arguments, variables=variables)
    try:
        yield Served(folder, started)
    finally:
        if started.process.poll() is None:
            started.kill()


def comes(condition: Callable[[], bool], seconds: float = SECONDS) -> bool:
    """Whether it becomes so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.2)
    return condition()


def put_lines(folder: Path, name: str, numbers: range, fill: int = 8) -> None:
    """A file of records, whole at once, that do not pack well."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps({"id": number, "word": os.urandom(fill).hex()}) + "\n" for number in numbers)
    hidden = folder / f".{name}"
    hidden.write_text(text)
    hidden.rename(folder / f"{name}.jsonl")


def leftovers(folder: Path) -> list[str]:
    """Files of writes that were given up: their names have a mark that no finished file has."""
    return sorted(path.name for path in folder.rglob("*#*"))


def shell(*arguments: str | Path) -> None:
    subprocess.run([str(one) for one in arguments], check=True, capture_output=True, text=True)
