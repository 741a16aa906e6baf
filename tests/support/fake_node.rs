//! A backend with fixed slots and service times from timers, that can be told to misbehave. It speaks as a backend of our
//! own (node report, attempt ids) or as a server of another make.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tidegate_wire::error::ErrorBody;
use tidegate_wire::node::NodeReport;
use tidegate_wire::registration::{LEASE_MS, RENEW_MS, Registration, index_key, key};

/// The model that a fake node serves.
pub const MODEL: &str = "fake";

/// How a node answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// A chat completion after this time.
    Answer(Duration),
    /// A stream of this many events with this time before each.
    Stream(u32, Duration),
    /// Headers, one event, then a broken connection.
    Break,
    /// 503 `concurrency`, whatever runs.
    Full,
    /// 500 with an error body of its own.
    Fail,
}

/// What a node has seen and does.
#[derive(Debug)]
struct Account {
    plan: Plan,
    running: BTreeSet<String>,
    most: usize,
    seen: u64,
    headers: HeaderMap,
    body: Value,
}

type Shared = Arc<Mutex<Account>>;

/// A running fake node. It ends with the test's runtime.
#[derive(Debug, Clone)]
pub struct FakeNode {
    /// Its base URL.
    pub url: String,
    slots: u32,
    account: Shared,
}

#[derive(Debug, Clone)]
struct Node {
    account: Shared,
    slots: u32,
}

impl FakeNode {
    /// A node that reports itself as backends of our own do.
    pub async fn start(slots: u32, plan: Plan) -> Self {
        Self::serve(slots, plan, true).await
    }

    /// A server of another make: no node report, only `/v1/models`.
    pub async fn start_foreign(plan: Plan) -> Self {
        Self::serve(u32::MAX, plan, false).await
    }

    async fn serve(slots: u32, plan: Plan, own: bool) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let account = Arc::new(Mutex::new(Account {
            plan,
            running: BTreeSet::new(),
            most: 0,
            seen: 0,
            headers: HeaderMap::new(),
            body: Value::Null,
        }));
        let mut app =
            Router::new().route("/v1/models", get(models)).route("/v1/chat/completions", post(chat));
        if own {
            app = app.route("/node", get(report));
        }
        let app = app.with_state(Node { account: account.clone(), slots });
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, slots, account }
    }

    /// Registers itself in Redis and renews that until the test ends.
    pub async fn register(&self, redis_url: &str, prefix: &str) {
        let registration = Registration {
            id: self.url.clone(),
            epoch: "1".to_owned(),
            url: self.url.clone(),
            models: vec![MODEL.to_owned()],
            slots: self.slots,
            draining: false,
        };
        let client = redis::Client::open(redis_url).unwrap();
        let mut redis = client.get_multiplexed_async_connection().await.unwrap();
        let (record, key, index) =
            (serde_json::to_string(&registration).unwrap(), key(prefix, &self.url), index_key(prefix));
        tokio::spawn(async move {
            loop {
                let written: redis::RedisResult<()> = redis::pipe()
                    .sadd(&index, &registration.id)
                    .pset_ex(&key, &record, LEASE_MS)
                    .query_async(&mut redis)
                    .await;
                if written.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(RENEW_MS)).await;
            }
        });
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap()
    }

    /// Changes how it answers from now on.
    pub fn plan(&self, plan: Plan) {
        self.account().plan = plan;
    }

    /// Requests that it runs now.
    pub fn running(&self) -> usize {
        self.account().running.len()
    }

    /// Most requests that it ever ran at once.
    pub fn most_running(&self) -> usize {
        self.account().most
    }

    /// Requests that have reached it, refused ones included.
    pub fn seen(&self) -> u64 {
        self.account().seen
    }

    /// Headers of the last request.
    pub fn last_headers(&self) -> HeaderMap {
        self.account().headers.clone()
    }

    /// Body of the last request.
    pub fn last_body(&self) -> Value {
        self.account().body.clone()
    }
}

/// Takes an attempt off the account when its answer is over or dropped.
struct Running(Shared, String);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.lock().unwrap().running.remove(&self.1);
    }
}

async fn models() -> Json<Value> {
    Json(
        json!({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "fake"}]}),
    )
}

async fn report(State(node): State<Node>) -> Json<NodeReport> {
    let running = node.account.lock().unwrap().running.iter().cloned().collect();
    Json(NodeReport {
        epoch: "1".to_owned(),
        models: vec![MODEL.to_owned()],
        slots: node.slots,
        running,
        abandoned: vec![],
        draining: false,
        ready: true,
    })
}

fn refusal(status: StatusCode, code: &'static str) -> Response {
    (status, ErrorBody::new("server_error", code, "the fake node was told to refuse").to_json())
        .into_response()
}

/// Enters a request; `None` where the node is full.
fn enter(node: &Node, headers: HeaderMap, body: Value) -> Option<(Plan, Running)> {
    let mut account = node.account.lock().unwrap();
    account.seen += 1;
    let attempt =
        headers.get("x-tidegate-attempt").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    account.headers = headers;
    account.body = body;
    if account.plan == Plan::Full || account.running.len() >= node.slots as usize {
        return None;
    }
    account.running.insert(attempt.clone());
    account.most = account.most.max(account.running.len());
    Some((account.plan, Running(node.account.clone(), attempt)))
}

async fn chat(State(node): State<Node>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let Some((plan, running)) = enter(&node, headers, body) else {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "concurrency");
    };
    match plan {
        Plan::Answer(time) => {
            tokio::time::sleep(time).await;
            let choice = json!({"index": 0, "message": {"role": "assistant", "content": "done"}, "finish_reason": "stop"});
            Json(
                json!({"id": "chatcmpl-1", "object": "chat.completion", "model": MODEL, "choices": [choice]}),
            )
            .into_response()
        }
        Plan::Stream(events, pause) => stream(running, events, pause, false),
        Plan::Break => stream(running, 1, Duration::ZERO, true),
        Plan::Fail => refusal(StatusCode::INTERNAL_SERVER_ERROR, "engine_broken"),
        Plan::Full => refusal(StatusCode::SERVICE_UNAVAILABLE, "concurrency"),
    }
}

fn stream(running: Running, events: u32, pause: Duration, broken: bool) -> Response {
    let events = futures_util::stream::iter(0..=events).then(move |number| {
        let _held = &running;
        async move {
            tokio::time::sleep(pause).await;
            match number {
                last if last == events && broken => Err(std::io::Error::other("told to break")),
                last if last == events => Ok(Bytes::from_static(b"data: [DONE]\n\n")),
                number => Ok(Bytes::from(format!("data: {{\"number\": {number}}}\n\n"))),
            }
        }
    });
    ([("content-type", "text/event-stream")], Body::from_stream(events)).into_response()
}
