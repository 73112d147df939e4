"""A copy of the music project, its commands and its processes, for tests that drive the whole binary from outside."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 30
COMMAND_SECONDS = 300


class Failed(Exception):
    """The product did what it must not."""


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
            print(f"FAILED  {what}: {problem.rstrip()}".replace("\n", "\n    "), flush=True)

    def finish(self) -> int:
        print(f"{self.passed} passed, {len(self.failures)} failed", flush=True)
        return 1 if self.failures or not self.passed else 0


class Project:
    """A copy of the music project that keeps a source of its own kind: `source` and `settings` replace the two files."""

    def __init__(self, binary: Path, folder: Path, source: str, settings: str, variables: dict[str, str] | None = None):
        self.binary = binary.resolve()
        self.folder = folder
        self.lake = folder / ".headwater" / "lake"
        self.words = folder.with_suffix(".stderr")
        self.variables = variables or {}
        shutil.copytree(ROOT / "projects" / "music", folder, ignore=shutil.ignore_patterns(".headwater"))
        (folder / "sources" / "events.yml").write_text(source)
        (folder / "headwater.yml").write_text(settings)

    def command(self, *arguments: str) -> list[str]:
        return [str(self.binary), "-C", str(self.folder), "--no-color", *arguments]

    def environment(self, fault: str | None) -> dict[str, str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("HEADWATER_")}
        return environment | self.variables | ({"HEADWATER_FAULT": fault} if fault else {})

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


class Running:
    """A command that runs; its words go to a file, so that it never waits for a reader."""

    def __init__(self, project: Project, arguments: tuple[str, ...], fault: str | None):
        self.project = project
        self.words = project.words.open("w+")
        self.process = subprocess.Popen(
            project.command(*arguments),
            env=project.environment(fault),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.words,
        )

    def said(self) -> str:
        return self.project.words.read_text(errors="replace")

    def kill(self, with_signal: int = signal.SIGKILL) -> int:
        self.process.send_signal(with_signal)
        code = self.process.wait(STOP_SECONDS)
        self.words.close()
        return code


class Up(Running):
    """A running `headwater up`."""

    def __init__(self, project: Project, arguments: tuple[str, ...], fault: str | None):
        super().__init__(project, ("up", "--port", "0", *arguments), fault)

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
        with urllib.request.urlopen(f"{self.address()}/api/status", timeout=60) as answer:
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
def running(project: Project, *arguments: str, fault: str | None = None) -> Iterator[Up]:
    """A process that does not outlive the block, whatever happens in it."""
    with ended(project.start(*arguments, fault=fault)) as up:
        yield up


@contextmanager
def ended(process):
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.kill()
