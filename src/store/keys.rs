//! Keys of the index: big-endian, so that bytes sort as the numbers do. Kind bytes are append only.
//!
//! ```text
//! default  kind, number          the store's position, record files, partitions, deleted partitions whose runs are still listed
//! runs     local id, base offset
//! state    local id, kind, key
//! ```

use super::values::Malformed;
use super::{LocalId, STATE_KEY_MAX_BYTES, StateKind};

/// A key of the `default` family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum MetaKey {
    /// Up to where the record files are indexed.
    Position,
    RecordFile(u64),
    Partition(LocalId),
    /// A deleted partition whose runs and rows are not all removed yet.
    Deleted(LocalId),
}

/// Kind bytes of [`MetaKey`]. Append only.
#[repr(u8)]
#[derive(Clone, Copy)]
pub(super) enum MetaKind {
    Position = 1,
    RecordFile = 2,
    Partition = 3,
    Deleted = 4,
}

pub(super) const META_KEY_BYTES: usize = 9;
pub(super) const RUN_KEY_BYTES: usize = 16;
pub(super) const STATE_KEY_PREFIX_BYTES: usize = 9;

const _: () = assert!(META_KEY_BYTES == size_of::<MetaKind>() + size_of::<u64>());
const _: () = assert!(RUN_KEY_BYTES == size_of::<u64>() + size_of::<i64>());
const _: () = assert!(STATE_KEY_PREFIX_BYTES == size_of::<u64>() + size_of::<StateKind>());

impl MetaKey {
    pub(super) fn encode(self) -> [u8; META_KEY_BYTES] {
        let (kind, number) = match self {
            MetaKey::Position => (MetaKind::Position, 0),
            MetaKey::RecordFile(file_id) => (MetaKind::RecordFile, file_id),
            MetaKey::Partition(local_id) => (MetaKind::Partition, local_id.0),
            MetaKey::Deleted(local_id) => (MetaKind::Deleted, local_id.0),
        };
        let mut key = [kind as u8; META_KEY_BYTES];
        key[1..].copy_from_slice(&number.to_be_bytes());
        key
    }

    pub(super) fn decode(key: &[u8]) -> Result<Self, Malformed> {
        let Some((kind, number)) = key.split_first() else { return Err(Malformed::key(key)) };
        let number = u64::from_be_bytes(number.try_into().map_err(|_| Malformed::key(key))?);
        match *kind {
            kind if kind == MetaKind::Position as u8 && number == 0 => Ok(MetaKey::Position),
            kind if kind == MetaKind::RecordFile as u8 => Ok(MetaKey::RecordFile(number)),
            kind if kind == MetaKind::Partition as u8 => Ok(MetaKey::Partition(LocalId(number))),
            kind if kind == MetaKind::Deleted as u8 => Ok(MetaKey::Deleted(LocalId(number))),
            _ => Err(Malformed::key(key)),
        }
    }

    /// All keys of a kind: from the first, up to but without the second.
    pub(super) fn range_of(kind: MetaKind) -> ([u8; 1], [u8; 1]) {
        ([kind as u8], [kind as u8 + 1])
    }
}

/// A key of the `runs` family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct RunKey {
    pub local_id: LocalId,
    /// Not negative.
    pub base_offset: i64,
}

impl RunKey {
    pub(super) fn encode(self) -> [u8; RUN_KEY_BYTES] {
        let mut key = [0; RUN_KEY_BYTES];
        let (local_id, base_offset) = key.split_at_mut(size_of::<u64>());
        local_id.copy_from_slice(&self.local_id.0.to_be_bytes());
        base_offset.copy_from_slice(&self.base_offset.max(0).to_be_bytes());
        key
    }

    pub(super) fn decode(key: &[u8]) -> Result<Self, Malformed> {
        let key: &[u8; RUN_KEY_BYTES] = key.try_into().map_err(|_| Malformed::key(key))?;
        let (local_id, base_offset) = key.split_at(size_of::<u64>());
        let number = |bytes: &[u8]| bytes.try_into().map(u64::from_be_bytes).map_err(|_| Malformed::key(key));
        let base_offset = i64::try_from(number(base_offset)?).map_err(|_| Malformed::key(key))?;
        Ok(RunKey { local_id: LocalId(number(local_id)?), base_offset })
    }
}

/// Where the keys of one partition begin in the families `runs` and `state`; those of the next one end them.
pub(super) fn partition_prefix(local_id: LocalId) -> [u8; 8] {
    local_id.0.to_be_bytes()
}

/// A key of the `state` family, on the stack.
pub(super) struct StateKey {
    bytes: [u8; STATE_KEY_PREFIX_BYTES + STATE_KEY_MAX_BYTES],
    length: usize,
}

impl StateKey {
    /// `key` is at most [`STATE_KEY_MAX_BYTES`] long (checked when it was submitted); what is longer is cut.
    pub(super) fn new(local_id: LocalId, kind: StateKind, key: &[u8]) -> Self {
        let mut bytes = [0; STATE_KEY_PREFIX_BYTES + STATE_KEY_MAX_BYTES];
        let key = &key[..key.len().min(STATE_KEY_MAX_BYTES)];
        bytes[..8].copy_from_slice(&local_id.0.to_be_bytes());
        bytes[8] = kind as u8;
        bytes[STATE_KEY_PREFIX_BYTES..STATE_KEY_PREFIX_BYTES + key.len()].copy_from_slice(key);
        StateKey { bytes, length: STATE_KEY_PREFIX_BYTES + key.len() }
    }

    /// The keys of one partition and kind: from the first, up to but without the second.
    pub(super) fn range_of(local_id: LocalId, kind: StateKind) -> ([u8; 9], [u8; 9]) {
        let mut from = [kind as u8; 9];
        from[..8].copy_from_slice(&local_id.0.to_be_bytes());
        let mut to = from;
        to[8] += 1;
        (from, to)
    }
}

impl AsRef<[u8]> for StateKey {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The kind that a stored byte names.
pub(super) fn state_kind(byte: u8) -> Option<StateKind> {
    match byte {
        1 => Some(StateKind::Producer),
        2 => Some(StateKind::LeaderEpoch),
        3 => Some(StateKind::AbortedTransaction),
        4 => Some(StateKind::Partition),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn run_keys_sort_as_their_numbers(a in any::<(u64, u64)>(), b in any::<(u64, u64)>()) {
            let key = |(id, offset): (u64, u64)| RunKey { local_id: LocalId(id), base_offset: (offset >> 1) as i64 };
            prop_assert_eq!(key(a).cmp(&key(b)), key(a).encode().cmp(&key(b).encode()));
            prop_assert_eq!(RunKey::decode(&key(a).encode()), Ok(key(a)));
        }

        #[test]
        fn state_keys_sort_by_partition_kind_and_key(a in any::<(u64, bool, Vec<u8>)>(), b in any::<(u64, bool, Vec<u8>)>()) {
            let kind = |second| if second { StateKind::LeaderEpoch } else { StateKind::Producer };
            let cut = |bytes: &[u8]| bytes[..bytes.len().min(STATE_KEY_MAX_BYTES)].to_vec();
            let key = |(id, second, bytes): &(u64, bool, Vec<u8>)| StateKey::new(LocalId(*id), kind(*second), bytes);
            let parts = |(id, second, bytes): &(u64, bool, Vec<u8>)| (*id, kind(*second), cut(bytes));
            prop_assert_eq!(parts(&a).cmp(&parts(&b)), key(&a).as_ref().cmp(key(&b).as_ref()));
            let (from, to) = StateKey::range_of(LocalId(a.0), kind(a.1));
            prop_assert!(key(&a).as_ref() >= &from[..] && key(&a).as_ref() < &to[..]);
        }

        #[test]
        fn any_bytes_as_a_key_are_an_error_or_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            if let Ok(key) = MetaKey::decode(&bytes) {
                prop_assert_eq!(&key.encode()[..], &bytes[..]);
            }
            if let Ok(key) = RunKey::decode(&bytes) {
                prop_assert_eq!(&key.encode()[..], &bytes[..]);
            }
        }
    }

    #[test]
    fn meta_keys_keep_to_their_kind() {
        for key in [MetaKey::RecordFile(u64::MAX), MetaKey::Partition(LocalId(0)), MetaKey::Deleted(LocalId(9))] {
            assert_eq!(MetaKey::decode(&key.encode()), Ok(key));
        }
        let (from, to) = MetaKey::range_of(MetaKind::RecordFile);
        let key = MetaKey::RecordFile(u64::MAX).encode();
        assert!(key[..] >= from[..] && key[..] < to[..]);
        assert!(MetaKey::decode(&[9; 9]).is_err());
    }

    #[test]
    fn every_state_kind_comes_back_from_its_byte() {
        for byte in 0..=255 {
            if let Some(kind) = state_kind(byte) {
                assert_eq!(kind as u8, byte);
            }
        }
        assert_eq!(state_kind(StateKind::Partition as u8), Some(StateKind::Partition));
    }
}
