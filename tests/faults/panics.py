"""A panic in one task: what panicked is tried again from what is committed, everything else goes on (A23)."""

import json

from served import FILES, PUSH, Served, World, Wrapped, comes, put_lines, up

ROWS = "select count(*), count(distinct id) from lines.lines"
ASIDE = "select count(*) from lines.lines_quarantine"
# Where the writing half of a pipeline is when it happens.
POINTS = (
    "dl.before_stage",
    "dl.rejected_committed_before_rows",
    "dl.commit_before_put",
    "dl.commit_put_done_reply_lost",
    "dl.commit_done_before_upstream_ack",
)


def check_panics(world: World) -> None:
    for point in POINTS:
        panic_of_a_source(world, point)
    panic_of_a_run(world)


def made(world: World, name: str) -> Wrapped:
    data = world.folder / f"{name}-data"
    put_lines(data, "1", range(100))
    with (data / "1.jsonl").open("a") as file:
        file.write("broken\n" * 3)
    return Wrapped(world.binary, world.folder / name, "name: p\n", {"hooks": PUSH, "lines": FILES % data})


def armed(point: str) -> dict[str, str]:
    return {"HEADWATER_FAULT": f"{point}=panic"}


def lives_on(world: World, served: Served, what: str, point: str) -> None:
    world.hold(f"A23 {what}: there was a panic", comes(lambda: f"fault point {point} reached: Panic" in served.started.said()), served.started.said())
    world.hold(f"A23 {what}: the process lives", served.lives(), served.started.said())
    world.hold(f"A23 {what}: another source takes records", served.push(1)[0] in (200, 201, 202), "push was refused")
    world.hold(f"A23 {what}: the process stops well", served.stop() == 0, served.started.said())


def panic_of_a_source(world: World, point: str) -> None:
    folder = made(world, point)
    with up(folder, variables=armed(point)) as served:
        came = comes(lambda: (served.rows(ROWS), served.rows(ASIDE)) == ("100,100", "3"))
        world.hold(f"A23 {point}: every row and every rejected line is there once", came, (served.rows(ROWS), served.rows(ASIDE), served.told("lines")))
        world.hold(f"A23 {point}: it was said", "panicked" in served.started.said(), served.started.said())
        put_lines(world.folder / f"{point}-data", "2", range(100, 110))
        came = comes(lambda: served.rows(ROWS) == "110,110" and served.told("lines") == "")
        world.hold(f"A23 {point}: it goes on, and nothing is wrong any more", came, (served.rows(ROWS), served.told("lines")))
        lives_on(world, served, point, point)


def panic_of_a_run(world: World) -> None:
    """A run that panics has failed, and does not keep the next one from running."""
    folder = made(world, "run")
    (folder.folder / "models").mkdir()
    (folder.folder / "models" / "ids.sql").write_text("{{ config(materialized='table') }}\nselect count(*) as n from lines.lines\n")
    (folder.folder / "models" / "sources.yml").write_text("sources: [{name: lines, tables: [{name: lines}]}]\n")
    with up(folder, variables=armed("m.staged")) as served:
        comes(lambda: served.rows(ROWS) == "100,100")
        for _ in range(2):
            served.ask("/api/runs", json.dumps({"command": "build"}).encode(), {"Content-Type": "application/json"})
        came = comes(lambda: served.rows("select n from main.ids") == "100")
        world.hold("A23 m.staged: the run after it builds the model", came, served.rows("select n from main.ids"))
        statuses = [run["status"] for run in json.loads(served.ask("/api/runs")[1])]
        world.hold("A23 m.staged: one run failed, one succeeded", sorted(statuses) == ["failed", "succeeded"], statuses)
        lives_on(world, served, "m.staged", "m.staged")
