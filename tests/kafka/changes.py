"""What a PostgreSQL says of its own changes, to hold against what somebody else makes of them."""

import re
from dataclasses import dataclass

SLOT = "reference"
SIZES = {"INSERT": "c", "UPDATE": "u", "DELETE": "d", "TRUNCATE": "t"}


@dataclass(frozen=True)
class Change:
    table: str
    operation: str
    """Place in the log, as a number."""
    lsn: int
    """Whether an update gave its row another key."""
    moved: bool
    """The statement it came from."""
    sql: str


class Reference:
    """A logical slot read by PostgreSQL's own test_decoding; `keys` names the columns of each table's key."""

    def __init__(self, cluster, keys: dict[str, list[str]]):
        self.cluster, self.keys = cluster, keys
        self.changes: list[Change] = []
        cluster.sql(f"select pg_create_logical_replication_slot('{SLOT}', 'test_decoding')")

    def run(self, *statements: str) -> None:
        """Statements, each a transaction or a group of one; what they change is noted."""
        for statement in statements:
            self.cluster.sql(statement)
            self.changes += self.taken(statement)

    def taken(self, sql: str) -> list[Change]:
        rows = self.cluster.sql(
            "select (lsn - '0/0')::bigint, replace(data, E'\\n', ' ') "
            f"from pg_logical_slot_get_changes('{SLOT}', null, null, 'skip-empty-xacts', 'on')"
        )
        return [change for lsn, text in rows if text.startswith("table ") for change in self.parsed(int(lsn), text, sql)]

    def parsed(self, lsn: int, text: str, sql: str) -> list[Change]:
        tables, operation = re.match(r"table ([^:]+): ([A-Z]+):", text).groups()
        names = [name.split(".")[1] for name in tables.split(", ")]
        return [Change(name, SIZES[operation], lsn, self.is_moved(name, operation, text), sql) for name in names]

    def is_moved(self, table: str, operation: str, text: str) -> bool:
        if operation != "UPDATE" or "new-tuple:" not in text:
            return False
        before, after = text.split("new-tuple:", 1)
        value = lambda half, name: re.search(rf" {name}\[[^\]]+\]:('(?:[^']|'')*'|\S+)", half).group(1)  # noqa: E731
        return any(value(before, name) != value(after, name) for name in self.keys[table])
