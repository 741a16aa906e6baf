//! The demo model through the whole router: two hundred requests at once, each with an answer of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its scene should stop at once, loudly")]

use http::StatusCode;
use serde_json::{Value, json};
use tidegate_tests::router::TestRouter;

/// Requests at once.
const REQUESTS: usize = 200;

/// One question of the held-out file and its greedy answer by the reference implementation with the shipped weights.
fn cases() -> Vec<(String, String)> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../backend/demo-model/reference.jsonl");
    let text = std::fs::read_to_string(file).unwrap();
    let cases: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let text_of = |case: &Value, field: &str| case[field].as_str().unwrap().to_owned();
    cases.iter().map(|case| (text_of(case, "prompt"), text_of(case, "answer"))).take(REQUESTS).collect()
}

fn body(prompt: &str) -> Value {
    let messages = json!([{"role": "user", "content": prompt}]);
    json!({"model": "tidegate-demo", "messages": messages, "temperature": 0, "max_tokens": 64})
}

async fn ask(router: &TestRouter, prompt: &str) -> String {
    let answer = router.client.post("/v1/chat/completions", &[], &body(prompt)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_requests_at_once_get_what_each_gets_alone() {
    let flags = [
        "--max-concurrent-requests",
        "8",
        "--max-queue-size",
        "1000",
        "--wait-share",
        "1",
        "--request-timeout",
        "300",
    ];
    let router = TestRouter::start_embedded(&flags).await.with_backends(1).await;
    let cases = cases();
    assert_eq!(cases.len(), REQUESTS);
    let together = futures_util::future::join_all(cases.iter().map(|(prompt, _)| ask(&router, prompt))).await;
    let mut alone = Vec::new();
    for (prompt, _) in &cases {
        alone.push(ask(&router, prompt).await);
    }
    let differ = together.iter().zip(&alone).filter(|(a, b)| a != b).count();
    let wrong = together.iter().zip(&cases).filter(|(answer, (_, reference))| *answer != reference).count();
    println!("of {REQUESTS}: {differ} differ from what they give alone, {wrong} from the reference");
    // Where the two best logits are closer than 1e-4, the order of additions may decide; the engine's own test counts those.
    assert!(differ <= REQUESTS / 100, "{differ} answers differ from what they give alone");
    assert!(wrong <= REQUESTS / 100, "{wrong} answers differ from the reference");
    router.until_counts(&[("running", 0), ("abandoned", 0), ("queued", 0)]).await;
}
