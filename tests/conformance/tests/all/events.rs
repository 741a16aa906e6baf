//! Streams pass byte for byte, however they are cut into pieces.

use bytes::Bytes;
use std::time::Duration;
use tidegate_conformance::client::chat;
use tidegate_conformance::message::Message;
use tidegate_conformance::scene::{MODEL, Router};
use tidegate_conformance::upstream::{LAST, STREAM, Step, chunk};

/// Two events with characters of two, three and four bytes, a comment, an event of several lines, and the end.
const EVENTS: &str =
    "data: {\"text\":\"é€😀\"}\n\n: a comment\n\nevent: x\ndata: {\"a\":\ndata: 1}\n\ndata: [DONE]\n\n";

async fn streamed(router: &Router) -> Message {
    router.ask(chat(MODEL, "", true)).await
}

#[tokio::test]
async fn a_stream_may_be_cut_anywhere() {
    let (upstream, router) = Router::one(&[]).await;
    for cut in 1..EVENTS.len() {
        let (first, second) = EVENTS.as_bytes().split_at(cut);
        let pieces = [Bytes::from(STREAM), chunk(first), chunk(second), Bytes::from_static(LAST)];
        upstream.answer(pieces.map(Step::Send).to_vec());
        let answer = streamed(&router).await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, EVENTS), "cut at {cut}");
    }
    router.until_idle().await;
}

#[tokio::test]
async fn one_byte_at_a_time_is_a_stream_too() {
    let (upstream, router) = Router::one(&[]).await;
    let mut steps = vec![Step::send(STREAM)];
    for byte in EVENTS.as_bytes() {
        steps.extend([Step::Send(chunk(&[*byte])), Step::Pause(Duration::from_millis(1))]);
    }
    steps.push(Step::Send(Bytes::from_static(LAST)));
    upstream.answer(steps);
    assert_eq!(streamed(&router).await.text(), EVENTS);
}

#[tokio::test]
async fn many_events_in_one_write_arrive_all() {
    let (upstream, router) = Router::one(&[]).await;
    let events: String = (0..500).map(|number| format!("data: {{\"number\":{number}}}\n\n")).collect();
    let mut all = STREAM.as_bytes().to_vec();
    all.extend_from_slice(&chunk(events.as_bytes()));
    all.extend_from_slice(LAST);
    upstream.answer(vec![Step::Send(all.into())]);
    assert_eq!(streamed(&router).await.text(), events);
}

#[tokio::test]
async fn an_event_of_a_megabyte_passes() {
    let (upstream, router) = Router::one(&[]).await;
    let event = format!("data: {{\"text\":\"{}\"}}\n\n", "ü".repeat(1 << 19));
    let pieces = [Bytes::from(STREAM), chunk(event.as_bytes()), Bytes::from_static(LAST)];
    upstream.answer(pieces.map(Step::Send).to_vec());
    let answer = streamed(&router).await;
    assert!(answer.text() == event, "{} bytes of {}", answer.body.len(), event.len());
}

/// A piece goes on at once: the client has each event while the backend has not sent the next one.
#[tokio::test]
async fn nothing_is_held_back() {
    let (upstream, router) = Router::one(&[]).await;
    upstream.answer(vec![Step::send(STREAM), Step::Send(chunk(b"data: 1\n\n")), Step::Hold]);
    let mut client = router.connect().await;
    client.send(chat(MODEL, "", true)).await;
    let head = client.head().await;
    assert_eq!((head.header("content-type"), head.header("x-accel-buffering")), ("text/event-stream", "no"));
    assert_eq!(client.chunk().await, "data: 1\n\n");
    drop(client);
    upstream.closed(1).await;
    router.until_idle().await;
}

#[tokio::test]
async fn a_stream_that_ends_with_its_connection_is_whole() {
    let (upstream, router) = Router::one(&[]).await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    upstream.answer(vec![Step::send(head), Step::send(EVENTS), Step::Close]);
    assert_eq!(streamed(&router).await.text(), EVENTS);
    router.until_idle().await;
}

/// Trailers belong to the hop: they are read to their end, and the answer and its connection stay good.
#[tokio::test]
async fn trailers_end_an_answer_like_any_other() {
    let (upstream, router) = Router::one(&[]).await;
    let end = "0\r\nx-own: 1\r\nserver-timing: total;dur=1\r\n\r\n";
    upstream.answer(vec![Step::send(STREAM), Step::Send(chunk(EVENTS.as_bytes())), Step::send(end)]);
    let mut client = router.connect().await;
    for _ in 0..2 {
        client.send(chat(MODEL, "te: trailers\r\nconnection: te\r\n", true)).await;
        assert_eq!(client.answer().await.text(), EVENTS);
    }
    router.until_idle().await;
}
