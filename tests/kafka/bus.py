"""What the tests do to a cluster: topics made, messages written, transactions left open, schemas kept."""

import json
import struct
import time
from collections.abc import Iterator
from urllib.parse import unquote

from broker import Broker
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic
from web import Handler, Server

SECONDS = 60
# What a broker says of partitions that it does not lead yet.
NOT_LED = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.LEADER_NOT_AVAILABLE)


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
        found = [end_of(consumer, topic, one) for one in range(partitions)]
        consumer.close()
        return found

    def read(self, topic: str, partitions: int) -> list[dict]:
        """Every committed message, as JSON."""
        return [json.loads(message.value()) for message in self.messages(topic, partitions)]

    def messages(self, topic: str, partitions: int) -> Iterator[Message]:
        """Every committed message, partition by partition."""
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
                yield message
            consumer.close()

    def set_group(self, group: str, topic: str, offset: int) -> None:
        consumer = Consumer(self.settings | {"group.id": group, "enable.auto.commit": "false"})
        consumer.commit(offsets=[TopicPartition(topic, 0, offset)], asynchronous=False)
        consumer.close()

    def group(self, group: str, topic: str) -> int:
        """Offset of the group in the first partition; -1 while nobody coordinates the group."""
        consumer = Consumer(self.settings | {"group.id": group})
        try:
            return consumer.committed([TopicPartition(topic, 0)], SECONDS)[0].offset
        except KafkaException:
            return -1
        finally:
            consumer.close()

    def member(self, group: str, topic: str) -> Consumer:
        """Somebody who joins the group."""
        consumer = Consumer(self.settings | {"group.id": group, "auto.offset.reset": "earliest"})
        consumer.subscribe([topic])
        return consumer


def end_of(consumer: Consumer, topic: str, partition: int) -> int:
    """Next offset of a partition. A topic is listed before a broker leads its partitions; until one does, clients are to ask again."""
    until = time.monotonic() + SECONDS
    while True:
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, partition), SECONDS)[1]
        except KafkaException as error:
            if error.args[0].code() not in NOT_LED or time.monotonic() > until:
                raise
        time.sleep(0.05)


class Follower:
    """A topic of one partition, without transactions, read on from where it was read to."""

    def __init__(self, bus: Bus, topic: str):
        self.bus, self.topic = bus, topic
        self.consumer: Consumer | None = None
        self.next = 0

    def new(self) -> list[Message]:
        """Messages that came since; none while there is no such topic."""
        if self.consumer is None:
            if self.topic not in self.bus.admin.list_topics(timeout=SECONDS).topics:
                return []
            self.consumer = Consumer(self.bus.settings | {"group.id": "follows", "fetch.wait.max.ms": "20"})
            self.consumer.assign([TopicPartition(self.topic, 0, 0)])
        found = []
        end = end_of(self.consumer, self.topic, 0)
        while self.next < end:
            message = self.consumer.poll(SECONDS)
            if message is None or message.error():
                raise RuntimeError(f"{self.topic} cannot be read: {message and message.error()}")
            found.append(message)
            self.next = message.offset() + 1
        return found

    def close(self) -> None:
        if self.consumer is not None:
            self.consumer.close()


class Registry(Server):
    """A schema registry: texts by number and by version of a subject, and what it answers when it is told to be ill."""

    def __init__(self) -> None:
        super().__init__(Schema)
        self.schemas: dict[int, dict] = {}
        self.versions: dict[tuple[str, int], dict] = {}
        self.status = 200
        self.asked = 0


class Schema(Handler):
    def do_GET(self) -> None:
        registry = self.server
        registry.asked += 1
        match unquote(self.path).strip("/").split("/"):
            case ["schemas", "ids", number]:
                found = registry.schemas.get(int(number))
            case ["subjects", *subject, "versions", version]:
                found = registry.versions.get(("/".join(subject), int(version)))
            case _:
                found = None
        status = registry.status if registry.status != 200 or found else 404
        self.answer(found if status == 200 else {"error_code": status}, status)


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


def reference(name: str, subject: str, version: int = 1) -> dict:
    return {"name": name, "subject": subject, "version": version}


def varint(value: int) -> bytes:
    value, out = value & (1 << 64) - 1, bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def field(number: int, value) -> bytes:
    """A field of a Protobuf message: an integer as varint, a float as eight bytes, text and bytes after their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(schema: int, body: bytes, *path: int) -> bytes:
    """A Protobuf value as serializers frame it; without a path the first message of its schema."""
    places = avro_long(len(path)) + b"".join(map(avro_long, path)) if path else b"\0"
    return framed(schema, places + body)
