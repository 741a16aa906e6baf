//! The demo model as people pass models on: a GGUF file with its weights in 8 bits.

use std::fs::File;
use std::path::Path;

use candle_core::quantized::gguf_file::{Value, write as write_gguf};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};

/// Names of its layers' tensors there and here.
const LAYER_NAMES: [(&str, &str); 9] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

/// Writes it to a folder of its own, with the tokenizer and the chat template beside it.
pub(crate) fn write() -> tempfile::TempDir {
    let (demo, folder) =
        (Path::new(env!("CARGO_MANIFEST_DIR")).join("demo-model"), tempfile::tempdir().unwrap());
    for file in ["tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        std::fs::copy(demo.join(file), folder.path().join(file)).unwrap();
    }
    let config = std::fs::read(demo.join("config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    let heads = config["num_attention_heads"].as_u64().unwrap() as usize;
    assert_eq!(
        config["num_key_value_heads"], config["num_attention_heads"],
        "both are turned by as many heads"
    );
    let weights = candle_core::safetensors::load(demo.join("model.safetensors"), &Device::Cpu).unwrap();
    let tensors: Vec<_> =
        weights.iter().map(|(name, tensor)| (name_in_gguf(name), quantized(name, tensor, heads))).collect();
    let tensors: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let metadata = metadata(&config);
    let metadata: Vec<_> = metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let mut file = File::create(folder.path().join("model.gguf")).unwrap();
    write_gguf(&mut file, &metadata, &tensors).unwrap();
    folder
}

/// What the file says about the model's shape.
fn metadata(config: &serde_json::Value) -> Vec<(String, Value)> {
    let counts = [
        ("llama.block_count", "num_hidden_layers"),
        ("llama.context_length", "max_position_embeddings"),
        ("llama.embedding_length", "hidden_size"),
        ("llama.feed_forward_length", "intermediate_size"),
        ("llama.attention.head_count", "num_attention_heads"),
        ("llama.rope.dimension_count", "head_dim"),
        ("tokenizer.ggml.bos_token_id", "bos_token_id"),
        ("tokenizer.ggml.eos_token_id", "eos_token_id"),
    ];
    let numbers =
        [("llama.attention.layer_norm_rms_epsilon", "rms_norm_eps"), ("llama.rope.freq_base", "rope_theta")];
    let count =
        |(key, name): &(&str, &str)| ((*key).to_owned(), Value::U32(config[*name].as_u64().unwrap() as u32));
    let number =
        |(key, name): &(&str, &str)| ((*key).to_owned(), Value::F32(config[*name].as_f64().unwrap() as f32));
    let named = [("general.architecture".to_owned(), Value::String("llama".to_owned()))];
    named.into_iter().chain(counts.iter().map(count)).chain(numbers.iter().map(number)).collect()
}

fn name_in_gguf(name: &str) -> String {
    match name.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.')) {
        Some((layer, rest)) => {
            let part = rest.strip_suffix(".weight").unwrap();
            let (_, there) = LAYER_NAMES.iter().find(|(here, _)| *here == part).unwrap();
            format!("blk.{layer}.{there}.weight")
        }
        None => match name {
            "model.embed_tokens.weight" => "token_embd.weight".to_owned(),
            "model.norm.weight" => "output_norm.weight".to_owned(),
            "lm_head.weight" => "output.weight".to_owned(),
            other => panic!("{other}"),
        },
    }
}

/// Matrices in 8 bits, norms as they are. Rows of queries and keys lie so that neighbours are turned together.
fn quantized(name: &str, tensor: &Tensor, heads: usize) -> QTensor {
    let turned = name.contains("q_proj") || name.contains("k_proj");
    let tensor = if turned { neighbours_from_halves(tensor, heads) } else { tensor.clone() };
    let kind = if tensor.rank() == 2 { GgmlDType::Q8_0 } else { GgmlDType::F32 };
    QTensor::quantize(&tensor, kind).unwrap()
}

fn neighbours_from_halves(tensor: &Tensor, heads: usize) -> Tensor {
    let (rows, width) = tensor.dims2().unwrap();
    let halves = tensor.reshape((heads, 2, rows / heads / 2, width)).unwrap();
    halves.transpose(1, 2).unwrap().contiguous().unwrap().reshape((rows, width)).unwrap()
}
