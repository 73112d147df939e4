"""What the kill tests share: a project that is hard on the commit protocol, its processes, and the proof that nothing was
lost or doubled.

The proof reads the tables with engines other than ours: for every partition of every topic, the offsets found in the raw
table and in its quarantine together must be 0, 1, ... end - 1, each once, where `end` is the end of the log. The generator
is deterministic and counts what it delivered, so its counts must be those ends.
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

from project import ROOT, Failed, Outcome, Project, Running, Up, ended, running, tail
from tables import files_of

SOURCE = """\
name: events
kind: generator
generator: sessions
config: generators/sessions.yml
partitions: 3
backlog: {{start: {days} days ago, users: {users}}}
speed: {speed}x
raw_files: true
rotate: {{rows: 20000, bytes: 64 MiB, every: {rotate}}}
faults: {{late: 0.05, late_max_delay: 6h, duplicate: 0.02, malformed: 0.01}}
"""
SETTINGS = """\
name: music
lake:
  maintenance: {every: 2s, retention: 1s, allow_short_retention: true}
"""
# Fails when asked to, so that a run with failing tests can be had at will.
FAILING_TEST = "select 1 as failure where {{ var('fail_on_request', false) }}\n"


@dataclass
class Shape:
    """How much data the project makes, and how fast."""

    users: int = 1000
    days: int = 15
    speed: int = 20000
    rotate: str = "1s"

    def source(self) -> str:
        return SOURCE.format(days=self.days, users=self.users, speed=self.speed, rotate=self.rotate)


class KillProject(Project):
    """The music project with frequent commits, frequent maintenance and faulty data."""

    def __init__(self, binary: Path, folder: Path, shape: Shape):
        super().__init__(binary, folder, shape.source(), SETTINGS)
        (folder / "tests" / "fails_on_request.sql").write_text(FAILING_TEST)
        self.opened: set[str] = set()


def fault_points() -> list[str]:
    """The list in the product's source: a point that is added there is tested from then on."""
    text = (ROOT / "crates/project/src/fault.rs").read_text()
    body = re.search(r"POINTS: &\[&str\] = &\[(.*?)\];", text, re.DOTALL)
    if body is None:
        raise SystemExit("the list of fault points was not found in fault.rs")
    return re.findall(r'"([a-z_.]+)"', body.group(1))


def offsets(project: Project, topic: str) -> dict[int, tuple[int, int, int, int]]:
    """By partition: records, distinct offsets, least and greatest offset, over the raw table and its quarantine."""
    folder = project.lake / "tables" / "events"
    parts = []
    for table, partition, offset in ((topic, "_partition", "_offset"), (f"{topic}_quarantine", "partition", "position")):
        if files := files_of(folder / table):
            parts.append(
                f"select {partition} as partition, {offset} as position "
                f"from read_parquet({files!r}, union_by_name = true, hive_partitioning = false)"
            )
    if not parts:
        return {}
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select partition, count(*), count(distinct position), min(position), max(position) "
            f"from ({' union all '.join(parts)}) group by partition"
        ).fetchall()
    return {row[0]: tuple(row[1:]) for row in rows}


def check_offsets(project: Project) -> list[str]:
    """Whether the lake has every record of the log, once. Nothing may run meanwhile."""
    problems = []
    for topic, ends in project.log_ends().items():
        found = offsets(project, topic)
        for partition, end in ends.items():
            expected = (end, end, 0, end - 1) if end else None
            if (actual := found.get(partition)) != expected:
                problems.append(
                    f"{topic}/{partition}: the log ends at {end}; (records, distinct, first, last) in the lake: {actual}"
                )
        problems += [f"{topic}/{extra}: a partition the log does not have" for extra in found.keys() - ends.keys()]
    return problems


def check_tables(project: KillProject) -> list[str]:
    """Whether every table opens in another engine and every data file it names is there, whole. A folder whose log has no
    commit yet is no table: its creation was cut off. One that opened before must open for ever."""
    problems = []
    for folder in project.tables():
        created = any((folder / "_delta_log").glob("*.json"))
        if not created and folder.name not in project.opened:
            continue
        try:
            for file in files_of(folder):
                if Path(file).stat().st_size == 0:
                    problems.append(f"{folder.name}: {file} is empty")
            project.opened.add(folder.name)
        except Exception as error:  # another engine refuses in its own way: that is the finding
            problems.append(f"{folder.name} does not open: {type(error).__name__}: {error}")
    missing = project.opened - {folder.name for folder in project.tables()}
    return problems + [f"{name} is gone" for name in sorted(missing)]


def check_recovered(project: KillProject) -> list[str]:
    """After any death: the next command works without help, and the lake has the log once."""
    try:
        project.expect("ingest")
        return check_offsets(project) + check_tables(project)
    except (Failed, subprocess.TimeoutExpired) as failure:
        return [str(failure)]


@dataclass
class Delivered:
    """What the generators say they delivered."""

    by_topic: dict[str, int]
    malformed: int


def settle(project: Project, beyond: int = 0) -> Delivered:
    """Runs the project until its generator is past what the log held and everything is in the lake, and stops it politely."""
    held = {topic: sum(ends.values()) for topic, ends in project.log_ends().items()}
    goal = sum(held.values()) + beyond
    with running(project) as up:

        def passed(status: dict) -> bool:
            made = {topic: count for one in status["generators"] for topic, count in one["by_topic"].items()}
            return sum(made.values()) >= goal and all(made.get(topic, 0) >= count for topic, count in held.items())

        up.wait("the generator reaching the end of the log", passed)
        up.stop()
    status = project.json("generate")
    project.expect("ingest")
    return Delivered(
        {topic: count for one in status for topic, count in one["by_topic"].items()},
        sum(one["malformed"] for one in status),
    )


def quarantined(project: Project) -> int:
    """Records set aside, over all topics."""
    files = [
        file
        for folder in sorted((project.lake / "tables" / "events").glob("*_quarantine"))
        for file in files_of(folder)
    ]
    if not files:
        return 0
    with duckdb.connect() as connection:
        return connection.execute(f"select count(*) from read_parquet({files!r}, union_by_name = true)").fetchone()[0]


def check_settled(project: KillProject, beyond: int = 0) -> list[str]:
    """The generator's own counts against the log, the log against the lake, its malformed records against what was set
    aside."""
    try:
        delivered = settle(project, beyond)
        ends = {topic: sum(ends.values()) for topic, ends in project.log_ends().items()}
        problems = []
        if delivered.by_topic != ends:
            problems.append(f"the generator delivered {delivered.by_topic}, the log holds {ends}")
        if (aside := quarantined(project)) != delivered.malformed:
            problems.append(f"the generator delivered {delivered.malformed} malformed records, {aside} were set aside")
        return problems + check_offsets(project) + check_tables(project)
    except (Failed, subprocess.TimeoutExpired) as failure:
        return [str(failure)]


def check_warehouse(project: Project) -> list[str]:
    """Models built over all of it, by the product; facts recomputed from the raw events, by another engine."""
    try:
        project.expect("build")
    except (Failed, subprocess.TimeoutExpired) as failure:
        return [str(failure)]
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/python/reconcile_music.py"), str(project.lake)],
        capture_output=True,
        text=True,
        check=False,
    )
    return [] if done.returncode == 0 else [f"facts differ from raw events: {tail(done.stdout + done.stderr, 12)}"]
