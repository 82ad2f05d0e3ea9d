//! This broker's block of producer ids (KIP-730): ids come from memory, a new block from the quorum when the last is used up.
//!
//! Ids of a block that is not used up when the broker stops are never given: each id is given at most once, ever.

use std::ops::Range;
use tokio::sync::Mutex;

use super::decide::producer_ids;
use super::{Cluster, ClusterError};

#[derive(Default)]
pub(super) struct ProducerIds {
    block: Mutex<Range<i64>>,
}

impl Cluster {
    /// An id that no producer ever had.
    ///
    /// # Errors
    /// Those of [`Cluster::propose`], when a new block is needed and does not come; [`ClusterError::Internal`] before this broker is registered.
    pub async fn next_producer_id(&self) -> Result<i64, ClusterError> {
        let mut block = self.producer_ids.block.lock().await;
        if let Some(id) = block.next() {
            return Ok(id);
        }
        let node_id = self.node_id();
        let epoch = self.image().broker(node_id).map_or(-1, |broker| broker.epoch);
        let allocated = self.propose(move |image| producer_ids::allocate(image, node_id, epoch)).await?;
        *block = allocated
            .map_err(|error| ClusterError::Internal(error.message.unwrap_or_else(|| format!("{:?}", error.error))))?;
        block.next().ok_or_else(|| ClusterError::Internal("the block of producer ids is empty".to_owned()))
    }
}
