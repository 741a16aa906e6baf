//! Values that stand in files and change while the process runs: certificates, keys, tokens.
//!
//! Files are read again each second instead of being watched: mounted secrets are swapped by links, which no watch on the file
//! itself sees. What cannot be used is said once, and the value before it stays.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Between two looks at the files.
const INTERVAL: Duration = Duration::from_secs(1);

/// Makes a value of what its files hold, in their order. The text of an error must hold nothing of what they hold.
type Read<T> = dyn Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync;

/// A value that is read from files, and again whenever they change. Clones share it.
pub struct FromFiles<T>(Arc<Inner<T>>);

struct Inner<T> {
    paths: Vec<PathBuf>,
    read: Box<Read<T>>,
    held: RwLock<Held<T>>,
}

struct Held<T> {
    /// What the files held when they were last looked at, used or not.
    seen: Vec<Vec<u8>>,
    value: Arc<T>,
    /// True after a look that failed, so that this is said once.
    failed: bool,
}

/// Files that hold nothing of use. The text names them and says nothing of what they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError(String);

impl fmt::Display for FileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for FileError {}

impl<T> Clone for FromFiles<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Names the files, never what they hold.
impl<T> fmt::Debug for FromFiles<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("FromFiles").field(&self.0.paths).finish()
    }
}

impl<T: Send + Sync + 'static> FromFiles<T> {
    /// Reads the files once.
    ///
    /// # Errors
    /// If one of them cannot be read, or `read` can make nothing of them.
    pub fn open(
        paths: Vec<PathBuf>,
        read: impl Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, FileError> {
        let seen = contents(&paths)?;
        let value = Arc::new(read(&seen).map_err(|why| named(&paths, &why))?);
        let held = RwLock::new(Held { seen, value, failed: false });
        Ok(Self(Arc::new(Inner { paths, read: Box::new(read), held })))
    }

    /// What the files held when they last held something of use.
    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.held.read().unwrap_or_else(PoisonError::into_inner).value)
    }

    /// Reads the files again from now on, until the last clone is dropped. Must be called within a runtime.
    pub fn follow(&self) {
        if !self.0.paths.is_empty() {
            tokio::spawn(follow(Arc::downgrade(&self.0)));
        }
    }
}

async fn follow<T: Send + Sync + 'static>(files: Weak<Inner<T>>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(files) = files.upgrade() else { return };
        // A file may lie on a slow disk, and a panic in a reader is no reason to stop.
        let _looked = tokio::task::spawn_blocking(move || files.look()).await;
    }
}

impl<T> Inner<T> {
    /// Looks at the files and takes over what has changed.
    fn look(&self) {
        match self.fresh() {
            Ok(None) => {}
            Ok(Some(())) => tracing::info!(files = %list(&self.paths), "changed files are in force"),
            Err(error) => {
                let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
                if !std::mem::replace(&mut held.failed, true) {
                    tracing::error!(%error, "changed files are of no use; what they held before stays in force");
                }
            }
        }
    }

    /// Takes over what the files hold; `None` where that was seen before.
    fn fresh(&self) -> Result<Option<()>, FileError> {
        let now = contents(&self.paths)?;
        if self.held.read().unwrap_or_else(PoisonError::into_inner).seen == now {
            return Ok(None);
        }
        let read = (self.read)(&now).map_err(|why| named(&self.paths, &why));
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.seen = now;
        // What comes next is news, also after what was of no use.
        held.failed = false;
        held.value = Arc::new(read?);
        Ok(Some(()))
    }
}

fn contents(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, FileError> {
    let read =
        |path: &PathBuf| std::fs::read(path).map_err(|error| named(std::slice::from_ref(path), &error));
    paths.iter().map(read).collect()
}

fn named(paths: &[PathBuf], why: &dyn fmt::Display) -> FileError {
    FileError(format!("{}: {why}", list(paths)))
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| Path::display(path).to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(files: &[Vec<u8>]) -> Result<u32, String> {
        std::str::from_utf8(&files[0])
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .ok_or("no number".to_owned())
    }

    #[test]
    fn what_is_of_no_use_leaves_the_value_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("value");
        assert!(FromFiles::open(vec![path.clone()], number).is_err(), "no file");
        std::fs::write(&path, "secret text").unwrap();
        let error = FromFiles::open(vec![path.clone()], number).unwrap_err().to_string();
        assert!(error.contains("no number") && !error.contains("secret"), "{error}");
        std::fs::write(&path, "1").unwrap();
        let value = FromFiles::open(vec![path.clone()], number).unwrap();
        assert_eq!(value.0.fresh(), Ok(None));
        std::fs::write(&path, "2\n").unwrap();
        value.0.look();
        assert_eq!(*value.get(), 2);
        std::fs::write(&path, "x").unwrap();
        value.0.look();
        assert_eq!(*value.get(), 2);
        std::fs::remove_file(&path).unwrap();
        value.0.look();
        assert_eq!(*value.get(), 2);
        std::fs::write(&path, "3").unwrap();
        value.0.look();
        assert_eq!(*value.get(), 3);
    }
}
