//! The request of `POST /v1/completions`.

use super::{Generation, Invalid, MAX_SEQUENCES, fields::Fields, fields::describe, unsupported};
use serde_json::Value;

/// A completion request that can be served: every parameter checked for type and range.
#[derive(Debug, Clone, PartialEq)]
pub struct CompletionRequest {
    /// Model that is asked for.
    pub model: String,
    /// What is to be continued; at least one, none empty, and `best_of` times as many are at most [`MAX_SEQUENCES`].
    pub prompts: Vec<Prompt>,
    /// How the answers are to be made.
    pub generation: Generation,
    /// Answers to draw for each prompt, of which the `n` likeliest are given; at least `n`.
    pub best_of: u32,
    /// True where each answer begins with its prompt.
    pub echo: bool,
}

/// One prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// Text that the model's tokenizer cuts into tokens.
    Text(String),
    /// Token ids, taken as they are.
    Tokens(Vec<u32>),
}

impl CompletionRequest {
    /// Reads the body of a request.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let mut fields = Fields::parse(body)?;
        let model = fields.required_text("model")?;
        let prompts = take_prompts(&mut fields, "prompt")?;
        let logprobs = take_logprobs(&mut fields)?;
        let generation = Generation::take(&mut fields, logprobs)?;
        let best_of = take_best_of(&mut fields, &generation)?;
        let echo = take_echo(&mut fields, logprobs)?;
        unsupported::refuse_in_completion(&mut fields)?;
        unsupported::accept_without_effect(&mut fields)?;
        fields.finish()?;
        let request = Self { model, prompts, generation, best_of, echo };
        request.check_sequences()?;
        Ok(request)
    }

    fn check_sequences(&self) -> Result<(), Invalid> {
        let sequences = self.prompts.len() * self.best_of as usize;
        if sequences <= MAX_SEQUENCES as usize {
            return Ok(());
        }
        let param = match (self.best_of > self.generation.n, self.generation.n > 1) {
            (true, _) => "best_of",
            (false, true) => "n",
            (false, false) => "prompt",
        };
        let (prompts, each) = (self.prompts.len(), self.best_of);
        let message = format!(
            "{prompts} prompts x {each} answers asks for {sequences} answers; at most {MAX_SEQUENCES} are accepted."
        );
        Err(Invalid::param("too_many_sequences", param, message))
    }
}

/// Takes one text or several, as text or as token ids, none of them empty.
pub(super) fn take_prompts(fields: &mut Fields, name: &str) -> Result<Vec<Prompt>, Invalid> {
    let path = fields.path(name);
    match fields.take(name) {
        None => Err(Invalid::missing(&path)),
        Some(Value::String(text)) => Ok(vec![text_prompt(text, &path)?]),
        Some(Value::Array(items)) if items.is_empty() => Err(empty(&path)),
        Some(Value::Array(items)) if items.iter().all(Value::is_number) => {
            Ok(vec![token_prompt(&items, &path)?])
        }
        Some(Value::Array(items)) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| one_of_many(item, &format!("{path}[{index}]")))
            .collect(),
        Some(other) => Err(Invalid::wrong_type(&path, EXPECTED, describe(&other))),
    }
}

const EXPECTED: &str = "a string, an array of strings or an array of token ids";

fn one_of_many(item: Value, path: &str) -> Result<Prompt, Invalid> {
    match item {
        Value::String(text) => text_prompt(text, path),
        Value::Array(items) if items.is_empty() => Err(empty(path)),
        Value::Array(items) => token_prompt(&items, path),
        other => Err(Invalid::wrong_type(path, "a string or an array of token ids", describe(&other))),
    }
}

fn text_prompt(text: String, path: &str) -> Result<Prompt, Invalid> {
    if text.is_empty() { Err(empty(path)) } else { Ok(Prompt::Text(text)) }
}

fn token_prompt(items: &[Value], path: &str) -> Result<Prompt, Invalid> {
    let tokens = items.iter().enumerate().map(|(index, item)| {
        let id = item.as_u64().and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| {
            let found = if item.is_number() { &*item.to_string() } else { describe(item) };
            Invalid::wrong_type(&format!("{path}[{index}]"), "a token id (an integer of at least 0)", found)
        })
    });
    Ok(Prompt::Tokens(tokens.collect::<Result<_, _>>()?))
}

fn empty(path: &str) -> Invalid {
    Invalid::param(
        "empty_prompt",
        path,
        format!("Invalid '{path}': it is empty. Expected some text or tokens."),
    )
}

/// Most alternatives that `logprobs` may ask for.
const MAX_LOGPROBS: i64 = 5;

/// A number, even 0, asks for the log-probability of each token; false is what chat's parameter of that name takes.
fn take_logprobs(fields: &mut Fields) -> Result<Option<u32>, Invalid> {
    match fields.take("logprobs") {
        None | Some(Value::Bool(false)) => Ok(None),
        Some(value) => {
            fields.put("logprobs", value);
            Ok(fields.integer("logprobs", 0..=MAX_LOGPROBS)?.and_then(|number| u32::try_from(number).ok()))
        }
    }
}

fn take_best_of(fields: &mut Fields, generation: &Generation) -> Result<u32, Invalid> {
    let n = generation.n;
    match fields.integer("best_of", 1..=20)?.and_then(|number| u32::try_from(number).ok()) {
        None => Ok(n),
        Some(best_of) if best_of < n => {
            let message =
                format!("Invalid 'best_of': it must not be below n, which is {n}, but is {best_of}.");
            Err(Invalid::param("integer_below_min_value", "best_of", message))
        }
        Some(best_of) if best_of > n && generation.stream => {
            let message =
                "A stream cannot take back what it has sent: 'best_of' above 'n' needs 'stream' to be false.";
            Err(Invalid::param("invalid_parameter_combination", "best_of", message))
        }
        Some(best_of) => Ok(best_of),
    }
}

/// The log-probabilities of prompts are not computed.
fn take_echo(fields: &mut Fields, logprobs: Option<u32>) -> Result<bool, Invalid> {
    let echo = fields.boolean("echo")?.unwrap_or(false);
    if echo && logprobs.is_some() {
        let message =
            "Unsupported parameter: 'echo' together with 'logprobs' is not supported by this server.";
        return Err(Invalid::param("unsupported_parameter", "echo", message));
    }
    Ok(echo)
}
