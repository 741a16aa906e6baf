//! Which backend has served which prefix of a prompt, so that its key/value cache can be used again.
//!
//! A prompt is cut into blocks; each block's hash covers all before it, so that one number stands for a whole prefix. The text
//! is taken as the client wrote it, JSON and all: the same client writes the same beginning in the same way, and nothing has
//! to be parsed.

use lru::LruCache;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Bytes of one block: a hundred tokens or so.
const BLOCK: usize = 512;
/// Blocks of one prompt that are looked at: 64 KiB of text.
const MOST_BLOCKS: usize = 128;
/// Prefixes that are remembered; those that were not used for longest are forgotten first. Five megabytes or so.
const CAPACITY: NonZeroUsize = match NonZeroUsize::new(65_536) {
    Some(capacity) => capacity,
    None => NonZeroUsize::MIN,
};
/// Bytes of a body in which its prompt must begin: what stands before it, such as tools, is not as long.
const MOST_BEFORE: usize = 1024 * 1024;
/// Where the prompt begins, by the way that is asked: chat, completion, embedding.
const FIELDS: [&[u8]; 3] = [b"\"messages\"", b"\"prompt\"", b"\"input\""];

/// The hashes of all prefixes of a request's prompt, the shortest first. A prompt shorter than a block has none.
pub(super) fn chain(pool: &str, body: &[u8]) -> Vec<u64> {
    let Some(text) = prompt(body) else { return Vec::new() };
    let mut hasher = DefaultHasher::new();
    pool.hash(&mut hasher);
    let block_hash = |block: &[u8]| {
        hasher.write(block);
        hasher.finish()
    };
    text.chunks_exact(BLOCK).take(MOST_BLOCKS).map(block_hash).collect()
}

/// The body from its prompt on. Quotes within a string are escaped in JSON, so no text of a user can look like a field.
fn prompt(body: &[u8]) -> Option<&[u8]> {
    let searched = &body[..body.len().min(MOST_BEFORE)];
    FIELDS.iter().find_map(|field| {
        let at = searched.windows(field.len()).position(|window| window == *field)?;
        body.get(at + field.len()..)
    })
}

/// Prefixes and the backends that served them last. Its memory is bounded.
#[derive(Debug)]
pub(super) struct PrefixTable {
    served: LruCache<u64, Arc<str>>,
}

impl Default for PrefixTable {
    fn default() -> Self {
        Self::with_capacity(CAPACITY)
    }
}

impl PrefixTable {
    fn with_capacity(capacity: NonZeroUsize) -> Self {
        Self { served: LruCache::new(capacity) }
    }

    /// The backend that served the longest known prefix, among those that are `fit`.
    pub(super) fn find(&mut self, chain: &[u64], fit: impl Fn(&str) -> bool) -> Option<String> {
        let longest = chain.iter().rev().find(|hash| self.served.peek(hash).is_some_and(|id| fit(id)))?;
        self.served.get(longest).map(|id| id.as_ref().to_owned())
    }

    /// A backend serves a prompt with these prefixes. The shorter ones are entered last, so that they are forgotten last: they
    /// are what other prompts share.
    pub(super) fn learn(&mut self, chain: &[u64], backend: &str) {
        let backend: Arc<str> = Arc::from(backend);
        for hash in chain.iter().rev() {
            self.served.put(*hash, Arc::clone(&backend));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn body(text: &str) -> Vec<u8> {
        format!("{{\"model\":\"m\",\"messages\":[{{\"role\":\"user\",\"content\":\"{text}\"}}]}}")
            .into_bytes()
    }

    #[test]
    fn fields_before_the_prompt_and_short_prompts_do_not_count() {
        let long = "x".repeat(3 * BLOCK);
        let other = String::from_utf8(body(&long)).unwrap().replace("\"m\"", "\"alias\",\"temperature\":0.3");
        assert_eq!(chain("m", &body(&long)), chain("m", other.as_bytes()));
        assert_eq!(chain("m", &body(&long)).len(), 3);
        assert_ne!(chain("m", &body(&long)), chain("other pool", &body(&long)));
        assert!(chain("m", &body("short")).is_empty());
        assert!(chain("m", b"{}").is_empty());
        assert_eq!(chain("m", &body(&"x".repeat(200 * BLOCK))).len(), MOST_BLOCKS);
    }

    #[test]
    fn a_quoted_field_name_within_the_text_is_no_field() {
        let text = format!("{{\"prompt\":\"say \\\"messages\\\": {}\"}}", "y".repeat(BLOCK));
        assert!(prompt(text.as_bytes()).unwrap().starts_with(b":\"say"));
    }

    #[test]
    fn the_longest_prefix_of_a_fit_backend_wins() {
        let mut table = PrefixTable::default();
        table.learn(&[1, 2], "a");
        table.learn(&[1, 2, 3, 4], "b");
        table.learn(&[1], "c");
        assert_eq!(table.find(&[1, 2, 3, 9], |_| true).as_deref(), Some("b"));
        assert_eq!(table.find(&[1, 2, 3, 9], |id| id != "b").as_deref(), Some("c"));
        assert_eq!(table.find(&[7], |_| true), None);
    }

    #[test]
    fn what_was_not_used_for_longest_is_forgotten() {
        let mut table = PrefixTable::with_capacity(NonZeroUsize::new(3).unwrap());
        table.learn(&[1], "a");
        table.learn(&[2], "b");
        table.learn(&[3], "c");
        assert!(table.find(&[1], |_| true).is_some());
        table.learn(&[4], "d");
        let known = [1, 2, 3, 4].map(|hash| table.find(&[hash], |_| true).is_some());
        assert_eq!(known, [true, false, true, true]);
    }

    proptest! {
        #[test]
        fn prompts_share_hashes_as_far_as_they_share_blocks(
            common in "[a-z ]{0,3000}", one in "[a-z ]{0,2000}", two in "[a-z ]{0,2000}",
        ) {
            let (one, two) = (format!("{common}{one}"), format!("{common}{two}"));
            let (first, second) = (body(&one), body(&two));
            let (first, second) = (prompt(&first).unwrap(), prompt(&second).unwrap());
            let same = first.chunks_exact(BLOCK).zip(second.chunks_exact(BLOCK)).take_while(|(a, b)| a == b).count();
            let (a, b) = (chain("m", &body(&one)), chain("m", &body(&two)));
            prop_assert_eq!(a.iter().zip(&b).take_while(|(a, b)| a == b).count(), same);
            let mut table = PrefixTable::default();
            table.learn(&a, "backend");
            prop_assert_eq!(table.find(&b, |_| true).is_some(), same > 0);
            prop_assert!(table.served.len() <= CAPACITY.get());
        }
    }
}
