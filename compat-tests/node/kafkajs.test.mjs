// KafkaJS through an application's course. Each test stands alone.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { describe, test } from 'node:test'
import {
  AssignerProtocol, CompressionTypes, ConfigResourceTypes, Partitioners, awaitServed, awaitUntil, kafka, makeTopic, sleep, unique, value
} from './kit.mjs'

const options = { timeout: 60_000 }

async function withProducer (use, settings = {}) {
  const producer = kafka().producer({ createPartitioner: Partitioners.DefaultPartitioner, ...settings })
  await producer.connect()
  try {
    return await use(producer)
  } finally {
    await producer.disconnect()
  }
}

// KafkaJS takes most refusals of admin calls for passing; one repetition is enough to learn that they are not.
async function withAdmin (use) {
  const admin = kafka({ retry: { retries: 1 } }).admin()
  await admin.connect()
  try {
    return await use(admin)
  } finally {
    await admin.disconnect()
  }
}

const fill = (topic, partition, from, to) => withProducer(producer => producer.send({
  topic, messages: Array.from({ length: to - from }, (_, i) => ({ partition, value: String(from + i) }))
}))

// One member of a group; commits by number handled and at the latest when it leaves, and keeps its share as the join events tell it.
async function join (groupId, topic, { settings = {}, run = {} } = {}) {
  const consumer = kafka().consumer({ groupId, heartbeatInterval: 300, sessionTimeout: 10_000, maxWaitTimeInMs: 300, ...settings })
  const member = { consumer, handled: [], share: [], generations: 0 }
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    member.share = payload.memberAssignment[topic] ?? []
    member.isLeader = payload.isLeader
    member.id = payload.memberId
    member.generations++
  })
  consumer.on(consumer.events.REBALANCING, () => { member.share = [] })
  consumer.on(consumer.events.CRASH, ({ payload }) => { member.crash = payload.error })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  const eachMessage = async ({ partition, message }) => {
    member.handled.push({ partition, offset: Number(message.offset), value: message.value?.toString(), message })
  }
  await consumer.run({ autoCommitThreshold: 50, ...(run.eachBatch ? {} : { eachMessage }), ...run })
  member.leave = async () => {
    member.share = []
    await consumer.disconnect()
  }
  return member
}

async function awaitShares (members, sizes) {
  await awaitUntil(`shares ${sizes}, have ${members.map(m => m.share.length)}`, 25_000, () => {
    const shares = members.map(member => member.share)
    const all = shares.flat()
    return String(shares.map(share => share.length).sort()) === String(sizes) && new Set(all).size === all.length
  })
}

describe('KafkaJS', { concurrency: 10 }, () => {
  for (const [codec, compression] of Object.entries(CompressionTypes)) {
    test(`${codec}: what is consumed is what was produced`, options, async () => {
      const topic = await makeTopic(`codec-${codec.toLowerCase()}`, 2)
      const firstMs = Date.now() - 10_000
      await withProducer(async producer => {
        for (let batch = 0; batch < 4; batch++) {
          const told = await producer.send({
            topic,
            compression,
            acks: -1,
            messages: Array.from({ length: 100 }, (_, n) => {
              const i = batch * 100 + n
              return { partition: i % 2, key: `key-${i % 5}`, value: value(i), timestamp: String(firstMs + i), headers: { i: String(i), list: ['a', 'b'] } }
            })
          })
          for (const { partition, errorCode, baseOffset } of told) {
            assert.deepEqual([errorCode, Number(baseOffset)], [0, batch * 50], `partition ${partition}`)
          }
        }
        await producer.send({ topic, messages: [{ partition: 0, key: 'tombstone', value: null }] })
      })
      const member = await join(unique('codec'), topic)
      try {
        await awaitUntil('401 messages', 20_000, () => member.handled.length >= 401)
        const next = [0, 0]
        for (const { partition, offset, message } of member.handled) {
          assert.equal(offset, next[partition]++)
          if (message.key.toString() === 'tombstone') {
            assert.equal(message.value, null)
            continue
          }
          const i = offset * 2 + partition
          assert.equal(message.value.toString(), value(i))
          assert.equal(message.key.toString(), `key-${i % 5}`)
          assert.equal(Number(message.timestamp), firstMs + i)
          assert.equal(message.headers.i.toString(), String(i))
          assert.deepEqual(message.headers.list.map(String), ['a', 'b'])
        }
        assert.equal(member.handled.length, 401)
      } finally {
        await member.leave()
      }
    })
  }

  test('an idempotent producer keeps the order of what it sends', options, async () => {
    const topic = await makeTopic('idempotent', 1)
    await withProducer(async producer => {
      for (let i = 0; i < 300; i++) {
        const [told] = await producer.send({ topic, messages: [{ value: String(3 * i) }, { value: String(3 * i + 1) }, { value: String(3 * i + 2) }] })
        assert.equal(Number(told.baseOffset), 3 * i)
      }
    }, { idempotent: true, maxInFlightRequests: 1 })
    const member = await join(unique('idempotent'), topic)
    try {
      await awaitUntil('900 messages', 20_000, () => member.handled.length >= 900)
      assert.deepEqual(member.handled.map(m => m.value), Array.from({ length: 900 }, (_, i) => String(i)))
    } finally {
      await member.leave()
    }
  })

  test('the same key goes to the same partition, and acks 0 arrives', options, async () => {
    const topic = await makeTopic('keys', 4)
    await withProducer(async producer => {
      for (let round = 0; round < 5; round++) {
        await producer.send({ topic, acks: round % 2, messages: Array.from({ length: 20 }, (_, i) => ({ key: `k${i}`, value: `k${i}` })) })
      }
    })
    const member = await join(unique('keys'), topic)
    try {
      await awaitUntil('100 messages', 20_000, () => member.handled.length >= 100)
      const places = new Map()
      for (const { partition, value } of member.handled) {
        assert.equal(places.get(value) ?? partition, partition)
        places.set(value, partition)
      }
      assert.equal(places.size, 20)
      assert.ok(new Set(places.values()).size >= 3)
    } finally {
      await member.leave()
    }
  })

  test('a group grows, leaves the surplus member idle, and shrinks', options, async () => {
    const topic = await makeTopic('grow', 4)
    const groupId = unique('grow')
    const members = []
    try {
      members.push(await join(groupId, topic))
      await awaitShares(members, [4])
      for (const sizes of [[2, 2], [1, 1, 2], [1, 1, 1, 1], [0, 1, 1, 1, 1]]) {
        members.push(await join(groupId, topic))
        await awaitShares(members, sizes)
      }
      assert.equal(members.filter(member => member.isLeader).length, 1)
      for (const sizes of [[1, 1, 1, 1], [1, 1, 2], [2, 2]]) {
        await members.shift().leave()
        await awaitShares(members, sizes)
      }
      for (let p = 0; p < 4; p++) await fill(topic, p, 0, 25)
      await awaitUntil('100 messages', 20_000, () => members.flatMap(member => member.handled).length >= 100)
      assert.equal(members.flatMap(member => member.handled).length, 100)
      assert.ok(members.every(member => member.handled.length === 50))
    } finally {
      await Promise.all(members.map(member => member.leave()))
    }
  })

  test('nothing is lost while members come and go', options, async () => {
    const topic = await makeTopic('work', 4)
    const groupId = unique('work')
    const total = 1500
    const members = []
    const source = withProducer(async producer => {
      for (let i = 0; i < total; i += 15) {
        await producer.send({ topic, messages: Array.from({ length: 15 }, (_, n) => ({ partition: (i + n) % 4, value: String(i + n) })) })
        await sleep(50)
      }
    })
    try {
      for (let i = 0; i < 3; i++) {
        members.push(await join(groupId, topic))
        await sleep(1000)
      }
      await members[0].leave()
      await source
      const seen = () => new Set(members.flatMap(member => member.handled.map(m => m.value)))
      await awaitUntil('all messages', 25_000, () => seen().size === total)
      // KafkaJS may repeat what it had fetched and not yet committed when a rebalance began, so doubles are bounded, not forbidden.
      const handled = members.flatMap(member => member.handled).length
      assert.ok(handled < total * 1.3, `${handled} deliveries of ${total} messages`)
      assert.ok(members.filter(member => member.handled.length > 0).length >= 2)
      await Promise.all(members.map(member => member.leave()))
      await withAdmin(async admin => {
        const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [topic] })
        assert.equal(partitions.reduce((sum, { offset }) => sum + Number(offset), 0), total)
      })
    } finally {
      await Promise.all(members.map(member => member.leave()))
    }
  })

  test('a member that is killed is replaced after its session timeout', options, async () => {
    const topic = await makeTopic('killed', 2)
    const groupId = unique('killed')
    const child = spawn(process.execPath, ['killed-member.mjs', topic, groupId], { cwd: import.meta.dirname, stdio: ['ignore', 'pipe', 'inherit'] })
    const survivor = await join(groupId, topic, { settings: { sessionTimeout: 6000 } })
    try {
      let shared = false
      child.stdout.on('data', chunk => { shared = String(chunk).trim().endsWith('1') })
      await awaitUntil('one partition each', 25_000, () => shared && survivor.share.length === 1)
      const killedMs = Date.now()
      child.kill('SIGKILL')
      await awaitUntil('both partitions at the survivor', 20_000, () => survivor.share.length === 2)
      assert.ok(Date.now() - killedMs > 3500, 'a session of 6 s ended long before its time')
    } finally {
      child.kill('SIGKILL')
      await survivor.leave()
    }
  })

  test('commits by hand, and what comes after them is read by the next consumer', options, async () => {
    const topic = await makeTopic('manual', 1)
    const groupId = unique('manual')
    await fill(topic, 0, 0, 20)
    const first = await join(groupId, topic, { run: { autoCommit: false } })
    await awaitUntil('20 messages', 20_000, () => first.handled.length === 20)
    await first.consumer.commitOffsets([{ topic, partition: 0, offset: '13', metadata: 'by hand' }])
    await first.leave()
    await withAdmin(async admin => {
      const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [topic] })
      assert.deepEqual(partitions, [{ partition: 0, offset: '13', metadata: 'by hand' }])
    })
    const second = await join(groupId, topic)
    try {
      await awaitUntil('7 messages', 20_000, () => second.handled.length >= 7)
      assert.deepEqual(second.handled.map(m => m.offset), [13, 14, 15, 16, 17, 18, 19])
    } finally {
      await second.leave()
    }
  })

  test('seeks back and replays, pauses and resumes', options, async () => {
    const topic = await makeTopic('seek', 1)
    await fill(topic, 0, 0, 30)
    const member = await join(unique('seek'), topic)
    try {
      await awaitUntil('30 messages', 20_000, () => member.handled.length === 30)
      member.consumer.seek({ topic, partition: 0, offset: '10' })
      await awaitUntil('20 again', 20_000, () => member.handled.length === 50)
      assert.deepEqual(member.handled.slice(30).map(m => m.offset), Array.from({ length: 20 }, (_, i) => 10 + i))
      member.consumer.pause([{ topic }])
      await fill(topic, 0, 30, 33)
      await sleep(800)
      assert.equal(member.handled.length, 50)
      member.consumer.resume([{ topic }])
      await awaitUntil('3 more', 20_000, () => member.handled.length === 53)
    } finally {
      await member.leave()
    }
  })

  test('an assigner of the application\'s own, and batches', options, async () => {
    const topic = await makeTopic('assigner', 3)
    const everythingToTheLeader = ({ cluster }) => ({
      name: 'EverythingToOne',
      version: 1,
      async assign ({ members, topics }) {
        await cluster.addMultipleTargetTopics(topics)
        const [chosen] = members.map(member => member.memberId).sort()
        return members.map(({ memberId }) => ({
          memberId,
          memberAssignment: AssignerProtocol.MemberAssignment.encode({
            version: 1,
            assignment: { [topic]: memberId === chosen ? [0, 1, 2] : [] }
          })
        }))
      },
      protocol: ({ topics }) => ({ name: 'EverythingToOne', metadata: AssignerProtocol.MemberMetadata.encode({ version: 1, topics }) })
    })
    for (let p = 0; p < 3; p++) await fill(topic, p, 0, 40)
    const handled = []
    const run = {
      eachBatch: async ({ batch, resolveOffset, commitOffsetsIfNecessary, heartbeat }) => {
        for (const message of batch.messages) {
          handled.push(`${batch.partition}/${message.offset}`)
          resolveOffset(message.offset)
        }
        assert.equal(batch.highWatermark, '40')
        await commitOffsetsIfNecessary()
        await heartbeat()
      }
    }
    const groupId = unique('assigner')
    const settings = { partitionAssigners: [everythingToTheLeader] }
    const members = await Promise.all([join(groupId, topic, { settings, run }), join(groupId, topic, { settings, run })])
    try {
      await awaitShares(members, [0, 3])
      await awaitUntil('120 messages', 20_000, () => new Set(handled).size === 120)
      assert.deepEqual(members.map(member => member.crash), [undefined, undefined])
    } finally {
      await Promise.all(members.map(member => member.leave()))
    }
  })

  test('a large message passes, a larger one is refused and the next passes again', options, async () => {
    const topic = await makeTopic('large', 1, [{ name: 'max.message.bytes', value: '3000000' }])
    const large = Buffer.alloc(2_900_000, 'x')
    await withProducer(async producer => {
      await producer.send({ topic, messages: [{ value: large }] })
      await assert.rejects(producer.send({ topic, messages: [{ value: Buffer.alloc(3_100_000, 'x') }] }), { type: 'MESSAGE_TOO_LARGE' })
      await producer.send({ topic, messages: [{ value: 'small' }] })
    })
    const member = await join(unique('large'), topic, { settings: { maxBytesPerPartition: 1000 } })
    try {
      await awaitUntil('2 messages', 20_000, () => member.handled.length === 2)
      assert.equal(member.handled[0].value, large.toString())
      assert.equal(member.handled[1].value, 'small')
    } finally {
      await member.leave()
    }
  })

  test('topics: made, refused, grown, described, deleted', options, () => withAdmin(async admin => {
    const topic = unique('admin')
    assert.equal(await admin.createTopics({ topics: [{ topic, numPartitions: 2 }], validateOnly: true, waitForLeaders: false }), true)
    assert.ok(!(await admin.listTopics()).includes(topic))
    assert.equal(await admin.createTopics({ waitForLeaders: false, topics: [{ topic, numPartitions: 2 }] }), true)
    await awaitServed(admin, topic, 2)
    assert.equal(await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] }), false)
    const refused = (settings, type) => assert.rejects(
      admin.createTopics({ topics: [{ topic: unique('bad'), numPartitions: 1, ...settings }] }), error => error.errors[0].type === type)
    await refused({ topic: 'not allowed!' }, 'INVALID_TOPIC_EXCEPTION')
    await refused({ replicationFactor: 3 }, 'INVALID_REPLICATION_FACTOR')
    await refused({ numPartitions: 0 }, 'INVALID_PARTITIONS')
    await refused({ configEntries: [{ name: 'retention.ms', value: 'x' }] }, 'INVALID_CONFIG')
    await admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] })
    await awaitServed(admin, topic, 4)
    const { topics: [described] } = await admin.fetchTopicMetadata({ topics: [topic] })
    assert.deepEqual(described.partitions.map(p => p.partitionId).sort(), [0, 1, 2, 3])
    await admin.deleteTopics({ topics: [topic] })
    await awaitUntil('the deletion', 10_000, async () => !(await admin.listTopics()).includes(topic))
    await assert.rejects(admin.deleteTopics({ topics: [topic] }), error => error.cause.type === 'UNKNOWN_TOPIC_OR_PARTITION')
  }))

  test('configs, records and offsets through admin', options, () => withAdmin(async admin => {
    const topic = await makeTopic('records', 1)
    await fill(topic, 0, 0, 50)
    const entry = async name => {
      const { resources: [{ configEntries }] } = await admin.describeConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames: [name] }] })
      assert.equal(configEntries.length, 1)
      return configEntries[0]
    }
    assert.deepEqual([(await entry('retention.ms')).configValue, (await entry('retention.ms')).isDefault], ['604800000', true])
    await admin.alterConfigs({ validateOnly: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name: 'retention.ms', value: '7000000' }] }] })
    await awaitUntil('the new value', 10_000, async () => (await entry('retention.ms')).configValue === '7000000')
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '20' }] })
    const [offsets] = await admin.fetchTopicOffsets(topic)
    assert.deepEqual(offsets, { partition: 0, offset: '50', high: '50', low: '20' })
    const [future] = await admin.fetchTopicOffsetsByTimestamp(topic, Date.now() + 60_000)
    assert.equal(future.offset, '50')
    const [past] = await admin.fetchTopicOffsetsByTimestamp(topic, 1)
    assert.equal(past.offset, '20')
    const { brokers, controller, clusterId } = await admin.describeCluster()
    assert.equal(brokers.length, 1)
    assert.equal(controller, brokers[0].nodeId)
    assert.equal(clusterId.length, 22)
  }))

  test('groups through admin', options, () => withAdmin(async admin => {
    const topic = await makeTopic('groups', 2)
    const groupId = unique('groups')
    await fill(topic, 0, 0, 10)
    await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '6' }] })
    const member = await join(groupId, topic)
    await awaitUntil('4 messages', 20_000, () => member.handled.length >= 4)
    assert.deepEqual(member.handled.map(m => m.offset), [6, 7, 8, 9])
    assert.ok((await admin.listGroups()).groups.some(group => group.groupId === groupId && group.protocolType === 'consumer'))
    const { groups: [described] } = await admin.describeGroups([groupId])
    assert.equal(described.state, 'Stable')
    assert.equal(described.protocol, 'RoundRobinAssigner')
    assert.equal(described.members.length, 1)
    assert.equal(described.members[0].memberId, member.id)
    assert.deepEqual(AssignerProtocol.MemberAssignment.decode(described.members[0].memberAssignment).assignment, { [topic]: [0, 1] })
    await assert.rejects(admin.deleteGroups([groupId]), error => error.groups[0].errorCode === 68)
    await member.leave()
    await admin.resetOffsets({ groupId, topic, earliest: true })
    const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [topic], resolveOffsets: true })
    assert.deepEqual(partitions.map(p => p.offset), ['0', '0'])
    await admin.deleteGroups([groupId])
    await assert.rejects(admin.deleteGroups([groupId]), error => error.groups[0].errorCode === 69)
  }))

  test('a topic that is not there is told to a consumer that may not make it', options, async () => {
    const consumer = kafka({ retry: { retries: 1 } }).consumer({ groupId: unique('missing'), allowAutoTopicCreation: false })
    const topic = unique('missing')
    await consumer.connect()
    try {
      await assert.rejects(consumer.subscribe({ topics: [topic] }), { type: 'UNKNOWN_TOPIC_OR_PARTITION' })
    } finally {
      await consumer.disconnect()
    }
    await withAdmin(async admin => assert.ok(!(await admin.listTopics()).includes(topic)))
  })
})
