//! The one thread that changes a store: drains the queue, makes groups, writes each with one positional write, syncs when anything in it asks for that,
//! applies it to the index, shows it to readers, and completes its writes, in order.
//!
//! The first failed write, sync or index update ends writing for good: what the kernel or the device then holds is not known, and asking again would
//! only be told what one wants to hear.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::apply::Applier;
use super::disk::{Item, Shared};
use super::group::{Change, Entry, GroupBuilder, LaidOut, Place, group_bytes, lay_out};
use super::io::DiskFile;
use super::maker::{Maker, NewFile};
use super::record_file::{FILE_HEADER_BYTES, Seed};
use super::table::{TailBudget, TailRun};
use super::values::Position;
use super::{Done, Durability, RunInfo, StoreError};

/// Bytes of index changes after which they are flushed: well below what a memtable takes.
const CHECKPOINT_BATCH_BYTES: usize = 16 * 1024 * 1024;
/// A record file holds at least this, so that small stores do not roll all the time.
const SMALLEST_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// A record file is this part of what is alive, so that what is dead but shares a file with the living, and what is allocated but not written yet, stays small
/// against it.
const FILES_OF_A_STORE: u64 = 64;
/// Full files that wait for the next sync.
const MOST_UNSYNCED: usize = 8;
/// Why nothing is written after a defect of the writer's.
pub(super) const WRITER_IS_GONE: &str = "the thread that writes has panicked; restart the broker";

/// While something is due that must wait for a flush on its way.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

/// The record file that groups go to.
pub(super) struct Current {
    pub file: Arc<dyn DiskFile>,
    pub seed: Seed,
    pub size_bytes: u64,
    /// Where the next group begins.
    pub position: u64,
}

/// Where the log goes on: from recovery.
#[derive(Clone, Copy)]
pub(super) struct LogEnd {
    pub sequence: u64,
    pub group_crc: u32,
    /// The file and position up to which everything is applied and synced.
    pub file_id: u64,
    pub position: u64,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    applier: Applier,
    maker: Maker,
    tail: TailBudget,
    current: Option<Current>,
    /// Full files that hold groups which are not on stable storage yet, the oldest first, at most [`MOST_UNSYNCED`].
    unsynced: Vec<Current>,
    /// The next group's sequence number.
    sequence: u64,
    group_crc: u32,
    /// Groups below this sequence number are on stable storage.
    synced_below: u64,
    end: LogEnd,
    since_checkpoint_bytes: u64,
    last_checkpoint: Instant,
    dirty_since: Option<Instant>,
    /// Files without live runs, whose rows a flush on its way removes.
    condemned: Vec<u64>,
    builder: GroupBuilder,
    group: Pending,
}

/// Completions of the group that is being filled.
#[derive(Default)]
struct Pending {
    done: Vec<Waiter>,
    sync: bool,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        applier: Applier,
        maker: Maker,
        end: LogEnd,
        current: Option<Current>,
        dirty: bool,
    ) -> Self {
        let tail = TailBudget::new(shared.options.cache_bytes);
        let dirty_since = dirty.then(Instant::now);
        Writer {
            tail,
            shared,
            applier,
            maker,
            current,
            unsynced: Vec::new(),
            sequence: end.sequence,
            group_crc: end.group_crc,
            synced_below: end.sequence,
            end,
            since_checkpoint_bytes: 0,
            last_checkpoint: Instant::now(),
            dirty_since,
            condemned: Vec::new(),
            builder: GroupBuilder::default(),
            group: Pending::default(),
        }
    }

    /// Until the store is closed or dropped. Returns after everything queued is completed.
    pub(super) fn run(mut self) {
        if self.current.is_none() && self.shared.read_only().is_none() {
            self.maker.prepare(self.next_file_bytes(0));
        }
        let mut items = Vec::new();
        loop {
            let idle_wait = self.idle_wait();
            let closing = self.shared.next_items(&mut items, idle_wait);
            let had_items = !items.is_empty();
            for item in items.drain(..) {
                self.take_in(item);
            }
            if let Err(error) = self.commit().and_then(|()| self.house_keeping(had_items)) {
                self.fail(&error);
            }
            if closing && !had_items {
                break;
            }
        }
        self.finish();
    }

    /// How long to wait for writes before there is something else to do.
    fn idle_wait(&self) -> Option<Duration> {
        if self.shared.read_only().is_some() {
            return None;
        }
        if self.applier.can_reap() {
            return Some(Duration::ZERO);
        }
        if !self.condemned.is_empty() {
            return Some(Duration::from_millis(50));
        }
        let in_time = |since: Instant, wait: Duration| wait.saturating_sub(since.elapsed()).max(SHORTEST_WAIT);
        let flush = self.dirty_since.map(|since| in_time(since, self.shared.options.flush_interval));
        let dead_file_wait = self.shared.options.dead_file_wait;
        match self.applier.has_dead_file() {
            true => {
                let in_time = in_time(self.last_checkpoint, dead_file_wait);
                Some(flush.map_or(in_time, |flush| flush.min(in_time)))
            }
            false => flush,
        }
    }

    fn take_in(&mut self, item: Item) {
        for write in item.writes {
            if self.builder.must_close_before(&write)
                && let Err(error) = self.commit()
            {
                self.fail(&error);
            }
            self.builder.add(write);
        }
        self.group.sync |= item.durability == Durability::Synced && self.shared.options.sync;
        self.group.done.push(item.done);
    }

    /// Writes and completes the group at hand.
    fn commit(&mut self) -> Result<(), StoreError> {
        if self.builder.is_empty() && self.group.done.is_empty() {
            return Ok(());
        }
        if let Some(reason) = self.shared.read_only() {
            return Err(StoreError::ReadOnly { reason });
        }
        let mut entries = self.builder.take();
        if !entries.is_empty() {
            self.write_group(&mut entries)?;
        } else if self.group.sync {
            self.sync_current()?;
        }
        let group = std::mem::take(&mut self.group);
        self.shared.options.metrics.group_writes.record(group.done.len() as f64);
        group.done.into_iter().for_each(|waiter| waiter.tell(Ok(())));
        Ok(())
    }

    fn write_group(&mut self, entries: &mut [Entry]) -> Result<(), StoreError> {
        let needed = group_bytes(entries);
        self.make_room(needed)?;
        let clean = self.synced_below == self.sequence;
        let Some(current) = &mut self.current else {
            return Err(StoreError::Io { file: "record file".into(), what: "there is none".into() });
        };
        let place = Place {
            seed: current.seed,
            position: current.position,
            sequence: self.sequence,
            synced_through: self.synced_below.saturating_sub(1),
            previous_crc: self.group_crc,
        };
        let laid_out = lay_out(entries, place);
        let file_id = current.seed.file_id;
        // A durable write covers only its own bytes, so it is enough only when all before it is durable already.
        let (durable, begun) = (self.group.sync && clean, Instant::now());
        current
            .file
            .write_at(&laid_out.bytes, current.position, durable)
            .map_err(|error| failed("writing", file_id, &error))?;
        if durable {
            self.shared.options.metrics.sync_ms.record(begun.elapsed().as_secs_f64() * 1000.0);
        }
        self.shared.options.metrics.group_bytes.record(laid_out.bytes.len() as f64);
        current.position += laid_out.bytes.len() as u64;
        self.shared.reader.note_written(file_id, current.position);
        self.sequence += 1;
        self.group_crc = laid_out.header_crc;
        self.since_checkpoint_bytes += needed;
        if self.group.sync {
            if clean {
                self.synced_below = self.sequence;
            } else {
                self.sync_current()?;
            }
        }
        self.dirty_since.get_or_insert_with(Instant::now);
        self.applier.apply(file_id, entries, &laid_out.positions)?;
        self.publish(entries, &laid_out, place.position);
        Ok(())
    }

    fn publish(&mut self, entries: &[Entry], laid_out: &LaidOut, group_position: u64) {
        let tail = &mut self.tail;
        // A slice pins its group's memory. When most of that is not runs, copies are cheaper.
        let run_bytes: usize = entries.iter().map(Entry::run_bytes).sum();
        let share = laid_out.bytes.len() <= run_bytes + run_bytes / 4;
        self.applier.publish(entries, |number, slot| {
            let (Some(entry), Some(position)) = (entries.get(number), laid_out.positions.get(number)) else { return };
            let Some((info, range)) = entry.run(*position - group_position) else { return };
            let batches = laid_out.bytes.slice(range);
            let batches = if share { batches } else { bytes::Bytes::copy_from_slice(&batches) };
            let pinned_bytes = if share { laid_out.bytes.len() } else { batches.len() };
            let pinned = info.length_bytes as usize;
            let pinned = if share { pinned + pinned / 4 } else { pinned + size_of::<TailRun>() };
            slot.push_tail(TailRun { info, batches, pinned_bytes });
            tail.charge(entry.local_id, info.base_offset, pinned);
        });
        tail.shrink(&self.shared.table);
    }

    /// Makes everything written so far durable.
    fn sync_current(&mut self) -> Result<(), StoreError> {
        if self.synced_below == self.sequence {
            return Ok(());
        }
        let begun = Instant::now();
        for file in self.unsynced.iter().chain(&self.current) {
            file.file.sync().map_err(|error| failed("syncing", file.seed.file_id, &error))?;
        }
        self.shared.options.metrics.sync_ms.record(begun.elapsed().as_secs_f64() * 1000.0);
        self.unsynced.drain(..).for_each(|full| self.maker.seal(full.file, full.position));
        self.synced_below = self.sequence;
        Ok(())
    }

    /// Sees to a record file that takes a group of this size.
    fn make_room(&mut self, needed: u64) -> Result<(), StoreError> {
        if let Some(current) = &self.current
            && current.position + needed <= current.size_bytes
        {
            if current.position + needed > current.size_bytes / 2 {
                self.maker.prepare(self.next_file_bytes(0));
            }
            return Ok(());
        }
        if self.unsynced.len() >= MOST_UNSYNCED {
            self.sync_current()?;
        }
        let NewFile { file, seed, size_bytes } =
            self.maker.take(self.next_file_bytes(needed)).map_err(|error| StoreError::Io {
                file: self.shared.path.display().to_string(),
                what: format!("no space or no way to make a record file: {error}"),
            })?;
        let position = FILE_HEADER_BYTES as u64;
        let mut new = Current { file, seed, size_bytes, position };
        if position + needed > size_bytes {
            new.size_bytes = position + needed;
            new.file.set_len(new.size_bytes).map_err(|error| failed("enlarging", seed.file_id, &error))?;
        }
        if let Some(full) = self.current.replace(new) {
            // It must be durable before anything in the next one can count as that. Nor may it be sealed before: a failed sync is told once, and the writer has to
            // be who hears of it.
            if self.synced_below < self.sequence {
                self.unsynced.push(full);
            } else {
                self.maker.seal(full.file, full.position);
            }
        }
        self.applier.note_file(seed);
        self.shared.reader.note_file(seed);
        Ok(())
    }

    /// Small stores get small files.
    fn next_file_bytes(&self, needed: u64) -> u64 {
        let largest = self.shared.options.record_file_bytes;
        let size = (self.applier.live_bytes() / FILES_OF_A_STORE).clamp(SMALLEST_FILE_BYTES.min(largest), largest);
        size.max(needed + FILE_HEADER_BYTES as u64)
    }

    /// What can wait until the queue was looked after.
    fn house_keeping(&mut self, busy: bool) -> Result<(), StoreError> {
        if self.shared.read_only().is_some() {
            return Ok(());
        }
        if self.applier.can_reap() {
            self.applier.reap()?;
            self.dirty_since.get_or_insert_with(Instant::now);
        }
        let interval = self.shared.options.flush_interval;
        if self.since_checkpoint_bytes >= self.shared.options.flush_bytes
            || self.applier.batch_bytes() >= CHECKPOINT_BATCH_BYTES
            || (!busy && self.dirty_since.is_some_and(|since| since.elapsed() >= interval))
            || self.dirty_since.is_some_and(|since| since.elapsed() >= 2 * interval)
            || (self.applier.has_dead_file() && self.last_checkpoint.elapsed() >= self.shared.options.dead_file_wait)
        {
            self.checkpoint(false)?;
            self.maker.check_space();
        }
        if !self.condemned.is_empty() && !self.shared.index.flush_pending()? {
            let file_ids = std::mem::take(&mut self.condemned);
            file_ids.iter().for_each(|file_id| self.shared.reader.forget_file(*file_id));
            self.maker.remove(file_ids);
        }
        Ok(())
    }

    /// Makes the index durable as of now, never ahead of the record files.
    fn checkpoint(&mut self, wait: bool) -> Result<(), StoreError> {
        // One flush at a time; a memtable takes far more than what comes meanwhile.
        let hurry = self.applier.batch_bytes() >= 4 * CHECKPOINT_BATCH_BYTES;
        if !wait && !hurry && self.shared.index.flush_pending()? {
            return Ok(());
        }
        self.sync_current()?;
        let position = self.position();
        let dead = self.applier.checkpoint(&position)?;
        self.shared.index.flush(wait)?;
        self.condemned.extend(dead);
        self.last_checkpoint = Instant::now();
        self.since_checkpoint_bytes = 0;
        self.dirty_since = None;
        Ok(())
    }

    fn position(&self) -> Position {
        let (file_id, position) = match &self.current {
            Some(current) => (current.seed.file_id, current.position),
            None => (self.end.file_id, self.end.position),
        };
        let next_local_id = self.applier.next_local_id();
        Position { file_id, position, sequence: self.sequence, group_crc: self.group_crc, next_local_id }
    }

    /// Ends writing: completes the group at hand, and through [`Shared::set_read_only`] everything later, with the reason.
    fn fail(&mut self, error: &StoreError) {
        self.builder.take();
        self.shared.set_read_only(error);
        let reason = self.shared.read_only().unwrap_or_else(|| error.to_string());
        for waiter in std::mem::take(&mut self.group).done {
            waiter.tell(Err(StoreError::ReadOnly { reason: reason.clone() }));
        }
    }

    /// After the last write: a closed store leaves the index as of now and a clean-stop mark, a dropped one leaves what there is.
    fn finish(mut self) {
        let closing = self.shared.take_closer();
        let result = match (&closing, self.shared.read_only()) {
            (None, _) => Ok(()),
            (Some(_), Some(reason)) => Err(StoreError::ReadOnly { reason }),
            (Some(_), None) => self.checkpoint(true),
        };
        if closing.is_some() && result.is_ok() {
            self.maker.remove(std::mem::take(&mut self.condemned));
        }
        self.maker.stop();
        if let Some(closer) = closing {
            let result = result.and_then(|()| self.shared.mark_clean_stop());
            let _ = closer.send(result);
        }
    }
}

/// Whoever waits for a write, and is told exactly once: by nobody else, then that the writer is gone.
pub(super) struct Waiter(Option<Done>);

impl Waiter {
    pub(super) fn new(done: Done) -> Self {
        Waiter(Some(done))
    }

    fn tell(mut self, result: Result<(), StoreError>) {
        self.finish(result);
    }

    /// What the owner of the write does then is not the store's: a defect there must not end writing for all others.
    fn finish(&mut self, result: Result<(), StoreError>) {
        if let Some(done) = self.0.take()
            && catch_unwind(AssertUnwindSafe(|| done(result))).is_err()
        {
            tracing::error!("what was to be done after a write has panicked");
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.finish(Err(StoreError::ReadOnly { reason: WRITER_IS_GONE.into() }));
    }
}

fn failed(doing: &str, file_id: u64, error: &std::io::Error) -> StoreError {
    StoreError::Io { file: super::record_file::file_name(file_id), what: format!("{doing} it failed: {error}") }
}

impl Entry {
    /// The run that an append makes, and where its batches lie, for one that begins `at` bytes into the group.
    fn run(&self, at: u64) -> Option<(RunInfo, std::ops::Range<usize>)> {
        let Change::Append { base_offset, last_offset, max_timestamp_ms, run_bytes, .. } = &self.change else {
            return None;
        };
        let info = RunInfo {
            base_offset: *base_offset,
            last_offset: *last_offset,
            max_timestamp_ms: *max_timestamp_ms,
            length_bytes: u64::from(*run_bytes),
        };
        Some((info, at as usize..at as usize + *run_bytes as usize))
    }
}
