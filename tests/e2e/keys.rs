//! API keys: who may come in, what each key may use over all routers, and a file that changes.

use http::StatusCode;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tidegate_tests::client::{Answer, Client, chat_body};
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan};
use tidegate_tests::process::Process;
use tidegate_tests::redis::RedisServer;
use tidegate_tests::router::TestRouter;
use tidegate_tests::wait;
use tokio::task::JoinSet;
use tokio::time::Instant;

const CHAT: &str = "/v1/chat/completions";
const ROUTER: &str = "tidegate-router";

/// A key file, edited as people edit it.
pub(super) struct KeyFile {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl KeyFile {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { path: folder.path().join("keys.jsonl"), _folder: folder }
    }

    pub(super) fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// `tidegate-router keys`; what it printed.
    fn keys(&self, arguments: &[&str]) -> String {
        let program = Process::program(ROUTER);
        let output = Command::new(program)
            .args(["keys", "--api-keys-file", self.path()])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(super) fn make(&self, arguments: &[&str]) -> String {
        self.keys(&[&["make"], arguments].concat())
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap()
    }
}

async fn chat(client: &Client, key: &str) -> Answer {
    let bearer = format!("Bearer {key}");
    client.post(CHAT, &[("authorization", &bearer)], &chat_body(MODEL, "x")).await
}

/// The eight digits that name a key.
fn id(key: &str) -> &str {
    key.split('-').nth(1).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_key_lets_in_and_it_goes_no_further() {
    let (node, file) = (FakeNode::start(4, Plan::Answer(Duration::from_millis(5))).await, KeyFile::new());
    let key = file.make(&["--tenant", "acme", "--requests-per-minute", "60"]);
    let (other, revoked) = (file.make(&["--tenant", "beta"]), file.make(&["--tenant", "gone"]));
    file.keys(&["revoke", id(&revoked)]);
    let flags = ["--port", "0", "--admin-port", "0", "--backend", &node.url, "--api-keys-file", file.path()];
    let router = Process::start(ROUTER, &flags);
    let (client, admin) = (Client::new(&router.clients().await), Client::new(&router.operators().await));
    let good = wait::until("the backend is known", || async {
        Some(chat(&client, &key).await).filter(|answer| answer.status == StatusCode::OK)
    })
    .await;
    assert_eq!(good.header("x-ratelimit-limit-requests"), "60");
    assert!(good.header("x-ratelimit-reset-requests").ends_with('s'));
    assert!(node.last_headers().get("authorization").is_none(), "backends do not see it");

    let seen = node.seen();
    let wrong = nearly(&key, &other);
    strangers(&client, &[&wrong[..], &[revoked.clone(), "none".to_owned(), String::new()]].concat()).await;
    assert_eq!(node.seen(), seen, "nothing of a stranger reaches a backend");
    assert_eq!(client.get("/health").await.status, StatusCode::OK);

    let metrics = admin.get("/metrics").await.text;
    assert!(!metrics.contains("acme"), "no label names a tenant");
    for text in [router.says("acme").await, admin.get("/fleet").await.text, metrics, file.text()] {
        for secret in [&key, &wrong[0], &other, &revoked].map(|key| key.rsplit('-').next().unwrap()) {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

/// A key with its last digit changed, with the other's name, and one digit short.
fn nearly(key: &str, other: &str) -> [String; 3] {
    let last = if key.ends_with('0') { '1' } else { '0' };
    let short = &key[..key.len() - 1];
    [format!("{short}{last}"), key.replace(id(key), id(other)), short.to_owned()]
}

/// Whoever shows one of these, or nothing, is refused everywhere.
async fn strangers(client: &Client, wrong: &[String]) {
    for wrong in wrong {
        let answer = chat(client, wrong).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::UNAUTHORIZED, "invalid_api_key"));
        assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
        assert!(!wrong.starts_with("tg-") || !answer.text.contains(wrong), "{}", answer.text);
    }
    for path in ["/v1/models", "/v1/models/fake"] {
        assert_eq!(client.get(path).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(client.chat(MODEL, "x").await.code(), "invalid_api_key", "no key at all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_has_its_models_and_its_highest_priority() {
    let (node, file) = (FakeNode::start(4, Plan::Answer(Duration::from_millis(5))).await, KeyFile::new());
    let low = file.make(&["--tenant", "acme", "--model", MODEL, "--max-priority", "low"]);
    let other = file.make(&["--tenant", "acme", "--model", "another"]);
    let router = TestRouter::start(&["--backend", &node.url, "--api-keys-file", file.path()]).await;
    let router = router.with_backends(1).await;
    let bearer = format!("Bearer {low}");
    let headers = [("authorization", bearer.as_str()), ("x-tidegate-priority", "high")];
    let answer = router.client.post(CHAT, &headers, &chat_body(MODEL, "x")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(node.last_headers().get("x-tidegate-priority").unwrap(), "low");
    let refused = chat(&router.client, &other).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::FORBIDDEN, "model_not_found"));
    let bearer = format!("Bearer {other}");
    let listed = router.client.send(http::Method::GET, "/v1/models", &[("authorization", &bearer)], "").await;
    assert_eq!(listed.json()["data"].as_array().map(Vec::len), Some(0), "{}", listed.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_counts_at_once_and_a_broken_one_not_at_all() {
    let (node, file) = (FakeNode::start(4, Plan::Answer(Duration::from_millis(5))).await, KeyFile::new());
    let key = file.make(&["--tenant", "acme"]);
    let flags = ["--port", "0", "--admin-port", "0", "--backend", &node.url, "--api-keys-file", file.path()];
    let mut router = Process::start(ROUTER, &flags);
    let client = Client::new(&router.clients().await);
    let until = async |key: &str, status: StatusCode| {
        wait::until(&format!("{status}"), || async {
            (chat(&client, key).await.status == status).then_some(())
        })
        .await;
    };
    until(&key, StatusCode::OK).await;
    let good = file.text();
    std::fs::write(&file.path, format!("{good}{{\"id\": \"half a li")).unwrap();
    router.says("the keys that were read last go on to hold").await;
    until(&key, StatusCode::OK).await;
    std::fs::write(&file.path, &good).unwrap();
    let second = file.make(&["--tenant", "beta"]);
    until(&second, StatusCode::OK).await;
    file.keys(&["revoke", id(&key)]);
    until(&key, StatusCode::UNAUTHORIZED).await;
    std::fs::remove_file(&file.path).unwrap();
    router.says("cannot be read").await;
    until(&second, StatusCode::OK).await;
    router.signal("TERM");
    router.ended().await;

    let mut refused = Process::start(ROUTER, &flags);
    assert!(!refused.ended().await.success());
    refused.says("cannot be read").await;
    std::fs::write(&file.path, "nonsense\n").unwrap();
    let mut refused = Process::start(ROUTER, &flags);
    assert!(!refused.ended().await.success());
    refused.says("line 1: ").await;
}

/// Three routers at one Redis, and the backend behind them.
struct Routers {
    _redis: RedisServer,
    node: FakeNode,
    routers: Vec<Process>,
    clients: Vec<Client>,
}

impl Routers {
    async fn start(slots: u32, plan: Plan, file: &KeyFile) -> Self {
        let redis = RedisServer::start().await;
        let node = FakeNode::start(slots, plan).await;
        node.register(&redis.url, "tidegate").await;
        // A busy machine must not be taken for a Redis that is away: alone, each router counts for itself.
        let flags = [
            "--port",
            "0",
            "--admin-port",
            "0",
            "--redis-url",
            &redis.url,
            "--redis-timeout",
            "10",
            "--on-redis-loss",
            "closed",
            "--wait-share",
            "1",
            "--api-keys-file",
            file.path(),
        ];
        let routers: Vec<Process> = (0..3).map(|_| Process::start(ROUTER, &flags)).collect();
        let mut clients = Vec::new();
        for router in &routers {
            clients.push(Client::new(&router.clients().await));
        }
        Self { _redis: redis, node, routers, clients }
    }

    /// Waits until each router lets a key in.
    async fn until_known(&self, key: &str) {
        for client in &self.clients {
            wait::until("the router knows its backend", || async {
                (chat(client, key).await.status == StatusCode::OK).then_some(())
            })
            .await;
        }
    }
}

/// A request that may fail since its router is killed: the status, or none.
async fn status(base: &Client, key: &str) -> Option<StatusCode> {
    let (client, key) = (base.clone(), key.to_owned());
    tokio::spawn(async move { chat(&client, &key).await.status }).await.ok()
}

/// The limit of requests a minute holds over three routers to the request, while one of them is killed in the middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_a_minute_hold_exactly_over_three_routers_while_one_is_killed() {
    const LIMIT: f64 = 240.0;
    let file = KeyFile::new();
    let (warm, key) =
        (file.make(&["--tenant", "warm"]), file.make(&["--tenant", "acme", "--requests-per-minute", "240"]));
    let fleet = Routers::start(64, Plan::Answer(Duration::from_millis(1)), &file).await;
    fleet.until_known(&warm).await;
    let (before, begun) = (fleet.node.seen(), Instant::now());
    let mut asking = JoinSet::new();
    for number in 0..12 {
        let (client, key) = (fleet.clients[number % 3].clone(), key.clone());
        asking.spawn(async move {
            let mut answered = 0_u64;
            while begun.elapsed() < Duration::from_secs(6) {
                match status(&client, &key).await {
                    Some(StatusCode::OK) => answered += 1,
                    Some(other) => assert_eq!(other, StatusCode::TOO_MANY_REQUESTS),
                    None => return answered,
                }
            }
            answered
        });
    }
    wait::until("half of them came in", || async {
        (fleet.node.seen() - before > LIMIT as u64 / 2).then_some(())
    })
    .await;
    fleet.routers[2].signal("KILL");
    let answered: u64 = asking.join_all().await.into_iter().sum();
    let allowed = LIMIT + begun.elapsed().as_secs_f64() * LIMIT / 60.0;
    let came = fleet.node.seen() - before;
    println!("{answered} answered, {came} came to the backend, {allowed:.1} were allowed");
    assert!(came as f64 <= allowed, "{came} of {allowed}");
    // The killed router took at most one request of each of its clients along; the last second's are still due.
    assert!(came as f64 >= allowed - 4.0 - 8.0, "{came} of {allowed}");
    assert!(answered <= came && answered + 4 >= came, "{answered} of {came}");
}

/// Requests at once, over three routers: exactly so many, and again exactly so many after a router that held some was killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_at_once_hold_exactly_and_the_dead_hold_nothing() {
    let file = KeyFile::new();
    let (warm, key) = (
        file.make(&["--tenant", "warm"]),
        file.make(&["--tenant", "acme", "--max-concurrent-requests", "5"]),
    );
    let fleet = Routers::start(64, Plan::Answer(Duration::from_millis(1)), &file).await;
    fleet.until_known(&warm).await;
    fleet.node.plan(Plan::Answer(Duration::from_secs(60)));
    let mut held = JoinSet::new();
    for router in [0, 1, 1, 2, 2] {
        let (client, key) = (fleet.clients[router].clone(), key.clone());
        held.spawn(async move { status(&client, &key).await });
    }
    wait::until("five run", || async { (fleet.node.running() == 5).then_some(()) }).await;
    for number in 0..60 {
        is_limited(&chat(&fleet.clients[number % 3], &key).await);
    }
    for router in &fleet.routers[1..] {
        router.signal("KILL");
    }
    wait::until("what the dead ran has stopped", || async { (fleet.node.running() == 1).then_some(()) })
        .await;
    // Their lease ends within ten seconds; who asks too often is refused and asks again.
    wait::until("five run again", || async {
        tokio::spawn({
            let (client, key) = (fleet.clients[0].clone(), key.clone());
            async move { status(&client, &key).await }
        });
        (fleet.node.running() == 5).then_some(())
    })
    .await;
    for _ in 0..20 {
        is_limited(&chat(&fleet.clients[0], &key).await);
    }
    assert_eq!(fleet.node.most_running(), 5, "never more");
}

fn is_limited(refused: &Answer) {
    let said = (refused.status, refused.code());
    assert_eq!(said, (StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded".to_owned()));
    assert_eq!(refused.json()["error"]["type"], "rate_limit_error");
    assert!(!refused.header("retry-after-ms").is_empty());
}
