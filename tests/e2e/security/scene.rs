//! A router of its own process under attack, what it answers meanwhile, and what it holds in memory.

use http::StatusCode;
use std::net::SocketAddr;
use std::time::Duration;
use tidegate_tests::client::Client;
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};
use tidegate_tests::process::Process;
use tidegate_tests::wait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes by which a router may grow under any of these attacks, whatever is sent.
pub(crate) const MOST_GROWTH: u64 = 96 << 20;

/// A router in front of one fake node.
pub(crate) struct Besieged {
    process: Process,
    client: Client,
    base: String,
    _node: FakeNode,
    before: u64,
}

impl Besieged {
    /// A router with these flags that has served a request.
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let node = FakeNode::start(8, Plan::Answer(Duration::ZERO)).await;
        let all = [&["--port", "0", "--admin-port", "0", "--backend", &node.url], flags].concat();
        let process = Process::start("tidegate-router", &all);
        let base = process.clients().await;
        let client = Client::new(&base);
        wait::until("it serves", || async {
            (client.chat(MODEL, "hello").await.status == StatusCode::OK).then_some(())
        })
        .await;
        let before = memory(process.id());
        Self { process, client, base, _node: node, before }
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.base.trim_start_matches("http://").parse().unwrap()
    }

    /// A connection on which these bytes were sent.
    pub(crate) async fn connect(&self, bytes: &[u8]) -> TcpStream {
        let mut socket = TcpStream::connect(self.address()).await.unwrap();
        // A server that has enough may have closed.
        let _ = socket.write_all(bytes).await;
        socket
    }

    /// What a request with this prompt is answered with, on a connection of its own.
    pub(crate) async fn asks(&self, prompt: &str) -> StatusCode {
        Client::new(&self.base).chat(MODEL, prompt).await.status
    }

    /// Serves others now, on a connection of their own.
    pub(crate) async fn serves_others(&self) {
        assert_eq!(Client::new(&self.base).chat(MODEL, "others").await.status, StatusCode::OK);
    }

    /// Serves others now, and has not grown beyond what it may.
    pub(crate) async fn has_held(&self) {
        self.serves_others().await;
        assert_eq!(self.client.chat(MODEL, "a connection from before").await.status, StatusCode::OK);
        let grown = memory(self.process.id()).saturating_sub(self.before);
        assert!(grown < MOST_GROWTH, "grown by {} MiB", grown >> 20);
    }
}

/// The most memory that a process has held so far, in bytes.
fn memory(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// All that comes until the server closes.
pub(crate) async fn rest(mut socket: impl AsyncReadExt + Unpin) -> String {
    let mut bytes = Vec::new();
    // A connection that is reset has been closed too.
    let _ = socket.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}
