//! A real Redis server on a port of its own, without persistence, that can be killed and come back; it ends with
//! the test.

use crate::certificates::{Authority, Identity};
use crate::wait;
use std::process::{Child, Command, Stdio};

/// A running `redis-server`.
#[derive(Debug)]
pub struct RedisServer {
    process: Child,
    port: u16,
    /// Its URL.
    pub url: String,
}

impl RedisServer {
    /// Starts a server on a free loopback port and waits until it answers.
    pub async fn start() -> Self {
        Self::start_on(free_port()).await
    }

    /// The same on a given port, so that a server that was killed can come back under its address.
    pub async fn start_on(port: u16) -> Self {
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("redis-server does not start ({error}): apt-get install redis-server")
            });
        let server = Self { process, port, url: format!("redis://127.0.0.1:{port}") };
        let client = ::redis::Client::open(server.url.as_str()).unwrap();
        wait::until("redis-server answers", || async {
            client.get_multiplexed_async_connection().await.is_ok().then_some(())
        })
        .await;
        server
    }

    /// A server that speaks TLS only, with this identity, to those whose certificate this authority signed, and wants a password of
    /// its user `tidegate`.
    pub async fn start_secure(authority: &Authority, identity: &Identity, password: &str) -> Self {
        let port = free_port();
        // The account that docs/tls.md asks for.
        let rights = "~tidegate:* &tidegate:* +@all -@admin -@dangerous +info";
        let user = format!("user tidegate on >{password} {rights}\nuser default off\n");
        let acl = authority.file("redis.acl", &user);
        let (ca, tls_port) = (authority.ca(), port.to_string());
        let process = Command::new("redis-server")
            .args([
                "--port",
                "0",
                "--tls-port",
                &tls_port,
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .args([
                "--tls-cert-file",
                &identity.cert,
                "--tls-key-file",
                &identity.key,
                "--tls-ca-cert-file",
                &ca,
            ])
            .args(["--aclfile", &acl])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait::until("redis-server listens", || async {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
        Self { process, port, url: format!("rediss://tidegate@localhost:{port}") }
    }

    /// Kills it with -9; all that it held is lost.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again after [`RedisServer::kill`], empty and under its old address, and waits until it answers.
    pub async fn start_again(&mut self) {
        *self = Self::start_on(self.port).await;
    }

    /// Sends a signal by its name, such as `KILL`, `STOP` or `CONT`.
    pub fn signal(&self, name: &str) {
        crate::process::signal(self.process.id(), name);
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // A server that has already ended needs no end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A loopback port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
