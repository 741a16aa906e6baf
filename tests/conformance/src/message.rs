//! An HTTP/1.1 message as it stands on the wire.
//!
//! What a receiver may mend silently (a wrong length, a missing line break) is an error here.

use bytes::{Bytes, BytesMut};
use std::io::{Error, ErrorKind, Result};
use tokio::io::{AsyncRead, AsyncReadExt};

/// More headers than any message here has.
const MAX_HEADERS: usize = 64;

/// A message, read to its end.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// The request or status line.
    pub start: String,
    /// Names as they came, and values.
    pub headers: Vec<(String, String)>,
    /// The body, out of its chunks.
    pub body: Bytes,
    /// Headers behind the last chunk.
    pub trailers: Vec<(String, String)>,
}

impl Message {
    /// The status code of an answer.
    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default()
    }

    /// All values of a header.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(each, _)| each.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The only value of a header; empty where there is none or several.
    pub fn header(&self, name: &str) -> &str {
        match self.values(name)[..] {
            [only] => only,
            _ => "",
        }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// `error.code` of the body.
    pub fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// A connection that messages are read from.
#[derive(Debug)]
pub struct Reader<S> {
    /// The connection.
    pub stream: S,
    unread: BytesMut,
}

impl<S: AsyncRead + Unpin> Reader<S> {
    /// Nothing read yet.
    pub fn new(stream: S) -> Self {
        Self { stream, unread: BytesMut::new() }
    }

    /// The next head; `None` where the connection ends instead.
    pub async fn head(&mut self) -> Result<Option<Message>> {
        loop {
            if let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.unread.split_to(end + 4);
                return parse(&head).map(Some);
            }
            if self.more().await? == 0 {
                return if self.unread.is_empty() { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// The next message with its body; `None` where the connection ends instead.
    pub async fn message(&mut self) -> Result<Option<Message>> {
        let Some(mut message) = self.head().await? else { return Ok(None) };
        self.body(&mut message).await?;
        Ok(Some(message))
    }

    /// Reads the body that the head of `message` announces. What came of one that breaks off is in `message` all the same.
    pub async fn body(&mut self, message: &mut Message) -> Result<()> {
        let length = message.header("content-length").to_owned();
        if message.header("transfer-encoding") == "chunked" {
            return self.chunks(message).await;
        }
        if !length.is_empty() {
            let length: usize = length.parse().map_err(|_| malformed("content-length"))?;
            while self.unread.len() < length {
                if self.more().await? == 0 {
                    message.body = self.unread.split().freeze();
                    return Err(ErrorKind::UnexpectedEof.into());
                }
            }
            message.body = self.unread.split_to(length).freeze();
        }
        Ok(())
    }

    async fn chunks(&mut self, message: &mut Message) -> Result<()> {
        let mut body = BytesMut::from(&message.body[..]);
        loop {
            let chunk = self.chunk().await;
            match chunk {
                Ok(chunk) if !chunk.is_empty() => body.extend_from_slice(&chunk),
                ended => {
                    message.body = body.freeze();
                    ended?;
                    message.trailers = self.trailers().await?;
                    return Ok(());
                }
            }
        }
    }

    /// One chunk; empty is the last one.
    pub async fn chunk(&mut self) -> Result<Bytes> {
        let line = self.line().await?;
        let size = usize::from_str_radix(&line, 16).map_err(|_| malformed("chunk size"))?;
        if size == 0 {
            return Ok(Bytes::new());
        }
        while self.unread.len() < size + 2 {
            if self.more().await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        let chunk = self.unread.split_to(size).freeze();
        if &self.unread.split_to(2)[..] == b"\r\n" { Ok(chunk) } else { Err(malformed("end of chunk")) }
    }

    async fn trailers(&mut self) -> Result<Vec<(String, String)>> {
        let mut trailers = Vec::new();
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(':') else { return Ok(trailers) };
            trailers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    async fn line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\r\n") {
                let line = self.unread.split_to(end + 2);
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if self.more().await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Everything up to the end of the connection.
    pub async fn rest(&mut self) -> Result<Bytes> {
        while self.more().await? > 0 {}
        Ok(self.unread.split().freeze())
    }

    /// Bytes that came and were not read.
    pub fn unread(&self) -> &[u8] {
        &self.unread
    }

    /// Waits for more bytes; 0 is the end.
    pub async fn more(&mut self) -> Result<usize> {
        self.stream.read_buf(&mut self.unread).await
    }
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("malformed {what}"))
}

fn parse(head: &[u8]) -> Result<Message> {
    let text = String::from_utf8_lossy(head);
    let (start, rest) = text.split_once("\r\n").ok_or_else(|| malformed("start line"))?;
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let Ok(httparse::Status::Complete((_, parsed))) = httparse::parse_headers(rest.as_bytes(), &mut headers)
    else {
        return Err(malformed("headers"));
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers = parsed.iter().map(|header| (header.name.to_owned(), text(header.value))).collect();
    Ok(Message { start: start.to_owned(), headers, ..Message::default() })
}
