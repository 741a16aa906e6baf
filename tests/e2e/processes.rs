//! The router's binary: what it prints, what it refuses to start with, how it ends.

use http::StatusCode;
use std::net::TcpListener;
use tidegate_tests::client::Client;
use tidegate_tests::process::Process;
use tidegate_tests::wait;

const ROUTER: &str = "tidegate-router";
const FREE: [&str; 4] = ["--port", "0", "--admin-port", "0"];

fn router(flags: &[&str]) -> Process {
    Process::start(ROUTER, &[&FREE, flags].concat())
}

#[tokio::test]
async fn the_embedded_mode_says_what_runs_and_its_curl_line_works() {
    let router = Process::start_on_terminal(ROUTER, &FREE);
    let output = router.says("17 + 25?").await;
    let base = router.clients().await;
    assert!(output.contains("tidegate-demo (LlamaForCausalLM") && output.contains("on cpu"), "{output}");
    let line: Vec<&str> =
        output.lines().skip_while(|line| !line.trim_start().starts_with("curl")).take(2).collect();
    let command = line.join("\n");
    assert!(command.contains(&base), "{command}");
    let answer = tokio::process::Command::new("sh").args(["-c", &command]).output().await.unwrap();
    let text = String::from_utf8_lossy(&answer.stdout);
    assert!(text.contains("\"object\":\"chat.completion\""), "{text}");
}

#[tokio::test]
async fn the_curl_line_of_an_embedding_model_works_too() {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../backend/tests/fixtures/embeddings/bert_mean");
    let router = Process::start_on_terminal(ROUTER, &[&FREE[..], &["--model", model]].concat());
    let output = router.says("17 + 25?").await;
    let base = router.clients().await;
    assert!(
        output.contains("bert_mean (BertModel") && output.contains(&format!("curl {base}/v1/embeddings")),
        "{output}"
    );
    let line: Vec<&str> =
        output.lines().skip_while(|line| !line.trim_start().starts_with("curl")).take(2).collect();
    let answer = tokio::process::Command::new("sh").args(["-c", &line.join("\n")]).output().await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(answer["data"][0]["embedding"].as_array().map(Vec::len), Some(24), "{answer}");
}

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../backend/demo-model");

/// Starts an embedded router and checks the values that it logs and the pool that it serves.
async fn holds(flags: &[&str], values: &str, (name, slots, queue): (&str, u64, u64)) {
    let router = router(&[&["--model", MODEL], flags].concat());
    let output = router.says("values in force").await;
    assert!(output.contains(values), "{values} is not in {output}");
    let admin = Client::new(&router.operators().await);
    wait::until("the backend joins", || async {
        let pool = admin.get("/fleet").await.json()["pools"][0].clone();
        (pool["slots"] == slots && pool["max_queue_size"] == queue && pool["model"] == name).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_three_command_lines_of_the_users_start_and_hold_what_they_say() {
    let flags = ["--model_name", "my-model"];
    let values = "request_timeout=60 reset_interval=300 max_queue_size=50 queue_rejection_threshold=0.8 vllm_rejection_threshold=0.7";
    holds(&flags, values, ("my-model", 3, 50)).await;
    let flags = ["--model_name", "my-model", "--request_timeout", "120", "--max_queue_size", "100"];
    let values = "request_timeout=120 reset_interval=300 max_queue_size=100 queue_rejection_threshold=0.8";
    holds(&flags, values, ("my-model", 3, 100)).await;
    let flags = "--model_name production-model --request_timeout 90 --max_queue_size 200 --max_concurrent_requests 10 \
                 --queue_rejection_threshold 0.9 --reset_interval 600 --vllm_rejection_threshold 0.8";
    let flags: Vec<&str> = flags.split_whitespace().collect();
    let values = "request_timeout=90 reset_interval=600 max_queue_size=200 queue_rejection_threshold=0.9 vllm_rejection_threshold=0.8";
    holds(&flags, values, ("production-model", 10, 200)).await;
}

#[tokio::test]
async fn bad_flags_are_all_named_at_once() {
    let mut router = router(&["--max_queue_size", "-1", "--wait-share", "2", "--model", "/no/such/folder"]);
    let status = router.ended().await;
    let output = router.output();
    assert!(!status.success());
    assert!(output.contains("--max-queue-size") && output.contains("--wait-share"), "{output}");
}

#[tokio::test]
async fn a_model_folder_that_is_not_there_is_named() {
    let mut router = router(&["--model", "/no/such/folder"]);
    assert!(!router.ended().await.success());
    assert!(router.output().contains("/no/such/folder"), "{}", router.output());
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut router = Process::start(ROUTER, &["--port", &port, "--admin-port", "0"]);
    assert!(!router.ended().await.success());
    let output = router.output();
    assert!(output.contains(&port) && output.contains("--port"), "{output}");
}

#[tokio::test]
async fn a_redis_that_is_not_there_is_named() {
    let port = tidegate_tests::redis::free_port();
    let mut router = router(&["--redis-url", &format!("redis://127.0.0.1:{port}")]);
    assert!(!router.ended().await.success());
    assert!(router.output().contains("Redis"), "{}", router.output());
}

#[tokio::test]
async fn sigterm_drains_and_exits_with_success() {
    let mut router = router(&[]);
    let client = Client::new(&router.clients().await);
    wait::until("it is ready", || async {
        (client.get("/readyz").await.status == StatusCode::OK).then_some(())
    })
    .await;
    router.signal("TERM");
    assert!(router.ended().await.success(), "{}", router.output());
}
