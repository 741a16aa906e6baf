//! Streams: real statuses before the first byte, comments in silence, errors as last events.

use http::StatusCode;
use http_body_util::BodyExt;
use std::time::Duration;
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};
use tidegate_tests::router::TestRouter;

async fn text(response: http::Response<hyper::body::Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn a_stream_passes_unchanged_and_unbuffered() {
    let node = FakeNode::start(1, Plan::Stream(3, Duration::from_millis(5))).await;
    let router = TestRouter::start(&["--backend", &node.url]).await.with_backends(1).await;
    let stream = router.client.open_stream(MODEL, "x").await;
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    assert_eq!(stream.headers()["x-accel-buffering"], "no");
    assert!(stream.headers().contains_key("x-request-id"));
    let expected =
        "data: {\"number\": 0}\n\ndata: {\"number\": 1}\n\ndata: {\"number\": 2}\n\ndata: [DONE]\n\n";
    assert_eq!(text(stream).await, expected);
    router.until_counts(&[("running", 0), ("abandoned", 0)]).await;
}

#[tokio::test]
async fn silence_is_filled_with_comments() {
    let node = FakeNode::start(1, Plan::Stream(1, Duration::from_millis(350))).await;
    let router =
        TestRouter::start(&["--backend", &node.url, "--keep-alive", "0.1"]).await.with_backends(1).await;
    let text = text(router.client.open_stream(MODEL, "x").await).await;
    assert!(text.matches(": keep-alive\n\n").count() >= 2, "{text}");
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
}

#[tokio::test]
async fn a_stream_that_waits_long_opens_and_says_what_went_wrong_as_its_last_event() {
    let node = FakeNode::start(1, Plan::Answer(Duration::from_secs(20))).await;
    let flags =
        ["--backend", &node.url, "--keep-alive", "0.1", "--request-timeout", "0.6", "--wait-share", "1"];
    let router = TestRouter::start(&flags).await.with_backends(1).await;
    let client = router.client.clone();
    let running = tokio::spawn(async move { client.chat(MODEL, "x").await });
    router.until_counts(&[("running", 1)]).await;
    let stream = router.client.open_stream(MODEL, "x").await;
    assert_eq!(stream.status(), StatusCode::OK, "it opened while it waited");
    let text = text(stream).await;
    assert!(text.starts_with(": keep-alive\n\n"), "{text}");
    let last = text.trim_end().rsplit("\n\n").next().unwrap();
    assert!(last.starts_with("data: {\"error\":") && last.contains("\"timeout\""), "{text}");
    assert_eq!(running.await.unwrap().status, StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn a_refusal_of_a_stream_is_a_real_status() {
    let node = FakeNode::start(1, Plan::Stream(100, Duration::from_millis(50))).await;
    let router =
        TestRouter::start(&["--backend", &node.url, "--max-queue-size", "0"]).await.with_backends(1).await;
    let _running = router.client.open_stream(MODEL, "x").await;
    assert_eq!(router.client.open_stream(MODEL, "x").await.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_stream_whose_time_runs_out_ends_with_an_error_event() {
    let node = FakeNode::start(1, Plan::Stream(1000, Duration::from_millis(30))).await;
    let router =
        TestRouter::start(&["--backend", &node.url, "--request-timeout", "0.3"]).await.with_backends(1).await;
    let text = text(router.client.open_stream(MODEL, "x").await).await;
    let last = text.trim_end().rsplit("\n\n").next().unwrap();
    assert!(last.contains("\"code\":\"timeout\""), "{text}");
    router.until_counts(&[("running", 0), ("abandoned", 0)]).await;
}

#[tokio::test]
async fn a_stream_that_the_backend_breaks_ends_with_an_error_event() {
    let node = FakeNode::start(1, Plan::Break).await;
    let router = TestRouter::start(&["--backend", &node.url]).await.with_backends(1).await;
    let text = text(router.client.open_stream(MODEL, "x").await).await;
    assert!(text.starts_with("data: {\"number\": 0}\n\n"), "{text}");
    assert!(text.contains("\"code\":\"backend_error\""), "{text}");
    router.until_counts(&[("running", 0), ("abandoned", 0)]).await;
}
