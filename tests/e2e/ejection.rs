//! Backends that fail are left out and tried again; requests that they did not take are sent elsewhere, within a budget.

use http::StatusCode;
use std::time::Duration;
use tidegate_tests::client::Client;
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};
use tidegate_tests::redis::{RedisServer, free_port};
use tidegate_tests::router::TestRouter;
use tidegate_tests::wait;

const AT_ONCE: Plan = Plan::Answer(Duration::ZERO);

/// The state of a backend in `/fleet`.
async fn state(router: &TestRouter, node: &FakeNode) -> String {
    let fleet = router.fleet().await;
    let backends = fleet["pools"][0]["backends"].as_array().cloned().unwrap_or_default();
    let found = backends.iter().find(|backend| backend["url"] == node.url.as_str());
    found.and_then(|backend| backend["state"].as_str()).unwrap_or("unknown").to_owned()
}

/// Waits for a state while requests flow, all of which must succeed.
async fn served_until(router: &TestRouter, node: &FakeNode, wanted: &str) {
    wait::until(&format!("the backend is {wanted}"), || async {
        assert_eq!(router.client.chat(MODEL, "x").await.status, StatusCode::OK);
        (state(router, node).await == wanted).then_some(())
    })
    .await;
}

async fn metric(client: &Client, line: &str) -> f64 {
    let text = client.get("/metrics").await.text;
    let found = text.lines().find_map(|each| each.strip_prefix(line)?.trim().parse().ok());
    assert!(found.is_some(), "{line} is not in {text}");
    found.unwrap()
}

#[tokio::test]
async fn a_backend_that_fails_is_left_out_then_tried_and_taken_back() {
    let (bad, good) = (FakeNode::start(8, Plan::Fail).await, FakeNode::start(8, AT_ONCE).await);
    let flags = ["--backend", &bad.url, "--backend", &good.url, "--balance", "round-robin"];
    let router = TestRouter::start(&flags).await.with_backends(2).await;
    wait::until("the backend is ejected", || async {
        router.client.chat(MODEL, "x").await;
        (state(&router, &bad).await == "ejected").then_some(())
    })
    .await;
    assert_eq!(bad.seen(), 5, "failures in a row");
    router.until_counts(&[("slots", 8), ("running", 0), ("abandoned", 0)]).await;
    let ejections = format!("tidegate:backend_ejections_total{{backend=\"{}\",pool=\"{MODEL}\"}}", bad.url);
    assert_eq!(metric(&router.admin, &ejections).await, 1.0);
    let ejected = format!("tidegate:pool_backends{{state=\"ejected\",pool=\"{MODEL}\"}}");
    assert_eq!(metric(&router.admin, &ejected).await, 1.0);
    for _ in 0..20 {
        assert_eq!(router.client.chat(MODEL, "x").await.status, StatusCode::OK);
    }
    assert_eq!(bad.seen(), 5, "nothing goes there");
    bad.plan(AT_ONCE);
    served_until(&router, &bad, "live").await;
    router.until_counts(&[("slots", 16)]).await;
}

#[tokio::test]
async fn a_trial_that_fails_begins_the_next_pause_after_one_request() {
    let (bad, good) = (FakeNode::start(8, Plan::Fail).await, FakeNode::start(8, AT_ONCE).await);
    let flags = ["--backend", &bad.url, "--backend", &good.url, "--balance", "round-robin"];
    let router = TestRouter::start(&flags).await.with_backends(2).await;
    wait::until("the backend is ejected", || async {
        router.client.chat(MODEL, "x").await;
        (state(&router, &bad).await == "ejected").then_some(())
    })
    .await;
    wait::until("the backend was tried", || async {
        futures_util::future::join_all((0..4).map(|_| router.client.chat(MODEL, "x"))).await;
        (bad.seen() > 5).then_some(())
    })
    .await;
    assert_eq!(state(&router, &bad).await, "ejected");
    for _ in 0..20 {
        assert_eq!(router.client.chat(MODEL, "x").await.status, StatusCode::OK);
    }
    assert_eq!(bad.seen(), 6, "one request at a time");
}

#[tokio::test]
async fn the_last_backend_is_never_left_out() {
    let node = FakeNode::start(2, Plan::Fail).await;
    let router = TestRouter::start(&["--backend", &node.url]).await.with_backends(1).await;
    for _ in 0..30 {
        assert_eq!(router.client.chat(MODEL, "x").await.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
    assert_eq!((node.seen(), state(&router, &node).await.as_str()), (30, "live"));
}

#[tokio::test]
async fn a_backend_that_is_busy_does_not_fail() {
    for busy in [Plan::Refuse("concurrency"), Plan::Refuse("loading"), Plan::Status(429), Plan::Status(504)] {
        let (node, good) = (FakeNode::start(8, busy).await, FakeNode::start(8, AT_ONCE).await);
        let flags = ["--backend", &node.url, "--backend", &good.url, "--balance", "round-robin"];
        let router = TestRouter::start(&flags).await.with_backends(2).await;
        wait::until("the busy backend was asked often", || async {
            router.client.chat(MODEL, "x").await;
            (node.seen() >= 12).then_some(())
        })
        .await;
        assert_eq!(state(&router, &node).await, "live", "{busy:?}");
    }
}

#[tokio::test]
async fn streams_that_break_off_eject_a_backend_whose_answers_begin_well() {
    let (bad, good) = (FakeNode::start(8, Plan::Break).await, FakeNode::start(8, AT_ONCE).await);
    let flags = ["--backend", &bad.url, "--backend", &good.url, "--balance", "round-robin"];
    let router = TestRouter::start(&flags).await.with_backends(2).await;
    wait::until("the backend is ejected", || async {
        let stream = router.client.open_stream(MODEL, "x").await;
        let _broken = http_body_util::BodyExt::collect(stream.into_body()).await;
        (state(&router, &bad).await == "ejected").then_some(())
    })
    .await;
    assert_eq!(bad.seen(), 10);
}

/// Its registration says that it lives, but no connection can be made.
#[tokio::test]
async fn a_registered_backend_that_cannot_be_reached_costs_no_request() {
    let redis = RedisServer::start().await;
    let good = FakeNode::start(8, AT_ONCE).await;
    good.register(&redis.url, "tidegate").await;
    let away = FakeNode::start(8, AT_ONCE).await;
    away.register_at(&format!("http://127.0.0.1:{}", free_port()), &redis.url, "tidegate").await;
    let flags = ["--redis-url", &redis.url, "--balance", "round-robin"];
    let router = TestRouter::start(&flags).await.with_backends(2).await;
    wait::until("the backend is ejected", || async {
        assert_eq!(router.client.chat(MODEL, "x").await.status, StatusCode::OK);
        router.fleet().await.to_string().contains("\"ejected\"").then_some(())
    })
    .await;
    router.until_counts(&[("slots", 8), ("running", 0), ("queued", 0)]).await;
}

/// What one router has found out costs the other nothing, and either may find out that the backend is well again.
#[tokio::test]
async fn routers_share_their_verdicts() {
    let redis = RedisServer::start().await;
    let (bad, good) = (FakeNode::start(8, Plan::Fail).await, FakeNode::start(8, AT_ONCE).await);
    bad.register(&redis.url, "tidegate").await;
    good.register(&redis.url, "tidegate").await;
    let flags = ["--redis-url", &redis.url, "--balance", "round-robin"];
    let one = TestRouter::start(&flags).await.with_backends(2).await;
    let two = TestRouter::start(&flags).await.with_backends(2).await;
    wait::until("the first router ejects it", || async {
        one.client.chat(MODEL, "x").await;
        (state(&one, &bad).await == "ejected").then_some(())
    })
    .await;
    wait::until("the second one knows", || async { (state(&two, &bad).await == "ejected").then_some(()) })
        .await;
    two.until_counts(&[("slots", 8)]).await;
    bad.plan(AT_ONCE);
    served_until(&two, &bad, "live").await;
    wait::until("the first one knows", || async { (state(&one, &bad).await == "live").then_some(()) }).await;
    one.until_counts(&[("slots", 16)]).await;
}

#[tokio::test]
async fn no_more_than_a_part_of_the_requests_is_sent_again() {
    let (busy, good) = (FakeNode::start(8, Plan::Refuse("loading")).await, FakeNode::start(8, AT_ONCE).await);
    let flags = ["--backend", &busy.url, "--backend", &good.url, "--balance", "round-robin"];
    let router = TestRouter::start(&flags).await.with_backends(2).await;
    let mut answers = Vec::new();
    for _ in 0..500 {
        answers.push(router.client.chat(MODEL, "x").await);
    }
    let failed: Vec<usize> = (0..answers.len()).filter(|at| answers[*at].status != StatusCode::OK).collect();
    // The floor of a hundred and a fifth of what came before are spent by every second request.
    assert!(failed.first().is_some_and(|first| *first >= 300), "{failed:?}");
    for at in &failed {
        let answer = &answers[*at];
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_GATEWAY, "backend_error"));
        assert!(answer.text.contains("too many requests have been sent"), "{}", answer.text);
    }
    let denied = format!("tidegate:backend_retries_denied_total{{pool=\"{MODEL}\"}}");
    assert_eq!(metric(&router.admin, &denied).await, failed.len() as f64);
    router.until_counts(&[("running", 0), ("queued", 0), ("abandoned", 0)]).await;
}
