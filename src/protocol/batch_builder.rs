//! Makes record batches: for the broker's own topics, for control markers, and anew from a producer's where `compression.type` asks for another codec.

use bytes::{BufMut, BytesMut};

use super::batch_error::BatchError;
use super::compression::Compression;
use super::record_batch::{
    Attributes, BatchHeader, BatchMut, BatchView, LOG_OVERHEAD_BYTES, MAGIC_V2, NO_PRODUCER_ID, NO_SEQUENCE,
    NO_TIMESTAMP, TimestampType,
};
use super::records::{Record, RecordReader};
use super::varint;
use crate::types::limits::RECORD_BATCH_HEADER_BYTES;

/// A header of a record: key and value.
pub type HeaderPair<'a> = (&'a [u8], Option<&'a [u8]>);

/// Collects records, then makes the batch.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    header: BatchHeader,
    compression: Compression,
    level: Option<i32>,
    records: Vec<u8>,
    body: Vec<u8>,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new(Compression::None)
    }
}

impl BatchBuilder {
    /// Base offset 0, no leader epoch, no producer, create time.
    pub fn new(compression: Compression) -> Self {
        let header = BatchHeader {
            base_offset: 0,
            length: 0,
            leader_epoch: -1,
            magic: MAGIC_V2,
            crc: 0,
            attributes: Attributes::new(compression, TimestampType::CreateTime),
            last_offset_delta: -1,
            base_timestamp_ms: NO_TIMESTAMP,
            max_timestamp_ms: NO_TIMESTAMP,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: -1,
            base_sequence: NO_SEQUENCE,
            record_count: 0,
        };
        Self { header, compression, level: None, records: Vec::new(), body: Vec::new() }
    }

    /// The codec's own level, for gzip and zstd.
    pub fn level(mut self, level: Option<i32>) -> Self {
        self.level = level;
        self
    }

    pub fn base_offset(mut self, base_offset: i64) -> Self {
        self.header.base_offset = base_offset;
        self
    }

    pub fn leader_epoch(mut self, leader_epoch: i32) -> Self {
        self.header.leader_epoch = leader_epoch;
        self
    }

    pub fn producer(mut self, producer_id: i64, producer_epoch: i16, base_sequence: i32) -> Self {
        self.header.producer_id = producer_id;
        self.header.producer_epoch = producer_epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    pub fn transactional(mut self, on: bool) -> Self {
        self.header.attributes = self.header.attributes.with_transactional(on);
        self
    }

    pub fn control(mut self, on: bool) -> Self {
        self.header.attributes = self.header.attributes.with_control(on);
        self
    }

    /// Marks the batch as stamped by the broker's clock: every record then has this time.
    pub fn log_append_time(mut self, now_ms: i64) -> Self {
        self.header.attributes = self.header.attributes.with_timestamp_type(TimestampType::LogAppendTime);
        self.header.max_timestamp_ms = now_ms;
        self
    }

    /// Adds a record at the next offset. The first record's timestamp becomes the batch's base.
    pub fn add(&mut self, timestamp_ms: i64, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[HeaderPair<'_>]) {
        self.add_at(self.header.last_offset_delta.saturating_add(1), timestamp_ms, key, value, headers.iter().copied());
    }

    /// Adds a record at a delta from the base offset (above all before it), as compaction leaves them.
    pub fn add_at<'h>(
        &mut self,
        offset_delta: i32,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl ExactSizeIterator<Item = HeaderPair<'h>>,
    ) {
        let header = &mut self.header;
        if header.record_count == 0 {
            header.base_timestamp_ms = timestamp_ms;
        }
        if header.timestamp_type() == TimestampType::CreateTime {
            header.max_timestamp_ms = header.max_timestamp_ms.max(timestamp_ms);
        }
        header.last_offset_delta = offset_delta;
        header.record_count += 1;

        let body = &mut self.body;
        body.clear();
        body.push(0);
        varint::put_i64(body, timestamp_ms.wrapping_sub(header.base_timestamp_ms));
        varint::put_i32(body, offset_delta);
        put_nullable(body, key);
        put_nullable(body, value);
        varint::put_i32(body, i32::try_from(headers.len()).unwrap_or(i32::MAX));
        for (key, value) in headers {
            put_nullable(body, Some(key));
            put_nullable(body, value);
        }
        varint::put_i32(&mut self.records, i32::try_from(body.len()).unwrap_or(i32::MAX));
        self.records.extend_from_slice(body);
    }

    fn copy(&mut self, record: &Record<'_>) {
        let headers: Vec<HeaderPair<'_>> = record.headers.iter().collect();
        self.add(record.timestamp_ms, record.key, record.value, &headers);
    }

    pub fn is_empty(&self) -> bool {
        self.header.record_count == 0
    }

    /// Bytes of the records so far, uncompressed, without the header.
    pub fn uncompressed_bytes(&self) -> usize {
        self.records.len()
    }

    /// The batch, checksummed. Errors: [`BatchError::RecordCount`] without a record, [`BatchError::TooLarge`] past 2 GiB.
    pub fn build(self) -> Result<BytesMut, BatchError> {
        if self.is_empty() {
            return Err(BatchError::RecordCount(0));
        }
        let payload = match self.compression {
            Compression::None => self.records,
            codec => codec
                .compress(self.level, &self.records)
                .map_err(|error| BatchError::Decompress(format!("compressing: {error}")))?,
        };
        let size = RECORD_BATCH_HEADER_BYTES + payload.len();
        let too_large = BatchError::TooLarge { size, max: i32::MAX as usize };
        let length = i32::try_from(size - LOG_OVERHEAD_BYTES).map_err(|_| too_large)?;
        let header = BatchHeader { length, ..self.header };
        let mut out = BytesMut::with_capacity(size);
        out.put_slice(&header.to_bytes());
        out.put_slice(&payload);
        BatchMut::new(&mut out)?.set_header(header);
        Ok(out)
    }
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => varint::put_i32(out, -1),
        Some(bytes) => {
            varint::put_i32(out, i32::try_from(bytes.len()).unwrap_or(i32::MAX));
            out.extend_from_slice(bytes);
        }
    }
}

/// The same records under another codec, with offset deltas 0, 1, 2 and so on. Producer, transaction and control marks stay.
pub fn rebuild(
    batch: &BatchView<'_>,
    compression: Compression,
    level: Option<i32>,
    max_decompressed_bytes: usize,
) -> Result<BytesMut, BatchError> {
    let from = &batch.header;
    let mut builder = BatchBuilder::new(compression)
        .level(level)
        .base_offset(from.base_offset)
        .leader_epoch(from.leader_epoch)
        .producer(from.producer_id, from.producer_epoch, from.base_sequence)
        .transactional(from.attributes.is_transactional())
        .control(from.attributes.is_control());
    if from.timestamp_type() == TimestampType::LogAppendTime {
        builder = builder.log_append_time(from.max_timestamp_ms);
    }
    let mut records = RecordReader::new(batch, max_decompressed_bytes)?;
    while let Some(record) = records.next() {
        builder.copy(&record?);
    }
    builder.build()
}
