//! What a backend says about itself: probes, `/health`, `/node`, `/metrics`.

use crate::node::{MODEL, Node};
use serde_json::json;

#[tokio::test]
async fn an_idle_backend_is_alive_ready_and_healthy() {
    let node = Node::start(&["--max-concurrent-requests", "5", "--reset-interval", "600"]).await;
    assert_eq!(node.client.get("/livez").await.status, 200);
    assert_eq!(node.client.get("/readyz").await.status, 200);
    let health = node.client.get("/health").await.json();
    assert_eq!(health["status"], "healthy", "{health}");
    let degradation = &health["graceful_degradation"];
    assert_eq!(
        (&degradation["rejection_rate"], &degradation["queue_statistics"]["max_size"]),
        (&json!(0.0), &json!(0))
    );
    let statistics = &degradation["backend_statistics"];
    for (name, value) in
        [("slots", json!(5)), ("running", json!(0)), ("abandoned", json!(0)), ("success_rate", json!(1.0))]
    {
        assert_eq!(statistics[name], value, "{name} in {health}");
    }
    let until_reset = statistics["time_until_reset"].as_f64().expect("seconds");
    assert!(until_reset > 500.0 && until_reset <= 600.0, "{until_reset}");
}

#[tokio::test]
async fn the_report_says_who_runs() {
    let node = Node::endless(&[]).await;
    let report = node.report().await;
    assert_eq!((report.models, report.slots), (vec![MODEL.to_owned()], 3));
    assert!(report.ready && !report.draining && !report.epoch.is_empty());
    let body = json!({"model": MODEL, "prompt": "ab", "stream": true});
    let _first = node.client.open_with("/v1/completions", &body, &[("x-tidegate-attempt", "r1-5")]).await;
    let _second = node.client.open("/v1/completions", &body).await;
    let running = node.report().await.running;
    assert_eq!((running.len(), running[0].as_str()), (2, "r1-5"));
    assert!(running[1].starts_with("direct-"), "a client without a router: {running:?}");
}

#[tokio::test]
async fn metrics_count_tokens_and_answers() {
    let node = Node::endless(&[]).await;
    let body = json!({"model": MODEL, "prompt": [256, 104, 105], "max_tokens": 5});
    node.client.post("/v1/completions", &body).await;
    let scrape = node.client.get("/metrics").await;
    assert!(scrape.header("content-type").is_some_and(|kind| kind.starts_with("text/plain; version=0.0.4")));
    let text = scrape.text();
    for line in [
        "tidegate:prompt_tokens_total{model_name=\"test-model\"} 3",
        "tidegate:generation_tokens_total{model_name=\"test-model\"} 5",
        "tidegate:requests_total{model_name=\"test-model\",route=\"/v1/completions\",status=\"200\"} 1",
        "tidegate:time_to_first_token_seconds_count{model_name=\"test-model\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}
