//! What one fetch brought of one partition, and the walk over its records: control records and records of aborted transactions are left out.
//!
//! Pure. Never shows a record below the position that was asked for (a fetch brings whole batches).

use bytes::Bytes;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::protocol::batch_error::BatchError;
use crate::protocol::record_batch::{BatchHeader, BatchView, Batches, TimestampType};
use crate::protocol::records::{Record, RecordReader};
use crate::types::limits::DECOMPRESSED_BATCH_MAX_BYTES;

/// Whole record batches of one partition.
#[derive(Clone, Debug)]
pub struct Chunk {
    pub topic: Arc<str>,
    pub partition: i32,
    /// Records below it are not shown.
    pub position: i64,
    pub records: Bytes,
    /// Producer id and first offset of transactions that were aborted; `None` when all records are to be shown.
    pub aborted: Option<Vec<(i64, i64)>>,
    pub check_crcs: bool,
}

/// How far a walk came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The offset to read on from.
    pub next_offset: i64,
    /// The leader epoch of the last batch; -1 when there was none.
    pub leader_epoch: i32,
    /// Records shown.
    pub records: u64,
}

impl Chunk {
    /// The headers of the batches that are there whole.
    pub fn headers(records: &Bytes) -> impl Iterator<Item = BatchHeader> + '_ {
        Batches::new(records).map_while(Result::ok).map(|view| view.header)
    }

    /// Shows the records one after the other until `show` breaks off. What was shown counts in the progress, also the record at which it broke off.
    ///
    /// # Errors
    /// When a batch is broken; the progress is lost then, and so the chunk should be.
    pub fn walk<B>(
        &self,
        mut show: impl FnMut(TimestampType, &Record<'_>) -> ControlFlow<B>,
    ) -> Result<(Progress, Option<B>), BatchError> {
        let mut progress = Progress { next_offset: self.position, leader_epoch: -1, records: 0 };
        let mut aborts = Aborts::new(self.aborted.as_deref());
        for view in Batches::new(&self.records) {
            let view = match view {
                Ok(view) => view,
                // A fetch may cut the last batch off.
                Err(BatchError::Truncated { .. }) => break,
                Err(error) => return Err(error),
            };
            let header = &view.header;
            if header.last_offset() < self.position {
                aborts.hides(&view);
                continue;
            }
            if self.check_crcs {
                view.check_crc()?;
            }
            progress.leader_epoch = header.leader_epoch;
            if !aborts.hides(&view) {
                let mut reader = RecordReader::new(&view, DECOMPRESSED_BATCH_MAX_BYTES)?;
                while let Some(record) = reader.next() {
                    let record = record?;
                    if record.offset < self.position {
                        continue;
                    }
                    progress.records += 1;
                    progress.next_offset = record.offset.saturating_add(1);
                    if let ControlFlow::Break(value) = show(header.timestamp_type(), &record) {
                        return Ok((progress, Some(value)));
                    }
                }
            }
            progress.next_offset = progress.next_offset.max(header.last_offset().saturating_add(1));
        }
        Ok((progress, None))
    }
}

/// Which producers' transactions are aborted at the place that a walk has reached (KIP-98).
struct Aborts<'a> {
    /// By first offset, the next one last; `None` shows all.
    coming: Option<Vec<&'a (i64, i64)>>,
    open: BTreeSet<i64>,
}

impl<'a> Aborts<'a> {
    fn new(aborted: Option<&'a [(i64, i64)]>) -> Self {
        let coming = aborted.map(|aborted| {
            let mut sorted: Vec<&(i64, i64)> = aborted.iter().collect();
            sorted.sort_by_key(|(_, first_offset)| std::cmp::Reverse(*first_offset));
            sorted
        });
        Self { coming, open: BTreeSet::new() }
    }

    /// Whether a batch's records are not for applications.
    fn hides(&mut self, view: &BatchView<'_>) -> bool {
        let header = &view.header;
        if let Some(coming) = &mut self.coming {
            while coming.last().is_some_and(|(_, first_offset)| *first_offset <= header.last_offset()) {
                if let Some((producer_id, _)) = coming.pop() {
                    self.open.insert(*producer_id);
                }
            }
        }
        if header.attributes.is_control() {
            if is_abort(view) {
                self.open.remove(&header.producer_id);
            }
            return true;
        }
        header.attributes.is_transactional() && self.open.contains(&header.producer_id)
    }
}

/// Whether a control batch ends a transaction by aborting it: its key is a version and a type, of which 0 says abort.
fn is_abort(view: &BatchView<'_>) -> bool {
    let Ok(mut reader) = RecordReader::new(view, DECOMPRESSED_BATCH_MAX_BYTES) else { return false };
    match reader.next() {
        Some(Ok(record)) => record.key.and_then(|key| key.get(2..4)) == Some(&[0, 0]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::batch_builder::BatchBuilder;
    use crate::protocol::compression::Compression;

    fn batch(base_offset: i64, count: usize, producer: Option<(i64, bool)>) -> Vec<u8> {
        let mut builder = BatchBuilder::new(Compression::None).base_offset(base_offset).leader_epoch(4);
        if let Some((id, control)) = producer {
            builder = builder.producer(id, 0, 0).transactional(true).control(control);
        }
        for index in 0..count {
            let key = if producer.is_some_and(|(_, control)| control) { &[0u8, 0, 0, 0][..] } else { b"k" };
            builder.add(index as i64, Some(key), Some(b"v"), &[]);
        }
        builder.build().unwrap().to_vec()
    }

    fn chunk(position: i64, batches: &[Vec<u8>], aborted: Option<Vec<(i64, i64)>>) -> Chunk {
        let records = Bytes::from(batches.concat());
        Chunk { topic: "t".into(), partition: 0, position, records, aborted, check_crcs: true }
    }

    fn offsets(chunk: &Chunk) -> (Vec<i64>, Progress) {
        let mut seen = Vec::new();
        let (progress, stopped) = chunk
            .walk(|_, record| {
                seen.push(record.offset);
                ControlFlow::<()>::Continue(())
            })
            .unwrap();
        assert!(stopped.is_none());
        (seen, progress)
    }

    #[test]
    fn begins_in_the_middle_of_a_batch_and_ends_where_bytes_are_cut() {
        let mut batches = vec![batch(0, 3, None), batch(3, 2, None), batch(5, 2, None)];
        batches[2].truncate(70);
        let (seen, progress) = offsets(&chunk(1, &batches, None));
        assert_eq!((seen, progress.next_offset, progress.leader_epoch), (vec![1, 2, 3, 4], 5, 4));
    }

    #[test]
    fn breaks_off_after_the_record_that_was_shown_last() {
        let chunk = chunk(0, &[batch(0, 3, None)], None);
        let (progress, value) = chunk
            .walk(|_, record| if record.offset == 1 { ControlFlow::Break("stop") } else { ControlFlow::Continue(()) })
            .unwrap();
        assert_eq!((progress.next_offset, progress.records, value), (2, 2, Some("stop")));
    }

    #[test]
    fn aborted_transactions_and_control_records_are_not_shown() {
        let batches = [
            batch(0, 2, Some((7, false))),
            batch(2, 1, Some((8, false))),
            batch(3, 1, Some((7, true))),
            batch(4, 1, Some((7, false))),
        ];
        let (seen, progress) = offsets(&chunk(0, &batches, Some(vec![(7, 0)])));
        assert_eq!((seen, progress.next_offset), (vec![2, 4], 5));
        let (seen, _) = offsets(&chunk(0, &batches, None));
        assert_eq!(seen, [0, 1, 2, 4], "read_uncommitted shows all but the markers");
    }

    #[test]
    fn a_broken_batch_is_an_error() {
        let mut bytes = batch(0, 1, None);
        *bytes.last_mut().unwrap() ^= 1;
        assert!(chunk(0, &[bytes], None).walk(|_, _| ControlFlow::<()>::Continue(())).is_err());
    }
}
