//! Starts that must fail say why and end non-zero; the flags of the issue start.

use crate::process::{Process, model_folder, text};

async fn refused(args: &[&str], variables: &[(&str, &str)]) -> String {
    let (status, said) = Process::start(args, variables).ended().await;
    assert!(!status.success() && status.code().is_some(), "{status}: {said}");
    said
}

#[tokio::test]
async fn a_missing_model_folder_is_named() {
    let said = refused(&["--port", "0", "--model", "/no/such/model"], &[]).await;
    assert!(said.contains("/no/such/model"), "{said}");
}

#[tokio::test]
async fn a_model_without_a_tokenizer_names_the_file() {
    let folder = model_folder();
    std::fs::remove_file(folder.path().join("tokenizer.json")).expect("it was there");
    let said = refused(&["--port", "0", "--model", text(folder.path())], &[]).await;
    assert!(said.contains("tokenizer.json"), "{said}");
}

#[tokio::test]
async fn a_truncated_weights_file_is_named() {
    let folder = model_folder();
    let weights = folder.path().join("model.safetensors");
    let whole = std::fs::read(&weights).expect("weights");
    std::fs::write(&weights, &whole[..whole.len() / 2]).expect("it can be cut");
    let said = refused(&["--port", "0", "--model", text(folder.path())], &[]).await;
    assert!(said.contains("model.safetensors"), "{said}");
}

#[tokio::test]
async fn weights_of_another_shape_name_the_tensor() {
    let folder = model_folder();
    let config = folder.path().join("config.json");
    let json = std::fs::read_to_string(&config).expect("config");
    let mut json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let size = json["intermediate_size"].as_u64().expect("a size");
    json["intermediate_size"] = (size + 32).into();
    std::fs::write(&config, json.to_string()).expect("it can be written");
    let said = refused(&["--port", "0", "--model", text(folder.path())], &[]).await;
    assert!(said.contains("mlp") && said.contains("shape"), "{said}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let said = refused(&["--port", &port], &[]).await;
    assert!(said.contains(&port) && said.contains("--port"), "{said}");
}

#[tokio::test]
async fn all_flags_out_of_range_are_named_with_what_they_accept() {
    let args = ["--max_concurrent_requests", "0", "--request-timeout=-3", "--dtype", "f64"];
    let said = refused(&args, &[("TIDEGATE_PORT", "tcp://10.0.0.1:80")]).await;
    for part in
        ["--max-concurrent-requests", "1 to 4096", "--request-timeout", "--dtype", "bf16", "TIDEGATE_PORT"]
    {
        assert!(said.contains(part), "{part} is not in {said}");
    }
}

#[tokio::test]
async fn unknown_flags_are_refused() {
    let said = refused(&["--made-up", "1"], &[]).await;
    assert!(said.contains("--made-up"), "{said}");
}

#[tokio::test]
async fn both_spellings_and_variables_are_in_force() {
    let folder = model_folder();
    let args = [
        "--model",
        text(folder.path()),
        "--model_name",
        "my-model",
        "--request_timeout",
        "90",
        "--port=0",
        "--max_concurrent_requests",
        "10",
        "--reset_interval=600",
    ];
    let mut process = Process::start(&args, &[("TIDEGATE_DRAIN_TIMEOUT", "7")]);
    let values = process.logged("starting").await;
    for value in [
        "--model-name my-model",
        "--max-concurrent-requests 10",
        "--request-timeout 90",
        "--reset-interval 600",
        "--drain-timeout 7",
    ] {
        assert!(values.contains(value), "{value} is not in {values}");
    }
    process.ready().await;
    process.signal("TERM").await;
    let (status, said) = process.ended().await;
    assert_eq!(status.code(), Some(0), "{said}");
}

#[tokio::test]
async fn a_cache_that_cannot_be_is_refused_with_its_flag() {
    for (memory, why) in [("1KiB", "has no room for one block"), ("1PiB", "bytes are free")] {
        let folder = model_folder();
        let args = ["--port", "0", "--model", text(folder.path()), "--kv-cache-memory", memory];
        let said = refused(&args, &[]).await;
        assert!(said.contains("--kv-cache-memory") && said.contains(why), "{said}");
    }
}
