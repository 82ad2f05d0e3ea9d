//! A member of a consumer group (classic protocol, eager rebalancing): joins, is told or decides who reads what, keeps alive, commits, leaves.
//!
//! Gives partitions up only while the caller polls, and commits before it does. A caller that does not poll for `max.poll.interval.ms` has its partitions taken:
//! the member leaves, and joins again at the next poll. With given partitions it only commits, if there is a group.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition as AssignedTopic;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, GroupId, HeartbeatRequest, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, Request, StrBytes};
use smallvec::smallvec;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::{Client, ClientError, ServerError, To};
use super::assignor::{self, Assignor};
use super::offsets::by_reset;
use super::{Commit, ConsumeError, Partition, Polled, Position, Reading, Shared, StartAt, Subscription};

/// The version of subscriptions and assignments that Java's consumer writes, and the newest that kafka-protocol knows.
const PROTOCOL_VERSION: i16 = 3;
/// What a broker may take longer than the rebalance for an answer to JoinGroup.
const JOIN_GRACE: Duration = Duration::from_secs(5);
/// How long leaving may take, before the consumer ends without.
const LEAVE_PATIENCE: Duration = Duration::from_secs(5);

const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
const NOT_COORDINATOR: i16 = 16;
const ILLEGAL_GENERATION: i16 = 22;
const UNKNOWN_MEMBER_ID: i16 = 25;
const REBALANCE_IN_PROGRESS: i16 = 27;
const UNSTABLE_OFFSET_COMMIT: i16 = 88;
const MEMBER_ID_REQUIRED: i16 = 79;
/// Codes of a coordinator that moves or loads: another one, or another try.
const ELSEWHERE: [i16; 3] = [COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR];

/// Why a step of the membership did not succeed.
enum Step {
    /// Everything from joining on again.
    Rejoin,
    /// Again, and as a new member.
    Lost,
    /// Another try later.
    Later(ClientError),
    /// The consumer ends.
    Fatal(ConsumeError),
    /// The caller wants to close.
    Closing,
}

impl From<ClientError> for Step {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Server(error) => Step::Fatal(ConsumeError::Server(error)),
            ClientError::Unsupported { .. } | ClientError::NotKafka { .. } | ClientError::Config(_) => {
                Step::Fatal(ConsumeError::Client(error))
            }
            other => Step::Later(other),
        }
    }
}

/// This consumer as its group's coordinator knows it.
pub(super) struct Member {
    shared: Arc<Shared>,
    client: Client,
    group_id: String,
    member_id: String,
    generation_id: i32,
    /// What the subscription came to when this member joined, and, for a leader, what it had to share out.
    joined_with: BTreeSet<String>,
    shared_out: Option<BTreeMap<String, usize>>,
    committed_at: Instant,
}

impl Member {
    pub(super) fn new(shared: Arc<Shared>, client: Client) -> Self {
        let group_id = shared.config.group_id.clone().unwrap_or_default();
        Self {
            shared,
            client,
            group_id,
            member_id: String::new(),
            generation_id: -1,
            joined_with: BTreeSet::new(),
            shared_out: None,
            committed_at: Instant::now(),
        }
    }

    /// Until the consumer is closed.
    pub(super) async fn run(mut self) {
        if matches!(self.shared.subscription, Subscription::Partitions(_)) {
            self.read_what_was_given().await;
            return;
        }
        // As in Kafka, also a first assignment begins with giving up what there was: nothing.
        self.shared.tell(Polled::Revoked(Vec::new()));
        let mut pause = self.shared.config.retry_backoff;
        loop {
            let step = self.one_generation().await;
            if self.shared.is_closing() {
                break;
            }
            match step {
                Step::Rejoin => pause = self.shared.config.retry_backoff,
                Step::Lost => {
                    self.member_id.clear();
                    self.generation_id = -1;
                }
                Step::Later(error) => {
                    self.client.forget_coordinator(&self.group_id);
                    self.client.forget_view();
                    self.client.tell_trouble(&error);
                    self.shared.state.lock().trouble = Some(error);
                    let _ = tokio::time::timeout(pause, self.shared.polls.notified()).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
                Step::Fatal(error) => {
                    self.shared.fail(error);
                    while !self.shared.is_closing() {
                        self.shared.polls.notified().await;
                    }
                    break;
                }
                Step::Closing => break,
            }
        }
        let goodbye = async {
            if self.shared.config.auto_commit.is_some() && self.generation_id >= 0 {
                let _ = self.commit(self.shared.positions()).await;
            }
            self.leave().await;
        };
        let _ = tokio::time::timeout(LEAVE_PATIENCE, goodbye).await;
    }

    /// Given partitions: positions from the group where they are asked for, then only commits.
    async fn read_what_was_given(&mut self) {
        let asked: Vec<Partition> = {
            let state = self.shared.state.lock();
            let committed = |(_, reading): &(&Partition, &Reading)| reading.start == StartAt::Committed;
            state.reading.iter().filter(committed).map(|(partition, _)| partition.clone()).collect()
        };
        while !asked.is_empty() && !self.group_id.is_empty() && !self.shared.is_closing() {
            match self.committed(&asked).await {
                Ok(found) => {
                    self.begin_at(&asked, &found);
                    break;
                }
                Err(Step::Fatal(error)) => {
                    self.shared.fail(error);
                    break;
                }
                Err(step) => {
                    if let Step::Later(error) = step {
                        self.client.tell_trouble(&error);
                    }
                    tokio::time::sleep(self.shared.config.retry_backoff).await;
                }
            }
        }
        self.shared.look();
        loop {
            self.do_commits().await;
            if self.shared.is_closing() {
                break;
            }
            let tick = self.shared.config.auto_commit.unwrap_or(Duration::from_secs(3600));
            let _ = tokio::time::timeout(tick, self.shared.polls.notified()).await;
            self.auto_commit().await;
        }
        if self.shared.config.auto_commit.is_some() {
            let _ = tokio::time::timeout(LEAVE_PATIENCE, self.commit(self.shared.positions())).await;
        }
    }

    /// From joining to the reason to join again.
    async fn one_generation(&mut self) -> Step {
        match self.join().await {
            Ok(assigned) => {
                if let Err(step) = self.begin(assigned).await {
                    return step;
                }
            }
            Err(step) => return step,
        }
        let step = self.keep_alive().await;
        self.give_up(&step).await;
        step
    }

    /// The topics that the subscription comes to now. `None` until the first metadata is there.
    fn topics(&self) -> Option<BTreeSet<String>> {
        if let Some(named) = self.shared.named_topics() {
            return Some(named);
        }
        let state = self.shared.state.lock();
        (!state.stale || !state.topics.is_empty()).then(|| state.topics.keys().cloned().collect())
    }

    async fn join(&mut self) -> Result<Vec<Partition>, Step> {
        let topics = loop {
            if self.shared.is_closing() {
                return Err(Step::Closing);
            }
            match self.topics() {
                Some(topics) => break topics,
                None => self.shared.polls.notified().await,
            }
        };
        let connection = self.client.connection(&To::Group(self.group_id.clone())).await?;
        let config = &self.shared.config;
        let version = connection.version_of::<JoinGroupRequest>(i16::MAX)?;
        let metadata = subscription(&topics, &config.rack).map_err(|what| broken(connection.address(), what))?;
        let protocols = config.assignors.iter().map(|assignor| {
            JoinGroupRequestProtocol::default()
                .with_name(StrBytes::from_static_str(assignor.name()))
                .with_metadata(metadata.clone())
        });
        let mut request = JoinGroupRequest::default()
            .with_group_id(GroupId(text(&self.group_id)))
            .with_session_timeout_ms(milliseconds(config.session_timeout))
            .with_rebalance_timeout_ms(milliseconds(config.max_poll_interval))
            .with_member_id(text(&self.member_id))
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_protocols(protocols.collect());
        if version >= 5 {
            request = request.with_group_instance_id(config.group_instance_id.as_deref().map(text));
        }
        let within = config.max_poll_interval + JOIN_GRACE;
        let answer: JoinGroupResponse = self.slow(&connection, &request, version, within).await?;
        if answer.error_code == MEMBER_ID_REQUIRED {
            self.member_id = answer.member_id.to_string();
            return Err(Step::Rejoin);
        }
        self.check(answer.error_code)?;
        self.member_id = answer.member_id.to_string();
        self.generation_id = answer.generation_id;
        self.joined_with = topics;
        let assignments = if answer.leader == answer.member_id && !answer.skip_assignment {
            self.share_out(&answer)?
        } else {
            self.shared_out = None;
            Vec::new()
        };
        let protocol = answer.protocol_name.clone();
        self.sync(assignments, protocol).await
    }

    /// A request whose answer may take as long as a rebalance.
    async fn slow<R: Request>(
        &self,
        connection: &super::super::Connection,
        request: &R,
        version: i16,
        within: Duration,
    ) -> Result<R::Response, Step> {
        let mut body = BytesMut::new();
        request.encode(&mut body, version).map_err(|error| broken(connection.address(), format!("{error:#}")))?;
        let pending = connection.begin(R::KEY, version, smallvec![body.freeze()])?;
        let reply = pending.wait(within);
        tokio::pin!(reply);
        loop {
            tokio::select! {
                reply = &mut reply => return Ok(connection.decode_reply::<R>(reply?, version)?),
                () = self.shared.polls.notified() => {
                    if self.shared.is_closing() {
                        self.client.abandon();
                        return Err(Step::Closing);
                    }
                }
            }
        }
    }

    /// As the group's leader: who reads what.
    fn share_out(&mut self, answer: &JoinGroupResponse) -> Result<Vec<SyncGroupRequestAssignment>, Step> {
        let name = answer.protocol_name.as_deref().unwrap_or_default();
        let Some(assignor) = Assignor::by_name(name) else {
            let what = format!("the group chose the assignor {name}, which this consumer did not offer");
            return Err(broken(&self.group_id, what));
        };
        let members: Vec<assignor::Member> = answer
            .members
            .iter()
            .map(|member| {
                let said = read_subscription(&member.metadata).unwrap_or_default();
                assignor::Member {
                    member_id: member.member_id.to_string(),
                    group_instance_id: member.group_instance_id.as_ref().map(|id| id.to_string()),
                    ..said
                }
            })
            .collect();
        let wanted: BTreeSet<&String> = members.iter().flat_map(|member| &member.topics).collect();
        let partitions: BTreeMap<String, usize> = {
            let state = self.shared.state.lock();
            let known = state.topics.iter().filter(|(topic, _)| wanted.contains(topic));
            known.map(|(topic, leaders)| (topic.clone(), leaders.len())).collect()
        };
        let result = assignor.assign(&members, &partitions);
        self.shared_out = Some(partitions);
        let mut assignments = Vec::new();
        for (member_id, partitions) in result {
            let assignment = assignment(&partitions).map_err(|what| broken(&self.group_id, what))?;
            assignments.push(
                SyncGroupRequestAssignment::default().with_member_id(text(&member_id)).with_assignment(assignment),
            );
        }
        Ok(assignments)
    }

    async fn sync(
        &mut self,
        assignments: Vec<SyncGroupRequestAssignment>,
        protocol: Option<StrBytes>,
    ) -> Result<Vec<Partition>, Step> {
        let connection = self.client.connection(&To::Group(self.group_id.clone())).await?;
        let version = connection.version_of::<SyncGroupRequest>(i16::MAX)?;
        let config = &self.shared.config;
        let mut request = SyncGroupRequest::default()
            .with_group_id(GroupId(text(&self.group_id)))
            .with_generation_id(self.generation_id)
            .with_member_id(text(&self.member_id))
            .with_assignments(assignments);
        if version >= 3 {
            request = request.with_group_instance_id(config.group_instance_id.as_deref().map(text));
        }
        if version >= 5 {
            request =
                request.with_protocol_type(Some(StrBytes::from_static_str("consumer"))).with_protocol_name(protocol);
        }
        let within = config.max_poll_interval + JOIN_GRACE;
        let answer = self.slow(&connection, &request, version, within).await?;
        self.check(answer.error_code)?;
        read_assignment(&answer.assignment).map_err(|what| broken(connection.address(), what))
    }

    /// What an answer's code means for the membership.
    fn check(&self, code: i16) -> Result<(), Step> {
        let Some(error) = ServerError::from_code(code, None) else { return Ok(()) };
        Err(match code {
            REBALANCE_IN_PROGRESS => Step::Rejoin,
            ILLEGAL_GENERATION | UNKNOWN_MEMBER_ID => Step::Lost,
            code if ELSEWHERE.contains(&code) => {
                self.client.forget_coordinator(&self.group_id);
                Step::Later(ClientError::Server(error))
            }
            // REQUEST_TIMED_OUT, NETWORK_EXCEPTION: another try.
            7 | 13 => Step::Later(ClientError::Server(error)),
            _ => Step::Fatal(ConsumeError::Server(error)),
        })
    }

    /// Takes an assignment up: positions from the group, then by policy.
    async fn begin(&mut self, assigned: Vec<Partition>) -> Result<(), Step> {
        let found = match assigned.is_empty() {
            true => BTreeMap::new(),
            false => loop {
                match self.committed(&assigned).await {
                    Err(Step::Later(error)) => {
                        if self.shared.is_closing() {
                            return Err(Step::Closing);
                        }
                        self.client.tell_trouble(&error);
                        self.shared.state.lock().trouble = Some(error);
                        tokio::time::sleep(self.shared.config.retry_backoff).await;
                    }
                    outcome => break outcome?,
                }
            },
        };
        {
            let mut state = self.shared.state.lock();
            state.assignment += 1;
            state.reading =
                assigned.iter().map(|partition| (partition.clone(), Reading::new(StartAt::Committed))).collect();
        }
        self.begin_at(&assigned, &found);
        self.committed_at = Instant::now();
        self.shared.tell(Polled::Assigned(assigned));
        self.shared.look();
        Ok(())
    }

    fn begin_at(&self, partitions: &[Partition], found: &BTreeMap<Partition, Position>) {
        let mut state = self.shared.state.lock();
        for partition in partitions {
            let Some(reading) = state.reading.get_mut(partition) else { continue };
            match (found.get(partition), by_reset(self.shared.config.reset)) {
                (Some(position), _) => {
                    reading.fetch_position = Some(position.offset);
                    reading.consumed = Some(*position);
                }
                (None, Some(start)) => reading.start = start,
                (None, None) => {
                    state.error.get_or_insert(ConsumeError::NoOffset { partition: partition.clone() });
                    self.shared.news.notify_all();
                    return;
                }
            }
        }
    }

    /// Heartbeats and commits until the group rebalances, the member is lost, or the caller closes.
    async fn keep_alive(&mut self) -> Step {
        let interval = self.shared.config.heartbeat_interval;
        let mut next = Instant::now() + interval;
        loop {
            let _ = tokio::time::timeout_at(next.into(), self.shared.polls.notified()).await;
            if self.shared.is_closing() {
                return Step::Closing;
            }
            if let Some(step) = self.do_commits().await {
                return step;
            }
            if let Some(step) = self.auto_commit().await {
                return step;
            }
            if self.subscription_changed() {
                return Step::Rejoin;
            }
            if self.caller_is_gone() {
                self.leave().await;
                return Step::Lost;
            }
            if Instant::now() < next {
                continue;
            }
            next = Instant::now() + interval;
            match self.heartbeat().await {
                Ok(()) | Err(Step::Later(_)) => {}
                Err(step) => return step,
            }
        }
    }

    fn caller_is_gone(&self) -> bool {
        let state = self.shared.state.lock();
        state.busy && state.polled_at.elapsed() > self.shared.config.max_poll_interval
    }

    /// Whether topics have come or gone, or a leader has other partitions to share out.
    fn subscription_changed(&self) -> bool {
        if self.shared.state.lock().stale {
            return false;
        }
        let pattern = matches!(self.shared.subscription, Subscription::Pattern(_));
        if pattern && self.topics().is_some_and(|topics| topics != self.joined_with) {
            return true;
        }
        let Some(shared_out) = &self.shared_out else { return false };
        let state = self.shared.state.lock();
        let known = |topic: &String| state.topics.get(topic).map_or(0, |leaders| leaders.len());
        self.joined_with.iter().any(|topic| known(topic) != shared_out.get(topic).copied().unwrap_or(0))
    }

    async fn heartbeat(&self) -> Result<(), Step> {
        let connection = self.client.connection(&To::Group(self.group_id.clone())).await?;
        let version = connection.version_of::<HeartbeatRequest>(i16::MAX)?;
        let mut request = HeartbeatRequest::default()
            .with_group_id(GroupId(text(&self.group_id)))
            .with_generation_id(self.generation_id)
            .with_member_id(text(&self.member_id));
        if version >= 3 {
            request = request.with_group_instance_id(self.shared.config.group_instance_id.as_deref().map(text));
        }
        let answer = connection.send(&request, version).await?;
        self.check(answer.error_code)
    }

    /// Waits until the caller polls, commits, and takes the partitions from it.
    async fn give_up(&mut self, step: &Step) {
        let deadline = Instant::now() + self.shared.config.max_poll_interval;
        loop {
            {
                let state = self.shared.state.lock();
                if !state.busy || state.closing || Instant::now() >= deadline {
                    break;
                }
            }
            let soon = Instant::now() + self.shared.config.heartbeat_interval;
            let _ = tokio::time::timeout_at(soon.min(deadline).into(), self.shared.polls.notified()).await;
            if !matches!(step, Step::Lost) {
                // The group waits for this member: it must not be taken for dead.
                let _ = self.heartbeat().await;
            }
        }
        if matches!(step, Step::Closing) {
            return;
        }
        if self.shared.config.auto_commit.is_some() && !matches!(step, Step::Lost) {
            let _ = self.commit(self.shared.positions()).await;
        }
        let given_up = {
            let mut state = self.shared.state.lock();
            state.assignment += 1;
            let given_up: Vec<Partition> = std::mem::take(&mut state.reading).into_keys().collect();
            state.queue.retain(|polled| !matches!(polled, Polled::Records(_)));
            given_up
        };
        self.shared.tell(Polled::Revoked(given_up));
        if let Some(step) = self.do_commits().await {
            drop(step);
        }
    }

    /// What the caller asked to have committed.
    async fn do_commits(&mut self) -> Option<Step> {
        let commits = std::mem::take(&mut self.shared.state.lock().commits);
        let mut outcome = None;
        for Commit { offsets, done } in commits {
            let told = match self.commit(offsets).await {
                Ok(()) => Ok(()),
                Err(Step::Fatal(error)) => Err(error),
                Err(Step::Later(error)) => Err(ConsumeError::Client(error)),
                Err(step) => {
                    let code = if matches!(step, Step::Lost) { UNKNOWN_MEMBER_ID } else { REBALANCE_IN_PROGRESS };
                    outcome = Some(step);
                    let message = "Offset commit cannot be completed since the consumer is not part of an active group for auto partition assignment; it is likely that the consumer was kicked out of the group.";
                    Err(ConsumeError::Server(ServerError { code, message: message.to_owned() }))
                }
            };
            let _ = done.send(told);
        }
        outcome
    }

    async fn auto_commit(&mut self) -> Option<Step> {
        let interval = self.shared.config.auto_commit?;
        if self.committed_at.elapsed() < interval {
            return None;
        }
        self.committed_at = Instant::now();
        match self.commit(self.shared.positions()).await {
            Err(step @ (Step::Lost | Step::Rejoin)) => Some(step),
            // Tried again at the next interval, as in Kafka.
            _ => None,
        }
    }

    /// Commits, again and again while the coordinator moves, up to `default.api.timeout.ms`.
    async fn commit(&self, offsets: BTreeMap<Partition, Position>) -> Result<(), Step> {
        if offsets.is_empty() {
            return Ok(());
        }
        let deadline = Instant::now() + self.client.api_timeout();
        loop {
            match self.commit_once(&offsets).await {
                Err(Step::Later(error)) if Instant::now() < deadline => {
                    self.client.forget_coordinator(&self.group_id);
                    if !matches!(error, ClientError::Server(_)) {
                        self.client.forget_view();
                    }
                    tokio::time::sleep(self.shared.config.retry_backoff).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn commit_once(&self, offsets: &BTreeMap<Partition, Position>) -> Result<(), Step> {
        let connection = self.client.connection(&To::Group(self.group_id.clone())).await?;
        let version = connection.version_of::<OffsetCommitRequest>(9)?;
        let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for ((topic, partition), position) in offsets {
            let committed = OffsetCommitRequestPartition::default()
                .with_partition_index(*partition)
                .with_committed_offset(position.offset)
                .with_committed_leader_epoch(if version >= 6 { position.leader_epoch } else { -1 })
                .with_committed_metadata(Some(StrBytes::from_static_str("")));
            topics.entry(topic).or_default().push(committed);
        }
        let topics = topics.into_iter().map(|(topic, partitions)| {
            OffsetCommitRequestTopic::default().with_name(TopicName(text(topic))).with_partitions(partitions)
        });
        let mut request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text(&self.group_id)))
            .with_generation_id_or_member_epoch(self.generation_id)
            .with_member_id(text(&self.member_id))
            .with_topics(topics.collect());
        if version >= 7 {
            request = request.with_group_instance_id(self.shared.config.group_instance_id.as_deref().map(text));
        }
        let answer = connection.send(&request, version).await?;
        for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            self.check(partition.error_code)?;
        }
        Ok(())
    }

    /// What the group has committed of these partitions.
    async fn committed(&self, partitions: &[Partition]) -> Result<BTreeMap<Partition, Position>, Step> {
        let connection = self.client.connection(&To::Group(self.group_id.clone())).await?;
        let version = connection.version_of::<OffsetFetchRequest>(9)?;
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in partitions {
            topics.entry(topic).or_default().push(*partition);
        }
        let request = offset_fetch(&self.group_id, &topics, version);
        let answer = connection.send(&request, version).await?;
        let mut found = BTreeMap::new();
        let mut take = |topic: &str, index: i32, code: i16, offset: i64, leader_epoch: i32| -> Result<(), Step> {
            if code == UNSTABLE_OFFSET_COMMIT {
                let error = ServerError { code, message: "offsets of a transaction are not settled yet".into() };
                return Err(Step::Later(ClientError::Server(error)));
            }
            self.check(code)?;
            if offset >= 0 {
                found.insert((topic.to_owned(), index), Position { offset, leader_epoch });
            }
            Ok(())
        };
        self.check(answer.error_code)?;
        for topic in &answer.topics {
            for of in &topic.partitions {
                take(&topic.name, of.partition_index, of.error_code, of.committed_offset, of.committed_leader_epoch)?;
            }
        }
        for group in &answer.groups {
            self.check(group.error_code)?;
            for topic in &group.topics {
                for of in &topic.partitions {
                    take(
                        &topic.name,
                        of.partition_index,
                        of.error_code,
                        of.committed_offset,
                        of.committed_leader_epoch,
                    )?;
                }
            }
        }
        Ok(found)
    }

    /// Static members (KIP-345) do not leave: they come back.
    async fn leave(&mut self) {
        let member_id = std::mem::take(&mut self.member_id);
        self.generation_id = -1;
        if member_id.is_empty() || self.shared.config.group_instance_id.is_some() {
            return;
        }
        let Ok(connection) = self.client.connection(&To::Group(self.group_id.clone())).await else { return };
        let Ok(version) = connection.version_of::<LeaveGroupRequest>(i16::MAX) else { return };
        let mut request = LeaveGroupRequest::default().with_group_id(GroupId(text(&self.group_id)));
        if version >= 3 {
            let mut member = MemberIdentity::default().with_member_id(text(&member_id));
            if version >= 5 {
                member = member.with_reason(Some(StrBytes::from_static_str("the consumer is being closed")));
            }
            request = request.with_members(vec![member]);
        } else {
            request = request.with_member_id(text(&member_id));
        }
        // Who is not there any more has left.
        let _ = connection.send(&request, version).await;
    }
}

/// An OffsetFetch for one group, in either of its forms. Stable offsets only: what a transaction commits counts when it has committed (KIP-447).
fn offset_fetch(group_id: &str, topics: &BTreeMap<&str, Vec<i32>>, version: i16) -> OffsetFetchRequest {
    let mut request = OffsetFetchRequest::default();
    if version >= 8 {
        let topics = topics.iter().map(|(topic, partitions)| {
            OffsetFetchRequestTopics::default()
                .with_name(TopicName(text(topic)))
                .with_partition_indexes(partitions.clone())
        });
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(GroupId(text(group_id)))
            .with_topics(Some(topics.collect()));
        request = request.with_groups(vec![group]);
    } else {
        let topics = topics.iter().map(|(topic, partitions)| {
            OffsetFetchRequestTopic::default()
                .with_name(TopicName(text(topic)))
                .with_partition_indexes(partitions.clone())
        });
        request = request.with_group_id(GroupId(text(group_id))).with_topics(Some(topics.collect()));
    }
    if version >= 7 { request.with_require_stable(true) } else { request }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

fn broken(address: &str, what: String) -> Step {
    Step::Fatal(ConsumeError::Client(ClientError::BadAnswer {
        address: address.to_owned(),
        request: "JoinGroup".into(),
        what,
    }))
}

/// A member's subscription as it travels through the group.
fn subscription(topics: &BTreeSet<String>, rack: &str) -> Result<Bytes, String> {
    let said = ConsumerProtocolSubscription::default()
        .with_topics(topics.iter().map(|topic| text(topic)).collect())
        .with_user_data(None)
        .with_generation_id(-1)
        .with_rack_id((!rack.is_empty()).then(|| text(rack)));
    versioned(&said)
}

fn assignment(partitions: &[Partition]) -> Result<Bytes, String> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in partitions {
        topics.entry(topic).or_default().push(*partition);
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        AssignedTopic::default().with_topic(TopicName(text(topic))).with_partitions(partitions)
    });
    versioned(&ConsumerProtocolAssignment::default().with_assigned_partitions(topics.collect()))
}

fn versioned(message: &impl Encodable) -> Result<Bytes, String> {
    let mut out = BytesMut::new();
    out.put_i16(PROTOCOL_VERSION);
    message.encode(&mut out, PROTOCOL_VERSION).map_err(|error| format!("{error:#}"))?;
    Ok(out.freeze())
}

/// Decodes what other members wrote, in whatever version; a newer one than this client knows begins like the newest it knows.
fn decode_versioned<T: Decodable>(bytes: &Bytes) -> Result<T, String> {
    let mut rest = bytes.clone();
    if rest.len() < 2 {
        return Err("a subscription or assignment of less than 2 bytes".into());
    }
    let version = rest.get_i16();
    if version < 0 {
        return Err(format!("a subscription or assignment of version {version}"));
    }
    T::decode(&mut rest, version.min(PROTOCOL_VERSION)).map_err(|error| format!("{error:#}"))
}

/// What a member says; `None` for what cannot be read: it then reads nothing.
fn read_subscription(bytes: &Bytes) -> Option<assignor::Member> {
    let said: ConsumerProtocolSubscription = decode_versioned(bytes).ok()?;
    let owned = said
        .owned_partitions
        .iter()
        .flat_map(|owned| owned.partitions.iter().map(|partition| (owned.topic.to_string(), *partition)));
    Some(assignor::Member {
        topics: said.topics.iter().map(|topic| topic.to_string()).collect(),
        owned: owned.collect(),
        generation_id: said.generation_id,
        ..assignor::Member::default()
    })
}

/// The partitions in an assignment; an empty one has none.
pub fn read_assignment(bytes: &Bytes) -> Result<Vec<Partition>, String> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let assigned: ConsumerProtocolAssignment = decode_versioned(bytes)?;
    let partitions = assigned
        .assigned_partitions
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.topic.to_string(), *partition)));
    Ok(partitions.collect())
}
