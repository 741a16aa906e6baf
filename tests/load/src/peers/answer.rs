//! Reading an answer of which only the length and the chunks matter.

/// How far an answer has come, from the bytes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More is to come.
    Partial,
    /// All of it has, in so many bytes.
    Whole(usize),
}

/// An answer that is coming in.
#[derive(Debug, Default)]
pub struct Answer {
    /// Bytes of the head, once it is there.
    head: Option<usize>,
    /// Bytes of the body, where the head says it.
    length: Option<usize>,
    /// Where the next chunk's size stands.
    next: usize,
    /// The status.
    pub status: u16,
    /// Events that have come.
    pub events: usize,
}

impl Answer {
    /// Looks at all bytes that have come of this answer.
    pub fn look(&mut self, bytes: &[u8]) -> Progress {
        let Some(head) = self.head.or_else(|| self.read_head(bytes)) else { return Progress::Partial };
        match self.length {
            Some(length) if bytes.len() >= head + length => Progress::Whole(head + length),
            Some(_) => Progress::Partial,
            None => self.read_chunks(bytes),
        }
    }

    fn read_head(&mut self, bytes: &[u8]) -> Option<usize> {
        let head = bytes.windows(4).position(|part| part == b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
        self.status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let length = text.split("content-length:").nth(1).and_then(|rest| rest.split("\r\n").next());
        self.length = length.and_then(|length| length.trim().parse().ok());
        (self.head, self.next) = (Some(head), head);
        self.head
    }

    fn read_chunks(&mut self, bytes: &[u8]) -> Progress {
        while let Some((start, size)) = chunk(bytes, self.next) {
            let end = start + size + 2;
            if bytes.len() < end {
                break;
            }
            if size == 0 {
                return Progress::Whole(end);
            }
            self.events += bytes[start..start + size].windows(6).filter(|part| *part == b"data: ").count();
            self.next = end;
        }
        Progress::Partial
    }
}

/// Where the data of the chunk at `at` begins, and its size.
fn chunk(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let line = bytes.get(at..)?.windows(2).position(|part| part == b"\r\n")?;
    let size = std::str::from_utf8(&bytes[at..at + line]).ok()?;
    let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
    Some((at + line + 2, size))
}

#[cfg(test)]
mod tests {
    use super::{Answer, Progress};

    /// Byte by byte, each answer is whole with its last byte and not before.
    fn whole_at_its_end(text: &str, status: u16, events: usize) {
        let (bytes, mut answer) = (text.as_bytes(), Answer::default());
        for end in 0..bytes.len() {
            assert_eq!(answer.look(&bytes[..end]), Progress::Partial, "{end} of {text:?}");
        }
        assert_eq!(answer.look(bytes), Progress::Whole(bytes.len()));
        assert_eq!((answer.status, answer.events), (status, events));
    }

    #[test]
    fn answers_with_a_length_and_in_chunks_are_read() {
        whole_at_its_end("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, 0);
        whole_at_its_end("HTTP/1.1 429 Too Many\r\ncontent-length: 0\r\n\r\n", 429, 0);
        let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\ndata: 1\n\r\n9;x=y\r\ndata: 12\n\r\n0\r\n\r\n";
        whole_at_its_end(chunks, 200, 2);
    }
}
