//! What the members of a consumer group are subscribed to and were given: read from their metadata and assignments, of which the coordinator knows only the oldest version's
//! fields (later versions begin with the same ones).

use std::collections::HashSet;
use std::sync::Arc;

use super::{CONSUMER_PROTOCOL_TYPE, ClassicGroup, Member};
use crate::coordinator::records::{FormatError, Reader};

impl ClassicGroup {
    pub(super) fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    /// Whether offsets of the topic are in use. A consumer group whose members' metadata does not parse counts as subscribed to everything.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.uses_consumer_protocol(),
        }
    }

    /// Whether the coordinator knows what the members are subscribed to.
    pub fn knows_subscriptions(&self) -> bool {
        self.subscribed_topics.is_some()
    }

    pub(super) fn compute_subscribed_topics(&self) -> Option<HashSet<Arc<str>>> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        let mut topics = HashSet::new();
        if self.members.is_empty() {
            return Some(topics);
        }
        let protocol = self.protocol_name.as_deref()?;
        for member in self.members.values() {
            if let Err(error) = add_topics(member.metadata(protocol)?, &mut topics) {
                tracing::warn!(group = %self.group_id, protocol, member = %member.member_id, %error, "a member's subscription does not parse");
                return None;
            }
        }
        Some(topics)
    }
}

impl ClassicGroup {
    /// How many partitions the leader gave a member; `None` where the group is not one of consumers, or the assignment does not parse.
    pub(super) fn assigned_partitions(&self, member: &Member) -> Option<usize> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        if member.assignment.is_empty() { Some(0) } else { count_partitions(&member.assignment).ok() }
    }
}

/// `ConsumerProtocolAssignment` version 0: version, topics with their partitions, user data.
fn count_partitions(assignment: &[u8]) -> Result<usize, FormatError> {
    let mut reader = Reader(assignment);
    reader.i16("the assignment's version")?;
    let mut partitions = 0;
    for _ in 0..reader.i32("the number of topics")? {
        reader.string("a topic")?;
        for _ in 0..reader.i32("the number of partitions")? {
            reader.i32("a partition")?;
            partitions += 1;
        }
    }
    Ok(partitions)
}

/// `ConsumerProtocolSubscription` version 0: version, topics, user data.
fn add_topics(metadata: &[u8], topics: &mut HashSet<Arc<str>>) -> Result<(), FormatError> {
    let mut reader = Reader(metadata);
    reader.i16("the subscription's version")?;
    let count = reader.i32("the number of topics")?;
    for _ in 0..count {
        topics.insert(reader.string("a topic")?);
    }
    let user_data = reader.i32("the user data's length")?;
    if let Ok(length) = usize::try_from(user_data) {
        reader.take(length, "the user data")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::records::Writer;

    #[test]
    fn assigned_partitions_are_counted() {
        let none = Writer::new(0).i32(0).i32(-1).done();
        assert_eq!(count_partitions(&none).ok(), Some(0));
        let three = Writer::new(3).i32(2).string("a").i32(2).i32(0).i32(7).string("b").i32(1).i32(0).i32(-1).done();
        assert_eq!(count_partitions(&three).ok(), Some(3));
        for cut in 0..three.len() - 4 {
            assert!(count_partitions(&three[..cut]).is_err(), "{cut}");
        }
        // A count that promises more than there is ends where the bytes end.
        assert!(count_partitions(&Writer::new(0).i32(i32::MAX).done()).is_err());
    }
}
