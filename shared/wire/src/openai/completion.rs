//! The request of `POST /v1/completions`.

use super::{Generation, Invalid, MAX_SEQUENCES, fields::Fields, fields::describe, unsupported};
use serde_json::Value;

/// A completion request that can be served: every parameter checked for type and range.
#[derive(Debug, Clone, PartialEq)]
pub struct CompletionRequest {
    /// Model that is asked for.
    pub model: String,
    /// What is to be continued; at least one, none empty, and `n` times as many are at most [`MAX_SEQUENCES`].
    pub prompts: Vec<Prompt>,
    /// How the answers are to be made.
    pub generation: Generation,
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
        let request = Self {
            model: fields.required_text("model")?,
            prompts: take_prompts(&mut fields, "prompt")?,
            generation: Generation::take(&mut fields)?,
        };
        check_best_of(&mut fields, request.generation.n)?;
        unsupported::refuse_in_completion(&mut fields)?;
        unsupported::accept_without_effect(&mut fields)?;
        fields.finish()?;
        request.check_sequences()?;
        Ok(request)
    }

    fn check_sequences(&self) -> Result<(), Invalid> {
        let sequences = self.prompts.len() * self.generation.n as usize;
        if sequences <= MAX_SEQUENCES as usize {
            return Ok(());
        }
        let (prompts, n) = (self.prompts.len(), self.generation.n);
        let message = format!(
            "{prompts} prompts x n = {n} asks for {sequences} answers; at most {MAX_SEQUENCES} are accepted."
        );
        let param = if n > 1 { "n" } else { "prompt" };
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

/// `best_of` draws more answers than it returns; only the value that makes no difference is served.
fn check_best_of(fields: &mut Fields, n: u32) -> Result<(), Invalid> {
    match fields.integer("best_of", 1..=20)? {
        None => Ok(()),
        Some(best_of) if best_of == i64::from(n) => Ok(()),
        Some(best_of) if best_of < i64::from(n) => {
            let message =
                format!("Invalid 'best_of': it must not be below n, which is {n}, but is {best_of}.");
            Err(Invalid::param("integer_below_min_value", "best_of", message))
        }
        Some(_) => Err(Invalid::unsupported("best_of")),
    }
}
