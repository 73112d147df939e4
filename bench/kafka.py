#!/usr/bin/env python3
"""How fast Kafka comes into the lake, and generated records into Kafka: rates and peak memory of whole commands.

    kafka.py --binary target/release/headwater [--records 3000000] [--spark PYTHON JARS]

PYTHON has pyspark, JARS is a folder with Spark's Kafka package of the same version: Spark's structured streaming then takes the
same topic into Parquet (`peers/spark_kafka.py`).

Broker, client and lake share the machine. Puts its table into the notes of bench/RESULTS.md, in place of the one before.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "harness"))
sys.path.insert(0, str(ROOT / "tests" / "kafka"))
sys.path.insert(0, str(ROOT / "bench"))

from broker import Broker  # noqa: E402
from bus import Bus  # noqa: E402
from lakes import Folder  # noqa: E402
from project import Project  # noqa: E402

RESULTS = ROOT / "bench" / "RESULTS.md"
HEAD = "### Kafka\n"
RECORD_BYTES = 200
GENERATOR = "name: events\nkind: generator\ngenerator: sessions\nconfig: generators/sessions.yml\npartitions: 4\nbacklog: {start: 90 days ago, users: %d}\nspeed: 1x\n"


def measured(folder, *arguments: str) -> tuple[float, int, str]:
    """Seconds, peak memory in bytes and output of a command that must succeed."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as words:
        began = time.perf_counter()
        process = subprocess.Popen(folder.command(*arguments), stdin=subprocess.DEVNULL, stdout=out, stderr=words)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        words.seek(0)
        out.seek(0)
        if process.returncode:
            raise SystemExit(f"`headwater {' '.join(arguments)}` failed: {words.read()}")
        return wall, usage.ru_maxrss * 1024, out.read()


def record(number: int) -> bytes:
    text = json.dumps({"id": number, "user": number % 9973, "page": f"/p/{number % 311}", "amount": number % 1000 / 4, "at": 1_700_000_000_000 + number})
    return (text[:-1] + ', "pad": "' + "x" * max(0, RECORD_BYTES - len(text) - 11) + '"}').encode()


def fill(bus: Bus, records: int) -> None:
    bus.create("bench", 4)
    producer = bus.producer(**{"compression.type": "lz4", "batch.size": "1000000", "linger.ms": "20"})
    for number in range(records):
        while True:
            try:
                producer.produce("bench", record(number), partition=number % 4)
                break
            except BufferError:
                producer.poll(0.05)
    producer.flush(120)


def write(rows: list[list[str]]) -> None:
    revision = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    day = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    lines = [["", "aim", "measured", "peak memory"], ["---", "---:", "---:", "---:"], *rows]
    text = f"{HEAD}\nWritten by `bench/kafka.py`, commit `{revision}`, {day}; broker and client share the machine.\n\n"
    text += "".join("| " + " | ".join(line) + " |\n" for line in lines)
    old = RESULTS.read_text()
    before, found, after = old.partition(HEAD)
    rest = after[after.index("\n### ") + 1:] if found and "\n### " in after else ""
    RESULTS.write_text(before.rstrip() + "\n\n" + text + ("\n" + rest if rest else ""))


def spark(python: str, jars: str, brokers: str, folder: Path, expected: int, ours: float) -> list[str]:
    """The same topic into Parquet by Spark, beside our seconds."""
    folder.mkdir()
    command = [python, ROOT / "bench" / "peers" / "spark_kafka.py", brokers, "bench", folder, jars]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"Spark failed: {done.stderr[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    if found["rows"] != expected:
        raise SystemExit(f"Spark took {found['rows']} of {expected} records")
    name = f"the same by Spark, its query alone ({found['query_seconds'] / ours:.1f} times our whole command)"
    return [name, "", f"{expected / found['query_seconds']:,.0f}", f"{found['peak_bytes'] / 1e6:,.0f} MB"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--records", type=int, default=3_000_000)
    parser.add_argument("--spark", nargs=2, metavar=("PYTHON", "JARS"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root, Broker() as broker:
        bus = Bus(broker)
        fill(bus, options.records)
        settings = f"name: p\nconnections:\n  bus: {{kind: kafka, brokers: '{broker.address}'}}\n"
        source = "kind: kafka\nname: s\nfrom: {connection: bus, topics: bench}\nrotate: {every: 10s, rows: 2000000}\n"
        folder = Folder(options.binary, Path(root) / "in", settings, {"s": source})
        wall, peak, _ = measured(folder, "ingest")
        count = int(folder.rows("select count(*) from s.s")[0][0])
        if count != options.records:
            raise SystemExit(f"{count} of {options.records} records came in")
        rows = [["JSON of 200 bytes, Kafka into Delta, records/s", "300,000, under 512 MB", f"{count / wall:,.0f}", f"{peak / 1e6:,.0f} MB"]]
        if options.spark:
            rows.append(spark(*options.spark, broker.address, Path(root) / "spark", count, wall))
        users = max(1, round(options.records / 1e6 * 1834))
        text = f"name: music\nlog: {{connection: bus, prefix: music.}}\nconnections:\n  bus: {{kind: kafka, brokers: '{broker.address}'}}\n"
        project = Project(options.binary, Path(root) / "music", GENERATOR % users, text)
        wall, peak, out = measured(project, "generate", "--json")
        made = json.loads(out)[0]["delivered"]
        rows.append(["generator into Kafka, records/s", "200,000", f"{made / wall:,.0f}", f"{peak / 1e6:,.0f} MB"])
    write(rows)
    for row in rows:
        print(" | ".join(row))


if __name__ == "__main__":
    main()
