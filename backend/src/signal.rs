//! SIGTERM and SIGINT: the first asks for a drain, the second ends the process at once.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Exit status of a process that a second signal ended: 128 and the number of SIGTERM, as shells report it.
const IMPATIENT: i32 = 143;

/// Installs the handlers. The future completes at the first signal; the second exits.
///
/// # Errors
/// Where the system gives no handler.
pub fn shutdown() -> io::Result<impl Future<Output = ()>> {
    let mut signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        either(&mut signals).await;
        tokio::spawn(async move {
            either(&mut signals).await;
            tracing::warn!("second signal: exiting at once");
            std::process::exit(IMPATIENT);
        });
    })
}

async fn either((terminate, interrupt): &mut (Signal, Signal)) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
