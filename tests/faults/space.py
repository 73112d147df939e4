"""Disks without room: for the lake, for the log, for the state and for what queries put aside (A9, A10, A11)."""

import json
import shutil
import time
from pathlib import Path

from disks import fill, free, make_room, small_disk
from served import FILES, PUSH, Served, World, Wrapped, comes, leftovers, put_lines, up

LINES = "select count(*), count(distinct id) from lines.lines"
HOOKS = "select count(*), count(distinct id) from hooks.hooks"
ENOUGH = 1 << 30
MUSIC = Path(__file__).resolve().parents[2] / "projects" / "music"


def check_lake_full(world: World) -> None:
    """The lake has a disk of its own, which fills up in the middle of a file."""
    data = world.folder / "data"
    with small_disk(world.folder / "disk", "size=24m") as disk:
        settings = f"name: p\nlake: {{location: {disk}/lake}}\n"
        folder = Wrapped(world.binary, world.folder / "project", settings, {"lines": FILES % data, "hooks": PUSH})
        put_lines(data, "1", range(1000))
        with up(folder) as served:
            served.push(0)
            world.hold("A9 rows come while there is room", comes(lambda: served.rows(LINES) == "1000,1000" and served.rows(HOOKS) == "1,1"), served.rows(LINES))
            fill(disk, leave=400 << 10)
            put_lines(data, "2", range(1000, 21_000), fill=32)
            full_lake(world, served, disk)
            make_room(disk)
            world.hold("A9 the file's rows come when there is room, without help", comes(lambda: served.rows(LINES) == "21000,21000"), served.rows(LINES))
            world.hold("A9 and the pushed ones, each once", comes(lambda: served.rows(HOOKS) == "4,4"), served.rows(HOOKS))
            world.hold("A9 nothing is told any more", comes(lambda: not served.told("lines")), served.told("lines"))
            world.hold("A9 the process stops well", served.stop() == 0, served.started.said())
        world.hold("A9 no half files stay", not (left := leftovers(disk)), left)
    traffic_resumes(world)


def full_lake(world: World, served: Served, disk: Path) -> None:
    world.hold("A9 the source says that there is no room", comes(lambda: "No space left" in served.told("lines")), served.source("lines"))
    fill(disk)
    taken = [served.push(number)[0] for number in range(1, 4)]
    world.hold("A9 the log takes pushes while the lake has no room", taken == [200] * 3, taken)
    world.hold("A9 queries are answered, and half a file is not shown", served.rows(LINES) == "1000,1000", served.rows(LINES))
    # A try that failed leaves nothing that the next one would add to.
    world.hold("A9 tries that failed leave nothing behind", len(left := leftovers(disk)) <= 1, left)


def traffic_resumes(world: World) -> None:
    """The same while records keep coming: what waits in the log is taken once there is room."""
    with small_disk(world.folder / "busy", "size=8m") as disk:
        settings = f"name: p\nlake: {{location: {disk}/lake}}\n"
        folder = Wrapped(world.binary, world.folder / "busy-project", settings, {"hooks": PUSH})
        with up(folder) as served:
            sent = 0
            while sent < 60:
                if sent == 20:
                    fill(disk)
                if sent == 40:
                    world.hold("A9 a busy source says that there is no room", comes(lambda: "No space left" in served.told("hooks")), served.source("hooks"))
                    make_room(disk)
                sent += served.push(sent)[0] == 200
                time.sleep(0.02)
            world.hold("A9 a busy source goes on without help, each row once", comes(lambda: served.rows(HOOKS) == "60,60"), served.rows(HOOKS))


def check_log_full(world: World) -> None:
    """The log stops taking before its disk is full, and answers so that senders come again."""
    folder = Wrapped(world.binary, world.folder / "project", "name: p\n", {"hooks": PUSH})
    with small_disk(folder.folder / ".headwater" / "log", "size=1200m") as disk, up(folder) as served:
        fill(disk, leave=ENOUGH + (4 << 20))
        record, answers = 1 << 20, []
        # It looks again only after some megabytes, so that a look does not cost each request.
        while len(answers) < 40 and all(status == 200 for status, _ in answers):
            answers.append(served.push(len(answers), record))
        refused = answers[-1]
        world.hold("A9 a push is refused before the disk is full", refused[0] != 200 and free(disk) > ENOUGH - (64 << 20), (len(answers), refused))
        world.hold("A9 as something that another try gets past", refused[0] == 503, refused)
        world.hold("A9 and says why and what to do", "bytes free" in refused[1] and "Free some disk space" in refused[1], refused)
        count = len(answers) - 1
        world.hold("A9 queries are answered meanwhile", comes(lambda: served.rows(HOOKS) == f"{count},{count}"), served.rows(HOOKS))
        make_room(disk)
        again = [served.push(number, record)[0] for number in range(len(answers) + 1)]
        world.hold("A9 pushes are taken when there is room again", set(again) == {200}, again)
        world.hold("A9 each is there once", comes(lambda: served.rows(HOOKS) == f"{count + 2},{count + 2}"), served.rows(HOOKS))


GENERATOR = """\
kind: generator
name: events
generator: sessions
config: generators/sessions.yml
backlog: {start: 2 hours ago, users: 20}
speed: 60x
rotate: {rows: 100, every: 200ms}
"""


def check_generator_full(world: World) -> None:
    """A generator meets a log without room: it waits, and everything else goes on."""
    folder = Wrapped(world.binary, world.folder / "project", "name: p\n", {"events": GENERATOR, "hooks": PUSH})
    shutil.copytree(MUSIC / "generators", folder.folder / "generators")
    with small_disk(folder.folder / ".headwater" / "log", "size=1200m") as disk:
        fill(disk, leave=ENOUGH - (64 << 20))
        with up(folder) as served:
            comes(lambda: "bytes free" in served.started.said())
            time.sleep(1)
            world.hold("A9 a generator without room does not end the process", served.lives(), served.started.said())
            make_room(disk)
            if not served.lives():
                return
            world.hold("A9 it goes on when there is room", comes(lambda: made(served) > 0), served.started.said())
            world.hold("A9 the process of a generator stops well", served.stop() == 0, served.started.said())
        verified = folder.run("ingest")
        world.hold("A9 what it made is taken", verified.returncode == 0, verified)
        for topic in json.loads(folder.run("topics", "list", "--json").stdout):
            once(world, folder, topic)


def made(served: Served) -> int:
    return json.loads(served.ask("/api/status")[1])["generators"][0]["delivered"]


def once(world: World, folder: Wrapped, topic: dict) -> None:
    """Each offset of a topic is in its table once; the generator was told to make no bad records."""
    name, end = topic["name"], topic["partitions"][0]["end_offset"]
    if name == "hooks" or end == 0:
        return
    found = folder.rows(f"select count(*), count(distinct _offset) from events.{name}")
    world.hold(f"A9 {name}: each record is there once", found == [[str(end)] * 2], (found, end))


def check_state_full(world: World) -> None:
    """The folder of the state has no room: nothing runs, and nothing that ran is told wrongly afterwards."""
    folder = Wrapped(world.binary, world.folder / "project", f"name: p\nlake: {{location: {world.folder}/lake}}\n", {})
    models = folder.folder / "models"
    models.mkdir()
    (models / "ids.sql").write_text("{{ config(materialized='table') }}\nselect 1 as id\n")
    # Takes long enough that the disk is full before it ends.
    pairs = "generate_series(1, 60000) a(x), generate_series(1, 4000) b(y)"
    (models / "slow.sql").write_text(f"{{{{ config(materialized='table') }}}}\nselect count(*) as n from {pairs} where x * y % 7 = 3\n")
    with small_disk(folder.folder / ".headwater", "size=16m") as disk:
        done = folder.run("build", "-s", "ids")
        world.hold("A10 a build runs while there is room", done.returncode == 0, done)
        fill(disk)
        done = folder.run("build", "-s", "ids", "--full-refresh")
        world.hold("A10 a build without room is refused, and says why", done.returncode != 0 and is_about_room(done.stderr), done)
        done = folder.run("query", "select id from ids", "--format", "csv")
        world.hold("A10 a query is answered, or says that there is no room", done.stdout.split() == ["id", "1"] or is_about_room(done.stderr), done)
        make_room(disk)
        with up(folder) as served:
            run_out(world, served, disk)
            world.hold("A10 the process stops well", served.stop() == 0, served.started.said())
        scheduled(world, folder, disk)
        done = folder.run("build", "-s", "ids")
        statuses = [run["status"] for run in json.loads(folder.run("runs", "--json").stdout)]
        world.hold("A10 the next start builds", done.returncode == 0, done)
        world.hold("A10 and no run is left running", not {"running", "queued"} & set(statuses), statuses)


def is_about_room(said: str) -> bool:
    return any(words in said for words in ("No space left", "disk is full", "has room"))


def run_out(world: World, served: Served, disk: Path) -> None:
    """The room goes while a run is under way in a process that lives on."""
    begun = start(served, "slow")
    number = json.loads(begun[1])["run"]
    comes(lambda: status_of(served, number) == "running")
    fill(disk)
    refused = start(served, "ids")
    world.hold("A10 a run that cannot be noted is not begun", refused[0] >= 400, refused)
    world.hold("A10 queries of the running process are answered", served.rows("select id from ids") == "1", served.rows("select id from ids"))
    # Whatever it comes to, it comes to it without room.
    comes(lambda: not is_busy(served))
    make_room(disk)
    again = start(served, "ids")
    world.hold("A10 runs begin again when there is room", again[0] == 202, again)
    after = json.loads(again[1])["run"]
    world.hold("A10 and succeed", comes(lambda: status_of(served, after) == "succeeded"), status_of(served, after))
    status = status_of(served, number)
    rows = served.rows("select n > 0 from slow")
    world.hold("A10 a run that ended is not told to be running", status not in ("running", "queued"), status)
    # What is told of it and what readers see are one thing.
    world.hold("A10 a run that succeeded is published, another is not", (status == "succeeded") == (rows == "true"), (status, rows))


def scheduled(world: World, folder: Wrapped, disk: Path) -> None:
    """Builds on a schedule cannot be noted: they wait, and nothing else ends for it."""
    (folder.folder / "models" / "slow.sql").unlink()
    with up(folder, "--build-every", "1s") as served:
        fill(disk)
        world.hold("A10 a schedule without room is told", comes(lambda: is_about_room(served.started.said()) or not served.lives()), served.started.said())
        # Time for what was told to have its consequences.
        time.sleep(1)
        world.hold("A10 and the process lives on", served.lives(), served.started.said())
        if served.lives():
            make_room(disk)
            last = newest_run(served)
            world.hold("A10 scheduled builds go on when there is room", comes(lambda: newest_run(served)["id"] > last["id"] and newest_run(served)["status"] == "succeeded"), newest_run(served))
            world.hold("A10 the process with a schedule stops well", served.stop() == 0, served.started.said())
        else:
            make_room(disk)


def newest_run(served: Served) -> dict:
    return json.loads(served.ask("/api/runs?limit=1")[1])[0]


def start(served: Served, model: str) -> tuple[int, bytes]:
    return served.ask("/api/runs?wait=false", json.dumps({"command": "build", "select": [model], "full_refresh": True}).encode())


def status_of(served: Served, run: int) -> str:
    return next(one["status"] for one in json.loads(served.ask("/api/runs?limit=50")[1]) if one["id"] == run)


def is_busy(served: Served) -> bool:
    before = served.processor_seconds()
    time.sleep(0.3)
    return served.processor_seconds() - before > 0.1


def check_spill_full(world: World) -> None:
    """What a model puts aside does not fit: it fails alone, and leaves the room it took."""
    folder = Wrapped(world.binary, world.folder / "project", f"name: p\nlake: {{location: {world.folder}/lake}}\n", {"hooks": PUSH})
    models = folder.folder / "models"
    models.mkdir()
    hashes = "select md5(cast(x as varchar)) as h, sha256(cast(x as varchar)) as s from generate_series(1, 1200000) a(x)"
    (models / "large.sql").write_text(f"{{{{ config(materialized='table') }}}}\n{hashes} order by h\n")
    (models / "ids.sql").write_text("{{ config(materialized='table') }}\nselect 1 as id\n")
    with small_disk(folder.folder / ".headwater", "size=32m") as disk, up(folder, "--memory", "160MiB") as served:
        room = free(disk)
        done = json.loads(served.ask("/api/runs?wait=true", json.dumps({"command": "build", "select": ["large"]}).encode())[1])
        error = json.dumps(done.get("steps", done))
        world.hold("A11 a model that finds no room fails", done.get("succeeded") is False, done)
        world.hold("A11 and says that there was no room", "No space left" in error, error)
        put_aside = [path.name for path in (disk / "spill").rglob("*") if path.is_file()]
        gone = comes(lambda: free(disk) > room - (4 << 20))
        world.hold("A11 what it had put aside is gone", gone, (put_aside, room, free(disk)))
        done = json.loads(served.ask("/api/runs?wait=true", json.dumps({"command": "build", "select": ["ids"]}).encode())[1])
        world.hold("A11 the process lives and builds others", done.get("succeeded") is True, done)
        world.hold("A11 the process stops well", served.stop() == 0, served.started.said())
