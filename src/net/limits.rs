//! How many connections there may be, in all and from one address (`max.connections`, `max.connections.per.ip`).

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::settings::NetSettings;

/// Counts the connections of all listeners.
#[derive(Debug)]
pub struct ConnectionLimits {
    places: Arc<Semaphore>,
    per_ip: Mutex<HashMap<IpAddr, usize>>,
    max_per_ip: usize,
    overrides: HashMap<IpAddr, usize>,
}

/// A place for one connection among all.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

/// An accepted connection's place, until dropped.
#[derive(Debug)]
pub struct Admission {
    _place: Place,
    limits: Arc<ConnectionLimits>,
    ip: IpAddr,
}

impl ConnectionLimits {
    pub fn new(settings: &NetSettings) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(settings.max_connections.min(Semaphore::MAX_PERMITS))),
            per_ip: Mutex::new(HashMap::new()),
            max_per_ip: settings.max_connections_per_ip,
            overrides: settings.max_connections_per_ip_overrides.clone(),
        })
    }

    /// A place, once there is one.
    pub async fn place(&self) -> Place {
        match Arc::clone(&self.places).acquire_owned().await {
            Ok(permit) => Place { _permit: permit },
            // Only a closed semaphore errs, and nothing closes it.
            Err(_) => std::future::pending().await,
        }
    }

    /// `Err` with the limit when the address has all the connections that it may have.
    pub fn admit(self: &Arc<Self>, place: Place, ip: IpAddr) -> Result<Admission, usize> {
        let max = self.overrides.get(&ip).copied().unwrap_or(self.max_per_ip);
        let mut per_ip = self.per_ip.lock();
        let count = per_ip.get(&ip).copied().unwrap_or(0);
        if count >= max {
            return Err(max);
        }
        per_ip.insert(ip, count + 1);
        Ok(Admission { _place: place, limits: Arc::clone(self), ip })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut per_ip = self.limits.per_ip.lock();
        match per_ip.get_mut(&self.ip) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                per_ip.remove(&self.ip);
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

    #[tokio::test]
    async fn addresses_are_counted_apart() {
        let (a, b) = (IpAddr::from(Ipv4Addr::new(10, 0, 0, 1)), IpAddr::from(Ipv4Addr::new(10, 0, 0, 2)));
        let config = BrokerConfig::new(Settings::default()).unwrap();
        let limits = ConnectionLimits::new(&NetSettings {
            max_connections_per_ip: 1,
            max_connections_per_ip_overrides: HashMap::from([(b, 2)]),
            ..NetSettings::of(&config)
        });
        let first = limits.admit(limits.place().await, a).unwrap();
        assert_eq!(limits.admit(limits.place().await, a).unwrap_err(), 1);
        let _others = [limits.admit(limits.place().await, b).unwrap(), limits.admit(limits.place().await, b).unwrap()];
        assert_eq!(limits.admit(limits.place().await, b).unwrap_err(), 2);
        drop(first);
        assert!(limits.admit(limits.place().await, a).is_ok());
        assert_eq!(limits.per_ip.lock().len(), 1);
    }
}
