//! One person behind an SDK: asks, checks that the answer is their own, and tries again as [`crate::retry`] says.
//!
//! The deadline starts again with each attempt, as a timeout of the OpenAI SDKs does; each attempt carries it in
//! `x-request-timeout-ms`, and an answer whose last byte comes later than that after the attempt's start is a missed one. The caller
//! hangs up a little after its deadline, so that an answer that comes late is seen to be late and silence is seen to be silence.

mod judge;

use crate::retry::{Response, Retries, next_try};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::json;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tidegate_admission::Priority;
use tidegate_sim::chance::Chance;
use tidegate_tests::fake_node::MODEL;
use tidegate_wire::header::{PRIORITY, REQUEST_TIMEOUT_MS};
use tokio::time::{Instant, sleep, timeout_at};

/// How long after its deadline a caller hangs up.
const SLACK: Duration = Duration::from_secs(1);

/// How callers behave.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Whether they try again.
    pub retries: Retries,
    /// Time from an attempt's start to its last byte.
    pub deadline: Duration,
    /// Nobody tries again later than this after the caller's origin: the end of what is measured.
    pub until: Duration,
    /// Seed of the jitter between retries.
    pub seed: u64,
}

/// What one person asks for.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The message; the answer must repeat it.
    pub prompt: String,
    /// Sent with the request.
    pub priority: Priority,
    /// Whether the answer comes as a stream.
    pub streamed: bool,
}

/// How one attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// 200, whole, and its own answer.
    Answered,
    /// 200 with this content, which is not the answer to what was asked.
    MixedUp(String),
    /// A refusal by admission: status and `x-tidegate-reason`.
    Refused(u16, String),
    /// 504, or a stream's last event with the code `timeout`.
    TimedOut,
    /// Any other answer: status and the error's code.
    Failed(u16, String),
    /// The connection could not be made or broke: how.
    Broken(String),
    /// Nothing came until the caller hung up.
    Silent,
    /// It was still open when the run ended: see [`Caller::hanging_up_at`].
    Open,
}

/// One attempt.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Its start, from the caller's origin.
    pub at: Duration,
    /// Number of the target that it went to.
    pub target: usize,
    /// How it ended.
    pub end: End,
    /// From its start to the first byte of the body.
    pub first_byte: Option<Duration>,
    /// From its start to its end.
    pub total: Duration,
}

/// What came of one person's wish.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What was asked.
    pub ask: Ask,
    /// All attempts, the last one's end being what the person saw.
    pub attempts: Vec<Attempt>,
    /// True where the person would have tried again after [`Policy::until`].
    pub cut: bool,
}

/// Callers that share connections to the same targets. Attempts go to the targets in turn, as behind a load balancer.
#[derive(Debug)]
pub struct Caller {
    targets: Vec<String>,
    turn: AtomicUsize,
    client: Client<HttpConnector, Full<Bytes>>,
    policy: Policy,
    origin: Instant,
    /// See [`Caller::untold`].
    told: bool,
    /// See [`Caller::hanging_up_at`].
    last: Option<Instant>,
}

/// What was read of an answer.
struct Read {
    status: StatusCode,
    headers: HeaderMap,
    first_byte: Option<Duration>,
    body: Result<Vec<u8>, String>,
}

impl Caller {
    /// Callers of the servers at these base URLs, whose times count from `origin`.
    pub fn new(targets: Vec<String>, policy: Policy, origin: Instant) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        Self { targets, turn: AtomicUsize::new(0), client, policy, origin, told: true, last: None }
    }

    /// Hangs up on everything that is still open this long after the origin.
    #[must_use]
    pub fn hanging_up_at(mut self, at: Duration) -> Self {
        self.last = Some(self.origin + at);
        self
    }

    /// Tells the servers no deadline and hangs up at it, as people do whose servers know of none.
    #[must_use]
    pub fn untold(mut self) -> Self {
        self.told = false;
        self
    }

    /// Asks until there is an answer or no further try.
    pub async fn call(&self, ask: Ask) -> Outcome {
        let mut hasher = DefaultHasher::new();
        ask.prompt.hash(&mut hasher);
        let mut chance = Chance::new(self.policy.seed, hasher.finish());
        let mut outcome = Outcome { ask, attempts: Vec::new(), cut: false };
        for made in 0.. {
            let (attempt, again) = self.attempt(&outcome.ask, made, &mut chance).await;
            outcome.attempts.push(attempt);
            let Some(pause) = again else { break };
            if self.origin.elapsed() + pause > self.policy.until {
                outcome.cut = true;
                break;
            }
            sleep(pause).await;
        }
        outcome
    }

    /// One attempt, and the time until the next one if there is one.
    async fn attempt(&self, ask: &Ask, made: u32, chance: &mut Chance) -> (Attempt, Option<Duration>) {
        let target = self.turn.fetch_add(1, Ordering::Relaxed) % self.targets.len();
        let at = self.origin.elapsed();
        let started = Instant::now();
        let read = timeout_at(self.hangs_up(started), self.read(target, ask, started)).await;
        let total = started.elapsed();
        let nothing = |chance| next_try(self.policy.retries, made, &Response::Nothing, chance);
        let (end, first_byte, again) = match read {
            Err(_) if self.last.is_some_and(|last| last <= Instant::now()) => (End::Open, None, None),
            Err(_) => (End::Silent, None, nothing(chance)),
            Ok(Err(error)) => (End::Broken(error), None, nothing(chance)),
            Ok(Ok(Read { status, headers, first_byte, body })) => {
                let (end, again) = match body {
                    Ok(body) => {
                        let response = Response::Status(status, &headers);
                        let end = judge::end(status, &headers, &String::from_utf8_lossy(&body), ask);
                        (end, next_try(self.policy.retries, made, &response, chance))
                    }
                    // A stream that has begun is never tried again: its reader has seen half of it.
                    Err(error) if ask.streamed && status.is_success() => (End::Broken(error), None),
                    Err(error) => (End::Broken(error), nothing(chance)),
                };
                (end, first_byte, again)
            }
        };
        (Attempt { at, target, end, first_byte, total }, again)
    }

    fn hangs_up(&self, started: Instant) -> Instant {
        let own = started + self.policy.deadline + if self.told { SLACK } else { Duration::ZERO };
        self.last.map_or(own, |last| last.min(own))
    }

    async fn read(&self, target: usize, ask: &Ask, started: Instant) -> Result<Read, String> {
        let response = self.client.request(self.request(target, ask)).await.map_err(|error| chain(&error))?;
        let (parts, mut body) = response.into_parts();
        let (mut first_byte, mut bytes) = (None, Vec::new());
        let body = loop {
            match body.frame().await {
                None => break Ok(bytes),
                Some(Err(error)) => break Err(chain(&error)),
                Some(Ok(frame)) => {
                    first_byte.get_or_insert_with(|| started.elapsed());
                    bytes.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()));
                }
            }
        };
        Ok(Read { status: parts.status, headers: parts.headers, first_byte, body })
    }

    fn request(&self, target: usize, ask: &Ask) -> Request<Full<Bytes>> {
        let message = json!({"role": "user", "content": ask.prompt});
        let body = json!({"model": MODEL, "stream": ask.streamed, "messages": [message]});
        let mut request = Request::post(format!("{}/v1/chat/completions", self.targets[target]))
            .header(header::CONTENT_TYPE, "application/json")
            .header(PRIORITY, ask.priority.as_str());
        if self.told {
            let deadline = u64::try_from(self.policy.deadline.as_millis()).unwrap();
            request = request.header(REQUEST_TIMEOUT_MS, deadline);
        }
        request.body(Full::new(Bytes::from(body.to_string()))).unwrap()
    }
}

/// An error with its causes: hyper's own text leaves them out.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
