"""A test script from its command line to the checks that it runs."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HELP = {
    "keep": "work in this folder and leave it, for looking into a failure",
    "only": "checks with this in their name",
}


def parser(doc: str, **defaults) -> argparse.ArgumentParser:
    """Takes `--binary` and an option for each default, of the default's type; without a default it is a path."""
    made = argparse.ArgumentParser(description=doc.splitlines()[0])
    made.add_argument("--binary", type=lambda text: Path(text).resolve(), required=True)
    for name, default in defaults.items():
        made.add_argument(f"--{name}", type=Path if default is None else type(default), default=default, help=HELP.get(name))
    return made


@contextmanager
def workplace(keep: Path | None = None) -> Iterator[Path]:
    """A folder that is gone afterwards, unless it was asked for."""
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix=f"headwater-{Path(sys.argv[0]).stem}-") as folder:
        yield Path(folder)


def timed(name: str, run: Callable, *given) -> None:
    began = time.monotonic()
    run(*given)
    print(f"{name}: {time.monotonic() - began:.1f} s", flush=True)


def run_checks(checks: Iterable[Callable], only: str, *given) -> None:
    """Those with `only` in their name, in turn."""
    for check in checks:
        if only in check.__name__:
            timed(check.__name__, check, *given)


def cargo_test(name: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Tests of the crates that need a service; built as everything else was."""
    profile = os.environ.get("HEADWATER_PROFILE", "release")
    command = ["cargo", "test", "--profile", profile, "--workspace", "--", name, "--nocapture"]
    return subprocess.run(command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, check=False)


def until(condition: Callable[[], object], seconds: float = 90) -> bool:
    """Whether it came to hold in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return False
