#!/usr/bin/env python3
"""Kills builds of incremental models and snapshots, and runs two at once: tables stay right, and readers see whole runs only.

    tests/kill/materialise.py --binary PATH [--kills 20] [--times 2] [--rounds 5] [--seed 1]

A seed changes from generation to generation: rows are added and changed. Every strategy of incremental models and both of
snapshots keep up with it, and what each must hold is computed here from the generations alone. In each generation a build is
ended at a fault point, or with SIGKILL at a random moment; what readers see then must be one generation, whole. The next build
must make all of it right. Prints `N passed, M failed`.
"""

import csv
import datetime
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from scenario import Outcome, fault_points
from script import parser, workplace

BEGIN = datetime.datetime(2024, 1, 1)
DAYS = 5
NEW, CHANGED = 4, 3
# Of the points a build passes, those that every strategy must pass: the list cannot silently become empty.
REQUIRED = {"m.pinned", "m.staged", "m.committed_before_result_row", "p.before_publish", "p.after_publish", "dl.before_stage"}

NEWER = "{% if is_incremental() %}where seen > (select max(seen) from {{ this }}){% endif %}"
FILES = {
    "dbt_project.yml": "name: kept\nprofile: kept\n",
    "seeds/seeds.yml": "seeds:\n  - name: src\n    config: {event_time: at, column_types: {id: bigint, amount: bigint, at: timestamp, seen: timestamp}}\n",
    "models/appended.sql": "{{ config(materialized='incremental', incremental_strategy='append') }}\nselect id, amount, seen from {{ ref('src') }}\n"
    "{% if is_incremental() %}where id > (select max(id) from {{ this }}){% endif %}\n",
    "models/merged.sql": "{{ config(materialized='incremental', incremental_strategy='merge', unique_key='id') }}\nselect id, amount, seen from {{ ref('src') }} " + NEWER,
    "models/replaced.sql": "{{ config(materialized='incremental', incremental_strategy='delete+insert', unique_key='id') }}\nselect id, amount, seen from {{ ref('src') }} " + NEWER,
    "models/overwritten.sql": "{{ config(materialized='incremental', incremental_strategy='insert_overwrite', partition_by='day') }}\n"
    "select id, amount, seen, cast(at as date) as day from {{ ref('src') }}\n"
    "{% if is_incremental() %}where cast(at as date) in (select cast(at as date) from {{ ref('src') }} where seen > (select max(seen) from {{ this }})){% endif %}\n",
    "models/batched.sql": "{{ config(materialized='incremental', incremental_strategy='microbatch', event_time='at', batch_size='day', begin='2024-01-01') }}\n"
    "select id, amount, seen, at from {{ ref('src') }}\n",
    "models/plain.sql": "{{ config(materialized='table') }}\nselect id, amount, seen from {{ ref('merged') }}\n",
    "models/tests.yml": "models:\n"
    + "".join(f"  - name: {name}\n    columns: [{{name: id, data_tests: [unique, not_null]}}]\n" for name in ("appended", "merged", "replaced", "overwritten", "batched", "plain")),
    "snapshots/by_time.yml": "snapshots:\n  - name: by_time\n    relation: ref('src')\n    config: {unique_key: id, strategy: timestamp, updated_at: seen}\n",
    "snapshots/by_value.yml": "snapshots:\n  - name: by_value\n    relation: ref('src')\n    config: {unique_key: id, strategy: check, check_cols: [amount]}\n",
}
CURRENT = ("merged", "replaced", "overwritten", "batched", "plain")
BUILD = ("build", "--event-time-start", "2024-01-01", "--event-time-end", f"2024-01-{DAYS + 1:02}")


class Kept:
    """The project, and what each of its tables must hold."""

    def __init__(self, binary, folder, outcome):
        self.binary, self.folder, self.outcome = binary.resolve(), folder, outcome
        # By id, its states in order: (amount, seen).
        self.states, self.generation = {}, 0
        for path, text in FILES.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        self.next_generation()
        self.build("the first build")

    def seen(self):
        return (BEGIN + datetime.timedelta(hours=self.generation)).isoformat(sep=" ")

    def next_generation(self):
        self.before = self.expected() if self.generation else None
        self.generation += 1
        known = sorted(self.states)
        changed = random.Random(self.generation).sample(known, min(CHANGED, len(known)))
        for key in changed:
            self.states[key].append((key * 1000 + self.generation, self.seen()))
        for key in range(len(known) + 1, len(known) + 1 + NEW):
            self.states[key] = [(key * 1000 + self.generation, self.seen())]
        with open(self.folder / "seeds" / "src.csv", "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["id", "amount", "at", "seen"])
            for key, states in sorted(self.states.items()):
                writer.writerow([key, states[-1][0], BEGIN + datetime.timedelta(days=key % DAYS, hours=3), states[-1][1]])

    def expected(self):
        """Lines of text, table by table."""
        lines = {f"appended {key} {states[0][0]}" for key, states in self.states.items()}
        for table in CURRENT:
            lines |= {f"{table} {key} {states[-1][0]} {states[-1][1]}" for key, states in self.states.items()}
        for key, states in self.states.items():
            ends = [seen for _, seen in states[1:]] + ["open"]
            lines |= {f"by_time {key} {amount} {seen} {end}" for (amount, seen), end in zip(states, ends)}
            # When a value was found is the build's own time: only the order and the end are known.
            lines |= {f"by_value {key} {amount} {'open' if place == len(states) else 'closed'} {place}" for place, (amount, _) in enumerate(states, 1)}
        return lines

    def found(self):
        text = "cast({} as varchar)".format
        time_text = lambda column: f"to_char({column}, '%Y-%m-%d %H:%M:%S')"
        line = lambda table, *parts: f"select concat_ws(' ', '{table}', {', '.join(parts)}) as line from main.{table}"
        parts = [line("appended", text("id"), text("amount"))]
        parts += [line(table, text("id"), text("amount"), time_text("seen")) for table in CURRENT]
        parts.append(line("by_time", text("id"), text("amount"), time_text("dbt_valid_from"), f"coalesce({time_text('dbt_valid_to')}, 'open')"))
        place = text("row_number() over (partition by id order by dbt_valid_from)")
        parts.append(line("by_value", text("id"), text("amount"), "case when dbt_valid_to is null then 'open' else 'closed' end", place))
        answer = self.run("query", " union all ".join(parts), "--format", "json")
        if answer.returncode:
            return [f"the tables cannot be read: {answer.stderr[-500:]}"]
        return [row["line"] for row in json.loads(answer.stdout or "[]")]

    def command(self, *words):
        return [str(self.binary), "-C", str(self.folder), "--no-color", *words]

    def environment(self, fault=None):
        clean = {key: value for key, value in os.environ.items() if not key.startswith("HEADWATER_")}
        return clean | ({"HEADWATER_FAULT": fault} if fault else {})

    def run(self, *words, fault=None):
        return subprocess.run(self.command(*words), env=self.environment(fault), capture_output=True, text=True, timeout=120)

    def start(self):
        return subprocess.Popen(self.command(*BUILD), env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def check_whole(self, what):
        """Readers see this generation or the one before, nothing between."""
        found = self.found()
        problems = [] if len(set(found)) == len(found) else ["rows are there twice"]
        if set(found) not in (self.before, self.expected()):
            nearer = min((self.before, self.expected()), key=lambda wanted: len(wanted ^ set(found)))
            problems.append(f"neither the generation before nor this one: {sorted(nearer ^ set(found))[:6]}")
        self.outcome.hold(f"{what}, readers see a whole run", problems)

    def check_right(self, what):
        found, expected = self.found(), self.expected()
        problems = [] if len(set(found)) == len(found) else ["rows are there twice"]
        if set(found) != expected:
            problems.append(f"missing {sorted(expected - set(found))[:4]}, too many {sorted(set(found) - expected)[:4]}")
        self.outcome.hold(f"{what}, tables are right", problems)

    def build(self, what):
        done = self.run(*BUILD)
        problems = [] if done.returncode == 0 else [f"the build ended with {done.returncode}: {(done.stdout + done.stderr)[-800:]}"]
        self.outcome.hold(f"{what}, the build succeeds", problems)
        self.check_right(what)


def at_points(kept, times):
    reached = set()
    points = [point for point in fault_points() if point.startswith(("m.", "p.", "dl."))]
    for point in points:
        for nth in range(1, times + 1):
            # Early, and in the middle of the run.
            visit = 1 if nth == 1 else 3 * nth
            kept.next_generation()
            done = kept.run(*BUILD, fault=f"{point}=abort@{visit}")
            what = f"{point} abort@{visit}"
            if f"fault point {point} reached" in done.stderr:
                reached.add(point)
                problems = [] if done.returncode == -signal.SIGABRT else [f"it was to abort and ended with {done.returncode}"]
                kept.outcome.hold(f"{what}, aborted", problems)
            kept.check_whole(what)
            kept.build(what)
            if f"fault point {point} reached" not in done.stderr:
                break
    print(f"{len(reached)} points reached: {', '.join(sorted(reached))}", flush=True)
    kept.outcome.hold("the points of a build", [f"{point} was never reached" for point in sorted(REQUIRED - reached)])


def at_random(kept, kills, seed):
    chance = random.Random(seed)
    began = time.monotonic()
    kept.next_generation()
    kept.build("a build that is timed")
    usual = time.monotonic() - began
    for kill in range(1, kills + 1):
        kept.next_generation()
        for _ in range(chance.choice((1, 1, 2))):
            process = kept.start()
            time.sleep(chance.uniform(0, usual))
            process.kill()
            process.communicate()
        kept.check_whole(f"kill {kill}")
        kept.build(f"after kill {kill}")


def two_at_once(kept, rounds):
    for number in range(1, rounds + 1):
        kept.next_generation()
        both = [kept.start(), kept.start()]
        ends = [(process.communicate(timeout=120), process.returncode) for process in both]
        problems = []
        if not any(code == 0 for _, code in ends):
            problems.append("neither of two builds succeeded")
        for (index, ((out, err), code)) in enumerate(ends):
            other = str(both[1 - index].pid)
            if code != 0 and other not in out + err:
                problems.append(f"a build ended with {code} and does not name the process that builds: {(out + err)[-400:]}")
        kept.outcome.hold(f"two builds at once, {number}", problems)
        kept.check_right(f"two builds at once, {number}")


def main() -> int:
    words = parser(__doc__, kills=20, seed=1)
    words.add_argument("--times", type=int, default=2, help="visits of each fault point")
    words.add_argument("--rounds", type=int, default=5, help="times that two builds run at once")
    options = words.parse_args()
    outcome = Outcome()
    with workplace() as folder:
        kept = Kept(options.binary, folder / "kept", outcome)
        at_points(kept, options.times)
        at_random(kept, options.kills, options.seed)
        two_at_once(kept, options.rounds)
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
