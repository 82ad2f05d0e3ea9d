// What both clients' tests need: the broker's address, fresh names, codecs for KafkaJS, and waiting with a bound.

import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import kafkajs from 'kafkajs'
import SnappyCodec from 'kafkajs-snappy'
import lz4 from 'lz4-napi'
import { ZstdCodec } from 'zstd-codec'

export { sleep }

export const bootstrap = process.env.OTTLA_BOOTSTRAP || '127.0.0.1:9092'

// No earlier run used the name, so a run needs no clean broker.
export const unique = prefix => `${prefix}-${randomBytes(6).toString('hex')}`

export async function awaitUntil (what, limitMs, condition) {
  const deadline = Date.now() + limitMs
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what}`)
    await sleep(40)
  }
}

export const { Kafka, logLevel, Partitioners, CompressionTypes, ConfigResourceTypes, AssignerProtocol } = kafkajs

const zstd = await new Promise(resolve => ZstdCodec.run(library => resolve(new library.Simple())))

// KafkaJS brings gzip only; these are the codecs that its documentation tells users to register.
kafkajs.CompressionCodecs[CompressionTypes.Snappy] = SnappyCodec
kafkajs.CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async encoder => Buffer.from(lz4.compressFrameSync(encoder.buffer)),
  decompress: async buffer => Buffer.from(lz4.decompressFrameSync(buffer))
})
kafkajs.CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => Buffer.from(zstd.compress(encoder.buffer)),
  decompress: async buffer => Buffer.from(zstd.decompress(buffer))
})

export const kafka = (settings = {}) =>
  new Kafka({ clientId: 'kafkajs-course', brokers: [bootstrap], logLevel: logLevel.NOTHING, retry: { retries: 5 }, ...settings })

// A fresh topic, once each of its partitions serves: Apache Kafka answers CreateTopics before that, and KafkaJS's own
// waiting for leaders gives up when it is told that there is no such topic.
export async function makeTopic (prefix, numPartitions, configEntries = []) {
  const topic = unique(prefix)
  const admin = kafka().admin()
  await admin.connect()
  try {
    await admin.createTopics({ waitForLeaders: false, topics: [{ topic, numPartitions, replicationFactor: 1, configEntries }] })
    await awaitServed(admin, topic, numPartitions)
  } finally {
    await admin.disconnect()
  }
  return topic
}

export async function awaitServed (admin, topic, numPartitions) {
  await awaitUntil(`${topic} to be served`, 20_000, async () => {
    try {
      return (await admin.fetchTopicOffsets(topic)).length === numPartitions
    } catch {
      return false
    }
  })
}

// Values that compress and values that do not, none alike.
export const value = i => `${i} ${'the same words again '.repeat(i % 30)}`
