//! Invalid requests, and how each must be answered.

use super::ask::Outcome;
use crate::chaos::answer::error_of;
use crate::chaos::exchange::Answer;
use crate::chaos::facts::DEMO_MODEL;
use serde_json::{Value, json};

/// An invalid request.
#[derive(Debug, Clone, Copy)]
pub struct Invalid {
    method: &'static str,
    path: &'static str,
    /// Its type, and whatever else its head needs.
    headers: &'static str,
    body: Body,
    /// Of the answer.
    status: u16,
    /// The code of its error.
    code: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Body {
    Text(&'static str),
    /// Fields beside the model's name.
    Fields(fn() -> Value),
    /// Two bytes of a body that is said to be far larger than a router takes.
    Endless,
}

const CHAT: &str = "/v1/chat/completions";
const JSON: &str = "content-type: application/json\r\n";

const ALL: [Invalid; 10] = [
    Invalid { body: Body::Text("{not json"), ..invalid(400, "invalid_request") },
    Invalid {
        body: Body::Text("{\"model\": \"nobody\", \"messages\": []}"),
        ..invalid(404, "model_not_found")
    },
    Invalid { headers: "content-type: text/plain\r\n", ..invalid(415, "unsupported_media_type") },
    Invalid { path: "/v1/nowhere", method: "GET", ..invalid(404, "unknown_url") },
    Invalid { method: "DELETE", ..invalid(405, "method_not_allowed") },
    Invalid { body: Body::Endless, ..invalid(413, "request_too_large") },
    Invalid {
        headers: "content-type: application/json\r\nx-request-timeout-ms: soon\r\n",
        body: Body::Fields(|| json!({"messages": [{"role": "user", "content": "x"}]})),
        ..invalid(400, "invalid_request")
    },
    // The rest is the backend's to find.
    Invalid { body: Body::Fields(|| json!({"messages": []})), ..invalid(400, "empty_array") },
    Invalid {
        body: Body::Fields(|| json!({"messages": [{"role": "user", "content": "x"}], "temperature": 9})),
        ..invalid(400, "decimal_above_max_value")
    },
    Invalid {
        path: "/v1/embeddings",
        body: Body::Fields(|| json!({"input": "x"})),
        ..invalid(400, "unsupported_operation")
    },
];

const fn invalid(status: u16, code: &'static str) -> Invalid {
    Invalid { method: "POST", path: CHAT, headers: JSON, body: Body::Text("{}"), status, code }
}

impl Invalid {
    /// One of them, by any number.
    pub fn of(number: usize) -> Invalid {
        ALL[number % ALL.len()]
    }

    /// Method and path.
    pub fn line(&self) -> (&'static str, &'static str) {
        (self.method, self.path)
    }

    /// Header lines of its own, the length among them, each with its end, and the body.
    pub fn rest(&self) -> (String, String) {
        let (text, length) = match self.body {
            Body::Text(text) => (text.to_owned(), text.len()),
            Body::Fields(fields) => {
                let mut body = fields();
                body["model"] = json!(DEMO_MODEL);
                let text = body.to_string();
                let length = text.len();
                (text, length)
            }
            Body::Endless => ("{}".to_owned(), 99_999_999),
        };
        (format!("{}content-length: {length}\r\n", self.headers), text)
    }

    /// Whether a connection can be used again after it.
    pub fn is_whole(&self) -> bool {
        !matches!(self.body, Body::Endless)
    }

    /// What an answer to it comes to. One that a backend would have to look at may be refused, or wait too long, like any other.
    pub fn judge(&self, answer: &Answer) -> Outcome {
        match error_of(&answer.body) {
            Ok(code) if answer.status == self.status && code == self.code => Outcome::Rejected,
            Ok(code) if answer.status == 429 => Outcome::Refused(code),
            Ok(code) if answer.status == 504 && code == "timeout" => Outcome::TimedOut,
            found => {
                let (status, code) = (self.status, self.code);
                Outcome::Fault(format!("{} {found:?} where {status} '{code}' is right", answer.status))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_error_and_refusals_will_do() {
        let invalid = Invalid::of(1);
        let judge = |status, code: &str| {
            let body = format!("{{\"error\":{{\"message\":\"m\",\"code\":\"{code}\"}}}}").into_bytes();
            invalid.judge(&Answer { status, headers: Vec::new(), body, body_at: 0 })
        };
        assert_eq!(judge(404, "model_not_found"), Outcome::Rejected);
        assert_eq!(judge(429, "capacity"), Outcome::Refused("capacity".to_owned()));
        assert_eq!(judge(504, "timeout"), Outcome::TimedOut);
        assert!(matches!(judge(400, "model_not_found"), Outcome::Fault(_)));
        assert!(matches!(judge(404, "unknown_url"), Outcome::Fault(_)));
    }
}
