//! One file after the other into the cache, with a bar for weights on a terminal and log lines elsewhere.

use std::io::IsTerminal;
use std::path::Path;

use hf_hub::api::Progress;
use hf_hub::api::sync::{ApiError, ApiRepo};

/// Log lines of one file.
const LINES: usize = 10;

/// Fetches files of one commit.
pub(super) struct Downloader<'a> {
    pub(super) repo: ApiRepo,
    /// The folder that they come to.
    pub(super) snapshot: &'a Path,
}

impl Downloader<'_> {
    /// A file of some kilobytes, without a word.
    pub(super) fn small(&self, file: &str) -> Result<(), ApiError> {
        if self.has(file) {
            return Ok(());
        }
        self.repo.download_with_progress(file, ()).map(drop)
    }

    /// A file that takes a while.
    pub(super) fn large(&self, file: &str) -> Result<(), ApiError> {
        if self.has(file) {
            return Ok(());
        }
        if std::io::stderr().is_terminal() {
            return self.repo.download(file).map(drop);
        }
        self.repo.download_with_progress(file, LogLines::default()).map(drop)
    }

    /// What has a link here is complete: the link is made last.
    fn has(&self, file: &str) -> bool {
        self.snapshot.join(file).exists()
    }
}

/// A line at the beginning, one for each tenth.
#[derive(Debug, Default)]
struct LogLines {
    file: String,
    size: usize,
    received: usize,
    /// Tenths that have been told.
    told: usize,
}

impl Progress for LogLines {
    /// Called again where a download goes on after a broken connection.
    fn init(&mut self, size: usize, file: &str) {
        if self.size == 0 {
            tracing::info!(file, bytes = size, "downloading");
        }
        (self.file, self.size, self.received) = (file.to_owned(), size, 0);
    }

    fn update(&mut self, bytes: usize) {
        self.received += bytes;
        let tenths = self.received * LINES / self.size.max(1);
        if tenths > self.told {
            self.told = tenths;
            let (file, received) = (self.file.as_str(), self.received);
            tracing::info!(file, received, of = self.size, "downloading");
        }
    }

    fn finish(&mut self) {}
}
