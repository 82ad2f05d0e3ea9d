//! A quorum of one that is killed with SIGKILL again and again while topics are made: what was acknowledged is there, and nothing else is broken.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::decide::brokers;
use super::tests::{broker, create_topics, options, topic};
use super::*;
use crate::store::quorum::DiskQuorumStore;

const FOLDER: &str = "OTTLA_KILL_TEST_FOLDER";
/// The test itself, run again in a process of its own that can be killed: with [`FOLDER`] set it is the child.
const CHILD: &str = "cluster::kill_tests::nothing_acknowledged_is_lost_to_a_kill";
const ROUNDS: u64 = 12;

async fn open(folder: &std::path::Path) -> Arc<Cluster> {
    let store = Arc::new(DiskQuorumStore::open(folder).unwrap());
    // Few entries between snapshots, so that kills hit those too.
    let timing = QuorumTiming { snapshot_entries: 16, ..QuorumTiming::default() };
    Cluster::open(ClusterOptions { timing, ..options(1, store) }).await.unwrap()
}

async fn make_topics_until_killed(folder: &std::path::Path) {
    let cluster = open(folder).await;
    let state = broker(1);
    let epoch = cluster.propose(move |image| brokers::register_local(image, &state)).await.unwrap().unwrap();
    for number in 0.. {
        let names: Vec<String> = (0..4).map(|part| format!("t-{epoch}-{number}-{part}")).collect();
        let requests: Vec<_> = names
            .iter()
            .map(|name| {
                let (cluster, topic) = (cluster.clone(), topic(name, 2));
                tokio::spawn(async move { create_topics(&cluster, vec![topic]).await })
            })
            .collect();
        for (name, request) in names.iter().zip(requests) {
            assert_eq!(request.await.unwrap().unwrap(), [0]);
            let mut out = std::io::stdout().lock();
            writeln!(out, "acknowledged {name}").unwrap();
            out.flush().unwrap();
        }
    }
}

/// Runs the child until it has acknowledged about `enough` topics, kills it, and returns all that it acknowledged.
fn run_and_kill(folder: &std::path::Path, enough: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.stdout.take().unwrap();
    let (lines, seen) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some(name) = line.strip_prefix("acknowledged ") {
                let _ = lines.send(name.to_owned());
            }
        }
    });
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut acknowledged = Vec::new();
    while acknowledged.len() < enough {
        let left = deadline.saturating_duration_since(Instant::now());
        acknowledged.push(seen.recv_timeout(left).expect("the child acknowledges nothing"));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    acknowledged.extend(seen.try_iter());
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_to_a_kill() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return make_topics_until_killed(folder.as_ref()).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    let mut last_offset = NO_OFFSET;
    for round in 0..ROUNDS {
        let path = folder.path().to_owned();
        let enough = 1 + usize::try_from(round * 13 % 70).unwrap();
        acknowledged.extend(tokio::task::spawn_blocking(move || run_and_kill(&path, enough)).await.unwrap());
        let cluster = open(folder.path()).await;
        let image = cluster.image();
        for name in &acknowledged {
            let topic =
                image.topic(name).unwrap_or_else(|| panic!("{name} was acknowledged and is lost (round {round})"));
            assert_eq!(topic.partition_count(), 2);
        }
        assert!(image.offset() > last_offset, "round {round}");
        last_offset = image.offset();
        cluster.close().await;
    }
    assert!(acknowledged.len() > 300, "only {} topics were acknowledged", acknowledged.len());
}
