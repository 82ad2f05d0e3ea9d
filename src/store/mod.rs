//! The partition store: keeps runs of record batches and the state that changes together with them, and finds them again after any crash.
//!
//! A store knows runs, offsets and rows; it never looks into a record batch. It is the only room that touches RocksDB and record files.
//!
//! ```text
//!             log start offset                       end offset
//!                    |                                   |
//!   [run 0..9] [run 10..11] [run 12..40] [run 41..41] ...|
//!      dead       live: served whole, even where the start offset lies inside the run
//! ```

mod apply;
mod buffers;
mod checked;
pub mod disk;
pub mod dump;
mod ends;
mod group;
#[doc(hidden)]
pub mod hot_path;
mod index;
pub(crate) mod io;
mod io_pool;
mod keys;
mod maker;
pub mod memory;
pub mod quorum;
mod read;
mod read_ahead;
mod record_file;
mod recovery;
mod table;
pub mod telemetry;
mod values;
mod writer;

#[cfg(test)]
mod conformance;

use bytes::Bytes;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;

use crate::types::piece::Piece;
use crate::types::{LeaderEpoch, TopicIdPartition};

/// A partition's number within one log directory. Given once, never used again, so a re-created topic cannot see old data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LocalId(pub u64);

/// What the store says of a partition that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRow {
    pub local_id: LocalId,
    pub id: TopicIdPartition,
    /// First offset that may be read.
    pub log_start_offset: i64,
    /// Offset that the next record gets.
    pub log_end_offset: i64,
    /// Bytes of live runs, for DescribeLogDirs and retention by size.
    pub size_bytes: u64,
}

/// Which table of a partition's state a row belongs to. The byte is part of the stored key: append only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum StateKind {
    /// Key: producer id; value: epoch and last batches (`log::producers`).
    Producer = 1,
    /// Key: leader epoch; value: its start offset (`log::epochs`).
    LeaderEpoch = 2,
    /// Key: last offset of an aborted transaction; value: producer and first offset.
    AbortedTransaction = 3,
    /// Small things about the partition as a whole that the layer above keeps (its high watermark, say), by a key of its own.
    Partition = 4,
}

/// Longest key of a [`StateRow`].
pub const STATE_KEY_MAX_BYTES: usize = 64;

/// One row of partition state, put (`Some`) or deleted (`None`) together with the write that carries it. Keys are at most
/// [`STATE_KEY_MAX_BYTES`] and sort as bytes. Of several rows with one key in a write the last one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRow {
    pub kind: StateKind,
    pub key: Bytes,
    pub value: Option<Bytes>,
}

/// Adjacent record batches for the end of a partition, offsets and leader epoch already in their headers.
#[derive(Clone, Debug)]
pub struct Append {
    pub local_id: LocalId,
    /// Must be the partition's end offset (what the last accepted write left it at).
    pub base_offset: i64,
    pub last_offset: i64,
    pub leader_epoch: LeaderEpoch,
    pub max_timestamp_ms: i64,
    /// One or more whole record batches.
    pub batches: Bytes,
    pub state: Vec<StateRow>,
}

/// A change of the store. It is checked against the writes accepted before it when it is submitted, so a wrong one is refused there, and an accepted one
/// fails only when the store turns read-only, with everything behind it. All changes of one partition are applied in the order of `submit`, and take effect whole or not at all, also over a crash.
#[derive(Clone, Debug)]
pub enum Write {
    /// Makes a partition whose `local_id` came from [`RecordStore::allocate`], empty, starting at offset 0.
    Create {
        local_id: LocalId,
        id: TopicIdPartition,
    },
    Append(Append),
    /// Drops every record at `end_offset` and above (a batch boundary); at or above the end offset nothing is dropped. A run that spans it stays with its last offset lowered: readers drop the
    /// batches past [`RunInfo::last_offset`]. When `end_offset` is below the log start offset, both become `end_offset`.
    Truncate {
        local_id: LocalId,
        end_offset: i64,
        state: Vec<StateRow>,
    },
    /// Moves the log start offset up (never down). Runs that end below it are dead. Above the end offset, the end goes along: the partition is then
    /// empty at that offset (what a follower does that starts over from its leader's log start offset).
    SetLogStart {
        local_id: LocalId,
        log_start_offset: i64,
        state: Vec<StateRow>,
    },
    /// Rows alone.
    State {
        local_id: LocalId,
        state: Vec<StateRow>,
    },
    /// Removes the partition with its runs and rows.
    Delete {
        local_id: LocalId,
    },
    /// Nothing itself: with [`Durability::Synced`] it makes every earlier write durable.
    Barrier,
}

/// When a write counts as done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// Handed to the operating system or the device: survives the process, not the machine.
    Written,
    /// On stable storage, with everything submitted before it: survives power loss.
    Synced,
}

/// Called exactly once, on the store's writer thread, in the order of submission: must be short and must not block.
pub type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Where a run lies in its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunInfo {
    pub base_offset: i64,
    pub last_offset: i64,
    pub max_timestamp_ms: i64,
    pub length_bytes: u64,
}

/// A run with its record batches.
#[derive(Clone, Debug)]
pub struct Run {
    pub info: RunInfo,
    /// Each piece holds one or more whole record batches; together they are the run.
    pub pieces: Vec<Bytes>,
    /// Of the memory that a slice of the pieces keeps from being freed: at least the run's own length.
    pub pinned_bytes: usize,
}

/// Asks for runs, from the one that holds `from_offset` (or, in a gap, the next one).
#[derive(Clone, Copy, Debug)]
pub struct ReadRequest {
    pub local_id: LocalId,
    pub from_offset: i64,
    /// Runs whose base offset is at or above this are not returned.
    pub end_offset: i64,
    /// Runs are added until their bytes reach this; the first is always returned whole.
    pub max_bytes: usize,
    /// Never is more than this read from disk, not for the first run either: see [`StoreError::LongRun`]. What lies in memory is given whatever its length.
    pub most_bytes: usize,
}

/// What is wanted of some batches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// Their bytes.
    pub range: Option<Range<usize>>,
    /// Whether nothing after them is wanted.
    pub full: bool,
}

/// What is wanted of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// All of it; it counts as taken.
    Whole,
    /// That shows when its batches are looked at: it comes to [`Select::cut`].
    Part,
    /// Nothing, and nothing after it.
    Enough,
}

/// Says what is wanted of one run after the other.
pub trait Select: Send {
    /// What is wanted of a run, of which it is known that all batches are live.
    fn take_whole(&mut self, run: &RunInfo) -> Take;

    /// Looks at the run's batches. An error says what is wrong with them.
    fn cut(&mut self, run: &RunInfo, batches: &[u8]) -> Result<Cut, String>;
}

/// What a partition may lose at its beginning, run by run.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Runs all of whose records are older than this (in milliseconds since 1970).
    pub older_than_ms: Option<i64>,
    /// Runs without which at least so many bytes are left.
    pub keep_bytes: Option<u64>,
    /// No run that reaches to this offset or above.
    pub end_offset: i64,
}

impl Retention {
    /// Goes over runs from the first live one on, each with the bytes that are left without it, and tells the offset from which on the log is kept. A run
    /// whose records have no timestamp goes with the ones after it.
    fn start<E>(&self, log_start_offset: i64, runs: impl Iterator<Item = Result<(RunInfo, u64), E>>) -> Result<i64, E> {
        let mut start = log_start_offset;
        for run in runs {
            let (info, left_bytes) = run?;
            let has_time = info.max_timestamp_ms >= 0;
            let is_old = self.older_than_ms.is_some_and(|limit_ms| has_time && info.max_timestamp_ms < limit_ms);
            let is_too_much = self.keep_bytes.is_some_and(|keep_bytes| left_bytes >= keep_bytes);
            if info.last_offset >= self.end_offset || !(is_old || is_too_much || !has_time) {
                break;
            }
            if is_old || is_too_much {
                start = info.last_offset + 1;
            }
        }
        Ok(start)
    }
}

pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// How the store fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Writable,
    /// Appends are refused until there is space again; deletes and start-offset moves go on.
    LowSpace {
        free_bytes: u64,
        needed_bytes: u64,
    },
    /// A write or sync failed: nothing more is written until the process starts again.
    ReadOnly {
        reason: String,
    },
}

/// Bytes of the file system below the log directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    pub total_bytes: u64,
    pub usable_bytes: u64,
}

#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum StoreError {
    #[error("no partition with local id {0:?} in this store")]
    UnknownPartition(LocalId),
    #[error("{0:?} is a partition of this store already")]
    PartitionExists(LocalId),
    #[error("refused for {local_id:?}: {what}")]
    Refused { local_id: LocalId, what: String },
    #[error("append at offset {got} to {local_id:?}, whose end offset is {expected}")]
    OffsetGap { local_id: LocalId, expected: i64, got: i64 },
    #[error(
        "the log directory is low on space: {free_bytes} bytes free, {needed_bytes} needed before it takes records again"
    )]
    LowSpace { free_bytes: u64, needed_bytes: u64 },
    #[error("the store is read-only since a write failed ({reason}); find the cause, then restart the broker")]
    ReadOnly { reason: String },
    #[error("damaged record data in {file} at byte {position}: {what}")]
    Damaged { file: String, position: u64, what: String },
    #[error("reading {file}: {what}")]
    Io { file: String, what: String },
    #[error("a run of {length_bytes} bytes where at most {most_bytes} may be read")]
    LongRun { length_bytes: usize, most_bytes: usize },
    #[error("the store is closed")]
    Closed,
}

/// One log directory. `memory::MemoryStore` and `disk::DiskStore` pass the same conformance suite.
///
/// Nothing here blocks but where said. Callers bound what they have in flight (the broker's request memory does); the queue itself refuses nothing for length.
pub trait RecordStore: Send + Sync + 'static {
    /// Every live partition. Blocking; meant for start.
    fn partitions(&self) -> Result<Vec<PartitionRow>, StoreError>;

    /// A local id that no partition ever had. One whose `Create` did not survive a crash was never a partition's and may come again.
    fn allocate(&self) -> Result<LocalId, StoreError>;

    /// Queues a write. When this returns an error, `done` was not taken and nothing happened; else `done` is called once.
    fn submit(&self, write: Write, durability: Durability, done: Done) -> Result<(), StoreError>;

    /// As [`Self::submit`] for many writes that go in together; `done` tells the end of all. One `Create` per partition of a topic of thousands goes this way.
    fn submit_all(&self, writes: Vec<Write>, durability: Durability, done: Done) -> Result<(), StoreError>;

    /// The runs asked for if all of them are in memory, without waiting. `None` sends the caller to [`Self::read`]. An empty vector says that there is no run in the range.
    fn read_cached(&self, request: &ReadRequest) -> Option<Vec<Run>>;

    /// The runs asked for, checked against their checksums, from the store's own IO threads.
    fn read(&self, request: ReadRequest) -> BoxFuture<Result<Vec<Run>, StoreError>>;

    /// Of the runs asked for, what `select` wants. What is long may stay in its file until it is sent. Checked like [`Self::read`]'s, but not again within a minute
    /// of the last time.
    fn read_parts(&self, request: ReadRequest, select: Box<dyn Select>) -> BoxFuture<Result<Vec<Piece>, StoreError>>;

    /// The first run at or after `from_offset` whose largest timestamp is at least `timestamp_ms`.
    fn find_timestamp(
        &self,
        local_id: LocalId,
        timestamp_ms: i64,
        from_offset: i64,
    ) -> BoxFuture<Result<Option<RunInfo>, StoreError>>;

    /// The live run with the largest timestamp (the earliest, among equals). A run that was truncated inside keeps the timestamp of its whole.
    fn max_timestamp(&self, local_id: LocalId) -> BoxFuture<Result<Option<RunInfo>, StoreError>>;

    /// Where the log would start if everything went that `retention` gives up. Changes nothing.
    fn retained_from(&self, local_id: LocalId, retention: Retention) -> BoxFuture<Result<i64, StoreError>>;

    /// Rows of one kind, in key order, as the last applied write left them. Blocking for as long as an index read takes.
    fn state(&self, local_id: LocalId, kind: StateKind) -> Result<Vec<(Bytes, Bytes)>, StoreError>;

    /// As [`PartitionRow::size_bytes`], now. Zero for an unknown partition.
    fn size_bytes(&self, local_id: LocalId) -> u64;

    /// Writes that wait for the writer.
    fn queued_writes(&self) -> usize;

    fn health(&self) -> Health;

    fn space(&self) -> Result<Space, StoreError>;

    /// The folder, for DescribeLogDirs.
    fn path(&self) -> &std::path::Path;

    /// Finishes what is queued, makes it durable, and leaves a clean-stop mark. Later writes get [`StoreError::Closed`].
    fn close(&self) -> BoxFuture<Result<(), StoreError>>;
}
