//! A group of the classic protocol: who its members are, what they agreed on, and which state it is in.
//!
//! ```text
//!            join                       all joined, or time is up             leader's sync stored
//!   Empty ---------> PreparingRebalance -----------------> CompletingRebalance ---------> Stable
//!     ^                |  ^       ^                              |                          |
//!     +--- no members -+  |       +---- join, leave, time-out ---+                          |
//!                         +------------------ join, leave, time-out ------------------------+
//! ```
//!
//! Pure: never reads a clock, draws a random number, waits or logs records. Time, ids and configuration come in with each call; replies, timers and
//! records go out as [`Action`]s. The rules are Kafka 4.3's, error codes in Kafka's order.

mod join;
mod membership;
mod rebalance;
pub mod status;
mod subscription;
mod sync;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use indexmap::{IndexMap, IndexSet};
use kafka_protocol::ResponseError;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use uuid::Uuid;

use super::config::GroupConfig;
use super::records::{StoredGroup, StoredMember};

/// The protocol type of Kafka's consumers, whose metadata the coordinator looks into.
pub const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// Names a request whose reply waits for the group.
pub type Token = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    /// The coordinator has let go of the group. Nothing comes after it.
    Dead,
}

impl State {
    /// As DescribeGroups and ListGroups spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A protocol (for consumers: an assignor) that a member supports, with what the member says under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    pub name: Arc<str>,
    pub metadata: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub member_id: Arc<str>,
    /// `group.instance.id` of a static member (KIP-345).
    pub instance_id: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// In the order of preference.
    pub protocols: Vec<Protocol>,
    pub assignment: Bytes,
    awaiting_join: Option<Token>,
    awaiting_sync: Option<Token>,
    /// Has not completed a join phase yet.
    is_new: bool,
}

impl Member {
    fn is_static(&self) -> bool {
        self.instance_id.is_some()
    }

    /// What the member says under a protocol.
    pub fn metadata(&self, protocol: &str) -> Option<&Bytes> {
        self.protocols.iter().find(|p| &*p.name == protocol).map(|p| &p.metadata)
    }

    /// Members whose request waits here are alive, unless they are new: a new one's client may be gone without a sign.
    fn has_satisfied_heartbeat(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }
}

/// A JoinGroup.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    pub token: Token,
    /// Empty when the client has none yet.
    pub member_id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub protocol_type: Arc<str>,
    pub protocols: Vec<Protocol>,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    /// Why the client joins, for the log (KIP-800).
    pub reason: Option<Arc<str>>,
    /// JoinGroup 4 and later: a new dynamic member is first told its id (KIP-394).
    pub member_id_required: bool,
    /// JoinGroup 9 and later: a leader that comes back can be told not to assign anew (KIP-814).
    pub can_skip_assignment: bool,
    /// Makes the new member's id unique.
    pub fresh_id: Uuid,
}

/// A member as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinReplyMember {
    pub member_id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub metadata: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinReply {
    pub error: Option<ResponseError>,
    /// -1 with an error.
    pub generation: i32,
    pub protocol_type: Option<Arc<str>>,
    pub protocol_name: Option<Arc<str>>,
    pub leader: Arc<str>,
    pub skip_assignment: bool,
    pub member_id: Arc<str>,
    /// Empty but for the leader.
    pub members: Vec<JoinReplyMember>,
}

impl JoinReply {
    pub fn refused(error: ResponseError, member_id: impl Into<Arc<str>>) -> Self {
        Self {
            error: Some(error),
            generation: -1,
            protocol_type: None,
            protocol_name: None,
            leader: Arc::from(""),
            skip_assignment: false,
            member_id: member_id.into(),
            members: Vec::new(),
        }
    }
}

/// A SyncGroup.
#[derive(Clone, Debug)]
pub struct SyncRequest {
    pub token: Token,
    pub generation: i32,
    pub member_id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    /// Given from version 5 on.
    pub protocol_type: Option<Arc<str>>,
    pub protocol_name: Option<Arc<str>>,
    /// By member id; only the leader gives them.
    pub assignments: HashMap<Arc<str>, Bytes>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncReply {
    pub error: Option<ResponseError>,
    pub protocol_type: Option<Arc<str>>,
    pub protocol_name: Option<Arc<str>>,
    pub assignment: Bytes,
}

impl SyncReply {
    pub fn refused(error: ResponseError) -> Self {
        Self { error: Some(error), protocol_type: None, protocol_name: None, assignment: Bytes::new() }
    }
}

/// One member of a LeaveGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeavingMember {
    /// Empty when an administrator removes a static member by its instance id.
    pub member_id: Arc<str>,
    pub instance_id: Option<Arc<str>>,
    pub reason: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PhaseTimer {
    /// The join phase's end.
    Join,
    /// By when every member must have sent its SyncGroup.
    Sync,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GroupTimer {
    /// A member's session, or a pending or new member's time to come (back).
    Session(Arc<str>),
    Phase(PhaseTimer),
}

/// What happens once a group's record is in the log, or has failed to get there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterStore {
    /// A group that has just come into being.
    NewGroup,
    /// A group whose last member is gone.
    Empty,
    /// The leader's assignments.
    Assignment { generation: i32, assignments: HashMap<Arc<str>, Bytes> },
    /// A static member that came back under a new member id while the group was stable.
    StaticMember(Box<StaticReplacement>),
}

/// What is needed to answer a static member's join, or to put its old self back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticReplacement {
    token: Token,
    instance_id: Arc<str>,
    old_member_id: Arc<str>,
    new_member_id: Arc<str>,
    old_leader: Option<Arc<str>>,
    old_protocols: Vec<Protocol>,
    old_rebalance_timeout_ms: i32,
    old_session_timeout_ms: i32,
    can_skip_assignment: bool,
}

/// What a call on a group asks of its surroundings, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    AnswerJoin(Token, JoinReply),
    AnswerSync(Token, SyncReply),
    SetTimer { timer: GroupTimer, after_ms: i32 },
    CancelTimer(GroupTimer),
    Store { group: StoredGroup, then: AfterStore },
}

/// What a call on a group knows of its surroundings, and where its actions go.
#[derive(Debug)]
pub struct Calls<'a> {
    pub config: &'a GroupConfig,
    /// The wall clock.
    pub now_ms: i64,
    pub actions: &'a mut Vec<Action>,
}

impl Calls<'_> {
    fn push(&mut self, action: Action) {
        self.actions.push(action);
    }

    fn set_session(&mut self, member_id: &Arc<str>, after_ms: i32) {
        self.push(Action::SetTimer { timer: GroupTimer::Session(member_id.clone()), after_ms });
    }

    fn cancel_session(&mut self, member_id: &Arc<str>) {
        self.push(Action::CancelTimer(GroupTimer::Session(member_id.clone())));
    }

    fn set_phase(&mut self, phase: PhaseTimer, after_ms: i32) {
        self.push(Action::SetTimer { timer: GroupTimer::Phase(phase), after_ms });
    }

    fn cancel_phase(&mut self, phase: PhaseTimer) {
        self.push(Action::CancelTimer(GroupTimer::Phase(phase)));
    }
}

/// The first rebalance of an empty group: how long it may yet be put off while members keep arriving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct InitialRebalance {
    delay_ms: i32,
    remaining_ms: i32,
}

/// A group of the classic protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicGroup {
    pub group_id: Arc<str>,
    state: State,
    previous_state: State,
    /// When the state was entered, by the wall clock. `None` for groups stored by brokers before Kafka 2.1.
    state_timestamp_ms: Option<i64>,
    protocol_type: Option<Arc<str>>,
    protocol_name: Option<Arc<str>>,
    generation: i32,
    leader: Option<Arc<str>>,
    /// In the order of joining.
    members: IndexMap<Arc<str>, Member>,
    /// Member ids by instance id.
    static_members: HashMap<Arc<str>, Arc<str>>,
    /// Ids given out whose members have not joined with them yet.
    pending_join: IndexSet<Arc<str>>,
    pending_sync: HashSet<Arc<str>>,
    /// How many members support each protocol.
    protocol_counts: HashMap<Arc<str>, usize>,
    awaiting_join: usize,
    new_member_added: bool,
    initial_rebalance: Option<InitialRebalance>,
    /// What the members of a consumer group are subscribed to, if the coordinator could read it.
    subscribed_topics: Option<HashSet<Arc<str>>>,
}

impl ClassicGroup {
    pub fn new(group_id: Arc<str>, now_ms: i64) -> Self {
        Self {
            group_id,
            state: State::Empty,
            previous_state: State::Dead,
            state_timestamp_ms: Some(now_ms),
            protocol_type: None,
            protocol_name: None,
            generation: 0,
            leader: None,
            members: IndexMap::new(),
            static_members: HashMap::new(),
            pending_join: IndexSet::new(),
            pending_sync: HashSet::new(),
            protocol_counts: HashMap::new(),
            awaiting_join: 0,
            new_member_added: false,
            initial_rebalance: None,
            subscribed_topics: None,
        }
    }

    /// The group that a record describes: stable if it has members, else empty.
    pub fn from_stored(group_id: Arc<str>, stored: StoredGroup) -> Self {
        let mut group = Self::new(group_id, 0);
        group.state_timestamp_ms = Some(stored.state_timestamp_ms).filter(|ms| *ms != -1);
        group.protocol_type = Some(stored.protocol_type).filter(|name| !name.is_empty());
        group.protocol_name = stored.protocol;
        group.generation = stored.generation;
        group.leader = stored.leader;
        let protocol_name = group.protocol_name.clone().unwrap_or_else(|| Arc::from(""));
        for member in stored.members {
            group.insert(Member {
                member_id: member.member_id,
                instance_id: member.instance_id,
                client_id: member.client_id,
                client_host: member.client_host,
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                session_timeout_ms: member.session_timeout_ms,
                protocols: vec![Protocol { name: protocol_name.clone(), metadata: member.subscription }],
                assignment: member.assignment,
                awaiting_join: None,
                awaiting_sync: None,
                is_new: false,
            });
        }
        if !group.members.is_empty() {
            group.state = State::Stable;
        }
        group.subscribed_topics = group.compute_subscribed_topics();
        group
    }

    /// The record that describes the group with these assignments.
    fn to_stored(&self, assignment_of: impl Fn(&Member) -> Bytes) -> StoredGroup {
        let protocol = self.protocol_name.as_deref().unwrap_or("");
        let member = |member: &Member| StoredMember {
            member_id: member.member_id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.metadata(protocol).cloned().unwrap_or_default(),
            assignment: assignment_of(member),
        };
        StoredGroup {
            protocol_type: self.protocol_type.clone().unwrap_or_else(|| Arc::from("")),
            generation: self.generation,
            protocol: self.protocol_name.clone(),
            leader: self.leader.clone(),
            state_timestamp_ms: self.state_timestamp_ms.unwrap_or(-1),
            members: self.members.values().map(member).collect(),
        }
    }

    /// The record of a group that has just come into being: without members, whatever joins it meanwhile.
    pub fn to_stored_new(&self) -> StoredGroup {
        StoredGroup {
            protocol_type: Arc::from(""),
            generation: 0,
            protocol: None,
            leader: None,
            state_timestamp_ms: self.state_timestamp_ms.unwrap_or(-1),
            members: Vec::new(),
        }
    }

    pub fn state(&self) -> State {
        self.state
    }

    pub fn state_timestamp_ms(&self) -> Option<i64> {
        self.state_timestamp_ms
    }

    pub fn generation(&self) -> i32 {
        self.generation
    }

    pub fn protocol_type(&self) -> Option<&Arc<str>> {
        self.protocol_type.as_ref()
    }

    pub fn protocol_name(&self) -> Option<&Arc<str>> {
        self.protocol_name.as_ref()
    }

    pub fn leader(&self) -> Option<&Arc<str>> {
        self.leader.as_ref()
    }

    pub fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.values()
    }

    /// Nothing but offsets keeps this group: it has no members, and none on their way.
    pub fn is_untouched(&self) -> bool {
        self.state == State::Empty && self.members.is_empty() && self.pending_join.is_empty()
    }

    fn transition(&mut self, state: State, now_ms: i64) {
        self.previous_state = self.state;
        self.state = state;
        self.state_timestamp_ms = Some(now_ms);
    }

    fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }
}
