//! Identities that cross rooms.

use std::fmt;
use uuid::Uuid;

/// A broker's `node.id`.
pub type BrokerId = i32;

/// A partition's leader epoch: rises by at least one at each change of leader (KIP-101). -1 says "none given".
pub type LeaderEpoch = i32;

/// One partition of one incarnation of a topic. The topic id changes when a topic is deleted and created again (KIP-516), so this never means old data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TopicIdPartition {
    pub topic_id: Uuid,
    pub partition: i32,
}

impl fmt::Display for TopicIdPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic_id, self.partition)
    }
}
