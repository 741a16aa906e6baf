//! Which protocol a connection speaks, by its first bytes or by what was agreed on in a TLS handshake.

use hyper_util::rt::TokioExecutor;
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;

/// What an HTTP/2 client says first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What is known of a connection's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// Either: the builder reads on until it can tell.
    Unknown,
}

impl Protocol {
    /// Looks at the first bytes of a connection once they come, and leaves them there. A builder that finds out for itself takes them
    /// out first, and reads what follows into a buffer of twice the size, which it keeps as long as the connection is open.
    pub(crate) async fn of(stream: &TcpStream) -> Self {
        let mut first = [0; PREFACE.len()];
        match stream.peek(&mut first).await {
            Ok(length @ 1..) if !PREFACE.starts_with(&first[..length]) => Self::Http1,
            _ => Self::Unknown,
        }
    }

    /// A builder for connections of this protocol.
    pub(crate) fn only(self, builder: Builder<TokioExecutor>) -> Builder<TokioExecutor> {
        match self {
            Self::Http1 => builder.http1_only(),
            Self::Http2 => builder.http2_only(),
            Self::Unknown => builder,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    async fn of(first: &[u8]) -> Protocol {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        client.write_all(first).await.unwrap();
        client.shutdown().await.unwrap();
        Protocol::of(&stream).await
    }

    #[tokio::test]
    async fn only_what_cannot_be_the_preface_is_told_apart() {
        assert_eq!(of(b"POST /v1/chat/completions HTTP/1.1\r\n").await, Protocol::Http1);
        assert_eq!(of(b"G").await, Protocol::Http1);
        assert_eq!(of(b"PRI * HTTP/1.1\r\n\r\n").await, Protocol::Http1);
        assert_eq!(of(b"P").await, Protocol::Unknown);
        assert_eq!(of(PREFACE).await, Protocol::Unknown);
        assert_eq!(of(b"").await, Protocol::Unknown);
    }
}
