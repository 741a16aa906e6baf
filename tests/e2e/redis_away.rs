//! Redis goes away under load and comes back: two routers go on with their shares, and the account is exact again after it.

use futures_util::future::join_all;
use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::Value;
use std::time::Duration;
use tidegate_tests::client::{Answer, Client};
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};
use tidegate_tests::redis::RedisServer;
use tidegate_tests::router::TestRouter;
use tidegate_tests::wait;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Slots of the one backend: an even number, so that two routers get half of them each.
const SLOTS: u32 = 4;
const NOTHING: [(&str, u64); 3] = [("running", 0), ("abandoned", 0), ("queued", 0)];
/// Every request that finds room may wait, and nothing is refused before the queue is full.
const STEADY: [&str; 8] = [
    "--max-queue-size",
    "4",
    "--queue-rejection-threshold",
    "1",
    "--vllm-rejection-threshold",
    "1",
    "--wait-share",
    "1",
];

/// A Redis, a backend that is registered in it, and two routers that know of each other.
struct Scene {
    redis: RedisServer,
    node: FakeNode,
    routers: [TestRouter; 2],
}

impl Scene {
    async fn start(plan: Plan, flags: &[&str]) -> Self {
        let redis = RedisServer::start().await;
        let node = FakeNode::start(SLOTS, plan).await;
        node.register(&redis.url, "tidegate").await;
        // A stopped Redis is found out, and a busy machine is not taken for one.
        let all =
            [&["--redis-url", redis.url.as_str(), "--redis-timeout", "0.2"], &STEADY[..], flags].concat();
        let routers = [
            TestRouter::start(&all).await.with_backends(1).await,
            TestRouter::start(&all).await.with_backends(1).await,
        ];
        let scene = Self { redis, node, routers };
        scene.until_acquainted().await;
        scene
    }

    /// Waits until each router has been told of the other, which is at the first renewal after both are there.
    async fn until_acquainted(&self) {
        let both = |fleet: &Value| fleet["routers"].as_array().is_some_and(|routers| routers.len() == 2);
        wait::until("both routers are there", || async {
            both(&self.routers[0].fleet().await).then_some(())
        })
        .await;
        let there = Instant::now();
        wait::until("both have renewed their leases since", || async {
            let since = u64::try_from(there.elapsed().as_millis()).unwrap();
            let fleet = self.routers[0].fleet().await;
            let ages = fleet["routers"].as_array()?.iter().map(|router| router["age_ms"].as_u64());
            ages.into_iter().all(|age| age.is_some_and(|age| age < since)).then_some(())
        })
        .await;
    }

    /// Waits until both routers say that their ledger is `mode`.
    async fn until_ledger(&self, mode: &str) {
        for router in &self.routers {
            wait::until(&format!("the ledger is '{mode}'"), || async {
                (router.fleet().await["ledger"] == mode).then_some(())
            })
            .await;
        }
    }

    async fn until_counts(&self, expected: &[(&str, u64)]) {
        for router in &self.routers {
            router.until_counts(expected).await;
        }
    }
}

/// Sends a chat every 40 ms to one router until it is told to stop; gives all answers.
fn keep_asking(client: &Client, stop: &CancellationToken) -> JoinHandle<Vec<Answer>> {
    let (client, stop) = (client.clone(), stop.clone());
    tokio::spawn(async move {
        let (mut chats, mut ticks) = (Vec::new(), tokio::time::interval(Duration::from_millis(40)));
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let client = client.clone();
            chats.push(tokio::spawn(async move { client.chat(MODEL, "x").await }));
        }
        join_all(chats).await.into_iter().map(Result::unwrap).collect()
    })
}

/// As many chats at once at one router.
fn ask_at_once(client: &Client, many: usize) -> Vec<JoinHandle<Answer>> {
    let chats = (0..many).map(|_| client.clone());
    chats.map(|client| tokio::spawn(async move { client.chat(MODEL, "x").await })).collect()
}

fn count_of(answers: &[Answer], status: StatusCode) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

/// The load is half of what the backend can do, so that each router's share is enough for its part.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_load_it_costs_no_request_its_answer() {
    let mut scene = Scene::start(Plan::Answer(Duration::from_millis(40)), &[]).await;
    let stop = CancellationToken::new();
    let asking = scene.routers.each_ref().map(|router| keep_asking(&router.client, &stop));
    scene.redis.kill();
    scene.until_ledger("degraded").await;
    for router in &scene.routers {
        assert_eq!(router.client.get("/health").await.json()["status"], "degraded");
        assert_eq!(router.client.get("/readyz").await.status, StatusCode::OK);
        router.until_counts(&[("slots", u64::from(SLOTS) / 2)]).await;
    }
    let served = scene.node.seen();
    wait::until("requests go on", || async { (scene.node.seen() > served + 20).then_some(()) }).await;
    scene.redis.start_again().await;
    scene.until_ledger("redis").await;
    let served = scene.node.seen();
    wait::until("requests go on", || async { (scene.node.seen() > served + 20).then_some(()) }).await;
    stop.cancel();
    let [one, two] = asking;
    let answers = [one.await.unwrap(), two.await.unwrap()].concat();
    let (good, refused) =
        (count_of(&answers, StatusCode::OK), count_of(&answers, StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(good + refused, answers.len(), "{:?}", answers.iter().map(|a| a.status).collect::<Vec<_>>());
    assert_eq!(scene.node.seen(), good as u64, "each answer came from one run");
    assert!(scene.node.most_running() <= SLOTS as usize);
    scene.until_counts(&[("slots", u64::from(SLOTS))]).await;
    scene.until_counts(&NOTHING).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_two_routers_fill_the_fleet_and_no_more_and_hand_over_what_they_hold() {
    let mut scene = Scene::start(Plan::Stream(1, Duration::from_millis(10)), &[]).await;
    scene.redis.kill();
    scene.until_ledger("degraded").await;
    scene.node.plan(Plan::Answer(Duration::from_secs(20)));
    let mut asking = Vec::new();
    for router in &scene.routers {
        asking.extend(ask_at_once(&router.client, 10));
        router.until_counts(&[("running", 2), ("queued", 2), ("slots", 2)]).await;
    }
    let refused = |asking: &[JoinHandle<Answer>]| asking.iter().filter(|chat| chat.is_finished()).count();
    wait::until("the others are refused", || async { (refused(&asking) == 12).then_some(()) }).await;
    assert_eq!(scene.node.running(), SLOTS as usize);
    scene.redis.start_again().await;
    scene.until_ledger("redis").await;
    scene.until_counts(&[("running", 4), ("queued", 4), ("slots", 4)]).await;
    assert_eq!(scene.routers[0].client.chat(MODEL, "x").await.code(), "queue_full");
    for chat in asking {
        if chat.is_finished() {
            assert_eq!(chat.await.unwrap().code(), "queue_full");
        } else {
            chat.abort();
        }
    }
    scene.until_counts(&NOTHING).await;
    assert_eq!(scene.node.running(), 0);
    assert_eq!(scene.node.seen(), u64::from(SLOTS), "who waited was not sent, and nothing was sent twice");
}

/// Five seconds and more, so that every lease in it has run out when it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_for_five_seconds_it_goes_on_with_the_right_counts() {
    let scene = Scene::start(Plan::Answer(Duration::from_millis(40)), &[]).await;
    let stop = CancellationToken::new();
    let asking = scene.routers.each_ref().map(|router| keep_asking(&router.client, &stop));
    scene.redis.signal("STOP");
    let stopped = Instant::now();
    scene.until_ledger("degraded").await;
    wait::until("five seconds have passed, all the time with requests", || async {
        (stopped.elapsed() >= Duration::from_secs(5)).then_some(())
    })
    .await;
    scene.redis.signal("CONT");
    scene.until_ledger("redis").await;
    let served = scene.node.seen();
    wait::until("requests go on", || async { (scene.node.seen() > served + 20).then_some(()) }).await;
    stop.cancel();
    let [one, two] = asking;
    let answers = [one.await.unwrap(), two.await.unwrap()].concat();
    let (good, refused) =
        (count_of(&answers, StatusCode::OK), count_of(&answers, StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(good + refused, answers.len(), "{:?}", answers.iter().map(|a| a.status).collect::<Vec<_>>());
    assert!(good > 100, "{good} of {}", answers.len());
    assert!(scene.node.most_running() <= SLOTS as usize);
    scene.until_counts(&[("slots", u64::from(SLOTS))]).await;
    scene.until_counts(&NOTHING).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closed_refuses_while_it_is_away_and_what_runs_goes_on() {
    let flags = ["--on-redis-loss", "closed"];
    let mut scene = Scene::start(Plan::Stream(u32::MAX, Duration::from_millis(10)), &flags).await;
    let running = scene.routers[0].client.open_stream(MODEL, "x").await;
    assert_eq!(running.status(), StatusCode::OK);
    scene.redis.kill();
    scene.until_ledger("degraded").await;
    for router in &scene.routers {
        let refused = router.client.chat(MODEL, "x").await;
        assert_eq!(
            (refused.status, refused.code().as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "ledger_unavailable")
        );
        assert_eq!(refused.header("x-tidegate-reason"), "ledger_unavailable");
        assert!(!refused.header("retry-after").is_empty());
        assert_eq!(router.client.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(router.client.get("/livez").await.status, StatusCode::OK);
        assert_eq!(router.client.get("/health").await.json()["status"], "degraded");
    }
    scene.redis.start_again().await;
    scene.until_ledger("redis").await;
    scene.until_counts(&[("running", 1), ("slots", u64::from(SLOTS))]).await;
    for router in &scene.routers {
        assert_eq!(router.client.get("/readyz").await.status, StatusCode::OK);
    }
    scene.node.end_streams();
    whole(running).await;
    assert_eq!(scene.routers[1].client.open_stream(MODEL, "x").await.status(), StatusCode::OK);
    scene.until_counts(&NOTHING).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_runs_through_the_outage_keeps_its_slot_and_its_one_answer() {
    let mut scene = Scene::start(Plan::Stream(u32::MAX, Duration::from_millis(10)), &[]).await;
    let stream = scene.routers[0].client.open_stream(MODEL, "x").await;
    assert_eq!(stream.status(), StatusCode::OK);
    scene.until_counts(&[("running", 1)]).await;
    scene.redis.kill();
    scene.until_ledger("degraded").await;
    scene.routers[0].until_counts(&[("running", 1), ("slots", 2)]).await;
    scene.routers[1].until_counts(&[("running", 0), ("slots", 2)]).await;
    scene.redis.start_again().await;
    scene.until_ledger("redis").await;
    scene.until_counts(&[("running", 1), ("slots", u64::from(SLOTS))]).await;
    assert_eq!(scene.node.running(), 1);
    scene.node.end_streams();
    assert!(whole(stream).await > 0);
    assert_eq!(scene.node.seen(), 1);
    scene.until_counts(&NOTHING).await;
}

/// Reads a stream to its end: every event once and in its order, then the end, once. Gives the number of events.
async fn whole(stream: http::Response<hyper::body::Incoming>) -> usize {
    let bytes = stream.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let events: Vec<&str> = text.split_terminator("\n\n").filter(|event| !event.starts_with(':')).collect();
    let (last, numbered) = events.split_last().unwrap();
    assert_eq!(*last, "data: [DONE]");
    for (number, event) in numbered.iter().enumerate() {
        assert_eq!(*event, format!("data: {{\"number\": {number}}}"));
    }
    numbered.len()
}
