//! Backends that speak HTTP/2: what they are sent, streams that do not wait for each other, and ends of every kind.

use bytes::Bytes;
use http::Version;
use std::time::Duration;
use tidegate_conformance::client::{Client, body, chat};
use tidegate_conformance::scene::{MODEL, Router};
use tidegate_conformance::upstream::now;
use tidegate_conformance::upstream2::{Move, Reason, Seen, Upstream2, whole};
use tidegate_tests::wait;

/// Headers that belong to one connection, or that HTTP/2 says in another way.
const NEVER: [&str; 7] =
    ["connection", "host", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "x-private"];
const OF_THE_HOP: &str =
    "connection: close, X-Private\r\nx-private: 1\r\nkeep-alive: timeout=5\r\nte: gzip, trailers\r\n";
const STREAM: &str = "text/event-stream";

fn data(text: &'static str) -> Move {
    Move::Data(Bytes::from_static(text.as_bytes()))
}

/// A router whose clients all stand on one thread, so that they share the connections to backends.
async fn one(streams: u32, flags: &[&str]) -> (Upstream2, Router) {
    let upstream = Upstream2::start(MODEL, streams).await;
    let flags = [&["--backend-http2", "--worker-threads", "1"], flags].concat();
    let router = Router::start_at(&[&upstream.url], &flags).await;
    (upstream, router)
}

/// What a request asks for by a header of the test's own.
fn asks(seen: &Seen, way: &str) -> bool {
    seen.head.headers.get("x-way").is_some_and(|value| value == way)
}

async fn begin(router: &Router, way: &str) -> Client {
    let mut client = router.connect().await;
    client.send(chat(MODEL, &format!("x-way: {way}\r\n"), true)).await;
    client
}

async fn is_well(router: &Router) {
    let answer = router.chat().await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "{}"));
}

/// All chunks that are still to come.
async fn rest(client: &mut Client) -> Vec<u8> {
    let mut rest = Vec::new();
    loop {
        match client.chunk().await {
            chunk if chunk.is_empty() => return rest,
            chunk => rest.extend_from_slice(&chunk),
        }
    }
}

fn on_one_connection(upstream: &Upstream2) {
    let connections: Vec<usize> = upstream.seen().iter().map(|seen| seen.connection).collect();
    assert!(connections.iter().all(|connection| *connection == connections[0]), "{connections:?}");
}

/// Nothing was counted against a backend.
async fn without_fault(router: &Router) {
    let metrics = router.admin.get("/metrics").await.text;
    let faults: Vec<&str> =
        metrics.lines().filter(|line| line.starts_with("tidegate:backend_errors_total")).collect();
    assert!(faults.is_empty(), "{faults:?}");
}

#[tokio::test]
async fn a_request_carries_nothing_of_a_connection() {
    let (upstream, router) = one(100, &[]).await;
    for stream in [false, true] {
        let answer = router.ask(chat(MODEL, OF_THE_HOP, stream)).await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, "{}"));
        let seen = upstream.seen().pop().unwrap();
        let (head, text) = (&seen.head, body(MODEL, stream));
        assert_eq!((head.version, &seen.body[..]), (Version::HTTP_2, text.as_bytes()));
        assert_eq!(head.uri.to_string(), format!("{}/v1/chat/completions", upstream.url));
        for name in NEVER {
            assert!(!head.headers.contains_key(name), "{name}: {:?}", head.headers);
        }
        assert_eq!(head.headers["content-length"], text.len().to_string());
        let te: Vec<_> = head.headers.get_all("te").iter().collect();
        assert_eq!(te, if stream { vec!["trailers"] } else { vec![] });
    }
    router.until_idle().await;
}

#[tokio::test]
async fn a_stream_and_its_trailers_are_those_of_http_1() {
    let (upstream, router) = one(100, &[]).await;
    let trailer = Move::Trailer("x-tidegate-usage", "3 2 0");
    upstream.answer(vec![Move::Head(STREAM), data("data: é\n\n"), data("data: [DONE]\n\n"), trailer]);
    let answer = router.ask(chat(MODEL, "", true)).await;
    assert_eq!(answer.text(), "data: é\n\ndata: [DONE]\n\n");
    assert!(answer.trailers.is_empty());
    let line = router.process.says("\"completion_tokens\":2").await;
    assert!(line.contains("\"prompt_tokens\":3"), "{line}");
    router.until_idle().await;
}

/// Clients that leave before and in the middle of an answer, beside one that stays.
#[tokio::test]
async fn a_client_that_leaves_resets_its_own_stream_and_no_other() {
    let (upstream, router) = one(100, &["--backend-slots", "64"]).await;
    upstream.script(|seen| match seen {
        seen if asks(seen, "stay") => {
            let events = (0..60).flat_map(|_| [data("data: 1\n\n"), Move::Pause(Duration::from_millis(10))]);
            [vec![Move::Head(STREAM)], events.collect(), vec![data("data: [DONE]\n\n"), Move::End]].concat()
        }
        seen if asks(seen, "late") => vec![Move::Head(STREAM), data("data: 1\n\n"), Move::Hold],
        _ => vec![Move::Hold],
    });
    let mut stays = begin(&router, "stay").await;
    stays.head().await;
    for number in 1..=8 {
        let way = if number % 2 == 0 { "late" } else { "early" };
        let mut leaves = begin(&router, way).await;
        upstream.asked(1 + number).await;
        if way == "late" {
            leaves.head().await;
            leaves.chunk().await;
        }
        let left = now();
        drop(leaves);
        let (reset, reason) = upstream.reset(number).await;
        tell(way, reset.saturating_duration_since(left));
        assert_eq!(reason, Reason::CANCEL);
    }
    let text = String::from_utf8(rest(&mut stays).await).unwrap();
    assert!(text.matches("data: 1").count() == 60 && text.ends_with("data: [DONE]\n\n"), "{text}");
    on_one_connection(&upstream);
    router.until_idle().await;
    without_fault(&router).await;
}

#[expect(clippy::print_stdout, reason = "a figure for people: a busy machine must not fail the test")]
fn tell(way: &str, after: Duration) {
    println!("{way}: reset {:.1} ms after the client had gone", 1e3 * after.as_secs_f64());
}

/// A reader that stalls holds up its own stream only, and gets everything once it reads on.
#[tokio::test]
async fn a_stalled_reader_waits_for_nobody_and_loses_nothing() {
    const SIZE: usize = 32 << 20;
    let (upstream, router) = one(100, &[]).await;
    upstream.script(|seen| {
        if !asks(seen, "long") {
            return whole("{}");
        }
        vec![Move::Head(STREAM), Move::Flood(SIZE), Move::End]
    });
    let mut stalled = begin(&router, "long").await;
    let head = stalled.head().await;
    assert_eq!(head.status(), 200);
    // It has stalled for good once nothing more is taken while others are served.
    let mut before = usize::MAX;
    while before != upstream.taken() {
        before = upstream.taken();
        for _ in 0..20 {
            is_well(&router).await;
        }
    }
    assert!(upstream.taken() < SIZE, "all was taken of a stream that nobody reads");
    assert_eq!(rest(&mut stalled).await.len(), SIZE);
    on_one_connection(&upstream);
    router.until_idle().await;
}

/// More requests than a connection has streams: none of them waits.
#[tokio::test]
async fn no_request_waits_for_a_stream() {
    const MANY: usize = 250;
    let (upstream, router) = one(100, &["--backend-slots", "400", "--abandon-grace", "0"]).await;
    upstream.answer(vec![Move::Hold]);
    let mut clients = Vec::new();
    for _ in 0..MANY {
        clients.push(begin(&router, "early").await);
    }
    upstream.asked(MANY).await;
    let connections: std::collections::BTreeSet<usize> =
        upstream.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections.len(), 3, "{connections:?}");
    drop(clients);
    upstream.reset(MANY).await;
    router.until_idle().await;
    upstream.answer(whole("{}"));
    is_well(&router).await;
    without_fault(&router).await;
}

#[tokio::test]
async fn a_connection_that_ends_is_no_fault_of_what_comes_after_it() {
    let (upstream, router) = one(100, &[]).await;
    for _ in 0..20 {
        is_well(&router).await;
        upstream.leave();
        is_well(&router).await;
        upstream.close();
        is_well(&router).await;
    }
    upstream.script(|seen| {
        if !asks(seen, "long") {
            return whole("{}");
        }
        let long = Move::Pause(Duration::from_millis(300));
        vec![Move::Head(STREAM), data("data: 1\n\n"), long, data("data: [DONE]\n\n"), Move::End]
    });
    let mut client = begin(&router, "long").await;
    client.head().await;
    assert_eq!(&client.chunk().await[..], b"data: 1\n\n");
    upstream.leave();
    is_well(&router).await;
    assert_eq!(&client.chunk().await[..], b"data: [DONE]\n\n");
    assert!(client.chunk().await.is_empty());
    router.until_idle().await;
    without_fault(&router).await;
}

/// Those of the looks included, which come each second.
#[tokio::test]
async fn connections_that_are_not_used_are_closed() {
    let (upstream, router) = one(100, &["--backend-keep-alive", "0.2"]).await;
    upstream.script(|seen| {
        if !asks(seen, "long") {
            return whole("{}");
        }
        let long = Move::Pause(Duration::from_millis(1500));
        vec![Move::Head(STREAM), data("data: 1\n\n"), long, data("data: [DONE]\n\n"), Move::End]
    });
    for _ in 0..2 {
        is_well(&router).await;
        wait::until("all connections are closed", || async { (upstream.open() == 0).then_some(()) }).await;
    }
    let mut client = begin(&router, "long").await;
    client.head().await;
    assert_eq!(rest(&mut client).await, b"data: 1\n\ndata: [DONE]\n\n", "it carried a stream all the time");
    wait::until("all connections are closed", || async { (upstream.open() == 0).then_some(()) }).await;
    without_fault(&router).await;
}

#[tokio::test]
async fn a_request_that_was_not_heard_goes_elsewhere() {
    let (bad, good) = (Upstream2::start(MODEL, 100).await, Upstream2::start(MODEL, 100).await);
    let flags = ["--backend-http2", "--balance", "round-robin"];
    let router = Router::start_at(&[&bad.url, &good.url], &flags).await;
    for ending in [Move::Reset(Reason::REFUSED_STREAM), Move::Reset(Reason::INTERNAL_ERROR), Move::Close] {
        bad.answer(vec![ending]);
        for _ in 0..2 {
            is_well(&router).await;
        }
    }
    assert!(bad.seen().len() >= 3, "{}", bad.seen().len());
    let metrics = router.admin.get("/metrics").await.text;
    assert!(metrics.contains("tidegate:backend_errors_total{kind=\"unreachable\""), "{metrics}");
    router.until_idle().await;
}

/// Also where the backend resets a stream "without an error".
#[tokio::test]
async fn what_was_cut_never_passes_for_a_whole_answer() {
    let (upstream, router) = one(100, &["--abandon-grace", "0"]).await;
    let endings = [Reason::NO_ERROR, Reason::CANCEL, Reason::INTERNAL_ERROR]
        .map(Move::Reset)
        .into_iter()
        .chain([Move::Close]);
    for ending in endings {
        let cut = [Move::Pause(Duration::from_millis(20)), ending.clone()];
        upstream.answer([&[Move::Head(STREAM), data("data: 1\n\n")][..], &cut].concat());
        let text = router.ask(chat(MODEL, "", true)).await.text();
        assert!(text.starts_with("data: 1\n\n") && text.contains("backend_error"), "{ending:?}: {text}");
        upstream.answer([&[Move::Head("application/json"), data("{\"half\":")][..], &cut].concat());
        let mut client = router.connect().await;
        client.send(chat(MODEL, "", false)).await;
        let (answer, came_whole) = client.as_far_as_it_comes().await;
        assert!(!came_whole, "{ending:?}: {answer:?}");
        upstream.answer(whole("{}"));
        is_well(&router).await;
    }
    router.until_idle().await;
}

#[tokio::test]
async fn a_backend_that_speaks_only_http_1_is_not_used_and_said_to_be_wrong() {
    let upstream = tidegate_conformance::upstream::Upstream::start(MODEL).await;
    let flags = ["--port", "0", "--admin-port", "0", "--backend-http2", "--backend", upstream.url.as_str()];
    let router = tidegate_tests::process::Process::start("tidegate-router", &flags);
    router.says("a listed backend does not answer").await;
}
