//! The groups and offsets of one partition of `__consumer_offsets`: decides requests, and keeps the state that the partition's log describes.
//!
//! Changes of offsets, and groups' coming and going, are made at once and taken back if their records do not get into the log. A classic group's own
//! state is not the log's to make: the group moves on by itself, and its record is what a successor goes on from.
//! Pure but for the replies, which leave through oneshot channels: no clock, no log, no waiting.

use kafka_protocol::ResponseError;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::classic::{
    Action, AfterStore, Calls, ClassicGroup, GroupTimer, JoinReply, JoinRequest, LeavingMember, State, SyncReply,
    SyncRequest, Token,
};
use super::config::GroupConfig;
use super::offsets::{OffsetKey, OffsetUndo, Offsets, RetentionFrom, Topics};
use super::records::{
    KEY_HIGHEST_KNOWN, Key, group_record, group_tombstone, offset_record, offset_tombstone, parse_group, parse_key,
    parse_offset,
};
use super::requests::{
    CommitRequest, DescribedGroup, DescribedMember, FetchedOffset, FetchedTopic, ListedGroup, TopicPartitions,
    TopicResults,
};
use super::telemetry::GroupMetrics;
use crate::coordinator::log::AppendError;
use crate::coordinator::records::{FormatError, Replayed};
use crate::coordinator::runtime::{Effects, Shard, client_error};

/// Tombstones that one batch carries, where many may be split: well below `max.message.bytes` with the longest names that topics have.
const TOMBSTONES_PER_BATCH: usize = 500;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ShardTimer {
    Group(Arc<str>, GroupTimer),
    /// Time to look for expired offsets.
    Expiry,
}

/// What is left to do when records are in the log, or are not.
#[derive(Debug)]
pub enum Followup {
    Group {
        group_id: Arc<str>,
        then: AfterStore,
    },
    Offset(OffsetUndo),
    /// A group that an offset commit brought into being.
    GroupCreated(Arc<str>),
    GroupRemoved(Box<ClassicGroup>),
}

type Fx = Effects<GroupShard>;

/// One partition's groups.
#[derive(Debug)]
pub struct GroupShard {
    partition: i32,
    config: Arc<GroupConfig>,
    metrics: GroupMetrics,
    groups: HashMap<Arc<str>, ClassicGroup>,
    offsets: Offsets,
    next_token: Token,
    joins: HashMap<Token, oneshot::Sender<JoinReply>>,
    syncs: HashMap<Token, oneshot::Sender<SyncReply>>,
    /// Records passed over while loading, since their kind or version is unknown.
    skipped: u64,
}

impl GroupShard {
    pub fn new(partition: i32, config: Arc<GroupConfig>, metrics: GroupMetrics) -> Self {
        Self {
            partition,
            config,
            metrics,
            groups: HashMap::new(),
            offsets: Offsets::default(),
            next_token: 0,
            joins: HashMap::new(),
            syncs: HashMap::new(),
            skipped: 0,
        }
    }

    /// A group of the classic protocol.
    pub(super) fn group(&self, group_id: &str) -> Option<&ClassicGroup> {
        self.groups.get(group_id)
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        self.next_token
    }

    /// Runs a call on a group, if there is one, and does what it asks for.
    fn with_group<R>(
        &mut self,
        group_id: &str,
        fx: &mut Fx,
        call: impl FnOnce(&mut ClassicGroup, &mut Calls<'_>) -> R,
    ) -> Option<R> {
        let group = self.groups.get_mut(group_id)?;
        let group_id = group.group_id.clone();
        let mut actions = Vec::new();
        let result = call(group, &mut Calls { config: &self.config, now_ms: fx.now_ms, actions: &mut actions });
        self.act(&group_id, actions, fx);
        Some(result)
    }

    fn act(&mut self, group_id: &Arc<str>, actions: Vec<Action>, fx: &mut Fx) {
        for action in actions {
            match action {
                Action::AnswerJoin(token, reply) => {
                    if let Some(waiting) = self.joins.remove(&token) {
                        let _ = waiting.send(reply);
                    }
                }
                Action::AnswerSync(token, reply) => {
                    if let Some(waiting) = self.syncs.remove(&token) {
                        let _ = waiting.send(reply);
                    }
                }
                Action::SetTimer { timer, after_ms } => {
                    let after = Duration::from_millis(u64::try_from(after_ms).unwrap_or(0));
                    fx.set_timer(ShardTimer::Group(group_id.clone(), timer), after);
                }
                Action::CancelTimer(timer) => fx.cancel_timer(ShardTimer::Group(group_id.clone(), timer)),
                Action::Store { group, then } => {
                    fx.append(group_record(group_id, &group));
                    fx.follow_up(Followup::Group { group_id: group_id.clone(), then });
                }
            }
        }
    }

    /// JoinGroup. The first join of a member without an id brings the group into being.
    pub fn join(
        &mut self,
        group_id: &Arc<str>,
        mut request: JoinRequest,
        reply: oneshot::Sender<JoinReply>,
        fx: &mut Fx,
    ) {
        let is_new = !self.groups.contains_key(group_id);
        if is_new && !request.member_id.is_empty() {
            let _ = reply.send(JoinReply::refused(ResponseError::UnknownMemberId, request.member_id));
            return;
        }
        request.token = self.token();
        self.joins.insert(request.token, reply);
        if is_new {
            self.groups.insert(group_id.clone(), ClassicGroup::new(group_id.clone(), fx.now_ms));
        }
        self.with_group(group_id, fx, |group, calls| {
            let stored_new = group.to_stored_new();
            group.join(request, calls);
            if is_new && !calls.actions.iter().any(|action| matches!(action, Action::Store { .. })) {
                calls.actions.push(Action::Store { group: stored_new, then: AfterStore::NewGroup });
            }
        });
    }

    /// SyncGroup.
    pub fn sync(&mut self, group_id: &str, mut request: SyncRequest, reply: oneshot::Sender<SyncReply>, fx: &mut Fx) {
        if !self.groups.contains_key(group_id) {
            let _ = reply.send(SyncReply::refused(ResponseError::UnknownMemberId));
            return;
        }
        request.token = self.token();
        self.syncs.insert(request.token, reply);
        self.with_group(group_id, fx, |group, calls| group.sync(request, calls));
    }

    /// Heartbeat. Errors: as [`ClassicGroup::heartbeat`].
    pub fn heartbeat(
        &mut self,
        group_id: &str,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        fx: &mut Fx,
    ) -> Result<(), ResponseError> {
        self.with_group(group_id, fx, |group, calls| group.heartbeat(member_id, instance_id, generation, calls))
            .unwrap_or(Err(ResponseError::UnknownMemberId))
    }

    /// LeaveGroup: one result per member.
    /// Errors: `UnknownMemberId` when there is no such group, `CoordinatorNotAvailable`.
    pub fn leave(
        &mut self,
        group_id: &str,
        leaving: &[LeavingMember],
        fx: &mut Fx,
    ) -> Result<Vec<Result<(), ResponseError>>, ResponseError> {
        self.with_group(group_id, fx, |group, calls| group.leave(leaving, calls))
            .unwrap_or(Err(ResponseError::UnknownMemberId))
    }

    /// OffsetCommit, from a member, a consumer that assigns itself, or an administrator: one result per partition, in the request's order.
    /// Errors: `GroupIdNotFound` or `IllegalGeneration` when a member's group is not there; else as [`ClassicGroup::commit_offsets`].
    pub fn commit_offsets(&mut self, request: &CommitRequest, fx: &mut Fx) -> Result<Vec<TopicResults>, ResponseError> {
        let checked = self.with_group(&request.group_id, fx, |group, calls| {
            group.commit_offsets(&request.member_id, request.instance_id.as_deref(), request.generation, calls)
        });
        match checked {
            Some(checked) => checked?,
            None if request.generation < 0 => {}
            None => {
                let known_error = if request.knows_group_not_found {
                    ResponseError::GroupIdNotFound
                } else {
                    ResponseError::IllegalGeneration
                };
                return Err(known_error);
            }
        }
        let now_ms = fx.now_ms;
        let mut results = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                if partition.metadata.encode_utf16().count() > self.config.offset_metadata_max_units {
                    partitions.push((partition.index, Some(ResponseError::OffsetMetadataTooLarge)));
                    continue;
                }
                let value = partition.value(topic.topic_id, now_ms, request.retention_ms);
                fx.append(offset_record(&request.group_id, &topic.name, partition.index, &value));
                self.ensure_simple_group(&request.group_id, now_ms, Some(&mut *fx));
                let key = OffsetKey {
                    group: request.group_id.clone(),
                    topic: topic.name.clone(),
                    partition: partition.index,
                };
                fx.follow_up(Followup::Offset(self.offsets.put(key, value)));
                partitions.push((partition.index, None));
                self.metrics.commits.increment(1);
            }
            results.push(TopicResults { name: topic.name.clone(), partitions });
        }
        Ok(results)
    }

    /// Offsets are kept for groups. One that has never had members is a simple group: an empty one without a protocol type.
    fn ensure_simple_group(&mut self, group_id: &Arc<str>, now_ms: i64, fx: Option<&mut Fx>) {
        if self.groups.contains_key(group_id) {
            return;
        }
        self.groups.insert(group_id.clone(), ClassicGroup::new(group_id.clone(), now_ms));
        if let Some(fx) = fx {
            fx.follow_up(Followup::GroupCreated(group_id.clone()));
        }
    }

    /// OffsetFetch of one group: the topics asked for, or (`None`) all that have offsets. What is not there has offset -1 and no error.
    /// With `require_stable`, an offset that an open transaction may change is answered with `UnstableOffsetCommit`.
    pub fn fetch_offsets(
        &self,
        group_id: &str,
        topics: Option<&[TopicPartitions]>,
        require_stable: bool,
    ) -> Vec<FetchedTopic> {
        let known = self.groups.contains_key(group_id);
        let fetch = |topic: &Arc<str>, partition: i32| {
            if known && require_stable && self.offsets.has_pending(group_id, topic, partition) {
                return FetchedOffset::none(partition, Some(ResponseError::UnstableOffsetCommit));
            }
            let entry = if known { self.offsets.get(group_id, topic, partition) } else { None };
            entry.map_or_else(|| FetchedOffset::none(partition, None), |e| FetchedOffset::of(partition, &e.value))
        };
        let fetch_topic = |name: &Arc<str>, partitions: &mut dyn Iterator<Item = i32>| FetchedTopic {
            name: name.clone(),
            partitions: partitions.map(|partition| fetch(name, partition)).collect(),
        };
        match topics {
            Some(topics) => topics.iter().map(|t| fetch_topic(&t.name, &mut t.partitions.iter().copied())).collect(),
            None if !known => Vec::new(),
            None => {
                let all = self.offsets.group(group_id).into_iter().flatten();
                all.map(|(name, partitions)| fetch_topic(name, &mut partitions.keys().copied())).collect()
            }
        }
    }

    /// OffsetDelete: one result per partition, in the request's order.
    /// Errors: `GroupIdNotFound`, `NonEmptyGroup`.
    pub fn delete_offsets(
        &mut self,
        group_id: &Arc<str>,
        topics: &[TopicPartitions],
        fx: &mut Fx,
    ) -> Result<Vec<TopicResults>, ResponseError> {
        let group = self.groups.get(group_id).ok_or(ResponseError::GroupIdNotFound)?;
        group.validate_offset_delete()?;
        let mut results = Vec::with_capacity(topics.len());
        let mut doomed = Vec::new();
        for topic in topics {
            let in_use = group.is_subscribed_to(&topic.name);
            let error = in_use.then_some(ResponseError::GroupSubscribedToTopic);
            let partitions = topic.partitions.iter().map(|partition| (*partition, error)).collect();
            results.push(TopicResults { name: topic.name.clone(), partitions });
            if in_use {
                continue;
            }
            for &partition in &topic.partitions {
                if self.offsets.get(group_id, &topic.name, partition).is_some()
                    || self.offsets.has_pending(group_id, &topic.name, partition)
                {
                    doomed.push(OffsetKey { group: group_id.clone(), topic: topic.name.clone(), partition });
                }
            }
        }
        self.metrics.deleted.increment(doomed.len() as u64);
        self.remove_offsets(doomed, false, fx);
        Ok(results)
    }

    fn remove_offsets(&mut self, keys: Vec<OffsetKey>, may_split: bool, fx: &mut Fx) {
        for (index, key) in keys.into_iter().enumerate() {
            if may_split && index % TOMBSTONES_PER_BATCH == 0 {
                fx.cut();
            }
            fx.append(offset_tombstone(&key.group, &key.topic, key.partition));
            fx.follow_up(Followup::Offset(self.offsets.remove(&key)));
        }
    }

    fn remove_group(&mut self, group_id: &Arc<str>, fx: &mut Fx) {
        if let Some(group) = self.groups.remove(group_id) {
            fx.append(group_tombstone(group_id));
            fx.follow_up(Followup::GroupRemoved(Box::new(group)));
        }
    }

    /// DeleteGroups, of one group, with its offsets.
    /// Errors: `GroupIdNotFound`, `NonEmptyGroup`.
    pub fn delete_group(&mut self, group_id: &Arc<str>, fx: &mut Fx) -> Result<(), ResponseError> {
        let group = self.groups.get(group_id).ok_or(ResponseError::GroupIdNotFound)?;
        group.validate_delete()?;
        let keys = self.offsets.keys_of(group_id);
        tracing::info!(group = %group_id, offsets = keys.len(), "the group is deleted");
        fx.cut();
        self.remove_offsets(keys, true, fx);
        self.remove_group(group_id, fx);
        Ok(())
    }

    /// DescribeGroups, of one group.
    pub fn describe(&self, group_id: &str) -> Option<DescribedGroup> {
        let group = self.groups.get(group_id)?;
        let stable = group.state() == State::Stable;
        let protocol = group.protocol_name().cloned().filter(|_| stable);
        let member = |member: &super::classic::Member| DescribedMember {
            member_id: member.member_id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: protocol.as_deref().and_then(|name| member.metadata(name)).cloned().unwrap_or_default(),
            assignment: member.assignment.clone(),
        };
        Some(DescribedGroup {
            state: group.state(),
            protocol_type: group.protocol_type().cloned().unwrap_or_else(|| Arc::from("")),
            members: group.members().map(member).collect(),
            protocol,
        })
    }

    /// ListGroups: the groups in any of these states (all, when there are none).
    pub fn list(&self, states: &[String]) -> Vec<ListedGroup> {
        let wanted = |group: &&ClassicGroup| {
            states.is_empty() || states.iter().any(|state| state.eq_ignore_ascii_case(group.state().name()))
        };
        let listed = |group: &ClassicGroup| ListedGroup {
            group_id: group.group_id.clone(),
            protocol_type: group.protocol_type().cloned().unwrap_or_else(|| Arc::from("")),
            state: group.state(),
        };
        self.groups.values().filter(wanted).map(listed).collect()
    }

    /// Every group with its committed offsets.
    pub(super) fn each_group(&self) -> impl Iterator<Item = (&ClassicGroup, Option<&Topics>)> {
        self.groups.values().map(|group| (group, self.offsets.group(&group.group_id)))
    }

    /// Topics are gone, and their offsets with them.
    pub fn topics_deleted(&mut self, topics: &[(Arc<str>, Uuid)], fx: &mut Fx) {
        let keys = self.offsets.of_topics(topics);
        if !keys.is_empty() {
            tracing::info!(partition = self.partition, offsets = keys.len(), "offsets of deleted topics are removed");
        }
        self.remove_offsets(keys, true, fx);
    }

    /// Removes expired offsets, and empty groups that have none left (KIP-211).
    fn expire(&mut self, fx: &mut Fx) {
        let mut group_ids: Vec<Arc<str>> = self.groups.keys().cloned().collect();
        group_ids.sort();
        for group_id in group_ids {
            let Some(group) = self.groups.get(&group_id) else { continue };
            let has_offsets = self.offsets.group(&group_id).is_some();
            let all_expired = match retention_from(group) {
                _ if !has_offsets => !self.offsets.has_pending_in(&group_id),
                None => false,
                Some(from) => {
                    let (expired, all) =
                        self.offsets.expired(&group_id, from, self.config.offsets_retention_ms, fx.now_ms, |topic| {
                            group.is_subscribed_to(topic)
                        });
                    self.metrics.expired.increment(expired.len() as u64);
                    self.remove_offsets(expired, true, fx);
                    all
                }
            };
            if all_expired && self.groups.get(&group_id).is_some_and(|g| g.state() == State::Empty) {
                self.remove_group(&group_id, fx);
            }
            fx.cut();
        }
        let interval_ms = u64::try_from(self.config.offsets_retention_check_interval_ms).unwrap_or(1).max(1);
        fx.set_timer(ShardTimer::Expiry, Duration::from_millis(interval_ms));
    }

    fn replay_record(&mut self, transaction: Option<i64>, key: &[u8], value: Option<&[u8]>) -> Result<(), FormatError> {
        match (parse_key(key)?, value) {
            (Key::Offset { group, topic, partition }, Some(value)) => {
                let value = parse_offset(value)?;
                self.ensure_simple_group(&group, value.commit_timestamp_ms, None);
                let key = OffsetKey { group, topic, partition };
                match transaction {
                    Some(producer_id) => self.offsets.put_pending(producer_id, key, value),
                    None => {
                        self.offsets.put(key, value);
                    }
                }
            }
            (Key::Offset { group, topic, partition }, None) => {
                self.offsets.remove(&OffsetKey { group, topic, partition });
            }
            (Key::Group { group }, Some(value)) => {
                let loaded = ClassicGroup::from_stored(group.clone(), parse_group(value)?);
                self.groups.insert(group, loaded);
            }
            (Key::Group { group }, None) => {
                self.groups.remove(&group);
            }
            (Key::Other(kind), _) => {
                self.skipped += 1;
                if !(0..=KEY_HIGHEST_KNOWN).contains(&kind) {
                    tracing::warn!(partition = self.partition, kind, "a record of an unknown kind is passed over");
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
impl GroupShard {
    pub fn groups(&self) -> impl Iterator<Item = &ClassicGroup> {
        self.groups.values()
    }

    pub fn all_offsets(&self) -> Vec<(OffsetKey, super::records::CommittedOffset)> {
        self.offsets.all()
    }
}

/// From when the group's offsets age; `None` while they do not.
fn retention_from(group: &ClassicGroup) -> Option<RetentionFrom> {
    match (group.protocol_type(), group.state()) {
        (None, _) => Some(RetentionFrom::Commit),
        (Some(_), State::Empty) => Some(group.state_timestamp_ms().map_or(RetentionFrom::Commit, RetentionFrom::Time)),
        (Some(_), State::Stable) if group.knows_subscriptions() => Some(RetentionFrom::Commit),
        (Some(_), _) => None,
    }
}

impl Shard for GroupShard {
    type Timer = ShardTimer;
    type Followup = Followup;

    fn replay(&mut self, replayed: Replayed<'_>) {
        match replayed {
            Replayed::Record { offset, transaction, key, value } => {
                if let Err(error) = self.replay_record(transaction, key, value) {
                    self.skipped += 1;
                    tracing::error!(partition = self.partition, offset, %error, "a record does not parse and is passed over");
                }
            }
            Replayed::Marker { producer_id, committed } => self.offsets.end_transaction(producer_id, committed),
        }
    }

    fn loaded(&mut self, fx: &mut Fx) {
        tracing::debug!(
            partition = self.partition,
            groups = self.groups.len(),
            skipped = self.skipped,
            "groups loaded"
        );
        let mut group_ids: Vec<Arc<str>> = self.groups.keys().cloned().collect();
        group_ids.sort();
        for group_id in group_ids {
            self.with_group(&group_id, fx, ClassicGroup::loaded);
        }
        let interval_ms = u64::try_from(self.config.offsets_retention_check_interval_ms).unwrap_or(1).max(1);
        fx.set_timer(ShardTimer::Expiry, Duration::from_millis(interval_ms));
    }

    fn timer(&mut self, timer: ShardTimer, fx: &mut Fx) {
        match timer {
            ShardTimer::Group(group_id, timer) => {
                self.with_group(&group_id, fx, |group, calls| group.timer(&timer, calls));
            }
            ShardTimer::Expiry => self.expire(fx),
        }
    }

    fn appended(&mut self, followup: Followup, result: Result<(), &AppendError>, fx: &mut Fx) {
        let error = result.err().map(client_error);
        match (followup, error) {
            (Followup::Group { group_id, then: AfterStore::NewGroup }, Some(error)) => {
                tracing::warn!(group = %group_id, %error, "the new group was not stored, and is gone");
                self.with_group(&group_id, fx, |group, calls| group.unload(error, calls));
                self.groups.remove(&group_id);
            }
            (Followup::Group { group_id, then }, error) => {
                let ends_rebalance = error.is_none() && matches!(then, AfterStore::Assignment { .. });
                let state = |shard: &Self| shard.groups.get(&group_id).map(ClassicGroup::state);
                let before = state(self);
                self.with_group(&group_id, fx, |group, calls| group.stored(then, error, calls));
                if ends_rebalance && before != Some(State::Stable) && state(self) == Some(State::Stable) {
                    self.metrics.rebalances.increment(1);
                }
            }
            (Followup::Offset(undo), Some(_)) => self.offsets.undo(undo),
            (Followup::GroupCreated(group_id), Some(_)) => {
                if self.groups.get(&group_id).is_some_and(ClassicGroup::is_untouched) {
                    self.groups.remove(&group_id);
                }
            }
            (Followup::GroupRemoved(group), Some(_)) => {
                self.groups.entry(group.group_id.clone()).or_insert(*group);
            }
            (Followup::Offset(_) | Followup::GroupCreated(_) | Followup::GroupRemoved(_), None) => {}
        }
    }

    fn unload(&mut self) {
        let mut fx = Effects::new(0);
        let group_ids: Vec<Arc<str>> = self.groups.keys().cloned().collect();
        for group_id in group_ids {
            self.with_group(&group_id, &mut fx, |group, calls| group.unload(ResponseError::NotCoordinator, calls));
        }
    }
}
