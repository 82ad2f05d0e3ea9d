//! Asks a shard what a group waits for.

use kafka_protocol::ResponseError;
use std::sync::Arc;
use std::time::Duration;

use super::GroupCoordinator;
use super::classic::status::GroupStatus;

/// How long a coordinator may take: whoever asks wants to know why something is stuck, which may be the coordinator.
const PATIENCE: Duration = Duration::from_secs(1);

impl GroupCoordinator {
    /// The group as it stands; `None` when this broker's coordinator has no such group.
    ///
    /// # Errors
    /// The coordinator's, as a client gets it; `CoordinatorNotAvailable` when it does not answer within a second.
    pub async fn status(&self, group_id: &str) -> Result<Option<GroupStatus>, ResponseError> {
        let group: Arc<str> = group_id.into();
        let asked =
            self.read(self.partition_for(group_id), move |shard| shard.group(&group).map(|group| group.status()));
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or(Err(ResponseError::CoordinatorNotAvailable))
    }
}
