//! One request of the load: sends it, leaves where its client is to leave, and says what it came to.

use super::connections::Connections;
use super::invalid::Invalid;
use super::plan::{Form, Leaves, Request};
use crate::chaos::answer::{Judged, judge_at};
use crate::chaos::exchange::{Answer, Defect, Exchange};
use crate::chaos::facts::{DEMO_MODEL, Facts};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long after its time a client still waits: what is silent then is a fault.
const SLACK: Duration = Duration::from_secs(3);
/// More tokens than any right answer has.
const MAX_TOKENS: u32 = 400;
/// What an event of a stream begins with.
const EVENT: &[u8] = b"data: {";

/// What a request came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The right answer, whole.
    Right,
    /// A refusal with this code.
    Refused(String),
    /// `timeout`: its time was over before its answer was.
    TimedOut,
    /// An invalid request, answered as it must be.
    Rejected,
    /// The client left; whether anything of an answer was there.
    Left(bool),
    /// An answer that is not right: why.
    Wrong(String),
    /// Anything else: what.
    Fault(String),
}

/// What all requests of a run share.
#[derive(Debug, Clone)]
pub struct Desk {
    /// Names the run.
    pub seed: u64,
    /// To the routers.
    pub connections: Arc<Connections>,
    /// The demo model's questions.
    pub facts: Arc<Facts>,
}

impl Desk {
    /// Sends a request and waits for its end: what it came to, and how long that took.
    pub async fn ask(&self, request: &Request) -> (Outcome, Duration) {
        let (text, expected) = self.texts(request);
        let sent = Instant::now();
        let patience = match request.leaves {
            Some(Leaves::After(time)) => time,
            _ => request.time() + SLACK,
        };
        let mut exchange = Exchange::default();
        let ended = timeout(patience, self.send(request, &text, &mut exchange)).await;
        (outcome(request, &exchange, ended.is_ok(), &expected), sent.elapsed())
    }

    async fn send(&self, request: &Request, text: &str, exchange: &mut Exchange) {
        let Some(mut connection) = self.connections.take(request.router).await else {
            exchange.broken = Some("no connection".to_owned());
            return;
        };
        let enough = |bytes: &[u8]| match request.leaves {
            Some(Leaves::AtEvent(count)) => has_events(bytes, count),
            _ => false,
        };
        Exchange::run_one(&mut connection, text.as_bytes(), exchange, enough).await;
        let lasts = |answer: Answer| answer.header("connection") != Some("close");
        if request.keeps && is_whole(request.form) && exchange.answer().is_ok_and(lasts) {
            self.connections.keep(request.router, connection);
        }
    }

    /// The request's text, and the right answer.
    fn texts(&self, request: &Request) -> (String, String) {
        let (question, expected) = self.facts.get(request.fact);
        let json = |path, body: serde_json::Value| {
            let body = body.to_string();
            let length = body.len();
            let headers = format!("content-type: application/json\r\ncontent-length: {length}\r\n");
            (("POST", path), (headers, body))
        };
        let ((method, path), (mut headers, body)) = match request.form {
            Form::Chat(stream) => {
                let messages = json!([{"role": "user", "content": question}]);
                let body =
                    json!({"model": DEMO_MODEL, "stream": stream, "temperature": 0, "messages": messages});
                json("/v1/chat/completions", body)
            }
            Form::Completion(stream) => {
                // What the model's template makes of a chat.
                let prompt = format!("<|user|>{question}<|end|><|assistant|>");
                let body = json!({
                    "model": DEMO_MODEL, "stream": stream, "temperature": 0, "prompt": prompt, "max_tokens": MAX_TOKENS,
                });
                json("/v1/completions", body)
            }
            Form::Invalid(number) => (Invalid::of(number).line(), Invalid::of(number).rest()),
        };
        headers.push_str(&self.own_headers(request));
        (format!("{method} {path} HTTP/1.1\r\nhost: soak\r\n{headers}\r\n{body}"), expected.to_owned())
    }

    fn own_headers(&self, request: &Request) -> String {
        let (seed, number, priority) = (self.seed, request.number, request.priority);
        let mut headers = format!("x-request-id: s{seed}-{number}\r\nx-tidegate-priority: {priority}\r\n");
        if let Some(timeout) = request.timeout {
            headers.push_str(&format!("x-request-timeout-ms: {}\r\n", timeout.as_millis()));
        }
        if !request.keeps {
            headers.push_str("connection: close\r\n");
        }
        headers
    }
}

/// Whether all of it is sent.
fn is_whole(form: Form) -> bool {
    if let Form::Invalid(number) = form { Invalid::of(number).is_whole() } else { true }
}

fn has_events(bytes: &[u8], count: usize) -> bool {
    bytes.windows(EVENT.len()).filter(|window| *window == EVENT).nth(count.saturating_sub(1)).is_some()
}

/// What came back, `ended` or cut off by the client, comes to.
fn outcome(request: &Request, exchange: &Exchange, ended: bool, expected: &str) -> Outcome {
    match (exchange.answer(), request.leaves) {
        (Ok(answer), _) => judged(request.form, &answer, expected),
        (Err(Defect::Garbled(what)), _) => Outcome::Fault(what),
        (Err(Defect::Short), Some(Leaves::After(_))) if !ended => Outcome::Left(!exchange.bytes.is_empty()),
        (Err(Defect::Short), Some(Leaves::AtEvent(count))) if has_events(&exchange.bytes, count) => {
            Outcome::Left(true)
        }
        (Err(Defect::Short), _) if !ended => {
            Outcome::Fault(format!("no end within {SLACK:?} after its time"))
        }
        (Err(Defect::Short), _) => {
            let why = exchange.broken.as_deref().unwrap_or("closed");
            Outcome::Fault(format!("cut off after {} bytes: {why}", exchange.bytes.len()))
        }
    }
}

fn judged(form: Form, answer: &Answer, expected: &str) -> Outcome {
    if let Form::Invalid(number) = form {
        return Invalid::of(number).judge(answer);
    }
    match judge_at(answer, expected, form.places()) {
        Judged::Right => Outcome::Right,
        Judged::Error { code, .. } if code == "timeout" => Outcome::TimedOut,
        Judged::Error { code, begun: false }
            if matches!(code.as_str(), "capacity" | "queue_full" | "deadline") =>
        {
            Outcome::Refused(code)
        }
        // Nothing is killed here, so that nothing excuses the others.
        Judged::Error { code, begun } => Outcome::Fault(format!("'{code}', begun: {begun}")),
        Judged::Wrong(why) if answer.status == 200 => Outcome::Wrong(why),
        Judged::Wrong(why) => Outcome::Fault(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "HTTP/1.1 200 OK\r\nx-request-id: r\r\n";

    fn what(leaves: Option<Leaves>, text: &str, ended: bool) -> Outcome {
        let request = Request { form: Form::Chat(true), leaves, ..Request::patient(1, 1) };
        let exchange = Exchange { bytes: text.as_bytes().to_vec(), ..Exchange::default() };
        outcome(&request, &exchange, ended, "42")
    }

    fn error(status: &str, code: &str) -> String {
        let body = format!("{{\"error\":{{\"message\":\"m\",\"code\":\"{code}\"}}}}");
        format!("HTTP/1.1 {status}\r\nx-request-id: r\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    #[test]
    fn answers_and_refusals_are_told_from_faults() {
        let answer = |content: &str| {
            let body = format!("{{\"choices\":[{{\"message\":{{\"content\":\"{content}\"}}}}]}}");
            format!("{HEAD}content-length: {}\r\n\r\n{body}", body.len())
        };
        assert_eq!(what(None, &answer("42"), true), Outcome::Right);
        assert!(matches!(what(None, &answer("43"), true), Outcome::Wrong(_)));
        let refused = what(None, &error("429 Too Many Requests", "capacity"), true);
        assert_eq!(refused, Outcome::Refused("capacity".to_owned()));
        assert_eq!(what(None, &error("504 Gateway Timeout", "timeout"), true), Outcome::TimedOut);
        for (status, code) in
            [("502 Bad Gateway", "backend_error"), ("503 Service Unavailable", "no_backend")]
        {
            assert!(matches!(what(None, &error(status, code), true), Outcome::Fault(_)), "{code}");
        }
        assert!(matches!(what(None, &error("500 Oh", "internal_error"), true), Outcome::Fault(_)));
    }

    #[test]
    fn who_leaves_is_told_from_who_is_cut_off() {
        let after = Some(Leaves::After(Duration::from_millis(5)));
        let begun = format!("{HEAD}transfer-encoding: chunked\r\n\r\na\r\ndata: {{}}\n\n\r\n");
        assert_eq!(what(after, "", false), Outcome::Left(false));
        assert_eq!(what(after, &begun, false), Outcome::Left(true));
        assert_eq!(what(Some(Leaves::AtEvent(1)), &begun, true), Outcome::Left(true));
        for (leaves, text) in
            [(None, begun.as_str()), (after, ""), (Some(Leaves::AtEvent(2)), begun.as_str())]
        {
            assert!(matches!(what(leaves, text, true), Outcome::Fault(_)), "{leaves:?}");
        }
        assert!(matches!(what(None, "", false), Outcome::Fault(_)));
    }
}
