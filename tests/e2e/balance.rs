//! Which backend a request gets: by turns, by the prefix of its prompt, by its session; and never at the price of a wait.

use http::StatusCode;
use std::time::Duration;
use tidegate_tests::client::chat_body;
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};
use tidegate_tests::router::TestRouter;

const CHAT: &str = "/v1/chat/completions";
const AT_ONCE: Plan = Plan::Answer(Duration::ZERO);

async fn nodes(many: usize, slots: u32, plan: Plan) -> Vec<FakeNode> {
    let mut nodes = Vec::new();
    for _ in 0..many {
        nodes.push(FakeNode::start(slots, plan).await);
    }
    nodes
}

async fn router(nodes: &[FakeNode], flags: &[&str]) -> TestRouter {
    let backends = nodes.iter().flat_map(|node| ["--backend", node.url.as_str()]);
    let all: Vec<&str> = backends.chain(flags.iter().copied()).collect();
    TestRouter::start(&all).await.with_backends(nodes.len()).await
}

fn seen(nodes: &[FakeNode]) -> Vec<u64> {
    nodes.iter().map(FakeNode::seen).collect()
}

/// Which node a request went to.
async fn went_to(nodes: &[FakeNode], request: impl Future<Output = StatusCode>) -> usize {
    let before = seen(nodes);
    assert_eq!(request.await, StatusCode::OK);
    let after = seen(nodes);
    let served: Vec<usize> = (0..nodes.len()).filter(|at| after[*at] > before[*at]).collect();
    assert_eq!(served.len(), 1, "{before:?} {after:?}");
    served[0]
}

#[tokio::test]
async fn turns_are_taken_one_after_the_other() {
    let nodes = nodes(3, 4, AT_ONCE).await;
    let router = router(&nodes, &["--balance", "round-robin"]).await;
    for _ in 0..30 {
        router.client.chat(MODEL, "x").await;
    }
    assert_eq!(seen(&nodes), [10, 10, 10]);
}

#[tokio::test]
async fn chance_reaches_every_backend() {
    let nodes = nodes(3, 4, AT_ONCE).await;
    let router = router(&nodes, &["--balance", "random"]).await;
    for _ in 0..300 {
        router.client.chat(MODEL, "x").await;
    }
    // Each has a third; six standard deviations are 49.
    assert!(seen(&nodes).iter().all(|seen| (51..=149).contains(seen)), "{:?}", seen(&nodes));
}

#[tokio::test]
async fn prompts_that_begin_alike_go_to_the_backend_that_knows_the_beginning() {
    let nodes = nodes(3, 4, AT_ONCE).await;
    let router = router(&nodes, &["--balance", "prefix"]).await;
    let chat = |beginning: &str, turn: usize| {
        let text = format!("{}{turn}", beginning.repeat(300));
        let client = router.client.clone();
        async move { client.chat(MODEL, &text).await.status }
    };
    // The others run something while each beginning is met for the first time, so that each meets another backend.
    let mut homes = Vec::new();
    let mut held = Vec::new();
    for beginning in ["first ", "second ", "third "] {
        homes.push(went_to(&nodes, chat(beginning, 0)).await);
        nodes.iter().for_each(|node| node.plan(Plan::Stream(u32::MAX, Duration::from_millis(20))));
        held.push(router.client.open_stream(MODEL, &format!("{}held", beginning.repeat(300))).await);
        nodes.iter().for_each(|node| node.plan(AT_ONCE));
    }
    homes.sort_unstable();
    assert_eq!(homes, [0, 1, 2], "each beginning has a backend of its own");
    drop(held);
    router.until_counts(&[("running", 0), ("abandoned", 0)]).await;
    for beginning in ["first ", "second ", "third "] {
        let home = went_to(&nodes, chat(beginning, 1)).await;
        for turn in 2..10 {
            assert_eq!(went_to(&nodes, chat(beginning, turn)).await, home, "{beginning}{turn}");
        }
    }
    let metrics = router.admin.get("/metrics").await.text;
    assert!(metrics.contains("tidegate:backend_preferences_total{outcome=\"met\""), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prefix_that_all_share_does_not_leave_slots_idle() {
    let nodes = nodes(2, 4, Plan::Answer(Duration::from_millis(300))).await;
    let router = router(&nodes, &["--balance", "prefix"]).await;
    let text = "the same system prompt ".repeat(100);
    let chats = (0..8).map(|_| router.client.chat(MODEL, &text));
    let answers = futures_util::future::join_all(chats).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
    assert_eq!(nodes.iter().map(FakeNode::most_running).collect::<Vec<_>>(), [4, 4]);
}

#[tokio::test]
async fn a_session_has_the_same_backend_at_every_router() {
    let nodes = nodes(3, 4, AT_ONCE).await;
    let flags = ["--session-header", "x-session-id", "--balance", "round-robin"];
    let routers = [router(&nodes, &flags).await, router(&nodes, &flags).await];
    let mut homes = [0; 3];
    for session in 0..24 {
        let session = format!("session-{session}");
        let mut of_session = Vec::new();
        for at in 0..6 {
            let client = routers[at % 2].client.clone();
            let session = session.clone();
            let request = async move {
                let headers = [("x-session-id", session.as_str())];
                client.post(CHAT, &headers, &chat_body(MODEL, "x")).await.status
            };
            of_session.push(went_to(&nodes, request).await);
        }
        assert!(of_session.iter().all(|home| *home == of_session[0]), "{session}: {of_session:?}");
        homes[of_session[0]] += 1;
    }
    assert!(homes.iter().filter(|sessions| **sessions > 0).count() >= 2, "{homes:?}");
}
