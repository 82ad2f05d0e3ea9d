//! Real requests, broken at random, by the hundred thousand: whatever comes, the broker answers or closes that connection, and goes on.
//!
//! A failure prints the seed; `OTTLA_TEST_SEED` repeats it (the order among connections aside).

mod requests;

use std::collections::BTreeSet;
use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kafka_protocol::messages::ApiVersionsRequest;
use ottla::api::table::APIS;

use crate::broker::Process;
use crate::client::{Client, PLAIN, batch};
use requests::Corpus;

const MUTATIONS: usize = 100_000;
const CONNECTIONS: usize = 16;
/// Frames written at once.
const BURST: usize = 4;
/// How long to wait for a reply that may never come.
const SILENCE: Duration = Duration::from_millis(100);
/// The broker's budget for requests, set so that holding on to requests shows soon.
const REQUEST_MEMORY_BYTES: &str = "134217728";
/// What may come on top while 100,000 requests pass: the budget, replies, topics, groups and an allocator's fragments.
const MAX_GROWTH_BYTES: u64 = 512 << 20;

/// Numbers that a seed decides (splitmix64).
pub struct Random(u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// Numbers that break parsers.
const LIES: [i32; 10] = [-1, -2, 0, 1, 0x7f, 0xff, 0x7fff, 0x00ff_ffff, i32::MAX, i32::MIN];

/// Breaks a frame's bytes behind the length prefix in one to three places. One in eight stays as it is, so that requests mean something in between.
fn mutate(random: &mut Random, body: &mut Vec<u8>) {
    if random.below(8) == 0 {
        return;
    }
    let places = random.pick(&[1, 1, 1, 2, 3]);
    for _ in 0..places {
        // The first eight bytes are API, version and correlation id: mostly let the request reach its decoder.
        let from = if random.below(8) == 0 { 0 } else { 8.min(body.len()) };
        let room = (body.len() - from).max(1);
        let at = (from + random.below(room)).min(body.len());
        match random.below(9) {
            0..=3 => {
                if let Some(byte) = body.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            4 => body.truncate(at),
            5 => {
                let more: Vec<u8> = (0..=random.below(16)).map(|_| random.next() as u8).collect();
                drop(body.splice(at..at, more));
            }
            6 => {
                let end = (at + 1 + random.below(8)).min(body.len());
                body.drain(at..end);
            }
            7 => {
                let lie = random.pick(&LIES).to_be_bytes();
                let width = if random.below(2) == 0 { 4 } else { 2 };
                for (byte, lie) in body.iter_mut().skip(at).zip(&lie[4 - width..]) {
                    *byte = *lie;
                }
            }
            _ => {
                // A varint of the greatest length, and one bit too many.
                for (byte, lie) in body.iter_mut().skip(at).zip([0xff, 0xff, 0xff, 0xff, 0x1f]) {
                    *byte = lie;
                }
            }
        }
    }
}

/// A length prefix that is true, but for one in 512: those leave the broker waiting, and so this test.
fn prefix(random: &mut Random, body: &[u8]) -> [u8; 4] {
    let length = i32::try_from(body.len()).unwrap();
    match random.below(512) {
        0 => (length + i32::try_from(random.below(9)).unwrap() - 4).to_be_bytes(),
        _ => length.to_be_bytes(),
    }
}

/// What became of the requests.
#[derive(Default)]
struct Tally {
    covered: BTreeSet<(i16, i16)>,
    answered: usize,
    closed: usize,
    silent: usize,
}

/// Sends a share of the mutations over one connection after another. A request counts when it was answered, when its connection was closed for it, or when
/// nothing came for a while (`acks=0`, a wait that was made long, a length that promises more); those behind it in the same burst don't.
fn assail(address: &str, mut random: Random, corpus: &Corpus, done: &AtomicUsize) -> Tally {
    let mut tally = Tally::default();
    let connect = || {
        let client = Client::connect(address);
        client.stream.set_read_timeout(Some(SILENCE)).unwrap();
        client
    };
    let mut client = connect();
    while done.load(Ordering::Relaxed) < MUTATIONS {
        let mut burst = Vec::new();
        let mut sent = Vec::new();
        for _ in 0..BURST {
            let row = &APIS[random.below(APIS.len())];
            let versions = usize::try_from(row.max_version - row.min_version + 1).unwrap();
            let version = row.min_version + i16::try_from(random.below(versions)).unwrap();
            let mut body = corpus.request(&mut random, row.key, version);
            mutate(&mut random, &mut body);
            burst.extend(prefix(&mut random, &body));
            burst.extend(body);
            sent.push((row.key as i16, version));
        }
        // The broker may have closed the connection already; then the replies before that can still be read, or nothing counts.
        let _ = client.stream.write_all(&burst);
        let mut looked_at = 0;
        let ended = sent.iter().find_map(|_| match client.receive_frame() {
            Ok(_) => {
                looked_at += 1;
                tally.answered += 1;
                None
            }
            Err(error) => Some(error.kind()),
        });
        if let Some(kind) = ended {
            looked_at += 1;
            match kind {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => tally.silent += 1,
                _ => tally.closed += 1,
            }
            client = connect();
        }
        tally.covered.extend(&sent[..looked_at]);
        done.fetch_add(looked_at, Ordering::Relaxed);
    }
    tally
}

fn resident_bytes(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// A fresh connection is served: the handshake, a write, and its reading back.
fn serves(address: &str, value: &str) {
    let mut client = Client::connect(address);
    let versions = client.call(
        3,
        &ApiVersionsRequest::default()
            .with_client_software_name(crate::client::text("integration"))
            .with_client_software_version(crate::client::text("1")),
    );
    assert_eq!((versions.error_code, versions.api_keys.len()), (0, APIS.len()));
    let topic = format!("untouched-{value}");
    client.create_topic(&topic, 1, &[]);
    assert_eq!(client.append(&topic, 0, batch(PLAIN, &[value])), 0);
    assert_eq!(client.read_all(&topic, 0, 0), [(0, value.as_bytes().to_vec().into())]);
}

/// What is broken later was whole: every API at every version is answered, on one connection.
fn whole_requests_are_answered(address: &str, corpus: &Corpus, mut random: Random) {
    let mut client = Client::connect(address);
    for row in APIS {
        for version in row.min_version..=row.max_version {
            let body = corpus.request(&mut random, row.key, version);
            client.stream.write_all(&i32::try_from(body.len()).unwrap().to_be_bytes()).unwrap();
            client.stream.write_all(&body).unwrap();
            let reply =
                client.receive_frame().unwrap_or_else(|error| panic!("{:?} version {version}: {error}", row.key));
            assert_eq!(reply.get(..4), Some(&[0, 0, 0, 1][..]), "{:?} version {version}", row.key);
        }
    }
}

#[test]
fn a_hundred_thousand_broken_requests_hurt_nobody() {
    let given = std::env::var("OTTLA_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64);
    // Shown when the test fails.
    println!("OTTLA_TEST_SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let broker = Process::start(
        folder.path(),
        &[("queued.max.request.bytes", REQUEST_MEMORY_BYTES), ("group.min.session.timeout.ms", "1")],
    );
    let address = broker.address().to_owned();
    let corpus = Corpus::new(&mut broker.client());
    let before = resident_bytes(broker.id());
    whole_requests_are_answered(&address, &corpus, Random(seed));
    let done = AtomicUsize::new(0);
    let began = Instant::now();
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                let random = Random(seed.wrapping_add(number as u64));
                let (address, corpus, done) = (&address, &corpus, &done);
                scope.spawn(move || assail(address, random, corpus, done))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let total = |of: fn(&Tally) -> usize| tallies.iter().map(of).sum::<usize>();
    let (answered, closed, silent) = (total(|t| t.answered), total(|t| t.closed), total(|t| t.silent));
    println!("{answered} answered, {closed} closed, {silent} silent in {:?}", began.elapsed());
    // Broken requests are told apart from whole ones, and most of either reach what decides that.
    assert!(answered > MUTATIONS / 5 && closed > MUTATIONS / 5, "{answered} answered, {closed} closed");
    let covered: BTreeSet<(i16, i16)> = tallies.into_iter().flat_map(|tally| tally.covered).collect();
    serves(&address, "after");
    let every: BTreeSet<_> = APIS
        .iter()
        .flat_map(|row| (row.min_version..=row.max_version).map(|version| (row.key as i16, version)))
        .collect();
    assert_eq!(covered, every, "not every API was sent at every version");
    let after = resident_bytes(broker.id());
    assert!(after < before + MAX_GROWTH_BYTES, "memory went from {before} to {after} bytes");
    let output = broker.output();
    let panic = output.lines().find(|line| line.contains("panicked") || line.contains("panic"));
    assert_eq!(panic, None, "a request made the broker panic");
    let (status, _) = broker.terminate();
    assert_eq!(status.code(), Some(0));
    // What was written in between can be read by the next start.
    let broker = Process::start(folder.path(), &[]);
    serves(broker.address(), "again");
}
