"""What the kill tests share: a project that is hard on the commit protocol, its processes, and the proof that nothing was
lost or doubled.

The proof reads the tables with engines other than ours: for every partition of every topic, the offsets found in the raw
table and in its quarantine together must be 0, 1, ... end - 1, each once, where `end` is the end of the log. The generator
is deterministic and counts what it delivered, so its counts must be those ends.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
from deltalake import DeltaTable

ROOT = Path(__file__).resolve().parents[2]
SOURCE = """\
name: events
kind: generator
generator: sessions
config: generators/sessions.yml
partitions: 3
backlog: {{start: {days} days ago, users: {users}}}
speed: {speed}x
raw_files: true
rotate: {{rows: 20000, bytes: 64 MiB, every: {rotate}}}
faults: {{late: 0.05, late_max_delay: 6h, duplicate: 0.02, malformed: 0.01}}
"""
SETTINGS = """\
name: music
lake:
  maintenance: {every: 2s, retention: 1s, allow_short_retention: true}
"""
# Fails when asked to, so that a run with failing tests can be had at will.
FAILING_TEST = "select 1 as failure where {{ var('fail_on_request', false) }}\n"
STOP_SECONDS = 30
COMMAND_SECONDS = 300


class Failed(Exception):
    """The product did what it must not."""


@dataclass
class Shape:
    """How much data the project makes, and how fast."""

    users: int = 1000
    days: int = 15
    speed: int = 20000
    rotate: str = "1s"


@dataclass
class Outcome:
    """Checks that held and checks that did not."""

    passed: int = 0
    failures: list[str] = field(default_factory=list)

    def hold(self, what: str, problems: list[str]) -> None:
        if not problems:
            self.passed += 1
        for problem in problems:
            self.failures.append(f"{what}: {problem}")
            print(f"FAILED  {what}: {problem}", flush=True)

    def finish(self) -> int:
        print(f"{self.passed} passed, {len(self.failures)} failed", flush=True)
        return 1 if self.failures or not self.passed else 0


def fault_points() -> list[str]:
    """The list in the product's source: a point that is added there is tested from then on."""
    text = (ROOT / "crates/project/src/fault.rs").read_text()
    body = re.search(r"POINTS: &\[&str\] = &\[(.*?)\];", text, re.DOTALL)
    if body is None:
        raise SystemExit("the list of fault points was not found in fault.rs")
    return re.findall(r'"([a-z_.]+)"', body.group(1))


class Project:
    """A copy of the music project with frequent commits, frequent maintenance and faulty data."""

    def __init__(self, binary: Path, folder: Path, shape: Shape):
        self.binary = binary.resolve()
        self.folder = folder
        self.lake = folder / ".headwater" / "lake"
        self.words = folder.with_suffix(".stderr")
        shutil.copytree(ROOT / "projects" / "music", folder, ignore=shutil.ignore_patterns(".headwater"))
        (folder / "sources" / "events.yml").write_text(
            SOURCE.format(days=shape.days, users=shape.users, speed=shape.speed, rotate=shape.rotate)
        )
        (folder / "headwater.yml").write_text(SETTINGS)
        (folder / "tests" / "fails_on_request.sql").write_text(FAILING_TEST)

    def command(self, *arguments: str) -> list[str]:
        return [str(self.binary), "-C", str(self.folder), "--no-color", *arguments]

    def environment(self, fault: str | None) -> dict[str, str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("HEADWATER_")}
        return environment | ({"HEADWATER_FAULT": fault} if fault else {})

    def run(self, *arguments: str, fault: str | None = None, seconds: float = COMMAND_SECONDS):
        """Runs a command to its end. Its outcome is for the caller to judge."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment(fault),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def expect(self, *arguments: str):
        """Runs a command that must succeed."""
        done = self.run(*arguments)
        if done.returncode != 0:
            raise Failed(f"`headwater {' '.join(arguments)}` ended with {done.returncode}: {tail(done.stderr)}")
        return done

    def json(self, *arguments: str):
        return json.loads(self.expect(*arguments, "--json").stdout)

    def start(self, *arguments: str, fault: str | None = None) -> "Up":
        return Up(self, arguments, fault)

    def log_ends(self) -> dict[str, dict[int, int]]:
        return {
            topic["name"]: {one["partition"]: one["end_offset"] for one in topic["partitions"]}
            for topic in self.json("topics", "list")
        }

    def tables(self) -> Iterator[Path]:
        for log in sorted((self.lake / "tables").glob("*/*/_delta_log")):
            yield log.parent


def tail(text: str, lines: int = 6, width: int = 240) -> str:
    return " | ".join(line[:width] for line in text.strip().splitlines()[-lines:])


class Up:
    """A running `headwater up`."""

    def __init__(self, project: Project, arguments: tuple[str, ...], fault: str | None):
        self.project = project
        self.words = project.words.open("w+")
        self.process = subprocess.Popen(
            project.command("up", "--port", "0", *arguments),
            env=project.environment(fault),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.words,
        )

    def said(self) -> str:
        return self.project.words.read_text(errors="replace")

    def address(self, seconds: float = 60) -> str:
        """Where it listens, once it does."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := re.search(r"Listening on (http://\S+)", self.said()):
                return found.group(1)
            if self.process.poll() is not None:
                raise Failed(f"`headwater up` ended with {self.process.returncode}: {tail(self.said())}")
            time.sleep(0.02)
        raise Failed(f"`headwater up` did not listen within {seconds} s: {tail(self.said())}")

    def status(self) -> dict:
        with urllib.request.urlopen(f"{self.address()}/api/status", timeout=10) as answer:
            return json.load(answer)

    def delivered(self) -> dict[str, int]:
        return {topic: count for one in self.status()["generators"] for topic, count in one["by_topic"].items()}

    def wait(self, what: str, condition, seconds: float = 120) -> dict:
        """Polls the status until `condition` holds for it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                status = self.status()
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                if self.process.poll() is not None:
                    raise Failed(f"`headwater up` ended with {self.process.returncode}: {tail(self.said())}") from None
                status = None
            if status is not None and condition(status):
                return status
            time.sleep(0.1)
        raise Failed(f"{what} did not happen within {seconds} s")

    def kill(self, with_signal: int = signal.SIGKILL) -> int:
        self.process.send_signal(with_signal)
        code = self.process.wait(STOP_SECONDS)
        self.words.close()
        return code

    def stop(self) -> None:
        """A polite stop: it must drain and exit with 0 in time."""
        if self.process.poll() is not None:
            self.words.close()
            raise Failed(f"`headwater up` ended by itself with {self.process.returncode}: {tail(self.said())}")
        self.process.terminate()
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed(f"`headwater up` did not stop within {STOP_SECONDS} s of SIGTERM") from None
        finally:
            self.words.close()
        if code != 0:
            raise Failed(f"`headwater up` ended with {code} after SIGTERM: {tail(self.said())}")


@contextmanager
def running(project: Project, *arguments: str, fault: str | None = None):
    """A process that does not outlive the block, whatever happens in it."""
    up = project.start(*arguments, fault=fault)
    try:
        yield up
    finally:
        if up.process.poll() is None:
            up.kill()


def files_of(folder: Path) -> list[str]:
    """Data files of a table's latest version, as another engine reads the log; none for a table that is not there."""
    if not (folder / "_delta_log").is_dir():
        return []
    return [uri.removeprefix("file://") for uri in DeltaTable(str(folder)).file_uris()]


def offsets(project: Project, topic: str) -> dict[int, tuple[int, int, int, int]]:
    """By partition: records, distinct offsets, least and greatest offset, over the raw table and its quarantine."""
    folder = project.lake / "tables" / "events"
    parts = []
    for table, partition, offset in ((topic, "_partition", "_offset"), (f"{topic}_quarantine", "partition", "position")):
        if files := files_of(folder / table):
            parts.append(
                f"select {partition} as partition, {offset} as position "
                f"from read_parquet({files!r}, union_by_name = true, hive_partitioning = false)"
            )
    if not parts:
        return {}
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select partition, count(*), count(distinct position), min(position), max(position) "
            f"from ({' union all '.join(parts)}) group by partition"
        ).fetchall()
    return {row[0]: tuple(row[1:]) for row in rows}


def check_offsets(project: Project) -> list[str]:
    """Whether the lake has every record of the log, once. Nothing may run meanwhile."""
    problems = []
    for topic, ends in project.log_ends().items():
        found = offsets(project, topic)
        for partition, end in ends.items():
            expected = (end, end, 0, end - 1) if end else None
            if (actual := found.get(partition)) != expected:
                problems.append(
                    f"{topic}/{partition}: the log ends at {end}; (records, distinct, first, last) in the lake: {actual}"
                )
        problems += [f"{topic}/{extra}: a partition the log does not have" for extra in found.keys() - ends.keys()]
    return problems


def check_tables(project: Project) -> list[str]:
    """Whether every table opens in another engine and every data file it names is there, whole."""
    problems = []
    for folder in project.tables():
        try:
            for file in files_of(folder):
                if Path(file).stat().st_size == 0:
                    problems.append(f"{folder.name}: {file} is empty")
        except Exception as error:  # another engine refuses in its own way: that is the finding
            problems.append(f"{folder.name} does not open: {type(error).__name__}: {error}")
    return problems


def check_recovered(project: Project) -> list[str]:
    """After any death: the next command works without help, and the lake has the log once."""
    try:
        project.expect("ingest")
        return check_offsets(project) + check_tables(project)
    except (Failed, subprocess.TimeoutExpired) as failure:
        return [str(failure)]


def settle(project: Project, beyond: int = 0) -> dict[str, int]:
    """Runs the project until its generator is past what the log held and everything is in the lake, stops it politely,
    and returns how many records the generator says it delivered, by topic."""
    held = {topic: sum(ends.values()) for topic, ends in project.log_ends().items()}
    goal = sum(held.values()) + beyond
    with running(project) as up:

        def passed(status: dict) -> bool:
            made = {topic: count for one in status["generators"] for topic, count in one["by_topic"].items()}
            return sum(made.values()) >= goal and all(made.get(topic, 0) >= count for topic, count in held.items())

        up.wait("the generator reaching the end of the log", passed)
        up.stop()
    status = project.json("generate")
    project.expect("ingest")
    return {topic: count for one in status for topic, count in one["by_topic"].items()}


def check_settled(project: Project, beyond: int = 0) -> list[str]:
    """The generator's own counts against the log, the log against the lake."""
    try:
        delivered = settle(project, beyond)
        ends = {topic: sum(ends.values()) for topic, ends in project.log_ends().items()}
        problems = [] if delivered == ends else [f"the generator delivered {delivered}, the log holds {ends}"]
        return problems + check_offsets(project) + check_tables(project)
    except (Failed, subprocess.TimeoutExpired) as failure:
        return [str(failure)]


def check_warehouse(project: Project) -> list[str]:
    """Models built over all of it, by the product; facts recomputed from the raw events, by another engine."""
    try:
        project.expect("build")
    except (Failed, subprocess.TimeoutExpired) as failure:
        return [str(failure)]
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/python/reconcile_music.py"), str(project.lake)],
        capture_output=True,
        text=True,
        check=False,
    )
    return [] if done.returncode == 0 else [f"facts differ from raw events: {tail(done.stdout + done.stderr, 12)}"]
