//! Collectors that are away, silent or overloaded: they lose no request and hold none up; and what waits is sent at the end.

use super::scene::{Parent, Protocol, Router, variables};
use std::time::Duration;
use tidegate_tests::collector::{Collector, Manner};
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};
use tidegate_tests::redis::free_port;
use tidegate_tests::wait;
use tokio::time::Instant;

/// Requests of a round: their spans are more than the exporter's queue holds.
const REQUESTS: usize = 1000;
/// Requests at once.
const AT_ONCE: usize = 20;

/// A round of requests, all of which must be served; gives how long it took.
async fn round(router: &Router) -> Duration {
    let begun = Instant::now();
    for _ in 0..REQUESTS / AT_ONCE {
        let parents: Vec<Parent> = (0..AT_ONCE).map(|_| Parent::new()).collect();
        let chats = parents.iter().map(|parent| router.chat(parent, MODEL, "x"));
        for answer in futures_util::future::join_all(chats).await {
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
    }
    begun.elapsed()
}

/// Serves a round with `variables`, ends, and gives what was said.
async fn served(node: &FakeNode, variables: &[(String, String)]) -> String {
    let mut router = Router::start(&["--backend", &node.url], variables, 1).await;
    round(&router).await;
    router.process.signal("TERM");
    assert!(router.process.ended().await.success(), "{}", router.process.output());
    router.process.output()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_away_loses_no_request_and_is_said_once() {
    let node = FakeNode::start(AT_ONCE as u32, Plan::Answer(Duration::ZERO)).await;
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let mut away = variables(&Collector::start().await, protocol);
        away[0].1 = format!("http://127.0.0.1:{}", free_port());
        let output = served(&node, &away).await;
        assert_eq!(output.matches("the collector does not take traces").count(), 1, "{protocol:?}: {output}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_never_answers_holds_up_neither_requests_nor_the_end() {
    let node = FakeNode::start(AT_ONCE as u32, Plan::Answer(Duration::ZERO)).await;
    let collector = Collector::with(Manner::Silent, None).await;
    for protocol in [Protocol::Grpc, Protocol::Http] {
        // The end waits three seconds for what is left; `served` waits ten for the end.
        served(&node, &variables(&collector, protocol)).await;
    }
    assert!(collector.exports() >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_cannot_take_them_now_gets_them_again() {
    let node = FakeNode::start(1, Plan::Answer(Duration::ZERO)).await;
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let collector = Collector::with(Manner::Unavailable, Some(2)).await;
        let router = Router::start(&["--backend", &node.url], &variables(&collector, protocol), 1).await;
        let parent = Parent::new();
        router.chat(&parent, MODEL, "x").await;
        assert_eq!(collector.trace(&parent.trace, 3).await.len(), 3, "{protocol:?}");
        assert!(collector.exports() >= 3, "{protocol:?}: {}", collector.exports());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_sent_yet_is_sent_at_the_end_by_either_signal() {
    let node = FakeNode::start(1, Plan::Answer(Duration::ZERO)).await;
    for signal in ["TERM", "INT"] {
        let collector = Collector::start().await;
        let mut rarely = variables(&collector, Protocol::Http);
        rarely[2].1 = "3600000".to_owned();
        let mut router = Router::start(&["--backend", &node.url], &rarely, 1).await;
        let parent = Parent::new();
        router.chat(&parent, MODEL, "x").await;
        // The line is written when the last span has ended.
        router.access_lines(1).await;
        assert_eq!(collector.exports(), 0);
        router.process.signal(signal);
        assert!(router.process.ended().await.success(), "{}", router.process.output());
        wait::until("the spans", || async { (collector.spans().len() == 3).then_some(()) }).await;
    }
}
