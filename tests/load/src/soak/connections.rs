//! Connections to the routers that are kept for further requests, as clients of HTTP/1.1 keep them.

use super::plan::ROUTERS;
use crate::chaos::exchange::connect;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Time for which an unused connection is good: shorter than the routers' `--client-keep-alive`, so that one that ends under a request
/// is a fault.
const GOOD_FOR: Duration = Duration::from_secs(50);

/// Connections that nobody uses, by router, the last used ones at the end.
#[derive(Debug)]
pub struct Connections {
    routers: [SocketAddr; ROUTERS],
    unused: [Mutex<Vec<(TcpStream, Instant)>>; ROUTERS],
}

impl Connections {
    /// None yet.
    pub fn new(routers: [SocketAddr; ROUTERS]) -> Connections {
        Connections { routers, unused: std::array::from_fn(|_| Mutex::default()) }
    }

    /// A connection to a router: a kept one, or else a new one; `None` where nobody listens.
    pub async fn take(&self, router: usize) -> Option<TcpStream> {
        match self.kept(router) {
            Some(connection) => Some(connection),
            None => connect(self.routers[router]).await,
        }
    }

    /// Keeps one.
    pub fn keep(&self, router: usize, connection: TcpStream) {
        self.unused(router).push((connection, Instant::now()));
    }

    /// Closes all that are kept.
    pub fn close(&self) {
        (0..ROUTERS).for_each(|router| self.unused(router).clear());
    }

    fn kept(&self, router: usize) -> Option<TcpStream> {
        let mut unused = self.unused(router);
        let (connection, since) = unused.pop()?;
        if since.elapsed() < GOOD_FOR {
            return Some(connection);
        }
        // Those before it are older still.
        unused.clear();
        None
    }

    fn unused(&self, router: usize) -> MutexGuard<'_, Vec<(TcpStream, Instant)>> {
        self.unused[router].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
