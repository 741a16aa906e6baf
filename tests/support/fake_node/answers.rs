//! The paths of a fake node.

use super::account::{Node, Running};
use super::{MODEL, Plan, work_of};
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode, Version};
use serde_json::{Value, json};
use std::time::Duration;
use tidegate_wire::error::ErrorBody;
use tidegate_wire::node::{NODE_PATH, NodeReport};
use tidegate_wire::sse;

/// Pieces of a streamed answer.
const PIECES: usize = 8;

pub(super) fn paths(node: Node) -> Router {
    let mut app = Router::new().route("/v1/models", get(models)).route("/v1/chat/completions", post(chat));
    if node.setup.own {
        app = app.route(NODE_PATH, get(report));
    }
    // What a request may be long is the router's to say.
    app.layer(DefaultBodyLimit::disable()).with_state(node)
}

async fn models(State(node): State<Node>) -> Json<Value> {
    node.account().listed += 1;
    Json(
        json!({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "fake"}]}),
    )
}

async fn report(State(node): State<Node>) -> Result<Json<NodeReport>, StatusCode> {
    node.account().reported += 1;
    if node.account().reports { Ok(Json(node.report())) } else { Err(StatusCode::INTERNAL_SERVER_ERROR) }
}

fn refusal(status: StatusCode, code: &'static str) -> Response {
    (status, ErrorBody::new("server_error", code, "the fake node was told to refuse").to_json())
        .into_response()
}

async fn chat(
    State(node): State<Node>,
    version: Version,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    node.account().version = version;
    let prompt = body["messages"].as_array().and_then(|messages| messages.last()?["content"].as_str());
    let (prompt, streamed) = (prompt.unwrap_or_default().to_owned(), body["stream"] == true);
    let (plan, mut running) = match node.enter(headers, body) {
        Ok(entered) => entered,
        Err(code) => return refusal(StatusCode::SERVICE_UNAVAILABLE, code),
    };
    running.begin(&prompt).await;
    match plan {
        Plan::Answer(time) => whole(running, time, &prompt).await,
        Plan::Work(service, seed) => {
            let time = work_of(&service, seed, &prompt);
            if streamed { pieces(running, time, &prompt) } else { whole(running, time, &prompt).await }
        }
        Plan::Stream(events, pause) => numbers(running, events, pause, false),
        Plan::Break => numbers(running, 1, Duration::ZERO, true),
        Plan::Fail | Plan::Refuse(_) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "engine_broken"),
        Plan::Status(status) => refusal(StatusCode::from_u16(status).unwrap(), "told"),
    }
}

/// One answer after some time.
async fn whole(running: Running, time: Duration, echo: &str) -> Response {
    tokio::time::sleep(time).await;
    let id = running.id().to_owned();
    running.done();
    let choice =
        json!({"index": 0, "message": {"role": "assistant", "content": echo}, "finish_reason": "stop"});
    Json(json!({"id": id, "object": "chat.completion", "model": MODEL, "choices": [choice]})).into_response()
}

/// The same answer in pieces that come evenly over the time.
fn pieces(running: Running, time: Duration, echo: &str) -> Response {
    let echo: Vec<char> = echo.chars().collect();
    let size = echo.len().div_ceil(PIECES).max(1);
    let mut events: Vec<Bytes> =
        echo.chunks(size).map(|piece| chunk(running.id(), &piece.iter().collect::<String>())).collect();
    let pause = time / u32::try_from(events.len().max(1)).unwrap();
    let (last, mut running) = (events.len(), Some(running));
    events.push(sse::DONE);
    let events = futures_util::stream::iter(events.into_iter().enumerate()).then(move |(number, event)| {
        let ending = if number == last { running.take() } else { None };
        async move {
            match ending {
                Some(running) => running.done(),
                None => tokio::time::sleep(pause).await,
            }
            Ok::<Bytes, std::io::Error>(event)
        }
    });
    ([("content-type", sse::CONTENT_TYPE)], Body::from_stream(events)).into_response()
}

fn chunk(id: &str, content: &str) -> Bytes {
    let choice = json!({"index": 0, "delta": {"content": content}, "finish_reason": null});
    let chunk = json!({"id": id, "object": "chat.completion.chunk", "model": MODEL, "choices": [choice]});
    sse::data(&chunk.to_string())
}

/// A stream of numbered events; it ends after so many, or when the node is told to end its streams.
fn numbers(running: Running, events: u32, pause: Duration, broken: bool) -> Response {
    let events = futures_util::stream::unfold((0, Some(running)), move |(number, running)| async move {
        let running = running?;
        tokio::time::sleep(pause).await;
        if number < events && !running.closing() {
            let event = Bytes::from(format!("data: {{\"number\": {number}}}\n\n"));
            return Some((Ok(event), (number + 1, Some(running))));
        }
        if broken {
            return Some((Err(std::io::Error::other("told to break")), (number, None)));
        }
        running.done();
        Some((Ok(sse::DONE), (number, None)))
    });
    ([("content-type", sse::CONTENT_TYPE)], Body::from_stream(events)).into_response()
}
