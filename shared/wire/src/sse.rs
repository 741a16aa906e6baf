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

/// One `data:` event whose payload is JSON text without line breaks.
pub fn data(json: &str) -> Bytes {
    Bytes::from(format!("data: {json}\n\n"))
}
