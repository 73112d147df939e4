#!/usr/bin/env python3
"""Packages from everywhere they come from: a folder, a git repository, an address, a hub, and packages of packages.

    tests/packages/deps.py --binary target/release/headwater

Everything is local: a repository made here, and a web server on this machine that is hub and archive. Ends with
`N passed, M failed`.
"""

import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))

from project import Outcome  # noqa: E402
from script import parser, workplace  # noqa: E402
from web import Handler, Server  # noqa: E402

PROJECT = "name: shop\nversion: '1.0'\nconfig-version: 2\n"


def package(name, number, **more):
    return {
        "dbt_project.yml": f"name: {name}\nversion: '1.0'\nconfig-version: 2\n",
        f"macros/{name}.sql": "{% macro number() %}" + str(number) + "{% endmacro %}",
        **more,
    }


def write(folder, files):
    for path, text in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


def archive(files, top="somebody-package-1a2b3c"):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path, text in files.items():
            info = tarfile.TarInfo(f"{top}/{path}")
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return packed.getvalue()


class Web(Server):
    """Answers what it was told, and counts how often it was asked."""

    def __init__(self):
        super().__init__(Told)
        self.answers, self.asked = {}, []

    def hub(self, name, versions, **more):
        """A package of the hub: version to (number, packages it asks for)."""
        short = name.split("/")[1]
        listed = {}
        for version, (number, asks) in versions.items():
            path = f"/files/{short}-{version}.tar.gz"
            files = package(short, number)
            if asks:
                files["packages.yml"] = f"packages:\n{asks}"
            self.answers[path] = archive(files)
            listed[version] = {"name": short, "packages": [], "downloads": {"tarball": self.url + path}}
        self.answers[f"/api/v1/{name}.json"] = json.dumps({"name": short, "namespace": name.split("/")[0], "versions": listed, **more}).encode()


class Told(Handler):
    def do_GET(self):
        self.server.asked.append(self.path)
        body = self.server.answers.get(self.path)
        self.answer(body or b"", 404 if body is None else 200)


class Shop:
    def __init__(self, binary, folder, web, packages, model):
        self.binary, self.folder, self.web = binary, folder, web
        write(folder, {"dbt_project.yml": PROJECT, "packages.yml": packages, "models/m.sql": model})

    def run(self, *words):
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("HEADWATER_", "DBT_"))}
        environment = clean | {"DBT_PACKAGE_HUB_URL": self.web.url + "/", "HOME": str(self.folder)}
        return subprocess.run([str(self.binary), "-C", str(self.folder), "--no-color", *words],
                              capture_output=True, text=True, env=environment, timeout=120)

    def number(self):
        """What the model comes to with the packages as they are installed."""
        done = self.run("show", "m", "--format", "csv")
        return done.stdout.split()[1:] if done.returncode == 0 else done.stderr

    def lock(self):
        return (self.folder / "package-lock.yml").read_text()


def git(folder, *words):
    identity = ["-c", "user.name=me", "-c", "user.email=me@example.com", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


def commit_of(folder, revision="HEAD"):
    return subprocess.run(["git", "-C", str(folder), "rev-parse", revision], check=True, capture_output=True, text=True).stdout.strip()


def repository(folder):
    folder.mkdir()
    git(folder, "init", "--quiet")
    write(folder / "inside", package("gitted", 1))
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "one")
    git(folder, "tag", "v1")
    write(folder / "inside", package("gitted", 2))
    git(folder, "commit", "--quiet", "-am", "two")
    return folder


CASES = []


def case(function):
    CASES.append(function)
    return function


def expect(problems, what, found, wanted):
    if found != wanted:
        problems.append(f"{what}: {found!r}, expected {wanted!r}")


@case
def a_tag_of_a_repository(binary, folder, web):
    made = repository(folder / "repo")
    shop = Shop(binary, folder / "shop", web, f"packages:\n  - git: file://{made}\n    revision: v1\n    subdirectory: inside\n", "select {{ gitted.number() }} as n")
    problems = []
    missing = shop.run("compile")
    expect(problems, "before deps", missing.returncode, 2)
    done = shop.run("deps")
    expect(problems, "deps", (done.returncode, done.stderr if done.returncode else ""), (0, ""))
    expect(problems, "the model", shop.number(), ["1"])
    if commit_of(made, "v1") not in shop.lock():
        problems.append(f"the lock does not name the commit: {shop.lock()}")
    # The lock holds while packages.yml is the same, whatever becomes of the tag.
    git(made, "tag", "--force", "v1", "main")
    shop.run("deps")
    expect(problems, "after the tag moved", shop.number(), ["1"])
    expect(problems, "upgrade", shop.run("deps", "--upgrade").returncode, 0)
    expect(problems, "after the upgrade", shop.number(), ["2"])
    return problems


@case
def a_repository_without_revision_is_told(binary, folder, web):
    made = repository(folder / "repo")
    shop = Shop(binary, folder / "shop", web, f"packages:\n  - git: file://{made}\n    subdirectory: inside\n", "select {{ gitted.number() }} as n")
    done = shop.run("deps")
    problems = []
    expect(problems, "told", "is not pinned" in done.stderr, True)
    expect(problems, "the model", shop.number(), ["2"])
    return problems


@case
def an_address(binary, folder, web):
    web.answers["/extra.tar.gz"] = archive(package("extra", 7))
    shop = Shop(binary, folder / "shop", web, f"packages:\n  - tarball: {web.url}/extra.tar.gz\n    name: extra\n", "select {{ extra.number() }} as n")
    problems = []
    expect(problems, "deps", shop.run("deps").returncode, 0)
    expect(problems, "the model", shop.number(), ["7"])
    return problems


@case
def the_hub_and_packages_of_packages(binary, folder, web):
    web.hub("org/base", {"1.0.0": (10, ""), "1.5.0": (15, ""), "2.0.0": (20, ""), "2.1.0-rc1": (21, "")})
    web.hub("org/top", {"0.1.0": (1, '  - package: org/base\n    version: [">=1.0.0", "<2.0.0"]\n')})
    packages = "packages:\n  - package: org/top\n    version: 0.1.0\n  - package: org/base\n    version: '>=1.0.0'\n"
    shop = Shop(binary, folder / "shop", web, packages, "select {{ base.number() }} + {{ top.number() }} as n")
    problems = []
    done = shop.run("deps")
    expect(problems, "deps", (done.returncode, done.stderr if done.returncode else ""), (0, ""))
    expect(problems, "the model", shop.number(), ["16"])
    expect(problems, "the lock", "version: 1.5.0" in shop.lock() and "name: base" in shop.lock(), True)
    asked = len(web.asked)
    expect(problems, "deps from the lock", shop.run("deps").returncode, 0)
    expect(problems, "the model again", shop.number(), ["16"])
    write(shop.folder, {"packages.yml": "packages:\n  - package: org/base\n    version: 2.0.0\n", "models/m.sql": "select {{ base.number() }} as n"})
    expect(problems, "deps of other packages", shop.run("deps").returncode, 0)
    expect(problems, "the other model", shop.number(), ["20"])
    expect(problems, "what nobody asks for is gone", (shop.folder / "dbt_packages" / "top").exists(), False)
    expect(problems, "the hub was asked again", len(web.asked) > asked, True)
    return problems


@case
def what_the_hub_has_not(binary, folder, web):
    web.hub("org/few", {"1.0.0": (1, "")})
    problems = []
    for packages, said in [
        ("packages:\n  - package: org/few\n    version: 2.0.0\n", "no version 2.0.0"),
        ("packages:\n  - package: org/none\n    version: 2.0.0\n", "404"),
        ("packages:\n  - package: org/few\n", "has no `version`"),
        (f"packages:\n  - git: file://{folder}/nothing\n", "git clone failed"),
        (f"packages:\n  - tarball: {web.url}/none.tar.gz\n    name: x\n", "404"),
        ("packages:\n  - local: nowhere\n", "there is no package"),
    ]:
        shop = Shop(binary, folder / str(abs(hash(packages))), web, packages, "select 1 as n")
        done = shop.run("deps")
        expect(problems, packages, (done.returncode, said in done.stderr), (2, True))
    return problems


@case
def a_renamed_package_is_told(binary, folder, web):
    web.hub("old/name", {"1.0.0": (3, "")}, redirectnamespace="new")
    shop = Shop(binary, folder / "shop", web, "packages:\n  - package: old/name\n    version: 1.0.0\n", "select {{ name.number() }} as n")
    done = shop.run("deps")
    problems = []
    expect(problems, "told", "PackageRedirectDeprecation" in done.stderr and "new/name" in done.stderr, True)
    expect(problems, "the model", shop.number(), ["3"])
    return problems


@case
def an_archive_that_reaches_out_is_refused(binary, folder, web):
    web.answers["/evil.tar.gz"] = archive({"dbt_project.yml": "name: evil\n"}, top="../..")
    shop = Shop(binary, folder / "shop", web, f"packages:\n  - tarball: {web.url}/evil.tar.gz\n    name: evil\n", "select 1 as n")
    done = shop.run("deps")
    problems = []
    expect(problems, "deps", (done.returncode, "outside of itself" in done.stderr), (2, True))
    return problems


@case
def a_template_is_for_deps_only(binary, folder, web):
    shop = Shop(binary, folder / "shop", web, "packages:\n  - git: \"{{ env_var('WHERE') }}\"\n", "select 1 as n")
    problems = []
    expect(problems, "the project is sound", shop.number(), ["1"])
    done = shop.run("deps")
    expect(problems, "deps", (done.returncode, "templates in packages.yml" in done.stderr), (2, True))
    return problems


@case
def a_lock_alone(binary, folder, web):
    web.hub("org/base", {"1.0.0": (10, "")})
    shop = Shop(binary, folder / "shop", web, "packages:\n  - package: org/base\n    version: 1.0.0\n", "select 1 as n")
    problems = []
    expect(problems, "deps --lock", shop.run("deps", "--lock").returncode, 0)
    expect(problems, "the lock", "sha1_hash: " in shop.lock(), True)
    expect(problems, "nothing is installed", (shop.folder / "dbt_packages").exists(), False)
    return problems


def main() -> int:
    words = parser(__doc__)
    words.add_argument("only", nargs="*")
    options = words.parse_args()
    outcome = Outcome()
    for function in CASES:
        if options.only and not any(word in function.__name__ for word in options.only):
            continue
        with Web() as web, workplace() as folder:
            outcome.hold(function.__name__, ["\n".join(problems)] if (problems := function(options.binary, folder, web)) else [])
    return outcome.finish()


if __name__ == "__main__":
    sys.exit(main())
