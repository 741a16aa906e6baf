//! Models that run one sequence at a time, against PyTorch and transformers (`fixtures/make_serial.py`).

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tidegate_backend::engine::{Engine, EngineOptions};
use tidegate_backend::model::{
    AnyModel, Batching, Chunk, DeviceChoice, LoadError, LoadOptions, LoadedSerial, ModelSource, Quantization,
    SerialModel, open,
};

use crate::reference::{Reference, TOLERANCE, references_in};
use crate::support::{copy_of_folder, greedy, tokens};

const MODELS: [&str; 4] = ["mixtral", "qwen3_moe", "phi", "olmo2"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/serial").join(name)
}

fn load_with(folder: &Path, options: &LoadOptions) -> Result<LoadedSerial, LoadError> {
    let options = LoadOptions { device: DeviceChoice::Cpu, ..options.clone() };
    match open(&ModelSource::Folder(folder.to_owned()), &options)? {
        AnyModel::Serial(model) => Ok(*model),
        _ => panic!("{} is of another kind", folder.display()),
    }
}

fn load(folder: &Path) -> Result<LoadedSerial, LoadError> {
    load_with(folder, &LoadOptions::default())
}

fn engine(name: &str, max_batch_tokens: usize) -> Engine {
    let options = EngineOptions { max_batch_tokens, ..EngineOptions::default() };
    Engine::start_serial(load(&fixture(name)).unwrap().model, options).unwrap()
}

/// Logits of the last of these tokens, of which the first is at `start`.
fn logits(model: &mut SerialModel, tokens: &[u32], start: usize) -> Vec<f32> {
    model.forward(&Chunk { tokens, start, blocks: &[], logits: true }).unwrap().unwrap()
}

#[test]
fn logits_agree_with_transformers() {
    for name in MODELS {
        let mut model = load(&fixture(name)).unwrap().model;
        let mut worst = 0f32;
        for Reference { prompt, logits: expected, .. } in references_in(&fixture(name)) {
            // Some tokens in one step, the others one by one.
            for first in [1, prompt.len().min(7), prompt.len()] {
                let made = logits(&mut model, &prompt[..first], 0);
                worst = worst.max(difference(&made, &expected[first - 1]));
                for at in first..prompt.len() {
                    let made = logits(&mut model, &prompt[at..=at], at);
                    worst = worst.max(difference(&made, &expected[at]));
                }
            }
        }
        println!("{name}: max |difference of logits| {worst:.1e}");
        assert!(worst < TOLERANCE, "{name}: {worst}");
    }
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[tokio::test]
async fn greedy_tokens_agree_with_transformers_one_after_the_other() {
    for name in MODELS {
        let references = references_in(&fixture(name));
        // The prompt whole, and in chunks.
        for budget in [256, 7] {
            let engine = engine(name, budget);
            // All at once: they wait for each other. One is given up on the way.
            let given_up = engine.generate(greedy(&references[1].prompt, 64)).unwrap();
            let streams: Vec<_> = references
                .iter()
                .map(|r| engine.generate(greedy(&r.prompt, r.greedy.len())).unwrap())
                .collect();
            drop(given_up);
            for (stream, reference) in streams.into_iter().zip(&references) {
                assert_eq!(tokens(stream).await, reference.greedy, "{name}, budget {budget}");
            }
            let stats = engine.stats();
            assert_eq!((stats.finished, stats.failed), (3, 0), "{stats:?}");
        }
    }
}

#[test]
fn what_a_model_says_about_itself() {
    let info = load(&fixture("mixtral")).unwrap().info;
    assert_eq!((info.architecture.as_str(), info.batching), ("MixtralForCausalLM", Batching::Serial));
    assert_eq!((info.context_length, info.vocab_size, info.bos_token_id), (160, 96, Some(1)));
    let (vocab, hidden, kv, inner, experts) = (96, 32, 16, 64, 4);
    let layer = 2 * hidden * hidden + 2 * hidden * kv + experts * (3 * hidden * inner + hidden) + 2 * hidden;
    assert_eq!(info.parameters, 2 * vocab * hidden + 2 * layer + hidden);
    let short = LoadOptions { max_model_len: Some(40), ..LoadOptions::default() };
    assert_eq!(load_with(&fixture("mixtral"), &short).unwrap().info.context_length, 40);
}

#[test]
fn what_candle_would_ignore_is_refused_by_name() {
    let yarn = json!({"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0});
    let cases: [(&str, &str, Value, &[&str]); 10] = [
        ("mixtral", "sliding_window", json!(20), &["sliding_window", "20"]),
        ("mixtral", "rope_parameters", yarn.clone(), &["rope_type", "yarn"]),
        ("mixtral", "rope_scaling", yarn, &["rope_type", "yarn"]),
        ("mixtral", "head_dim", json!(16), &["head_dim", "16"]),
        ("mixtral", "tie_word_embeddings", json!(true), &["tie_word_embeddings"]),
        ("mixtral", "num_local_experts", json!(5), &["gate.weight", "[5, 32]"]),
        ("qwen3_moe", "use_sliding_window", json!(true), &["use_sliding_window"]),
        ("qwen3_moe", "mlp_only_layers", json!([1]), &["mlp_only_layers"]),
        ("phi", "qk_layernorm", json!(true), &["qk_layernorm"]),
        ("olmo2", "clip_qkv", json!(8.0), &["clip_qkv"]),
    ];
    for (name, setting, value, named) in cases {
        let copy = copy_of_folder(&fixture(name));
        let path = copy.path().join("config.json");
        let mut config: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        config[setting] = value;
        std::fs::write(path, config.to_string()).unwrap();
        let error = load(copy.path()).unwrap_err().to_string();
        for part in named {
            assert!(error.contains(part), "{name}, {setting}: {part} is not in {error}");
        }
    }
    let quantized = LoadOptions { quantization: Some(Quantization::Q8_0), ..LoadOptions::default() };
    let error = load_with(&fixture("phi"), &quantized).unwrap_err().to_string();
    assert!(error.contains("q8_0"), "{error}");
}
