//! SIGTERM and SIGINT: the first drains, the second ends at once.

use crate::process::Process;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Long enough to run still when a signal comes, whatever the dice say.
const ENDLESS: &str = r#"{"model":"tidegate-demo","prompt":"ab","stream":true,"n":16,"temperature":2,"min_tokens":400,"max_tokens":400}"#;

/// Opens a stream and waits for its first bytes.
async fn stream(address: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.expect("a connection");
    let length = ENDLESS.len();
    let request = format!(
        "POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{ENDLESS}"
    );
    socket.write_all(request.as_bytes()).await.expect("it takes it");
    let mut first = [0; 12];
    socket.read_exact(&mut first).await.expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 200");
    socket
}

#[tokio::test]
async fn the_first_signal_lets_streams_finish_and_exits_with_zero() {
    for signal in ["TERM", "INT"] {
        let mut process = Process::start(&["--port", "0"], &[]);
        let mut socket = stream(&process.ready().await).await;
        process.signal(signal).await;
        process.logged("draining").await;
        let mut rest = Vec::new();
        socket.read_to_end(&mut rest).await.expect("the whole stream");
        assert!(String::from_utf8_lossy(&rest).contains("data: [DONE]"), "it was cut");
        let (status, said) = process.ended().await;
        assert_eq!(status.code(), Some(0), "{said}");
    }
}

#[tokio::test]
async fn the_second_signal_exits_at_once() {
    let mut process = Process::start(&["--port", "0", "--max-concurrent-requests", "4"], &[]);
    let address = process.ready().await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(stream(&address).await);
    }
    process.signal("TERM").await;
    process.logged("draining").await;
    process.signal("TERM").await;
    let (status, said) = process.ended().await;
    assert_eq!(status.code(), Some(143), "{said}");
    assert!(said.contains("second signal"), "{said}");
}
