//! TLS from clients to the router, from the router to backends, and to Redis: who knows whom, and who is refused.

use http::{Method, StatusCode, Version};
use tidegate_tests::certificates::{Authority, Identity};
use tidegate_tests::client::{Client, chat_body};
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};
use tidegate_tests::process::Process;
use tidegate_tests::redis::RedisServer;
use tidegate_tests::router::TestRouter;
use tidegate_tests::wait;

const DEMO: &str = "tidegate-demo";
const TOKEN: &str = "backend-token-0123456789";
/// What everybody may ask of a backend.
const PROBES: [&str; 3] = ["/livez", "/readyz", "/health"];
/// What only those may ask who are known to it.
const CLOSED: [&str; 5] = ["/v1/models", "/v1/models/x", "/node", "/metrics", "/nothing"];

#[tokio::test]
async fn clients_speak_http_1_and_2_over_tls_and_new_certificates_are_shown() {
    let (old, new) = (Authority::new(), Authority::new());
    let server = old.issue("server");
    let node = FakeNode::start(4, Plan::Answer(std::time::Duration::ZERO)).await;
    let flags = ["--backend", &node.url, "--tls-cert", &server.cert, "--tls-key", &server.key];
    let router = TestRouter::start(&flags).await.with_backends(1).await;
    let client = old.client(&router.base, None);
    assert_eq!(client.chat(MODEL, "x").await.status, StatusCode::OK);
    let answer = client.open(Method::GET, "/v1/models", &[], "".into()).await;
    assert_eq!((answer.status(), answer.version()), (StatusCode::OK, Version::HTTP_2));
    let plain = router.base.replace("https", "http");
    assert!(Client::new(&plain).try_get("/livez").await.is_err(), "nothing is served in the clear");
    let stranger = new.client(&router.base, None).try_get("/livez").await.unwrap_err();
    assert!(stranger.contains("UnknownIssuer"), "{stranger}");
    let renewed = new.issue("server");
    std::fs::copy(&renewed.key, &server.key).unwrap();
    std::fs::copy(&renewed.cert, &server.cert).unwrap();
    wait::until("the new certificate is shown", || async {
        new.client(&router.base, None).try_get("/livez").await.ok()
    })
    .await;
    assert_eq!(client.chat(MODEL, "a connection from before").await.status, StatusCode::OK);
}

/// The base URL of a backend's process.
async fn base(backend: &Process) -> String {
    backend.says("\"ready\"").await;
    format!("https://{}", backend.url("address").await)
}

/// A backend that asks for a token and a certificate.
fn closed_backend(server: &Identity, ca: &str, tokens: &str) -> Process {
    let shown = ["--port", "0", "--tls-cert", &server.cert, "--tls-key", &server.key];
    Process::start(
        "tidegate-backend",
        &[&shown[..], &["--client-ca-file", ca, "--token-file", tokens]].concat(),
    )
}

/// Whoever shows no more than these headers gets nothing.
async fn is_closed(client: &Client, headers: &[(&str, &str)]) {
    for path in CLOSED {
        let answer = client.send(Method::GET, path, headers, "").await;
        let refused = (StatusCode::UNAUTHORIZED, "unauthorized");
        assert_eq!((answer.status, answer.code().as_str()), refused, "{path}");
        assert!(!answer.header("x-request-id").is_empty());
    }
    let answer = client.post("/v1/chat/completions", headers, &chat_body(DEMO, "What is 17 + 25?")).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.text);
}

#[tokio::test]
async fn a_backend_lets_in_who_shows_its_token_and_a_known_certificate() {
    let (ours, other) = (Authority::new(), Authority::new());
    let (server, shown, unknown) = (ours.issue("server"), ours.issue("router"), other.issue("router"));
    let tokens = ours.file("tokens", &format!("{TOKEN}\n"));
    let ca = ours.ca();
    let backend = closed_backend(&server, &ca, &tokens);
    let base = base(&backend).await;

    let bearer = format!("Bearer {TOKEN}");
    let (with, without) =
        ([("authorization", bearer.as_str())], [("authorization", "Bearer wrong-token-0123456789")]);
    let (known, nobody) = (ours.client(&base, Some(&shown)), ours.client(&base, None));
    for path in PROBES {
        assert_eq!(nobody.get(path).await.status, StatusCode::OK, "{path}");
    }
    let body = chat_body(DEMO, "What is 17 + 25?");
    for (client, headers) in [(&nobody, &[][..]), (&nobody, &with), (&known, &[]), (&known, &without)] {
        is_closed(client, headers).await;
    }
    assert_eq!(known.post("/v1/chat/completions", &with, &body).await.status, StatusCode::OK);
    assert!(
        ours.client(&base, Some(&unknown)).try_get("/livez").await.is_err(),
        "another authority's certificate"
    );

    let (cert, key) = (shown.cert.as_str(), shown.key.as_str());
    let flags = ["--backend", base.as_str(), "--backend-ca-file", &ca, "--backend-api-key-file", &tokens];
    let flags = [&flags[..], &["--backend-client-cert", cert, "--backend-client-key", key]].concat();
    let router = TestRouter::start(&flags).await.with_backends(1).await;
    let stolen = [("authorization", "Bearer what-a-client-shows")];
    let answer = router.client.post("/v1/chat/completions", &stolen, &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
}

#[tokio::test]
async fn a_fleet_finds_itself_through_a_redis_with_tls_and_a_password() {
    const PASSWORD: &str = "redis-password-0123456789";
    let authority = Authority::new();
    let (server, member) = (authority.issue("redis"), authority.issue("member"));
    let redis = RedisServer::start_secure(&authority, &server, PASSWORD).await;
    let (ca, password) = (authority.ca(), authority.file("password", &format!("{PASSWORD}\n")));
    let shared = ["--redis-url", &redis.url, "--redis-ca-file", &ca, "--redis-password-file", &password];
    let shared =
        [&shared[..], &["--redis-client-cert", &member.cert, "--redis-client-key", &member.key]].concat();
    let tls = ["--port", "0", "--tls-cert", &member.cert, "--tls-key", &member.key];
    let _backend = Process::start("tidegate-backend", &[&tls[..], &shared].concat());
    let router = TestRouter::start(&[&shared[..], &["--backend-ca-file", &ca]].concat()).await;
    let router = router.with_backends(1).await;
    assert_eq!(router.client.chat(DEMO, "What is 17 + 25?").await.status, StatusCode::OK);
    let url = router.fleet().await["pools"][0]["backends"][0]["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with("https://"), "{url}");

    let wrong = authority.file("wrong", "another-password-0123456789");
    let flags: Vec<&str> = shared.iter().map(|flag| if *flag == password { &wrong } else { *flag }).collect();
    let mut refused =
        Process::start("tidegate-router", &[&["--port", "0", "--admin-port", "0"], &flags[..]].concat());
    assert!(!refused.ended().await.success());
    let output = refused.output();
    assert!(output.contains("Redis") && !output.contains("another-password"), "{output}");
}
