//! A port that closes under clients which keep their connections, as load balancers do: what they have sent is answered.

#![expect(clippy::unwrap_used, reason = "a scene that cannot be set up fails the test")]

use axum::Router;
use axum::routing::get;
use std::net::SocketAddr;
use std::time::Duration;
use tidegate_serve::listen::{Patience, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
/// Long enough for no test to see its end.
const LONG: Duration = Duration::from_secs(60);

struct Server {
    address: SocketAddr,
    end: CancellationToken,
    ended: JoinHandle<bool>,
}

impl Server {
    async fn start(farewell: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/", get(async || "here"));
        let (end, patience) = (CancellationToken::new(), Patience { farewell, ..Patience::default() });
        let ended = tokio::spawn(serve(listener, app, patience, end.clone(), LONG));
        Self { address, end, ended }
    }

    /// A connection on which one request has been answered.
    async fn kept(&self) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(REQUEST).await.unwrap();
        let mut answer = String::new();
        while !answer.ends_with("here") {
            let mut bytes = [0; 512];
            let taken = socket.read(&mut bytes).await.unwrap();
            assert!(taken > 0, "closed after {answer:?}");
            answer.push_str(&String::from_utf8_lossy(&bytes[..taken]));
        }
        assert!(!answer.contains("connection: close"), "{answer}");
        socket
    }
}

async fn rest(socket: &mut TcpStream) -> String {
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_request_on_a_kept_connection_is_served_and_told_that_it_is_the_last() {
    let server = Server::start(LONG).await;
    let mut kept = [server.kept().await, server.kept().await];
    server.end.cancel();
    // Refused from now on: the port has closed.
    while TcpStream::connect(server.address).await.is_ok() {}
    for socket in &mut kept {
        socket.write_all(REQUEST).await.unwrap();
        let answer = rest(socket).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("here"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn who_has_connected_before_the_port_closes_is_served() {
    let server = Server::start(LONG).await;
    server.end.cancel();
    // This runtime has one thread: the server cannot have looked yet, and the system has taken the connection for it.
    let mut socket = std::net::TcpStream::connect(server.address).unwrap();
    std::io::Write::write_all(&mut socket, REQUEST).unwrap();
    socket.set_nonblocking(true).unwrap();
    let answer = rest(&mut TcpStream::from_std(socket).unwrap()).await;
    assert!(answer.ends_with("here") && answer.contains("connection: close"), "{answer}");
}

#[tokio::test]
async fn connections_that_idle_are_closed_in_the_end() {
    let server = Server::start(Duration::from_millis(50)).await;
    let mut idle = server.kept().await;
    server.end.cancel();
    assert_eq!(rest(&mut idle).await, "");
    assert!(server.ended.await.unwrap(), "nothing had to be cut");
}
