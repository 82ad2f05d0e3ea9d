//! Why is this client stuck? A client in each of the states that there are, and the sentence that `/why` has for it; and what the log says of those that are
//! refused.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use bytes::Bytes;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    DeleteTopicsRequest, FindCoordinatorRequest, GroupId, HeartbeatRequest, IncrementalAlterConfigsRequest,
    JoinGroupRequest, JoinGroupResponse, MetadataRequest, SyncGroupRequest,
};
use serde_json::Value;

use crate::broker::{Embedded, Process, command, free_port};
use crate::client::{Client, FETCH, PLAIN, batch, batch_at, fetch_request, text, topic_name};
use crate::eventually;
use crate::faults::disk::SmallDisk;

const JOIN: i16 = 5;
const SYNC: i16 = 3;
const HEARTBEAT: i16 = 3;
const FIND_COORDINATOR: i16 = 3;
const METADATA: i16 = 9;
const MEMBER_ID_REQUIRED: i16 = 79;

/// A broker whose pages are served.
struct Watched {
    broker: Embedded,
    http: String,
}

impl Watched {
    fn start(overrides: &[(&str, &str)]) -> Self {
        let http = format!("127.0.0.1:{}", free_port());
        let all: Vec<_> = [("metrics.address", http.as_str()), ("offsets.topic.num.partitions", "1")]
            .into_iter()
            .chain(overrides.iter().copied())
            .collect();
        Self { broker: Embedded::start(&all), http: http.clone() }
    }

    fn client(&self, id: &str) -> Client {
        self.broker.client().named(id)
    }

    fn get(&self, path: &str) -> Value {
        page(&self.http, path)
    }

    /// The finding of this kind about a client, once there is one.
    fn finding(&self, client: &str, what: &str) -> Value {
        let mut last = Value::Null;
        let found = || {
            last = self.get(&format!("/why?client={client}"));
            let clients =
                last["clients"].as_array().unwrap().iter().flat_map(|client| client["findings"].as_array().unwrap());
            clients.chain(last["closed"].as_array().unwrap()).find(|finding| finding["what"] == what).cloned()
        };
        eventually(&format!("{what} is told of {client}"), found)
    }

    fn sentence(&self, client: &str, what: &str) -> String {
        let finding = self.finding(client, what);
        finding["sentence"].as_str().unwrap().to_owned()
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

fn page(address: &str, path: &str) -> Value {
    let body = get(address, path);
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
}

fn join_request(group: &str, member: &str) -> JoinGroupRequest {
    JoinGroupRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_member_id(text(member))
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![JoinGroupRequestProtocol::default().with_name(text("range"))])
}

/// A first JoinGroup; gives the id that the coordinator made.
fn member_id(client: &mut Client, group: &str) -> String {
    let coordinator = FindCoordinatorRequest::default().with_key(text(group));
    assert_eq!(client.call(FIND_COORDINATOR, &coordinator).error_code, 0);
    let id = eventually("the coordinator is there", || {
        let answer: JoinGroupResponse = client.call(JOIN, &join_request(group, ""));
        (answer.error_code == MEMBER_ID_REQUIRED).then(|| answer.member_id.to_string())
    });
    assert!(!id.is_empty());
    id
}

/// Makes the client the only member of a group, its assignment agreed on.
fn alone_in(client: &mut Client, group: &str) -> (String, i32) {
    let id = member_id(client, group);
    let joined: JoinGroupResponse = client.call(JOIN, &join_request(group, &id));
    assert_eq!((joined.error_code, joined.leader.as_str()), (0, id.as_str()));
    let assignment = SyncGroupRequestAssignment::default().with_member_id(text(&id)).with_assignment(Bytes::from("a"));
    let sync = SyncGroupRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id(joined.generation_id)
        .with_member_id(text(&id))
        .with_assignments(vec![assignment]);
    assert_eq!(client.call(SYNC, &sync).error_code, 0);
    (id, joined.generation_id)
}

fn asks_for(client: &mut Client, topic: &str) -> i16 {
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name(topic)));
    let request = MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(true);
    client.call(METADATA, &request).topics[0].error_code
}

#[test]
fn a_member_that_waits_for_a_rebalance_hears_for_whom_and_how_long() {
    let broker = Watched::start(&[]);
    let (mut first, mut second) = (broker.client("first"), broker.client("second"));
    let (first_id, generation) = alone_in(&mut first, "readers");
    assert_eq!(broker.get("/why?group=readers")["groups"][0]["findings"][0]["what"], "stable_group");

    let second_id = member_id(&mut second, "readers");
    let waiting = second.send(JOIN, &join_request("readers", &second_id)).unwrap();
    let said = broker.sentence("second", "waiting_for_rebalance");
    assert!(said.starts_with("its request waits for its group readers: it rebalances since "), "{said}");
    assert!(
        said.contains(&format!("waits for {first_id} (client id \"first\" on /127.0.0.1) to join again")),
        "{said}"
    );
    let left = said
        .split("they are dropped in ")
        .nth(1)
        .and_then(|rest| rest.strip_suffix(" s at the latest (rebalance time-out)"));
    assert!(
        left.and_then(|seconds| seconds.parse::<u64>().ok()).is_some_and(|seconds| (20..=60).contains(&seconds)),
        "{said}"
    );
    let group = broker.get("/why?group=readers");
    assert_eq!(
        (&group["groups"][0]["state"], &group["groups"][0]["members"]),
        (&"PreparingRebalance".into(), &2.into())
    );
    assert_eq!(group["clients"].as_array().unwrap().len(), 2, "{group}");

    // The first joins again and leads; the second now waits for its assignment.
    let joined: JoinGroupResponse = first.call(JOIN, &join_request("readers", &first_id));
    let second_joined = second.receive::<JoinGroupRequest>(JOIN, waiting).unwrap();
    assert_eq!((joined.generation_id, second_joined.generation_id), (generation + 1, generation + 1));
    let sync = SyncGroupRequest::default()
        .with_group_id(GroupId(text("readers")))
        .with_generation_id(second_joined.generation_id)
        .with_member_id(text(&second_id));
    second.send(SYNC, &sync).unwrap();
    let said = broker.sentence("second", "waiting_for_assignment");
    assert!(said.contains(&format!("the assignment of its leader, {}", joined.leader.as_str())), "{said}");
}

#[test]
fn a_client_that_is_no_member_hears_so() {
    let broker = Watched::start(&[]);
    let mut client = broker.client("zombie");
    let (id, generation) = alone_in(&mut client, "readers");
    let heartbeat = |generation: i32, member: &str| {
        HeartbeatRequest::default()
            .with_group_id(GroupId(text("readers")))
            .with_generation_id(generation)
            .with_member_id(text(member))
    };
    assert_eq!(client.call(HEARTBEAT, &heartbeat(generation - 1, &id)).error_code, 22);
    assert!(broker.sentence("zombie", "old_generation").starts_with("Heartbeat of readers was refused "));
    assert_eq!(client.call(HEARTBEAT, &heartbeat(generation, "nobody")).error_code, 25);
    let said = broker.sentence("zombie", "not_a_member");
    assert_eq!(said, "it speaks as member nobody of group readers, which is none of its members");
    assert_eq!(broker.get("/why?group=other")["groups"][0]["findings"][0]["what"], "unknown_group");
}

#[test]
fn a_consumer_that_waits_hears_for_what() {
    let broker = Watched::start(&[]);
    let mut client = broker.client("reader");
    client.create_topic("letters", 2, &[]);
    client.append("letters", 0, batch(PLAIN, &["one", "two"]));
    let both = [("letters", 0, 2), ("letters", 1, 0)];
    let id = client.send(FETCH, &fetch_request(&both, 20_000, 1)).unwrap();
    let said = broker.sentence("reader", "at_log_end");
    assert!(
        said.ends_with("it has read all that there is of letters-0 at offset 2, letters-1 (it has no records)"),
        "{said}"
    );
    // One that is well is not named unless it is asked for.
    assert!(broker.get("/why")["clients"].as_array().unwrap().is_empty());
    broker.client("writer").append("letters", 0, batch(PLAIN, &["three"]));
    client.receive::<kafka_protocol::messages::FetchRequest>(FETCH, id).unwrap();

    client.send(FETCH, &fetch_request(&[("letters", 0, 0)], 20_000, 1_000_000)).unwrap();
    let said = broker.sentence("reader", "below_min_bytes");
    assert!(said.ends_with("for fetch.min.bytes=1000000 to come together: there is letters-0 (3 records)"), "{said}");

    let mut lost = broker.client("lost");
    assert_eq!(lost.fetch("letters", 0, 77).error_code, 1);
    let said = broker.sentence("lost", "offset_out_of_range");
    assert!(said.starts_with("Fetch of letters-0 was refused ") && said.contains("77"), "{said}");
}

#[test]
fn refusals_are_counted_and_say_what_to_do() {
    let broker = Watched::start(&[("auto.create.topics.enable", "false")]);
    let mut client = broker.client("producer");
    for _ in 0..3 {
        assert_eq!(asks_for(&mut client, "nowhere"), 3);
    }
    let finding = broker.finding("producer", "unknown_topic");
    let said = finding["sentence"].as_str().unwrap();
    assert!(said.ends_with(", 3 times: there is no topic nowhere: auto.create.topics.enable is false"), "{said}");
    assert!(finding["advice"].as_str().unwrap().contains("create the topic"), "{finding}");

    client.create_topic("small", 1, &[("max.message.bytes", "100")]);
    assert_eq!(client.produce("small", 0, batch(PLAIN, &["x".repeat(500).as_str()])).error_code, 10);
    let said = broker.sentence("producer", "too_large");
    assert!(said.starts_with("Produce of small-0 was refused ") && said.contains("100"), "{said}");
    client.create_topic("punctual", 1, &[("message.timestamp.before.max.ms", "1000")]);
    assert_eq!(client.produce("punctual", 0, batch(PLAIN, &["late"])).error_code, 32);
    assert!(broker.sentence("producer", "timestamp").starts_with("Produce of punctual-0 was refused "));
}

#[test]
fn refusals_of_admin_requests_are_told_by_their_own_sentences() {
    let broker = Watched::start(&[("delete.topic.enable", "false")]);
    let mut admin = broker.client("admin");
    admin.create_topic("kept", 1, &[]);
    let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("kept")]).with_timeout_ms(1000);
    assert_eq!(admin.call(5, &request).responses[0].error_code, 73);
    let said = broker.sentence("admin", "deletion_disabled");
    assert!(said.starts_with("DeleteTopics of kept was refused "), "{said}");

    let config = AlterableConfig::default()
        .with_name(text("retention.ms"))
        .with_value(Some(text("long")))
        .with_config_operation(0);
    let resource = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text("kept"))
        .with_configs(vec![config]);
    let answer = admin.call(1, &IncrementalAlterConfigsRequest::default().with_resources(vec![resource]));
    assert_eq!(answer.responses[0].error_code, 40);
    let said = broker.sentence("admin", "invalid_config");
    assert!(
        said.starts_with("IncrementalAlterConfigs of kept was refused ") && said.contains("retention.ms"),
        "{said}"
    );

    // What was not refused is not told.
    let findings = broker.get("/why?client=admin")["clients"][0]["findings"].as_array().unwrap().len();
    assert_eq!(findings, 2);
}

#[test]
fn a_topic_that_wants_more_replicas_in_sync_than_it_has_keeps_nobody_waiting() {
    let broker = Watched::start(&[]);
    let mut client = broker.client("careful");
    // As in Kafka, min.insync.replicas holds up to the number of replicas that there are.
    client.create_topic("twice", 1, &[("min.insync.replicas", "2")]);
    assert_eq!(client.append("twice", 0, batch(PLAIN, &["taken"])), 0);
    let page = broker.get("/why?client=careful");
    assert!(page["clients"][0]["findings"].as_array().unwrap().is_empty(), "{page}");
}

#[test]
fn a_partition_that_is_led_elsewhere_is_told_of() {
    let broker = Watched::start(&[]);
    let mut client = broker.client("behind");
    client.create_topic("moved", 1, &[]);
    // The client knows of a newer election than this broker does, and none of an older one.
    let mut request = fetch_request(&[("moved", 0, 0)], 0, 0);
    request.topics[0].partitions[0].current_leader_epoch = 7;
    let unknown_leader_epoch = 75;
    let answer = client.call(FETCH, &request);
    assert_eq!(answer.responses[0].partitions[0].error_code, unknown_leader_epoch);
    let said = broker.sentence("behind", "no_leader");
    assert!(said.starts_with("Fetch of moved-0 was refused "), "{said}");
}

#[test]
fn a_consumer_without_partitions_hears_who_has_them() {
    let broker = Watched::start(&[]);
    let (mut busy, mut idle) = (broker.client("busy"), broker.client("idle"));
    let (busy_id, _) = alone_in(&mut busy, "readers");
    let idle_id = member_id(&mut idle, "readers");
    let waiting = idle.send(JOIN, &join_request("readers", &idle_id)).unwrap();
    broker.sentence("idle", "waiting_for_rebalance");
    let joined: JoinGroupResponse = busy.call(JOIN, &join_request("readers", &busy_id));
    let second = idle.receive::<JoinGroupRequest>(JOIN, waiting).unwrap();
    assert_eq!(second.leader, joined.leader);
    // Version 0 of what assignors write: one topic with one partition, and none.
    let one = Bytes::from_static(b"\0\0\0\0\0\x01\0\x07letters\0\0\0\x01\0\0\0\0\xff\xff\xff\xff");
    let none = Bytes::from_static(b"\0\0\0\0\0\0\xff\xff\xff\xff");
    let sync = |id: &str| {
        SyncGroupRequest::default()
            .with_group_id(GroupId(text("readers")))
            .with_generation_id(joined.generation_id)
            .with_member_id(text(id))
    };
    let shares = [(&busy_id, &one), (&idle_id, &none)].map(|(id, share)| {
        SyncGroupRequestAssignment::default().with_member_id(text(id)).with_assignment(share.clone())
    });
    let (leader, leader_id) =
        if joined.leader.as_str() == busy_id { (&mut busy, &busy_id) } else { (&mut idle, &idle_id) };
    assert_eq!(leader.call(SYNC, &sync(leader_id).with_assignments(shares.to_vec())).error_code, 0);
    let said = broker.sentence("idle", "no_partitions");
    assert_eq!(
        said,
        "as a member of group readers, it was given no partitions: 1 of the 2 members have all 1 that are shared out"
    );
    let page = broker.get("/why?client=busy");
    assert!(page["clients"][0]["findings"].as_array().unwrap().is_empty(), "{page}");
}

#[test]
fn a_fetch_that_waits_for_memory_is_told_of() {
    let broker = Watched::start(&[
        ("ottla.store.tail.memory.bytes", "1048576"),
        ("ottla.store.read.memory.bytes", "4194304"),
        ("ottla.sync.single.replica", "false"),
        ("socket.send.buffer.bytes", "65536"),
    ]);
    let mut writer = broker.client("writer");
    writer.create_topic("cold", 1, &[]);
    // Too short to be sent from files.
    let value = Bytes::from(vec![b'v'; 8000]);
    for _ in 0..1000 {
        writer.append("cold", 0, batch_at(PLAIN, &[(1, value.clone())]));
    }
    let mut request = fetch_request(&[("cold", 0, 0)], 0, 0);
    request.max_bytes = 64 << 20;
    request.topics[0].partitions[0].partition_max_bytes = 64 << 20;
    // They never read what they are sent.
    let _hogs: Vec<Client> = (0..40)
        .map(|_| {
            let mut hog = broker.client("hog");
            socket2::SockRef::from(&hog.stream).set_recv_buffer_size(64 << 10).unwrap();
            hog.send(FETCH, &request).unwrap();
            hog
        })
        .collect();
    let said = broker.sentence("hog", "waiting_for_memory");
    assert!(said.contains("all 4194304 bytes of ottla.store.read.memory.bytes"), "{said}");
}

#[test]
fn a_log_directory_that_takes_no_more_is_told_to_everybody() {
    let folder = tempfile::tempdir().unwrap();
    let http = format!("127.0.0.1:{}", free_port());
    let keys = [("metrics.address", http.as_str()), ("ottla.store.record.file.bytes", "16777216")];
    let broker = Process::start(folder.path(), &keys);
    let mut client = broker.client().named("writer");
    client.create_topic("topic", 1, &[]);
    client.append("topic", 0, batch(PLAIN, &["taken"]));
    assert!(page(&http, "/why")["node"].as_array().unwrap().is_empty());
    // The next record file has nowhere to go.
    std::fs::rename(folder.path().join("records"), folder.path().join("gone")).unwrap();
    let value = "x".repeat(100_000);
    let refused = eventually("a write fails", || {
        let answer = client.produce("topic", 0, batch(PLAIN, &[&value]));
        (answer.error_code != 0).then_some(answer.error_code)
    });
    assert_eq!(refused, 56);
    let found = page(&http, "/why?client=writer");
    let node = &found["node"][0];
    assert_eq!(node["what"], "read_only_store", "{found}");
    assert!(node["sentence"].as_str().unwrap().contains(folder.path().to_str().unwrap()), "{found}");
    let of_client = found["clients"][0]["findings"].as_array().unwrap();
    assert!(of_client.iter().any(|finding| finding["what"] == "store"), "{found}");
}

#[test]
fn a_disk_that_is_nearly_full_is_told_to_everybody() {
    let Some(disk) = SmallDisk::mount(64) else {
        println!("NOT RUN: a_disk_that_is_nearly_full_is_told_to_everybody needs root, to mount a tmpfs");
        return;
    };
    let http = format!("127.0.0.1:{}", free_port());
    let broker = Process::start(&disk.path().join("data"), &[("metrics.address", &http)]);
    let mut client = broker.client().named("writer");
    client.create_topic("topic", 1, &[]);
    std::fs::write(disk.path().join("ballast"), vec![7; 30 << 20]).unwrap();
    let value = "x".repeat(250_000);
    eventually("a write is refused", || {
        (client.produce("topic", 0, batch(PLAIN, &[&value])).error_code == 56).then_some(())
    });
    let found = page(&http, "/why?client=writer");
    assert_eq!(found["node"][0]["what"], "low_space", "{found}");
    assert!(found["node"][0]["advice"].as_str().unwrap().contains("make space"), "{found}");
}

#[test]
fn connections_that_were_closed_say_why() {
    let broker = Watched::start(&[]);
    let mut tls = TcpStream::connect(broker.broker.address()).unwrap();
    let from = tls.local_addr().unwrap().to_string();
    tls.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01]).unwrap();
    let said = broker.sentence(&from, "tls_to_plaintext");
    assert_eq!(said, "its connection to listener PLAINTEXT was closed: the client speaks TLS to a plaintext listener");

    let mut old = broker.client("ancient");
    // Metadata of a version that nobody has.
    let frame = [0, 0, 0, 18, 0, 3, 0, 99, 0, 0, 0, 1, 0, 7, b'a', b'n', b'c', b'i', b'e', b'n', b't', 0];
    old.stream.write_all(&frame).unwrap();
    let said = broker.sentence("ancient", "unknown_version");
    assert!(said.ends_with("API key 3 version 99 is not supported"), "{said}");

    let nobody = broker.get("/why?client=nobody");
    assert!(nobody["note"].as_str().unwrap().contains("no connection of a client that is called nobody"), "{nobody}");
}

#[test]
fn connections_that_find_no_place_are_told_of() {
    let broker = Watched::start(&[("max.connections", "1")]);
    let _first = broker.client("first");
    let node = |found: &Value| found["node"][0]["sentence"].as_str().map(str::to_owned);
    let _second = TcpStream::connect(broker.broker.address()).unwrap();
    let said = eventually("the second waits", || node(&broker.get("/why")));
    assert!(said.starts_with("new connections to listener PLAINTEXT wait since "), "{said}");
    assert!(said.ends_with(": all 1 that max.connections allows are open"), "{said}");

    let broker = Watched::start(&[("max.connections.per.ip", "1")]);
    let _first = broker.client("first");
    for _ in 0..3 {
        let mut refused = TcpStream::connect(broker.broker.address()).unwrap();
        assert_eq!(refused.read(&mut [0; 1]).unwrap_or(0), 0);
    }
    let finding = broker.finding("127.0.0.1", "too_many_connections");
    assert_eq!(finding["times"], 3, "{finding}");
    let said = finding["sentence"].as_str().unwrap();
    assert!(said.contains("max.connections.per.ip allows 1 connections of one address"), "{said}");
}

#[test]
fn a_client_that_never_comes_to_the_advertised_address_is_told_of() {
    let broker = Watched::start(&[("advertised.listeners", "PLAINTEXT://kafka.invalid:29092")]);
    let mut lost = broker.client("lost");
    lost.call(METADATA, &MetadataRequest::default().with_topics(None));
    let finding = broker.finding("lost", "advertised_address_unreachable");
    assert_eq!(finding["certain"], false);
    let said = finding["sentence"].as_str().unwrap();
    assert!(said.contains("to go on to kafka.invalid:29092"), "{said}");
    // One that goes on to work is not.
    let mut well = broker.client("well");
    well.call(METADATA, &MetadataRequest::default().with_topics(None));
    well.create_topic("topic", 1, &[]);
    let page = broker.get("/why?client=well");
    assert_eq!(page["clients"][0]["findings"].as_array().unwrap().len(), 0, "{page}");
}

#[test]
fn a_request_that_waits_for_memory_is_told_of() {
    let broker = Watched::start(&[("queued.max.request.bytes", "1000000"), ("socket.request.max.bytes", "1000000")]);
    // A broker learns what a client is called from its first request.
    let mut waiting = broker.client("waiting");
    waiting.call(METADATA, &MetadataRequest::default().with_topics(Some(vec![])));
    let mut hog = broker.client("hog");
    hog.stream.write_all(&999_000_i32.to_be_bytes()).unwrap();
    hog.stream.write_all(&[0; 100]).unwrap();
    let said = eventually("the hog has the memory", || {
        // Before the hog's bytes are paid for, this is answered.
        waiting.send(METADATA, &MetadataRequest::default().with_topics(Some(vec![]))).unwrap();
        let page = broker.get("/why?client=waiting");
        let findings = page["clients"][0]["findings"].as_array()?.clone();
        findings.iter().find(|one| one["what"] == "waiting_for_memory").map(|one| one["sentence"].to_string())
    });
    assert!(said.contains("queued.max.request.bytes"), "{said}");
}

#[test]
fn readiness_names_the_durability_that_the_node_gives() {
    for (synced, name) in [("true", "synced"), ("false", "written")] {
        let broker = Watched::start(&[("ottla.sync.single.replica", synced)]);
        let page = broker.get("/ready");
        assert_eq!((&page["ready"], &page["durability"]), (&true.into(), &name.into()), "{page}");
    }
}

#[test]
fn the_command_prints_the_sentences() {
    let broker = Watched::start(&[("auto.create.topics.enable", "false")]);
    assert_eq!(asks_for(&mut broker.client("my app"), "nowhere"), 3);
    let run = |arguments: &[&str]| {
        let output = command(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let url = format!("http://{}", broker.http);
    let (code, said, _) = run(&["why", "--client", "my app", "--url", &url]);
    assert_eq!(code, Some(0));
    assert!(said.starts_with("client \"my app\" (127.0.0.1): Metadata of nowhere was refused "), "{said}");
    assert!(said.contains("\n    what to do: create the topic"), "{said}");
    let (code, said, _) = run(&["why", "--json", "--url", &url]);
    assert_eq!(
        (code, serde_json::from_str::<Value>(&said).unwrap()["clients"][0]["client_id"].as_str()),
        (Some(0), Some("my app"))
    );
    let (code, _, error) = run(&["why", "--url", &format!("http://127.0.0.1:{}", free_port())]);
    assert!(code == Some(1) && error.contains("metrics.address"), "{error}");
}

/// Sets a logger's level; gives the error and its message.
fn set_level(client: &mut Client, node: &str, logger: &str, level: &str) -> (i16, String) {
    let config =
        AlterableConfig::default().with_name(text(logger)).with_config_operation(0).with_value(Some(text(level)));
    let resource =
        AlterConfigsResource::default().with_resource_type(8).with_resource_name(text(node)).with_configs(vec![config]);
    let answer = client.call(1, &IncrementalAlterConfigsRequest::default().with_resources(vec![resource]));
    let told = &answer.responses[0];
    (told.error_code, told.error_message.as_ref().map(ToString::to_string).unwrap_or_default())
}

#[test]
fn a_refused_client_is_told_of_once_in_a_log_whose_levels_change() {
    let folder = tempfile::tempdir().unwrap();
    let plain = Process::start(folder.path(), &[("auto.create.topics.enable", "false")]);
    let mut client = plain.client().named("stubborn");
    for _ in 0..50 {
        // A connection each, as clients do that give up and come again.
        assert_eq!(asks_for(&mut plain.client().named("stubborn"), "nowhere"), 3);
    }
    let mut tls = TcpStream::connect(plain.address()).unwrap();
    tls.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).unwrap();
    let lines =
        |what: &str| plain.output().lines().filter(|line| line.contains(what)).map(str::to_owned).collect::<Vec<_>>();
    eventually("the closed connection is told of", || (!lines("connection closed").is_empty()).then_some(()));
    let refused = lines("request refused");
    assert!(refused.len() == 1 && refused[0].contains("stubborn") && refused[0].contains("127.0.0.1"), "{refused:?}");
    assert!(refused[0].contains("there is no topic nowhere"), "{refused:?}");

    assert!(lines("DEBUG").is_empty());
    assert_eq!(set_level(&mut client, "1", "ottla.api", "DEBUG"), (0, String::new()));
    assert_eq!(asks_for(&mut client, "nowhere"), 3);
    eventually("requests are told of", || lines("DEBUG").iter().any(|line| line.contains("Metadata")).then_some(()));
    assert_eq!(set_level(&mut client, "1", "ottla.api", "INFO"), (0, String::new()));
    let told = lines("DEBUG").len();
    assert_eq!(asks_for(&mut client, "nowhere"), 3);
    assert_eq!(
        set_level(&mut client, "1", "ottla.nothing", "INFO"),
        (40, "Logger ottla.nothing does not exist!".into())
    );
    // Lines come in the order of events: what was told before this one is there.
    let tool =
        ["configs", "--bootstrap-server", plain.address(), "--entity-type", "broker-loggers", "--entity-name", "1"];
    let done = command(&tool).args(["--alter", "--add-config", "ottla.net=INFO"]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    eventually("a change is told of", || (lines("the log level was changed").len() == 3).then_some(()));
    assert_eq!(lines("DEBUG").len(), told, "{:?}", lines("DEBUG"));
}

#[test]
fn a_log_of_json_is_one_object_per_line() {
    let folder = tempfile::tempdir().unwrap();
    let data = format!("log.dirs={}", folder.path().display());
    let keys = [data.as_str(), "listeners=PLAINTEXT://127.0.0.1:0", "metrics.address=", "ottla.log.format=json"];
    let mut child = command(&["serve"]).args(keys.iter().flat_map(|key| ["--override", key])).spawn().unwrap();
    let mut events: Vec<Value> = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        events.push(serde_json::from_str(&line.unwrap()).unwrap());
        if events.last().unwrap()["message"] == "ready" {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let registered = events.iter().find(|event| event["message"] == "broker registered").unwrap();
    assert_eq!((&registered["level"], &registered["target"]), (&"INFO".into(), &"ottla::node".into()), "{registered}");
    assert!(registered["node_id"].is_number() && registered["timestamp"].is_string(), "{registered}");
}

#[test]
fn a_log_in_a_program_of_somebody_else_is_not_ours_to_change() {
    let broker = Watched::start(&[]);
    let (error, said) = set_level(&mut broker.client("admin"), "1", "root", "DEBUG");
    assert_eq!(
        (error, said.as_str()),
        (42, "log levels belong to the program that this broker runs in, and are changed there")
    );
}
