//! Hands each new image and its delta to readers and subscribers, and knows how far every subscriber has come.
//!
//! Subscribers see every delta, in order. A publication never waits for them: who needs to know that they followed waits with [`Publisher::wait_acknowledged`].

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

use super::delta::Delta;
use super::image::{MetadataImage, NO_OFFSET};

/// A new image and what changed in it.
#[derive(Clone, Debug)]
pub struct Publication {
    pub image: Arc<MetadataImage>,
    pub delta: Arc<Delta>,
}

pub struct Publisher {
    image: ArcSwap<MetadataImage>,
    subscribers: Mutex<Subscribers>,
    /// The lowest offset that a subscriber has acknowledged.
    acknowledged: watch::Sender<i64>,
    applied: watch::Sender<i64>,
}

#[derive(Default)]
struct Subscribers {
    next: u64,
    by_id: HashMap<u64, Subscriber>,
}

struct Subscriber {
    publications: mpsc::UnboundedSender<Publication>,
    acknowledged: i64,
}

impl Publisher {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            image: ArcSwap::from_pointee(MetadataImage::default()),
            subscribers: Mutex::default(),
            acknowledged: watch::Sender::new(i64::MAX),
            applied: watch::Sender::new(NO_OFFSET),
        })
    }

    pub fn image(&self) -> Arc<MetadataImage> {
        self.image.load_full()
    }

    pub(super) fn publish(&self, image: MetadataImage, delta: Delta) {
        let publication = Publication { image: Arc::new(image), delta: Arc::new(delta) };
        let subscribers = self.subscribers.lock();
        self.image.store(publication.image.clone());
        for subscriber in subscribers.by_id.values() {
            // A subscriber whose receiver is gone is about to remove itself.
            let _ = subscriber.publications.send(publication.clone());
        }
        drop(subscribers);
        self.applied.send_replace(publication.image.offset());
    }

    /// The image now, and every publication after it. The subscriber counts as behind until it acknowledges that image's offset.
    pub fn subscribe(self: &Arc<Self>) -> (Arc<MetadataImage>, Subscription) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut subscribers = self.subscribers.lock();
        let id = subscribers.next;
        subscribers.next += 1;
        subscribers.by_id.insert(id, Subscriber { publications: sender, acknowledged: NO_OFFSET });
        self.acknowledged.send_replace(subscribers.lowest());
        (self.image.load_full(), Subscription { id, receiver, publisher: self.clone() })
    }

    fn acknowledge(&self, id: u64, offset: i64) {
        let mut subscribers = self.subscribers.lock();
        if let Some(subscriber) = subscribers.by_id.get_mut(&id) {
            subscriber.acknowledged = subscriber.acknowledged.max(offset);
        }
        self.acknowledged.send_replace(subscribers.lowest());
    }

    fn unsubscribe(&self, id: u64) {
        let mut subscribers = self.subscribers.lock();
        subscribers.by_id.remove(&id);
        self.acknowledged.send_replace(subscribers.lowest());
    }

    /// Returns once every subscriber has acknowledged `offset`, at once when there is none.
    pub async fn wait_acknowledged(&self, offset: i64) {
        let mut acknowledged = self.acknowledged.subscribe();
        // The sender lives as long as `self`.
        let _ = acknowledged.wait_for(|lowest| *lowest >= offset).await;
    }

    /// Returns once the published image is at `offset` or beyond.
    pub async fn wait_applied(&self, offset: i64) {
        let mut applied = self.applied.subscribe();
        let _ = applied.wait_for(|applied| *applied >= offset).await;
    }
}

impl Subscribers {
    fn lowest(&self) -> i64 {
        self.by_id.values().map(|subscriber| subscriber.acknowledged).min().unwrap_or(i64::MAX)
    }
}

/// One subscriber's end. Dropping it ends the subscription.
pub struct Subscription {
    id: u64,
    receiver: mpsc::UnboundedReceiver<Publication>,
    publisher: Arc<Publisher>,
}

impl Subscription {
    /// The next publication; publications that wait already come merged into one. Cancel safe.
    pub async fn next(&mut self) -> Publication {
        match self.receiver.recv().await {
            Some(first) => self.merge_waiting(first),
            // The sender is in the publisher, which this subscription holds, until the subscription is dropped.
            None => std::future::pending().await,
        }
    }

    fn merge_waiting(&mut self, first: Publication) -> Publication {
        let Ok(second) = self.receiver.try_recv() else { return first };
        let mut delta = Delta::clone(&first.delta);
        let mut latest = second;
        loop {
            delta.merge(Delta::clone(&latest.delta));
            match self.receiver.try_recv() {
                Ok(next) => latest = next,
                Err(_) => return Publication { image: latest.image, delta: Arc::new(delta) },
            }
        }
    }

    /// Says that everything up to `offset` has taken effect here.
    pub fn acknowledge(&self, offset: i64) {
        self.publisher.acknowledge(self.id, offset);
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.publisher.unsubscribe(self.id);
    }
}
