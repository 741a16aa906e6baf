//! One process of a fleet: it keeps its port over its lives, and can be killed, stopped and started again.

use std::net::TcpListener;
use tidegate_tests::process::Process;
use tidegate_tests::redis::RedisServer;

/// Where ports are looked for: below those that the kernel gives to outgoing connections, one of which could else take a port
/// while its member is down.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A free loopback port that stays free while nobody listens on it. Several runs on one machine begin at different places.
pub fn lasting_port() -> u16 {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let span = u32::from(PORTS.end - PORTS.start);
    for _ in 0..span {
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let offset = std::process::id().wrapping_mul(7919).wrapping_add(number) % span;
        let port = PORTS.start + u16::try_from(offset).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port of {PORTS:?} is free");
}

/// A router or a node.
#[derive(Debug)]
pub struct Member {
    binary: &'static str,
    arguments: Vec<String>,
    /// Base URL for clients.
    pub url: String,
    /// Base URL for operators; a node has none.
    pub admin: Option<String>,
    process: Option<Process>,
    /// What earlier lives have written.
    past: Vec<String>,
}

impl Member {
    /// A router with these flags beside its ports. It is not started yet.
    pub fn router(flags: &[String]) -> Self {
        let (port, admin) = (lasting_port(), lasting_port());
        let mut arguments: Vec<String> =
            ["--port", &port.to_string(), "--admin-port", &admin.to_string()].map(str::to_owned).into();
        arguments.extend_from_slice(flags);
        let admin = Some(format!("http://127.0.0.1:{admin}"));
        Self::new("tidegate-router", arguments, port, admin)
    }

    /// A fake node with these flags beside its port. It is not started yet.
    pub fn node(flags: &[String]) -> Self {
        let port = lasting_port();
        let mut arguments = vec!["--port".to_owned(), port.to_string()];
        arguments.extend_from_slice(flags);
        Self::new("tidegate-fake-node", arguments, port, None)
    }

    fn new(binary: &'static str, arguments: Vec<String>, port: u16, admin: Option<String>) -> Self {
        let url = format!("http://127.0.0.1:{port}");
        Self { binary, arguments, url, admin, process: None, past: Vec::new() }
    }

    /// Starts it, if it does not run, and waits until it listens.
    pub async fn start(&mut self) {
        if self.process.is_some() {
            return;
        }
        let process = self.process.insert(Process::start(self.binary, &self.arguments));
        match self.admin {
            Some(_) => process.clients().await,
            None => process.url("node").await,
        };
    }

    /// Kills it with -9.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.signal("KILL");
            self.past.push(process.output());
        }
    }

    /// Stops it where it stands (SIGSTOP).
    pub fn stop(&self) {
        self.signal("STOP");
    }

    /// Lets it go on (SIGCONT).
    pub fn go_on(&self) {
        self.signal("CONT");
    }

    /// Sends a signal by its name, if it runs.
    pub fn signal(&self, name: &str) {
        if let Some(process) = &self.process {
            process.signal(name);
        }
    }

    /// Its process id while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Everything that it has written, over all its lives.
    pub fn output(&self) -> String {
        let now = self.process.as_ref().map(Process::output);
        self.past.iter().cloned().chain(now).collect::<Vec<_>>().join("\n")
    }
}

/// The Redis of a fleet.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    server: Option<RedisServer>,
}

impl Redis {
    /// Starts a server on a port that it keeps over its lives. It has no memory of an earlier life.
    pub async fn start() -> Self {
        let port = lasting_port();
        Self { port, server: Some(RedisServer::start_on(port).await) }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills it with -9.
    pub fn kill(&mut self) {
        drop(self.server.take());
    }

    /// Starts it again, empty, if it does not run.
    pub async fn start_again(&mut self) {
        if self.server.is_none() {
            self.server = Some(RedisServer::start_on(self.port).await);
        }
    }

    /// Stops it where it stands (SIGSTOP).
    pub fn stop(&self) {
        self.signal("STOP");
    }

    /// Lets it go on (SIGCONT).
    pub fn go_on(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        if let Some(server) = &self.server {
            server.signal(name);
        }
    }
}
