"""Legacy completions: raw text in, raw text out."""

from __future__ import annotations

from typing import Any

from openai import OpenAI

PROMPT = "The gate"


def complete(client: OpenAI, model: str, prompt: Any = PROMPT, **parameters: Any) -> Any:
    """A greedy completion of at most 12 tokens, unless said otherwise."""
    return client.completions.create(model=model, prompt=prompt, **{"temperature": 0, "max_tokens": 12, **parameters})


def test_a_completion_has_the_shape_that_the_sdk_promises(client: OpenAI, model: str) -> None:
    answer = complete(client, model)
    assert answer.object == "text_completion"
    assert answer.model == model
    (choice,) = answer.choices
    assert choice.index == 0
    assert choice.finish_reason in {"stop", "length"}
    assert 0 < answer.usage.completion_tokens <= 12
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_says_the_same(client: OpenAI, model: str) -> None:
    chunks = list(complete(client, model, stream=True, stream_options={"include_usage": True}))
    whole = complete(client, model)
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == whole.choices[0].text
    assert chunks[-1].usage == whole.usage


def test_several_prompts_give_choices_in_their_order(client: OpenAI, model: str) -> None:
    prompts = ["The gate", "Water falls", "A day"]
    together = complete(client, model, prompts)
    assert [choice.index for choice in together.choices] == [0, 1, 2]
    alone = [complete(client, model, prompt).choices[0].text for prompt in prompts]
    assert [choice.text for choice in together.choices] == alone


def test_n_and_prompts_multiply(client: OpenAI, model: str) -> None:
    answer = complete(client, model, ["The gate", "A day"], n=2)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    texts = [choice.text for choice in answer.choices]
    assert texts[0] == texts[1]
    assert texts[2] == texts[3]


def test_a_prompt_of_tokens_is_taken(client: OpenAI, model: str) -> None:
    assert complete(client, model, [5, 6, 7]).usage.prompt_tokens >= 3


def test_stop_and_seed_work_here_too(client: OpenAI, model: str) -> None:
    parameters: dict[str, Any] = {"temperature": 1.5, "seed": 3, "max_tokens": 40}
    whole = complete(client, model, **parameters).choices[0].text
    assert whole == complete(client, model, **parameters).choices[0].text
    mark = whole[len(whole) // 2]
    assert complete(client, model, **parameters, stop=mark).choices[0].text == whole[: whole.index(mark)]
