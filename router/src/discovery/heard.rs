//! When each backend was last heard. A lease says after five seconds that a backend has gone; people want to see at once which
//! one has fallen silent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What a renewed registration is told by: the epoch of the backend's process, and its count of renewals.
pub type Beat = (String, u64);

/// When each backend was last heard. Clones share one table.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    backends: Arc<Mutex<HashMap<String, Sign>>>,
}

#[derive(Debug)]
struct Sign {
    beat: Beat,
    at: Instant,
}

impl Heard {
    /// A backend has answered.
    pub fn answered(&self, id: &str) {
        self.table().insert(id.to_owned(), Sign { beat: Beat::default(), at: Instant::now() });
    }

    /// A backend's registration was read; it was heard if it has renewed it since. One that does not count its renewals says
    /// nothing by this.
    pub fn registered(&self, id: &str, beat: Beat) {
        if beat.1 == 0 {
            self.forget(id);
        } else if self.table().get(id).is_none_or(|sign| sign.beat != beat) {
            self.table().insert(id.to_owned(), Sign { beat, at: Instant::now() });
        }
    }

    /// A backend has left.
    pub fn forget(&self, id: &str) {
        self.table().remove(id);
    }

    /// Nobody can be heard now: what is known says nothing about who is silent.
    pub fn deaf(&self) {
        self.table().clear();
    }

    /// Time since a backend was last heard; `None` where this router cannot tell.
    pub fn silence(&self, id: &str) -> Option<Duration> {
        self.table().get(id).map(|sign| sign.at.elapsed())
    }

    fn table(&self) -> MutexGuard<'_, HashMap<String, Sign>> {
        self.backends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(count: u64) -> Beat {
        ("epoch".to_owned(), count)
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_that_is_not_renewed_is_silence() {
        let second = Duration::from_secs(1);
        let heard = Heard::default();
        heard.registered("a", beat(1));
        tokio::time::advance(second).await;
        heard.registered("a", beat(1));
        assert_eq!(heard.silence("a"), Some(second));
        heard.registered("a", beat(2));
        assert_eq!(heard.silence("a"), Some(Duration::ZERO));
        tokio::time::advance(second).await;
        heard.registered("a", ("next life".to_owned(), 2));
        assert_eq!(heard.silence("a"), Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_be_heard_is_not_called_silent() {
        let heard = Heard::default();
        heard.answered("listed");
        heard.registered("registered", beat(1));
        heard.registered("of an older version", beat(0));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(heard.silence("listed"), Some(Duration::from_secs(9)));
        assert_eq!(heard.silence("of an older version"), None);
        heard.deaf();
        assert_eq!((heard.silence("listed"), heard.silence("registered")), (None, None));
    }
}
