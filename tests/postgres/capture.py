"""Changes of a real PostgreSQL, captured: the lake is what the source is, or says why not.

    capture.py --binary target/release/headwater [--kills 12] [--seconds 20] [--seed 1]

For a long run: `--only check_kills --kills 120 --seconds 600 --recopies`, in which tables are also copied again.
"""

import random
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

from cluster import Cluster  # noqa: E402
from copy_and_poll import connection  # noqa: E402
from lakes import Folder, same_rows  # noqa: E402
from project import Outcome  # noqa: E402
from script import parser, run_checks, workplace  # noqa: E402
from values import create, insert, value_differences  # noqa: E402

CAPTURE = "kind: postgres\nname: {name}\nfrom:\n  connection: db\n  mode: capture\n{more}  tables:\n{tables}rotate: {{every: {every}}}\n"


def project(binary: Path, folder: Path, cluster: Cluster, tables: dict[str, str], every: str = "500ms", name: str = "shop", more: str = "") -> Folder:
    listed = "".join(f"    {table}: {{{options}}}\n" for table, options in tables.items())
    source = CAPTURE.format(name=name, tables=listed, every=every, more=more)
    return Folder(binary, folder, f"name: p\n{connection(cluster)}", {name: source})


def ingest(outcome: Outcome, what: str, folder: Folder, *arguments: str) -> None:
    done = folder.run("ingest", *arguments)
    outcome.hold(what, [] if done.returncode == 0 else [done.stderr[-600:]])


def check_changes(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    cluster.sql(
        "create table items (id int primary key, word text, long text);"
        "alter table items alter column long set storage external;"
        "create table pairs (a int, b int, word text, primary key (b, a));"
        "create table whole (id int, word text); alter table whole replica identity full;"
        "create table parts (id int, day date, word text, primary key (id, day)) partition by range (day);"
        "create table parts_1 partition of parts for values from ('2024-01-01') to ('2024-02-01');"
        "create table parts_2 partition of parts for values from ('2024-02-01') to ('2024-03-01');"
        "insert into items select n, 'w' || n, repeat(md5(n::text), 200) from generate_series(1, 2000) n;"
        "insert into pairs select n, n % 7, 'w' || n from generate_series(1, 500) n;"
        "insert into whole select n, 'w' || n from generate_series(1, 100) n;"
        "insert into parts select n, date '2024-01-01' + n % 59, 'p' from generate_series(1, 300) n;"
    )
    tables = {"items": "", "pairs": "", "whole": "key: [id]", "parts": ""}
    folder = project(binary, root / "changes", cluster, tables)
    ingest(outcome, "the copy ends", folder)
    queries = {"items": "id, word, md5(long)", "pairs": "a, b, word", "whole": "id, word", "parts": "id, day::text, word"}

    def equal(when: str) -> None:
        for table, columns in queries.items():
            found = same_rows(cluster, f"select {columns} from {table}", folder, f"select {columns} from shop.{table}")
            outcome.hold(f"{table} {when}", found)

    equal("after the copy")
    cluster.sql(
        "update items set word = 'short change' where id <= 50;"  # long value unchanged, not sent
        "update items set id = id + 100000 where id between 60 and 70;"  # key change, long value not sent
        "delete from items where id between 80 and 90;"
        "insert into items values (5000, null, null), (5001, '', 'x');"
    )
    cluster.sql("begin; update items set id = -1 where id = 100; update items set id = 100 where id = 101; update items set id = 101 where id = -1; commit;")
    cluster.sql("begin; insert into items values (6000, 'a', 'b'); savepoint s; delete from items; rollback to s; update items set word = 'c' where id = 6000; commit;")
    cluster.sql("begin; delete from items; rollback;")
    cluster.sql("begin; delete from pairs where a < 10; insert into pairs values (3, 3, 'again'); update pairs set b = b + 100 where a = 20; commit;")
    cluster.sql("update whole set word = 'x' where id < 10; update whole set id = id + 1000 where id > 90; delete from whole where id = 50;")
    cluster.sql("update parts set day = date '2024-02-20' where id < 20; delete from parts where id between 30 and 40; insert into parts values (900, '2024-01-05', 'n');")
    ingest(outcome, "the changes come", folder)
    equal("after changes")
    cluster.sql("begin; truncate pairs, whole; insert into whole values (1, 'after'); commit; insert into pairs values (1, 1, 'new');")
    cluster.sql("truncate items; insert into items select n, 'bulk', repeat('y', 20) from generate_series(1, 200000) n;")
    ingest(outcome, "truncation and a large transaction come", folder)
    equal("after truncation")
    ops = dict(folder.rows("select _op, count(*) from shop.whole__changes group by 1"))
    expected = {"u": "19", "d": "1", "t": "1", "i": "1"}
    outcome.hold("the log has every change", [] if ops == expected else [f"{ops}, {expected} expected"])
    keys = folder.rows("select _old_key, b, a from shop.pairs__changes where _old_key is not null")
    outcome.hold("the log has old keys", [] if keys == [['["6","20"]', "106", "20"]] else [str(keys)])
    before = folder.rows("select count(*) from shop.items__changes")
    ingest(outcome, "nothing more comes", folder)
    outcome.hold("and nothing comes twice", [] if folder.rows("select count(*) from shop.items__changes") == before else ["it did"])
    equal("after nothing")
    cluster.sql("select pg_drop_replication_slot('headwater_shop'); drop publication headwater_shop; drop table items, pairs, whole, parts;")


def check_values(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    cluster.sql(create("kinds_copied") + create("kinds_streamed"))
    cluster.sql(insert("kinds_copied"))
    folder = project(binary, root / "values", cluster, {"kinds_copied": "", "kinds_streamed": ""}, name="v")
    ingest(outcome, "values are copied", folder)
    cluster.sql(insert("kinds_streamed"))
    ingest(outcome, "values are streamed", folder)
    outcome.hold("every value survives the copy", value_differences(cluster, "kinds_copied", folder.table("v", "kinds_copied")))
    outcome.hold("every value survives the stream", value_differences(cluster, "kinds_streamed", folder.table("v", "kinds_streamed")))
    cluster.sql("update kinds_copied set plain = 5 where row_no >= 0; update kinds_copied set plain = null where row_no not in (7, 8);")
    cluster.sql("select pg_drop_replication_slot('headwater_v');")


def check_gaps(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    cluster.sql("create table t (id int primary key, word text); insert into t values (1, 'a');")
    troubles = {
        "gone": "select pg_drop_replication_slot('headwater_g');",
        "made again": "select pg_drop_replication_slot('headwater_g'); insert into t values (100, 'unseen');"
                      "select pg_create_logical_replication_slot('headwater_g', 'pgoutput');",
        "advanced": "insert into t values (101, 'unseen'); select pg_replication_slot_advance('headwater_g', pg_current_wal_lsn());",
    }
    for name, trouble in troubles.items():
        folder = project(binary, root / f"gap-{name}", cluster, {"t": ""}, name="g")
        ingest(outcome, f"the copy ends ({name})", folder)
        cluster.sql(trouble)
        cluster.sql("insert into t values (200, 'after') on conflict (id) do update set word = 'after';")
        refused = folder.run("ingest")
        told = refused.returncode != 0 and "has a gap" in refused.stderr and "--restart g" in refused.stderr
        outcome.hold(f"a slot that is {name} is a gap", [] if told else [refused.stderr[-600:]])
        ingest(outcome, f"a restart copies again ({name})", folder, "--restart", "g")
        outcome.hold(f"and all is there ({name})", same_rows(cluster, "select id, word from t", folder, "select id, word from g.t"))
        cluster.sql("select pg_drop_replication_slot('headwater_g'); delete from t where id > 1;")
    cluster.sql("select pg_create_logical_replication_slot('headwater_g', 'pgoutput');")
    refused = project(binary, root / "gap-foreign", cluster, {"t": ""}, name="g").run("ingest")
    told = refused.returncode != 0 and "did not make" in refused.stderr
    outcome.hold("a slot of somebody else is left alone", [] if told else [refused.stderr[-600:]])
    cluster.sql("select pg_drop_replication_slot('headwater_g'); drop publication headwater_g; drop table t;")


def check_refusals(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    cluster.sql("create table keyless (id int, word text); insert into keyless values (1, 'a');"
                "create table silent (id int primary key); alter table silent replica identity nothing; insert into silent values (1);")
    for table in ("keyless", "silent"):
        refused = project(binary, root / f"no-{table}", cluster, {table: ""}, name="n").run("ingest")
        told = refused.returncode != 0 and "REPLICA IDENTITY FULL" in refused.stderr
        outcome.hold(f"{table} is refused", [] if told else [refused.stderr[-600:]])
    cluster.sql("update keyless set word = 'b'; update silent set id = 2;")
    outcome.hold("the application can still update", [])
    left = cluster.value("select count(*) from pg_replication_slots") + cluster.value("select count(*) from pg_publication")
    outcome.hold("nothing was left behind", [] if left == "00" else [left])


def check_columns(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    cluster.sql("create table c (id int primary key, a text, b int); insert into c select n, 'a', n from generate_series(1, 100) n;")
    folder = project(binary, root / "columns", cluster, {"c": ""}, name="c")
    ingest(outcome, "the copy ends", folder)
    cluster.sql("insert into c values (101, 'x', 1); alter table c add column later text; insert into c values (102, 'y', 2, 'z'); update c set later = 'l' where id = 1;")
    ingest(outcome, "a column is added", folder)
    outcome.hold("an added column", same_rows(cluster, "select id, a, b, later from c", folder, "select id, a, b, later from c.c"))
    cluster.sql("alter table c drop column b; insert into c values (103, 'w', 'v'); update c set a = 'aa' where id = 2;")
    ingest(outcome, "a column is dropped", folder)
    outcome.hold("a dropped column", same_rows(cluster, "select id, a, later from c", folder, "select id, a, later from c.c"))
    cluster.sql("alter table c add column filled text default 'there'; update c set a = 'f' where id = 3;")
    ingest(outcome, "a column is added with values", folder)
    outcome.hold("a filled column", same_rows(cluster, "select id, a, later, filled from c", folder, "select id, a, later, filled from c.c"))
    cluster.sql("drop table c; create table c (id int primary key, a text, later text, filled text); insert into c values (1, 'new', null, 'n');")
    ingest(outcome, "a table is made again", folder)
    cluster.sql("insert into c values (2, 'more', null, null);")
    ingest(outcome, "and followed", folder)
    outcome.hold("a table made again", same_rows(cluster, "select id, a, later, filled from c", folder, "select id, a, later, filled from c.c"))
    cluster.sql("create table d (id int primary key); insert into d values (1);")
    text = (folder.folder / "sources" / "c.yml").read_text().replace("    c: {}\n", "    c: {}\n    d: {}\n")
    (folder.folder / "sources" / "c.yml").write_text(text)
    cluster.sql("insert into d values (2); insert into c values (3, 'while', null, null);")
    ingest(outcome, "a table is added", folder)
    cluster.sql("insert into d values (3);")
    ingest(outcome, "and followed too", folder)
    outcome.hold("a table added later", same_rows(cluster, "select id from d", folder, "select id from c.d"))
    outcome.hold("beside the others", same_rows(cluster, "select id, a from c", folder, "select id, a from c.c"))
    cluster.sql("select pg_drop_replication_slot('headwater_c'); drop publication headwater_c; drop table c, d;")


def check_drops(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    """A table that is dropped takes nobody along, and what was changed before comes in, whoever looks when."""
    cluster.sql("create type temper as enum ('good', 'bad'); create table stays (id int primary key); insert into stays values (1);"
                "create table goes (b int, a int, m temper, w text, primary key (a, b)); insert into goes select n, n % 3, 'good', 'a' from generate_series(1, 50) n;"
                "create table whole (id int, w text); alter table whole replica identity full; insert into whole values (1, 'a'), (2, 'b');"
                "create table untold (id int primary key, w text); alter table untold replica identity full; insert into untold values (1, 'a'), (2, 'b');")
    folder = project(binary, root / "drops", cluster, {"stays": "", "goes": "", "whole": "key: [id]", "untold": ""}, name="d")
    ingest(outcome, "the copy ends", folder)
    cluster.sql("insert into stays values (2); update goes set m = 'bad', w = 'b' where b <= 10; delete from goes where b > 40; drop table goes; drop type temper;"
                "delete from whole where id = 1; drop table whole; delete from untold where id = 1; drop table untold; insert into stays values (3);")
    done = folder.run("ingest")
    told = [name for name in ("goes", "whole", "untold") if f"table=\"{name}\"" not in done.stderr or "a captured table was dropped" not in done.stderr]
    outcome.hold("dropped tables are told, and stop nothing", [] if done.returncode == 0 and not told else [f"{told}: {done.stderr[-900:]}"])
    outcome.hold("one that cannot be followed is told", [] if "last changes of a dropped table are not taken" in done.stderr else [done.stderr[-600:]])

    def holds(what: str, sql: str, expected: list[list[str]]) -> None:
        found = folder.rows(sql)
        outcome.hold(what, [] if found == expected else [f"{found} instead of {expected}"])

    holds("the others go on", "select id from d.stays order by id", [["1"], ["2"], ["3"]])
    holds("what was changed before comes in", "select m, w, count(*) from d.goes group by all order by 1", [["bad", "b", "10"], ["good", "a", "30"]])
    holds("and is in the log", "select _op, count(*) from d.goes__changes group by all order by 1", [["d", "10"], ["u", "10"]])
    holds("of one with a key of ours too", "select id, w from d.whole", [["2", "b"]])
    holds("what cannot be followed stays", "select count(*) from d.untold", [["2"]])
    process = folder.start("up", "--port", "0")
    outcome.hold("a process begins without them", [] if process.until("Listening on", 60) else [process.said()[-600:]])
    cluster.sql("insert into stays values (4); create table goes (b int, a int, m text, w text, primary key (a, b)); insert into goes values (7, 7, 'new', 'n');")
    end, found = time.monotonic() + 30, []
    while time.monotonic() < end and found != [["4"]]:
        found = folder.rows("select max(id) from d.stays")
    outcome.hold("and follows the others", [] if found == [["4"]] else [f"{found}: {process.said()[-600:]}"])
    process.kill()
    ingest(outcome, "a table that is made again", folder)
    holds("is copied anew", "select a, b, m, w from d.goes", [["7", "7", "new", "n"]])
    cluster.sql("insert into goes values (8, 8, 'more', 'm'); drop table goes, stays;")
    ingest(outcome, "all tables are dropped", folder)
    holds("and their last changes come in", "select count(*) from d.goes", [["2"]])
    cluster.sql("create table first (id int primary key, w text); insert into first values (1, 'a');")
    renamed = project(binary, root / "renamed", cluster, {"first": ""}, name="r")
    ingest(outcome, "a table is copied", renamed)
    cluster.sql("insert into first values (2, 'before'); alter table first rename to second; insert into second values (3, 'after');")
    done = renamed.run("ingest")
    told = done.returncode and "first is called public.second now" in done.stderr and "`as: first`" in done.stderr
    outcome.hold("a table with another name is told", [] if told else [done.stderr[-600:]])
    source = renamed.folder / "sources" / "r.yml"
    source.write_text(source.read_text().replace("    first: {}\n", "    second: {as: first}\n"))
    ingest(outcome, "it goes on under its new name", renamed)
    outcome.hold("with what changed under both", same_rows(cluster, "select id, w from second", renamed, "select id, w from r.first"))
    cluster.sql("select pg_drop_replication_slot('headwater_r'); drop publication headwater_r; drop table second;")
    mistyped = project(binary, root / "mistyped", cluster, {"no_such": ""}, name="m").run("ingest")
    outcome.hold("a name that never was is refused", [] if mistyped.returncode and "no_such does not exist" in mistyped.stderr else [mistyped.stderr[-600:]])
    cluster.sql("select pg_drop_replication_slot('headwater_d'); drop publication headwater_d;")


POINTS = ["cdc.slot_created_before_state", "cdc.mid_copy", "cdc.log_committed_before_current",
          "cdc.table_a_committed_before_table_b", "cdc.all_committed_before_ack"]


def check_points(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    """The process dies where it hurts most; the next one goes on as if nothing had been."""
    for action in ("abort", "error"):
        for point in POINTS:
            cluster.sql("create table one (id int primary key, w text); create table two (id int primary key, w text);"
                        "insert into one select n, 'a' from generate_series(1, 500) n; insert into two select * from one;")
            folder = project(binary, root / f"{action}-{point}", cluster, {"one": "", "two": ""}, name="f")
            reached = 0
            for change in ("", "update one set w = 'b' where id < 50; delete from two where id > 400; insert into two values (999, 'n');"):
                if change:
                    cluster.sql("begin;" + change + "commit;")
                done = folder.run("ingest", variables={"HEADWATER_FAULT": f"{point}={action}"})
                reached += f"fault point {point} reached" in done.stderr
                ingest(outcome, f"it goes on after {action} at {point}", folder)
            outcome.hold(f"{point} is reached", [] if reached else ["it is not"])
            for table in ("one", "two"):
                found = same_rows(cluster, f"select id, w from {table}", folder, f"select id, w from f.{table}")
                outcome.hold(f"{table} after {action} at {point}", found)
            twice = folder.rows("select count(*) - count(distinct (_lsn, _seq)) from f.two__changes")
            outcome.hold("no change is in the log twice", [] if twice == [["0"]] else [str(twice)])
            cluster.sql("select pg_drop_replication_slot('headwater_f'); drop publication headwater_f; drop table one, two;")


def listening(process: subprocess.Popen, log: Path, said_before: int, seconds: float = 60) -> None:
    """Waits until the process says so, after what `log` held before it was started, or has ended."""
    end = time.monotonic() + seconds
    while "Listening on" not in log.read_bytes()[said_before:].decode(errors="replace"):
        if process.poll() is not None or time.monotonic() > end:
            return
        time.sleep(0.05)


def check_kills(outcome: Outcome, cluster: Cluster, binary: Path, root: Path, kills: int, seconds: float, seed: int, recopies: bool) -> None:
    """pgbench runs while either side is killed, and tables are copied again; at the end all four tables are equal."""
    cluster.tool("pgbench", "-h", "127.0.0.1", "-p", cluster.port, "-U", "postgres", "-i", "-s", "2", "-q", "postgres")
    tables = {"pgbench_accounts": "", "pgbench_branches": "", "pgbench_tellers": "", "pgbench_history": "key: [h]"}
    cluster.sql("alter table pgbench_history add column h bigserial primary key;")
    folder = project(binary, root / "kills", cluster, tables, name="bench", more="  chunk_rows: 3000\n")
    dice = random.Random(seed)
    log = root / "kills.stderr"
    words = log.open("w")
    said_before = 0

    def start():
        nonlocal said_before
        said_before = log.stat().st_size
        return subprocess.Popen(folder.command("up", "--port", "0"), env=folder.environment(), stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=words)

    def load():
        command = ["runuser", "-u", "postgres", "--"] if __import__("os").geteuid() == 0 else []
        return subprocess.Popen(
            [*command, cluster.bin / "pgbench", "-h", "127.0.0.1", "-p", str(cluster.port), "-U", "postgres", "-c", "2",
             "-R", "300", "-T", "3600", "-n", "postgres"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/tmp")

    ours, bench = start(), load()
    deaths = {"us": 0, "server": 0, "walsender": 0, "us, copying": 0}

    def recopy():
        """Begins to copy a table again and dies of it; whoever comes next goes on."""
        command = folder.command("ingest", "bench", "--recopy", dice.choice(list(tables)))
        process = subprocess.Popen(command, env=folder.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=words)
        time.sleep(dice.uniform(0.5, 4))
        process.kill()
        process.wait()

    try:
        for _ in range(kills):
            time.sleep(dice.uniform(0.3, 2 * seconds / max(kills, 1)))
            victim = dice.choices(["us", "walsender", "server"], [5, 3, 1])[0]
            deaths[victim] += 1
            if victim == "us":
                ours.kill()
                ours.wait()
                if recopies and dice.random() < 0.4:
                    recopy()
                    deaths["us, copying"] += 1
                ours = start()
            elif victim == "walsender":
                cluster.sql("select pg_terminate_backend(active_pid) from pg_replication_slots where active")
            else:
                cluster.stop("immediate")
                cluster.start()
                bench.kill()
                bench.wait()
                bench = load()
            if ours.poll() is not None:
                outcome.hold("the process lives", [f"it ended with {ours.returncode}"])
                ours = start()
    finally:
        bench.kill()
        bench.wait()
        cluster.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgbench'")
        # A process that has only just been started has no ear for a polite request yet.
        listening(ours, log, said_before)
        ours.terminate()
        ended = ours.wait(60)
        said = log.read_text(errors="replace")
        outcome.hold("a polite stop", [] if ended == 0 else [f"ended with {ended}: {said[-500:]}"])
    ingest(outcome, "what is left comes", folder)
    print(f"killed: {deaths}", flush=True)
    columns = {"pgbench_accounts": "aid, bid, abalance", "pgbench_branches": "bid, bbalance", "pgbench_tellers": "tid, bid, tbalance",
               "pgbench_history": "h, tid, bid, aid, delta"}
    for table, list_ in columns.items():
        found = same_rows(cluster, f"select {list_} from {table}", folder, f"select {list_} from bench.{table}")
        outcome.hold(f"{table} after {kills} kills", found)
    twice = folder.rows("select _lsn, _seq from bench.pgbench_history__changes group by 1, 2 having count(*) > 1 limit 3")
    outcome.hold("no change is in the log twice", [str(twice)] if twice else [])
    begun = folder.rows("select event, count(*) from bench._capture where event like 'copy %' group by 1")
    print(f"copies: {begun}", flush=True)
    print(f"history: {cluster.value('select count(*) from pgbench_history')} rows", flush=True)


def main() -> int:
    words = parser(__doc__, kills=12, seconds=20.0, seed=1, only="")
    words.add_argument("--recopies", action="store_true", help="also copy tables again during the kills")
    options = words.parse_args()
    outcome = Outcome()
    with workplace() as root, Cluster() as cluster:
        given = outcome, cluster, options.binary, root
        run_checks((check_refusals, check_changes, check_values, check_gaps, check_columns, check_drops, check_points), options.only, *given)
        run_checks([check_kills], options.only, *given, options.kills, options.seconds, options.seed, options.recopies)
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
