#!/usr/bin/env python3
"""Compares manifest.json field by field with the one real dbt writes, and lets dbt's own readers read all artifacts.

    tests/conformance/dbt/artifacts.py --binary target/release/headwater

The project is `artifacts/project`; `artifacts/manifest.json` is what real dbt made of it, recorded by

    tests/conformance/dbt/artifacts.py --record --dbt /path/to/python/with/dbt

With `--dbt` (or the variable HEADWATER_DBT, or dbt in the interpreter this runs in) dbt itself reads what we wrote: through the
classes of its artifacts, and as `--state` of its own commands. Without dbt these checks are skipped, by name. Ends with
`N passed, M failed`.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "harness"))

from project import Outcome  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent / "artifacts"
PROJECT = HERE / "project"
RECORDED = HERE / "manifest.json"
SECTIONS = ("nodes", "sources", "exposures", "unit_tests", "groups", "macros", "docs", "disabled", "selectors",
            "metrics", "saved_queries", "semantic_models", "parent_map", "child_map", "group_map")
# When, where and by whom a manifest is made.
OF_THE_MAKING = {"created_at", "root_path", "generated_at", "invocation_id", "invocation_started_at", "dbt_version", "user_id"}
# Differences that are meant, each with its reason.
MEANT = {
    # The macros that are built in here are not dbt's, and which of them call which is not either.
    ("*", "depends_on", "macros"): "built-in macros differ",
    ("group", "config", "materialized"): "a group is not materialised; dbt lets the project's configuration in",
    ("operation", "checksum"): "of the statement, not of dbt_project.yml",
    ("operation", "unrendered_config"): "a hook is not configured as models are",
    ("snapshot.shop.ysnap", "checksum"): "of the entry, not of the whole properties file",
}
# Compiled code is not part of what `parse` writes.
COMPILED = {"compiled", "compiled_code", "compiled_path", "extra_ctes", "extra_ctes_injected"}


def known(path):
    """Whether a difference at this place is meant."""
    section, identity, *rest = path
    for (where, *keys) in MEANT:
        if where in ("*", identity, identity.split(".")[0]) and keys == rest[: len(keys)]:
            return True
    return bool(rest) and rest[-1] in OF_THE_MAKING | COMPILED


def in_order(value):
    """Lists of ids in any order."""
    return sorted(value) if isinstance(value, list) and all(isinstance(item, str) for item in value) else value


def differences(path, ours, theirs):
    if len(path) > 2 and known(path):
        return
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted({*ours, *theirs}):
            if key in OF_THE_MAKING | COMPILED or len(path) > 1 and known([*path, key]):
                continue
            if key not in ours:
                yield f"{'.'.join([*path, key])}: missing; dbt has {json.dumps(theirs[key])[:200]}"
            elif key not in theirs:
                yield f"{'.'.join([*path, key])}: dbt has none, ours is {json.dumps(ours[key])[:200]}"
            else:
                yield from differences([*path, key], ours[key], theirs[key])
        return
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs) and any(isinstance(item, dict) for item in ours):
        by_text = lambda items: sorted(items, key=lambda item: json.dumps(item, sort_keys=True)) if path[-1] == "refs" else items
        for index, (one, other) in enumerate(zip(by_text(ours), by_text(theirs))):
            yield from differences([*path, str(index)], one, other)
        return
    if in_order(ours) != in_order(theirs):
        yield f"{'.'.join(path)}: ours {json.dumps(ours)[:300]}, dbt's {json.dumps(theirs)[:300]}"


class Checks(Outcome):
    def check(self, name, problems):
        problems = list(problems)
        told = problems[:60] + [f"and {len(problems) - 60} more"] * (len(problems) > 60)
        self.hold(name, ["\n".join(["", *told])] if problems else [])


class Ours:
    def __init__(self, binary, folder):
        self.binary, self.folder = binary.resolve(), folder
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("DBT_")}
        self.environment |= {"HEADWATER_LOG": "error", "HOME": str(folder.parent)}

    def run(self, *words):
        return subprocess.run([str(self.binary), "-C", str(self.folder), "--no-color", *words],
                              capture_output=True, text=True, env=self.environment, timeout=120)

    def must(self, *words):
        done = self.run(*words)
        if done.returncode != 0:
            raise SystemExit(f"headwater {' '.join(words)}: exit {done.returncode}\n{done.stderr}")
        return done

    def artifact(self, name):
        return json.loads((self.folder / ".headwater" / "target" / name).read_text())


def dbt(python, folder, *words):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DBT_")}
    script = "import sys; from dbt.cli.main import dbtRunner; result = dbtRunner().invoke(sys.argv[1:]); sys.exit(0 if result.success else 2 if result.exception else 1)"
    return subprocess.run(
        [python, "-c", script, "--quiet", "--no-use-colors", "--no-send-anonymous-usage-stats", *words, "--project-dir", ".", "--profiles-dir", "."],
        cwd=folder, capture_output=True, text=True, env=environment, timeout=300)


READERS = """
import json, sys
from dbt.artifacts.schemas.manifest.v12.manifest import WritableManifest
from dbt.artifacts.schemas.run.v5.run import RunResultsArtifact
from dbt.artifacts.schemas.catalog.v1.catalog import CatalogArtifact
from dbt.artifacts.schemas.freshness.v3.freshness import FreshnessExecutionResultArtifact
readers = {"manifest.json": WritableManifest, "run_results.json": RunResultsArtifact, "catalog.json": CatalogArtifact, "sources.json": FreshnessExecutionResultArtifact}
for name, reader in readers.items():
    try:
        read = reader.read_and_check_versions(f"{sys.argv[1]}/{name}")
        reader.from_dict(json.load(open(f"{sys.argv[1]}/{name}")))
        if name != "manifest.json":
            reader.validate(json.load(open(f"{sys.argv[1]}/{name}")))
    except Exception as error:
        print(f"{name}: {type(error).__name__}: {str(error)[:2000]}")
"""


def with_dbt(checks, ours, python, folder):
    """dbt reads what we wrote, and we what dbt wrote."""
    target = ours.folder / ".headwater" / "target"
    read = subprocess.run([python, "-c", READERS, str(target)], capture_output=True, text=True, timeout=300)
    checks.check("dbt's own classes read every artifact", [*read.stdout.splitlines(), *([read.stderr[-2000:]] if read.returncode else [])])
    theirs = folder / "theirs"
    lay_out(theirs)
    listed = dbt(python, theirs, "ls", "--select", "state:modified", "--exclude", "resource_type:test", "--state", str(target), "--output", "name")
    # A macro of dbt that is not in our manifest counts as changed: it is the only reason for what is listed.
    builtin = {"c"}
    modified = set(listed.stdout.split()) - builtin
    checks.check("an unchanged project is unmodified to dbt", [f"exit {listed.returncode}: {listed.stdout} {listed.stderr[-1500:]}"] if listed.returncode or modified else [])
    bodies = dbt(python, theirs, "ls", "--select", "state:modified.body", "state:modified.configs", "state:modified.relation", "state:modified.contract", "state:new", "--state", str(target), "--output", "name")
    checks.check("every part of an unchanged project is unmodified to dbt", [f"exit {bodies.returncode}: {bodies.stdout} {bodies.stderr[-1500:]}"] if bodies.returncode or bodies.stdout.split() else [])
    (theirs / "models" / "a.sql").write_text("select 1 as id, 'x' as name, 2 as at")
    changed = dbt(python, theirs, "ls", "--select", "state:modified.body", "--resource-type", "model", "--state", str(target), "--output", "name")
    checks.check("a changed model is modified to dbt", [] if changed.stdout.split() == ["a"] else [f"{changed.stdout} {changed.stderr[-1500:]}"])
    back = folder / "back"
    lay_out(back)
    parsed = dbt(python, back, "parse", "--target-path", "left")
    found = Ours(ours.binary, back).must("ls", "--select", "state:modified", "state:new", "--state", "left").stdout
    checks.check("an unchanged project is unmodified by dbt's manifest", [found] if found.strip() or parsed.returncode else [])
    (back / "models" / "a.sql").write_text("select 1 as id, 'x' as name, 2 as at")
    found = Ours(ours.binary, back).must("ls", "--select", "state:modified.body", "--state", "left", "--output", "name", "--resource-type", "model").stdout
    checks.check("a changed model is modified by dbt's manifest", [] if found.split() == ["a"] else [found])


def lay_out(folder):
    shutil.copytree(PROJECT, folder)


def record(python):
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary) / "shop"
        lay_out(folder)
        done = dbt(python, folder, "parse")
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
        manifest = json.loads((folder / "target" / "manifest.json").read_text())
    own = lambda key: ".dbt." not in f".{key}" and ".dbt_duckdb." not in f".{key}"
    kept = {section: {key: value for key, value in manifest[section].items() if section not in ("macros", "docs") or own(key)} for section in SECTIONS}
    for section in kept.values():
        forget(section)
    RECORDED.write_text(json.dumps({"metadata": list(manifest["metadata"]), **kept}, indent=1, sort_keys=True) + "\n")


def forget(value):
    """Leaves out what no two manifests share."""
    if isinstance(value, dict):
        for key in OF_THE_MAKING & value.keys():
            del value[key]
        for item in value.values():
            forget(item)
    elif isinstance(value, list):
        for item in value:
            forget(item)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", type=pathlib.Path)
    parser.add_argument("--dbt", default=os.environ.get("HEADWATER_DBT"))
    parser.add_argument("--record", action="store_true")
    arguments = parser.parse_args()
    python = arguments.dbt or (sys.executable if importlib.util.find_spec("dbt") else None)
    if arguments.record:
        return record(python)
    checks = Checks()
    recorded = json.loads(RECORDED.read_text())
    with tempfile.TemporaryDirectory() as temporary:
        temporary = pathlib.Path(temporary)
        lay_out(temporary / "shop")
        ours = Ours(arguments.binary, temporary / "shop")
        ours.must("parse")
        manifest = ours.artifact("manifest.json")
        checks.check("metadata", {f"missing: {key}" for key in recorded["metadata"] if key not in manifest["metadata"]})
        for section in SECTIONS:
            checks.check(section, differences([section], manifest[section], recorded[section]))
        ours.must("seed")
        ours.run("build", "--exclude", "source:*+", "micro")
        ours.must("docs", "generate")
        ours.run("source", "freshness")
        names = {"manifest.json", "run_results.json", "catalog.json", "sources.json"}
        checks.check("artifacts are there", {f"no {name}" for name in names if not (ours.folder / ".headwater" / "target" / name).exists()})
        checks.check("an unchanged project is unmodified by its own manifest", ours.must("ls", "--select", "state:modified", "state:new", "--state", ".headwater/target").stdout.splitlines())
        if python:
            with_dbt(checks, ours, python, temporary)
        else:
            print("skipped: what dbt makes of our artifacts, as there is no dbt")
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
