"""What the tests do to a cluster: topics made, messages written, transactions left open, schemas kept."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from broker import Broker
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

SECONDS = 60


class Bus:
    """A cluster as the tests see it."""

    def __init__(self, broker: Broker, **settings: str):
        self.broker = broker
        self.settings = {"bootstrap.servers": broker.address, "log_level": 2, "allow.auto.create.topics": "false"} | settings
        self.admin = AdminClient(self.settings)

    def create(self, topic: str, partitions: int = 1, **config: str) -> None:
        named = {key.replace("_", "."): value for key, value in config.items()}
        for future in self.admin.create_topics([NewTopic(topic, partitions, 1, config=named)]).values():
            future.result(SECONDS)

    def remove(self, topic: str) -> None:
        for future in self.admin.delete_topics([topic]).values():
            future.result(SECONDS)

    def grow(self, topic: str, partitions: int) -> None:
        for future in self.admin.create_partitions([NewPartitions(topic, partitions)]).values():
            future.result(SECONDS)

    def forget(self, topic: str, before: int, partition: int = 0) -> None:
        """Removes records as retention does."""
        for future in self.admin.delete_records([TopicPartition(topic, partition, before)]).values():
            future.result(SECONDS)

    def producer(self, **settings: str) -> Producer:
        return Producer(self.settings | {"enable.idempotence": "true", "linger.ms": "5"} | settings)

    def write(self, topic: str, values, partition: int = 0, key=None, headers=None, timestamp: int = 0, **settings) -> None:
        """Messages to one partition; objects become JSON, None is a tombstone."""
        producer = self.producer(**settings)
        for value in values:
            payload = json.dumps(value) if isinstance(value, dict) else value
            while True:
                try:
                    producer.produce(topic, payload, key, partition, headers=headers, timestamp=timestamp)
                    break
                except BufferError:
                    producer.poll(0.1)
        if producer.flush(SECONDS):
            raise RuntimeError(f"messages to {topic} were not delivered")

    def transaction(self, topic: str, values, end: str, identity: str) -> Producer:
        """Messages in a transaction that is committed, aborted or left open."""
        producer = self.producer(**{"transactional.id": identity})
        producer.init_transactions(SECONDS)
        producer.begin_transaction()
        for value in values:
            producer.produce(topic, json.dumps(value), partition=0)
        producer.flush(SECONDS)
        if end == "commit":
            producer.commit_transaction(SECONDS)
        if end == "abort":
            producer.abort_transaction(SECONDS)
        return producer

    def ends(self, topic: str, partitions: int = 1) -> list[int]:
        consumer = Consumer(self.settings | {"group.id": "looks"})
        found = [consumer.get_watermark_offsets(TopicPartition(topic, one), SECONDS)[1] for one in range(partitions)]
        consumer.close()
        return found

    def read(self, topic: str, partitions: int) -> list[dict]:
        """Every committed message, as JSON."""
        found = []
        for partition in range(partitions):
            consumer = Consumer(self.settings | {"group.id": "reads", "enable.partition.eof": "true", "isolation.level": "read_committed"})
            consumer.assign([TopicPartition(topic, partition, 0)])
            while True:
                message = consumer.poll(SECONDS)
                if message is None:
                    raise RuntimeError(f"{topic} does not answer")
                if message.error():
                    if message.error().code() == KafkaError._PARTITION_EOF:
                        break
                    raise RuntimeError(str(message.error()))
                found.append(json.loads(message.value()))
            consumer.close()
        return found

    def set_group(self, group: str, topic: str, offset: int) -> None:
        consumer = Consumer(self.settings | {"group.id": group, "enable.auto.commit": "false"})
        consumer.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)
        consumer.close()

    def group(self, group: str, topic: str) -> int:
        consumer = Consumer(self.settings | {"group.id": group})
        found = consumer.committed([TopicPartition(topic, 0)], SECONDS)[0].offset
        consumer.close()
        return found

    def member(self, group: str, topic: str) -> Consumer:
        """Somebody who joins the group."""
        consumer = Consumer(self.settings | {"group.id": group, "auto.offset.reset": "earliest"})
        consumer.subscribe([topic])
        return consumer


class Registry:
    """A schema registry: texts by number, and what it answers when it is told to be ill."""

    def __init__(self) -> None:
        self.schemas: dict[int, dict] = {}
        self.status = 200
        self.asked = 0
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.asked += 1
                found = registry.schemas.get(int(self.path.rsplit("/", 1)[1]))
                status = registry.status if registry.status != 200 or found else 404
                body = json.dumps(found if status == 200 else {"error_code": status}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    @contextmanager
    def running(self):
        thread = threading.Thread(target=self.server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self.server.shutdown()
            thread.join()


def avro_long(value: int) -> bytes:
    value, out = (value << 1) ^ (value >> 63), bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def avro_text(text: str) -> bytes:
    return avro_long(len(text.encode())) + text.encode()


def framed(schema: int, body: bytes) -> bytes:
    return b"\0" + schema.to_bytes(4, "big") + body
