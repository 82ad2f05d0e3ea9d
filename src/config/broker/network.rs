//! Keys of listeners, connections, quotas and metrics. Names, types, presets, bounds and scopes are those of Kafka 4.3. Holds rows only.

use crate::config::key::row::*;
use crate::config::key::{ConfigKey, keys};

pub(super) const NETWORK: &[ConfigKey] = keys! {
    "advertised.listeners", List, Null, FULL_LIST, High, ReadOnly, Works:
        "The addresses that clients are told to use. Without it, a listener on every address tells each client the address that it reached. \
         Can be changed on a running node that has no process.roles, as before KRaft.";
    "alter.log.dirs.replication.quota.window.num", Int, Is("11"), AtLeast(1.0), Low, ReadOnly, Moot:
        "Number of samples kept for the quota on moves between log directories.";
    "alter.log.dirs.replication.quota.window.size.seconds", Int, Is("1"), AtLeast(1.0), Low, ReadOnly, Moot:
        "Length of a sample for the quota on moves between log directories.";
    "client.quota.callback.class", Class, Null, Any, Low, ReadOnly, Missing:
        "A Java class that decides client quotas.";
    "connection.failed.authentication.delay.ms", Int, Is("100"), AtLeast(0.0), Low, ReadOnly, Moot:
        "How long a connection stays open after a failed authentication.";
    "connections.max.idle.ms", Long, Is("600000"), Any, Medium, ReadOnly, Works:
        "A connection on which nothing happens for this long is closed.";
    "connections.max.reauth.ms", Long, Is("0"), Any, Medium, ReadOnly, Missing:
        "How long a SASL session lasts until the client has to authenticate again.";
    "controller.quota.window.num", Int, Is("11"), AtLeast(1.0), Low, ReadOnly, Moot:
        "Number of samples kept for the quota on topic changes.";
    "controller.quota.window.size.seconds", Int, Is("1"), AtLeast(1.0), Low, ReadOnly, Moot:
        "Length of a sample for the quota on topic changes.";
    "follower.replication.throttled.rate", Long, Is("9223372036854775807"), AtLeast(0.0), Medium, ClusterWide, Clustered:
        "The most bytes in a second that throttled followers fetch.";
    "inter.broker.listener.name", String, Null, Any, Medium, ReadOnly, Works:
        "The listener that brokers use among themselves.";
    "kafka.metrics.polling.interval.secs", Int, Is("10"), AtLeast(1.0), Low, ReadOnly, Moot:
        "How often the classes of kafka.metrics.reporters are polled.";
    "kafka.metrics.reporters", List, Is(""), LIST, Low, ReadOnly, Moot:
        "Java classes that report Yammer metrics. Ottla serves Prometheus metrics at metrics.address.";
    "leader.replication.throttled.rate", Long, Is("9223372036854775807"), AtLeast(0.0), Medium, ClusterWide, Clustered:
        "The most bytes in a second that leaders send to throttled followers.";
    "listener.security.protocol.map", String, Is("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"), Any, Low, PerBroker, Works:
        "Which security protocol each listener name stands for.";
    "listeners", List, Is("PLAINTEXT://:9092"), FULL_LIST, High, PerBroker, Works:
        "The addresses to listen on, as NAME://host:port. An empty host is every address of the machine.";
    "max.connection.creation.rate", Int, Is("2147483647"), AtLeast(0.0), Medium, ClusterWide, Works:
        "The most new connections in a second. Further ones wait.";
    "max.connections", Int, Is("2147483647"), AtLeast(0.0), Medium, ClusterWide, Works:
        "The most connections of the broker. Further ones wait.";
    "max.connections.per.ip", Int, Is("2147483647"), AtLeast(0.0), Medium, ClusterWide, Works:
        "The most connections from one address.";
    "max.connections.per.ip.overrides", String, Is(""), Any, Medium, ClusterWide, Works:
        "Addresses with a limit of their own, as host:number.";
    "metric.reporters", List, Is("org.apache.kafka.common.metrics.JmxReporter"), LIST, Low, ClusterWide, Moot:
        "Java classes that report metrics. Ottla serves Prometheus metrics at metrics.address.";
    "metrics.num.samples", Int, Is("2"), AtLeast(1.0), Low, ReadOnly, Moot:
        "Number of samples that Kafka's metrics keep.";
    "metrics.recording.level", String, Is("INFO"), Any, Low, ReadOnly, Moot:
        "The level of detail of Kafka's metrics.";
    "metrics.sample.window.ms", Long, Is("30000"), AtLeast(1.0), Low, ReadOnly, Moot:
        "Length of a sample of Kafka's metrics.";
    "num.network.threads", Int, Is("3"), AtLeast(1.0), High, ClusterWide, Moot:
        "Threads for the network. Ottla has one pool of async workers.";
    "queued.max.request.bytes", Long, Is("-1"), Any, Medium, ReadOnly, Works:
        "The bytes of all requests that are being read or answered; further ones wait. -1 takes a share of the machine's memory.";
    "queued.max.requests", Int, Is("500"), AtLeast(1.0), High, ReadOnly, Moot:
        "How many requests may wait for a thread. Ottla bounds the bytes of requests, not their number.";
    "quota.window.num", Int, Is("11"), AtLeast(1.0), Low, ReadOnly, Works:
        "Number of samples kept for quotas.";
    "quota.window.size.seconds", Int, Is("1"), AtLeast(1.0), Low, ReadOnly, Works:
        "Length of a sample for quotas.";
    "replica.alter.log.dirs.io.max.bytes.per.second", Long, Is("9223372036854775807"), AtLeast(0.0), Medium, ClusterWide, Missing:
        "The most bytes in a second for moves between log directories.";
    "replication.quota.window.num", Int, Is("11"), AtLeast(1.0), Low, ReadOnly, Clustered:
        "Number of samples kept for replication quotas.";
    "replication.quota.window.size.seconds", Int, Is("1"), AtLeast(1.0), Low, ReadOnly, Clustered:
        "Length of a sample for replication quotas.";
    "security.inter.broker.protocol", String, Is("PLAINTEXT"), OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), Medium, ReadOnly, Works:
        "The security protocol that brokers use among themselves, where inter.broker.listener.name is not set.";
    "socket.connection.setup.timeout.max.ms", Long, Is("30000"), Any, Medium, ReadOnly, Clustered:
        "The most that socket.connection.setup.timeout.ms grows to after failures.";
    "socket.connection.setup.timeout.ms", Long, Is("10000"), Any, Medium, ReadOnly, Clustered:
        "How long this node waits for a connection to another to be made.";
    "socket.listen.backlog.size", Int, Is("50"), AtLeast(1.0), Medium, ReadOnly, Works:
        "How many connections may wait to be accepted. Less than 4096 is taken as 4096: a longer queue costs nothing, a full one a client a second.";
    "socket.receive.buffer.bytes", Int, Is("102400"), Any, High, ReadOnly, Works:
        "Receive buffer of a connection; -1 leaves it to the operating system.";
    "socket.request.max.bytes", Int, Is("104857600"), AtLeast(1.0), High, ReadOnly, Works:
        "The longest request that is taken. A longer one ends its connection.";
    "socket.send.buffer.bytes", Int, Is("102400"), Any, High, ReadOnly, Works:
        "Send buffer of a connection; -1 leaves it to the operating system.";
    "telemetry.max.bytes", Int, Is("1048576"), AtLeast(1.0), Low, ReadOnly, Missing:
        "The most bytes of metrics that a client may push at once.";
};
