//! Model folders that are refused, each with a message that names the file and what is wrong in it.

use std::path::Path;

use serde_json::{Value, json};

use tidegate_backend::model::rope::RopeKind;
use tidegate_backend::model::{DeviceChoice, LoadError, LoadOptions, ModelSource};

use crate::support::{copy_of, fixture, load};

/// Loads and gives the refusal.
fn refusal(folder: &Path) -> String {
    match load(folder) {
        Ok(_) => panic!("{} was loaded", folder.display()),
        Err(error) => error.to_string(),
    }
}

/// The refusal of a fixture model after one of its JSON files was changed.
fn with_json(model: &str, file: &str, change: impl FnOnce(&mut Value)) -> String {
    let copy = copy_of(model);
    let path = copy.path().join(file);
    let mut content: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut content);
    std::fs::write(&path, content.to_string()).unwrap();
    refusal(copy.path())
}

#[track_caller]
fn assert_names(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{message:?} does not name {part:?}");
    }
}

#[test]
fn a_folder_that_is_not_there() {
    assert_names(&refusal(Path::new("/no/such/model")), &["/no/such/model", "no such model folder"]);
}

#[test]
fn files_that_are_missing() {
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let copy = copy_of("plain");
        std::fs::remove_file(copy.path().join(file)).unwrap();
        assert_names(&refusal(copy.path()), &[file, "no such file"]);
    }
    let copy = copy_of("sharded");
    let shard = "model-00002-of-00003.safetensors";
    let found: Vec<_> = std::fs::read_dir(copy.path()).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert!(found.iter().any(|name| name == shard), "{found:?}");
    std::fs::remove_file(copy.path().join(shard)).unwrap();
    assert_names(&refusal(copy.path()), &[shard, "no such file"]);
}

#[test]
fn weights_that_are_cut_short() {
    let copy = copy_of("plain");
    let path = copy.path().join("model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    std::fs::write(&path, &bytes[..bytes.len() - 10]).unwrap();
    assert_names(&refusal(copy.path()), &["model.safetensors", "cut short", "tensor model.norm.weight"]);
    std::fs::write(&path, &bytes[..header + 5]).unwrap();
    assert_names(&refusal(copy.path()), &["cut short", "tensor lm_head.weight"]);
    std::fs::write(&path, &bytes[..header / 2]).unwrap();
    assert_names(&refusal(copy.path()), &["model.safetensors", "header is incomplete"]);
    std::fs::write(&path, []).unwrap();
    assert_names(&refusal(copy.path()), &["model.safetensors", "no header"]);
    std::fs::write(&path, b"\x10\0\0\0\0\0\0\0 this is no JSON").unwrap();
    assert_names(&refusal(copy.path()), &["model.safetensors", "not a safetensors file"]);
}

#[test]
fn a_tensor_of_another_shape() {
    let message = with_json("plain", "config.json", |config| config["intermediate_size"] = json!(60));
    assert_names(
        &message,
        &["model.safetensors", "model.layers.0.mlp.gate_proj.weight", "[64, 32]", "[60, 32]"],
    );
}

#[test]
fn a_tensor_that_is_missing() {
    let message = with_json("plain", "config.json", |config| config["num_hidden_layers"] = json!(3));
    assert_names(
        &message,
        &["model.safetensors", "model.layers.2.input_layernorm.weight", "missing", "[32]"],
    );
    let message = with_json("plain", "config.json", |config| config["mlp_bias"] = json!(true));
    assert_names(&message, &["model.layers.0.mlp.gate_proj.bias", "missing"]);
    let message = with_json("tied", "config.json", |config| config["tie_word_embeddings"] = json!(false));
    assert_names(&message, &["lm_head.weight", "missing"]);
}

#[test]
fn a_tokenizer_with_more_tokens_than_the_model_has_rows() {
    let message = with_json("plain", "tokenizer.json", |t| t["model"]["vocab"]["extra"] = json!(96));
    assert_names(&message, &["tokenizer.json", "\"extra\"", "96", "vocab_size"]);
}

#[test]
fn files_that_are_not_what_they_should_be() {
    for file in ["config.json", "tokenizer.json", "generation_config.json"] {
        let copy = copy_of("plain");
        std::fs::write(copy.path().join(file), "{\"a\": ").unwrap();
        assert_names(&refusal(copy.path()), &[file]);
    }
    let copy = copy_of("plain");
    std::fs::write(copy.path().join("chat_template.jinja"), "{% if %}").unwrap();
    assert_names(&refusal(copy.path()), &["chat_template.jinja", "line 1"]);
}

/// Everything that would silently give wrong text.
#[test]
fn settings_that_are_not_supported_are_refused_by_name() {
    let cases: &[(&str, Value, &[&str])] = &[
        ("architectures", json!(["MixtralForCausalLM"]), &["architectures", "MixtralForCausalLM"]),
        ("hidden_act", json!("gelu"), &["hidden_act", "gelu"]),
        (
            "rope_parameters",
            json!({"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0}),
            &["rope_type", "yarn"],
        ),
        ("rope_parameters", json!({"rope_type": "llama3", "rope_theta": 1e4}), &["rope", "factor"]),
        (
            "rope_parameters",
            json!({"rope_theta": 1e4, "partial_rotary_factor": 0.5}),
            &["partial_rotary_factor"],
        ),
        ("quantization_config", json!({"quant_method": "gptq"}), &["quantization_config", "gptq"]),
        ("sliding_window", json!(4096), &["sliding_window", "4096"]),
        ("num_key_value_heads", json!(3), &["num_key_value_heads", "3"]),
        ("num_hidden_layers", json!(0), &["num_hidden_layers", "0"]),
        ("head_dim", json!(7), &["head_dim", "7"]),
        ("hidden_size", json!("wide"), &["config.json", "wide"]),
    ];
    for (setting, value, named) in cases {
        let message = with_json("plain", "config.json", |config| config[*setting] = value.clone());
        assert_names(&message, &[&["config.json"], *named].concat());
    }
}

/// transformers 4 called it `type`, then `rope_type`, and kept both in files that it saved again.
#[test]
fn the_kind_of_rope_scaling_may_have_either_name_or_both() {
    let copy = copy_of("linear");
    let text = std::fs::read(copy.path().join("config.v4.json")).unwrap();
    let mut config: Value = serde_json::from_slice(&text).unwrap();
    let rope = |config: &Value| {
        std::fs::write(copy.path().join("config.json"), config.to_string()).unwrap();
        load(copy.path()).unwrap().decoder.config().rope.clone()
    };
    let new = rope(&config);
    assert_eq!(new.kind, RopeKind::Linear { factor: 2.0 });
    config["rope_scaling"]["type"] = json!("linear");
    assert_eq!(rope(&config), new);
    config["rope_scaling"].as_object_mut().unwrap().remove("rope_type");
    assert_eq!(rope(&config), new);
}

/// A model, a setting in its config.json with a value, and what the refusal names.
type Refused<'a> = (&'a str, &'a str, Value, &'a [&'a str]);

fn assert_refused(cases: &[Refused<'_>]) {
    for (model, setting, value, named) in cases {
        let message = with_json(model, "config.json", |config| {
            config[*setting] = value.clone();
            // Of two places, the one in the section counts.
            if *setting == "partial_rotary_factor" {
                config["rope_parameters"].as_object_mut().unwrap().remove(*setting);
            }
        });
        assert_names(&message, &[&["config.json"], *named].concat());
    }
}

/// Each architecture's own traps: what its code in transformers does not know, or knows otherwise.
#[test]
fn what_an_architecture_does_not_know_is_refused_by_name() {
    let mixed = json!(["full_attention", "sliding_attention"]);
    let chunked = json!(["full_attention", "chunked_attention"]);
    assert_refused(&[
        ("gemma3", "attn_logit_softcapping", json!(50.0), &["attn_logit_softcapping"]),
        ("gemma2", "use_bidirectional_attention", json!(true), &["use_bidirectional_attention"]),
        ("gemma2", "layer_types", chunked, &["layer_types", "chunked_attention"]),
        ("gemma2", "layer_types", json!(["full_attention"]), &["layer_types", "1 of 2"]),
        ("gemma2", "sliding_window", Value::Null, &["sliding_window"]),
        ("gemma2", "hidden_activation", json!("gelu"), &["hidden_activation", "gelu"]),
        ("mistral", "layer_types", mixed, &["layer_types"]),
        ("mistral", "sliding_window", json!(0), &["sliding_window", "0"]),
        ("mistral", "attention_bias", json!(true), &["attention_bias"]),
        ("qwen3", "architectures", json!(["Qwen3MoeForCausalLM"]), &["architectures", "Qwen3MoeForCausalLM"]),
    ]);
}

#[test]
fn rope_settings_that_an_architecture_does_not_know_are_refused_by_name() {
    let yarn = json!({"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0});
    let one = json!({"rope_type": "default", "rope_theta": 1e4});
    let long =
        json!({"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0], "long_factor": [1.0]});
    assert_refused(&[
        ("qwen2", "rope_parameters", yarn.clone(), &["rope_type", "yarn"]),
        ("phi3_long", "rope_parameters", yarn, &["rope_type", "yarn"]),
        ("qwen2", "rope_parameters", long.clone(), &["rope_type", "longrope"]),
        ("phi3", "rope_parameters", long, &["4 numbers in short_factor"]),
        ("gemma3", "rope_parameters", one, &["rope_parameters", "each kind of layer"]),
        ("qwen3", "partial_rotary_factor", json!(0.5), &["partial_rotary_factor", "0.5"]),
        ("phi3_partial", "partial_rotary_factor", json!(0.25), &["rope settings turn 3 of 12"]),
    ]);
}

#[test]
fn what_a_model_says_about_itself() {
    let model = load(&fixture("plain")).unwrap();
    let info = &model.info;
    let named = (info.architecture.as_str(), info.dtype.as_str(), info.device.as_str());
    assert_eq!(named, ("LlamaForCausalLM", "f32", "cpu"));
    assert_eq!((info.context_length, info.vocab_size), (160, 96));
    assert_eq!((info.bos_token_id, info.eos_token_ids.as_slice()), (Some(1), &[2][..]));
    let (vocab, hidden, inner) = (96, 32, 64);
    let layer = 4 * hidden * hidden + 3 * hidden * inner + 2 * hidden;
    assert_eq!(info.parameters, 2 * vocab * hidden + 2 * layer + hidden);
    let tied = load(&fixture("tied")).unwrap().info.parameters;
    assert!(tied < info.parameters - vocab * hidden, "shared weights count once");
    assert!(model.chat_template.is_none());
}

/// Beyond the original context LongRoPE has other factors, also for what is in the cache by then.
#[test]
fn longrope_stays_within_the_original_context() {
    assert_eq!(load(&fixture("phi3_long")).unwrap().info.context_length, 160);
}

#[test]
fn generation_config_proposes_stop_tokens_and_sampling() {
    let copy = copy_of("plain");
    let proposal = json!({"eos_token_id": [2, 7], "do_sample": true, "temperature": 0.6, "top_p": 0.9});
    std::fs::write(copy.path().join("generation_config.json"), proposal.to_string()).unwrap();
    let info = load(copy.path()).unwrap().info;
    assert_eq!(info.eos_token_ids, [2, 7]);
    assert_eq!((info.sampling.temperature, info.sampling.top_p), (Some(0.6), Some(0.9)));
}

#[test]
fn the_template_is_found_wherever_transformers_puts_it() {
    let messages = [json!({"role": "user", "content": "hi"})];
    let rendered =
        |folder: &Path| load(folder).unwrap().chat_template.unwrap().render(&messages, false).unwrap();
    let copy = copy_of("plain");
    let config = copy.path().join("tokenizer_config.json");
    let write = |content: Value| std::fs::write(&config, content.to_string()).unwrap();
    write(json!({"bos_token": "<s>", "chat_template": "{{ bos_token }}one {{ messages[0].content }}"}));
    assert_eq!(rendered(copy.path()), "<s>one hi");
    let named = json!([{"name": "tool_use", "template": "no"}, {"name": "default", "template": "two"}]);
    write(json!({"bos_token": {"content": "<b>", "special": true}, "chat_template": named}));
    assert_eq!(rendered(copy.path()), "two");
    std::fs::write(copy.path().join("chat_template.jinja"), "{{ bos_token }}three{{ eos_token }}").unwrap();
    assert_eq!(
        rendered(copy.path()),
        "<b>three</s>",
        "the text of a token that is not named comes from its id"
    );
}

#[cfg(feature = "demo-model")]
#[test]
fn the_demo_model_is_read_by_the_same_code() {
    use tidegate_backend::model::{LoadOptions, ModelSource, load};
    let model = load(&ModelSource::Demo, &LoadOptions::default()).unwrap();
    assert_eq!(model.info.architecture, "LlamaForCausalLM");
    let template = model.chat_template.unwrap();
    let prompt = template.render(&[json!({"role": "user", "content": "What is 17 + 25?"})], true).unwrap();
    let tokens = model.tokenizer.encode(prompt.as_str(), false).unwrap();
    assert!(tokens.len() > "What is 17 + 25?".len() && tokens.get_ids().iter().all(|id| *id < 262));
}

#[test]
fn loading_ends_when_nobody_waits_for_the_model() {
    let options = LoadOptions { device: DeviceChoice::Cpu, ..LoadOptions::default() };
    options.stop.cancel();
    let source = ModelSource::Folder(fixture("plain"));
    assert!(matches!(tidegate_backend::model::load(&source, &options), Err(LoadError::Stopped)));
}
