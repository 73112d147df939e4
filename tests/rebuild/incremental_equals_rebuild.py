#!/usr/bin/env python3
"""Proves that building in increments gives what building from nothing gives, row for row.

    python incremental_equals_rebuild.py --binary PATH [--events 40000] [--increments 4] [--only late ...]

The music project takes in its events in increments and builds after each. In some, an intake dies after its first commits, or
one topic is held back, so that one topic is ahead of another when the models build. Then all models are built from nothing
over the same raw tables, and every table that a build makes is compared between the two versions, in an engine other than
ours: all columns, keys included, rows counted. It is done for each kind of fault alone and for all together, because one kind
may hide what another does: late listens have their days derived anew, and hide that a late change of level did not. A kind
must have done its work: late events that came in after a build that they belonged to, and so on.

Prints `N passed, M failed` last; exits 1 when anything failed. Needs the packages deltalake and duckdb.
"""

import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

from project import Failed, Outcome, Project, tail
from script import parser, workplace
from tables import differences, files_of, scan, version_of

# A fixed start, so that each run has the same events.
SOURCE = """\
name: events
kind: generator
generator: sessions
config: generators/sessions.yml
partitions: 2
backlog: {{start: 2024-03-04, users: {users}}}
speed: 1x
raw_files: false
rotate: {{rows: 1000000, bytes: 64 MiB, every: 10m}}
faults: {{{faults}}}
"""
SETTINGS = "name: music\n"
# Records of each mix, of which the users of a mix make several days; more records need more users.
EVENTS = 40_000
# Changes of level are rare among listeners, and what goes wrong with facts goes wrong at them: more chances of these steps,
# by the page they come from and the page they lead to.
MORE_CHANGES = {
    ("NextSong", "Upgrade"): 0.05,
    ("NextSong", "Downgrade"): 0.03,
    ("Downgrade", "Submit Downgrade"): 0.15,
}


@dataclass
class Mix:
    """Faults, far more of them than any real source has: what goes wrong rarely shall go wrong here."""

    faults: str
    # More users make the same number of events in less time. A repeated record follows within a minute, so many minutes must
    # be busy ones for some repetitions to come after a build.
    users: int = 900


MIXES = {
    "lag": Mix("late: 0"),
    "late": Mix("late: 0.2, late_max_delay: 5d"),
    "duplicates": Mix("duplicate: 0.5", users=20_000),
    "malformed": Mix("malformed: 0.1"),
    "all": Mix("late: 0.4, late_max_delay: 12h, duplicate: 0.2, malformed: 0.1", users=2_000),
}
# Topics in which late events change what was built before, and what identifies an event there.
KEYS = {
    "listen_events": '"sessionId", "itemInSession", ts',
    "page_view_events": '"sessionId", "itemInSession", ts',
    "status_change_events": '"userId", ts',
    "user_info": '"userId"',
}
# Topics with so many records that some repetitions come after a build.
OFTEN = ("listen_events", "page_view_events")
# What is held back in an increment of the mix `lag`, and comes with the next: changes of level and users become known after
# listens and views that they belong to were built, on days that nothing else touches again.
HELD_BACK = {2: "status_change_events", 3: "user_info"}
# An intake that dies here has committed some topics and not yet others.
TORN = "dl.commit_done_before_upstream_ack=abort@{nth}"


@dataclass
class Built:
    """A table that builds make, at one of its versions."""

    name: str
    version: int
    files: list[str]


def with_more_changes(project: Project) -> None:
    path = project.folder / "generators" / "sessions.yml"
    text = path.read_text()
    for (source, target), chance in MORE_CHANGES.items():
        step = rf"(source: {{page: {source},.*dest: {{page: {target},.*p: )[\d.]+"
        text, changed = re.subn(step, rf"\g<1>{chance}", text)
        if not changed:
            raise SystemExit(f"the generator has no step from {source} to {target}")
    path.write_text(text)


def built_tables(project: Project) -> dict[str, Built]:
    tables = {}
    for log in sorted((project.lake / "tables" / "main").glob("*/_delta_log")):
        folder = log.parent
        version = version_of(folder)
        tables[folder.name] = Built(folder.name, version, files_of(folder, version))
    return tables


def models(project: Project) -> set[str]:
    """Every node that a build makes a table of."""
    nodes = project.json("ls")
    return {
        node["name"]
        for node in nodes
        if node["resource_type"] in ("model", "seed") and node.get("materialized") not in ("view", "ephemeral")
    }


@contextmanager
def held_back(project: Project, topic: str) -> Iterator[None]:
    """The topic's table stays as it was: a table's positions are in its own log, so its pipeline goes on from there."""
    table = project.lake / "tables" / "events" / topic
    before = table.with_name(f"{topic}_before")
    shutil.copytree(table, before)
    yield
    shutil.rmtree(table)
    before.rename(table)


def take_in_part(project: Project, mix: str, increment: int) -> bool:
    """Takes in some topics and others not, where the mix and the increment say so."""
    if mix == "lag" and (topic := HELD_BACK.get(increment)):
        with held_back(project, topic):
            project.expect("ingest")
    elif mix != "lag" and increment % 2 == 0:
        torn = project.run("ingest", fault=TORN.format(nth=1 + increment // 2 % 3))
        if torn.returncode != -signal.SIGABRT:
            raise Failed(f"the intake did not die as told but ended with {torn.returncode}: {tail(torn.stderr)}")
    else:
        return False
    return True


def build_in_increments(project: Project, mix: str, events: int, increments: int) -> dict:
    """Returns what the generator says it delivered."""
    for increment in range(1, increments + 1):
        delivered = project.json("generate", "--max-events", str(events // increments))[0]
        if is_partial := take_in_part(project, mix, increment):
            project.expect("build")
        if not is_partial or increment == increments:
            project.expect("ingest")
            project.expect("build")
    return delivered


def check_faults(project: Project, mix: str, delivered: dict) -> list[str]:
    """Whether the faults met the builds: in each topic, what came late came after younger events were built."""
    problems = []
    raw = project.lake / "tables" / "events"
    with duckdb.connect() as connection:
        for topic, key in KEYS.items():
            rows = scan(files_of(raw / topic))
            late = connection.execute(
                "with commits as (select _ingested_at as moment, max(ts) as reached from " + rows + " group by 1), "
                "before as (select moment, max(reached) over (order by moment rows between unbounded preceding and 1 preceding) "
                f"as reached from commits) select count(*) from {rows} as e inner join before "
                "on e._ingested_at = before.moment and e.ts < before.reached - 3600000"
            ).fetchone()[0]
            again, across = connection.execute(
                "select count(*), count(*) filter (commits > 1) from (select count(distinct _ingested_at) as commits "
                f"from {rows} group by {key} having count(*) > 1)"
            ).fetchone()
            if mix in ("late", "all") and not late:
                problems.append(f"no record of {topic} came in late")
            if mix in ("duplicates", "all") and not again:
                problems.append(f"no record of {topic} came in twice")
            if mix == "duplicates" and not across and topic in OFTEN:
                problems.append(f"no record of {topic} came in a second time after a build of the first")
            if mix in ("lag", "malformed") and again:
                problems.append(f"{topic} has {again} repeated records without being told to")
    if mix in ("malformed", "all") and not delivered["malformed"]:
        problems.append("no record was malformed")
    return problems


def check_counts(project: Project, delivered: dict) -> list[str]:
    """What the generator delivered is what the raw tables hold and what was set aside; the malformed are what was set aside."""
    problems, aside = [], 0
    raw = project.lake / "tables" / "events"
    with duckdb.connect() as connection:

        def count(table: str) -> int:
            files = files_of(raw / table)
            return connection.execute(f"select count(*) from {scan(files)}").fetchone()[0] if files else 0

        for topic, sent in delivered["by_topic"].items():
            held, quarantined = count(topic), count(f"{topic}_quarantine")
            aside += quarantined
            if held + quarantined != sent:
                problems.append(f"{topic}: {sent} delivered, {held} in the lake, {quarantined} set aside")
    if aside != delivered["malformed"]:
        problems.append(f"{delivered['malformed']} records are malformed, {aside} were set aside")
    return problems


def check_equal(project: Project, before: dict[str, Built], after: dict[str, Built]) -> list[str]:
    problems = []
    if missing := models(project) - before.keys():
        problems.append(f"not built: {', '.join(sorted(missing))}")
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        for name, table in after.items():
            if name not in before:
                problems.append(f"{name} was not there before the rebuild")
                continue
            if not before[name].files or not table.files:
                problems.append(f"{name} is empty")
                continue
            rows, found = differences(connection, f"from {scan(table.files)}", f"from {scan(before[name].files)}")
            print(f"  {name}: {rows} rows, versions {before[name].version} and {table.version}, "
                  f"{'different' if found else 'equal'}", flush=True)
            problems += [f"{name}: {problem}" for problem in found]
            if table.version == before[name].version and name.startswith(("stg_", "fact_", "daily_")):
                problems.append(f"{name} was not built anew, so nothing was compared")
    return problems


def prove(project: Project, mix: str, events: int, increments: int, outcome: Outcome) -> None:
    began = time.monotonic()
    try:
        with_more_changes(project)
        delivered = build_in_increments(project, mix, events, increments)
        outcome.hold(f"{mix}, the faults happened", check_faults(project, mix, delivered))
        outcome.hold(f"{mix}, counts", check_counts(project, delivered))
        before = built_tables(project)
        project.expect("build", "--full-refresh", "--force")
        outcome.hold(f"{mix}, rebuilt equals built in increments", check_equal(project, before, built_tables(project)))
    except Failed as failure:
        outcome.hold(mix, [str(failure)])
    print(f"{mix}: {time.monotonic() - began:.1f} s", flush=True)


def main() -> int:
    words = parser(__doc__, increments=4, keep=None)
    words.add_argument("--events", type=int, default=EVENTS, help="delivered records of each mix")
    words.add_argument("--only", nargs="*", default=list(MIXES), choices=list(MIXES))
    options = words.parse_args()
    outcome = Outcome()
    with workplace(options.keep) as folder:
        for mix in options.only:
            users = MIXES[mix].users * max(1, options.events // EVENTS)
            source = SOURCE.format(faults=MIXES[mix].faults, users=users)
            project = Project(options.binary, folder / mix, source, SETTINGS)
            prove(project, mix, options.events, options.increments, outcome)
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
