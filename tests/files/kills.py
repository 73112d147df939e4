"""Files keep coming while `headwater up` is killed at random: every line is in the table or in quarantine, once.

    kills.py --binary PATH [--kills 20] [--seed 1]
"""

import gzip
import json
import random
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "harness"))

from lakes import Folder  # noqa: E402
from project import Outcome, tail  # noqa: E402
from script import parser, workplace  # noqa: E402

SETTINGS = "name: p\n"
SOURCE = "kind: files\nname: %s\nfrom: {path: '%s', format: %s, settle_seconds: 0, poll_seconds: 1}\nrotate: {every: 100ms}\n"
MALFORMED = 97


class Sender(threading.Thread):
    """Puts files where sources look for them, whole ones by a rename, until told to stop."""

    def __init__(self, folder: Path, seed: int):
        super().__init__()
        self.folder, self.dice, self.stopping = folder, random.Random(seed), threading.Event()
        self.rows = {"lines": 0, "cells": 0}
        self.malformed = {"lines": 0, "cells": 0}

    def run(self) -> None:
        number = 0
        while not self.stopping.is_set():
            for kind in self.rows:
                self.put(kind, number)
            number += 1
            time.sleep(self.dice.uniform(0.01, 0.12))

    def put(self, kind: str, number: int) -> None:
        text = "id,word\n" if kind == "cells" else ""
        for _ in range(self.dice.randrange(1, 400)):
            if self.dice.randrange(MALFORMED) == 0:
                text += "one,two,three\n" if kind == "cells" else '{"id": \n'
                self.malformed[kind] += 1
                continue
            row = self.rows[kind]
            text += f'{row},"w {row % 7}"\n' if kind == "cells" else json.dumps({"id": row, "word": f"w {row % 7}"}) + "\n"
            self.rows[kind] += 1
        packed = self.dice.random() < 0.5
        name = f"{number:06}.{'csv' if kind == 'cells' else 'jsonl'}{'.gz' if packed else ''}"
        hidden = self.folder / f".{kind}-{name}"
        hidden.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
        hidden.rename(self.folder / kind / name)


def held(folder: Folder, kind: str, rows: int, malformed: int) -> list[str]:
    """What is not once in the table, or once in its quarantine."""
    found = folder.rows(f"select count(*), count(distinct id), min(id), max(id) from {kind}.{kind}")
    aside = folder.rows(f"select count(*), count(distinct source_file || ' ' || position) from {kind}.{kind}_quarantine")
    expected = [[str(rows), str(rows), "0", str(rows - 1)]], [[str(malformed)] * 2]
    return [] if (found, aside) == expected else [f"{found} and {aside}, expected {expected}"]


def check_between(outcome: Outcome, binary: Path, root: Path) -> None:
    """Death after the quarantine's commit, before the table's; then other files come first and commits end elsewhere."""
    data = root / "between"
    data.mkdir()
    folder = Folder(binary, root / "p", SETTINGS, {"s": SOURCE % ("s", data, "json")})
    for number in range(1, 7):
        (data / f"{number}.jsonl").write_text(f'{{"id": {number}}}\nbroken\n')
    point = "dl.rejected_committed_before_rows"
    died = folder.run("ingest", variables={"HEADWATER_FAULT": f"{point}=abort"})
    outcome.hold("the process dies between the two commits", [] if died.returncode < 0 and point in died.stderr else [tail(died.stderr)])
    (data / "0.jsonl").write_text('{"id": 0}\nbroken\n')
    path = folder.folder / "sources" / "s.yml"
    path.write_text(path.read_text().replace("every: 100ms", "rows: 4"))
    died = folder.run("ingest", variables={"HEADWATER_FAULT": f"{point}=abort"})
    outcome.hold("and again", [] if died.returncode < 0 else [tail(died.stderr)])
    done = folder.run("ingest")
    outcome.hold("the next ingest needs no help", [] if done.returncode == 0 else [tail(done.stderr)])
    outcome.hold("every row and every rejected line is there once", held(folder, "s", 7, 7))


def check_numbers(outcome: Outcome, binary: Path, root: Path) -> None:
    """The same, but the life in between ends where the table is as many files on as the quarantine was before: other files."""
    data = root / "numbers"
    data.mkdir()
    folder = Folder(binary, root / "n", SETTINGS, {"s": (SOURCE % ("s", data, "json")).replace("every: 100ms", "every: 1h")})
    text = lambda number: f'{{"id": {number}}}\nbroken\n'  # noqa: E731
    for number in range(1, 7):
        (data / f"{number}.jsonl").write_text(text(number))
    point = "dl.rejected_committed_before_rows"
    died = folder.run("ingest", variables={"HEADWATER_FAULT": f"{point}=abort"})
    outcome.hold("six files are set aside in one commit, and the process dies", [] if died.returncode < 0 else [tail(died.stderr)])
    aside = folder.rows("select count(*) from s.s_quarantine")
    outcome.hold("what they hold is in the quarantine alone", [] if aside == [["6"]] else [str(aside)])
    path = folder.folder / "sources" / "s.yml"
    path.write_text(path.read_text().replace("every: 1h", "rows: 1"))
    (data / "0.jsonl").write_text(text(0))
    died = folder.run("ingest", variables={"HEADWATER_FAULT": "dl.commit_done_before_upstream_ack=abort@6"})
    outcome.hold("it dies again once six files are taken, each in a commit", [] if died.returncode < 0 else [tail(died.stderr)])
    outcome.hold("what is set aside is of these files", held(folder, "s", 6, 6))
    done = folder.run("ingest")
    outcome.hold("the last file needs no help", [] if done.returncode == 0 else [tail(done.stderr)])
    outcome.hold("every row and every rejected line is there once, whatever its number was", held(folder, "s", 7, 7))


def check_kills(outcome: Outcome, binary: Path, root: Path, kills: int, seed: int) -> None:
    data = root / "data"
    for kind in ("lines", "cells"):
        (data / kind).mkdir(parents=True)
    sources = {
        "lines": SOURCE % ("lines", data / "lines", "json"),
        "cells": SOURCE % ("cells", data / "cells", "csv"),
    }
    folder = Folder(binary, root / "project", SETTINGS, sources)
    sender, dice = Sender(data, seed), random.Random(seed)
    sender.start()
    try:
        for _ in range(kills):
            process = folder.start("up", "--port", "0")
            if not process.until("Listening on", 60):
                outcome.hold("`up` starts after a kill", [tail(process.said())])
            time.sleep(dice.uniform(0.02, 0.9))
            process.kill()
    finally:
        sender.stopping.set()
        sender.join()
    done = folder.run("ingest")
    outcome.hold("the last ingest needs no help", [] if done.returncode == 0 else [tail(done.stderr)])
    for kind, rows in sender.rows.items():
        what = f"{kind}: every row and every malformed line is there once after {kills} kills"
        outcome.hold(what, held(folder, kind, rows, sender.malformed[kind]))
        verified = folder.run("verify", kind)
        outcome.hold(f"{kind}: `verify` agrees", [] if verified.returncode == 0 else [tail(verified.stdout + verified.stderr)])
    print(f"{sum(sender.rows.values())} rows and {sum(sender.malformed.values())} malformed lines over {kills} kills", flush=True)


def main() -> int:
    options = parser(__doc__, kills=20, seed=1).parse_args()
    outcome = Outcome()
    with workplace() as root:
        check_between(outcome, options.binary, root)
        check_numbers(outcome, options.binary, root)
        check_kills(outcome, options.binary, root, options.kills, options.seed)
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
