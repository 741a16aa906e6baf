//! What is decided and what goes wrong, as the trace shows it: waits, refusals, other backends, hang-ups.

use super::scene::{CHAT, Parent, Router, only};
use http_body_util::BodyExt;
use std::time::Duration;
use tidegate_tests::client::chat_body;
use tidegate_tests::collector::{CLIENT, Collector, ERROR, INTERNAL, Span};
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};
use tidegate_tests::redis::free_port;
use tidegate_tests::wait;

const SERVER: &str = "POST /v1/chat/completions";
const ADMISSION: &str = "tidegate.admission";
const CALL: &str = "chat fake";

/// A node of one slot that works until it is told to end.
async fn busy_node() -> FakeNode {
    FakeNode::start(1, Plan::Stream(u32::MAX, Duration::from_millis(10))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_waits_shows_its_place_and_its_wait() {
    let (collector, node) = (Collector::start().await, busy_node().await);
    let router = Router::traced(&collector, &["--backend", &node.url, "--wait-share", "1"], 1).await;
    let first = router.stream(&Parent::new(), MODEL).await;
    let parent = Parent::new();
    let (second, ()) = tokio::join!(router.stream(&parent, MODEL), async {
        router.until(|pool| pool["queued"] == 1).await;
        node.end_streams();
        first.into_body().collect().await.unwrap();
    });
    second.into_body().collect().await.unwrap();
    let spans = collector.trace(&parent.trace, 3).await;
    let (server, admission, call) = (only(&spans, SERVER), only(&spans, ADMISSION), only(&spans, CALL));
    assert_eq!(
        (server.get("tidegate.verdict"), admission.get("tidegate.verdict")),
        (&"queued".into(), &"queued".into())
    );
    assert_eq!(admission.get("tidegate.outcome"), "granted");
    assert_eq!((admission.number("tidegate.queue_position"), admission.number("tidegate.held")), (1.0, 1.0));
    let waited = admission.number("tidegate.waited_ms");
    assert!(waited > 0.0 && (waited - admission.milliseconds()).abs() < 5.0, "{admission:#?}");
    assert_eq!(server.number("tidegate.waited_ms"), waited);
    assert!(admission.end <= call.start);
    let line = router.access_lines(2).await.pop().unwrap();
    assert_eq!((&line["verdict"], &line["waited_ms"]), (&"queued".into(), &waited.into()));
}

/// Sends one request that is refused, and gives its spans.
async fn refused(router: &Router, collector: &Collector, status: u16, code: &str) -> Vec<Span> {
    let parent = Parent::new();
    let answer = router.chat(&parent, MODEL, "x").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code));
    let spans = collector.trace(&parent.trace, 2).await;
    let (server, admission) = (only(&spans, SERVER), only(&spans, ADMISSION));
    assert_eq!(spans.len(), 2, "nothing was sent to a backend: {spans:#?}");
    assert!(
        admission.kind == INTERNAL && admission.parent == server.id && admission.is_within(server),
        "{spans:#?}"
    );
    assert_eq!(server.get("http.response.status_code"), status);
    for span in [server, admission] {
        assert_eq!(span.get("tidegate.verdict"), code, "{span:#?}");
        let after = span.number("tidegate.retry_after_ms");
        let told: f64 = answer.header("retry-after-ms").parse().unwrap();
        assert!((after - told).abs() <= 1.0, "{after} is not {told}");
    }
    assert_eq!(
        (admission.get("tidegate.outcome"), server.get("tidegate.code")),
        (&code.into(), &code.into())
    );
    assert_eq!(server.status, if status >= 500 { ERROR } else { 0 }, "{server:#?}");
    spans
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_and_a_full_fleet_show_the_numbers_that_refused() {
    let (collector, node) = (Collector::start().await, busy_node().await);
    let flags = ["--backend", &node.url, "--max-queue-size", "0"];
    let router = Router::traced(&collector, &flags, 1).await;
    let _running = router.stream(&Parent::new(), MODEL).await;
    router.until(|pool| pool["running"] == 1).await;
    let spans = refused(&router, &collector, 429, "queue_full").await;
    let admission = only(&spans, ADMISSION);
    for (name, number) in
        [("slots", 1.0), ("held", 1.0), ("queued", 0.0), ("queue_limit", 0.0), ("capacity", 1.0)]
    {
        assert_eq!(admission.number(&format!("tidegate.{name}")), number, "{name}: {admission:#?}");
    }
}

/// Asks until one is refused by its draw, and gives that one's trace; those that wait are given up.
async fn refused_by_its_draw(router: &Router) -> String {
    let mut waiting = Vec::new();
    loop {
        let (parent, client) = (Parent::new(), router.client.clone());
        let header = parent.header();
        let asking = tokio::spawn(async move {
            client.post(CHAT, &[("traceparent", &header)], &chat_body(MODEL, "x")).await
        });
        wait::until("it waits or is refused", || async {
            let queued = router.pool().await["queued"].as_u64()? as usize;
            (asking.is_finished() || queued > waiting.len()).then_some(())
        })
        .await;
        if !asking.is_finished() {
            waiting.push(asking);
            continue;
        }
        let code = asking.await.unwrap().code();
        waiting.drain(..).for_each(|task| task.abort());
        if code == "capacity" {
            return parent.trace;
        }
        // All five drew a place, which one in thirty does: once more.
        assert_eq!(code, "queue_full");
        router.until(|pool| pool["queued"] == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draw_below_the_curve_shows_both() {
    let (collector, node) = (Collector::start().await, busy_node().await);
    let flags =
        "--max-queue-size 5 --queue-rejection-threshold 1 --vllm-rejection-threshold 0 --wait-share 1";
    let flags: Vec<&str> = ["--backend", &node.url].into_iter().chain(flags.split(' ')).collect();
    let router = Router::traced(&collector, &flags, 1).await;
    let _running = router.stream(&Parent::new(), MODEL).await;
    router.until(|pool| pool["running"] == 1).await;
    let trace = refused_by_its_draw(&router).await;
    let spans = collector.trace(&trace, 2).await;
    let admission = only(&spans, ADMISSION);
    assert_eq!(admission.get("tidegate.verdict"), "capacity");
    assert!(admission.number("tidegate.draw") < admission.number("tidegate.p"), "{admission:#?}");
    // One slot and five places: the curve rises from the first ticket to the last.
    let expected = (admission.number("tidegate.held") - 1.0) / 5.0;
    assert!((admission.number("tidegate.p") - expected).abs() < 1e-9, "{admission:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_finish_in_time_and_who_finds_nobody_show_why() {
    let (collector, node) =
        (Collector::start().await, FakeNode::start(1, Plan::Answer(Duration::from_millis(300))).await);
    let router = Router::traced(&collector, &["--backend", &node.url, "--pool-memory", "0"], 1).await;
    // Once a service time is known, a wait can be too long.
    router.chat(&Parent::new(), MODEL, "x").await;
    node.plan(Plan::Stream(u32::MAX, Duration::from_millis(10)));
    let running = router.stream(&Parent::new(), MODEL).await;
    router.until(|pool| pool["running"] == 1).await;
    let parent = Parent::new();
    let headers = [("traceparent", parent.header()), ("x-request-timeout-ms", "310".to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let answer = router.client.post(CHAT, &headers, &chat_body(MODEL, "x")).await;
    assert_eq!(answer.code(), "deadline", "{}", answer.text);
    let spans = collector.trace(&parent.trace, 2).await;
    let admission = only(&spans, ADMISSION);
    assert_eq!(admission.get("tidegate.verdict"), "deadline");
    let (wait, budget) =
        (admission.number("tidegate.predicted_wait_ms"), admission.number("tidegate.wait_budget_ms"));
    assert!(wait > budget && admission.number("tidegate.service_p90_ms") > 0.0, "{admission:#?}");
    drop(running);

    let nobody = format!("http://127.0.0.1:{}", free_port());
    let router = Router::traced(&collector, &["--backend", &nobody], 0).await;
    let parent = Parent::new();
    let answer = router.chat(&parent, MODEL, "x").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "no_backend"));
    let spans = collector.trace(&parent.trace, 1).await;
    assert_eq!(only(&spans, SERVER).get("tidegate.code"), "no_backend");
    assert_eq!(only(&spans, SERVER).status, ERROR);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_backend_that_does_not_take_it_is_an_attempt_of_its_own() {
    let collector = Collector::start().await;
    let full = FakeNode::start(8, Plan::Refuse("concurrency")).await;
    let good = FakeNode::start(1, Plan::Answer(Duration::from_millis(20))).await;
    let router = Router::traced(&collector, &["--backend", &full.url, "--backend", &good.url], 2).await;
    let parent = Parent::new();
    assert_eq!(router.chat(&parent, MODEL, "x").await.status, 200);
    let spans = collector.trace(&parent.trace, 5).await;
    let server = only(&spans, SERVER);
    let of = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let (admissions, calls) = (of(ADMISSION), of(CALL));
    assert_eq!((admissions.len(), calls.len(), spans.len()), (2, 2, 5), "{spans:#?}");
    assert_eq!((calls[0].get("error.type"), calls[0].status), (&"concurrency".into(), ERROR));
    assert_eq!(calls[0].get("http.response.status_code"), 503);
    assert_eq!((calls[1].get("http.request.resend_count"), calls[1].status), (&1.into(), 0));
    assert_ne!(calls[0].get("tidegate.attempt"), calls[1].get("tidegate.attempt"));
    assert_eq!(admissions[1].get("tidegate.resends"), 1);
    assert_eq!(
        (server.get("tidegate.resends"), server.get("tidegate.verdict")),
        (&1.into(), &"granted".into())
    );
    let (name, event) = &server.events[0];
    assert_eq!(
        (name.as_str(), &event["tidegate.code"]),
        ("tidegate.refused_by_backend", &"concurrency".into())
    );
    let in_order = [admissions[0], calls[0], admissions[1], calls[1]];
    assert!(in_order.windows(2).all(|pair| pair[0].end <= pair[1].start), "{spans:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_is_seen_in_a_stream_and_in_the_queue() {
    let (collector, node) = (Collector::start().await, busy_node().await);
    let router = Router::traced(&collector, &["--backend", &node.url, "--wait-share", "1"], 1).await;
    let (running, queued) = (Parent::new(), Parent::new());
    let mut stream = router.stream(&running, MODEL).await;
    stream.body_mut().frame().await.unwrap().unwrap();
    let (header, client) = (queued.header(), router.client.clone());
    let asking =
        tokio::spawn(
            async move { client.post(CHAT, &[("traceparent", &header)], &chat_body(MODEL, "x")).await },
        );
    router.until(|pool| pool["queued"] == 1).await;
    asking.abort();
    let spans = collector.trace(&queued.trace, 2).await;
    assert_eq!(only(&spans, ADMISSION).get("tidegate.outcome"), "client_gone");
    assert_eq!((only(&spans, SERVER).get("tidegate.code"), spans.len()), (&"client_gone".into(), 2));
    drop(stream);
    let spans = collector.trace(&running.trace, 3).await;
    let (server, call) = (only(&spans, SERVER), only(&spans, CALL));
    assert_eq!((call.get("error.type"), call.status), (&"client_gone".into(), ERROR));
    assert_eq!(server.get("tidegate.code"), "client_gone");
    assert!(call.is_within(server), "{spans:#?}");
    let lines = router.access_lines(2).await;
    let told: Vec<_> = lines.iter().map(|line| (line["status"].as_u64(), line["code"].as_str())).collect();
    assert_eq!(told, [(Some(499), Some("client_gone")), (Some(200), Some("client_gone"))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_and_what_takes_too_long_is_an_error_of_the_attempt() {
    let (collector, node) = (Collector::start().await, FakeNode::start(2, Plan::Break).await);
    let router = Router::traced(&collector, &["--backend", &node.url, "--request-timeout", "0.4"], 1).await;
    let plans = [
        (Plan::Break, "backend_error", "backend_error".into()),
        (Plan::Stream(u32::MAX, Duration::from_millis(20)), "timeout", "timeout".into()),
        (Plan::Fail, "500", serde_json::Value::Null),
    ];
    for (plan, error, code) in plans {
        node.plan(plan);
        let parent = Parent::new();
        // The first two begin as streams and end with an error event.
        router.stream(&parent, MODEL).await.into_body().collect().await.unwrap();
        let spans = collector.trace(&parent.trace, 3).await;
        let (server, call) = (only(&spans, SERVER), only(&spans, CALL));
        assert_eq!(
            (call.kind, call.get("error.type"), call.status),
            (CLIENT, &error.into(), ERROR),
            "{plan:?}"
        );
        assert_eq!(server.get("tidegate.code"), &code, "{plan:?}");
    }
}
