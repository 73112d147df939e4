"""Delta tables of other engines whose protocol asks for what may not be known here: read right or refused by name (L16)."""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from served import FILES, SECONDS, World, Wrapped, put_lines

ROWS = "id,word\n1,a\n2,b\n3,c\n"
PLAIN = {"minReaderVersion": 1, "minWriterVersion": 2}
# Says of one of the three rows that it is gone.
VECTOR = {"deletionVector": {"storageType": "i", "pathOrInlineDv": "wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L", "sizeInBytes": 40, "cardinality": 1}}


def requiring(*features: str) -> dict:
    return {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features}


def columns(word: str = "string", mapped: bool = False) -> list[dict]:
    made = []
    for number, (name, kind) in enumerate((("id", "long"), ("word", word)), 1):
        # Columns of the files have other names, so that a reader which passes over the mapping shows it.
        physical = {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": f"col-{number}"}
        made.append({"name": name, "type": kind, "nullable": True, "metadata": physical if mapped else {}})
    return made


@dataclass
class Fixture:
    protocol: dict
    # Words that the refusal has; none for a table that is read.
    refused: tuple[str, ...] = ()
    configuration: dict = field(default_factory=dict)
    columns: list = field(default_factory=columns)
    add: dict = field(default_factory=dict)


MAPPED = {"delta.columnMapping.mode": "name"}
FIXTURES = {
    "plain": Fixture(PLAIN),
    "mapped": Fixture(requiring("columnMapping"), ("columnMapping",), MAPPED, columns(mapped=True)),
    "mapped_before_features": Fixture({"minReaderVersion": 2, "minWriterVersion": 5}, ("column mapping",), MAPPED, columns(mapped=True)),
    "vectors": Fixture(requiring("deletionVectors"), ("deletionVectors",), {"delta.enableDeletionVectors": "true"}, add=VECTOR),
    "vectors_not_used": Fixture(requiring("deletionVectors"), ("deletionVectors",), {"delta.enableDeletionVectors": "true"}),
    "variant": Fixture(requiring("variantType"), ("variantType",), columns=columns("variant")),
    "widened": Fixture(requiring("typeWidening"), ("typeWidening",), {"delta.enableTypeWidening": "true"}),
    "checkpoints_of_another_kind": Fixture(requiring("v2Checkpoint")),
    "invented": Fixture(requiring("timeTravelBackwards"), ("timeTravelBackwards",)),
    "from_the_future": Fixture({"minReaderVersion": 9, "minWriterVersion": 9}, ("version 9",)),
    # Only who writes has to know it.
    "invented_for_writers": Fixture({"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": ["timeTravelBackwards"]}),
}


def lay_out(at: Path, fixture: Fixture) -> None:
    (at / "_delta_log").mkdir(parents=True)
    names = ["col-1", "col-2"] if fixture.configuration == MAPPED else ["id", "word"]
    pq.write_table(pa.table([pa.array([1, 2, 3], pa.int64()), pa.array(["a", "b", "c"])], names=names), at / "part.parquet")
    size = (at / "part.parquet").stat().st_size
    schema = json.dumps({"type": "struct", "fields": fixture.columns})
    metadata = {"id": "5fba94ed-9794-4965-ba6e-6ee3c0d22af9", "format": {"provider": "parquet", "options": {}}, "schemaString": schema,
                "partitionColumns": [], "configuration": fixture.configuration, "createdTime": 1}
    file = {"path": "part.parquet", "partitionValues": {}, "size": size, "modificationTime": 1, "dataChange": True, "stats": '{"numRecords": 3}'}
    write_commit(at, 0, {"protocol": fixture.protocol}, {"metaData": metadata}, {"add": file | fixture.add})


def write_commit(at: Path, version: int, *actions: dict) -> None:
    text = "".join(json.dumps(action) + "\n" for action in actions)
    (at / "_delta_log" / f"{version:020}.json").write_text(text)


def content(at: Path) -> dict[str, bytes]:
    return {str(path.relative_to(at)): path.read_bytes() for path in sorted(at.rglob("*")) if path.is_file()}


def check_foreign(world: World) -> None:
    folder = Wrapped(world.binary, world.folder / "project", "name: p\n", {})
    for name, fixture in FIXTURES.items():
        at = folder.table("foreign", name)
        lay_out(at, fixture)
        before = content(at)
        check_answers(world, folder, name, fixture)
        world.hold(f"L16 {name}: asking changes nothing of it", content(at) == before, sorted(content(at)))
    listed(world, folder)
    checkpointed(world, folder)
    not_written(world)
    written_by_both(world)


def check_answers(world: World, folder: Wrapped, name: str, fixture: Fixture) -> None:
    for sql, expected in ((f"select * from foreign.{name} order by id", ROWS), (f"select count(*) as n from foreign.{name}", "n\n3\n")):
        done = folder.run("query", sql, "--format", "csv")
        if not fixture.refused:
            world.hold(f"L16 {name}: is read", (done.returncode, done.stdout) == (0, expected), done)
            continue
        world.hold(f"L16 {name}: is refused, not answered in part", done.returncode == 2 and not done.stdout, done)
        named = all(word in done.stderr for word in fixture.refused) and name in done.stderr
        # To take it for damaged would have its owner remove it.
        world.hold(f"L16 {name}: the refusal names it and does not call it damaged", named and "damaged" not in done.stderr, done.stderr)


def listed(world: World, folder: Wrapped) -> None:
    """One table that is refused does not keep the others out of the list."""
    done = folder.run("tables", "--json")
    world.hold("L16 tables are listed", done.returncode == 0, done)
    found = {table["name"].removeprefix("foreign."): table for table in json.loads(done.stdout)}
    expected = {name: (None, True) if fixture.refused else (3, False) for name, fixture in FIXTURES.items()}
    is_told = {name: (table["rows"], table["error"] is not None) for name, table in found.items()}
    world.hold("L16 those that are refused with their reason", is_told == expected, is_told)


def checkpointed(world: World, folder: Wrapped) -> None:
    """A table that lives from its checkpoint gets a feature nobody knows: its owner can still read it afterwards."""
    at = folder.table("foreign", "checkpointed")
    make_checkpointed(at)
    last = content(at)
    write_commit(at, 3, {"protocol": requiring("timeTravelBackwards")})
    done = folder.run("query", "select count(*) from foreign.checkpointed")
    world.hold("L16 checkpointed: is refused", done.returncode == 2, done)
    (at / "_delta_log" / f"{3:020}.json").unlink()
    world.hold("L16 checkpointed: its checkpoint is left alone", content(at) == last, sorted(content(at)))


def make_checkpointed(at: Path) -> None:
    """Three rows in three commits, of which a checkpoint alone tells."""
    at.parent.mkdir(parents=True, exist_ok=True)
    for number in range(3):
        write_deltalake(str(at), pa.table({"id": [number]}), mode="append")
    DeltaTable(str(at)).create_checkpoint()
    for version in (0, 1):
        (at / "_delta_log" / f"{version:020}.json").unlink()


def not_written(world: World) -> None:
    """A table that begins to ask writers for what is not known here is not written to any more."""
    data = world.folder / "data"
    folder = Wrapped(world.binary, world.folder / "writing", "name: p\n", {"lines": FILES % data})
    put_lines(data, "1", range(3))
    done = folder.run("ingest")
    world.hold("L16 a table is written", done.returncode == 0, done)
    at = folder.table("lines", "lines")
    newest = max(int(path.stem) for path in (at / "_delta_log").glob("*.json"))
    write_commit(at, newest + 1, {"protocol": FIXTURES["invented_for_writers"].protocol})
    before = content(at)
    put_lines(data, "2", range(3, 6))
    try:
        done = folder.run("ingest", seconds=SECONDS)
        world.hold("L16 a table that cannot be written is refused by name", done.returncode != 0 and "timeTravelBackwards" in done.stderr, done)
    except subprocess.TimeoutExpired as waited:
        world.hold("L16 a table that cannot be written is refused, not tried for ever", False, waited.stderr)
    world.hold("L16 and no version of it is written", commits(content(at)) == commits(before), commits(content(at)))
    rows = folder.run("query", "select count(*) as n from lines.lines", "--format", "csv")
    world.hold("L16 it is still read", rows.stdout == "n\n3\n", rows)


def written_by_both(world: World) -> None:
    """Another engine appends to a table that is ingested, merges its files and makes a checkpoint of it (A19)."""
    data = world.folder / "data-of-both"
    folder = Wrapped(world.binary, world.folder / "both", "name: p\n", {"lines": FILES % data})
    put_lines(data, "1", range(3))
    folder.run("ingest")
    at = str(folder.table("lines", "lines"))
    for number, meddle in enumerate((append_again, lambda path: DeltaTable(path).optimize.compact(), lambda path: DeltaTable(path).create_checkpoint()), 2):
        meddle(at)
        put_lines(data, str(number), range(3 * number - 3, 3 * number))
        done = folder.run("ingest")
        world.hold(f"A19 the source goes on after a change by others, {number - 1}", done.returncode == 0, done)
    rows = folder.run("query", "select count(*) as n, count(distinct id) as ids from lines.lines", "--format", "csv")
    world.hold("A19 every row of ours is there once, and what the other wrote", rows.stdout == "n,ids\n15,12\n", rows)


def append_again(at: str) -> None:
    write_deltalake(at, DeltaTable(at).to_pyarrow_table(), mode="append")


def commits(files: dict[str, bytes]) -> list[str]:
    return [name for name in files if name.startswith("_delta_log/")]
