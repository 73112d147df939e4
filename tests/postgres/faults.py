"""What goes wrong at a PostgreSQL server while its changes are captured: the lake is what the source is, or says why not.

    faults.py --binary target/release/headwater [--only NAME]

Names like C9 are rows of the table in docs/sources.md.
"""

import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import deltalake

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

from cluster import Cluster  # noqa: E402
from copy_and_poll import CANARY  # noqa: E402
from lakes import Folder, same_rows  # noqa: E402
from project import Outcome  # noqa: E402
from recopy import ingest  # noqa: E402
from script import parser, run_checks, until, workplace  # noqa: E402
from web import free_port  # noqa: E402

SETTINGS = "name: p\nconnections:\n  db:\n    kind: postgres\n    host: 127.0.0.1\n    port: {port}\n    database: {database}\n    user: {user}\n{password}"


def settings(port: int, database: str = "postgres", user: str = "postgres", secret: bool = False) -> str:
    password = '    password: "${PG_PASSWORD}"\n' if secret else ""
    return SETTINGS.format(port=port, database=database, user=user, password=password)


def project(binary: Path, folder: Path, text: str, tables: str, name: str = "s", more: str = "") -> Folder:
    source = f"kind: postgres\nname: {name}\nfrom:\n  connection: db\n  mode: capture\n{more}  tables:\n{tables}rotate: {{every: 300ms}}\n"
    return Folder(binary, folder, text, {name: source})


def refused(outcome: Outcome, what: str, done, *words: str) -> None:
    told = done.returncode != 0 and all(word in done.stderr for word in words)
    outcome.hold(what, [] if told else [f"{done.returncode}: {done.stderr[-600:]}"])


def same(outcome: Outcome, what: str, cluster: Cluster, folder: Folder, columns: str, table: str, schema: str = "s") -> None:
    outcome.hold(what, same_rows(cluster, f"select {columns} from {table}", folder, f"select {columns} from {schema}.{table}"))


def forget(cluster: Cluster, name: str = "s") -> None:
    active = f"select count(*) from pg_replication_slots where slot_name = 'headwater_{name}' and active"
    ends = time.monotonic() + 60
    # The server notices after the process that its stream is gone.
    while cluster.value(active) != "0" and time.monotonic() < ends:
        time.sleep(0.1)
    cluster.sql(f"select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = 'headwater_{name}';"
                f"drop publication if exists headwater_{name};")


def check_another_server(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    """C10: the address leads to a server that is not the one before; as after an upgrade into a new cluster."""
    cluster.sql("create table t (id int primary key, word text); insert into t values (1, 'a');")
    folder = project(binary, root / "another", settings(cluster.port), "    t:\n")
    ingest(outcome, "the first copy ends", folder)
    with Cluster() as other:
        other.sql("create table t (id int primary key, word text); insert into t values (2, 'b');")
        (folder.folder / "headwater.yml").write_text(settings(other.port))
        refused(outcome, "C10 another server is a gap", folder.run("ingest"), "has a gap", "another server")
        ingest(outcome, "a restart takes it", folder, "--restart", "s")
        same(outcome, "C10 what it has is there", other, folder, "id, word", "t")
    forget(cluster)
    cluster.sql("drop table t;")


def check_failover(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    """C9: a standby takes over that lacks the last commits, and the slot."""
    cluster.sql("create table t (id int primary key, word text); insert into t values (1, 'a');")
    folder = project(binary, root / "failover", settings(cluster.port), "    t:\n")
    ingest(outcome, "the first copy ends", folder)
    standby = Cluster.__new__(Cluster)
    standby.bin, standby.password = cluster.bin, None
    standby.folder = Path(tempfile.mkdtemp(prefix="headwater-pg-", dir="/tmp"))
    standby.data, standby.port = standby.folder / "data", free_port()
    shutil.chown(standby.folder, "postgres")
    cluster.tool("pg_basebackup", "-h", "127.0.0.1", "-p", cluster.port, "-U", "postgres", "-D", standby.data, "-c", "fast")
    cluster.sql("insert into t values (2, 'lost');")
    ingest(outcome, "the lake gets ahead of the standby", folder)
    standby.as_owner("tee", "-a", standby.data / "postgresql.conf", input=f"\nport = {standby.port}\nunix_socket_directories = '{standby.folder}'\n")
    standby.as_owner("rm", "-f", standby.data / "postmaster.pid")
    standby.start()
    try:
        standby.sql("insert into t values (3, 'after');")
        (folder.folder / "headwater.yml").write_text(settings(standby.port))
        refused(outcome, "C9 a server without our slot is a gap", folder.run("ingest"), "has a gap", "--restart s")
        ingest(outcome, "a restart takes it", folder, "--restart", "s")
        same(outcome, "C9 the lake is what the new primary is", standby, folder, "id, word", "t")
    finally:
        standby.stop("immediate")
        shutil.rmtree(standby.folder, ignore_errors=True)
    forget(cluster)
    cluster.sql("drop table t;")


def check_transactions(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    """C13, C14, C17, C19: prepared transactions, keys that change places, truncation through references, columns changed
    beside rows in one transaction."""
    cluster.sql("create table t (id int primary key deferrable initially immediate, word text); alter table t replica identity full;"
                "create table a (id int primary key); create table b (id int primary key, a int references a);"
                "create table d (id int primary key, n int, m numeric(10,2));"
                "insert into t values (1, 'one'), (2, 'two'), (3, 'three'); insert into a values (1), (2); insert into b values (1, 1), (2, 2);"
                "insert into d values (1, 1, 1.5);")
    folder = project(binary, root / "transactions", settings(cluster.port), "    t: {key: [id]}\n    a:\n    b:\n    d:\n")
    ingest(outcome, "the first copy ends", folder)
    cluster.sql("begin; insert into t values (10, 'never'); prepare transaction 'never';")
    cluster.sql("begin; insert into t values (11, 'kept'); delete from t where id = 3; prepare transaction 'kept';")
    ingest(outcome, "prepared transactions are not there yet", folder)
    outcome.hold("C13 what is prepared is not there", [] if folder.rows("select count(*) from s.t") == [["3"]] else ["it is"])
    cluster.sql("rollback prepared 'never'; commit prepared 'kept';")
    cluster.sql("begin; set constraints all deferred; update t set id = case id when 1 then 2 else 1 end where id in (1, 2); commit;")
    cluster.sql("begin; insert into a values (3); truncate a cascade; insert into a values (7); insert into b values (9, 7); commit;")
    cluster.sql("begin; alter table d add column late text; insert into d values (2, 2, 2, 'x'); alter table d rename column n to k; update d set k = k + 10; commit;")
    ingest(outcome, "all of it comes", folder)
    same(outcome, "C13 C14 prepared transactions and keys that change places", cluster, folder, "id, word", "t")
    same(outcome, "C17 truncation through references, and rows after it", cluster, folder, "id", "a")
    same(outcome, "C17 of the table that refers", cluster, folder, "id, a", "b")
    same(outcome, "C19 columns renamed within a transaction", cluster, folder, "id, k, m, late", "d")
    cluster.sql("alter table d alter column k type bigint; insert into d values (3, 5000000000, 1, null);")
    widened = folder.run("ingest")
    told = widened.returncode != 0 and "k" in widened.stderr
    outcome.hold("C19 a type the lake's column cannot hold is told, or held",
                 [] if told or not same_rows(cluster, "select id, k from d", folder, "select id, k from s.d") else [widened.stderr[-400:]])
    forget(cluster)
    cluster.sql("drop table t, b, a, d;")


def check_missing_row(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    """C16: a long value that was not sent belongs to a row the lake lost."""
    cluster.sql("create table long (id int primary key, word text, long text); alter table long alter column long set storage external;"
                "insert into long select n, 'w', repeat(md5(n::text), 100) from generate_series(1, 100) n;")
    folder = project(binary, root / "missing", settings(cluster.port), "    long:\n")
    ingest(outcome, "the first copy ends", folder)
    deltalake.DeltaTable(str(folder.table("s", "long"))).delete("id = 7")
    cluster.sql("update long set word = 'changed' where id in (7, 8);")
    refused(outcome, "C16 a value that is nowhere is told", folder.run("ingest", seconds=60), "long")
    ingest(outcome, "copying the table again brings it", folder, "s", "--recopy", "long")
    same(outcome, "C16 and the lake is what the source is", cluster, folder, "id, word, md5(long)", "long")
    forget(cluster)
    cluster.sql("drop table long;")


def check_locks(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    """C25: somebody holds the table, or a transaction from before."""
    cluster.sql("create table t (id int primary key, word text); insert into t values (1, 'a'); create table u (id int primary key);")
    folder = project(binary, root / "locks", settings(cluster.port), "    t:\n")
    ingest(outcome, "the first copy ends", folder)
    holder = threading.Thread(target=lambda: cluster.sql("begin; insert into u values (1); select pg_sleep(14); commit;"))
    holder.start()
    until(lambda: cluster.value("select count(*) from pg_stat_activity where wait_event = 'PgSleep'") == "1")
    process = folder.start("ingest", "s", "--recopy", "t")
    named = until(lambda: "a copy waits for transactions" in process.said())
    pid = cluster.value("select pid from pg_stat_activity where wait_event = 'PgSleep'")
    outcome.hold("C25 who holds a copy up is named", [] if named and f"pid {pid}" in process.said() else [process.said()[-600:]])
    holder.join()
    outcome.hold("C25 and it goes on afterwards", [] if process.process.wait(60) == 0 else [process.said()[-600:]])
    same(outcome, "C25 with every row", cluster, folder, "id, word", "t")
    forget(cluster)
    cluster.sql("drop table t, u;")


def check_encoding(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    """C28: a database without an encoding holds bytes that are no text."""
    cluster.sql("create database raw encoding 'SQL_ASCII' template template0;")
    cluster.sql("create table t (id int primary key, word text); insert into t values (1, 'plain');", "raw")
    folder = project(binary, root / "encoding", settings(cluster.port, "raw"), "    t:\n")
    ingest(outcome, "what is text comes", folder)
    cluster.sql("insert into t values (2, E'\\xff\\xfe');", "raw")
    refused(outcome, "C28 bytes that are no text are told", folder.run("ingest"), "invalid byte sequence")
    cluster.sql("select pg_drop_replication_slot('headwater_s');", "raw")


def check_rights(outcome: Outcome, binary: Path, root: Path) -> None:
    """C29: the role loses its rights, or its password, while we are away; nothing is tried for ever, nothing is shown."""
    with Cluster(password=CANARY) as cluster:
        cluster.sql(f"create role reader login replication password '{CANARY}'; grant create on database postgres to reader;"
                    "create table t (id int primary key, word text); insert into t values (1, 'a'); alter table t owner to reader;")
        folder = project(binary, root / "rights", settings(cluster.port, user="reader", secret=True), "    t:\n")
        variables = {"PG_PASSWORD": CANARY}
        said = [folder.run("ingest", variables=variables)]
        outcome.hold("a role that may captures", [] if said[0].returncode == 0 else [said[0].stderr[-600:]])
        cluster.sql("alter table t owner to postgres; revoke all on t from reader;")
        said.append(folder.run("ingest", "s", "--recopy", "t", variables=variables, seconds=60))
        refused(outcome, "C29 without SELECT nothing is copied", said[-1], "permission denied")
        cluster.sql("alter table t owner to reader; alter role reader noreplication;")
        said.append(folder.run("ingest", variables=variables, seconds=60))
        refused(outcome, "C29 without REPLICATION", said[-1], "replication")
        cluster.sql("alter role reader replication password 'another';")
        said.append(folder.run("ingest", variables=variables, seconds=60))
        refused(outcome, "C29 with another password", said[-1], "28P01")
        cluster.sql(f"alter role reader password '{CANARY}'; insert into t values (2, 'b');")
        said.append(folder.run("ingest", variables=variables))
        same(outcome, "C29 all is there once it may again", cluster, folder, "id, word", "t")
        shown = "".join(one.stdout + one.stderr for one in said)
        outcome.hold("C29 the password is never shown", ["it was"] if CANARY in shown else [])


def check_impostor(outcome: Outcome, binary: Path, root: Path) -> None:
    """C30: what answers is no server: a message of a gigabyte and more, or none that makes sense."""
    answers = {"large": b"R" + struct.pack(">I", (1 << 30) + 5), "senseless": b"HTTP/1.1 400 Bad Request\r\n\r\n"}
    for name, answer in answers.items():
        with socket.create_server(("127.0.0.1", 0)) as server:
            ended = threading.Event()

            def serve(server=server, answer=answer, ended=ended):
                server.settimeout(0.2)
                while not ended.is_set():
                    try:
                        one, _ = server.accept()
                        with one:
                            one.recv(4096)
                            one.sendall(answer)
                            time.sleep(0.2)
                    except OSError:
                        continue

            thread = threading.Thread(target=serve)
            thread.start()
            folder = Folder(binary, root / f"impostor-{name}", settings(server.getsockname()[1]), {})
            done = folder.run("connections", "test", seconds=60)
            ended.set()
            thread.join()
            outcome.hold(f"C30 a {name} answer is refused", [] if done.returncode == 1 and "db" in done.stdout + done.stderr else [done.stderr[-400:]])


def check_large_transaction(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    """C11: a transaction far beyond what is held in memory is one commit."""
    cluster.sql("create table t (id int primary key, word text);")
    folder = project(binary, root / "large", settings(cluster.port), "    t:\n")
    ingest(outcome, "the first copy ends", folder)
    cluster.sql("insert into t select n, repeat(md5(n::text), 8) from generate_series(1, 1500000) n;")
    # 400 MB of values: the process says how much memory it took at most.
    command = [sys.executable, "-c", "import resource, subprocess, sys; r = subprocess.run(sys.argv[1:]).returncode;"
               "print('peak', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024); sys.exit(r)"]
    done = subprocess.run([*command, *folder.command("ingest")], env=folder.environment(), capture_output=True, text=True, check=False)
    peak = int(re.search(r"peak (\d+)", done.stdout).group(1))
    outcome.hold("C11 a transaction of 400 MB comes", [] if done.returncode == 0 else [done.stderr[-600:]])
    outcome.hold("C11 within bounded memory", [] if peak < 1200 else [f"{peak} MiB"])
    print(f"peak: {peak} MiB", flush=True)
    found = folder.rows("select count(*), count(distinct _ingested_at), min(id), max(id) from s.t")
    outcome.hold("C11 and is one commit", [] if found == [["1500000", "1", "1", "1500000"]] else [str(found)])
    forget(cluster)
    cluster.sql("drop table t;")


def check_partitions(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    """C22: rows of partitions are rows of their table, once; a table that is attached or detached is brought in line by a copy."""
    cluster.sql("create table p (id int, day date, word text, primary key (id, day)) partition by range (day);"
                "create table p_1 partition of p for values from ('2024-01-01') to ('2024-02-01');"
                "insert into p select n, '2024-01-05', 'w' from generate_series(1, 100) n;")
    folder = project(binary, root / "partitions", settings(cluster.port), "    p:\n")
    ingest(outcome, "the first copy ends", folder)
    cluster.sql("create table p_2 partition of p for values from ('2024-02-01') to ('2024-03-01');"
                "insert into p values (500, '2024-02-05', 'new partition'); update p set day = '2024-02-06' where id = 1;")
    ingest(outcome, "a partition is made", folder)
    same(outcome, "C22 rows of a new partition, and one that moved", cluster, folder, "id, day::text, word".replace("::text", "::varchar"), "p")
    cluster.sql("create table p_3 (like p including all); insert into p_3 values (700, '2024-03-05', 'attached');"
                "alter table p attach partition p_3 for values from ('2024-03-01') to ('2024-04-01'); alter table p detach partition p_1;")
    ingest(outcome, "a copy beside the stream", folder, "s", "--recopy", "p")
    same(outcome, "C22 a copy after attaching and detaching", cluster, folder, "id, day::varchar, word", "p")
    forget(cluster)
    cluster.sql("drop table p, p_1;")


def main() -> int:
    options = parser(__doc__, only="").parse_args()
    outcome = Outcome()
    with workplace() as root, Cluster() as cluster:
        cluster.sql("alter system set max_prepared_transactions = 4;")
        cluster.stop()
        cluster.start()
        run_checks(
            (check_another_server, check_failover, check_transactions, check_missing_row, check_locks, check_encoding, check_large_transaction, check_partitions),
            options.only, outcome, cluster, options.binary, root,
        )
        run_checks((check_rights, check_impostor), options.only, outcome, options.binary, root)
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
