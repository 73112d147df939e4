#!/usr/bin/env python3
"""The star schema of projects/rainbow on its seeded files: first an empty warehouse, then changes of every kind.

    tests/rainbow/star_schema.py --binary target/release/headwater

After each build the facts are compared with a computation of their own over the CSV files, which knows the state every product
and promotion had when an order was placed. Prints `N passed, M failed`.
"""

import csv
import json
import os
import pathlib
import shutil
import subprocess
import sys
from decimal import Decimal

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "harness"))

from project import Outcome  # noqa: E402
from script import parser, workplace  # noqa: E402

OPEN_END = "2100-01-01"


class Shop:
    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.raw = folder / "seeds" / "raw"
        # (table, id) to its states: (from, row), the first valid from the beginning.
        self.states = {}
        self.outcome = Outcome()

    def run(self, *words):
        environment = {**os.environ, "HEADWATER_LOG": "error"}
        return subprocess.run([self.binary, "-C", self.folder, "--no-color", *words], capture_output=True, text=True, env=environment)

    def ask(self, sql):
        answer = self.run("query", sql, "--format", "json")
        if answer.returncode:
            raise SystemExit(answer.stderr)
        return json.loads(answer.stdout or "[]")

    def rows(self, table):
        with open(self.raw / f"{table}.csv", newline="") as file:
            return list(csv.DictReader(file))

    def write(self, table, rows):
        with open(self.raw / f"{table}.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    def change(self, table, wanted, **values):
        rows = self.rows(table)
        for row in rows:
            if all(row[key] == value for key, value in wanted.items()):
                row.update(values)
        self.write(table, rows)

    def check(self, what, ours, expected):
        self.outcome.hold(what, [] if ours == expected else [f"\nis       {ours}\nexpected {expected}"])

    def remember(self):
        """The states of promotions and products as this build saw them."""
        for table in ("products", "promotions"):
            for row in self.rows(table):
                if row["deleted_at"]:
                    continue
                states = self.states.setdefault((table, row["id"]), [])
                since = row["updated_at"] if states else "1900-01-01 00:00:00"
                if not states or states[-1][1]["updated_at"] < row["updated_at"]:
                    states.append((since, row))

    def at(self, table, identifier, moment):
        known = [row for since, row in self.states.get((table, identifier), []) if since <= moment]
        return known[-1] if known else None

    def facts(self):
        orders = {row["id"]: row for row in self.rows("orders") if not row["deleted_at"]}
        facts = {}
        for line in self.rows("orderdetails"):
            order = orders.get(line["id"])
            if line["deleted_at"] or order is None:
                continue
            promotion = self.at("promotions", line["promotion_id"], order["created_at"]) if line["promotion_id"] else None
            price, quantity = Decimal(line["price"]), int(line["quantity"])
            discount = Decimal(0)
            if promotion and promotion["coupon_type"] == "Percentage":
                discount = price * Decimal(promotion["price_treatment"]) / 100
            elif promotion:
                discount = Decimal(promotion["price_treatment"]) * 1000
            product = self.at("products", line["product_id"], order["created_at"])
            key = (int(line["id"]), int(line["product_id"]))
            day = int(order["created_at"][:10].replace("-", ""))
            facts[key] = (day, quantity, float(quantity * price), float(quantity * discount), product["name"])
        return facts

    def build(self, title):
        self.remember()
        done = self.run("build")
        self.check(f"{title}: exit code of the build\n{done.stderr[-2000:] if done.returncode else ''}", done.returncode, 0)
        found = self.ask(
            "select order_transaction o, f.product_id p, date_key d, sales_quantity q, cast(extended_sales_amount as double) a, "
            "cast(extended_discount_amount as double) x, name n from fact_sales f left join dim_products using (product_key)"
        )
        facts = {(row["o"], row["p"]): (row["d"], row["q"], row["a"], row["x"], row["n"]) for row in found}
        expected = self.facts()
        self.check(f"{title}: facts", facts, expected)
        total = self.ask("select quantity q, cast(amount as double) a, cast(profit as double) p from total_sales")[0]
        amount, discount = sum(fact[2] for fact in expected.values()), sum(fact[3] for fact in expected.values())
        self.check(f"{title}: totals", (total["q"], total["a"], total["p"]), (sum(fact[1] for fact in expected.values()), amount, amount - discount))

    def states_of(self, dimension, identifier):
        rows = self.ask(
            f"select cast(valid_from as varchar) f, cast(valid_to as varchar) t, is_current c from {dimension} where id = {identifier} order by 1"
        )
        return [(row["f"][:10], row["t"][:10], row["c"]) for row in rows]


def story(shop):
    shop.build("first build")
    shop.check("one state", shop.states_of("dim_products", 1), [("1900-01-01", OPEN_END, True)])
    shop.build("nothing changed")

    shop.change("products", {"id": "1"}, name="Product 1 plus", price="9990000", updated_at="2024-09-01 00:00:00")
    shop.change("promotions", {"id": "1"}, price_treatment="25", updated_at="2024-09-01 00:00:00")
    orders, lines = shop.rows("orders"), shop.rows("orderdetails")
    moment = "2024-09-02 10:00:00"
    orders.append({**orders[0], "id": "41", "created_at": moment, "updated_at": moment})
    lines.append({**lines[0], "id": "41", "product_id": "1", "price": "9990000", "promotion_id": "1", "created_at": moment, "updated_at": moment})
    lines.append({**lines[0], "id": "41", "product_id": "2", "promotion_id": "", "created_at": moment, "updated_at": moment})
    shop.write("orders", orders)
    shop.write("orderdetails", lines)
    shop.build("a product, a promotion and an order")
    shop.check("two states", shop.states_of("dim_products", 1), [("1900-01-01", "2024-09-01", False), ("2024-09-01", OPEN_END, True)])

    shop.change("customers", {"id": "1"}, deleted_at="2024-09-03 00:00:00", updated_at="2024-09-03 00:00:00")
    shop.change("orders", {"id": "2"}, deleted_at="2024-09-03 00:00:00")
    shop.change("orders", {"id": "3"}, updated_at="2024-09-03 12:00:00")
    shop.change("orderdetails", {"id": "41", "product_id": "2"}, deleted_at="2024-09-03 00:00:00")
    shop.build("soft deletes and an edited order")
    customer = shop.states_of("dim_customers", 1)
    shop.check("a deleted customer has no current state", [state[2] for state in customer], [False])
    kept = shop.ask("select count(*) n from fact_sales f join dim_customers c using (customer_key) where c.id = 1")[0]["n"]
    ordered = {row["id"] for row in shop.rows("orders") if row["customer_id"] == "1" and not row["deleted_at"]}
    lines = [row for row in shop.rows("orderdetails") if row["id"] in ordered and not row["deleted_at"]]
    shop.check("facts of a deleted customer keep their customer", kept, len(lines))

    shop.change("categories", {"id": "1"}, name="Mobile", updated_at="2024-09-05 00:00:00")
    shop.build("a renamed category")
    categories = shop.ask("select category c, count(*) n from dim_products where is_current group by 1 order by 1")
    shop.check("products follow their category", [row["c"] for row in categories], ["Mobile", "Tablets"])


def main() -> int:
    options = parser(__doc__).parse_args()
    with workplace() as root:
        folder = root / "rainbow"
        shutil.copytree(ROOT / "projects" / "rainbow", folder, ignore=shutil.ignore_patterns(".headwater"))
        shop = Shop(options.binary, folder)
        story(shop)
    return shop.outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
