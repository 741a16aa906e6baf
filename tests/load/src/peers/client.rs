//! One connection to a proxy.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::answer::{Answer, Progress};

/// What all connections send, and where.
#[derive(Debug, Clone)]
pub struct Target {
    /// The proxy.
    pub address: SocketAddr,
    /// The model's name there.
    pub model: String,
    /// A bearer token, where the proxy wants one.
    pub token: String,
}

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// A whole answer.
    Whole,
    /// One in chunks.
    Stream,
    /// One in chunks a second apart.
    Slow,
    /// One that never comes.
    Wait,
}

impl Target {
    /// The bytes of a request.
    #[must_use]
    pub fn request(&self, ask: Ask) -> Vec<u8> {
        let (stream, says) = match ask {
            Ask::Whole => (false, "hello"),
            Ask::Stream => (true, "hello"),
            Ask::Slow => (true, "slow"),
            Ask::Wait => (false, "wait"),
        };
        let body = format!(
            r#"{{"model":"{}","stream":{stream},"max_tokens":64,"messages":[{{"role":"user","content":"{says}"}}]}}"#,
            self.model
        );
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\nauthorization: Bearer {}\r\n\
             content-length: {}\r\n\r\n{body}",
            self.address,
            self.token,
            body.len()
        )
        .into_bytes()
    }
}

/// A connection that asks again and again.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// How an answer went.
#[derive(Debug, Clone, Copy)]
pub struct Served {
    /// From the first byte of the request to the last of the answer.
    pub took: Duration,
    /// To its first byte.
    pub first: Duration,
    /// Events of a stream.
    pub events: usize,
    /// The status.
    pub status: u16,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a request and reads its answer to the end.
    ///
    /// # Errors
    /// When the connection ends before.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<Served> {
        let begun = Instant::now();
        self.stream.write_all(request).await?;
        let (mut answer, mut first) = (Answer::default(), None);
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            first.get_or_insert_with(|| begun.elapsed());
            if let Progress::Whole(length) = answer.look(&self.buffer) {
                self.buffer.drain(..length);
                let (took, first) = (begun.elapsed(), first.unwrap_or_default());
                return Ok(Served { took, first, events: answer.events, status: answer.status });
            }
        }
    }

    /// Sends a request and reads until so many events have come: the answer so far.
    ///
    /// # Errors
    /// When the connection ends before.
    pub async fn begin(&mut self, request: &[u8], events: usize) -> io::Result<Answer> {
        self.stream.write_all(request).await?;
        let mut answer = Answer::default();
        self.go_on(&mut answer, events).await?;
        Ok(answer)
    }

    /// Reads on until so many events of an answer have come, or all of it.
    ///
    /// # Errors
    /// When the connection ends before.
    pub async fn go_on(&mut self, answer: &mut Answer, events: usize) -> io::Result<()> {
        while answer.look(&self.buffer) == Progress::Partial && answer.events < events {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
}
