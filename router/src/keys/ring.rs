//! All keys of a file, to be looked up.

use super::record::Record;
use super::secret::{KeyHash, id_of};
use std::collections::HashMap;
use std::sync::Arc;
use tidegate_admission::{Caller, Priority, Quota};

/// A key that lets somebody in.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// What it is called.
    pub id: String,
    /// Whose it is.
    pub tenant: String,
    /// Its tenant's part of a busy fleet is in proportion to this.
    pub weight: u64,
    /// What it may use, per model.
    pub quota: Quota,
    /// The highest priority that it may ask for.
    pub max_priority: Priority,
    models: Option<Vec<String>>,
    hash: KeyHash,
}

impl ApiKey {
    /// Whether it may ask for a model.
    pub fn allows(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.iter().any(|allowed| allowed == model))
    }

    /// Whose a request is that needs at most so many tokens, as the ledger has it; 0 where that is not known.
    pub fn caller(&self, reserved: u64) -> Caller {
        Caller {
            key: self.id.clone(),
            tenant: self.tenant.clone(),
            weight: self.weight,
            quota: self.quota,
            reserved: if self.quota.tokens.is_some() { reserved } else { 0 },
        }
    }
}

/// The keys of a file.
#[derive(Debug, Default)]
pub struct Ring {
    keys: HashMap<String, Arc<ApiKey>>,
}

impl Ring {
    /// Reads a whole file.
    ///
    /// # Errors
    /// If a line is none, a name comes twice, or a tenant has two weights; with the line's number.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut ring = Self::default();
        let mut named: HashMap<String, usize> = HashMap::new();
        let mut weights: HashMap<String, u64> = HashMap::new();
        for (number, line) in lines(text) {
            let at = |what: String| format!("line {number}: {what}");
            let record = Record::parse(line).map_err(at)?;
            if let Some(first) = named.insert(record.id.clone(), number) {
                return Err(at(format!("the key {} stands in line {first} already", record.id)));
            }
            if record.revoked.is_some() {
                continue;
            }
            let weight = record.weight.unwrap_or(1);
            if *weights.entry(record.tenant.clone()).or_insert(weight) != weight {
                let tenant = &record.tenant;
                return Err(at(format!("another key of '{tenant}' has another weight: a tenant has one")));
            }
            ring.add(record, weight).map_err(at)?;
        }
        Ok(ring)
    }

    fn add(&mut self, record: Record, weight: u64) -> Result<(), String> {
        let (quota, max_priority) = (record.quota(), record.priority()?);
        let hash = record.hash().ok_or("'sha256' must be 64 hex digits")?;
        let Record { id, tenant, models, .. } = record;
        let key = ApiKey { id: id.clone(), tenant, weight, quota, max_priority, models, hash };
        self.keys.insert(id, Arc::new(key));
        Ok(())
    }

    /// The key that somebody shows; `None` where it lets nobody in.
    pub fn find(&self, shown: &str) -> Option<Arc<ApiKey>> {
        self.keys.get(id_of(shown)?).filter(|key| key.hash.is_of(shown)).cloned()
    }

    /// Keys that let somebody in.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether nobody may come in.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// The lines that say something, with their numbers: empty ones and those that begin with `#` are for people.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !is_for_people(line))
}

/// Whether a line says nothing to the router.
pub(super) fn is_for_people(line: &str) -> bool {
    line.trim().is_empty() || line.trim_start().starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::secret::NewKey;

    fn line(key: &NewKey, more: &str) -> String {
        format!(r#"{{"id":"{}","tenant":"acme","sha256":"{}"{more}}}"#, key.id, key.hash())
    }

    #[test]
    fn only_the_key_itself_is_found() {
        let (key, other, revoked) = (NewKey::make(), NewKey::make(), NewKey::make());
        let text = format!(
            "# keys\n\n{}\n{}\n",
            line(&key, r#","models":["m"]"#),
            line(&revoked, r#","revoked":1"#)
        );
        let ring = Ring::parse(&text).unwrap();
        let found = ring.find(key.reveal()).unwrap();
        assert_eq!((found.id.as_str(), found.tenant.as_str(), ring.len()), (key.id.as_str(), "acme", 1));
        assert!(found.allows("m") && !found.allows("n"));
        let secret = key.reveal();
        let last = if secret.ends_with('0') { "1" } else { "0" };
        let near = [
            format!("{}{last}", &secret[..secret.len() - 1]),
            format!("{secret}0"),
            secret[..secret.len() - 1].to_owned(),
            secret.to_uppercase(),
            format!(" {secret}"),
            key.hash().to_string(),
            secret.replace(&key.id, &other.id),
        ];
        for near in near.iter().map(String::as_str).chain([other.reveal(), revoked.reveal(), ""]) {
            assert!(ring.find(near).is_none());
        }
    }

    #[test]
    fn a_bad_line_is_named() {
        let (key, other) = (NewKey::make(), NewKey::make());
        let twice = format!("{}\n{}", line(&key, ""), line(&key, ""));
        assert!(Ring::parse(&twice).unwrap_err().starts_with("line 2: the key"));
        let weights = format!("{}\n{}", line(&key, r#","weight":2"#), line(&other, ""));
        assert!(Ring::parse(&weights).unwrap_err().contains("another weight"));
        assert!(Ring::parse("\nnonsense").unwrap_err().starts_with("line 2: "));
        assert!(Ring::parse("").unwrap().is_empty());
    }

    #[test]
    fn a_key_is_never_shown() {
        let key = NewKey::make();
        let ring = Ring::parse(&line(&key, "")).unwrap();
        let shown = format!("{ring:?} {:?}", ring.find(key.reveal()).map(|key| key.caller(1)));
        assert!(!shown.contains(key.reveal()) && !shown.contains(&key.hash().to_string()), "{shown}");
    }
}
