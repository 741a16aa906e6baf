//! The parameters that chat and plain completions share: how many answers, how long, how they are drawn, how they are sent.
//!
//! OpenAI's, and those that vLLM takes beside them under the same names: `top_k`, `min_p`, `repetition_penalty`,
//! `stop_token_ids`, `ignore_eos`, `min_tokens`.

mod tokens;

use super::{Invalid, MAX_SEQUENCES, fields::Fields, fields::describe};
use serde_json::Value;

/// Most stop strings that the API takes.
const MAX_STOPS: usize = 4;
/// Far above what makes sense; beyond it logits would leave the range of numbers.
const MAX_REPETITION_PENALTY: f64 = 100.0;

/// How an answer is to be made. What the client left out is `None`; the model's own default stands in then.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// Answers for each prompt.
    pub n: u32,
    /// Most tokens of an answer, at least 1.
    pub max_tokens: Option<u32>,
    /// The parameter that carried `max_tokens`: its name stands in errors about it.
    pub max_tokens_param: &'static str,
    /// 0 (always the likeliest token) to 2.
    pub temperature: Option<f64>,
    /// Share of the probability that is drawn from, above 0 up to 1.
    pub top_p: Option<f64>,
    /// The likeliest tokens that are drawn from; 0 for all.
    pub top_k: Option<u32>,
    /// Share of the likeliest token's probability that another must have to be drawn; 0 to 1.
    pub min_p: Option<f64>,
    /// Makes what stands in prompt or answer less likely (above 1) or likelier (below 1); above 0.
    pub repetition_penalty: Option<f64>,
    /// Subtracted from the logit of every token that the answer holds already; -2 to 2.
    pub presence_penalty: Option<f64>,
    /// Subtracted once for every time that the answer holds the token; -2 to 2.
    pub frequency_penalty: Option<f64>,
    /// Tokens and what is added to their logits, -100 to 100.
    pub logit_bias: Vec<(u32, f64)>,
    /// Makes draws repeatable.
    pub seed: Option<i64>,
    /// Log-probabilities of each token, with so many of the likeliest tokens beside it. `None`: not asked for.
    pub logprobs: Option<u32>,
    /// Strings that end an answer; none is empty.
    pub stop: Vec<String>,
    /// Tokens that end an answer beside the model's own; they are not part of it.
    pub stop_token_ids: Vec<u32>,
    /// True where the model's own end tokens are tokens as any other.
    pub ignore_eos: bool,
    /// Tokens that an answer has before a token may end it; not above `max_tokens`.
    pub min_tokens: u32,
    /// True where the answer is sent in chunks as it grows.
    pub stream: bool,
    /// True where a stream ends with a chunk that carries the usage.
    pub include_usage: bool,
    /// The tier that the request asks for; it sets the priority, and does not change the answer.
    pub service_tier: Option<String>,
}

impl Generation {
    /// Takes all of it; `logprobs` is what the call's own parameters say about log-probabilities.
    pub(super) fn take(fields: &mut Fields, logprobs: Option<u32>) -> Result<Self, Invalid> {
        let (max_tokens, max_tokens_param) = take_max_tokens(fields)?;
        let stream = fields.boolean("stream")?.unwrap_or(false);
        Ok(Self {
            n: whole(fields, "n", 1, i64::from(MAX_SEQUENCES))?.unwrap_or(1),
            max_tokens,
            max_tokens_param,
            temperature: fields.decimal("temperature", 0.0..=2.0)?,
            top_p: take_above_zero(fields, "top_p", 1.0)?,
            top_k: take_top_k(fields)?,
            min_p: fields.decimal("min_p", 0.0..=1.0)?,
            repetition_penalty: take_above_zero(fields, "repetition_penalty", MAX_REPETITION_PENALTY)?,
            presence_penalty: fields.decimal("presence_penalty", -2.0..=2.0)?,
            frequency_penalty: fields.decimal("frequency_penalty", -2.0..=2.0)?,
            logit_bias: tokens::take_logit_bias(fields)?,
            seed: fields.integer("seed", i64::MIN..=i64::MAX)?,
            logprobs,
            stop: take_stop(fields)?,
            stop_token_ids: tokens::take_stop_token_ids(fields)?,
            ignore_eos: fields.boolean("ignore_eos")?.unwrap_or(false),
            min_tokens: take_min_tokens(fields, max_tokens)?,
            stream,
            include_usage: take_include_usage(fields, stream)?,
            service_tier: fields.text("service_tier")?,
        })
    }
}

fn whole(fields: &mut Fields, name: &str, min: i64, max: i64) -> Result<Option<u32>, Invalid> {
    Ok(fields.integer(name, min..=max)?.and_then(|number| u32::try_from(number).ok()))
}

fn take_max_tokens(fields: &mut Fields) -> Result<(Option<u32>, &'static str), Invalid> {
    let old = whole(fields, "max_tokens", 1, i64::from(u32::MAX))?;
    let new = whole(fields, "max_completion_tokens", 1, i64::from(u32::MAX))?;
    match (old, new) {
        (Some(_), Some(_)) => Err(Invalid::param(
            "invalid_parameter_combination",
            "max_tokens",
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
        )),
        (None, Some(_)) => Ok((new, "max_completion_tokens")),
        (old, None) => Ok((old, "max_tokens")),
    }
}

/// A number above 0 up to `max`.
fn take_above_zero(fields: &mut Fields, name: &str, max: f64) -> Result<Option<f64>, Invalid> {
    let number = fields.decimal(name, 0.0..=max)?;
    if number == Some(0.0) {
        let path = fields.path(name);
        let message = format!(
            "Invalid '{path}': decimal below minimum value. Expected a value > 0, but got 0 instead."
        );
        return Err(Invalid::param("decimal_below_min_value", path, message));
    }
    Ok(number)
}

/// -1 means all tokens, as in vLLM, and so does 0.
fn take_top_k(fields: &mut Fields) -> Result<Option<u32>, Invalid> {
    let number = fields.integer("top_k", -1..=i64::from(u32::MAX))?;
    Ok(number.map(|number| u32::try_from(number).unwrap_or(0)))
}

fn take_min_tokens(fields: &mut Fields, max_tokens: Option<u32>) -> Result<u32, Invalid> {
    let min_tokens = whole(fields, "min_tokens", 0, i64::from(u32::MAX))?.unwrap_or(0);
    match max_tokens {
        Some(max_tokens) if min_tokens > max_tokens => {
            let path = fields.path("min_tokens");
            let message = format!(
                "Invalid '{path}': it must not be above the most tokens of the answer, which are {max_tokens}, but is \
                 {min_tokens}."
            );
            Err(Invalid::param("integer_above_max_value", path, message))
        }
        _ => Ok(min_tokens),
    }
}

fn take_stop(fields: &mut Fields) -> Result<Vec<String>, Invalid> {
    let path = fields.path("stop");
    let items = match fields.take("stop") {
        None => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(text @ Value::String(_)) => return Ok(vec![stop_text(text, &path)?]),
        Some(other) => {
            return Err(Invalid::wrong_type(&path, "a string or an array of strings", describe(&other)));
        }
    };
    if items.len() > MAX_STOPS {
        let message = format!(
            "Invalid '{path}': array too long. Expected an array with maximum length {MAX_STOPS}, but got an array with \
             length {} instead.",
            items.len()
        );
        return Err(Invalid::param("array_above_max_length", path, message));
    }
    items.into_iter().enumerate().map(|(index, item)| stop_text(item, &format!("{path}[{index}]"))).collect()
}

fn stop_text(value: Value, path: &str) -> Result<String, Invalid> {
    match value {
        Value::String(text) if text.is_empty() => {
            let message = format!("Invalid '{path}': a stop string must not be empty.");
            Err(Invalid::param("empty_string", path, message))
        }
        Value::String(text) => Ok(text),
        other => Err(Invalid::wrong_type(path, "a string", describe(&other))),
    }
}

fn take_include_usage(fields: &mut Fields, stream: bool) -> Result<bool, Invalid> {
    let path = fields.path("stream_options");
    let Some(options) = fields.take("stream_options") else { return Ok(false) };
    if !stream {
        let message = format!("The '{path}' parameter is only allowed when 'stream' is enabled.");
        return Err(Invalid::param("invalid_parameter_combination", path, message));
    }
    let mut options = Fields::of(options, path)?;
    let include_usage = options.boolean("include_usage")?.unwrap_or(false);
    // It pads chunks against eavesdroppers who count bytes; the answer is the same without.
    options.boolean("include_obfuscation")?;
    options.finish()?;
    Ok(include_usage)
}
