//! The table at the end: each promise, whether it held, the figures behind it, and the evidence where it did not.

use std::fmt;

/// One promise.
#[derive(Debug, Clone)]
pub struct Promise {
    /// What was promised.
    pub what: &'static str,
    /// Figures that say how it was looked at.
    pub figures: String,
    /// What breaks it; it held where there is none.
    pub evidence: Vec<String>,
}

/// All promises of a run.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The run's seed.
    pub seed: u64,
    /// The promises.
    pub promises: Vec<Promise>,
}

/// Pieces of evidence that are shown of each promise.
const SHOWN: usize = 8;

impl Verdict {
    /// Whether all promises held.
    pub fn held(&self) -> bool {
        self.promises.iter().all(|promise| promise.evidence.is_empty())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        for promise in &self.promises {
            let word = if promise.evidence.is_empty() { "held  " } else { "BROKEN" };
            writeln!(f, "{word}  {:<28}  {}", promise.what, promise.figures)?;
        }
        for promise in self.promises.iter().filter(|promise| !promise.evidence.is_empty()) {
            writeln!(f, "\n{}, broken {} times:", promise.what, promise.evidence.len())?;
            for piece in promise.evidence.iter().take(SHOWN) {
                writeln!(f, "  {piece}")?;
            }
        }
        let word = if self.held() { "all promises held" } else { "a promise was broken" };
        write!(f, "\nseed {}: {word}", self.seed)
    }
}
