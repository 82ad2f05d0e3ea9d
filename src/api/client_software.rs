//! Which client libraries are connected, as they say of themselves in ApiVersions (KIP-511): counted while their connections are open.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::context::ClientSoftware;
use crate::metrics::{Scrape, table};

/// Different clients that are counted apart. Clients may say anything of themselves; what comes beyond counts together.
const MAX_COUNTED: usize = 150;
const OTHER: &str = "other";

/// Name, version, listener.
type Key = (Arc<str>, Arc<str>, Arc<str>);

/// Open connections by software.
#[derive(Debug, Default)]
pub struct SoftwareCounts {
    counts: Mutex<BTreeMap<Key, usize>>,
}

/// A connection that is counted, until dropped.
#[derive(Debug)]
pub struct Counted {
    counts: Arc<SoftwareCounts>,
    key: Key,
}

impl SoftwareCounts {
    pub fn count(self: &Arc<Self>, software: &ClientSoftware, listener: &Arc<str>) -> Counted {
        let mut key = (Arc::clone(&software.name), Arc::clone(&software.version), Arc::clone(listener));
        let mut counts = self.counts.lock();
        if counts.len() >= MAX_COUNTED && !counts.contains_key(&key) {
            key = (Arc::from(OTHER), Arc::from(OTHER), Arc::clone(listener));
        }
        *counts.entry(key.clone()).or_insert(0) += 1;
        Counted { counts: Arc::clone(self), key }
    }

    pub fn collect(&self, scrape: &mut Scrape) {
        for ((name, version, listener), count) in self.counts.lock().iter() {
            let labels: &[(&'static str, &str)] =
                &[("client_software_name", name), ("client_software_version", version), ("listener", listener)];
            scrape.set(&table::CLIENT_CONNECTIONS, labels, *count as f64);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.counts.counts.lock();
        match counts.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn software(name: &str) -> ClientSoftware {
        ClientSoftware { name: Arc::from(name), version: Arc::from("1") }
    }

    #[test]
    fn counts_while_they_are_connected_and_only_so_many_apart() {
        let counts = Arc::new(SoftwareCounts::default());
        let listener: Arc<str> = Arc::from("PLAINTEXT");
        let (one, two) = (counts.count(&software("a"), &listener), counts.count(&software("a"), &listener));
        assert_eq!(counts.counts.lock().values().copied().collect::<Vec<_>>(), [2]);
        drop(one);
        let many: Vec<_> = (0..2 * MAX_COUNTED).map(|n| counts.count(&software(&format!("c{n}")), &listener)).collect();
        assert_eq!(counts.counts.lock().len(), MAX_COUNTED + 1);
        assert_eq!(counts.counts.lock().values().sum::<usize>(), 2 * MAX_COUNTED + 1);
        drop((two, many));
        assert!(counts.counts.lock().is_empty());
    }
}
