"""Captured tables copied again while their changes go on: the lake is what the source is, whatever happens meanwhile.

    recopy.py --binary target/release/headwater [--kills 6] [--seed 1] [--only NAME] [--slow]
"""

import json
import random
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import deltalake
import pyarrow

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "push"))

from cluster import Cluster  # noqa: E402
from copy_and_poll import connection  # noqa: E402
from lakes import Folder, same_rows  # noqa: E402
from project import Outcome  # noqa: E402
from script import parser, run_checks, until, workplace  # noqa: E402
from senders import Server  # noqa: E402

COLUMNS = "id, part, word, md5(long)"


def project(binary: Path, folder: Path, cluster: Cluster, tables: str, name: str = "shop", more: str = "") -> Folder:
    source = (f"kind: postgres\nname: {name}\nfrom:\n  connection: db\n  mode: capture\n{more}  tables:\n{tables}"
              "rotate: {every: 300ms}\n")
    return Folder(binary, folder, f"name: p\n{connection(cluster)}", {name: source})


def listed(*tables: str) -> str:
    return "".join(f"    {table}:\n" for table in tables)


def ingest(outcome: Outcome, what: str, folder: Folder, *arguments: str) -> None:
    done = folder.run("ingest", *arguments)
    outcome.hold(what, [] if done.returncode == 0 else [done.stderr[-600:]])


def make_items(cluster: Cluster, rows: int) -> None:
    """A key of two columns, one of them text, and long values that are not sent when they do not change."""
    cluster.sql(
        "drop table if exists items; create table items (id int, part text, word text, long text, primary key (part, id));"
        "alter table items alter column long set storage external;"
        f"insert into items select n, chr(65 + n % 5) || 'ä''', 'w' || n, repeat(md5(n::text), 70) from generate_series(1, {rows}) n;"
        "analyze items;"
    )


def forget(cluster: Cluster, name: str = "shop") -> None:
    cluster.sql(f"select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = 'headwater_{name}';"
                f"drop publication if exists headwater_{name};")


def damage(folder: Folder, schema: str, table: str) -> None:
    """Somebody else's hand: rows missing, rows changed, rows the source never had."""
    path = str(folder.table(schema, table))
    deltalake.DeltaTable(path).delete("id % 10 = 3")
    deltalake.DeltaTable(path).update(updates={"word": "'damaged'"}, predicate="id % 10 = 4")
    ghost = deltalake.DeltaTable(path).to_pyarrow_table().slice(0, 1)
    ghosts = pyarrow.concat_tables([ghost] * 5)
    ids = pyarrow.array(range(-5, 0), ghosts.schema.field("id").type)
    ghosts = ghosts.set_column(ghosts.schema.get_field_index("id"), ghosts.schema.field("id"), ids)
    deltalake.write_deltalake(path, ghosts, mode="append")


class Load(threading.Thread):
    """Changes of every kind, in small and larger transactions, until it is told to end."""

    KINDS = [
        "update items set word = 'u' || {n} where id = {id};",  # the long value is not sent
        "update items set long = repeat('z', 3000) where id = {id};",
        "delete from items where id = {id};",
        "insert into items values ({fresh}, 'N', 'new', repeat('n', 2500));",
        "update items set id = id + 1000000, part = 'A' where id = {id};",  # to a part that was copied already
        "update items set part = 'Zz' where id = {id};",  # to one that was not
        "begin; delete from items where id = {id}; insert into items values ({id}, 'C', 'again', null); commit;",
        "begin; update items set word = 'gone'; rollback;",
        "update items set word = 'many' where id % 97 = {n} % 97;",
    ]

    def __init__(self, cluster: Cluster, rows: int, seed: int):
        super().__init__()
        self.cluster, self.rows, self.dice, self.ended, self.changes = cluster, rows, random.Random(seed), threading.Event(), 0
        self.fresh = 5_000_000

    def run(self) -> None:
        while not self.ended.is_set():
            script = []
            for _ in range(20):
                self.fresh += 1
                kind = self.dice.choice(self.KINDS)
                script.append(kind.format(n=self.changes, id=self.dice.randint(1, self.rows), fresh=self.fresh))
                self.changes += 1
            try:
                self.cluster.sql("set synchronous_commit = on;" + "\n".join(script))
            except RuntimeError:
                # A key that is there already; the rest of the script is left out.
                continue

    def end(self) -> None:
        self.ended.set()
        self.join()


def events(folder: Folder, name: str, event: str, schema: str = "shop") -> list[str]:
    try:
        return [row[0] for row in folder.rows(f"select detail from {schema}._capture where event = '{event}' order by _ingested_at")]
    except RuntimeError:
        return []


def equal(outcome: Outcome, what: str, cluster: Cluster, folder: Folder, schema: str = "shop") -> None:
    outcome.hold(what, same_rows(cluster, f"select {COLUMNS} from items", folder, f"select {COLUMNS} from {schema}.items"))


def check_repair(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    make_items(cluster, 20_000)
    folder = project(binary, root / "repair", cluster, listed("items"), more="  chunk_rows: 1500\n")
    ingest(outcome, "the first copy ends", folder)
    equal(outcome, "the first copy", cluster, folder)
    damage(folder, "shop", "items")
    differs = same_rows(cluster, f"select {COLUMNS} from items", folder, f"select {COLUMNS} from shop.items")
    outcome.hold("the lake was damaged", [] if differs else ["it was not"])
    load = Load(cluster, 20_000, 1)
    load.start()
    ingest(outcome, "a copy beside the stream ends", folder, "shop", "--recopy", "items")
    load.end()
    ingest(outcome, "what is left comes", folder)
    equal(outcome, f"a damaged table after a copy beside {load.changes} changes", cluster, folder)
    notes = len(events(folder, "shop", "copied"))
    outcome.hold("its progress was noted", [] if notes > 1 else [f"{notes} notes"])
    before = folder.rows("select count(*) from shop._capture")
    ingest(outcome, "nothing more is copied", folder)
    begun = events(folder, "shop", "copy begun")
    outcome.hold("the request was taken once", [] if len(begun) == 1 else [str(begun)])
    outcome.hold("nothing more is noted", [] if folder.rows("select count(*) from shop._capture") == before else ["something is"])
    cluster.sql("truncate items; insert into items values (1, 'x', 'after', null);")
    ingest(outcome, "a copy of nearly nothing ends", folder, "shop", "--recopy", "items")
    equal(outcome, "a copy of a table with one row", cluster, folder)
    cluster.sql("truncate items;")
    ingest(outcome, "a copy of nothing ends", folder, "shop", "--recopy", "items")
    equal(outcome, "a copy of an empty table", cluster, folder)
    forget(cluster)


def check_refusals(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    cluster.sql(
        "create table loose (id int, word text); alter table loose replica identity full; insert into loose values (1, 'a');"
        "create table scanned (id int not null, word text); alter table scanned replica identity full; insert into scanned values (1, 'a');"
    )
    tables = "    loose: {key: [id]}\n    scanned: {key: [id]}\n"
    folder = project(binary, root / "refused", cluster, tables, name="r")
    ingest(outcome, "tables without a primary key are captured", folder)
    for table, why in (("loose", "may be NULL"), ("scanned", "no index of its key"), ("lose", "Did you mean `loose`")):
        refused = folder.run("ingest", "r", "--recopy", table)
        told = refused.returncode != 0 and why in refused.stderr
        outcome.hold(f"--recopy {table} is refused: {why}", [] if told else [refused.stderr[-600:]])
    refused = folder.run("ingest", "--recopy", "loose")
    outcome.hold("--recopy without a source is refused", [] if refused.returncode != 0 else ["it is not"])
    forget(cluster, "r")
    cluster.sql("drop table loose, scanned;")


POINTS = ["cdc.copy_begun_before_request_taken", "cdc.chunk_between_watermarks", "cdc.chunk_handed_on", "cdc.retired_before_commit",
          "cdc.table_a_committed_before_table_b", "cdc.all_committed_before_ack"]


def check_points(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    for action in ("abort", "error"):
        for point in POINTS:
            make_items(cluster, 3_000)
            folder = project(binary, root / f"{action}-{point}", cluster, listed("items"), more="  chunk_rows: 400\n")
            ingest(outcome, f"the first copy ends ({action} at {point})", folder)
            damage(folder, "shop", "items")
            load = Load(cluster, 3_000, 2)
            load.start()
            done = folder.run("ingest", "shop", "--recopy", "items", variables={"HEADWATER_FAULT": f"{point}={action}@2" if "chunk" in point else f"{point}={action}"})
            outcome.hold(f"{point} is reached", [] if f"fault point {point} reached" in done.stderr else ["it is not"])
            load.end()
            ingest(outcome, f"it goes on after {action} at {point}", folder)
            equal(outcome, f"items after {action} at {point}", cluster, folder)
            begun, ended = len(events(folder, "shop", "copy begun")), len(events(folder, "shop", "copy ended"))
            outcome.hold("one copy, not two", [] if begun <= 1 and ended <= 1 else [f"{begun} begun, {ended} ended"])
            forget(cluster)


def check_kills(outcome: Outcome, cluster: Cluster, binary: Path, root: Path, kills: int, seed: int) -> None:
    """The process is killed in the middle of a copy, again and again, and the next goes on where it was."""
    rows = 12_000
    make_items(cluster, rows)
    folder = project(binary, root / "kills", cluster, listed("items"), more="  chunk_rows: 300\n  max_bytes_per_second: 4MB\n")
    ingest(outcome, "the first copy ends", folder)
    damage(folder, "shop", "items")
    dice = random.Random(seed)
    load = Load(cluster, rows, seed)
    load.start()
    reached, killed = [], 0
    arguments = ["ingest", "shop", "--recopy", "items"]
    for turn in range(kills):
        process = folder.start(*arguments)
        arguments = ["ingest", "shop"]
        before = reached[-1] if reached else 0
        if turn % 3 != 2:
            # However slow the machine is: it has noted chunks of its own by then.
            while process.process.poll() is None and len(events(folder, "shop", "copied")) <= before:
                pass
        time.sleep(dice.uniform(0, 1))
        if process.process.poll() is None:
            killed += 1
            process.kill()
        else:
            process.process.wait()
        reached.append(len(events(folder, "shop", "copied")))
    load.end()
    ingest(outcome, "what is left comes", folder)
    equal(outcome, f"items after {killed} kills and {load.changes} changes", cluster, folder)
    begun, ended = events(folder, "shop", "copy begun"), events(folder, "shop", "copy ended")
    outcome.hold("the copy went on instead of beginning anew", [] if len(begun) == 1 and len(ended) == 1 else [f"{begun} {ended}"])
    print(f"killed {killed} times; chunks noted by then: {reached}", flush=True)
    outcome.hold("kills met a copy under way", [] if any(0 < count for count in reached) and killed else [str(reached)])
    forget(cluster)


def check_stream_goes_on(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    """While one table is copied slowly, changes of the other arrive."""
    make_items(cluster, 20_000)
    cluster.sql("create table other (id int primary key, word text); insert into other values (1, 'a');")
    folder = project(binary, root / "goes-on", cluster, listed("items", "other"), more="  chunk_rows: 200\n  max_bytes_per_second: 300KB\n")
    cluster.sql("delete from items where id > 50")
    ingest(outcome, "the first copy ends", folder)
    cluster.sql("insert into items select n, 'B', 'w', repeat('x', 2500) from generate_series(100, 20000) n;")
    process = folder.start("ingest", "shop", "--recopy", "items")
    outcome.hold("a copy begins", [] if until(lambda: events(folder, "shop", "copied")) else [process.said()[-600:]])
    cluster.sql("insert into other values (2, 'meanwhile');")
    arrived = until(lambda: folder.rows("select count(*) from shop.other where id = 2") == [["1"]])
    ended = events(folder, "shop", "copy ended")
    outcome.hold("a change of another table arrives during the copy", [] if arrived and not ended else [f"arrived: {arrived}, ended: {ended}"])
    process.kill()
    text = (folder.folder / "sources" / "shop.yml").read_text().replace("  max_bytes_per_second: 300KB\n", "").replace("  chunk_rows: 200\n", "")
    (folder.folder / "sources" / "shop.yml").write_text(text)
    ingest(outcome, "the rest comes", folder)
    equal(outcome, "items after a slow copy", cluster, folder)
    forget(cluster)
    cluster.sql("drop table other;")


def asked(server: Server, path: str, body: dict | None = None) -> tuple[int, object]:
    """An answer of the running process, or its refusal."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data=data, headers={"X-Headwater": "1", "Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)


def copy_of_items(server: Server) -> dict | None:
    return next(table["copy"] for table in asked(server, "/api/sources/shop")[1]["tables"] if table["table"] == "shop.items")


def last_copy(server: Server) -> dict:
    tables = asked(server, "/api/sources/shop/tables")[1]
    return next(table["last_copy"] for table in tables if table["table"] == "shop.items") or {}


def check_running_process(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    """A process that streams is asked over HTTP to copy a table again, then by the command beside it."""
    rows = 8_000
    make_items(cluster, rows)
    cluster.sql("create table other (id int primary key, word text); insert into other values (1, 'a');")
    folder = project(binary, root / "running", cluster, listed("items", "other"), more="  chunk_rows: 400\n  max_bytes_per_second: 4MB\n")
    ingest(outcome, "the first copy ends", folder)
    damage(folder, "shop", "items")
    server = Server(folder)
    try:
        for body, status, why in (({"table": "itens"}, 400, "Did you mean `items`"), ({"tabel": "items"}, 400, "tabel"), ({}, 400, "table")):
            found = asked(server, "/api/sources/shop/recopy", body)
            outcome.hold(f"{body} is refused", [] if found[0] == status and why in json.dumps(found[1]) else [str(found)])
        found = asked(server, "/api/sources/shap/recopy", {"table": "items"})
        outcome.hold("an unknown source is not found", [] if found[0] == 404 else [str(found)])
        outcome.hold("nothing was copied again so far", [] if last_copy(server) == {} else [str(last_copy(server))])
        load = Load(cluster, rows, 4)
        load.start()
        answer = asked(server, "/api/sources/shop/recopy", {"table": "shop.items"})
        outcome.hold("a table is to be copied again", [] if answer[0] == 200 else [str(answer)])
        seen: list[dict] = []

        def is_over() -> bool:
            copy = copy_of_items(server)
            if copy is not None:
                seen.append(copy)
            return copy is None and bool(last_copy(server).get("ended_at"))

        over = until(is_over, 120)
        outcome.hold("the copy ends while the process goes on", [] if over else [str(seen[-1:]), server.started.said()[-600:]])
        load.end()
        read = [copy["rows"] for copy in seen if copy["is_under_way"] and copy["rows"]]
        outcome.hold("how far it was is told", [] if len(set(read)) > 1 and read == sorted(read) and all(copy["of_rows"] for copy in seen if copy["rows"]) else [str(seen[:20])])
        told = last_copy(server)
        outcome.hold("and what it came to", [] if told["rows"] and told["rows"] > rows / 2 and told["begun_at"] < told["ended_at"] else [str(told)])
        same = f"select {COLUMNS} from items", folder, f"select {COLUMNS} from shop.items"
        equals = until(lambda: not same_rows(cluster, *same))
        outcome.hold(f"a damaged table after a copy beside {load.changes} changes", [] if equals else same_rows(cluster, *same))
        cluster.sql("insert into other values (2, 'after');")
        outcome.hold("the stream goes on", [] if until(lambda: folder.rows("select count(*) from shop.other") == [["2"]]) else ["it does not"])
        damage(folder, "shop", "items")
        done = folder.run("ingest", "shop", "--recopy", "items")
        outcome.hold("the command asks the process that runs", [] if done.returncode == 0 and "copied again by the process that runs" in done.stdout else [done.stdout + done.stderr])
        again = until(lambda: copy_of_items(server) is None and last_copy(server).get("begun_at", "") > told["begun_at"] and last_copy(server)["ended_at"], 120)
        outcome.hold("which does it", [] if again else [str(last_copy(server))])
        equals = until(lambda: not same_rows(cluster, *same))
        outcome.hold("a table copied again by the command", [] if equals else same_rows(cluster, *same))
    finally:
        ended = server.stop()
    outcome.hold("the process ends in order", [] if ended == 0 else [server.started.said()[-600:]])
    forget(cluster)
    cluster.sql("drop table other;")


def check_late_commits(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    """A commit that waits for a standby is in the log, and in the stream, before any other session can see it: a chunk read
    meanwhile must not bring the rows of before back."""
    make_items(cluster, 6_000)
    folder = project(binary, root / "late", cluster, listed("items"), more="  chunk_rows: 300\n  max_bytes_per_second: 2MB\n")
    ingest(outcome, "the first copy ends", folder)
    process = folder.start("ingest", "shop", "--recopy", "items")
    outcome.hold("a copy begins", [] if until(lambda: events(folder, "shop", "copied")) else [process.said()[-600:]])
    cluster.sql("alter system set synchronous_standby_names = 'nobody'; select pg_reload_conf();")
    until(lambda: cluster.value("show synchronous_standby_names") == "nobody")
    late = threading.Thread(target=lambda: cluster.sql("update items set word = 'late', long = 'late';"))
    late.start()
    waits = until(lambda: cluster.value("select count(*) from pg_stat_activity where wait_event = 'SyncRep'") != "0")
    outcome.hold("a commit waits for its standby", [] if waits else ["it does not"])
    streamed = until(lambda: folder.rows("select count(*) from shop.items where word = 'late'") != [["0"]])
    outcome.hold("and the stream has it already", [] if streamed else ["it has not"])
    time.sleep(3)  # chunks are read, and found not to see it
    cluster.sql("set synchronous_commit = local; alter system reset synchronous_standby_names; select pg_reload_conf();")
    late.join()
    outcome.hold("the copy ends", [] if process.process.wait(120) == 0 else [process.said()[-600:]])
    ingest(outcome, "what is left comes", folder)
    equal(outcome, "rows of a late commit", cluster, folder)
    forget(cluster)


def check_added_table(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    """A large table that is added to a stream is copied beside it; a small one at once."""
    cluster.sql("create table other (id int primary key, word text); insert into other values (1, 'a');"
                "create table small (id int primary key, word text); insert into small select n, 'w' from generate_series(1, 100) n;")
    folder = project(binary, root / "added", cluster, listed("other"))
    ingest(outcome, "a table is captured", folder)
    rows = 30_000
    make_items(cluster, rows)
    path = folder.folder / "sources" / "shop.yml"
    path.write_text(path.read_text().replace("    other:\n", "    items:\n    other:\n    small:\n"))
    load = Load(cluster, rows, 3)
    load.start()
    ingest(outcome, "tables are added", folder)
    load.end()
    ingest(outcome, "what is left comes", folder)
    begun = events(folder, "shop", "copy begun")
    outcome.hold("the large one was copied beside the stream", [] if len(begun) == 1 and begun[0].startswith("items") else [str(begun)])
    equal(outcome, f"a large table added under {load.changes} changes", cluster, folder)
    outcome.hold("a small table added", same_rows(cluster, "select id, word from small", folder, "select id, word from shop.small"))
    cluster.sql("alter table items add column filled text default 'there'; update items set word = 'f' where id < 50;")
    ingest(outcome, "a column with values is added", folder)
    filled = "id, part, word, filled"
    outcome.hold("a column that came with values", same_rows(cluster, f"select {filled} from items", folder, f"select {filled} from shop.items"))
    # Taken out and put in again: what changed in between was not published.
    text = path.read_text()
    path.write_text(text.replace("    small:\n", ""))
    ingest(outcome, "a table is removed", folder)
    named = cluster.value("select string_agg(tablename, ',' order by tablename) from pg_publication_tables where pubname = 'headwater_shop'")
    outcome.hold("it left the publication", [] if named == "items,other" else [named])
    cluster.sql("update small set word = 'unseen' where id < 10; delete from small where id > 90;")
    outcome.hold("it stays in the lake", [] if folder.rows("select count(*) from shop.small") == [["100"]] else ["it does not"])
    path.write_text(text)
    ingest(outcome, "it is added again", folder)
    outcome.hold("a table that was away", same_rows(cluster, "select id, word from small", folder, "select id, word from shop.small"))
    cluster.sql("alter publication headwater_shop drop table small; delete from small where id = 1; alter publication headwater_shop add table small; insert into small values (500, 'n');")
    ingest(outcome, "a table that somebody took out of the publication comes", folder)
    outcome.hold("and is whole", same_rows(cluster, "select id, word from small", folder, "select id, word from shop.small"))
    forget(cluster)
    cluster.sql("drop table items, other, small;")


def check_slot_health(outcome: Outcome, binary: Path, root: Path, slow: bool) -> None:
    with Cluster(keep="64MB") as cluster:
        cluster.sql("create table t (id int primary key, word text); insert into t values (1, 'a');"
                    "create table busy (id int, word text);")
        folder = project(binary, root / "health", cluster, listed("t"), name="h", more="  slot_safety: {max_retained: 4MB, on_exceed: drop}\n")
        ingest(outcome, "a table is captured", folder)
        said = folder.run("connections", "test").stdout
        told = "slot headwater_h: " in said and "more and it is lost" in said
        outcome.hold("the slot is described", [] if told else [said])
        write = "insert into busy select n, repeat('x', 500) from generate_series(1, {}) n;"
        cluster.sql(write.format(30_000))
        process = folder.start("up", "--port", "0")
        outcome.hold("a slot over its limit is warned of", [] if until(lambda: "slot headwater_h" in process.said()) else [process.said()[-600:]])
        process.kill()
        ingest(outcome, "a slot over its limit that gets on stays", folder)
        if slow:
            cluster.sql("insert into t values (2, 'stuck');" + write.format(30_000))
            process = folder.start("up", "--port", "0", variables={"HEADWATER_FAULT": "dl.commit_before_put=hang"})
            gone = until(lambda: cluster.value("select count(*) from pg_replication_slots") == "0", 150)
            outcome.hold("a slot over its limit that does not is dropped", [] if gone else [process.said()[-600:]])
            process.kill()
        else:
            for _ in range(10):
                cluster.sql(write.format(30_000) + "checkpoint; select pg_switch_wal();")
            lost = cluster.value("select wal_status from pg_replication_slots")
            outcome.hold("the server gives the slot up", [] if lost in ("lost", "unreserved") else [lost])
        refused = folder.run("ingest")
        told = refused.returncode != 0 and "has a gap" in refused.stderr and "--restart h" in refused.stderr
        outcome.hold("a slot that is lost is a gap, told once", [] if told else [refused.stderr[-600:]])
        ingest(outcome, "a restart copies again", folder, "--restart", "h")
        outcome.hold("and all is there", same_rows(cluster, "select id, word from t", folder, "select id, word from h.t"))


def main() -> int:
    words = parser(__doc__, kills=6, seed=1, only="")
    words.add_argument("--slow", action="store_true", help="also wait until a slot is given up")
    options = words.parse_args()
    outcome = Outcome()
    with workplace() as root, Cluster() as cluster:
        given = outcome, cluster, options.binary, root
        run_checks((check_repair, check_refusals, check_stream_goes_on, check_running_process, check_late_commits, check_added_table, check_points), options.only, *given)
        run_checks([check_kills], options.only, *given, options.kills, options.seed)
        run_checks([check_slot_health], options.only, outcome, options.binary, root, options.slow)
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
