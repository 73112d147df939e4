"""Small projects made by a test, their commands, and their tables next to those of a database."""

import csv
import io
import os
import subprocess
import time
from collections import Counter
from pathlib import Path

SECONDS = 300


class Folder:
    """A project of a settings file and sources."""

    def __init__(self, binary: Path, folder: Path, settings: str, sources: dict[str, str]):
        self.binary, self.folder = binary.resolve(), folder
        (folder / "sources").mkdir(parents=True)
        (folder / "headwater.yml").write_text(settings)
        for name, text in sources.items():
            (folder / "sources" / f"{name}.yml").write_text(text)

    def command(self, *arguments: str) -> list[str]:
        return [str(self.binary), "-C", str(self.folder), "--no-color", *arguments]

    def environment(self, variables: dict[str, str] | None = None) -> dict[str, str]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("HEADWATER_")}
        return clean | (variables or {})

    def run(self, *arguments: str, variables: dict[str, str] | None = None, seconds: float = SECONDS):
        return subprocess.run(
            self.command(*arguments), env=self.environment(variables), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=seconds, check=False,
        )

    def start(self, *arguments: str, variables: dict[str, str] | None = None) -> "Started":
        return Started(self, arguments, variables)

    def table(self, schema: str, name: str) -> Path:
        return self.folder / ".headwater" / "lake" / "tables" / schema / name

    def rows(self, sql: str) -> list[list[str]]:
        """What a query over the lake gives, as text; NULL as the empty text."""
        done = self.run("query", sql, "--format", "csv")
        if done.returncode:
            raise RuntimeError(f"query: {done.stderr.strip()}")
        return list(csv.reader(io.StringIO(done.stdout)))[1:]


def same_rows(cluster, source: str, folder: Folder, lake: str) -> list[str]:
    """What differs between a query at the source and one over the lake; rows are counted."""
    expected = Counter(map(tuple, cluster.sql(source)))
    found = Counter(map(tuple, folder.rows(lake)))
    missing, more = expected - found, found - expected
    problems = []
    if missing:
        problems.append(f"{missing.total()} of {expected.total()} rows missing, such as {next(iter(missing))}")
    if more:
        problems.append(f"{more.total()} rows too many, such as {next(iter(more))}")
    return problems


class Started:
    """A command that runs; its words go to a file, so that it never waits for a reader."""

    def __init__(self, folder: Folder, arguments: tuple[str, ...], variables: dict[str, str] | None):
        self.path = folder.folder.with_suffix(".said")
        self.file = self.path.open("w")
        self.process = subprocess.Popen(
            folder.command(*arguments), env=folder.environment(variables), stdin=subprocess.DEVNULL,
            stdout=self.file, stderr=self.file,
        )

    def said(self) -> str:
        return self.path.read_text(errors="replace")

    def until(self, text: str, seconds: float) -> bool:
        """Whether it said this in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and text not in self.said():
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        return text in self.said()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.file.close()
