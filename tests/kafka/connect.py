"""Kafka Connect with Debezium for PostgreSQL, of the test's own: its folder, its connectors, its life."""

import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request

from broker import LOGGING, Broker, Process

START_SECONDS = 120
VERSION = "3.3.1.Final"

# It says of every type of information_schema that it knows it already.
QUIET = """
logger.types.name = io.debezium.connector.postgresql.TypeRegistry
logger.types.level = error
"""

WORKER = """
bootstrap.servers={brokers}
listeners=http://127.0.0.1:{port}
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
offset.storage.file.filename={folder}/offsets
offset.flush.interval.ms=500
plugin.discovery=service_load
"""


def capture(cluster, prefix: str, schemas: bool, **more: str) -> dict[str, str]:
    """A connector that captures the tables of a cluster's schema `public` into topics `<prefix>.public.<table>`."""
    converters = {f"{side}.converter": "org.apache.kafka.connect.json.JsonConverter" for side in ("key", "value")}
    enabled = {f"{side}.converter.schemas.enable": str(schemas).lower() for side in ("key", "value")}
    return converters | enabled | {
        "name": prefix,
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "plugin.name": "pgoutput",
        "database.hostname": "127.0.0.1",
        "database.port": str(cluster.port),
        "database.user": "postgres",
        "database.password": cluster.password or "unused",
        "database.dbname": "postgres",
        "topic.prefix": prefix,
        "slot.name": prefix,
        "publication.name": prefix,
        "schema.include.list": "public",
        # Truncations too, which it leaves out by itself.
        "skipped.operations": "none",
        "poll.interval.ms": "20",
        # One that was killed may hold the slot for a moment.
        "slot.retry.delay.ms": "500",
        "slot.max.retries": "60",
        "topic.creation.default.replication.factor": "1",
        "topic.creation.default.partitions": "1",
    } | {key.replace("_", "."): value for key, value in more.items()}


class Connect(Process):
    """One process in standalone mode. What it took is in a file of its folder, as of half a second ago at the worst."""

    def __init__(self, broker: Broker, connectors: list[dict[str, str]]):
        super().__init__("debezium", LOGGING + QUIET)
        self.names = [one["name"] for one in connectors]
        (self.folder / "worker.properties").write_text(WORKER.format(brokers=broker.address, port=self.port, folder=self.folder))
        for one in connectors:
            (self.folder / f"{one['name']}.json").write_text(json.dumps({"name": one["name"], "config": one}))

    def start(self) -> None:
        """Starts, or starts again, and waits until every connector has its task at work."""
        files = [str(self.folder / name) for name in ("worker.properties", *(f"{name}.json" for name in self.names))]
        self.launch("org.apache.kafka.connect.cli.ConnectStandalone", *files)
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            if all(state == ["RUNNING"] for state in self.state().values()):
                return
            time.sleep(0.1)
        raise RuntimeError(f"Kafka Connect did not start: {self.said()[-3000:]}")

    def state(self) -> dict[str, list[str]]:
        return {name: self.tasks(name) for name in self.names}

    def tasks(self, name: str) -> list[str]:
        """What its tasks do; nothing while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/connectors/{name}/status", timeout=60) as answer:
                return [task["state"] for task in json.load(answer)["tasks"]]
        except (urllib.error.URLError, ConnectionError, TimeoutError, socket.timeout):
            return []

    def kill(self) -> None:
        """At any moment but one: it writes the file of its positions in place, and takes an empty one for none, with a new copy of
        all tables and without what changed meanwhile."""
        offsets = self.folder / "offsets"
        while self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)
            os.waitpid(self.process.pid, os.WUNTRACED)
            if not offsets.exists() or offsets.stat().st_size:
                self.process.kill()
                self.process.wait(60)
            else:
                self.process.send_signal(signal.SIGCONT)
                time.sleep(0.01)
