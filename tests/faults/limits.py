"""Few open files, few names on a disk, folders that cannot be written (A12, A13)."""

import os
import shutil
import socket
import time

from disks import small_disk
from served import PUSH, SECONDS, Served, World, Wrapped, comes, leftovers, shell, up

HOOKS = "select count(*), count(distinct id) from hooks.hooks"
FEW = 64
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def check_open_files(world: World) -> None:
    """More connections than the process may have files: it waits for some to end, and lives."""
    folder = Wrapped(world.binary, world.folder / "project", "name: p\n", {"hooks": PUSH})
    folder.prefix = ("prlimit", f"--nofile={FEW}:{FEW}")
    with up(folder) as served:
        taken = served.push(0)
        world.hold("A12 a push is taken", taken[0] == 200, taken)
        world.hold("A12 and comes", comes(lambda: served.rows(HOOKS) == "1,1"), served.rows(HOOKS))
        crowd(world, served)
        taken = [served.push(number)[0] for number in range(1, 5)]
        world.hold("A12 it takes pushes again once they left", taken == [200] * 4, taken)
        world.hold("A12 no row is lost or there twice", comes(lambda: served.rows(HOOKS) == "5,5"), served.rows(HOOKS))
        world.hold("A12 open files go back to few", comes(lambda: served.open_files() < FEW // 2), served.open_files())
        world.hold("A12 the process stops well", served.stop() == 0, served.started.said())


def crowd(world: World, served: Served) -> None:
    address = ("127.0.0.1", int(served.url.rsplit(":", 1)[1]))
    began = served.processor_seconds()
    connections = [socket.create_connection(address) for _ in range(FEW + 20)]
    # Longer than a server that counts its failures would go on.
    end = time.monotonic() + 11.5
    while time.monotonic() < end and served.lives():
        time.sleep(0.2)
    world.hold("A12 it outlives connections that rest", served.lives(), served.started.said()[-300:])
    spent = served.processor_seconds() - began if served.lives() else 0
    world.hold("A12 it does not spin meanwhile", spent < 2, spent)
    said = served.started.said().count("\n")
    world.hold("A12 it does not fill its log meanwhile", said < 50, f"{said} lines")
    for connection in connections:
        connection.close()


def check_inodes(world: World) -> None:
    """A disk with room and no names left: as with no room."""
    with small_disk(world.folder / "disk", "size=24m", "nr_inodes=200") as disk:
        folder = Wrapped(world.binary, world.folder / "project", f"name: p\nlake: {{location: {disk}/lake}}\n", {"hooks": PUSH})
        with up(folder) as served:
            served.push(0)
            world.hold("A12 a row comes while there are names", comes(lambda: served.rows(HOOKS) == "1,1"), served.rows(HOOKS))
            taken = []
            try:
                for number in range(300):
                    taken.append(disk / f"name-{number}")
                    taken[-1].touch()
            except OSError:
                taken.pop()
            sent = [1]

            def send() -> None:
                sent[0] += served.push(sent[0])[0] == 200

            world.hold("A12 the source says that nothing more can be made", comes(lambda: send() or "No space left" in served.told("hooks")), served.source("hooks"))
            world.hold("A12 queries are answered meanwhile", served.rows(HOOKS) == "1,1", served.rows(HOOKS))
            for name in taken:
                name.unlink()
            send()
            world.hold("A12 it goes on by itself, each row once", comes(lambda: served.rows(HOOKS) == f"{sent[0]},{sent[0]}"), (served.rows(HOOKS), sent))
            world.hold("A12 the process stops well", served.stop() == 0, served.started.said())
        world.hold("A12 no half files stay", not (left := leftovers(disk)), left)


def check_read_only(world: World) -> None:
    """A data folder on a disk that takes no writes."""
    folder = Wrapped(world.binary, world.folder / "project", "name: p\n", {"hooks": PUSH})
    with small_disk(folder.folder / ".headwater", "size=16m") as disk:
        done = folder.run("ingest")
        world.hold("A13 all is well while it can be written", done.returncode == 0, done)
        shell("mount", "-o", "remount,ro", disk)
        refused(world, folder, "read-only", "Read-only file system")


def check_owner(world: World) -> None:
    """A data folder of somebody else."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        print("skipped: another user can only be had as root, with setpriv")
        return
    for path in (world.folder, *world.folder.parents):
        if path.owner() == "root" and str(path).startswith("/tmp/"):
            path.chmod(0o755)
    folder = Wrapped(world.binary, world.folder / "project", "name: p\n", {"hooks": PUSH})
    shutil.copy(folder.binary, world.folder / "headwater")
    folder.binary = world.folder / "headwater"
    done = folder.run("ingest")
    world.hold("A13 all is well for its owner", done.returncode == 0, done)
    folder.prefix = NOBODY
    refused(world, folder, "another owner", "Permission denied")


def refused(world: World, folder: Wrapped, what: str, reason: str) -> None:
    for command in (("up", "--port", "0"), ("ingest",), ("build",)):
        done = folder.run(*command, seconds=SECONDS)
        problem = f"A13 {what}: {command[0]}"
        world.hold(f"{problem} is refused", done.returncode == 2, done)
        said = done.stderr.strip().splitlines()
        world.hold(f"{problem} says it once, with the place and what to do",
                   done.stderr.count("error:") == 1 and "cannot be written" in said[0] and reason in done.stderr and ".headwater" in done.stderr and "hint:" in done.stderr, done.stderr)
    done = folder.run("query", "select 1", seconds=SECONDS)
    world.hold(f"A13 {what}: a query is answered or says what to do", done.returncode == 0 or "hint:" in done.stderr, done.stderr)
