"""`embeddings.create`, in front of a backend that makes embeddings; its own topology of tests/sdk/cluster.py."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path

import httpx
import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI

MODEL = Path(__file__).parents[4] / "backend/tests/fixtures/embeddings/bert_mean"
TEXTS: list[str] = json.loads((MODEL / "texts.json").read_text())["texts"]
IDS: list[list[int]] = json.loads((MODEL / "texts.json").read_text())["ids"]
WIDTH = 24


def close(left: list[float], right: list[float]) -> bool:
    """Equal but for the last bits."""
    return len(left) == len(right) and all(abs(a - b) < 1e-6 for a, b in zip(left, right))


def test_one_text_has_an_embedding_of_length_one(client: OpenAI, model: str) -> None:
    # The SDK asks for base64 of its own accord and decodes it.
    answer = client.embeddings.create(model=model, input=TEXTS[2])
    assert answer.object == "list"
    assert answer.model == model
    assert [item.index for item in answer.data] == [0]
    assert answer.data[0].object == "embedding"
    embedding = answer.data[0].embedding
    assert len(embedding) == WIDTH
    assert math.isclose(math.hypot(*embedding), 1, abs_tol=1e-5)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == len(IDS[2])


def test_texts_and_token_ids_give_the_same(client: OpenAI, model: str) -> None:
    of_texts = client.embeddings.create(model=model, input=TEXTS, encoding_format="float")
    of_ids = client.embeddings.create(model=model, input=IDS)
    assert [item.index for item in of_texts.data] == list(range(len(TEXTS)))
    assert of_texts.usage.prompt_tokens == sum(map(len, IDS))
    for index, (left, right) in enumerate(zip(of_texts.data, of_ids.data)):
        alone = client.embeddings.create(model=model, input=IDS[index]).data[0].embedding
        assert close(left.embedding, right.embedding)
        assert close(left.embedding, alone)


def test_dimensions_cut_and_norm_again(client: OpenAI, model: str) -> None:
    short = client.embeddings.create(model=model, input=TEXTS[1], dimensions=8).data[0].embedding
    whole = client.embeddings.create(model=model, input=TEXTS[1]).data[0].embedding
    length = math.hypot(*whole[:8])
    assert close(short, [number / length for number in whole[:8]])
    with pytest.raises(BadRequestError) as caught:
        client.embeddings.create(model=model, input=TEXTS[1], dimensions=9)
    assert caught.value.param == "dimensions"


def test_a_text_beyond_the_context_says_both_lengths(client: OpenAI, model: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.embeddings.create(model=model, input=["w5", "w5 " * 100])
    assert caught.value.code == "context_length_exceeded"
    assert caught.value.param == "input[1]"
    assert "64 tokens" in caught.value.message
    assert "102 tokens" in caught.value.message


def test_the_model_does_not_chat(client: OpenAI, model: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}])
    assert caught.value.code == "unsupported_operation"
    assert "/v1/embeddings" in caught.value.message
    with pytest.raises(NotFoundError):
        client.embeddings.create(model="no-such-model", input="w5")


def test_requests_at_once_go_through_admission_and_are_not_mixed_up(
    base_url: str, client: OpenAI, model: str, admin: httpx.Client
) -> None:
    alone = [client.embeddings.create(model=model, input=text).data[0].embedding for text in TEXTS]

    async def ask() -> list[list[float]]:
        async with AsyncOpenAI(base_url=base_url, api_key="any", max_retries=8, timeout=60) as many:
            calls = [many.embeddings.create(model=model, input=TEXTS[i % len(TEXTS)]) for i in range(40)]
            return [answer.data[0].embedding for answer in await asyncio.gather(*calls)]

    for index, embedding in enumerate(asyncio.run(ask())):
        assert close(embedding, alone[index % len(TEXTS)])
    pool = admin.get("/fleet").json()["pools"][0]
    assert pool["model"] == model
    assert (pool["running"], pool["abandoned"], pool["queued"]) == (0, 0, 0)
