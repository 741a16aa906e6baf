//! What holds for whatever stands in a key file, and for whatever is shown as a key.
//!
//! As in [`crate::request::hostile`], each property panics where it does not hold.

use super::command::{list, revoked};
use super::record::Record;
use super::ring::{Ring, lines};
use super::secret::{KeyHash, id_of};
use std::collections::BTreeSet;

/// The first line is what somebody shows, the rest is the file: it is refused without a word of what nobody may know, or it lets in
/// whom it says and nobody else.
pub fn keys(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (shown, file) = text.split_once('\n').unwrap_or((text, ""));
    let records: Vec<Record> = lines(file).filter_map(|(_, line)| record(line)).collect();
    let ring = match Ring::parse(file) {
        Ok(ring) => ring,
        Err(error) => return keeps_the_secret(&error),
    };
    assert_eq!(lines(file).count(), records.len(), "a line was read that is none");
    let ids: BTreeSet<&str> = records.iter().map(|record| record.id.as_str()).collect();
    assert_eq!(ids.len(), records.len(), "a name twice");
    let active: Vec<&Record> = records.iter().filter(|record| record.revoked.is_none()).collect();
    assert_eq!(ring.len(), active.len());
    lets_in(&ring, &active, shown);
    listed(file, records.len());
    for record in &records {
        ends(file, &records, record);
    }
}

/// A line, where it is one: it writes back as it was read, in one line, and its values are in their ranges.
fn record(line: &str) -> Option<Record> {
    let record = match Record::parse(line) {
        Ok(record) => record,
        Err(error) => {
            keeps_the_secret(&error);
            return None;
        }
    };
    let written = serde_json::to_string(&record).unwrap_or_default();
    assert_eq!(Record::parse(&written).as_ref(), Ok(&record));
    assert!(!written.contains(['\n', '\r']), "{written:?}");
    let hash = record.hash().map(|hash| hash.to_string());
    assert_eq!(hash, Some(record.sha256.to_ascii_lowercase()));
    assert!(record.id.len() == 8 && record.id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let quota = record.quota();
    for limit in [quota.requests, quota.tokens, quota.concurrency].into_iter().flatten() {
        assert!(limit <= 1_000_000_000_000, "{limit}");
    }
    assert!((1..=1000).contains(&record.weight.unwrap_or(1)));
    assert!((1..=64).contains(&record.tenant.len()));
    Some(record)
}

/// Who shows a key comes in if an active line has its hash under its name, as that line's tenant, and not otherwise.
fn lets_in(ring: &Ring, active: &[&Record], shown: &str) {
    let hash = KeyHash::of(shown).to_string();
    let of_line = active
        .iter()
        .find(|record| record.sha256.eq_ignore_ascii_case(&hash) && id_of(shown) == Some(record.id.as_str()));
    let found = ring.find(shown);
    assert_eq!(found.is_some(), of_line.is_some(), "{shown:?}");
    if let (Some(key), Some(record)) = (found, of_line) {
        assert_eq!((&key.id, &key.tenant), (&record.id, &record.tenant));
        assert_eq!((key.quota, Ok(key.max_priority)), (record.quota(), record.priority()));
        assert_eq!(key.weight, record.weight.unwrap_or(1));
        let models = record.models.as_deref();
        assert!(models.is_none_or(|models| models.iter().all(|model| key.allows(model))));
        assert_eq!(key.allows("no\nname"), models.is_none());
    }
}

/// A list has one line for each key, and nothing in it that a terminal would obey.
fn listed(file: &str, records: usize) {
    let listed = list(file);
    assert!(listed.is_ok_and(|listed| {
        listed.lines().count() == records + 1 && !listed.contains(|c: char| c.is_control() && c != '\n')
    }));
}

/// Ending a key changes its line only, and once.
fn ends(file: &str, records: &[Record], ended: &Record) {
    let Ok(after) = revoked(file, &ended.id, 7) else {
        return assert!(ended.revoked.is_some(), "an active key cannot be ended");
    };
    let after = after.unwrap_or_default();
    let now: Vec<Record> = lines(&after).filter_map(|(_, line)| Record::parse(line).ok()).collect();
    let expected: Vec<Record> = records
        .iter()
        .map(|record| match record.id == ended.id {
            true => Record { revoked: Some(7), ..record.clone() },
            false => record.clone(),
        })
        .collect();
    assert_eq!(now, expected);
    let changed = file.split('\n').zip(after.split('\n')).filter(|(before, after)| before != after);
    assert_eq!((file.split('\n').count(), changed.count()), (after.split('\n').count(), 1));
    assert!(revoked(&after, &ended.id, 8).is_err());
}

/// An error says nothing that would let anybody in.
fn keeps_the_secret(error: &str) {
    let longest = error.split(|letter: char| !letter.is_ascii_hexdigit()).map(str::len).max();
    assert!(!error.contains("tg-") && longest < Some(64), "{error}");
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_the_fuzzer_found_holds() {
        crate::request::hostile::replay("keys", super::keys);
    }
}
