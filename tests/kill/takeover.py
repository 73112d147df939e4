#!/usr/bin/env python3
"""An owner that was thought dead comes back after another one took its lake over: it must never commit again.

    python takeover.py --binary PATH [--rounds 5]

Two processes cannot run one project folder: a lock sees to it. But a machine that stands still, whose disk was attached to
another one, has a folder of its own and the lake in common. So in each round the owner is stopped (SIGSTOP), its folder is
copied as a disk image would be, a second process takes the lake over from the copy, and only then the first goes on
(SIGCONT). By the fence epochs in the tables' logs no commit of the first comes after the take-over, it says why it can not
write, and the lake has the records of the second one's log, each once.

Prints `N passed, M failed` last; exits 1 when anything failed. Needs the packages deltalake and duckdb.
"""

import json
import shutil
import signal
import sys
import time
from pathlib import Path

from scenario import Failed, KillProject, Outcome, Shape, Up, check_offsets, check_tables, ended, tail
from script import parser, workplace

SETTINGS = """\
name: music
lake:
  location: {lake}
"""
NOTICE_SECONDS = 30


def owned_project(binary: Path, folder: Path, lake: Path) -> KillProject:
    """A project that does nothing but generate and take in: two owners that build would differ for reasons of their own."""
    project = KillProject(binary, folder, Shape(rotate="200ms", speed=50000))
    (folder / "headwater.yml").write_text(SETTINGS.format(lake=lake))
    shutil.rmtree(folder / "jobs")
    project.lake = lake
    return project


def image_of(project: KillProject, folder: Path) -> KillProject:
    """The project as a copy of its disk has it. What the process has not written yet is not in it."""
    copy = object.__new__(KillProject)
    copy.__dict__.update(project.__dict__)
    copy.folder, copy.words, copy.opened = folder, folder.with_suffix(".stderr"), set(project.opened)
    shutil.copytree(project.folder, folder)
    return copy


def epochs(table: Path) -> list[tuple[int, int]]:
    """(version, epoch) of each commit that carries a fence, in order."""
    found = []
    for commit in sorted((table / "_delta_log").glob("*.json")):
        for line in commit.read_text().splitlines():
            transaction = json.loads(line).get("txn")
            if transaction and transaction["appId"].startswith("fence/"):
                found.append((int(commit.stem), transaction["version"]))
    return found


def fenced_tables(project: KillProject) -> list[Path]:
    return [folder for folder in project.tables() if folder.parent.name == "events" and epochs(folder)]


def committed(status: dict) -> bool:
    pipelines = [one for one in status["pipelines"] if one["table"].endswith(("listen_events", "page_view_events"))]
    return bool(pipelines) and all(one["commits"] for one in pipelines)


def delivered(status: dict) -> int:
    return sum(sum(one["by_topic"].values()) for one in status["generators"])


def wait_until_told(old: Up) -> list[str]:
    """The revived owner must learn of the other: it says so, and ends or stands still."""
    end = time.monotonic() + NOTICE_SECONDS
    while time.monotonic() < end:
        if "epoch" in old.said() or "took over" in old.said():
            return []
        if old.process.poll() is not None:
            break
        time.sleep(0.1)
    return [f"it does not say that another owner took over: {tail(old.said(), 4)}"]


def take_over(old: Up, project: KillProject, what: str, outcome: Outcome) -> Up:
    """The old owner stands still. Returns the new one."""
    new = project.start()
    problems = []
    try:
        new.wait("the first commits of the new owner", committed)
        before = {table: epochs(table)[-1] for table in fenced_tables(project)}
        old.process.send_signal(signal.SIGCONT)
        problems += wait_until_told(old)
        goal = sum(new.delivered().values()) + 500
        new.wait("the new owner going on", lambda status: delivered(status) > goal)
        for table, (version, epoch) in before.items():
            strangers = [later for later in epochs(table) if later[0] > version and later[1] != epoch]
            if strangers:
                problems.append(f"{table.name}: the owner has epoch {epoch}, but commits (version, epoch) {strangers[:3]} follow")
    except Failed as failure:
        problems.append(str(failure))
    finally:
        if old.process.poll() is None:
            old.kill()
    outcome.hold(what, problems)
    return new


def rounds(folder: Path, binary: Path, number: int, outcome: Outcome) -> None:
    project = owned_project(binary, folder / "owner-0", folder / "lake")
    project.expect("generate")
    up = project.start()
    for number_of_round in range(1, number + 1):
        with ended(up):
            up.wait("the first commits of the owner", committed)
            up.process.send_signal(signal.SIGSTOP)
            project = image_of(project, folder / f"owner-{number_of_round}")
            up = take_over(up, project, f"round {number_of_round}", outcome)
        print(f"round {number_of_round}: {sum(up.delivered().values())} records", flush=True)
    with ended(up):
        up.stop()
    project.expect("ingest")
    outcome.hold("the lake has the log once", check_offsets(project) + check_tables(project))


def main() -> int:
    options = parser(__doc__, rounds=5, keep=None).parse_args()
    outcome = Outcome()
    with workplace(options.keep) as folder:
        try:
            rounds(folder, options.binary, options.rounds, outcome)
        except Failed as failure:
            outcome.hold("the rounds", [str(failure)])
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
