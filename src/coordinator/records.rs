//! Coordinator records as record batches, and the pieces that their keys and values are made of.
//!
//! A key or value begins with a 16-bit number: for a key it names the kind of record, for a value its version. What follows is Kafka's usual
//! encoding (`string` with a 16-bit length; in flexible versions a compact string and tagged fields). Never trusts a length before its bytes are
//! there: batches come from the disk, and others than us may have written them.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::sync::Arc;
use thiserror::Error;

use crate::protocol::batch_builder::BatchBuilder;
use crate::protocol::batch_error::BatchError;
use crate::protocol::compression::Compression;
use crate::protocol::record_batch::Batches;
use crate::protocol::records::RecordReader;
use crate::types::limits::RECORD_BATCH_HEADER_BYTES;

/// The longest that a compressed batch of coordinator records may open to. Ours are bounded by `max.message.bytes` uncompressed.
const MAX_DECOMPRESSED_BYTES: usize = 256 * 1024 * 1024;

/// What a record costs in a batch besides its key and value: five varints and the attributes, at their longest.
const RECORD_OVERHEAD_BYTES: usize = 5 * 5 + 1;

/// One record for, or from, a coordinator's log. No value makes it a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorRecord {
    pub key: Bytes,
    pub value: Option<Bytes>,
}

impl CoordinatorRecord {
    /// At least what the record takes in a batch.
    pub fn size_bound_bytes(&self) -> usize {
        RECORD_OVERHEAD_BYTES + self.key.len() + self.value.as_ref().map_or(0, Bytes::len)
    }
}

/// At least what [`encode_batch`] yields, uncompressed, for records whose `size_bound_bytes` sum up to `records_bytes`.
pub const fn batch_size_bound_bytes(records_bytes: usize) -> usize {
    RECORD_BATCH_HEADER_BYTES + records_bytes
}

/// The records as one batch (v2) from offset 0 on, without a producer.
/// Errors: [`BatchError::RecordCount`] without a record, [`BatchError::TooLarge`] past 2 GiB, or the codec's own.
pub fn encode_batch(
    records: &[CoordinatorRecord],
    timestamp_ms: i64,
    compression: Compression,
) -> Result<Bytes, BatchError> {
    let mut builder = BatchBuilder::new(compression);
    for record in records {
        builder.add(timestamp_ms, Some(&record.key), record.value.as_deref(), &[]);
    }
    builder.build().map(BytesMut::freeze)
}

fn put_unsigned_varint(out: &mut impl BufMut, mut value: u32) {
    while value >= 0x80 {
        out.put_u8((value as u8) | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// What a batch holds for a coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed<'a> {
    Record {
        offset: i64,
        /// The transaction's producer; `None` outside of a transaction.
        transaction: Option<i64>,
        key: &'a [u8],
        value: Option<&'a [u8]>,
    },
    /// The end of the producer's transaction.
    Marker { producer_id: i64, committed: bool },
}

/// Hands every record of `batches` (one or more whole batches) to `each`, in order. Records without a key are passed over.
/// Errors: what is wrong with the first batch that does not parse; the ones before it have been handed out.
pub fn decode_batches(batches: &[u8], each: &mut dyn FnMut(Replayed<'_>)) -> Result<(), BatchError> {
    for batch in Batches::new(batches) {
        let batch = batch?;
        batch.check_crc()?;
        let header = batch.header;
        let transaction = header.attributes.is_transactional().then_some(header.producer_id);
        let mut reader = RecordReader::new(&batch, MAX_DECOMPRESSED_BYTES)?;
        while let Some(record) = reader.next() {
            let record = record?;
            let Some(key) = record.key else { continue };
            if header.attributes.is_control() {
                // A control record's key: version, then type (0 abort, 1 commit).
                if let Some(&[_, _, high, low]) = key.first_chunk::<4>() {
                    let kind = i16::from_be_bytes([high, low]);
                    if kind == 0 || kind == 1 {
                        each(Replayed::Marker { producer_id: header.producer_id, committed: kind == 1 });
                    }
                }
            } else {
                each(Replayed::Record { offset: record.offset, transaction, key, value: record.value });
            }
        }
    }
    Ok(())
}

/// What is wrong with a record's key or value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FormatError {
    #[error("{0} is cut short")]
    Truncated(&'static str),
    #[error("{0} is not UTF-8")]
    NotUtf8(&'static str),
    #[error("{0} is null")]
    Null(&'static str),
    #[error("{what} has version {version}; 0 to {latest} are known")]
    Version { what: &'static str, version: i16, latest: i16 },
}

/// Builds a key or value.
#[derive(Debug, Default)]
pub struct Writer(BytesMut);

impl Writer {
    /// Begins with the kind of record (key) or the version (value).
    pub fn new(version: i16) -> Self {
        let mut writer = Self::default();
        writer.0.put_i16(version);
        writer
    }

    pub fn i16(mut self, value: i16) -> Self {
        self.0.put_i16(value);
        self
    }

    pub fn i32(mut self, value: i32) -> Self {
        self.0.put_i32(value);
        self
    }

    pub fn i64(mut self, value: i64) -> Self {
        self.0.put_i64(value);
        self
    }

    /// A string with a 16-bit length, of which it has at most `i16::MAX` bytes (a request's strings are no longer).
    pub fn string(mut self, value: &str) -> Self {
        let bytes = value.as_bytes();
        let kept = bytes.get(..i16::MAX as usize).unwrap_or(bytes);
        self.0.put_i16(kept.len() as i16);
        self.0.put_slice(kept);
        self
    }

    pub fn nullable_string(self, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.string(value),
            None => self.i16(-1),
        }
    }

    pub fn bytes(mut self, value: &[u8]) -> Self {
        self.0.put_i32(value.len() as i32);
        self.0.put_slice(value);
        self
    }

    pub fn compact_string(mut self, value: &str) -> Self {
        put_unsigned_varint(&mut self.0, value.len() as u32 + 1);
        self.0.put_slice(value.as_bytes());
        self
    }

    /// The tagged fields that end a flexible structure, in the order of their tags.
    pub fn tagged_fields(mut self, fields: &[(u32, &[u8])]) -> Self {
        put_unsigned_varint(&mut self.0, fields.len() as u32);
        for (tag, value) in fields {
            put_unsigned_varint(&mut self.0, *tag);
            put_unsigned_varint(&mut self.0, value.len() as u32);
            self.0.put_slice(value);
        }
        self
    }

    pub fn done(self) -> Bytes {
        self.0.freeze()
    }
}

/// Reads a key or value. Every method names the field for the error's sake.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn i16(&mut self, what: &'static str) -> Result<i16, FormatError> {
        self.0.try_get_i16().map_err(|_| FormatError::Truncated(what))
    }

    pub fn i32(&mut self, what: &'static str) -> Result<i32, FormatError> {
        self.0.try_get_i32().map_err(|_| FormatError::Truncated(what))
    }

    pub fn i64(&mut self, what: &'static str) -> Result<i64, FormatError> {
        self.0.try_get_i64().map_err(|_| FormatError::Truncated(what))
    }

    pub fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], FormatError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(FormatError::Truncated(what))?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn string(&mut self, what: &'static str) -> Result<Arc<str>, FormatError> {
        self.nullable_string(what)?.ok_or(FormatError::Null(what))
    }

    pub fn nullable_string(&mut self, what: &'static str) -> Result<Option<Arc<str>>, FormatError> {
        let length = self.i16(what)?;
        match usize::try_from(length) {
            Ok(length) => utf8(self.take(length, what)?, what).map(Some),
            Err(_) => Ok(None),
        }
    }

    pub fn bytes(&mut self, what: &'static str) -> Result<&'a [u8], FormatError> {
        let length = self.i32(what)?;
        self.take(usize::try_from(length).map_err(|_| FormatError::Null(what))?, what)
    }

    pub fn unsigned_varint(&mut self, what: &'static str) -> Result<u32, FormatError> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.0.try_get_u8().map_err(|_| FormatError::Truncated(what))?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(FormatError::Truncated(what))
    }

    pub fn compact_string(&mut self, what: &'static str) -> Result<Arc<str>, FormatError> {
        let length = self.unsigned_varint(what)?.checked_sub(1).ok_or(FormatError::Null(what))?;
        utf8(self.take(length as usize, what)?, what)
    }

    /// The tagged fields that end a flexible structure: hands each to `each`.
    pub fn tagged_fields(&mut self, mut each: impl FnMut(u32, &'a [u8])) -> Result<(), FormatError> {
        for _ in 0..self.unsigned_varint("the number of tagged fields")? {
            let tag = self.unsigned_varint("a tag")?;
            let length = self.unsigned_varint("a tagged field's length")?;
            each(tag, self.take(length as usize, "a tagged field")?);
        }
        Ok(())
    }
}

fn utf8(bytes: &[u8], what: &'static str) -> Result<Arc<str>, FormatError> {
    std::str::from_utf8(bytes).map(Arc::from).map_err(|_| FormatError::NotUtf8(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Owned = (i64, Option<i64>, Vec<u8>, Option<Vec<u8>>);

    fn decoded(batches: &[u8]) -> Vec<Owned> {
        let mut out = Vec::new();
        let result = decode_batches(batches, &mut |replayed| match replayed {
            Replayed::Record { offset, transaction, key, value } => {
                out.push((offset, transaction, key.to_vec(), value.map(<[u8]>::to_vec)));
            }
            Replayed::Marker { .. } => panic!("no marker was written"),
        });
        assert_eq!(result, Ok(()));
        out
    }

    proptest! {
        #[test]
        fn a_batch_comes_back_and_keeps_its_bound(
            records in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..200), prop::option::of(prop::collection::vec(any::<u8>(), 0..300))), 1..50)
        ) {
            let records: Vec<CoordinatorRecord> = records
                .into_iter()
                .map(|(key, value)| CoordinatorRecord { key: key.into(), value: value.map(Bytes::from) })
                .collect();
            let batch = encode_batch(&records, 1234, Compression::None).unwrap();
            let bound = batch_size_bound_bytes(records.iter().map(CoordinatorRecord::size_bound_bytes).sum());
            prop_assert!(batch.len() <= bound);
            let expected: Vec<Owned> = (0i64..)
                .zip(&records)
                .map(|(offset, r)| (offset, None, r.key.to_vec(), r.value.as_ref().map(|v| v.to_vec())))
                .collect();
            prop_assert_eq!(decoded(&batch), expected.clone());
            for codec in Compression::ALL {
                prop_assert_eq!(decoded(&encode_batch(&records, 1234, codec).unwrap()), expected.clone());
            }
        }

        #[test]
        fn bytes_from_anywhere_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode_batches(&bytes, &mut |_| ());
            let mut reader = Reader(&bytes);
            let _ = reader.string("s");
            let _ = reader.compact_string("c");
            let _ = reader.bytes("b");
            let _ = reader.tagged_fields(|_, _| ());
        }
    }

    #[test]
    fn kafka_protocol_reads_our_batches() {
        let records = [
            CoordinatorRecord { key: Bytes::from_static(b"k1"), value: Some(Bytes::from_static(b"v1")) },
            CoordinatorRecord { key: Bytes::from_static(b"k2"), value: None },
        ];
        let mut batch = encode_batch(&records, 99, Compression::None).unwrap();
        let set = kafka_protocol::records::RecordBatchDecoder::decode(&mut batch).unwrap();
        let read: Vec<_> =
            set.records.iter().map(|r| (r.offset, r.timestamp, r.key.clone(), r.value.clone())).collect();
        assert_eq!(
            read,
            vec![
                (0, 99, Some(Bytes::from_static(b"k1")), Some(Bytes::from_static(b"v1"))),
                (1, 99, Some(Bytes::from_static(b"k2")), None)
            ]
        );
    }

    #[test]
    fn a_flipped_byte_is_an_error() {
        let record = CoordinatorRecord { key: Bytes::from_static(b"key"), value: Some(Bytes::from_static(b"value")) };
        let mut batch = encode_batch(&[record], 1, Compression::None).unwrap().to_vec();
        let last = batch.len() - 1;
        batch[last] ^= 1;
        assert!(matches!(decode_batches(&batch, &mut |_| ()), Err(BatchError::Checksum { .. })));
    }
}
