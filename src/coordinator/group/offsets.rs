//! Committed offsets, and those that an open transaction is about to commit. Pure: no clock, no log.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use uuid::Uuid;

use super::records::CommittedOffset;

/// An offset and its place in the order of commits, which decides between a transaction's offset and a later plain one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub value: CommittedOffset,
    order: u64,
}

pub type Partitions = BTreeMap<i32, Entry>;
pub type Topics = BTreeMap<Arc<str>, Partitions>;

/// Whose offset.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OffsetKey {
    pub group: Arc<str>,
    pub topic: Arc<str>,
    pub partition: i32,
}

/// How to take one change back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetUndo {
    key: OffsetKey,
    before: Option<Entry>,
    pending_before: Vec<(i64, Entry)>,
}

/// From when an offset's retention counts (KIP-211).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionFrom {
    /// Since the offset's own commit.
    Commit,
    /// Since the group became empty.
    Time(i64),
}

/// The offsets of a shard's groups.
#[derive(Clone, Debug, Default)]
pub struct Offsets {
    groups: HashMap<Arc<str>, Topics>,
    /// By producer id: offsets of transactions that have not ended.
    pending: HashMap<i64, HashMap<OffsetKey, Entry>>,
    /// How many transactions hold an offset, by group, topic and partition.
    open: HashMap<Arc<str>, HashMap<Arc<str>, BTreeMap<i32, usize>>>,
    next_order: u64,
}

impl Offsets {
    fn entry(&mut self, value: CommittedOffset) -> Entry {
        let order = self.next_order;
        self.next_order += 1;
        Entry { value, order }
    }

    pub fn put(&mut self, key: OffsetKey, value: CommittedOffset) -> OffsetUndo {
        let entry = self.entry(value);
        let before = self.insert(&key, entry);
        OffsetUndo { key, before, pending_before: Vec::new() }
    }

    fn insert(&mut self, key: &OffsetKey, entry: Entry) -> Option<Entry> {
        // Looked up first: most commits are for keys that are there, and take no new strings then.
        if let Some(place) =
            self.groups.get_mut(&key.group).and_then(|t| t.get_mut(&key.topic)?.get_mut(&key.partition))
        {
            return Some(std::mem::replace(place, entry));
        }
        let topics = self.groups.entry(key.group.clone()).or_default();
        topics.entry(key.topic.clone()).or_default().insert(key.partition, entry)
    }

    /// Removes the offset, and what open transactions hold for it.
    pub fn remove(&mut self, key: &OffsetKey) -> OffsetUndo {
        let before = self.take(key);
        let mut pending_before = Vec::new();
        if self.has_pending(&key.group, &key.topic, key.partition) {
            self.pending.retain(|producer_id, offsets| {
                pending_before.extend(offsets.remove(key).map(|entry| (*producer_id, entry)));
                !offsets.is_empty()
            });
            pending_before.iter().for_each(|_| self.close(key));
        }
        OffsetUndo { key: key.clone(), before, pending_before }
    }

    fn take(&mut self, key: &OffsetKey) -> Option<Entry> {
        let topics = self.groups.get_mut(&key.group)?;
        let partitions = topics.get_mut(&key.topic)?;
        let removed = partitions.remove(&key.partition);
        if partitions.is_empty() {
            topics.remove(&key.topic);
        }
        if topics.is_empty() {
            self.groups.remove(&key.group);
        }
        removed
    }

    /// Takes the change back. Changes must be taken back last one first.
    pub fn undo(&mut self, undo: OffsetUndo) {
        match undo.before {
            Some(entry) => {
                self.insert(&undo.key, entry);
            }
            None => {
                self.take(&undo.key);
            }
        }
        for (producer_id, entry) in undo.pending_before {
            self.insert_pending(producer_id, undo.key.clone(), entry);
        }
    }

    /// An offset within a transaction.
    pub fn put_pending(&mut self, producer_id: i64, key: OffsetKey, value: CommittedOffset) {
        let entry = self.entry(value);
        self.insert_pending(producer_id, key, entry);
    }

    fn insert_pending(&mut self, producer_id: i64, key: OffsetKey, entry: Entry) {
        if self.pending.entry(producer_id).or_default().insert(key.clone(), entry).is_none() {
            let topics = self.open.entry(key.group).or_default();
            *topics.entry(key.topic).or_default().entry(key.partition).or_insert(0) += 1;
        }
    }

    /// One transaction less holds the offset.
    fn close(&mut self, key: &OffsetKey) {
        let Some(topics) = self.open.get_mut(&key.group) else { return };
        let Some(partitions) = topics.get_mut(&key.topic) else { return };
        if let Some(count) = partitions.get_mut(&key.partition) {
            *count -= 1;
            if *count == 0 {
                partitions.remove(&key.partition);
            }
        }
        if partitions.is_empty() {
            topics.remove(&key.topic);
        }
        if topics.is_empty() {
            self.open.remove(&key.group);
        }
    }

    /// The end of a producer's transaction. A plain commit that came after the transaction's stands.
    pub fn end_transaction(&mut self, producer_id: i64, committed: bool) {
        let Some(offsets) = self.pending.remove(&producer_id) else { return };
        for (key, entry) in offsets {
            self.close(&key);
            if committed && self.get(&key.group, &key.topic, key.partition).is_none_or(|e| e.order < entry.order) {
                self.insert(&key, entry);
            }
        }
    }

    pub fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&Entry> {
        self.groups.get(group)?.get(topic)?.get(&partition)
    }

    pub fn group(&self, group: &str) -> Option<&Topics> {
        self.groups.get(group)
    }

    /// Whether an open transaction holds an offset for the partition.
    pub fn has_pending(&self, group: &str, topic: &str, partition: i32) -> bool {
        let topics = self.open.get(group).and_then(|topics| topics.get(topic));
        topics.is_some_and(|partitions| partitions.contains_key(&partition))
    }

    pub fn has_pending_in(&self, group: &str) -> bool {
        self.open.contains_key(group)
    }

    /// Everything that is kept for the group, open transactions included.
    pub fn keys_of(&self, group: &Arc<str>) -> Vec<OffsetKey> {
        let of_partition = |topic: &Arc<str>, partition: &i32| OffsetKey {
            group: group.clone(),
            topic: topic.clone(),
            partition: *partition,
        };
        let mut keys = Vec::new();
        for (topic, partitions) in self.groups.get(group).into_iter().flatten() {
            keys.extend(partitions.keys().map(|partition| of_partition(topic, partition)));
        }
        for (topic, partitions) in self.open.get(group).into_iter().flatten() {
            keys.extend(partitions.keys().map(|partition| of_partition(topic, partition)));
        }
        keys.sort();
        keys.dedup();
        keys
    }

    /// The group's expired offsets, and whether they are all it has. Offsets of topics in use, or in open transactions, stay.
    pub fn expired(
        &self,
        group: &Arc<str>,
        from: RetentionFrom,
        retention_ms: i64,
        now_ms: i64,
        in_use: impl Fn(&str) -> bool,
    ) -> (Vec<OffsetKey>, bool) {
        let mut expired = Vec::new();
        let mut all = !self.has_pending_in(group);
        for (topic, partitions) in self.groups.get(group).into_iter().flatten() {
            let topic_in_use = in_use(topic);
            for (partition, entry) in partitions {
                if !topic_in_use
                    && is_expired(&entry.value, from, retention_ms, now_ms)
                    && !self.has_pending(group, topic, *partition)
                {
                    expired.push(OffsetKey { group: group.clone(), topic: topic.clone(), partition: *partition });
                } else {
                    all = false;
                }
            }
        }
        (expired, all)
    }

    /// Offsets of topics that are gone. Those committed to a later topic of the same name stay.
    pub fn of_topics(&self, deleted: &[(Arc<str>, Uuid)]) -> Vec<OffsetKey> {
        let mut keys = Vec::new();
        for (group, topics) in &self.groups {
            for (topic, topic_id) in deleted {
                for (partition, entry) in topics.get(topic).into_iter().flatten() {
                    if entry.value.topic_id.is_nil() || entry.value.topic_id == *topic_id {
                        keys.push(OffsetKey { group: group.clone(), topic: topic.clone(), partition: *partition });
                    }
                }
            }
        }
        let is_gone = |key: &OffsetKey, entry: &Entry| {
            deleted.iter().any(|(topic, id)| {
                key.topic == *topic && (entry.value.topic_id.is_nil() || entry.value.topic_id == *id)
            })
        };
        let pending = self.pending.values().flatten();
        keys.extend(pending.filter(|(key, entry)| is_gone(key, entry)).map(|(key, _)| key.clone()));
        keys.sort();
        keys.dedup();
        keys
    }
}

#[cfg(test)]
impl Offsets {
    /// Everything committed, in the order of the keys.
    pub fn all(&self) -> Vec<(OffsetKey, CommittedOffset)> {
        let mut all = Vec::new();
        for (group, topics) in &self.groups {
            for (topic, partitions) in topics {
                for (partition, entry) in partitions {
                    let key = OffsetKey { group: group.clone(), topic: topic.clone(), partition: *partition };
                    all.push((key, entry.value.clone()));
                }
            }
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}

fn is_expired(offset: &CommittedOffset, from: RetentionFrom, retention_ms: i64, now_ms: i64) -> bool {
    if let Some(expire_timestamp_ms) = offset.expire_timestamp_ms {
        return now_ms >= expire_timestamp_ms;
    }
    let since_ms = match from {
        RetentionFrom::Commit => offset.commit_timestamp_ms,
        RetentionFrom::Time(ms) => ms,
    };
    now_ms.saturating_sub(since_ms) >= retention_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(topic: &str, partition: i32) -> OffsetKey {
        OffsetKey { group: "g".into(), topic: topic.into(), partition }
    }

    fn offset(offset: i64) -> CommittedOffset {
        CommittedOffset {
            offset,
            leader_epoch: -1,
            metadata: "".into(),
            commit_timestamp_ms: 100,
            expire_timestamp_ms: None,
            topic_id: Uuid::nil(),
        }
    }

    fn get(offsets: &Offsets, topic: &str) -> Option<i64> {
        offsets.get("g", topic, 0).map(|entry| entry.value.offset)
    }

    #[test]
    fn changes_are_taken_back() {
        let mut offsets = Offsets::default();
        offsets.put(key("a", 0), offset(1));
        offsets.put_pending(7, key("a", 0), offset(5));
        let before = offsets.all();
        let undos =
            [offsets.put(key("a", 0), offset(2)), offsets.put(key("b", 0), offset(3)), offsets.remove(&key("a", 0))];
        assert_eq!((get(&offsets, "a"), get(&offsets, "b"), offsets.has_pending_in("g")), (None, Some(3), false));
        for undo in undos.into_iter().rev() {
            offsets.undo(undo);
        }
        assert_eq!(offsets.all(), before);
        assert!(offsets.has_pending("g", "a", 0) && !offsets.has_pending("g", "b", 0));
        offsets.end_transaction(7, true);
        assert_eq!(get(&offsets, "a"), Some(5));
    }

    #[test]
    fn transactions_commit_or_abort_and_later_commits_stand() {
        let mut offsets = Offsets::default();
        offsets.put(key("a", 0), offset(1));
        offsets.put_pending(7, key("a", 0), offset(2));
        offsets.put_pending(8, key("a", 0), offset(3));
        assert_eq!(get(&offsets, "a"), Some(1));
        offsets.end_transaction(8, false);
        assert!(offsets.has_pending("g", "a", 0), "the other transaction's");
        offsets.put_pending(7, key("b", 0), offset(4));
        offsets.put(key("b", 0), offset(9));
        offsets.end_transaction(7, true);
        assert_eq!((get(&offsets, "a"), get(&offsets, "b")), (Some(2), Some(9)));
        assert!(!offsets.has_pending_in("g"));
        offsets.end_transaction(7, true);
        assert_eq!(get(&offsets, "a"), Some(2));
    }

    #[test]
    fn a_groups_keys_include_open_transactions() {
        let mut offsets = Offsets::default();
        offsets.put(key("b", 1), offset(1));
        offsets.put_pending(7, key("b", 1), offset(2));
        offsets.put_pending(7, key("a", 0), offset(2));
        let group: Arc<str> = "g".into();
        assert_eq!(offsets.keys_of(&group), [key("a", 0), key("b", 1)]);
        assert_eq!(offsets.of_topics(&[("a".into(), Uuid::from_u128(1))]), [key("a", 0)]);
    }

    #[test]
    fn retention_counts_from_what_the_group_says() {
        let mut offsets = Offsets::default();
        let group: Arc<str> = "g".into();
        offsets.put(key("a", 0), offset(1));
        offsets.put(key("b", 0), CommittedOffset { expire_timestamp_ms: Some(120), ..offset(1) });
        let expired = |offsets: &Offsets, from, now_ms, in_use: &str| {
            offsets.expired(&group, from, 50, now_ms, |topic| topic == in_use)
        };
        assert_eq!(expired(&offsets, RetentionFrom::Commit, 119, ""), (vec![], false));
        assert_eq!(expired(&offsets, RetentionFrom::Commit, 120, ""), (vec![key("b", 0)], false));
        assert_eq!(expired(&offsets, RetentionFrom::Commit, 149, "b"), (vec![], false));
        assert_eq!(expired(&offsets, RetentionFrom::Commit, 150, "b"), (vec![key("a", 0)], false));
        assert_eq!(expired(&offsets, RetentionFrom::Commit, 150, ""), (vec![key("a", 0), key("b", 0)], true));
        assert_eq!(expired(&offsets, RetentionFrom::Time(101), 150, ""), (vec![key("b", 0)], false));
        offsets.put_pending(7, key("a", 0), offset(2));
        assert_eq!(expired(&offsets, RetentionFrom::Commit, 150, ""), (vec![key("b", 0)], false), "in a transaction");
    }
}
