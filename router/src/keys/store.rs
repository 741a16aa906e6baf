//! The key file: read at the start, and again whenever it changes. A file that has become bad, or has gone, changes nothing:
//! the keys that were read last go on to hold, and the log says so.

use super::Ring;
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokio::time::{MissedTickBehavior, interval};

/// Time between two looks at the file.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The keys in force. Clones are handles to the same ones.
#[derive(Debug, Clone)]
pub struct KeyStore {
    path: PathBuf,
    ring: Arc<RwLock<Arc<Ring>>>,
}

/// What tells that a file has changed: a file that was replaced, as Kubernetes does it with a mounted secret, is another one.
#[derive(Debug, PartialEq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    file: u64,
}

impl KeyStore {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// If it cannot be read, or a line is bad.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let ring = read(path)?;
        if ring.is_empty() {
            tracing::warn!(file = %path.display(), "the key file lets nobody in: `tidegate-router keys make` adds a key");
        }
        Ok(Self { path: path.to_owned(), ring: Arc::new(RwLock::new(Arc::new(ring))) })
    }

    /// The keys as they were read last.
    pub fn ring(&self) -> Arc<Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file again whenever it has changed; never ends.
    pub async fn watch(self) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // None: also what changed between the first reading and this is read.
        let mut seen = None;
        loop {
            ticks.tick().await;
            let path = self.path.clone();
            let Ok(now) = tokio::task::spawn_blocking(move || stamp(&path)).await else { return };
            if seen.as_ref() == Some(&now) {
                continue;
            }
            let first = seen.replace(now).is_none();
            self.reload(first).await;
        }
    }

    async fn reload(&self, quietly: bool) {
        let path = self.path.clone();
        let Ok(ring) = tokio::task::spawn_blocking(move || read(&path)).await else { return };
        match ring {
            Ok(ring) => {
                if !quietly {
                    tracing::info!(file = %self.path.display(), keys = ring.len(), "the key file has changed");
                }
                *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "the keys that were read last go on to hold");
            }
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Ring> {
    let name = path.display();
    let text =
        std::fs::read_to_string(path).with_context(|| format!("the key file {name} cannot be read"))?;
    Ring::parse(&text).map_err(|error| anyhow::anyhow!("the key file {name} is bad: {error}"))
}

/// `None` for a file that is not there.
fn stamp(path: &Path) -> Option<Stamp> {
    let about = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    let file = std::os::unix::fs::MetadataExt::ino(&about);
    #[cfg(not(unix))]
    let file = 0;
    Some(Stamp { modified: about.modified().ok(), length: about.len(), file })
}
