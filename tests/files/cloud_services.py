"""Azure Blob Storage and Google Cloud Storage on this machine: emulators that know nothing of us, and what tests do there.

Both are fetched by `scripts/clouds`. Azurite checks who asks, and is asked directly but where listings are to be cut into more
pages. fake-gcs-server lets everybody in and leaves out parts of the service, so a front stands before it that does what Google's
documentation of its XML API says and the emulator does not: see `Front`.
"""

import base64
import hashlib
import hmac
import http.client
import json
import os
import socket
import subprocess
import threading
import time
import urllib.parse
import xml.etree.ElementTree as ElementTree
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from web import Handler, Server, free_port

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60
# Objects in a page of a listing.
PAGE = 1000
# One that a key opens, and one that everybody may read.
BUCKETS = (CLOSED, OPEN) = ("lake", "open")


def program(service: str) -> str | None:
    """What to run; None, said on the error output, where there is no way to have it."""
    done = subprocess.run([ROOT / "scripts" / "clouds", service], stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


class Service:
    """An emulator that runs, and requests of the test's own to it: one connection for each thread."""

    def __init__(self, folder: Path, port: int, *command: str, variables: dict[str, str] | None = None):
        self.port, self.threads = port, threading.local()
        # What a front was asked for: objects, listings, and listings that go on where a page ended.
        self.asked: Counter = Counter()
        folder.mkdir(parents=True)
        self.words = (folder / "words").open("w+")
        self.process = subprocess.Popen(
            command, env=os.environ | (variables or {}), stdin=subprocess.DEVNULL, stdout=self.words, stderr=self.words, cwd=folder,
        )
        try:
            self.wait()
        except RuntimeError:
            self.close()
            raise

    def wait(self) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"{self.process.args[0]} did not start: {Path(self.words.name).read_text()[-600:]}")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.words.close()

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
        if not hasattr(self.threads, "connection"):
            self.threads.connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection = self.threads.connection
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
        except ConnectionError:
            # Closed by the service, because nobody asked for a while.
            connection.close()
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
        said = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {said[:300]!r}")
        return said

    def put(self, bucket: str, key: str, data: bytes) -> None:
        raise NotImplementedError

    def put_all(self, bucket: str, objects: dict[str, bytes]) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda key: self.put(bucket, key, objects[key]), objects))

    def get(self, bucket: str, key: str) -> bytes:
        raise NotImplementedError

    def keys(self, bucket: str, prefix: str) -> list[str]:
        raise NotImplementedError

    def download(self, bucket: str, prefix: str, folder: Path) -> list[Path]:
        """The objects below a prefix as files, but for what readers of folders pass over."""
        files = []
        for key in self.keys(bucket, prefix):
            if "/_" not in key:
                path = folder / key.removeprefix(prefix)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self.get(bucket, key))
                files.append(path)
        return files


class Azure(Service):
    """Azurite with an account of our own: it refuses requests whose signature is not that of the account's key."""

    name, scheme = "Azure Blob Storage", "az"
    account = "headwater"

    def __init__(self, command: str, folder: Path):
        self.key = base64.b64encode(os.urandom(48)).decode()
        port = free_port()
        super().__init__(
            folder, port, command, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--silent",
            "--skipApiVersionCheck", "--disableTelemetry", variables={"AZURITE_ACCOUNTS": f"{self.account}:{self.key}"},
        )
        self.endpoint = f"http://127.0.0.1:{port}/{self.account}"
        self.pages = Pages(self)
        self.signature = self.shared_access_signature(self.key)
        for bucket, headers in ((CLOSED, {}), (OPEN, {"x-ms-blob-public-access": "container"})):
            self.ask("PUT", self.path(bucket, "", "restype=container"), headers=headers)

    def close(self) -> None:
        if hasattr(self, "pages"):
            self.pages.close()
        super().close()

    def shared_access_signature(self, key: str) -> str:
        """A query that opens all of the account, signed by a key."""
        version, rights, end = "2018-11-09", "rwdlac", "2100-01-01T00:00:00Z"
        signed = "\n".join([self.account, rights, "b", "sco", "", end, "", "http,https", version, ""])
        digest = hmac.digest(base64.b64decode(key), signed.encode(), hashlib.sha256)
        fields = {"sv": version, "ss": "b", "srt": "sco", "sp": rights, "se": end, "spr": "http,https"}
        return urllib.parse.urlencode(fields | {"sig": base64.b64encode(digest).decode()})

    def path(self, bucket: str, key: str = "", query: str = "") -> str:
        name = f"{bucket}/{urllib.parse.quote(key)}" if key else bucket
        return f"/{self.account}/{name}?{query}{'&' if query else ''}{self.signature}"

    def put(self, bucket: str, key: str, data: bytes) -> None:
        self.ask("PUT", self.path(bucket, key), data, {"x-ms-blob-type": "BlockBlob"})

    def get(self, bucket: str, key: str) -> bytes:
        return self.ask("GET", self.path(bucket, key))

    def keys(self, bucket: str, prefix: str) -> list[str]:
        found, marker = [], ""
        while True:
            query = urllib.parse.urlencode({"restype": "container", "comp": "list", "prefix": prefix, "marker": marker})
            page = ElementTree.fromstring(self.ask("GET", self.path(bucket, "", query)))
            found += [name.text for name in page.iterfind("Blobs/Blob/Name")]
            marker = page.findtext("NextMarker")
            if not marker:
                return found

    def connection(self, **keys: str) -> str:
        return json.dumps({"kind": "azure", "account": self.account, "endpoint": self.endpoint, "allow_http": True} | keys)

    def connections(self) -> dict[str, str]:
        """Each way to be let in, by name; the values are YAML."""
        return {
            "by_key": self.connection(access_key="${STORE_KEY}"),
            "by_other_key": self.connection(sas_token="${STORE_SIGNATURE}", endpoint=f"{self.pages.url}/{self.account}"),
            "by_nothing": self.connection(anonymous=True),
        }

    def variables(self) -> dict[str, str]:
        return {"STORE_KEY": self.key, "STORE_SIGNATURE": self.signature}

    def environment(self) -> dict[str, str]:
        """What the client takes from the environment, for sinks."""
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": self.account, "AZURE_STORAGE_ACCOUNT_KEY": self.key,
            "AZURE_STORAGE_ENDPOINT": self.endpoint, "AZURE_ALLOW_HTTP": "true",
        }

    def wrong_environment(self) -> tuple[dict[str, str], str]:
        """The same with another key, and that key."""
        key = base64.b64encode(b"canary-0815" * 4).decode()
        return self.environment() | {"AZURE_STORAGE_ACCOUNT_KEY": key}, key

    def refused(self) -> dict[str, tuple[str, str, str]]:
        """Connections that do not open the bucket: the words for it, and the secret that must not be among them."""
        secret = base64.b64encode(b"canary-4711" * 4).decode()
        forged = self.shared_access_signature(secret)
        return {
            "another key": (self.connection(access_key=secret), "keys of the connection", secret),
            "another signature": (self.connection(sas_token=forged), "keys of the connection", forged.rpartition("sig=")[2]),
            "no key": (self.connection(anonymous=True), "keys of the connection", self.key),
            "a key that does not read": (self.connection(access_key="canary-4711!"), "cannot be read", "canary-4711"),
        }


class Pages(Server):
    """Passes requests on and asks for shorter pages of listings: Azurite's have 5000 blobs, and to send as many takes long. A
    shared access signature signs nothing of a request, so that something can be added to it."""

    def __init__(self, service: Azure):
        super().__init__(PagedRequest)
        self.service = service


class PagedRequest(Handler):
    def do_GET(self) -> None:
        service: Azure = self.server.service
        listing = "comp=list" in self.path
        service.asked["page" if "marker=" in self.path else "listing" if listing else "object"] += 1
        path = f"{self.path}&maxresults={PAGE}" if listing else self.path
        pass_on(self, *fetched(service.port, self.command, path, dict(self.headers.items())))

    do_HEAD = do_GET


def fetched(port: int, method: str, path: str, headers: dict[str, str]) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, answer.getheaders(), data


def pass_on(handler: Handler, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
    handler.send_response_only(status)
    for name, value in headers:
        if name.lower() not in ("connection", "keep-alive", "transfer-encoding", "content-length"):
            handler.send_header(name, value)
    length = next((value for name, value in headers if name.lower() == "content-length"), None)
    handler.send_header("Content-Length", length if handler.command == "HEAD" and length else str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


class Account:
    """A service account of Google's: a pair of RSA keys, and the file that Google gives away with the private one."""

    def __init__(self, folder: Path, name: str):
        self.email = f"{name}@headwater.example"
        self.public, private = folder / f"{name}.pub", folder / f"{name}.pem"
        for arguments in (
            ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", private],
            ["pkey", "-in", private, "-pubout", "-out", self.public],
        ):
            subprocess.run(["openssl", *arguments], check=True, capture_output=True)
        self.private = private.read_text()

    def key(self, **more) -> str:
        made = {"type": "service_account", "client_email": self.email, "private_key": self.private, "private_key_id": "1"}
        return json.dumps(made | more)

    def signed(self, token: str, folder: Path) -> bool:
        """Whether a token is one that this account's key made, for now, and for the store."""
        message, _, signature = token.rpartition(".")
        unpacked = lambda text: base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))  # noqa: E731
        try:
            header, claims = (json.loads(unpacked(part)) for part in message.split("."))
            (folder / "signature").write_bytes(unpacked(signature))
        except ValueError:
            return False
        if header["alg"] != "RS256" or claims["iss"] != self.email or not claims["iat"] - 60 < time.time() < claims["exp"]:
            return False
        done = subprocess.run(
            ["openssl", "dgst", "-sha256", "-verify", self.public, "-signature", folder / "signature"],
            input=message.encode(), capture_output=True, check=False,
        )
        return done.returncode == 0 and "cloud-platform" in claims["scope"]


class Google(Service):
    """fake-gcs-server behind a front that knows one service account."""

    name, scheme = "Google Cloud Storage", "gs"
    def __init__(self, command: str, folder: Path):
        port = free_port()
        super().__init__(
            folder, port, command, "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory",
            "-public-host", f"127.0.0.1:{port}", "-log-level", "error",
        )
        self.folder, self.account, self.stranger = folder, Account(folder, "known"), Account(folder, "stranger")
        self.front = Front(self)
        self.endpoint = self.front.url
        for bucket in BUCKETS:
            self.ask("POST", "/storage/v1/b?project=tests", json.dumps({"name": bucket}).encode(), {"Content-Type": "application/json"})

    def close(self) -> None:
        if hasattr(self, "front"):
            self.front.close()
        super().close()

    @staticmethod
    def place(bucket: str, key: str) -> str:
        return f"b/{bucket}/o/{urllib.parse.quote(key, safe='')}"

    def put(self, bucket: str, key: str, data: bytes) -> dict:
        query = urllib.parse.urlencode({"uploadType": "media", "name": key})
        return json.loads(self.ask("POST", f"/upload/storage/v1/b/{bucket}/o?{query}", data, {"Content-Type": "text/plain"}))

    def get(self, bucket: str, key: str) -> bytes:
        return self.ask("GET", f"/storage/v1/{self.place(bucket, key)}?alt=media")

    def keys(self, bucket: str, prefix: str) -> list[str]:
        said = json.loads(self.ask("GET", f"/storage/v1/b/{bucket}/o?{urllib.parse.urlencode({'prefix': prefix})}"))
        return sorted(one["name"] for one in said.get("items", []))

    def copy(self, bucket: str, source: str, key: str) -> None:
        self.ask("POST", f"/storage/v1/{self.place(bucket, source)}/rewriteTo/{self.place(bucket, key)}")

    def connection(self, **keys) -> str:
        return json.dumps({"kind": "gcs", "endpoint": self.endpoint} | keys)

    def connections(self) -> dict[str, str]:
        (self.folder / "account.json").write_text(self.account.key())
        return {
            "by_key": self.connection(service_account_key="${STORE_KEY}"),
            "by_other_key": self.connection(service_account_file=str(self.folder / "account.json")),
            "by_nothing": self.connection(anonymous=True),
        }

    def variables(self) -> dict[str, str]:
        return {"STORE_KEY": self.account.key()}

    def environment(self) -> dict[str, str]:
        """What the client takes from the environment, for sinks."""
        return {"GOOGLE_SERVICE_ACCOUNT_KEY": self.account.key(gcs_base_url=self.endpoint)}

    def wrong_environment(self) -> tuple[dict[str, str], str]:
        """The same with the key of a stranger, and a line of it."""
        return {"GOOGLE_SERVICE_ACCOUNT_KEY": self.stranger.key(gcs_base_url=self.endpoint)}, self.stranger.private.splitlines()[3]

    def refused(self) -> dict[str, tuple[str, str, str]]:
        """Connections that do not open the bucket: the words for it, and the secret that must not be among them."""
        secret = self.stranger.private.splitlines()[3]
        one_line = json.dumps(self.stranger.private.replace("\n", " "))[1:-1]
        cut = self.stranger.key(private_key=self.stranger.private.replace("\n", " "))
        return {
            "a key of another account": (self.connection(service_account_key=self.stranger.key()), "keys of the connection", secret),
            "no key": (self.connection(anonymous=True), "keys of the connection", secret),
            "a key in quotes": (self.connection(service_account_key=json.dumps(self.stranger.key())), "cannot be read", secret),
            # Some say what they cannot read as the numbers of its bytes.
            "a key without line breaks": (self.connection(service_account_key=cut), "cannot be read", str(list(one_line.encode()))[-400:-200]),
        }


class Front(Server):
    """The XML API of Google Cloud Storage before an emulator that has it in parts.

    It asks for a token of the service account, but for the bucket that everybody may read. It cuts listings into pages, refuses
    with 412 what is not the version that was asked for, copies objects, and takes objects in parts. What is stored, and the
    objects that are read, are the emulator's.
    """

    def __init__(self, service: Google):
        super().__init__(Request)
        self.service = service
        self.tokens: dict[str, bool] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.checking = threading.Lock()

    def admits(self, authorization: str) -> bool:
        token = authorization.removeprefix("Bearer ")
        with self.checking:
            if token not in self.tokens:
                self.tokens[token] = self.service.account.signed(token, self.service.folder)
            return self.tokens[token]

    def page(self, bucket: str, query: dict[str, str]) -> bytes:
        """Objects after the token, as many as a page has; the token is the last key of the page before. Tags are in quotes."""
        asked = urllib.parse.urlencode({"list-type": 2, "prefix": query.get("prefix", "")})
        root = ElementTree.fromstring(self.service.ask("GET", f"/{bucket}?{asked}"))
        found = sorted(root.iterfind("Contents"), key=lambda one: one.findtext("Key"))
        after = [one for one in found if one.findtext("Key") > query.get("continuation-token", "")]
        for one in found:
            root.remove(one)
        for one in after[:PAGE]:
            one.find("ETag").text = f'"{one.findtext("ETag")}"'
            root.append(one)
        if len(after) > PAGE:
            ElementTree.SubElement(root, "NextContinuationToken").text = after[PAGE - 1].findtext("Key")
        return ElementTree.tostring(root)


class Request(Handler):
    """One request to the front."""

    def refuse(self, status: int, code: str) -> None:
        self.answer(f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code></Error>".encode(), status, kind="application/xml")

    def handle_any(self) -> None:
        server: Front = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path, _, query = self.path.partition("?")
        bucket, _, key = (urllib.parse.unquote(part) for part in path.removeprefix("/").partition("/"))
        query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        server.service.asked["object" if key else "page" if "continuation-token" in query else "listing"] += 1
        if bucket not in BUCKETS:
            return self.refuse(404, "NoSuchBucket")
        if bucket != OPEN and not server.admits(self.headers.get("Authorization", "")):
            return self.refuse(401, "AuthenticationRequired")
        if not key:
            return self.answer(server.page(bucket, query), kind="application/xml")
        try:
            return getattr(self, f"handle_{self.command}")(bucket, key, query, body)
        except RuntimeError as failure:
            return self.refuse(404 if ": 404 " in str(failure) else 500, "NoSuchKey")

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

    def handle_GET(self, bucket: str, key: str, *_) -> None:
        """As the emulator answers it, range and all."""
        headers = {name: value for name, value in self.headers.items() if name.lower() in ("range", "accept-encoding")}
        path = f"/{bucket}/{urllib.parse.quote(key, safe='')}"
        status, answered, data = fetched(self.server.service.port, self.command, path, headers)
        if status >= 300:
            return self.refuse(status, "NoSuchKey")
        if self.headers.get("If-Match") not in (None, dict(answered).get("Etag")):
            return self.refuse(412, "PreconditionFailed")
        return pass_on(self, status, answered, data)

    handle_HEAD = handle_GET

    def handle_PUT(self, bucket: str, key: str, query: dict[str, str], body: bytes) -> None:
        server: Front = self.server
        if source := self.headers.get("x-goog-copy-source"):
            _, _, source = urllib.parse.unquote(source).partition("/")
            server.service.copy(bucket, source, key)
            return self.answer(b"<CopyObjectResult/>", kind="application/xml")
        if "uploadId" in query:
            server.uploads[query["uploadId"]][int(query["partNumber"])] = body
            return self.answer(headers=[("ETag", f'"{hashlib.md5(body).hexdigest()}"')])
        stored = server.service.put(bucket, key, body)
        return self.answer(headers=[("ETag", f'"{stored["etag"]}"'), ("x-goog-generation", stored["generation"])])

    def handle_POST(self, bucket: str, key: str, query: dict[str, str], body: bytes) -> None:
        server: Front = self.server
        if "uploads" in query:
            upload = os.urandom(8).hex()
            server.uploads[upload] = {}
            return self.answer(f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>".encode())
        parts = server.uploads.pop(query["uploadId"])
        numbers = [int(number.text) for number in ElementTree.fromstring(body).iterfind("Part/PartNumber")]
        stored = server.service.put(bucket, key, b"".join(parts[number] for number in numbers))
        return self.answer(f'<CompleteMultipartUploadResult><ETag>"{stored["etag"]}"</ETag></CompleteMultipartUploadResult>'.encode())

    def handle_DELETE(self, bucket: str, key: str, query: dict[str, str], _: bytes) -> None:
        if "uploadId" in query:
            self.server.uploads.pop(query["uploadId"], None)
        else:
            self.server.service.ask("DELETE", f"/storage/v1/{Google.place(bucket, key)}")
        self.answer(status=204)


SERVICES: dict[str, type[Service]] = {"azure": Azure, "gcs": Google}
