//! vLLM's answers pass as they came: those of a real server, written down on the wire by `tests/peers/record_vllm.py`, and shapes of
//! older versions, written by hand.

use bytes::Bytes;
use serde::Deserialize;
use tidegate_conformance::client::{chat, in_time, post};
use tidegate_conformance::message::{Message, Reader};
use tidegate_conformance::scene::Router;
use tidegate_conformance::upstream::{LAST, STREAM, Step, Upstream, chunk};
use tokio::io::AsyncWriteExt;

const MODEL: &str = "tidegate-demo";
const RECORDED: &str = include_str!("../../recorded/vllm.jsonl");
/// Bytes of an answer that are sent at once: odd, so that heads, chunks and characters are cut anywhere.
const PIECE: usize = 97;
const GET_MODELS: &str = "GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n";

/// One line of the file: what was asked, and the answer with its head and its chunks.
#[derive(Deserialize)]
struct Recorded {
    name: String,
    path: String,
    request: String,
    answer: String,
}

fn recorded() -> Vec<Recorded> {
    RECORDED.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The answer as it would be read without a router.
async fn alone(answer: &str) -> Message {
    let (mut near, far) = tokio::io::duplex(answer.len());
    near.write_all(answer.as_bytes()).await.unwrap();
    in_time("a recorded answer", Reader::new(far).message()).await.unwrap().unwrap()
}

/// A server that lists its models as vLLM did, and a router that knows it.
async fn scene() -> (Upstream, Router) {
    let models = recorded().into_iter().find(|each| each.name == "models").unwrap();
    let upstream = Upstream::listing(models.answer, None).await;
    let router = Router::start(&[&upstream], &[]).await;
    (upstream, router)
}

fn pieces(answer: &str) -> Vec<Step> {
    answer.as_bytes().chunks(PIECE).map(|piece| Step::Send(Bytes::copy_from_slice(piece))).collect()
}

fn assert_same(name: &str, through: &Message, alone: &Message) {
    assert_eq!(through.status(), alone.status(), "{name}");
    assert_eq!(through.text(), alone.text(), "{name}");
    assert_eq!(through.header("content-type"), alone.header("content-type"), "{name}");
}

#[tokio::test]
async fn recorded_answers_pass_byte_for_byte() {
    let (upstream, router) = scene().await;
    let posted: Vec<Recorded> = recorded().into_iter().filter(|each| !each.request.is_empty()).collect();
    assert!(posted.len() >= 20, "{} exchanges", posted.len());
    for Recorded { name, path, request, answer } in posted {
        // The router itself would answer what was asked of a model that nobody has.
        let request = request.replace("\"nobody\"", &format!("\"{MODEL}\""));
        let alone = alone(&answer).await;
        for steps in [vec![Step::send(answer.as_str())], pieces(&answer)] {
            upstream.answer(steps);
            let through = router.ask(post(&path, "", &request)).await;
            assert_same(&name, &through, &alone);
            assert_eq!(upstream.last().text(), request, "{name}");
            assert!(upstream.last().start.starts_with(&format!("POST {path} ")), "{name}");
        }
    }
    router.until_idle().await;
}

/// So that nobody records them anew without what they are there for.
#[test]
fn the_recorded_answers_have_what_vllm_is_known_for() {
    let answer = |name: &str| recorded().into_iter().find(|each| each.name == name).unwrap().answer;
    for (name, parts) in [
        ("models", ["\"max_model_len\":1024", "\"root\":"]),
        ("chat, streamed with usage", ["\"choices\":[],\"usage\":{", "data: [DONE]"]),
        ("chat, streamed with usage in each event", ["\"usage\":{", "\"finish_reason\":null"]),
        ("chat, streamed with probabilities", ["\"top_logprobs\":[", "\"bytes\":["]),
        ("two chats, streamed", ["\"index\":0", "\"index\":1"]),
        ("chat with a tool, streamed", ["\"tool_calls\":[{\"id\":", "{\"arguments\":"]),
        ("reasoning, streamed", ["\"delta\":{\"reasoning\":", "\"stop_reason\":null"]),
        ("responses, streamed", ["event: response.created\n", "event: response.output_text.delta\n"]),
        ("messages, streamed", ["event: message_start\n", "event: message_stop\n"]),
        ("error: a prompt that is too long, streamed", ["HTTP/1.1 400 ", "\"code\":400"]),
        ("error: another model", ["HTTP/1.1 404 ", "\"type\":\"NotFoundError\""]),
        ("error: what it was not started for", ["HTTP/1.1 404 ", "{\"detail\":\"Not Found\"}"]),
    ] {
        let answer = answer(name);
        assert!(parts.iter().all(|part| answer.contains(part)), "{name}: {parts:?} in {answer}");
    }
}

#[tokio::test]
async fn events_of_older_versions_pass_too() {
    let (upstream, router) = scene().await;
    let events = concat!(
        ": ping - 2025-01-01 00:00:00\n\n",
        "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"reasoning_content\":\"Hm é\"}}]}\n\n",
        ":\n\n",
        "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\"}}]}}]}\n\n",
        "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"total_tokens\":5,\"completion_tokens\":2}}\n\n",
        // What goes wrong within a stream has status 200 and no [DONE] of its own before it.
        "data: {\"object\": \"error\", \"message\": \"CUDA\", \"type\": \"BadRequestError\", \"param\": null, \"code\": 400}\n\n",
        "data: [DONE]\n\n",
    );
    upstream.answer(vec![
        Step::send(STREAM),
        Step::Send(chunk(events.as_bytes())),
        Step::Send(Bytes::from_static(LAST)),
    ]);
    let answer = router.ask(chat(MODEL, "", true)).await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, events));
}

#[tokio::test]
async fn errors_of_older_versions_pass_too() {
    let (upstream, router) = scene().await;
    for (status, body) in [
        (
            400,
            "{\"object\":\"error\",\"message\":\"too long\",\"type\":\"BadRequestError\",\"param\":null,\"code\":400}",
        ),
        (
            404,
            "{\"object\":\"error\",\"message\":\"no model\",\"type\":\"NotFoundError\",\"param\":null,\"code\":404}",
        ),
        (
            422,
            "{\"detail\":[{\"type\":\"missing\",\"loc\":[\"body\",\"messages\"],\"msg\":\"Field required\"}]}",
        ),
        (401, "{\"error\":\"Unauthorized\"}"),
        (500, "Internal Server Error"),
    ] {
        let head = format!("HTTP/1.1 {status} Told\r\nserver: uvicorn\r\ncontent-length: {}\r\n", body.len());
        upstream.answer(vec![Step::send(format!("{head}content-type: application/json\r\n\r\n{body}"))]);
        let answer = router.ask(chat(MODEL, "", false)).await;
        assert_eq!((answer.status(), answer.text().as_str()), (status, body));
    }
    router.until_idle().await;
}

/// The list is the fleet's and in OpenAI's shape. What a server has beside the API of its model, its metrics among it, stays with it.
#[tokio::test]
async fn models_are_listed_and_what_is_beside_the_api_is_not_let_out() {
    let (upstream, router) = scene().await;
    let listed = router.ask(GET_MODELS).await;
    let listed: serde_json::Value = serde_json::from_slice(&listed.body).unwrap();
    assert_eq!((&listed["data"][0]["id"], &listed["data"][0]["object"]), (&MODEL.into(), &"model".into()));
    for path in ["/metrics", "/version", "/server_info", "/v1/load_lora_adapter", "/is_sleeping"] {
        let answer = router.ask(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        assert!([404, 405].contains(&answer.status()), "{path}: {}", answer.status());
    }
    for path in ["/tokenize", "/sleep", "/reset_prefix_cache", "/invocations"] {
        let answer = router.ask(post(path, "", &format!("{{\"model\":\"{MODEL}\"}}"))).await;
        assert_eq!((answer.status(), answer.code().as_str()), (404, "unknown_url"), "{path}");
    }
    assert!(upstream.seen().is_empty());
}
