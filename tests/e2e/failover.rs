//! Backends that refuse, break or vanish.

use http::StatusCode;
use http_body_util::BodyExt;
use std::time::Duration;
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};
use tidegate_tests::redis::free_port;
use tidegate_tests::router::TestRouter;
use tidegate_tests::wait;

#[tokio::test]
async fn a_full_backend_sends_the_ticket_elsewhere() {
    let full = FakeNode::start(8, Plan::Refuse("concurrency")).await;
    let good = FakeNode::start(8, Plan::Answer(Duration::from_millis(5))).await;
    let router =
        TestRouter::start(&["--backend", &full.url, "--backend", &good.url]).await.with_backends(2).await;
    // More at once than the good one has slots, so that some are sent to the other.
    let chats = (0..12).map(|_| router.client.chat(MODEL, "x"));
    let answers = futures_util::future::join_all(chats).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK), "{answers:?}");
    assert_eq!(good.seen(), 12);
    assert!(full.seen() > 0);
    router.until_counts(&[("running", 0), ("queued", 0)]).await;
}

/// One that has just started answers so while it reads its model, also to a router that knew it in its life before.
#[tokio::test]
async fn a_backend_that_loads_or_drains_sends_the_ticket_elsewhere() {
    for code in ["loading", "draining"] {
        let other = FakeNode::start(8, Plan::Refuse(code)).await;
        let good = FakeNode::start(8, Plan::Answer(Duration::from_millis(5))).await;
        let router = TestRouter::start(&["--backend", &other.url, "--backend", &good.url]).await;
        let router = router.with_backends(2).await;
        let chats = (0..8).map(|_| router.client.chat(MODEL, "x"));
        let answers = futures_util::future::join_all(chats).await;
        assert!(answers.iter().all(|answer| answer.status == StatusCode::OK), "{code}: {answers:?}");
        assert!(other.seen() > 0);
        router.until_counts(&[("running", 0), ("abandoned", 0), ("queued", 0)]).await;
    }
}

#[tokio::test]
async fn errors_of_a_backend_pass_unchanged_and_are_not_retried() {
    let node = FakeNode::start(2, Plan::Fail).await;
    let router = TestRouter::start(&["--backend", &node.url]).await.with_backends(1).await;
    let answer = router.client.chat(MODEL, "x").await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "engine_broken"));
    assert_eq!(node.seen(), 1);
    router.until_counts(&[("running", 0), ("abandoned", 0)]).await;
}

#[tokio::test]
async fn a_backend_whose_report_is_missed_is_not_taken_for_another_one() {
    let node = FakeNode::start(1, Plan::Stream(u32::MAX, Duration::from_millis(20))).await;
    let router = TestRouter::start(&["--backend", &node.url]).await.with_backends(1).await;
    let stream = router.client.open_stream(MODEL, "x").await;
    router.until_counts(&[("running", 1)]).await;
    node.mute(true);
    // At the second look the first one is on the account.
    wait::until("two looks", || async { (node.listed() >= 2).then_some(()) }).await;
    assert_eq!((router.count("running").await, router.count("slots").await), (1, 1));
    node.mute(false);
    node.end_streams();
    stream.into_body().collect().await.unwrap();
    router.until_counts(&[("running", 0), ("abandoned", 0)]).await;
}

#[tokio::test]
async fn a_backend_that_cannot_be_reached_is_no_backend() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let router = TestRouter::start(&["--backend", &url]).await;
    let answer = router.client.chat(MODEL, "x").await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "no_backend"));
    assert_eq!(
        router.client.get("/readyz").await.status,
        StatusCode::OK,
        "a router is ready whatever its backends do"
    );
    assert_eq!(router.client.get("/health").await.json()["status"], "critical");
}
