//! A real Redis of a test's own.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{net::TcpStream, time::timeout};

/// A redis-server on a free port of the loopback, without any file; killed when dropped.
pub(super) struct RedisServer {
    child: Child,
    port: u16,
    /// Where a node of a cluster is reached by the other nodes.
    bus_port: u16,
    /// Where a node of a cluster keeps what it knows of the others.
    folder: Option<TempDir>,
}

impl RedisServer {
    /// Starts one, and waits until it listens.
    pub(super) async fn start() -> RedisServer {
        // Between the port's choice and its use somebody else may take it: then the next one is tried.
        for _ in 0..20 {
            let port = free_port();
            if let Some(server) = RedisServer::start_on(port).await {
                return server;
            }
        }
        panic!("redis-server does not start");
    }

    /// Starts a node that can join a cluster.
    pub(super) async fn start_node() -> RedisServer {
        for _ in 0..20 {
            let (folder, bus_port) = (tempfile::tempdir().unwrap(), free_port());
            let (dir, bus) = (folder.path().to_str().unwrap(), bus_port.to_string());
            let cluster = [
                "--cluster-enabled",
                "yes",
                "--dir",
                dir,
                "--cluster-port",
                &bus,
                "--cluster-node-timeout",
                "1000",
                "--cluster-require-full-coverage",
                "no",
            ];
            if let Some(mut server) = RedisServer::spawn(free_port(), &cluster).await {
                server.bus_port = bus_port;
                server.folder = Some(folder);
                return server;
            }
        }
        panic!("redis-server does not start");
    }

    pub(super) fn bus_port(&self) -> u16 {
        self.bus_port
    }

    /// Starts one on a port; `None` if it ends at once.
    pub(super) async fn start_on(port: u16) -> Option<RedisServer> {
        RedisServer::spawn(port, &[]).await
    }

    async fn spawn(port: u16, more: &[&str]) -> Option<RedisServer> {
        let spawned = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(more)
            .stdout(Stdio::null())
            .spawn();
        let child = match spawned {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => panic!("apt-get install redis-server"),
            Err(error) => panic!("redis-server: {error}"),
        };
        let mut server = RedisServer { child, port, bus_port: 0, folder: None };
        server.listens().await.then_some(server)
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Sends it a signal, such as STOP and CONT.
    pub(super) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -s {name}");
    }

    /// A plain connection, for what a test wants to know or do behind the ledger's back.
    pub(super) async fn connection(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    async fn listens(&mut self) -> bool {
        let ready = async {
            loop {
                if self.child.try_wait().unwrap().is_some() {
                    return false;
                }
                if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_ok() {
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(20), ready).await.unwrap_or(false)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(self.folder.take());
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
