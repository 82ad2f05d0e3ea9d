//! The bytes of a record file: headers, checksums and where they lie. Pure: knows no file system and no index.
//!
//! ```text
//! file    [file header 4 KiB] [group] [group] ... zeros where nothing was written yet
//! group   [group header 64 B] [directory] [run] [run] ... padding to 4 KiB; one write, never written again
//! directory   [entry header 56 B] [state rows] for each change; a run follows later for each append, in the same order
//! ```
//!
//! The directory stands before the runs so that a start reads no runs that were synced.
//!
//! Every checksum is CRC-32C over the bytes, started from the file's salt and the position, so a stale, moved or client-made copy does not pass.
//! A group repeats the checksum of the one before it and has the next sequence number, across files: a missing piece shows.

use uuid::Uuid;

use super::io::BLOCK_BYTES;
use super::keys::state_kind;
use super::{LocalId, StateRow};
use crate::types::LeaderEpoch;
use bytes::Bytes;

pub(super) const FILE_HEADER_BYTES: usize = BLOCK_BYTES;
pub(super) const GROUP_HEADER_BYTES: usize = 64;
pub(super) const ENTRY_HEADER_BYTES: usize = 56;

const FILE_MAGIC: &[u8; 8] = b"OTTLAREC";
const FILE_VERSION: u32 = 1;
const GROUP_MAGIC: [u8; 4] = *b"oGRP";
/// Fills a group's last block. Not zero: zeros are what was never written.
pub(super) const PADDING: u8 = 0xA5;
const FILE_HEADER_USED_BYTES: usize = 48;
/// Bytes of a row before its key: kind, key length, whether there is a value, value length.
const ROW_HEADER_BYTES: usize = 8;

const _: () = assert!(FILE_HEADER_USED_BYTES <= FILE_HEADER_BYTES);
const _: () = assert!(GROUP_HEADER_BYTES < BLOCK_BYTES);

/// What checksums start from in one file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Seed {
    pub file_id: u64,
    pub salt: u64,
}

impl Seed {
    /// The checksum of bytes that begin at `position`, so far over none.
    pub(super) fn start(self, position: u64) -> u32 {
        let mut place = [0; 24];
        let (file_id, rest) = place.split_at_mut(8);
        let (salt, at) = rest.split_at_mut(8);
        file_id.copy_from_slice(&self.file_id.to_le_bytes());
        salt.copy_from_slice(&self.salt.to_le_bytes());
        at.copy_from_slice(&position.to_le_bytes());
        crc32c::crc32c(&place)
    }

    pub(super) fn checksum(self, position: u64, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(self.start(position), bytes)
    }
}

pub(super) fn file_name(file_id: u64) -> String {
    format!("{file_id}.rec")
}

/// The id in a record file's name; `None` for other names.
pub(super) fn file_id_of(name: &str) -> Option<u64> {
    let id = name.strip_suffix(".rec")?.parse().ok()?;
    (file_name(id) == name).then_some(id)
}

/// Bytes rounded up to whole blocks.
pub(super) fn padded(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK_BYTES as u64)
}

/// First block of a record file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FileHeader {
    pub store_id: Uuid,
    pub seed: Seed,
}

impl FileHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FILE_HEADER_BYTES);
        out.extend_from_slice(FILE_MAGIC);
        out.extend_from_slice(&FILE_VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(self.store_id.as_bytes());
        out.extend_from_slice(&self.seed.file_id.to_le_bytes());
        out.extend_from_slice(&self.seed.salt.to_le_bytes());
        out.resize(FILE_HEADER_BYTES - 4, PADDING);
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Says what is wrong with a header that does not decode.
    pub(super) fn decode(block: &[u8]) -> Result<Self, String> {
        let mut fields = Fields(block);
        if block.len() != FILE_HEADER_BYTES || fields.take() != Some(*FILE_MAGIC) {
            return Err("no record file header".into());
        }
        let version = fields.u32();
        let (body, crc) = block.split_at(FILE_HEADER_BYTES - 4);
        if crc32c::crc32c(body).to_le_bytes() != crc {
            return Err("the file header's checksum is wrong".into());
        }
        if version != Some(FILE_VERSION) {
            return Err(format!("record file format {version:?}, this version reads {FILE_VERSION}"));
        }
        fields.u32();
        match (fields.take(), fields.u64(), fields.u64()) {
            (Some(store_id), Some(file_id), Some(salt)) => {
                Ok(FileHeader { store_id: Uuid::from_bytes(store_id), seed: Seed { file_id, salt } })
            }
            _ => Err("a short file header".into()),
        }
    }
}

/// Before the entries of one write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct GroupHeader {
    /// One more than the group before, in whatever file that is.
    pub sequence: u64,
    /// Groups up to this sequence number were on stable storage when this one was made. Tells a torn end from damage.
    pub synced_through: u64,
    pub directory_bytes: u32,
    /// Over the directory, from its own position.
    pub directory_crc: u32,
    /// Bytes of all runs.
    pub runs_bytes: u64,
    pub entry_count: u32,
    /// The group before's header checksum.
    pub previous_crc: u32,
}

impl GroupHeader {
    pub(super) fn encode(&self, seed: Seed, position: u64) -> [u8; GROUP_HEADER_BYTES] {
        let mut out = [0; GROUP_HEADER_BYTES];
        let mut fields = FieldsMut { out: &mut out, at: 0 };
        fields.put(&GROUP_MAGIC);
        fields.put(&[0; 4]);
        fields.put(&self.sequence.to_le_bytes());
        fields.put(&self.synced_through.to_le_bytes());
        fields.put(&self.directory_bytes.to_le_bytes());
        fields.put(&self.directory_crc.to_le_bytes());
        fields.put(&self.runs_bytes.to_le_bytes());
        fields.put(&self.entry_count.to_le_bytes());
        fields.put(&self.previous_crc.to_le_bytes());
        fields.put(&position.to_le_bytes());
        let crc = seed.checksum(position, &out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The header at the front of `bytes`, with its checksum; `None` when there is no valid one for this file and position.
    pub(super) fn decode(bytes: &[u8], seed: Seed, position: u64) -> Option<(Self, u32)> {
        let bytes = bytes.get(..GROUP_HEADER_BYTES)?;
        let mut fields = Fields(bytes);
        if fields.take() != Some(GROUP_MAGIC) {
            return None;
        }
        let crc = fields.u32()?;
        if seed.checksum(position, bytes.get(8..)?) != crc {
            return None;
        }
        let header = GroupHeader {
            sequence: fields.u64()?,
            synced_through: fields.u64()?,
            directory_bytes: fields.u32()?,
            directory_crc: fields.u32()?,
            runs_bytes: fields.u64()?,
            entry_count: fields.u32()?,
            previous_crc: fields.u32()?,
        };
        (fields.u64()? == position).then_some((header, crc))
    }

    /// Where the directory of a group at `position` begins.
    pub(super) fn directory_position(position: u64) -> u64 {
        position + GROUP_HEADER_BYTES as u64
    }

    /// Where the first run of a group at `position` begins.
    pub(super) fn runs_position(&self, position: u64) -> u64 {
        Self::directory_position(position) + u64::from(self.directory_bytes)
    }

    /// Where the padding of a group at `position` begins; `None` when that is nowhere a file reaches.
    pub(super) fn used_end(&self, position: u64) -> Option<u64> {
        self.runs_position(position).checked_add(self.runs_bytes).filter(|end| *end < u64::MAX / 2)
    }
}

/// What an entry does. The byte is stored: append only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum EntryKind {
    Append = 1,
    Create = 2,
    Truncate = 3,
    SetLogStart = 4,
    State = 5,
    Delete = 6,
}

impl EntryKind {
    fn of(byte: u8) -> Option<Self> {
        use EntryKind::*;
        [Append, Create, Truncate, SetLogStart, State, Delete].into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// One change of a group; its rows follow. The group's checksums cover it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct EntryHeader {
    pub kind: EntryKind,
    pub local_id: LocalId,
    /// An append's base offset, which is the partition's end offset before it; the offset of a truncation or a start move; half a new partition's topic
    /// id, as is the next.
    pub base_offset: i64,
    pub last_offset: i64,
    pub max_timestamp_ms: i64,
    /// Of an append; a new partition's number.
    pub leader_epoch: LeaderEpoch,
    pub row_count: u32,
    pub rows_bytes: u32,
    pub run_bytes: u32,
    /// Over the run, from its own position.
    pub run_crc: u32,
}

impl EntryHeader {
    pub(super) fn encode(&self) -> [u8; ENTRY_HEADER_BYTES] {
        let mut out = [0; ENTRY_HEADER_BYTES];
        let mut fields = FieldsMut { out: &mut out, at: 0 };
        fields.put(&[self.kind as u8, 0, 0, 0]);
        fields.put(&self.row_count.to_le_bytes());
        fields.put(&self.local_id.0.to_le_bytes());
        fields.put(&self.base_offset.to_le_bytes());
        fields.put(&self.last_offset.to_le_bytes());
        fields.put(&self.max_timestamp_ms.to_le_bytes());
        fields.put(&self.leader_epoch.to_le_bytes());
        fields.put(&self.rows_bytes.to_le_bytes());
        fields.put(&self.run_bytes.to_le_bytes());
        fields.put(&self.run_crc.to_le_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes.get(..ENTRY_HEADER_BYTES)?);
        let [kind, 0, 0, 0] = fields.take()? else { return None };
        Some(EntryHeader {
            kind: EntryKind::of(kind)?,
            row_count: fields.u32()?,
            local_id: LocalId(fields.u64()?),
            base_offset: fields.u64()? as i64,
            last_offset: fields.u64()? as i64,
            max_timestamp_ms: fields.u64()? as i64,
            leader_epoch: fields.u32()? as i32,
            rows_bytes: fields.u32()?,
            run_bytes: fields.u32()?,
            run_crc: fields.u32()?,
        })
    }
}

/// Bytes of a row as stored.
pub(super) fn row_bytes(row: &StateRow) -> usize {
    ROW_HEADER_BYTES + row.key.len() + row.value.as_ref().map_or(0, Bytes::len)
}

pub(super) fn encode_row(row: &StateRow, out: &mut Vec<u8>) {
    out.extend_from_slice(&[row.kind as u8, u8::from(row.value.is_some())]);
    out.extend_from_slice(&(row.key.len() as u16).to_le_bytes());
    out.extend_from_slice(&(row.value.as_ref().map_or(0, Bytes::len) as u32).to_le_bytes());
    out.extend_from_slice(&row.key);
    if let Some(value) = &row.value {
        out.extend_from_slice(value);
    }
}

/// Rows as stored; `None` when the bytes are not `count` whole rows.
pub(super) fn decode_rows(mut bytes: Bytes, count: u32) -> Option<Vec<StateRow>> {
    let mut rows = Vec::with_capacity((count as usize).min(bytes.len() / ROW_HEADER_BYTES));
    for _ in 0..count {
        let mut fields = Fields(&bytes);
        let [kind, has_value] = fields.take()?;
        let key_bytes = usize::from(u16::from_le_bytes(fields.take()?));
        let value_bytes = fields.u32()? as usize;
        if bytes.len() < ROW_HEADER_BYTES + key_bytes + value_bytes {
            return None;
        }
        let mut row = bytes.split_to(ROW_HEADER_BYTES + key_bytes + value_bytes).split_off(ROW_HEADER_BYTES);
        let key = row.split_to(key_bytes);
        rows.push(StateRow {
            kind: state_kind(kind)?,
            key,
            value: match has_value {
                0 if row.is_empty() => None,
                1 => Some(row),
                _ => return None,
            },
        });
    }
    bytes.is_empty().then_some(rows)
}

/// Little-endian fields taken from the front.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

/// Fields put one behind the other.
struct FieldsMut<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl FieldsMut<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StateKind;

    const SEED: Seed = Seed { file_id: 3, salt: 0x1234_5678_9ABC_DEF0 };

    fn entry() -> EntryHeader {
        EntryHeader {
            kind: EntryKind::Append,
            local_id: LocalId(7),
            base_offset: 10,
            last_offset: 19,
            max_timestamp_ms: -1,
            leader_epoch: 4,
            row_count: 1,
            rows_bytes: 20,
            run_bytes: 100,
            run_crc: 5,
        }
    }

    #[test]
    fn headers_come_back_and_any_flipped_bit_is_seen() {
        let group = GroupHeader {
            sequence: 9,
            synced_through: 7,
            directory_bytes: 120,
            directory_crc: 5,
            runs_bytes: 4000,
            entry_count: 2,
            previous_crc: 0xABCD,
        };
        let bytes = group.encode(SEED, 8192);
        assert_eq!(GroupHeader::decode(&bytes, SEED, 8192).map(|(header, _)| header), Some(group));
        assert_eq!(GroupHeader::decode(&bytes, SEED, 4096), None);
        assert_eq!(GroupHeader::decode(&bytes, Seed { salt: 1, ..SEED }, 8192), None);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(GroupHeader::decode(&flipped, SEED, 8192), None, "bit {bit}");
        }
        let bytes = entry().encode();
        assert_eq!(EntryHeader::decode(&bytes), Some(entry()));
        assert_eq!(EntryHeader::decode(&bytes[1..]), None);
    }

    #[test]
    fn a_file_header_comes_back_and_damage_is_named() {
        let header = FileHeader { store_id: Uuid::from_u128(5), seed: SEED };
        let block = header.encode();
        assert_eq!(block.len(), FILE_HEADER_BYTES);
        assert_eq!(FileHeader::decode(&block), Ok(header));
        for at in [0, 9, 20, 40, 4000, 4095] {
            let mut damaged = block.clone();
            damaged[at] ^= 1;
            assert!(FileHeader::decode(&damaged).is_err(), "byte {at}");
        }
        assert!(FileHeader::decode(&[0; FILE_HEADER_BYTES]).is_err());
        assert!(FileHeader::decode(&[]).is_err());
    }

    #[test]
    fn rows_come_back_and_short_ones_do_not() {
        let rows = [
            StateRow {
                kind: StateKind::Producer,
                key: Bytes::from_static(b"k"),
                value: Some(Bytes::from_static(b"v")),
            },
            StateRow { kind: StateKind::LeaderEpoch, key: Bytes::new(), value: None },
            StateRow { kind: StateKind::Partition, key: Bytes::from_static(b"e"), value: Some(Bytes::new()) },
        ];
        let mut bytes = Vec::new();
        rows.iter().for_each(|row| encode_row(row, &mut bytes));
        assert_eq!(bytes.len(), rows.iter().map(row_bytes).sum::<usize>());
        assert_eq!(decode_rows(Bytes::from(bytes.clone()), 3).as_deref(), Some(&rows[..]));
        assert_eq!(decode_rows(Bytes::from(bytes.clone()), 2), None);
        for length in 0..bytes.len() {
            assert_eq!(decode_rows(Bytes::copy_from_slice(&bytes[..length]), 3), None);
        }
    }

    #[test]
    fn only_our_own_names_are_record_files() {
        assert_eq!(file_id_of("12.rec"), Some(12));
        for other in ["012.rec", "12.rec.tmp", "-1.rec", "+1.rec", ".rec", "12", "direct-io.probe"] {
            assert_eq!(file_id_of(other), None, "{other}");
        }
    }
}
