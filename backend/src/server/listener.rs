//! Takes connections and serves them, until it is told to stop; then what is under way ends first.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use std::{io, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

/// Time for a request's headers, and for a kept connection to be used again. Longer than HTTP clients usually keep
/// theirs, so that it is the client that closes, and no request meets a connection that is just being closed.
const HEADER_TIME: Duration = Duration::from_secs(120);
/// Time that connections have to end once all answers are complete.
const CLOSE_TIME: Duration = Duration::from_secs(2);
/// Pause after the system had no connection to give, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `service` on `listener` until `stop` completes.
pub(crate) async fn serve(listener: TcpListener, service: Router, stop: impl Future<Output = ()>) {
    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => serve_connection(socket, service.clone(), &connections),
                Err(error) => recover(&error).await,
            }
        }
    }
    drop(listener);
    // A connection that is still open after that belongs to a client that keeps it without using it.
    timeout(CLOSE_TIME, connections.shutdown()).await.unwrap_or_default();
}

fn serve_connection(socket: TcpStream, service: Router, connections: &GracefulShutdown) {
    // Events are small and must not wait for each other.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its delay");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(service));
    let watched = connections.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = watched.await {
            tracing::debug!(%error, "a connection ended early");
        }
    });
}

async fn recover(error: &io::Error) {
    let of_the_client = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    );
    if !of_the_client {
        tracing::warn!(%error, "cannot accept connections");
        sleep(ACCEPT_PAUSE).await;
    }
}
