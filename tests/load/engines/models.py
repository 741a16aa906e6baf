"""Makes the models that engines are compared on: random weights in a shape of the field, each in every form that one of
the engines reads, from the same numbers.

    FOLDER/llama-64m/                  Hugging Face's layout, f32: Tidegate, transformers, mistral.rs
    FOLDER/llama-64m/model-f32.gguf    the same weights: llama.cpp
    FOLDER/llama-64m/model-q8_0.gguf   the same, quantised once: Tidegate, llama.cpp
    FOLDER/qwen2-494m/model-q8_0.gguf  Tidegate, llama.cpp
"""

import json
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind
from safetensors.numpy import save_file

# Ends no answer: its row of the output is 0, and some other of so many random logits is always above that.
EOS = 2
LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 512, "intermediate_size": 2048,
    "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 64, "vocab_size": 32000,
    "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": False,
}
QWEN2 = {
    "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864,
    "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2, "head_dim": 64,
    "vocab_size": 151936, "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
    "tie_word_embeddings": True,
}
SHAPES = {"llama-64m": LLAMA, "qwen2-494m": QWEN2}
GGUF_NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}
OUTER_NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def weights(shape: dict, seed: int = 20261125):
    """Names as transformers has them, and arrays `[out, in]` in f32, one after the other."""
    random = np.random.default_rng(seed)
    hidden, head = shape["hidden_size"], shape["head_dim"]
    heads, kv_heads = shape["num_attention_heads"], shape["num_key_value_heads"]

    def matrix(rows, columns, scale=1.0):
        return (random.standard_normal((rows, columns), np.float32) * (scale / columns**0.5)).astype(np.float32)

    def vocabulary():
        table = matrix(shape["vocab_size"], hidden)
        table[EOS] = 0
        return table

    yield "model.embed_tokens.weight", vocabulary()
    for layer in range(shape["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        for name, width in (("q", heads), ("k", kv_heads), ("v", kv_heads)):
            yield f"{prefix}.self_attn.{name}_proj.weight", matrix(width * head, hidden)
            if shape["model_type"] == "qwen2":
                yield f"{prefix}.self_attn.{name}_proj.bias", matrix(1, width * head)[0]
        yield f"{prefix}.self_attn.o_proj.weight", matrix(hidden, heads * head)
        for name in ("gate", "up"):
            yield f"{prefix}.mlp.{name}_proj.weight", matrix(shape["intermediate_size"], hidden)
        yield f"{prefix}.mlp.down_proj.weight", matrix(hidden, shape["intermediate_size"])
        for name in ("input", "post_attention"):
            yield f"{prefix}.{name}_layernorm.weight", np.ones(hidden, np.float32)
    yield "model.norm.weight", np.ones(hidden, np.float32)
    if not shape["tie_word_embeddings"]:
        yield "lm_head.weight", vocabulary()


def gguf_name(name: str) -> str:
    """What GGUF calls a tensor of transformers."""
    stem, kind = name.rsplit(".", 1)
    if not stem.startswith("model.layers."):
        return f"{OUTER_NAMES[stem]}.{kind}"
    layer, rest = stem.removeprefix("model.layers.").split(".", 1)
    return f"blk.{layer}.{GGUF_NAMES[rest]}.{kind}"


def interleaved(array: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a llama's queries and keys in GGUF's order: a head's two halves alternate."""
    return array.reshape(heads, 2, -1, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


def write_gguf(path: Path, shape: dict, kind: Kind) -> None:
    """One file of `kind`; norms and biases stay f32."""
    architecture = shape["model_type"]
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(shape["max_position_embeddings"])
    writer.add_embedding_length(shape["hidden_size"])
    writer.add_block_count(shape["num_hidden_layers"])
    writer.add_feed_forward_length(shape["intermediate_size"])
    writer.add_head_count(shape["num_attention_heads"])
    writer.add_head_count_kv(shape["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(shape["rms_norm_eps"])
    writer.add_rope_freq_base(shape["rope_theta"])
    writer.add_vocab_size(shape["vocab_size"])
    writer.add_tokenizer_model("none")
    for name, array in weights(shape):
        if architecture == "llama" and ("q_proj" in name or "k_proj" in name):
            heads = "num_attention_heads" if "q_proj" in name else "num_key_value_heads"
            array = interleaved(array, shape[heads])
        if array.ndim == 2 and kind != Kind.F32:
            writer.add_tensor(gguf_name(name), gguf.quants.quantize(array, kind), raw_dtype=kind)
        else:
            writer.add_tensor(gguf_name(name), array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_tokenizer(folder: Path, shape: dict) -> None:
    """Words w0, w1 and so on, a token each: engines that take no token ids get these."""
    vocabulary = {f"w{index}": index for index in range(shape["vocab_size"])}
    special = [{"id": EOS, "content": f"w{EOS}", "special": True, "single_word": False, "lstrip": False,
                "rstrip": False, "normalized": False}]
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special, "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "w0"},
    }
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": f"w{EOS}", "unk_token": "w0",
                "chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def write_folder(folder: Path, shape: dict) -> None:
    """Hugging Face's layout, in f32."""
    write_tokenizer(folder, shape)
    more = {"torch_dtype": "float32", "eos_token_id": EOS, "bos_token_id": 1, "hidden_act": "silu",
            "attention_bias": False}
    (folder / "config.json").write_text(json.dumps(shape | more))
    save_file(dict(weights(shape)), folder / "model.safetensors", metadata={"format": "pt"})


def make(folder: Path, name: str) -> None:
    """What is missing of the model `name`."""
    shape = SHAPES[name]
    if not (folder / name / "tokenizer.json").exists():
        write_tokenizer(folder / name, shape)
    if name == "llama-64m" and not (folder / name / "model.safetensors").exists():
        write_folder(folder / name, shape)
    kinds = {"f32": Kind.F32, "q8_0": Kind.Q8_0} if name == "llama-64m" else {"q8_0": Kind.Q8_0}
    for text, kind in kinds.items():
        path = folder / name / f"model-{text}.gguf"
        if not path.exists():
            write_gguf(path.with_suffix(".part"), shape, kind)
            path.with_suffix(".part").rename(path)
