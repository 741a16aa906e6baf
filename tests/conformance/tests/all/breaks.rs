//! Backends that break off, at each byte of an answer: the client is told, and no slot is lost.

use bytes::Bytes;
use tidegate_conformance::client::chat;
use tidegate_conformance::message::Message;
use tidegate_conformance::scene::{MODEL, Router};
use tidegate_conformance::upstream::{LAST, STREAM, Step, chunk, json};

const EVENT: &str = "data: {\"number\":1}\n\n";

/// An answer that comes well, between two that do not: it shows that nothing was left behind.
async fn is_well(router: &Router) {
    let answer = router.chat().await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "{}"));
}

/// Nobody could serve the request, and the client is told so: the backend broke, and there was no other.
fn is_broken(answer: &Message) -> bool {
    matches!((answer.status(), answer.code().as_str()), (502, "backend_error") | (503, "no_backend"))
}

fn scripted(steps: Vec<Step>) -> impl Fn(&Message) -> Vec<Step> + Send + Sync {
    move |request| {
        if request.values("x-break").is_empty() { vec![Step::send(json("{}"))] } else { steps.clone() }
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_anywhere_is_never_taken_for_a_whole_one() {
    let (upstream, router) = Router::one(&["--abandon-grace", "0"]).await;
    let whole = json("{\"a\":[1,2]}");
    let head = whole.find("\r\n\r\n").unwrap() + 4;
    for (ending, name) in [(Step::Close, "closed"), (Step::Reset, "reset")] {
        for cut in 0..whole.len() {
            let steps = vec![Step::Send(Bytes::copy_from_slice(&whole.as_bytes()[..cut])), ending.clone()];
            upstream.script(scripted(steps));
            let mut client = router.connect().await;
            client.send(chat(MODEL, "x-break: 1\r\n", false)).await;
            let (answer, came_whole) = client.as_far_as_it_comes().await;
            if is_broken(&answer) {
                assert!(came_whole, "{name} after {cut}: {answer:?}");
            } else {
                assert!(
                    cut >= head && matches!(answer.status(), 0 | 200) && !came_whole,
                    "{name} after {cut}: {answer:?}"
                );
            }
            is_well(&router).await;
        }
    }
    router.until_idle().await;
}

#[tokio::test]
async fn a_stream_that_breaks_off_anywhere_ends_with_an_error_event() {
    let (upstream, router) = Router::one(&["--abandon-grace", "0"]).await;
    let whole = [STREAM.as_bytes(), &chunk(EVENT.as_bytes()), &chunk(EVENT.as_bytes()), LAST].concat();
    for (ending, name) in [(Step::Close, "closed"), (Step::Reset, "reset")] {
        for cut in 0..whole.len() {
            upstream
                .script(scripted(vec![Step::Send(Bytes::copy_from_slice(&whole[..cut])), ending.clone()]));
            let answer = router.ask(chat(MODEL, "x-break: 1\r\n", true)).await;
            let text = answer.text();
            if is_broken(&answer) {
                assert!(cut < STREAM.len(), "{name} after {cut}: {text}");
            } else {
                let last = text.trim_end().rsplit("\n\n").next().unwrap_or_default();
                assert!(
                    last.starts_with("data: {\"error\"") && last.contains("backend_error"),
                    "{name} after {cut}: {text:?}"
                );
            }
            is_well(&router).await;
        }
    }
    router.until_idle().await;
}

/// An error event stands on lines of its own, also where the stream broke off in the middle of an event.
#[tokio::test]
async fn the_error_event_is_not_glued_to_half_an_event() {
    let (upstream, router) = Router::one(&[]).await;
    for cut in 1..EVENT.len() {
        let half = chunk(&EVENT.as_bytes()[..cut]);
        upstream.script(scripted(vec![Step::send(STREAM), Step::Send(half), Step::Reset]));
        let text = router.ask(chat(MODEL, "x-break: 1\r\n", true)).await.text();
        let at = text.find("data: {\"error\"").unwrap_or_else(|| panic!("no error event: {text:?}"));
        assert!(text[..at].is_empty() || text[..at].ends_with("\n\n"), "cut at {cut}: {text:?}");
        is_well(&router).await;
    }
}

/// A backend that has told how its stream ends, and then does not close it or breaks off: the client hears of one end.
#[tokio::test]
async fn a_stream_has_one_end() {
    let (upstream, router) = Router::one(&["--abandon-grace", "0"]).await;
    for last in ["data: {\"error\":{\"code\":\"timeout\"}}\n\n", "data: [DONE]\n\n"] {
        let said = format!("{EVENT}{last}");
        for ending in [Step::Hold, Step::Reset] {
            upstream.script(scripted(vec![Step::send(STREAM), Step::Send(chunk(said.as_bytes())), ending]));
            let request = chat(MODEL, "x-break: 1\r\nx-request-timeout-ms: 400\r\n", true);
            assert_eq!(router.ask(request).await.text(), said);
            is_well(&router).await;
        }
    }
    router.until_idle().await;
}

#[tokio::test]
async fn what_is_no_http_is_a_broken_backend() {
    let (upstream, router) = Router::one(&[]).await;
    let shapes = [
        "nonsense\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxy",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "SSH-2.0-x\r\n",
    ];
    for shape in shapes {
        upstream.script(scripted(vec![Step::send(shape), Step::Close]));
        let answer = router.ask(chat(MODEL, "x-break: 1\r\n", false)).await;
        assert!(is_broken(&answer), "{shape:?}: {answer:?}");
        is_well(&router).await;
    }
    upstream.script(scripted(vec![Step::send(STREAM), Step::send("zz\r\n"), Step::Hold]));
    let text = router.ask(chat(MODEL, "x-break: 1\r\n", true)).await.text();
    assert!(text.contains("backend_error"), "{text}");
    router.until_idle().await;
}
