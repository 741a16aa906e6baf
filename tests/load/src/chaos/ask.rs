//! One request of the load: sends it to a router that is in rotation, and keeps what became of it.

use super::answer::{Judged, judge};
use super::exchange::{Defect, Exchange, connect, find};
use super::facts::{DEMO_MODEL, Facts};
use super::history::{Micros, now};
use super::plan::{Question, REQUEST_TIMEOUT, Request};
use super::rotation::Rotation;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The model of the fake nodes.
pub const FAKE_MODEL: &str = "fake";
/// What a client waits for an answer: the deadline, and all the stops that its router may meet meanwhile.
const PATIENCE: Duration = Duration::from_secs(REQUEST_TIMEOUT.as_secs() + 20);

/// A request and what became of it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What was asked.
    pub request: Request,
    /// The router that took it.
    pub router: usize,
    /// When its connection was open.
    pub sent: Micros,
    /// When the first piece of a backend's answer was there.
    pub first: Option<Micros>,
    /// When it was over.
    pub ended: Micros,
    /// What it came to.
    pub outcome: Outcome,
}

/// What a request came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An answer, whole.
    Answered(Judged),
    /// The connection ended before the answer did; whether anything of a body was there.
    Cut(bool),
    /// Nothing, for as long as a client waits.
    Silent,
    /// The client hung up before the end, as planned.
    HungUp,
    /// No router took the connection.
    Unsent,
}

/// What all requests of a run share.
#[derive(Debug, Clone)]
pub struct Desk {
    /// Names the run.
    pub seed: u64,
    /// The routers.
    pub rotation: Arc<Rotation>,
    /// The demo model's questions.
    pub facts: Arc<Facts>,
}

/// The token by which a request is known on all sides.
pub fn token(seed: u64, number: usize) -> String {
    format!("c{seed}-{number}")
}

impl Desk {
    /// Sends a request and waits for its end.
    pub async fn ask(&self, request: Request) -> Asked {
        let Some((router, connection)) = self.connect(request.router).await else {
            let at = now();
            let (router, outcome) = (request.router, Outcome::Unsent);
            return Asked { request, router, sent: at, first: None, ended: at, outcome };
        };
        let sent = now();
        let (text, expected) = self.texts(&request);
        let patience = request.hangs_up.unwrap_or(PATIENCE).min(PATIENCE);
        let mut exchange = Exchange::default();
        let ended = timeout(patience, Exchange::run(connection, text.as_bytes(), &mut exchange)).await;
        let outcome = match (ended, request.hangs_up) {
            (Ok(()), _) => outcome(&exchange, &expected),
            (Err(_), Some(_)) => Outcome::HungUp,
            (Err(_), None) => Outcome::Silent,
        };
        let first = find(&exchange.bytes, b"\"choices\"").and_then(|index| exchange.came(index));
        Asked { request, router, sent, first, ended: now(), outcome }
    }

    /// Opens a connection to the router that is wanted, or else to the next one, as a load balancer does.
    async fn connect(&self, wanted: usize) -> Option<(usize, TcpStream)> {
        for router in self.rotation.order(wanted) {
            if let Some(connection) = connect(self.rotation.address(router)).await {
                return Some((router, connection));
            }
        }
        None
    }

    /// The request's text, and the right answer.
    fn texts(&self, request: &Request) -> (String, String) {
        let token = token(self.seed, request.number);
        let (model, content, expected) = match request.question {
            Question::Echo => (FAKE_MODEL, token.clone(), token.clone()),
            Question::Fact(number) => {
                let (question, answer) = self.facts.get(number);
                (DEMO_MODEL, question.to_owned(), answer.to_owned())
            }
        };
        let body = json!({
            "model": model, "stream": request.stream, "temperature": 0,
            "messages": [{"role": "user", "content": content}],
        })
        .to_string();
        let (length, priority) = (body.len(), request.priority);
        let text = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: chaos\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\nx-request-id: {token}\r\n\
             x-tidegate-priority: {priority}\r\n\r\n{body}"
        );
        (text, expected)
    }
}

fn outcome(exchange: &Exchange, expected: &str) -> Outcome {
    match exchange.answer() {
        Ok(answer) => Outcome::Answered(judge(&answer, expected)),
        Err(Defect::Short) => Outcome::Cut(find(&exchange.bytes, b"\r\n\r\n").is_some()),
        Err(Defect::Garbled(what)) => Outcome::Answered(Judged::Wrong(what)),
    }
}
