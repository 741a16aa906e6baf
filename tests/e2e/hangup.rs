//! Clients that leave: nothing of theirs stays behind.

use http_body_util::BodyExt;
use std::time::Duration;
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};
use tidegate_tests::router::TestRouter;
use tidegate_tests::wait;

const NOTHING: [(&str, u64); 3] = [("running", 0), ("abandoned", 0), ("queued", 0)];

#[tokio::test]
async fn a_client_that_hangs_up_in_a_stream_frees_its_slot() {
    let node = FakeNode::start(1, Plan::Stream(1000, Duration::from_millis(20))).await;
    let router = TestRouter::start(&["--backend", &node.url]).await.with_backends(1).await;
    let mut stream = router.client.open_stream(MODEL, "x").await;
    stream.body_mut().frame().await.unwrap().unwrap();
    assert_eq!((node.running(), router.count("running").await), (1, 1));
    drop(stream);
    wait::until("the backend has lost its client", || async { (node.running() == 0).then_some(()) }).await;
    router.until_counts(&NOTHING).await;
}

/// A backend is asked what it still runs, but not once for each.
#[tokio::test]
async fn many_clients_that_hang_up_at_once_cost_their_backend_few_questions() {
    const MANY: usize = 200;
    let node = FakeNode::start(MANY as u32, Plan::Stream(1000, Duration::from_millis(20))).await;
    let router = TestRouter::start(&["--backend", &node.url]).await.with_backends(1).await;
    let streams: Vec<_> = (0..MANY).map(|_| router.client.open_stream(MODEL, "x")).collect();
    let streams = futures_util::future::join_all(streams).await;
    router.until_counts(&[("running", MANY as u64)]).await;
    let before = node.reported();
    drop(streams);
    router.until_counts(&NOTHING).await;
    let asked = node.reported() - before;
    assert!(asked < MANY as u64 / 4, "asked {asked} times");
}

#[tokio::test]
async fn clients_that_hang_up_while_they_wait_leave_the_queue() {
    let node = FakeNode::start(1, Plan::Answer(Duration::from_secs(20))).await;
    let router = TestRouter::start(&["--backend", &node.url]).await.with_backends(1).await;
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            let client = router.client.clone();
            tokio::spawn(async move { client.chat(MODEL, "x").await })
        })
        .collect();
    router.until_counts(&[("running", 1), ("queued", 4)]).await;
    for task in waiting {
        task.abort();
    }
    router.until_counts(&NOTHING).await;
    assert_eq!(node.seen(), 1, "those who left while they waited never reached the backend");
}

#[tokio::test]
async fn work_that_a_foreign_server_never_confirms_is_free_after_the_grace() {
    let node = FakeNode::start_foreign(Plan::Answer(Duration::from_secs(20))).await;
    let flags = ["--backend", &node.url, "--backend-slots", "1", "--abandon-grace", "0.3"];
    let router = TestRouter::start(&flags).await.with_backends(1).await;
    let client = router.client.clone();
    let chat = tokio::spawn(async move { client.chat(MODEL, "x").await });
    router.until_counts(&[("running", 1)]).await;
    chat.abort();
    router.until_counts(&[("running", 0), ("abandoned", 1)]).await;
    router.until_counts(&NOTHING).await;
}
