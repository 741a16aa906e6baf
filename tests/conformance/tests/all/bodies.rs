//! Requests in every form that HTTP/1.1 has for them.

use bytes::Bytes;
use std::time::Duration;
use tidegate_conformance::client::{body, chat};
use tidegate_conformance::scene::{MODEL, Router};
use tidegate_conformance::upstream::{Step, chunk, json};

const CHUNKED: &str = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";

#[tokio::test]
async fn a_chunked_request_is_passed_on_whole() {
    let (upstream, router) = Router::one(&[]).await;
    let body = body(MODEL, false);
    for cut in 1..body.len() {
        let (first, second) = body.as_bytes().split_at(cut);
        let mut client = router.connect().await;
        let mut sent = CHUNKED.as_bytes().to_vec();
        sent.extend_from_slice(&chunk(first));
        client.send(&sent).await;
        client.send([&chunk(second)[..], b"0\r\n\r\n"].concat()).await;
        assert_eq!(client.answer().await.status(), 200, "cut at {cut}");
        let seen = upstream.last();
        assert_eq!(seen.text(), body);
        assert_eq!(
            (seen.header("content-length"), seen.values("transfer-encoding").len()),
            (body.len().to_string().as_str(), 0)
        );
    }
}

#[tokio::test]
async fn chunk_extensions_and_trailers_of_a_request_are_no_part_of_it() {
    let (upstream, router) = Router::one(&[]).await;
    let body = body(MODEL, false);
    let sent = format!("{CHUNKED}{:X};name=\"value\"\r\n{body}\r\n000\r\nx-trailer: 1\r\n\r\n", body.len());
    assert_eq!(router.ask(sent).await.status(), 200);
    let seen = upstream.last();
    assert_eq!(seen.text(), body);
    assert!(seen.values("x-trailer").is_empty() && seen.values("trailer").is_empty());
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on() {
    let (upstream, router) = Router::one(&["--max-body-size", "4096"]).await;
    let request = chat(MODEL, "expect: 100-continue\r\n", false);
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut client = router.connect().await;
    client.send(format!("{head}\r\n\r\n")).await;
    assert_eq!(client.head().await.start, "HTTP/1.1 100 Continue");
    client.send(body).await;
    assert_eq!(client.answer().await.status(), 200);
    assert!(upstream.last().values("expect").is_empty());
    let mut client = router.connect().await;
    let large = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 5000\r\nexpect: 100-continue\r\n\r\n";
    client.send(large).await;
    let refused = client.answer().await;
    assert_eq!((refused.status(), refused.code().as_str()), (413, "request_too_large"));
    assert!(client.rest().await.is_empty(), "the connection closes, since the body was never sent");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let (upstream, router) = Router::one(&[]).await;
    upstream.script(|request| {
        let number = request.header("x-number").to_owned();
        let pause = Duration::from_millis(if number == "0" { 50 } else { 0 });
        vec![Step::Pause(pause), Step::send(json(&format!("{{\"number\":{number}}}")))]
    });
    let all: String = (0..5).map(|number| chat(MODEL, &format!("x-number: {number}\r\n"), false)).collect();
    let mut client = router.connect().await;
    client.send(all).await;
    for number in 0..5 {
        assert_eq!(client.answer().await.text(), format!("{{\"number\":{number}}}"));
    }
    router.until_idle().await;
}

/// A backend may refuse a request before it has read it, and need not read it.
#[tokio::test]
async fn an_early_answer_reaches_the_client() {
    let (upstream, router) = Router::one(&[]).await;
    upstream.reads(false);
    let refusal = "{\"error\":{\"message\":\"too long\"}}";
    let answer = format!(
        "HTTP/1.1 413 Payload Too Large\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{refusal}",
        refusal.len()
    );
    // The rest is read on, so that the answer is not cut off by a reset.
    upstream.answer(vec![Step::send(answer), Step::Hold]);
    let large = format!("{{\"model\":\"m\",\"x\":\"{}\"}}", "x".repeat(4 << 20));
    let mut client = router.connect().await;
    client.send(tidegate_conformance::client::post("/v1/chat/completions", "", &large)).await;
    let answer = client.answer().await;
    assert_eq!((answer.status(), answer.text().as_str()), (413, refusal));
    router.until_idle().await;
}

#[tokio::test]
async fn interim_answers_of_a_backend_are_no_answers() {
    let (upstream, router) = Router::one(&[]).await;
    let early = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
    upstream.answer(vec![Step::send(early), Step::send(json("{\"a\":1}"))]);
    assert_eq!(router.chat().await.text(), "{\"a\":1}");
}

#[tokio::test]
async fn an_answer_without_a_body_is_whole() {
    // Whoever asked for it has not gone: what that leaves behind would stand for so long.
    let (upstream, router) = Router::one(&["--abandon-grace", "3600"]).await;
    for head in ["HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"] {
        upstream.answer(vec![Step::Send(Bytes::from(head))]);
        let mut client = router.connect().await;
        for _ in 0..2 {
            client.send(chat(MODEL, "", false)).await;
            assert!(client.answer().await.body.is_empty());
        }
    }
    router.until_idle().await;
}
