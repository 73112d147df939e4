"""The music project with its topics on Kafka instead of in its folder: the same counts, also after kills of either side.

    music_on_kafka.py --binary target/release/headwater [--kills 6] [--seed 1]

The generator is deterministic and counts what it delivered: so many records must be in the topics, and in the lake, each
once. Says `skipped` where there is no Java or Maven.
"""

import random
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "harness"))

import duckdb  # noqa: E402
from broker import Broker, jars  # noqa: E402
from bus import Bus  # noqa: E402
from project import Failed, Outcome, Project, running, tail  # noqa: E402
from script import parser, workplace  # noqa: E402
from tables import files_of  # noqa: E402

SOURCE = """\
name: events
kind: generator
generator: sessions
config: generators/sessions.yml
partitions: 3
backlog: {start: 15 days ago, users: 300}
speed: 20000x
rotate: {rows: 20000, bytes: 64 MiB, every: 1s}
faults: {late: 0.05, late_max_delay: 6h, duplicate: 0.02, malformed: 0.01}
"""
SETTINGS = """\
name: music
log: {{connection: bus, prefix: music.}}
connections:
  bus: {{kind: kafka, brokers: "{address}"}}
"""
HOOKS = "name: hooks\nkind: push\nfrom: {token: open}\nrotate: {every: 500ms}\n"


def in_lake(project: Project, topic: str, schema: str = "events") -> tuple[int, int]:
    """Records of the table and its quarantine, and how many different places in the topic they have."""
    folder = project.lake / "tables" / schema
    parts = []
    for table, partition, offset in ((topic, "_partition", "_offset"), (f"{topic}_quarantine", "partition", "position")):
        if files := files_of(folder / table):
            parts.append(f"select {partition} as p, {offset} as o from read_parquet({files!r}, union_by_name = true, hive_partitioning = false)")
    if not parts:
        return 0, 0
    with duckdb.connect() as connection:
        return connection.execute(f"select count(*), count(distinct (p, o)) from ({' union all '.join(parts)})").fetchone()


def settle(project: Project, bus: Bus) -> None:
    """Lets the generator pass what the topics hold: time goes on at the set speed while it runs."""
    names = {name for name in bus.admin.list_topics(timeout=30).topics if name.startswith("music.") and name != "music.hooks"}
    if not names:
        return
    held = consumed(bus, sorted(names))
    with running(project) as up:

        def passed(status: dict) -> bool:
            made = {topic: count for one in status["generators"] for topic, count in one["by_topic"].items()}
            return all(made.get(topic, 0) >= count for topic, count in held.items())

        up.wait("the generator passing what the topics hold", passed)
        up.stop()


def check_counts(outcome: Outcome, project: Project, bus: Bus, what: str) -> dict[str, int]:
    """What the generator says it delivered, what a consumer finds, and what the lake has."""
    try:
        settle(project, bus)
        status = project.json("generate")
        project.expect("ingest")
    except (Failed, subprocess.TimeoutExpired) as failure:
        outcome.hold(what, [str(failure)])
        return {}
    delivered = {topic: count for one in status for topic, count in one["by_topic"].items()}
    for topic, count in delivered.items():
        outcome.hold(f"{what}, {topic}: the lake has what was delivered, once",
                     [] if in_lake(project, topic) == (count, count) else [f"delivered {count}, in the lake {in_lake(project, topic)}"])
    read = consumed(bus, [f"music.{topic}" for topic in delivered])
    outcome.hold(f"{what}, another consumer finds the same", [] if read == delivered else [f"found {read}, delivered {delivered}"])
    return delivered


def consumed(bus: Bus, topics: list[str]) -> dict[str, int]:
    """Committed records by topic. Records the lake has may be gone: those before the start are counted by the last header."""
    from confluent_kafka import Consumer, KafkaError, TopicPartition

    found = {}
    for topic in topics:
        total = 0
        for partition in range(3):
            consumer = Consumer(bus.settings | {"group.id": "counts", "enable.partition.eof": "true", "isolation.level": "read_committed"})
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), 30)
            consumer.assign([TopicPartition(topic, partition, low)])
            last, end = 0, time.monotonic() + 30
            while time.monotonic() < end:
                message = consumer.poll(1)
                if message is None:
                    continue
                if message.error():
                    if message.error().code() == KafkaError._PARTITION_EOF:
                        break
                    continue
                numbers = [value for name, value in message.headers() or [] if name == "headwater-next"]
                last = int.from_bytes(numbers[-1], "little") if numbers else last
            consumer.close()
            total += last
        found[topic.removeprefix("music.")] = total
    return found


def check_push(outcome: Outcome, project: Project) -> None:
    with running(project) as up:
        for number in range(20):
            headers = {"Authorization": "Bearer open", "Content-Type": "application/json", "Idempotency-Key": f"k{number % 10}"}
            request = urllib.request.Request(f"{up.address()}/ingest/hooks", f'{{"n": {number % 10}}}'.encode(), headers)
            urllib.request.urlopen(request, timeout=30).read()
        up.stop()
    project.expect("ingest", "hooks")
    found = in_lake(project, "hooks", "hooks")
    outcome.hold("what is pushed goes through Kafka, once with its key", [] if found == (10, 10) else [f"{found} of 10"])


def check_commands(outcome: Outcome, project: Project) -> None:
    topics = {one["name"] for one in project.json("topics", "list")}
    outcome.hold("topics are listed by the names the project gives them", [] if "page_views" in topics or len(topics) >= 5 else [str(topics)])
    name = sorted(topics)[0]
    described = project.expect("topics", "describe", name).stdout
    outcome.hold("a topic is described", [] if "next offset" in described else [described])
    records = project.json("topics", "tail", name, "--limit", "5")
    outcome.hold("a topic's last records are shown", [] if 1 <= len(records) <= 5 else [f"{len(records)} records"])


def kills(outcome: Outcome, project: Project, broker: Broker, count: int, chance: random.Random) -> None:
    for kill in range(count):
        up = project.start()
        time.sleep(chance.uniform(0.5, 3))
        if kill % 3 == 2:
            broker.kill()
            time.sleep(chance.uniform(0, 1))
            broker.start()
            time.sleep(chance.uniform(0.5, 2))
        code = up.process.poll()
        up.kill()
        if code is not None:
            outcome.hold(f"kill {kill}", [f"it ended by itself with {code}: {tail(up.said())}"])


def main() -> int:
    options = parser(__doc__, kills=6, seed=1).parse_args()
    if jars() is None:
        print("skipped: no Kafka to test with")
        return 0
    outcome = Outcome()
    with workplace() as root, Broker() as broker:
        bus = Bus(broker)
        project = Project(options.binary, root / "music", SOURCE, SETTINGS.format(address=broker.address))
        (project.folder / "sources" / "hooks.yml").write_text(HOOKS)
        first = check_counts(outcome, project, bus, "the backlog")
        outcome.hold("there is something", [] if sum(first.values()) > 10_000 else [str(first)])
        check_commands(outcome, project)
        for point in ("k.before_transaction_commit", "k.after_transaction_commit"):
            with running(project, fault=f"{point}=abort") as up:
                try:
                    up.process.wait(30)
                except subprocess.TimeoutExpired:
                    outcome.hold(f"{point} is reached", ["it was not"])
            check_counts(outcome, project, bus, point)
        kills(outcome, project, broker, options.kills, random.Random(options.seed))
        last = check_counts(outcome, project, bus, f"after {options.kills} kills")
        grown = sum(last.values()) > sum(first.values())
        outcome.hold("it went on meanwhile", [] if grown else [f"{sum(first.values())} records before, {sum(last.values())} after"])
        check_push(outcome, project)
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
