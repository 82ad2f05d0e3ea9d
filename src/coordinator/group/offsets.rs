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
        self.pending.retain(|producer_id, offsets| {
            pending_before.extend(offsets.remove(key).map(|entry| (*producer_id, entry)));
            !offsets.is_empty()
        });
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
            self.pending.entry(producer_id).or_default().insert(undo.key.clone(), entry);
        }
    }

    /// An offset within a transaction.
    pub fn put_pending(&mut self, producer_id: i64, key: OffsetKey, value: CommittedOffset) {
        let entry = self.entry(value);
        self.pending.entry(producer_id).or_default().insert(key, entry);
    }

    /// The end of a producer's transaction. A plain commit that came after the transaction's stands.
    pub fn end_transaction(&mut self, producer_id: i64, committed: bool) {
        let Some(offsets) = self.pending.remove(&producer_id) else { return };
        if !committed {
            return;
        }
        for (key, entry) in offsets {
            if self.get(&key.group, &key.topic, key.partition).is_none_or(|e| e.order < entry.order) {
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
        self.pending
            .values()
            .flat_map(HashMap::keys)
            .any(|key| key.partition == partition && &*key.topic == topic && &*key.group == group)
    }

    pub fn has_pending_in(&self, group: &str) -> bool {
        self.pending.values().flat_map(HashMap::keys).any(|key| &*key.group == group)
    }

    /// Everything that is kept for the group, open transactions included.
    pub fn keys_of(&self, group: &Arc<str>) -> Vec<OffsetKey> {
        let key =
            |topic: &Arc<str>, partition: i32| OffsetKey { group: group.clone(), topic: topic.clone(), partition };
        let mut keys: Vec<OffsetKey> = self
            .groups
            .get(group)
            .into_iter()
            .flatten()
            .flat_map(|(topic, partitions)| partitions.keys().map(move |partition| key(topic, *partition)))
            .chain(self.pending.values().flat_map(HashMap::keys).filter(|key| key.group == *group).cloned())
            .collect();
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
