//! The live feed of the admin port, and the demo load that a newcomer may watch on it.

use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::time::Duration;
use tidegate_tests::client::chat_body;
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};
use tidegate_tests::live::Feed;
use tidegate_tests::router::TestRouter;
use tidegate_tests::wait;

/// What a listener has gathered of one pool's history.
#[derive(Debug, Default)]
struct Seen {
    at: Vec<u64>,
    accepted: u64,
    rejected: u64,
    first_tokens: u64,
    waits: u64,
    tokens: u64,
}

impl Seen {
    fn take(&mut self, event: &Value, model: &str) {
        for point in event["history"]["points"].as_array().unwrap() {
            self.at.push(point["t"].as_u64().unwrap());
            let pool = &point["pools"][model];
            let count = |value: &Value| value.as_u64().unwrap_or_default();
            self.accepted += count(&pool["accepted"]);
            self.tokens += count(&pool["tokens"]);
            self.rejected += count(&pool["rejected"]["queue_full"]);
            self.waits += u64::from(pool["waited_ms"]["p90"].is_f64());
            self.first_tokens += u64::from(pool["first_token_ms"]["p50"].is_f64());
        }
    }
}

/// A router whose queue takes two and refuses the next, before a node with one slot.
async fn small_router(node: &FakeNode) -> TestRouter {
    let flags = ["--backend", &node.url, "--max-queue-size", "2", "--wait-share", "1"];
    let thresholds = ["--queue-rejection-threshold", "1", "--vllm-rejection-threshold", "1"];
    TestRouter::start(&[&flags[..], &thresholds].concat()).await.with_backends(1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_event_says_who_speaks_and_whose_numbers_are_whose() {
    let node = FakeNode::start(1, Plan::Answer(Duration::from_millis(1))).await;
    let router = small_router(&node).await;
    let mut feed = Feed::open(&router.admin).await;
    let first = feed.next().await.unwrap();
    let (mode, ledger, draining) = (&first["mode"], &first["ledger"], &first["draining"]);
    assert_eq!((mode, ledger, draining), (&json!("fleet"), &json!("memory"), &json!(false)));
    assert_eq!(first["history"]["scope"]["fleet"], json!(["running", "abandoned", "queued", "slots"]));
    assert_eq!(first["pools"][0]["service_ms"], Value::Null, "nothing has finished yet");
    // A router is in its own account from the first renewal of its lease on.
    let listed = |event: &Value| {
        event["routers"].as_array().unwrap().iter().any(|router| router["id"] == first["router"])
    };
    feed.until("the router itself is listed", |event| listed(event).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feed_shows_slots_tickets_and_where_the_pool_stands_on_its_curve() {
    let node = FakeNode::start(1, Plan::Answer(Duration::from_secs(60))).await;
    let router = small_router(&node).await;
    let mut feed = Feed::open(&router.admin).await;
    let chats: Vec<_> = (0..3)
        .map(|_| {
            let client = router.client.clone();
            tokio::spawn(async move { client.chat(MODEL, "x").await.status })
        })
        .collect();
    let looking = feed.until("one runs and two wait", |event| {
        let pool = &event["pools"][0];
        (pool["running"] == 1 && pool["queued"] == 2).then(|| pool.clone())
    });
    let pool = looking.await;
    let (curve, three) = (&pool["curve"], json!(3.0));
    // With these thresholds the curve begins where the queue is full: no draw decides.
    assert_eq!((&curve["held"]["low"], &curve["p"]["normal"]), (&three, &json!(0.0)));
    assert_eq!((&curve["start"]["high"], &curve["capacity"]["low"]), (&three, &json!(2.0)));
    assert_eq!(
        (&pool["tickets"][1]["priority"], &pool["backends"][0]["running"]),
        (&json!("normal"), &json!(1))
    );
    chats.iter().for_each(tokio::task::JoinHandle::abort);
    feed.until("nothing is held", |event| (event["pools"][0]["queued"] == 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_is_in_the_history_once_for_each_listener() {
    let node = FakeNode::start(1, Plan::Answer(Duration::from_millis(400))).await;
    let router = small_router(&node).await;
    let (mut feed, mut seen) = (Feed::open(&router.admin).await, Seen::default());
    let chats: Vec<_> = (0..3)
        .map(|_| {
            let client = router.client.clone();
            tokio::spawn(async move { client.chat(MODEL, "x").await.status })
        })
        .collect();
    router.until_counts(&[("running", 1), ("queued", 2)]).await;
    assert_eq!(router.client.chat(MODEL, "x").await.code(), "queue_full");
    for chat in chats {
        assert_eq!(chat.await.unwrap(), StatusCode::OK);
    }
    feed.until("the history has all four", |event| {
        seen.take(event, MODEL);
        (seen.accepted == 3 && seen.rejected == 1 && seen.waits > 0 && seen.first_tokens > 0).then_some(())
    })
    .await;
    assert!(seen.at.is_sorted_by(|a, b| a < b), "a point came twice: {:?}", seen.at);

    let mut late = Seen::default();
    late.take(&Feed::open(&router.admin).await.next().await.unwrap(), MODEL);
    assert_eq!((late.accepted, late.rejected), (3, 1), "who comes later gets all points at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pieces_of_a_stream_are_counted_as_tokens() {
    let node = FakeNode::start(1, Plan::Stream(20, Duration::from_millis(1))).await;
    let router = TestRouter::start(&["--backend", &node.url]).await.with_backends(1).await;
    let stream = router.client.open_stream(MODEL, "x").await;
    let text = stream.into_body().collect().await.unwrap().to_bytes();
    let events = text.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"data: {")).count() as u64;
    assert!(events >= 20);
    let (mut feed, mut seen) = (Feed::open(&router.admin).await, Seen::default());
    feed.until("all pieces are counted", |event| {
        seen.take(event, MODEL);
        (seen.tokens == events).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feed_ends_when_the_router_has_drained() {
    let node = FakeNode::start(1, Plan::Stream(100, Duration::from_millis(30))).await;
    let router = TestRouter::start(&["--backend", &node.url]).await.with_backends(1).await;
    let mut feed = Feed::open(&router.admin).await;
    let stream = router.client.open_stream(MODEL, "x").await;
    router.begin_drain();
    feed.until("the drain shows while a request still runs", |event| {
        (event["draining"] == true && event["pools"][0]["running"] == 1).then_some(())
    })
    .await;
    assert!(stream.into_body().collect().await.unwrap().to_bytes().ends_with(b"data: [DONE]\n\n"));
    while feed.next().await.is_some() {}
    router.ended().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_listeners_than_there_is_room_for_are_told_so() {
    let node = FakeNode::start(1, Plan::Answer(Duration::from_millis(1))).await;
    let router = TestRouter::start(&["--backend", &node.url]).await.with_backends(1).await;
    let mut feeds = Vec::new();
    for _ in 0..64 {
        feeds.push(Feed::open(&router.admin).await);
    }
    let refused = router.admin.get("/live").await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "too_many_listeners")
    );
    for feed in &mut feeds {
        feed.next().await.unwrap();
    }
    drop(feeds);
    wait::until("their places are free again", || async {
        let answer = router.admin.open(http::Method::GET, "/live", &[], bytes::Bytes::new()).await;
        (answer.status() == StatusCode::OK).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_load_is_real_load_and_one_burst_at_a_time() {
    let router = TestRouter::start_embedded(&[]).await.with_backends(1).await;
    let model = "tidegate-demo";
    let mut feed = Feed::open(&router.admin).await;
    let started = router.admin.post("/demo-load", &[], &json!({"seconds": 2, "rate": 40})).await;
    assert_eq!(started.status, StatusCode::ACCEPTED, "{}", started.text);
    assert_eq!(started.json(), json!({"seconds": 2.0, "rate": 40.0, "requests": 80, "answers": 8}));
    let again = router.admin.post("/demo-load", &[], &json!({})).await;
    assert_eq!((again.status, again.code().as_str()), (StatusCode::CONFLICT, "demo_load_running"));
    let mut seen = Seen::default();
    feed.until("requests of the burst in the history", |event| {
        seen.take(event, model);
        (seen.accepted > 10 && seen.tokens > 10).then_some(())
    })
    .await;
    wait::until("another burst may begin", || async {
        let begun = router.admin.post("/demo-load", &[], &json!({"seconds": 20, "times": 1})).await;
        (begun.status == StatusCode::ACCEPTED).then_some(())
    })
    .await;
    router.begin_drain();
    while feed.next().await.is_some() {}
    router.ended().await.unwrap();
}

#[tokio::test]
async fn demo_load_is_not_there_for_the_backends_of_others_and_bad_wishes_are_named() {
    let node = FakeNode::start(1, Plan::Answer(Duration::from_millis(1))).await;
    let router = TestRouter::start(&["--backend", &node.url]).await.with_backends(1).await;
    let absent = router.admin.post("/demo-load", &[], &json!({"seconds": 1})).await;
    assert_eq!((absent.status, absent.code().as_str()), (StatusCode::NOT_FOUND, "not_embedded"));
    assert_eq!(router.admin.get("/demo-load").await.status, StatusCode::METHOD_NOT_ALLOWED);
    let elsewhere = router.client.post("/demo-load", &[], &chat_body(MODEL, "x")).await;
    assert_eq!(elsewhere.status, StatusCode::NOT_FOUND, "it is for operators");

    let embedded = TestRouter::start_embedded(&[]).await.with_backends(1).await;
    let bad = embedded.admin.post("/demo-load", &[], &json!({"seconds": 21})).await;
    assert_eq!((bad.status, &bad.json()["error"]["param"]), (StatusCode::BAD_REQUEST, &json!("seconds")));
}
