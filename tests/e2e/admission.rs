//! Slots, the queue, refusals and what they say.

use http::StatusCode;
use serde_json::json;
use std::time::Duration;
use tidegate_tests::client::chat_body;
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};
use tidegate_tests::router::TestRouter;

const CHAT: &str = "/v1/chat/completions";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_never_runs_more_than_its_slots_and_everyone_is_served() {
    let node = FakeNode::start(3, Plan::Answer(Duration::from_millis(30))).await;
    let router =
        TestRouter::start(&["--backend", &node.url, "--wait-share", "1"]).await.with_backends(1).await;
    let chats = (0..30).map(|_| {
        let client = router.client.clone();
        tokio::spawn(async move { client.chat(MODEL, "x").await.status })
    });
    let answers: Vec<_> =
        futures_util::future::join_all(chats).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, vec![StatusCode::OK; 30]);
    assert_eq!((node.most_running(), node.seen()), (3, 30));
    router.until_counts(&[("running", 0), ("abandoned", 0), ("queued", 0)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_is_refused_with_reason_and_retry_time() {
    let node = FakeNode::start(1, Plan::Answer(Duration::from_secs(20))).await;
    let flags = [
        "--backend",
        &node.url,
        "--max-queue-size",
        "2",
        "--queue-rejection-threshold",
        "1",
        "--vllm-rejection-threshold",
        "1",
    ];
    let router = TestRouter::start(&flags).await.with_backends(1).await;
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let client = router.client.clone();
            tokio::spawn(async move { client.chat(MODEL, "x").await })
        })
        .collect();
    router.until_counts(&[("running", 1), ("queued", 2)]).await;
    let refused = router.client.post(CHAT, &[("x-request-id", "mine")], &chat_body(MODEL, "x")).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "queue_full"));
    assert_eq!((refused.header("x-tidegate-reason"), refused.header("x-request-id")), ("queue_full", "mine"));
    let after: u64 = refused.header("retry-after-ms").parse().unwrap();
    assert!((500..=60_000).contains(&after), "{after}");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(refused.json()["error"]["type"], "rate_limit_error");
    let health = router.client.get("/health").await.json();
    assert_eq!(health["status"], "critical");
    assert_eq!(health["graceful_degradation"]["queue_statistics"]["current_size"], 2);
    for task in waiting {
        task.abort();
    }
    router.until_counts(&[("running", 0), ("abandoned", 0), ("queued", 0)]).await;
}

/// Rule 3 goes by the length of a request's own kind once many more ask than slots come free: short work may wait where it
/// could not if the length of all work counted, as it does for those whose kind is not known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_crowd_short_work_may_wait_where_the_length_of_all_work_would_refuse_it() {
    let node = FakeNode::start(16, Plan::Answer(Duration::from_secs(3))).await;
    // Normal priority may not queue at all: its refusals make the crowd.
    let flags = ["--backend", &node.url, "--wait-share", "1", "--queue-rejection-threshold", "0"];
    let router = TestRouter::start(&flags).await.with_backends(1).await;
    let ask = async |priority: &str, timeout: &str, bound: Option<u32>| {
        let mut body = chat_body(MODEL, "x");
        body["max_tokens"] = json!(bound);
        let headers = [("x-tidegate-priority", priority), ("x-request-timeout-ms", timeout)];
        router.client.post(CHAT, &headers, &body).await
    };
    let sixteen = async |timeout: &str, bound: u32| {
        futures_util::future::join_all((0..16).map(|_| ask("normal", timeout, Some(bound)))).await
    };
    sixteen("60000", 4000).await;
    node.plan(Plan::Answer(Duration::from_millis(10)));
    sixteen("60000", 20).await;
    node.plan(Plan::Answer(Duration::from_secs(60)));
    let crowd = async {
        router.until_counts(&[("running", 16)]).await;
        for _ in 0..400 {
            assert_eq!(ask("normal", "60000", None).await.code(), "queue_full");
        }
        [ask("high", "1800", Some(2000)).await, ask("high", "1800", Some(30)).await]
    };
    let answers = tokio::select! {
        answers = crowd => answers,
        held = sixteen("60000", 4000) => panic!("no slot was held: {held:?}"),
    };
    assert_eq!(answers.map(|answer| answer.code()), ["deadline", "timeout"], "unknown, short");
}

#[tokio::test]
async fn the_overload_status_can_be_503() {
    let node = FakeNode::start(1, Plan::Answer(Duration::from_secs(20))).await;
    let flags = ["--backend", &node.url, "--max-queue-size", "0", "--overload-status", "503"];
    let router = TestRouter::start(&flags).await.with_backends(1).await;
    let client = router.client.clone();
    let running = tokio::spawn(async move { client.chat(MODEL, "x").await });
    router.until_counts(&[("running", 1)]).await;
    let refused = router.client.chat(MODEL, "x").await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "queue_full"));
    running.abort();
}

#[tokio::test]
async fn time_that_runs_out_while_waiting_or_running_is_a_504() {
    let node = FakeNode::start(1, Plan::Answer(Duration::from_secs(20))).await;
    let flags = ["--backend", &node.url, "--request-timeout", "0.3", "--wait-share", "1"];
    let router = TestRouter::start(&flags).await.with_backends(1).await;
    let (running, waiting) = tokio::join!(router.client.chat(MODEL, "x"), router.client.chat(MODEL, "x"));
    for answer in [&running, &waiting] {
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::GATEWAY_TIMEOUT, "timeout"));
        assert_eq!(answer.header("x-should-retry"), "false");
    }
    router.until_counts(&[("running", 0), ("abandoned", 0), ("queued", 0)]).await;
    let health = router.client.get("/health").await.json();
    assert_eq!(health["graceful_degradation"]["backend_statistics"]["timeout_requests"], 2, "{health}");
}

#[tokio::test]
async fn a_client_shortens_its_time_and_the_backend_is_told() {
    let node = FakeNode::start(1, Plan::Answer(Duration::ZERO)).await;
    let router = TestRouter::start(&["--backend", &node.url]).await.with_backends(1).await;
    let headers = [("x-request-timeout-ms", "5000"), ("x-request-id", "id-1")];
    let answer = router.client.post(CHAT, &headers, &chat_body(MODEL, "x")).await;
    assert_eq!(answer.status, StatusCode::OK);
    let seen = node.last_headers();
    let told: u64 = seen["x-request-timeout-ms"].to_str().unwrap().parse().unwrap();
    assert!((4000..=5000).contains(&told), "{told}");
    assert_eq!(seen["x-request-id"], "id-1");
    assert!(seen.contains_key("x-tidegate-attempt"));
    assert_eq!(node.last_body(), chat_body(MODEL, "x"), "the body passes unchanged");
}

#[tokio::test]
async fn a_trace_goes_on_to_the_backend_also_where_nothing_is_exported() {
    let node = FakeNode::start(1, Plan::Answer(Duration::ZERO)).await;
    let router = TestRouter::start(&["--backend", &node.url]).await.with_backends(1).await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let headers = [("traceparent", parent.as_str()), ("tracestate", "vendor=1")];
    router.client.post(CHAT, &headers, &chat_body(MODEL, "x")).await;
    let seen = node.last_headers();
    let passed = seen["traceparent"].to_str().unwrap();
    assert!(passed.contains(trace), "{passed}");
    assert_eq!(seen["tracestate"], "vendor=1");
}

#[tokio::test]
async fn a_server_of_another_make_is_served_with_the_slots_of_the_flag() {
    let node = FakeNode::start_foreign(Plan::Answer(Duration::from_millis(20))).await;
    let router =
        TestRouter::start(&["--backend", &node.url, "--backend-slots", "2"]).await.with_backends(1).await;
    assert_eq!(router.count("slots").await, 2);
    let chats = (0..8).map(|_| router.client.chat(MODEL, "x"));
    assert!(futures_util::future::join_all(chats).await.iter().all(|answer| answer.status == StatusCode::OK));
    assert_eq!(node.most_running(), 2);
    let models = router.client.get("/v1/models").await.json();
    assert_eq!(models["data"][0]["id"], MODEL);
    assert_eq!(router.client.get("/v1/models/fake").await.json()["object"], json!("model"));
}
