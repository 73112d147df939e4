"""Five models written in six dialects, as dbt projects of each warehouse have them: all give the same tables, cell for cell.

    same_models.py --binary target/release/headwater
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

from project import Outcome, tail  # noqa: E402
from script import parser  # noqa: E402

EVENTS = r'''id,user_id,happened,amount,status,payload
1,u1,2024-01-01 10:00:00,10.50,paid,"{""source"": ""web"", ""items"": [{""sku"": ""a"", ""qty"": 2}, {""sku"": ""b"", ""qty"": 1}]}"
2,u1,2024-01-01 10:20:00,,open,"{""source"": ""app"", ""items"": []}"
3,u1,2024-01-01 11:30:00,5.25,paid,"{""source"": ""web"", ""items"": [{""sku"": ""a"", ""qty"": 1}]}"
4,u2,2024-02-29 23:59:00,20.00,paid,"{""items"": [{""sku"": ""c"", ""qty"": 4}]}"
5,u2,2024-03-01 00:10:00,1.00,void,"{""source"": ""web""}"
5,u2,2024-03-01 00:15:00,2.00,paid,"{""source"": ""web""}"
6,u3,2024-03-31 12:00:00,8.00,open,"{""source"": ""it's new"", ""items"": [{""sku"": ""b"", ""qty"": 3}]}"
'''
MODELS = ["staged", "latest", "sessions", "items", "report"]
TYPES = "seeds:\n  same:\n    events:\n      +column_types: {id: bigint, user_id: varchar, happened: timestamp, amount: double, status: varchar, payload: varchar}\n"
PROJECT = "name: same\nversion: '1.0'\nprofile: same\n" + TYPES + "models:\n  same:\n    +materialized: table\n"
PROFILE = "same:\n  target: dev\n  outputs:\n    dev: {{type: {}, schema: main, threads: 1}}\n"

LATEST = """select id, user_id, happened_text, amount, status from {{ ref('staged') }}
qualify row_number() over (partition by id order by happened_text desc) = 1"""
LATEST_PLAIN = """select id, user_id, happened_text, amount, status from (
  select *, row_number() over (partition by id order by happened_text desc) as n from {{ ref('staged') }}
) numbered where n = 1"""
REPORT = """select user_id, sum(case when status = 'paid' then amount else 0 end) as paid, count(*) as events,
  {} as middle from {{{{ ref('latest') }}}} group by user_id"""


SESSIONS = """with before as (
  select id, user_id, happened_text, HAPPENED as happened,
    lag(HAPPENED) over (partition by user_id order by happened_text) as previous from {{ ref('staged') }}
), marked as (
  select *, case when previous is null or MINUTES > 30 then 1 else 0 end as is_first from before
)
select id, happened_text, sum(is_first) over (partition by user_id order by happened_text rows unbounded preceding) as session_number
from marked"""


def session_model(minutes: str, happened: str) -> str:
    """Events of a user more than half an hour apart begin a session."""
    return SESSIONS.replace("HAPPENED", happened).replace("MINUTES", minutes)


DIALECTS = {
    "bigquery": {
        "staged": """select id, user_id, format_timestamp('%Y-%m-%d %H:%M:%S', timestamp(happened)) as happened_text,
  date_trunc(date(happened), month) as month, date_diff(date '2024-03-31', date(happened), day) as days_left,
  ifnull(amount, 0) as amount, upper(status) as loud, status, payload,
  safe_cast(json_value(payload, '$.items[0].qty') as int64) as first_quantity, amount / 2 as half
from {{ ref('events') }}""",
        "latest": LATEST,
        "sessions": session_model("timestamp_diff(happened, previous, minute)", "timestamp(happened_text)"),
        "items": """select s.id, s.happened_text, json_value(item, '$.sku') as sku, cast(json_value(item, '$.qty') as int64) as quantity
from {{ ref('staged') }} as s cross join unnest(json_query_array(s.payload, '$.items')) as item""",
        "report": REPORT.format("approx_quantiles(amount, 2)[offset(1)]").replace("count(*) as events", "countif(status is not null) as events"),
    },
    "postgres": {
        "staged": """select id, user_id, to_char(happened, 'YYYY-MM-DD HH24:MI:SS') as happened_text,
  date_trunc('month', happened)::date as month, date '2024-03-31' - happened::date as days_left,
  coalesce(amount, 0) as amount, upper(status) as loud, status, payload,
  (payload::jsonb -> 'items' -> 0 ->> 'qty')::bigint as first_quantity, amount / 2 as half
from {{ ref('events') }}""",
        "latest": LATEST_PLAIN,
        "sessions": session_model("extract(epoch from happened - previous) / 60", "happened_text::timestamp"),
        "items": """select s.id, s.happened_text, item ->> 'sku' as sku, (item ->> 'qty')::bigint as quantity
from {{ ref('staged') }} as s cross join lateral jsonb_array_elements(s.payload::jsonb -> 'items') as item""",
        "report": REPORT.format("percentile_disc(0.5) within group (order by amount)"),
    },
    "redshift": {
        "staged": """select id, user_id, to_char(happened, 'YYYY-MM-DD HH24:MI:SS') as happened_text,
  date_trunc('month', happened)::date as month, datediff(day, happened, '2024-03-31'::date) as days_left,
  nvl(amount, 0) as amount, upper(status) as loud, status, payload,
  nullif(json_extract_path_text(payload, 'items', '0', 'qty'), '')::bigint as first_quantity, amount / 2 as half
from {{ ref('events') }}""",
        "latest": LATEST,
        "sessions": session_model("datediff(minute, previous, happened)", "happened_text::timestamp"),
        "items": """select s.id, s.happened_text, item.sku::varchar as sku, item.qty::bigint as quantity
from (select id, happened_text, json_parse(json_extract_path_text(payload, 'items')) as list from {{ ref('staged') }}
  where is_valid_json_array(json_extract_path_text(payload, 'items'))) as s, s.list as item""",
        "report": REPORT.format("percentile_disc(0.5) within group (order by amount)"),
    },
    "snowflake": {
        "staged": """select id, user_id, to_char(happened, 'YYYY-MM-DD HH24:MI:SS') as happened_text,
  date_trunc('month', happened)::date as month, datediff(day, happened, '2024-03-31'::date) as days_left,
  zeroifnull(amount) as amount, upper(status) as loud, status, payload,
  parse_json(payload):items[0].qty::int as first_quantity, amount / 2 as half
from {{ ref('events') }}""",
        "latest": LATEST,
        "sessions": session_model("datediff('minute', previous, happened)", "happened_text::timestamp_ntz"),
        "items": """select s.id, s.happened_text, f.value:sku::string as sku, f.value:qty::int as quantity
from {{ ref('staged') }} as s, lateral flatten(input => parse_json(s.payload):items) as f""",
        "report": REPORT.format("percentile_disc(0.5) within group (order by amount)"),
    },
    "duckdb": {
        "staged": """select id, user_id, strftime(happened, '%Y-%m-%d %H:%M:%S') as happened_text,
  date_trunc('month', happened)::date as month, date_diff('day', happened::date, date '2024-03-31') as days_left,
  coalesce(amount, 0) as amount, upper(status) as loud, status, payload,
  json_extract_string(payload, '$.items[0].qty')::bigint as first_quantity, amount / 2 as half
from {{ ref('events') }}""",
        "latest": LATEST,
        "sessions": session_model("date_diff('minute', previous, happened)", "happened_text::timestamp"),
        "items": """select s.id, s.happened_text, e.value ->> 'sku' as sku, (e.value ->> 'qty')::bigint as quantity
from {{ ref('staged') }} as s, json_each(s.payload -> '$.items') as e""",
        "report": REPORT.format("quantile_disc(amount, 0.5)"),
    },
    "spark": {
        "staged": """select id, user_id, date_format(happened, 'yyyy-MM-dd HH:mm:ss') as happened_text,
  trunc(happened, 'MM') as month, datediff(date '2024-03-31', happened) as days_left,
  nvl(amount, 0) as amount, upper(status) as loud, status, payload,
  cast(get_json_object(payload, '$.items[0].qty') as bigint) as first_quantity, amount / 2 as half
from {{ ref('events') }}""",
        "latest": LATEST,
        "sessions": session_model("timestampdiff(minute, previous, happened)", "cast(happened_text as timestamp)"),
        "items": """select id, happened_text, get_json_object(piece, '$.sku') as sku, cast(get_json_object(piece, '$.qty') as bigint) as quantity
from (select id, happened_text, get_json_object(payload, concat('$.items[', n, ']')) as piece
  from {{ ref('staged') }} lateral view explode(array('0', '1', '2')) numbers as n) as t
where piece is not null""",
        "report": REPORT.format("percentile_approx(amount, 0.5)"),
    },
}
EXPECTED = {
    "items": [[1, "a", 2], [1, "b", 1], [3, "a", 1], [4, "c", 4], [6, "b", 3]],
    "sessions": [[1, 1], [2, 1], [3, 2], [4, 1], [5, 1], [5, 1], [6, 1]],
}


def lay_out(folder: Path, dialect: str) -> None:
    for part in ("models", "seeds"):
        (folder / part).mkdir()
    (folder / "dbt_project.yml").write_text(PROJECT)
    (folder / "profiles.yml").write_text(PROFILE.format(dialect))
    (folder / "seeds" / "events.csv").write_text(EVENTS)
    for name in MODELS:
        (folder / "models" / f"{name}.sql").write_text(DIALECTS[dialect][name])


def run(binary: Path, folder: Path, *words: str) -> subprocess.CompletedProcess:
    command = [str(binary.resolve()), "-C", str(folder), "--no-color", *words]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False)


def table(binary: Path, folder: Path, name: str) -> list[dict]:
    done = run(binary, folder, "query", f"select * from main.{name}", "--format", "json")
    if done.returncode:
        return [{"error": tail(done.stderr)}]
    same = lambda value: round(float(value), 9) if isinstance(value, (int, float)) and not isinstance(value, bool) else value  # noqa: E731
    rows = [{key.lower(): same(value) for key, value in row.items()} for row in json.loads(done.stdout)]
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


def check(outcome: Outcome, binary: Path) -> None:
    tables: dict[str, dict[str, list[dict]]] = {}
    for dialect in DIALECTS:
        with tempfile.TemporaryDirectory() as root:
            lay_out(Path(root), dialect)
            built = run(binary, Path(root), "build")
            outcome.hold(f"{dialect}: builds", [tail(built.stderr)] if built.returncode else [])
            tables[dialect] = {name: table(binary, Path(root), name) for name in MODELS}
            report = run(binary, Path(root), "compile", "--dialect-report")
            outcome.hold(f"{dialect}: nothing in the report", [report.stdout + report.stderr] if report.returncode else [])
    first = tables["postgres"]
    for dialect, found in tables.items():
        for name in MODELS:
            differs = [] if found[name] == first[name] else [f"{found[name]}\n  postgres: {first[name]}"]
            outcome.hold(f"{dialect}: {name} is as PostgreSQL's", differs)
    for name, columns in (("items", ("id", "sku", "quantity")), ("sessions", ("id", "session_number"))):
        rows = sorted([row.get(column) for column in columns] for row in first[name])
        outcome.hold(f"{name} are the ones expected", [] if rows == EXPECTED[name] else [str(rows)])
    with tempfile.TemporaryDirectory() as root:
        lay_out(Path(root), "snowflake")
        (Path(root) / "models" / "staged.sql").write_text("select 1 as id,\n  fnv_magic(2) as x")
        report = run(binary, Path(root), "compile", "--dialect-report")
        wanted = "models/staged.sql:2:3" in report.stdout and "fnv_magic" in report.stdout and report.returncode == 1
        outcome.hold("the report names what has no translation", [] if wanted else [report.stdout + report.stderr])
        failed = run(binary, Path(root), "build")
        outcome.hold("a build of it is an error", [] if failed.returncode == 1 and "fnv_magic" in failed.stderr else [failed.stderr])


def main() -> int:
    options = parser(__doc__).parse_args()
    outcome = Outcome()
    check(outcome, options.binary)
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
