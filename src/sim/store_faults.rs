//! The disk store on the model disk: whatever a crash leaves, the store comes back as it was after some beginning of the accepted writes, and that
//! beginning holds everything that was promised. `STORE_SEEDS` sets how many histories are tried, `STORE_SEED` picks one.

use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

use super::Random;
use super::disk::{Faults, SimDisk};
use crate::store::disk::{DiskStore, StoreOptions};
use crate::store::*;
use crate::types::TopicIdPartition;

/// A batch as the test writes it: it tells what it is, so that a run can be taken apart again.
const BATCH_HEADER_BYTES: usize = 28;

/// What a partition must look like.
#[derive(Clone, PartialEq, Debug, Default)]
struct ModelPartition {
    partition: i32,
    start: i64,
    end: i64,
    /// (base, last, checksum).
    batches: Vec<(i64, i64, u32)>,
    rows: BTreeMap<(u8, Vec<u8>), Vec<u8>>,
}

type Model = BTreeMap<LocalId, ModelPartition>;

fn batch(local_id: LocalId, base: i64, last: i64, length: usize, random: &mut Random) -> Bytes {
    let mut out = Vec::with_capacity(BATCH_HEADER_BYTES + length);
    out.extend_from_slice(&local_id.0.to_le_bytes());
    out.extend_from_slice(&base.to_le_bytes());
    out.extend_from_slice(&last.to_le_bytes());
    out.extend_from_slice(&(length as u32).to_le_bytes());
    while out.len() < BATCH_HEADER_BYTES + length {
        out.extend_from_slice(&random.next().to_le_bytes());
    }
    out.truncate(BATCH_HEADER_BYTES + length);
    Bytes::from(out)
}

/// The batches of a run that count: those within the run's and the log's offsets.
fn batches_of(local_id: LocalId, run: &Run, start: i64) -> Vec<(i64, i64, u32)> {
    let whole = run.pieces.concat();
    let mut rest = &whole[..];
    let mut found = Vec::new();
    while !rest.is_empty() {
        let number = |at: usize| i64::from_le_bytes(rest[at..at + 8].try_into().expect("eight bytes"));
        let length = u32::from_le_bytes(rest[24..28].try_into().expect("four bytes")) as usize;
        let (base, last) = (number(8), number(16));
        assert_eq!(number(0) as u64, local_id.0, "a batch of another partition");
        let (batch, after) = rest.split_at(BATCH_HEADER_BYTES + length);
        if last >= start && base <= run.info.last_offset {
            found.push((base, last, crc32c::crc32c(batch)));
        }
        rest = after;
    }
    found
}

impl ModelPartition {
    fn put_rows(&mut self, rows: &[StateRow]) {
        for row in rows {
            let key = (row.kind as u8, row.key.to_vec());
            match &row.value {
                Some(value) => self.rows.insert(key, value.to_vec()),
                None => self.rows.remove(&key),
            };
        }
    }

    fn drop_dead(&mut self) {
        self.batches.retain(|(base, last, _)| *last >= self.start && *base < self.end);
    }
}

fn apply(model: &mut Model, write: &Write) {
    match write {
        Write::Create { local_id, id } => {
            model.insert(*local_id, ModelPartition { partition: id.partition, ..ModelPartition::default() });
        }
        Write::Delete { local_id } => {
            model.remove(local_id);
        }
        Write::Append(append) => {
            let Some(partition) = model.get_mut(&append.local_id) else { return };
            let crc = crc32c::crc32c(&append.batches);
            partition.batches.push((append.base_offset, append.last_offset, crc));
            partition.end = append.last_offset + 1;
            partition.put_rows(&append.state);
        }
        Write::Truncate { local_id, end_offset, state } => {
            let Some(partition) = model.get_mut(local_id) else { return };
            partition.end = partition.end.min(*end_offset);
            partition.start = partition.start.min(partition.end);
            partition.drop_dead();
            partition.put_rows(state);
        }
        Write::SetLogStart { local_id, log_start_offset, state } => {
            let Some(partition) = model.get_mut(local_id) else { return };
            partition.start = partition.start.max(*log_start_offset);
            partition.end = partition.end.max(partition.start);
            partition.drop_dead();
            partition.put_rows(state);
        }
        Write::State { local_id, state } => {
            if let Some(partition) = model.get_mut(local_id) {
                partition.put_rows(state);
            }
        }
        Write::Barrier => {}
    }
}

/// A model in few lines.
fn told(model: &Model) -> String {
    let mut out = String::new();
    for (local_id, partition) in model {
        let batches: Vec<_> = partition.batches.iter().map(|(base, last, _)| format!("{base}..{last}")).collect();
        let rows: Vec<_> = partition
            .rows
            .iter()
            .map(|((kind, key), value)| {
                format!("{kind}/{}={}", String::from_utf8_lossy(key), String::from_utf8_lossy(value))
            })
            .collect();
        let (start, end) = (partition.start, partition.end);
        out += &format!("{local_id:?} {start}..{end} [{}] {{{}}}\n", batches.join(" "), rows.join(" "));
    }
    out
}

/// The store as a model, read from the disk, not from memory.
fn observe(store: &DiskStore, runtime: &tokio::runtime::Runtime) -> Result<Model, StoreError> {
    let mut model = Model::new();
    for row in store.partitions()? {
        let local_id = row.local_id;
        let mut rows = BTreeMap::new();
        for kind in [StateKind::Producer, StateKind::LeaderEpoch, StateKind::AbortedTransaction, StateKind::Partition] {
            let found = store.state(local_id, kind)?;
            rows.extend(found.into_iter().map(|(key, value)| ((kind as u8, key.to_vec()), value.to_vec())));
        }
        let request = ReadRequest { local_id, from_offset: 0, end_offset: i64::MAX, max_bytes: usize::MAX };
        let runs = runtime.block_on(store.read(request))?;
        let size: u64 = runs.iter().map(|run| run.info.length_bytes).sum();
        assert_eq!(size, row.size_bytes, "size of {local_id:?}");
        let batches = runs.iter().flat_map(|run| batches_of(local_id, run, row.log_start_offset)).collect();
        let (start, end) = (row.log_start_offset, row.log_end_offset);
        model.insert(local_id, ModelPartition { partition: row.id.partition, start, end, batches, rows });
    }
    Ok(model)
}

fn options(path: &Path, random: &mut Random) -> StoreOptions {
    StoreOptions {
        record_file_bytes: [64, 256, 1024][random.below(3) as usize] * 1024,
        flush_bytes: [16, 128, 1 << 20][random.below(3) as usize] * 1024,
        flush_interval: Duration::from_millis([1, 20, 60_000][random.below(3) as usize]),
        cache_bytes: 4096,
        index_cache_bytes: 64 * 1024,
        free_space_floor_bytes: Some(0),
        read_threads: 1,
        ..StoreOptions::new(path)
    }
}

/// One machine's life: a store that is written, crashes, and comes back, again and again.
struct Life {
    seed: u64,
    random: Random,
    disk: SimDisk,
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    /// What the store must be at the start of a round.
    model: Model,
    /// Highest id given in this round, and by what survived of the rounds before.
    ids_ever: u64,
    ids_kept: u64,
}

/// What became of a round's writes.
#[derive(Default)]
struct Round {
    writes: Vec<Write>,
    /// Writes up to this number were acknowledged as synced, or merely as written.
    synced: usize,
    written: usize,
}

enum Ending {
    Power,
    Process,
    CleanStop,
}

impl Life {
    fn new(seed: u64) -> Self {
        // The index is real: in memory if the machine has a folder there.
        let shm = Path::new("/dev/shm");
        let folder = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() };
        Life {
            seed,
            random: Random::new(seed),
            disk: SimDisk::default(),
            folder: folder.expect("a folder"),
            runtime: tokio::runtime::Builder::new_current_thread().build().expect("a runtime"),
            model: Model::new(),
            ids_ever: 0,
            ids_kept: 0,
        }
    }

    fn open(&mut self) -> Result<DiskStore, crate::store::disk::OpenError> {
        let options = options(&self.folder.path().join("log"), &mut self.random);
        let disk = self.disk.clone();
        DiskStore::open_with(options, || Ok(Arc::new(disk)))
    }

    fn rows(&mut self, step: usize) -> Vec<StateRow> {
        (0..self.random.below(3))
            .map(|_| StateRow {
                kind: if self.random.once_in(3) { StateKind::LeaderEpoch } else { StateKind::Producer },
                key: Bytes::from(format!("key{}", self.random.below(4))),
                value: (!self.random.once_in(4)).then(|| Bytes::from(format!("{}-{step}", self.seed))),
            })
            .collect()
    }

    /// A write that fits the model as it will be by then.
    fn next_write(&mut self, store: &DiskStore, model: &Model, step: usize) -> Write {
        let ids: Vec<LocalId> = model.keys().copied().collect();
        if ids.len() < 2 || (ids.len() < 5 && self.random.once_in(8)) {
            let local_id = store.allocate().expect("an id");
            assert!(local_id.0 > self.ids_ever, "seed {}: {local_id:?} came again", self.seed);
            self.ids_ever = local_id.0;
            let id = TopicIdPartition { topic_id: Uuid::from_u128(1), partition: step as i32 };
            return Write::Create { local_id, id };
        }
        let local_id = ids[self.random.below(ids.len() as u64) as usize];
        let partition = &model[&local_id];
        let state = self.rows(step);
        // A truncation ends where a batch does; a start may lie anywhere.
        match self.random.below(24) {
            0 => {
                let bases = partition.batches.iter().map(|(base, _, _)| *base);
                let bases: Vec<i64> = bases.filter(|base| *base >= partition.start).collect();
                let end_offset = match bases.len() {
                    0 => partition.end,
                    count => bases[self.random.below(count as u64) as usize],
                };
                Write::Truncate { local_id, end_offset, state }
            }
            1 => {
                let within = (partition.end - partition.start + 1) as u64;
                let log_start_offset = partition.start + self.random.below(within) as i64;
                Write::SetLogStart { local_id, log_start_offset, state }
            }
            2 => Write::State { local_id, state },
            3 if self.random.once_in(3) => Write::Delete { local_id },
            4 => Write::Barrier,
            _ => {
                let longest = [200, 3000, 30_000][self.random.below(3) as usize];
                let length = self.random.below(longest) as usize;
                let (base_offset, last_offset) = (partition.end, partition.end + self.random.below(5) as i64);
                let batches = batch(local_id, base_offset, last_offset, length, &mut self.random);
                let leader_epoch = self.random.below(2) as i32;
                Write::Append(Append {
                    local_id,
                    base_offset,
                    last_offset,
                    leader_epoch,
                    max_timestamp_ms: step as i64,
                    batches,
                    state,
                })
            }
        }
    }

    /// Writes until the disk fails or there is enough.
    fn work(&mut self, store: &DiskStore, most: usize) -> Round {
        let mut round = Round::default();
        let mut model = self.model.clone();
        let acknowledged = Arc::new(Mutex::new((0, 0)));
        for step in 0..most {
            let write = self.next_write(store, &model, step);
            let synced = self.random.once_in(3);
            let durability = if synced { Durability::Synced } else { Durability::Written };
            let number = step + 1;
            let acknowledged = acknowledged.clone();
            let (sender, receiver) = std::sync::mpsc::channel();
            let done: Done = Box::new(move |result| {
                if result.is_ok() {
                    let mut acknowledged = acknowledged.lock();
                    acknowledged.0 = number;
                    if synced {
                        acknowledged.1 = number;
                    }
                }
                let _ = sender.send(());
            });
            if store.submit(write.clone(), durability, done).is_err() {
                break;
            }
            apply(&mut model, &write);
            round.writes.push(write);
            if self.random.once_in(3) {
                receiver.recv().expect("done is called");
            }
        }
        // Whatever is in flight completes, well or not.
        let (sender, receiver) = std::sync::mpsc::channel();
        let done: Done = Box::new(move |_| {
            let _ = sender.send(());
        });
        if store.submit(Write::Barrier, Durability::Written, done).is_ok() {
            receiver.recv().expect("done is called");
        }
        (round.written, round.synced) = *acknowledged.lock();
        round
    }

    fn faults(&mut self) -> Faults {
        let mut faults = Faults::default();
        match self.random.below(6) {
            0 | 1 => faults.crash_after_calls = Some(self.random.below(80)),
            2 => faults.fail_sync = Some(self.random.below(20)),
            3 => faults.fail_write = Some(self.random.below(40)),
            _ => {}
        }
        faults
    }

    fn round(&mut self, store: DiskStore) -> DiskStore {
        let faults = self.faults();
        self.disk.set_faults(faults.clone());
        let most = 1 + self.random.below(60) as usize;
        let round = self.work(&store, most);
        let healthy = store.health() == Health::Writable;
        let ending = match self.random.below(3) {
            0 if healthy && faults.crash_after_calls.is_none() => Ending::CleanStop,
            1 if faults.crash_after_calls.is_none() => Ending::Process,
            _ => Ending::Power,
        };
        let promised = match ending {
            Ending::Power => {
                self.disk.power_off();
                drop(store);
                self.disk.power_on(&mut self.random);
                round.synced
            }
            Ending::Process => {
                drop(store);
                self.disk.restart_process();
                // A failed sync, maybe one behind our back, loses what was only written.
                if healthy && faults.fail_sync.is_none() { round.written } else { round.synced }
            }
            Ending::CleanStop => {
                let closed = self.runtime.block_on(store.close());
                drop(store);
                match closed {
                    Ok(()) => {
                        // A clean stop leaves nothing to lose.
                        self.disk.power_on(&mut self.random);
                        round.writes.len()
                    }
                    Err(_) => {
                        self.disk.power_on(&mut self.random);
                        round.synced
                    }
                }
            }
        };
        self.come_back(round, promised, matches!(ending, Ending::CleanStop))
    }

    /// Opens the store, with crashes on the way, and holds it against every beginning of the round's writes that keeps what was promised.
    fn come_back(&mut self, round: Round, mut promised: usize, clean: bool) -> DiskStore {
        while self.random.once_in(3) {
            if !clean {
                promised = promised.min(round.synced);
            }
            let crash_after_calls = Some(self.random.below(12));
            self.disk.set_faults(Faults { crash_after_calls, ..Faults::default() });
            let opened = self.open();
            if self.random.once_in(2) {
                self.disk.power_off();
            }
            drop(opened);
            self.disk.power_on(&mut self.random);
        }
        let mut store = self.open().unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
        assert_eq!(store.health(), Health::Writable, "seed {}", self.seed);
        let mut found = observe(&store, &self.runtime).unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
        if self.random.once_in(3) {
            // What is served must be durable: power fails at once.
            self.disk.power_off();
            drop(store);
            self.disk.power_on(&mut self.random);
            store = self.open().unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
            let again = observe(&store, &self.runtime).unwrap_or_else(|error| panic!("seed {}: {error}", self.seed));
            assert_eq!(again, found, "seed {}: what was served went away", self.seed);
            found = again;
        }
        let mut model = std::mem::take(&mut self.model);
        let mut kept = (promised == 0 && model == found).then_some(0);
        for (number, write) in round.writes.iter().enumerate() {
            apply(&mut model, write);
            if number + 1 >= promised && model == found {
                kept = Some(number + 1);
            }
        }
        assert!(
            kept.is_some(),
            "seed {}: {} writes, {promised} promised, and the store is as after none of these:\n{}\nafter all:\n{}",
            self.seed,
            round.writes.len(),
            told(&found),
            told(&model),
        );
        let kept = kept.unwrap_or(0);
        let created = round.writes.iter().take(kept).filter_map(|write| match write {
            Write::Create { local_id, .. } => Some(local_id.0),
            _ => None,
        });
        self.ids_kept = created.fold(self.ids_kept, u64::max);
        self.ids_ever = self.ids_kept;
        self.model = found;
        store
    }
}

fn live(seed: u64, rounds: usize) {
    let mut life = Life::new(seed);
    let mut store = life.open().expect("a new store");
    for _ in 0..rounds {
        store = life.round(store);
    }
}

fn seeds(default: u64) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("STORE_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("STORE_SEEDS").unwrap_or(default)).collect(),
    }
}

#[test]
fn crashes_keep_what_was_promised() {
    for seed in seeds(40) {
        live(seed, 6);
    }
}
