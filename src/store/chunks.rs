//! Chunks of record files in memory for a while, each read once for all who want a part of it.
//!
//! Partitions lie interleaved in a record file: a consumer of several partitions, or several consumers of one, come by the same chunk one after another. It is
//! read whole once enough of it was wanted; before that its readers take only their own parts. Bounded: the chunk that was longest unused goes first, and when
//! slow readers keep too many alive, the others get copies.
//! Knows places in files and bytes; nothing of runs.

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::io::BLOCK_BYTES;

/// Long enough that reading it from the device costs as little for each byte as a copy from the page cache does.
pub(super) const CHUNK_BYTES: u64 = 512 * 1024;
/// Chunks in memory, and chunks that parts were read of: 16 MiB at most.
const PLACES: usize = 32;
/// Chunks alive up to which readers may get slices, which keep a chunk alive for as long as a reply is on its way: 32 MiB.
const KEPT: usize = 64;
/// A chunk of which so much was wanted in all is read whole, whoever wanted it.
pub(super) const MUCH_BYTES: u64 = CHUNK_BYTES / 2;
/// The same for a read that wants as much of each chunk on its way: its neighbours come soon, while the chunk is here. Small enough for eight partitions that
/// share a file evenly.
pub(super) const DENSE_BYTES: u64 = CHUNK_BYTES / 8;

/// One chunk: bytes `number * CHUNK_BYTES` and on of a record file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub file_id: u64,
    pub number: u64,
}

impl Place {
    pub(super) fn of(file_id: u64, position: u64) -> Self {
        Place { file_id, number: position / CHUNK_BYTES }
    }

    pub(super) fn start(self) -> u64 {
        self.number * CHUNK_BYTES
    }

    pub(super) fn end(self) -> u64 {
        self.start() + CHUNK_BYTES
    }
}

enum State {
    /// So many bytes were wanted so far; nothing is in memory.
    Wanted(u64),
    Loading,
    /// Good up to a position in the file: what lay behind it may have been written since.
    Loaded {
        bytes: Bytes,
        good_to: u64,
    },
}

/// What is asked of a chunk.
pub(super) struct Want {
    pub place: Place,
    /// Position in the file up to which the chunk must be good.
    pub until: u64,
    /// Bytes wanted of it, in whole blocks: a short part costs as much as a block does.
    pub bytes: u64,
    /// What must have been wanted of it, by this read and earlier ones, to read it whole.
    pub enough_bytes: u64,
    /// Position in the file up to which all is written.
    pub written_to: u64,
}

/// How a chunk was found.
pub(super) enum Chunk {
    /// It lay in memory.
    Here(Bytes),
    Loaded(Bytes),
    /// Too little of it was wanted yet.
    Sparse,
}

#[derive(Default)]
pub(super) struct Chunks {
    /// The longest unused first.
    places: Mutex<Vec<(Place, State)>>,
    loaded: Condvar,
    alive: Arc<AtomicUsize>,
}

/// A chunk's bytes. Counted while anybody has a slice of them.
struct Counted {
    bytes: Bytes,
    alive: Arc<AtomicUsize>,
}

impl Counted {
    fn new(bytes: Bytes, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Counted { bytes, alive: alive.clone() }
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Chunks {
    /// Whether slices of chunks may be kept. About right is enough.
    pub(super) fn may_be_kept(&self) -> bool {
        self.alive.load(Ordering::Relaxed) <= KEPT
    }

    /// The chunk, read with `read` where that is worth it. Waits while another thread reads it.
    pub(super) fn get(&self, want: &Want, read: impl FnOnce() -> io::Result<Bytes>) -> io::Result<Chunk> {
        let mut places = self.places.lock();
        let found = loop {
            match take(&mut places, want.place) {
                Some(State::Loading) => {
                    places.push((want.place, State::Loading));
                    self.loaded.wait(&mut places);
                }
                found => break found,
            }
        };
        let wanted = match found {
            Some(State::Loaded { bytes, good_to }) if good_to >= want.until => {
                places.push((want.place, State::Loaded { bytes: bytes.clone(), good_to }));
                return Ok(Chunk::Here(bytes));
            }
            Some(State::Loaded { .. }) => want.enough_bytes,
            Some(State::Wanted(bytes)) => bytes + want.bytes,
            _ => want.bytes,
        };
        if wanted < want.enough_bytes {
            put(&mut places, want.place, State::Wanted(wanted));
            return Ok(Chunk::Sparse);
        }
        put(&mut places, want.place, State::Loading);
        drop(places);
        self.load(want.place, want.written_to, read).map(Chunk::Loaded)
    }

    /// Reads the chunk, unless it is here or another thread reads it. Whether it was read.
    pub(super) fn read_ahead(&self, place: Place, read: impl FnOnce() -> io::Result<Bytes>) -> io::Result<bool> {
        let mut places = self.places.lock();
        if places.iter().any(|(at, state)| *at == place && !matches!(state, State::Wanted(_))) {
            return Ok(false);
        }
        take(&mut places, place);
        put(&mut places, place, State::Loading);
        drop(places);
        self.load(place, place.end(), read).map(|_| true)
    }

    /// The caller has marked the place as [`State::Loading`].
    fn load(&self, place: Place, written_to: u64, read: impl FnOnce() -> io::Result<Bytes>) -> io::Result<Bytes> {
        let mut unfinished = Unfinished { chunks: self, place, outcome: None };
        let bytes = Bytes::from_owner(Counted::new(read()?, &self.alive));
        let good_to = written_to.min(place.start() + bytes.len() as u64);
        unfinished.outcome = Some(State::Loaded { bytes: bytes.clone(), good_to });
        Ok(bytes)
    }

    pub(super) fn forget(&self, place: Place) {
        self.places.lock().retain(|(at, state)| *at != place || matches!(state, State::Loading));
    }

    pub(super) fn forget_file(&self, file_id: u64) {
        self.places.lock().retain(|(at, state)| at.file_id != file_id || matches!(state, State::Loading));
    }
}

/// Ends a load however it goes: nobody waits for one that failed.
struct Unfinished<'a> {
    chunks: &'a Chunks,
    place: Place,
    outcome: Option<State>,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let mut places = self.chunks.places.lock();
        take(&mut places, self.place);
        if let Some(outcome) = self.outcome.take() {
            put(&mut places, self.place, outcome);
        }
        drop(places);
        self.chunks.loaded.notify_all();
    }
}

fn take(places: &mut Vec<(Place, State)>, place: Place) -> Option<State> {
    let at = places.iter().rposition(|(at, _)| *at == place)?;
    Some(places.remove(at).1)
}

fn put(places: &mut Vec<(Place, State)>, place: Place, state: State) {
    if places.len() >= PLACES
        && let Some(oldest) = places.iter().position(|(_, state)| !matches!(state, State::Loading))
    {
        places.remove(oldest);
    }
    places.push((place, state));
}

/// What a part of a chunk counts for.
pub(super) fn in_blocks(bytes: u64) -> u64 {
    bytes.max(BLOCK_BYTES as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(number: u64, bytes: u64) -> Want {
        let place = Place { file_id: 1, number };
        Want { place, until: place.end(), bytes, enough_bytes: DENSE_BYTES, written_to: u64::MAX }
    }

    fn whole(fill: u8) -> io::Result<Bytes> {
        Ok(Bytes::from(vec![fill; CHUNK_BYTES as usize]))
    }

    fn not_now() -> io::Result<Bytes> {
        Err(io::Error::other("it was read"))
    }

    #[test]
    fn a_chunk_is_read_once_enough_of_it_was_wanted() {
        let chunks = Chunks::default();
        for _ in 0..7 {
            assert!(matches!(chunks.get(&want(0, DENSE_BYTES / 8), not_now), Ok(Chunk::Sparse)));
        }
        assert!(matches!(chunks.get(&want(0, DENSE_BYTES / 8), || whole(1)), Ok(Chunk::Loaded(_))));
        assert!(matches!(chunks.get(&want(0, 1), not_now), Ok(Chunk::Here(_))));
        assert!(!chunks.read_ahead(want(0, 0).place, not_now).unwrap());
        chunks.forget_file(1);
        assert!(matches!(chunks.get(&want(0, 1), not_now), Ok(Chunk::Sparse)));
    }

    #[test]
    fn what_was_not_written_yet_is_read_again() {
        let chunks = Chunks::default();
        let until = |until, written_to| Want { until, written_to, ..want(0, DENSE_BYTES) };
        assert!(matches!(chunks.get(&until(1000, 2000), || whole(1)), Ok(Chunk::Loaded(_))));
        assert!(matches!(chunks.get(&until(2000, 2000), not_now), Ok(Chunk::Here(_))));
        assert!(matches!(chunks.get(&until(2001, 3000), || whole(2)), Ok(Chunk::Loaded(_))));
        assert!(matches!(chunks.get(&until(2001, 3000), not_now), Ok(Chunk::Here(bytes)) if bytes[0] == 2));
        // A file that ends is good only as far as it goes.
        let short = || Ok(Bytes::from(vec![3; 5000]));
        assert!(matches!(chunks.get(&want(1, DENSE_BYTES), short), Ok(Chunk::Loaded(_))));
        assert!(matches!(chunks.get(&want(1, DENSE_BYTES), || whole(4)), Ok(Chunk::Loaded(_))));
    }

    #[test]
    fn the_longest_unused_goes_first_and_the_number_is_bounded() {
        let chunks = Chunks::default();
        for number in 0..PLACES as u64 {
            assert!(chunks.read_ahead(want(number, 0).place, || whole(0)).unwrap());
        }
        assert!(matches!(chunks.get(&want(0, 1), not_now), Ok(Chunk::Here(_))));
        assert!(chunks.read_ahead(want(100, 0).place, || whole(0)).unwrap());
        assert_eq!(chunks.places.lock().len(), PLACES);
        assert!(matches!(chunks.get(&want(0, 1), not_now), Ok(Chunk::Here(_))));
        assert!(matches!(chunks.get(&want(1, 1), not_now), Ok(Chunk::Sparse)));
    }

    #[test]
    fn slow_readers_keep_a_bounded_number_alive() {
        let chunks = Chunks::default();
        let mut slices = Vec::new();
        for number in 0..1000 {
            let Ok(Chunk::Loaded(bytes)) = chunks.get(&want(number, DENSE_BYTES), || whole(0)) else { panic!("read") };
            if chunks.may_be_kept() {
                slices.push(bytes.slice(..10));
            }
        }
        assert!(slices.len() <= KEPT, "{}", slices.len());
        drop(slices);
        assert!(chunks.may_be_kept());
        assert_eq!(chunks.alive.load(Ordering::Relaxed), PLACES);
    }

    #[test]
    fn a_failed_read_is_tried_again_by_the_next() {
        let chunks = Chunks::default();
        assert!(chunks.get(&want(0, DENSE_BYTES), not_now).is_err());
        assert!(matches!(chunks.get(&want(0, DENSE_BYTES), || whole(1)), Ok(Chunk::Loaded(_))));
    }

    #[test]
    fn readers_of_one_chunk_wait_for_one_read() {
        let chunks = Chunks::default();
        let reads = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let read = || {
                        reads.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        std::thread::sleep(std::time::Duration::from_millis(20));
                        whole(7)
                    };
                    assert!(!matches!(chunks.get(&want(0, DENSE_BYTES), read), Ok(Chunk::Sparse) | Err(_)));
                });
            }
        });
        assert_eq!(reads.into_inner(), 1);
    }
}
