#!/usr/bin/env python3
"""The same dbt projects built by Headwater and by real dbt with DuckDB, in one run on one machine: whole commands, wall time.

    bench/dbt_build.py --binary target/release/headwater --dbt PATH/TO/dbt [--projects small wide big] [--rows 10000000] [--times 3]

Projects, written to a temporary folder and thrown away:
  small   28 nodes: 2 seeds, 10 models, 16 tests
  wide    500 small models in five layers over 5 seeds, no tests
  big     12 models over tables of 10 million orders and 1 million customers: joins, windows, aggregates

Of each: everything from nothing, and once more with nothing to do (`build` again: dbt knows no such thing and builds again).
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

PROJECT = "name: bench\nprofile: bench\nmodels:\n  bench:\n    +materialized: table\n"
PROFILES = "bench:\n  target: dev\n  outputs:\n    dev: {type: duckdb, path: bench.duckdb, threads: 2}\n"
LAYER = 100


def seed(rows):
    return "id,kind,amount,day\n" + "".join(f"{n},{'abc'[n % 3]},{n * 7 % 1000}.25,2024-01-{n % 28 + 1:02}\n" for n in range(rows))


def small():
    names = ["orders", "customers"]
    files = {f"seeds/raw_{name}.csv": seed(200) for name in names}
    for name in names:
        files[f"models/stg_{name}.sql"] = f"select id, kind, amount, day from {{{{ ref('raw_{name}') }}}}\n"
        files[f"models/{name}_by_day.sql"] = f"select day, count(*) as n, sum(amount) as amount from {{{{ ref('stg_{name}') }}}} group by day\n"
        files[f"models/{name}_by_kind.sql"] = f"select kind, count(*) as n, avg(amount) as amount from {{{{ ref('stg_{name}') }}}} group by kind\n"
        files[f"models/{name}_ranked.sql"] = (
            f"select id, row_number() over (partition by kind order by amount, id) as place from {{{{ ref('stg_{name}') }}}}\n"
        )
    files["models/joined.sql"] = "select o.id, c.kind from {{ ref('stg_orders') }} o join {{ ref('stg_customers') }} c on o.id = c.id\n"
    files["models/report.sql"] = "select kind, count(*) as n from {{ ref('joined') }} group by kind\n"
    keys = {f"{n}_{m}": k for n in names for m, k in [("by_day", "day"), ("by_kind", "kind"), ("ranked", "id")]} | {"joined": "id", "report": "kind"}
    tests = "".join(f"  - name: {model}\n    columns:\n      - {{name: {key}, data_tests: [unique, not_null]}}\n" for model, key in keys.items())
    files["models/models.yml"] = f"models:\n{tests}"
    return files


def wide():
    files = {f"seeds/raw_{n}.csv": seed(100) for n in range(5)}
    for n in range(LAYER):
        files[f"models/l0/m0_{n}.sql"] = f"select id, kind, amount + {n} as amount, day from {{{{ ref('raw_{n % 5}') }}}}\n"
    for layer in range(1, 5):
        for n in range(LAYER):
            left, right = f"m{layer - 1}_{n}", f"m{layer - 1}_{(n + 1) % LAYER}"
            files[f"models/l{layer}/m{layer}_{n}.sql"] = (
                f"select l.id, l.kind, l.amount + r.amount as amount, l.day\n"
                f"from {{{{ ref('{left}') }}}} l join {{{{ ref('{right}') }}}} r on l.id = r.id\nwhere l.id % {layer + 7} <> 0\n"
            )
    return files


def big(rows):
    orders = f"""select n as id, n * 7919 % {rows // 10} as customer_id, n * 31 % 5000 as product_id,
  cast(n * 104729 % 100000 as double) / 100 as amount,
  cast('2024-01-01' as date) + cast(n * 13 % 365 as integer) as day,
  case n % 5 when 0 then 'returned' when 1 then 'shipped' else 'completed' end as status
from generate_series(1, {rows}) as t(n)\n"""
    customers = f"""select n as id, 'Customer ' || cast(n as varchar) as name, 'region ' || cast(n % 50 as varchar) as region
from generate_series(0, {rows // 10 - 1}) as t(n)\n"""
    ref = "{{{{ ref('{}') }}}}".format
    return {
        "models/orders.sql": orders,
        "models/customers.sql": customers,
        "models/completed.sql": f"select * from {ref('orders')} where status <> 'returned'\n",
        "models/daily.sql": f"select day, status, count(*) as n, sum(amount) as amount from {ref('orders')} group by day, status\n",
        "models/by_customer.sql": f"select customer_id, count(*) as n, sum(amount) as amount, min(day) as first_day, max(day) as last_day from {ref('completed')} group by customer_id\n",
        "models/by_region.sql": f"select c.region, o.day, sum(o.amount) as amount from {ref('completed')} o join {ref('customers')} c on c.id = o.customer_id group by c.region, o.day\n",
        "models/first_orders.sql": f"select id, customer_id, day, amount from (select *, row_number() over (partition by customer_id order by day, id) as place from {ref('completed')}) p where place = 1\n",
        "models/running.sql": f"select day, amount, sum(amount) over (order by day) as so_far from (select day, sum(amount) as amount from {ref('daily')} group by day) d\n",
        "models/products.sql": f"select product_id, count(distinct customer_id) as customers, sum(amount) as amount from {ref('orders')} group by product_id\n",
        "models/best_customers.sql": f"select c.name, b.amount from {ref('by_customer')} b join {ref('customers')} c on c.id = b.customer_id order by b.amount desc, c.name limit 1000\n",
        "models/gaps.sql": f"select customer_id, max(gap) as gap from (select customer_id, day - lag(day) over (partition by customer_id order by day, id) as gap from {ref('completed')}) g group by customer_id\n",
        "models/enriched.sql": f"select o.id, o.day, o.amount, c.name, c.region from {ref('completed')} o join {ref('customers')} c on c.id = o.customer_id\n",
    }


def write(folder, files):
    shutil.rmtree(folder, ignore_errors=True)
    for path, text in ({"dbt_project.yml": PROJECT, "profiles.yml": PROFILES} | files).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def timed(command, folder):
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return time.perf_counter() - began


def measure(engine, command, files, folder, times):
    """Median seconds of a build from nothing and of one more after it."""
    fresh, again = [], []
    for _ in range(times):
        write(folder, files)
        fresh.append(timed(command, folder))
        again.append(timed(command, folder))
    print(f"  {engine:10} from nothing {statistics.median(fresh):7.2f} s   again {statistics.median(again):7.2f} s", flush=True)
    return {"fresh": statistics.median(fresh), "again": statistics.median(again)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, type=pathlib.Path)
    parser.add_argument("--dbt", required=True, type=pathlib.Path)
    parser.add_argument("--projects", nargs="+", default=["small", "wide", "big"], choices=["small", "wide", "big"])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    projects = {"small": small, "wide": wide, "big": lambda: big(arguments.rows)}
    found = {}
    for name in arguments.projects:
        print(name)
        files = projects[name]()
        times = 1 if name == "big" else arguments.times
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            ours = measure("headwater", [arguments.binary.resolve(), "build"], files, root / "ours", times)
            dbt = [arguments.dbt.resolve(), "build", "--quiet", "--profiles-dir", "."]
            theirs = measure("dbt", dbt, files, root / "theirs", times)
        found[name] = {"headwater": ours, "dbt": theirs, "ratio": theirs["fresh"] / ours["fresh"]}
        print(f"  dbt takes {found[name]['ratio']:.1f} times as long")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
