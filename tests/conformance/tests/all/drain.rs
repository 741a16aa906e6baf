//! Draining: a router that leaves, and a backend that is taken out.

use bytes::Bytes;
use http::Method;
use std::time::Duration;
use tidegate_conformance::client::chat;
use tidegate_conformance::scene::{MODEL, Router};
use tidegate_conformance::upstream::{LAST, STREAM, Step, Upstream, chunk};
use tidegate_tests::wait;

async fn post(router: &Router, method: Method, path: &str, site: &str) -> u16 {
    router.admin.send(method, path, &[("sec-fetch-site", site)], Bytes::new()).await.status.as_u16()
}

fn encoded(url: &str) -> String {
    url.replace(':', "%3A").replace('/', "%2F")
}

#[tokio::test]
async fn a_router_serves_on_until_load_balancers_have_noticed_and_finishes_its_streams() {
    let (upstream, mut router) = Router::one(&["--drain-delay", "1"]).await;
    let mut steps = vec![Step::send(STREAM), Step::Send(chunk(b"data: 1\n\n"))];
    steps.extend([
        Step::Pause(Duration::from_millis(2500)),
        Step::Send(chunk(b"data: 2\n\n")),
        Step::Send(Bytes::from_static(LAST)),
    ]);
    upstream.answer(steps);
    let mut streaming = router.connect().await;
    streaming.send(chat(MODEL, "", true)).await;
    streaming.head().await;
    assert_eq!(
        post(&router, Method::POST, "/drain", "cross-site").await,
        403,
        "no page of another site may ask"
    );
    assert_eq!(router.admin.get("/readyz").await.status.as_u16(), 200);
    assert_eq!(post(&router, Method::POST, "/drain", "none").await, 202);
    assert_eq!(router.admin.get("/readyz").await.status.as_u16(), 503);
    upstream.answer(vec![Step::send(tidegate_conformance::upstream::json("{}"))]);
    assert_eq!(router.chat().await.status(), 200, "new connections are served in the meantime");
    wait::until("the port is closed", || async {
        tokio::net::TcpStream::connect(router.base.trim_start_matches("http://")).await.is_err().then_some(())
    })
    .await;
    assert_eq!(
        (streaming.chunk().await, streaming.chunk().await),
        (Bytes::from("data: 1\n\n"), Bytes::from("data: 2\n\n"))
    );
    assert!(streaming.chunk().await.is_empty());
    assert!(router.process.ended().await.success(), "{}", router.process.output());
}

#[tokio::test]
async fn what_outlives_the_drain_is_cut_and_gives_its_place_back() {
    let (upstream, mut router) = Router::one(&["--drain-timeout", "0.3"]).await;
    upstream.answer(vec![Step::send(STREAM), Step::Hold]);
    let mut streaming = router.connect().await;
    streaming.send(chat(MODEL, "", true)).await;
    streaming.head().await;
    router.process.signal("TERM");
    upstream.closed(1).await;
    assert!(!router.process.ended().await.success());
    assert!(
        router.process.output().contains("still running after 0.3 s of drain"),
        "{}",
        router.process.output()
    );
}

#[tokio::test]
async fn a_backend_that_an_operator_takes_out_finishes_and_gets_nothing_new() {
    let (first, second) = (Upstream::start(MODEL).await, Upstream::start(MODEL).await);
    let router = Router::start(&[&first, &second], &["--backend-slots", "2"]).await;
    let path = format!("/backends/{}/drain", encoded(&first.url));
    let state = async |url: &str| {
        let fleet = router.fleet().await;
        let backends = fleet["pools"][0]["backends"].as_array().unwrap().clone();
        backends.iter().find(|backend| backend["id"] == url).map(|backend| backend["state"].clone())
    };
    assert_eq!(post(&router, Method::POST, "/backends/nobody/drain", "none").await, 404);
    assert_eq!(post(&router, Method::POST, &path, "cross-site").await, 403);
    assert_eq!(post(&router, Method::POST, &path, "none").await, 202);
    wait::until("the backend drains", || async { (state(&first.url).await? == "draining").then_some(()) })
        .await;
    for _ in 0..10 {
        assert_eq!(router.chat().await.status(), 200);
    }
    assert_eq!((first.seen().len(), second.seen().len()), (0, 10));
    assert_eq!(post(&router, Method::DELETE, &path, "none").await, 202);
    wait::until("the backend is let in again", || async {
        (state(&first.url).await? == "live").then_some(())
    })
    .await;
}
