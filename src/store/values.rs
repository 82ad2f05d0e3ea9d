//! Values of the index: a version byte, then varints. Bytes that are not understood are an error, never a guess.

use uuid::Uuid;

use super::{LocalId, RunInfo};
use crate::types::TopicIdPartition;

/// Stored bytes that this version does not understand.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what} in the index: {bytes}")]
pub(super) struct Malformed {
    what: &'static str,
    bytes: String,
}

impl Malformed {
    pub(super) fn key(bytes: &[u8]) -> Self {
        Malformed { what: "unknown key", bytes: hex(bytes) }
    }

    pub(super) fn value(what: &'static str, bytes: &[u8]) -> Self {
        Malformed { what, bytes: hex(bytes) }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(80).map(|byte| format!("{byte:02x}")).collect()
}

/// First byte of every value. A newer format gets a number of its own.
const VERSION: u8 = 1;
/// Of run and partition rows that tell the largest timestamp so far. Rows of the version before are read as [`UNKNOWN_TIMESTAMP`].
const TIMED_VERSION: u8 = 2;

/// Larger than any timestamp: what rows say that do not know better, so that nobody takes an answer from them.
pub(super) const UNKNOWN_TIMESTAMP: i64 = i64::MAX;
/// Smaller than any: of a partition without runs.
pub(super) const NO_TIMESTAMP: i64 = i64::MIN;

/// Up to where the record files are indexed: what [`super::recovery`] walks from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Position {
    pub file_id: u64,
    /// Where the next group would begin in that file.
    pub position: u64,
    /// The next group's sequence number.
    pub sequence: u64,
    /// The last group's header checksum, which the next group repeats.
    pub group_crc: u32,
    /// Local ids from here on were never given.
    pub next_local_id: u64,
}

/// A record file's row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FileValue {
    /// As in its header, which is read only for files without a row.
    pub salt: u64,
    /// Bytes of runs that a live or not yet reaped index row points at.
    pub live_bytes: u64,
    /// Bytes of all runs ever written to it.
    pub run_bytes: u64,
}

/// A partition's offsets and counters: small, copied, changed by the writer only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PartitionValue {
    pub id: TopicIdPartition,
    pub log_start_offset: i64,
    pub log_end_offset: i64,
    /// Bytes of all runs ever appended before the first live one (less what was truncated), and before the end. Their difference is the size.
    pub bytes_start: u64,
    pub bytes_end: u64,
    /// No index row of a run lies below this.
    pub reaped_offset: i64,
    /// [`RunValue::max_timestamp_so_far_ms`] of the last run.
    pub max_timestamp_so_far_ms: i64,
}

impl PartitionValue {
    pub(super) fn new(id: TopicIdPartition) -> Self {
        PartitionValue {
            id,
            log_start_offset: 0,
            log_end_offset: 0,
            bytes_start: 0,
            bytes_end: 0,
            reaped_offset: 0,
            max_timestamp_so_far_ms: NO_TIMESTAMP,
        }
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.bytes_end.saturating_sub(self.bytes_start)
    }
}

/// Where a run lies, by its key (partition, base offset).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RunValue {
    pub last_offset: i64,
    pub max_timestamp_ms: i64,
    pub file_id: u64,
    /// Of its batches in that file.
    pub position: u64,
    /// Of the batches.
    pub length_bytes: u32,
    /// Bytes of the partition's runs before this one, as [`PartitionValue::bytes_start`] file them.
    pub bytes_before: u64,
    /// Over the batches, as [`super::record_file::Seed`] makes it.
    pub crc: u32,
    /// The largest timestamp of this run and of those before it, dead ones perhaps among them: it never falls from run to run, so that a timestamp's run
    /// can be searched for by halves, whatever the order of the timestamps themselves.
    pub max_timestamp_so_far_ms: i64,
}

impl RunValue {
    pub(super) fn info(&self, base_offset: i64) -> RunInfo {
        RunInfo {
            base_offset,
            last_offset: self.last_offset,
            max_timestamp_ms: self.max_timestamp_ms,
            length_bytes: u64::from(self.length_bytes),
        }
    }
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads a value's bytes in order.
struct Reader<'a> {
    what: &'static str,
    whole: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn new(what: &'static str, whole: &'a [u8]) -> Result<Self, Malformed> {
        match whole.split_first() {
            Some((&VERSION, rest)) => Ok(Reader { what, whole, rest }),
            _ => Err(Malformed::value(what, whole)),
        }
    }

    /// For values that have had two formats: whether it is the one with the largest timestamp so far.
    fn timed(what: &'static str, whole: &'a [u8]) -> Result<(Self, bool), Malformed> {
        match whole.split_first() {
            Some((&VERSION, rest)) => Ok((Reader { what, whole, rest }, false)),
            Some((&TIMED_VERSION, rest)) => Ok((Reader { what, whole, rest }, true)),
            _ => Err(Malformed::value(what, whole)),
        }
    }

    fn timestamp(&mut self) -> Result<i64, Malformed> {
        let zigzag = self.varint()?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    fn error(&self) -> Malformed {
        Malformed::value(self.what, self.whole)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.error())?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| self.error())
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let bits = u64::from(byte & 0x7F);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(self.error())
    }

    fn offset(&mut self) -> Result<i64, Malformed> {
        i64::try_from(self.varint()?).map_err(|_| self.error())
    }

    fn finish<T>(self, value: T) -> Result<T, Malformed> {
        if self.rest.is_empty() { Ok(value) } else { Err(self.error()) }
    }
}

/// Zigzag: a timestamp may be negative (-1 for none).
fn put_timestamp(out: &mut Vec<u8>, timestamp_ms: i64) {
    put_varint(out, (timestamp_ms << 1 ^ timestamp_ms >> 63) as u64);
}

/// An offset as a varint. Stored offsets are never negative.
fn put_offset(out: &mut Vec<u8>, offset: i64) {
    put_varint(out, offset.max(0) as u64);
}

impl Position {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        for number in [self.file_id, self.position, self.sequence, u64::from(self.group_crc), self.next_local_id] {
            put_varint(&mut out, number);
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("malformed position", bytes)?;
        let value = Position {
            file_id: reader.varint()?,
            position: reader.varint()?,
            sequence: reader.varint()?,
            group_crc: reader.varint()?.try_into().map_err(|_| reader.error())?,
            next_local_id: reader.varint()?,
        };
        reader.finish(value)
    }
}

impl FileValue {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_varint(&mut out, self.salt);
        put_varint(&mut out, self.live_bytes);
        put_varint(&mut out, self.run_bytes);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("malformed record file row", bytes)?;
        let value = FileValue { salt: reader.varint()?, live_bytes: reader.varint()?, run_bytes: reader.varint()? };
        reader.finish(value)
    }
}

impl PartitionValue {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![TIMED_VERSION];
        out.extend_from_slice(self.id.topic_id.as_bytes());
        out.extend_from_slice(&self.id.partition.to_be_bytes());
        put_offset(&mut out, self.log_start_offset);
        put_offset(&mut out, self.log_end_offset);
        put_varint(&mut out, self.bytes_start);
        put_varint(&mut out, self.bytes_end);
        put_offset(&mut out, self.reaped_offset);
        put_timestamp(&mut out, self.max_timestamp_so_far_ms);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut reader, is_timed) = Reader::timed("malformed partition row", bytes)?;
        let topic_id = Uuid::from_bytes(reader.array()?);
        let partition = i32::from_be_bytes(reader.array()?);
        let value = PartitionValue {
            id: TopicIdPartition { topic_id, partition },
            log_start_offset: reader.offset()?,
            log_end_offset: reader.offset()?,
            bytes_start: reader.varint()?,
            bytes_end: reader.varint()?,
            reaped_offset: reader.offset()?,
            max_timestamp_so_far_ms: if is_timed { reader.timestamp()? } else { UNKNOWN_TIMESTAMP },
        };
        reader.finish(value)
    }
}

impl RunValue {
    /// Appends the encoded value to `out`.
    pub(super) fn encode_to(&self, base_offset: i64, out: &mut Vec<u8>) {
        out.push(TIMED_VERSION);
        put_varint(out, self.last_offset.wrapping_sub(base_offset) as u64);
        put_timestamp(out, self.max_timestamp_ms);
        put_varint(out, self.file_id);
        put_varint(out, self.position);
        put_varint(out, u64::from(self.length_bytes));
        put_varint(out, self.bytes_before);
        out.extend_from_slice(&self.crc.to_be_bytes());
        // One byte where timestamps rise.
        put_varint(out, self.max_timestamp_so_far_ms.wrapping_sub(self.max_timestamp_ms) as u64);
    }

    pub(super) fn decode(base_offset: i64, bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut reader, is_timed) = Reader::timed("malformed run row", bytes)?;
        let last_offset = base_offset.checked_add(reader.offset()?).ok_or_else(|| reader.error())?;
        let mut value = RunValue {
            last_offset,
            max_timestamp_ms: reader.timestamp()?,
            file_id: reader.varint()?,
            position: reader.varint()?,
            length_bytes: reader.varint()?.try_into().map_err(|_| reader.error())?,
            bytes_before: reader.varint()?,
            crc: u32::from_be_bytes(reader.array()?),
            max_timestamp_so_far_ms: UNKNOWN_TIMESTAMP,
        };
        if is_timed {
            value.max_timestamp_so_far_ms = value.max_timestamp_ms.wrapping_add(reader.varint()? as i64);
        }
        reader.finish(value)
    }
}

/// The value of a [`super::keys::MetaKey::Deleted`] row: where its runs may still begin.
pub(super) fn encode_deleted(_local_id: LocalId) -> Vec<u8> {
    vec![VERSION]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers() -> impl Strategy<Value = (u64, u64, i64, i64, u32)> {
        (any::<u64>(), any::<u64>(), 0..=i64::MAX, 0..=i64::MAX, any::<u32>())
    }

    proptest! {
        #[test]
        fn values_come_back(
            (a, b, base, delta, c) in numbers(),
            timestamp in any::<i64>(),
            topic in any::<u128>(),
            partition in any::<i32>(),
        ) {
            let position = Position { file_id: a, position: b, sequence: a ^ b, group_crc: c, next_local_id: b >> 3 };
            prop_assert_eq!(Position::decode(&position.encode()), Ok(position));
            let file = FileValue { salt: a ^ b, live_bytes: a, run_bytes: b };
            prop_assert_eq!(FileValue::decode(&file.encode()), Ok(file));
            let row = PartitionValue {
                id: TopicIdPartition { topic_id: Uuid::from_u128(topic), partition },
                log_start_offset: base,
                log_end_offset: delta,
                bytes_start: a,
                bytes_end: b,
                reaped_offset: base / 2,
                max_timestamp_so_far_ms: timestamp,
            };
            prop_assert_eq!(PartitionValue::decode(&row.encode()), Ok(row));
            let base = base / 2;
            let run = RunValue {
                last_offset: base + delta / 2,
                max_timestamp_ms: timestamp,
                file_id: a,
                position: b,
                length_bytes: c,
                bytes_before: a ^ b,
                crc: c,
                max_timestamp_so_far_ms: base,
            };
            let mut bytes = Vec::new();
            run.encode_to(base, &mut bytes);
            prop_assert_eq!(RunValue::decode(base, &bytes), Ok(run));
            // A row of the format before has no such number.
            let mut without = Vec::new();
            RunValue { max_timestamp_so_far_ms: timestamp, ..run }.encode_to(base, &mut without);
            prop_assert_eq!(without.pop(), Some(0));
            without[0] = VERSION;
            let unknown = RunValue { max_timestamp_so_far_ms: UNKNOWN_TIMESTAMP, ..run };
            prop_assert_eq!(RunValue::decode(base, &without), Ok(unknown));
        }

        #[test]
        fn any_bytes_as_a_value_are_an_error_or_a_value(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = (Position::decode(&bytes), FileValue::decode(&bytes), PartitionValue::decode(&bytes));
            if let Ok(run) = RunValue::decode(i64::MAX / 2, &bytes) {
                prop_assert!(run.last_offset >= i64::MAX / 2);
            }
        }
    }

    #[test]
    fn trailing_bytes_and_newer_versions_are_errors() {
        let mut bytes = FileValue { salt: 0, live_bytes: 1, run_bytes: 2 }.encode();
        bytes.push(0);
        assert!(FileValue::decode(&bytes).is_err());
        assert!(FileValue::decode(&[VERSION + 1, 0, 1, 2]).is_err());
        assert!(FileValue::decode(&[]).is_err());
    }
}
