"""The Llama architecture in plain PyTorch, made for training on a CPU, and its export as a Hugging Face folder.

`transformers` computes the same function from the exported folder; `evaluate.py` runs the exported model, not this
one, so an error here would show there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from vocabulary import BEGIN, CONTEXT_LENGTH, END, PAD, SPECIAL_IDS, VOCABULARY_SIZE, write_json, write_tokenizer


@dataclass(frozen=True)
class LlamaConfig:
    """The sizes of the network."""

    hidden_size: int = 128
    intermediate_size: int = 512
    layers: int = 4
    heads: int = 4
    rope_theta: float = 10_000.0
    rms_norm_eps: float = 1e-5

    @property
    def head_dim(self) -> int:
        """The width of one attention head."""
        return self.hidden_size // self.heads


def rotary_tables(config: LlamaConfig, length: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the rotary position embedding, each of shape (length, head_dim)."""
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
    angles = torch.outer(torch.arange(length, dtype=torch.float32), config.rope_theta**-exponents)
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Applies the rotary position embedding in Llama's half-split layout."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class Block(nn.Module):
    """One decoder layer: attention and a gated feed-forward network, each after an RMS norm."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.config = config
        self.input_layernorm = nn.Parameter(torch.ones(width))
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)
        self.post_attention_layernorm = nn.Parameter(torch.ones(width))
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def attend(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Causal self-attention over a (batch, length, width) input."""
        batch, length, width = x.shape
        shape = (batch, length, self.config.heads, self.config.head_dim)
        q, k, v = (projection(x).view(shape).transpose(1, 2) for projection in (self.q_proj, self.k_proj, self.v_proj))
        mixed = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, length, width))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Adds both sub-layers to the residual stream."""
        shape, eps = (self.config.hidden_size,), self.config.rms_norm_eps
        x = x + self.attend(F.rms_norm(x, shape, self.input_layernorm, eps), cos, sin)
        y = F.rms_norm(x, shape, self.post_attention_layernorm, eps)
        return x + self.down_proj(F.silu(self.gate_proj(y)) * self.up_proj(y))


class Llama(nn.Module):
    """A decoder-only transformer of the Llama family, with an output layer of its own (not tied)."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(VOCABULARY_SIZE, config.hidden_size)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.Parameter(torch.ones(config.hidden_size))
        self.lm_head = nn.Linear(config.hidden_size, VOCABULARY_SIZE, bias=False)
        cos, sin = rotary_tables(config, CONTEXT_LENGTH)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.apply(self._initialise)

    def _initialise(self, module: nn.Module) -> None:
        """Small normal weights; the projections into the residual stream start smaller with depth."""
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02 if isinstance(module, nn.Embedding) else 0.06)
        if isinstance(module, Block):
            for projection in (module.o_proj, module.down_proj):
                nn.init.normal_(projection.weight, std=0.06 / (2 * self.config.layers) ** 0.5)

    def hidden(self, tokens: Tensor) -> Tensor:
        """The normed last hidden states of a (batch, length) tensor of token ids."""
        length = tokens.shape[1]
        cos, sin = self.cos[:length], self.sin[:length]
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return F.rms_norm(x, (self.config.hidden_size,), self.norm, self.config.rms_norm_eps)

    def forward(self, tokens: Tensor) -> Tensor:
        """The next-token logits at every position."""
        return self.lm_head(self.hidden(tokens))

    def parameter_count(self) -> int:
        """How many numbers are trained."""
        return sum(parameter.numel() for parameter in self.parameters())


def checkpoint_name(name: str) -> str:
    """The name that a parameter of `Llama` has in a Hugging Face checkpoint."""
    if name.startswith("lm_head"):
        return name
    if name == "norm":
        return "model.norm.weight"
    parts = name.split(".")
    if parts[0] == "layers":
        group = "self_attn." if parts[2] in ("q_proj", "k_proj", "v_proj", "o_proj") else "mlp."
        prefix = "" if parts[2].endswith("layernorm") else group
        return f"model.layers.{parts[1]}.{prefix}{parts[2]}.weight"
    return f"model.{name}"


def config_json(config: LlamaConfig) -> dict[str, object]:
    """The content of `config.json`, as transformers 4 writes it (5 reads it as well)."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": VOCABULARY_SIZE,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": CONTEXT_LENGTH,
        "rms_norm_eps": config.rms_norm_eps,
        "rope_theta": config.rope_theta,
        "rope_scaling": None,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "initializer_range": 0.02,
        "pretraining_tp": 1,
        "use_cache": True,
        "torch_dtype": "float32",
        "bos_token_id": SPECIAL_IDS[BEGIN],
        "eos_token_id": SPECIAL_IDS[END],
        "pad_token_id": SPECIAL_IDS[PAD],
    }


def generation_config_json() -> dict[str, object]:
    """The content of `generation_config.json`: greedy, since every task has one right answer."""
    return {
        "bos_token_id": SPECIAL_IDS[BEGIN],
        "eos_token_id": SPECIAL_IDS[END],
        "pad_token_id": SPECIAL_IDS[PAD],
        "do_sample": False,
    }


def export(state: dict[str, Tensor], config: LlamaConfig, folder: Path) -> None:
    """Writes a folder that `transformers` and the backend load: weights in f32, configuration and tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        checkpoint_name(name): tensor.detach().to("cpu", torch.float32).contiguous() for name, tensor in state.items()
    }
    save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt"})
    write_json(folder / "config.json", config_json(config))
    write_json(folder / "generation_config.json", generation_config_json())
    write_tokenizer(folder)
