//! Whether an answer is whole, one, and right.

use super::exchange::Answer;
use serde_json::Value;

/// Errors that a router may answer with, and their statuses.
const ERRORS: [(&str, u16); 8] = [
    ("capacity", 429),
    ("queue_full", 429),
    ("deadline", 429),
    ("no_backend", 503),
    ("draining", 503),
    ("ledger_unavailable", 503),
    ("timeout", 504),
    ("backend_error", 502),
];

/// What an answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// What the backend had to say, from its first to its last piece.
    Right,
    /// An error in the promised form.
    Error {
        /// Its code.
        code: String,
        /// It is the last event of a stream that had brought pieces already.
        begun: bool,
    },
    /// Anything else: why.
    Wrong(String),
}

/// Where an API puts what the model says.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    /// In a whole answer.
    whole: &'static str,
    /// In an event of a stream.
    piece: &'static str,
}

/// Chat completions.
pub const CHAT: Places = Places { whole: "/choices/0/message/content", piece: "/choices/0/delta/content" };
/// Completions.
pub const COMPLETIONS: Places = Places { whole: "/choices/0/text", piece: "/choices/0/text" };

/// Judges an answer to a question in a chat whose right answer is `expected`.
pub fn judge(answer: &Answer, expected: &str) -> Judged {
    judge_at(answer, expected, CHAT)
}

/// The same of any API.
pub fn judge_at(answer: &Answer, expected: &str, places: Places) -> Judged {
    let judged = match answer.header("content-type") {
        Some(kind) if kind.starts_with("text/event-stream") && answer.status == 200 => {
            stream(answer, expected, places.piece)
        }
        _ if answer.status == 200 => whole(answer, expected, places.whole),
        _ => error_of(&answer.body)
            .and_then(|code| expected_status(&code, answer.status).map(|()| error(code))),
    };
    if answer.header("x-request-id").is_none() {
        return Judged::Wrong("an answer without x-request-id".to_owned());
    }
    judged.unwrap_or_else(|why| Judged::Wrong(format!("{} {why}", answer.status)))
}

fn error(code: String) -> Judged {
    Judged::Error { code, begun: false }
}

fn whole(answer: &Answer, expected: &str, place: &str) -> Result<Judged, String> {
    let body = json(&answer.body)?;
    same(text_at(&body, place), expected).map(|()| Judged::Right)
}

/// One stream: pieces of one run under one id, one end, nothing behind it.
fn stream(answer: &Answer, expected: &str, place: &str) -> Result<Judged, String> {
    let text = std::str::from_utf8(&answer.body).map_err(|error| error.to_string())?;
    let events: Vec<&str> = text.split_terminator("\n\n").filter(|event| !event.starts_with(':')).collect();
    let (last, pieces) = events.split_last().ok_or("a stream without an event")?;
    let last = last.strip_prefix("data: ").ok_or_else(|| format!("no event: {last:.80}"))?;
    let (mut said, mut ids) = (String::new(), Vec::new());
    for piece in pieces {
        let piece = piece.strip_prefix("data: ").ok_or_else(|| format!("no event: {piece:.80}"))?;
        let piece = json(piece.as_bytes())?;
        if piece.get("error").is_some() {
            return Err("an error in the midst of a stream".to_owned());
        }
        said.push_str(text_at(&piece, place));
        ids.push(text_at(&piece, "/id").to_owned());
    }
    ids.dedup();
    if ids.len() > 1 {
        return Err(format!("pieces of several runs in one answer: {ids:?}"));
    }
    if last == "[DONE]" {
        return same(&said, expected).map(|()| Judged::Right);
    }
    let code = error_of(last.as_bytes())?;
    expected_status(&code, 0)?;
    if !expected.starts_with(&said) {
        return Err(format!("'{said}' is no beginning of '{expected}'"));
    }
    Ok(Judged::Error { code, begun: !pieces.is_empty() })
}

fn same(said: &str, expected: &str) -> Result<(), String> {
    if said == expected { Ok(()) } else { Err(format!("'{said}' where '{expected}' is right")) }
}

fn json(text: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(text)
        .map_err(|error| format!("no JSON ({error}): {:.80}", String::from_utf8_lossy(text)))
}

fn text_at<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The code of an error in OpenAI's form.
///
/// # Errors
/// Anything else.
pub fn error_of(body: &[u8]) -> Result<String, String> {
    let body = json(body)?;
    match (text_at(&body, "/error/message"), text_at(&body, "/error/code")) {
        ("", _) | (_, "") => Err(format!("no error in the promised form: {body:.120}")),
        (_, code) => Ok(code.to_owned()),
    }
}

/// Checks that a code comes with its status; 0 stands for an event, which has none.
fn expected_status(code: &str, status: u16) -> Result<(), String> {
    let known = ERRORS.iter().any(|(known, its)| *known == code && (status == 0 || *its == status));
    if known { Ok(()) } else { Err(format!("unexpected error '{code}'")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, kind: &str, body: &str) -> Answer {
        Answer {
            status,
            headers: vec![format!("content-type: {kind}"), "x-request-id: r".to_owned()],
            body: body.as_bytes().to_vec(),
            body_at: 0,
        }
    }

    fn stream(body: &str) -> Judged {
        judge(&answer(200, "text/event-stream", body), "ab")
    }

    fn piece(id: &str, text: &str) -> String {
        format!("data: {{\"id\":\"{id}\",\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
    }

    const DONE: &str = "data: [DONE]\n\n";
    const TIMEOUT: &str = "data: {\"error\":{\"message\":\"late\",\"code\":\"timeout\"}}\n\n";

    #[test]
    fn a_right_stream_is_right() {
        let body =
            [": keep-alive\n\n", &piece("x", "a"), ": keep-alive\n\n", &piece("x", "b"), DONE].concat();
        assert_eq!(stream(&body), Judged::Right);
    }

    #[test]
    fn a_completion_has_its_text_in_another_place() {
        let completion = |kind, body: &str| judge_at(&answer(200, kind, body), "ab", COMPLETIONS);
        let whole = "{\"choices\":[{\"text\":\"ab\"}]}";
        assert_eq!(completion("application/json", whole), Judged::Right);
        assert!(matches!(judge(&answer(200, "application/json", whole), "ab"), Judged::Wrong(_)));
        let pieces = ["data: ", whole, "\n\n", DONE].concat();
        assert_eq!(completion("text/event-stream", &pieces), Judged::Right);
    }

    #[test]
    fn pieces_twice_of_two_runs_or_behind_the_end_are_wrong() {
        for body in [
            [&piece("x", "a"), &piece("x", "a"), &piece("x", "b"), DONE].concat(),
            [&piece("x", "a"), &piece("y", "b"), DONE].concat(),
            [&piece("x", "ab"), DONE, DONE].concat(),
            [&piece("x", "ab"), DONE, TIMEOUT].concat(),
            [&piece("x", "ab"), TIMEOUT, DONE].concat(),
            [&piece("x", "a"), DONE].concat(),
            piece("x", "ab"),
        ] {
            assert!(matches!(stream(&body), Judged::Wrong(_)), "{body}");
        }
    }

    #[test]
    fn an_error_ends_a_stream_that_was_right_so_far() {
        let begun = |body: &str| matches!(stream(body), Judged::Error { begun: true, .. });
        assert!(begun(&[&piece("x", "a"), TIMEOUT].concat()));
        assert!(matches!(stream(TIMEOUT), Judged::Error { begun: false, .. }));
        assert!(matches!(stream(&[&piece("x", "q"), TIMEOUT].concat()), Judged::Wrong(_)));
    }

    #[test]
    fn an_error_needs_its_status_and_its_form() {
        let refusal = |status: u16, body: &str| judge(&answer(status, "application/json", body), "ab");
        let body = "{\"error\":{\"message\":\"full\",\"code\":\"queue_full\"}}";
        assert_eq!(refusal(429, body), error("queue_full".to_owned()));
        assert!(matches!(refusal(500, body), Judged::Wrong(_)));
        assert!(matches!(refusal(429, "full"), Judged::Wrong(_)));
        assert!(matches!(refusal(404, &body.replace("queue_full", "model_not_found")), Judged::Wrong(_)));
    }
}
