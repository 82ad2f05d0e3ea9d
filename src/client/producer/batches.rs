//! The producer's records that wait to be sent: collected into batches per partition, numbered when they leave, and put back in order when a send
//! has to be tried again.
//!
//! Pure but for the instants that it is given: no IO, no clock. Never sends a partition's later batch before an earlier one is known to have
//! arrived or failed, once one of them had to be tried again (KIP-98's sequences would show the gap).

mod split;

use ahash::AHashMap;
use bytes::{Bytes, BytesMut};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::protocol::batch_builder::{BatchBuilder, HeaderPair};
use crate::protocol::batch_error::BatchError;
use crate::protocol::compression::Compression;
use crate::protocol::record_batch::{BatchMut, add_sequence};
use crate::types::limits::RECORD_BATCH_HEADER_BYTES;

/// A record's bytes besides key, value and headers, at most (Kafka's own bound): length, attributes, deltas, counts.
const RECORD_OVERHEAD_BYTES: usize = 21;
/// The least that compression is believed to reach, so that one lucky batch does not make the next one huge.
const LEAST_RATIO: f64 = 0.1;

/// How batches are made.
#[derive(Clone, Copy, Debug)]
pub struct BatchRules {
    /// `batch.size`: a batch is full at this many bytes, as compression is expected to leave them.
    pub batch_bytes: usize,
    /// `max.request.size`: no batch of several records grows beyond it.
    pub max_batch_bytes: usize,
    /// `linger.ms`
    pub linger: Duration,
    pub compression: Compression,
    pub level: Option<i32>,
}

/// Who numbers the batches (KIP-98). No producer id: not idempotent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdentity {
    pub id: i64,
    pub epoch: i16,
}

/// A record as it was given.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    pub timestamp_ms: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: &'a [HeaderPair<'a>],
}

impl NewRecord<'_> {
    /// The most that it takes in a batch.
    pub fn size_bound(&self) -> usize {
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len) + 5;
        let headers: usize = self.headers.iter().map(|(key, value)| length(Some(key)) + length(*value)).sum();
        RECORD_OVERHEAD_BYTES + length(self.key) + length(self.value) + headers
    }
}

/// A batch that is being filled.
struct Open<T> {
    builder: BatchBuilder,
    tags: Vec<T>,
    begun_at: Instant,
    charged_bytes: usize,
}

/// A whole batch on its way. `T` is what its sender wants to be told by, one for each record.
pub struct Batch<T> {
    pub topic: Arc<str>,
    pub partition: i32,
    pub tags: Vec<T>,
    pub begun_at: Instant,
    /// What it counts for in the producer's memory.
    pub charged_bytes: usize,
    pub attempts: u32,
    /// Where its records begin in the producer's numbering; -1 without one, or before it was sent.
    pub sequence: i32,
    /// It was sent, and nobody knows whether it arrived.
    pub uncertain: bool,
    /// A piece of one that was too large.
    is_piece: bool,
    bytes: Bytes,
}

impl<T> Batch<T> {
    /// The batch as it goes out, uncopied.
    pub fn to_bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    pub fn record_count(&self) -> usize {
        self.tags.len()
    }

    fn number(&mut self, identity: ProducerIdentity, sequence: i32) -> Result<(), BatchError> {
        self.sequence = sequence;
        // Copies only what is being sent at the moment.
        let mut bytes = BytesMut::from(std::mem::take(&mut self.bytes));
        let mut batch = BatchMut::new(&mut bytes)?;
        let mut header = *batch.header();
        header.producer_id = identity.id;
        header.producer_epoch = identity.epoch;
        header.base_sequence = sequence;
        batch.set_header(header);
        self.bytes = bytes.freeze();
        Ok(())
    }
}

/// One partition's batches, oldest first.
struct Queue<T> {
    open: Option<Open<T>>,
    full: VecDeque<Batch<T>>,
    /// Batches to be tried again, by their sequence (or the order of their return).
    again: BTreeMap<i64, Batch<T>>,
    returned: i64,
    in_flight: usize,
    next_sequence: i32,
    /// The broker has taken a batch under the numbering. Before that it takes any number for the first one, so that a gap would not show.
    proven: bool,
    not_before: Option<Instant>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            open: None,
            full: VecDeque::new(),
            again: BTreeMap::new(),
            returned: 0,
            in_flight: 0,
            next_sequence: 0,
            proven: false,
            not_before: None,
        }
    }
}

impl<T> Queue<T> {
    fn is_idle(&self) -> bool {
        self.open.is_none() && self.full.is_empty() && self.again.is_empty() && self.in_flight == 0
    }

    /// Whether what is on its way has to be settled first: some wait to be sent again, or it is the first one of the numbering.
    fn is_held(&self) -> bool {
        self.in_flight > 0 && (!self.again.is_empty() || (self.next_sequence > 0 && !self.proven))
    }

    /// Where a batch that has to be sent again stands among the others. Sequences wrap; what is in flight is far closer together than half of them.
    fn place_of(&self, sequence: i32) -> i64 {
        i64::from(sequence.wrapping_sub(self.next_sequence) & i32::MAX)
    }
}

/// All partitions' batches.
pub struct Batches<T> {
    rules: BatchRules,
    slots: AHashMap<Arc<str>, usize>,
    topics: Vec<(Arc<str>, Vec<Queue<T>>)>,
    /// What compressed batches came to, of what they were.
    ratio: f64,
    charged_bytes: usize,
}

/// What adding a record did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added {
    /// A batch is full, or this is the first record of one: whoever sends should look.
    pub look: bool,
    /// A batch is full: it is worth to let the sender run.
    pub full: bool,
}

impl<T> Batches<T> {
    pub fn new(rules: BatchRules) -> Self {
        let ratio = if rules.compression == Compression::None { 1.0 } else { 0.6 };
        Self { rules, slots: AHashMap::new(), topics: Vec::new(), ratio, charged_bytes: 0 }
    }

    /// What all records take that are not done.
    pub fn charged_bytes(&self) -> usize {
        self.charged_bytes
    }

    /// Nothing waits and nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.queues().all(Queue::is_idle)
    }

    /// A partition's queue, made where there is none yet.
    fn queue(&mut self, topic: &str, partition: i32) -> &mut Queue<T> {
        let slot = match self.slots.get(topic) {
            Some(slot) => *slot,
            None => {
                let name: Arc<str> = Arc::from(topic);
                self.slots.insert(name.clone(), self.topics.len());
                self.topics.push((name, Vec::new()));
                self.topics.len() - 1
            }
        };
        let queues = &mut self.topics[slot].1;
        let index = usize::try_from(partition).unwrap_or(0);
        if queues.len() <= index {
            queues.resize_with(index + 1, Queue::default);
        }
        &mut queues[index]
    }

    fn queues(&self) -> impl Iterator<Item = &Queue<T>> {
        self.topics.iter().flat_map(|(_, queues)| queues)
    }

    fn known(&self, topic: &str, partition: i32) -> Option<&Queue<T>> {
        let (_, queues) = self.topics.get(*self.slots.get(topic)?)?;
        queues.get(usize::try_from(partition).ok()?)
    }

    /// How many uncompressed bytes make a batch full.
    fn limit_bytes(&self) -> usize {
        let expected = (self.rules.batch_bytes as f64 / self.ratio) as usize;
        expected.clamp(1, self.rules.max_batch_bytes.max(1)).saturating_sub(RECORD_BATCH_HEADER_BYTES).max(1)
    }

    /// Puts a record at its partition's end.
    pub fn add(
        &mut self,
        topic: &str,
        partition: i32,
        record: &NewRecord<'_>,
        tag: T,
        now: Instant,
    ) -> Result<Added, BatchError> {
        let bound = record.size_bound();
        let limit = self.limit_bytes();
        let mut full = false;
        let queue = self.queue(topic, partition);
        if queue.open.as_ref().is_some_and(|open| open.builder.uncompressed_bytes() + bound > limit) {
            self.close(topic, partition)?;
            full = true;
        }
        let rules = self.rules;
        let queue = self.queue(topic, partition);
        let first = queue.open.is_none();
        let open = queue.open.get_or_insert_with(|| Open {
            builder: BatchBuilder::new(rules.compression).level(rules.level),
            tags: Vec::new(),
            begun_at: now,
            charged_bytes: 0,
        });
        open.builder.add(record.timestamp_ms, record.key, record.value, record.headers);
        open.tags.push(tag);
        open.charged_bytes += bound;
        let reached = open.builder.uncompressed_bytes() >= limit;
        self.charged_bytes += bound;
        if reached {
            self.close(topic, partition)?;
            full = true;
        }
        Ok(Added { look: full || first, full })
    }

    /// Makes the batch that is being filled a whole one.
    fn close(&mut self, topic: &str, partition: i32) -> Result<(), BatchError> {
        let Some((name, _)) = self.slots.get_key_value(topic) else { return Ok(()) };
        let name = name.clone();
        let Some(open) = self.queue(topic, partition).open.take() else { return Ok(()) };
        let before = open.builder.uncompressed_bytes().max(1);
        let bytes = open.builder.build()?;
        if self.rules.compression != Compression::None {
            let reached = bytes.len().saturating_sub(RECORD_BATCH_HEADER_BYTES) as f64 / before as f64;
            self.ratio = (self.ratio * 0.9 + reached * 0.1).clamp(LEAST_RATIO, 1.0);
        }
        let batch = Batch {
            topic: name,
            partition,
            tags: open.tags,
            begun_at: open.begun_at,
            charged_bytes: open.charged_bytes,
            attempts: 0,
            sequence: -1,
            uncertain: false,
            is_piece: false,
            bytes: bytes.freeze(),
        };
        self.queue(topic, partition).full.push_back(batch);
        Ok(())
    }

    /// Partitions that have something to send now. `flush`: do not wait for more records.
    pub fn ready(&self, now: Instant, flush: bool) -> Vec<(Arc<str>, i32)> {
        let mut ready = Vec::new();
        for (topic, queues) in &self.topics {
            for (index, queue) in queues.iter().enumerate() {
                if self.is_ready(queue, now, flush) {
                    ready.push((topic.clone(), index as i32));
                }
            }
        }
        ready
    }

    fn is_ready(&self, queue: &Queue<T>, now: Instant, flush: bool) -> bool {
        if queue.is_held() || queue.not_before.is_some_and(|instant| instant > now) {
            return false;
        }
        !queue.again.is_empty()
            || !queue.full.is_empty()
            || queue.open.as_ref().is_some_and(|open| flush || now >= open.begun_at + self.rules.linger)
    }

    /// When something becomes ready by time alone, after `now`: what is ready already waits for somebody else than the clock.
    pub fn next_ready_after(&self, now: Instant) -> Option<Instant> {
        let lingering = |queue: &Queue<T>| queue.open.as_ref().map(|open| open.begun_at + self.rules.linger);
        let due = |queue: &Queue<T>| {
            let waits = !queue.again.is_empty() || !queue.full.is_empty();
            queue.not_before.filter(|_| waits).or_else(|| lingering(queue))
        };
        self.queues().filter(|queue| !queue.is_held()).filter_map(due).filter(|due| *due > now).min()
    }

    /// The oldest batch of a partition, for sending. With an identity it has its number, for good.
    pub fn take(
        &mut self,
        topic: &str,
        partition: i32,
        identity: Option<ProducerIdentity>,
    ) -> Result<Option<Batch<T>>, BatchError> {
        let queue = self.queue(topic, partition);
        if queue.again.is_empty() && queue.full.is_empty() {
            self.close(topic, partition)?;
        }
        let queue = self.queue(topic, partition);
        queue.not_before = None;
        let taken = match queue.again.pop_first() {
            Some((_, batch)) => Some(batch),
            None => queue.full.pop_front(),
        };
        let Some(mut batch) = taken else { return Ok(None) };
        queue.in_flight += 1;
        batch.attempts += 1;
        if let (Some(identity), -1) = (identity, batch.sequence) {
            let sequence = queue.next_sequence;
            queue.next_sequence = add_sequence(sequence, i32::try_from(batch.tags.len()).unwrap_or(i32::MAX));
            batch.number(identity, sequence)?;
        }
        Ok(Some(batch))
    }

    /// Whether a batch that came back out of order only follows one that has to be tried again.
    pub fn has_earlier(&self, batch: &Batch<T>) -> bool {
        self.known(&batch.topic, batch.partition).is_some_and(|queue| {
            queue.again.values().any(|other| other.sequence != -1 && is_before(other.sequence, batch.sequence))
        })
    }

    /// Puts a batch back that has to be sent again, not before `at`.
    pub fn put_back(&mut self, batch: Batch<T>, at: Instant) {
        let topic = batch.topic.clone();
        let queue = self.queue(&topic, batch.partition);
        queue.in_flight = queue.in_flight.saturating_sub(1);
        queue.not_before = Some(queue.not_before.map_or(at, |other| other.max(at)));
        queue.returned += 1;
        let place = if batch.sequence == -1 { queue.returned } else { queue.place_of(batch.sequence) };
        queue.again.insert(place, batch);
    }

    /// A batch has arrived.
    pub fn arrived(&mut self, batch: &Batch<T>) {
        if batch.sequence != -1 {
            let topic = batch.topic.clone();
            self.queue(&topic, batch.partition).proven = true;
        }
        self.done(batch);
    }

    /// A batch has arrived, or failed for good: gives its memory back.
    pub fn done(&mut self, batch: &Batch<T>) {
        let topic = batch.topic.clone();
        let queue = self.queue(&topic, batch.partition);
        queue.in_flight = queue.in_flight.saturating_sub(1);
        self.charged_bytes = self.charged_bytes.saturating_sub(batch.charged_bytes);
    }

    /// Takes out what has waited longer than `timeout` and is not on its way.
    pub fn expired(&mut self, now: Instant, timeout: Duration) -> Result<Vec<Batch<T>>, BatchError> {
        let is_old = |begun_at: Instant| now.saturating_duration_since(begun_at) >= timeout;
        let mut old_open = Vec::new();
        for (topic, queues) in &self.topics {
            for (index, queue) in queues.iter().enumerate() {
                if queue.open.as_ref().is_some_and(|open| is_old(open.begun_at)) {
                    old_open.push((topic.clone(), index as i32));
                }
            }
        }
        for (topic, partition) in old_open {
            self.close(&topic, partition)?;
        }
        let mut expired = Vec::new();
        for queue in self.topics.iter_mut().flat_map(|(_, queues)| queues) {
            while queue.again.first_key_value().is_some_and(|(_, batch)| is_old(batch.begun_at)) {
                expired.extend(queue.again.pop_first().map(|(_, batch)| batch));
            }
            while queue.again.is_empty() && queue.full.front().is_some_and(|batch| is_old(batch.begun_at)) {
                expired.extend(queue.full.pop_front());
            }
        }
        self.charged_bytes =
            self.charged_bytes.saturating_sub(expired.iter().map(|batch| batch.charged_bytes).sum::<usize>());
        Ok(expired)
    }

    /// Whether numbers may begin anew: nothing is on its way, and of nothing that was sent it is unknown whether it arrived. (Sent under another
    /// number, such a batch could be there twice.)
    pub fn may_renumber(&self) -> bool {
        let is_settled = |queue: &Queue<T>| queue.in_flight == 0 && !queue.again.values().any(|batch| batch.uncertain);
        self.queues().all(is_settled)
    }

    /// Whether a partition's next batch is one of which nobody knows whether it arrived.
    pub fn is_uncertain(&self, topic: &str, partition: i32) -> bool {
        self.known(topic, partition)
            .and_then(|queue| queue.again.first_key_value())
            .is_some_and(|(_, batch)| batch.uncertain)
    }

    /// Numbers begin anew, for a new identity: what waits to be sent again is numbered again, in its order. Only when
    /// [`Self::may_renumber`].
    pub fn renumber(&mut self) {
        for queue in self.topics.iter_mut().flat_map(|(_, queues)| queues) {
            queue.next_sequence = 0;
            queue.proven = false;
            for batch in std::mem::take(&mut queue.again).into_values().rev() {
                queue.full.push_front(Batch { sequence: -1, ..batch });
            }
        }
    }
}

/// Whether sequence `a` comes before `b`, around the wrap.
fn is_before(a: i32, b: i32) -> bool {
    a != b && (b.wrapping_sub(a) & i32::MAX) < i32::MAX / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::record_batch::BatchView;

    const IDENTITY: ProducerIdentity = ProducerIdentity { id: 9, epoch: 1 };

    fn rules(batch_bytes: usize) -> BatchRules {
        BatchRules {
            batch_bytes,
            max_batch_bytes: 1 << 20,
            linger: Duration::from_millis(5),
            compression: Compression::None,
            level: None,
        }
    }

    fn add(batches: &mut Batches<u32>, partition: i32, tag: u32, now: Instant) -> Added {
        let value = vec![7u8; 100];
        let record = NewRecord { timestamp_ms: 1, key: None, value: Some(&value), headers: &[] };
        batches.add("t", partition, &record, tag, now).unwrap()
    }

    fn take(batches: &mut Batches<u32>, partition: i32) -> Batch<u32> {
        batches.take("t", partition, Some(IDENTITY)).unwrap().unwrap()
    }

    #[test]
    fn a_batch_leaves_when_it_is_full_or_has_lingered() {
        let now = Instant::now();
        let mut batches = Batches::new(rules(400));
        assert_eq!(add(&mut batches, 0, 1, now), Added { look: true, full: false });
        assert!(batches.ready(now, false).is_empty());
        assert_eq!(batches.next_ready_after(now), Some(now + Duration::from_millis(5)));
        assert_eq!(batches.next_ready_after(now + Duration::from_millis(5)), None, "nobody shall wait for the past");
        assert_eq!(batches.ready(now + Duration::from_millis(5), false), [(Arc::from("t"), 0)]);
        assert_eq!(batches.ready(now, true), [(Arc::from("t"), 0)]);
        while !add(&mut batches, 0, 2, now).full {}
        assert_eq!(batches.ready(now, false), [(Arc::from("t"), 0)]);
        let batch = take(&mut batches, 0);
        assert!(batch.size_bytes() <= 400 && batch.record_count() >= 2, "{}", batch.size_bytes());
    }

    #[test]
    fn batches_are_numbered_in_order_and_carry_their_checksum() {
        let now = Instant::now();
        let mut batches = Batches::new(rules(1));
        for tag in 0..3 {
            add(&mut batches, 0, tag, now);
        }
        for expected in 0..3 {
            let batch = take(&mut batches, 0);
            let bytes = batch.to_bytes();
            let view = BatchView::parse(&bytes).unwrap();
            view.check_crc().unwrap();
            assert_eq!((view.header.producer_id, view.header.base_sequence), (9, expected));
            assert_eq!(batch.tags, [expected as u32]);
            batches.done(&batch);
        }
        assert!(batches.is_idle() && batches.charged_bytes() == 0);
    }

    #[test]
    fn the_first_batch_of_a_numbering_goes_alone() {
        let now = Instant::now();
        let mut batches = Batches::new(rules(1));
        for tag in 0..4 {
            add(&mut batches, 0, tag, now);
        }
        let first = take(&mut batches, 0);
        assert!(batches.ready(now, true).is_empty() && batches.next_ready_after(now).is_none());
        batches.arrived(&first);
        let second = take(&mut batches, 0);
        assert_eq!(batches.ready(now, true).len(), 1, "from now on a gap would be noticed");
        batches.done(&second);
        batches.renumber();
        let third = take(&mut batches, 0);
        assert_eq!((third.sequence, batches.ready(now, true).len()), (0, 0));
    }

    #[test]
    fn what_has_to_be_sent_again_goes_first_in_order_and_alone() {
        let now = Instant::now();
        let mut batches = Batches::new(rules(1));
        for tag in 0..4 {
            add(&mut batches, 0, tag, now);
        }
        let (first, second, third) = (take(&mut batches, 0), take(&mut batches, 0), take(&mut batches, 0));
        let later = now + Duration::from_millis(100);
        batches.put_back(second, later);
        assert!(batches.has_earlier(&third) && !batches.has_earlier(&first));
        batches.put_back(third, later);
        assert!(batches.ready(later, true).is_empty(), "the first is on its way");
        batches.put_back(first, later);
        assert!(batches.ready(now, true).is_empty(), "the back-off is not over");
        for expected in [0, 1, 2] {
            assert_eq!(batches.ready(later, false).len(), 1);
            let batch = take(&mut batches, 0);
            assert_eq!((batch.sequence, batch.attempts), (expected, 2));
            assert!(expected == 2 || batches.ready(later, true).is_empty(), "one at a time while some wait");
            batches.done(&batch);
        }
        assert_eq!(take(&mut batches, 0).sequence, 3);
    }

    #[test]
    fn a_new_identity_numbers_what_waits_from_the_beginning() {
        let now = Instant::now();
        let mut batches = Batches::new(rules(1));
        for tag in 0..3 {
            add(&mut batches, 0, tag, now);
        }
        let first = take(&mut batches, 0);
        batches.done(&first);
        let second = take(&mut batches, 0);
        batches.put_back(second, now);
        assert!(batches.may_renumber());
        batches.renumber();
        let batch = take(&mut batches, 0);
        assert_eq!((batch.tags.clone(), batch.sequence), (vec![1], 0));
        assert_eq!(take(&mut batches, 0).sequence, 1);
    }

    #[test]
    fn what_waits_too_long_is_taken_out_oldest_first() {
        let now = Instant::now();
        let mut batches = Batches::new(rules(1 << 16));
        add(&mut batches, 0, 1, now);
        add(&mut batches, 1, 2, now + Duration::from_secs(5));
        let expired = batches.expired(now + Duration::from_secs(6), Duration::from_secs(6)).unwrap();
        assert_eq!(expired.iter().map(|batch| batch.tags.clone()).collect::<Vec<_>>(), [[1]]);
        assert!(!batches.is_idle());
    }
}
