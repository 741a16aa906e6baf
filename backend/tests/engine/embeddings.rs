//! Embeddings against PyTorch and sentence-transformers (`fixtures/make_embeddings.py`), alone, together and through the
//! engine; and the models that are refused.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use candle_core::{DType, Device, Tensor};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tidegate_backend::engine::{EmbedRequest, Engine, EngineError};
use tidegate_backend::model::{
    AnyModel, DeviceChoice, LoadError, LoadOptions, LoadedEmbedder, ModelSource, Quantization, open,
};

use crate::reference::TOLERANCE;

const MODELS: [&str; 7] = [
    "bert_mean",
    "bert_cls",
    "bert_several",
    "bert_old_names",
    "roberta_mean",
    "xlm_roberta_cls",
    "distilbert_mean",
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/embeddings").join(name)
}

fn load(folder: &Path, quantization: Option<Quantization>) -> Result<LoadedEmbedder, LoadError> {
    let options = LoadOptions { device: DeviceChoice::Cpu, quantization, ..LoadOptions::default() };
    match open(&ModelSource::Folder(folder.to_owned()), &options)? {
        AnyModel::Embedder(model) => Ok(*model),
        _ => panic!("{} is no embedding model", folder.display()),
    }
}

fn model(name: &str) -> LoadedEmbedder {
    load(&fixture(name), None).unwrap()
}

/// Texts of a fixture (none where the case is of token ids only), their tokens, and their embeddings.
fn cases(name: &str) -> Vec<(Option<String>, Vec<u32>, Vec<f32>)> {
    let tensors: HashMap<String, Tensor> =
        candle_core::safetensors::load(fixture(name).join("reference.safetensors"), &Device::Cpu).unwrap();
    let numbers = |name: &str| tensors[name].to_vec1::<f32>().unwrap();
    let file: Value =
        serde_json::from_str(&std::fs::read_to_string(fixture(name).join("texts.json")).unwrap()).unwrap();
    let texts: Vec<String> = serde_json::from_value(file["texts"].clone()).unwrap();
    let ids: Vec<Vec<u32>> = serde_json::from_value(file["ids"].clone()).unwrap();
    let texts = texts.into_iter().zip(ids).enumerate();
    let texts = texts.map(|(i, (text, ids))| (Some(text), ids, numbers(&format!("embedding.{i}"))));
    let direct = (0..2).map(|i| {
        let ids = tensors[&format!("ids.{i}")].to_dtype(DType::U32).unwrap().to_vec1().unwrap();
        (None, ids, numbers(&format!("direct.{i}")))
    });
    texts.chain(direct).collect()
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn embeddings_agree_with_sentence_transformers() {
    for name in MODELS {
        let LoadedEmbedder { embedder, tokenizer, info } = model(name);
        let cases = cases(name);
        assert!(cases.len() >= 7, "{name}");
        let mut worst = 0f32;
        for (text, ids, expected) in &cases {
            if let Some(text) = text {
                assert_eq!(tokenizer.encode_fast(text.as_str(), true).unwrap().get_ids(), ids, "{name}");
            }
            let made = embedder.embed(&[ids]).unwrap().remove(0);
            worst = worst.max(difference(&made, expected));
            assert_eq!(made.len(), info.embedding.as_ref().unwrap().width, "{name}");
        }
        println!("{name}: max |difference of embeddings| {worst:.1e}");
        assert!(worst < TOLERANCE, "{name}: {worst}");
    }
}

/// Nothing is padded, so that a text's company leaves no trace.
#[test]
fn a_text_gives_the_same_bits_alone_and_among_others() {
    for name in MODELS {
        let embedder = model(name).embedder;
        let texts: Vec<Vec<u32>> = cases(name).into_iter().map(|(_, ids, _)| ids).collect();
        let alone: Vec<_> = texts.iter().map(|text| embedder.embed(&[text]).unwrap().remove(0)).collect();
        let mut random = StdRng::seed_from_u64(5);
        for _ in 0..20 {
            let chosen: Vec<usize> =
                (0..random.random_range(2..12)).map(|_| random.random_range(0..texts.len())).collect();
            let together: Vec<&[u32]> = chosen.iter().map(|index| texts[*index].as_slice()).collect();
            for (index, made) in chosen.iter().zip(embedder.embed(&together).unwrap()) {
                assert_eq!(made, alone[*index], "{name}, seed 5: text {index} among {chosen:?}");
            }
        }
    }
}

fn texts_of(random: &mut StdRng, most: usize) -> Vec<Vec<u32>> {
    let text = |random: &mut StdRng| {
        let length = random.random_range(1..64);
        (0..length).map(|_| random.random_range(0..96)).collect()
    };
    (0..random.random_range(1..most)).map(|_| text(random)).collect()
}

/// Whatever shares a step, comes, leaves or gives up, each request gets what its texts give alone, and nothing stays behind.
#[tokio::test]
async fn requests_share_steps_and_get_what_they_get_alone() {
    for seed in 0..4 {
        let alone = model("bert_mean").embedder;
        let engine = Engine::start_embedder(model("bert_mean").embedder, 96).unwrap();
        let mut random = StdRng::seed_from_u64(seed);
        let hold = Arc::new(());
        let mut waiting = Vec::new();
        for _ in 0..60 {
            let texts = texts_of(&mut random, 9);
            let request = EmbedRequest { texts: texts.clone(), hold: Some(hold.clone()) };
            let embeddings = engine.embed(request).unwrap();
            if random.random_bool(0.3) {
                drop(embeddings);
            } else {
                waiting.push((texts, tokio::spawn(embeddings.all())));
            }
            if random.random_bool(0.2) {
                tokio::task::yield_now().await;
            }
        }
        for (texts, made) in waiting {
            let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
            let expected: Vec<_> = texts.iter().map(|text| alone.embed(&[text]).unwrap().remove(0)).collect();
            assert_eq!(made.await.unwrap().unwrap(), expected, "seed {seed}");
        }
        while engine.stats().waiting + engine.stats().running > 0 {
            tokio::task::yield_now().await;
        }
        let stats = engine.stats();
        assert_eq!(Arc::strong_count(&hold), 1, "seed {seed}: a hold outlives its request");
        assert_eq!((stats.finished + stats.cancelled, stats.failed), (60, 0), "seed {seed}: {stats:?}");
        assert!(stats.steps > 10 && stats.prompt_tokens > 1000, "seed {seed}: {stats:?}");
    }
}

/// Notes its name when the engine lets go of it.
struct Noted(&'static str, Arc<Mutex<Vec<&'static str>>>);

impl Drop for Noted {
    fn drop(&mut self) {
        self.1.lock().unwrap().push(self.0);
    }
}

#[tokio::test]
async fn a_request_of_many_texts_lets_a_small_one_pass() {
    let engine = Engine::start_embedder(model("bert_mean").embedder, 64).unwrap();
    let left = Arc::new(Mutex::new(Vec::new()));
    let request = |name, count| EmbedRequest {
        texts: vec![vec![7; 60]; count],
        hold: Some(Arc::new(Noted(name, left.clone()))),
    };
    let large = engine.embed(request("large", 2000)).unwrap();
    let small = engine.embed(request("small", 2)).unwrap();
    assert_eq!(small.all().await.unwrap().len(), 2);
    assert_eq!(large.all().await.unwrap().len(), 2000);
    assert_eq!(*left.lock().unwrap(), ["small", "large"]);
}

#[tokio::test]
async fn what_cannot_be_embedded_is_refused_by_the_engine() {
    let engine = Engine::start_embedder(model("xlm_roberta_cls").embedder, 64).unwrap();
    let embed = |texts: Vec<Vec<u32>>| engine.embed(EmbedRequest { texts, hold: None });
    assert!(matches!(embed(vec![vec![5], vec![]]), Err(EngineError::EmptyPrompt)));
    assert!(matches!(
        embed(vec![vec![96]]),
        Err(EngineError::UnknownToken { parameter: "input", token: 96, vocabulary: 96 })
    ));
    let long = embed(vec![vec![5], vec![5; 41]]).unwrap_err();
    assert!(matches!(long, EngineError::TextTooLong { index: 1, tokens: 41, max: 40 }), "{long}");
    assert_eq!(embed(vec![vec![5; 40]]).unwrap().all().await.unwrap().len(), 1);
    let generated = engine.generate(crate::support::greedy(&[5], 3)).unwrap_err();
    assert!(matches!(generated, EngineError::OtherTask(_)), "{generated}");
}

#[test]
fn what_a_model_says_about_itself() {
    let info = |name| model(name).info;
    let bert = info("bert_mean");
    assert_eq!((bert.architecture.as_str(), bert.dtype.as_str()), ("BertModel", "f32"));
    let embedding = bert.embedding.unwrap();
    assert_eq!((embedding.width, embedding.normalized, embedding.shorter), (24, true, Some(vec![8, 16])));
    let several = info("bert_several");
    assert_eq!(several.embedding.unwrap().width, 20, "four times 32 numbers go through a dense layer");
    assert_eq!(info("bert_cls").embedding.unwrap().shorter, None);
    let old = info("bert_old_names");
    assert_eq!(old.architecture, "BertForMaskedLM");
    assert!(!old.embedding.unwrap().normalized, "no modules.json: pooled and no more");
    let lengths = ["bert_mean", "roberta_mean", "xlm_roberta_cls"].map(|name| info(name).context_length);
    assert_eq!(lengths, [64, 64, 40], "positions; less those of padding; the model's own limit");
}

#[test]
fn quantised_weights_give_nearly_the_same() {
    let model = load(&fixture("bert_several"), Some(Quantization::Q8_0)).unwrap();
    assert_eq!(model.info.quantization.as_deref(), Some("q8_0"));
    for (_, ids, expected) in cases("bert_several") {
        let made = model.embedder.embed(&[&ids]).unwrap().remove(0);
        let cosine: f32 = made.iter().zip(&expected).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.995, "{cosine}");
    }
}

/// A copy of a fixture, one of whose JSON files was changed.
fn changed(name: &str, file: &str, change: impl FnOnce(&mut Value)) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_folder(&fixture(name), copy.path());
    let path = copy.path().join(file);
    let mut json: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut json);
    std::fs::write(path, json.to_string()).unwrap();
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn what_would_change_the_result_unseen_is_refused_by_name() {
    type Case = (&'static str, &'static str, &'static str, Value, &'static [&'static str]);
    let cases: [Case; 12] = [
        ("bert_mean", "config.json", "position_embedding_type", json!("relative_key"), &["relative_key"]),
        ("bert_mean", "config.json", "is_decoder", json!(true), &["is_decoder"]),
        ("bert_mean", "config.json", "hidden_act", json!("swish"), &["hidden_act", "swish"]),
        ("bert_mean", "config.json", "num_attention_heads", json!(5), &["24", "5"]),
        ("bert_mean", "config.json", "num_hidden_layers", json!(3), &["encoder.layer.2"]),
        ("bert_mean", "config.json", "max_position_embeddings", json!(65), &["position_embeddings", "64"]),
        ("bert_mean", "config_sentence_transformers.json", "default_prompt_name", json!("query"), &["query"]),
        ("bert_mean", "sentence_bert_config.json", "transformer_task", json!("fill-mask"), &["fill-mask"]),
        ("bert_several", "1_Pooling/config.json", "pooling_mode", json!("median"), &["median", "lasttoken"]),
        ("bert_several", "1_Pooling/config.json", "pooling_mode", json!([]), &["pooling_mode is empty"]),
        ("bert_several", "2_Dense/config.json", "in_features", json!(7), &["in_features is 7", "128"]),
        ("bert_several", "2_Dense/config.json", "activation_function", json!("torch.Sinc"), &["torch.Sinc"]),
    ];
    for (name, file, setting, value, named) in cases {
        let copy = changed(name, file, |json| json[setting] = value);
        let error = load(copy.path(), None).unwrap_err().to_string();
        for part in named {
            assert!(error.contains(part), "{file}, {setting}: {part} is not in {error}");
        }
    }
    let copy =
        changed("bert_mean", "modules.json", |json| json[2]["type"] = json!("sentence_transformers.LSTM"));
    let error = load(copy.path(), None).unwrap_err().to_string();
    assert!(error.contains("modules.json") && error.contains("LSTM"), "{error}");
    std::fs::remove_dir_all(copy.path().join("1_Pooling")).unwrap();
    let error = load(copy.path(), None).unwrap_err().to_string();
    assert!(error.contains("1_Pooling/config.json"), "{error}");
}

#[test]
fn texts_are_lowered_where_the_model_asks_for_it() {
    let file = "sentence_bert_config.json";
    let copy = changed("bert_mean", file, |json| json["do_lower_case"] = json!(true));
    let ids = |model: &LoadedEmbedder| model.tokenizer.encode_fast("W5 w6", true).unwrap().get_ids().to_vec();
    assert_eq!(ids(&load(copy.path(), None).unwrap()), [2, 5, 6, 3]);
    assert_eq!(ids(&model("bert_mean")), [2, 1, 6, 3]);
}
