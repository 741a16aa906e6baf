//! One JSON object whose members are taken out by name, each with its type and range checked; what is left is unknown.

use super::Invalid;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// An object of the request on its way to a typed value.
#[derive(Debug)]
pub(super) struct Fields {
    /// JSON path of the object, empty for the body itself.
    path: String,
    /// Members that nobody has taken yet.
    members: Map<String, Value>,
}

impl Fields {
    /// Reads a whole body.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let text = std::str::from_utf8(body).map_err(|error| {
            let message =
                format!("The body is not valid UTF-8: the byte at offset {} is wrong.", error.valid_up_to());
            Invalid::body("invalid_utf8", message)
        })?;
        let value = serde_json::from_str::<Value>(text).map_err(|error| {
            Invalid::body("invalid_json", format!("The body is not valid JSON: {error}."))
        })?;
        match value {
            Value::Object(members) => Ok(Self { path: String::new(), members }),
            other => {
                let found = describe(&other);
                let message =
                    format!("Invalid type for the body: expected a JSON object, but got {found} instead.");
                Err(Invalid::body("invalid_type", message))
            }
        }
    }

    /// Reads an object that stands at `path` inside the body.
    pub(super) fn of(value: Value, path: String) -> Result<Self, Invalid> {
        match value {
            Value::Object(members) => Ok(Self { path, members }),
            other => Err(Invalid::wrong_type(&path, "an object", describe(&other))),
        }
    }

    /// JSON path of a member.
    pub(super) fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Names of the members that are left.
    pub(super) fn names(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }

    /// Takes a member; null counts as left out, as in the official SDKs.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|value| !value.is_null())
    }

    /// Puts a member back that somebody else is to take.
    pub(super) fn put(&mut self, name: &str, value: Value) {
        self.members.insert(name.to_owned(), value);
    }

    /// Takes a string.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Invalid> {
        self.typed(name, "a string", |value| match value {
            Value::String(text) => Ok(text),
            other => Err(other),
        })
    }

    /// Takes a string that must be there.
    pub(super) fn required_text(&mut self, name: &str) -> Result<String, Invalid> {
        self.text(name)?.ok_or_else(|| Invalid::missing(&self.path(name)))
    }

    /// Takes true or false.
    pub(super) fn boolean(&mut self, name: &str) -> Result<Option<bool>, Invalid> {
        self.typed(name, "a boolean", |value| value.as_bool().ok_or(value))
    }

    /// Takes an object and forgets what is in it.
    pub(super) fn any_object(&mut self, name: &str) -> Result<(), Invalid> {
        self.object(name).map(|_| ())
    }

    /// Takes an object as it is.
    pub(super) fn object(&mut self, name: &str) -> Result<Option<Value>, Invalid> {
        self.typed(name, "an object", |value| if value.is_object() { Ok(value) } else { Err(value) })
    }

    /// Takes an array.
    pub(super) fn array(&mut self, name: &str, expected: &str) -> Result<Option<Vec<Value>>, Invalid> {
        self.typed(name, expected, |value| match value {
            Value::Array(items) => Ok(items),
            other => Err(other),
        })
    }

    /// Takes an integer within `range`.
    pub(super) fn integer(&mut self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, Invalid> {
        let path = self.path(name);
        let Some(value) = self.take(name) else { return Ok(None) };
        if !value.is_i64() && !value.is_u64() {
            return Err(Invalid::wrong_type(&path, "an integer", describe(&value)));
        }
        // What fits u64 but not i64 is above every maximum.
        let number = value.as_i64().unwrap_or(i64::MAX);
        if number < *range.start() {
            return Err(out_of_range(&path, "integer", &Side::Below(range.start()), &value));
        }
        if number > *range.end() || !value.is_i64() {
            return Err(out_of_range(&path, "integer", &Side::Above(range.end()), &value));
        }
        Ok(Some(number))
    }

    /// Takes a number within `range`.
    pub(super) fn decimal(&mut self, name: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, Invalid> {
        let path = self.path(name);
        let Some(value) = self.take(name) else { return Ok(None) };
        let Some(number) = value.as_f64() else {
            return Err(Invalid::wrong_type(&path, "a decimal", describe(&value)));
        };
        if number < *range.start() {
            return Err(out_of_range(&path, "decimal", &Side::Below(range.start()), &value));
        }
        if number > *range.end() {
            return Err(out_of_range(&path, "decimal", &Side::Above(range.end()), &value));
        }
        Ok(Some(number))
    }

    /// Ends the reading: whatever nobody took is a parameter that this server does not know.
    pub(super) fn finish(self) -> Result<(), Invalid> {
        match self.members.iter().find(|(_, value)| !value.is_null()) {
            None => Ok(()),
            Some((name, _)) => {
                let path = self.path(name);
                Err(Invalid::param("unknown_parameter", &path, format!("Unknown parameter: '{path}'.")))
            }
        }
    }

    fn typed<T>(
        &mut self,
        name: &str,
        expected: &str,
        convert: impl FnOnce(Value) -> Result<T, Value>,
    ) -> Result<Option<T>, Invalid> {
        let Some(value) = self.take(name) else { return Ok(None) };
        convert(value)
            .map(Some)
            .map_err(|value| Invalid::wrong_type(&self.path(name), expected, describe(&value)))
    }
}

/// The JSON type of a value, with its article, in OpenAI's words.
pub(super) fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The bound that a number passed.
enum Side<T> {
    Below(T),
    Above(T),
}

fn out_of_range(path: &str, kind: &str, side: &Side<impl std::fmt::Display>, found: &Value) -> Invalid {
    let (word, sign, bound) = match side {
        Side::Below(bound) => ("below minimum", ">=", bound),
        Side::Above(bound) => ("above maximum", "<=", bound),
    };
    let code = match (kind, side) {
        ("integer", Side::Below(_)) => "integer_below_min_value",
        ("integer", Side::Above(_)) => "integer_above_max_value",
        (_, Side::Below(_)) => "decimal_below_min_value",
        (_, Side::Above(_)) => "decimal_above_max_value",
    };
    let message = format!(
        "Invalid '{path}': {kind} {word} value. Expected a value {sign} {bound}, but got {found} instead."
    );
    Invalid::param(code, path, message)
}
