#!/usr/bin/env python3
"""How fast pushes are answered: events a second and how long until 2xx, from many clients that stay connected.

    push.py --binary target/release/headwater [--clients 2000] [--rate 30000] [--batch 20] [--seconds 20] [--write]

Each client sends its requests at fixed times, whether earlier ones were quick or not, and a time counts from when a request was due:
a server that falls behind shows it. Clients and server share the machine. With `--write` the table goes into the notes of
bench/RESULTS.md, in place of the one before.
"""

import argparse
import asyncio
import json
import multiprocessing
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "harness"))

from lakes import Folder  # noqa: E402

RESULTS = ROOT / "bench" / "RESULTS.md"
HEAD = "### Push\n"
EVENT_BYTES = 500
AIM = (30_000, 50.0, 400)


def request(batch: int) -> bytes:
    """A request of so many events of 500 bytes, as lines."""
    lines = []
    for number in range(batch):
        event = {"id": number, "user": number * 7919 % 10_007, "page": f"/songs/{number % 311}", "at": 1_700_000_000_000 + number, "pad": ""}
        event["pad"] = "x" * (EVENT_BYTES - len(json.dumps(event)))
        lines.append(json.dumps(event))
    body = "\n".join(lines).encode()
    head = f"POST /ingest/hooks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Client:
    """One connection that sends at its times."""

    def __init__(self, host: str, port: int, data: bytes):
        self.host, self.port, self.data = host, port, data
        self.took: list[float] = []
        self.refused = 0

    async def connect(self) -> None:
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port)

    async def run(self, first: float, every: float, until: float) -> None:
        due = first
        while due < until:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            self.writer.write(self.data)
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
            await self.reader.readexactly(length)
            if head.startswith(b"HTTP/1.1 200"):
                self.took.append(time.perf_counter() - due)
            else:
                self.refused += 1
            due += every


async def drive(host: str, port: int, clients: int, batch: int, rate: float, seconds: float) -> tuple[list[float], int]:
    """Times until each answer of all clients of this process, and how many were refused."""
    data = request(batch)
    all_of_them = [Client(host, port, data) for _ in range(clients)]
    for start in range(0, clients, 100):
        await asyncio.gather(*(client.connect() for client in all_of_them[start : start + 100]))
    every = clients * batch / rate
    begin = time.perf_counter() + 0.5
    spread = [begin + every * number / clients for number in range(clients)]
    await asyncio.gather(*(client.run(first, every, begin + seconds) for client, first in zip(all_of_them, spread)))
    return [one for client in all_of_them for one in client.took], sum(client.refused for client in all_of_them)


def process(arguments: tuple) -> tuple[list[float], int]:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return asyncio.run(drive(*arguments))


def share(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def peak_bytes(process_id: int) -> int:
    words = Path(f"/proc/{process_id}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", words).group(1)) << 10


def measure(options: argparse.Namespace) -> dict:
    source = "kind: push\nname: hooks\nrotate: {every: 5s, rows: 1000000}\n"
    with tempfile.TemporaryDirectory() as root:
        folder = Folder(options.binary, Path(root) / "p", "name: p\n", {"hooks": source})
        started = folder.start("up", "--port", "0")
        try:
            if not started.until("Listening on ", 60):
                raise SystemExit(started.said())
            host, port = re.search(r"Listening on http://([^:]+):(\d+)", started.said()).groups()
            parts = options.processes
            work = (host, int(port), options.clients // parts, options.batch, options.rate / parts, options.seconds)
            began = time.perf_counter()
            with multiprocessing.Pool(parts) as pool:
                found = pool.map(process, [work] * parts)
            wall = time.perf_counter() - began
            took = [one for times, _ in found for one in times]
            peak = peak_bytes(started.process.pid)
            started.process.terminate()
            started.process.wait(60)
        finally:
            if started.process.poll() is None:
                started.kill()
        folder.run("ingest")
        rows = int(folder.rows("select count(*) from hooks.hooks")[0][0])
    events = len(took) * options.batch
    if rows != events:
        raise SystemExit(f"{events} events were answered, {rows} are in the lake")
    return {
        "events": events, "refused": sum(refused for _, refused in found), "rate": events / options.seconds, "wall": wall,
        "p50_ms": share(took, 0.5) * 1000, "p99_ms": share(took, 0.99) * 1000, "worst_ms": max(took) * 1000, "peak_mib": peak >> 20,
    }


def write(options: argparse.Namespace, found: dict) -> None:
    revision = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    day = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    rate, p99, memory = AIM
    lines = [
        ["", "aim", "measured"], ["---", "---:", "---:"],
        [f"events of {EVENT_BYTES} B a second, {options.clients:,} clients, {options.batch} a request", f"{rate:,}", f"{found['rate']:,.0f}"],
        ["median until 2xx", "", f"{found['p50_ms']:.1f} ms"], ["99th of 100 until 2xx", f"{p99:.0f} ms", f"{found['p99_ms']:.1f} ms"],
        ["refused", "0", str(found["refused"])], ["peak memory", f"{memory} MiB", f"{found['peak_mib']} MiB"],
    ]
    text = f"{HEAD}\nWritten by `bench/push.py`, commit `{revision}`, {day}; clients and lake share the machine, every answer is synced to disk.\n\n"
    text += "".join("| " + " | ".join(line) + " |\n" for line in lines)
    before, found_head, after = RESULTS.read_text().partition(HEAD)
    rest = after[after.index("\n### ") + 1:] if found_head and "\n### " in after else ""
    RESULTS.write_text(before.rstrip() + "\n\n" + text + ("\n" + rest if rest else ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--clients", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=30_000)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    found = measure(options)
    print(json.dumps(found))
    if options.write:
        write(options, found)


if __name__ == "__main__":
    main()
