//! Which routers a load balancer would send to.

use super::plan::ROUTERS;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

/// The routers and whether each is in rotation: from its first `/readyz` that says so to its end.
#[derive(Debug)]
pub struct Rotation {
    routers: [(SocketAddr, AtomicBool); ROUTERS],
}

impl Rotation {
    /// None of them is in rotation yet.
    pub fn new(addresses: [SocketAddr; ROUTERS]) -> Rotation {
        Rotation { routers: addresses.map(|address| (address, AtomicBool::new(false))) }
    }

    /// Where a router listens for clients.
    pub fn address(&self, router: usize) -> SocketAddr {
        self.routers[router].0
    }

    /// Takes a router in, or out.
    pub fn set(&self, router: usize, serves: bool) {
        self.routers[router].1.store(serves, Ordering::SeqCst);
    }

    /// Whether a router is in rotation.
    pub fn serves(&self, router: usize) -> bool {
        self.routers[router].1.load(Ordering::SeqCst)
    }

    /// Those in rotation, the wanted one first.
    pub fn order(&self, wanted: usize) -> impl Iterator<Item = usize> {
        (0..ROUTERS).map(move |step| (wanted + step) % ROUTERS).filter(|router| self.serves(*router))
    }
}
