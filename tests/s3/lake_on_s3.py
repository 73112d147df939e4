#!/usr/bin/env python3
"""Proves the lake on an object store that speaks S3, while requests to it fail.

    python lake_on_s3.py --binary PATH [--increments 3] [--events 20000] [--seed 1]

The music project's lake lies in a bucket. First all goes well. Then, in each increment, commits meet what can happen to a
conditional write: its answer is lost although it was carried out, the service answers with an error after carrying it out,
asks to slow down, reports a conflict although it wrote nothing, or another writer really was first. Other requests are cut
off, slowed down, or lose their answers. Every command must succeed all the same, and in the end the lake has every record
of the log once, as another engine reads it.

Prints `N passed, M failed` last; exits 1 when anything failed. Needs the packages deltalake, duckdb, pyarrow, moto[server].
"""

import argparse
import sys
import time
from pathlib import Path

import duckdb
from deltalake import DeltaTable

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

from faulty_store import BUCKET, KEYS, Faults, FaultyStore, faulty_store
from project import Failed, Outcome, Project
from script import parser, workplace

SOURCE = """\
name: events
kind: generator
generator: sessions
config: generators/sessions.yml
partitions: 2
backlog: {start: 6 days ago, users: 600}
speed: 1x
raw_files: true
rotate: {rows: 2000, bytes: 64 MiB, every: 10m}
faults: {late: 0.05, late_max_delay: 6h, duplicate: 0.02, malformed: 0.01}
"""
SETTINGS = """\
name: music
lake:
  location: s3://{bucket}/music
  credentials:
    endpoint: {endpoint}
    region: us-east-1
    access_key_id: ${{AWS_ACCESS_KEY_ID}}
    secret_access_key: ${{AWS_SECRET_ACCESS_KEY}}
    allow_http: true
"""
# Every kind of failure of a commit has happened before the test believes itself.
COMMIT_KINDS = {f"commit: {kind}" for kind in Faults.COMMIT_KINDS}


def table(store: FaultyStore, name: str) -> DeltaTable:
    schema, folder = name.split(".")
    return DeltaTable(f"s3://{BUCKET}/music/tables/{schema}/{folder}", storage_options=store.options())


def rows(store: FaultyStore, name: str, columns: str) -> list[tuple]:
    """A query over a table's latest version, which another engine reads from the store."""
    arrow = table(store, name).to_pyarrow_table()
    with duckdb.connect() as connection:
        connection.register("found", arrow)
        return connection.execute(f"select {columns} from found").fetchall()


def exists(store: FaultyStore, name: str) -> bool:
    schema, folder = name.split(".")
    return DeltaTable.is_deltatable(f"s3://{BUCKET}/music/tables/{schema}/{folder}", store.options())


def check_once(project: Project, store: FaultyStore) -> list[str]:
    """Offsets of a topic in the table and its quarantine together are 0, 1, ... end - 1, each once."""
    problems = []
    for topic, ends in project.log_ends().items():
        found = rows(store, f"events.{topic}", "_partition, _offset")
        if exists(store, quarantine := f"events.{topic}_quarantine"):
            found += rows(store, quarantine, "partition, position")
        wanted = sorted((partition, offset) for partition, end in ends.items() for offset in range(end))
        if sorted(found) != wanted:
            problems.append(
                f"{topic}: the log has {len(wanted)} records, the lake {len(found)}, of which {len(set(found))} are distinct"
            )
    return problems


def check_built(project: Project, store: FaultyStore) -> list[str]:
    """What we answer is what another engine reads."""
    problems = []
    for name in ("main.fact_listen_events", "main.fact_session_events", "main.dim_users", "main.daily_ad_revenue"):
        ours = project.json("query", f"select count(*) as n from {name}")[0]["n"]
        theirs = rows(store, name, "count(*)")[0][0]
        if ours != theirs or not ours:
            problems.append(f"{name}: {ours} rows by our engine, {theirs} by another")
    return problems


def increment(project: Project, events: int) -> None:
    project.expect("generate", "--max-events", str(events))
    project.expect("ingest")
    project.expect("build")


def tried(what: str, work, outcome: Outcome) -> None:
    began = time.monotonic()
    try:
        work()
        outcome.hold(what, [])
    except Failed as failure:
        outcome.hold(what, [str(failure)])
    print(f"{what}: {time.monotonic() - began:.1f} s", flush=True)


def prove(project: Project, store: FaultyStore, arguments: argparse.Namespace, outcome: Outcome) -> None:
    share = arguments.events // (arguments.increments + 1)
    tried("without faults", lambda: increment(project, share), outcome)
    outcome.hold("without faults, records", check_once(project, store))
    outcome.hold("without faults, tables", check_built(project, store))
    faults = store.faults = Faults(arguments.seed, commits=0.4, others=0.02)
    for number in range(1, arguments.increments + 1):
        tried(f"increment {number} with faults", lambda: increment(project, share), outcome)
    store.faults = Faults()
    print(", ".join(f"{count} x {kind}" for kind, count in sorted(faults.happened.items())), flush=True)
    outcome.hold("all kinds of faults", [f"{kind}: never happened" for kind in COMMIT_KINDS - faults.happened.keys()])
    outcome.hold("after faults, records", check_once(project, store))
    outcome.hold("after faults, tables", check_built(project, store))


def main() -> int:
    options = parser(__doc__, events=20_000, increments=3, seed=1, keep=None).parse_args()
    outcome = Outcome()
    with workplace(options.keep) as folder, faulty_store() as store:
        settings = SETTINGS.format(bucket=BUCKET, endpoint=store.endpoint)
        project = Project(options.binary, folder / "music", SOURCE, settings, KEYS)
        try:
            prove(project, store, options, outcome)
        except Failed as failure:
            outcome.hold("the proof", [str(failure)])
        print(f"requests: {', '.join(f'{count} {method}' for method, count in store.requests.items())}", flush=True)
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
