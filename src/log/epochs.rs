//! Which leader epoch each offset was written in (KIP-101, KIP-320). Pure: no IO.

use bytes::Bytes;

use crate::types::LeaderEpoch;

/// An epoch and the offset of its first record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochEntry {
    pub epoch: LeaderEpoch,
    pub start_offset: i64,
}

/// "No epoch" in a request; any other negative number is an epoch before all known ones, as in Kafka.
const NO_EPOCH: LeaderEpoch = -1;

/// Epochs of one partition; both fields strictly rise from entry to entry.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Epochs {
    entries: Vec<EpochEntry>,
}

impl Epochs {
    /// From stored rows in key order. `None` when they are not rows that [`EpochEntry::row`] wrote.
    pub fn from_rows(rows: &[(Bytes, Bytes)]) -> Option<Self> {
        let mut epochs = Self::default();
        for (key, value) in rows {
            let epoch = LeaderEpoch::from_be_bytes(key.as_ref().try_into().ok()?);
            let start_offset = i64::from_be_bytes(value.as_ref().try_into().ok()?);
            epochs.entries.push(EpochEntry { epoch, start_offset });
        }
        Some(epochs)
    }

    pub fn latest(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// Notes that `epoch` starts at `start_offset`. Answers the entry when it is new (to be stored), and the epochs that it displaced.
    pub fn assign(&mut self, epoch: LeaderEpoch, start_offset: i64) -> Option<(EpochEntry, Vec<LeaderEpoch>)> {
        if epoch < 0 || self.latest().is_some_and(|last| last.epoch >= epoch) {
            return None;
        }
        let keep = self.entries.partition_point(|e| e.start_offset < start_offset);
        let displaced = self.entries.drain(keep..).map(|e| e.epoch).collect();
        let entry = EpochEntry { epoch, start_offset };
        self.entries.push(entry);
        Some((entry, displaced))
    }

    /// Where `requested` ended: the epoch found (the largest not above `requested`) and the offset at which the next one began. `None` when it is not known.
    /// The rule of OffsetForLeaderEpoch: the latest epoch ends at the log's end; an epoch before all known ones ends where the first known one starts.
    pub fn end_offset_for(&self, requested: LeaderEpoch, log_end_offset: i64) -> Option<(LeaderEpoch, i64)> {
        if requested == NO_EPOCH {
            return None;
        }
        if self.latest().is_some_and(|last| last.epoch == requested) {
            return Some((requested, log_end_offset));
        }
        let above = self.entries.partition_point(|e| e.epoch <= requested);
        let higher = self.entries.get(above)?;
        let found = above.checked_sub(1).and_then(|i| self.entries.get(i)).map_or(requested, |floor| floor.epoch);
        Some((found, higher.start_offset))
    }

    /// Forgets what lies wholly below a new log start offset: the epoch that holds it then starts there. Answers the rows that change.
    pub fn trim_start(&mut self, log_start_offset: i64) -> Vec<(Bytes, Option<Bytes>)> {
        let above = self.entries.partition_point(|e| e.start_offset <= log_start_offset);
        let Some(holding) = above.checked_sub(1) else { return Vec::new() };
        let mut rows: Vec<(Bytes, Option<Bytes>)> =
            self.entries.drain(..holding).map(|e| (row_key(e.epoch), None)).collect();
        if let Some(first) = self.entries.first_mut()
            && first.start_offset < log_start_offset
        {
            first.start_offset = log_start_offset;
            let (key, value) = first.row();
            rows.push((key, Some(value)));
        }
        rows
    }

    /// The epoch that the record at `offset` was written in.
    pub fn epoch_at(&self, offset: i64) -> Option<LeaderEpoch> {
        let above = self.entries.partition_point(|e| e.start_offset <= offset);
        above.checked_sub(1).and_then(|i| self.entries.get(i)).map(|e| e.epoch)
    }
}

impl EpochEntry {
    /// Key and value of the stored row. Epochs are never negative, so big-endian bytes sort as numbers.
    pub fn row(&self) -> (Bytes, Bytes) {
        (row_key(self.epoch), Bytes::copy_from_slice(&self.start_offset.to_be_bytes()))
    }
}

/// The row key of an epoch.
pub fn row_key(epoch: LeaderEpoch) -> Bytes {
    Bytes::copy_from_slice(&epoch.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(entries: &[(i32, i64)]) -> Epochs {
        let mut epochs = Epochs::default();
        for (epoch, start) in entries {
            epochs.assign(*epoch, *start);
        }
        epochs
    }

    #[test]
    fn end_offsets_follow_the_rule_of_offset_for_leader_epoch() {
        let epochs = known(&[(2, 0), (5, 10), (9, 30)]);
        assert_eq!(epochs.end_offset_for(9, 44), Some((9, 44)));
        assert_eq!(epochs.end_offset_for(5, 44), Some((5, 30)));
        assert_eq!(epochs.end_offset_for(7, 44), Some((5, 30)));
        assert_eq!(epochs.end_offset_for(2, 44), Some((2, 10)));
        assert_eq!(epochs.end_offset_for(1, 44), Some((1, 0)));
        assert_eq!(epochs.end_offset_for(10, 44), None);
        assert_eq!(epochs.end_offset_for(-1, 44), None);
        assert_eq!(epochs.end_offset_for(-2, 44), Some((-2, 0)));
    }

    #[test]
    fn an_epoch_without_records_is_displaced_by_the_next() {
        let mut epochs = known(&[(1, 0), (2, 10)]);
        assert_eq!(epochs.assign(3, 10), Some((EpochEntry { epoch: 3, start_offset: 10 }, vec![2])));
        assert_eq!(epochs.assign(3, 12), None);
        assert_eq!(epochs.epoch_at(9), Some(1));
        assert_eq!(epochs.epoch_at(10), Some(3));
    }

    #[test]
    fn a_new_log_start_keeps_the_epoch_that_holds_it() {
        let mut epochs = known(&[(1, 0), (2, 10), (4, 20)]);
        assert_eq!(epochs.trim_start(15).len(), 2);
        assert_eq!(epochs, known(&[(2, 15), (4, 20)]));
        assert_eq!(epochs.trim_start(15), Vec::new());
    }

    #[test]
    fn rows_come_back_as_they_went() {
        let epochs = known(&[(0, 0), (300, 7)]);
        let rows: Vec<_> = epochs.entries().iter().map(EpochEntry::row).collect();
        assert!(rows[0].0 < rows[1].0);
        assert_eq!(Epochs::from_rows(&rows), Some(epochs));
    }
}
