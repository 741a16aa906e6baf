//! A backend with fixed slots and service times from timers, that can be told to misbehave. It speaks as a backend of our
//! own (node report, attempt ids) or as a server of another make.
//!
//! 1. `account`: what it runs and has seen.
//! 2. `answers`: its paths.
//! 3. `diary`: when each piece of work began and ended, in a file.
//! 4. `registration`: how it makes itself known in Redis.

mod account;
mod answers;
mod diary;
mod registration;

use account::Node;
use http::{HeaderMap, Version};
use serde_json::Value;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;
use tidegate_sim::chance::Chance;
use tidegate_sim::workload::Service;

/// The model that a fake node serves.
pub const MODEL: &str = "fake";

/// How a node answers. Its answers repeat the request's last message, so that answers that were mixed up are noticed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Plan {
    /// A chat completion after this time.
    Answer(Duration),
    /// A stream of this many events with this time before each.
    Stream(u32, Duration),
    /// A chat completion, or a stream where one is asked for, after the time of [`work_of`].
    Work(Service, u64),
    /// Headers, one event, then a broken connection.
    Break,
    /// 503 with this code, whatever runs.
    Refuse(&'static str),
    /// 500 with an error body of its own.
    Fail,
    /// This status with an error body of its own.
    Status(u16),
}

/// How a node is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Requests that it runs at once.
    pub slots: u32,
    /// How it answers.
    pub plan: Plan,
    /// Whether it reports itself at `/node`, as backends of our own do.
    pub own: bool,
    /// Whether it takes any number of requests and runs them first in, first out, instead of refusing those beyond its slots.
    pub queues: bool,
    /// Its address on this machine.
    pub host: Ipv4Addr,
    /// Its port; 0 takes a free one.
    pub port: u16,
    /// Names this life of the node.
    pub epoch: String,
    /// Time from a hang-up to the free slot.
    pub stop_takes: Duration,
    /// Where it writes down when each piece of work began and ended: see [`crate::fake_node`].
    pub diary: Option<PathBuf>,
}

impl Setup {
    /// A node of our own make, on a free port.
    pub fn new(slots: u32, plan: Plan) -> Self {
        Self {
            slots,
            plan,
            own: true,
            queues: false,
            host: Ipv4Addr::LOCALHOST,
            port: 0,
            epoch: "1".to_owned(),
            stop_takes: Duration::ZERO,
            diary: None,
        }
    }
}

/// How long a node works on a prompt under a seed: the same at every node, in every run and at every retry, so that runs that
/// differ in one thing meet the same work.
pub fn work_of(service: &Service, seed: u64, prompt: &str) -> Duration {
    let mut hasher = DefaultHasher::new();
    prompt.hash(&mut hasher);
    Duration::from_secs_f64(service.draw(&mut Chance::new(seed, hasher.finish())))
}

/// A running fake node. It ends with the test's runtime.
#[derive(Debug, Clone)]
pub struct FakeNode {
    /// Its base URL.
    pub url: String,
    node: Node,
}

impl FakeNode {
    /// A node that reports itself as backends of our own do.
    pub async fn start(slots: u32, plan: Plan) -> Self {
        Self::start_with(Setup::new(slots, plan)).await
    }

    /// A server of another make: no node report, only `/v1/models`.
    pub async fn start_foreign(plan: Plan) -> Self {
        Self::start_with(Setup { own: false, ..Setup::new(u32::MAX, plan) }).await
    }

    /// A node as it is set up.
    pub async fn start_with(setup: Setup) -> Self {
        let listener = tokio::net::TcpListener::bind((setup.host, setup.port)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let node = Node::new(setup);
        let paths = answers::paths(node.clone());
        tokio::spawn(async move { axum::serve(listener, paths).await.unwrap() });
        Self { url, node }
    }

    /// Registers itself in Redis and renews that until the test ends, also when Redis was away.
    pub async fn register(&self, redis_url: &str, prefix: &str) {
        self.register_at(&self.url, redis_url, prefix).await;
    }

    /// The same under an address that need not be its own.
    pub async fn register_at(&self, url: &str, redis_url: &str, prefix: &str) {
        registration::keep(self.node.registration(url), redis_url, prefix);
    }

    /// Changes how it answers from now on.
    pub fn plan(&self, plan: Plan) {
        self.node.account().plan = plan;
    }

    /// Answers an error from now on when it is asked for its report, or no longer.
    pub fn mute(&self, mute: bool) {
        self.node.account().reports = !mute;
    }

    /// How often it was asked for its models: routers do so where it does not report itself.
    pub fn listed(&self) -> u64 {
        self.node.account().listed
    }

    /// How often it was asked for its report.
    pub fn reported(&self) -> u64 {
        self.node.account().reported
    }

    /// Ends every numbered stream with its next event, as if it had come to its end.
    pub fn end_streams(&self) {
        self.node.account().closing = true;
    }

    /// Requests that it runs now.
    pub fn running(&self) -> usize {
        self.node.account().running()
    }

    /// Most requests that it ever ran at once.
    pub fn most_running(&self) -> usize {
        self.node.account().most
    }

    /// Requests that have reached it, refused ones included.
    pub fn seen(&self) -> u64 {
        self.node.account().seen
    }

    /// What the last request was spoken in.
    pub fn last_version(&self) -> Version {
        self.node.account().version
    }

    /// Headers of the last request.
    pub fn last_headers(&self) -> HeaderMap {
        self.node.account().headers.clone()
    }

    /// Body of the last request.
    pub fn last_body(&self) -> Value {
        self.node.account().body.clone()
    }
}
