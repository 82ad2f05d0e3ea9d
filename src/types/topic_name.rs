//! Topic names that Kafka keeps for itself.

/// Where consumer groups keep their state.
pub const GROUP_METADATA_TOPIC: &str = "__consumer_offsets";
/// Where transactions keep their state.
pub const TRANSACTION_STATE_TOPIC: &str = "__transaction_state";
/// Where share groups keep their state.
pub const SHARE_GROUP_STATE_TOPIC: &str = "__share_group_state";

/// Whether clients may only read the topic (`Topic.isInternal`).
pub fn is_internal(topic: &str) -> bool {
    [GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC, SHARE_GROUP_STATE_TOPIC].contains(&topic)
}
