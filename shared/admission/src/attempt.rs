//! The name of one attempt to run one request.

use std::fmt;
use std::sync::Arc;

/// Names one attempt to run one request: `{router id}-{counter}`. Made by a router, never taken from a client. Clones share one text:
/// an attempt's name stands in many places at once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(Arc<str>);

impl AttemptId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for AttemptId {
    fn from(id: String) -> AttemptId {
        AttemptId(id.into())
    }
}

impl From<&str> for AttemptId {
    fn from(id: &str) -> AttemptId {
        AttemptId(id.into())
    }
}
