"""The corpus of SQL snippets through the binary: each snippet is a model of a dbt project of its dialect.

    run_corpus.py --binary target/release/headwater [--dialect D] [--only WORD] [--one-by-one]
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import corpus

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

from project import Outcome, tail  # noqa: E402
from script import parser  # noqa: E402

MANY = "1000000"
PROJECT = "name: snippets\nversion: '1.0'\nprofile: snippets\nmodel-paths: [models]\n"
PROFILE = "snippets:\n  target: dev\n  outputs:\n    dev: {{type: {}, schema: analytics, threads: 1}}\n"


@dataclass
class Answer:
    """Rows, or why there are none."""

    columns: list[str]
    rows: list[list] | None
    error: str = ""


def answer(rows: list[dict]) -> Answer:
    return Answer(list(rows[0]) if rows else [], [list(row.values()) for row in rows])


def lay_out(folder: Path, dialect: str, snippets: list[corpus.Snippet]) -> None:
    (folder / "models").mkdir()
    (folder / "dbt_project.yml").write_text(PROJECT)
    (folder / "profiles.yml").write_text(PROFILE.format(dialect))
    for snippet in snippets:
        (folder / "models" / f"{snippet.model}.sql").write_text(snippet.sql)


def show(binary: Path, folder: Path, *words: str) -> subprocess.CompletedProcess:
    command = [str(binary.resolve()), "-C", str(folder), "--no-color", "show", *words, "--limit", MANY]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1200, check=False)


def documents(text: str) -> Iterator[dict]:
    """JSON documents that follow each other, over one line or several. A process that died may leave half of one."""
    decoder, at = json.JSONDecoder(parse_float=Decimal), 0
    while (start := text.find("{", at)) >= 0:
        try:
            document, at = decoder.raw_decode(text, start)
        except ValueError:
            return
        yield document


def ask_at_once(binary: Path, folder: Path, snippets: list[corpus.Snippet]) -> dict[str, Answer]:
    """Answers by model: a document `{"node": ..., "show": [...]}` each, or one with `error`; without one, what stderr says."""
    done = show(binary, folder, "--select", "path:models", "--output", "json")
    found = {}
    for document in documents(done.stdout):
        model = document["node"].split(".")[-1]
        rows = document.get("show")
        found[model] = answer(rows) if rows is not None else Answer([], None, json.dumps(document, ensure_ascii=False))
    silent = [one.model for one in snippets if one.model not in found]
    told_of = {model: said_of(model, done.stderr) for model in silent}
    if not all(told_of.values()):
        print(f"headwater ended with {done.returncode}: {tail(done.stderr)}", flush=True)
    return found | {model: Answer([], None, told_of[model] or "no answer") for model in silent}


def said_of(model: str, stderr: str) -> str:
    """The lines from one that names the model up to the next that is not indented."""
    lines, found = stderr.splitlines(), []
    for line in lines:
        if model in line or (found and line.startswith(" ")):
            found.append(line)
        elif found:
            break
    return "\n".join(found)


def ask_one_by_one(binary: Path, folder: Path, snippets: list[corpus.Snippet]) -> dict[str, Answer]:
    """A process for each snippet: for a binary that one of them brings down."""
    found = {}
    for snippet in snippets:
        done = show(binary, folder, snippet.model, "--format", "ndjson", "--quiet")
        failed = done.returncode != 0
        found[snippet.model] = Answer([], None, done.stderr.strip()[:600]) if failed else answer(list(documents(done.stdout)))
    return found


def problems(snippet: corpus.Snippet, given: Answer) -> list[str]:
    """What is wrong with an answer: nothing, or one text."""
    if snippet.unsupported:
        return [] if given.rows is None else [f"works now, so the mark has to go: {snippet.unsupported}"]
    if given.rows is None:
        return [told(snippet, given.error)]
    if snippet.rows is None:
        return ["has no rows to compare with"]
    names = snippet.columns and given.rows and [one.lower() for one in given.columns]
    if names and names != [one.lower() for one in snippet.columns]:
        return [told(snippet, f"columns {given.columns}")]
    return [] if corpus.same(snippet.rows, given.rows) else [told(snippet, lines_of(given.rows))]


def told(snippet: corpus.Snippet, got: str) -> str:
    return f"\n{snippet.sql.rstrip()}\n  expected: {lines_of(snippet.rows or [])}\n  got:      {got}\n"


def lines_of(rows: list[list]) -> str:
    return "\n            ".join(corpus.scalar(row) for row in rows) or "no rows"


def check(outcome: Outcome, binary: Path, dialect: str, only: str, one_by_one: bool) -> str:
    """Runs the snippets of a dialect and says how many of them passed."""
    snippets = [one for one in corpus.load(dialect) if only in one.name or only in one.model]
    if not snippets:
        return f"{dialect}: nothing to run"
    with tempfile.TemporaryDirectory() as root:
        lay_out(Path(root), dialect, snippets)
        answers = (ask_one_by_one if one_by_one else ask_at_once)(binary, Path(root), snippets)
    before = outcome.passed
    for snippet in snippets:
        outcome.hold(f"{dialect} {snippet.group}: {snippet.name}", problems(snippet, answers[snippet.model]))
    return f"{dialect}: {outcome.passed - before} of {len(snippets)} passed"


def main() -> int:
    words = parser(__doc__)
    words.add_argument("--dialect", choices=corpus.DIALECTS, help="all of them when not given")
    words.add_argument("--only", default="", help="snippets whose name, or group__name, has this in it")
    words.add_argument("--one-by-one", action="store_true", help="a process for each snippet")
    options = words.parse_args()
    outcome = Outcome()
    dialects = [options.dialect] if options.dialect else corpus.DIALECTS
    counts = [check(outcome, options.binary, one, options.only, options.one_by_one) for one in dialects]
    print("\n".join(counts))
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
