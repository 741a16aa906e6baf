//! What a key looks like, and the hash that is kept of it.
//!
//! `tg-`, eight hex digits that name the key, `-`, and 64 hex digits drawn at random: 256 bits, so that nobody finds a key by
//! trying, and SHA-256 is as good a hash as a slow one. The name is public: it is how a key is found in the file, listed and
//! revoked; that the rest is right is found out in a time that does not depend on where it is wrong.

use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;

/// What every key begins with.
const PREFIX: &str = "tg-";
/// Hex digits of a key's name.
const ID_DIGITS: usize = 8;
/// Bytes of a key's hash.
const HASH_BYTES: usize = 32;
/// Hex digits of what nobody may know of a key.
const SECRET_DIGITS: usize = 64;

/// The SHA-256 hash of a key, compared in constant time.
#[derive(Clone)]
pub struct KeyHash([u8; HASH_BYTES]);

impl KeyHash {
    /// The hash of a key.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// The hash that stands in a file as 64 hex digits; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let mut hash = [0; HASH_BYTES];
        // A sign before a digit would be read as a number too.
        if text.len() != 2 * HASH_BYTES || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, at) in hash.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
        }
        Some(Self(hash))
    }

    /// Whether a key is the one that this is the hash of.
    pub fn is_of(&self, key: &str) -> bool {
        self.0.ct_eq(&Self::of(key).0).into()
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("KeyHash")
    }
}

/// A key that was just made. Nothing shows it but [`NewKey::reveal`].
pub struct NewKey {
    /// What it is called.
    pub id: String,
    key: String,
}

impl NewKey {
    /// A key of the system's randomness.
    pub fn make() -> Self {
        let (id, secret): ([u8; ID_DIGITS / 2], [u8; 32]) = (rand::random(), rand::random());
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let id = hex(&id);
        let key = format!("{PREFIX}{id}-{}", hex(&secret));
        Self { id, key }
    }

    /// The key itself, for the one who asked for it.
    pub fn reveal(&self) -> &str {
        &self.key
    }

    /// What is kept of it.
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(&self.key)
    }
}

/// The name in a key that somebody shows; `None` where it is no key of ours at all.
pub fn id_of(key: &str) -> Option<&str> {
    let (id, _) = key.strip_prefix(PREFIX)?.split_once('-')?;
    is_id(id).then_some(id)
}

/// Whether a text can be a key's name.
pub fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a text has a key in it, or as much of one as lets its reader in: what nobody may know of it, without the name. Such a text
/// is not repeated in errors, and is no name.
pub fn shows_key(text: &str) -> bool {
    let runs = text.split(|letter: char| !letter.is_ascii_hexdigit());
    text.contains(PREFIX) || runs.into_iter().any(|run| run.len() >= SECRET_DIGITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_a_name_and_matches_its_own_hash_only() {
        let (one, other) = (NewKey::make(), NewKey::make());
        assert_eq!(id_of(one.reveal()), Some(one.id.as_str()));
        assert!(one.hash().is_of(one.reveal()) && !one.hash().is_of(other.reveal()));
        let read = KeyHash::parse(&one.hash().to_string()).unwrap();
        assert!(read.is_of(one.reveal()));
        assert!(!format!("{:?}", one.hash()).contains(&one.hash().to_string()));
    }

    #[test]
    fn the_hash_is_sha_256() {
        // The example "abc" of FIPS 180-4.
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(KeyHash::of("abc").to_string(), known);
    }

    #[test]
    fn what_is_nearly_a_key_is_none() {
        for text in
            ["", "tg-", "tg-0123abcd", "sk-0123abcd-x", "tg-0123ABCD-x", "tg-0123abc-x", "tg-é23abcd-x"]
        {
            assert_eq!(id_of(text), None, "{text}");
        }
        for text in ["", "0g", "é", &"0".repeat(63), &"x".repeat(64), &"é".repeat(32), &"+f".repeat(32)] {
            assert!(KeyHash::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_key_is_known_by_what_nobody_may_know_of_it() {
        let key = NewKey::make();
        let digits = key.reveal().rsplit('-').next().unwrap();
        for text in [key.reveal(), digits, &digits.to_uppercase(), &format!("x {digits} y")] {
            assert!(shows_key(text), "{text}");
        }
        assert!(!shows_key(&key.id) && !shows_key(&digits[1..]) && !shows_key(""));
    }
}
