//! What a supervisor is told: systemd and what speaks like it listens on the socket that `NOTIFY_SOCKET` names
//! (sd_notify(3)); elsewhere nobody is told anything.

use sd_notify::NotifyState;

/// This process serves from now on; `status` is what `systemctl status` shows.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// This process takes no new work any more, and ends once what runs has ended.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining: what runs may finish")]);
}

fn tell(states: &[NotifyState<'_>]) {
    // A service whose supervisor cannot be reached still serves.
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the supervisor could not be told");
    }
}
