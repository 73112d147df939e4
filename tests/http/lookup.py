"""A service asked once for each key of the lake: answers, keys nobody knows, a service that dies, and processes that do.

    lookup.py --binary target/release/headwater [--kills 6] [--seed 1]
"""

import json
import random
import sys
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "harness"))

from lakes import Folder  # noqa: E402
from project import Outcome, tail  # noqa: E402
from script import parser, workplace  # noqa: E402
from service import SECRET, Service  # noqa: E402

PLACES = "kind: files\nname: places\nfrom: {path: data, settle_seconds: 0}\n"
LOOKUP = """\
kind: http
name: weather
table: hours
from:
  connection: api
  path: /weather/{{place}}
  query: {{hour: "{{hour}}"}}
  records: ""
  tries: 2
  every: 1s
  lookup:
    keys: |
      select name as place, date_trunc('hour', cast(at as timestamp)) as hour
      from places.places -- one row a visit
    key: {{place: text, hour: timestamp}}
    fields:
      temperature_c: {{type: number, at: /main/temperature}}
      sky: {{type: text, at: /main/sky}}
    retry: {retry}
{more}
rotate: {{every: 300ms}}
"""
MODEL = "select place, _status as status, temperature_c from {{ source('weather', 'hours') }}\n"
ROWS = "select place, _status, temperature_c, _attempts from weather.hours order by place"


def project(binary: Path, folder: Path, service: Service, retry: str = "10m", more: str = "", connection: str = "") -> Folder:
    settings = f'name: p\nconnections:\n  api:\n    kind: http\n    url: {service.url}\n    auth: {{type: api_key, key: "{SECRET}", query: appid}}\n{connection}'
    made = Folder(binary, folder, settings, {"places": PLACES, "weather": LOOKUP.format(retry=retry, more=more)})
    (folder / "data").mkdir()
    (folder / "models").mkdir()
    (folder / "models" / "seen.sql").write_text(MODEL)
    (folder / "dbt_project.yml").write_text("name: p\nversion: '1.0'\nconfig-version: 2\nmodel-paths: [models]\n")
    return made


class Visits:
    """Files of the source that keys come from."""

    def __init__(self, folder: Folder):
        self.folder, self.number = folder, 0

    def add(self, *places: str | None) -> None:
        self.number += 1
        lines = [json.dumps({"name": place, "at": "2024-05-01T12:34:56"}) for place in places for _ in range(2)]
        (self.folder.folder / "data" / f"{self.number}.json").write_text("\n".join(lines))
        self.folder.run("ingest", "places")


def known(service: Service, *places: str) -> None:
    for place in places:
        service.places[place] = {"temperature": float(len(place)), "sky": f"over {place}"}


def expect(outcome: Outcome, what: str, found, expected) -> None:
    outcome.hold(what, [] if found == expected else [f"found {str(found)[:400]}, expected {str(expected)[:400]}"])


def ingest(outcome: Outcome, folder: Folder, what: str = "ingest") -> str:
    done = folder.run("ingest", "weather")
    if done.returncode:
        outcome.hold(what, [tail(done.stderr)])
    return done.stdout + done.stderr


def check_life(outcome: Outcome, service: Service, binary: Path, root: Path) -> None:
    folder = project(binary, root / "life", service)
    visits = Visits(folder)
    ingest(outcome, folder)
    expect(outcome, "a table is there before there are keys", folder.rows("select count(*) from weather.hours"), [["0"]])
    known(service, "oslo", "bergen")
    visits.add("oslo", "bergen", "nowhere", "broken", "..", None)
    service.asked.clear()
    said = ingest(outcome, folder)
    expected = [["..", "failed", "", "1"], ["bergen", "ok", "6.0", "1"], ["broken", "failed", "", "1"],
                ["nowhere", "not_found", "", "1"], ["oslo", "ok", "4.0", "1"]]
    expect(outcome, "each key has a row with what became of it", folder.rows(ROWS), expected)
    errors = dict(folder.rows("select place, _error from weather.hours where _status = 'failed'"))
    told = "answered 400" in errors.get("broken", "") and "part of a path" in errors.get("..", "")
    outcome.hold("a failure says why", [] if told else [str(errors)])
    asked = sorted(path.split("&appid")[0].split("?appid")[0] for path in service.paths())
    hour = "?hour=2024-05-01T12%3A00%3A00Z"
    expect(outcome, "each key is asked for once", asked, [f"/weather/{one}{hour}" for one in ("bergen", "broken", "nowhere", "oslo")])
    expect(outcome, "values are typed", folder.rows("select arrow_typeof(hour), sky from weather.hours where place = 'oslo'")[0][1], "over oslo")
    service.asked.clear()
    ingest(outcome, folder)
    expect(outcome, "what is known is not asked again", service.paths(), [])
    known(service, "voss")
    visits.add("voss", "oslo")
    ingest(outcome, folder)
    expect(outcome, "only what is new is asked for", [path.split("?")[0] for path in service.paths()], ["/weather/voss"])
    stored = b"".join(path.read_bytes() for path in (folder.folder / ".headwater").rglob("*") if path.is_file())
    outcome.hold("the service's key is nowhere", ["it is"] if SECRET.encode() in stored or SECRET in said else [])


def check_death(outcome: Outcome, service: Service, binary: Path, root: Path) -> None:
    folder = project(binary, root / "death", service, retry="1ms")
    visits = Visits(folder)
    known(service, "oslo", "d1", "d2", "d3")
    visits.add("oslo")
    ingest(outcome, folder)
    visits.add("d1", "d2", "d3")
    service.dead = True
    service.asked.clear()
    ingest(outcome, folder, "a dead service fails nothing")
    status = Counter(row[1] for row in folder.rows(ROWS))
    expect(outcome, "keys of a dead service wait", status, Counter(ok=1, failed=1, pending=2))
    expect(outcome, "and it is not asked for each", len(service.asked), 2)
    done = folder.run("build")
    expect(outcome, "a build goes on beside a dead service", (done.returncode, tail(done.stderr) if done.returncode else ""), (0, ""))
    expect(outcome, "and sees what is missing", folder.rows("select count(*) from main.seen where status <> 'ok'"), [["3"]])
    service.dead = False
    ingest(outcome, folder)
    rows = folder.rows(ROWS)
    expect(outcome, "rows are completed when it lives again", [row[:2] for row in rows], [["d1", "ok"], ["d2", "ok"], ["d3", "ok"], ["oslo", "ok"]])
    expect(outcome, "the one that had failed took two tries", Counter(row[3] for row in rows), Counter({"1": 3, "2": 1}))
    service.trouble = {"/weather/x": [(401, [])]}
    known(service, "x")
    visits.add("x")
    ingest(outcome, folder, "a refusal fails nothing")
    expect(outcome, "who is refused is told", folder.rows("select _status, _error from weather.hours where place = 'x'"), [["failed", "the service answered 401"]])
    service.trouble = {}


def check_age(outcome: Outcome, service: Service, binary: Path, root: Path) -> None:
    folder = project(binary, root / "age", service, more="    ttl: 1ms\n")
    visits = Visits(folder)
    known(service, "oslo", "rome")
    visits.add("oslo", "rome")
    ingest(outcome, folder)
    service.places["oslo"]["temperature"] = 99.0
    ingest(outcome, folder)
    expect(outcome, "an answer that is too old is asked for again", folder.rows("select temperature_c from weather.hours where place = 'oslo'"), [["99.0"]])
    service.dead = True
    ingest(outcome, folder)
    service.dead = False
    expect(outcome, "and stays while there is no new one", [row[:3] for row in folder.rows(ROWS)], [["oslo", "ok", "99.0"], ["rome", "ok", "4.0"]])


def check_batches(outcome: Outcome, service: Service, binary: Path, root: Path) -> None:
    source = "kind: http\nname: weather\ntable: hours\nfrom:\n  connection: api\n  path: /companies?ids={id}\n  records: /found\n  lookup:\n    keys: select unnest(range(1, 101)) as id\n    key: {id: integer}\n    batch: 30\n    match: {id: /company/id}\n"
    settings = f"name: p\nconnections:\n  api: {{kind: http, url: '{service.url}'}}\n"
    folder = Folder(binary, root / "batches", settings, {"weather": source})
    service.asked.clear()
    ingest(outcome, folder)
    expect(outcome, "several keys share a request", len(service.asked), 4)
    wrong = folder.rows("select count(*) from weather.hours where (id % 10 = 0) <> (_status = 'not_found') or _status = 'ok' and name <> 'c' || id")
    expect(outcome, "and each gets what is its own", (wrong, folder.rows("select count(*), count(distinct id) from weather.hours")), ([["0"]], [["100", "100"]]))


def check_findings(outcome: Outcome, service: Service, binary: Path, root: Path) -> None:
    folder = project(binary, root / "findings", service)
    path = folder.folder / "sources" / "weather.yml"
    text = path.read_text()
    path.write_text(text.replace("/weather/{place}", "/weather/{plaec}"))
    done = folder.run("check")
    told = done.returncode and "is no column of `key`" in done.stdout + done.stderr
    outcome.hold("a name that is no key's is found by check", [] if told else [tail(done.stdout + done.stderr)])
    path.write_text(text.replace("name as place", "name as plaec"))
    Visits(folder).add("oslo")
    done = folder.run("ingest", "weather")
    told = done.returncode and "weather.hours" in done.stderr and "place" in done.stderr
    outcome.hold("keys that cannot be read are told", [] if told else [tail(done.stderr)])


def check_kills(outcome: Outcome, service: Service, binary: Path, root: Path, kills: int, seed: int) -> None:
    """Killed again and again while it asks: every key ends up with one row and its answer."""
    folder = project(binary, root / "kills", service, connection="    requests_per_second: 150\n")
    places = [f"k{number:03}" for number in range(400)]
    known(service, *places)
    service.asked.clear()
    Visits(folder).add(*places)
    dice = random.Random(seed)
    for _ in range(kills):
        process = folder.start("up", "--port", "0")
        process.until("Listening on", 30)
        time.sleep(dice.uniform(0.1, 1.5))
        process.kill()
    before = len(service.asked)
    ingest(outcome, folder)
    rows = folder.rows("select place, _status, sky from weather.hours order by place")
    expect(outcome, f"every key has its one answer after {kills} kills", rows, [[place, "ok", f"over {place}"] for place in places])
    asked = Counter(path.split("?")[0] for path in service.paths())
    most = max(asked.values())
    outcome.hold("no key is asked for more often than there were deaths", [] if most <= kills + 1 else [f"{most} times"])
    print(f"{before} requests before the last life, {len(service.asked)} in all, for {len(places)} keys", flush=True)


def main() -> int:
    options = parser(__doc__, kills=6, seed=1).parse_args()
    outcome, service = Outcome(), Service()
    with workplace() as root:
        for check in (check_life, check_death, check_age, check_batches, check_findings):
            check(outcome, service, options.binary, root)
        check_kills(outcome, service, options.binary, root, options.kills, options.seed)
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
