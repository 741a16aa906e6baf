//! Fair sharing: a tenant that floods the fleet takes nothing from one that asks for a tenth of it.

use http::StatusCode;
use std::time::Duration;
use tidegate_tests::client::{Client, chat_body};
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};
use tidegate_tests::redis::RedisServer;
use tidegate_tests::router::TestRouter;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

const SLOTS: u32 = 2;
/// Time that each request takes: ten a second are all that the fleet can do.
const TAKES: Duration = Duration::from_millis(200);
const LASTS: Duration = Duration::from_secs(20);

/// Asks at a steady pace, whatever comes of it; requests, and those of them that were answered.
async fn asks(client: Client, key: String, every: Duration) -> (u64, u64) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut asked = JoinSet::new();
    let sending = async {
        loop {
            ticks.tick().await;
            let (client, bearer) = (client.clone(), format!("Bearer {key}"));
            asked.spawn(async move {
                let headers = [("authorization", bearer.as_str())];
                client.post("/v1/chat/completions", &headers, &chat_body(MODEL, "x")).await.status
            });
        }
    };
    let _over = tokio::time::timeout(LASTS, sending).await;
    let statuses = asked.join_all().await;
    let answered = statuses.iter().filter(|status| **status == StatusCode::OK).count();
    (statuses.len() as u64, answered as u64)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_asks_for_a_tenth_gets_it_beside_one_that_asks_for_ten_times_the_fleet() {
    let (file, redis) = (super::keys::KeyFile::new(), RedisServer::start().await);
    let (few, many) = (file.make(&["--tenant", "few"]), file.make(&["--tenant", "many"]));
    let node = FakeNode::start(SLOTS, Plan::Answer(TAKES)).await;
    node.register(&redis.url, "tidegate").await;
    let flags = [
        "--redis-url",
        &redis.url,
        "--redis-timeout",
        "5",
        "--max-queue-size",
        "20",
        "--api-keys-file",
        file.path(),
    ];
    let one = TestRouter::start(&flags).await.with_backends(1).await;
    let two = TestRouter::start(&flags).await.with_backends(1).await;
    let ((small, got), (flood, served)) = tokio::join!(
        asks(one.client.clone(), few, Duration::from_secs(1)),
        asks(two.client.clone(), many, Duration::from_millis(10)),
    );
    println!("{got} of {small} answered beside {served} of {flood}");
    assert!(flood > 9 * 100 * LASTS.as_secs() / 10, "it is a flood: {flood}");
    assert!(100 * got >= 95 * small, "{got} of {small}");
    assert!(got + served >= 8 * LASTS.as_secs(), "nothing of the fleet lies idle: {got} and {served}");
    one.until_counts(&[("running", 0), ("abandoned", 0), ("queued", 0)]).await;
}
