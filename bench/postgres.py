"""How fast PostgreSQL comes into the lake, beside the server's own tools in the same run: ratios, not absolute figures.

    postgres.py --binary target/release/headwater [--rows 3000000] [--changes 500000]

The copy is compared with `psql \\copy` to /dev/null, the stream of changes with `pg_recvlogical` to /dev/null.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "harness"))
sys.path.insert(0, str(ROOT / "tests" / "postgres"))

from cluster import Cluster  # noqa: E402
from lakes import Folder  # noqa: E402

TABLE = """
create table bench (id bigint primary key, a int, b int, c bigint, price numeric(12,2), ratio float8, word text, label text,
                    at timestamptz, flag boolean);
insert into bench select n, n % 1000, n % 7, n * 31, (n % 100000) / 100.0, n * 0.5, md5(n::text), 'label ' || n % 50,
                    timestamptz '2024-01-01' + n * interval '1 second', n % 2 = 0 from generate_series(1, {rows}) n;
vacuum analyze bench;
"""


def timed(run) -> float:
    began = time.monotonic()
    run()
    return time.monotonic() - began


def ours(folder: Folder) -> None:
    done = folder.run("ingest", seconds=3600)
    if done.returncode:
        raise RuntimeError(done.stderr)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--changes", type=int, default=500_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root, Cluster() as cluster:
        cluster.sql(TABLE.format(rows=options.rows))
        settings = (f"name: p\nconnections:\n  db: {{kind: postgres, host: 127.0.0.1, port: {cluster.port}, "
                    "database: postgres, user: postgres}\n")
        source = "kind: postgres\nname: s\nfrom: {connection: db, mode: %s, tables: {bench: }}\nrotate: {every: 10m, rows: 100000000}\n"
        folder = Folder(options.binary, Path(root) / "copy", settings, {"s": source % "snapshot"})
        psql = [str(cluster.bin / "psql"), "-h", "127.0.0.1", "-p", str(cluster.port), "-U", "postgres", "-Xq",
                "-c", "\\copy bench to /dev/null"]
        server = timed(lambda: subprocess.run(psql, check=True))
        lake = timed(lambda: ours(folder))
        copy = {"rows": options.rows, "psql_seconds": round(server, 2), "headwater_seconds": round(lake, 2),
                "ratio": round(lake / server, 2), "rows_per_second": round(options.rows / lake)}
        captured = Folder(options.binary, Path(root) / "capture", settings, {"s": source % "capture"})
        ours(captured)
        cluster.sql("select pg_create_logical_replication_slot('peer', 'pgoutput')")
        cluster.sql(f"update bench set a = a + 1 where id <= {options.changes}")
        end = cluster.value("select pg_current_wal_lsn()")
        peer = ["-d", "postgres", "-h", "127.0.0.1", "-p", str(cluster.port), "-U", "postgres", "-S", "peer", "--start",
                "-f", "/dev/null", "-E", end, "-o", "proto_version=1", "-o", "publication_names=headwater_s"]
        server = timed(lambda: cluster.tool("pg_recvlogical", *peer))
        lake = timed(lambda: ours(captured))
        stream = {"changes": options.changes, "pg_recvlogical_seconds": round(server, 2), "headwater_seconds": round(lake, 2),
                  "ratio": round(lake / server, 2), "changes_per_second": round(options.changes / lake)}
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    print(json.dumps({"copy": copy, "stream": stream, "largest_child_rss_mib": peak}, indent=2))


if __name__ == "__main__":
    main()
