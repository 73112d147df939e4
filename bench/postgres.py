"""How fast PostgreSQL comes into the lake, beside the server's own tools in the same run: ratios, not absolute figures.

    postgres.py --binary target/release/headwater [--rows 3000000] [--changes 500000]

The copy is compared with `psql \\copy` to /dev/null, the stream of changes with `pg_recvlogical` to /dev/null. With `--peers PYTHON`,
an interpreter that has connectorx, dlt and pyarrow, the copy is compared with theirs as well (`peers/postgres_copy.py`).
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


# The same changes, a thousand to a transaction.
SMALL = """do $$ begin
  for start_id in 0..{changes} - 1 by 1000 loop
    update bench set a = a + 1 where id > start_id and id <= start_id + 1000;
    commit;
  end loop;
end $$"""


def timed(run) -> float:
    began = time.monotonic()
    run()
    return time.monotonic() - began


def ours(folder: Folder) -> None:
    done = folder.run("ingest", seconds=3600)
    if done.returncode:
        raise RuntimeError(done.stderr)


def peer(python: Path, tool: str, port: int, folder: Path) -> dict:
    """The same copy by another tool: its rows, seconds and peak memory."""
    folder.mkdir()
    command = [python, ROOT / "bench" / "peers" / "postgres_copy.py", tool, f"postgresql://postgres@127.0.0.1:{port}/postgres", "bench", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{tool}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def stream(cluster: Cluster, captured: Folder, sql: str, changes: int) -> dict:
    """How long it takes to receive these changes: by PostgreSQL's own client into nothing, and by us into the lake."""
    cluster.sql("select pg_create_logical_replication_slot('peer', 'pgoutput')")
    cluster.sql(sql)
    end = cluster.value("select pg_current_wal_lsn()")
    receiver = ["-d", "postgres", "-h", "127.0.0.1", "-p", str(cluster.port), "-U", "postgres", "-S", "peer", "--start",
                "-f", "/dev/null", "-E", end, "-o", "proto_version=1", "-o", "publication_names=headwater_s"]
    server = timed(lambda: cluster.tool("pg_recvlogical", *receiver))
    lake = timed(lambda: ours(captured))
    held, expected = captured.rows("select count(*), sum(a), sum(id) from s.bench"), cluster.sql("select count(*), sum(a), sum(id) from bench")
    if held != expected:
        raise SystemExit(f"the lake has {held}, not {expected}")
    cluster.sql("select pg_drop_replication_slot('peer')")
    return {"changes": changes, "pg_recvlogical_seconds": round(server, 2), "headwater_seconds": round(lake, 2),
            "ratio": round(lake / server, 2), "changes_per_second": round(changes / lake)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--changes", type=int, default=500_000)
    parser.add_argument("--peers", type=Path, metavar="PYTHON")
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
        for tool in ("connectorx", "dlt") if options.peers else ():
            copy[tool] = peer(options.peers, tool, cluster.port, Path(root) / tool)
            copy[tool]["times_headwater"] = round(copy[tool]["seconds"] / lake, 2)
        captured = Folder(options.binary, Path(root) / "capture", settings, {"s": source % "capture"})
        ours(captured)
        streams = {"one transaction": f"update bench set a = a + 1 where id <= {options.changes}", "transactions of 1,000": SMALL.format(changes=options.changes)}
        streams = {what: stream(cluster, captured, sql, options.changes) for what, sql in streams.items()}
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    print(json.dumps({"copy": copy, "streams": streams, "largest_child_rss_mib": peak}, indent=2))


if __name__ == "__main__":
    main()
