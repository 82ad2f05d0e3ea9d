//! openraft's own suite for log stores and state machines, on memory and on disk.

use openraft::testing::{StoreBuilder, Suite};
use std::sync::Arc;

use super::log_store::LogStore;
use super::state_machine::StateMachine;
use super::{MemberId, QuorumTypes, StorageError};
use crate::cluster::publish::Publisher;
use crate::store::quorum::{DiskQuorumStore, MemoryQuorumStore, QuorumStorage};

/// The suite numbers its members with small unsigned numbers.
impl From<u64> for MemberId {
    fn from(id: u64) -> Self {
        Self(i32::try_from(id).unwrap())
    }
}

struct OnMemory;
struct OnDisk;

fn build(store: Arc<dyn QuorumStorage>) -> Result<(LogStore, StateMachine), StorageError> {
    Ok((LogStore::open(store.clone())?, StateMachine::open(store, Publisher::new())?))
}

impl StoreBuilder<QuorumTypes, LogStore, StateMachine> for OnMemory {
    async fn build(&self) -> Result<((), LogStore, StateMachine), StorageError> {
        let (log, machine) = build(Arc::new(MemoryQuorumStore::default()))?;
        Ok(((), log, machine))
    }
}

impl StoreBuilder<QuorumTypes, LogStore, StateMachine, tempfile::TempDir> for OnDisk {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStore, StateMachine), StorageError> {
        let folder = tempfile::tempdir().unwrap();
        let (log, machine) = build(Arc::new(DiskQuorumStore::open(folder.path()).unwrap()))?;
        Ok((folder, log, machine))
    }
}

#[test]
fn memory_conforms() {
    Suite::test_all(OnMemory).unwrap();
}

#[test]
fn disk_conforms() {
    Suite::test_all(OnDisk).unwrap();
}
