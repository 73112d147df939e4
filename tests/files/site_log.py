#!/usr/bin/env python3
"""Takes real files into a lake: gzipped JSON, last lines without a line end, empty user ids, numbers as strings.

    python site_log.py --binary PATH [--data FOLDER]

FOLDER holds the thirty daily logs of November 2018, `2018-11-DD-events.json.gz`; when not given, they are looked for in a
folder `shared` beside the checkout. Counts per page must be those the logs are known to have; a second run must add nothing; a
new file must be taken; a line that does not read must be set aside with its file and line number. Says `skipped` when the folder is not there. Standard library only.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

from project import Outcome  # noqa: E402
from script import parser, workplace  # noqa: E402

PROJECT = Path(__file__).resolve().parent / "project"
DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "eventsim" / "log"
PAGES = {
    "NextSong": 6820,
    "Home": 806,
    "Login": 92,
    "Logout": 90,
    "Downgrade": 60,
    "Settings": 56,
    "Help": 47,
    "About": 36,
    "Upgrade": 21,
    "Save Settings": 10,
    "Error": 9,
    "Submit Upgrade": 8,
    "Submit Downgrade": 1,
}


class Lake:
    def __init__(self, binary: Path, folder: Path):
        self.binary, self.folder = binary, folder

    def run(self, *arguments: str) -> str:
        command = [self.binary, "-C", self.folder, *arguments]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"`headwater {' '.join(arguments)}` ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def rows(self, sql: str) -> list[dict]:
        return json.loads(self.run("query", sql, "--format", "json"))

    def count(self, table: str) -> int:
        return int(self.rows(f"select count(*) as n from {table}")[0]["n"])


def checks(lake: Lake, data: Path):
    """(what should hold, expected, found), one after the other."""
    lake.run("ingest")
    pages = {row["page"]: int(row["n"]) for row in lake.rows("select page, count(*) as n from site.log group by page")}
    yield "counts per page", PAGES, pages
    lake.run("ingest")
    yield "a second run adds nothing", sum(PAGES.values()), lake.count("site.log")
    event = lake.rows("select * from site.log where page = 'Home' limit 1")[0]
    good = {key: value for key, value in event.items() if not key.startswith("_") and value is not None}
    lines = [json.dumps(good), '{"page": "Home", "ts": 15', json.dumps(good)]
    (data / "2018-12-01-events.json").write_text("\n".join(lines))
    lake.run("ingest")
    yield "a new file is taken, its last line without a line end", sum(PAGES.values()) + 2, lake.count("site.log")
    bad = lake.rows("select source_file, position, reason, record from site.log_quarantine")
    places = [(row["source_file"], int(row["position"])) for row in bad]
    yield "a corrupt line is set aside with file and line", [("2018-12-01-events.json", 2)], places
    yield "with its reason and text", True, all(row["reason"] and row["record"] == lines[1] for row in bad)


def main() -> int:
    options = parser(__doc__, data=DATA).parse_args()
    files = sorted(options.data.glob("2018-11-*-events.json.gz")) if options.data.is_dir() else []
    if not files:
        print(f"skipped: no daily logs in {options.data}")
        return 0
    outcome = Outcome()
    with workplace() as root:
        folder = root / "project"
        shutil.copytree(PROJECT, folder)
        data = folder / "data"
        data.mkdir()
        for file in files:
            shutil.copyfile(file, data / file.name)
        for what, expected, found in checks(Lake(options.binary, folder), data):
            outcome.hold(what, [] if expected == found else [f"expected {expected}, found {found}"])
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
