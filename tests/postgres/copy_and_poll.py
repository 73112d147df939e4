"""Tables of a real PostgreSQL copied whole and polled by a cursor: what the lake holds is what the server holds.

    copy_and_poll.py --binary target/release/headwater
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

from cluster import Cluster  # noqa: E402
from lakes import Folder, same_rows  # noqa: E402
from project import Outcome  # noqa: E402
from script import parser, workplace  # noqa: E402
from values import create, insert, value_differences  # noqa: E402

CANARY = "canary-password-4711"


def connection(cluster: Cluster, name: str = "db") -> str:
    return (
        f"connections:\n  {name}:\n    kind: postgres\n    host: 127.0.0.1\n    port: {cluster.port}\n"
        f"    database: postgres\n    user: postgres\n" + ('    password: "${PG_PASSWORD}"\n' if cluster.password else "")
    )


def check_connections(outcome: Outcome, binary: Path, root: Path) -> None:
    with Cluster(password=CANARY) as cluster:
        folder = Folder(binary, root / "secrets", f"name: p\n{connection(cluster)}", {})
        good = folder.run("connections", "test", variables={"PG_PASSWORD": CANARY})
        wrong = folder.run("connections", "test", variables={"PG_PASSWORD": "wrong-" + CANARY})
        absent = folder.run("connections", "test")
        listed = folder.run("connections", "list", "--json", variables={"PG_PASSWORD": CANARY})
        outcome.hold("a password proves itself (SCRAM)", [] if good.returncode == 0 and "db: ok" in good.stdout else [good.stdout + good.stderr])
        refused = wrong.returncode == 1 and "28P01" in wrong.stderr
        outcome.hold("a wrong password is told", [] if refused else [wrong.stdout + wrong.stderr])
        outcome.hold("a missing variable is told", [] if "PG_PASSWORD" in absent.stderr + absent.stdout else [absent.stderr])
        said = "".join(one.stdout + one.stderr for one in (good, wrong, absent, listed))
        outcome.hold("the password is never shown", ["it was"] if CANARY in said else [])


def check_values(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    cluster.sql(create("kinds") + insert("kinds"))
    cluster.sql(
        'create table "Odd ""name.Ü" ("select" int primary key, "a b" text, "ü\'" text); '
        'insert into "Odd ""name.Ü" values (1, \'x\', null); create table empty (id int primary key, t timestamptz);'
        "create table parts (id int, day date) partition by range (day);"
        "create table parts_1 partition of parts for values from ('2024-01-01') to ('2024-02-01');"
        "create table parts_2 partition of parts for values from ('2024-02-01') to ('2024-03-01');"
        "insert into parts select n, date '2024-01-01' + n % 59 from generate_series(1, 1000) n;"
        "create view seen as select id, day from parts where id % 2 = 0;"
        "create table big as select n as id, md5(n::text) as word, n * 1.5::float8 as half from generate_series(1, 400000) n;"
    )
    source = (
        "kind: postgres\nname: shop\nfrom:\n  connection: db\n  parallel: 3\n  tables:\n    public.kinds:\n"
        "    'public.Odd \"name.Ü': {as: odd}\n    empty:\n    parts:\n    seen:\n    big:\n"
    )
    folder = Folder(binary, root / "copy", f"name: p\n{connection(cluster)}", {"shop": source})
    done = folder.run("ingest")
    outcome.hold("every table is copied", [] if done.returncode == 0 else [done.stderr])
    outcome.hold("every value survives the copy", value_differences(cluster, "kinds", folder.table("shop", "kinds")))
    for table, columns, lake in (("parts", "id, day::text", "id, day::varchar"), ("seen", "id, day::text", "id, day::varchar"),
                                 ("big", "id, word, (half * 2)::bigint", "id, word, cast(half * 2 as bigint)")):
        outcome.hold(f"{table} is whole", same_rows(cluster, f"select {columns} from {table}", folder, f"select {lake} from shop.{table}"))
    odd = same_rows(cluster, 'select "select", "a b" from "Odd ""name.Ü"', folder, 'select "select", "a b" from shop.odd')
    outcome.hold("odd names are names", odd)
    outcome.hold("an empty table is there", [] if folder.rows("select count(*) from shop.empty") == [["0"]] else ["it is not"])
    cluster.sql("delete from big where id % 3 = 0; update big set word = 'new' where id % 7 = 0;")
    folder.run("ingest")
    changed = same_rows(cluster, "select id, word, (half * 2)::bigint from big", folder, "select id, word, cast(half * 2 as bigint) from shop.big")
    outcome.hold("a second copy replaces the first", changed)
    refused = Folder(binary, root / "no", f"name: p\n{connection(cluster)}",
                     {"s": "kind: postgres\nname: s\nfrom:\n  connection: db\n  tables: {public.nothing: }\n"}).run("ingest")
    told = refused.returncode != 0 and "public.nothing does not exist" in refused.stderr
    outcome.hold("an unknown table is told", [] if told else [refused.stderr])


def check_infinity(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    cluster.sql("create table forever (id int primary key, until timestamptz); insert into forever values (1, 'infinity');")
    source = "kind: postgres\nname: shop\nfrom:\n  connection: db\n  tables:\n    forever: {%s}\n"
    folder = Folder(binary, root / "inf", f"name: p\n{connection(cluster)}", {"shop": source % ""})
    refused = folder.run("ingest")
    told = refused.returncode != 0 and "infinity" in refused.stderr and "as_text" in refused.stderr
    outcome.hold("infinity in a time is an error that says what to do", [] if told else [refused.stderr])
    folder = Folder(binary, root / "inf2", f"name: p\n{connection(cluster)}", {"shop": source % "as_text: [until]"})
    folder.run("ingest")
    kept = folder.rows("select until from shop.forever")
    outcome.hold("infinity is kept as text when asked for", [] if kept == [["infinity"]] else [str(kept)])


def check_polling(outcome: Outcome, cluster: Cluster, binary: Path, root: Path) -> None:
    cluster.sql(
        "create table orders (id bigint primary key, state text, updated timestamptz, gone boolean default false);"
        "insert into orders select n, 'new', timestamptz '2024-01-01' + n * interval '1 second' from generate_series(1, 50000) n;"
        "insert into orders values (60000, 'nocursor', null);"
    )
    source = (
        "kind: postgres\nname: shop\nfrom:\n  connection: db\n  mode: incremental\n  tables:\n"
        "    orders: {cursor: {column: updated, overlap: 10s}, soft_delete: gone}\n"
    )
    folder = Folder(binary, root / "poll", f"name: p\n{connection(cluster)}", {"shop": source})
    first = folder.run("ingest")
    outcome.hold("rows without a cursor are told", [] if "without a cursor" in first.stderr else [first.stderr])
    query = "select id, state from orders where updated is not null and not gone"
    compare = lambda: same_rows(cluster, query, folder, "select id, state from shop.orders")  # noqa: E731
    outcome.hold("the first poll takes all", compare())
    last = "timestamptz '2024-01-01' + interval '50000 seconds'"
    cluster.sql(
        f"update orders set state = 'paid', updated = {last} where id <= 100;"  # as late as the latest, to the microsecond
        f"insert into orders values (50001, 'late', {last} - interval '9 seconds');"  # older than the latest, within the overlap
        f"update orders set gone = true, updated = {last} + interval '1 second' where id between 200 and 210;"
        f"insert into orders values (50002, 'newest', {last} + interval '2 seconds');"
    )
    again = folder.run("ingest", "--json")
    outcome.hold("the second poll takes what changed", compare())
    import json
    rows = json.loads(again.stdout)[0]["rows_out"]
    outcome.hold("and little else", [] if rows < 200 else [f"{rows} rows"])


def main() -> int:
    options = parser(__doc__).parse_args()
    outcome = Outcome()
    with workplace() as root, Cluster() as cluster:
        for check in (check_values, check_infinity, check_polling):
            check(outcome, cluster, options.binary, root)
        check_connections(outcome, options.binary, root)
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
