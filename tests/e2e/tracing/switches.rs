//! The standard variables: what is sampled, what is switched off, and what passes all the same.

use super::scene::{CHAT, Parent, Protocol, Router, variables};
use std::time::Duration;
use tidegate_tests::client::chat_body;
use tidegate_tests::collector::Collector;
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};

/// A router with these variables more, in front of a node that answers at once.
async fn router(collector: &Collector, more: &[(&str, &str)]) -> (Router, FakeNode) {
    let node = FakeNode::start(1, Plan::Answer(Duration::ZERO)).await;
    let mut all = variables(collector, Protocol::Http);
    all.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    (Router::start(&["--backend", &node.url], &all, 1).await, node)
}

/// Requests of both kinds: one in a client's own trace, then one without a trace. Gives the first one's trace.
async fn two(router: &Router) -> String {
    let parent = Parent::new();
    assert_eq!(router.chat(&parent, MODEL, "x").await.status, 200);
    router.client.post(CHAT, &[], &chat_body(MODEL, "x")).await;
    parent.trace
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_of_nothing_leaves_those_that_clients_sample() {
    let collector = Collector::start().await;
    let sampler = [("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0")];
    let (mut router, node) = router(&collector, &sampler).await;
    let trace = two(&router).await;
    let sent = node.last_headers()["traceparent"].to_str().unwrap().to_owned();
    assert!(sent.ends_with("-00"), "the next process is told that it is not sampled: {sent}");
    router.process.signal("TERM");
    assert!(router.process.ended().await.success());
    let spans = collector.trace(&trace, 3).await;
    assert_eq!((spans.len(), collector.spans().len()), (3, 3), "{:#?}", collector.spans());
    let lines = super::scene::access_lines(&router.process.output());
    assert_eq!(lines[0]["trace_id"], trace);
    assert_eq!(
        lines[1]["trace_id"].as_str(),
        sent.split('-').nth(1),
        "also a trace that is not sampled has an id"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_is_about_a_share_and_always_off_is_off() {
    let collector = Collector::start().await;
    let sampler = [("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.25")];
    let (mut router, _node) = router(&collector, &sampler).await;
    let count = 400;
    for _ in 0..count {
        router.client.post(CHAT, &[], &chat_body(MODEL, "x")).await;
    }
    router.process.signal("TERM");
    assert!(router.process.ended().await.success());
    let traces: std::collections::BTreeSet<String> =
        collector.spans().into_iter().map(|span| span.trace).collect();
    // Five standard deviations of a binomial distribution with a share of 0.25 are 43.
    assert!(traces.len().abs_diff(count / 4) <= 43, "{} of {count}", traces.len());
    assert_eq!(collector.spans().len(), 3 * traces.len(), "whole traces only");

    let collector = Collector::start().await;
    let (mut router, _node) =
        super::switches::router(&collector, &[("OTEL_TRACES_SAMPLER", "always_off")]).await;
    two(&router).await;
    router.process.signal("TERM");
    assert!(router.process.ended().await.success());
    assert!(collector.spans().is_empty(), "{:#?}", collector.spans());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_switched_off_sends_nothing_and_passes_a_clients_context_on() {
    for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
        let collector = Collector::start().await;
        let (mut router, node) = router(&collector, &[off]).await;
        let parent = Parent::new();
        router.chat(&parent, MODEL, "x").await;
        assert_eq!(node.last_headers()["traceparent"].to_str().unwrap(), parent.header(), "{off:?}");
        router.process.signal("TERM");
        assert!(router.process.ended().await.success());
        assert_eq!(collector.exports(), 0, "{off:?}");
        assert!(router.process.output().contains(&parent.trace), "the log knows the client's trace");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_propagators_a_trace_begins_here() {
    let collector = Collector::start().await;
    let (router, _node) = router(&collector, &[("OTEL_PROPAGATORS", "none")]).await;
    let parent = Parent::new();
    router.chat(&parent, MODEL, "x").await;
    let line = router.access_lines(1).await.pop().unwrap();
    let trace = line["trace_id"].as_str().unwrap().to_owned();
    assert_ne!(trace, parent.trace);
    assert_eq!(collector.trace(&trace, 3).await.len(), 3);
}
