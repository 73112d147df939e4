"""The suite that every log passes, over a real broker, and one owner after the other.

    log_conformance.py

Builds nothing where the tests of the workspace are built. Says `skipped` where there is no Java or Maven.
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

from broker import Broker, jars  # noqa: E402
from project import Outcome  # noqa: E402
from script import cargo_test  # noqa: E402

TEST = "a_log_on_kafka_does_what_every_log_does"


def main() -> int:
    if jars() is None:
        print("skipped: no Kafka to test with")
        return 0
    with Broker() as broker:
        done = cargo_test(TEST, {"HEADWATER_TEST_KAFKA": broker.address})
    passed = re.search(rf"{TEST} \.\.\. ok", done.stdout) and "skipped:" not in done.stdout
    outcome = Outcome()
    outcome.hold("the suite", [done.stderr[-3000:] + done.stdout[-3000:]] if done.returncode or not passed else [])
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
