//! Clients that send too much, too slowly, or for ever: the router refuses them, serves the others and does not grow.

use super::scene::{Besieged, rest};
use http::StatusCode;
use std::collections::BTreeSet;
use std::time::Duration;
use tidegate_tests::client::Client;
use tidegate_tests::redis::RedisServer;
use tidegate_tests::wait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const POST: &str = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";

#[tokio::test]
async fn trickling_heads_and_idle_connections_keep_nobody_out() {
    let router = Besieged::start(&[]).await;
    let mut held = Vec::new();
    for number in 0..600 {
        let begun = if number % 2 == 0 { "" } else { "POST /v1/chat/completions HTTP/1.1\r\nx: " };
        held.push(router.connect(begun.as_bytes()).await);
    }
    for _ in 0..20 {
        for socket in held.iter_mut().skip(1).step_by(2) {
            socket.write_all(b"y").await.unwrap();
        }
        router.serves_others().await;
    }
    router.has_held().await;
}

#[tokio::test]
async fn an_address_that_has_its_connections_gets_no_more_and_others_do() {
    let router = Besieged::start(&["--max-connections-per-address", "40"]).await;
    let stranger = |last: u8| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, last], 0).into()).unwrap();
        socket.connect(router.address())
    };
    let mut held: Vec<TcpStream> = Vec::new();
    for _ in 0..40 {
        held.push(stranger(9).await.unwrap());
    }
    let refused = stranger(9).await.unwrap();
    assert_eq!(rest(refused).await, "", "closed without a word");
    router.has_held().await;
    drop(held);
    wait::until("the address has room again", || async {
        let mut socket = stranger(9).await.unwrap();
        let asked = b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        socket.write_all(asked).await.ok()?;
        rest(socket).await.contains("200 OK").then_some(())
    })
    .await;
}

#[tokio::test]
async fn floods_of_headers_are_refused() {
    let router = Besieged::start(&[]).await;
    let many: String = (0..50_000).map(|number| format!("x-{number}: y\r\n")).collect();
    let one = format!("x-large: {}\r\n", "y".repeat(8 << 20));
    let line = format!("GET /{} HTTP/1.1\r\n", "y".repeat(8 << 20));
    for head in [format!("{POST}{many}\r\n"), format!("{POST}{one}\r\n"), line] {
        for _ in 0..8 {
            let answer = rest(router.connect(head.as_bytes()).await).await;
            let refused = ["HTTP/1.1 431", "HTTP/1.1 414", "HTTP/1.1 400"];
            // What was not read when the connection closed may have cut the answer off.
            assert!(answer.is_empty() || refused.iter().any(|status| answer.starts_with(status)), "{answer}");
        }
    }
    router.has_held().await;
}

#[tokio::test]
async fn huge_bodies_are_refused_by_what_they_announce() {
    let router = Besieged::start(&[]).await;
    let patient =
        format!("{POST}expect: 100-continue\r\ncontent-length: 1099511627776\r\nconnection: close\r\n\r\n");
    let answer = rest(router.connect(patient.as_bytes()).await).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("request_too_large"), "{answer}");
    let length = format!("{POST}content-length: 99999999999999999999999\r\nconnection: close\r\n\r\n");
    let answer = rest(router.connect(length.as_bytes()).await).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    router.has_held().await;
}

#[tokio::test]
async fn bodies_without_an_end_are_refused() {
    let router = Besieged::start(&[]).await;
    let piece = format!("40000\r\n{}\r\n", "x".repeat(0x40000));
    let flood = |mut socket: TcpStream| async {
        let piece = piece.as_bytes();
        let sending = async move { while socket.write_all(piece).await.is_ok() {} };
        sending.await;
    };
    let head = format!("{POST}transfer-encoding: chunked\r\n\r\n");
    let mut sockets = Vec::new();
    for _ in 0..4 {
        sockets.push(flood(router.connect(head.as_bytes()).await));
    }
    let ends = futures_util::future::join_all(sockets);
    tokio::join!(ends, router.serves_others());
    router.has_held().await;
}

#[tokio::test]
async fn many_bodies_that_do_not_end_share_a_bound() {
    let router = Besieged::start(&["--max-body-memory", "16777216"]).await;
    let head = format!("{POST}transfer-encoding: chunked\r\n\r\n");
    let piece = format!("400000\r\n{}\r\n", "x".repeat(0x40_0000));
    let mut held = Vec::new();
    for _ in 0..40 {
        let mut socket = router.connect(head.as_bytes()).await;
        socket.write_all(piece.as_bytes()).await.unwrap();
        held.push(socket);
    }
    // What is refused is read on for some seconds, so that its client sees the refusal.
    let answers = held.iter_mut().map(|socket| async move {
        let mut answer = vec![0; 4096];
        let read = tokio::time::timeout(Duration::from_secs(8), socket.read(&mut answer)).await;
        read.ok().map(|length| String::from_utf8_lossy(&answer[..length.unwrap()]).into_owned())
    });
    let answers = futures_util::future::join_all(answers).await;
    for answer in answers.iter().flatten() {
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("body_memory"), "{answer}");
        assert!(answer.contains("retry-after"), "{answer}");
    }
    let refused = answers.iter().flatten().count();
    assert!(refused >= 30, "{refused} of 40 were refused");
    router.has_held().await;
    let large = "x".repeat(6 << 20);
    assert_eq!(router.asks(&large).await, StatusCode::SERVICE_UNAVAILABLE);
    drop(held);
    wait::until("there is room again", || async {
        (router.asks(&large).await == StatusCode::OK).then_some(())
    })
    .await;
}

/// Whose keys there are in Redis. What a pool has comes and goes; its own name stands in braces.
async fn pools_in(redis: &RedisServer) -> BTreeSet<String> {
    let client = redis::Client::open(redis.url.as_str()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    keys.iter().map(|key| key.split_once('}').map_or(key.as_str(), |(pool, _)| pool).to_owned()).collect()
}

#[tokio::test]
async fn names_that_strangers_make_up_are_kept_nowhere() {
    let node = tidegate_tests::fake_node::FakeNode::start(
        1,
        tidegate_tests::fake_node::Plan::Answer(std::time::Duration::ZERO),
    )
    .await;
    let redis = RedisServer::start().await;
    let flags = ["--redis-url", redis.url.as_str(), "--backend", &node.url];
    let router = tidegate_tests::router::TestRouter::start(&flags).await.with_backends(1).await;
    assert_eq!(router.client.chat(tidegate_tests::fake_node::MODEL, "x").await.status, StatusCode::OK);
    // A router that has just started does not say yet that there is no such model.
    wait::until("it knows what the fleet serves", || async {
        (router.client.chat("made-up", "x").await.status == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
    let (keys, series) = (pools_in(&redis).await, router.admin.get("/metrics").await.text.lines().count());
    let long = "m".repeat(1 << 20);
    for number in 0..200 {
        let client = Client::new(&router.base);
        let made_up = format!("made-up-{number}");
        assert_eq!(client.chat(&made_up, "x").await.status, StatusCode::NOT_FOUND);
        client.get(&format!("/{made_up}?x=y")).await;
        client.send(http::Method::from_bytes(b"MADEUP").unwrap(), "/v1/models", &[], "").await;
        let headers = [("x-request-id", made_up.as_str()), ("user-agent", &made_up)];
        client.post("/v1/chat/completions", &headers, &serde_json::json!({"model": made_up})).await;
    }
    let answer = router.client.chat(&long, "x").await;
    assert!(answer.status.is_client_error() && answer.text.len() < 4096, "{} bytes", answer.text.len());
    let metrics = router.admin.get("/metrics").await.text;
    assert!(!metrics.contains("made-up") && !metrics.contains("MADEUP"), "{metrics}");
    assert!(metrics.lines().count() < series + 60, "{} lines became {}", series, metrics.lines().count());
    assert_eq!(pools_in(&redis).await, keys, "pools in Redis");
}
