"""An Apache Kafka of the test's own: one node that is broker and controller, its folder, its ports, its life."""

import base64
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

from web import free_port

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 90

SETTINGS = """
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
controller.listener.names=CONTROLLER
log.dirs={folder}/data
num.partitions=1
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
message.max.bytes=33554432
replica.fetch.max.bytes=33554432
log.cleaner.dedupe.buffer.size=8388608
log.segment.delete.delay.ms=100
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
num.network.threads=2
num.io.threads=4
queued.max.requests=100
"""

LOGGING = """
status = error
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %c: %m%n
"""


def jars(what: str = "broker") -> Path | None:
    """The folder of Kafka's jars; None, said on the error output, where there is no way to have them."""
    done = subprocess.run([ROOT / "scripts" / "kafka", what], stdout=subprocess.PIPE, text=True, check=False)
    return Path(done.stdout.strip()) if done.returncode == 0 else None


def java(folder: Path, classes: Path, *arguments: str) -> list[str]:
    """A machine with little memory that starts soon and writes its log as the folder's log4j2.properties says."""
    return [
        "java", "-Xmx384m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
        f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}", "-cp", f"{classes}/*", *arguments,
    ]


class Process:
    """A program of Java with a folder and a port of its own; the folder outlives it when HEADWATER_KEEP is set."""

    def __init__(self, what: str, logging: str = LOGGING):
        self.jars = jars(what)
        if self.jars is None:
            raise FileNotFoundError(f"no Kafka: {what}")
        self.folder = Path(tempfile.mkdtemp(prefix=f"headwater-{what}-", dir="/tmp"))
        self.port = free_port()
        self.process: subprocess.Popen | None = None
        (self.folder / "log4j2.properties").write_text(logging)

    def launch(self, *arguments: str) -> None:
        words = (self.folder / "words").open("a")
        self.process = subprocess.Popen(
            java(self.folder, self.jars, *arguments), stdin=subprocess.DEVNULL, stdout=words, stderr=words, cwd=self.folder,
        )

    def said(self) -> str:
        return (self.folder / "words").read_text(errors="replace")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self.kill()
        if not os.environ.get("HEADWATER_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)


class Broker(Process):
    """`users` (name: password) turns on SASL with PLAIN and SCRAM-SHA-256; `tls` serves with a certificate made here."""

    def __init__(self, users: dict[str, str] | None = None, tls: bool = False, settings: str = ""):
        super().__init__("broker")
        self.users, self.tls = users or {}, tls
        self.controller = free_port()
        text = SETTINGS.format(folder=self.folder, controller=self.controller) + self.listeners() + settings
        (self.folder / "server.properties").write_text(text)
        self.format()

    @property
    def address(self) -> str:
        return f"localhost:{self.port}" if self.tls else f"127.0.0.1:{self.port}"

    def listeners(self) -> str:
        protocol = {(False, False): "PLAINTEXT", (True, False): "SASL_PLAINTEXT", (False, True): "SSL", (True, True): "SASL_SSL"}
        name = protocol[(bool(self.users), self.tls)]
        lines = [
            f"listeners={name}://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller}",
            f"advertised.listeners={name}://{self.address}",
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT," + ",".join(f"{one}:{one}" for one in protocol.values()),
            f"inter.broker.listener.name={name}",
        ]
        if self.users:
            module = "org.apache.kafka.common.security"
            first, password = next(iter(self.users.items()))
            known = " ".join(f'user_{user}="{secret}"' for user, secret in self.users.items())
            lines += [
                "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256",
                "sasl.mechanism.inter.broker.protocol=PLAIN",
                f"listener.name.{name.lower()}.plain.sasl.jaas.config={module}.plain.PlainLoginModule required "
                f'username="{first}" password="{password}" {known};',
                f"listener.name.{name.lower()}.scram-sha-256.sasl.jaas.config={module}.scram.ScramLoginModule required;",
            ]
        if self.tls:
            key, certificate = self.certificate()
            one_line = lambda path: path.read_text().replace("\n", "\\n")  # noqa: E731
            lines += [
                "ssl.keystore.type=PEM", f"ssl.keystore.key={one_line(key)}",
                f"ssl.keystore.certificate.chain={one_line(certificate)}",
                "ssl.truststore.type=PEM", f"ssl.truststore.certificates={one_line(certificate)}",
            ]
        return "\n".join(lines) + "\n"

    @property
    def ca_file(self) -> Path:
        return self.folder / "server.crt"

    def certificate(self) -> tuple[Path, Path]:
        key, certificate = self.folder / "server.key", self.ca_file
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
            capture_output=True, check=True,
        )
        return key, certificate

    def format(self) -> None:
        identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
        secrets = [text for user, secret in self.users.items()
                   for text in ("--add-scram", f"SCRAM-SHA-256=[name={user},password={secret}]")]
        done = subprocess.run(
            java(self.folder, self.jars, "kafka.tools.StorageTool", "format", "--standalone", "-t", identity, "-c", str(self.folder / "server.properties"), *secrets),
            capture_output=True, text=True, check=False,
        )
        if done.returncode:
            raise RuntimeError(f"formatting Kafka's folder failed: {done.stdout} {done.stderr}")

    def start(self) -> None:
        """Starts, or starts again, and waits until it takes connections."""
        self.launch("kafka.Kafka", str(self.folder / "server.properties"))
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            with socket.socket() as one:
                one.settimeout(1)
                if one.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise RuntimeError(f"Kafka did not start: {self.said()[-2000:]}")

    def end(self, how: int) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(60)

    def stop(self) -> None:
        self.end(signal.SIGTERM)

    def kill(self) -> None:
        self.end(signal.SIGKILL)
