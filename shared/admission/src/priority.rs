//! The three classes of requests, in the order in which they are served.

use std::fmt;

/// Priority of a request. The order of the variants is the order of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Priority {
    /// Served first, and may fill the whole queue.
    High,
    /// What a request has that says nothing.
    #[default]
    Normal,
    /// Served last; starves under sustained overload, which is what it is for.
    Low,
}

impl Priority {
    /// All priorities, in the order of service.
    pub const ALL: [Priority; 3] = [Priority::High, Priority::Normal, Priority::Low];

    /// 0 for high, 1 for normal, 2 for low.
    pub fn rank(self) -> usize {
        match self {
            Priority::High => 0,
            Priority::Normal => 1,
            Priority::Low => 2,
        }
    }

    /// The priority with that rank, if there is one.
    pub fn from_rank(rank: usize) -> Option<Priority> {
        Priority::ALL.get(rank).copied()
    }

    /// The word for it in headers, metrics and `/fleet`.
    pub fn as_str(self) -> &'static str {
        match self {
            Priority::High => "high",
            Priority::Normal => "normal",
            Priority::Low => "low",
        }
    }

    /// The priority that a word names, exactly as [`Priority::as_str`] writes it.
    pub fn from_word(word: &str) -> Option<Priority> {
        Priority::ALL.into_iter().find(|priority| priority.as_str() == word)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
