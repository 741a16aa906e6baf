//! The demo model through the whole router: two hundred requests at once, each with an answer of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its scene should stop at once, loudly")]

use http::StatusCode;
use serde_json::{Value, json};
use tidegate_tests::router::TestRouter;

/// Requests at once.
const REQUESTS: usize = 200;

/// Held-out questions of all tasks in turn, each with its right answer.
fn cases() -> Vec<(String, String)> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../backend/demo-model/held-out.jsonl");
    let text = std::fs::read_to_string(file).unwrap();
    let cases: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let promised: Vec<_> = cases.iter().filter(|case| case["task"] != "tidegate-unseen").collect();
    let text_of = |case: &Value, field: &str| case[field].as_str().unwrap().to_owned();
    let spread = promised.iter().step_by(promised.len() / REQUESTS).take(REQUESTS);
    spread.map(|case| (text_of(case, "prompt"), text_of(case, "answer"))).collect()
}

fn body(prompt: &str) -> Value {
    json!({"model": "tidegate-demo", "messages": [{"role": "user", "content": prompt}], "temperature": 0})
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
    let wrong: Vec<_> = together.iter().zip(&cases).filter(|(answer, (_, right))| *answer != right).collect();
    println!("of {REQUESTS}: {differ} differ from what they give alone, {} are not right", wrong.len());
    assert_eq!(differ, 0, "an answer differs from what the same question gives alone");
    // The model itself is right on 98 % and more of each task.
    assert!(wrong.len() <= REQUESTS / 50, "{wrong:#?}");
    router.until_counts(&[("running", 0), ("abandoned", 0), ("queued", 0)]).await;
}
