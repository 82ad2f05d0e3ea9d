//! The v2 record batch header (KIP-98): reading it, patching it in place, and cutting a buffer into batches.
//!
//! ```text
//!   0 base offset i64 ·  8 length i32 · 12 leader epoch i32 · 16 magic i8 · 17 CRC-32C u32 (of all that follows it)
//!  21 attributes i16 · 23 last offset delta i32 · 27 base timestamp i64 · 35 max timestamp i64
//!  43 producer id i64 · 51 producer epoch i16 · 53 base sequence i32 · 57 record count i32 · 61 records
//! ```
//!
//! Base offset and leader epoch lie before the checksummed part, so a leader sets them without touching the checksum.
//! Never looks at the records themselves: `records` does.

use super::batch_error::BatchError;
use super::compression::Compression;
use crate::types::limits::RECORD_BATCH_HEADER_BYTES;

/// Base offset and length: what comes before the bytes that `length` counts.
pub const LOG_OVERHEAD_BYTES: usize = 12;
/// The only magic that Kafka 4 takes from producers.
pub const MAGIC_V2: i8 = 2;
/// "No timestamp" in a batch's or record's timestamp.
pub const NO_TIMESTAMP: i64 = -1;
/// "No producer" in a batch's producer id.
pub const NO_PRODUCER_ID: i64 = -1;
/// "No sequence" in a batch's base sequence.
pub const NO_SEQUENCE: i32 = -1;

/// The least `length` that Kafka cuts a batch by: a v0 message's overhead.
const LEAST_LENGTH: i32 = 14;
const CRC_AT: usize = 17;
/// Where the checksummed part begins.
const ATTRIBUTES_AT: usize = 21;

const COMPRESSION_MASK: i16 = 0x07;
const TIMESTAMP_TYPE_FLAG: i16 = 0x08;
const TRANSACTIONAL_FLAG: i16 = 0x10;
const CONTROL_FLAG: i16 = 0x20;
const DELETE_HORIZON_FLAG: i16 = 0x40;

/// Whose clock a batch's timestamps come from (`message.timestamp.type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum TimestampType {
    #[default]
    CreateTime,
    LogAppendTime,
}

/// A batch's attributes. Unknown bits are kept as they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    pub fn new(compression: Compression, timestamp_type: TimestampType) -> Self {
        Self(i16::from(compression.id())).with_timestamp_type(timestamp_type)
    }

    pub fn compression_id(self) -> u8 {
        (self.0 & COMPRESSION_MASK) as u8
    }

    /// Errors: [`BatchError::UnknownCompression`] for the ids 5 to 7.
    pub fn compression(self) -> Result<Compression, BatchError> {
        Compression::from_id(self.compression_id()).ok_or(BatchError::UnknownCompression(self.compression_id()))
    }

    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & TIMESTAMP_TYPE_FLAG == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime }
    }

    pub fn is_transactional(self) -> bool {
        self.0 & TRANSACTIONAL_FLAG != 0
    }

    pub fn is_control(self) -> bool {
        self.0 & CONTROL_FLAG != 0
    }

    /// The base timestamp is the time at which the batch's tombstones and markers may go (KIP-534).
    pub fn has_delete_horizon(self) -> bool {
        self.0 & DELETE_HORIZON_FLAG != 0
    }

    pub fn with_timestamp_type(self, timestamp_type: TimestampType) -> Self {
        self.with(TIMESTAMP_TYPE_FLAG, timestamp_type == TimestampType::LogAppendTime)
    }

    pub fn with_transactional(self, on: bool) -> Self {
        self.with(TRANSACTIONAL_FLAG, on)
    }

    pub fn with_control(self, on: bool) -> Self {
        self.with(CONTROL_FLAG, on)
    }

    fn with(self, flag: i16, on: bool) -> Self {
        Self(if on { self.0 | flag } else { self.0 & !flag })
    }

    /// Only the bits that mean something.
    fn known(self) -> Self {
        Self(
            self.0 & (COMPRESSION_MASK | TIMESTAMP_TYPE_FLAG | TRANSACTIONAL_FLAG | CONTROL_FLAG | DELETE_HORIZON_FLAG),
        )
    }
}

/// A batch header's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: i64,
    /// Bytes after the length field. Never below [`BatchHeader::parse`]'s bound.
    pub length: i32,
    pub leader_epoch: i32,
    pub magic: i8,
    pub crc: u32,
    pub attributes: Attributes,
    pub last_offset_delta: i32,
    pub base_timestamp_ms: i64,
    pub max_timestamp_ms: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub record_count: i32,
}

type HeaderBytes = [u8; RECORD_BATCH_HEADER_BYTES];

/// `N` bytes at a place that the compiler knows to lie within a header.
fn at<const AT: usize, const N: usize>(bytes: &HeaderBytes) -> [u8; N] {
    const { assert!(AT + N <= RECORD_BATCH_HEADER_BYTES) };
    let mut out = [0; N];
    out.copy_from_slice(&bytes[AT..AT + N]);
    out
}

fn put<const AT: usize, const N: usize>(bytes: &mut HeaderBytes, value: [u8; N]) {
    const { assert!(AT + N <= RECORD_BATCH_HEADER_BYTES) };
    bytes[AT..AT + N].copy_from_slice(&value);
}

impl BatchHeader {
    /// Reads a header. `bytes` may end anywhere after it: whether the whole batch is there is [`BatchView`]'s question.
    /// Errors: [`BatchError::Truncated`], [`BatchError::Length`], [`BatchError::OldMagic`], [`BatchError::UnknownMagic`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let size = batch_size(bytes)?;
        let Some(header) = bytes.first_chunk::<RECORD_BATCH_HEADER_BYTES>() else {
            return Err(BatchError::Truncated { size: size.max(RECORD_BATCH_HEADER_BYTES), have: bytes.len() });
        };
        let magic = i8::from_be_bytes(at::<16, 1>(header));
        if magic != MAGIC_V2 {
            return Err(BatchError::OldMagic(magic));
        }
        let length = i32::from_be_bytes(at::<8, 4>(header));
        if size < RECORD_BATCH_HEADER_BYTES {
            let least = (RECORD_BATCH_HEADER_BYTES - LOG_OVERHEAD_BYTES) as i32;
            return Err(BatchError::Length { length, least });
        }
        Ok(Self {
            base_offset: i64::from_be_bytes(at::<0, 8>(header)),
            length,
            leader_epoch: i32::from_be_bytes(at::<12, 4>(header)),
            magic,
            crc: u32::from_be_bytes(at::<CRC_AT, 4>(header)),
            attributes: Attributes(i16::from_be_bytes(at::<ATTRIBUTES_AT, 2>(header))),
            last_offset_delta: i32::from_be_bytes(at::<23, 4>(header)),
            base_timestamp_ms: i64::from_be_bytes(at::<27, 8>(header)),
            max_timestamp_ms: i64::from_be_bytes(at::<35, 8>(header)),
            producer_id: i64::from_be_bytes(at::<43, 8>(header)),
            producer_epoch: i16::from_be_bytes(at::<51, 2>(header)),
            base_sequence: i32::from_be_bytes(at::<53, 4>(header)),
            record_count: i32::from_be_bytes(at::<57, 4>(header)),
        })
    }

    /// The header's bytes, checksum as it stands in `crc`.
    pub fn to_bytes(&self) -> [u8; RECORD_BATCH_HEADER_BYTES] {
        let mut out = [0; RECORD_BATCH_HEADER_BYTES];
        put::<0, 8>(&mut out, self.base_offset.to_be_bytes());
        put::<8, 4>(&mut out, self.length.to_be_bytes());
        put::<12, 4>(&mut out, self.leader_epoch.to_be_bytes());
        put::<16, 1>(&mut out, self.magic.to_be_bytes());
        put::<CRC_AT, 4>(&mut out, self.crc.to_be_bytes());
        put::<ATTRIBUTES_AT, 2>(&mut out, self.attributes.0.to_be_bytes());
        put::<23, 4>(&mut out, self.last_offset_delta.to_be_bytes());
        put::<27, 8>(&mut out, self.base_timestamp_ms.to_be_bytes());
        put::<35, 8>(&mut out, self.max_timestamp_ms.to_be_bytes());
        put::<43, 8>(&mut out, self.producer_id.to_be_bytes());
        put::<51, 2>(&mut out, self.producer_epoch.to_be_bytes());
        put::<53, 4>(&mut out, self.base_sequence.to_be_bytes());
        put::<57, 4>(&mut out, self.record_count.to_be_bytes());
        out
    }

    /// The whole batch's bytes, header included.
    pub fn size_bytes(&self) -> usize {
        LOG_OVERHEAD_BYTES + usize::try_from(self.length).unwrap_or(0)
    }

    pub fn last_offset(&self) -> i64 {
        self.base_offset.wrapping_add(i64::from(self.last_offset_delta))
    }

    pub fn has_producer_id(&self) -> bool {
        self.producer_id > NO_PRODUCER_ID
    }

    /// Sequence of the last record; sequences wrap from `i32::MAX` to 0.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence == NO_SEQUENCE {
            NO_SEQUENCE
        } else {
            add_sequence(self.base_sequence, self.last_offset_delta)
        }
    }

    pub fn timestamp_type(&self) -> TimestampType {
        self.attributes.timestamp_type()
    }

    /// When the batch's tombstones and markers may go, once the cleaner has set it (KIP-534).
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        self.attributes.has_delete_horizon().then_some(self.base_timestamp_ms)
    }
}

/// `sequence + increment`, wrapping from `i32::MAX` to 0.
pub fn add_sequence(sequence: i32, increment: i32) -> i32 {
    (sequence.wrapping_add(increment)) & i32::MAX
}

/// The size in bytes of the batch (of any magic) that `bytes` begins with, by Kafka's rules for cutting a buffer.
fn batch_size(bytes: &[u8]) -> Result<usize, BatchError> {
    let Some(&[.., l0, l1, l2, l3]) = bytes.first_chunk::<LOG_OVERHEAD_BYTES>() else {
        return Err(BatchError::Truncated { size: RECORD_BATCH_HEADER_BYTES, have: bytes.len() });
    };
    let length = i32::from_be_bytes([l0, l1, l2, l3]);
    if length < LEAST_LENGTH {
        return Err(BatchError::Length { length, least: LEAST_LENGTH });
    }
    let size = LOG_OVERHEAD_BYTES + usize::try_from(length).unwrap_or(0);
    match bytes.get(16) {
        None => Err(BatchError::Truncated { size, have: bytes.len() }),
        Some(&magic) if magic > MAGIC_V2 as u8 => Err(BatchError::UnknownMagic(magic as i8)),
        Some(_) => Ok(size),
    }
}

/// One whole batch within a buffer.
#[derive(Clone, Copy, Debug)]
pub struct BatchView<'a> {
    pub header: BatchHeader,
    /// The batch, header included.
    pub bytes: &'a [u8],
    /// Where it begins in the buffer.
    pub position: usize,
}

impl<'a> BatchView<'a> {
    /// The batch that `bytes` begins with.
    /// Errors: as [`BatchHeader::parse`], and [`BatchError::Truncated`] when its end is not there.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        let size = header.size_bytes();
        match bytes.get(..size) {
            Some(whole) => Ok(Self { header, bytes: whole, position: 0 }),
            None => Err(BatchError::Truncated { size, have: bytes.len() }),
        }
    }

    /// What follows the header: records, compressed as the attributes say.
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(RECORD_BATCH_HEADER_BYTES..).unwrap_or(&[])
    }

    pub fn computed_crc(&self) -> u32 {
        crc32c::crc32c(self.bytes.get(ATTRIBUTES_AT..).unwrap_or(&[]))
    }

    /// Errors: [`BatchError::Checksum`].
    pub fn check_crc(&self) -> Result<(), BatchError> {
        let computed = self.computed_crc();
        if computed == self.header.crc {
            Ok(())
        } else {
            Err(BatchError::Checksum { stored: self.header.crc, computed })
        }
    }
}

/// The batches of a buffer, one after the other. After an error there is nothing more.
/// A last batch that is cut short comes out as [`BatchError::Truncated`].
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Batches<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<BatchView<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.position..).filter(|rest| !rest.is_empty())?;
        match BatchView::parse(rest) {
            Ok(mut view) => {
                view.position = self.position;
                self.position += view.bytes.len();
                Some(Ok(view))
            }
            Err(error) => {
                self.position = self.bytes.len();
                Some(Err(error))
            }
        }
    }
}

/// A whole batch whose header can be changed in place.
#[derive(Debug)]
pub struct BatchMut<'a> {
    /// The header's bytes lie in the first 61, which [`BatchMut::new`] has seen.
    bytes: &'a mut [u8],
    header: BatchHeader,
}

impl<'a> BatchMut<'a> {
    /// The batch that `bytes` begins with. Errors: as [`BatchView::parse`].
    pub fn new(bytes: &'a mut [u8]) -> Result<Self, BatchError> {
        let view = BatchView::parse(bytes)?;
        let (header, size) = (view.header, view.bytes.len());
        let have = bytes.len();
        match bytes.get_mut(..size) {
            Some(bytes) => Ok(Self { bytes, header }),
            None => Err(BatchError::Truncated { size, have }),
        }
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Sets the base offset. The checksum does not cover it.
    pub fn set_base_offset(&mut self, base_offset: i64) {
        self.header.base_offset = base_offset;
        self.store();
    }

    /// Sets the partition leader epoch. The checksum does not cover it.
    pub fn set_leader_epoch(&mut self, leader_epoch: i32) {
        self.header.leader_epoch = leader_epoch;
        self.store();
    }

    /// What a leader stamps: offset and epoch always; type and largest timestamp, with a new checksum over the whole batch, only where they differ.
    pub fn assign(
        &mut self,
        base_offset: i64,
        leader_epoch: i32,
        timestamp_type: TimestampType,
        max_timestamp_ms: i64,
    ) {
        self.header.base_offset = base_offset;
        self.header.leader_epoch = leader_epoch;
        let same = self.header.timestamp_type() == timestamp_type && self.header.max_timestamp_ms == max_timestamp_ms;
        if !same {
            self.header.attributes = self.header.attributes.known().with_timestamp_type(timestamp_type);
            self.header.max_timestamp_ms = max_timestamp_ms;
        }
        self.store();
        if !same {
            self.recompute_crc();
        }
    }

    /// Replaces the header (its length must stay) and computes the checksum anew.
    pub fn set_header(&mut self, header: BatchHeader) {
        self.header = BatchHeader { length: self.header.length, magic: MAGIC_V2, ..header };
        self.store();
        self.recompute_crc();
    }

    fn recompute_crc(&mut self) {
        self.header.crc = crc32c::crc32c(self.bytes.get(ATTRIBUTES_AT..).unwrap_or(&[]));
        self.store();
    }

    fn store(&mut self) {
        if let Some(place) = self.bytes.first_chunk_mut::<RECORD_BATCH_HEADER_BYTES>() {
            *place = self.header.to_bytes();
        }
    }
}
