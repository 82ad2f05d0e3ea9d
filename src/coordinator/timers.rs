//! Many timers for little: one ordered map per shard, of which only the earliest deadline is ever slept for.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use tokio::time::Instant;

/// Deadlines by key. Setting a key again replaces its deadline.
#[derive(Debug)]
pub struct Timers<K> {
    by_deadline: BTreeMap<(Instant, u64), K>,
    by_key: HashMap<K, (Instant, u64)>,
    /// Tells timers of one deadline apart, and fires them in the order of their setting.
    next_sequence: u64,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { by_deadline: BTreeMap::new(), by_key: HashMap::new(), next_sequence: 0 }
    }
}

impl<K: Clone + Eq + Hash> Timers<K> {
    pub fn set(&mut self, key: K, deadline: Instant) {
        let place = (deadline, self.next_sequence);
        self.next_sequence += 1;
        if let Some(old) = self.by_key.insert(key.clone(), place) {
            self.by_deadline.remove(&old);
        }
        self.by_deadline.insert(place, key);
    }

    pub fn cancel(&mut self, key: &K) {
        if let Some(place) = self.by_key.remove(key) {
            self.by_deadline.remove(&place);
        }
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.by_deadline.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    /// Takes the earliest timer if it is due.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        let entry = self.by_deadline.first_entry()?;
        if entry.key().0 > now {
            return None;
        }
        let key = entry.remove();
        self.by_key.remove(&key);
        Some(key)
    }

    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn fires_in_order_and_once() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        timers.set("late", at(30));
        timers.set("moved", at(10));
        timers.set("same a", at(20));
        timers.set("same b", at(20));
        timers.set("cancelled", at(5));
        timers.cancel(&"cancelled");
        timers.set("moved", at(25));
        assert_eq!(timers.next_deadline(), Some(at(20)));
        assert_eq!(timers.pop_due(at(19)), None);
        assert_eq!(timers.pop_due(at(26)), Some("same a"));
        assert_eq!(timers.pop_due(at(26)), Some("same b"));
        assert_eq!(timers.pop_due(at(26)), Some("moved"));
        assert_eq!(timers.pop_due(at(26)), None);
        assert_eq!(timers.len(), 1);
        assert_eq!(timers.pop_due(at(30)), Some("late"));
        assert!(timers.is_empty());
        assert_eq!(timers.next_deadline(), None);
    }
}
