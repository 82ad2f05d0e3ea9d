// @platformatic/kafka through an application's course. Each test stands alone.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  Admin, Consumer, MessagesStreamFallbackModes, MessagesStreamModes, ProduceAcks, Producer, compressionsAlgorithms, stringDeserializers, stringSerializers
} from '@platformatic/kafka'
import { CompressionTypes, Partitioners, awaitUntil, bootstrap, kafka, makeTopic, sleep, unique, value } from './kit.mjs'

const options = { timeout: 60_000 }
const base = { clientId: 'platformatic-course', bootstrapBrokers: [bootstrap], timeout: 15_000, retries: 5, retryDelay: 200 }
// Where this Node.js has no zstd (before 22.15), neither has the client; KafkaJS takes it with a library of its own.
const codecs = Object.keys(compressionsAlgorithms).filter(name => compressionsAlgorithms[name].available)

async function using (client, use) {
  try {
    return await use(client)
  } finally {
    await client.close()
  }
}

const withAdmin = use => using(new Admin(base), use)
const withProducer = (use, settings = {}) => using(new Producer({ ...base, serializers: stringSerializers, ...settings }), use)

const fill = (topic, partition, from, to) => withProducer(producer => producer.send({
  acks: ProduceAcks.ALL, messages: Array.from({ length: to - from }, (_, i) => ({ topic, partition, key: 'k', value: String(from + i) }))
}))

// A consumer and its stream; every message is collected, with its place.
async function consume (topics, { groupId = unique('group'), ...settings } = {}) {
  const consumer = new Consumer({ ...base, groupId, deserializers: stringDeserializers, sessionTimeout: 10_000, heartbeatInterval: 300, rebalanceTimeout: 20_000, maxWaitTime: 300 })
  const member = { consumer, handled: [], generations: 0 }
  consumer.on('consumer:group:join', () => member.generations++)
  const stream = await consumer.consume({ topics, mode: MessagesStreamModes.COMMITTED, fallbackMode: MessagesStreamFallbackModes.EARLIEST, autocommit: true, ...settings })
  member.stream = stream
  stream.on('data', message => member.handled.push(message))
  stream.on('error', error => { member.error = error })
  member.share = () => (consumer.assignments ?? []).flatMap(({ topic, partitions }) => partitions.map(partition => `${topic}/${partition}`))
  member.leave = async () => {
    if (!member.left) {
      member.left = true
      await stream.close()
      await consumer.close(true)
    }
  }
  return member
}

async function awaitShares (members, sizes) {
  await awaitUntil(`shares of ${sizes}`, 25_000, () => {
    const shares = members.map(member => member.share())
    const all = shares.flat()
    return String(shares.map(share => share.length).sort()) === String(sizes) && new Set(all).size === all.length
  })
}

describe('@platformatic/kafka', { concurrency: 8 }, () => {
  test('the client has the codecs that this Node.js can give it', options, () => {
    assert.deepEqual(codecs.slice(0, 4), ['none', 'gzip', 'snappy', 'lz4'])
  })

  for (const compression of codecs) {
    test(`${compression}: what is consumed is what was produced`, options, async () => {
      const topic = await makeTopic(`codec-${compression}`, 2)
      const firstMs = BigInt(Date.now() - 10_000)
      await withProducer(async producer => {
        for (let batch = 0; batch < 4; batch++) {
          const told = await producer.send({
            compression,
            acks: ProduceAcks.ALL,
            messages: Array.from({ length: 100 }, (_, n) => {
              const i = batch * 100 + n
              return { topic, partition: i % 2, key: `key-${i % 5}`, value: value(i), timestamp: firstMs + BigInt(i), headers: new Map([['i', String(i)]]) }
            })
          })
          assert.deepEqual(told.offsets.map(o => [o.partition, Number(o.offset)]).sort(), [[0, batch * 50], [1, batch * 50]])
        }
      })
      const member = await consume([topic])
      try {
        await awaitUntil('400 messages', 20_000, () => member.handled.length >= 400)
        const next = [0n, 0n]
        for (const message of member.handled) {
          assert.equal(message.offset, next[message.partition]++)
          const i = Number(message.offset) * 2 + message.partition
          assert.deepEqual([message.key, message.value, message.headers.get('i')], [`key-${i % 5}`, value(i), String(i)])
          assert.equal(message.timestamp, firstMs + BigInt(i))
        }
      } finally {
        await member.leave()
      }
    })
  }

  test('an idempotent producer keeps its order', options, async () => {
    const topic = await makeTopic('idempotent', 1)
    await withProducer(async producer => {
      for (let i = 0; i < 200; i++) {
        const { offsets } = await producer.send({ acks: ProduceAcks.ALL, messages: [{ topic, partition: 0, value: String(2 * i) }, { topic, partition: 0, value: String(2 * i + 1) }] })
        assert.equal(Number(offsets[0].offset), 2 * i)
      }
      assert.ok(producer.producerId >= 0n)
    }, { idempotent: true })
    const member = await consume([topic])
    try {
      await awaitUntil('400 messages', 20_000, () => member.handled.length >= 400)
      assert.deepEqual(member.handled.map(m => m.value), Array.from({ length: 400 }, (_, i) => String(i)))
    } finally {
      await member.leave()
    }
  })

  test('a group grows and shrinks, and every message is handled', options, async () => {
    const topic = await makeTopic('grow', 4)
    const groupId = unique('grow')
    const members = []
    try {
      members.push(await consume([topic], { groupId }))
      await awaitShares(members, [4])
      members.push(await consume([topic], { groupId }))
      await awaitShares(members, [2, 2])
      members.push(await consume([topic], { groupId }))
      await awaitShares(members, [1, 1, 2])
      for (let p = 0; p < 4; p++) await fill(topic, p, 0, 25)
      const handled = () => new Set(members.flatMap(member => member.handled.map(m => `${m.partition}/${m.offset}`)))
      await awaitUntil('100 messages', 20_000, () => handled().size === 100)
      assert.ok(members.every(member => member.handled.length >= 25))
      await members[0].leave()
      await awaitShares(members.slice(1), [2, 2])
      for (let p = 0; p < 4; p++) await fill(topic, p, 25, 30)
      await awaitUntil('120 messages', 20_000, () => handled().size === 120)
      assert.deepEqual(members.map(member => member.error), [undefined, undefined, undefined])
    } finally {
      await Promise.all(members.map(member => member.leave()))
    }
  })

  test('commits by hand, and the next consumer goes on from there', options, async () => {
    const topic = await makeTopic('manual', 1)
    const groupId = unique('manual')
    await fill(topic, 0, 0, 20)
    const first = await consume([topic], { groupId, autocommit: false })
    await awaitUntil('20 messages', 20_000, () => first.handled.length === 20)
    await first.handled[12].commit()
    const committed = await first.consumer.listCommittedOffsets({ topics: [{ topic, partitions: [0] }] })
    assert.equal(committed.get(topic)[0], 13n)
    await first.leave()
    const second = await consume([topic], { groupId })
    try {
      await awaitUntil('7 messages', 20_000, () => second.handled.length >= 7)
      assert.deepEqual(second.handled.map(m => Number(m.offset)), [13, 14, 15, 16, 17, 18, 19])
    } finally {
      await second.leave()
    }
  })

  test('starts by hand anywhere, at the beginning and at the end', options, async () => {
    const topic = await makeTopic('modes', 1)
    await fill(topic, 0, 0, 30)
    const manual = await consume([topic], { mode: MessagesStreamModes.MANUAL, offsets: [{ topic, partition: 0, offset: 21n }] })
    const earliest = await consume([topic], { mode: MessagesStreamModes.EARLIEST })
    const latest = await consume([topic], { mode: MessagesStreamModes.LATEST })
    try {
      await awaitUntil('9 and 30 messages', 20_000, () => manual.handled.length === 9 && earliest.handled.length === 30)
      assert.equal(manual.handled[0].value, '21')
      await sleep(500)
      assert.equal(latest.handled.length, 0)
      await fill(topic, 0, 30, 32)
      await awaitUntil('the new messages', 20_000, () => latest.handled.length === 2)
      assert.equal(latest.handled[0].offset, 30n)
      const ends = await latest.consumer.listOffsets({ topics: [topic] })
      assert.deepEqual(ends.get(topic), [32n])
      const starts = await latest.consumer.listOffsets({ topics: [topic], timestamp: -2n })
      assert.deepEqual(starts.get(topic), [0n])
    } finally {
      await Promise.all([manual, earliest, latest].map(member => member.leave()))
    }
  })

  test('a large message passes and a larger one is refused', options, async () => {
    const topic = await makeTopic('large', 1, [{ name: 'max.message.bytes', value: '3000000' }])
    const large = 'x'.repeat(2_900_000)
    await withProducer(async producer => {
      await producer.send({ acks: ProduceAcks.ALL, messages: [{ topic, partition: 0, value: large }] })
      await assert.rejects(
        producer.send({ acks: ProduceAcks.ALL, messages: [{ topic, partition: 0, value: 'x'.repeat(3_100_000) }] }),
        error => error.findBy?.('apiId', 'MESSAGE_TOO_LARGE') != null)
    })
    const member = await consume([topic], { maxBytes: 2000 })
    try {
      await awaitUntil('the message', 20_000, () => member.handled.length === 1)
      assert.equal(member.handled[0].value, large)
    } finally {
      await member.leave()
    }
  })

  test('topics and configs through admin', options, () => withAdmin(async admin => {
    const topic = unique('admin')
    const [created] = await admin.createTopics({ topics: [topic], partitions: 3, replicas: 1, configs: [{ name: 'retention.ms', value: '7000000' }] })
    assert.deepEqual([created.name, created.partitions, created.replicas, created.configuration['retention.ms'].value ?? created.configuration['retention.ms']], [topic, 3, 1, '7000000'])
    await awaitUntil('the topic in the list', 10_000, async () => (await admin.listTopics()).includes(topic))
    await assert.rejects(admin.createTopics({ topics: [topic], partitions: 1, replicas: 1 }), error => error.findBy?.('apiId', 'TOPIC_ALREADY_EXISTS') != null)
    await assert.rejects(admin.createTopics({ topics: [unique('bad')], partitions: 1, replicas: 3 }), error => error.findBy?.('apiId', 'INVALID_REPLICATION_FACTOR') != null)
    await assert.rejects(admin.createTopics({ topics: ['not allowed!'], partitions: 1, replicas: 1 }), error => error.findBy?.('apiId', 'INVALID_TOPIC_EXCEPTION') != null)
    await admin.createPartitions({ topics: [{ name: topic, count: 5, assignments: null }] })
    await awaitUntil('five partitions', 10_000, async () => {
      const metadata = await admin.metadata({ topics: [topic], forceUpdate: true })
      return metadata.topics.get(topic).partitionsCount === 5
    })
    const entry = async () => {
      const [{ configs }] = await admin.describeConfigs({ resources: [{ resourceType: 2, resourceName: topic, configurationKeys: ['retention.ms'] }] })
      assert.equal(configs.length, 1)
      return configs[0].value
    }
    assert.equal(await entry(), '7000000')
    await admin.incrementalAlterConfigs({ resources: [{ resourceType: 2, resourceName: topic, configs: [{ name: 'retention.ms', configOperation: 0, value: '8000000' }] }] })
    await awaitUntil('the new value', 10_000, async () => await entry() === '8000000')
    await assert.rejects(
      admin.incrementalAlterConfigs({ resources: [{ resourceType: 2, resourceName: topic, configs: [{ name: 'retention.ms', configOperation: 0, value: 'x' }] }] }),
      error => error.findBy?.('apiId', 'INVALID_CONFIG') != null)
    await admin.deleteTopics({ topics: [topic] })
    await awaitUntil('the deletion', 10_000, async () => !(await admin.listTopics()).includes(topic))
  }))

  test('records, offsets and log directories through admin', options, () => withAdmin(async admin => {
    const topic = await makeTopic('records', 1)
    await fill(topic, 0, 0, 50)
    const [deleted] = await admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition: 0, offset: 20n }] }] })
    assert.equal(deleted.partitions[0].lowWatermark, 20n)
    const listed = async timestamp => {
      const [{ partitions: [partition] }] = await admin.listOffsets({ topics: [{ name: topic, partitions: [{ partitionIndex: 0, timestamp }] }] })
      return partition.offset
    }
    assert.deepEqual([await listed(-2n), await listed(-1n), await listed(BigInt(Date.now() + 60_000))], [20n, 50n, -1n])
    const dirs = await admin.describeLogDirs({ topics: [{ name: topic, partitions: [0] }] })
    const sizes = dirs.flatMap(broker => broker.results.flatMap(dir => dir.topics.flatMap(t => t.partitions.map(p => p.partitionSize))))
    assert.equal(sizes.length, 1)
    assert.ok(sizes[0] > 0n)
  }))

  test('groups through admin', options, () => withAdmin(async admin => {
    const topic = await makeTopic('groups', 2)
    const groupId = unique('groups')
    await fill(topic, 0, 0, 10)
    await admin.alterConsumerGroupOffsets({ groupId, topics: [{ name: topic, partitionOffsets: [{ partition: 0, offset: 6n }] }] })
    const member = await consume([topic], { groupId })
    await awaitUntil('4 messages', 20_000, () => member.handled.length >= 4)
    assert.deepEqual(member.handled.map(m => Number(m.offset)), [6, 7, 8, 9])
    const listed = await admin.listGroups()
    assert.deepEqual([listed.get(groupId).state, listed.get(groupId).protocolType], ['STABLE', 'consumer'])
    const described = (await admin.describeGroups({ groups: [groupId] })).get(groupId)
    assert.equal(described.members.size, 1)
    assert.deepEqual(described.members.get(member.consumer.memberId).assignments.get(topic).partitions, [0, 1])
    await assert.rejects(admin.deleteGroups({ groups: [groupId] }), error => error.findBy?.('apiId', 'NON_EMPTY_GROUP') != null)
    await member.leave()
    const [{ topics: [offsets] }] = await admin.listConsumerGroupOffsets({ groups: [groupId] })
    assert.equal(offsets.partitions.find(p => p.partitionIndex === 0).committedOffset, 10n)
    const [{ nodeId }] = await admin.findCoordinator({ keyType: 0, keys: [groupId] })
    assert.ok(nodeId >= 0)
    await admin.deleteGroups({ groups: [groupId] })
    assert.ok(!(await admin.listGroups()).has(groupId))
  }))

  for (const [name, compression] of [['gzip', CompressionTypes.GZIP], ['snappy', CompressionTypes.Snappy], ['lz4', CompressionTypes.LZ4]]) {
    test(`${name}: this client and KafkaJS read each other`, options, async () => {
      const topic = await makeTopic(`interop-${name}`, 1)
      const producer = kafka().producer({ createPartitioner: Partitioners.DefaultPartitioner })
      await producer.connect()
      await producer.send({ topic, compression, messages: Array.from({ length: 50 }, (_, i) => ({ value: value(i) })) })
      await producer.disconnect()
      await withProducer(producer => producer.send({
        compression: name, acks: ProduceAcks.ALL, messages: Array.from({ length: 50 }, (_, i) => ({ topic, partition: 0, value: value(50 + i) }))
      }))
      const expected = Array.from({ length: 100 }, (_, i) => value(i))
      const member = await consume([topic])
      await awaitUntil('100 messages', 20_000, () => member.handled.length >= 100 || member.error)
      await member.leave()
      assert.deepEqual(member.handled.map(m => m.value), expected)
      const read = []
      const consumer = kafka().consumer({ groupId: unique('interop'), maxWaitTimeInMs: 300 })
      await consumer.connect()
      await consumer.subscribe({ topics: [topic], fromBeginning: true })
      await consumer.run({ eachMessage: async ({ message }) => { read.push(message.value.toString()) } })
      await awaitUntil('100 messages', 20_000, () => read.length >= 100)
      await consumer.disconnect()
      assert.deepEqual(read, expected)
    })
  }
})
