//! What one connection does and waits for, so that somebody can ask why its client is stuck.
//!
//! A request costs a few plain stores here and never waits for another connection. Locks are the connection's own, and taken only where a request waits or is
//! refused anyway. Decides nothing: no request may turn out otherwise because of what is noted here.

use arc_swap::ArcSwap;
use kafka_protocol::ResponseError;
use parking_lot::Mutex;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::fetch_session::FetchContext;

/// Requests that are remembered.
const RECENT: usize = 8;
/// Refusals that are remembered, each once however often it came.
const MOST_REFUSALS: usize = 8;
/// Bits of a remembered request: API key, version, milliseconds since the connection began.
const KEY_SHIFT: u32 = 48;
const VERSION_SHIFT: u32 = 40;
const TIME_MASK: u64 = (1 << VERSION_SHIFT) - 1;

/// What a request can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Wait {
    /// A fetch for `fetch.min.bytes`.
    FetchBytes,
    /// A fetch for memory to read into (`ottla.store.read.memory.bytes`).
    ReadMemory,
    /// A produce for the replicas that must have its records.
    Acknowledgement,
    /// A JoinGroup for the other members.
    JoinPhase,
    /// A SyncGroup for the leader's assignments.
    Assignment,
    /// A request's bytes for memory (`queued.max.request.bytes`).
    RequestMemory,
}

impl Wait {
    pub const ALL: [Self; 6] = [
        Self::FetchBytes,
        Self::ReadMemory,
        Self::Acknowledgement,
        Self::JoinPhase,
        Self::Assignment,
        Self::RequestMemory,
    ];
}

/// How many of a connection's requests wait for one thing, and since when the first of them.
#[derive(Debug, Default)]
struct WaitSlot {
    count: AtomicU32,
    since_ms: AtomicU64,
}

/// A request that the connection sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    pub api_key: i16,
    pub api_version: i16,
    /// How long ago.
    pub ago: Duration,
}

/// Something that was refused, however often.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub api_key: i16,
    pub error: ResponseError,
    /// The topic, partition or group; empty for none.
    pub subject: Arc<str>,
    /// The error in full.
    pub said: Arc<str>,
    pub count: u64,
    pub last: Instant,
}

/// The fetch that the connection waited with last.
#[derive(Clone, Debug)]
pub struct FetchWait {
    pub fetch: Arc<FetchContext>,
    pub min_bytes: usize,
    pub max_wait: Duration,
    pub read_committed: bool,
}

/// As which member of which group the connection speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    pub group_id: Arc<str>,
    /// Empty until the coordinator has given one.
    pub member_id: Arc<str>,
}

/// Where the client was told that this broker is.
#[derive(Clone, Debug)]
pub struct ToldAddress {
    pub host: Arc<str>,
    pub port: i32,
    pub first: Instant,
}

#[derive(Debug, Default)]
struct Details {
    /// With the number of requests up to it.
    fetch: Option<(u64, FetchWait)>,
    member: Option<Membership>,
    told: Option<ToldAddress>,
    refusals: Vec<Refusal>,
}

/// One connection's doings.
#[derive(Debug)]
pub struct Activity {
    began: Instant,
    client_id: ArcSwap<Arc<str>>,
    /// Requests begun. Written by the connection's own task only, like what follows.
    requests: AtomicU64,
    recent: [AtomicU64; RECENT],
    /// A bit for each API key below 128 that was asked.
    apis: [AtomicU64; 2],
    waits: [WaitSlot; Wait::ALL.len()],
    details: Mutex<Details>,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            client_id: ArcSwap::from_pointee(Arc::from("")),
            requests: AtomicU64::default(),
            recent: Default::default(),
            apis: Default::default(),
            waits: Default::default(),
            details: Mutex::default(),
        }
    }
}

impl Activity {
    pub fn began(&self) -> Instant {
        self.began
    }

    /// What the client calls itself; empty before its first request.
    pub fn client_id(&self) -> Arc<str> {
        Arc::clone(&self.client_id.load())
    }

    /// A request begins.
    pub fn requested(&self, api_key: i16, api_version: i16, client_id: &Arc<str>) {
        if **self.client_id.load() != *client_id {
            self.client_id.store(Arc::new(Arc::clone(client_id)));
        }
        let count = self.requests.load(Relaxed);
        let (key, version) = (u64::from(api_key.cast_unsigned()), u64::from(api_version.cast_unsigned() & 0xff));
        let packed = key << KEY_SHIFT | version << VERSION_SHIFT | (self.now_ms() & TIME_MASK);
        if let Some(place) = self.recent.get(place(count)) {
            place.store(packed, Relaxed);
        }
        self.requests.store(count + 1, Relaxed);
        if let Some((word, bit)) = api_bit(api_key)
            && let Some(word) = self.apis.get(word)
        {
            word.store(word.load(Relaxed) | bit, Relaxed);
        }
    }

    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// The newest requests, the last one first.
    pub fn recent(&self) -> Vec<Asked> {
        let count = self.requests();
        let newest = (0..count.min(RECENT as u64)).filter_map(|back| self.recent.get(place(count - 1 - back)));
        let now_ms = self.now_ms();
        let read = newest.map(|packed| {
            let packed = packed.load(Relaxed);
            Asked {
                api_key: ((packed >> KEY_SHIFT) as u16).cast_signed(),
                api_version: ((packed >> VERSION_SHIFT) & 0xff) as i16,
                ago: Duration::from_millis(now_ms.saturating_sub(packed & TIME_MASK)),
            }
        });
        read.collect()
    }

    /// Whether the client asked any API but these.
    pub fn asked_more_than(&self, api_keys: &[i16]) -> bool {
        let mut known = [0_u64; 2];
        for (word, bit) in api_keys.iter().filter_map(|key| api_bit(*key)) {
            if let Some(word) = known.get_mut(word) {
                *word |= bit;
            }
        }
        self.apis.iter().zip(known).any(|(asked, known)| asked.load(Relaxed) & !known != 0)
    }

    /// The request waits from now until the guard goes.
    pub fn waits(&self, wait: Wait) -> Waiting<'_> {
        self.begin_wait(wait);
        Waiting { activity: self, wait }
    }

    fn begin_wait(&self, wait: Wait) {
        if let Some(slot) = self.waits.get(wait as usize)
            && slot.count.fetch_add(1, Relaxed) == 0
        {
            slot.since_ms.store(self.now_ms(), Relaxed);
        }
    }

    fn end_wait(&self, wait: Wait) {
        if let Some(slot) = self.waits.get(wait as usize) {
            slot.count.fetch_sub(1, Relaxed);
        }
    }

    /// The connection's next request waits for memory, or does no more. For the connection's own task, which tells both.
    pub fn set_waits_for_request_memory(&self, waits: bool) {
        let waited = self.waited(Wait::RequestMemory).is_some();
        match (waited, waits) {
            (false, true) => self.begin_wait(Wait::RequestMemory),
            (true, false) => self.end_wait(Wait::RequestMemory),
            _ => {}
        }
    }

    /// How long requests have waited for something, if any does now.
    pub fn waited(&self, wait: Wait) -> Option<Duration> {
        let slot = self.waits.get(wait as usize).filter(|slot| slot.count.load(Relaxed) > 0)?;
        Some(Duration::from_millis(self.now_ms().saturating_sub(slot.since_ms.load(Relaxed))))
    }

    /// A fetch waits for bytes.
    pub fn waits_with_fetch(&self, fetch: FetchWait) -> Waiting<'_> {
        self.details.lock().fetch = Some((self.requests(), fetch));
        self.waits(Wait::FetchBytes)
    }

    /// The fetch that waits, or was the last one to wait, if the client has asked once at most since.
    pub fn last_fetch(&self) -> Option<FetchWait> {
        let (at, fetch) = self.details.lock().fetch.clone()?;
        (self.requests() <= at + 1).then_some(fetch)
    }

    /// The client speaks as a member of a group.
    pub fn speaks_as(&self, group_id: &str, member_id: &str) {
        let mut details = self.details.lock();
        let same = details.member.as_ref().is_some_and(|m| *m.group_id == *group_id && *m.member_id == *member_id);
        if !same {
            details.member = Some(Membership { group_id: Arc::from(group_id), member_id: Arc::from(member_id) });
        }
    }

    pub fn membership(&self) -> Option<Membership> {
        self.details.lock().member.clone()
    }

    /// The client was told where this broker is.
    pub fn told_address(&self, host: &Arc<str>, port: i32) {
        let mut details = self.details.lock();
        if details.told.as_ref().is_none_or(|told| told.host != *host || told.port != port) {
            details.told = Some(ToldAddress { host: Arc::clone(host), port, first: Instant::now() });
        }
    }

    pub fn address_told(&self) -> Option<ToldAddress> {
        self.details.lock().told.clone()
    }

    /// A request, or a part of one, was refused.
    pub fn refused(&self, api_key: i16, error: ResponseError, subject: &str, said: &dyn Display) {
        let now = Instant::now();
        let mut details = self.details.lock();
        let refusals = &mut details.refusals;
        let same = |one: &&mut Refusal| one.api_key == api_key && one.error == error && *one.subject == *subject;
        if let Some(known) = refusals.iter_mut().find(same) {
            known.count += 1;
            known.last = now;
            return;
        }
        if refusals.len() >= MOST_REFUSALS
            && let Some(oldest) = (0..refusals.len()).min_by_key(|index| refusals.get(*index).map(|one| one.last))
        {
            refusals.swap_remove(oldest);
        }
        let (subject, said) = (Arc::from(subject), Arc::from(said.to_string()));
        refusals.push(Refusal { api_key, error, subject, said, count: 1, last: now });
    }

    /// What was refused, the latest first.
    pub fn refusals(&self) -> Vec<Refusal> {
        let mut refusals = self.details.lock().refusals.clone();
        refusals.sort_by_key(|one| std::cmp::Reverse(one.last));
        refusals
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A request that waits, until dropped.
#[derive(Debug)]
pub struct Waiting<'a> {
    activity: &'a Activity,
    wait: Wait,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.activity.end_wait(self.wait);
    }
}

fn place(count: u64) -> usize {
    (count % RECENT as u64) as usize
}

/// Where an API key's bit is.
fn api_bit(api_key: i16) -> Option<(usize, u64)> {
    let key = usize::try_from(api_key).ok().filter(|key| *key < 128)?;
    Some((key / 64, 1 << (key % 64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_requests_are_remembered() {
        let activity = Activity::default();
        let client: Arc<str> = Arc::from("c");
        for key in 0..20 {
            activity.requested(key, 3, &client);
        }
        let recent = activity.recent();
        assert_eq!(recent.iter().map(|asked| asked.api_key).collect::<Vec<_>>(), [19, 18, 17, 16, 15, 14, 13, 12]);
        assert!(recent.iter().all(|asked| asked.api_version == 3 && asked.ago < Duration::from_secs(60)));
        assert_eq!((activity.requests(), &*activity.client_id()), (20, "c"));
        activity.requested(-1, -1, &Arc::from("d"));
        assert_eq!((activity.recent()[0].api_key, &*activity.client_id()), (-1, "d"));
    }

    #[test]
    fn a_request_costs_next_to_nothing() {
        let (activity, client): (_, Arc<str>) = (Activity::default(), Arc::from("client-1"));
        let (count, began) = (1_000_000_u32, Instant::now());
        for n in 0..count {
            activity.requested((n % 64) as i16, 3, &client);
        }
        let nanos = began.elapsed().as_nanos() / u128::from(count);
        println!("{nanos} ns for each request");
        // Some 40 on an idle machine; a lock that others wait for, or an allocation per request, would show.
        assert!(nanos < 2_000, "{nanos} ns");
    }

    #[test]
    fn apis_beyond_the_known_ones_show() {
        let activity = Activity::default();
        activity.requested(18, 0, &Arc::from(""));
        activity.requested(75, 0, &Arc::from(""));
        assert!(!activity.asked_more_than(&[18, 75, 3]) && activity.asked_more_than(&[18]));
    }

    #[test]
    fn waits_are_counted_while_they_last() {
        let activity = Activity::default();
        assert_eq!(activity.waited(Wait::Acknowledgement), None);
        let first = activity.waits(Wait::Acknowledgement);
        let second = activity.waits(Wait::Acknowledgement);
        drop(first);
        assert!(activity.waited(Wait::Acknowledgement).is_some() && activity.waited(Wait::FetchBytes).is_none());
        drop(second);
        assert_eq!(activity.waited(Wait::Acknowledgement), None);
        for waits in [true, true, false, false] {
            activity.set_waits_for_request_memory(waits);
            assert_eq!(activity.waited(Wait::RequestMemory).is_some(), waits);
        }
    }

    #[test]
    fn a_refusal_is_kept_once_and_the_oldest_gives_way() {
        let activity = Activity::default();
        for _ in 0..3 {
            activity.refused(1, ResponseError::OffsetOutOfRange, "t-0", &"gone");
        }
        assert_eq!(activity.refusals().iter().map(|one| one.count).collect::<Vec<_>>(), [3]);
        for topic in 0..MOST_REFUSALS {
            activity.refused(3, ResponseError::UnknownTopicOrPartition, &format!("t{topic}"), &"not there");
        }
        let refusals = activity.refusals();
        assert_eq!(refusals.len(), MOST_REFUSALS);
        assert!(refusals.iter().all(|one| one.api_key == 3) && &*refusals[0].subject == "t7");
    }
}
