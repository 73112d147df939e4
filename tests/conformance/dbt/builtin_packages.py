#!/usr/bin/env python3
"""The built-in dbt_utils and the functions of dbt: each as a model, and the rows it must give.

    tests/conformance/dbt/builtin_packages.py --binary target/release/headwater

Prints what differs, and `N passed, M failed`.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import conformance

SEED = "id,kind,n,at\n1,a,10,2024-01-01 00:00:00\n2,b,20,2024-01-02 00:00:00\n3,a,30,2024-01-03 12:00:00\n"

# A model's SQL and its rows, in any order.
MODELS = {
    "date_spine": ("{{ dbt_utils.date_spine('day', \"cast('2024-01-01' as date)\", \"cast('2024-01-04' as date)\") }}", [["2024-01-01 00:00:00"], ["2024-01-02 00:00:00"], ["2024-01-03 00:00:00"]]),
    "series": ("{{ dbt_utils.generate_series(3) }}", [[1], [2], [3]]),
    "surrogate_key": ("select {{ dbt_utils.generate_surrogate_key(['id', 'kind']) }} as k from {{ ref('s') }} where id = 1", [["fd863b01647cb662580dd67b9839d8de"]]),
    "star": ("select {{ dbt_utils.star(ref('s'), except=['n', 'at']) }} from {{ ref('s') }} where id = 1", [[1, "a"]]),
    "pivot": ("select {{ dbt_utils.pivot('kind', ['a', 'b'], then_value='n') }} from {{ ref('s') }}", [[40, 20]]),
    "unpivot": ("{{ dbt_utils.unpivot(ref('s'), cast_to='varchar', exclude=['id'], remove=['at', 'n']) }}", [[1, "kind", "a"], [2, "kind", "b"], [3, "kind", "a"]]),
    "union_relations": ("select id, extra, _dbt_source_relation is not null as named from ({{ dbt_utils.union_relations([ref('s'), ref('t')]) }}) u where id > 2", [[3, None, True], [4, "x", True]]),
    "column_values": ("-- depends_on: {{ ref('s') }}\nselect '{{ dbt_utils.get_column_values(ref('s'), 'kind', order_by='1') | join('+') }}' as k", [["a+b"]]),
    "single_value": ("-- depends_on: {{ ref('s') }}\nselect {{ dbt_utils.get_single_value('select max(n) from ' ~ ref('s'), 0) }} as m", [[30]]),
    "results_as_dict": ("-- depends_on: {{ ref('s') }}\n{% set r = dbt_utils.get_query_results_as_dict('select id, kind from ' ~ ref('s') ~ ' order by id') %}select '{{ r['kind'] | join('') if execute }}' as k", [["aba"]]),
    "deduplicate": ("select id from ({{ dbt_utils.deduplicate(ref('s'), 'kind', 'n desc') }}) d", [[2], [3]]),
    "group_by": ("select kind, sum(n) as n from {{ ref('s') }} {{ dbt_utils.group_by(1) }}", [["a", 40], ["b", 20]]),
    "safe_arithmetic": ("select {{ dbt_utils.safe_add(['n', 'null', '1']) }} as a, {{ dbt_utils.safe_subtract(['n', 'null']) }} as s, {{ dbt_utils.safe_divide('n', '0') }} as d from {{ ref('s') }} where id = 1", [[11, 10, None]]),
    "width_bucket": ("select {{ dbt_utils.width_bucket('n', 0, 40, 4) }} as b from {{ ref('s') }}", [[2], [3], [4]]),
    "haversine": ("select cast(round({{ dbt_utils.haversine_distance('48.8566', '2.3522', '51.5074', '-0.1278', unit='km') }}) as bigint) as d", [[344]]),
    "urls": ("select {{ dbt_utils.get_url_host(\"'https://a.b/c/d?x=1&y=2'\") }} as h, {{ dbt_utils.get_url_path(\"'https://a.b/c/d?x=1&y=2'\") }} as p, {{ dbt_utils.get_url_parameter(\"'https://a.b/c/d?x=1&y=2'\", 'x') }} as q", [["a.b", "c/d", "1"]]),
    "datediff": ("select {{ dbt.datediff(\"'2024-01-31'\", \"'2024-03-01'\", 'month') }} as m, {{ dbt.datediff(\"'2024-01-31'\", \"'2024-03-01'\", 'day') }} as d, {{ dbt.datediff(\"'2023-12-31'\", \"'2024-01-01'\", 'year') }} as y, {{ dbt.datediff(\"'2024-01-01 00:59:00'\", \"'2024-01-01 01:00:00'\", 'hour') }} as h", [[2, 30, 1, 1]]),
    "dateadd_and_last_day": ("select {{ dbt.dateadd('month', 1, \"cast('2024-01-31' as timestamp)\") }} as a, {{ dbt.last_day(\"cast('2024-02-10' as timestamp)\", 'month') }} as l, {{ dbt.date(2024, 3, 5) }} as d, {{ dbt.dateadd('quarter', 'id', \"cast('2024-01-01' as timestamp)\") }} as q from {{ ref('s') }} where id = 2", [["2024-02-29 00:00:00", "2024-02-29", "2024-03-05", "2024-07-01 00:00:00"]]),
    "text": ("select {{ dbt.concat([\"'a'\", \"'b'\"]) }} as c, {{ dbt.split_part(\"'x-y-z'\", \"'-'\", 2) }} as s, {{ dbt.right(\"'abc'\", 2) }} as r, {{ dbt.position(\"'b'\", \"'abc'\") }} as p, {{ dbt.length(\"'abcd'\") }} as l", [["ab", "y", "bc", 2, 4]]),
    "casts": ("select {{ dbt.safe_cast(\"'x'\", dbt.type_int()) }} as n, cast('7' as {{ dbt.type_bigint() }}) as b, {{ dbt.hash(\"'a'\") }} as h", [[None, 7, "0cc175b9c0f1b6a831c399e269772661"]]),
    "listagg": ("select {{ dbt.listagg('kind', \"'|'\", 'order by id') }} as l, {{ dbt.any_value(\"'z'\") }} as v, {{ dbt.bool_or('n > 20') }} as b from {{ ref('s') }}", [["a|b|a", "z", True]]),
    "arrays": ("select array_length({{ dbt.array_append(dbt.array_construct(['1', '2']), '3') }}) as l", [[3]]),
}

# A test of `s` or one of its columns, and how it must end.
TESTS = [
    ("model", "dbt_utils.equal_rowcount: {arguments: {compare_model: ref('t')}}", "fail"),
    ("model", "dbt_utils.fewer_rows_than: {arguments: {compare_model: ref('t')}}", "fail"),
    ("model", "dbt_utils.equality: {arguments: {compare_model: ref('s')}}", "pass"),
    ("model", "dbt_utils.expression_is_true: {arguments: {expression: n > id}}", "pass"),
    ("model", "dbt_utils.unique_combination_of_columns: {arguments: {combination_of_columns: [kind, n]}}", "pass"),
    ("model", "dbt_utils.recency: {arguments: {datepart: day, field: at, interval: 1}}", "fail"),
    ("kind", "dbt_utils.not_accepted_values: {arguments: {values: [c]}}", "pass"),
    ("kind", "dbt_utils.not_constant", "pass"),
    ("kind", "dbt_utils.at_least_one", "pass"),
    ("kind", "dbt_utils.not_empty_string", "pass"),
    ("id", "dbt_utils.sequential_values", "pass"),
    ("n", "dbt_utils.sequential_values: {arguments: {interval: 5}}", "fail"),
    ("n", "dbt_utils.accepted_range: {arguments: {min_value: 0, max_value: 25}}", "fail"),
    ("n", "dbt_utils.not_null_proportion: {arguments: {at_least: 0.9}}", "pass"),
    ("id", "dbt_utils.relationships_where: {arguments: {to: ref('t'), field: id, from_condition: id = 4}}", "pass"),
    ("id", "dbt_utils.cardinality_equality: {arguments: {to: ref('s'), field: id}}", "pass"),
]


def files():
    project = {"seeds/s.csv": SEED, "seeds/t.csv": "id,extra\n4,x\n"}
    project["seeds/types.yml"] = "seeds:\n  - name: s\n    config: {column_types: {at: timestamp}}\n"
    project.update({f"models/{name}.sql": sql for name, (sql, _) in MODELS.items()})
    lines = {"model": [], "id": [], "kind": [], "n": []}
    for number, (place, test, _) in enumerate(TESTS):
        name, _, rest = test.partition(": ")
        inner = rest[1:-1] + ", " if rest else ""
        lines[place].append(f"{{{name}: {{{inner}name: test_{number}}}}}")
    columns = ", ".join(f"{{name: {place}, data_tests: [{', '.join(tests)}]}}" for place, tests in lines.items() if place != "model")
    project["models/tests.yml"] = f"models:\n  - name: copy\n    data_tests: [{', '.join(lines['model'])}]\n    columns: [{columns}]\n"
    project["models/copy.sql"] = "{{ config(materialized='table') }}select * from {{ ref('s') }}"
    project["dbt_project.yml"] = "name: shop\n"
    return project


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True, type=pathlib.Path)
    binary = parser.parse_args().binary.resolve()
    passed = failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary) / "shop"
        folder.mkdir()
        conformance.write(files(), folder)

        def run(*words):
            return subprocess.run([binary, "-C", folder, "--no-color", *words], capture_output=True, text=True)

        print(run("seed").stderr.splitlines()[-1])
        for name, (_, expected) in MODELS.items():
            built = run("run", "--select", name)
            answer = run("query", f'select * from "{name}"', "--format", "json")
            rows = [[conformance.plain(value) for value in row.values()] for row in json.loads(answer.stdout or "[]")] if answer.returncode == 0 else []
            if sorted(rows, key=str) == sorted(expected, key=str):
                passed += 1
            else:
                failed += 1
                print(f"FAILED {name}\n    is       {rows}\n    expected {expected}\n{built.stderr[-600:] if built.returncode else answer.stderr}")
        run("run", "--select", "copy")
        done = run("test", "--select", "copy")
        results = conformance.statuses(folder / ".headwater" / "target" / "run_results.json")
        for number, (_, test, expected) in enumerate(TESTS):
            status = next((status for node, status in results.items() if f".test_{number}." in node), "absent")
            if status.split()[0] == expected:
                passed += 1
            else:
                failed += 1
                print(f"FAILED {test}: {status}, expected {expected}\n{done.stderr[-800:]}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
