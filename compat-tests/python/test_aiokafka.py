"""aiokafka: the same courses in asyncio, with its own encoders, group coordinator and admin client."""

import asyncio
import contextlib
import functools
import time

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import CommitFailedError, MessageSizeTooLargeError, OffsetOutOfRangeError
from kafka.admin import MemberToRemove

import common
import kp


def asynchronous(test):
    """Runs an async test to its end, each in an event loop of its own."""


    @functools.wraps(test)
    def run(*args, **kwargs):
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 90))

    return run


@contextlib.asynccontextmanager
async def started(client):
    await client.start()
    try:
        yield client
    finally:
        await (client.stop() if hasattr(client, "stop") else client.close())


def producer(**settings):
    return started(AIOKafkaProducer(bootstrap_servers=common.BOOTSTRAP, **settings))


def consumer(*topics, **settings):
    return started(AIOKafkaConsumer(*topics, bootstrap_servers=common.BOOTSTRAP, auto_offset_reset=settings.pop("auto_offset_reset", "earliest"),
                                    heartbeat_interval_ms=300, session_timeout_ms=settings.pop("session_timeout_ms", 10_000), **settings))


def admin():
    return started(AIOKafkaAdminClient(bootstrap_servers=common.BOOTSTRAP))


async def send_all(topic, count, partition=None, **settings):
    async with producer(**settings) as p:
        futures = [await p.send(topic, str(i).encode(), partition=partition) for i in range(count)]
        return await asyncio.gather(*futures)


async def read(source, count):
    records = []
    deadline = time.monotonic() + common.PATIENCE_S
    while len(records) < count:
        assert time.monotonic() < deadline, f"{len(records)} of {count} records"
        for batch in (await source.getmany(timeout_ms=200)).values():
            records.extend(batch)
    for batch in (await source.getmany(timeout_ms=300)).values():
        records.extend(batch)
    return records


async def until(condition, what):
    deadline = time.monotonic() + common.PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {common.PATIENCE_S} s: {what}"
        await asyncio.sleep(0.05)


@pytest.mark.topic(partitions=3)
@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
@asynchronous
async def test_keys_headers_and_compression(topic, codec):
    async with producer(compression_type=codec, linger_ms=20) as p:
        futures = [await p.send(topic, f"value {i} {'x' * 100}".encode(), key=f"k{i % 10}".encode(), headers=[("n", str(i).encode()), ("null", None)], timestamp_ms=1_700_000_000_000 + i) for i in range(600)]
        sent = await asyncio.gather(*futures)
    async with consumer(topic) as c:
        records = await read(c, 600)
    found = {(r.partition, r.offset): r for r in records}
    assert len(records) == len(found) == 600
    for i, metadata in enumerate(sent):
        record = found[(metadata.partition, metadata.offset)]
        assert (record.key, record.value) == (f"k{i % 10}".encode(), f"value {i} {'x' * 100}".encode())
        assert list(record.headers) == [("n", str(i).encode()), ("null", None)] and (record.timestamp, record.timestamp_type) == (1_700_000_000_000 + i, 0)


@pytest.mark.parametrize("settings", [{"acks": 0}, {"acks": 1}, {"acks": "all"}, {"enable_idempotence": True}])
@asynchronous
async def test_acks_and_idempotence(topic, settings):
    await send_all(topic, 300, max_batch_size=500, **settings)
    async with consumer(topic) as c:
        assert [(r.offset, r.value) for r in await read(c, 300)] == [(i, str(i).encode()) for i in range(300)]


@asynchronous
async def test_a_batch_built_by_hand(topic):
    async with producer() as p:
        batch = p.create_batch()
        for i in range(40):
            assert batch.append(key=None, value=str(i).encode(), timestamp=1_700_000_000_000 + i) is not None
        batch.close()
        metadata = await (await p.send_batch(batch, topic, partition=0))
        assert metadata.offset == 0
    async with consumer(topic) as c:
        assert [(r.offset, r.timestamp) for r in await read(c, 40)] == [(i, 1_700_000_000_000 + i) for i in range(40)]


@asynchronous
async def test_too_large_a_message(topic):
    async with producer(max_request_size=4_000_000) as p:
        with pytest.raises(MessageSizeTooLargeError):
            await p.send_and_wait(topic, b"x" * 2_000_000)
        assert (await p.send_and_wait(topic, b"x" * 1_000_000)).offset == 0


@pytest.mark.topic(partitions=2)
@asynchronous
async def test_seek_replay_and_offsets(topic):
    tp, other = TopicPartition(topic, 0), TopicPartition(topic, 1)
    sent = await send_all(topic, 100, partition=0)
    async with consumer() as c:
        c.assign([tp, other])
        assert (await c.beginning_offsets([tp, other]), await c.end_offsets([tp, other])) == ({tp: 0, other: 0}, {tp: 100, other: 0})
        assert len(await read(c, 100)) == 100 and await c.position(tp) == 100
        c.seek(tp, 90)
        assert [r.offset for r in await read(c, 10)] == list(range(90, 100))
        await c.seek_to_beginning(tp)
        assert [r.offset for r in await read(c, 100)] == list(range(100))
        await c.seek_to_end(tp)
        assert await c.position(tp) == 100
        at = await c.offsets_for_times({tp: sent[50].timestamp, other: 0})
        first = next(m.offset for m in sent if m.timestamp >= sent[50].timestamp)
        assert at[tp].offset == first and at[other] is None
        c.pause(tp)
        await send_all(topic, 1, partition=0)
        assert await c.getmany(timeout_ms=500) == {}
        c.resume(tp)
        assert [r.offset for r in await read(c, 1)] == [100]
        assert c.highwater(tp) == 101 and c.last_stable_offset(tp) == 101


@asynchronous
async def test_an_offset_out_of_range_without_a_reset_policy(topic):
    await send_all(topic, 3)
    async with consumer(auto_offset_reset="none") as c:
        tp = TopicPartition(topic, 0)
        c.assign([tp])
        c.seek(tp, 50)
        with pytest.raises(OffsetOutOfRangeError):
            await c.getone()


@asynchronous
async def test_manual_commits_with_metadata(topic, group):
    await send_all(topic, 30)
    tp = TopicPartition(topic, 0)
    async with consumer(topic, group_id=group, enable_auto_commit=False) as c:
        await read(c, 30)
        assert await c.committed(tp) is None
        await c.commit({tp: (12, "twelve")})
        assert await c.committed(tp) == 12
        await c.seek_to_committed(tp)
        assert [r.offset for r in await read(c, 18)] == list(range(12, 30))
    async with consumer(topic, group_id=group, enable_auto_commit=False) as c:
        assert [r.offset for r in await read(c, 18)] == list(range(12, 30))
        await c.commit()
    async with admin() as a:
        told = await a.list_consumer_group_offsets(group)
        assert told[tp].offset == 30


@asynchronous
async def test_automatic_commits(topic, group):
    await send_all(topic, 20)
    async with consumer(topic, group_id=group, auto_commit_interval_ms=100) as c:
        await read(c, 20)
    await send_all(topic, 3)
    async with consumer(topic, group_id=group) as c:
        assert [r.offset for r in await read(c, 3)] == [20, 21, 22]


class Listener(ConsumerRebalanceListener):
    def __init__(self):
        self.history = []

    async def on_partitions_revoked(self, revoked):
        self.history.append(("revoked", {tp.partition for tp in revoked}))

    async def on_partitions_assigned(self, assigned):
        self.history.append(("assigned", {tp.partition for tp in assigned}))


def shares(consumers):
    return sorted((len(c.assignment()) for c in consumers), reverse=True)


@pytest.mark.parametrize("assignor", [RoundRobinPartitionAssignor, StickyPartitionAssignor])
@pytest.mark.topic(partitions=4)
@asynchronous
async def test_a_group_grows_and_shrinks(topic, group, assignor):
    async with contextlib.AsyncExitStack() as stack:
        consumers, records, readers, listeners = [], [], [], []

        async def follow(c):
            async for record in c:
                records.append((record.partition, record.offset))

        async def join():
            c = await stack.enter_async_context(consumer(group_id=group, partition_assignment_strategy=(assignor,), rebalance_timeout_ms=5000))
            listeners.append(Listener())
            c.subscribe([topic], listener=listeners[-1])
            consumers.append(c)
            readers.append(asyncio.create_task(follow(c)))

        for wanted in ([4], [2, 2], [2, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1, 0]):
            await join()
            await until(lambda: shares(consumers) == wanted and set().union(*(c.assignment() for c in consumers)) == {TopicPartition(topic, p) for p in range(4)}, f"shares {wanted}")
        sent = await send_all(topic, 200)
        await until(lambda: len(records) >= 200, "all records")
        assert sorted(records) == sorted((m.partition, m.offset) for m in sent)
        assert ("revoked", set(range(4))) in listeners[0].history, "an eager member gives up everything first"
        for reader in readers[:3]:
            reader.cancel()
        for c in consumers[:3]:
            await c.stop()
        await until(lambda: shares(consumers[3:]) == [2, 2], "the two that stay share")
        for reader in readers:
            reader.cancel()


@pytest.mark.topic(partitions=2)
@asynchronous
async def test_a_static_member_keeps_its_place(topic, group):
    settings = {"group_id": group, "session_timeout_ms": 30_000}
    async with consumer(topic, group_instance_id="two", **settings) as other:
        async with consumer(topic, group_instance_id="one", **settings) as c:
            reading = asyncio.create_task(c.getone())
            listening = asyncio.create_task(other.getone())
            await until(lambda: shares([c, other]) == [1, 1], "one each")
            before = c.assignment()
            reading.cancel()
        async with consumer(topic, group_instance_id="one", **settings) as c:
            await until(lambda: c.assignment() == before and shares([c, other]) == [1, 1], "the same place")
        listening.cancel()


@asynchronous
async def test_a_commit_by_a_member_that_was_removed_is_refused(topic, group):
    await send_all(topic, 5)
    async with consumer(topic, group_id=group, enable_auto_commit=False, max_poll_interval_ms=6000, session_timeout_ms=6000) as c:
        assert len(await read(c, 5)) == 5
        with kp.admin() as client:
            member = client.describe_groups([group])[group]["members"][0]["member_id"]
            client.remove_group_members(group, [MemberToRemove(member_id=member)])
        with pytest.raises(CommitFailedError):
            await c.commit({TopicPartition(topic, 0): 5})


@asynchronous
async def test_admin_topics_configs_groups_and_records(group):
    name = common.unique("topic")
    async with admin() as a:
        told = await a.create_topics([NewTopic(name, 2, 1, topic_configs={"retention.ms": "90000"})])
        assert [(t[0], t[1]) for t in told.topic_errors] == [(name, 0)]
        told = await a.create_topics([NewTopic(name, 2, 1)])
        assert [(t[0], t[1]) for t in told.topic_errors] == [(name, 36)]
        assert name in await a.list_topics()
        await a.create_partitions({name: NewPartitions(4)})
        [described] = await a.describe_topics([name])
        assert len(described["partitions"]) == 4
        resource = ConfigResource(ConfigResourceType.TOPIC, name)
        [response] = await a.describe_configs([resource])
        configs = {entry[0]: entry[1] for entry in response.resources[0][4]}
        assert configs["retention.ms"] == "90000"
        await a.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"retention.ms": "80000"})])
        [response] = await a.describe_configs([resource])
        assert {entry[0]: entry[1] for entry in response.resources[0][4]}["retention.ms"] == "80000"

        await send_all(name, 10, partition=3)
        assert await a.delete_records({TopicPartition(name, 3): RecordsToDelete(before_offset=7)}) == {TopicPartition(name, 3): 7}
        async with consumer(name, group_id=group) as c:
            assert [r.offset for r in await read(c, 3)] == [7, 8, 9]
            [response] = await a.describe_consumer_groups([group])
            assert [(g[1], g[2]) for g in response.groups] == [(group, "Stable")]
        assert (group, "consumer") in {(g[0], g[1]) for g in await a.list_consumer_groups()}
        assert (await a.list_consumer_group_offsets(group))[TopicPartition(name, 3)].offset == 10
        cluster = await a.describe_cluster()
        assert [f"{b['host']}:{b['port']}" for b in cluster["brokers"]] == [common.BOOTSTRAP]
        await a.delete_topics([name])
        deadline = time.monotonic() + common.PATIENCE_S
        while name in await a.list_topics():
            assert time.monotonic() < deadline, "the topic is gone"
            await asyncio.sleep(0.1)
