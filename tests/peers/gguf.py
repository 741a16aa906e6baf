"""Writes a model folder of the Llama family (config.json, model.safetensors, tokenizer.json) as one GGUF file, with the standard
library alone: what llama.cpp needs to serve the demo model."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAGIC = b"GGUF"
VERSION = 3
ALIGNMENT = 32
# Kinds of values and of tensors, as the format numbers them.
U32, F32, BOOL, STRING, ARRAY, I32 = 4, 6, 7, 8, 9, 5
TENSOR_F32 = 0
# Kinds of tokens.
NORMAL, CONTROL = 1, 3
LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
WHOLE = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}


@dataclass
class Tensor:
    """A tensor of 32-bit floats; its shape is written as PyTorch writes it."""

    name: str
    shape: list[int]
    data: bytes


def write(model: Path, to: Path) -> None:
    """Writes the model in the folder `model` to the file `to`."""
    config = json.loads((model / "config.json").read_text())
    tensors = [renamed(tensor, config) for tensor in read_safetensors(model / "model.safetensors")]
    values = {**shape(config), **vocabulary(model, config)}
    head = MAGIC + struct.pack("<IQQ", VERSION, len(tensors), len(values))
    head += b"".join(string(name) + value for name, value in values.items())
    offset = 0
    for tensor in tensors:
        # Innermost first, the other way round than PyTorch.
        dimensions = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *reversed(tensor.shape))
        head += string(tensor.name) + dimensions + struct.pack("<IQ", TENSOR_F32, offset)
        offset += len(padded(tensor.data))
    to.write_bytes(padded(head) + b"".join(padded(tensor.data) for tensor in tensors))


def read_safetensors(path: Path) -> Iterable[Tensor]:
    """All tensors of a file that holds 32-bit floats."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if name == "__metadata__":
            continue
        assert entry["dtype"] == "F32", f"{name} is {entry['dtype']}"
        first, end = entry["data_offsets"]
        yield Tensor(name, entry["shape"], data[8 + length + first : 8 + length + end])


def renamed(tensor: Tensor, config: dict[str, Any]) -> Tensor:
    """The tensor as GGUF names it. Rows of queries and keys lie so that neighbours are turned together."""
    if tensor.name in WHOLE:
        return Tensor(WHOLE[tensor.name], tensor.shape, tensor.data)
    layer, part = tensor.name.removeprefix("model.layers.").removesuffix(".weight").split(".", 1)
    heads = {"self_attn.q_proj": "num_attention_heads", "self_attn.k_proj": "num_key_value_heads"}.get(part)
    data = neighbours_from_halves(tensor, config[heads]) if heads else tensor.data
    return Tensor(f"blk.{layer}.{LAYER[part]}.weight", tensor.shape, data)


def neighbours_from_halves(tensor: Tensor, heads: int) -> bytes:
    """Within each head, row `n` of the first half and row `n` of the second one come to lie side by side."""
    rows, width = tensor.shape
    row = [tensor.data[at * width * 4 : (at + 1) * width * 4] for at in range(rows)]
    size, half = rows // heads, rows // heads // 2
    return b"".join(row[head * size + at] + row[head * size + half + at] for head in range(heads) for at in range(half))


def shape(config: dict[str, Any]) -> dict[str, bytes]:
    """What the file says about the network."""
    return {
        "general.architecture": text("llama"),
        "llama.block_count": u32(config["num_hidden_layers"]),
        "llama.context_length": u32(config["max_position_embeddings"]),
        "llama.embedding_length": u32(config["hidden_size"]),
        "llama.feed_forward_length": u32(config["intermediate_size"]),
        "llama.attention.head_count": u32(config["num_attention_heads"]),
        "llama.attention.head_count_kv": u32(config["num_key_value_heads"]),
        "llama.rope.dimension_count": u32(config["head_dim"]),
        "llama.attention.layer_norm_rms_epsilon": f32(config["rms_norm_eps"]),
        "llama.rope.freq_base": f32(config["rope_theta"]),
        "llama.vocab_size": u32(config["vocab_size"]),
    }


def vocabulary(model: Path, config: dict[str, Any]) -> dict[str, bytes]:
    """The byte-level tokenizer and the chat template."""
    tokenizer = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))
    template = json.loads((model / "tokenizer_config.json").read_text(encoding="utf-8"))["chat_template"]
    ids = tokenizer["model"]["vocab"] | {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    special = {token["id"] for token in tokenizer["added_tokens"]}
    words = sorted(ids, key=lambda word: ids[word])
    assert [ids[word] for word in words] == list(range(config["vocab_size"])), "token ids with gaps"
    return {
        "tokenizer.ggml.model": text("gpt2"),
        "tokenizer.ggml.pre": text("gpt-2"),
        "tokenizer.ggml.tokens": array(STRING, [string(word) for word in words]),
        "tokenizer.ggml.token_type": array(I32, [struct.pack("<i", CONTROL if at in special else NORMAL) for at in range(len(words))]),
        "tokenizer.ggml.merges": array(STRING, [string(" ".join(pair)) for pair in tokenizer["model"]["merges"]]),
        "tokenizer.ggml.bos_token_id": u32(config["bos_token_id"]),
        "tokenizer.ggml.eos_token_id": u32(config["eos_token_id"]),
        "tokenizer.ggml.padding_token_id": u32(config["pad_token_id"]),
        "tokenizer.ggml.add_bos_token": struct.pack("<I?", BOOL, True),
        "tokenizer.chat_template": text(template),
    }


def string(value: str) -> bytes:
    """A string with its length."""
    return struct.pack("<Q", len(value.encode())) + value.encode()


def text(value: str) -> bytes:
    """A string as a value."""
    return struct.pack("<I", STRING) + string(value)


def u32(value: int) -> bytes:
    """A whole number as a value."""
    return struct.pack("<II", U32, value)


def f32(value: float) -> bytes:
    """A fraction as a value."""
    return struct.pack("<If", F32, value)


def array(kind: int, members: list[bytes]) -> bytes:
    """Members of one kind as a value."""
    return struct.pack("<IIQ", ARRAY, kind, len(members)) + b"".join(members)


def padded(data: bytes) -> bytes:
    """Data up to the next boundary that the format wants."""
    return data + bytes(-len(data) % ALIGNMENT)
