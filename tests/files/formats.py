#!/usr/bin/env python3
"""Files of every format, packing and marks, made by other tools, and what the lake makes of them.

    python formats.py --binary PATH [--keep FOLDER]

Each case is a folder of files that other libraries wrote, a source over it, and the rows that must come of it, as text. Damaged
files stand among good ones: the good ones must be taken whole, the damaged ones not at all, with the reason told.

Prints `N passed, M failed` last; exits 1 when anything failed. Needs pyarrow, fastavro with its codecs, zstandard and openpyxl.
"""

import bz2
import datetime as dt
import decimal
import gzip
import io
import json
import os
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import fastavro
import openpyxl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import zstandard

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

from lakes import Folder  # noqa: E402
from project import Outcome  # noqa: E402
from script import parser, workplace  # noqa: E402

UTC = dt.timezone.utc


@dataclass
class Case:
    """Files, how they are read, and what a query over the table says. `left_out`: files and parts of their reasons."""

    name: str
    settings: str
    files: dict[str, bytes]
    columns: str
    rows: list[list[str]]
    quarantine: list[list[str]] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def source(self) -> str:
        return f"kind: files\nname: {self.name}\nfrom: {{path: data/{self.name}, settle_seconds: 0, {self.settings}}}\n"


def parquet(table: pa.Table, **options) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def feather(table: pa.Table, compression: str) -> bytes:
    out = io.BytesIO()
    pyarrow.feather.write_feather(table, out, compression=compression)
    return out.getvalue()


def stream(table: pa.Table) -> bytes:
    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def avro(schema: dict, records: list[dict], codec: str) -> bytes:
    out = io.BytesIO()
    fastavro.writer(out, fastavro.parse_schema(schema), records, codec=codec, sync_interval=100)
    return out.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def book(**sheets: list[list]) -> bytes:
    made = openpyxl.Workbook()
    made.remove(made.active)
    for name, rows in sheets.items():
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append(row)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def every_type() -> pa.Table:
    at = dt.datetime(2024, 1, 31, 12, 30, 15, 123456, tzinfo=UTC)
    return pa.table({
        "i8": pa.array([-5, None], pa.int8()),
        "u32": pa.array([4294967295, None], pa.uint32()),
        "u64": pa.array([18446744073709551615, None], pa.uint64()),
        "f32": pa.array([1.5, None], pa.float32()),
        "dec": pa.array([decimal.Decimal("12.34"), None], pa.decimal128(9, 2)),
        "wide": pa.array([decimal.Decimal("1" * 45), None], pa.decimal256(50, 0)),
        "day": pa.array([dt.date(2024, 1, 31), None]),
        "ms": pa.array([at, None], pa.timestamp("ms", "Europe/Paris")),
        "plain": pa.array([at.replace(tzinfo=None), None], pa.timestamp("us")),
        "clock": pa.array([dt.time(12, 30, 15), None], pa.time64("us")),
        "dict": pa.array(["a", None]).dictionary_encode(),
        "tags": pa.array([["x", "y"], None], pa.list_(pa.string())),
        "pair": pa.array([{"k": 1, "v": "w"}, None], pa.struct([("k", pa.int64()), ("v", pa.string())])),
        "attributes": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int32())),
        "bytes": pa.array([b"\x01\x02", None]),
        "nothing": pa.nulls(2),
    })


# As CSV shows them; `tags`, `pair` and `attributes` are asked for by their parts.
TYPES_SQL = (
    "i8, u32, u64, f32, dec, wide, day, ms, plain, clock, dict, tags[1] || tags[2] as tags, pair['v'] as pair, "
    "attributes[1]['key'] as attribute, encode(bytes, 'hex') as bytes, _line"
)
TYPES_ROWS = [
    ["-5", "4294967295", "18446744073709551615", "1.5", "12.34", "1" * 45, "2024-01-31", "2024-01-31T12:30:15.123Z",
     "2024-01-31T12:30:15.123456Z", "12:30:15", "a", "xy", "w", "a", "0102", "1"],
    [""] * 15 + ["2"],
]


def typed_cases() -> list[Case]:
    table = every_type()
    without = table.drop_columns(["nothing"])
    whole = parquet(table, row_group_size=1)
    more = pa.table({"i8": pa.array([7], pa.int64()), "extra": pa.array(["new"])})
    text = pa.table({"i8": pa.array(["seven"])})
    large = pa.table({"n": pa.array(range(300_000)), "t": pa.array([f"row {n}" for n in range(300_000)])})
    cases = [
        Case("parquet", "format: parquet", {"a.parquet": whole}, TYPES_SQL, TYPES_ROWS),
        Case("feather", "format: arrow", {"a.arrow": feather(table, "lz4")}, TYPES_SQL, TYPES_ROWS),
        Case("feather_zstd", "format: arrow", {"a.arrow": feather(without, "zstd")}, TYPES_SQL, TYPES_ROWS),
        Case("arrow_stream", "format: arrow", {"a.arrows.gz": gzip.compress(stream(table))}, TYPES_SQL, TYPES_ROWS),
        Case(
            "parquet_drift", "format: parquet",
            {"a.parquet": whole, "b.parquet": parquet(more), "c.parquet": parquet(text), "d.parquet": whole[: len(whole) // 2],
             "e.parquet": b"PAR1" + b"\xff" * 400 + b"PAR1", "f.parquet": b""},
            "i8, extra, _source_file",
            [["-5", "", "a.parquet"], ["", "", "a.parquet"], ["7", "new", "b.parquet"]],
            left_out={"c.parquet": "its column `i8` is Utf8", "d.parquet": "it is no Parquet file",
                      "e.parquet": "it", "f.parquet": "it is no Parquet file"},
        ),
        Case(
            "parquet_large", "format: parquet",
            {"a.parquet": parquet(large, row_group_size=50_000, compression="zstd"), "b.parquet": parquet(large, compression="snappy")},
            "count(*), count(distinct n), max(_line), max(t)", [["600000", "300000", "300000", "row 99999"]],
        ),
    ]
    damaged = {}
    for cut in (4, 30, len(whole) - 8, len(whole) - 4):
        damaged[f"{cut}.parquet"] = whole[:cut]
    middle = bytearray(parquet(large, compression="snappy", use_dictionary=False))
    middle[len(middle) // 3: len(middle) // 3 + 4000] = os.urandom(4000)
    damaged["middle.parquet"] = bytes(middle)
    cases.append(Case(
        "parquet_damage", "format: parquet", damaged | {"good.parquet": parquet(more)}, "i8, extra", [["7", "new"]],
        left_out={name: "" for name in damaged},
    ))
    for kind, data in (("file", feather(table, "uncompressed")), ("stream", stream(table))):
        cuts = {f"{cut}.arrow": data[:cut] for cut in (7, 200, len(data) // 3)}
        cases.append(Case(
            f"arrow_damage_{kind}", "format: arrow", cuts | {"good.arrow": stream(more)}, "i8, extra", [["7", "new"]],
            left_out={name: "" for name in cuts},
        ))
    return cases


ORDER = {
    "type": "record", "name": "Order", "fields": [
        {"name": "id", "type": "long"},
        {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["NEW", "PAID"]}},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
    ],
}


def avro_cases() -> list[Case]:
    records = [
        {"id": n, "state": "PAID" if n % 2 else "NEW", "price": decimal.Decimal(n) / 4,
         "at": dt.datetime(2024, 1, 31, tzinfo=UTC) if n % 3 else None, "day": dt.date(2024, 2, 1)}
        for n in range(100)
    ]
    rows = [[str(n), "PAID" if n % 2 else "NEW", f"{n / 4:.2f}", "2024-01-31T00:00:00Z" if n % 3 else "", "2024-02-01",
             str(n + 1)] for n in range(100)]
    columns = "id, state, price, at, day, _line"
    cases = [
        Case(f"avro_{codec}", "format: avro", {"a.avro": avro(ORDER, records, codec)}, columns, rows)
        for codec in ("null", "deflate", "snappy", "zstandard", "bzip2")
    ]
    newer = {"type": "record", "name": "Order", "fields": [{"name": "id", "type": "int"}, {"name": "note", "type": "string"}]}
    whole = avro(ORDER, records, "deflate")
    cut = {f"{length}.avro": whole[:length] for length in (2, 100, len(whole) // 2, len(whole) - 1)}
    cases.append(Case(
        "avro_drift", "format: avro",
        {"a.avro": avro(ORDER, records[:1], "null"), "b.avro": avro(newer, [{"id": 7, "note": "x"}], "null")} | cut,
        "id, state, note", [["0", "NEW", ""], ["7", "", "x"]], left_out={name: "" for name in cut},
    ))
    return cases


def sheet_cases() -> list[Case]:
    day, at = dt.date(2024, 1, 31), dt.datetime(2024, 1, 31, 12, 30)
    rows = [["a report", None, None], ["id", "name", "day", "at", "price", "ok"], [1, "x", day, at, 1.5, True],
            [2, None, None, None, 2, False], [None] * 6, [3, "=1+1", day, at, None, None]]
    made = book(notes=[["nothing here"]], data=rows)
    columns = "id, name, day, at, price, ok, _line"
    expected = [["1", "x", "2024-01-31", "2024-01-31T12:30:00Z", "1.5", "true", "3"],
                ["2", "", "", "", "2.0", "false", "4"],
                ["3", "", "2024-01-31", "2024-01-31T12:30:00Z", "", "", "6"]]
    settings = "format: spreadsheet, header_row: 2"
    cut = {f"{length}.xlsx": made[:length] for length in (2, 300, len(made) // 2, len(made) - 10)}
    bomb = zipped({"[Content_Types].xml": b"<a/>", "xl/big.xml": b"0" * (600 << 20)})
    return [
        Case("xlsx_by_name", f"{settings}, sheet: data", {"a.xlsx": made}, columns, expected),
        Case("xlsx_by_number", f"{settings}, sheet: 2", {"a.xlsx": made} | cut | {"bomb.xlsx": bomb}, columns, expected,
             left_out={name: "" for name in cut} | {"bomb.xlsx": "it holds more than 512 MiB"}),
        Case("xlsx_mixed", "format: spreadsheet", {"a.xlsx": book(s=[["code", "n"], ["x1", 1], [12, "two"], [3.0, 4]])},
             "code, n", [["x1", "1"], ["12", "two"], ["3", "4"]]),
    ]


def text_cases() -> list[Case]:
    records = [{"id": n, "name": f"n{n}", "tags": [n]} for n in range(3)]
    rows = [[str(n), f"n{n}"] for n in range(3)]
    pretty = "\n".join(json.dumps(record, indent=2) for record in records)
    big = json.dumps([{"id": n, "pad": "x" * 1000} for n in range(50_000)])
    log = (
        b'203.0.113.9 - ann [31/Jan/2024:12:30:15 +0100] "GET /a?b=c HTTP/1.1" 200 512 "-" "curl/8"\n'
        b'203.0.113.9 - - [31/Jan/2024:12:30:16 +0100] "\\x16\\x03" 400 - "-" "-"\n'
        b"torn line\n"
    )
    return [
        Case("json_array", "include: ['**']", {"a.json": json.dumps(records).encode()}, "id, name", rows),
        Case("json_pretty", "format: json", {"a.json": json.dumps(records, indent=2).encode()}, "id, name", rows),
        Case("json_documents", "format: json", {"a.json": pretty.encode()}, "id, name", rows),
        Case("json_big", "format: json", {"a.json.zst": zstandard.compress(big.encode())},
             "count(*), max(id), max(_line), sum(length(pad))", [["50000", "49999", "50000", "50000000"]]),
        Case("json_torn", "format: json", {"a.json": b'[{"id": 1}, {"id"', "b.json": b'[{"id": 2}]'}, "id", [["2"]],
             left_out={"a.json": "it ends inside record 2"}),
        Case("semicolons", "format: csv", {"a.csv": "id;name\n1;\"x;y\"\n2;é\n".encode()}, "id, name", [["1", "x;y"], ["2", "é"]]),
        Case("bars", "format: csv", {"a.csv": b"1|x\n2|y\n"}, "column_1, column_2", [["1", "x"], ["2", "y"]]),
        Case("given", "format: csv, delimiter: ',', quote: '\"', header: true",
             {"a.csv": b"2019;x,2020\n1,2\n"}, "\"2019;x\", \"2020\"", [["1", "2"]]),
        Case("utf16", "format: csv", {"a.csv": "id\tname\n1\tüñ😀\n".encode("utf-16"), "b.csv": "id,name\n2,x\n".encode("utf-8-sig")},
             "id, name", [["1", "üñ😀"], ["2", "x"]]),
        Case("apache", "format: apache_combined", {"access.log": log},
             "host, user, time, method, path, status, bytes, user_agent, _line",
             [["203.0.113.9", "ann", "2024-01-31T11:30:15Z", "GET", "/a?b=c", "200", "512", "curl/8", "1"],
              ["203.0.113.9", "", "2024-01-31T11:30:16Z", "", "", "400", "", "", "2"]],
             quarantine=[["access.log", "3", "line does not match the pattern"]]),
        Case("pattern", "format: pattern, pattern: '(?P<level>[A-Z]+) (?P<took>\\d+)ms (?P<message>.*)', types: {took: integer}",
             {"a.log": b"INFO 12ms all well\nWARN 900ms slow\n"}, "level, took, message",
             [["INFO", "12", "all well"], ["WARN", "900", "slow"]]),
        Case("folders", "path_columns: true, include: ['**/*.json']",
             {"day=2024-01-31/shop=7/a.json": b'{"x": 1}\n', "day=2024-02-01/shop=__HIVE_DEFAULT_PARTITION__/a.json": b'{"x": 2}\n'},
             "x, day, shop", [["1", "2024-01-31", "7"], ["2", "2024-02-01", ""]]),
    ]


def packed_cases() -> list[Case]:
    lines = b"".join(b'{"id": %d}\n' % n for n in range(1000))
    whole = {"bz2": bz2.compress(lines), "gz": gzip.compress(lines), "zst": zstandard.compress(lines), "zip": zipped({"x": lines})}
    files = {f"named.{kind}": data for kind, data in whole.items()} | {f"unnamed_{kind}": data for kind, data in whole.items()}
    cut = {f"cut.{kind}": data[: len(data) - 30] for kind, data in whole.items()}
    overlapping = bytearray(zipped({"a": lines, "b": lines}))
    first, second = (overlapping.find(b"PK\x01\x02"), overlapping.rfind(b"PK\x01\x02"))
    overlapping[second + 42: second + 46] = overlapping[first + 42: first + 46]
    return [
        Case("packed", "format: json", files | cut | {"overlap.zip": bytes(overlapping), "empty.gz": b""},
             "count(*), count(distinct _source_file), sum(id)", [["8000", "8", str(8 * 499_500)]],
             left_out={name: "" for name in cut} | {"overlap.zip": "its members overlap"}),
        Case("archive", "format: csv, members: ['**/*.csv']",
             {"a.zip": zipped({"one.csv": b"id\n1\n", "in/two.csv": b"id\n2\n3\n", "notes.md": b"#", "../up.csv": b"id\n9\n",
                               "inner.csv.gz": gzip.compress(b"id\n8\n")})},
             "id, _source_file, _line",
             [["1", "a.zip!/one.csv", "2"], ["2", "a.zip!/in/two.csv", "2"], ["3", "a.zip!/in/two.csv", "3"]],
             left_out={"a.zip!/../up.csv": "leads out"}),
        Case("bomb", "format: json", {"a.bz2": bz2.compress(b"\n" * (300 << 20)), "b.json": b'{"id": 1}\n'}, "id", [["1"]],
             left_out={"a.bz2": "1000 times"}),
    ]


def cases() -> list[Case]:
    return typed_cases() + avro_cases() + sheet_cases() + text_cases() + packed_cases()


def write(folder: Path, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def differing(what: str, expected: list, found: list) -> list[str]:
    return [] if expected == found else [f"{what}: expected {expected}, found {found}"]


def check(case: Case, lake: Folder, said: str) -> list[str]:
    name = case.name
    rows = lake.rows(f"select {case.columns} from {name}.{name}")
    problems = differing("rows", sorted(case.rows), sorted(rows))
    quarantined = []
    if lake.table(name, f"{name}_quarantine").exists():
        quarantined = lake.rows(f"select source_file, position, reason from {name}.{name}_quarantine order by 1, 2")
    problems += differing("quarantine", case.quarantine, quarantined)
    for path, reason in case.left_out.items():
        if not any(f"path={json.dumps(path)}" in line or f"path={path}" in line for line in said.splitlines() if reason in line):
            problems.append(f"nothing was said of {path}, or not `{reason}`")
    return problems


def once_more(lake: Folder, every: list[Case]) -> list[str]:
    """A second run adds nothing."""
    before = {case.name: lake.rows(f"select count(*) from {case.name}.{case.name}") for case in every}
    done = lake.run("ingest")
    after = {case.name: lake.rows(f"select count(*) from {case.name}.{case.name}") for case in every}
    return [f"ingest ended with {done.returncode}"] * bool(done.returncode) + differing("rows of a second run", before, after)


CHANGING = "kind: files\nname: changing\nfrom: {path: data, settle_seconds: 0, format: %s, on_change: replace}\n"


def replaced(binary: Path, folder: Path, kind: str) -> list[str]:
    """A file that changed takes the place of its rows, also when the process dies at the commit that does it."""
    lake = Folder(binary, folder, "name: changing\n", {"changing": CHANGING % kind})

    def put(name: str, ids: list[int]) -> None:
        table = pa.table({"id": ids})
        data = parquet(table) if kind == "parquet" else "".join(json.dumps({"id": n}) + "\n" for n in ids).encode()
        write(folder / "data", {name: data})

    def ids() -> list:
        return sorted(lake.rows("select id, _source_file, _line from changing.changing"))

    put("a", [1, 2, 3])
    put("b", [1])
    problems = []
    for fault, numbers in (("", [4, 5]), ("dl.mid_stage", [6]), ("dl.commit_done_before_upstream_ack", [7, 8])):
        lake.run("ingest")
        put("a", numbers)
        os.utime(folder / "data" / "a", (2_000_000_000 - numbers[0] * 100_000_000,) * 2)
        if fault:
            lake.run("ingest", variables={"HEADWATER_FAULT": f"{fault}=abort"})
        done = lake.run("ingest")
        expected = sorted([[str(n), "a", str(line)] for line, n in enumerate(numbers, 1)] + [["1", "b", "1"]])
        problems += differing(f"{kind} after {fault or 'a change'} {done.stderr[-200:] if done.returncode else ''}", expected, ids())
    return problems


def main() -> int:
    words = parser(__doc__, keep=None)
    words.add_argument("--only", default="", help="cases whose name begins like this")
    options = words.parse_args()
    outcome = Outcome()
    every = [case for case in cases() if case.name.startswith(options.only)]
    with workplace(options.keep) as folder:
        lake = Folder(options.binary, folder / "all", "name: formats\n", {case.name: case.source() for case in every})
        for case in every:
            write(folder / "all" / "data" / case.name, case.files)
        done = lake.run("ingest")
        outcome.hold("ingest", [done.stderr[-2000:]] if done.returncode else [])
        for case in every:
            try:
                outcome.hold(case.name, check(case, lake, done.stderr))
            except RuntimeError as failure:
                outcome.hold(case.name, [str(failure)[:400]])
        outcome.hold("a second run", once_more(lake, every))
        for kind in ("json", "parquet"):
            outcome.hold(f"replaced {kind}", replaced(options.binary, folder / f"changing_{kind}", kind))
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
