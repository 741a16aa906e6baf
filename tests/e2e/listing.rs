//! Backends that come and go in a file, behind a name in DNS, or by dying.

use http::StatusCode;
use http_body_util::BodyExt;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tidegate_tests::client::chat_body;
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};
use tidegate_tests::process::Process;
use tidegate_tests::router::TestRouter;
use tidegate_tests::wait;

const CHAT: &str = "/v1/chat/completions";
const AT_ONCE: Plan = Plan::Answer(Duration::ZERO);

/// A file with a list of backends.
struct List {
    folder: TempDir,
}

impl List {
    fn new(text: &str) -> Self {
        let list = Self { folder: tempfile::tempdir().unwrap() };
        list.write(text);
        list
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("backends.toml")
    }

    /// Replaces the file in one step, as programs that write configuration do.
    fn write(&self, text: &str) {
        let next = self.folder.path().join("next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(next, self.path()).unwrap();
    }

    async fn router(&self) -> TestRouter {
        TestRouter::start(&["--backends-file", self.path().to_str().unwrap()]).await
    }
}

fn entry(node: &FakeNode) -> String {
    format!("[[backend]]\nurl = \"{}\"\n", node.url)
}

#[tokio::test]
async fn a_file_that_changes_adds_and_takes_away_backends_and_cuts_nothing() {
    let one = FakeNode::start(2, Plan::Stream(u32::MAX, Duration::from_millis(10))).await;
    let two = FakeNode::start(2, AT_ONCE).await;
    let list = List::new(&entry(&one));
    let router = list.router().await.with_backends(1).await;
    let stream = router.client.open_stream(MODEL, "x").await;
    list.write(&format!("{}{}", entry(&one), entry(&two)));
    let router = router.with_backends(2).await;
    list.write("[[backend]\nurl = ");
    // It takes one more good change to know that the bad one was read over.
    list.write(&entry(&two));
    router.until_counts(&[("slots", 2), ("running", 1)]).await;
    for _ in 0..10 {
        assert_eq!(router.client.chat(MODEL, "x").await.status, StatusCode::OK);
    }
    assert_eq!((one.seen(), two.seen()), (1, 10));
    one.end_streams();
    let text = stream.into_body().collect().await.unwrap().to_bytes();
    assert!(text.ends_with(b"data: [DONE]\n\n"), "the stream came to its end");
    router.until_counts(&[("running", 0), ("abandoned", 0)]).await;
}

#[tokio::test]
async fn a_broken_file_keeps_what_was_there_and_says_so() {
    let node = FakeNode::start(2, AT_ONCE).await;
    let list = List::new(&entry(&node));
    let path = list.path().to_str().unwrap().to_owned();
    let flags = ["--backends-file", &path, "--port", "0", "--admin-port", "0"];
    let router = Process::start("tidegate-router", &flags);
    let client = tidegate_tests::client::Client::new(&router.clients().await);
    list.write("[[backend]]\nurl = \"http://127.0.0.1:1\"\nslot = 3\n");
    router.says("unknown field `slot`").await;
    assert_eq!(client.chat(MODEL, "x").await.status, StatusCode::OK);
    list.write(&entry(&node));
    router.says("the backends file was read again").await;
    assert_eq!(client.chat(MODEL, "x").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_file_that_is_broken_at_the_start_is_a_clear_error() {
    let list = List::new("[[backend]]\nurl = \"http://127.0.0.1:1\"\nweight = \"heavy\"\n");
    let mut router = Process::start("tidegate-router", &["--backends-file", list.path().to_str().unwrap()]);
    assert!(!router.ended().await.success());
    let output = router.output();
    assert!(output.contains("--backends-file") && output.contains("weight"), "{output}");
}

#[tokio::test]
async fn an_entry_gives_a_foreign_server_its_slots_names_and_key() {
    let node = FakeNode::start_foreign(AT_ONCE).await;
    let list = List::new("");
    std::fs::write(list.folder.path().join("key"), "secret-1\n").unwrap();
    let rest = "slots = 5\nmodels = [\"own-name\", \"alias\"]\napi_key_file = \"key\"\n";
    list.write(&format!("{}{rest}", entry(&node)));
    let router = list.router().await.with_backends(1).await;
    assert_eq!(router.count("slots").await, 5);
    let headers = [("authorization", "Bearer the-clients-own")];
    let answer = router.client.post(CHAT, &headers, &chat_body("alias", "x")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(node.last_headers()["authorization"], "Bearer secret-1");
    assert_eq!(router.client.chat(MODEL, "x").await.status, StatusCode::NOT_FOUND);
    std::fs::write(list.folder.path().join("key"), "secret-2\n").unwrap();
    wait::until("the new key is used", || async {
        router.client.chat("own-name", "x").await;
        (node.last_headers()["authorization"] == "Bearer secret-2").then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_addresses_of_a_name_are_backends() {
    let node = FakeNode::start(2, AT_ONCE).await;
    let port = node.url.rsplit_once(':').unwrap().1;
    let name = format!("localhost:{port}");
    let router = TestRouter::start(&["--backend-dns", &name]).await.with_backends(1).await;
    assert_eq!(router.client.chat(MODEL, "x").await.status, StatusCode::OK);
    assert_eq!(node.seen(), 1);
}

/// Real backends; one is killed and comes back while requests flow. Whole answers begin only when they are ready, so that every
/// request can be sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_is_killed_and_started_again_costs_no_request() {
    let start = || Process::start("tidegate-backend", &["--port", "0", "--log-format", "json"]);
    let url = async |backend: &Process| format!("http://{}", backend.url("address").await);
    let (stays, mut dies) = (start(), start());
    let (one, two) = (url(&stays).await, url(&dies).await);
    let list = List::new(&format!("[[backend]]\nurl = \"{one}\"\n[[backend]]\nurl = \"{two}\"\n"));
    let router = list.router().await.with_backends(2).await;
    let client = router.client.clone();
    let asking = tokio::spawn(async move {
        let mut statuses = Vec::new();
        for _ in 0..40 {
            let four = (0..4).map(|_| client.chat("tidegate-demo", "What is 17 + 25?"));
            statuses
                .extend(futures_util::future::join_all(four).await.into_iter().map(|answer| answer.status));
        }
        statuses
    });
    dies.signal("KILL");
    dies.ended().await;
    let router = router.with_backends(1).await;
    let again = start();
    let three = url(&again).await;
    list.write(&format!("[[backend]]\nurl = \"{one}\"\n[[backend]]\nurl = \"{three}\"\n"));
    let router = router.with_backends(2).await;
    let statuses = asking.await.unwrap();
    assert_eq!(statuses.iter().filter(|status| **status != StatusCode::OK).count(), 0, "{statuses:?}");
    router.until_counts(&[("running", 0), ("queued", 0), ("abandoned", 0)]).await;
}
