//! A disk that is full, and one that lies.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use kafka_protocol::messages::MetadataRequest;

use crate::broker::Process;
use crate::client::{PLAIN, batch, batch_at};
use crate::eventually;

/// KAFKA_STORAGE_ERROR.
const STORAGE_ERROR: i16 = 56;

/// A small file system of its own, unmounted when dropped.
pub struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// `None` where mounting is not allowed.
    pub fn mount(mib: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={mib}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self { folder })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

#[test]
fn a_full_disk_refuses_writes_with_a_sentence_and_nothing_else() {
    let Some(disk) = SmallDisk::mount(64) else {
        println!("NOT RUN: a_full_disk_refuses_writes_with_a_sentence_and_nothing_else needs root, to mount a tmpfs");
        return;
    };
    let data = disk.folder.path().join("data");
    let ballast = disk.folder.path().join("ballast");
    fs::write(&ballast, vec![7; 30 << 20]).unwrap();
    let broker = Process::start(&data, &[]);
    let mut client = broker.client();
    client.create_topic("topic", 1, &[]);
    let value = Bytes::from(vec![b'v'; 256 << 10]);
    let mut taken = 0;
    // Far more than the disk has, so that a broker that never refuses is found out.
    let refused = (0..512).find_map(|_| {
        let response = client.produce("topic", 0, batch_at(PLAIN, &[(1, value.clone())]));
        taken += i64::from(response.error_code == 0);
        (response.error_code != 0).then_some(response)
    });
    let refused = refused.expect("a disk of 64 MiB took 128 MiB");
    assert_eq!(refused.error_code, STORAGE_ERROR);
    let sentence = refused.error_message.expect("no sentence").to_string();
    assert!(sentence.contains("space") && sentence.contains("bytes free"), "{sentence}");
    assert!(taken > 8, "only {taken} were taken");

    // Refused is refused for good, small ones too; reads and metadata go on.
    assert_eq!(client.produce("topic", 0, batch(PLAIN, &["small"])).error_code, STORAGE_ERROR);
    let read = client.read_all("topic", 0, 0);
    assert_eq!(read.len() as i64, taken);
    assert!(read.iter().all(|(_, found)| *found == value));
    let metadata = client.call(12, &MetadataRequest::default().with_topics(None));
    assert!(metadata.topics.iter().any(|topic| topic.name.as_ref().is_some_and(|name| &**name == "topic")));
    assert_eq!(client.list_offset("topic", 0, -1).offset, taken);
    client.create_topic("made-on-a-full-disk", 1, &[]);

    // Space is back: this broker, or the next at the latest, writes again.
    fs::remove_file(&ballast).unwrap();
    assert_eq!(broker.terminate().0.code(), Some(0));
    let broker = Process::start(&data, &[]);
    let mut client = broker.client();
    let offset = eventually("writes are taken again", || {
        let response = client.produce("topic", 0, batch(PLAIN, &["after"]));
        (response.error_code == 0).then_some(response.base_offset)
    });
    assert_eq!(offset, taken);
    assert_eq!(client.read_all("topic", 0, 0).len() as i64, taken + 1);
    assert_eq!(client.append("made-on-a-full-disk", 0, batch(PLAIN, &["value"])), 0);
}

fn record_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("records")).unwrap();
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "rec")).collect()
}

/// Flips one bit in the middle of these bytes, wherever a record file holds them; gives how often.
fn flip(folder: &Path, what: &[u8]) -> usize {
    let mut flipped = 0;
    for path in record_files(folder) {
        let mut bytes = fs::read(&path).unwrap();
        let Some(at) = bytes.windows(what.len()).position(|window| window == what) else { continue };
        bytes[at + what.len() / 2] ^= 0x10;
        fs::write(&path, bytes).unwrap();
        flipped += 1;
    }
    flipped
}

#[test]
fn a_flipped_byte_fails_its_read_and_the_rest_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Process::start(folder.path(), &[]);
    let mut client = broker.client();
    client.create_topic("damaged", 2, &[]);
    for value in ["before the flip", "the very bytes that will be flipped", "behind the flip"] {
        client.append("damaged", 0, batch(PLAIN, &[value]));
    }
    client.append("damaged", 1, batch(PLAIN, &["a neighbour"]));
    assert_eq!(broker.terminate().0.code(), Some(0));
    assert_eq!(flip(folder.path(), b"the very bytes that will be flipped"), 1);

    let broker = Process::start(folder.path(), &[]);
    let mut client = broker.client();
    let data = client.fetch("damaged", 0, 1);
    assert_eq!(data.error_code, STORAGE_ERROR);
    assert!(data.records.unwrap_or_default().is_empty());
    eventually("a line in the log that names the file", || {
        let output = broker.output();
        output.lines().any(|line| line.contains("damaged record data") && line.contains(".rec")).then_some(())
    });
    // All else of the broker, and of the partition.
    assert_eq!(client.read_all("damaged", 1, 0), [(0, Bytes::from_static(b"a neighbour"))]);
    assert_eq!(client.read_all("damaged", 0, 2), [(2, Bytes::from_static(b"behind the flip"))]);
    assert_eq!(client.append("damaged", 0, batch(PLAIN, &["later"])), 3);
    assert_eq!(client.read_all("damaged", 0, 3), [(3, Bytes::from_static(b"later"))]);
    assert_eq!(broker.terminate().0.code(), Some(0));
}
