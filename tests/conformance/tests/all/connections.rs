//! HTTP/1.1 connections to a backend: each carries one request after the other, and what ends between two is no failure.

use std::collections::BTreeSet;
use std::time::Duration;
use tidegate_conformance::client::chat;
use tidegate_conformance::scene::{MODEL, Router};
use tidegate_conformance::upstream::{LAST, STREAM, Step, Upstream, chunk, json};

/// A router with one worker: each worker has connections of its own.
async fn one(flags: &[&str]) -> (Upstream, Router) {
    Router::one(&[&["--worker-threads", "1"], flags].concat()).await
}

/// All chats are answered.
async fn chats(router: &Router, count: usize) {
    for _ in 0..count {
        let answer = router.chat().await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, "{}"));
    }
}

/// Connections that carried requests.
fn connections(upstream: &Upstream) -> usize {
    upstream.ports().into_iter().collect::<BTreeSet<_>>().len()
}

/// No backend was taken for one that fails.
async fn without_fault(router: &Router) {
    let metrics = router.admin.get("/metrics").await.text;
    assert!(!metrics.contains("tidegate:backend_errors_total{"), "{metrics}");
}

#[tokio::test]
async fn a_connection_carries_answers_of_every_form_one_after_the_other() {
    let (upstream, router) = one(&[]).await;
    let stream = [STREAM.as_bytes(), &chunk(b"data: [DONE]\n\n")].concat();
    let bare = "HTTP/1.1 204 No Content\r\n\r\n";
    let split = json("{}").split_at(30).0.to_owned();
    let rest = json("{}")[30..].to_owned();
    for steps in [
        vec![Step::send(json("{}"))],
        vec![Step::send(split), Step::Pause(Duration::from_millis(20)), Step::send(rest)],
        vec![
            Step::Send(stream.clone().into()),
            Step::Pause(Duration::from_millis(20)),
            Step::Send(LAST.into()),
        ],
        vec![Step::Send([&stream[..], LAST].concat().into())],
        vec![Step::send(bare)],
        vec![Step::send(json(""))],
    ] {
        upstream.answer(steps);
        for _ in 0..3 {
            let answer = router.ask(chat(MODEL, "", false)).await;
            assert!(matches!(answer.status(), 200 | 204), "{answer:?}");
            router.until_idle().await;
        }
    }
    assert_eq!((upstream.seen().len(), connections(&upstream)), (18, 1), "{:?}", upstream.ports());
    without_fault(&router).await;
}

/// The one that was used last is used again, so that those beyond what is needed fall out of use.
#[tokio::test]
async fn connections_that_are_not_used_are_closed() {
    let (upstream, router) = one(&["--backend-keep-alive", "0.6", "--backend-slots", "8"]).await;
    upstream.answer(vec![Step::Pause(Duration::from_millis(100)), Step::send(json("{}"))]);
    tokio::join!(chats(&router, 1), chats(&router, 1), chats(&router, 1));
    let many = upstream.ports();
    assert_eq!(connections(&upstream), 3, "{many:?}");
    upstream.answer(vec![Step::send(json("{}"))]);
    for _ in 0..15 {
        chats(&router, 1).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let used = upstream.ports()[3..].to_vec();
    assert!(used.iter().all(|port| *port == used[0]), "{used:?}");
    for port in many {
        upstream.left(port).await;
    }
    chats(&router, 1).await;
    assert_eq!(connections(&upstream), 4);
    without_fault(&router).await;
}

/// Whether it says so or not.
#[tokio::test]
async fn a_backend_that_closes_after_each_answer_does_not_fail() {
    let (upstream, router) = one(&[]).await;
    let closing = json("{}").replacen("\r\n", "\r\nconnection: close\r\n", 1);
    for answer in [closing, json("{}")] {
        upstream.answer(vec![Step::send(answer), Step::Close]);
        for _ in 0..20 {
            chats(&router, 1).await;
            // Its end has come as well.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert_eq!((upstream.seen().len(), connections(&upstream)), (40, 40));
    without_fault(&router).await;
}

/// Its connections have all ended, and the router has seen none of it when the next request comes.
#[tokio::test]
async fn a_backend_that_was_replaced_is_reached_anew() {
    let (upstream, router) = one(&["--backend-slots", "8"]).await;
    upstream.answer(vec![
        Step::Pause(Duration::from_millis(100)),
        Step::send(json("{}")),
        Step::Pause(Duration::from_millis(200)),
        Step::Reset,
    ]);
    tokio::join!(chats(&router, 1), chats(&router, 1), chats(&router, 1), chats(&router, 1));
    tokio::time::sleep(Duration::from_millis(400)).await;
    upstream.answer(vec![Step::send(json("{}"))]);
    chats(&router, 3).await;
    assert_eq!(connections(&upstream), 5);
    without_fault(&router).await;
}

/// A backend that has answered need not read the rest of what it was asked; that connection carries nothing more.
#[tokio::test]
async fn a_request_that_is_not_read_to_its_end_costs_its_connection() {
    let (upstream, router) = one(&["--backend-slots", "8"]).await;
    upstream.reads(false);
    // What it reads at last ends where the router gave up.
    upstream.answer(vec![Step::send(json("{}")), Step::Pause(Duration::from_secs(2)), Step::Hold]);
    let large = format!("{{\"model\":\"m\",\"x\":\"{}\"}}", "x".repeat(8 << 20));
    let answer = router.ask(tidegate_conformance::client::post("/v1/chat/completions", "", &large)).await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "{}"));
    upstream.reads(true);
    upstream.answer(vec![Step::send(json("{}"))]);
    chats(&router, 3).await;
    upstream.closed(1).await;
    chats(&router, 3).await;
    assert_eq!((upstream.seen().len(), connections(&upstream)), (7, 2));
    router.until_idle().await;
    without_fault(&router).await;
}
