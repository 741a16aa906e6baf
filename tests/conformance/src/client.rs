//! A client that sends bytes, well formed or not.

use crate::message::{Message, Reader};
use bytes::Bytes;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to a router.
#[derive(Debug)]
pub struct Client {
    reader: Reader<TcpStream>,
}

/// Awaits `future`; fails the test where that takes too long.
pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(done) => done,
        Err(_) => panic!("not within {PATIENCE:?}: {what}"),
    }
}

impl Client {
    /// Connects to the server at `base`, such as `http://127.0.0.1:8000`.
    pub async fn connect(base: &str) -> Self {
        let stream = TcpStream::connect(base.trim_start_matches("http://")).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { reader: Reader::new(stream) }
    }

    /// Sends bytes. A server that has closed is seen by what it answered.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _sent = self.reader.stream.write_all(bytes.as_ref()).await;
    }

    /// The next answer, which must be well formed and whole.
    pub async fn answer(&mut self) -> Message {
        self.try_answer().await.unwrap().unwrap_or_else(|| panic!("the connection ended without an answer"))
    }

    /// The next answer; `None` where the connection ends, an error where it breaks off.
    pub async fn try_answer(&mut self) -> std::io::Result<Option<Message>> {
        in_time("an answer", self.reader.message()).await
    }

    /// The next answer, as far as it comes, be it nothing; whether it came whole.
    pub async fn as_far_as_it_comes(&mut self) -> (Message, bool) {
        let head = in_time("the head of an answer", self.reader.head()).await;
        let Ok(Some(mut message)) = head else { return (Message::default(), false) };
        let whole = in_time("the end of an answer", self.reader.body(&mut message)).await.is_ok();
        (message, whole)
    }

    /// The head of the next answer.
    pub async fn head(&mut self) -> Message {
        let head = in_time("the head of an answer", self.reader.head()).await;
        head.unwrap().unwrap_or_else(|| panic!("the connection ended without an answer"))
    }

    /// The next chunk of the answer; empty is the last one.
    pub async fn chunk(&mut self) -> Bytes {
        in_time("a chunk", self.reader.chunk()).await.unwrap()
    }

    /// Everything until the server closes the connection. A reset is an end as well.
    pub async fn rest(&mut self) -> Bytes {
        let rest = in_time("the end of the connection", self.reader.rest()).await;
        rest.unwrap_or_else(|_| Bytes::copy_from_slice(self.reader.unread()))
    }

    /// The socket itself.
    pub fn socket(&self) -> &TcpStream {
        &self.reader.stream
    }
}

/// A request for a path under `/v1`, with these further header lines, each with its end.
pub fn post(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: api.example.org\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

/// A chat with `model`.
pub fn chat(model: &str, headers: &str, stream: bool) -> String {
    post("/v1/chat/completions", headers, &body(model, stream))
}

/// The body of a chat.
pub fn body(model: &str, stream: bool) -> String {
    format!(
        "{{\"model\":\"{model}\",\"stream\":{stream},\"messages\":[{{\"role\":\"user\",\"content\":\"x\"}}]}}"
    )
}
