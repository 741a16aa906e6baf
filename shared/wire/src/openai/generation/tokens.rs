//! Parameters that name tokens: `logit_bias`, `stop_token_ids`.

use crate::openai::{Invalid, fields::Fields, fields::describe};
use serde_json::Value;

/// Most tokens that a request may bias, and most that may end it.
const MAX_TOKENS: usize = 1024;

/// An object from token ids, as strings, to numbers from -100 to 100.
pub(super) fn take_logit_bias(fields: &mut Fields) -> Result<Vec<(u32, f64)>, Invalid> {
    let path = fields.path("logit_bias");
    let biases = match fields.take("logit_bias") {
        None => return Ok(Vec::new()),
        Some(Value::Object(biases)) => biases,
        Some(other) => return Err(Invalid::wrong_type(&path, "an object", describe(&other))),
    };
    expect_few(biases.len(), &path)?;
    let mut biases = Fields::of(Value::Object(biases), path.clone())?;
    let mut found = Vec::new();
    for name in biases.names() {
        let token = name.parse().map_err(|_| {
            let message = format!("Invalid '{path}': '{name}' is no token id (an integer of at least 0).");
            Invalid::param("invalid_value", &path, message)
        })?;
        if let Some(bias) = biases.decimal(&name, -100.0..=100.0).map_err(|error| error.at(&path))? {
            found.push((token, bias));
        }
    }
    Ok(found)
}

/// An array of token ids.
pub(super) fn take_stop_token_ids(fields: &mut Fields) -> Result<Vec<u32>, Invalid> {
    let path = fields.path("stop_token_ids");
    let items = fields.array("stop_token_ids", "an array of token ids")?.unwrap_or_default();
    expect_few(items.len(), &path)?;
    let token = |(index, item): (usize, Value)| {
        let id = item.as_u64().and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| {
            let found = if item.is_number() { &*item.to_string() } else { describe(&item) };
            Invalid::wrong_type(&format!("{path}[{index}]"), "a token id (an integer of at least 0)", found)
        })
    };
    items.into_iter().enumerate().map(token).collect()
}

fn expect_few(count: usize, path: &str) -> Result<(), Invalid> {
    if count <= MAX_TOKENS {
        return Ok(());
    }
    let message = format!("Invalid '{path}': {count} tokens are named; at most {MAX_TOKENS} are accepted.");
    Err(Invalid::param("array_above_max_length", path, message))
}
