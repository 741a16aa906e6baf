//! HTTP/2 by prior knowledge: the same answers, streams that do not wait for each other, resets, and readers that stall.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::time::Duration;
use tidegate_conformance::client::{body, in_time};
use tidegate_conformance::scene::{MODEL, Router};
use tidegate_conformance::upstream::{LAST, STREAM, Step, chunk};
use tokio::net::TcpStream;

type Sender = SendRequest<Full<Bytes>>;

/// A connection whose streams each take so many bytes before they wait for their reader.
async fn connect(router: &Router, window: u32) -> Sender {
    let stream = TcpStream::connect(router.base.trim_start_matches("http://")).await.unwrap();
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(window).initial_connection_window_size(1 << 20);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(stream: bool, extra: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::post("http://two.example.org/v1/chat/completions")
        .header("content-type", "application/json");
    for (name, value) in extra {
        request = request.header(*name, *value);
    }
    request.body(Full::new(Bytes::from(body(MODEL, stream)))).unwrap()
}

async fn send(sender: &mut Sender, stream: bool) -> Response<Incoming> {
    in_time("an answer", sender.send_request(request(stream, &[]))).await.unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    let body = in_time("a body", response.into_body().collect()).await.unwrap().to_bytes();
    String::from_utf8_lossy(&body).into_owned()
}

#[tokio::test]
async fn a_request_and_its_answer_are_those_of_http_1() {
    let (upstream, router) = Router::one(&[]).await;
    let mut sender = connect(&router, 65_535).await;
    let answer =
        in_time("an answer", sender.send_request(request(false, &[("te", "trailers")]))).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["content-length"].as_bytes()), (200, &b"2"[..]));
    assert!(answer.headers().contains_key("x-request-id") && !answer.headers().contains_key("connection"));
    assert_eq!(text(answer).await, "{}");
    let seen = upstream.last();
    assert_eq!(seen.text(), body(MODEL, false));
    assert_eq!(seen.values("host"), [upstream.url.trim_start_matches("http://")]);
    assert_eq!(
        (seen.header("x-forwarded-host"), seen.header("x-forwarded-for")),
        ("two.example.org", "127.0.0.1")
    );
    upstream.answer(vec![
        Step::send(STREAM),
        Step::Send(chunk("data: é\n\n".as_bytes())),
        Step::send(String::from_utf8_lossy(LAST)),
    ]);
    assert_eq!(text(send(&mut sender, true).await).await, "data: é\n\n");
    let unknown = Request::get("http://x/nothing").body(Full::default()).unwrap();
    assert_eq!(sender.send_request(unknown).await.unwrap().status(), 404);
    router.until_idle().await;
}

#[tokio::test]
async fn many_requests_share_a_connection() {
    let (upstream, router) = Router::one(&["--backend-slots", "64"]).await;
    upstream.answer(vec![
        Step::Pause(Duration::from_millis(20)),
        Step::send(tidegate_conformance::upstream::json("{\"a\":1}")),
    ]);
    let sender = connect(&router, 65_535).await;
    let asks = (0..50).map(|_| {
        let mut sender = sender.clone();
        async move { text(send(&mut sender, false).await).await }
    });
    let answers = futures_util::future::join_all(asks).await;
    assert!(answers.iter().all(|answer| answer == "{\"a\":1}"), "{answers:?}");
    assert_eq!(upstream.seen().len(), 50);
}

#[tokio::test]
async fn a_reset_stream_closes_its_backends_connection_and_no_other() {
    let (upstream, router) = Router::one(&[]).await;
    let mut sender = connect(&router, 65_535).await;
    upstream.answer(vec![Step::Hold]);
    let waiting = tokio::spawn(sender.send_request(request(false, &[])));
    upstream.asked(1).await;
    waiting.abort();
    upstream.closed(1).await;
    upstream.answer(vec![Step::send(STREAM), Step::Send(chunk(b"data: 1\n\n")), Step::Hold]);
    let mut other = send(&mut sender, true).await;
    let mut streaming = send(&mut sender, true).await;
    streaming.body_mut().frame().await.unwrap().unwrap();
    drop(streaming);
    upstream.closed(2).await;
    router.until_counts(&[("running", 1)]).await;
    assert_eq!(other.body_mut().frame().await.unwrap().unwrap().into_data().unwrap(), "data: 1\n\n");
    drop(other);
    upstream.closed(3).await;
    router.until_idle().await;
}

/// A reader that stalls holds up its own stream only, and gets everything once it reads on.
#[tokio::test]
async fn a_stalled_reader_waits_for_nobody_and_loses_nothing() {
    let (upstream, router) = Router::one(&[]).await;
    let mut sender = connect(&router, 4096).await;
    let events: String = (0..20_000).map(|number| format!("data: {{\"number\":{number}}}\n\n")).collect();
    let mut all = STREAM.as_bytes().to_vec();
    all.extend_from_slice(&chunk(events.as_bytes()));
    all.extend_from_slice(LAST);
    upstream.answer(vec![Step::Send(all.into())]);
    let stalled = send(&mut sender, true).await;
    upstream.answer(vec![Step::send(tidegate_conformance::upstream::json("{}"))]);
    for _ in 0..5 {
        assert_eq!(text(send(&mut sender, false).await).await, "{}");
    }
    assert!(text(stalled).await == events, "something was lost");
    router.until_idle().await;
}

#[tokio::test]
async fn a_client_that_says_nothing_after_its_preface_is_not_kept() {
    let (_upstream, router) = Router::one(&["--client-keep-alive", "0.3"]).await;
    for said in ["", "PRI * HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "POST /v1/chat"] {
        let mut client = router.connect().await;
        client.send(said).await;
        let rest = client.rest().await;
        assert!(!rest.starts_with(b"HTTP/1.1 2"), "{said:?}: {rest:?}");
    }
    router.until_idle().await;
}
