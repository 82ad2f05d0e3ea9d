//! What the members of a consumer group are subscribed to: read from their metadata, of which the coordinator knows only the oldest version's
//! fields (later versions begin with the same ones).

use std::collections::HashSet;
use std::sync::Arc;

use super::{CONSUMER_PROTOCOL_TYPE, ClassicGroup};
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
