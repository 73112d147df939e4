"""A web service that misbehaves, and what the lake makes of it.

    web_service.py --binary target/release/headwater
"""

import email.utils
import shutil
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "harness"))

from lakes import Folder  # noqa: E402
from project import Outcome  # noqa: E402
from script import parser, workplace  # noqa: E402
from service import RECORDS, SECRET, Service  # noqa: E402


def project(binary: Path, folder: Path, service: Service, source: str, connection: str = "") -> Folder:
    settings = f"name: p\nconnections:\n  api:\n    kind: http\n    url: {service.url}\n{connection}"
    return Folder(binary, folder, settings, {"s": f"kind: http\nname: s\ntable: t\nfrom:\n  connection: api\n{source}"})


VARIABLES = {"SECRET": SECRET}


def ids(folder: Folder) -> list[int]:
    return sorted(int(row[0]) for row in folder.rows("select id from s.t"))


def check_pages(outcome: Outcome, service: Service, binary: Path, root: Path) -> None:
    kinds = {
        "paged": "  path: /paged\n  records: /data/items\n  pagination: {type: page}\n",
        "offset": "  path: /offset\n  pagination: {type: offset}\n",
        "cursor": "  path: /cursor\n  records: /items\n  pagination: {type: cursor, pointer: /next, parameter: after}\n",
        "linked": "  path: /linked\n  pagination: {type: link}\n",
    }
    for name, source in kinds.items():
        folder = project(binary, root / name, service, source)
        done = folder.run("ingest")
        found = ids(folder) if done.returncode == 0 else []
        outcome.hold(f"pages by {name}", [] if found == [one["id"] for one in RECORDS] else [done.stderr[-300:] or str(len(found))])
    service.records = RECORDS[:10]
    folder.run("ingest")
    outcome.hold("a second look replaces the first", [] if ids(folder) == list(range(1, 11)) else [str(len(ids(folder)))])
    service.records = list(RECORDS)


def check_trouble(outcome: Outcome, service: Service, binary: Path, root: Path) -> None:
    service.trouble = {"/linked": [(503, []), "hang up", "half", (429, [("Retry-After", "2")]), "html"]}
    service.asked.clear()
    folder = project(binary, root / "trouble", service, "  path: /linked\n  pagination: {type: link}\n  tries: 10\n")
    done = folder.run("ingest")
    outcome.hold("a service in trouble is asked again", [] if done.returncode == 0 and ids(folder) == [one["id"] for one in RECORDS] else [done.stderr[-400:]])
    times = [at for at, _ in service.asked]
    waits = [later - earlier for earlier, later in zip(times, times[1:])]
    outcome.hold("Retry-After is obeyed", [] if len(waits) > 3 and waits[3] > 1.9 else [str(waits[:6])])
    # A date has whole seconds: two of the three are sure, however long the command takes to begin.
    due = time.monotonic() + 2
    service.trouble = {"/linked": [(503, [("Retry-After", email.utils.formatdate(time.time() + 3, usegmt=True))]), (429, [("Retry-After", "soon")])]}
    service.asked.clear()
    folder = project(binary, root / "patience", service, "  path: /linked\n  pagination: {type: link}\n")
    done = folder.run("ingest")
    times = [at for at, _ in service.asked]
    outcome.hold("Retry-After may be a date", [] if done.returncode == 0 and times[1] >= due else [str(times[:3])])
    outcome.hold("one that is neither is passed over", [] if ids(folder) == [one["id"] for one in RECORDS] and times[2] - times[1] < 20 else [str(times[:3])])
    refusals = {
        "a circle": ("  path: /circle\n  records: /items\n  pagination: {type: cursor, pointer: /next, parameter: c}\n", "go in circles"),
        "a page that repeats": ("  path: /same\n  records: /items\n  pagination: {type: page}\n", "the same page came twice"),
        "another server": ("  path: /away\n  tries: 1\n", "another server"),
        "a file": ("  path: /file\n  tries: 1\n", "answered 302"),
        "nothing there": ("  path: /none\n", "answered 404"),
        "no records": ("  path: /paged\n  query: {page: '1'}\n  records: /nowhere\n", "nothing at `/nowhere`"),
    }
    for name, (source, told) in refusals.items():
        folder = project(binary, root / name.replace(" ", "-"), service, source)
        process = folder.start("ingest")
        said = process.until(told, 20)
        outcome.hold(f"{name} is told", [] if said else [process.said()[-400:]])
        process.kill()
    folder = project(binary, root / "moved", service, "  path: /moved\n")
    folder.run("ingest")
    outcome.hold("a move on the same server is followed", [] if ids(folder) == list(range(241, 251)) else [str(ids(folder))])
    folder = project(binary, root / "rate", service, "  path: /linked\n  pagination: {type: link}\n", "    requests_per_second: 5\n")
    service.asked.clear()
    folder.run("ingest")
    took = service.asked[-1][0] - service.asked[0][0]
    outcome.hold("no more requests than allowed", [] if took >= (len(service.asked) - 1) / 5 * 0.9 else [f"{len(service.asked)} in {took:.2f} s"])


def check_incremental(outcome: Outcome, service: Service, binary: Path, root: Path) -> None:
    service.records = RECORDS[:100]
    source = "  path: /since\n  pagination: {type: offset}\n  incremental: {field: /at, parameter: since}\n"
    folder = project(binary, root / "since", service, source)
    folder.run("ingest")
    service.records = RECORDS + [{"id": 999, "at": "never"}]
    service.asked.clear()
    done = folder.run("ingest")
    outcome.hold("only what is newer is added", [] if ids(folder) == [one["id"] for one in RECORDS] else [f"{len(ids(folder))}: {done.stderr[-300:]}"])
    first = service.asked[0][1]
    outcome.hold("and asked for", [] if "since=2024-01-01T00%3A01%3A40Z" in first else [first])
    bad = folder.rows("select count(*) from s.t_quarantine")
    outcome.hold("a record without the value is set aside", [] if bad == [["1"]] else [str(bad)])
    service.records = list(RECORDS)


def check_refused_client(outcome: Outcome, folder: Folder) -> str:
    """A client that gets no token: it is told, and asked for again and again without an end."""
    process = folder.start("ingest", variables={"SECRET": SECRET + "x"})
    said = process.until("invalid_client", 90)
    outcome.hold("a wrong oauth secret is told", [] if said else [process.said()[-300:]])
    process.kill()
    return process.said()


def check_auth(outcome: Outcome, service: Service, binary: Path, root: Path) -> None:
    kinds = {
        "basic": '    auth: {type: basic, user: u, password: "${SECRET}"}\n',
        "bearer": '    auth: {type: bearer, token: "${SECRET}"}\n',
        "key": '    auth: {type: api_key, key: "${SECRET}", query: api_key}\n',
        "key-header": '    auth: {type: api_key, key: "${SECRET}"}\n',
        "key-other-header": '    auth: {type: api_key, key: "${SECRET}", header: X-Token}\n',
        "oauth": f'    auth: {{type: client_credentials, token_url: {service.url}/token, client_id: c, client_secret: "${{SECRET}}"}}\n',
    }
    said = ""
    for name, auth in kinds.items():
        folder = project(binary, root / f"auth-{name}", service, f"  path: /{name}\n", auth)
        done = folder.run("ingest", variables=VARIABLES)
        said += done.stdout + done.stderr
        outcome.hold(f"login by {name}", [] if done.returncode == 0 and ids(folder) == [1] else [done.stderr[-300:]])
        if name == "oauth":
            said += check_refused_client(outcome, folder)
        else:
            wrong = folder.run("ingest", variables={"SECRET": SECRET + "x"})
            said += wrong.stdout + wrong.stderr
            outcome.hold(f"a wrong {name} is told", [] if wrong.returncode and ("401" in wrong.stderr or "403" in wrong.stderr) else [wrong.stderr[-300:]])
        stored = b"".join(path.read_bytes() for path in (folder.folder / ".headwater").rglob("*") if path.is_file())
        said += SECRET if SECRET.encode() in stored else ""
    outcome.hold("no secret is shown or stored", ["it was"] if SECRET in said else [])


def data_files(folder: Folder) -> set[str]:
    return {path.name for path in folder.table("s", "t").rglob("*.parquet")}


def check_kept_answers(outcome: Outcome, service: Service, binary: Path, root: Path) -> None:
    service.records = RECORDS[:10]
    for kind in ("tagged", "dated"):
        service.etag, service.unchanged = f'"{kind}"', 0
        folder = project(binary, root / kind, service, f"  path: /{kind}\n")
        folder.run("ingest")
        before = data_files(folder)
        done = folder.run("ingest")
        same = (done.returncode, service.unchanged, data_files(folder) == before, len(ids(folder)))
        outcome.hold(f"{kind}: what did not change is not taken again", [] if same == (0, 1, True, 10) else [f"{same}: {done.stderr[-300:]}"])
        service.etag, service.records = f'"{kind} again"', RECORDS[:12]
        folder.run("ingest")
        outcome.hold(f"{kind}: what changed is", [] if len(ids(folder)) == 12 else [str(ids(folder))])
        shutil.rmtree(folder.folder / ".headwater" / "lake")
        folder.run("ingest")
        outcome.hold(f"{kind}: a lake that lost it gets it", [] if len(ids(folder)) == 12 else ["it did not"])
        service.records = RECORDS[:10]
    service.records = list(RECORDS)
    folder = project(binary, root / "kept", service, "  path: /linked\n  pagination: {type: link}\n  cache: 1h\n")
    service.asked.clear()
    folder.run("ingest")
    first = len(service.asked)
    folder.run("ingest")
    problems = [] if first == len(service.asked) == 7 and len(ids(folder)) == 250 else [f"{first}, then {len(service.asked)}; {len(ids(folder))}"]
    outcome.hold("answers that are kept are not asked for", problems)
    service.records = RECORDS[:10]
    for kind in ("private", "cookie"):
        folder = project(binary, root / kind, service, f"  path: /{kind}\n  cache: 1h\n")
        service.asked.clear()
        folder.run("ingest")
        folder.run("ingest")
        kept = list((folder.folder / ".headwater" / "answers").rglob("*.answer"))
        outcome.hold(f"a {kind} answer is not kept", [] if len(service.asked) == 2 and not kept else [f"{len(service.asked)} {kept}"])
    service.records = list(RECORDS)


def main() -> int:
    options = parser(__doc__).parse_args()
    outcome, service = Outcome(), Service()
    with workplace() as root:
        for check in (check_pages, check_trouble, check_incremental, check_auth, check_kept_answers):
            check(outcome, service, options.binary, root)
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
