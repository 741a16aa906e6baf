//! The backend: canned answers, as fast as a socket takes them.
//!
//! What the last message of a chat says is what happens: `slow` streams a chunk a second until `GET /end` ends all such streams,
//! `wait` answers never, anything else at once, or with `"stream": true` in 64 chunks, 5 ms apart. `GET /dropped` tells when the last
//! unfinished answer lost its client.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::machine::unix_micros;

/// Chunks of a stream, before its end.
pub const CHUNKS: usize = 64;
/// Time between two chunks.
pub const PAUSE: Duration = Duration::from_millis(5);
/// Time between two chunks of a slow stream.
const SLOW_PAUSE: Duration = Duration::from_secs(1);

/// The backend's account of clients that left.
#[derive(Debug, Default)]
struct Account {
    /// Microseconds since 1970.
    dropped: AtomicU64,
    /// Told to end the slow streams.
    end: watch::Sender<()>,
}

/// Serves until the process ends.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener) -> io::Result<()> {
    let account = Arc::new(Account::default());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let account = Arc::clone(&account);
        // A client that breaks off is none of ours.
        tokio::spawn(async move { connection(stream, &account).await.ok() });
    }
}

/// A request as far as it matters.
struct Request {
    head: String,
    body: Vec<u8>,
}

async fn connection(mut stream: TcpStream, account: &Account) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(4096);
    while let Some(request) = read(&mut stream, &mut buffer).await? {
        answer(&mut stream, &request, account).await?;
    }
    Ok(())
}

async fn answer(stream: &mut TcpStream, request: &Request, account: &Account) -> io::Result<()> {
    if request.head.starts_with("GET /dropped") {
        return whole(stream, &account.dropped.load(Ordering::Relaxed).to_string()).await;
    }
    if request.head.starts_with("GET /end") {
        account.end.send_replace(());
        return whole(stream, "").await;
    }
    if request.head.starts_with("GET") {
        let models =
            r#"{"object":"list","data":[{"id":"mock","object":"model","created":0,"owned_by":"mock"}]}"#;
        return whole(stream, models).await;
    }
    let says = |words: &str| request.body.windows(words.len()).any(|part| part == words.as_bytes());
    if says("\"wait\"") {
        return gone(stream, account).await;
    }
    if says("\"stream\":true") || says("\"stream\": true") {
        let slow = says("\"slow\"");
        return chunks(stream, slow, account).await;
    }
    whole(stream, &completion()).await
}

/// An answer of 607 bytes, as the shortest that people get.
fn completion() -> String {
    let start = r#"{"id":"chatcmpl-mock","object":"chat.completion","created":0,"model":"mock","choices":[{"index":0,"message":{"role":"assistant","content":""#;
    let end = r#""},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":64,"total_tokens":73}}"#;
    format!("{start}{}{end}", "x".repeat(607 - start.len() - end.len()))
}

async fn whole(stream: &mut TcpStream, body: &str) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await
}

async fn chunks(stream: &mut TcpStream, slow: bool, account: &Account) -> io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    let event = event();
    let chunk = format!("{:x}\r\n{event}\r\n", event.len());
    let (count, pause) = if slow { (usize::MAX, SLOW_PAUSE) } else { (CHUNKS, PAUSE) };
    let mut end = account.end.subscribe();
    // From the stream's own beginning on: pauses from chunk to chunk would grow with what a busy machine delays, until the streams that
    // were delayed by one another all speak at once.
    let mut beat = tokio::time::interval(pause);
    beat.tick().await;
    for _ in 0..count {
        stream.write_all(chunk.as_bytes()).await?;
        let mut none = [0; 1];
        tokio::select! {
            // Nothing comes but the end of the connection.
            read = stream.read(&mut none) => {
                account.dropped.store(unix_micros(), Ordering::Relaxed);
                return Err(read.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()));
            }
            _ = end.changed(), if slow => break,
            _ = beat.tick() => {}
        }
    }
    let done = "data: [DONE]\n\n";
    stream.write_all(format!("{:x}\r\n{done}\r\n0\r\n\r\n", done.len()).as_bytes()).await
}

/// An event of about 190 bytes.
fn event() -> String {
    let choice = r#"{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}"#;
    format!(
        "data: {{\"id\":\"chatcmpl-mock-0000\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"mock\",\"choices\":[{choice}]}}\n\n"
    )
}

/// Waits for the client to leave.
async fn gone(stream: &mut TcpStream, account: &Account) -> io::Result<()> {
    let mut none = [0; 1];
    let read = stream.read(&mut none).await;
    account.dropped.store(unix_micros(), Ordering::Relaxed);
    read?;
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// The next request; none where the client has closed. `buffer` holds what has come of it.
async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|part| part == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let lower = head.to_ascii_lowercase();
    let length: Option<usize> =
        lower.split("content-length:").nth(1).and_then(|rest| rest.split("\r\n").next()?.trim().parse().ok());
    let chunked = lower.contains("transfer-encoding: chunked");
    let complete = |buffer: &[u8]| match length {
        Some(length) => (buffer.len() >= end + length).then_some(end + length),
        None if chunked => {
            buffer[end..].windows(5).position(|part| part == b"0\r\n\r\n").map(|at| end + at + 5)
        }
        None => Some(end),
    };
    let whole = loop {
        if let Some(whole) = complete(buffer) {
            break whole;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let body = buffer[end..whole].to_vec();
    buffer.drain(..whole);
    Ok(Some(Request { head, body }))
}
