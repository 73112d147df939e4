"""Sources of a running process: looked at, paused, resumed, run again, by commands beside it and over HTTP.

    steering.py --binary target/release/headwater
"""

import json
import sys
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "push"))

from lakes import Folder  # noqa: E402
from project import Outcome, Project, running  # noqa: E402
from script import parser, workplace  # noqa: E402
from senders import Server, wait_for  # noqa: E402
from web import Handler  # noqa: E402
from web import Server as Web  # noqa: E402

SECRET = "canary-secret-77"
SOURCES = {
    "hooks": "kind: push\nname: hooks\nfrom: {max_waiting: 256 KiB}\nrotate: {every: 300ms}\n",
    "guarded": f"kind: push\nname: guarded\ndescription: What nobody may see\nfrom: {{token: {SECRET}}}\nrotate: {{every: 300ms}}\n",
    "site": "kind: files\nname: site\ntable: visits\nfrom: {path: data, include: ['*.jsonl'], settle_seconds: 0}\nrotate: {every: 300ms}\n",
    "crm": "kind: http\nname: crm\nfrom: {connection: crm, path: /records, every: 1s, tries: 1}\nrotate: {every: 300ms}\n",
}


class Service(Handler):
    """Has so many records; without any it refuses."""

    def do_GET(self):
        records = [{"id": number} for number in range(self.server.records)]
        self.answer(records or {"error": "no such path"}, 200 if records else 404)


class Steering:
    def __init__(self, binary: Path, folder: Path):
        self.service = Web(Service)
        self.service.records = 0
        settings = f"name: p\nconnections:\n  crm: {{kind: http, url: '{self.service.url}'}}\n"
        self.folder = Folder(binary, folder, settings, SOURCES)
        (folder / "data").mkdir()
        (folder / "data" / "1.jsonl").write_text('{"visit": 1}\n{"visit": 2}\nbroken\n')
        self.outcome = Outcome()

    def status(self, *sources: str) -> dict[str, dict]:
        done = self.folder.run("ingest", "status", *sources, "--json")
        if not done.stdout:
            raise RuntimeError(done.stderr)
        return {source["name"]: source for source in json.loads(done.stdout)}

    def until(self, source: str, state: str, seconds: float = 20) -> list[str]:
        end, found = time.monotonic() + seconds, None
        while time.monotonic() < end:
            found = self.status(source)[source]
            if found["state"] == state:
                return []
            time.sleep(0.1)
        return [f"{source} is {found['state']}, not {state}"]

    def expect(self, what: str, *arguments: str, code: int = 0, says: str = "") -> None:
        done = self.folder.run("ingest", *arguments)
        good = done.returncode == code and says in done.stdout + done.stderr
        self.outcome.hold(what, [] if good else [f"{done.returncode}: {done.stdout[-300:]}{done.stderr[-300:]}"])

    def holds(self, what: str, good: bool, found=None) -> None:
        self.outcome.hold(what, [] if good else [str(found)])


def one(source: dict) -> dict:
    return source["tables"][0]


def before_anything_runs(test: Steering) -> None:
    found = test.status()
    test.holds("every source is listed", sorted(found) == ["crm", "guarded", "hooks", "site"], found)
    test.holds("without a process it says so", all(not one["is_running"] for one in found.values()), found)
    test.expect("a source is paused before anything runs", "pause", "site", says="is paused")
    test.expect("named, it is read once", "site", "--quiet")
    test.outcome.hold("and its rows are there", wait_for(test.folder, "select count(*) from site.visits", [["2"]]))
    (test.folder.folder / "data" / "2.jsonl").write_text('{"visit": 3}\n')
    test.service.records = 2
    done = test.folder.run("ingest", "--json")
    states = {line["source"]: line["state"] for line in json.loads(done.stdout)} if done.returncode == 0 else done.stderr
    test.holds("unnamed, it is passed over", done.returncode == 0 and states["site"] == "paused", states)
    test.outcome.hold("nothing was read of it", wait_for(test.folder, "select count(*) from site.visits", [["2"]]))
    test.service.records = 0
    site = one(test.status("site")["site"])
    told = [(known["part"], known["position"]) for known in site["positions"]]
    good = site["state"] == "paused" and site["rows_out"] == 2 and site["quarantined"] == 1 and site["last_commit_at"]
    test.holds("the commits say how far it was taken", bool(good) and told == [("files", "batch 1")], site)
    test.expect("an unknown source is refused", "pause", "sites", code=2, says="Did you mean `site`?")
    test.expect("nothing is run again where nothing runs", "rerun", "site", code=2, says="no process runs this project")


def paused_over_a_start(test: Steering, server: Server) -> None:
    test.outcome.hold("the next process leaves it paused", test.until("site", "paused"))
    test.expect("it is resumed beside the process", "resume", "site", says="goes on")
    test.outcome.hold("it catches up", test.until("site", "caught up"))
    test.outcome.hold("what came meanwhile is there once", wait_for(test.folder, "select count(*), sum(visit) from site.visits", [["3", "6"]]))


def a_push_that_is_paused(test: Steering, server: Server) -> Server:
    server.send("hooks", b'[{"id": 1}, {"id": 2}]')
    test.outcome.hold("what is sent arrives", wait_for(test.folder, "select count(*) from hooks.hooks", [["2"]]))
    test.expect("a push source is paused", "pause", "hooks", says="hooks is paused")
    accepted = server.send("hooks", b'[{"id": 3}]')
    test.holds("it is still accepted", accepted[0] == 200, accepted)
    waits = one(test.status("hooks")["hooks"])
    test.holds("it is told as paused, with what waits", waits["state"] == "paused" and waits["paused_at"] and waits["lag_records"] == 1, waits)
    again = test.folder.run("ingest", "rerun", "hooks")
    test.holds("what is paused is not run again", again.returncode == 2 and "is paused" in again.stderr, again.stderr)
    server.stop()
    server = Server(test.folder)
    test.outcome.hold("it stays paused over a restart", test.until("hooks", "paused"))
    page = detail(server, "hooks")
    told = [fact["value"] for fact in page["facts"] if fact["label"] == "Waiting for the lake"]
    test.holds("its page says how much waits", len(told) == 1 and told[0].startswith("1 records"), page["facts"])
    large = json.dumps([{"id": 1000 + n, "pad": "x" * 1000} for n in range(300)]).encode()
    statuses = [server.send("hooks", large)[0] for _ in range(3)]
    test.holds("beyond max_waiting senders are held back", statuses[0] == 200 and statuses[-1] == 429, statuses)
    level = [fact["level"] for fact in detail(server, "hooks")["facts"] if fact["label"] == "Waiting for the lake"]
    test.holds("and its page says so", level == ["bad"], level)
    test.expect("it is resumed", "resume", "hooks", says="goes on")
    test.outcome.hold("all arrives once", wait_for(test.folder, "select count(*), count(distinct id) from hooks.hooks", [["303", "303"]]))
    return server


def a_failure_and_another_try(test: Steering, server: Server) -> None:
    test.outcome.hold("a source that is refused stops", test.until("crm", "failed"))
    status = test.folder.run("ingest", "status", "crm")
    test.holds("status says why, and ends with 1", status.returncode == 1 and "404" in status.stderr, status.stderr)
    alive = server.send("hooks", b'[{"id": 9}]')[0] == 200 and server.started.process.poll() is None
    test.holds("the others go on", alive)
    page = detail(server, "crm")
    test.holds("its page has the error and what to do", bool(page["errors"]) and page["errors"][0]["table"] == "crm.crm", page["errors"])
    test.service.records = 3
    test.expect("it is run again", "rerun", "crm", says="runs again")
    test.outcome.hold("and works now", wait_for(test.folder, "select count(*) from crm.crm", [["3"]]))
    test.outcome.hold("it is no longer failed", test.until("crm", "caught up"))


def what_is_told(test: Steering, server: Server) -> None:
    site = one(test.status("site")["site"])
    test.holds("a source that has caught up is hardly behind", site["behind_seconds"] < 30, site)
    shown = detail(server, "guarded")
    test.holds("its file is shown without secrets", SECRET not in json.dumps(shown) and shown["description"] == "What nobody may see", shown)
    test.holds("the key is there", {"key": "from.token", "value": "•••"} in shown["configuration"], shown["configuration"])
    tables = get(server, "/api/sources/site/tables")
    good = tables[0]["quarantine"]["total"] == 1 and tables[0]["schema_changes"][-1]["is_first"] and tables[0]["commits"]
    test.holds("columns, commits and quarantine are told", bool(good), tables)
    metrics = get(server, "/metrics")
    wanted = 'headwater_ingest_rows_total{source="hooks",table="hooks.hooks"}'
    test.holds("metrics have every table", wanted in metrics and "headwater_source_paused" in metrics, metrics[:600])
    table = test.folder.run("ingest", "status")
    test.holds("the table has every source", all(name in table.stdout for name in SOURCES), table.stdout)


def detail(server: Server, source: str) -> dict:
    return get(server, f"/api/sources/{source}")


def get(server: Server, path: str):
    with urllib.request.urlopen(f"{server.url}{path}", timeout=30) as answer:
        body = answer.read().decode()
        return json.loads(body) if answer.headers["content-type"] == "application/json" else body


def with_accounts(test: Steering, server: Server) -> None:
    import subprocess

    added = subprocess.run(
        test.folder.command("users", "add", "ada"), input="correct horse battery\n", env=test.folder.environment(),
        capture_output=True, text=True, timeout=60, check=False,
    )
    test.holds("an account is made", added.returncode == 0, added.stderr)
    found = test.status()
    test.holds("commands on this machine need no login", found["hooks"]["is_running"], found)
    test.expect("nor to steer", "pause", "site", says="is paused")
    removed = test.folder.run("users", "remove", "ada")
    test.holds("the account is removed", removed.returncode == 0, removed.stderr)


def a_generator(binary: Path, folder: Path, outcome: Outcome) -> None:
    source = (Path(__file__).resolve().parents[2] / "projects/music/sources/events.yml").read_text()
    source = source.replace("30 days ago, users: 2000", "1 days ago, users: 100").replace("every: 10s", "every: 1s")
    project = Project(binary, folder, source, "name: music\n")
    project.expect("generate")
    with running(project, "--speed", "3000") as up:
        first = sum_of(up.wait("events", lambda status: sum_of(status) > 0 and status["generators"][0]["state"] == "live"))
        project.expect("ingest", "pause", "events")
        up.wait("the pause", lambda status: all(one["state"] == "paused" for one in status["pipelines"]))
        up.wait("the generator's pause", lambda status: status["generators"][0]["state"] == "paused")
        made = sum(up.delivered().values())
        time.sleep(1)
        problems = [] if sum(up.delivered().values()) == made >= first else [f"{made}, then {up.delivered()}"]
        outcome.hold("a paused generator makes nothing", problems)
        project.expect("ingest", "resume", "events")
        up.wait("more events", lambda status: sum_of(status) > made)
        ends = up.wait("all taken in", lambda status: all(one["state"] == "caught up" and one["commits"] for one in status["pipelines"]))
        outcome.hold("it goes on", [] if sum_of(ends) > made else [str(ends["generators"])])
        up.stop()
    project.expect("ingest")
    counts = project.json("query", "select (select count(*) from events.listen_events) + (select count(*) from events.listen_events_quarantine) as n") \
        if (folder / ".headwater/lake/tables/events/listen_events_quarantine").exists() else \
        project.json("query", "select count(*) as n from events.listen_events")
    ends = sum(project.log_ends()["listen_events"].values())
    outcome.hold("every event of a paused generator is in the lake once", [] if int(counts[0]["n"]) == ends else [f"{counts}, {ends} made"])


def sum_of(status: dict) -> int:
    return sum(status["generators"][0]["by_topic"].values())


def main() -> int:
    options = parser(__doc__).parse_args()
    with workplace() as folder:
        test = Steering(options.binary, folder / "steering")
        before_anything_runs(test)
        server = Server(test.folder)
        try:
            paused_over_a_start(test, server)
            server = a_push_that_is_paused(test, server)
            a_failure_and_another_try(test, server)
            what_is_told(test, server)
            with_accounts(test, server)
        finally:
            server.stop()
        test.holds("the process ends in order", server.started.process.returncode == 0, server.started.said()[-400:])
        test.holds("nothing is announced any more", not (test.folder.folder / ".headwater/serving.json").exists())
        a_generator(options.binary, folder / "music", test.outcome)
    return test.outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
