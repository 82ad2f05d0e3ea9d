//! What goes wrong outside the protocol: folders, ports, values, kills, full disks, flipped bytes, signals.

pub mod disk;
mod kills;
mod strays;

use std::net::TcpListener;
use std::time::Duration;

use kafka_protocol::messages::{DescribeConfigsRequest, MetadataRequest};

use crate::broker::{Process, command, free_port, serve};
use crate::client::{Client, PLAIN, batch, batch_at, text, topic_name};
use crate::eventually;

/// Of the topic, the one configuration value.
fn described(client: &mut Client, topic: &str, config: &str) -> String {
    use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
    let resource = DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text(topic))
        .with_configuration_keys(Some(vec![text(config)]));
    let response = client.call(4, &DescribeConfigsRequest::default().with_resources(vec![resource]));
    response.results[0].configs[0].value.clone().unwrap().to_string()
}

fn topic_id(client: &mut Client, topic: &str) -> uuid::Uuid {
    use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name(topic)));
    client.call(12, &MetadataRequest::default().with_topics(Some(vec![topic]))).topics[0].topic_id
}

#[test]
fn a_second_broker_on_a_folder_is_told_whose_it_is_and_the_first_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let first = Process::start(folder.path(), &[]);
    let refusal = Process::try_start(folder.path(), &[]).err().expect("two brokers in one folder");
    assert_eq!(refusal.code, Some(1), "{refusal:?}");
    for part in [folder.path().to_str().unwrap(), "in use", &first.id().to_string(), "log.dirs"] {
        assert!(refusal.said.contains(part), "{part} is missing in {refusal:?}");
    }
    let mut client = first.client();
    client.create_topic("topic", 1, &[]);
    assert_eq!(client.append("topic", 0, batch(PLAIN, &["value"])), 0);
}

#[test]
fn a_folder_of_a_newer_format_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Process::start(folder.path(), &[]);
    broker.client().create_topic("topic", 1, &[]);
    assert_eq!(broker.terminate().0.code(), Some(0));
    let path = folder.path().join("store.properties");
    let ours = std::fs::read_to_string(&path).unwrap();
    let version = ours.lines().find_map(|line| line.strip_prefix("version=")).unwrap();
    std::fs::write(&path, ours.replace(&format!("version={version}"), "version=999")).unwrap();

    let refusal = Process::try_start(folder.path(), &[]).err().expect("a newer format was taken");
    assert_eq!(refusal.code, Some(1), "{refusal:?}");
    for part in [folder.path().to_str().unwrap(), "format 999", "newer version"] {
        assert!(refusal.said.contains(part), "{part} is missing in {refusal:?}");
    }
    std::fs::write(&path, ours).unwrap();
    let broker = Process::start(folder.path(), &[]);
    assert_eq!(broker.client().append("topic", 0, batch(PLAIN, &["value"])), 0);
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let listeners = format!("PLAINTEXT://{address}");
    let refusal = Process::try_start(folder.path(), &[("listeners", &listeners)]).err().expect("two on one port");
    assert_eq!(refusal.code, Some(1), "{refusal:?}");
    for part in ["127.0.0.1", address.rsplit(':').next().unwrap(), "listeners"] {
        assert!(refusal.said.contains(part), "{part} is missing in {refusal:?}");
    }
    let refusal = Process::try_start(folder.path(), &[("metrics.address", &address)]).err().expect("two on one port");
    assert_eq!(refusal.code, Some(1), "{refusal:?}");
    assert!(refusal.said.contains(&address) && refusal.said.contains("metrics.address"), "{refusal:?}");
}

#[test]
fn wrong_values_and_arguments_end_with_code_2_and_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |key: &str, value: &str| Process::try_start(folder.path(), &[(key, value)]).err().expect("taken");
    let refusal = refused("num.partitions", "many");
    assert_eq!(refusal.code, Some(2), "{refusal:?}");
    assert!(refusal.said.contains("Invalid value many for configuration num.partitions"), "{refusal:?}");
    let refusal = refused("log.cleanup.policy", "burn");
    assert_eq!(refusal.code, Some(2), "{refusal:?}");
    assert!(refusal.said.contains("burn") && refusal.said.contains("log.cleanup.policy"), "{refusal:?}");
    let refusal = refused("ottla.bootstrap.file", "/no/such.yaml");
    assert_eq!(refusal.code, Some(2), "{refusal:?}");
    assert!(refusal.said.contains("/no/such.yaml") && refusal.said.contains("ottla.bootstrap.file"), "{refusal:?}");
    // Nothing was begun.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

    for arguments in [&["serve", "/no/such/server.properties"][..], &["sevre"], &["--override", "no-equals-sign"]] {
        let output = command(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(arguments.last().unwrap()), "{arguments:?}: {said}");
    }
}

#[test]
fn sigterm_ends_in_order_within_a_second_although_clients_are_connected_and_wait() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Process::start(folder.path(), &[]);
    let mut client = broker.client();
    client.create_topic("topic", 1, &[]);
    let idle: Vec<_> = (0..50).map(|_| broker.client()).collect();
    let request = crate::client::fetch_request(&[("topic", 0, 0)], 60_000, 1);
    client.send(crate::client::FETCH, &request).unwrap();
    let mut half_sent = broker.client();
    std::io::Write::write_all(&mut half_sent.stream, &[0, 0, 1, 0, 0, 3]).unwrap();
    let (status, took) = broker.terminate();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(1), "stopping took {took:?}");
    for mut client in idle {
        assert!(client.is_closed_within(crate::PATIENCE));
    }
}

#[test]
fn a_start_that_waits_for_the_disk_ends_at_a_signal() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Process::start(folder.path(), &[]).terminate().0.code(), Some(0));
    // Opening it waits for somebody who writes.
    let path = folder.path().join("store.properties");
    std::fs::remove_file(&path).unwrap();
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    for (signal, code) in [("-TERM", 143), ("-INT", 130)] {
        let address = format!("127.0.0.1:{}", free_port());
        let mut child = serve(folder.path(), &[("metrics.address", &address)]).spawn().unwrap();
        // It is up before the stores are opened, so the signals are listened for.
        eventually("its pages are there", || std::net::TcpStream::connect(&address).ok());
        let began = std::time::Instant::now();
        assert!(std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let status = eventually("it ends", || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(code), "{signal}");
        assert!(began.elapsed() < Duration::from_secs(5), "{signal}: {:?}", began.elapsed());
    }
}

#[test]
fn a_restart_keeps_ids_offsets_configs_log_starts_and_producers() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Process::start(folder.path(), &[]);
    let mut client = broker.client();
    let id = client.create_topic("kept", 2, &[("retention.ms", "123456789")]);
    let (producer, epoch) = client.init_producer_id();
    let first = batch((producer, epoch, 0), &["a", "b"]);
    assert_eq!(client.append("kept", 1, first.clone()), 0);
    assert_eq!(client.append("kept", 1, batch((producer, epoch, 2), &["c"])), 2);
    kills::commit(&mut client, "group", "kept", 1, 2);
    assert_eq!(broker.terminate().0.code(), Some(0));

    let broker = Process::start(folder.path(), &[]);
    let mut client = broker.client();
    assert_eq!(topic_id(&mut client, "kept"), id);
    assert_eq!(described(&mut client, "kept", "retention.ms"), "123456789");
    assert_eq!(kills::committed(&mut client, "group", "kept", 1), 2);
    let values: Vec<_> = client.read_all("kept", 1, 0).into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["a", "b", "c"]);
    // A repetition is known as one, the next sequence goes on, and one that leaves a gap is refused (OUT_OF_ORDER_SEQUENCE_NUMBER).
    assert_eq!(client.append("kept", 1, first), 0);
    assert_eq!(client.produce("kept", 1, batch((producer, epoch, 9), &["gap"])).error_code, 45);
    assert_eq!(client.append("kept", 1, batch((producer, epoch, 3), &["d"])), 3);
    assert_eq!(client.list_offset("kept", 1, -1).offset, 4);
    // No producer id is given twice.
    assert!(client.init_producer_id().0 > producer);
    // Appended in another order of times than of offsets: found by time all the same.
    let at = |ms: i64| (ms, bytes::Bytes::from_static(b"timed"));
    client.append("kept", 0, batch_at(PLAIN, &[at(1000), at(3000), at(2000)]));
    assert_eq!(client.list_offset("kept", 0, 2500).offset, 1);
}
