"""The corpus of SQL snippets: reading it, writing it, and when two values are the same. README.md says what a file holds."""

import json
import math
import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

import yaml

CORPUS = Path(__file__).resolve().parent / "corpus"
DIALECTS = ("bigquery", "postgres", "redshift", "snowflake", "duckdb", "spark")
KEYS = {"name", "sql", "columns", "rows", "unsupported"}
TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:?\d\d)?")
NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")


class Loader(yaml.SafeLoader):
    """Scalars as in JSON: numbers, true, false and null; everything else is text, dates and `no` too."""

    yaml_implicit_resolvers: dict = {}


Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^null$"), ["n"])
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(true|false)$"), ["t", "f"])
Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(0|[1-9]\d*)$"), list("-0123456789"))
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?$"), list("-0123456789")
)
Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: Decimal(loader.construct_scalar(node)))


class Malformed(Exception):
    """A corpus file that does not keep to the format."""


@dataclass
class Snippet:
    dialect: str
    group: str
    name: str
    sql: str
    rows: list | None = None
    columns: list[str] | None = None
    unsupported: str | None = None
    model: str = field(init=False)

    def __post_init__(self):
        self.model = f"{self.group}__{re.sub('[^a-z0-9]+', '_', self.name.lower()).strip('_')}"


def files(dialect: str) -> list[Path]:
    return sorted((CORPUS / dialect).glob("*.yml"))


def read(path: Path) -> list[Snippet]:
    found = []
    for entry in yaml.load(path.read_text(), Loader) or []:
        if not isinstance(entry, dict) or not {"name", "sql"} <= entry.keys() <= KEYS:
            raise Malformed(f"{path}: {entry!r:.120}: a snippet has a name, sql and rows, and may have columns and unsupported")
        snippet = Snippet(path.parent.name, path.stem, **entry)
        if re.search(r"\{[{%#]", snippet.sql):
            raise Malformed(f"{path}: {snippet.name}: the SQL would be read as Jinja")
        found.append(snippet)
    return found


def load(dialect: str) -> list[Snippet]:
    """All snippets of a dialect, whose names differ."""
    found = [snippet for path in files(dialect) for snippet in read(path)]
    models: set[str] = set()
    for snippet in found:
        if snippet.model in models:
            raise Malformed(f"{dialect}/{snippet.group}: two snippets are named {snippet.name!r}")
        models.add(snippet.model)
    return found


def write(path: Path, snippets: list[Snippet]) -> None:
    path.write_text("\n".join(entry(snippet) for snippet in snippets))


def entry(snippet: Snippet) -> str:
    plain = re.fullmatch(r"[A-Za-z][\w ,./()'+-]*", snippet.name)
    lines = [f"- name: {snippet.name if plain else json.dumps(snippet.name)}"]
    if snippet.unsupported:
        lines.append(f"  unsupported: {json.dumps(snippet.unsupported, ensure_ascii=False)}")
    lines.append("  sql: |")
    lines += [f"    {line}".rstrip() for line in snippet.sql.strip("\n").split("\n")]
    if snippet.columns is not None:
        lines.append(f"  columns: {scalar(snippet.columns)}")
    if snippet.rows is not None:
        lines.append("  rows:" if snippet.rows else "  rows: []")
        lines += [f"  - {scalar(row)}" for row in snippet.rows]
    return "\n".join(lines) + "\n"


def scalar(value) -> str:
    """JSON, which is YAML too. Decimals keep all their digits."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, list):
        return "[" + ", ".join(scalar(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {scalar(item)}" for key, item in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def same(expected, got) -> bool:
    """Whether an answer is what was expected. Numbers by value, JSON by structure, the rest as text."""
    if expected is None or got is None:
        return expected is got
    if isinstance(expected, bool) or isinstance(got, bool):
        return expected is got
    if isinstance(expected, (int, Decimal)):
        return same_number(Decimal(expected), got)
    if isinstance(expected, list):
        got = structure(got)
        return isinstance(got, list) and len(expected) == len(got) and all(map(same, expected, got))
    if isinstance(expected, dict):
        got = structure(got)
        return isinstance(got, dict) and expected.keys() == got.keys() and all(same(expected[key], got[key]) for key in expected)
    return same_text(expected, got)


def same_number(expected: Decimal, got) -> bool:
    """Decimals come as text, so text that reads as a number is one. Fractions may differ in the last bits of a double."""
    if isinstance(got, str) and NUMBER.fullmatch(got):
        got = Decimal(got)
    if not isinstance(got, (int, Decimal)):
        return False
    if expected == got:
        return True
    return expected % 1 != 0 and math.isclose(float(expected), float(got), rel_tol=1e-12)


def same_text(expected: str, got) -> bool:
    wanted = structure(expected)
    if isinstance(wanted, (list, dict)):
        return same(wanted, got)
    return isinstance(got, str) and (expected == got or instant(expected) == instant(got))


def structure(value):
    """What JSON text holds, when it is an array or an object; other values as they are."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return json.loads(value, parse_float=Decimal)
        except ValueError:
            return value
    return value


def instant(text: str) -> str:
    """A timestamp in its canonical form; other text as it is."""
    found = TIMESTAMP.fullmatch(text)
    if not found:
        return text
    date, time, fraction, zone = found.groups()
    if zone:
        offset = "+00:00" if zone == "Z" else zone
        moment = datetime.fromisoformat(f"{date} {time}{offset if ':' in offset else offset[:3] + ':' + offset[3:]}")
        date, time = moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S").split(" ")
    digits = (fraction or "").rstrip("0")
    return f"{date} {time}{'.' + digits if digits else ''}{'+00:00' if zone else ''}"
