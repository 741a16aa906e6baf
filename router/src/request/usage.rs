//! The end of an answer as it passes: whether a stream has told its own, and what the answer has cost, from a trailer of our own backends
//! or else from the member `usage`, which OpenAI's API has in whole answers and, where the client asks for it, in the last event of a
//! stream.

use bytes::Bytes;
use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::Value;
use std::sync::LazyLock;
use tidegate_wire::openai::{Usage, answer::PromptTokensDetails};

/// Bytes of an answer's end that are kept: what servers write behind `usage` fits many times.
const KEPT: usize = 1024;
/// The member's name as it stands in JSON. Inside a text the quotes would be escaped, so that no answer can feign it.
const MEMBER: &[u8] = b"\"usage\":";
/// Finds it. From the front, which is quicker than to search from the end: so little is kept.
static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(MEMBER));

/// The end of an answer that passes.
#[derive(Debug, Default)]
pub(super) struct AnswerEnd {
    bytes: Vec<u8>,
}

/// The member as servers of any make write it.
#[derive(Deserialize)]
struct Member {
    prompt_tokens: u64,
    /// Embeddings have none.
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptTokensDetails>,
}

impl AnswerEnd {
    /// A piece passes.
    pub(super) fn passed(&mut self, data: &Bytes) {
        let piece = &data[data.len().saturating_sub(KEPT)..];
        // Moved down only now and then, so that a stream of small pieces is not copied again for each of them.
        if self.bytes.len() + piece.len() > 2 * KEPT {
            let surplus = (self.bytes.len() + piece.len()).saturating_sub(KEPT);
            self.bytes.drain(..surplus.min(self.bytes.len()));
        }
        let needed = self.bytes.len() + piece.len();
        if needed > self.bytes.capacity() {
            // No more than it ever holds: thousands of streams keep one.
            let room = (2 * self.bytes.capacity()).clamp(needed, 2 * KEPT);
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
    }

    /// Whether a stream has said its last word: that it is whole, or what went wrong.
    pub(super) fn is_last_word(&self) -> bool {
        let last = self.bytes.trim_ascii_end().rsplit(|byte| matches!(byte, b'\n' | b'\r')).next();
        let said = last.and_then(|line| line.strip_prefix(b"data:")).unwrap_or_default().trim_ascii_start();
        let event: Value = serde_json::from_slice(said).unwrap_or_default();
        said == b"[DONE]" || event.get("error").is_some_and(|error| !error.is_null())
    }

    /// What the whole answer says of its cost.
    pub(super) fn usage(&self) -> Option<Usage> {
        // A stream that tells its usage with every event says `null` in some; the last one that is told counts.
        FINDER.find_iter(&self.bytes).filter_map(|at| read(&self.bytes[at + MEMBER.len()..])).last()
    }
}

fn read(text: &[u8]) -> Option<Usage> {
    let member = serde_json::Deserializer::from_slice(text).into_iter::<Member>().next()?.ok()?;
    let usage = Usage::new(member.prompt_tokens, member.completion_tokens.unwrap_or(0));
    Some(Usage { prompt_tokens_details: member.prompt_tokens_details, ..usage })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(pieces: &[&str]) -> Option<Usage> {
        let mut end = AnswerEnd::default();
        pieces.iter().for_each(|piece| end.passed(&Bytes::copy_from_slice(piece.as_bytes())));
        end.usage()
    }

    #[test]
    fn whole_answers_and_streams_say_it_at_their_end() {
        let whole = r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10,"prompt_tokens_details":null},"kv":{"a":1}}"#;
        assert_eq!(usage(&[whole]), Some(Usage::new(7, 3)));
        let (first, second) = whole.split_at(40);
        assert_eq!(usage(&[first, second]), Some(Usage::new(7, 3)));
        let event = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3,\"total_tokens\":10,\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\n";
        let stream = ["data: {\"usage\":null}\n\n", event, "data: [DONE]\n\n"];
        assert_eq!(usage(&stream), Some(Usage::new(7, 3).with_cached(4)));
        assert_eq!(
            usage(&[r#"{"data":[],"usage": {"prompt_tokens":9,"total_tokens":9}}"#]),
            Some(Usage::new(9, 0))
        );
    }

    #[test]
    fn what_an_answer_quotes_is_not_its_own() {
        let quoted = r#"{"content":"\"usage\":{\"prompt_tokens\":1}"}"#;
        assert_eq!(usage(&[quoted]), None);
        assert_eq!(usage(&["data: {\"usage\":null}\n\n", "data: [DONE]\n\n"]), None);
    }

    #[test]
    fn the_last_word_of_a_stream_is_known() {
        let told = |pieces: &[&str]| {
            let mut end = AnswerEnd::default();
            pieces.iter().for_each(|piece| end.passed(&Bytes::copy_from_slice(piece.as_bytes())));
            end.is_last_word()
        };
        for end in ["\n\n", "\r\n\r\n"] {
            assert!(told(&["data: {}\n\ndata: [DO", &format!("NE]{end}")]));
            assert!(told(&[&format!("data: {{\"error\":{{\"code\":1}}}}{end}")]));
            assert!(!told(&[&format!("data: {{\"choices\":[\"[DONE]\"]}}{end}")]));
        }
        assert!(!told(&["data: {\"error\":1}\n\ndata: {}\n\n"]) && !told(&[]));
        assert!(
            !told(&["data: {\"error\":null,\"choices\":[]}\n\n"]) && told(&["data:{ \"error\": 1 }\n\n"])
        );
    }

    #[test]
    fn a_long_answer_is_not_kept() {
        let mut end = AnswerEnd::default();
        for piece in 0..1000 {
            end.passed(&Bytes::from(format!("data: {{\"number\": {piece}}}\n\n")));
            assert!(end.bytes.len() <= 2 * KEPT && end.bytes.capacity() <= 2 * KEPT);
        }
        end.passed(&Bytes::from(vec![b' '; 100_000]));
        assert!(end.bytes.len() <= 2 * KEPT);
        end.passed(&Bytes::from_static(b"\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}"));
        assert_eq!(end.usage(), Some(Usage::new(1, 2)));
    }
}
