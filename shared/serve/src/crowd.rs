//! How many connections there are, in all and from each address: one stranger must not take the room of all others.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Between two log lines that say that connections are refused.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// In all.
    pub total: usize,
    /// From one address; of IPv6 the first 64 bits count, which is what one household or machine is given.
    pub per_address: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { total: 16_384, per_address: 4096 }
    }
}

/// The connections of one listener. Clones share the count.
#[derive(Debug, Clone)]
pub(crate) struct Crowd {
    limits: ConnectionLimits,
    count: Arc<Mutex<Count>>,
}

#[derive(Debug, Default)]
struct Count {
    total: usize,
    of: HashMap<IpAddr, usize>,
    refused: u64,
    said: Option<Instant>,
}

/// The room of one connection; given back when dropped.
#[derive(Debug)]
pub(crate) struct Room {
    crowd: Crowd,
    address: IpAddr,
}

impl Crowd {
    pub(crate) fn new(limits: ConnectionLimits) -> Self {
        Self { limits, count: Arc::default() }
    }

    /// Room for one more connection from `address`, if there is any.
    pub(crate) fn enter(&self, address: IpAddr) -> Option<Room> {
        let address = household(address);
        let mut count = self.count();
        let of = count.of.get(&address).copied().unwrap_or_default();
        if count.total >= self.limits.total || of >= self.limits.per_address {
            count.refuse(address, of);
            return None;
        }
        count.total += 1;
        count.of.insert(address, of + 1);
        Some(Room { crowd: self.clone(), address })
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Count {
    fn refuse(&mut self, address: IpAddr, of: usize) {
        self.refused += 1;
        if self.said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            self.said = Some(Instant::now());
            tracing::warn!(
                refused = self.refused, connections = self.total, %address, from_address = of,
                "connections are refused: see --max-connections and --max-connections-per-address"
            );
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut count = self.crowd.count();
        count.total -= 1;
        if let Some(of) = count.of.get_mut(&self.address) {
            *of -= 1;
            if *of == 0 {
                count.of.remove(&self.address);
            }
        }
    }
}

/// What counts as one address.
fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn room_is_counted_by_address_and_in_all_and_given_back() {
        let crowd = Crowd::new(ConnectionLimits { total: 3, per_address: 2 });
        let first = crowd.enter(at("10.0.0.1")).unwrap();
        let _second = crowd.enter(at("::ffff:10.0.0.1")).unwrap();
        assert!(crowd.enter(at("10.0.0.1")).is_none(), "two from one address");
        let third = crowd.enter(at("2001:db8::1")).unwrap();
        assert!(crowd.enter(at("10.0.0.2")).is_none(), "three in all");
        drop(first);
        let _again = crowd.enter(at("10.0.0.1")).unwrap();
        drop(third);
        assert_eq!(crowd.count().of.len(), 1);
    }

    #[tokio::test]
    async fn a_network_of_ipv6_is_one_address() {
        let crowd = Crowd::new(ConnectionLimits { total: 9, per_address: 1 });
        let _one = crowd.enter(at("2001:db8::1")).unwrap();
        assert!(crowd.enter(at("2001:db8::2:3")).is_none());
        assert!(crowd.enter(at("2001:db8:0:1::1")).is_some());
    }
}
