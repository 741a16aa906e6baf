//! Times that run out, and who may take how long.

use bytes::Bytes;
use tidegate_conformance::client::{chat, in_time};
use tidegate_conformance::scene::{MODEL, Router};
use tidegate_conformance::upstream::{STREAM, Step, chunk};

#[tokio::test]
async fn a_backend_that_does_not_begin_in_time_is_given_up() {
    let (upstream, router) = Router::one(&["--first-byte-timeout", "0.2", "--abandon-grace", "0"]).await;
    upstream.answer(vec![Step::Hold]);
    let answer = router.chat().await;
    assert_eq!((answer.status(), answer.code().as_str()), (504, "timeout"));
    assert!(answer.text().contains("--first-byte-timeout"), "{}", answer.text());
    upstream.closed(1).await;
    assert_eq!(upstream.seen().len(), 1, "what ran out of time is not tried again");
    router.until_idle().await;
}

#[tokio::test]
async fn a_backend_that_falls_silent_in_its_answer_is_given_up() {
    let (upstream, router) = Router::one(&["--idle-timeout", "0.2", "--abandon-grace", "0"]).await;
    upstream.answer(vec![Step::send(STREAM), Step::Send(chunk(b"data: 1\n\n")), Step::Hold]);
    let text = router.ask(chat(MODEL, "", true)).await.text();
    assert!(text.starts_with("data: 1\n\n") && text.contains("--idle-timeout"), "{text}");
    upstream.closed(1).await;
    upstream.answer(vec![Step::send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n1234"), Step::Hold]);
    let mut client = router.connect().await;
    client.send(chat(MODEL, "", false)).await;
    let (answer, whole) = client.as_far_as_it_comes().await;
    assert_eq!((answer.body, whole), (Bytes::from_static(b"1234"), false));
    router.until_idle().await;
}

#[tokio::test]
async fn a_client_shortens_its_time_to_the_last_byte() {
    let (upstream, router) = Router::one(&["--abandon-grace", "0"]).await;
    upstream.answer(vec![Step::Hold]);
    let answer = router.ask(chat(MODEL, "x-request-timeout-ms: 200\r\n", false)).await;
    assert_eq!((answer.status(), answer.code().as_str()), (504, "timeout"));
    upstream.answer(vec![Step::send(STREAM), Step::Send(chunk(b"data: 1\n\n")), Step::Hold]);
    let text = router.ask(chat(MODEL, "x-request-timeout-ms: 200\r\n", true)).await.text();
    assert!(text.starts_with("data: 1\n\n") && text.contains("\"code\":\"timeout\""), "{text}");
    upstream.closed(2).await;
    router.until_idle().await;
}

/// Nobody asks for the next piece of an answer whose client does not take the last one: its time ends all the same.
#[tokio::test]
async fn a_client_that_reads_nothing_holds_no_slot_beyond_its_time() {
    let (upstream, router) = Router::one(&["--request-timeout", "1", "--abandon-grace", "0"]).await;
    let event = chunk(format!("data: {}\n\n", "x".repeat(1 << 16)).as_bytes());
    let mut steps = vec![Step::send(STREAM)];
    steps.extend(std::iter::repeat_n(Step::Send(event), 400));
    steps.push(Step::Hold);
    upstream.answer(steps);
    let mut client = router.connect().await;
    client.send(chat(MODEL, "", true)).await;
    client.head().await;
    router.until_counts(&[("running", 1)]).await;
    router.until_idle().await;
    assert_eq!(router.fleet().await["pools"][0]["backends"].as_array().unwrap().len(), 1);
    drop(client);
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let flags = ["--client-write-timeout", "1", "--request-timeout", "600", "--abandon-grace", "0"];
    let (upstream, router) = Router::one(&flags).await;
    let event = chunk(format!("data: {}\n\n", "x".repeat(1 << 16)).as_bytes());
    let mut steps = vec![Step::send(STREAM)];
    steps.extend(std::iter::repeat_n(Step::Send(event), 400));
    steps.push(Step::Hold);
    upstream.answer(steps);
    let mut client = router.connect().await;
    client.send(chat(MODEL, "", true)).await;
    client.head().await;
    router.until_counts(&[("running", 1)]).await;
    router.until_idle().await;
    drop(client);
}

#[tokio::test]
async fn a_slow_head_and_an_unused_connection_are_closed() {
    let (upstream, router) = Router::one(&["--client-keep-alive", "0.3"]).await;
    let request = chat(MODEL, "", false);
    let mut slow = router.connect().await;
    slow.send(&request[..20]).await;
    in_time("the end of a slow connection", slow.rest()).await;
    let mut unused = router.connect().await;
    unused.send(&request).await;
    assert_eq!(unused.answer().await.status(), 200);
    assert!(unused.rest().await.is_empty());
    assert_eq!(upstream.seen().len(), 1);
}
