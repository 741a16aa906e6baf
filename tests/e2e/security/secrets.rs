//! Secrets: whatever a router and a backend were given stays with them. Everything that they say is searched for it: the list of
//! processes, log, answers, `/fleet`, `/metrics`, spans. So is a prompt.

use http::{Method, StatusCode};
use tidegate_tests::certificates::Authority;
use tidegate_tests::client::Client;
use tidegate_tests::collector::Collector;
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};
use tidegate_tests::process::Process;
use tidegate_tests::redis::RedisServer;
use tidegate_tests::wait;

const REDIS_PASSWORD: &str = "redis-secret-0123456789";
const ADMIN_TOKEN: &str = "admin-secret-0123456789";
const BACKEND_KEY: &str = "backend-secret-0123456789";
const CLIENT_KEY: &str = "client-secret-0123456789";
const PROMPT: &str = "prompt-secret-0123456789";

/// What every secret of this test holds, and nothing else.
const MARK: &str = "-secret-";

/// A router that was given every kind of secret, and writes all that it ever logs.
struct Scene {
    router: Process,
    clients: Client,
    operators: Client,
    node: FakeNode,
    collector: Collector,
    _redis: RedisServer,
    _files: Authority,
}

impl Scene {
    async fn start() -> Self {
        let files = Authority::new();
        let server = files.issue("redis");
        let redis = RedisServer::start_secure(&files, &server, REDIS_PASSWORD).await;
        let member = files.issue("member");
        let collector = Collector::start().await;
        let node = FakeNode::start(4, Plan::Answer(std::time::Duration::ZERO)).await;
        let [password, tokens, keys] =
            [("password", REDIS_PASSWORD), ("tokens", ADMIN_TOKEN), ("keys", BACKEND_KEY)]
                .map(|(name, secret)| files.file(name, secret));
        let ca = files.ca();
        let flags = ["--port", "0", "--admin-port", "0", "--redis-url", &redis.url, "--redis-ca-file", &ca];
        let shown = ["--redis-client-cert", &member.cert, "--redis-client-key", &member.key];
        let secrets = ["--redis-password-file", &password, "--admin-token-file", &tokens];
        let backend = ["--backend-api-key-file", &keys, "--backend", &node.url];
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
            ("RUST_LOG", "debug,tidegate_router=trace,tidegate_serve=trace,tidegate_store=trace"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let all = [&flags[..], &shown, &secrets, &backend].concat();
        let router = Process::start_with("tidegate-router", &all, &variables);
        let (clients, operators) =
            (Client::new(&router.clients().await), Client::new(&router.operators().await));
        let scene = Self { router, clients, operators, node, collector, _redis: redis, _files: files };
        wait::until("it serves", || async {
            (scene.chat(MODEL).await.status == StatusCode::OK).then_some(())
        })
        .await;
        scene
    }

    async fn chat(&self, model: &str) -> tidegate_tests::client::Answer {
        let key = format!("Bearer {CLIENT_KEY}");
        let body = tidegate_tests::client::chat_body(model, PROMPT);
        self.clients.post("/v1/chat/completions", &[("authorization", &key)], &body).await
    }

    /// What the admin port tells those who show its token.
    async fn told(&self, path: &str) -> String {
        let bearer = format!("Bearer {ADMIN_TOKEN}");
        let answer = self.operators.send(Method::GET, path, &[("authorization", &bearer)], "").await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        answer.text
    }
}

#[tokio::test]
async fn no_secret_and_no_prompt_is_ever_said() {
    let scene = Scene::start().await;
    assert_eq!(
        scene.node.last_headers()["authorization"],
        format!("Bearer {BACKEND_KEY}"),
        "the backend gets the router's key and not the client's"
    );
    scene.node.plan(Plan::Break);
    let broken = scene.chat(MODEL).await;
    let missing = scene.chat("nobody-serves-this").await;
    let wrong = [("authorization", "Bearer admin-secret-wrong")];
    let refused = scene.operators.send(Method::GET, "/fleet", &wrong, "").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    wait::until("spans are there", || async { (!scene.collector.spans().is_empty()).then_some(()) }).await;
    let command = std::fs::read(format!("/proc/{}/cmdline", scene.router.id())).unwrap();
    let said = [
        ("list of processes", String::from_utf8_lossy(&command).into_owned()),
        ("an answer", broken.text),
        ("an answer", missing.text),
        ("an answer", refused.text),
        ("/fleet", scene.told("/fleet").await),
        ("/metrics", scene.told("/metrics").await),
        ("a span", format!("{:?}", scene.collector.spans())),
        ("the log", scene.router.output()),
    ];
    for (place, text) in said {
        assert!(!text.is_empty(), "{place} was not looked at");
        let around = text.find(MARK).map(|at| &text[at.saturating_sub(120)..text.len().min(at + 60)]);
        assert_eq!(around, None, "in {place}");
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_used_is_not_repeated() {
    let folder = Authority::new();
    let bad = folder.file("bad", "two\u{7f}-secret-words");
    let url = "redis://user:url-secret-0123456789@[bad";
    for flags in
        [["--admin-token-file", bad.as_str()], ["--backend-api-key-file", &bad], ["--redis-url", url]]
    {
        let mut router = Process::start("tidegate-router", &flags);
        assert!(!router.ended().await.success(), "{flags:?}");
        let output = router.output();
        assert!(output.contains(flags[0]) && !output.contains(MARK), "{output}");
    }
}
