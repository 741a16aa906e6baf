//! What an answer is worth: whether it is whole, and whether it is the asker's own.

use super::{Ask, End};
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tidegate_wire::header::REASON;

/// How an attempt ended that was answered with this.
pub(super) fn end(status: StatusCode, headers: &HeaderMap, body: &str, ask: &Ask) -> End {
    if status == StatusCode::OK {
        return if ask.streamed { stream(body, &ask.prompt) } else { whole(body, &ask.prompt) };
    }
    if let Some(reason) = headers.get(REASON) {
        return End::Refused(status.as_u16(), String::from_utf8_lossy(reason.as_bytes()).into_owned());
    }
    let code = serde_json::from_str(body).map(|body: Value| code(&body)).unwrap_or_default();
    error(status, code)
}

fn error(status: StatusCode, code: String) -> End {
    if code == "timeout" { End::TimedOut } else { End::Failed(status.as_u16(), code) }
}

fn code(body: &Value) -> String {
    body["error"]["code"].as_str().unwrap_or_default().to_owned()
}

fn whole(body: &str, prompt: &str) -> End {
    let content = serde_json::from_str(body)
        .ok()
        .and_then(|body: Value| body["choices"][0]["message"]["content"].as_str().map(str::to_owned));
    match content {
        None => End::Broken("200 without an answer".to_owned()),
        Some(content) => own(content, prompt),
    }
}

fn own(content: String, prompt: &str) -> End {
    if content == prompt { End::Answered } else { End::MixedUp(content) }
}

/// A stream: its pieces must be the prompt's, and its end must be there.
fn stream(body: &str, prompt: &str) -> End {
    let mut content = String::new();
    for data in body.lines().filter_map(|line| line.strip_prefix("data: ")) {
        if data == "[DONE]" {
            return own(content, prompt);
        }
        let Ok(event) = serde_json::from_str::<Value>(data) else {
            return End::Broken(format!("an event that is no JSON: {data}"));
        };
        if event.get("error").is_some() {
            return error(StatusCode::OK, code(&event));
        }
        content.push_str(event["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
    }
    End::Broken("a stream without its end".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_admission::Priority;

    fn judge(status: u16, reason: Option<&'static str>, body: &str, streamed: bool) -> End {
        let ask = Ask { prompt: "p-7".to_owned(), priority: Priority::Normal, streamed };
        let headers = reason.map(|reason| (REASON, http::HeaderValue::from_static(reason)));
        end(StatusCode::from_u16(status).unwrap(), &headers.into_iter().collect(), body, &ask)
    }

    #[test]
    fn an_answer_is_its_askers_or_mixed_up() {
        let answer = |content: &str| format!(r#"{{"choices":[{{"message":{{"content":"{content}"}}}}]}}"#);
        assert_eq!(judge(200, None, &answer("p-7"), false), End::Answered);
        assert_eq!(judge(200, None, &answer("p-8"), false), End::MixedUp("p-8".to_owned()));
        assert!(matches!(judge(200, None, "{}", false), End::Broken(_)));
    }

    #[test]
    fn a_stream_needs_its_end() {
        let piece = |content: &str| {
            format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{content}\"}}}}]}}\n\n")
        };
        let (one, two, done) = (piece("p-"), piece("7"), "data: [DONE]\n\n");
        assert_eq!(judge(200, None, &format!(": keep-alive\n\n{one}{two}{done}"), true), End::Answered);
        assert_eq!(judge(200, None, &format!("{two}{one}{done}"), true), End::MixedUp("7p-".to_owned()));
        assert!(matches!(judge(200, None, &format!("{one}{two}"), true), End::Broken(_)));
        let late = format!("{one}data: {{\"error\":{{\"code\":\"timeout\"}}}}\n\n");
        assert_eq!(judge(200, None, &late, true), End::TimedOut);
    }

    #[test]
    fn refusals_and_other_errors_are_told_apart() {
        let body = |code: &str| format!(r#"{{"error":{{"code":"{code}"}}}}"#);
        let refused = judge(429, Some("capacity"), &body("capacity"), false);
        assert_eq!(refused, End::Refused(429, "capacity".to_owned()));
        assert_eq!(judge(504, None, &body("timeout"), false), End::TimedOut);
        assert_eq!(
            judge(502, None, &body("backend_error"), false),
            End::Failed(502, "backend_error".to_owned())
        );
        assert_eq!(judge(500, None, "<html>", false), End::Failed(500, String::new()));
    }
}
