//! Records go when their topic's retention says so, the log start moves over them for good, and their space comes back.

use bytes::Bytes;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::broker::Process;
use crate::client::{Client, PLAIN, batch, batch_at};
use crate::eventually;

const EARLIEST: i64 = -2;
const LATEST: i64 = -1;
/// OFFSET_OUT_OF_RANGE.
const OUT_OF_RANGE: i16 = 1;

fn start(folder: &Path) -> Process {
    let often = [
        ("log.retention.ms", "604800000"),
        ("log.retention.check.interval.ms", "100"),
        ("log.initial.task.delay.ms", "0"),
        ("ottla.store.record.file.bytes", "16777216"),
    ];
    Process::start(folder, &often)
}

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn record(ms: i64) -> Bytes {
    batch_at(PLAIN, &[(ms, Bytes::from_static(b"value"))])
}

fn earliest(client: &mut Client, topic: &str) -> i64 {
    client.list_offset(topic, 0, EARLIEST).offset
}

#[test]
fn records_older_than_retention_ms_go_and_newer_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path());
    let mut client = broker.client();
    client.create_topic("aging", 1, &[("retention.ms", "3600000")]);
    client.create_topic("compacted", 1, &[("retention.ms", "3600000"), ("cleanup.policy", "compact")]);
    client.create_topic("kept", 1, &[("retention.ms", "-1")]);
    let old = now_ms() - 2 * 3_600_000;
    for topic in ["aging", "compacted", "kept"] {
        for ms in [old, old + 1, now_ms(), old] {
            client.append(topic, 0, record(ms));
        }
    }
    eventually("the two oldest go", || (earliest(&mut client, "aging") == 2).then_some(()));
    let data = client.fetch("aging", 0, 1);
    assert_eq!((data.error_code, data.log_start_offset), (OUT_OF_RANGE, -1));
    // The old one behind a new one waits for it.
    assert_eq!(client.read_all("aging", 0, 2).len(), 2);
    assert_eq!(client.list_offset("aging", 0, old).offset, 2);
    for topic in ["compacted", "kept"] {
        assert_eq!(earliest(&mut client, topic), 0, "{topic}");
    }
    broker.kill();
    let broker = start(folder.path());
    let mut client = broker.client();
    assert_eq!(earliest(&mut client, "aging"), 2);
    // All of them at last: the log is empty and goes on where it was.
    let config = client.alter_topic("aging", "retention.ms", "1");
    assert_eq!(config, 0);
    eventually("all go", || (earliest(&mut client, "aging") == 4).then_some(()));
    assert_eq!(client.list_offset("aging", 0, LATEST).offset, 4);
    assert_eq!(client.alter_topic("aging", "retention.ms", "3600000"), 0);
    assert_eq!(client.append("aging", 0, record(now_ms())), 4);
    assert_eq!(client.read_all("aging", 0, 4).len(), 1);
}

#[test]
fn a_log_keeps_to_retention_bytes_and_the_space_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path());
    let mut client = broker.client();
    client.create_topic("small", 1, &[("retention.bytes", "4000000")]);
    let value = Bytes::from(vec![b'v'; 900_000]);
    let files = || std::fs::read_dir(folder.path().join("records")).unwrap().count();
    let mut appended = 0;
    eventually("files go", || {
        client.append("small", 0, batch_at(PLAIN, &[(now_ms(), value.clone())]));
        appended += 1;
        (appended > 120 && files() <= 3).then_some(())
    });
    let start_at = eventually("the start is where it belongs", || {
        let start = earliest(&mut client, "small");
        (appended - start < 7).then_some(start)
    });
    // At least what retention.bytes says stays.
    assert!((appended - start_at) * 900_000 >= 4_000_000, "{} of {appended} left", appended - start_at);
    assert_eq!(client.read_all("small", 0, start_at).len() as i64, appended - start_at);
}

#[test]
fn what_is_within_its_retention_stays_over_many_checks() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(folder.path());
    let mut client = broker.client();
    client.create_topic("young", 1, &[("retention.bytes", "1000000"), ("retention.ms", "3600000")]);
    for _ in 0..10 {
        client.append("young", 0, record(now_ms()));
    }
    client.create_topic("probe", 1, &[("retention.ms", "1")]);
    client.append("probe", 0, batch(PLAIN, &["old"]));
    eventually("a check", || (earliest(&mut client, "probe") == 1).then_some(()));
    assert_eq!(earliest(&mut client, "young"), 0);
}
