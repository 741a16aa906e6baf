//! A router, its real binary, between upstreams and clients.

use crate::client::{Client, chat};
use crate::message::Message;
use crate::upstream::Upstream;
use serde_json::Value;
use tidegate_tests::client::Client as Asking;
use tidegate_tests::process::Process;
use tidegate_tests::wait;

/// The model of the only upstream in most tests.
pub const MODEL: &str = "m";

/// A running router.
#[derive(Debug)]
pub struct Router {
    /// The process.
    pub process: Process,
    /// Base URL for clients.
    pub base: String,
    /// Speaks to its admin port.
    pub admin: Asking,
}

impl Router {
    /// A router in front of these upstreams, once it knows them all.
    pub async fn start(upstreams: &[&Upstream], flags: &[&str]) -> Self {
        let urls: Vec<&str> = upstreams.iter().map(|upstream| upstream.url.as_str()).collect();
        Self::start_at(&urls, flags).await
    }

    /// The same in front of backends at these URLs.
    pub async fn start_at(urls: &[&str], flags: &[&str]) -> Self {
        let mut arguments = vec!["--port", "0", "--admin-port", "0", "--log-format", "json"];
        for url in urls {
            arguments.extend(["--backend", url]);
        }
        arguments.extend_from_slice(flags);
        let process = Process::start("tidegate-router", &arguments);
        let base = process.clients().await;
        let admin = Asking::new(&process.operators().await);
        let router = Self { process, base, admin };
        wait::until("the router knows its backends", || async {
            let fleet = router.fleet().await;
            let live = fleet["pools"].as_array()?.iter().flat_map(|pool| pool["backends"].as_array());
            let live = live.flatten().filter(|backend| backend["state"] == "live").count();
            (live == urls.len()).then_some(())
        })
        .await;
        router
    }

    /// A router in front of one upstream of [`MODEL`].
    pub async fn one(flags: &[&str]) -> (Upstream, Self) {
        let upstream = Upstream::start(MODEL).await;
        let router = Self::start(&[&upstream], flags).await;
        (upstream, router)
    }

    /// `GET /fleet`.
    pub async fn fleet(&self) -> Value {
        self.admin.get("/fleet").await.json()
    }

    /// A new connection.
    pub async fn connect(&self) -> Client {
        Client::connect(&self.base).await
    }

    /// Sends `request` on a connection of its own and reads the answer.
    pub async fn ask(&self, request: impl AsRef<[u8]>) -> Message {
        let mut client = self.connect().await;
        client.send(request).await;
        client.answer().await
    }

    /// One chat that is not streamed.
    pub async fn chat(&self) -> Message {
        self.ask(chat(MODEL, "", false)).await
    }

    /// Waits until the sums over all pools are as given.
    pub async fn until_counts(&self, expected: &[(&str, u64)]) {
        wait::until(&format!("/fleet shows {expected:?}"), || async {
            let fleet = self.fleet().await;
            let pools = fleet["pools"].as_array()?.clone();
            let sum = |field: &str| pools.iter().filter_map(|pool| pool[field].as_u64()).sum::<u64>();
            expected.iter().all(|(field, count)| sum(field) == *count).then_some(())
        })
        .await;
    }

    /// Waits until nothing is held any more.
    pub async fn until_idle(&self) {
        self.until_counts(&[("running", 0), ("abandoned", 0), ("queued", 0)]).await;
    }
}
