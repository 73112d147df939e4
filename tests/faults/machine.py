#!/usr/bin/env python3
"""What the machine does to a process: disks that break or fill up, limits, rights, many starts, keys that end, foreign tables.

    machine.py --binary PATH [--only NAME] [--commits 300] [--starts 200] [--keep FOLDER]

Each check works on the binary as a user would. Those that need a file system of their own are skipped by name where none
can be mounted. Rows such as A8 are those of docs/faults.md. Needs gcc, and the packages deltalake, pyarrow and moto[server].
"""

import argparse
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

from credentials import check_credentials  # noqa: E402
from disks import cannot_mount  # noqa: E402
from foreign import check_foreign  # noqa: E402
from limits import check_inodes, check_open_files, check_owner, check_read_only  # noqa: E402
from project import Failed, Outcome  # noqa: E402
from panics import check_panics  # noqa: E402
from served import World  # noqa: E402
from space import check_generator_full, check_lake_full, check_log_full, check_spill_full, check_state_full  # noqa: E402
from starts import check_commits, check_starts  # noqa: E402
from syncs import check_sync  # noqa: E402

CHECKS = {
    "sync": check_sync,
    "lake-full": check_lake_full,
    "log-full": check_log_full,
    "generator-full": check_generator_full,
    "state-full": check_state_full,
    "spill-full": check_spill_full,
    "open-files": check_open_files,
    "inodes": check_inodes,
    "read-only": check_read_only,
    "owner": check_owner,
    "credentials": check_credentials,
    "foreign": check_foreign,
    "panics": check_panics,
    "starts": check_starts,
    "commits": check_commits,
}
NEED_A_DISK = {"lake-full", "log-full", "generator-full", "state-full", "spill-full", "inodes", "read-only"}

AT_ONCE = 3


def run(name: str, world: World) -> None:
    began = time.monotonic()
    world.folder.mkdir(parents=True)
    try:
        CHECKS[name](world)
    except Failed as failure:
        world.outcome.hold(name, [str(failure)])
    except Exception:
        world.outcome.hold(name, [traceback.format_exc()])
    print(f"{name}: {time.monotonic() - began:.1f} s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--only", choices=CHECKS, action="append", help="this check; can be given several times")
    parser.add_argument("--commits", type=int, default=300, help="commits of the long run")
    parser.add_argument("--starts", type=int, default=200, help="starts in a row")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it, for looking into a failure")
    options = parser.parse_args()
    outcome = Outcome()
    with tempfile.TemporaryDirectory(prefix="headwater-machine-") as temporary:
        root = (options.keep or Path(temporary)).resolve()
        why = cannot_mount(root)
        names = options.only or list(CHECKS)
        for name in names if why else ():
            if name in NEED_A_DISK:
                print(f"skipped: {name}, no file system can be mounted here ({why})", flush=True)
        # Most of them wait, for a retry or a second look of a source.
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for name in names:
                if not (why and name in NEED_A_DISK):
                    pool.submit(run, name, World(options.binary, root / name, outcome, options.commits, options.starts))
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
