//! Raft's log and vote on the quorum store.
//!
//! All writes go through one thread in the order in which Raft asked for them; appends that wait together are synced together. Entries are readable as soon
//! as `append` returns, from memory until they are on disk. Never tells Raft that something is durable before it is.

use openraft::storage::{LogFlushed, LogState, RaftLogStorage};
use openraft::{AnyError, ErrorSubject, ErrorVerb, RaftLogReader, StorageIOError, Vote};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, mpsc};
use tokio::sync::oneshot;

use super::{Entry, LogId, MemberId, QuorumTypes, StorageError, decode, encode};
use crate::store::Durability;
use crate::store::quorum::{QuorumSlot, QuorumStorage, QuorumStoreError, QuorumWrite};

/// Entries kept in memory after they are on disk: those that Raft is about to apply or to send.
const RECENT_ENTRIES: usize = 64;

/// A cloneable handle; clones share one log.
#[derive(Clone)]
pub struct LogStore {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn QuorumStorage>,
    state: Mutex<State>,
    jobs: mpsc::Sender<Job>,
}

#[derive(Default)]
struct State {
    /// The newest entries; always those that are not on disk yet.
    recent: BTreeMap<u64, Entry>,
    last: Option<LogId>,
    purged: Option<LogId>,
}

enum Done {
    Appended { flushed: LogFlushed<QuorumTypes>, last_index: u64 },
    Written(oneshot::Sender<Result<(), QuorumStoreError>>),
    Nothing,
}

struct Job {
    writes: Vec<QuorumWrite>,
    durability: Durability,
    done: Done,
}

fn error(subject: ErrorSubject<MemberId>, verb: ErrorVerb, cause: impl std::error::Error + 'static) -> StorageError {
    StorageError::from(StorageIOError::new(subject, verb, AnyError::new(&cause)))
}

fn read_error(cause: impl std::error::Error + 'static) -> StorageError {
    error(ErrorSubject::Logs, ErrorVerb::Read, cause)
}

impl LogStore {
    /// Starts the writer thread, which ends when the last clone is gone.
    ///
    /// # Errors
    /// When the store cannot be read or holds what this build does not know.
    pub fn open(store: Arc<dyn QuorumStorage>) -> Result<Self, StorageError> {
        let purged = read_slot(&*store, QuorumSlot::Purged)?;
        let last = match store.last_entry().map_err(read_error)? {
            Some((_, bytes)) => Some(decode::<Entry>("a log entry", &bytes).map_err(read_error)?.log_id),
            None => purged,
        };
        let (jobs, queue) = mpsc::channel();
        let state = Mutex::new(State { recent: BTreeMap::new(), last, purged });
        let shared = Arc::new(Shared { store: store.clone(), state, jobs });
        let weak = Arc::downgrade(&shared);
        std::thread::Builder::new()
            .name("quorum-log".to_owned())
            .spawn(move || {
                write_jobs(&*store, &queue, |last_index| {
                    if let Some(shared) = weak.upgrade() {
                        shared.state.lock().forget(last_index);
                    }
                });
            })
            .map_err(|cause| error(ErrorSubject::Store, ErrorVerb::Write, cause))?;
        Ok(Self { shared })
    }

    pub fn last_log_id(&self) -> Option<LogId> {
        self.shared.state.lock().last
    }

    async fn write(&self, subject: ErrorSubject<MemberId>, writes: Vec<QuorumWrite>) -> Result<(), StorageError> {
        let (sender, receiver) = oneshot::channel();
        let job = Job { writes, durability: Durability::Synced, done: Done::Written(sender) };
        let gone = || io::Error::other("the quorum log's writer is gone");
        self.shared.jobs.send(job).map_err(|_| error(subject.clone(), ErrorVerb::Write, gone()))?;
        receiver
            .await
            .map_err(|_| error(subject.clone(), ErrorVerb::Write, gone()))?
            .map_err(|cause| error(subject, ErrorVerb::Write, cause))
    }

    fn read(&self, from: u64, end: u64) -> Result<Vec<Entry>, StorageError> {
        if from >= end {
            return Ok(Vec::new());
        }
        // Entries leave memory only after they are on disk, so memory is asked first and the disk for what lies before it.
        let recent: Vec<Entry> =
            self.shared.state.lock().recent.range(from..end).map(|(_, entry)| entry.clone()).collect();
        let first_recent = recent.first().map_or(end, |entry| entry.log_id.index);
        let mut entries = Vec::new();
        if from < first_recent {
            for (_, bytes) in self.shared.store.entries(from, first_recent).map_err(read_error)? {
                entries.push(decode("a log entry", &bytes).map_err(read_error)?);
            }
        }
        entries.extend(recent);
        Ok(entries)
    }
}

impl State {
    /// Lets go of old entries that are on disk, which those up to `flushed` are.
    fn forget(&mut self, flushed: u64) {
        while self.recent.len() > RECENT_ENTRIES {
            match self.recent.first_entry() {
                Some(entry) if *entry.key() <= flushed => {
                    entry.remove();
                }
                _ => break,
            }
        }
    }
}

fn read_slot<T: serde::de::DeserializeOwned>(
    store: &dyn QuorumStorage,
    slot: QuorumSlot,
) -> Result<Option<T>, StorageError> {
    match store.slot(slot).map_err(read_error)? {
        Some(bytes) => decode("a marker", &bytes).map(Some).map_err(read_error),
        None => Ok(None),
    }
}

/// The writer thread: takes what is queued, writes it with one sync, and tells each who waits.
fn write_jobs(store: &dyn QuorumStorage, queue: &mpsc::Receiver<Job>, flushed: impl Fn(u64)) {
    while let Ok(first) = queue.recv() {
        let mut writes = Vec::new();
        let mut done = Vec::new();
        let mut durability = Durability::Written;
        for job in std::iter::once(first).chain(queue.try_iter()) {
            writes.extend(job.writes);
            done.push(job.done);
            if job.durability == Durability::Synced {
                durability = Durability::Synced;
            }
        }
        let result = store.write(writes, durability);
        for done in done {
            match done {
                Done::Appended { flushed: callback, last_index } => {
                    if result.is_ok() {
                        flushed(last_index);
                    }
                    callback.log_io_completed(result.clone().map_err(io::Error::other));
                }
                Done::Written(sender) => {
                    // Nobody waits any more when Raft was shut down.
                    let _ = sender.send(result.clone());
                }
                Done::Nothing => {}
            }
        }
    }
}

impl RaftLogReader<QuorumTypes> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        let from = match range.start_bound() {
            Bound::Included(index) => *index,
            Bound::Excluded(index) => index.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(index) => index.saturating_add(1),
            Bound::Excluded(index) => *index,
            Bound::Unbounded => u64::MAX,
        };
        self.read(from, end)
    }
}

impl RaftLogStorage<QuorumTypes> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<QuorumTypes>, StorageError> {
        let state = self.shared.state.lock();
        Ok(LogState { last_purged_log_id: state.purged, last_log_id: state.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote<MemberId>) -> Result<(), StorageError> {
        let bytes = encode(vote).map_err(|cause| error(ErrorSubject::Vote, ErrorVerb::Write, cause))?;
        self.write(ErrorSubject::Vote, vec![QuorumWrite::Slot(QuorumSlot::Vote, bytes)]).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote<MemberId>>, StorageError> {
        read_slot(&*self.shared.store, QuorumSlot::Vote)
    }

    /// Not synced: it only saves a restarted follower from waiting for its leader to apply what was committed.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        let bytes = encode(&committed).map_err(|cause| error(ErrorSubject::Logs, ErrorVerb::Write, cause))?;
        let writes = vec![QuorumWrite::Slot(QuorumSlot::Committed, bytes)];
        let job = Job { writes, durability: Durability::Written, done: Done::Nothing };
        // A writer that is gone is told by the next append.
        let _ = self.shared.jobs.send(job);
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        read_slot::<Option<LogId>>(&*self.shared.store, QuorumSlot::Committed).map(Option::flatten)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<QuorumTypes>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let failed = |cause: serde_json::Error| error(ErrorSubject::Logs, ErrorVerb::Write, cause);
        let mut writes = Vec::new();
        let mut last_index = 0;
        for entry in entries {
            last_index = entry.log_id.index;
            writes.push(QuorumWrite::Append { index: last_index, entry: encode(&entry).map_err(failed)? });
            let mut state = self.shared.state.lock();
            state.last = Some(entry.log_id);
            state.recent.insert(last_index, entry);
        }
        let job =
            Job { writes, durability: Durability::Synced, done: Done::Appended { flushed: callback, last_index } };
        self.shared.jobs.send(job).map_err(|_| {
            error(ErrorSubject::Logs, ErrorVerb::Write, io::Error::other("the quorum log's writer is gone"))
        })
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let last = match log_id.index.checked_sub(1) {
            Some(index) => self.read(index, log_id.index)?.first().map(|entry| entry.log_id),
            None => None,
        };
        {
            let mut state = self.shared.state.lock();
            state.recent.split_off(&log_id.index);
            state.last = last.or(state.purged);
        }
        self.write(ErrorSubject::Log(log_id), vec![QuorumWrite::TruncateFrom(log_id.index)]).await
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let bytes = encode(&log_id).map_err(|cause| error(ErrorSubject::Log(log_id), ErrorVerb::Write, cause))?;
        self.write(
            ErrorSubject::Log(log_id),
            vec![QuorumWrite::PurgeTo(log_id.index), QuorumWrite::Slot(QuorumSlot::Purged, bytes)],
        )
        .await?;
        let mut state = self.shared.state.lock();
        state.recent = state.recent.split_off(&log_id.index.saturating_add(1));
        state.purged = Some(log_id);
        if state.last < state.purged {
            state.last = state.purged;
        }
        Ok(())
    }
}
