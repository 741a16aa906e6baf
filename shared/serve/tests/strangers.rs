//! Connections of strangers who mean harm or know no better, on real sockets: none is held for ever, and none takes the room of all.

#![expect(clippy::unwrap_used, reason = "a scene that cannot be set up fails the test")]

use axum::Router;
use axum::routing::get;
use std::net::SocketAddr;
use std::time::Duration;
use tidegate_serve::crowd::ConnectionLimits;
use tidegate_serve::listen::{Entrance, Patience, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long the server waits for a head.
const HEAD: Duration = Duration::from_millis(300);

/// A server that waits a short while for its clients.
struct Server {
    address: SocketAddr,
    _end: DropGuard,
}

impl Server {
    async fn start(limits: ConnectionLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let patience = Patience { head: HEAD, ..Patience::default() };
        let app = Router::new().route("/", get(async || "here"));
        let end = CancellationToken::new();
        let entrance = Entrance { limits, ..Entrance::from(listener) };
        tokio::spawn(serve(entrance, app, patience, end.clone(), Duration::ZERO));
        Self { address, _end: end.drop_guard() }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn answers(&self) {
        let mut socket = self.connect().await;
        socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        assert!(rest(&mut socket).await.ends_with("here"));
    }
}

/// All that comes until the server closes.
async fn rest(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A connection that is reset has been closed too.
    let _ = socket.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

const WIDE: ConnectionLimits = ConnectionLimits { total: 1000, per_address: 1000 };

#[tokio::test]
async fn who_says_nothing_or_half_of_it_is_not_waited_for() {
    let server = Server::start(WIDE).await;
    let beginnings: [&[u8]; 5] = [
        b"",
        b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ",
        b"PRI * HT",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    ];
    for beginning in beginnings {
        let mut socket = server.connect().await;
        socket.write_all(beginning).await.unwrap();
        rest(&mut socket).await;
    }
    server.answers().await;
}

/// The time for a head runs from the connection's beginning, not anew from its first byte.
#[tokio::test]
async fn a_first_byte_that_comes_late_buys_no_time() {
    let server = Server::start(WIDE).await;
    let mut first = server.connect().await;
    tokio::time::sleep(HEAD / 2).await;
    let mut second = server.connect().await;
    tokio::time::sleep(HEAD / 3).await;
    first.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    tokio::select! {
        _ = rest(&mut first) => {}
        _ = rest(&mut second) => panic!("who came first, and said a little late, was waited for longer"),
    }
}

#[tokio::test]
async fn who_trickles_a_head_is_not_waited_for() {
    let server = Server::start(WIDE).await;
    let (mut taken, mut given) = server.connect().await.into_split();
    let trickling = tokio::spawn(async move {
        let mut piece: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ";
        while given.write_all(piece).await.is_ok() {
            piece = b"y";
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let _ = taken.read_to_end(&mut Vec::new()).await;
    trickling.await.unwrap();
    server.answers().await;
}

#[tokio::test]
async fn one_address_has_no_more_than_its_room_and_gets_it_back() {
    let server = Server::start(ConnectionLimits { total: 1000, per_address: 2 }).await;
    let (first, second) = (server.connect().await, server.connect().await);
    let mut third = server.connect().await;
    assert_eq!(rest(&mut third).await, "", "closed at once");
    drop((first, second));
    let mut again = String::new();
    while !again.ends_with("here") {
        let mut socket = server.connect().await;
        let _ = socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        again = rest(&mut socket).await;
    }
}
