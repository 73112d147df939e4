"""Many starts, and many commits: nothing stays over that grows (A22, L15)."""

import json
import os
import random
import signal
import statistics
from pathlib import Path

from served import FILES, PUSH, World, Wrapped, comes, leftovers, put_lines, up

LINES = "select count(*), count(distinct id) from lines.lines"
# What a process that was killed in the middle may leave for the next one to remove.
SOME = 6
# Long enough ago that no write can still be under way.
LONG_AGO = 400 * 24 * 3600
OFTEN = "name: p\nlake: {maintenance: {every: 2s}}\n"
# Those since the checkpoint before the last, and what comes between two rounds of maintenance.
MOST_ENTRIES = 250


def check_starts(world: World) -> None:
    """`up` begins, is asked for a run now and then, and is killed or stopped at any moment."""
    dice = random.Random(1)
    folder = Wrapped(world.binary, world.folder / "project", "name: p\n", {"hooks": PUSH, "lines": FILES % (world.folder / "data")})
    put_lines(world.folder / "data", "1", range(100))
    (folder.folder / "models").mkdir()
    (folder.folder / "models" / "ids.sql").write_text("{{ config(materialized='table') }}\nselect count(*) as n from lines.lines\n")
    (folder.folder / "models" / "sources.yml").write_text("sources: [{name: lines, tables: [{name: lines}]}]\n")
    costs = [start_well(world, folder, number) for number in range(3)]
    before = others(folder)
    for number in range(world.starts):
        start_badly(folder, dice, with_run=number % 10 == 0)
    costs_after = [start_well(world, folder, number) for number in range(3)]
    grown = len(others(folder)) - len(before)
    world.hold("A22 files of the data folder do not grow in number", grown <= SOME, [path for path in listing(folder) if "/_delta_log/" not in path])
    log = folder.table("lines", "lines") / "_delta_log"
    # Each start takes the table over by a commit; maintenance makes checkpoints of them.
    world.hold("A22 the table has not more commits than starts", len(list(log.glob("*.json"))) <= world.starts + 20, len(list(log.glob("*.json"))))
    size = (folder.folder / ".headwater" / "state.db").stat().st_size
    world.hold("A22 the state does not grow", size < 1 << 20, size)
    # Processor time, not the clock's: the machine may be busy.
    world.hold("A22 a start does not cost more and more", statistics.median(costs_after) < 3 * statistics.median(costs) + 0.2, (costs, costs_after))
    statuses = [run["status"] for run in json.loads(folder.run("runs", "--limit", "1000", "--json").stdout)]
    world.hold("A22 no run is left running", not {"running", "queued"} & set(statuses), statuses)
    world.hold("A22 runs were killed", "crashed" in statuses or "succeeded" in statuses, statuses)
    swept(world, folder)
    doctor = folder.run("doctor")
    world.hold("A22 the doctor finds nothing", doctor.returncode == 0, doctor.stdout)


def swept(world: World, folder: Wrapped) -> None:
    """What was being written when a process was killed is removed once it is old."""
    root = folder.folder / ".headwater"
    for path in root.rglob("*#*"):
        os.utime(path, (path.stat().st_mtime - LONG_AGO,) * 2)
    done = folder.run("maintain")
    world.hold("A22 maintenance runs", done.returncode == 0, done)
    world.hold("A22 half files of killed processes go", not (left := leftovers(root)), left)


def start_well(world: World, folder: Wrapped, number: int) -> float:
    """What a whole start costs; everything the source has is there at its end."""
    with up(folder) as served:
        cost = served.processor_seconds()
        world.hold(f"A22 whole start {number}: rows are there once", comes(lambda: served.rows(LINES) == "100,100"), served.rows(LINES))
        world.hold(f"A22 whole start {number}: it stops well", served.stop() == 0, served.started.said())
        return cost


def start_badly(folder: Wrapped, dice: random.Random, with_run: bool) -> None:
    started = folder.start("up", "--port", "0")
    try:
        if with_run and started.until("Listening on ", 20):
            url = started.said().split("Listening on ")[1].split()[0]
            os.spawnlp(os.P_WAIT, "curl", "curl", "-s", "-o", "/dev/null", "-X", "POST", f"{url}/api/runs?wait=false", "-d", '{"command": "build", "full_refresh": true}')
        else:
            started.until("Listening on ", dice.uniform(0, 0.12))
        if dice.random() < 0.5:
            started.process.send_signal(signal.SIGTERM)
            started.until("Stopped.", dice.uniform(0, 0.1))
    finally:
        started.kill()


def listing(folder: Wrapped) -> list[str]:
    root = folder.folder / ".headwater"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def others(folder: Wrapped) -> list[str]:
    """Files that starts alone must not add to: without those of commits, of runs, and of writes that were cut off."""
    of_runs = ("target/", "lake/tables/main/")
    return [path for path in listing(folder) if "/_delta_log/" not in path and "#" not in path and not path.startswith(of_runs)]


def check_commits(world: World) -> None:
    """Commit after commit: memory and handles of the process stay what they are, and the table's log stays short."""
    data = world.folder / "data"
    data.mkdir()
    folder = Wrapped(world.binary, world.folder / "project", OFTEN, {"lines": (FILES % data).replace("every: 100ms", "rows: 1")})
    with up(folder) as served:
        sizes, handles, done = [], [], 0
        for part in range(4):
            upto = world.commits * (part + 1) // 4
            for number in range(done, upto):
                put_lines(data, f"{number:06}", range(number, number + 1))
            done = upto
            # The status is cheap to ask for; a query has a process of its own.
            comes(lambda: served.source("lines")["tables"][0]["rows_out"] >= done, 30 + world.commits / 10)
            came = comes(lambda: served.rows(LINES) == f"{done},{done}")
            world.hold(f"L15 {done} rows are there once", came, served.rows(LINES))
            sizes.append(served.resident())
            handles.append(served.open_files())
        table = served.source("lines")["tables"][0]
        world.hold("L15 each file was a commit", table["commits"] >= world.commits, table)
        # The first part opens what later ones use again.
        # The allocator keeps what the busiest moment took, which differs from run to run by tens of megabytes.
        world.hold("L15 memory does not grow", sizes[-1] < sizes[0] * 1.1 + (48 << 20), sizes)
        # Whoever looks after the table may have its files open just then.
        closed = comes(lambda: served.open_files() <= handles[0] + 8)
        world.hold("L15 open files do not grow", closed, [*handles, served.open_files()])
        world.hold("L15 the process stops well", served.stop() == 0, served.started.said())
    maintained(world, folder, done)


def maintained(world: World, folder: Wrapped, rows: int) -> None:
    log = folder.table("lines", "lines") / "_delta_log"
    done = folder.run("maintain")
    world.hold("L15 the table is looked after", done.returncode == 0, done)
    entries, checkpoints = len(list(log.glob("*.json"))), len(list(log.glob("*.checkpoint.parquet")))
    world.hold("L15 checkpoints stand for the commits", checkpoints > 0, checkpoints)
    world.hold("L15 the log stays short", entries < MOST_ENTRIES, entries)
    found = folder.run("query", LINES, "--format", "csv").stdout.split()[-1]
    world.hold("L15 the table opens from it", found == f"{rows},{rows}", found)
    print(f"{rows} commits, {entries} log entries and {checkpoints} checkpoints left", flush=True)
