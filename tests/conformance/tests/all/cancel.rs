//! Clients that leave, in every phase of a request: what they held is free at once, and the backend's connection is closed.

use std::time::Instant;
use tidegate_conformance::client::{Client, chat};
use tidegate_conformance::scene::{MODEL, Router};
use tidegate_conformance::upstream::{STREAM, Step, chunk, now};

/// Hangs up and tells when.
fn hang_up(client: Client) -> Instant {
    drop(client);
    now()
}

#[expect(clippy::print_stdout, reason = "a figure for people: a busy machine must not fail the test")]
fn tell(phase: &str, hung_up: Instant, closed: Instant) {
    println!(
        "{phase}: closed {:.1} ms after the client had gone",
        1e3 * closed.saturating_duration_since(hung_up).as_secs_f64()
    );
}

#[tokio::test]
async fn before_the_first_byte() {
    let (upstream, router) = Router::one(&[]).await;
    upstream.answer(vec![Step::Hold]);
    for stream in [false, true] {
        let mut client = router.connect().await;
        let number = upstream.seen().len() + 1;
        client.send(chat(MODEL, "", stream)).await;
        upstream.asked(number).await;
        let hung_up = hang_up(client);
        tell("before the first byte", hung_up, upstream.closed(number).await);
    }
    router.until_idle().await;
}

#[tokio::test]
async fn after_the_first_byte_of_a_backend_that_has_fallen_silent() {
    let (upstream, router) = Router::one(&[]).await;
    upstream.answer(vec![Step::send(STREAM), Step::Send(chunk(b"data: 1\n\n")), Step::Hold]);
    let mut client = router.connect().await;
    client.send(chat(MODEL, "", true)).await;
    client.head().await;
    client.chunk().await;
    let hung_up = hang_up(client);
    tell("in a stream", hung_up, upstream.closed(1).await);
    router.until_idle().await;
}

#[tokio::test]
async fn in_the_middle_of_an_answer_of_known_length() {
    let (upstream, router) = Router::one(&[]).await;
    upstream.answer(vec![Step::send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"), Step::Hold]);
    let mut client = router.connect().await;
    client.send(chat(MODEL, "", false)).await;
    client.head().await;
    let hung_up = hang_up(client);
    tell("in a whole answer", hung_up, upstream.closed(1).await);
    router.until_idle().await;
}

#[tokio::test]
async fn in_the_queue() {
    let (upstream, router) = Router::one(&["--backend-slots", "1", "--abandon-grace", "0"]).await;
    upstream.answer(vec![Step::Hold]);
    let mut running = router.connect().await;
    running.send(chat(MODEL, "", false)).await;
    upstream.asked(1).await;
    let mut waiting = router.connect().await;
    waiting.send(chat(MODEL, "", true)).await;
    router.until_counts(&[("queued", 1)]).await;
    drop(waiting);
    router.until_counts(&[("queued", 0), ("running", 1)]).await;
    assert_eq!(upstream.seen().len(), 1);
    drop(running);
    router.until_idle().await;
}

#[tokio::test]
async fn while_the_backend_is_being_connected_to() {
    let (upstream, router) = Router::one(&["--connect-timeout", "30", "--abandon-grace", "0"]).await;
    let line = upstream.park().await;
    let mut client = router.connect().await;
    client.send(chat(MODEL, "", false)).await;
    router.until_counts(&[("running", 1)]).await;
    drop(client);
    router.until_idle().await;
    assert!(upstream.seen().is_empty());
    drop(line);
}

#[tokio::test]
async fn while_it_sends_its_request() {
    let (upstream, router) = Router::one(&[]).await;
    let request = chat(MODEL, "", false);
    for cut in (1..request.len()).step_by(7) {
        let mut client = router.connect().await;
        client.send(&request[..cut]).await;
    }
    router.until_idle().await;
    assert!(upstream.seen().is_empty());
    assert_eq!(router.chat().await.status(), 200);
}
