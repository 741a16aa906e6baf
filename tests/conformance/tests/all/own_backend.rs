//! A backend of our own over HTTP/2: its answers are those that it gives over HTTP/1.1, and their cost is counted alike.

use serde_json::{Value, json};
use tidegate_conformance::client::{Client, post};
use tidegate_conformance::scene::Router;
use tidegate_tests::process::Process;
use tidegate_tests::wait;

const CHAT: &str = "/v1/chat/completions";

/// An answer without what differs between any two: its id and its time.
fn masked(text: &str) -> String {
    let line = |line: &str| {
        let (before, json) = line.strip_prefix("data: ").map_or(("", line), |json| ("data: ", json));
        let Ok(mut json) = serde_json::from_str::<Value>(json) else { return line.to_owned() };
        for member in ["id", "created"] {
            assert!(!json[member].is_null(), "{member}: {line}");
            json[member] = Value::Null;
        }
        format!("{before}{json}")
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// What each request has cost, as the router writes it down.
async fn costs(router: &Router, count: usize) -> Vec<[Value; 2]> {
    wait::until("a line for each request", || async {
        let output = router.process.output();
        let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let requests = lines.filter(|line| line["route"] == CHAT);
        let costs: Vec<_> = requests
            .map(|line| ["prompt_tokens", "completion_tokens"].map(|name| line[name].clone()))
            .collect();
        (costs.len() == count).then_some(costs)
    })
    .await
}

#[tokio::test]
async fn its_answers_are_those_of_http_1() {
    let backend = Process::start("tidegate-backend", &["--port", "0", "--log-format", "json"]);
    let url = format!("http://{}", backend.url("address").await);
    let one = Router::start_at(&[&url], &[]).await;
    let two = Router::start_at(&[&url], &["--backend-http2"]).await;
    let mut count = 0;
    for prompt in ["What is 17 + 25?", "What is 3 + 4?", "x"] {
        for stream in [false, true] {
            let body = json!({"model": "tidegate-demo", "temperature": 0, "stream": stream, "max_tokens": 12,
                "messages": [{"role": "user", "content": prompt}]});
            let request = post(CHAT, "", &body.to_string());
            // From now on it knows the prompt, and says so alike.
            let mut direct = Client::connect(&url).await;
            direct.send(&request).await;
            direct.answer().await;
            let (expected, found) = (one.ask(&request).await, two.ask(&request).await);
            assert_eq!((expected.status(), found.status()), (200, 200), "{}", found.text());
            assert_eq!(masked(&expected.text()), masked(&found.text()));
            let names = |headers: &[(String, String)]| headers.iter().map(|(name, _)| name.clone()).collect();
            let (mut expected, mut found): (Vec<_>, Vec<_>) =
                (names(&expected.headers), names(&found.headers));
            expected.sort();
            found.sort();
            assert_eq!(expected, found);
            count += 1;
        }
    }
    let costs_of_one = costs(&one, count).await;
    assert!(costs_of_one.iter().flatten().all(|tokens| tokens.as_u64() > Some(0)), "{costs_of_one:?}");
    assert_eq!(costs_of_one, costs(&two, count).await);
    two.until_idle().await;
}
