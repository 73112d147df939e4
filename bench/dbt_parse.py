#!/usr/bin/env python3
"""How long a large dbt project takes to be read: writes projects of N models and times `headwater ls` on them, cold.

    bench/dbt_parse.py --binary target/release/headwater [--models 1000 10000] [--keep FOLDER]

Each project has layers of models in folders, every model with a properties entry, two columns and two tests, configuration by
folder and by call, a macro that every third model calls, sources below the first layer. So N models are about 3 N nodes.
"""

import argparse
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

LAYERS = 5


def model(number, width):
    config = "{{ config(materialized='table', tags=['layer']) }}\n" if number % 4 == 0 else ""
    if number < width:
        source = f"{{{{ source('raw', 'table_{number % 20}') }}}}"
        return f"{config}select id, amount from {source}\n"
    first, second = number - width, number - width + (1 if (number - width + 1) % width else 0)
    amount = "{{ in_cents('l.amount') }}" if number % 3 == 0 else "l.amount"
    return (
        f"{config}with l as (select * from {{{{ ref('model_{first}') }}}}),\n"
        f"r as (select * from {{{{ ref('model_{second}') }}}})\n"
        f"select l.id, {amount} as amount from l join r on l.id = r.id\n"
    )


def generate(folder, models):
    width = max(models // LAYERS, 1)
    (folder / "macros").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text(
        "name: large\nprofile: large\nmodels:\n  large:\n" + "".join(f"    layer_{n}: {{+tags: [l{n}]}}\n" for n in range(LAYERS + 1))
    )
    (folder / "macros" / "money.sql").write_text("{% macro in_cents(column) %}round({{ column }} * 100){% endmacro %}\n")
    for number in range(models):
        layer = folder / "models" / f"layer_{number // width}"
        layer.mkdir(parents=True, exist_ok=True)
        (layer / f"model_{number}.sql").write_text(model(number, width))
    tables = "".join(f"      - name: table_{n}\n" for n in range(20))
    (folder / "models" / "sources.yml").write_text(f"sources:\n  - name: raw\n    tables:\n{tables}")
    for layer in sorted((folder / "models").glob("layer_*")):
        entries = "".join(
            f"  - name: {path.stem}\n    description: Model {path.stem}.\n    columns:\n"
            "      - name: id\n        data_tests: [unique, not_null]\n      - name: amount\n        description: An amount.\n"
            for path in sorted(layer.glob("*.sql"))
        )
        (layer / "models.yml").write_text(f"models:\n{entries}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True, type=pathlib.Path)
    parser.add_argument("--models", nargs="+", type=int, default=[1000, 10000])
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--keep", type=pathlib.Path)
    arguments = parser.parse_args()
    for models in arguments.models:
        with tempfile.TemporaryDirectory() as temporary:
            folder = (arguments.keep or pathlib.Path(temporary)) / f"models_{models}"
            shutil.rmtree(folder, ignore_errors=True)
            generate(folder, models)
            seconds = []
            for _ in range(arguments.times):
                began = time.perf_counter()
                listed = subprocess.run([arguments.binary.resolve(), "-C", folder, "ls"], capture_output=True, text=True, check=True)
                seconds.append(time.perf_counter() - began)
            nodes = len(listed.stdout.splitlines())
            print(f"{models} models, {nodes} nodes: median {statistics.median(seconds):.2f} s, best {min(seconds):.2f} s")


if __name__ == "__main__":
    main()
