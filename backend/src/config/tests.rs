//! Flags to settings: defaults, names, and all that is wrong at once.

use super::*;
use clap::Parser;

fn config(args: &[&str]) -> Result<Config, BadFlags> {
    let args = std::iter::once("tidegate-backend").chain(args.iter().copied());
    Config::from_flags(&Flags::try_parse_from(args).expect("known flags"))
}

#[test]
fn defaults_are_those_of_the_design() {
    let config = config(&[]).expect("defaults are good");
    assert_eq!((config.host.to_string().as_str(), config.port), ("127.0.0.1", 8100));
    assert_eq!((config.max_concurrent_requests, config.model_name.as_str()), (3, "tidegate-demo"));
    assert_eq!(config.request_timeout, Duration::from_secs(60));
    assert_eq!(config.reset_interval, Duration::from_secs(300));
    assert_eq!(config.engine_stall_timeout, Duration::from_secs(60));
    assert_eq!(config.drain_timeout, Duration::from_secs(65));
    assert_eq!((config.redis, config.advertise_url), (None, None));
    assert_eq!(config.body_limit, 8 * 1024 * 1024);
}

#[test]
fn a_model_without_a_name_has_its_folders_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("my-model");
    std::fs::create_dir(&path).expect("a folder in it");
    let text = path.to_str().expect("UTF-8");
    assert_eq!(config(&["--model", text]).expect("good").model_name, "my-model");
    assert_eq!(config(&["--model", &format!("{text}/.")]).expect("good").model_name, "my-model");
    assert_eq!(config(&["--model", text, "--model-name", "x"]).expect("good").model_name, "x");
    assert_eq!(config(&["--model", "no/such/thing"]).expect("the loader refuses it").model_name, "thing");
}

#[test]
fn a_gguf_file_is_known_by_its_name() {
    let read = config(&["--model", "some/My-Model.Q4_K_M.gguf", "--quantize", "none"]).expect("good");
    assert_eq!(read.model, ModelSource::Gguf("some/My-Model.Q4_K_M.gguf".into()));
    assert_eq!(read.model_name, "My-Model.Q4_K_M");
    assert_eq!(read.quantization, Some(Quantization::None));
    assert!(read.to_string().ends_with("--quantize none"), "{read}");
    assert_eq!(config(&["--quantize", "q4_k"]).expect("good").quantization, Some(Quantization::Q4K));
    assert_eq!(config(&[]).expect("good").quantization, None);
}

#[test]
fn every_bad_flag_is_named_at_once() {
    let error = config(&[
        "--max-concurrent-requests",
        "0",
        "--request-timeout",
        "-1",
        "--port",
        "70000",
        "--device",
        "tpu",
        "--dtype",
        "f8",
        "--redis-url",
        "http://secret@host",
        "--engine-stall-timeout",
        "soon",
        "--kv-cache-memory",
        "a lot",
        "--max-batch-tokens",
        "0",
    ])
    .expect_err("nine are bad");
    assert_eq!(error.bad.len(), 9, "{error}");
    for part in ["--max-concurrent-requests", "from 1 to 4096", "TIDEGATE_PORT", "cuda:N", "bf16", "redis://"]
    {
        assert!(error.to_string().contains(part), "{part} is not in {error}");
    }
    assert!(!error.to_string().contains("secret"));
}

#[test]
fn memory_may_have_units() {
    let memory = |text| config(&["--kv-cache-memory", text]).map(|config| config.kv_cache_memory);
    let good =
        [("8GiB", 8 << 30), ("1.5 GiB", 3 << 29), ("500MB", 500_000_000), ("65536", 65_536), ("2k", 2000)];
    for (text, bytes) in good {
        assert_eq!(memory(text), Ok(Some(bytes)), "{text}");
    }
    assert_eq!(memory(""), Ok(None), "an empty variable counts as left out");
    for text in ["0", "-1", "8 gallons", "GiB"] {
        let error = memory(text).expect_err("no memory").to_string();
        assert!(error.contains("--kv-cache-memory") && error.contains("500MB"), "{text}: {error}");
    }
    assert_eq!(config(&["--max-batch-tokens", "512"]).expect("good").max_batch_tokens, Some(512));
}

#[test]
fn times_may_have_fractions() {
    let config = config(&["--request-timeout", "0.5", "--drain-timeout", "2"]).expect("good");
    assert_eq!(config.request_timeout, Duration::from_millis(500));
    assert_eq!(config.drain_timeout, Duration::from_secs(2));
}
