//! Framing of streamed answers: server-sent events as the OpenAI API sends them.
//!
//! Source: WHATWG HTML, "Server-sent events"; the OpenAI API ends a stream with `data: [DONE]`.

use bytes::Bytes;

/// The last event of a stream that ended well.
pub const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");
/// A comment that keeps proxies and clients from closing a silent stream.
pub const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");
/// Media type of a stream.
pub const CONTENT_TYPE: &str = "text/event-stream";

/// Where a stream stands between two pieces of it: in the middle of an event, or between two, where something may be put in.
///
/// Lines end with LF, CR or both, and an empty line ends an event; pieces may be cut anywhere, also between CR and LF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    line_is_empty: bool,
    after_cr: bool,
    between: bool,
}

impl Default for Position {
    /// At the beginning of a stream.
    fn default() -> Self {
        Self { line_is_empty: true, after_cr: false, between: true }
    }
}

impl Position {
    /// A piece passes. Only the line ends behind its last other byte are looked at.
    pub fn passed(&mut self, piece: &[u8]) {
        let ends = piece.iter().rev().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        if ends < piece.len() {
            *self = Self { line_is_empty: false, after_cr: false, between: false };
        }
        for byte in piece.iter().skip(piece.len() - ends) {
            // The second half of a line end that has been counted.
            let counted = *byte == b'\n' && self.after_cr;
            self.after_cr = *byte == b'\r';
            if !counted {
                self.between |= self.line_is_empty;
                self.line_is_empty = true;
            }
        }
    }

    /// True between two events.
    pub fn is_between_events(&self) -> bool {
        self.between
    }
}

/// One `data:` event whose payload is JSON text without line breaks.
pub fn data(json: &str) -> Bytes {
    Bytes::from(format!("data: {json}\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(pieces: &[&str]) -> bool {
        let mut position = Position::default();
        pieces.iter().for_each(|piece| position.passed(piece.as_bytes()));
        position.is_between_events()
    }

    #[test]
    fn an_empty_line_ends_an_event_whatever_ends_lines() {
        for end in ["\n", "\r\n", "\r"] {
            let line = format!("data: 1{end}");
            assert!(!at(&["data"]) && !at(&[&line]) && !at(&[&line, "data: 2"]), "{end:?}");
            assert!(
                at(&[&line, end]) && at(&[&format!("{line}{end}")]) && at(&["data: 1", end, end]),
                "{end:?}"
            );
            assert!(!at(&[&line, end, "d"]) && at(&[&line, end, end]), "{end:?}");
        }
        assert!(at(&[]) && at(&[""]) && at(&["data: 1\n\n", ""]));
        assert!(!at(&["data: 1\r", "\n"]), "one line end, cut in two");
        assert!(at(&["data: 1\r", "\n\r"]));
    }
}
