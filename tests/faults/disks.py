"""Small file systems in memory that can be filled, and what says that none can be had here."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from served import shell

BALLAST = ".ballast"


@contextmanager
def small_disk(at: Path, *options: str) -> Iterator[Path]:
    at.mkdir(parents=True, exist_ok=True)
    shell("mount", "-t", "tmpfs", "-o", ",".join(options), "headwater-fault", at)
    try:
        yield at
    finally:
        # A process that was killed may hold it a moment longer.
        shell("umount", "--lazy", at)


def free(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


def fill(disk: Path, leave: int = 0) -> None:
    """Takes all room but so many bytes, whatever others take meanwhile."""
    with (disk / BALLAST).open("ab") as ballast:
        while (room := free(disk) - leave) > 0:
            try:
                os.posix_fallocate(ballast.fileno(), ballast.tell(), room)
                ballast.seek(0, os.SEEK_END)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def make_room(disk: Path) -> None:
    (disk / BALLAST).unlink()


def cannot_mount(folder: Path) -> str | None:
    """Why no file system can be mounted here; none when it can."""
    try:
        with small_disk(folder / "probe", "size=1m"):
            return None
    except FileNotFoundError as error:
        return f"{error.filename} is not installed"
    except subprocess.CalledProcessError as error:
        return error.stderr.strip()
