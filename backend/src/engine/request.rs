//! What a caller asks of the engine, and why the engine may refuse.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use crate::grammar::Grammar;

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
    /// In which order it is served, and until when.
    pub service: Service,
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

/// In which order a request is served, and until when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Before and behind whom.
    pub priority: Priority,
    /// From then on nobody wants the answer any more. `None`: for as long as somebody reads it.
    pub deadline: Option<Instant>,
}

/// Who comes first. In the order of service: a lower one waits, and gives up its blocks, for a higher one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Before all others.
    High,
    /// Where nothing is said.
    #[default]
    Normal,
    /// Behind all others.
    Low,
}

/// How the next token is chosen, in OpenAI's terms.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// 0 chooses the most likely token (the lowest id where several tie); otherwise logits are divided by it.
    pub temperature: f32,
    /// The smallest set of most likely tokens whose probability reaches this is sampled from; in [0, 1], 0 keeps one token.
    pub top_p: f32,
    /// The most likely tokens that are sampled from, of equals those with the lower ids. `None`: all.
    pub top_k: Option<usize>,
    /// Tokens less likely than this share of the likeliest one's probability are left out; in [0, 1], 0 leaves all in.
    pub min_p: f32,
    /// Divides the positive and multiplies the negative logits of tokens that stand in prompt or answer; above 0, 1 for none.
    pub repetition_penalty: f32,
    /// Subtracted once from the logit of every token already generated.
    pub presence_penalty: f32,
    /// Subtracted from a token's logit as many times as it was generated.
    pub frequency_penalty: f32,
    /// Added to the logits of these tokens.
    pub logit_bias: Vec<(u32, f32)>,
    /// The answer does not end by itself before it has so many tokens.
    pub min_tokens: usize,
    /// Report each token's log-probability, with those of so many of the likeliest tokens beside it.
    pub logprobs: Option<usize>,
    /// What the answer may be; it ends where nothing can follow.
    pub grammar: Option<Grammar>,
    /// The same seed and prompt give the same text, whatever else runs. `None`: a new seed each time.
    pub seed: Option<u64>,
}

impl Default for Sampling {
    /// OpenAI's defaults.
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_p: 1.0,
            top_k: None,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: Vec::new(),
            min_tokens: 0,
            logprobs: None,
            grammar: None,
            seed: None,
        }
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
        let number = f32::is_finite;
        let share = |value: f32| (0.0..=1.0).contains(&value);
        let parameters = [
            (
                "temperature",
                self.temperature,
                number(self.temperature) && self.temperature >= 0.0,
                "0 or more",
            ),
            ("top_p", self.top_p, share(self.top_p), "0 to 1"),
            ("min_p", self.min_p, share(self.min_p), "0 to 1"),
            (
                "repetition_penalty",
                self.repetition_penalty,
                number(self.repetition_penalty) && self.repetition_penalty > 0.0,
                "above 0",
            ),
            ("presence_penalty", self.presence_penalty, number(self.presence_penalty), "a number"),
            ("frequency_penalty", self.frequency_penalty, number(self.frequency_penalty), "a number"),
        ];
        let biases = self.logit_bias.iter().map(|(_, bias)| ("logit_bias", *bias, number(*bias), "a number"));
        match parameters.into_iter().chain(biases).find(|(_, _, good, _)| !good) {
            None => Ok(()),
            Some((parameter, value, _, range)) => Err(EngineError::Sampling { parameter, value, range }),
        }
    }
}

/// Tokens that a prompt and its answer may have together, by what bounds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// The context that the model was made for.
    Context(usize),
    /// The key/value cache, which is smaller than that: a longer sequence could never be held.
    Cache(usize),
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Context(tokens) => write!(f, "the model's context has room for {tokens}"),
            Self::Cache(tokens) => {
                write!(f, "the key/value cache has room for {tokens} (--kv-cache-memory sets it)")
            }
        }
    }
}

/// Why the engine does not take a request, or does not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Nothing to continue.
    #[error("the prompt holds no token")]
    EmptyPrompt,
    /// The prompt leaves no room for an answer.
    #[error("the prompt has {prompt} tokens, but {room}, answer included")]
    PromptTooLong {
        /// Tokens in the prompt.
        prompt: usize,
        /// Tokens that prompt and answer may have together.
        room: Room,
    },
    /// `max_tokens` is 0.
    #[error("max_tokens is 0: nothing to generate")]
    NoTokensWanted,
    /// A token id that the model does not know.
    #[error("token {token} is not in the model's vocabulary of {vocabulary}")]
    UnknownToken {
        /// Where it stands: `prompt` or `logit_bias`.
        parameter: &'static str,
        /// The id.
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
