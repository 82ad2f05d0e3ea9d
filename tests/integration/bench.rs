//! `ottla bench`, each workload for a moment against a broker of its own: the figures have to agree with what was done.

use serde_json::Value;

use crate::broker::{Process, command};

/// Runs a workload, and gives what it printed as JSON.
fn bench(broker: &Process, workload: &str, options: &[&str]) -> Value {
    let pid = broker.id().to_string();
    let mut arguments = vec!["bench", workload, "--bootstrap-server", broker.address(), "--broker-pid", &pid, "--json"];
    arguments.extend(options);
    let output = command(&arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} is not in {value}"))
}

#[test]
fn load_at_a_rate_is_what_was_asked_for_and_is_read_whole() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Process::start(folder.path(), &[]);
    let options =
        ["--rate", "1000", "--seconds", "1", "--warmup-seconds", "0.2", "--producers", "2", "--consumers", "3"];
    for more in [&["--topic", "sticky"][..], &["--topic", "keyed", "--keys", "--compression", "lz4"]] {
        let report = bench(&broker, "load", &[&options[..], more].concat());
        let produced = number(&report, "/produced/records");
        let late = number(&report, "/behind_records");
        assert!(produced > 0.0 && produced + late <= 1300.0, "{report}");
        assert_eq!(number(&report, "/produced/bytes"), produced * 1024.0);
        assert!(number(&report, "/consumed/records") <= 3.0 * 1300.0, "{report}");
        assert!(number(&report, "/consumed/latency_us/p50") > 0.0, "{report}");
        assert!(number(&report, "/broker/rss_bytes") > 1e6, "{report}");
    }
}

#[test]
fn as_fast_as_it_goes_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Process::start(folder.path(), &[]);
    for acks in ["all", "1"] {
        let options =
            ["--topic", acks, "--acks", acks, "--seconds", "0.5", "--warmup-seconds", "0", "--partitions", "3"];
        let report = bench(&broker, "load", &options);
        let produced = number(&report, "/produced/records");
        assert!(produced > 0.0, "{report}");
        let read = bench(&broker, "read", &["--topic", acks, "--consumers", "2", "--repeat", "2"]);
        // What was acknowledged after the window was produced, too.
        assert!(number(&read, "/consumed/records") >= 4.0 * produced, "{report} {read}");
        assert_eq!(number(&read, "/consumed/records") % 4.0, 0.0, "{read}");
    }
}

#[test]
fn groups_commits_and_connections() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Process::start(folder.path(), &[]);
    let group = bench(&broker, "group", &["--members", "12"]);
    assert_eq!(number(&group, "/members"), 12.0);
    assert!(number(&group, "/join_ms") > 0.0, "{group}");
    let commits = bench(&broker, "commits", &["--connections", "3", "--seconds", "0.5"]);
    assert!(number(&commits, "/commits") >= 3.0, "{commits}");
    let connections = bench(&broker, "connections", &["--count", "200", "--seconds", "0.2"]);
    assert_eq!(number(&connections, "/opened"), 200.0);
}

#[test]
fn what_cannot_be_measured_is_told() {
    let output = command(&["bench", "load", "--record-bytes", "3"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let folder = tempfile::tempdir().unwrap();
    let broker = Process::start(folder.path(), &[]);
    let tell = |options: &[&str]| {
        let all = [&["bench", "load", "--bootstrap-server", broker.address(), "--seconds", "1"], options].concat();
        let output = command(&all).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{options:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = tell(&["--record-bytes", "3"]);
    assert!(said.contains("--record-bytes 3 is too small"), "{said}");
    let said = tell(&["--topic", "small", "--topic-config", "max.message.bytes=1000", "--warmup-seconds", "0"]);
    assert!(said.contains("did not take a batch"), "{said}");
    let said = tell(&["--broker-pid", "4194305", "--warmup-seconds", "0"]);
    assert!(said.contains("process 4194305"), "{said}");
}
