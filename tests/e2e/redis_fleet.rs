//! Two routers, one Redis, backends that register themselves: one queue, one limit.

use http::{StatusCode, Version};
use std::time::Duration;
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};
use tidegate_tests::redis::RedisServer;
use tidegate_tests::router::TestRouter;
use tidegate_tests::wait;

async fn routers(redis: &RedisServer, flags: &[&str]) -> [TestRouter; 2] {
    let all = [&["--redis-url", redis.url.as_str()], flags].concat();
    [
        TestRouter::start(&all).await.with_backends(1).await,
        TestRouter::start(&all).await.with_backends(1).await,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_routers_share_slots_and_queue() {
    let redis = RedisServer::start().await;
    let node = FakeNode::start(2, Plan::Answer(Duration::from_secs(20))).await;
    node.register(&redis.url, "tidegate").await;
    let flags =
        ["--max-queue-size", "4", "--queue-rejection-threshold", "1", "--vllm-rejection-threshold", "1"];
    let [one, two] = routers(&redis, &flags).await;
    let asking: Vec<_> = (0..6)
        .map(|number| {
            let client = if number % 2 == 0 { one.client.clone() } else { two.client.clone() };
            tokio::spawn(async move { client.chat(MODEL, "x").await })
        })
        .collect();
    for router in [&one, &two] {
        router.until_counts(&[("running", 2), ("queued", 4)]).await;
        let refused = router.client.chat(MODEL, "x").await;
        assert_eq!((refused.status, refused.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "queue_full"));
    }
    assert_eq!(one.fleet().await["routers"].as_array().map(Vec::len), Some(2));
    for task in asking {
        task.abort();
    }
    one.until_counts(&[("running", 0), ("abandoned", 0), ("queued", 0)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_frees_on_one_router_serves_a_ticket_of_the_other() {
    let redis = RedisServer::start().await;
    let node = FakeNode::start(1, Plan::Answer(Duration::from_millis(50))).await;
    node.register(&redis.url, "tidegate").await;
    let [one, two] = routers(&redis, &["--wait-share", "1"]).await;
    let chats = (0..20).map(|number| {
        let client = if number % 2 == 0 { one.client.clone() } else { two.client.clone() };
        tokio::spawn(async move { client.chat(MODEL, "x").await.status })
    });
    let answers: Vec<_> =
        futures_util::future::join_all(chats).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, vec![StatusCode::OK; 20]);
    assert_eq!(node.most_running(), 1);
    two.until_counts(&[("running", 0), ("abandoned", 0), ("queued", 0)]).await;
}

/// A router that ends says what becomes of all that it cuts: nobody waits for its lease, which is ten seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_drain_cuts_is_free_for_the_other_router_at_once() {
    let redis = RedisServer::start().await;
    let node = FakeNode::start(8, Plan::Stream(1000, Duration::from_millis(20))).await;
    node.register(&redis.url, "tidegate").await;
    let [one, two] = routers(&redis, &["--drain-timeout", "0.2"]).await;
    let streams: Vec<_> = (0..8).map(|_| one.client.open_stream(MODEL, "x")).collect();
    let streams = futures_util::future::join_all(streams).await;
    two.until_counts(&[("running", 8)]).await;
    one.begin_drain();
    assert!(one.ended().await.is_err(), "streams had to be cut");
    let cut = tokio::time::Instant::now();
    two.until_counts(&[("running", 0), ("abandoned", 0)]).await;
    assert!(cut.elapsed() < Duration::from_secs(4), "free after {:?}", cut.elapsed());
    drop(streams);
}

/// Where Redis has come back empty, a router that starts just then meets the backends one by one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_that_has_just_started_does_not_say_that_a_model_does_not_exist() {
    let redis = RedisServer::start().await;
    let node = FakeNode::start(1, Plan::Answer(Duration::from_millis(5))).await;
    node.register(&redis.url, "tidegate").await;
    let router = TestRouter::start(&["--redis-url", &redis.url]).await;
    let early = router.client.chat("late", "x").await;
    assert_eq!((early.status, early.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "no_backend"));
    assert!(!early.header("retry-after").is_empty());
    wait::until("the model does not exist", || async {
        let later = router.client.chat("late", "x").await;
        (later.status == StatusCode::NOT_FOUND && later.code() == "model_not_found").then_some(())
    })
    .await;
}

/// What a backend registers says nothing of protocols: the router's flag does, for requests and for questions about given-up work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backends_that_register_themselves_are_spoken_to_as_the_flag_says() {
    let redis = RedisServer::start().await;
    let node = FakeNode::start(2, Plan::Answer(Duration::from_millis(5))).await;
    node.register(&redis.url, "tidegate").await;
    for (flag, version) in [(None, Version::HTTP_11), (Some("--backend-http2"), Version::HTTP_2)] {
        let flags: Vec<_> = ["--redis-url", &redis.url].into_iter().chain(flag).collect();
        let router = TestRouter::start(&flags).await.with_backends(1).await;
        node.plan(Plan::Answer(Duration::from_millis(5)));
        assert_eq!(router.client.chat(MODEL, "x").await.status, StatusCode::OK);
        assert_eq!(node.last_version(), version);
        node.plan(Plan::Stream(1000, Duration::from_millis(20)));
        let stream = router.client.open_stream(MODEL, "x").await;
        router.until_counts(&[("running", 1)]).await;
        drop(stream);
        router.until_counts(&[("running", 0), ("abandoned", 0)]).await;
        assert_eq!((node.running(), node.last_version()), (0, version));
    }
}
