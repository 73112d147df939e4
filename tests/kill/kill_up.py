#!/usr/bin/env python3
"""Kills `headwater up` again and again and proves that nothing was lost or doubled.

    python kill_up.py --binary PATH [--kills 200] [--seed 1]        at random moments, with SIGKILL
    python kill_up.py --binary PATH --points [--times 2]            at each named fault point: abort, error, hang

The first also stops a process for a while and starts a second one beside it: that one must be refused.
Prints `N passed, M failed` last; exits 1 when anything failed. Needs the packages deltalake and duckdb.
"""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from scenario import (
    Failed,
    KillProject,
    Outcome,
    Running,
    Shape,
    check_recovered,
    check_settled,
    check_warehouse,
    ended,
    fault_points,
    running,
    tail,
)
from script import parser, workplace

VERIFY_EVERY = 10
# A point is given this long to be reached by a process that commits, builds and maintains all the time, on a busy machine.
REACH_SECONDS = 120
LIVE = ("--build-every", "2s")
# Points that builds alone reach. At the others they would only take the processor from what does reach them.
OF_BUILDS = ("m.", "p.")

# Points a running process does not reach by itself: the command that does, once.
COMMANDS = {
    "gen.before_snapshot_rename": ("generate",),
    "gen.after_snapshot": ("generate",),
    "m.tests_failed": ("build", "--force", "--vars", "{fail_on_request: true}"),
}
# Points that are reached only while a project is new.
ONLY_NEW = ("log.segment_rotate_before_dirsync",)
# Points that take many commits to reach.
LATE = ("dl.mid_checkpoint", "dl.after_checkpoint_before_pointer", "mt.vacuum_mid_delete", "dl.mid_log_cleanup")
# A process that hangs is watched this long before it is killed.
HANG_SECONDS = 2
# One life in so many is long enough for a build to end.
LONG_LIFE = 6


def random_kills(project: KillProject, kills: int, seed: int, outcome: Outcome) -> None:
    chance = random.Random(seed)
    began = time.monotonic()
    for kill in range(1, kills + 1):
        up = project.start(*LIVE)
        time.sleep(chance.uniform(0.05, 8 if kill % LONG_LIFE == 0 else 1.5))
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


def second_process_is_refused(project: KillProject, outcome: Outcome) -> None:
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


def started(project: KillProject, point: str, fault: str):
    """A process armed with a fault, of the kind that reaches the point; it does not outlive its block."""
    if command := COMMANDS.get(point):
        return ended(Running(project, command, fault))
    return running(project, *(LIVE if point.startswith(OF_BUILDS) else ()), fault=fault)


def wait_for_end(process: subprocess.Popen, seconds: float) -> int | None:
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def wait_for_point(up, point: str) -> list[str]:
    """Waits until the armed process says that it reached its point."""
    end = time.monotonic() + REACH_SECONDS
    while time.monotonic() < end:
        if f"fault point {point} reached" in up.said():
            return []
        if up.process.poll() is not None:
            break
        time.sleep(0.02)
    # It may have said so with its last breath.
    if f"fault point {point} reached" in up.said():
        return []
    code = up.process.poll()
    ended = "went on for the whole time" if code is None else f"ended with {code}"
    return [f"the point was not reached: the process {ended}: {tail(up.said(), 3)}"]


def abort_at(project: KillProject, point: str, nth: int) -> list[str]:
    with started(project, point, f"{point}=abort@{nth}") as up:
        problems = wait_for_point(up, point)
        code = wait_for_end(up.process, 10)
    if not problems and code != -signal.SIGABRT:
        problems = [f"it was to abort and ended with {code}"]
    return problems


def error_at(project: KillProject, point: str, nth: int) -> list[str]:
    """The process lives and retries, or ends and says so; a command fails, or makes good."""
    with started(project, point, f"{point}=error@{nth}") as up:
        problems = wait_for_point(up, point)
        if point not in COMMANDS:
            wait_for_end(up.process, 3)
            if up.process.poll() is None:
                up.process.terminate()
        code = wait_for_end(up.process, 60)
        if code is None:
            return [*problems, "it did not end within 60 s of SIGTERM"]
        said = up.said()
    if code not in (0, 1, 2):
        problems.append(f"ended with {code}: {tail(said)}")
    if code != 0 and "fault injected" not in said:
        problems.append(f"ended with {code} and does not say why: {tail(said)}")
    return problems


def hang_at(project: KillProject, point: str, nth: int) -> list[str]:
    """A part of the process stands still; it is killed while it does."""
    with started(project, point, f"{point}=hang@{nth}") as up:
        problems = wait_for_point(up, point)
        if not problems and (code := wait_for_end(up.process, HANG_SECONDS)) is not None:
            problems.append(f"it was to hang and ended with {code}: {tail(up.said())}")
    return problems


ACTIONS = {"abort": abort_at, "error": error_at, "hang": hang_at}


def try_point(project: KillProject, point: str, action: str, nth: int, outcome: Outcome) -> None:
    what = f"{point} {action}@{nth}"
    began = time.monotonic()
    outcome.hold(f"{what}, reached", ACTIONS[action](project, point, nth))
    outcome.hold(f"{what}, recovered", check_recovered(project))
    print(f"{what}: {time.monotonic() - began:.1f} s", flush=True)


def every_point(folder: Path, binary: Path, times: int, actions: list[str], only: list[str], outcome: Outcome) -> None:
    shape = Shape(rotate="200ms")
    # Those of change capture need a database: tests/postgres/capture.py; those of sinks a destination: tests/sinks/sinks.py.
    known = [point for point in fault_points() if not point.startswith(("cdc.", "k.", "snk.", "qr."))]
    points = [point for point in known if not only or point.startswith(tuple(only))]
    tries = [(action, nth) for action in actions for nth in range(1, times + 1)]
    for point in (point for point in points if point in ONLY_NEW):
        for action, nth in tries:
            try_point(KillProject(binary, folder / f"{point}-{action}-{nth}", shape), point, action, nth, outcome)
    points = [point for point in points if point not in ONLY_NEW]
    project = KillProject(binary, folder / "points", shape)
    project.expect("generate")
    for point in sorted(points, key=lambda point: LATE.index(point) if point in LATE else -1):
        for action, nth in tries:
            if nth == 1 or point not in COMMANDS:
                try_point(project, point, action, nth, outcome)
    outcome.hold("counts after all points", check_settled(project))
    outcome.hold("warehouse after all points", check_warehouse(project))


def main() -> int:
    words = parser(__doc__, kills=200, seed=1, keep=None)
    words.add_argument("--points", action="store_true", help="named fault points instead of random kills")
    words.add_argument("--actions", nargs="*", default=list(ACTIONS), choices=list(ACTIONS))
    words.add_argument("--only", nargs="*", default=[], metavar="POINT", help="points that begin so")
    words.add_argument("--times", type=int, default=2, help="act at the first, second, ... time a point is reached")
    options = words.parse_args()
    outcome = Outcome()
    with workplace(options.keep) as folder:
        if options.points:
            every_point(folder, options.binary, options.times, options.actions, options.only, outcome)
        else:
            project = KillProject(options.binary, folder / "kills", Shape())
            random_kills(project, options.kills, options.seed, outcome)
            second_process_is_refused(project, outcome)
            outcome.hold("counts at the end", check_settled(project))
            outcome.hold("warehouse at the end", check_warehouse(project))
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
