//! Backends that somebody has yet to be told of.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Ids, each once, and a waker for whoever tells.
#[derive(Debug, Default)]
pub(super) struct Pending {
    ids: Mutex<BTreeSet<String>>,
    more: Notify,
}

impl Pending {
    /// One more to tell of.
    pub(super) fn add(&self, id: &str) {
        self.ids().insert(id.to_owned());
        self.more.notify_one();
    }

    /// Whether it is still to be told of.
    pub(super) fn holds(&self, id: &str) -> bool {
        self.ids().contains(id)
    }

    /// All of them; they are not pending any more.
    pub(super) fn take(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.ids())
    }

    /// Waits until there are some.
    pub(super) async fn some(&self) {
        while self.ids().is_empty() {
            self.more.notified().await;
        }
    }

    fn ids(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
