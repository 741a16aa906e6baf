//! Closing a port so that whoever stands before it, a load balancer with connections that it keeps, loses no request.
//!
//! A connection that is closed while its owner sends on it takes the request with it, and nobody may send that again: it may have run.
//! So what has connected is taken before the listener closes, connections that are kept are served for a little longer, and each
//! [answer](crate::app) says that it is the last one (RFC 9112, section 9.6).

use hyper_util::server::graceful::GracefulShutdown;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tokio::net::TcpListener;

/// How long kept connections are still served. Longer than a request needs to get here from a load balancer that uses its
/// connections in turn.
pub const FAREWELL: Duration = Duration::from_secs(1);

/// Closes the listener and returns what has connected by then: closing it would reset those, with what they have sent.
pub fn last_connections(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    // The bare socket says at once whether anybody waits; the runtime's knows only what its last poll has seen.
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    std::iter::from_fn(|| listener.accept().ok())
        .filter(|(stream, _)| stream.set_nonblocking(true).is_ok())
        .collect()
}

/// Serves kept connections for `farewell`, then closes those that idle, and waits for the others to end.
pub async fn part(connections: GracefulShutdown, farewell: Duration) {
    if connections.count() > 0 {
        tokio::time::sleep(farewell).await;
    }
    connections.shutdown().await;
}
