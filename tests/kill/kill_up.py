#!/usr/bin/env python3
"""Kills `headwater up` again and again and proves that nothing was lost or doubled.

    python kill_up.py --binary PATH [--kills 200] [--seed 1]        at random moments, with SIGKILL
    python kill_up.py --binary PATH --points [--times 2]            at each named fault point, by abort and by error

The first also stops a process for a while and starts a second one beside it: that one must be refused.
Prints `N passed, M failed` last; exits 1 when anything failed. Needs the packages deltalake and duckdb.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scenario import (
    Failed,
    Outcome,
    Project,
    Shape,
    check_recovered,
    check_settled,
    check_warehouse,
    fault_points,
    running,
    tail,
)

VERIFY_EVERY = 10
# A point is given this long to be reached by a process that commits, builds and maintains all the time.
REACH_SECONDS = 45
LIVE = ("--build-every", "2s")

# Points a running process does not reach by itself: the command that does.
COMMANDS = {
    "gen.before_snapshot_rename": ("generate",),
    "gen.after_snapshot": ("generate",),
    "m.tests_failed": ("build", "--force", "--vars", "{fail_on_request: true}"),
}
# Points that are reached only while a project is new.
ONLY_NEW = ("log.segment_rotate_before_dirsync",)
# Points that take many commits to reach.
LATE = ("dl.mid_checkpoint", "dl.after_checkpoint_before_pointer", "mt.vacuum_mid_delete", "dl.mid_log_cleanup")
UNREACHABLE = {
    "dl.after_ack_before_state_db": "nothing about an acknowledgement is written to the state database",
}


def random_kills(project: Project, kills: int, seed: int, outcome: Outcome) -> None:
    chance = random.Random(seed)
    began = time.monotonic()
    for kill in range(1, kills + 1):
        up = project.start(*LIVE)
        time.sleep(chance.uniform(0.05, 1.5))
        code = up.process.poll()
        up.kill()
        if code is not None:
            outcome.hold(f"kill {kill}", [f"it ended by itself with {code}: {tail(up.said())}"])
        if kill % VERIFY_EVERY == 0:
            # Every second time also killed while it recovers.
            if kill % (2 * VERIFY_EVERY) == 0:
                recovering = project.start(*LIVE)
                time.sleep(chance.uniform(0.01, 0.3))
                recovering.kill()
            outcome.hold(f"after {kill} kills", check_recovered(project))
            outcome.hold(f"after {kill} kills, counts", check_settled(project, beyond=500))
            ends = sum(sum(ends.values()) for ends in project.log_ends().values())
            print(f"{kill} kills, {ends} records, {time.monotonic() - began:.0f} s", flush=True)


def second_process_is_refused(project: Project, outcome: Outcome) -> None:
    """A process that sleeps still owns its project; the one that comes meanwhile is told who does."""
    with running(project, *LIVE) as first:
        first.address()
        first.process.send_signal(signal.SIGSTOP)
        second = project.run("up", "--port", "0", "--for", "2s", seconds=60)
        problems = []
        if second.returncode == 0:
            problems.append("a second process ran beside the first")
        if str(first.process.pid) not in second.stderr:
            problems.append(f"the refusal does not name process {first.process.pid}: {tail(second.stderr)}")
        first.process.send_signal(signal.SIGCONT)
        try:
            first.stop()
        except Failed as failure:
            problems.append(str(failure))
    outcome.hold("a second process is refused", problems)


def dies_at(project: Project, point: str, nth: int) -> int | None:
    """The exit status of a process armed to abort at a point; none when it did not get there."""
    fault = f"{point}=abort@{nth}"
    if command := COMMANDS.get(point):
        return project.run(*command, fault=fault).returncode
    with running(project, *LIVE, fault=fault) as up:
        try:
            return up.process.wait(REACH_SECONDS)
        except subprocess.TimeoutExpired:
            return None


def abort_at(project: Project, point: str, nth: int, outcome: Outcome) -> None:
    code = dies_at(project, point, nth)
    what = f"{point} abort@{nth}"
    if code != -signal.SIGABRT:
        ended = "went on for the whole time" if code is None else f"ended with {code}"
        outcome.hold(what, [f"the point was not reached: the process {ended}: {said(project)}"])
    outcome.hold(what, check_recovered(project))


def said(project: Project) -> str:
    return tail(project.words.read_text(errors="replace"), 3) if project.words.exists() else ""


def error_at(project: Project, point: str, outcome: Outcome) -> None:
    """An error at a point of the lake: the process lives and retries, or ends and says so; the data are whole either way."""
    with running(project, *LIVE, fault=f"{point}=error@1") as up:
        try:
            up.process.wait(5)
        except subprocess.TimeoutExpired:
            up.process.terminate()
        code = up.process.wait(30)
        said = up.said()
    problems = [] if code in (0, 2) else [f"ended with {code}: {tail(said)}"]
    outcome.hold(f"{point} error", problems + check_recovered(project))


def every_point(folder: Path, binary: Path, times: int, only: list[str], outcome: Outcome) -> None:
    shape = Shape(rotate="200ms")
    points = [point for point in fault_points() if not only or point in only]
    for point in (point for point in points if point in UNREACHABLE):
        print(f"left out {point}: {UNREACHABLE[point]}", flush=True)
    points = [point for point in points if point not in UNREACHABLE]
    for point in (point for point in points if point in ONLY_NEW):
        for nth in range(1, times + 1):
            abort_at(Project(binary, folder / f"{point}-{nth}", shape), point, nth, outcome)
    points = [point for point in points if point not in ONLY_NEW]
    project = Project(binary, folder / "points", shape)
    project.expect("generate")
    for point in sorted(points, key=lambda point: LATE.index(point) if point in LATE else -1):
        began = time.monotonic()
        for nth in range(1, times + 1):
            abort_at(project, point, nth, outcome)
        if point.startswith("dl."):
            error_at(project, point, outcome)
        print(f"{point}: {time.monotonic() - began:.1f} s", flush=True)
    outcome.hold("counts after all points", check_settled(project))
    outcome.hold("warehouse after all points", check_warehouse(project))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--points", action="store_true", help="named fault points instead of random kills")
    parser.add_argument("--only", nargs="*", default=[], metavar="POINT")
    parser.add_argument("--times", type=int, default=2, help="die at the first, second, ... time a point is reached")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it, for looking into a failure")
    arguments = parser.parse_args()
    outcome = Outcome()
    with tempfile.TemporaryDirectory(prefix="headwater-kill-") as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if arguments.points:
            every_point(folder, arguments.binary, arguments.times, arguments.only, outcome)
        else:
            project = Project(arguments.binary, folder / "kills", Shape())
            random_kills(project, arguments.kills, arguments.seed, outcome)
            second_process_is_refused(project, outcome)
            outcome.hold("counts at the end", check_settled(project))
            outcome.hold("warehouse at the end", check_warehouse(project))
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
