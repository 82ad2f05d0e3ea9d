// A member of a group in a process of its own, to be killed: prints the size of its share whenever it joins.

import { kafka } from './kit.mjs'

const [topic, groupId] = process.argv.slice(2)
const consumer = kafka().consumer({ groupId, heartbeatInterval: 300, sessionTimeout: 6000, maxWaitTimeInMs: 300 })
consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => console.log((payload.memberAssignment[topic] ?? []).length))
await consumer.connect()
await consumer.subscribe({ topics: [topic] })
await consumer.run({ eachMessage: async () => {} })
