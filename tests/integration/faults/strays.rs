//! Partitions that the store holds and the metadata does not: set aside, told, and removed late.

use bytes::Bytes;
use std::path::Path;
use std::process::Command;

use crate::broker::Process;
use crate::client::{PLAIN, batch};
use crate::eventually;

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

fn start(folder: &Path, delay_ms: &str) -> Process {
    let metadata = folder.join("metadata");
    let overrides = [("metadata.log.dir", metadata.to_str().unwrap()), ("ottla.stray.delete.delay.ms", delay_ms)];
    Process::start(&folder.join("data"), &overrides)
}

const FOR_LONG: &str = "3600000";

fn says(broker: &Process, what: &str) -> usize {
    broker.output().lines().filter(|line| line.contains(what)).count()
}

#[test]
fn what_a_kill_between_the_quorums_commit_and_the_stores_deletion_leaves_is_set_aside_and_removed_late() {
    let folder = tempfile::tempdir().unwrap();
    let (data, before) = (folder.path().join("data"), folder.path().join("before"));
    let broker = start(folder.path(), FOR_LONG);
    let mut client = broker.client();
    client.create_topic("kept", 1, &[]);
    client.create_topic("gone", 2, &[]);
    for topic in ["kept", "gone"] {
        client.append(topic, 0, batch(PLAIN, &["value"]));
    }
    broker.kill();
    copy(&data, &before);
    let broker = start(folder.path(), FOR_LONG);
    broker.client().delete_topic("gone");
    broker.kill();
    // The quorum has the deletion, the store is as it was before: what a kill in between leaves.
    copy(&before, &data);

    for _ in 0..2 {
        let broker = start(folder.path(), FOR_LONG);
        assert_eq!(says(&broker, "set aside a partition of no topic"), 2, "{}", broker.output());
        let kept = broker.client().read_all("kept", 0, 0);
        assert_eq!(kept, [(0, Bytes::from_static(b"value"))]);
        broker.kill();
    }
    let broker = start(folder.path(), "1");
    eventually("both are removed", || {
        (says(&broker, "removed a partition that had been set aside") == 2).then_some(())
    });
    let mut client = broker.client();
    client.create_topic("gone", 2, &[]);
    assert!(client.read_all("gone", 0, 0).is_empty());
    client.append("gone", 0, batch(PLAIN, &["new"]));
    assert_eq!(broker.terminate().0.code(), Some(0));
    let broker = start(folder.path(), "1");
    assert_eq!(says(&broker, "set aside"), 0, "{}", broker.output());
    assert_eq!(broker.client().read_all("gone", 0, 0), [(0, Bytes::from_static(b"new"))]);
    assert_eq!(broker.client().read_all("kept", 0, 0), [(0, Bytes::from_static(b"value"))]);
}

#[test]
fn nothing_is_removed_when_the_metadata_log_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (metadata, saved) = (folder.path().join("metadata"), folder.path().join("saved"));
    let broker = start(folder.path(), "1");
    let mut client = broker.client();
    client.create_topic("topic", 2, &[]);
    client.append("topic", 1, batch(PLAIN, &["value"]));
    assert_eq!(broker.terminate().0.code(), Some(0));
    copy(&metadata, &saved);
    std::fs::remove_dir_all(metadata.join("quorum")).unwrap();

    let broker = start(folder.path(), "1");
    assert_eq!(says(&broker, "the metadata knows none of the partitions"), 1, "{}", broker.output());
    broker.client().create_topic("another", 1, &[]);
    // Time enough for several looks at what is due.
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(broker.terminate().0.code(), Some(0));

    copy(&saved, &metadata);
    let broker = start(folder.path(), FOR_LONG);
    assert_eq!(broker.client().read_all("topic", 1, 0), [(0, Bytes::from_static(b"value"))]);
}
