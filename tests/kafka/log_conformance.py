"""The suite that every log passes, over a real broker, and one owner after the other.

    log_conformance.py

Builds nothing where the crates that link the engine were tested before. Says `skipped` where there is no Java or Maven.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from broker import ROOT, Broker, jars  # noqa: E402

HEAVY = ["lake", "engine", "app", "server"]
TEST = "a_log_on_kafka_does_what_every_log_does"


def main() -> int:
    if jars() is None:
        print("skipped: no Kafka to test with")
        return 0
    packages = [word for crate in HEAVY for word in ("-p", f"headwater-{crate}")] + ["-p", "headwater"]
    with Broker() as broker:
        done = subprocess.run(
            ["cargo", "test", "--release", *packages, "--", TEST, "--nocapture"], cwd=ROOT, text=True, capture_output=True, check=False,
            env=os.environ | {"HEADWATER_TEST_KAFKA": broker.address},
        )
    passed = re.search(rf"{TEST} \.\.\. ok", done.stdout) and "skipped:" not in done.stdout
    if done.returncode or not passed:
        print(done.stdout[-3000:], done.stderr[-3000:])
        print("0 passed, 1 failed")
        return 1
    print("1 passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
