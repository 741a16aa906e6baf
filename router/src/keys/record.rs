//! One line of the key file: a JSON object with a key's hash, its tenant and its limits.

use super::secret::{KeyHash, is_id, shows_key};
use serde::{Deserialize, Serialize};
use tidegate_admission::{Priority, Quota};

/// The longest name of a tenant or a label, in bytes: it stands in logs and spans.
const LONGEST_NAME: usize = 64;
/// The largest weight: a tenant's place in the queue is counted in whole numbers, which leave room for as much.
const MOST_WEIGHT: u64 = 1000;
/// The largest limit; a million million tokens a minute is no limit any more.
const MOST: u64 = 1_000_000_000_000;

/// A key as the file has it. Limits hold per model, over all routers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// What the key is called: the eight hex digits behind its `tg-`.
    pub id: String,
    /// Whose it is.
    pub tenant: String,
    /// SHA-256 of the key, as 64 hex digits.
    pub sha256: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Unix seconds of its making.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    /// Requests a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Tokens a minute, of prompts and answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// Requests at once, waiting ones among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent_requests: Option<u64>,
    /// Models that it may ask for; all where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// The highest priority that it may ask for: high, normal or low.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_priority: Option<String>,
    /// Its tenant's part of a busy fleet is in proportion to this; 1 where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u64>,
    /// Unix seconds of its end; it lets nobody in any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<u64>,
}

impl Record {
    /// Reads a line.
    ///
    /// # Errors
    /// If it is no such object, or a value is out of its range. The text names the field and, where it could be a key that was
    /// written into the wrong place, not the value.
    pub fn parse(line: &str) -> Result<Self, String> {
        let record: Self = serde_json::from_str(line).map_err(|error| {
            let text = error.to_string();
            // What serde finds in the wrong place it quotes.
            if shows_key(&text) { "a value is of the wrong type".to_owned() } else { text }
        })?;
        record.check().map(|()| record)
    }

    /// Whether every value is one that may stand there.
    ///
    /// # Errors
    /// If one is not, with what may.
    pub fn check(&self) -> Result<(), String> {
        if !is_id(&self.id) {
            return Err("'id' must be eight hex digits".to_owned());
        }
        if self.hash().is_none() {
            return Err("'sha256' must be 64 hex digits: the hash of the key, not the key".to_owned());
        }
        check_name("tenant", &self.tenant)?;
        self.label.as_deref().map_or(Ok(()), |label| check_name("label", label))?;
        check_range("requests_per_minute", self.requests_per_minute, 0..=MOST)?;
        check_range("tokens_per_minute", self.tokens_per_minute, 0..=MOST)?;
        check_range("max_concurrent_requests", self.max_concurrent_requests, 0..=MOST)?;
        check_range("weight", self.weight, 1..=MOST_WEIGHT)?;
        if self.models.iter().flatten().any(|model| !is_printable(model)) {
            return Err("'models' must be names without control characters, and no keys".to_owned());
        }
        self.priority().map(drop)
    }

    /// The hash of the key; `None` where the text is none.
    pub fn hash(&self) -> Option<KeyHash> {
        KeyHash::parse(&self.sha256)
    }

    /// The highest priority that it may ask for.
    ///
    /// # Errors
    /// If the word is none.
    pub fn priority(&self) -> Result<Priority, String> {
        match self.max_priority.as_deref() {
            None | Some("high") => Ok(Priority::High),
            Some("normal") => Ok(Priority::Normal),
            Some("low") => Ok(Priority::Low),
            Some(_) => Err("'max_priority' must be high, normal or low".to_owned()),
        }
    }

    /// Its limits, in the ledger's words.
    pub fn quota(&self) -> Quota {
        Quota {
            requests: self.requests_per_minute,
            tokens: self.tokens_per_minute,
            concurrency: self.max_concurrent_requests,
        }
    }
}

fn check_name(field: &str, name: &str) -> Result<(), String> {
    if (1..=LONGEST_NAME).contains(&name.len()) && is_printable(name) {
        return Ok(());
    }
    Err(format!(
        "'{field}' must be a name of 1 to {LONGEST_NAME} bytes without control characters, and no key"
    ))
}

/// Whether a name may stand in a line of a log, or of a list on somebody's terminal. A key that was written into the wrong field would
/// stand in each of them from now on.
fn is_printable(name: &str) -> bool {
    !name.contains(char::is_control) && !shows_key(name)
}

fn check_range(field: &str, value: Option<u64>, range: std::ops::RangeInclusive<u64>) -> Result<(), String> {
    match value {
        Some(value) if !range.contains(&value) => {
            Err(format!("'{field}' must be a whole number from {} to {}", range.start(), range.end()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(more: &str) -> String {
        format!(r#"{{"id":"0123abcd","tenant":"acme","sha256":"{}"{more}}}"#, "0f".repeat(32))
    }

    #[test]
    fn a_line_is_read_and_written_alike() {
        let text = line(
            r#","label":"ci","requests_per_minute":60,"tokens_per_minute":90000,"max_concurrent_requests":4,"models":["m"],"max_priority":"normal","weight":2"#,
        );
        let record = Record::parse(&text).unwrap();
        assert_eq!(serde_json::to_string(&record).unwrap(), text);
        assert_eq!(record.quota(), Quota { requests: Some(60), tokens: Some(90_000), concurrency: Some(4) });
        assert_eq!(record.priority(), Ok(Priority::Normal));
        assert_eq!(Record::parse(&line("")).unwrap().quota(), Quota::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (more, what) in [
            (r#","weight":0"#, "'weight' must be"),
            (r#","max_priority":"urgent""#, "'max_priority' must be"),
            (r#","label":"""#, "'label' must be"),
            (r#","rpm":1"#, "unknown field `rpm`"),
            (r#","models":["m","a\u001b[2Jb"]"#, "'models' must be"),
            (r#","requests_per_minute":-1"#, "invalid value"),
        ] {
            let error = Record::parse(&line(more)).unwrap_err();
            assert!(error.contains(what), "{more}: {error}");
        }
        assert!(Record::parse("{}").unwrap_err().contains("missing field"));
    }

    #[test]
    fn a_key_in_the_wrong_place_is_not_repeated() {
        let key = crate::keys::secret::NewKey::make();
        // With what stands in the line as well, the last digits are as good as the whole.
        let digits = key.reveal().rsplit('-').next().unwrap();
        for secret in [key.reveal(), digits, &digits.to_uppercase()] {
            for more in [
                format!(r#","weight":"{secret}""#),
                format!(r#","label":"{secret}""#),
                format!(r#","max_priority":"{secret}""#),
                format!(r#","models":"{secret}""#),
                format!(r#","models":["{secret}"]"#),
                format!(r#","{secret}":1"#),
            ] {
                let error = Record::parse(&line(&more)).unwrap_err();
                assert!(!error.contains(secret), "{error}");
            }
        }
    }
}
