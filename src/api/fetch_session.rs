//! Fetch sessions (KIP-227): a consumer names its partitions once, then each fetch tells only changes, in both directions.
//!
//! The cache is bounded; a session is evicted by Kafka's rules (`FetchSessionCacheShard`). Knows nothing of records.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// No session.
pub const INVALID_SESSION_ID: i32 = 0;
/// The epoch of a request that begins a session.
pub const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request that ends its session and wants no other.
pub const FINAL_EPOCH: i32 = -1;

/// What a consumer wants of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchPartition {
    /// Nil below v13.
    pub topic_id: Uuid,
    /// Empty from v13.
    pub topic: Arc<str>,
    pub partition: i32,
    pub fetch_offset: i64,
    pub max_bytes: i32,
    /// -1 when not told.
    pub current_leader_epoch: i32,
    /// -1 when not told.
    pub last_fetched_epoch: i32,
}

/// How a request names a partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartitionName {
    pub topic_id: Uuid,
    pub topic: Arc<str>,
    pub partition: i32,
}

impl FetchPartition {
    pub fn name(&self) -> PartitionName {
        PartitionName { topic_id: self.topic_id, topic: Arc::clone(&self.topic), partition: self.partition }
    }
}

/// What the client was last told of a partition: it hears of it again only when this changes or there are records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    high_watermark: i64,
    log_start_offset: i64,
}

/// As Kafka's `CachedPartition` before its first answer.
const NOTHING_TOLD: Told = Told { high_watermark: -1, log_start_offset: -1 };

/// What an answer says of one partition, as far as a session cares.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    pub high_watermark: i64,
    pub log_start_offset: i64,
    pub has_records: bool,
    pub is_error: bool,
    pub has_diverging_epoch: bool,
}

#[derive(Debug)]
struct Entry {
    wanted: FetchPartition,
    told: Told,
}

#[derive(Debug)]
struct Session {
    id: i32,
    epoch: i32,
    uses_topic_ids: bool,
    created: Instant,
    last_used: Instant,
    /// In the order of fetching; one that gave records goes to the end, so that none starves.
    entries: Vec<Entry>,
    places: HashMap<PartitionName, usize, ahash::RandomState>,
}

/// What a request wants, and how its answer is to be told.
#[derive(Debug)]
pub struct FetchContext {
    pub partitions: Vec<FetchPartition>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Sessionless,
    /// Full; a session is made for the answer if there is room.
    Full {
        uses_topic_ids: bool,
    },
    /// Only what changed is told.
    Incremental {
        session_id: i32,
        epoch: i32,
    },
}

/// Why a session request is refused, whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionError {
    IdNotFound,
    InvalidEpoch,
    TopicIdMismatch,
}

/// A request's session fields.
#[derive(Clone, Copy, Debug)]
pub struct SessionRequest {
    pub session_id: i32,
    pub epoch: i32,
    /// v13 and later.
    pub uses_topic_ids: bool,
}

/// All sessions of a broker.
#[derive(Debug)]
pub struct FetchSessions {
    /// `max.incremental.fetch.session.cache.slots`
    slots: usize,
    /// Below this idle time a session is not evicted for a larger one (`min.incremental.fetch.session.eviction.ms`, 2 minutes).
    eviction: Duration,
    sessions: Mutex<HashMap<i32, Session, ahash::RandomState>>,
    evictions: AtomicU64,
}

/// Kafka's `ServerConfigs.FETCH_SESSION` eviction time, which is not configurable there either.
const EVICTION: Duration = Duration::from_secs(120);

impl FetchSessions {
    pub fn new(slots: usize) -> Self {
        Self { slots, eviction: EVICTION, sessions: Mutex::default(), evictions: AtomicU64::new(0) }
    }

    pub fn len(&self) -> usize {
        self.sessions.lock().len()
    }

    /// Partitions of all sessions.
    pub fn partitions(&self) -> usize {
        self.sessions.lock().values().map(|session| session.entries.len()).sum()
    }

    /// Sessions that have had to make room for others.
    pub fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Decides what a request wants (`FetchManager.newContext`).
    pub fn begin(
        &self,
        request: SessionRequest,
        partitions: Vec<FetchPartition>,
        forgotten: &[PartitionName],
    ) -> Result<FetchContext, SessionError> {
        let SessionRequest { session_id, epoch, uses_topic_ids } = request;
        let mut sessions = self.sessions.lock();
        if epoch == INITIAL_EPOCH || epoch == FINAL_EPOCH {
            let partitions = distinct(partitions);
            sessions.remove(&session_id);
            let kind = if epoch == FINAL_EPOCH { Kind::Sessionless } else { Kind::Full { uses_topic_ids } };
            return Ok(FetchContext { partitions, kind });
        }
        let session = sessions.get_mut(&session_id).ok_or(SessionError::IdNotFound)?;
        if session.epoch != epoch {
            return Err(SessionError::InvalidEpoch);
        }
        if session.uses_topic_ids != uses_topic_ids {
            return Err(SessionError::TopicIdMismatch);
        }
        session.update(&partitions, forgotten);
        if session.entries.is_empty() {
            sessions.remove(&session_id);
            return Ok(FetchContext { partitions, kind: Kind::Sessionless });
        }
        session.last_used = Instant::now();
        session.epoch = next_epoch(session.epoch);
        let partitions = session.entries.iter().map(|entry| entry.wanted.clone()).collect();
        Ok(FetchContext { partitions, kind: Kind::Incremental { session_id, epoch: session.epoch } })
    }

    /// Settles the answer: its session id, and for each partition of the context whether it is told.
    pub fn finish(&self, context: &FetchContext, answered: &[Answered]) -> (i32, Vec<bool>) {
        match context.kind {
            Kind::Sessionless => (INVALID_SESSION_ID, vec![true; answered.len()]),
            Kind::Full { uses_topic_ids } => {
                (self.create(context, answered, uses_topic_ids), vec![true; answered.len()])
            }
            Kind::Incremental { session_id, epoch } => {
                let mut sessions = self.sessions.lock();
                // A later request of the same session may have overtaken, or evicted it: then everything is told, which is always right.
                match sessions.get_mut(&session_id).filter(|session| session.epoch == epoch) {
                    Some(session) => (session_id, session.settle(context, answered)),
                    None => (session_id, vec![true; answered.len()]),
                }
            }
        }
    }

    fn create(&self, context: &FetchContext, answered: &[Answered], uses_topic_ids: bool) -> i32 {
        let mut sessions = self.sessions.lock();
        let now = Instant::now();
        if sessions.len() >= self.slots {
            if !evict(&mut sessions, context.partitions.len(), self.eviction, now) {
                return INVALID_SESSION_ID;
            }
            self.evictions.fetch_add(1, Ordering::Relaxed);
        }
        let mut id = random_id();
        while sessions.contains_key(&id) {
            id = random_id();
        }
        let mut session = Session {
            id,
            epoch: next_epoch(INITIAL_EPOCH),
            uses_topic_ids,
            created: now,
            last_used: now,
            entries: Vec::with_capacity(context.partitions.len()),
            places: HashMap::default(),
        };
        for (wanted, answered) in context.partitions.iter().zip(answered) {
            session.places.insert(wanted.name(), session.entries.len());
            session.entries.push(Entry { wanted: wanted.clone(), told: told(answered) });
        }
        debug_assert_eq!(session.id, id);
        sessions.insert(id, session);
        id
    }
}

/// A partition that is named twice stands where it was first named, as it was last described.
fn distinct(partitions: Vec<FetchPartition>) -> Vec<FetchPartition> {
    let mut places: HashMap<PartitionName, usize, ahash::RandomState> =
        HashMap::with_capacity_and_hasher(partitions.len(), ahash::RandomState::default());
    let mut kept: Vec<FetchPartition> = Vec::with_capacity(partitions.len());
    for wanted in partitions {
        match places.get(&wanted.name()).and_then(|place| kept.get_mut(*place)) {
            Some(earlier) => *earlier = wanted,
            None => {
                places.insert(wanted.name(), kept.len());
                kept.push(wanted);
            }
        }
    }
    kept
}

impl Session {
    fn update(&mut self, partitions: &[FetchPartition], forgotten: &[PartitionName]) {
        for wanted in partitions {
            match self.places.get(&wanted.name()).and_then(|place| self.entries.get_mut(*place)) {
                Some(entry) => entry.wanted = wanted.clone(),
                None => {
                    self.places.insert(wanted.name(), self.entries.len());
                    self.entries.push(Entry { wanted: wanted.clone(), told: NOTHING_TOLD });
                }
            }
        }
        if !forgotten.is_empty() {
            let gone: Vec<usize> = forgotten.iter().filter_map(|name| self.places.get(name).copied()).collect();
            let mut place = 0;
            self.entries.retain(|_| {
                place += 1;
                !gone.contains(&(place - 1))
            });
            self.index();
        }
    }

    fn settle(&mut self, context: &FetchContext, answered: &[Answered]) -> Vec<bool> {
        let mut gave_records = Vec::new();
        let mut tell = Vec::with_capacity(answered.len());
        for (wanted, answer) in context.partitions.iter().zip(answered) {
            let Some(place) = self.places.get(&wanted.name()).copied() else {
                tell.push(true);
                continue;
            };
            let Some(entry) = self.entries.get_mut(place) else { continue };
            let now = told(answer);
            let changed = answer.has_records || answer.is_error || answer.has_diverging_epoch || entry.told != now;
            entry.told = now;
            if answer.has_records {
                gave_records.push(place);
            }
            tell.push(changed);
        }
        if !gave_records.is_empty() && gave_records.len() < self.entries.len() {
            self.move_to_end(&gave_records);
        }
        tell
    }

    fn move_to_end(&mut self, places: &[usize]) {
        let mut moved = vec![false; self.entries.len()];
        for place in places {
            if let Some(flag) = moved.get_mut(*place) {
                *flag = true;
            }
        }
        let (mut stay, mut go) = (Vec::with_capacity(self.entries.len()), Vec::with_capacity(places.len()));
        for (entry, moved) in self.entries.drain(..).zip(moved) {
            if moved { go.push(entry) } else { stay.push(entry) }
        }
        stay.append(&mut go);
        self.entries = stay;
        self.index();
    }

    fn index(&mut self) {
        self.places = self.entries.iter().enumerate().map(|(place, entry)| (entry.wanted.name(), place)).collect();
    }
}

/// After an error the client is told again in any case, so nothing counts as told.
fn told(answered: &Answered) -> Told {
    if answered.is_error {
        return NOTHING_TOLD;
    }
    Told { high_watermark: answered.high_watermark, log_start_offset: answered.log_start_offset }
}

/// Frees a slot: the session that is longest unused if it is stale, else the smallest if it is old enough and smaller than the new one.
fn evict(
    sessions: &mut HashMap<i32, Session, ahash::RandomState>,
    new_size: usize,
    eviction: Duration,
    now: Instant,
) -> bool {
    let stale = sessions.values().min_by_key(|session| session.last_used);
    if let Some(id) = stale.filter(|s| now.duration_since(s.last_used) > eviction).map(|s| s.id) {
        return sessions.remove(&id).is_some();
    }
    let evictable = sessions.values().filter(|session| now.duration_since(session.created) > eviction);
    let smallest = evictable.min_by_key(|session| session.entries.len());
    match smallest.filter(|session| session.entries.len() < new_size).map(|session| session.id) {
        Some(id) => sessions.remove(&id).is_some(),
        None => false,
    }
}

fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

/// A positive id that nobody can guess, so that a client does not hit another's session by accident.
fn random_id() -> i32 {
    let bits = Uuid::new_v4().as_u128() as u32 & 0x7fff_ffff;
    i32::try_from(bits).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(partition: i32, fetch_offset: i64) -> FetchPartition {
        FetchPartition {
            topic_id: Uuid::nil(),
            topic: "t".into(),
            partition,
            fetch_offset,
            max_bytes: 100,
            current_leader_epoch: -1,
            last_fetched_epoch: -1,
        }
    }

    fn quiet(high_watermark: i64) -> Answered {
        Answered {
            high_watermark,
            log_start_offset: 0,
            has_records: false,
            is_error: false,
            has_diverging_epoch: false,
        }
    }

    fn request(session_id: i32, epoch: i32) -> SessionRequest {
        SessionRequest { session_id, epoch, uses_topic_ids: false }
    }

    fn begun(sessions: &FetchSessions) -> i32 {
        let context = sessions.begin(request(0, INITIAL_EPOCH), vec![wants(0, 0), wants(1, 0)], &[]).expect("full");
        let (id, tell) = sessions.finish(&context, &[quiet(5), quiet(6)]);
        assert_eq!(tell, vec![true, true]);
        id
    }

    #[test]
    fn an_incremental_fetch_tells_only_what_changed() {
        let sessions = FetchSessions::new(10);
        let id = begun(&sessions);
        assert_ne!(id, INVALID_SESSION_ID);
        let context = sessions.begin(request(id, 1), vec![], &[]).expect("incremental");
        assert_eq!(context.partitions.len(), 2);
        assert_eq!(sessions.finish(&context, &[quiet(5), quiet(7)]), (id, vec![false, true]));
        let context = sessions.begin(request(id, 2), vec![wants(1, 7)], &[wants(0, 0).name()]).expect("incremental");
        assert_eq!(context.partitions, vec![wants(1, 7)]);
    }

    #[test]
    fn epochs_and_ids_are_checked() {
        let sessions = FetchSessions::new(10);
        let id = begun(&sessions);
        let wrong = |request| sessions.begin(request, vec![], &[]).map(|_| ()).expect_err("refused");
        assert_eq!(wrong(request(id, 2)), SessionError::InvalidEpoch);
        assert_eq!(wrong(request(id.wrapping_add(1), 1)), SessionError::IdNotFound);
        assert_eq!(wrong(SessionRequest { uses_topic_ids: true, ..request(id, 1) }), SessionError::TopicIdMismatch);
    }

    #[test]
    fn a_session_without_partitions_and_one_that_is_closed_end() {
        let sessions = FetchSessions::new(10);
        let id = begun(&sessions);
        let all = [wants(0, 0).name(), wants(1, 0).name()];
        let context = sessions.begin(request(id, 1), vec![], &all).expect("sessionless");
        assert_eq!(sessions.finish(&context, &[]), (INVALID_SESSION_ID, vec![]));
        let id = begun(&sessions);
        assert!(sessions.begin(request(id, FINAL_EPOCH), vec![], &[]).is_ok());
        assert!(sessions.is_empty());
    }

    #[test]
    fn partitions_that_gave_records_go_last() {
        let sessions = FetchSessions::new(10);
        let id = begun(&sessions);
        let context = sessions.begin(request(id, 1), vec![], &[]).expect("incremental");
        sessions.finish(&context, &[Answered { has_records: true, ..quiet(9) }, quiet(6)]);
        let context = sessions.begin(request(id, 2), vec![], &[]).expect("incremental");
        assert_eq!(context.partitions.iter().map(|p| p.partition).collect::<Vec<_>>(), vec![1, 0]);
    }

    #[test]
    fn a_full_cache_gives_no_session_to_a_newcomer_while_all_are_fresh() {
        let sessions = FetchSessions::new(1);
        let first = begun(&sessions);
        assert_eq!(begun(&sessions), INVALID_SESSION_ID);
        assert!(sessions.begin(request(first, 1), vec![], &[]).is_ok());
        let mut impatient = FetchSessions::new(1);
        impatient.eviction = Duration::ZERO;
        begun(&impatient);
        std::thread::sleep(Duration::from_millis(2));
        assert_ne!(begun(&impatient), INVALID_SESSION_ID);
    }
}
