//! The diary of a fake node: a line when a piece of work begins and one when it ends, in a file that outlives a killed node.
//!
//! `opened MICROSECONDS` at the beginning of a life, with which everything that an earlier one had begun has ended; `begun
//! MICROSECONDS SERIAL ATTEMPT PROMPT` and `done MICROSECONDS SERIAL` or `dropped MICROSECONDS SERIAL`; `refused MICROSECONDS
//! ATTEMPT` where all slots were taken. ATTEMPT is `-` where none was sent. The times of one life of a node come from one
//! monotonic clock, set to the time of day at its start.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// How a piece of work ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ended {
    /// With its whole answer.
    Done,
    /// Its client had gone.
    Dropped,
}

/// An open diary.
#[derive(Debug)]
pub(super) struct Diary {
    file: Mutex<File>,
    opened: Instant,
    time_of_day: Duration,
}

impl Diary {
    /// Opens the file, and goes on where an earlier life of the node left off.
    pub(super) fn open(path: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let diary = Self {
            file: Mutex::new(file.unwrap_or_else(|error| panic!("{}: {error}", path.display()))),
            opened: Instant::now(),
            time_of_day: time_of_day(),
        };
        diary.write(&format!("opened {}\n", diary.now()));
        diary
    }

    pub(super) fn begun(&self, serial: u64, attempt: &str, prompt: &str) {
        self.write(&format!("begun {} {serial} {} {prompt}\n", self.now(), name(attempt)));
    }

    pub(super) fn refused(&self, attempt: &str) {
        self.write(&format!("refused {} {}\n", self.now(), name(attempt)));
    }

    pub(super) fn ended(&self, serial: u64, how: Ended) {
        let how = match how {
            Ended::Done => "done",
            Ended::Dropped => "dropped",
        };
        self.write(&format!("{how} {} {serial}\n", self.now()));
    }

    fn now(&self) -> u128 {
        (self.time_of_day + self.opened.elapsed()).as_micros()
    }

    /// One call a line, so that a kill leaves whole lines.
    fn write(&self, line: &str) {
        self.file.lock().unwrap().write_all(line.as_bytes()).unwrap();
    }
}

fn name(attempt: &str) -> &str {
    if attempt.is_empty() { "-" } else { attempt }
}

#[expect(clippy::disallowed_methods, reason = "lines of several processes on one machine are compared by it")]
fn time_of_day() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}
