//! What a caller asks of the engine, and why the engine may refuse.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// One sequence to generate.
pub struct GenerateRequest {
    /// Token ids of the prompt, special tokens included; at least one.
    pub prompt: Vec<u32>,
    /// Tokens to generate at most.
    pub max_tokens: usize,
    /// How the next token is chosen.
    pub sampling: Sampling,
    /// Tokens that end the answer; they are not part of it.
    pub eos: Vec<u32>,
    /// Dropped by the engine once the sequence has left the batch, before the last event is sent: carries the
    /// slot, and with it the confirmation that the work stopped.
    pub hold: Option<Arc<dyn Any + Send + Sync>>,
}

impl fmt::Debug for GenerateRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GenerateRequest")
            .field("prompt_tokens", &self.prompt.len())
            .field("max_tokens", &self.max_tokens)
            .field("sampling", &self.sampling)
            .finish_non_exhaustive()
    }
}

/// How the next token is chosen, in OpenAI's terms.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// 0 chooses the most likely token (the lowest id where several tie); otherwise logits are divided by it.
    pub temperature: f32,
    /// The smallest set of most likely tokens whose probability reaches this is sampled from; in [0, 1], 0 keeps one token.
    pub top_p: f32,
    /// Subtracted once from the logit of every token already generated.
    pub presence_penalty: f32,
    /// Subtracted from a token's logit as many times as it was generated.
    pub frequency_penalty: f32,
    /// The same seed and prompt give the same text, whatever else runs. `None`: a new seed each time.
    pub seed: Option<u64>,
}

impl Default for Sampling {
    /// OpenAI's defaults.
    fn default() -> Self {
        Self { temperature: 1.0, top_p: 1.0, presence_penalty: 0.0, frequency_penalty: 0.0, seed: None }
    }
}

impl Sampling {
    /// Always the most likely token.
    #[must_use]
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }
}

impl Sampling {
    /// Checks that every parameter is in its range.
    ///
    /// # Errors
    /// Names the first that is not.
    pub fn check(&self) -> Result<(), EngineError> {
        let refuse = |parameter, value, range| Err(EngineError::Sampling { parameter, value, range });
        if !self.temperature.is_finite() || self.temperature < 0.0 {
            return refuse("temperature", self.temperature, "0 or more");
        }
        if !(0.0..=1.0).contains(&self.top_p) {
            return refuse("top_p", self.top_p, "0 to 1");
        }
        if !self.presence_penalty.is_finite() {
            return refuse("presence_penalty", self.presence_penalty, "a number");
        }
        if !self.frequency_penalty.is_finite() {
            return refuse("frequency_penalty", self.frequency_penalty, "a number");
        }
        Ok(())
    }
}

/// Why the engine does not take a request, or does not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Nothing to continue.
    #[error("the prompt holds no token")]
    EmptyPrompt,
    /// The prompt leaves no room for an answer.
    #[error("the prompt has {prompt} tokens, but the context has room for {context}, answer included")]
    PromptTooLong {
        /// Tokens in the prompt.
        prompt: usize,
        /// Tokens that prompt and answer may have together.
        context: usize,
    },
    /// `max_tokens` is 0.
    #[error("max_tokens is 0: nothing to generate")]
    NoTokensWanted,
    /// A token id that the model does not know.
    #[error("token {token} is not in the model's vocabulary of {vocabulary}")]
    UnknownToken {
        /// The id in the prompt.
        token: u32,
        /// The model's vocabulary size.
        vocabulary: usize,
    },
    /// A sampling parameter outside its range.
    #[error("{parameter} is {value}: {range}")]
    Sampling {
        /// Its name in [`Sampling`].
        parameter: &'static str,
        /// What was given.
        value: f32,
        /// What is accepted.
        range: &'static str,
    },
    /// The model makes embeddings and generates nothing, or the other way round.
    #[error("the model {0}")]
    OtherTask(&'static str),
    /// A text to embed with more tokens than the model takes.
    #[error("text {index} has {tokens} tokens; the model takes {max}")]
    TextTooLong {
        /// Its number in the request, from 0.
        index: usize,
        /// Its tokens.
        tokens: usize,
        /// Tokens that a text may have.
        max: usize,
    },
    /// The options make no engine.
    #[error("{0}")]
    Options(String),
    /// The step loop is gone.
    #[error("the engine has stopped")]
    Stopped,
    /// The cache could not be reserved.
    #[error("cannot reserve the key/value cache: {0}")]
    Cache(#[source] candle_core::Error),
    /// The operating system gave no thread.
    #[error("cannot start the engine's thread: {0}")]
    Thread(#[source] std::io::Error),
}
