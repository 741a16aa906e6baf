"""Log-probabilities, biases and the parameters that vLLM's users know, through the SDK."""

from __future__ import annotations

import math
from typing import Any

import pytest
from openai import OpenAI

QUESTION: list[Any] = [{"role": "user", "content": "Spell river backwards."}]
END = 257


def test_each_token_of_a_chat_answer_has_its_log_probability(client: OpenAI, model: str) -> None:
    parameters: dict[str, Any] = {"model": model, "messages": QUESTION, "temperature": 0}
    answer = client.chat.completions.create(**parameters, logprobs=True, top_logprobs=5)
    (choice,) = answer.choices
    assert choice.logprobs is not None
    tokens = choice.logprobs.content
    assert tokens is not None
    assert answer.usage is not None
    assert len(tokens) == answer.usage.completion_tokens
    assert b"".join(bytes(token.bytes or []) for token in tokens).decode() == choice.message.content
    for token in tokens:
        assert len(token.top_logprobs) == 5
        assert token.top_logprobs[0].token == token.token, "greedy tokens are the likeliest"
        assert sum(math.exp(other.logprob) for other in token.top_logprobs) < 1 + 1e-4
    chunks = client.chat.completions.create(**parameters, logprobs=True, top_logprobs=5, stream=True)
    streamed = [chunk.choices[0].logprobs.content or [] for chunk in chunks if chunk.choices[0].logprobs]
    assert [token for piece in streamed for token in piece] == tokens
    assert client.chat.completions.create(**parameters).choices[0].logprobs is None


def test_completions_list_their_tokens(client: OpenAI, model: str) -> None:
    answer = client.completions.create(model=model, prompt="The gate", max_tokens=8, temperature=1, seed=2, logprobs=2)
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.tokens is not None
    assert logprobs.top_logprobs is not None
    assert logprobs.token_logprobs is not None
    assert len(logprobs.tokens) == len(logprobs.text_offset or [])
    for token, logprob, top in zip(logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs, strict=True):
        assert top[token] == logprob
        assert 2 <= len(top) <= 3


def test_a_bias_decides(client: OpenAI, model: str) -> None:
    answer = client.chat.completions.create(
        model=model, messages=QUESTION, logit_bias={str(ord("z")): 100}, max_tokens=6
    )
    assert answer.choices[0].message.content == "zzzzzz"


@pytest.mark.parametrize("one", [{"top_k": 1}, {"min_p": 1}])
def test_filters_that_leave_one_token_are_greedy(client: OpenAI, model: str, one: dict[str, Any]) -> None:
    parameters: dict[str, Any] = {"model": model, "messages": QUESTION}
    warm = client.chat.completions.create(**parameters, temperature=2, seed=1, extra_body=one)
    assert warm.choices[0].message.content == client.chat.completions.create(
        **parameters, temperature=0
    ).choices[0].message.content


def test_tokens_and_limits_that_vllm_knows(client: OpenAI, model: str) -> None:
    def ask(**extra: Any) -> Any:
        return client.chat.completions.create(
            model=model, messages=QUESTION, temperature=0, max_tokens=40, extra_body=extra
        )

    plain = ask()
    text = plain.choices[0].message.content
    assert ask(stop_token_ids=[ord(text[2])]).choices[0].message.content == text[: text.index(text[2])]
    assert ask(min_tokens=30).usage.completion_tokens >= 30 > plain.usage.completion_tokens
    assert ask(ignore_eos=True).choices[0].finish_reason == "length"
    assert ask(repetition_penalty=1).choices[0].message.content == text


def test_echo_and_best_of(client: OpenAI, model: str) -> None:
    parameters: dict[str, Any] = {"model": model, "prompt": "The gate", "max_tokens": 8}
    plain = client.completions.create(**parameters, temperature=0).choices[0].text
    assert client.completions.create(**parameters, temperature=0, echo=True).choices[0].text == "The gate" + plain
    best = client.completions.create(**parameters, temperature=2, seed=1, n=1, best_of=4)
    assert len(best.choices) == 1
    assert best.usage is not None
    assert best.usage.completion_tokens > 8
