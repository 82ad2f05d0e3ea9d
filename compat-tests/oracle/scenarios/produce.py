"""Produce, InitProducerId and DescribeProducers: what is accepted, what is refused and with which code, idempotent producers and their retries."""

import struct
import time

from scenarios import scenario
from wire import records
from wire.codec import ZERO_UUID
from wire.records import batch

OLD = 1_700_000_000_000


def body(topic, data, acks=-1, partition=0, **more):
    """`topic`: (name, id). `data`: bytes for one partition, or {partition: bytes}."""
    parts = data if isinstance(data, dict) else {partition: data}
    entry = {"Name": topic[0], "TopicId": topic[1], "PartitionData": [{"Index": i, "Records": d} for i, d in parts.items()]}
    return {"Acks": acks, "TimeoutMs": 5000, "TopicData": [entry], **more}


def fetched(s, label, topic, partition=0):
    """Reads a partition back through Fetch and records what it holds."""
    s.ask(label, "Fetch", {"ReplicaId": -1, "MaxWaitMs": 100, "MinBytes": 1, "MaxBytes": 1 << 20, "Topics": [
        {"Topic": topic[0], "Partitions": [{"Partition": partition, "FetchOffset": 0, "PartitionMaxBytes": 1 << 20}]}]}, version=12)


@scenario("Produce")
def accepted(s):
    topic = s.topic("orders", partitions=3)
    s.ask("one record, acks all", "Produce", body(topic, batch([b"a"])))
    s.ask("three records, acks 1", "Produce", body(topic, batch([b"b", b"c", b"d"], keys=[b"k", None, b""]), acks=1))
    s.ask("several partitions", "Produce", body(topic, {2: batch([b"x"]), 0: batch([b"y"]), 1: batch([b"z"])}))
    for name, codec in (("gzip", records.GZIP), ("snappy", records.SNAPPY), ("lz4", records.LZ4), ("zstd", records.ZSTD)):
        s.ask(name, "Produce", body(topic, batch([b"v" * 100] * 5, codec=codec)))
    s.ask("headers and a null value", "Produce", body(topic, batch([None, b""], headers=[(b"h", b"1"), (b"h", None)])))
    s.ask("base offset of the client is not kept", "Produce", body(topic, batch([b"q"], base_offset=777, epoch=5)))
    fetched(s, "read back", topic)


@scenario("Produce")
def acks_zero_is_not_answered(s):
    topic = s.topic("quick")
    s.main.send("Produce", s.version, body(topic, batch([b"a"]), acks=0))
    s.ask("the answer to the request after it", "Metadata", {"Topics": [{"Name": topic[0]}]}, version=9)
    s.until(lambda: s.end_offset(topic[0], 0) == 1, "the record is there")
    fetched(s, "read back", topic)


@scenario("Produce")
def acks_zero_that_fails_closes_the_connection(s):
    s.ask("unknown topic", "Produce", body((s.name("absent"), "12345678-1234-1234-1234-123456789abc"), batch(), acks=0), timeout_s=3)


@scenario("Produce")
def wrong_places(s):
    topic = s.topic("place", partitions=2)
    s.ask("unknown topic", "Produce", body((s.name("absent"), "12345678-1234-1234-1234-123456789abc"), batch()))
    s.ask("zero topic id or empty name", "Produce", body(("", ZERO_UUID), batch()))
    s.ask("partition that is not there", "Produce", body(topic, batch(), partition=2))
    s.ask("negative partition", "Produce", body(topic, batch(), partition=-1))
    s.ask("one good and one bad partition", "Produce", body(topic, {0: batch(), 9: batch()}))
    s.ask("no topics", "Produce", {"Acks": -1, "TimeoutMs": 1000, "TopicData": []})
    s.ask("no partitions", "Produce", body(topic, {}))
    s.ask("invalid name", "Produce", body(("no/such name", ZERO_UUID), batch()))


@scenario("Produce")
def wrong_acks(s):
    topic = s.topic("acks")
    for acks in (2, -2, 100):
        s.ask(f"acks {acks}", "Produce", body(topic, batch(), acks=acks))


@scenario("Produce")
def wrong_batches(s):
    topic = s.topic("bad")
    good = batch([b"a", b"b"])
    cases = {
        "null records": None,
        "no bytes": b"",
        "shorter than a header": good[:20],
        "cut at the end": good[:-1],
        "one byte too many": good + b"x",
        "wrong crc": batch([b"a"], crc=1),
        "two batches": good + batch([b"c"]),
        "magic 0": records.old_message(0),
        "magic 1": records.old_message(1),
        "magic 3": batch([b"a"], magic=3),
        "magic -1": batch([b"a"], magic=-1),
        "count above the records": batch([b"a"], count=2),
        "count below the records": batch([b"a", b"b"], count=1, last_offset_delta=0),
        "count zero": batch([b"a"], count=0),
        "count negative": batch([b"a"], count=-1),
        "last offset delta too large": batch([b"a"], last_offset_delta=5),
        "last offset delta negative": batch([b"a"], last_offset_delta=-1),
        "no records in a batch": batch([], count=0, last_offset_delta=-1),
        "length too small": batch([b"a"], length=10),
        "length negative": batch([b"a"], length=-5),
        "length beyond the bytes": batch([b"a"], length=100000),
        "codec 5": batch([b"a"], attributes=5),
        "codec 7": batch([b"a"], attributes=7),
        "transactional without a producer": batch([b"a"], attributes=0x10),
        "control batch": batch([b"a"], attributes=0x20),
        "control and transactional": batch([b"a"], attributes=0x30, producer_id=1, producer_epoch=0, base_sequence=0),
        "log append time set by the client": batch([b"a"], attributes=0x08),
        "unused attribute bits": batch([b"a"], attributes=0x4000),
        "offset deltas out of order": batch([b"a", b"b"], records=records.record(1) + records.record(0)),
        "offset delta gap": batch([b"a", b"b"], records=records.record(0) + records.record(2)),
        "record longer than the batch": batch([b"a"], records=records.varint(1000) + b"\x00" * 6),
        "record of negative length": batch([b"a"], records=records.varint(-1)),
        "negative value length -2": batch([b"a"], records=records.varint(6) + b"\x00\x00\x00" + records.varint(-1) + records.varint(-2) + records.varint(0)),
        "negative timestamp": batch([b"a"], base_timestamp=-5),
        "max timestamp is a lie": batch([b"a"], max_timestamp=OLD + 999),
        "header key null": batch([b"a"], records=records.varint(9) + b"\x00\x00\x00\x01\x02a\x02\x01\x01"[:9]),
    }
    for label, data in cases.items():
        s.ask(label, "Produce", body(topic, data))
    fetched(s, "what is in the log", topic)


@scenario("Produce")
def compressed_nonsense(s):
    """A batch that says it is compressed, with bytes that its codec cannot open. Each to a topic of its own, since brokers differ in whether they look inside."""
    for name, codec in (("gzip", records.GZIP), ("snappy", records.SNAPPY), ("lz4", records.LZ4), ("zstd", records.ZSTD)):
        s.ask(name, "Produce", body(s.topic(name), batch([b"a"], attributes=codec)))


@scenario("Produce")
def limits(s):
    topic = s.topic("small", max_message_bytes=200)
    s.ask("just small enough", "Produce", body(topic, batch([b"x" * 100])))
    s.ask("too large", "Produce", body(topic, batch([b"x" * 300])))
    s.ask("two batches, together too large", "Produce", body(topic, batch([b"x" * 80]) + batch([b"y" * 80])))
    fetched(s, "what is in the log", topic)


@scenario("Produce")
def timestamps(s):
    now = int(time.time() * 1000)
    limited = s.topic("limited", message_timestamp_before_max_ms=60_000, message_timestamp_after_max_ms=60_000)
    s.ask("now", "Produce", body(limited, batch([b"a"], base_timestamp=now)))
    s.ask("too old", "Produce", body(limited, batch([b"a"], base_timestamp=now - 600_000)))
    s.ask("too new", "Produce", body(limited, batch([b"a"], base_timestamp=now + 600_000)))
    s.ask("the second of three is too old", "Produce", body(limited, batch([b"a", b"b", b"c"], base_timestamp=now, timestamps=[now, now - 600_000, now])))
    s.ask("no timestamp", "Produce", body(limited, batch([b"a"], base_timestamp=-1)))
    appended = s.topic("appended", message_timestamp_type="LogAppendTime")
    s.ask("log append time", "Produce", body(appended, batch([b"a", b"b"])))
    s.ask("log append time, compressed", "Produce", body(appended, batch([b"a", b"b"], codec=records.GZIP)))
    s.ask("the default limit for the future", "Produce", body(s.topic("plain"), batch([b"a"], base_timestamp=now + 7_200_000)))


@scenario("Produce")
def compacted_topics_want_keys(s):
    topic = s.topic("compacted", cleanup_policy="compact")
    s.ask("no key", "Produce", body(topic, batch([b"a"])))
    s.ask("keys", "Produce", body(topic, batch([b"a", None], keys=[b"k", b"k"])))
    s.ask("one of three has none", "Produce", body(topic, batch([b"a", b"b", b"c"], keys=[b"k", None, b"k"])))
    s.ask("compressed, no key", "Produce", body(topic, batch([b"a"], codec=records.LZ4)))
    fetched(s, "what is in the log", topic)


@scenario("Produce")
def internal_topics(s):
    s.coordinator(s.name("group"))
    told = s.metadata("__consumer_offsets")
    s.ask("a client writes to the offsets topic", "Produce", body(("__consumer_offsets", told["TopicId"]), batch([b"x"], keys=[b"k"])))


@scenario("Produce")
def idempotent(s):
    topic = s.topic("once", partitions=2)
    pid = s.producer_id()

    def send(label, sequence, values=(b"a", b"b"), epoch=0, partition=0, producer=pid):
        data = batch(list(values), producer_id=producer, producer_epoch=epoch, base_sequence=sequence)
        s.ask(label, "Produce", body(topic, data, partition=partition))

    send("first", 0)
    send("second", 2)
    send("second again", 2)
    send("first again", 0)
    send("a gap", 10)
    send("after the gap's refusal the next is right", 4)
    send("part of what was sent", 2, values=(b"a",))
    send("overlapping", 5)
    for i in range(5):
        send(f"more {i}", 6 + i * 2)
    send("a duplicate that is still remembered", 8)
    send("a duplicate that is forgotten", 0)
    send("other partition begins at its own zero", 0, partition=1)
    send("other partition begins with a gap", 5, partition=1)
    send("older epoch", 16, epoch=-1)
    send("newer epoch begins at zero", 0, epoch=1)
    send("the old epoch is fenced", 16, epoch=0)
    send("newer epoch not from zero", 7, epoch=2)
    send("unknown producer begins at five", 5, producer=987_654)
    send("unknown producer goes on", 7, producer=987_654)
    send("sequence without a producer", 0, producer=-1)
    send("producer without a sequence", -1)
    send("negative sequence", -7)
    s.ask("two batches of one producer", "Produce", body(topic, batch([b"a"], producer_id=pid, producer_epoch=3, base_sequence=0) + batch([b"b"], producer_id=pid, producer_epoch=3, base_sequence=1)))
    fetched(s, "what is in the log", topic)
    s.ask("who produces", "DescribeProducers", {"Topics": [{"Name": topic[0], "PartitionIndexes": [0, 1]}]}, version=0)


@scenario("Produce", once=True)
def sequence_wraps(s):
    topic = s.topic("wrap")
    top = 2147483647

    def send(label, sequence, values):
        s.ask(label, "Produce", body(topic, batch(values, producer_id=4242, producer_epoch=0, base_sequence=sequence)))

    send("begins near the top", top - 1, [b"a", b"b"])
    send("goes on at zero", 0, [b"c"])
    send("a batch that wraps in itself", top, [b"d", b"e"])


@scenario("Produce", versions=(9, 13))
def transactional_without_a_transaction(s):
    topic = s.topic("tx")
    data = batch([b"a"], attributes=0x10, producer_id=31, producer_epoch=0, base_sequence=0)
    s.ask("transactional id named, batch is not transactional", "Produce", body(topic, batch([b"a"]), TransactionalId="t"))
    s.ask("transactional batch, no transactional id", "Produce", body(topic, data))


@scenario("InitProducerId")
def producer_ids(s):
    s.producer_id()
    ask = lambda label, **values: s.ask(label, "InitProducerId", {"TransactionalId": None, "TransactionTimeoutMs": 60000, **values})  # noqa: E731
    ask("first")
    ask("second is another")
    ask("no timeout", TransactionTimeoutMs=0)
    ask("negative timeout", TransactionTimeoutMs=-1)
    ask("id and epoch given", ProducerId=5, ProducerEpoch=3)
    ask("id without epoch", ProducerId=5)
    ask("epoch without id", ProducerEpoch=5)
    ask("empty transactional id", TransactionalId="")


@scenario("DescribeProducers")
def producers(s):
    topic = s.topic("written", partitions=2)
    ask = lambda label, name, partitions: s.ask(label, "DescribeProducers", {"Topics": [{"Name": name, "PartitionIndexes": partitions}]})  # noqa: E731
    ask("none yet", topic[0], [0, 1])
    s.append(topic[0], [b"a", b"b"], producer_id=77, producer_epoch=2, base_sequence=0)
    s.append(topic[0], [b"c"], producer_id=78, producer_epoch=0, base_sequence=0)
    ask("two", topic[0], [0, 1])
    ask("unknown partition", topic[0], [2, -1])
    ask("unknown topic", s.name("absent"), [0])
    ask("no partitions", topic[0], [])
    ask("invalid name", "a b", [0])
    s.ask("no topics", "DescribeProducers", {"Topics": []})


@scenario("Produce", once=True)
def pipelined(s):
    """Many requests before the first answer: the answers come in the order of the requests."""
    topic = s.topic("pipe", partitions=2)
    waits = [s.later(f"request {i}", "Produce", body(topic, batch([struct.pack(">i", i)]), partition=i % 2)) for i in range(20)]
    for wait in waits:
        wait()
    fetched(s, "read back", topic)
