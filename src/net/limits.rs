//! How many connections there may be and how many new ones in a second: in all, for a listener, and from one address.
//!
//! What is allowed can change at any time (`max.connections` and its kin are dynamic); who is connected then stays.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::rate::RateQuota;
use super::settings::{ConnectionQuotas, ListenerQuotas};

/// Counts the connections of listeners that are counted together.
#[derive(Debug)]
pub struct ConnectionLimits {
    state: Mutex<State>,
    /// Told when a connection has ended, and when more are allowed.
    freed: Notify,
}

#[derive(Debug)]
struct State {
    quotas: ConnectionQuotas,
    total: usize,
    rate: RateQuota,
    listeners: HashMap<Arc<str>, OfListener>,
    /// By the listener; only those whose next connection waits.
    blocked: HashMap<Arc<str>, (Instant, BlockedBy)>,
    per_ip: HashMap<IpAddr, usize>,
}

/// A listener whose next connection waits.
#[derive(Clone, Debug)]
pub struct Blocked {
    pub listener: Arc<str>,
    pub since: Instant,
    pub by: BlockedBy,
}

/// The key that keeps it waiting, and what that allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockedBy {
    Connections {
        key: String,
        most: usize,
    },
    /// In a second.
    Rate {
        key: String,
        most: u32,
    },
}

#[derive(Debug)]
struct OfListener {
    connections: usize,
    rate: RateQuota,
}

/// A place for one connection among all.
#[derive(Debug)]
pub struct Place {
    limits: Arc<ConnectionLimits>,
    listener: Arc<str>,
}

/// An accepted connection's place, until dropped.
#[derive(Debug)]
pub struct Admission {
    place: Place,
    ip: IpAddr,
}

impl ConnectionLimits {
    pub fn new(quotas: ConnectionQuotas) -> Arc<Self> {
        let rate = RateQuota::new(quotas.rate_window);
        let (listeners, blocked, per_ip) = (HashMap::new(), HashMap::new(), HashMap::new());
        let state = State { quotas, total: 0, rate, listeners, blocked, per_ip };
        Arc::new(Self { state: Mutex::new(state), freed: Notify::new() })
    }

    /// From now on this is allowed.
    pub fn set(&self, quotas: ConnectionQuotas) {
        self.state.lock().quotas = quotas;
        self.freed.notify_waiters();
    }

    /// A place for a connection that has come to a listener, once there is one and the rate of new connections is not above what is allowed. As in Kafka, one
    /// connection is not kept waiting for the rate longer than a window of its measurement.
    pub async fn place(self: &Arc<Self>, listener: &Arc<str>) -> Place {
        let recorded = self.state.lock().record(listener, Instant::now());
        let waiting = Waiting { limits: self, listener };
        if let Some((wait, by)) = recorded {
            waiting.on(by);
            tokio::time::sleep(wait).await;
        }
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // Before the look, so that no end of a connection is missed between the two.
            freed.as_mut().enable();
            let taken = self.state.lock().take_place(listener);
            match taken {
                Ok(()) => return Place { limits: Arc::clone(self), listener: Arc::clone(listener) },
                Err(by) => waiting.on(by),
            }
            freed.await;
        }
    }

    /// The listeners whose next connection waits now.
    pub fn blocked(&self) -> Vec<Blocked> {
        let state = self.state.lock();
        let all = state.blocked.iter();
        all.map(|(listener, (since, by))| Blocked { listener: Arc::clone(listener), since: *since, by: by.clone() })
            .collect()
    }

    /// `Err` with the limit when the address has all the connections that it may have.
    pub fn admit(&self, place: Place, ip: IpAddr) -> Result<Admission, usize> {
        let mut state = self.state.lock();
        let max = state.quotas.max_per_ip_overrides.get(&ip).copied().unwrap_or(state.quotas.max_per_ip);
        let count = state.per_ip.get(&ip).copied().unwrap_or(0);
        if count >= max {
            // The place is given back below its lock.
            drop(state);
            return Err(max);
        }
        state.per_ip.insert(ip, count + 1);
        Ok(Admission { place, ip })
    }
}

impl State {
    /// The inter-broker listener is kept open for the others' sake, however many clients there are (KIP-402).
    fn is_protected(&self, listener: &str) -> bool {
        self.quotas.protected.as_deref() == Some(listener)
    }

    fn of_listener(&mut self, listener: &Arc<str>) -> &mut OfListener {
        let window = self.quotas.rate_window;
        let new = || OfListener { connections: 0, rate: RateQuota::new(window) };
        self.listeners.entry(Arc::clone(listener)).or_insert_with(new)
    }

    fn quotas_of(&self, listener: &str) -> ListenerQuotas {
        self.quotas.listeners.get(listener).copied().unwrap_or(ListenerQuotas::NONE)
    }

    /// Counts a new connection; gives how long it has to wait for the rate (KIP-612), and for which.
    fn record(&mut self, listener: &Arc<str>, now: Instant) -> Option<(Duration, BlockedBy)> {
        const KEY: &str = "max.connection.creation.rate";
        let (all, own) = (self.quotas.creation_rate, self.quotas_of(listener).creation_rate);
        let of_all = if self.is_protected(listener) { Duration::ZERO } else { self.rate.record(all, now) };
        let of_own = self.of_listener(listener).rate.record(own, now);
        let (wait, key, most) =
            if of_own > of_all { (of_own, key_of(listener, KEY), own) } else { (of_all, KEY.to_owned(), all) };
        (!wait.is_zero()).then_some((wait, BlockedBy::Rate { key, most }))
    }

    fn take_place(&mut self, listener: &Arc<str>) -> Result<(), BlockedBy> {
        const KEY: &str = "max.connections";
        let (max, own) = (self.quotas.max_connections, self.quotas_of(listener).max_connections);
        if !self.is_protected(listener) && self.total >= max {
            return Err(BlockedBy::Connections { key: KEY.to_owned(), most: max });
        }
        if self.of_listener(listener).connections >= own {
            return Err(BlockedBy::Connections { key: key_of(listener, KEY), most: own });
        }
        self.total += 1;
        self.of_listener(listener).connections += 1;
        Ok(())
    }
}

/// A key for one listener.
fn key_of(listener: &str, key: &str) -> String {
    format!("listener.name.{}.{key}", listener.to_lowercase())
}

/// A connection that has no place yet, until dropped.
struct Waiting<'a> {
    limits: &'a ConnectionLimits,
    listener: &'a Arc<str>,
}

impl Waiting<'_> {
    fn on(&self, by: BlockedBy) {
        let mut state = self.limits.state.lock();
        let since = state.blocked.get(self.listener).map_or_else(Instant::now, |(since, _)| *since);
        state.blocked.insert(Arc::clone(self.listener), (since, by));
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.limits.state.lock().blocked.remove(self.listener);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.limits.state.lock();
        state.total = state.total.saturating_sub(1);
        let of_listener = state.of_listener(&self.listener);
        of_listener.connections = of_listener.connections.saturating_sub(1);
        drop(state);
        self.limits.freed.notify_waiters();
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut state = self.place.limits.state.lock();
        match state.per_ip.get_mut(&self.ip) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                state.per_ip.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::config::broker::BrokerConfig;
    use std::net::Ipv4Addr;
    use tokio::time::timeout;

    fn quotas() -> ConnectionQuotas {
        ConnectionQuotas::of(&BrokerConfig::new(Settings::default()).unwrap())
    }

    fn name(listener: &str) -> Arc<str> {
        Arc::from(listener)
    }

    /// Whether a connection to a listener has a place at once.
    async fn has_place(limits: &Arc<ConnectionLimits>, listener: &str) -> Option<Place> {
        timeout(Duration::from_millis(1), limits.place(&name(listener))).await.ok()
    }

    #[tokio::test]
    async fn addresses_are_counted_apart() {
        let (a, b) = (IpAddr::from(Ipv4Addr::new(10, 0, 0, 1)), IpAddr::from(Ipv4Addr::new(10, 0, 0, 2)));
        let overrides = HashMap::from([(b, 2)]);
        let limits =
            ConnectionLimits::new(ConnectionQuotas { max_per_ip: 1, max_per_ip_overrides: overrides, ..quotas() });
        let place = async || limits.place(&name("A")).await;
        let first = limits.admit(place().await, a).unwrap();
        assert_eq!(limits.admit(place().await, a).unwrap_err(), 1);
        let _others = [limits.admit(place().await, b).unwrap(), limits.admit(place().await, b).unwrap()];
        assert_eq!(limits.admit(place().await, b).unwrap_err(), 2);
        drop(first);
        assert!(limits.admit(place().await, a).is_ok());
        let state = limits.state.lock();
        assert_eq!((state.per_ip.len(), state.total), (1, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_listener_has_a_limit_of_its_own_and_the_brokers_own_is_always_open() {
        let of_a = ListenerQuotas { max_connections: 1, ..ListenerQuotas::NONE };
        let limits = ConnectionLimits::new(ConnectionQuotas {
            max_connections: 2,
            listeners: HashMap::from([("A".to_owned(), of_a)]),
            protected: Some("INTERNAL".to_owned()),
            ..quotas()
        });
        let _a = has_place(&limits, "A").await.unwrap();
        assert!(has_place(&limits, "A").await.is_none(), "its listener's limit");
        let own = limits.state.lock().take_place(&name("A")).unwrap_err();
        assert_eq!(own, BlockedBy::Connections { key: "listener.name.a.max.connections".into(), most: 1 });
        let _b = has_place(&limits, "B").await.unwrap();
        assert!(has_place(&limits, "B").await.is_none(), "the limit of all");
        let all = limits.state.lock().take_place(&name("B")).unwrap_err();
        assert_eq!(all, BlockedBy::Connections { key: "max.connections".into(), most: 2 });
        assert!(has_place(&limits, "INTERNAL").await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_a_place_that_becomes_free_or_is_allowed() {
        let limits = ConnectionLimits::new(ConnectionQuotas { max_connections: 1, ..quotas() });
        let first = has_place(&limits, "A").await.unwrap();
        let waiting = tokio::spawn({
            let limits = Arc::clone(&limits);
            async move { limits.place(&name("A")).await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!waiting.is_finished());
        let blocked = limits.blocked();
        assert!(blocked.len() == 1 && &*blocked[0].listener == "A" && blocked[0].since.elapsed().as_secs() == 1);
        drop(first);
        let _second = waiting.await.unwrap();
        assert!(limits.blocked().is_empty());
        assert!(has_place(&limits, "A").await.is_none());
        limits.set(ConnectionQuotas { max_connections: 2, ..quotas() });
        assert!(has_place(&limits, "A").await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn new_connections_come_at_the_rate_that_is_allowed() {
        let limits = ConnectionLimits::new(ConnectionQuotas { creation_rate: 5, ..quotas() });
        let began = Instant::now();
        for _ in 0..200 {
            drop(limits.place(&name("A")).await);
        }
        let took = began.elapsed().as_secs_f64();
        // Over the ten seconds that are looked at, not more than five in each.
        assert!((29.0..45.0).contains(&took), "200 connections took {took} s");
    }
}
