"""Chat completions with every parameter that is supported."""

from __future__ import annotations

from typing import Any

import pytest
from openai import OpenAI

COUNT = "Count from 7 to 31."
REPEAT = "Repeat: the gate opens when water falls"
# Like nothing that the model was trained on: what it says to this is open, and draws differ.
PUZZLE = "Why, gate? Why 12 3 days?"


def ask(client: OpenAI, model: str, prompt: str, **parameters: Any) -> Any:
    """One question, greedy unless said otherwise."""
    parameters.setdefault("temperature", 0)
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": prompt}], **parameters)


def text(answer: Any, index: int = 0) -> str:
    """The text of one choice."""
    return answer.choices[index].message.content


def test_an_answer_has_the_shape_that_the_sdk_promises(client: OpenAI, model: str) -> None:
    answer = ask(client, model, "What is 17 + 25?")
    assert answer.object == "chat.completion"
    assert answer.model == model
    assert answer.id
    assert answer.created > 1_700_000_000
    (choice,) = answer.choices
    assert choice.index == 0
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason == "stop"
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens > 0
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert 0 <= answer.usage.prompt_tokens_details.cached_tokens < answer.usage.prompt_tokens


def test_every_answer_carries_a_request_id(client: OpenAI, model: str) -> None:
    parameters: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "What is 2 + 2?"}]}
    raw = client.chat.completions.with_raw_response.create(**parameters)
    assert raw.headers["x-request-id"]
    assert raw.parse()._request_id == raw.headers["x-request-id"]
    named = client.chat.completions.with_raw_response.create(**parameters, extra_headers={"x-request-id": "mine-1"})
    assert named.headers["x-request-id"] == "mine-1"


def test_a_stream_says_the_same_piece_by_piece(client: OpenAI, model: str) -> None:
    whole = ask(client, model, COUNT)
    chunks = list(ask(client, model, COUNT, stream=True))
    assert len(chunks) > 3, "a stream comes in pieces"
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == text(whole)
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert [reason for reason in reasons if reason] == ["stop"]
    assert all(chunk.usage is None for chunk in chunks), "usage comes only where it is asked for"


def test_a_stream_ends_with_its_usage_where_asked(client: OpenAI, model: str) -> None:
    whole = ask(client, model, COUNT)
    chunks = list(ask(client, model, COUNT, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_the_stream_helper_of_the_sdk_works(client: OpenAI, model: str) -> None:
    messages: list[Any] = [{"role": "user", "content": REPEAT}]
    with client.chat.completions.stream(model=model, messages=messages, temperature=0) as stream:
        stream.until_done()
        answer = stream.get_final_completion()
    assert text(answer) == text(ask(client, model, REPEAT))


def test_n_gives_that_many_choices(client: OpenAI, model: str) -> None:
    answer = ask(client, model, COUNT, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in answer.choices}) == 1, "greedy choices are the same"
    one = ask(client, model, COUNT)
    assert answer.usage.completion_tokens == 3 * one.usage.completion_tokens


def test_n_streams_each_choice_under_its_index(client: OpenAI, model: str) -> None:
    texts = ["", ""]
    for chunk in ask(client, model, COUNT, n=2, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == [text(ask(client, model, COUNT))] * 2


@pytest.mark.parametrize("stop", ["12", ["12", "13"]])
def test_stop_ends_the_answer_and_is_not_part_of_it(client: OpenAI, model: str, stop: str | list[str]) -> None:
    whole = text(ask(client, model, COUNT))
    answer = ask(client, model, COUNT, stop=stop)
    assert text(answer) == whole[: whole.index("12")]
    assert answer.choices[0].finish_reason == "stop"
    pieces = [chunk.choices[0].delta.content or "" for chunk in ask(client, model, COUNT, stop=stop, stream=True)]
    assert "".join(pieces) == text(answer)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_limit_of_tokens_holds(client: OpenAI, model: str, name: str) -> None:
    answer = ask(client, model, COUNT, **{name: 5})
    assert answer.usage.completion_tokens == 5
    assert answer.choices[0].finish_reason == "length"
    assert text(ask(client, model, COUNT)).startswith(text(answer))


def test_the_same_seed_gives_the_same_text(client: OpenAI, model: str) -> None:
    def draw(seed: int) -> str:
        return text(ask(client, model, PUZZLE, temperature=2, seed=seed, max_tokens=40))

    assert draw(7) == draw(7)
    assert len({draw(seed) for seed in range(1, 6)}) > 1, "other seeds give other texts"


def test_choices_of_one_seeded_request_differ(client: OpenAI, model: str) -> None:
    parameters: dict[str, Any] = {"temperature": 2, "seed": 11, "n": 4, "max_tokens": 40}
    first = ask(client, model, PUZZLE, **parameters)
    second = ask(client, model, PUZZLE, **parameters)
    texts = [choice.message.content for choice in first.choices]
    assert len(set(texts)) > 1
    assert texts == [choice.message.content for choice in second.choices]


def test_a_tiny_top_p_is_greedy_at_any_temperature(client: OpenAI, model: str) -> None:
    assert text(ask(client, model, COUNT, temperature=1.5, top_p=0.0001)) == text(ask(client, model, COUNT))


@pytest.mark.parametrize("name", ["presence_penalty", "frequency_penalty"])
def test_penalties_change_what_is_likely(client: OpenAI, model: str, name: str) -> None:
    def texts(seed: int) -> set[str]:
        parameters: dict[str, Any] = {"temperature": 2, "seed": seed, "max_tokens": 60}
        return {text(ask(client, model, PUZZLE, **parameters, **{name: value})) for value in (-2, 0, 2)}

    # One draw may come out the same; several do not.
    assert any(len(texts(seed)) > 1 for seed in range(5))


def test_what_does_not_change_the_answer_is_accepted(client: OpenAI, model: str) -> None:
    plain = ask(client, model, COUNT)
    noted = ask(client, model, COUNT, user="someone", metadata={"ticket": "7"}, store=False)
    assert text(noted) == text(plain)


def test_a_conversation_with_a_system_message_is_taken(client: OpenAI, model: str) -> None:
    messages: list[Any] = [
        {"role": "system", "content": "You are brief."},
        {"role": "user", "content": "What is 2 + 2?"},
        {"role": "assistant", "content": "2 + 2 = 4"},
        {"role": "user", "content": [{"type": "text", "text": "What is 17 + 25?"}]},
    ]
    answer = client.chat.completions.create(model=model, messages=messages, temperature=0)
    assert answer.choices[0].message.content
