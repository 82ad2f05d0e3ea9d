//! The listener for controllers, as tools with `--bootstrap-controller` and health checks of its port meet it.

use std::collections::BTreeSet;

use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, DescribeClusterRequest, DescribeQuorumRequest, DescribeQuorumResponse, MetadataRequest,
};

use crate::broker::{Embedded, Process, free_port};
use crate::client::{Client, text, topic_name};

/// A broker with a listener for controllers on its own port, which comes back, too.
fn with_controller(more: &[(&str, &str)]) -> (Embedded, u16) {
    let port = free_port();
    let listeners = format!("PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:{port}");
    let keys = [("listeners", listeners.as_str()), ("controller.listener.names", "CONTROLLER")];
    (Embedded::start(&[&keys, more].concat()), port)
}

fn controller(port: u16) -> Client {
    Client::connect(&format!("127.0.0.1:{port}"))
}

fn api_keys(client: &mut Client) -> BTreeSet<i16> {
    let request =
        ApiVersionsRequest::default().with_client_software_name(text("t")).with_client_software_version(text("1"));
    client.call(3, &request).api_keys.iter().map(|api| api.api_key).collect()
}

fn quorum(client: &mut Client) -> DescribeQuorumResponse {
    let topic = TopicData::default()
        .with_topic_name(topic_name("__cluster_metadata"))
        .with_partitions(vec![PartitionData::default()]);
    client.call(2, &DescribeQuorumRequest::default().with_topics(vec![topic]))
}

#[test]
fn a_controller_answers_what_belongs_there_and_closes_on_the_rest() {
    let (broker, port) = with_controller(&[]);
    let told = api_keys(&mut controller(port));
    let has = |key: ApiKey| told.contains(&(key as i16));
    for there in [ApiKey::ApiVersions, ApiKey::DescribeCluster, ApiKey::DescribeQuorum, ApiKey::CreateTopics] {
        assert!(has(there), "{there:?}");
    }
    for not_there in [ApiKey::Metadata, ApiKey::Produce, ApiKey::Fetch, ApiKey::JoinGroup, ApiKey::DescribeLogDirs] {
        assert!(!has(not_there), "{not_there:?}");
    }
    assert!(told.is_subset(&api_keys(&mut broker.client())));
    let refused = controller(port).try_call(9, &MetadataRequest::default());
    assert!(refused.is_err(), "{refused:?}");

    controller(port).create_topic("made-by-a-controller", 2, &[]);
    let metadata = broker.client().call(9, &MetadataRequest::default().with_topics(None));
    assert_eq!(metadata.topics.iter().map(|topic| topic.partitions.len()).collect::<Vec<_>>(), [2]);
}

#[test]
fn controllers_are_told_where_controllers_are() {
    let (broker, port) = with_controller(&[]);
    let of_controllers = DescribeClusterRequest::default().with_endpoint_type(2);
    let there = controller(port).call(2, &of_controllers);
    let node = &there.brokers[0];
    assert_eq!((there.error_code, there.endpoint_type, there.controller_id.0, there.brokers.len()), (0, 2, 1, 1));
    assert_eq!((node.broker_id.0, node.host.as_str(), node.port), (1, "127.0.0.1", i32::from(port)));
    let mismatched = 114;
    assert_eq!(controller(port).call(2, &DescribeClusterRequest::default()).error_code, mismatched);
    assert_eq!(broker.client().call(2, &of_controllers).error_code, mismatched);
}

#[test]
fn the_quorum_names_its_listener_and_directory_on_either_listener() {
    let (broker, port) = with_controller(&[]);
    let asked = [quorum(&mut broker.client()), quorum(&mut controller(port))];
    let directories = asked.each_ref().map(|answer| {
        let listener = &answer.nodes[0].listeners[0];
        assert_eq!(
            (listener.name.as_str(), listener.host.as_str(), listener.port),
            ("CONTROLLER", "127.0.0.1", port),
            "{answer:?}"
        );
        answer.topics[0].partitions[0].current_voters[0].replica_directory_id
    });
    assert!(!directories[0].is_nil() && directories[0] == directories[1]);
    drop(broker);

    // Voters that the configuration names have no directories, as in Kafka.
    let (broker, _) = with_controller(&[("controller.quorum.voters", "1@voter:9093")]);
    let answer = quorum(&mut broker.client());
    assert_eq!(answer.nodes[0].listeners[0].host.as_str(), "127.0.0.1");
    assert!(answer.topics[0].partitions[0].current_voters[0].replica_directory_id.is_nil());
}

#[test]
fn a_controllers_port_that_is_taken_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let listeners = format!("PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:{port}");
    let keys = [("listeners", listeners.as_str()), ("controller.listener.names", "CONTROLLER")];
    let refusal = Process::try_start(folder.path(), &keys).err().unwrap();
    let said = format!("listener CONTROLLER: port {port} on 127.0.0.1 is taken by another process");
    assert!(refusal.code == Some(1) && refusal.said.contains(&said), "{refusal:?}");
}
