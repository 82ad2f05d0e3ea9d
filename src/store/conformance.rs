//! What every [`RecordStore`] must do, run on the memory store and on the disk store. A case gets a [`Subject`] and may restart it anywhere: that must
//! change nothing.

use bytes::Bytes;
use std::sync::Arc;
use std::sync::mpsc;
use uuid::Uuid;

use super::*;

/// A store under test.
pub(super) trait Subject {
    fn store(&self) -> Arc<dyn RecordStore>;
    /// Stops the store and starts it again on the same data, where it can.
    fn restart(&mut self);
}

/// Makes a test of each case; `$make` makes a fresh [`Subject`].
macro_rules! conformance_suite {
    ($make:expr) => {
        $crate::store::conformance::conformance_suite!($make;
            appended_runs_are_read_back, reads_start_at_the_run_that_holds_an_offset, reads_end_where_asked, a_gap_is_refused_at_submission,
            completions_come_in_order, truncation_drops_and_reuses_offsets, truncation_inside_a_run_lowers_its_end,
            truncation_below_the_start_empties, the_start_moves_up_only, the_start_passes_the_end, a_deleted_partition_is_gone,
            partitions_keep_apart, state_rows_change_with_their_write, state_rows_come_in_key_order, many_writes_go_in_together,
            a_refused_write_of_many_leaves_nothing, timestamps_are_found, timestamps_in_any_order_are_found, retention_says_where_to_start, local_ids_never_come_again, wrong_writes_are_refused, close_refuses_later_writes,
            a_large_append_is_one_run, random_histories_match_a_model);
    };
    ($make:expr; $($case:ident),+) => {
        $(#[test] fn $case() { $crate::store::conformance::$case(&mut $make); })+
    };
}
pub(super) use conformance_suite;

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(future)
}

/// Submits and waits for the end.
pub(super) fn write(store: &dyn RecordStore, write: Write) -> Result<(), StoreError> {
    write_all(store, vec![write])
}

pub(super) fn write_all(store: &dyn RecordStore, writes: Vec<Write>) -> Result<(), StoreError> {
    let (sender, receiver) = mpsc::channel();
    let done: Done = Box::new(move |result| sender.send(result).expect("the test waits"));
    store.submit_all(writes, Durability::Synced, done)?;
    receiver.recv().expect("done is called")
}

pub(super) fn topic_partition(partition: i32) -> TopicIdPartition {
    TopicIdPartition { topic_id: Uuid::from_u128(7), partition }
}

pub(super) fn create(store: &dyn RecordStore, partition: i32) -> LocalId {
    let local_id = store.allocate().expect("an id");
    write(store, Write::Create { local_id, id: topic_partition(partition) }).expect("create");
    local_id
}

/// Bytes that tell which append they came from.
pub(super) fn content(local_id: LocalId, base_offset: i64, length: usize) -> Bytes {
    let seed = local_id.0.wrapping_mul(31).wrapping_add(base_offset as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (0..length).map(|i| (seed.wrapping_add(i as u64 * 0x1000_0001) >> 24) as u8).collect()
}

pub(super) fn append_of(local_id: LocalId, base_offset: i64, records: i64, length: usize) -> Append {
    Append {
        local_id,
        base_offset,
        last_offset: base_offset + records - 1,
        leader_epoch: 0,
        max_timestamp_ms: 1000 + base_offset,
        batches: content(local_id, base_offset, length),
        state: Vec::new(),
    }
}

pub(super) fn append(store: &dyn RecordStore, local_id: LocalId, base_offset: i64, records: i64) {
    write(store, Write::Append(append_of(local_id, base_offset, records, 100))).expect("append");
}

pub(super) fn row(key: &str, value: Option<&str>) -> StateRow {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    StateRow { kind: StateKind::Producer, key: bytes(key), value: value.map(bytes) }
}

pub(super) fn read(store: &dyn RecordStore, local_id: LocalId, from_offset: i64) -> Vec<Run> {
    read_range(
        store,
        ReadRequest { local_id, from_offset, end_offset: i64::MAX, max_bytes: usize::MAX, most_bytes: usize::MAX },
    )
}

/// Reads both ways; what is cached must be what is stored.
pub(super) fn read_range(store: &dyn RecordStore, request: ReadRequest) -> Vec<Run> {
    let stored = block_on(store.read(request)).expect("read");
    if let Some(cached) = store.read_cached(&request) {
        let flat = |runs: &[Run]| runs.iter().map(|run| (run.info, run.pieces.concat())).collect::<Vec<_>>();
        assert!(flat(&cached) == flat(&stored), "cached {:?}, stored {:?}", offsets(&cached), offsets(&stored));
    }
    stored
}

pub(super) fn offsets(runs: &[Run]) -> Vec<(i64, i64)> {
    runs.iter().map(|run| (run.info.base_offset, run.info.last_offset)).collect()
}

fn partition(store: &dyn RecordStore, local_id: LocalId) -> PartitionRow {
    let rows = store.partitions().expect("partitions");
    rows.into_iter().find(|row| row.local_id == local_id).expect("the partition is there")
}

fn state(store: &dyn RecordStore, local_id: LocalId) -> Vec<(String, String)> {
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).expect("text");
    let rows = store.state(local_id, StateKind::Producer).expect("state");
    rows.into_iter().map(|(key, value)| (text(key), text(value))).collect()
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

pub(super) fn appended_runs_are_read_back(subject: &mut dyn Subject) {
    let id = create(&*subject.store(), 0);
    append(&*subject.store(), id, 0, 10);
    append(&*subject.store(), id, 10, 1);
    for _ in 0..2 {
        let store = subject.store();
        let runs = read(&*store, id, 0);
        assert_eq!(offsets(&runs), [(0, 9), (10, 10)]);
        for run in &runs {
            assert_eq!(run.pieces.concat(), content(id, run.info.base_offset, 100));
            assert_eq!(run.info.length_bytes, 100);
            assert_eq!(run.info.max_timestamp_ms, 1000 + run.info.base_offset);
        }
        let expected = PartitionRow {
            local_id: id,
            id: topic_partition(0),
            log_start_offset: 0,
            log_end_offset: 11,
            size_bytes: 200,
        };
        assert_eq!(partition(&*store, id), expected);
        assert_eq!(store.size_bytes(id), 200);
        drop(store);
        subject.restart();
    }
}

pub(super) fn reads_start_at_the_run_that_holds_an_offset(subject: &mut dyn Subject) {
    let id = create(&*subject.store(), 0);
    for i in 0..5 {
        append(&*subject.store(), id, i * 10, 10);
    }
    for _ in 0..2 {
        let store = subject.store();
        assert_eq!(offsets(&read(&*store, id, 25)), [(20, 29), (30, 39), (40, 49)]);
        assert_eq!(offsets(&read(&*store, id, 49)), [(40, 49)]);
        assert!(read(&*store, id, 50).is_empty());
        drop(store);
        subject.restart();
    }
    let unknown = ReadRequest {
        local_id: LocalId(u64::MAX),
        from_offset: 0,
        end_offset: 1,
        max_bytes: 1,
        most_bytes: usize::MAX,
    };
    let failed = block_on(subject.store().read(unknown)).expect_err("no such partition");
    assert_eq!(failed, StoreError::UnknownPartition(LocalId(u64::MAX)));
    assert!(subject.store().read_cached(&unknown).is_none());
}

pub(super) fn reads_end_where_asked(subject: &mut dyn Subject) {
    let id = create(&*subject.store(), 0);
    for i in 0..5 {
        append(&*subject.store(), id, i * 10, 10);
    }
    for _ in 0..2 {
        let store = subject.store();
        let ask = |from_offset, end_offset, max_bytes| {
            offsets(&read_range(
                &*store,
                ReadRequest { local_id: id, from_offset, end_offset, max_bytes, most_bytes: usize::MAX },
            ))
        };
        assert_eq!(ask(0, 21, usize::MAX), [(0, 9), (10, 19), (20, 29)]);
        assert_eq!(ask(0, 20, usize::MAX), [(0, 9), (10, 19)]);
        assert_eq!(ask(0, i64::MAX, 1), [(0, 9)]);
        assert_eq!(ask(0, i64::MAX, 101), [(0, 9), (10, 19)]);
        assert_eq!(ask(5, i64::MAX, 200), [(0, 9), (10, 19)]);
        let most = |from_offset, most_bytes| {
            block_on(store.read(ReadRequest {
                local_id: id,
                from_offset,
                end_offset: i64::MAX,
                max_bytes: 1000,
                most_bytes,
            }))
        };
        assert_eq!(most(0, 99).err(), Some(StoreError::LongRun { length_bytes: 100, most_bytes: 99 }));
        assert_eq!(offsets(&most(0, 250).expect("read")), [(0, 9), (10, 19)]);
        drop(store);
        subject.restart();
    }
}

pub(super) fn a_gap_is_refused_at_submission(subject: &mut dyn Subject) {
    let id = create(&*subject.store(), 0);
    append(&*subject.store(), id, 0, 10);
    for _ in 0..2 {
        for wrong in [0, 9, 11] {
            let refused = write(&*subject.store(), Write::Append(append_of(id, wrong, 1, 10)));
            assert_eq!(refused, Err(StoreError::OffsetGap { local_id: id, expected: 10, got: wrong }));
        }
        subject.restart();
    }
    append(&*subject.store(), id, 10, 1);
}

pub(super) fn completions_come_in_order(subject: &mut dyn Subject) {
    let store = subject.store();
    let ids: Vec<_> = (0..3).map(|partition| create(&*store, partition)).collect();
    let (sender, receiver) = mpsc::channel();
    for i in 0..300_i64 {
        let sender = sender.clone();
        let done: Done = Box::new(move |result| sender.send((i, result)).expect("the test waits"));
        let write = Write::Append(append_of(ids[i as usize % 3], i / 3, 1, 50));
        let durability = if i % 7 == 0 { Durability::Synced } else { Durability::Written };
        store.submit(write, durability, done).expect("submit");
    }
    for i in 0..300 {
        assert_eq!(receiver.recv().expect("a completion"), (i, Ok(())));
    }
    write(&*store, Write::Barrier).expect("barrier");
    drop(store);
    subject.restart();
    for id in ids {
        let runs = read(&*subject.store(), id, 0);
        let whole: Vec<u8> = runs.iter().flat_map(|run| run.pieces.concat()).collect();
        let expected: Vec<u8> = (0..100).flat_map(|base| content(id, base, 50)).collect();
        assert!(whole == expected, "runs {:?}", offsets(&runs));
    }
}

pub(super) fn truncation_drops_and_reuses_offsets(subject: &mut dyn Subject) {
    let id = create(&*subject.store(), 0);
    for i in 0..5 {
        append(&*subject.store(), id, i * 10, 10);
    }
    write(&*subject.store(), Write::Truncate { local_id: id, end_offset: 90, state: vec![] }).expect("nothing to drop");
    assert_eq!(partition(&*subject.store(), id).log_end_offset, 50);
    let state = vec![row("p", Some("1"))];
    write(&*subject.store(), Write::Truncate { local_id: id, end_offset: 20, state }).expect("truncate");
    for _ in 0..2 {
        let store = subject.store();
        assert_eq!(offsets(&read(&*store, id, 0)), [(0, 9), (10, 19)]);
        assert_eq!(partition(&*store, id).log_end_offset, 20);
        assert_eq!(store.size_bytes(id), 200);
        assert_eq!(self::state(&*store, id), [pair("p", "1")]);
        drop(store);
        subject.restart();
    }
    let other = Append { batches: Bytes::from_static(b"other"), ..append_of(id, 20, 3, 1) };
    write(&*subject.store(), Write::Append(other)).expect("append");
    for _ in 0..2 {
        let runs = read(&*subject.store(), id, 20);
        assert_eq!(offsets(&runs), [(20, 22)]);
        assert_eq!(runs[0].pieces.concat(), b"other");
        subject.restart();
    }
}

pub(super) fn truncation_inside_a_run_lowers_its_end(subject: &mut dyn Subject) {
    let id = create(&*subject.store(), 0);
    append(&*subject.store(), id, 0, 10);
    append(&*subject.store(), id, 10, 10);
    write(&*subject.store(), Write::Truncate { local_id: id, end_offset: 15, state: vec![] }).expect("truncate");
    append(&*subject.store(), id, 15, 10);
    for _ in 0..2 {
        let store = subject.store();
        let runs = read(&*store, id, 0);
        assert_eq!(offsets(&runs), [(0, 9), (10, 14), (15, 24)]);
        assert_eq!(runs[1].pieces.concat(), content(id, 10, 100));
        assert_eq!(offsets(&read(&*store, id, 14)), [(10, 14), (15, 24)]);
        assert_eq!(offsets(&read(&*store, id, 15)), [(15, 24)]);
        assert_eq!(store.size_bytes(id), 300);
        drop(store);
        subject.restart();
    }
}

pub(super) fn truncation_below_the_start_empties(subject: &mut dyn Subject) {
    let id = create(&*subject.store(), 0);
    for i in 0..5 {
        append(&*subject.store(), id, i * 10, 10);
    }
    write(&*subject.store(), Write::SetLogStart { local_id: id, log_start_offset: 30, state: vec![] }).expect("start");
    write(&*subject.store(), Write::Truncate { local_id: id, end_offset: 25, state: vec![] }).expect("truncate");
    for _ in 0..2 {
        let now = partition(&*subject.store(), id);
        assert_eq!((now.log_start_offset, now.log_end_offset, now.size_bytes), (25, 25, 0));
        assert!(read(&*subject.store(), id, 0).is_empty());
        subject.restart();
    }
    append(&*subject.store(), id, 25, 5);
    assert_eq!(offsets(&read(&*subject.store(), id, 0)), [(25, 29)]);
}

pub(super) fn the_start_moves_up_only(subject: &mut dyn Subject) {
    let id = create(&*subject.store(), 0);
    for i in 0..5 {
        append(&*subject.store(), id, i * 10, 10);
    }
    let start_at = |subject: &dyn Subject, log_start_offset: i64| {
        let state = vec![row("start", Some(&log_start_offset.to_string()))];
        write(&*subject.store(), Write::SetLogStart { local_id: id, log_start_offset, state }).expect("start");
    };
    start_at(subject, 25);
    start_at(subject, 7);
    for _ in 0..2 {
        let now = partition(&*subject.store(), id);
        assert_eq!((now.log_start_offset, now.log_end_offset, now.size_bytes), (25, 50, 300));
        assert_eq!(offsets(&read(&*subject.store(), id, 0)), [(20, 29), (30, 39), (40, 49)]);
        assert_eq!(state(&*subject.store(), id), [pair("start", "7")]);
        subject.restart();
    }
    start_at(subject, 50);
    for _ in 0..2 {
        assert!(read(&*subject.store(), id, 0).is_empty());
        assert_eq!(subject.store().size_bytes(id), 0);
        subject.restart();
    }
    append(&*subject.store(), id, 50, 1);
    assert_eq!(offsets(&read(&*subject.store(), id, 0)), [(50, 50)]);
}

pub(super) fn the_start_passes_the_end(subject: &mut dyn Subject) {
    let id = create(&*subject.store(), 0);
    append(&*subject.store(), id, 0, 10);
    write(&*subject.store(), Write::SetLogStart { local_id: id, log_start_offset: 100, state: vec![] }).expect("start");
    subject.restart();
    let now = partition(&*subject.store(), id);
    assert_eq!((now.log_start_offset, now.log_end_offset, now.size_bytes), (100, 100, 0));
    append(&*subject.store(), id, 100, 10);
    subject.restart();
    assert_eq!(offsets(&read(&*subject.store(), id, 0)), [(100, 109)]);
}

pub(super) fn a_deleted_partition_is_gone(subject: &mut dyn Subject) {
    let old = create(&*subject.store(), 0);
    let kept = create(&*subject.store(), 1);
    append(&*subject.store(), old, 0, 10);
    append(&*subject.store(), kept, 0, 10);
    write(&*subject.store(), Write::State { local_id: old, state: vec![row("p", Some("old"))] }).expect("state");
    write(&*subject.store(), Write::Delete { local_id: old }).expect("delete");
    let new = create(&*subject.store(), 0);
    assert_ne!(new, old);
    for _ in 0..2 {
        let store = subject.store();
        let ids: Vec<_> = store.partitions().expect("partitions").iter().map(|row| row.local_id).collect();
        assert_eq!(ids, [kept, new]);
        assert!(read(&*store, new, 0).is_empty());
        assert_eq!(offsets(&read(&*store, kept, 0)), [(0, 9)]);
        assert!(state(&*store, new).is_empty());
        assert_eq!(store.size_bytes(old), 0);
        let gone = Err(StoreError::UnknownPartition(old));
        assert_eq!(write(&*store, Write::Append(append_of(old, 10, 1, 10))), gone);
        assert_eq!(write(&*store, Write::Delete { local_id: old }), gone);
        assert_eq!(store.state(old, StateKind::Producer).map(|_| ()), gone);
        drop(store);
        subject.restart();
    }
}

pub(super) fn partitions_keep_apart(subject: &mut dyn Subject) {
    let ids: Vec<_> = (0..40).map(|partition| create(&*subject.store(), partition)).collect();
    for round in 0..3 {
        let writes = ids.iter().map(|id| Write::Append(append_of(*id, round * 5, 5, 30 + id.0 as usize))).collect();
        write_all(&*subject.store(), writes).expect("append");
    }
    for _ in 0..2 {
        for id in &ids {
            let whole: Vec<u8> = read(&*subject.store(), *id, 0).iter().flat_map(|run| run.pieces.concat()).collect();
            let expected: Vec<u8> = (0..3).flat_map(|round| content(*id, round * 5, 30 + id.0 as usize)).collect();
            assert!(whole == expected, "partition {id:?}");
        }
        subject.restart();
    }
}

pub(super) fn state_rows_change_with_their_write(subject: &mut dyn Subject) {
    let id = create(&*subject.store(), 0);
    let with = |base_offset, state| Write::Append(Append { state, ..append_of(id, base_offset, 1, 10) });
    let writes = vec![
        with(0, vec![row("a", Some("1")), row("b", Some("1")), row("c", Some("1"))]),
        with(1, vec![row("a", Some("2")), row("b", None)]),
        with(2, vec![row("c", Some("2")), row("c", Some("3"))]),
    ];
    write_all(&*subject.store(), writes).expect("append");
    for _ in 0..2 {
        assert_eq!(state(&*subject.store(), id), [pair("a", "2"), pair("c", "3")]);
        assert!(subject.store().state(id, StateKind::LeaderEpoch).expect("state").is_empty());
        subject.restart();
    }
    write(&*subject.store(), Write::State { local_id: id, state: vec![row("a", None)] }).expect("state");
    subject.restart();
    assert_eq!(state(&*subject.store(), id), [pair("c", "3")]);
}

pub(super) fn state_rows_come_in_key_order(subject: &mut dyn Subject) {
    let id = create(&*subject.store(), 0);
    let other = create(&*subject.store(), 1);
    let keys = ["b", "", "ab", "a\u{0}", "zz", "a"];
    let rows = |value: &str| keys.iter().map(|key| row(key, Some(value))).collect::<Vec<_>>();
    write(&*subject.store(), Write::State { local_id: id, state: rows("mine") }).expect("state");
    write(&*subject.store(), Write::State { local_id: other, state: rows("other") }).expect("state");
    for _ in 0..2 {
        let found: Vec<_> = state(&*subject.store(), id).into_iter().map(|(key, _)| key).collect();
        assert_eq!(found, ["", "a", "a\u{0}", "ab", "b", "zz"]);
        assert!(state(&*subject.store(), id).iter().all(|(_, value)| value == "mine"));
        subject.restart();
    }
}

pub(super) fn many_writes_go_in_together(subject: &mut dyn Subject) {
    let store = subject.store();
    let ids: Vec<_> = (0..500).map(|_| store.allocate().expect("an id")).collect();
    let mut writes = Vec::new();
    for (partition, id) in ids.iter().enumerate() {
        writes.push(Write::Create { local_id: *id, id: topic_partition(partition as i32) });
        writes.push(Write::Append(append_of(*id, 0, 2, 20)));
    }
    write_all(&*store, writes).expect("all");
    drop(store);
    subject.restart();
    assert_eq!(subject.store().partitions().expect("partitions").len(), 500);
    assert!(ids.iter().all(|id| offsets(&read(&*subject.store(), *id, 0)) == [(0, 1)]));
}

pub(super) fn a_refused_write_of_many_leaves_nothing(subject: &mut dyn Subject) {
    let id = create(&*subject.store(), 0);
    append(&*subject.store(), id, 0, 1);
    let new = subject.store().allocate().expect("an id");
    let writes = vec![
        Write::Append(append_of(id, 1, 1, 10)),
        Write::Create { local_id: new, id: topic_partition(1) },
        Write::Append(append_of(new, 0, 1, 10)),
        Write::Append(append_of(new, 5, 1, 10)),
    ];
    let refused = write_all(&*subject.store(), writes);
    assert_eq!(refused, Err(StoreError::OffsetGap { local_id: new, expected: 1, got: 5 }));
    append(&*subject.store(), id, 1, 1);
    subject.restart();
    assert_eq!(subject.store().partitions().expect("partitions").len(), 1);
}

pub(super) fn timestamps_are_found(subject: &mut dyn Subject) {
    let id = create(&*subject.store(), 0);
    for (i, timestamp) in [50, 10, 70, 70, 60].into_iter().enumerate() {
        let append = Append { max_timestamp_ms: timestamp, ..append_of(id, i as i64 * 10, 10, 10) };
        write(&*subject.store(), Write::Append(append)).expect("append");
    }
    for _ in 0..2 {
        let store = subject.store();
        let find = |timestamp, from| {
            block_on(store.find_timestamp(id, timestamp, from)).expect("find").map(|info| info.base_offset)
        };
        assert_eq!(find(0, 0), Some(0));
        assert_eq!(find(50, 0), Some(0));
        assert_eq!(find(51, 0), Some(20));
        assert_eq!(find(60, 35), Some(30));
        assert_eq!(find(60, 40), Some(40));
        assert_eq!(find(71, 0), None);
        let latest = block_on(store.max_timestamp(id)).expect("max").expect("a run");
        assert_eq!((latest.base_offset, latest.max_timestamp_ms), (20, 70));
        drop(store);
        subject.restart();
    }
    write(&*subject.store(), Write::SetLogStart { local_id: id, log_start_offset: 40, state: vec![] }).expect("start");
    let latest = block_on(subject.store().max_timestamp(id)).expect("max").expect("a run");
    assert_eq!(latest.base_offset, 40);
    write(&*subject.store(), Write::SetLogStart { local_id: id, log_start_offset: 50, state: vec![] }).expect("start");
    assert_eq!(block_on(subject.store().max_timestamp(id)), Ok(None));
}

pub(super) fn timestamps_in_any_order_are_found(subject: &mut dyn Subject) {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below) as i64
    };
    let id = create(&*subject.store(), 0);
    // Live runs: base and last offset, timestamp.
    let mut runs: Vec<(i64, i64, i64)> = Vec::new();
    let (mut start, mut end) = (0, 0);
    for round in 0..60 {
        for _ in 0..20 {
            let (records, timestamp) = (1 + next(5), end + next(if round % 3 == 0 { 400 } else { 10 }));
            let append = Append { max_timestamp_ms: timestamp, ..append_of(id, end, records, 10) };
            write(&*subject.store(), Write::Append(append)).expect("append");
            runs.push((end, end + records - 1, timestamp));
            end += records;
        }
        match next(6) {
            0 => {
                start += next((end - start) as u64 + 1);
                let state = vec![];
                write(&*subject.store(), Write::SetLogStart { local_id: id, log_start_offset: start, state })
                    .expect("start");
            }
            1 => {
                end = start + next((end - start) as u64 + 1);
                write(&*subject.store(), Write::Truncate { local_id: id, end_offset: end, state: vec![] })
                    .expect("truncate");
                runs.iter_mut().for_each(|run| run.1 = run.1.min(end - 1));
                runs.retain(|run| run.0 < end);
            }
            2 => subject.restart(),
            _ => {}
        }
        runs.retain(|run| run.1 >= start);
        let store = subject.store();
        for _ in 0..20 {
            let (timestamp, from) = (next(end as u64 + 500), next(end as u64 + 2));
            let expected = runs.iter().find(|run| run.1 >= from && run.2 >= timestamp).map(|run| run.0);
            let found = block_on(store.find_timestamp(id, timestamp, from)).expect("find");
            assert_eq!(found.map(|info| info.base_offset), expected, "round {round}: {timestamp} from {from}");
        }
        let latest = runs.iter().rev().max_by_key(|run| run.2).map(|run| run.0);
        let found = block_on(store.max_timestamp(id)).expect("max").map(|info| info.base_offset);
        assert_eq!(found, latest, "round {round}");
    }
}

pub(super) fn retention_says_where_to_start(subject: &mut dyn Subject) {
    let id = create(&*subject.store(), 0);
    // The third is older than the second, the fourth has no time.
    for (i, timestamp) in [10, 30, 20, -1, 40, 50].into_iter().enumerate() {
        let append = Append { max_timestamp_ms: timestamp, ..append_of(id, i as i64 * 10, 10, 100) };
        write(&*subject.store(), Write::Append(append)).expect("append");
    }
    let by = |older_than_ms, keep_bytes, end_offset| Retention { older_than_ms, keep_bytes, end_offset };
    for _ in 0..2 {
        let store = subject.store();
        let start = |retention| block_on(store.retained_from(id, retention)).expect("a start");
        assert_eq!(start(by(None, None, 60)), 0);
        assert_eq!(start(by(Some(10), None, 60)), 0);
        assert_eq!(start(by(Some(11), None, 60)), 10);
        assert_eq!(start(by(Some(30), None, 60)), 10);
        assert_eq!(start(by(Some(31), None, 60)), 30);
        assert_eq!(start(by(Some(41), None, 60)), 50);
        assert_eq!(start(by(Some(1000), None, 60)), 60);
        assert_eq!(start(by(Some(1000), None, 59)), 50);
        assert_eq!(start(by(None, Some(600), 60)), 0);
        assert_eq!(start(by(None, Some(500), 60)), 10);
        assert_eq!(start(by(None, Some(150), 60)), 40);
        assert_eq!(start(by(None, Some(0), 60)), 60);
        assert_eq!(start(by(Some(11), Some(300), 60)), 30);
        drop(store);
        subject.restart();
    }
    // From within a run, which counts whole.
    write(&*subject.store(), Write::SetLogStart { local_id: id, log_start_offset: 45, state: vec![] }).expect("start");
    let start = |retention| block_on(subject.store().retained_from(id, retention)).expect("a start");
    assert_eq!(start(by(Some(40), Some(200), 60)), 45);
    assert_eq!(start(by(None, Some(100), 60)), 50);
}

pub(super) fn local_ids_never_come_again(subject: &mut dyn Subject) {
    let mut seen = std::collections::HashSet::new();
    for round in 0..3 {
        for partition in 0..10 {
            let id = create(&*subject.store(), round * 10 + partition);
            assert!(seen.insert(id), "{id:?} came again");
            write(&*subject.store(), Write::Delete { local_id: id }).expect("delete");
        }
        subject.restart();
    }
}

pub(super) fn wrong_writes_are_refused(subject: &mut dyn Subject) {
    let store = subject.store();
    let id = create(&*store, 0);
    let again = write(&*store, Write::Create { local_id: id, id: topic_partition(1) });
    assert_eq!(again, Err(StoreError::PartitionExists(id)));
    let backwards = Append { last_offset: -1, ..append_of(id, 0, 1, 10) };
    let empty = Append { batches: Bytes::new(), ..append_of(id, 0, 1, 10) };
    let long_key = Append { state: vec![row(&"k".repeat(65), Some("v"))], ..append_of(id, 0, 1, 10) };
    for wrong in [backwards, empty, long_key] {
        assert!(matches!(write(&*store, Write::Append(wrong)), Err(StoreError::Refused { .. })));
    }
    let truncate = Write::Truncate { local_id: id, end_offset: -1, state: vec![] };
    assert!(matches!(write(&*store, truncate), Err(StoreError::Refused { .. })));
    append(&*store, id, 0, 1);
}

pub(super) fn close_refuses_later_writes(subject: &mut dyn Subject) {
    let store = subject.store();
    let id = create(&*store, 0);
    let (sender, receiver) = mpsc::channel();
    for i in 0..50 {
        let sender = sender.clone();
        let done: Done = Box::new(move |result| sender.send(result).expect("the test waits"));
        store.submit(Write::Append(append_of(id, i, 1, 10)), Durability::Written, done).expect("submit");
    }
    block_on(store.close()).expect("close");
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), vec![Ok(()); 50]);
    assert_eq!(write(&*store, Write::Barrier), Err(StoreError::Closed));
    block_on(store.close()).expect("closing twice is fine");
}

pub(super) fn a_large_append_is_one_run(subject: &mut dyn Subject) {
    let id = create(&*subject.store(), 0);
    let length = 5 * 1024 * 1024 + 17;
    write(&*subject.store(), Write::Append(append_of(id, 0, 1000, length))).expect("append");
    append(&*subject.store(), id, 1000, 1);
    for _ in 0..2 {
        let runs = read(&*subject.store(), id, 500);
        assert_eq!(offsets(&runs), [(0, 999), (1000, 1000)]);
        assert!(runs[0].pieces.concat() == content(id, 0, length));
        subject.restart();
    }
}

/// Partitions as a few lines of code would keep them: which record bytes and rows are live.
#[derive(Default, Clone, PartialEq, Debug)]
struct Model {
    start: i64,
    end: i64,
    rows: std::collections::BTreeMap<String, String>,
}

pub(super) fn random_histories_match_a_model(subject: &mut dyn Subject) {
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut models: Vec<(LocalId, Model)> =
        (0..4).map(|partition| (create(&*subject.store(), partition), Model::default())).collect();
    for step in 0..600 {
        let which = next(4) as usize;
        let (id, model) = &mut models[which];
        let state = vec![row(&format!("k{}", next(5)), (next(3) > 0).then_some(&step.to_string()))];
        let longest = if next(10) == 0 { 50_000 } else { 300 };
        let length = 1 + next(longest) as usize;
        let records = 1 + next(20) as i64;
        for row in &state {
            let key = String::from_utf8_lossy(&row.key).into_owned();
            match &row.value {
                Some(value) => model.rows.insert(key, String::from_utf8_lossy(value).into_owned()),
                None => model.rows.remove(&key),
            };
        }
        let change = match next(20) {
            0 => {
                let end_offset = model.start + next((model.end - model.start + 1) as u64) as i64;
                model.end = end_offset;
                Write::Truncate { local_id: *id, end_offset, state }
            }
            1 => {
                let log_start_offset = model.start + next((model.end - model.start + 1) as u64) as i64;
                model.start = log_start_offset;
                Write::SetLogStart { local_id: *id, log_start_offset, state }
            }
            2 if next(4) == 0 => {
                write(&*subject.store(), Write::Delete { local_id: *id }).expect("delete");
                *id = create(&*subject.store(), step + 100);
                *model = Model::default();
                Write::Barrier
            }
            _ => {
                let append = Append { state, ..append_of(*id, model.end, records, length) };
                model.end += records;
                Write::Append(append)
            }
        };
        write(&*subject.store(), change).expect("write");
        if next(60) == 0 {
            subject.restart();
        }
        check_model(&*subject.store(), &models);
    }
}

fn check_model(store: &dyn RecordStore, models: &[(LocalId, Model)]) {
    assert_eq!(store.partitions().expect("partitions").len(), models.len());
    for (id, model) in models {
        let now = partition(store, *id);
        assert_eq!((now.log_start_offset, now.log_end_offset), (model.start, model.end), "{id:?}");
        let runs = read(store, *id, 0);
        assert_eq!(runs.iter().map(|run| run.info.length_bytes).sum::<u64>(), now.size_bytes, "{id:?}");
        let mut expected = model.start;
        for run in &runs {
            assert!(run.info.base_offset <= expected && run.info.last_offset >= expected, "{id:?} {:?}", run.info);
            let length = run.info.length_bytes as usize;
            assert!(run.pieces.concat() == content(*id, run.info.base_offset, length), "{id:?} {:?}", run.info);
            expected = run.info.last_offset + 1;
        }
        assert_eq!(expected, model.end, "{id:?} {:?}", offsets(&runs));
        let rows: Vec<_> = model.rows.clone().into_iter().collect();
        assert_eq!(state(store, *id), rows, "{id:?}");
    }
}
