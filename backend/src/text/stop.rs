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
///
/// The first is the one that is complete first: so the result does not depend on how the text was cut.
#[derive(Clone, Debug, Default)]
pub struct StopMatcher {
    stops: Vec<String>,
    /// Text that was not given out: it could be the beginning of a stop string.
    held: String,
    stopped: bool,
}

impl StopMatcher {
    /// Empty stop strings are ignored.
    #[must_use]
    pub fn new(mut stops: Vec<String>) -> Self {
        stops.retain(|stop| !stop.is_empty());
        Self { stops, held: String::new(), stopped: false }
    }

    /// Takes the next piece. After [`StopOutput::Stop`] everything is swallowed.
    pub fn push(&mut self, text: &str) -> StopOutput {
        if self.stopped {
            return StopOutput::Text(String::new());
        }
        self.held.push_str(text);
        if let Some(start) = self.first_match() {
            self.stopped = true;
            self.held.truncate(start);
            return StopOutput::Stop(std::mem::take(&mut self.held));
        }
        let keep = self.held.len() - self.suspicious();
        let suspicious = self.held.split_off(keep);
        StopOutput::Text(std::mem::replace(&mut self.held, suspicious))
    }

    /// The end of the answer: what was held back and turned out to be no stop string.
    pub fn flush(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Where the stop string begins that is complete first; the longest where several end together.
    fn first_match(&self) -> Option<usize> {
        let matches = self.stops.iter().filter_map(|stop| {
            let start = self.held.find(stop.as_str())?;
            Some((start + stop.len(), start))
        });
        matches.min().map(|(_, start)| start)
    }

    /// Length of the longest end of the held text that begins a stop string.
    fn suspicious(&self) -> usize {
        let of_one = |stop: &String| {
            let longest = (stop.len() - 1).min(self.held.len());
            let begins =
                |length: &usize| stop.is_char_boundary(*length) && self.held.ends_with(&stop[..*length]);
            (1..=longest).rev().find(begins).unwrap_or(0)
        };
        self.stops.iter().map(of_one).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
