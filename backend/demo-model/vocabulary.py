"""The byte vocabulary and the chat template: everything between text and token ids.

Token ids 0 to 255 are the bytes of the text's UTF-8 form; six special tokens follow. There are no merges, so any
text is encoded without loss and every letter is a token of its own, which is what spelling and sorting need.

The training loop encodes with plain Python (`encode_text`); `write_tokenizer` writes the same vocabulary as
`tokenizer.json` (a byte-level BPE with an empty merge list) for the `tokenizers` library.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

BEGIN = "<|begin|>"
END = "<|end|>"
PAD = "<|pad|>"
SYSTEM = "<|system|>"
USER = "<|user|>"
ASSISTANT = "<|assistant|>"

SPECIAL_TOKENS = (BEGIN, END, PAD, SYSTEM, USER, ASSISTANT)
SPECIAL_IDS = {token: 256 + index for index, token in enumerate(SPECIAL_TOKENS)}
VOCABULARY_SIZE = 256 + len(SPECIAL_TOKENS)
CONTEXT_LENGTH = 1024

# The replacement keeps what a user types from being read as a special token: `<|end|>` in a message becomes
# `< |end|>`. The roles are written out, so that a role cannot smuggle in a token either. Tools are shown and calls are
# written as Hermes has them; the model was not trained to call, so that it does so only where a call is required.
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% if tools %}{{ '<|system|>' }}{{ tools | tojson | replace('<|', '< |') }}{{ '<|end|>' }}{% endif %}"
    "{% for message in messages %}"
    "{% if message['role'] in ['system', 'developer'] %}{{ '<|system|>' }}"
    "{% elif message['role'] in ['user', 'tool'] %}{{ '<|user|>' }}"
    "{% elif message['role'] == 'assistant' %}{{ '<|assistant|>' }}"
    "{% else %}{{ raise_exception('the roles are system, developer, user, assistant and tool') }}"
    "{% endif %}"
    "{{ message['content'] | trim | replace('<|', '< |') }}"
    "{% for call in message['tool_calls'] or [] %}"
    "{{ '<tool_call>\\n' }}{{ call['function'] | tojson | replace('<|', '< |') }}{{ '\\n</tool_call>' }}"
    "{% endfor %}"
    "{{ '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def encode_text(text: str) -> list[int]:
    """The token ids of a text without special tokens."""
    return list(text.encode("utf-8"))


def byte_characters() -> list[str]:
    """The printable character that stands for each byte in a byte-level vocabulary, indexed by the byte.

    Printable Latin-1 characters stand for themselves; the other bytes are numbered upwards from U+0100.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    characters = {byte: chr(byte) for byte in printable}
    missing = (byte for byte in range(256) if byte not in characters)
    characters.update({byte: chr(0x100 + index) for index, byte in enumerate(missing)})
    return [characters[byte] for byte in range(256)]


def tokenizer_json() -> dict[str, Any]:
    """The content of `tokenizer.json`."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": token_id,
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for token, token_id in SPECIAL_IDS.items()
        ],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": BEGIN, "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
            ],
            "pair": [
                {"SpecialToken": {"id": BEGIN, "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"Sequence": {"id": "B", "type_id": 0}},
            ],
            "special_tokens": {
                BEGIN: {"id": BEGIN, "ids": [SPECIAL_IDS[BEGIN]], "tokens": [BEGIN]},
            },
        },
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {character: byte for byte, character in enumerate(byte_characters())} | SPECIAL_IDS,
            "merges": [],
        },
    }


def tokenizer_config() -> dict[str, Any]:
    """The content of `tokenizer_config.json`."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": CONTEXT_LENGTH,
        "bos_token": BEGIN,
        "eos_token": END,
        "pad_token": PAD,
        "clean_up_tokenization_spaces": False,
        "added_tokens_decoder": {
            str(token_id): {
                "content": token,
                "lstrip": False,
                "normalized": False,
                "rstrip": False,
                "single_word": False,
                "special": True,
            }
            for token, token_id in SPECIAL_IDS.items()
        },
        "chat_template": CHAT_TEMPLATE,
    }


def write_json(path: Path, content: Any) -> None:
    """Writes indented JSON with a newline at the end."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_tokenizer(folder: Path) -> None:
    """Writes `tokenizer.json`, `tokenizer_config.json` and `special_tokens_map.json`."""
    write_json(folder / "tokenizer.json", tokenizer_json())
    write_json(folder / "tokenizer_config.json", tokenizer_config())
    write_json(
        folder / "special_tokens_map.json",
        {"bos_token": BEGIN, "eos_token": END, "pad_token": PAD},
    )
