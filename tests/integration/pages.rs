//! The pages over HTTP as probes and scrapers meet them: while the broker starts, where the port is taken, and from clients that are slow, odd or many.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::broker::{Embedded, Process, command, free_port};
use crate::eventually;

/// What a server answers to these bytes, once it closes; `None` while nobody listens.
fn try_ask(address: &str, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(crate::PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(String::from_utf8(answer).unwrap())
}

fn ask(address: &str, request: &str) -> String {
    try_ask(address, request).unwrap_or_else(|| panic!("nobody answers at {address}"))
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

/// Puts a pipe in a file's place: who opens it waits until somebody writes.
fn hold_back(file: &Path) -> Vec<u8> {
    let content = std::fs::read(file).unwrap();
    std::fs::remove_file(file).unwrap();
    assert!(Command::new("mkfifo").arg(file).status().unwrap().success());
    content
}

#[test]
fn a_broker_that_starts_says_what_it_waits_for() {
    let folder = tempfile::tempdir().unwrap();
    let http = format!("127.0.0.1:{}", free_port());
    let (ended, _) = Process::start(folder.path(), &[]).terminate();
    assert!(ended.success());
    // A start that takes long, as one does that reads record files after a kill.
    let held = folder.path().join("store.properties");
    let content = hold_back(&held);
    let starting = std::thread::spawn({
        let (folder, http) = (folder.path().to_owned(), http.clone());
        move || Process::start(&folder, &[("metrics.address", &http)])
    });
    let ready = eventually("/ready answers", || try_ask(&http, &get("/ready")));
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    assert!(ready.contains("the node is starting, since ") && ready.contains("opens the log directories"), "{ready}");
    assert!(ready.contains(r#""durability":"synced""#), "{ready}");
    // Whoever restarts what is not healthy must not restart this one: it would begin anew.
    let health = ask(&http, &get("/healthz"));
    assert!(health.starts_with("HTTP/1.1 200 "), "{health}");
    let lag = ask(&http, &get("/lag"));
    assert!(lag.starts_with("HTTP/1.1 503 ") && lag.contains("the node is starting"), "{lag}");
    let why = ask(&http, &get("/why?format=text"));
    assert!(why.contains("this broker: the node is starting"), "{why}");
    let metrics = ask(&http, &get("/metrics"));
    assert!(metrics.contains("\nkafka_server_kafkaserver_brokerstate 1\n"), "{metrics}");

    std::fs::write(&held, content).unwrap();
    let _broker = starting.join().unwrap();
    let ready = ask(&http, &get("/ready"));
    assert!(ready.starts_with("HTTP/1.1 200 ") && ready.contains(r#""waiting_for":[]"#), "{ready}");
    assert!(ask(&http, &get("/metrics")).contains("\nkafka_server_kafkaserver_brokerstate 3\n"));
    assert!(ask(&http, &get("/lag")).contains(r#""groups":[]"#));
}

#[test]
fn systemd_is_told_when_clients_are_served_and_when_that_ends() {
    let folder = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(crate::PATIENCE)).unwrap();
    let told = || {
        let mut bytes = [0; 256];
        let count = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    };
    let port = free_port();
    let data = format!("log.dirs={}", folder.path().join("data").display());
    let listeners = format!("listeners=PLAINTEXT://127.0.0.1:{port}");
    let keys = [data.as_str(), listeners.as_str(), "metrics.address="];
    let mut child = command(&["serve"])
        .args(keys.iter().flat_map(|key| ["--override", key]))
        .env("NOTIFY_SOCKET", folder.path().join("notify"))
        .spawn()
        .unwrap();
    let ready = told();
    assert!(ready.starts_with("READY=1\n"), "{ready}");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok(), "it was said too soon");
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let stopping = told();
    assert!(stopping.starts_with("STOPPING=1\n"), "{stopping}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_port_that_is_taken_is_told_before_anything_is_opened() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{port}");
    let refused = Process::try_start(folder.path(), &[("metrics.address", &address)]).err().unwrap();
    assert_eq!(refused.code, Some(1), "{}", refused.said);
    assert!(
        refused.said.contains(&format!("metrics.address: port {port} is taken by another process")),
        "{}",
        refused.said
    );
    assert!(!folder.path().join("records").exists(), "the store was opened");
    drop(other);
    Process::start(folder.path(), &[("metrics.address", &address)]);
}

#[test]
fn requests_of_all_kinds_are_answered() {
    let http = format!("[::1]:{}", free_port());
    let _broker = Embedded::start(&[("metrics.address", &http)]);
    // As Prometheus asks.
    let scrape = "GET /metrics HTTP/1.1\r\nHost: x\r\nUser-Agent: Prometheus/3.5.0\r\nAccept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1\r\nAccept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\nConnection: close\r\n\r\n";
    let page = ask(&http, scrape);
    assert!(page.contains("content-type: text/plain; version=0.0.4") && page.contains("\nkafka_brokers 1\n"), "{page}");
    let head = ask(&http, "HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n") && head.contains("content-length: "),
        "{head}"
    );
    assert!(ask(&http, "GET /ready HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 200 "));
    assert!(ask(&http, &get("/nothing")).starts_with("HTTP/1.1 404 "));
    assert!(
        ask(&http, "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")
            .starts_with("HTTP/1.1 405 ")
    );
    let long = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nCookie: {}\r\n\r\n", "a".repeat(40_000));
    assert!(!try_ask(&http, &long).unwrap_or_default().contains("200 OK"));
    // One connection, several requests.
    let mut stream = TcpStream::connect(&http).unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = [0; 4096];
        let count = stream.read(&mut answer).unwrap();
        assert!(answer[..count].starts_with(b"HTTP/1.1 200 "));
    }
}

#[test]
fn clients_that_do_not_read_keep_nobody_from_the_pages() {
    let http = format!("127.0.0.1:{}", free_port());
    let _broker = Embedded::start(&[("metrics.address", &http)]);
    let _slow: Vec<TcpStream> = (0..50)
        .map(|n| {
            let mut stream = TcpStream::connect(&http).unwrap();
            let request: &[u8] = if n % 2 == 0 { b"GET /metr" } else { b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" };
            stream.write_all(request).unwrap();
            stream
        })
        .collect();
    let mut stream = TcpStream::connect(&http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(get("/healthz").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
