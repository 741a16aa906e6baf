//! One HTTP exchange over a connection of its own, down to the last byte: what a client sees, and when.
//!
//! Written out by hand and not with a client library, because a library mends and hides just what is looked for here: a
//! second answer behind the first, a body that breaks off, a connection that never says anything.

use super::history::{Micros, now};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The end of a body in chunks.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// Bytes in which the head of an answer lies.
const LONGEST_HEAD: usize = 1024;

/// What came back over one connection.
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    /// All bytes.
    pub bytes: Vec<u8>,
    /// After how many bytes which instant was, for each piece that came.
    pub pieces: Vec<(usize, Micros)>,
    /// What broke the connection, where it did not simply end.
    pub broken: Option<String>,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Header lines in lower case, `name: value`.
    pub headers: Vec<String>,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// Where the body begins in the bytes.
    pub body_at: usize,
}

/// Why bytes are not one whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Defect {
    /// It breaks off.
    Short,
    /// It goes on after its end, or it is no HTTP.
    Garbled(String),
}

impl Exchange {
    /// Sends a request and reads until the other side closes.
    pub async fn run(mut connection: TcpStream, request: &[u8], into: &mut Exchange) {
        into.send(&mut connection, request, |_| false).await;
    }

    /// Sends a request over a connection that may serve others after it, and reads until its answer is there, or until `enough` says
    /// of the bytes so far that the client leaves.
    pub async fn run_one(
        connection: &mut TcpStream,
        request: &[u8],
        into: &mut Exchange,
        enough: impl Fn(&[u8]) -> bool,
    ) {
        into.send(connection, request, |so_far| so_far.is_over() || enough(&so_far.bytes)).await;
    }

    /// Sends a request and reads until the other side closes or `done` says so.
    async fn send(&mut self, connection: &mut TcpStream, request: &[u8], done: impl Fn(&Exchange) -> bool) {
        if let Err(error) = connection.write_all(request).await {
            self.broken = Some(error.to_string());
            return;
        }
        let mut piece = vec![0; 16 * 1024];
        while !done(self) {
            match connection.read(&mut piece).await {
                Ok(0) => return,
                Ok(count) => {
                    self.bytes.extend_from_slice(&piece[..count]);
                    self.pieces.push((self.bytes.len(), now()));
                }
                Err(error) => {
                    self.broken = Some(error.to_string());
                    return;
                }
            }
        }
    }

    /// Whether nothing more is to come. Reading an answer in chunks costs its length, so that is left until it can be whole.
    fn is_over(&self) -> bool {
        let head = &self.bytes[..self.bytes.len().min(LONGEST_HEAD)];
        let goes_on =
            find(head, b"transfer-encoding: chunked").is_some() && !self.bytes.ends_with(LAST_CHUNK);
        !goes_on && self.answer() != Err(Defect::Short)
    }

    /// When the byte at `index` came.
    pub fn came(&self, index: usize) -> Option<Micros> {
        self.pieces.iter().find(|(end, _)| *end > index).map(|(_, at)| *at)
    }

    /// The one answer that the bytes are.
    pub fn answer(&self) -> Result<Answer, Defect> {
        let bytes = &self.bytes;
        let head_end = find(bytes, b"\r\n\r\n").ok_or(Defect::Short)?;
        let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
        let status = status.and_then(|rest| rest.get(..3)).and_then(|digits| digits.parse().ok());
        let status = status.ok_or_else(|| Defect::Garbled(format!("no HTTP: {head:.80}")))?;
        let headers: Vec<String> = lines.map(str::to_ascii_lowercase).collect();
        let rest = &bytes[head_end + 4..];
        let length = headers.iter().find_map(|line| line.strip_prefix("content-length: "));
        let chunked = headers.iter().any(|line| line == "transfer-encoding: chunked");
        let (body, end) = match length {
            Some(length) => sized(rest, length)?,
            None if chunked => unchunked(rest)?,
            None => return Err(Defect::Garbled("a body without a length".to_owned())),
        };
        if end < rest.len() {
            let more = String::from_utf8_lossy(&rest[end..]).into_owned();
            return Err(Defect::Garbled(format!("bytes after the answer's end: {more:.120}")));
        }
        Ok(Answer { status, headers, body, body_at: head_end + 4 })
    }
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().filter_map(|line| line.split_once(": "));
        found.filter(|(here, _)| *here == name).map(|(_, value)| value).next()
    }
}

fn sized(rest: &[u8], length: &str) -> Result<(Vec<u8>, usize), Defect> {
    let length: usize =
        length.trim().parse().map_err(|_| Defect::Garbled(format!("a length of {length}")))?;
    let body = rest.get(..length).ok_or(Defect::Short)?;
    Ok((body.to_vec(), length))
}

/// Takes the framing of chunks away; says where the last one ends.
fn unchunked(rest: &[u8]) -> Result<(Vec<u8>, usize), Defect> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let line = find(&rest[at..], b"\r\n").ok_or(Defect::Short)?;
        let size = String::from_utf8_lossy(&rest[at..at + line]).into_owned();
        let size = usize::from_str_radix(size.trim(), 16)
            .map_err(|_| Defect::Garbled(format!("a chunk of the size '{size:.40}'")))?;
        at += line + 2;
        let chunk = rest.get(at..at + size + 2).ok_or(Defect::Short)?;
        if !chunk.ends_with(b"\r\n") {
            return Err(Defect::Garbled("a chunk that is longer than it says".to_owned()));
        }
        body.extend_from_slice(&chunk[..size]);
        at += size + 2;
        if size == 0 {
            return Ok((body, at));
        }
    }
}

/// Where `wanted` begins.
pub fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Connects; `None` where nobody listens.
pub async fn connect(address: SocketAddr) -> Option<TcpStream> {
    let connection = TcpStream::connect(address).await.ok()?;
    // Without it the last piece of a request can wait for an acknowledgement.
    connection.set_nodelay(true).ok()?;
    Some(connection)
}

/// `GET path`, whole; `None` where the answer is none.
pub async fn get(address: SocketAddr, path: &str) -> Option<Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let mut exchange = Exchange::default();
    Exchange::run(connect(address).await?, request.as_bytes(), &mut exchange).await;
    exchange.answer().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Result<Answer, Defect> {
        Exchange { bytes: text.as_bytes().to_vec(), ..Exchange::default() }.answer()
    }

    #[test]
    fn reads_both_framings() {
        let sized = answer("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc").unwrap();
        assert_eq!(
            (sized.status, sized.body.as_slice(), sized.header("content-length")),
            (200, &b"abc"[..], Some("3"))
        );
        let chunked =
            answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n")
                .unwrap();
        assert_eq!(chunked.body, b"abcd");
    }

    #[test]
    fn an_answer_that_breaks_off_is_short() {
        for text in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ] {
            assert_eq!(answer(text), Err(Defect::Short), "{text}");
        }
    }

    #[test]
    fn an_answer_is_over_with_its_last_byte() {
        for text in [
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ] {
            let over = |length| {
                Exchange { bytes: text.as_bytes()[..length].to_vec(), ..Exchange::default() }.is_over()
            };
            assert!(over(text.len()) && !(0..text.len()).any(over), "{text}");
        }
    }

    #[test]
    fn a_second_answer_is_seen() {
        let one = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na";
        assert!(matches!(answer(&[one, one].concat()), Err(Defect::Garbled(what)) if what.contains("after")));
    }
}
