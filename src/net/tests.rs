//! The network layer over real sockets, with a dispatcher whose requests say what to do.

use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::listener::{NetError, RunningServer, Server};
use super::settings::{ConnectionQuotas, Counted, Endpoint, MAX_IN_FLIGHT, MAX_UNSENT_BYTES, NetSettings};
use crate::api::context::{Begun, CloseReason, Connection, Dispatch, FirstStage, Outcome, Reply};
use crate::config::Settings;
use crate::config::broker::BrokerConfig;
use crate::config::listener::BindAddress;
use crate::metrics::Registry;
use crate::types::budget::{Budget, Reservation};

/// First byte of a request: what becomes of it. Two bytes of milliseconds or KiB follow where it says so.
const ECHO: u8 = b'e';
const NO_REPLY: u8 = b'n';
const SLEEP_OVERLAPPING: u8 = b's';
const SLEEP_ALONE: u8 = b'w';
/// In the first stage; the rest takes for ever.
const SLEEP_FIRST: u8 = b'f';
const CLOSE: u8 = b'c';
const PANIC_AT_BEGIN: u8 = b'p';
const PANIC_LATER: u8 = b'P';
const LARGE_REPLY: u8 = b'l';

#[derive(Default)]
struct Script {
    begun: Mutex<Vec<Bytes>>,
    finished: Arc<AtomicUsize>,
}

fn reply(bytes: Bytes) -> Outcome {
    Ok(Some(Reply { pieces: vec![bytes.into()], ..Reply::default() }))
}

impl Dispatch for Script {
    fn begin(&self, _: &Arc<Connection>, frame: BytesMut, _: Arc<Reservation>) -> Begun {
        let frame = frame.freeze();
        let finished = Arc::clone(&self.finished);
        let mut rest = frame.clone();
        let what = rest.try_get_u8().unwrap_or(CLOSE);
        let number = if frame.len() >= 3 { u64::from((&frame[1..3]).get_u16()) } else { 0 };
        if frame.len() < 1000 {
            self.begun.lock().push(frame.clone());
        }
        if what == PANIC_AT_BEGIN {
            panic!("asked for");
        }
        let told = FirstStage::default();
        let first_stage = told.clone();
        let overlaps = matches!(what, SLEEP_OVERLAPPING | SLEEP_FIRST);
        if what == SLEEP_OVERLAPPING {
            told.end();
        }
        let outcome = async move {
            let outcome = match what {
                ECHO => reply(frame),
                NO_REPLY => Ok(None),
                SLEEP_FIRST => {
                    tokio::time::sleep(Duration::from_millis(number)).await;
                    first_stage.end();
                    finished.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_secs(3600)).await;
                    reply(frame)
                }
                SLEEP_OVERLAPPING | SLEEP_ALONE => {
                    tokio::time::sleep(Duration::from_millis(number)).await;
                    reply(frame)
                }
                LARGE_REPLY => reply(Bytes::from(vec![0x5a; number as usize * 1024])),
                PANIC_LATER => {
                    tokio::task::yield_now().await;
                    panic!("asked for")
                }
                _ => Err(CloseReason::Malformed("asked for".into())),
            };
            finished.fetch_add(1, Ordering::SeqCst);
            outcome
        };
        Begun { outcome: Box::pin(outcome), overlaps_after: overlaps.then_some(told) }
    }
}

struct Bench {
    script: Arc<Script>,
    budget: Budget,
    address: SocketAddr,
    server: RunningServer,
    registry: Arc<Registry>,
}

fn endpoint(host: Option<&str>, port: u16) -> Endpoint {
    let bind = BindAddress { host: host.map(str::to_owned), port };
    Endpoint { name: "PLAINTEXT".into(), bind, counted: Counted::Brokers }
}

fn settings() -> NetSettings {
    let config = BrokerConfig::new(Settings::default()).unwrap();
    NetSettings { socket_listen_backlog_size: 4096, ..NetSettings::of(&config) }
}

fn limited(limit: impl FnOnce(&mut ConnectionQuotas)) -> NetSettings {
    let mut settings = settings();
    limit(&mut settings.quotas);
    settings
}

fn bench_with(settings: NetSettings, budget_bytes: usize) -> Bench {
    let endpoint = endpoint(Some("127.0.0.1"), 0);
    let server = Server::bind(&[endpoint], settings).unwrap();
    let address = server.listeners()[0].address;
    let script = Arc::new(Script::default());
    let budget = Budget::new(budget_bytes);
    let registry = Registry::new();
    let server = server.start(Arc::clone(&script) as Arc<dyn Dispatch>, budget.clone(), &registry).unwrap();
    Bench { script, budget, address, server, registry }
}

fn bench() -> Bench {
    bench_with(settings(), 64 << 20)
}

fn frame(what: u8, number: u16, body: &[u8]) -> Vec<u8> {
    let mut out = ((3 + body.len()) as i32).to_be_bytes().to_vec();
    out.push(what);
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(body);
    out
}

async fn read_reply(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = stream.read_i32().await?;
    let mut out = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut out).await?;
    Ok(out)
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_u8()).await;
    matches!(read, Ok(Err(_)))
}

async fn echo_works(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&frame(ECHO, 0, b"hello")).await.unwrap();
    let got = tokio::time::timeout(Duration::from_secs(5), read_reply(&mut stream)).await.unwrap().unwrap();
    assert_eq!(&got[3..], b"hello");
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(10), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_requests_are_answered_in_order() {
    let bench = bench();
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    let mut sent = Vec::new();
    let mut expected = Vec::new();
    for i in 0..3000u32 {
        let body = vec![i as u8; (i as usize * 37) % 5000];
        let (what, number) = match i % 7 {
            0 => (SLEEP_OVERLAPPING, (i % 13) as u16),
            1 if i % 5 == 0 => (SLEEP_ALONE, 1),
            2 => (NO_REPLY, 0),
            _ => (ECHO, 0),
        };
        let frame = frame(what, number, &[&i.to_be_bytes()[..], &body].concat());
        if what != NO_REPLY {
            expected.push(frame[4..].to_vec());
        }
        sent.extend_from_slice(&frame);
    }
    let (mut reader, mut writer) = stream.split();
    let write = async { writer.write_all(&sent).await.unwrap() };
    let read = async {
        for expected in expected {
            let length = reader.read_i32().await.unwrap();
            let mut got = vec![0; length as usize];
            reader.read_exact(&mut got).await.unwrap();
            assert!(got == expected);
        }
    };
    tokio::join!(write, read);
    eventually("the budget is whole again", || bench.budget.available_bytes() == bench.budget.total_bytes()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_overlaps_lets_the_next_begin_and_another_does_not() {
    let bench = bench();
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    let sent = [frame(SLEEP_OVERLAPPING, 300, b""), frame(SLEEP_ALONE, 300, b""), frame(ECHO, 0, b"")].concat();
    let began = Instant::now();
    stream.write_all(&sent).await.unwrap();
    eventually("two requests begin", || bench.script.begun.lock().len() == 2).await;
    assert!(began.elapsed() < Duration::from_millis(250));
    for what in [SLEEP_OVERLAPPING, SLEEP_ALONE, ECHO] {
        assert_eq!(read_reply(&mut stream).await.unwrap()[0], what);
    }
    // Both waits at once, not one after the other.
    assert!((300..550).contains(&began.elapsed().as_millis()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_flight_are_bounded() {
    let bench = bench();
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    stream.write_all(&frame(SLEEP_OVERLAPPING, 400, b"").repeat(MAX_IN_FLIGHT * 2)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(bench.script.begun.lock().len(), MAX_IN_FLIGHT);
    for _ in 0..MAX_IN_FLIGHT * 2 {
        read_reply(&mut stream).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_comes_byte_by_byte_is_whole_in_the_end() {
    let bench = bench();
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in frame(ECHO, 0, b"slow") {
        stream.write_all(&[byte]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(&read_reply(&mut stream).await.unwrap()[3..], b"slow");
    let large = vec![0x77; 3_000_000];
    let (mut reader, mut writer) = stream.split();
    let large_frame = frame(ECHO, 0, &large);
    let (_, got) = tokio::join!(writer.write_all(&large_frame), async {
        let mut got = vec![0; 4 + 3 + large.len()];
        reader.read_exact(&mut got).await.unwrap();
        got
    });
    assert!(got[7..] == large[..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_frame_ends_its_connection_after_the_replies_before_it() {
    let bench = bench_with(NetSettings { socket_request_max_bytes: 1000, ..settings() }, 64 << 20);
    let garbage: [&[u8]; 7] = [
        &[0xff; 4],
        &i32::MIN.to_be_bytes(),
        &1001i32.to_be_bytes(),
        b"GET / HTTP/1.1\r\n\r\n",
        &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01],
        &frame(CLOSE, 0, b""),
        &[0, 0, 0, 0],
    ];
    for bytes in garbage {
        let mut stream = TcpStream::connect(bench.address).await.unwrap();
        let before = [frame(ECHO, 0, b"before"), frame(SLEEP_OVERLAPPING, 50, b"")].concat();
        stream.write_all(&[&before[..], bytes].concat()).await.unwrap();
        assert_eq!(&read_reply(&mut stream).await.unwrap()[3..], b"before");
        assert_eq!(read_reply(&mut stream).await.unwrap()[0], SLEEP_OVERLAPPING);
        assert!(is_closed(&mut stream).await, "{bytes:?}");
    }
    let faults = r#"ottla_connections_refused_total{reason="bad bytes"} 7"#;
    eventually("each is counted", || bench.registry.render().contains(faults)).await;
    let open = r#"kafka_server_socket_server_metrics_connection_count{listener="PLAINTEXT"} 0"#;
    assert!(bench.registry.render().contains(open), "{}", bench.registry.render());
    echo_works(bench.address).await;
    eventually("the budget is whole again", || bench.budget.available_bytes() == bench.budget.total_bytes()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_bytes_hurt_nobody() {
    let bench = bench();
    let mut seed = 0x1234_5678_9abc_def1_u64;
    for _ in 0..300 {
        let mut stream = TcpStream::connect(bench.address).await.unwrap();
        let bytes: Vec<u8> = (0..200)
            .map(|_| {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                seed as u8
            })
            .collect();
        // The server may have closed it already.
        let _ = stream.write_all(&bytes).await;
    }
    echo_works(bench.address).await;
    eventually("the budget is whole again", || bench.budget.available_bytes() == bench.budget.total_bytes()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_ends_its_connection_only() {
    let bench = bench();
    let mut other = TcpStream::connect(bench.address).await.unwrap();
    other.write_all(&frame(ECHO, 0, b"one")).await.unwrap();
    read_reply(&mut other).await.unwrap();
    for what in [PANIC_AT_BEGIN, PANIC_LATER] {
        let mut stream = TcpStream::connect(bench.address).await.unwrap();
        stream.write_all(&[frame(ECHO, 0, b""), frame(what, 0, b"")].concat()).await.unwrap();
        assert_eq!(read_reply(&mut stream).await.unwrap()[0], ECHO);
        assert!(is_closed(&mut stream).await);
    }
    other.write_all(&frame(ECHO, 0, b"two")).await.unwrap();
    assert_eq!(&read_reply(&mut other).await.unwrap()[3..], b"two");
    eventually("the budget is whole again", || bench.budget.available_bytes() == bench.budget.total_bytes()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_stalls_only_itself() {
    let bench = bench();
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    let asked = 2000;
    // 100 KiB each: far more than the socket's buffers and the bound take.
    stream.write_all(&frame(LARGE_REPLY, 100, b"").repeat(asked)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let begun = bench.script.begun.lock().len();
    assert!(begun > MAX_UNSENT_BYTES / (100 * 1024), "{begun}");
    assert!(begun < 200, "{begun} requests begun for a client that reads nothing");
    echo_works(bench.address).await;
    // It goes on where it stalled, once it reads.
    for _ in 0..asked {
        assert_eq!(read_reply(&mut stream).await.unwrap().len(), 100 * 1024);
    }
    eventually("the budget is whole again", || bench.budget.available_bytes() == bench.budget.total_bytes()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_budget_bounds_what_is_taken_in_and_comes_back() {
    let bench = bench_with(settings(), 1 << 20);
    let hold = [&600_000i32.to_be_bytes()[..], &[SLEEP_OVERLAPPING]].concat();
    let mut first = TcpStream::connect(bench.address).await.unwrap();
    first.write_all(&hold).await.unwrap();
    eventually("the first frame is paid for", || bench.budget.available_bytes() < 500_000).await;
    // No room for a second one: it waits in line, and small ones behind it.
    let mut second = TcpStream::connect(bench.address).await.unwrap();
    second.write_all(&frame(ECHO, 0, &vec![1; 600_000])[..100]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut third = TcpStream::connect(bench.address).await.unwrap();
    third.write_all(&[frame(ECHO, 0, b"small"), frame(ECHO, 0, b"next")].concat()).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(100), third.read_u8()).await.is_err());
    drop(first);
    assert!(tokio::time::timeout(Duration::from_secs(5), third.read_u8()).await.is_ok());
    second.write_all(&frame(ECHO, 0, &vec![1; 600_000])[100..]).await.unwrap();
    assert_eq!(read_reply(&mut second).await.unwrap().len(), 600_003);
    // Larger than the whole budget: alone, but not never.
    let large = frame(ECHO, 0, &vec![2; 3 << 20]);
    let (mut reader, mut writer) = second.split();
    let (_, length) = tokio::join!(writer.write_all(&large), async {
        let length = reader.read_i32().await.unwrap();
        tokio::io::copy(&mut reader.take(length as u64), &mut tokio::io::sink()).await.unwrap();
        length
    });
    assert_eq!(length as usize, 3 + (3 << 20));
    eventually("the budget is whole again", || bench.budget.available_bytes() == bench.budget.total_bytes()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_are_closed_and_waiting_ones_are_not() {
    let idle = Duration::from_millis(200);
    let bench = bench_with(NetSettings { connections_max_idle: Some(idle), ..settings() }, 64 << 20);
    let began = Instant::now();
    let mut silent = TcpStream::connect(bench.address).await.unwrap();
    let mut half_open = TcpStream::connect(bench.address).await.unwrap();
    half_open.write_all(&[0, 0]).await.unwrap();
    let mut waiting = TcpStream::connect(bench.address).await.unwrap();
    waiting.write_all(&frame(SLEEP_ALONE, 700, b"")).await.unwrap();
    assert!(is_closed(&mut silent).await);
    assert!(is_closed(&mut half_open).await);
    assert!(began.elapsed() >= idle && began.elapsed() < Duration::from_millis(600), "{:?}", began.elapsed());
    assert_eq!(read_reply(&mut waiting).await.unwrap()[0], SLEEP_ALONE);
    assert!(is_closed(&mut waiting).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_hardly_comes_gives_its_memory_back() {
    let grace = Duration::from_millis(200);
    let bench = bench_with(NetSettings { body_grace: grace, ..settings() }, 64 << 20);
    let mut slow = TcpStream::connect(bench.address).await.unwrap();
    slow.write_all(&60_000_000i32.to_be_bytes()).await.unwrap();
    eventually("the frame is paid for", || bench.budget.available_bytes() < 10 << 20).await;
    let began = Instant::now();
    // A byte now and then does not help.
    let trickle = async {
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if slow.write_all(b"x").await.is_err() {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), trickle).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1));
    eventually("the budget is whole again", || bench.budget.available_bytes() == bench.budget.total_bytes()).await;

    // One that waits behind a request that does not overlap is not to blame.
    let mut patient = TcpStream::connect(bench.address).await.unwrap();
    let second = frame(ECHO, 0, &[7; 100]);
    patient.write_all(&[&frame(SLEEP_ALONE, 600, b"")[..], &second[..50]].concat()).await.unwrap();
    assert_eq!(read_reply(&mut patient).await.unwrap()[0], SLEEP_ALONE);
    patient.write_all(&second[50..]).await.unwrap();
    assert_eq!(read_reply(&mut patient).await.unwrap()[0], ECHO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_answers_what_is_in_flight() {
    let bench = bench();
    let mut idle = TcpStream::connect(bench.address).await.unwrap();
    let mut busy = TcpStream::connect(bench.address).await.unwrap();
    busy.write_all(&[frame(SLEEP_ALONE, 200, b""), frame(ECHO, 0, b"too late")].concat()).await.unwrap();
    eventually("the request begins", || bench.script.begun.lock().len() == 1).await;
    let began = Instant::now();
    let (_, closed, answer) =
        tokio::join!(bench.server.stop(Duration::from_secs(5)), is_closed(&mut idle), read_reply(&mut busy));
    assert!(closed);
    assert_eq!(answer.unwrap()[0], SLEEP_ALONE);
    assert!(is_closed(&mut busy).await);
    assert!(began.elapsed() < Duration::from_secs(1));
    assert!(TcpStream::connect(bench.address).await.is_err());
    assert_eq!(bench.script.begun.lock().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_ends_at_its_bound() {
    let bench = bench();
    let mut busy = TcpStream::connect(bench.address).await.unwrap();
    busy.write_all(&frame(SLEEP_ALONE, 60_000, b"")).await.unwrap();
    eventually("the request begins", || bench.script.begun.lock().len() == 1).await;
    let began = Instant::now();
    bench.server.stop(Duration::from_millis(100)).await;
    assert!(began.elapsed() < Duration::from_secs(1));
    assert!(is_closed(&mut busy).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_whose_client_left_is_finished() {
    let bench = bench();
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    stream.write_all(&[frame(SLEEP_OVERLAPPING, 300, b""), frame(CLOSE, 0, b"")].concat()).await.unwrap();
    eventually("both begin", || bench.script.begun.lock().len() == 2).await;
    drop(stream);
    eventually("both finish", || bench.script.finished.load(Ordering::SeqCst) == 2).await;
    eventually("the budget is whole again", || bench.budget.available_bytes() == bench.budget.total_bytes()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_half_closes_gets_its_replies() {
    let bench = bench();
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    stream.write_all(&[frame(SLEEP_ALONE, 50, b""), frame(ECHO, 0, b"")].concat()).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(read_reply(&mut stream).await.unwrap()[0], SLEEP_ALONE);
    assert_eq!(read_reply(&mut stream).await.unwrap()[0], ECHO);
    assert!(is_closed(&mut stream).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connection_limits() {
    let bench = bench_with(limited(|quotas| quotas.max_per_ip = 2), 64 << 20);
    let kept = [TcpStream::connect(bench.address).await.unwrap(), TcpStream::connect(bench.address).await.unwrap()];
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(is_closed(&mut TcpStream::connect(bench.address).await.unwrap()).await);
    drop(kept);
    tokio::time::sleep(Duration::from_millis(50)).await;
    echo_works(bench.address).await;

    let bench = bench_with(limited(|quotas| quotas.max_connections = 1), 64 << 20);
    let first = TcpStream::connect(bench.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut second = TcpStream::connect(bench.address).await.unwrap();
    second.write_all(&frame(ECHO, 0, b"")).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(100), second.read_u8()).await.is_err());
    drop(first);
    assert!(tokio::time::timeout(Duration::from_secs(5), second.read_u8()).await.unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_connections() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum },
    )
    .unwrap();
    assert!(limit.maximum.is_none_or(|most| most > 11_000), "this test needs 11,000 file descriptors");
    let bench = bench();
    let mut streams = Vec::new();
    for _ in 0..5000 {
        streams.push(TcpStream::connect(bench.address).await.unwrap());
    }
    for round in 0..3u16 {
        for stream in &mut streams {
            stream.write_all(&frame(ECHO, round, b"one of many")).await.unwrap();
        }
        for stream in &mut streams {
            assert_eq!(read_reply(stream).await.unwrap()[1..3], round.to_be_bytes());
        }
    }
    // The last reply may be here before its connection has let go of what it was paid with.
    let all_is_back = async {
        while bench.budget.available_bytes() < bench.budget.total_bytes() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), all_is_back).await.unwrap();
}

#[tokio::test]
async fn binding() {
    let any = |port| endpoint(None, port);
    let server = Server::bind(&[any(0), any(0)], settings()).unwrap();
    let port = server.listeners()[0].address.port();
    assert_ne!(port, server.listeners()[1].address.port());
    let error = Server::bind(&[any(port)], settings()).err().unwrap();
    assert!(matches!(error, NetError::InUse { port: p, .. } if p == port), "{error}");
    let nowhere = endpoint(Some("no.such.host.invalid"), 0);
    assert!(matches!(Server::bind(&[nowhere], settings()).err().unwrap(), NetError::Resolve { .. }));
    let other = endpoint(Some("192.0.2.1"), 0);
    assert!(matches!(Server::bind(&[other], settings()).err().unwrap(), NetError::Bind { .. }));
    // Both families reach a listener on all addresses, where the machine has them.
    let script = Arc::new(Script::default());
    let _running = server.start(script, Budget::new(1 << 20), &Registry::new()).unwrap();
    echo_works(SocketAddr::from(([127, 0, 0, 1], port))).await;
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        echo_works(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_request_waits_for_the_first_stage() {
    let bench = bench();
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    stream.write_all(&[frame(SLEEP_FIRST, 200, b""), frame(NO_REPLY, 0, b"")].concat()).await.unwrap();
    eventually("both begin", || bench.script.begun.lock().len() == 2).await;
    assert_eq!(bench.script.finished.load(Ordering::SeqCst), 2, "the second began within the first one's first stage");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_gives_way_once_others_wait_for_its_memory() {
    let grace = Duration::from_millis(300);
    let bench = bench_with(NetSettings { reply_grace: grace, ..settings() }, 1 << 20);
    let mut unread = TcpStream::connect(bench.address).await.unwrap();
    let body = vec![0; 600_000];
    unread.write_all(&frame(LARGE_REPLY, 60_000, &body)).await.unwrap();
    eventually("the reply is on its way", || bench.script.finished.load(Ordering::SeqCst) == 1).await;
    tokio::time::sleep(3 * grace).await;
    // Nobody wants what it holds: it may take its time.
    assert!(bench.budget.available_bytes() < 500_000);
    let mut other = TcpStream::connect(bench.address).await.unwrap();
    other.write_all(&frame(ECHO, 0, &body)).await.unwrap();
    assert_eq!(read_reply(&mut other).await.unwrap().len(), body.len() + 3);
    assert!(read_reply(&mut unread).await.is_err(), "the connection went on");
    let told = r#"ottla_connections_refused_total{reason="too slow"} 1"#;
    eventually("it is counted", || bench.registry.render().contains(told)).await;
}
