//! The disk store on the model disk: whatever a crash leaves, the store comes back as it was after some beginning of the accepted writes, and that
//! beginning holds everything that was promised. `STORE_SEEDS` sets how many histories are tried, `STORE_SEED` picks one.

use bytes::Bytes;
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

use super::Random;
use super::disk::{Faults, SimDisk};
use super::store_model::{Model, apply, batch, batches_of, observe, told};
use crate::store::disk::{DiskStore, StoreOptions};
use crate::store::io::BLOCK_BYTES;
use crate::store::*;
use crate::types::TopicIdPartition;

fn options(path: &Path, random: &mut Random) -> StoreOptions {
    StoreOptions {
        record_file_bytes: [64, 256, 1024][random.below(3) as usize] * 1024,
        flush_bytes: [16, 128, 1 << 20][random.below(3) as usize] * 1024,
        flush_interval: Duration::from_millis([1, 20, 60_000][random.below(3) as usize]),
        dead_file_wait: Duration::from_millis([0, 1000][random.below(2) as usize]),
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

    /// Opens the store, with crashes and failed syncs on the way, and holds it against every beginning of the round's writes that keeps what was promised.
    fn come_back(&mut self, round: Round, mut promised: usize, clean: bool) -> DiskStore {
        while self.random.once_in(3) {
            if !clean {
                promised = promised.min(round.synced);
            }
            let fault = Some(self.random.below(12));
            self.disk.set_faults(match self.random.once_in(3) {
                true => Faults { fail_sync: fault, ..Faults::default() },
                false => Faults { crash_after_calls: fault, ..Faults::default() },
            });
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
        // The shortest beginning that it may be: a partition made and deleted again in a longer one may be lost, and its id with it.
        let mut kept = (promised == 0 && model == found).then_some(0);
        for (number, write) in round.writes.iter().enumerate() {
            apply(&mut model, write);
            if number + 1 >= promised && model == found {
                kept.get_or_insert(number + 1);
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

/// A store with known content in one file, stopped without a clean stop: what of it is in the index's durable state is chosen by `flushed`.
struct Written {
    life: Life,
    store: Option<DiskStore>,
}

impl Written {
    fn new(seed: u64) -> Self {
        let mut life = Life::new(seed);
        let store = life.open_quiet();
        Written { life, store: Some(store) }
    }

    /// With a partition whose last append alone is in the second file.
    fn with_two_files(seed: u64) -> (Self, LocalId) {
        let mut written = Written::new(seed);
        let id = written.create();
        written.append(id, 100);
        let first = written.newest_file();
        while written.newest_file() == first {
            written.append(id, 100_000);
        }
        (written, id)
    }

    fn store(&self) -> &DiskStore {
        self.store.as_ref().expect("an open store")
    }

    /// Submits and waits.
    fn write(&mut self, write: Write) {
        let (sender, receiver) = std::sync::mpsc::channel();
        let done: Done = Box::new(move |result| sender.send(result).expect("the test waits"));
        self.store().submit(write.clone(), Durability::Synced, done).expect("submit");
        receiver.recv().expect("done is called").expect("written");
        apply(&mut self.life.model, &write);
    }

    fn create(&mut self) -> LocalId {
        let local_id = self.store().allocate().expect("an id");
        self.write(Write::Create { local_id, id: TopicIdPartition { topic_id: Uuid::from_u128(1), partition: 0 } });
        local_id
    }

    fn append(&mut self, local_id: LocalId, length: usize) {
        let base = self.life.model[&local_id].end;
        let batches = batch(local_id, base, base, length, &mut self.life.random);
        self.append_bytes(local_id, batches);
    }

    fn append_bytes(&mut self, local_id: LocalId, batches: Bytes) {
        let base = self.life.model[&local_id].end;
        self.write(Write::Append(Append {
            local_id,
            base_offset: base,
            last_offset: base,
            leader_epoch: 0,
            max_timestamp_ms: 0,
            batches,
            state: vec![],
        }));
    }

    fn crash(&mut self) {
        self.life.disk.power_off();
        self.store.take();
        self.life.disk.restart_process();
    }

    fn reopen(&mut self) {
        self.store = Some(self.life.open_quiet());
    }

    fn read(&self, local_id: LocalId, from_offset: i64) -> Result<Vec<Run>, StoreError> {
        let request = ReadRequest { local_id, from_offset, end_offset: i64::MAX, max_bytes: 1, most_bytes: usize::MAX };
        self.life.runtime.block_on(self.store().read(request))
    }

    fn newest_file(&self) -> String {
        let id = |name: &String| name.trim_end_matches(".rec").parse::<u64>().expect("a number");
        let written = self.life.disk.names().into_iter().filter(|name| {
            let content = self.life.disk.content(name);
            content.iter().skip(BLOCK_BYTES).any(|byte| *byte != 0)
        });
        written.max_by_key(id).expect("a record file")
    }
}

impl Life {
    /// One large file, and nothing flushed but at a clean stop.
    fn open_quiet(&mut self) -> DiskStore {
        let mut options = options(&self.folder.path().join("log"), &mut self.random);
        options.record_file_bytes = 1024 * 1024;
        options.flush_bytes = u64::MAX;
        options.flush_interval = Duration::from_secs(3600);
        let disk = self.disk.clone();
        DiskStore::open_with(options, || Ok(Arc::new(disk))).expect("open")
    }
}

/// Where the first write's bytes lie in `content`.
fn find(content: &[u8], wanted: &[u8]) -> usize {
    content.windows(wanted.len()).position(|window| window == wanted).expect("the bytes are there")
}

#[test]
fn a_flipped_bit_in_stored_batches_fails_that_read_only() {
    // In the index's durable state, and beyond it.
    for clean in [true, false] {
        let mut written = Written::new(3);
        let id = written.create();
        for _ in 0..5 {
            written.append(id, 500);
        }
        let whole = written.read(id, 2).expect("read")[0].pieces.concat();
        if clean {
            written.life.runtime.block_on(written.store().close()).expect("close");
        }
        written.crash();
        let name = written.newest_file();
        let mut content = written.life.disk.content(&name);
        let at = find(&content, &whole);
        content[at + 100] ^= 4;
        written.life.disk.put(&name, &content);
        written.reopen();
        assert_eq!(written.store().health(), Health::Writable);
        for offset in [0, 1, 3, 4] {
            assert_eq!(written.read(id, offset).expect("whole")[0].info.base_offset, offset);
        }
        let error = written.read(id, 2).expect_err("broken");
        assert!(matches!(&error, StoreError::Damaged { file, .. } if *file == name), "{error}");
        written.append(id, 10);
        assert_eq!(written.read(id, 5).expect("whole").len(), 1);
    }
}

#[test]
fn no_flipped_bit_panics_or_passes() {
    let mut written = Written::new(4);
    let id = written.create();
    for _ in 0..3 {
        written.append(id, 300);
    }
    let before = written.life.model.clone();
    written.crash();
    let name = written.newest_file();
    let content = written.life.disk.content(&name);
    let used = content.iter().rposition(|byte| *byte != 0).expect("something") + 1;
    let index = written.life.folder.path().join("log/index");
    let kept_index = tempfile::tempdir().expect("a folder");
    copy_folder(&index, kept_index.path());
    let mut random = Random::new(4);
    for _ in 0..120 {
        let bit = random.below(used as u64 * 8) as usize;
        let mut damaged = content.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        for other in written.life.disk.names() {
            written.life.disk.take_away(&other);
        }
        written.life.disk.put(&name, &damaged);
        std::fs::remove_dir_all(&index).expect("remove");
        copy_folder(kept_index.path(), &index);
        let options =
            StoreOptions { flush_bytes: u64::MAX, ..options(&written.life.folder.path().join("log"), &mut random) };
        let disk = written.life.disk.clone();
        let Ok(store) = DiskStore::open_with(options, || Ok(Arc::new(disk))) else { continue };
        // Whatever it serves is a part of what was written.
        for row in store.partitions().expect("partitions") {
            for offset in 0..row.log_end_offset {
                let request = ReadRequest {
                    local_id: id,
                    from_offset: offset,
                    end_offset: i64::MAX,
                    max_bytes: 1,
                    most_bytes: usize::MAX,
                };
                if let Ok(runs) = written.life.runtime.block_on(store.read(request)) {
                    let found: Vec<_> = runs.iter().flat_map(|run| batches_of(id, run, 0)).collect();
                    assert!(found.iter().all(|batch| before[&id].batches.contains(batch)), "bit {bit}");
                }
            }
        }
        // Only the last group may be taken for torn; any other broken one is damage, and kept.
        let last_group = bit / 8 >= used - BLOCK_BYTES;
        if !last_group && store.health() == Health::Writable {
            let row = store.partitions().expect("partitions").pop();
            assert_eq!(row.map(|row| row.log_end_offset), Some(3), "bit {bit} cut synced records");
        }
        drop(store);
        let now = written.life.disk.content(&name);
        let cut = now.len() < used && !last_group;
        assert!(!cut, "bit {bit} cut synced bytes");
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("list") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copy");
    }
}

#[test]
fn a_group_forged_in_a_batch_is_never_taken_for_one() {
    let mut written = Written::new(5);
    let id = written.create();
    written.append(id, 100);
    let name = written.newest_file();
    let content = written.life.disk.content(&name);
    // Copies of both groups so far at every alignment that a block can have.
    let groups = &content[BLOCK_BYTES..3 * BLOCK_BYTES];
    let mut forged = Vec::new();
    for _ in 0..3 {
        for shift in [0, 64, 128, 136, 3968] {
            forged.resize(forged.len().next_multiple_of(BLOCK_BYTES) + shift, 0);
            forged.extend_from_slice(groups);
        }
    }
    written.append_bytes(id, Bytes::from(forged));
    written.append(id, 100);
    written.crash();
    // The forging group is torn: what follows must be found by its own header, or cut.
    let mut content = written.life.disk.content(&name);
    content[3 * BLOCK_BYTES..4 * BLOCK_BYTES].fill(0);
    written.life.disk.put(&name, &content);
    written.reopen();
    let rows = written.store().partitions().expect("partitions");
    assert_eq!(rows[0].log_end_offset, 1);
    assert!(matches!(written.store().health(), Health::ReadOnly { .. }), "the group after it says that it was synced");
    assert_eq!(written.life.disk.content(&name), content, "damage is never cut");
}

#[test]
fn missing_and_stray_files_are_told_or_left_out() {
    let mut written = Written::new(6);
    let id = written.create();
    for _ in 0..40 {
        written.append(id, 100_000);
    }
    written.life.runtime.block_on(written.store().close()).expect("close");
    written.crash();
    let mut names = written.life.disk.names();
    names.sort_by_key(|name| name.trim_end_matches(".rec").parse::<u64>().expect("a number"));
    assert!(names.len() > 3, "{names:?}");

    // Strays: empty, zeros, of another store, not ours.
    for (name, content) in [("900.rec", vec![]), ("901.rec", vec![0; 3 * BLOCK_BYTES]), ("notes.txt", vec![1])] {
        written.life.disk.put(name, &content);
    }
    written.reopen();
    assert_eq!(written.store().health(), Health::Writable);
    assert_eq!(observe(written.store(), &written.life.runtime).expect("all there"), written.life.model);
    assert!(written.life.disk.names().contains(&"notes.txt".to_owned()));
    written.life.runtime.block_on(written.store().close()).expect("close");
    written.crash();

    // A middle file: its reads fail with its name, the rest is served.
    let middle = names[1].clone();
    let content = written.life.disk.content(&middle);
    written.life.disk.take_away(&middle);
    written.reopen();
    let failing = (0..40).filter(|offset| match written.read(id, *offset) {
        Ok(runs) => {
            assert_eq!(runs[0].info.base_offset, *offset);
            false
        }
        Err(StoreError::Io { file, .. }) => {
            assert_eq!(file, middle);
            true
        }
        Err(error) => panic!("{error}"),
    });
    assert!((5..20).contains(&failing.count()));
    written.crash();
    written.life.disk.put(&middle, &content);

    // The newest: the store says what is missing and does not start on less.
    written.life.disk.take_away(&written.newest_file());
    let options = options(&written.life.folder.path().join("log"), &mut written.life.random);
    let disk = written.life.disk.clone();
    let error = DiskStore::open_with(options, || Ok(Arc::new(disk))).err().expect("refused").to_string();
    assert!(error.contains(".rec") && error.contains("missing"), "{error}");
}

/// A file whose first group was torn, so that nothing in it counts, is where the index then says that the log goes on: it stays until the index says otherwise.
#[test]
fn the_file_that_the_index_stands_in_stays_though_nothing_lives_in_it() {
    let (mut written, id) = Written::with_two_files(8);
    let torn = written.newest_file();
    written.crash();
    let mut content = written.life.disk.content(&torn);
    content[2 * BLOCK_BYTES] ^= 1;
    written.life.disk.put(&torn, &content);
    written.reopen();
    let row = written.store().partitions().expect("partitions").pop().expect("a partition");
    let last = written.life.model.get_mut(&id).expect("the partition");
    assert_eq!(row.log_end_offset, last.end - 1, "the torn group is cut");
    last.end -= 1;
    last.batches.pop();
    written.life.runtime.block_on(written.store().close()).expect("close");
    written.crash();
    written.reopen();
    written.append(id, 100);
    for _ in 0..3 {
        written.crash();
        written.reopen();
        assert_eq!(observe(written.store(), &written.life.runtime).expect("all there"), written.life.model);
    }
    written.life.runtime.block_on(written.store().close()).expect("close");
    assert!(!written.life.disk.names().contains(&torn), "it goes once the log goes on elsewhere");
}

/// A file that cannot be synced at a start may be the one that the log goes on in.
#[test]
fn a_failed_sync_at_a_start_cuts_nothing() {
    let (mut written, _) = Written::with_two_files(9);
    for fail_sync in 0..6 {
        written.crash();
        written.life.disk.set_faults(Faults { fail_sync: Some(fail_sync), ..Faults::default() });
        let options = options(&written.life.folder.path().join("log"), &mut written.life.random);
        let disk = written.life.disk.clone();
        let opened = DiskStore::open_with(options, || Ok(Arc::new(disk)));
        assert!(fail_sync > 1 || opened.is_err(), "both files are synced before they are read");
        drop(opened);
        written.crash();
        written.reopen();
        assert_eq!(observe(written.store(), &written.life.runtime).expect("all there"), written.life.model);
    }
}

#[test]
fn without_its_writer_a_store_says_so_and_keeps_nobody_waiting() {
    let mut written = Written::new(10);
    let id = written.create();
    written.append(id, 100);
    written.life.disk.set_faults(Faults { panic_in_write: Some(0), ..Faults::default() });
    let (sender, receiver) = std::sync::mpsc::channel();
    let write = Write::State { local_id: id, state: written.life.rows(1) };
    let done: Done = Box::new(move |result| sender.send(result).expect("the test waits"));
    written.store().submit(write.clone(), Durability::Synced, done).expect("submit");
    let error = receiver.recv().expect("done is called").expect_err("it is not written");
    assert!(matches!(&error, StoreError::ReadOnly { reason } if reason.contains("panicked")), "{error}");
    // The writer ends a moment after those who waited are told.
    let refused = (0..60_000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(1));
        written.store().submit(write.clone(), Durability::Written, Box::new(|_| {})).err()
    });
    let refused = refused.expect("a store without its writer takes nothing");
    assert!(matches!(&refused, StoreError::ReadOnly { reason } if reason.contains("panicked")), "{refused}");
    assert_eq!(written.life.runtime.block_on(written.store().close()), Err(StoreError::Closed));
    written.crash();
    written.reopen();
    assert_eq!(observe(written.store(), &written.life.runtime).expect("all there"), written.life.model);
}

#[test]
fn low_space_refuses_records_before_anything_fails() {
    let mut life = Life::new(7);
    let mut low = options(&life.folder.path().join("log"), &mut life.random);
    low.free_space_floor_bytes = Some(1000);
    let disk = life.disk.clone();
    let store = DiskStore::open_with(low, || Ok(Arc::new(disk))).expect("open");
    let mut written = Written { life, store: Some(store) };
    let id = written.create();
    written.append(id, 100);
    written.life.disk.set_usable_bytes(999);
    let append = |written: &mut Written| {
        let base_offset = written.life.model[&id].end;
        let batches = batch(id, base_offset, base_offset, 100_000, &mut written.life.random);
        let (last_offset, state) = (base_offset, vec![]);
        let append =
            Append { local_id: id, base_offset, last_offset, leader_epoch: 0, max_timestamp_ms: 0, batches, state };
        written.store().submit(Write::Append(append.clone()), Durability::Synced, Box::new(|_| {})).inspect(|()| {
            apply(&mut written.life.model, &Write::Append(append));
        })
    };
    // It is noticed when the next record file is made at the latest.
    let mut taken = 0;
    let refused = loop {
        match append(&mut written) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        std::thread::sleep(Duration::from_millis(5));
        assert!(taken < 200, "never refused");
    };
    assert_eq!(refused, StoreError::LowSpace { free_bytes: 999, needed_bytes: 1000 });
    written.write(Write::SetLogStart { local_id: id, log_start_offset: 1, state: vec![] });
    assert!(!written.read(id, 1).expect("reads go on").is_empty());
    written.life.disk.set_usable_bytes(1_000_000);
    for _ in 0..200 {
        if written.store().health() == Health::Writable {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    append(&mut written).expect("there is space again");
}
