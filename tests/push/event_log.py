"""The same events by files, by push and by Kafka: three tables that are one.

    event_log.py --binary target/release/headwater [--data FOLDER]

FOLDER holds the thirty daily logs of November 2018, `2018-11-DD-events.json.gz`; when not given, they are looked for in a
folder `shared` beside the checkout. Pushes come in batches with keys, some of them twice; the topic is written by a plain
client. Columns that say where a row came from are left out. Then the project's own log is put on Kafka, where a lake that
takes nothing must hold senders back. Says `skipped` where there are no logs, or no Kafka.
"""

import gzip
import json
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
for folder in ("harness", "kafka", "push"):
    sys.path.insert(0, str(HERE.parent / folder))

import duckdb  # noqa: E402
from lakes import Folder  # noqa: E402
from project import Outcome, tail  # noqa: E402
from script import parser, workplace  # noqa: E402
from senders import Server, wait_for  # noqa: E402
from tables import differences, files_of, scan  # noqa: E402

DATA = HERE.parents[2] / "shared" / "data" / "eventsim" / "log"
EVENTS = 8056
BATCH = 150
NDJSON = {"Content-Type": "application/x-ndjson"}
FILES = "kind: files\nname: by_file\ntable: log\nfrom: {path: data, include: ['*.json.gz'], settle_seconds: 0}\n"
PUSH = "kind: push\nname: by_push\ntable: log\nrotate: {every: 300ms}\n"
TOPIC = "kind: kafka\nname: by_topic\ntable: log\nfrom: {connection: bus, topics: events}\n"


def lines_of(files: list[Path]) -> list[bytes]:
    """The events of all files, in order; last lines may lack an end."""
    return [line for file in files for line in gzip.decompress(file.read_bytes()).split(b"\n") if line.strip()]


def rows_of(folder: Folder, schema: str) -> str:
    """What the records said, without where they came from."""
    return f"select columns('^[^_]') from {scan(files_of(folder.table(schema, 'log')))}"


def types_of(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, str]:
    return {row[0]: row[1] for row in connection.execute(f"describe {query}").fetchall()}


def compare(outcome: Outcome, folder: Folder, first: str, second: str) -> None:
    with duckdb.connect() as connection:
        one, other = rows_of(folder, first), rows_of(folder, second)
        left, right = types_of(connection, one), types_of(connection, other)
        outcome.hold(f"{first} and {second} have the same columns", [] if left == right else [f"{set(left.items()) ^ set(right.items())}"])
        count, problems = differences(connection, one, other)
        outcome.hold(f"{first} and {second} have the same rows", problems or ([] if count == EVENTS else [f"{count} rows"]))


def check_files(outcome: Outcome, folder: Folder) -> None:
    done = folder.run("ingest", "by_file")
    outcome.hold("the files are taken", [tail(done.stderr)] if done.returncode else [])


def check_push(outcome: Outcome, folder: Folder, lines: list[bytes]) -> None:
    """Two senders at once; every third request comes again, and so do a few after a restart."""
    server = Server(folder)
    batches = [lines[start : start + BATCH] for start in range(0, len(lines), BATCH)]
    problems: list[str] = []

    def send(number: int) -> None:
        key = {"Idempotency-Key": f"batch-{number}"}
        answers = [server.send("by_push", b"\n".join(batches[number]), NDJSON | key) for _ in range(2 if number % 3 == 0 else 1)]
        if any(answer != answers[0] or answer[0] != 200 for answer in answers):
            problems.append(f"batch {number}: {answers}")

    def sender(first: int) -> None:
        for number in range(first, len(batches), 2):
            send(number)

    threads = [threading.Thread(target=sender, args=(first,)) for first in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    problems += wait_for(folder, "select count(*) from by_push.log", [[str(len(lines))]])
    if server.stop():
        problems.append("it did not stop politely")
    server = Server(folder)
    for number in (0, 7, len(batches) - 1):
        send(number)
    server.stop()
    folder.run("ingest", "by_push")
    outcome.hold("every batch is answered, and again in the same way", problems[:3])


def check_topic(outcome: Outcome, folder: Folder, bus, lines: list[bytes]) -> None:
    bus.create("events")
    bus.write("events", lines)
    done = folder.run("ingest", "by_topic")
    outcome.hold("the topic is taken", [tail(done.stderr)] if done.returncode else [])


def check_waiting(outcome: Outcome, binary: Path, root: Path, address: str) -> None:
    """A lake that takes nothing holds senders back, with the log on Kafka too, and after a restart."""
    settings = f"name: w\nconnections:\n  bus: {{kind: kafka, brokers: '{address}'}}\nlog: {{connection: bus, prefix: w.}}\n"
    source = "kind: push\nname: hooks\nfrom: {max_waiting: 64 KiB}\nrotate: {every: %s}\n"
    folder = Folder(binary, root / "waiting", settings, {"hooks": source % "1h"})
    body = json.dumps([{"id": number, "pad": "x" * 1000} for number in range(8)]).encode()
    server, taken, status = Server(folder), 0, 200
    for _ in range(40):
        status, said = server.send("hooks", body)
        if status != 200:
            break
        taken += 1
    outcome.hold("senders are held back", [] if status == 429 and 8 <= taken <= 16 else [f"{status} after {taken}"])
    # A stop commits what was taken: the lake is ahead again. A process that dies leaves it waiting.
    server.started.kill()
    (folder.folder / "sources" / "hooks.yml").write_text(source % "1h")
    server = Server(folder)
    again = server.send("hooks", body)[0]
    outcome.hold("also by a process that finds them waiting", [] if again == 429 else [str(again)])
    server.started.kill()
    (folder.folder / "sources" / "hooks.yml").write_text(source % "300ms")
    server = Server(folder)
    end = time.monotonic() + 30
    while (status := server.send("hooks", body)[0]) == 429 and time.monotonic() < end:
        time.sleep(0.2)
    outcome.hold("and let go on when the lake has them", [] if status == 200 else [str(status)])
    outcome.hold("nothing is lost by it", wait_for(folder, "select count(*) from hooks.hooks", [[str(8 * (taken + 1))]]))
    server.stop()


def main() -> int:
    options = parser(__doc__, data=DATA).parse_args()
    files = sorted(options.data.glob("2018-11-*-events.json.gz")) if options.data.is_dir() else []
    if not files:
        print(f"skipped: no daily logs in {options.data}")
        return 0
    try:
        from broker import Broker
        from bus import Bus

        broker = Broker()
    except (FileNotFoundError, ImportError) as missing:
        print(f"skipped the topic: {missing}", flush=True)
        broker = None
    outcome, lines = Outcome(), lines_of(files)
    outcome.hold("the logs are the known ones", [] if len(lines) == EVENTS else [f"{len(lines)} events"])
    with workplace() as root:
        connections = f"connections:\n  bus: {{kind: kafka, brokers: '{broker.address if broker else '127.0.0.1:1'}'}}\n"
        sources = {"by_file": FILES, "by_push": PUSH} | ({"by_topic": TOPIC} if broker else {})
        folder = Folder(options.binary, root / "p", f"name: p\n{connections}", sources)
        (folder.folder / "data").mkdir()
        for file in files:
            (folder.folder / "data" / file.name).write_bytes(file.read_bytes())
        check_files(outcome, folder)
        if broker:
            with broker:
                check_topic(outcome, folder, Bus(broker), lines)
                check_push(outcome, folder, lines)
                compare(outcome, folder, "by_file", "by_topic")
                check_waiting(outcome, options.binary, root, broker.address)
        else:
            check_push(outcome, folder, lines)
        compare(outcome, folder, "by_file", "by_push")
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
