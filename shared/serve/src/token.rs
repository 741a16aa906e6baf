//! Bearer tokens (RFC 6750) that stand in files: who holds one may come in.
//!
//! A file may hold several, one a line: while tokens are changed over a fleet the old and the new one are both good. A process
//! that sends a token sends the first.

use crate::from_files::{FileError, FromFiles};
use http::{HeaderMap, HeaderValue, header};
use ring::hmac::{HMAC_SHA256, Key, Tag, sign, verify};
use std::path::Path;

/// Characters that a token has at least: a shorter one can be guessed.
const SHORTEST: usize = 16;
/// What is signed with a token to compare it with another: equal tags are equal tokens, and comparing takes the same time wherever
/// they differ.
const EQUAL: &[u8] = b"tidegate bearer token";
/// What stands before the end of a session when it is signed, so that no tag serves two ends.
const SESSION: &str = "tidegate session until ";

/// The tokens of a file.
pub struct Tokens {
    /// The tag of [`EQUAL`] under each token.
    tags: Vec<Tag>,
    /// The first token as a key, for sessions.
    first: Key,
    /// `Bearer` and the first token, marked so that nothing prints it.
    header: HeaderValue,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} tokens", self.tags.len())
    }
}

/// Reads a file of tokens that others are to show.
///
/// # Errors
/// If it cannot be read, holds none, or one that is too short or no header's text.
pub fn open(path: &Path) -> Result<FromFiles<Tokens>, FileError> {
    open_with(path, SHORTEST)
}

/// Reads a file of tokens that are shown to others, who say how long they are.
///
/// # Errors
/// If it cannot be read, holds none, or one that is no header's text.
pub fn open_shown(path: &Path) -> Result<FromFiles<Tokens>, FileError> {
    open_with(path, 1)
}

fn open_with(path: &Path, shortest: usize) -> Result<FromFiles<Tokens>, FileError> {
    let read = move |files: &[Vec<u8>]| Tokens::read(files.first().map_or(&[], Vec::as_slice), shortest);
    FromFiles::open(vec![path.to_owned()], read)
}

impl Tokens {
    fn read(bytes: &[u8], shortest: usize) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "not a text")?;
        let tokens: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let good =
            |token: &&str| token.len() >= shortest && token.bytes().all(|byte| byte.is_ascii_graphic());
        if !tokens.iter().all(good) {
            return Err(format!("a token has at least {shortest} characters, which are visible and ASCII"));
        }
        let first = tokens.first().ok_or("holds no token")?;
        let mut header = HeaderValue::try_from(format!("Bearer {first}")).map_err(|_| "no header's text")?;
        header.set_sensitive(true);
        let tags = tokens.iter().map(|token| sign(&key(token), EQUAL)).collect();
        Ok(Self { tags, first: key(first), header })
    }

    /// Whether the headers hold one of the tokens.
    pub fn admit(&self, headers: &HeaderMap) -> bool {
        bearer(headers).is_some_and(|token| self.are(token))
    }

    /// Whether `given` is one of the tokens.
    pub fn are(&self, given: &str) -> bool {
        let given = key(given);
        // All are compared: the time says nothing of which one was close.
        self.tags.iter().fold(false, |found, tag| verify(&given, EQUAL, tag.as_ref()).is_ok() | found)
    }

    /// `Bearer` and the token that this process sends.
    pub fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// A pass, good until `end` (Unix seconds), from which the token cannot be told: what a browser keeps instead of it. Every
    /// process with the same token accepts it.
    pub fn session(&self, end: u64) -> String {
        let tag = sign(&self.first, format!("{SESSION}{end}").as_bytes());
        let tag: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{end}.{tag}")
    }

    /// Whether `pass` is one that is good at `now` (Unix seconds).
    pub fn admit_session(&self, pass: &str, now: u64) -> bool {
        let Some((end, tag)) = pass.split_once('.') else { return false };
        let (Ok(end), Some(tag)) = (end.parse::<u64>(), bytes(tag)) else { return false };
        now < end && verify(&self.first, format!("{SESSION}{end}").as_bytes(), &tag).is_ok()
    }
}

fn key(token: &str) -> Key {
    Key::new(HMAC_SHA256, token.as_bytes())
}

/// The token of an `authorization` header; the name of the scheme is in any case.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "old-token-0123456789";
    const NEW: &str = "new-token-0123456789";

    fn tokens() -> Tokens {
        Tokens::read(format!("{NEW}\n\n {OLD}\r\n").as_bytes(), SHORTEST).unwrap()
    }

    fn headers(value: &str) -> HeaderMap {
        [(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())].into_iter().collect()
    }

    #[test]
    fn each_token_of_the_file_is_good_and_nothing_else() {
        for good in [format!("Bearer {NEW}"), format!("bearer  {OLD}")] {
            assert!(tokens().admit(&headers(&good)), "{good}");
        }
        let (part, more) = (format!("Bearer {}", &NEW[1..]), format!("Bearer {NEW}x"));
        for bad in ["Bearer", "Bearer ", &part, &more, NEW, &format!("Basic {NEW}")] {
            assert!(!tokens().admit(&headers(bad)), "{bad}");
        }
        assert!(!tokens().admit(&HeaderMap::new()));
        assert_eq!(tokens().header(), format!("Bearer {NEW}").as_str());
        assert!(!format!("{:?} {:?}", tokens(), tokens().header()).contains(NEW));
    }

    #[test]
    fn files_of_no_use_are_refused_without_showing_them() {
        for bad in ["", "\n \n", "short", "a token with spaces in it", "0123456789abcdef\u{e9}0123456789"] {
            let error = Tokens::read(bad.as_bytes(), SHORTEST).unwrap_err();
            assert!(bad.trim().is_empty() || !error.contains(bad), "{error}");
        }
        assert!(Tokens::read(&[0xff; 32], SHORTEST).is_err());
    }

    #[test]
    fn a_session_ends_and_cannot_be_stretched() {
        let pass = tokens().session(1000);
        assert!(tokens().admit_session(&pass, 999) && !tokens().admit_session(&pass, 1000));
        let later = pass.replacen("1000", "2000", 1);
        let other = Tokens::read(OLD.as_bytes(), SHORTEST).unwrap().session(1000);
        for bad in [later.as_str(), &other, "", "1000", "1000.", "1000.zz", "x.00", "1000.\u{e9}"] {
            assert!(!tokens().admit_session(bad, 0), "{bad}");
        }
        assert!(!pass.contains(NEW));
    }
}
