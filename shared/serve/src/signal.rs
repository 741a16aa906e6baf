//! SIGTERM and Ctrl-C: the first asks for a drain, the second ends the process at once.

use crate::supervisor;
use tokio_util::sync::CancellationToken;

/// The exit status after a second signal, as shells report a process that SIGTERM ended.
const FORCED: i32 = 143;

/// A token that the first SIGTERM or Ctrl-C cancels. A second one exits without waiting for anybody.
///
/// # Errors
/// If the handlers cannot be installed.
pub fn shutdown_token() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut signals = Signals::install()?;
    let asked = token.clone();
    tokio::spawn(async move {
        let name = signals.next().await;
        tracing::info!(
            signal = name,
            "draining: no new work, what runs may finish; a second signal exits at once"
        );
        supervisor::stopping();
        asked.cancel();
        let name = signals.next().await;
        tracing::warn!(signal = name, "second signal: exiting at once");
        std::process::exit(FORCED);
    });
    Ok(token)
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn install() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
