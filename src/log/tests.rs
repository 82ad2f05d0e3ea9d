//! The log over the store in memory: offsets, retries, epochs, reads and what comes back after a restart.

use bytes::BytesMut;
use parking_lot::Mutex;
use std::sync::Arc;

use super::append::BatchInfo;
use super::partition_log::AppendRequest;
use super::producers::{AppendOrigin, ProducerError};
use super::read::{ReadRange, SearchMemory};
use super::{LogError, LogListener, PartitionLog};
use crate::protocol::batch_builder::BatchBuilder;
use crate::protocol::compression::Compression;
use crate::protocol::record_batch::{BatchView, Batches};
use crate::store::memory::MemoryStore;
use crate::store::{Durability, RecordStore, StoreError, Write};
use crate::types::TopicIdPartition;
use crate::types::budget::Budget;

#[derive(Default)]
struct Heard {
    written: Mutex<Vec<i64>>,
    failed: Mutex<Vec<StoreError>>,
}

impl LogListener for Heard {
    fn written(&self, end_offset: i64, _bytes: usize) {
        self.written.lock().push(end_offset);
    }

    fn failed(&self, error: &StoreError) {
        self.failed.lock().push(error.clone());
    }
}

struct Fixture {
    store: Arc<MemoryStore>,
    heard: Arc<Heard>,
    log: Arc<PartitionLog>,
}

fn id() -> TopicIdPartition {
    TopicIdPartition { topic_id: uuid::Uuid::from_u128(7), partition: 0 }
}

fn fixture() -> Fixture {
    let store = Arc::new(MemoryStore::new());
    let local_id = store.allocate().expect("id");
    store.submit(Write::Create { local_id, id: id() }, Durability::Written, Box::new(|_| {})).expect("create");
    reopened(store)
}

/// Waits until everything submitted is applied and told.
fn settle(store: &dyn RecordStore) {
    let (tell, told) = std::sync::mpsc::channel();
    store
        .submit(
            Write::Barrier,
            Durability::Written,
            Box::new(move |_| {
                // The receiver is below, and waits.
                let _ = tell.send(());
            }),
        )
        .expect("barrier");
    told.recv().expect("applied");
}

/// The log as a broker that starts again finds it.
fn reopened(store: Arc<MemoryStore>) -> Fixture {
    settle(store.as_ref());
    let heard = Arc::new(Heard::default());
    let row = store.partitions().expect("rows").into_iter().next().expect("row");
    let as_store: Arc<dyn RecordStore> = Arc::<MemoryStore>::clone(&store);
    let listener: Arc<dyn LogListener> = Arc::<Heard>::clone(&heard);
    Fixture { store, heard, log: Arc::new(PartitionLog::open(as_store, &row, listener)) }
}

struct Batch {
    producer: Option<(i64, i16, i32)>,
    timestamps: Vec<i64>,
    compression: Compression,
}

fn plain(timestamps: &[i64]) -> Batch {
    Batch { producer: None, timestamps: timestamps.to_vec(), compression: Compression::None }
}

fn idempotent(epoch: i16, sequence: i32, count: usize) -> Batch {
    Batch { producer: Some((9, epoch, sequence)), timestamps: vec![1_000; count], compression: Compression::None }
}

fn build(batch: &Batch) -> BytesMut {
    let mut builder = BatchBuilder::new(batch.compression);
    if let Some((id, epoch, sequence)) = batch.producer {
        builder = builder.producer(id, epoch, sequence);
    }
    for timestamp in &batch.timestamps {
        builder.add(*timestamp, Some(b"key"), Some(format!("value at {timestamp}").as_bytes()), &[]);
    }
    builder.build().expect("batch")
}

fn append_in_epoch(log: &Arc<PartitionLog>, batch: &Batch, leader_epoch: i32) -> Result<(i64, i64), LogError> {
    let records = build(batch);
    let header = BatchView::parse(&records).expect("header").header;
    let info = BatchInfo::new(0, &header, None);
    let request = AppendRequest {
        records,
        batches: &[info],
        leader_epoch,
        origin: AppendOrigin::Client,
        durability: Durability::Written,
        flush_messages: i64::MAX,
        memory: None,
    };
    let appended = log.append(request)?;
    settle(log.store().as_ref());
    Ok((appended.base_offset, appended.last_offset))
}

fn append(log: &Arc<PartitionLog>, batch: &Batch) -> Result<(i64, i64), LogError> {
    append_in_epoch(log, batch, 0)
}

async fn offsets_read(log: &PartitionLog, from_offset: i64, max_bytes: usize) -> Result<Vec<(i64, i64)>, LogError> {
    let range =
        ReadRange { from_offset, end_offset: log.end_offset(), max_bytes, at_least_one: true, most_bytes: usize::MAX };
    let records = log.read(&range).await?;
    let pieces = records.pieces.iter();
    Ok(pieces
        .flat_map(|piece| {
            Batches::new(piece)
                .map(|batch| batch.map(|b| (b.header.base_offset, b.header.last_offset())).expect("batch"))
                .collect::<Vec<_>>()
        })
        .collect())
}

#[tokio::test]
async fn batches_get_adjacent_offsets_and_are_read_whole_from_the_middle() {
    let Fixture { log, heard, .. } = fixture();
    assert_eq!(append(&log, &plain(&[1, 2, 3])), Ok((0, 2)));
    assert_eq!(append(&log, &plain(&[4, 5])), Ok((3, 4)));
    assert_eq!(append(&log, &plain(&[6])), Ok((5, 5)));
    assert_eq!(heard.written.lock().last(), Some(&6));
    assert_eq!(offsets_read(&log, 1, usize::MAX).await, Ok(vec![(0, 2), (3, 4), (5, 5)]));
    assert_eq!(offsets_read(&log, 4, usize::MAX).await, Ok(vec![(3, 4), (5, 5)]));
    assert_eq!(offsets_read(&log, 3, 1).await, Ok(vec![(3, 4)]), "the first batch comes whole");
    assert_eq!(offsets_read(&log, 6, usize::MAX).await, Ok(vec![]));
    assert_eq!(
        offsets_read(&log, 7, usize::MAX).await,
        Err(LogError::OffsetOutOfRange { offset: 7, start: 0, end: 6 })
    );
}

#[tokio::test]
async fn a_read_stops_at_its_bytes_and_at_its_end_offset() {
    let Fixture { log, .. } = fixture();
    for _ in 0..4 {
        append(&log, &plain(&[1])).expect("appended");
    }
    let one = build(&plain(&[1])).len();
    assert_eq!(offsets_read(&log, 0, 2 * one).await, Ok(vec![(0, 0), (1, 1)]));
    assert_eq!(offsets_read(&log, 1, 3 * one - 1).await, Ok(vec![(1, 1), (2, 2)]));
    let range =
        ReadRange { from_offset: 0, end_offset: 2, max_bytes: usize::MAX, at_least_one: true, most_bytes: usize::MAX };
    assert_eq!(log.read(&range).await.expect("read").bytes, 2 * one);
    let range =
        ReadRange { from_offset: 0, end_offset: 4, max_bytes: one - 1, at_least_one: false, most_bytes: usize::MAX };
    assert_eq!(log.read(&range).await.expect("read").bytes, 0);
}

#[tokio::test]
async fn retries_are_told_their_first_offsets_also_after_a_restart() {
    let Fixture { store, log, .. } = fixture();
    assert_eq!(append(&log, &idempotent(0, 0, 2)), Ok((0, 1)));
    assert_eq!(append(&log, &idempotent(0, 2, 3)), Ok((2, 4)));
    assert_eq!(append(&log, &idempotent(0, 0, 2)), Ok((0, 1)));
    let Fixture { log, .. } = reopened(store);
    assert_eq!(log.end_offset(), 5);
    assert_eq!(append(&log, &idempotent(0, 2, 3)), Ok((2, 4)));
    assert!(matches!(
        append(&log, &idempotent(0, 6, 1)),
        Err(LogError::Producer(ProducerError::OutOfOrderSequence { got: 6, current: 4, .. }))
    ));
    assert_eq!(append(&log, &idempotent(0, 5, 1)), Ok((5, 5)));
    assert_eq!(log.end_offset(), 6, "neither the retry nor the refused batch took offsets");
}

#[tokio::test]
async fn leader_epochs_are_kept_with_the_records() {
    let Fixture { store, log, .. } = fixture();
    log.begin_leader_epoch(0);
    assert_eq!(log.end_offset_for_epoch(0), Ok(Some((0, 0))));
    append_in_epoch(&log, &plain(&[1, 2]), 0).expect("appended");
    log.begin_leader_epoch(3);
    append_in_epoch(&log, &plain(&[3]), 3).expect("appended");
    let Fixture { log, .. } = reopened(store);
    assert_eq!(log.end_offset_for_epoch(0), Ok(Some((0, 2))));
    assert_eq!(log.end_offset_for_epoch(3), Ok(Some((3, 3))));
    assert_eq!((log.epoch_at(1), log.epoch_at(2)), (Ok(Some(0)), Ok(Some(3))));
}

#[tokio::test]
async fn timestamps_are_found_to_the_record() {
    let Fixture { log, .. } = fixture();
    append(&log, &plain(&[100, 300, 200])).expect("appended");
    let packed = Batch { compression: Compression::Lz4, ..plain(&[400, 500, 450]) };
    append(&log, &packed).expect("appended");
    // The run is longer than all there is for runs: it is searched all the same, alone.
    let (runs, opened) = (Budget::new(10), Budget::new(1 << 20));
    let memory = SearchMemory { runs: &runs, opened: &opened };
    let find = async |timestamp| {
        log.offset_for_timestamp(timestamp, log.end_offset(), &memory)
            .await
            .expect("found")
            .map(|f| (f.offset, f.timestamp_ms))
    };
    assert_eq!(find(0).await, Some((0, 100)));
    assert_eq!(find(150).await, Some((1, 300)));
    assert_eq!(find(300).await, Some((1, 300)));
    assert_eq!(find(301).await, Some((3, 400)));
    assert_eq!(find(451).await, Some((4, 500)));
    assert_eq!(find(501).await, None);
    let largest = log.offset_of_max_timestamp(&memory).await.expect("found").map(|f| (f.offset, f.timestamp_ms));
    assert_eq!(largest, Some((4, 500)));
}

#[tokio::test]
async fn the_start_offset_moves_up_only_and_stays_after_a_restart() {
    let Fixture { store, log, .. } = fixture();
    append(&log, &plain(&[1, 2, 3, 4])).expect("appended");
    assert_eq!(log.advance_start_offset(3).await, Ok(3));
    assert_eq!(log.advance_start_offset(1).await, Ok(3));
    assert!(matches!(log.advance_start_offset(5).await, Err(LogError::OffsetOutOfRange { .. })));
    assert!(matches!(offsets_read(&log, 2, 10).await, Err(LogError::OffsetOutOfRange { start: 3, .. })));
    let Fixture { log, .. } = reopened(store);
    assert_eq!(log.start_offset(), 3);
    let (runs, opened) = (Budget::new(1 << 20), Budget::new(1 << 20));
    let memory = SearchMemory { runs: &runs, opened: &opened };
    assert_eq!(log.offset_for_timestamp(0, 4, &memory).await.expect("found").map(|f| f.offset), Some(3));
}

#[tokio::test]
async fn what_an_append_was_paid_with_is_held_until_it_is_written() {
    let Fixture { store, log, .. } = fixture();
    let budget = Budget::new(100);
    let records = build(&plain(&[1]));
    let info = BatchInfo::new(0, &BatchView::parse(&records).expect("header").header, None);
    store.hold();
    log.append(AppendRequest {
        records,
        batches: &[info],
        leader_epoch: 0,
        origin: AppendOrigin::Client,
        durability: Durability::Written,
        flush_messages: i64::MAX,
        memory: budget.try_reserve(60).map(Arc::new),
    })
    .expect("appended");
    // Nobody waits for the write, and it waits for the disk.
    assert_eq!(budget.available_bytes(), 40);
    store.release();
    settle(&*store);
    assert_eq!(budget.available_bytes(), 100);
}

#[tokio::test]
async fn no_more_is_read_than_is_paid_for() {
    let Fixture { store, log, .. } = fixture();
    let one = build(&plain(&[1])).len();
    for _ in 0..3 {
        append(&log, &plain(&[1])).expect("appended");
    }
    for cold in [false, true] {
        store.set_cold(cold);
        let read = async |most_bytes| {
            let range = ReadRange { from_offset: 0, end_offset: 3, max_bytes: 2 * one, at_least_one: true, most_bytes };
            log.read(&range).await.map(|records| records.bytes)
        };
        assert_eq!(read(one - 1).await.map_err(|error| error.long_run_bytes()), Err(Some(one)));
        assert_eq!(read(2 * one).await, Ok(2 * one));
    }
}

/// A run that begins before what is wanted counts whole in the store, which may then end with it.
#[tokio::test]
async fn what_comes_after_a_long_run_is_told_as_more() {
    let Fixture { store, log, .. } = fixture();
    let one = build(&plain(&[1]));
    let header = BatchView::parse(&one).expect("header").header;
    let batches: Vec<_> = (0..3).map(|number| BatchInfo::new(number * one.len(), &header, None)).collect();
    log.append(AppendRequest {
        records: BytesMut::from(&one.repeat(3)[..]),
        batches: &batches,
        leader_epoch: 0,
        origin: AppendOrigin::Client,
        durability: Durability::Written,
        flush_messages: i64::MAX,
        memory: None,
    })
    .expect("appended");
    append(&log, &plain(&[1])).expect("appended");
    for cold in [false, true] {
        store.set_cold(cold);
        let read = async |end_offset| {
            let (max_bytes, most_bytes) = (2 * one.len(), usize::MAX);
            let range = ReadRange { from_offset: 2, end_offset, max_bytes, at_least_one: true, most_bytes };
            let records = log.finish_read(log.begin_read(&range)).await.expect("read");
            (records.bytes, records.more)
        };
        assert_eq!(read(3).await, (one.len(), false), "cold: {cold}");
        assert_eq!(read(4).await, (one.len(), true), "cold: {cold}");
    }
}
