//! What a disk store must look like after some of the writes it was given, and a store told in the same terms.

use bytes::Bytes;
use std::collections::BTreeMap;

use super::Random;
use crate::store::disk::DiskStore;
use crate::store::*;

/// A batch as the test writes it: it tells what it is, so that a run can be taken apart again.
pub(super) const BATCH_HEADER_BYTES: usize = 28;

/// What a partition must look like.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct ModelPartition {
    pub partition: i32,
    pub start: i64,
    pub end: i64,
    /// (base, last, checksum).
    pub batches: Vec<(i64, i64, u32)>,
    pub rows: BTreeMap<(u8, Vec<u8>), Vec<u8>>,
}

pub(super) type Model = BTreeMap<LocalId, ModelPartition>;

pub(super) fn batch(local_id: LocalId, base: i64, last: i64, length: usize, random: &mut Random) -> Bytes {
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
pub(super) fn batches_of(local_id: LocalId, run: &Run, start: i64) -> Vec<(i64, i64, u32)> {
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

pub(super) fn apply(model: &mut Model, write: &Write) {
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
pub(super) fn told(model: &Model) -> String {
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
pub(super) fn observe(store: &DiskStore, runtime: &tokio::runtime::Runtime) -> Result<Model, StoreError> {
    let mut model = Model::new();
    for row in store.partitions()? {
        let local_id = row.local_id;
        let mut rows = BTreeMap::new();
        for kind in [StateKind::Producer, StateKind::LeaderEpoch, StateKind::AbortedTransaction, StateKind::Partition] {
            let found = store.state(local_id, kind)?;
            rows.extend(found.into_iter().map(|(key, value)| ((kind as u8, key.to_vec()), value.to_vec())));
        }
        let request = ReadRequest {
            local_id,
            from_offset: 0,
            end_offset: i64::MAX,
            max_bytes: usize::MAX,
            most_bytes: usize::MAX,
        };
        let runs = runtime.block_on(store.read(request))?;
        let size: u64 = runs.iter().map(|run| run.info.length_bytes).sum();
        assert_eq!(size, row.size_bytes, "size of {local_id:?}");
        let batches = runs.iter().flat_map(|run| batches_of(local_id, run, row.log_start_offset)).collect();
        let (start, end) = (row.log_start_offset, row.log_end_offset);
        model.insert(local_id, ModelPartition { partition: row.id.partition, start, end, batches, rows });
    }
    Ok(model)
}
