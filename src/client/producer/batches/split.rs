//! A batch that the broker finds too large (MESSAGE_TOO_LARGE) is sent again in pieces, as Kafka's producer does: a topic may take less than `batch.size`, and of
//! compressed batches nobody knows before how large they get.
//!
//! Records keep their order, and their numbers where they have some. Never touches a batch of one record: that one is too large itself.

use bytes::Bytes;

use super::{Batch, BatchRules, Batches, NewRecord};
use crate::protocol::batch_builder::{BatchBuilder, HeaderPair};
use crate::protocol::batch_error::BatchError;
use crate::protocol::record_batch::{BatchView, add_sequence};
use crate::protocol::records::{Record, RecordReader};
use crate::types::limits::{DECOMPRESSED_BATCH_MAX_BYTES, RECORD_BATCH_HEADER_BYTES};

/// Some of a batch's records as a batch of their own.
struct Piece {
    sequence: i32,
    records: usize,
    charged_bytes: usize,
    bytes: Bytes,
}

impl<T> Batches<T> {
    /// Puts the pieces of a batch that is on its way in its place, to be sent at once.
    ///
    /// # Errors
    /// The batch itself, still on its way, when it cannot be made smaller.
    pub fn split(&mut self, mut batch: Batch<T>) -> Result<(), Batch<T>> {
        // It was filled by what compression was expected to leave of it; now by what it is without.
        let most_bytes = if batch.is_piece { batch.size_bytes() / 2 } else { self.rules.batch_bytes };
        let pieces = match pieces(&batch.bytes, &self.rules, most_bytes) {
            Ok(pieces) if batch.tags.len() > 1 && (pieces.len() > 1 || !batch.is_piece) => pieces,
            _ => return Err(batch),
        };
        self.ratio = 1.0;
        self.charged_bytes = self.charged_bytes.saturating_sub(batch.charged_bytes);
        self.charged_bytes += pieces.iter().map(|piece| piece.charged_bytes).sum::<usize>();
        let topic = batch.topic.clone();
        let queue = self.queue(&topic, batch.partition);
        queue.in_flight = queue.in_flight.saturating_sub(1);
        let mut tags = std::mem::take(&mut batch.tags).into_iter();
        // Without numbers: before all that waits, because it was taken before them.
        let first_waiting = queue.again.first_key_value().map_or(queue.returned + 1, |(place, _)| *place);
        let front = first_waiting - i64::try_from(pieces.len()).unwrap_or(0);
        for (place, piece) in (front..).zip(pieces) {
            let piece = Batch {
                topic: topic.clone(),
                partition: batch.partition,
                tags: tags.by_ref().take(piece.records).collect(),
                begun_at: batch.begun_at,
                charged_bytes: piece.charged_bytes,
                attempts: 0,
                sequence: piece.sequence,
                uncertain: false,
                is_piece: true,
                bytes: piece.bytes,
            };
            let place = if piece.sequence == -1 { place } else { queue.place_of(piece.sequence) };
            queue.again.insert(place, piece);
        }
        Ok(())
    }
}

/// Cuts a batch so that no piece of several records has more than `most_bytes` before it is compressed.
fn pieces(batch: &[u8], rules: &BatchRules, most_bytes: usize) -> Result<Vec<Piece>, BatchError> {
    let view = BatchView::parse(batch)?;
    let mut cutting = Cutting { view: &view, rules, done: Vec::new(), sequence: view.header.base_sequence };
    let mut reader = RecordReader::new(&view, DECOMPRESSED_BATCH_MAX_BYTES)?;
    let mut open = cutting.begin();
    while let Some(record) = reader.next() {
        let record = record?;
        let headers: Vec<HeaderPair<'_>> = record.headers.iter().collect();
        let bound = bound(&record, &headers);
        let bytes = RECORD_BATCH_HEADER_BYTES + open.builder.uncompressed_bytes() + bound;
        if open.records > 0 && bytes > most_bytes {
            let full = open;
            open = cutting.end(full)?;
        }
        open.builder.add(record.timestamp_ms, record.key, record.value, &headers);
        open.records += 1;
        open.charged_bytes += bound;
    }
    cutting.end(open)?;
    Ok(cutting.done)
}

fn bound(record: &Record<'_>, headers: &[HeaderPair<'_>]) -> usize {
    NewRecord { timestamp_ms: record.timestamp_ms, key: record.key, value: record.value, headers }.size_bound()
}

/// A piece that is being filled.
struct OpenPiece {
    builder: BatchBuilder,
    records: usize,
    charged_bytes: usize,
}

struct Cutting<'a> {
    view: &'a BatchView<'a>,
    rules: &'a BatchRules,
    done: Vec<Piece>,
    /// The next piece's; -1 without numbers.
    sequence: i32,
}

impl Cutting<'_> {
    fn begin(&self) -> OpenPiece {
        let header = &self.view.header;
        let builder = BatchBuilder::new(self.rules.compression).level(self.rules.level);
        let builder = builder.producer(header.producer_id, header.producer_epoch, self.sequence);
        OpenPiece { builder, records: 0, charged_bytes: 0 }
    }

    /// Makes the piece whole, and begins the next one.
    fn end(&mut self, open: OpenPiece) -> Result<OpenPiece, BatchError> {
        let OpenPiece { builder, records, charged_bytes } = open;
        let bytes = builder.build()?.freeze();
        self.done.push(Piece { sequence: self.sequence, records, charged_bytes, bytes });
        if self.sequence >= 0 {
            self.sequence = add_sequence(self.sequence, i32::try_from(records).unwrap_or(i32::MAX));
        }
        Ok(self.begin())
    }
}

#[cfg(test)]
mod tests {
    use super::super::ProducerIdentity;
    use super::*;
    use crate::protocol::compression::Compression;
    use std::time::{Duration, Instant};

    fn batches(compression: Compression) -> Batches<u32> {
        let linger = Duration::ZERO;
        Batches::new(BatchRules { batch_bytes: 2_000, max_batch_bytes: 1 << 20, linger, compression, level: None })
    }

    fn fill(batches: &mut Batches<u32>, values: impl Iterator<Item = Vec<u8>>) {
        for (tag, value) in (0..).zip(values) {
            let headers: &[HeaderPair<'_>] = &[(b"h", Some(b"x")), (b"i", None)];
            let record = NewRecord { timestamp_ms: 5 + i64::from(tag), key: None, value: Some(&value), headers };
            batches.add("t", 0, &record, tag, Instant::now()).unwrap();
        }
    }

    /// Tags, sequence and values of a batch.
    fn contents(batch: &Batch<u32>) -> (Vec<u32>, i32, Vec<Vec<u8>>) {
        let view = BatchView::parse(&batch.bytes).unwrap();
        view.check_crc().unwrap();
        assert_eq!(view.header.base_sequence, batch.sequence);
        let mut reader = RecordReader::new(&view, 1 << 20).unwrap();
        let mut values = Vec::new();
        while let Some(record) = reader.next() {
            let record = record.unwrap();
            assert_eq!(record.headers.len(), 2);
            values.push(record.value.unwrap().to_vec());
        }
        (batch.tags.clone(), batch.sequence, values)
    }

    #[test]
    fn pieces_keep_order_and_numbers_and_come_before_what_follows() {
        for identity in [None, Some(ProducerIdentity { id: 9, epoch: 1 })] {
            let mut batches = batches(Compression::None);
            fill(&mut batches, (0..40).map(|n| vec![n; 100]));
            let charged = batches.charged_bytes();
            let first = batches.take("t", 0, identity).unwrap().unwrap();
            let first_count = first.record_count();
            let second = batches.take("t", 0, identity).unwrap().unwrap();
            let now = Instant::now();
            // Once by the preset, then by halves.
            batches.split(first).map_err(|_| ()).unwrap();
            batches.put_back(second, now);
            let whole = batches.take("t", 0, identity).unwrap().unwrap();
            assert_eq!(whole.record_count(), first_count);
            batches.split(whole).map_err(|_| ()).unwrap();
            assert_eq!(batches.charged_bytes(), charged);
            let mut found: Vec<u8> = Vec::new();
            let mut counts = Vec::new();
            while !batches.ready(now, true).is_empty() {
                let batch = batches.take("t", 0, identity).unwrap().unwrap();
                let (tags, sequence, values) = contents(&batch);
                assert_eq!(sequence, identity.map_or(-1, |_| found.len() as i32));
                assert_eq!(tags, (found.len() as u32..).take(values.len()).collect::<Vec<_>>());
                found.extend(values.iter().map(|value| value[0]));
                counts.push(values.len());
                batches.done(&batch);
            }
            assert_eq!(found, (0..40).collect::<Vec<_>>());
            assert!(counts[0] < first_count && counts[0] + counts[1] <= first_count, "{counts:?}");
            assert!(batches.is_idle() && batches.charged_bytes() == 0);
        }
    }

    #[test]
    fn compressed_batches_are_cut_down_to_single_records_and_no_further() {
        let mut batches = batches(Compression::Gzip);
        fill(&mut batches, (0..30u8).map(|n| vec![n; 300]));
        let now = Instant::now();
        let mut singles = Vec::new();
        while !batches.ready(now, true).is_empty() {
            let batch = batches.take("t", 0, None).unwrap().unwrap();
            if let Err(single) = batches.split(batch) {
                assert_eq!(single.record_count(), 1);
                singles.extend(contents(&single).2.iter().map(|value| value[0]));
                batches.done(&single);
            }
        }
        assert_eq!(singles, (0..30).collect::<Vec<_>>());
        assert!(batches.is_idle() && batches.charged_bytes() == 0);
    }
}
