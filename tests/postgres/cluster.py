"""A PostgreSQL server of the test's own: its folder, its port, its life."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from web import free_port

SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = '{socket}'
port = {port}
wal_level = logical
max_wal_senders = 20
max_replication_slots = 20
fsync = off
full_page_writes = off
wal_sender_timeout = 10s
max_slot_wal_keep_size = {keep}
log_min_messages = warning
"""


def binaries() -> Path | None:
    """The newest PostgreSQL that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


class Cluster:
    """Runs as the user `postgres`, because the server refuses to run as root."""

    def __init__(self, keep: str = "-1", password: str | None = None):
        self.bin = binaries()
        self.folder = Path(tempfile.mkdtemp(prefix="headwater-pg-", dir="/tmp"))
        self.data = self.folder / "data"
        self.port = free_port()
        self.password = password
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres")
        (self.folder / "pw").write_text(password or "unused")
        if os.geteuid() == 0:
            shutil.chown(self.folder / "pw", "postgres")
        method = "scram-sha-256" if password else "trust"
        self.tool(
            "initdb", "-D", self.data, "-U", "postgres", "-E", "UTF8", "--locale=C",
            f"--auth={method}", f"--pwfile={self.folder / 'pw'}",
        )
        settings = SETTINGS.format(socket=self.folder, port=self.port, keep=keep)
        self.as_owner("tee", "-a", self.data / "postgresql.conf", input=settings)

    def as_owner(self, *command, input: str | None = None, check: bool = True):
        prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        return subprocess.run(
            [*prefix, *map(str, command)], input=input, capture_output=True, text=True, check=check, cwd="/tmp"
        )

    def tool(self, name: str, *arguments, check: bool = True):
        return self.as_owner(self.bin / name, *arguments, check=check)

    def start(self) -> None:
        self.tool("pg_ctl", "-D", self.data, "-w", "-t", "60", "-l", self.folder / "log", "start")

    def stop(self, how: str = "fast") -> None:
        self.tool("pg_ctl", "-D", self.data, "-w", "-m", how, "stop", check=False)

    def sql(self, text: str, database: str = "postgres") -> list[list[str]]:
        """Statements, each committed by itself; rows of the last as text, NULL as the empty text."""
        environment = os.environ | {"PGPASSWORD": self.password or ""}
        done = subprocess.run(
            [self.bin / "psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database,
             "-XqAt", "-F", "\x1f", "-v", "ON_ERROR_STOP=1"],
            input=text, env=environment, capture_output=True, text=True, check=False,
        )
        if done.returncode:
            raise RuntimeError(f"psql: {done.stderr.strip()}\n{text[:400]}")
        return [line.split("\x1f") for line in done.stdout.splitlines()]

    def value(self, text: str, database: str = "postgres") -> str:
        rows = self.sql(text, database)
        return rows[0][0] if rows else ""

    def __enter__(self) -> "Cluster":
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)
