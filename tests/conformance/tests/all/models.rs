//! Paths that pass, aliases, fallbacks, and the key that backends want.

use serde_json::Value;
use tidegate_conformance::client::{body, chat, post};
use tidegate_conformance::scene::{MODEL, Router};
use tidegate_conformance::upstream::{Step, Upstream, json};

#[tokio::test]
async fn whatever_names_a_model_goes_the_way_of_a_chat() {
    let (upstream, router) = Router::one(&[]).await;
    upstream.answer(vec![Step::send(json("{\"results\":[1.50]}"))]);
    let body =
        "{ \"query\":\"q\", \"documents\":[\"a\",\"b\"],\"model\":\"m\",\"odd\":1e400,\"x\":{\"y\":[ ]}}";
    for path in ["/v1/rerank", "/v1/responses", "/v1/score?top=1", "/v1/audio/speech"] {
        let answer = router.ask(post(path, "", body)).await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, "{\"results\":[1.50]}"), "{path}");
        let seen = upstream.last();
        assert_eq!(
            (seen.start.as_str(), seen.text().as_str()),
            (format!("POST {path} HTTP/1.1").as_str(), body)
        );
        assert!(!seen.header("x-tidegate-attempt").is_empty());
    }
    let unknown = router.ask(post("/v1/rerank", "", "{\"model\":\"nobody\"}")).await;
    assert_eq!((unknown.status(), unknown.code().as_str()), (404, "model_not_found"));
    let nameless = router.ask(post("/v1/rerank", "", "{}")).await;
    assert_eq!((nameless.status(), nameless.code().as_str()), (400, "invalid_request"));
    let read = router.ask("GET /v1/responses/r1 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!((read.status(), read.code().as_str()), (404, "unknown_url"));
    let form = router.ask("POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data\r\ncontent-length: 2\r\n\r\nab").await;
    assert_eq!((form.status(), form.code().as_str()), (415, "unsupported_media_type"));
    assert_eq!(upstream.seen().len(), 4);
    router.until_idle().await;
}

#[tokio::test]
async fn errors_of_a_backend_pass_as_they_came() {
    let (upstream, router) = Router::one(&[]).await;
    for status in ["400 Bad Request", "404 Not Found", "422 Unprocessable Entity", "500 Oops", "503 Busy"] {
        let body = "{\"detail\":\"own words\"}";
        let answer = format!("HTTP/1.1 {status}\r\nx-own: 1\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        upstream.answer(vec![Step::send(answer)]);
        let answer = router.chat().await;
        assert_eq!((answer.status(), answer.text().as_str()), (status[..3].parse().unwrap(), body));
        assert_eq!(answer.header("x-own"), "1");
    }
    router.until_idle().await;
}

#[tokio::test]
async fn an_alias_is_replaced_in_the_body_and_listed() {
    let upstream = Upstream::start("org/real").await;
    let router = Router::start(&[&upstream], &["--model-alias", "gpt-4o=org/real"]).await;
    let body =
        "{\"messages\":[{\"content\":\"\\u00e9 \\\"model\\\":\\\"gpt-4o\\\"\"}], \"model\" : \"gpt-4o\"}";
    let answer = router.ask(post("/v1/chat/completions", "", body)).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.values("x-tidegate-fallback").is_empty(), "it is the model that was asked for");
    let expected = body.replace("\"model\" : \"gpt-4o\"", "\"model\" : \"org/real\"");
    assert_eq!(upstream.last().text(), expected);
    let models: Value =
        serde_json::from_slice(&router.ask("GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n").await.body).unwrap();
    let names: Vec<&str> =
        models["data"].as_array().unwrap().iter().filter_map(|model| model["id"].as_str()).collect();
    assert_eq!(names, ["gpt-4o", "org/real"]);
    assert_eq!(router.ask("GET /v1/models/gpt-4o HTTP/1.1\r\nhost: x\r\n\r\n").await.status(), 200);
}

#[tokio::test]
async fn a_full_pool_hands_over_to_the_next_and_the_answer_says_so() {
    let (big, small) = (Upstream::start("big").await, Upstream::start("small").await);
    let flags =
        ["--fallback", "big=small", "--max-queue-size", "0", "--backend-slots", "1", "--abandon-grace", "0"];
    let router = Router::start(&[&big, &small], &flags).await;
    assert!(router.ask(chat("big", "", false)).await.values("x-tidegate-fallback").is_empty());
    router.until_idle().await;
    big.answer(vec![Step::Hold]);
    let mut running = router.connect().await;
    running.send(chat("big", "", false)).await;
    big.asked(2).await;
    let answer = router.ask(chat("big", "", false)).await;
    assert_eq!((answer.status(), answer.header("x-tidegate-fallback")), (200, "small"));
    assert_eq!(small.last().text(), body("small", false));
    router.until_counts(&[("running", 1)]).await;
    small.answer(vec![Step::Hold]);
    let mut other = router.connect().await;
    other.send(chat("small", "", false)).await;
    small.asked(2).await;
    let refused = router.ask(chat("big", "", false)).await;
    assert_eq!((refused.status(), refused.code().as_str()), (429, "queue_full"), "both are full");
    let own = router.ask(chat("small", "", false)).await;
    assert_eq!(own.status(), 429, "there is no way back");
    drop((running, other));
    router.until_idle().await;
}

#[tokio::test]
async fn a_pool_that_is_down_hands_over_too() {
    let small = Upstream::start("small").await;
    let router = Router::start(&[&small], &["--fallback", "big=small", "--model-alias", "public=big"]).await;
    for name in ["big", "public"] {
        let answer = router.ask(chat(name, "", false)).await;
        assert_eq!((answer.status(), answer.header("x-tidegate-fallback")), (200, "small"), "{name}");
        assert_eq!(small.last().text(), body("small", false));
    }
    assert!(router.ask(chat("small", "", false)).await.values("x-tidegate-fallback").is_empty());
    assert_eq!(router.ask(chat("other", "", false)).await.status(), 404);
}

#[tokio::test]
async fn backends_get_their_own_key_and_never_the_clients() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "sk-backend\n").unwrap();
    let upstream = Upstream::start_with(MODEL, Some("sk-backend")).await;
    let router = Router::start(&[&upstream], &["--backend-api-key-file", file.to_str().unwrap()]).await;
    let answer = router.ask(chat(MODEL, "authorization: Bearer sk-client\r\n", false)).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(upstream.last().values("authorization"), ["Bearer sk-backend"]);
    assert!(!router.process.output().contains("sk-backend"));
}
