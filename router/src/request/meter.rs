//! What a tenant's request has cost so far, for the limits of its key and its tenant's place in the queue.
//!
//! A backend tells the usage at the end of an answer. Until then, and where it never does, the tokens are taken from what has passed: an
//! event of a stream is about one, elsewhere four bytes are. So a client that hangs up in the middle of its answer pays for what it got.

use super::Job;
use super::tenant::BYTES_PER_TOKEN;
use crate::tally::events_in;
use tidegate_wire::openai::Usage;

/// The tokens of one attempt.
#[derive(Debug)]
pub struct Meter {
    prompt: u64,
    answer: u64,
    stream: bool,
    told: Option<u64>,
}

impl Meter {
    /// Nothing of the answer is there yet. `None` for a request that is no tenant's.
    pub fn of(job: &Job) -> Option<Self> {
        job.caller.as_ref()?;
        let prompt = job.body.len() as u64 / BYTES_PER_TOKEN;
        Some(Self { prompt, answer: 0, stream: job.stream, told: None })
    }

    /// A piece of the answer passes.
    pub fn passed(&mut self, piece: &[u8]) {
        self.answer += if self.stream { events_in(piece) } else { piece.len() as u64 / BYTES_PER_TOKEN };
    }

    /// The backend has told.
    pub fn told(&mut self, usage: Usage) {
        self.told = Some(usage.prompt_tokens.saturating_add(usage.completion_tokens));
    }

    /// Tokens of prompt and answer so far.
    pub fn tokens(&self) -> u64 {
        self.told.unwrap_or_else(|| self.prompt.saturating_add(self.answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(stream: bool) -> Meter {
        Meter { prompt: 10, answer: 0, stream, told: None }
    }

    #[test]
    fn what_passes_counts_until_the_backend_tells() {
        let mut whole = meter(false);
        whole.passed(&[b' '; 400]);
        assert_eq!(whole.tokens(), 110);
        whole.told(Usage::new(7, 3));
        assert_eq!(whole.tokens(), 10);
        let mut stream = meter(true);
        for _ in 0..3 {
            stream.passed(b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n");
        }
        assert_eq!(stream.tokens(), 13);
    }
}
