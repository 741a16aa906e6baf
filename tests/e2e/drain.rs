//! Draining: what runs may finish, nothing new comes in.

use http::StatusCode;
use http_body_util::BodyExt;
use std::time::Duration;
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};
use tidegate_tests::router::TestRouter;

#[tokio::test]
async fn a_stream_finishes_while_the_router_drains() {
    let node = FakeNode::start(2, Plan::Stream(10, Duration::from_millis(30))).await;
    let router = TestRouter::start(&["--backend", &node.url]).await.with_backends(1).await;
    let stream = router.client.open_stream(MODEL, "x").await;
    router.begin_drain();
    let admin = router.admin.clone();
    assert_eq!(admin.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    let text = stream.into_body().collect().await.unwrap().to_bytes();
    assert!(text.ends_with(b"data: [DONE]\n\n"));
    router.ended().await.unwrap();
}

#[tokio::test]
async fn a_drain_that_takes_too_long_is_reported() {
    let node = FakeNode::start(2, Plan::Answer(Duration::from_secs(20))).await;
    let router =
        TestRouter::start(&["--backend", &node.url, "--drain-timeout", "0.2"]).await.with_backends(1).await;
    let client = router.client.clone();
    let cut = tokio::spawn(async move { client.chat(MODEL, "x").await });
    router.until_counts(&[("running", 1)]).await;
    router.begin_drain();
    assert!(router.ended().await.unwrap_err().to_string().contains("still running"));
    cut.abort();
}
