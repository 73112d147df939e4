#!/usr/bin/env python3
"""Cuts the power: what was not synced is gone, what was acknowledged is not.

    python power_cut.py --binary PATH [--cuts 8] [--seed 1]

The project lives on an ext4 file system in an image file. At random moments the image is copied while `headwater up` runs on
it: the copy has what reached the device, not what the inner file system still held in memory, as a disk has after a power
cut. The copy is mounted and must recover without help: every count that the process had reported as committed before the
cut is in the tables, every table opens, and the lake has the log once.

Needs root and loop devices; says `skipped` where they are not to be had. Needs the packages deltalake and duckdb.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scenario import Failed, KillProject, Outcome, Shape, check_recovered, check_settled, offsets, running
from script import parser, workplace

# The log refuses to write when less than a gigabyte is free.
IMAGE_BYTES = 3 << 30


def shell(*arguments: str | Path) -> None:
    subprocess.run([str(one) for one in arguments], check=True, capture_output=True, text=True)


@contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    at.mkdir(exist_ok=True)
    shell("mount", "-o", "loop", image, at)
    try:
        yield at
    finally:
        shell("umount", at)


def make_image(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    shell("mkfs.ext4", "-q", "-F", path)


def acknowledged(status: dict) -> dict[str, int]:
    """Records each table of a log's topic has, by the process's word, since its first start."""
    return {
        one["table"].removeprefix("events."): one["rows_out"] + one["quarantined"]
        for one in status["pipelines"]
        if one["table"].startswith("events.")
    }


def check_acknowledged(project: KillProject, before: dict[str, int]) -> list[str]:
    problems = []
    for topic, count in before.items():
        found = sum(records for records, *_ in offsets(project, topic).values())
        if found < count:
            problems.append(f"{topic}: {count} records were acknowledged, {found} are there")
    return problems


def recover(project: KillProject, image: Path, at: Path, before: dict[str, int], what: str, outcome: Outcome) -> None:
    live = project.folder
    with mounted(image, at):
        project.folder = at / "music"
        project.lake = project.folder / ".headwater" / "lake"
        # Each copy is a world of its own: what another one built need not be in it.
        project.opened.clear()
        try:
            # Before anything ran: what the disk holds is what counts.
            outcome.hold(f"{what}, acknowledged", check_acknowledged(project, before))
            outcome.hold(f"{what}, recovered", check_recovered(project))
            outcome.hold(f"{what}, counts", check_settled(project))
        finally:
            project.folder = live
            project.lake = live / ".headwater" / "lake"


def cuts(folder: Path, binary: Path, number: int, seed: int, outcome: Outcome) -> None:
    chance = random.Random(seed)
    image, copy = folder / "disk.img", folder / "cut.img"
    make_image(image)
    with mounted(image, folder / "disk") as disk:
        project = KillProject(binary, disk / "music", Shape(rotate="200ms"))
        project.words = folder / "words.stderr"
        # What the user wrote is on the disk; only what the process writes is put to the test.
        os.sync()
        with running(project, "--build-every", "2s") as up:
            up.wait("a first commit", lambda status: any(one["commits"] for one in status["pipelines"]))
            for cut in range(1, number + 1):
                time.sleep(chance.uniform(0.2, 4))
                before = acknowledged(up.status())
                # Held still, so that the copy is of one moment.
                up.process.send_signal(signal.SIGSTOP)
                shell("cp", "--sparse=always", image, copy)
                up.process.send_signal(signal.SIGCONT)
                live_words, project.words = project.words, folder / "recovery.stderr"
                recover(project, copy, folder / "cut", before, f"cut {cut}", outcome)
                project.words = live_words
                print(f"cut {cut}: {sum(before.values())} records acknowledged before it", flush=True)
            up.stop()


def can_mount(folder: Path) -> str | None:
    """Why it cannot be done here; none when it can."""
    try:
        make_image(folder / "probe.img")
        with mounted(folder / "probe.img", folder / "probe"):
            return None
    except FileNotFoundError as error:
        return f"{error.filename} is not installed"
    except subprocess.CalledProcessError as error:
        return f"{error.cmd[0]}: {error.stderr.strip()}"
    finally:
        (folder / "probe.img").unlink(missing_ok=True)


def main() -> int:
    options = parser(__doc__, cuts=8, seed=1).parse_args()
    outcome = Outcome()
    with workplace() as folder:
        if why := can_mount(folder):
            print(f"skipped: no file system can be mounted here ({why})")
            return 0
        try:
            cuts(folder, options.binary, options.cuts, options.seed, outcome)
        except Failed as failure:
            outcome.hold("the running process", [str(failure)])
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
