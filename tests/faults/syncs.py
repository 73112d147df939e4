"""A disk whose syncs fail: nothing is acknowledged any more, and what was is there after a restart, once (A8)."""

import shutil
from pathlib import Path

from served import PUSH, Served, World, Wrapped, comes, leftovers, shell, up

SOURCE = Path(__file__).with_name("failing_sync.c")
COUNTS = "select count(*), count(distinct id) from hooks.hooks"


def check_sync(world: World) -> None:
    if shutil.which("gcc") is None:
        print("skipped: no gcc to build the library that fails syncs with")
        return
    library = world.folder / "failing_sync.so"
    shell("gcc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl")
    for place in ("log", "lake"):
        folder = Wrapped(world.binary, world.folder / place, "name: p\n", {"hooks": PUSH})
        flag = world.folder / f"{place}.flag"
        variables = {"LD_PRELOAD": str(library), "HEADWATER_TEST_FAILING_SYNC": str(flag)}
        with up(folder, variables=variables) as served:
            broken_log(world, served, flag) if place == "log" else broken_lake(world, served, flag)
        everything_once(world, folder, place)


def broken_log(world: World, served: Served, flag: Path) -> None:
    before = [served.push(number)[0] for number in range(5)]
    world.hold("A8 pushes are taken before the disk breaks", before == [200] * 5, before)
    world.hold("A8 and are in the lake", comes(lambda: served.rows(COUNTS) == "5,5"), served.rows(COUNTS))
    flag.write_text(str(served.folder.folder / ".headwater" / "log"))
    during = [served.push(number) for number in range(5, 8)]
    world.hold("A8 no push is acknowledged while syncs fail", all(status >= 400 for status, _ in during), during)
    # A sender drops what was refused as its own mistake, and keeps what the server could not do.
    world.hold("A8 the refusal says that the server failed", all(status >= 500 for status, _ in during), during)
    world.hold("A8 and why, and what to do", all("sync" in text and "restart" in text for _, text in during), during)
    flag.unlink()
    after = [served.push(number)[0] for number in range(8, 10)]
    world.hold("A8 a sync that works again proves nothing about the lost ones", all(status >= 400 for status in after), after)
    world.hold("A8 queries are answered all the while", served.rows(COUNTS) == "5,5", served.rows(COUNTS))
    world.hold("A8 the process says so itself", comes(lambda: "failed sync" in served.started.said()), served.started.said())


def broken_lake(world: World, served: Served, flag: Path) -> None:
    served.push(0)
    world.hold("A8 a row is in the lake before the disk breaks", comes(lambda: served.rows(COUNTS) == "1,1"), served.rows(COUNTS))
    flag.write_text(str(served.folder.folder / ".headwater" / "lake"))
    during = [served.push(number)[0] for number in range(1, 10)]
    world.hold("A8 the log takes records while the lake's disk fails", during == [200] * 9, during)
    world.hold("A8 the lake's failure is told", comes(lambda: "Input/output error" in served.started.said()), served.started.said())
    world.hold("A8 and shown with the source", comes(lambda: "Input/output error" in served.told("hooks")), served.source("hooks"))
    world.hold("A8 what was not synced is not shown as there", served.rows(COUNTS) == "1,1", served.rows(COUNTS))


def everything_once(world: World, folder: Wrapped, place: str) -> None:
    """Without the fault; records that were refused are sent again, as their senders do."""
    with up(folder) as served:
        again = [served.push(number)[0] for number in range(10)]
        world.hold(f"A8 {place}: all is taken after a restart", again == [200] * 10, again)
        world.hold(f"A8 {place}: each record is there once", comes(lambda: served.rows(COUNTS) == "10,10"), served.rows(COUNTS))
        world.hold(f"A8 {place}: the process stops well", served.stop() == 0, served.started.said())
    world.hold(f"A8 {place}: no half files stay", not (left := leftovers(folder.folder / ".headwater")), left)

