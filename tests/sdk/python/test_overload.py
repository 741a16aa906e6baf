"""More than the fleet can bear: typed refusals that say when to come back, and right answers for all who got in."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from openai import APIStatusError, AsyncOpenAI, OpenAI, RateLimitError

# The embedded mode runs with its defaults, 3 slots and a queue of 50; the others have tiny queues.
CROWD = 120


# So many different questions, counting up to 20, 21, ..., each with its own right answer.
ENDS = 12
FIRST_END = 20


async def count(client: AsyncOpenAI, model: str, index: int) -> str:
    """The answer to question `index`."""
    question = f"Count from 1 to {FIRST_END + index % ENDS}."
    answer = await client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": question}], temperature=0
    )
    return answer.choices[0].message.content or ""


async def crowd(base_url: str, model: str, retries: int, size: int) -> list[str | BaseException]:
    """`size` questions at once; each one's answer or error."""
    async with AsyncOpenAI(base_url=base_url, api_key="any", max_retries=retries, timeout=120) as client:
        return await asyncio.gather(*(count(client, model, index) for index in range(size)), return_exceptions=True)


async def one_after_another(base_url: str, model: str) -> list[str]:
    """The answers to all questions, each asked alone."""
    async with AsyncOpenAI(base_url=base_url, api_key="any", max_retries=0, timeout=120) as client:
        return [await count(client, model, index) for index in range(ENDS)]


def check_refusal(error: BaseException) -> None:
    """A refusal that a client can act on."""
    assert isinstance(error, RateLimitError), repr(error)
    assert error.code in {"capacity", "queue_full", "deadline"}
    headers = error.response.headers
    assert headers["x-tidegate-reason"] == error.code
    assert headers["x-request-id"]
    assert 0 < int(headers["retry-after"]) <= 60
    assert 0 < int(headers["retry-after-ms"]) <= 60_000


def test_a_crowd_is_refused_with_reasons_and_nobody_gets_anothers_answer(base_url: str, model: str) -> None:
    results = asyncio.run(crowd(base_url, model, retries=0, size=CROWD))
    refused = [result for result in results if isinstance(result, BaseException)]
    assert 0 < len(refused) < CROWD
    for error in refused:
        check_refusal(error)
    alone = asyncio.run(one_after_another(base_url, model))
    answered = [(index % ENDS, text) for index, text in enumerate(results) if isinstance(text, str)]
    for index, text in answered:
        assert text == alone[index]
        assert text.endswith(f", {FIRST_END + index}")


def test_the_retries_of_the_sdk_bring_everybody_through(base_url: str, model: str) -> None:
    size = 60 if os.environ["TIDEGATE_TEST_TOPOLOGY"] == "embedded" else 16
    results = asyncio.run(crowd(base_url, model, retries=10, size=size))
    failed = [result for result in results if isinstance(result, BaseException)]
    assert not failed, failed[:3]


def test_a_time_limit_that_has_no_hope_is_a_504_or_a_refusal(base_url: str, model: str) -> None:
    async def hurried() -> None:
        async with AsyncOpenAI(base_url=base_url, api_key="any", max_retries=0) as client:
            await client.completions.create(
                model=model, prompt="The gate", max_tokens=400, extra_headers={"x-request-timeout-ms": "5"}
            )

    with pytest.raises(APIStatusError) as caught:
        asyncio.run(hurried())
    assert (caught.value.status_code, caught.value.code) in {(504, "timeout"), (429, "deadline")}


@pytest.mark.parametrize("tier", ["priority", "default", "flex"])
def test_the_tier_that_served_a_request_is_named(client: OpenAI, model: str, tier: Any) -> None:
    messages: list[Any] = [{"role": "user", "content": "What is 2 + 2?"}]
    answer = client.chat.completions.create(model=model, messages=messages, service_tier=tier)
    assert answer.service_tier == tier
    chunks = list(client.chat.completions.create(model=model, messages=messages, service_tier=tier, stream=True))
    assert {chunk.service_tier for chunk in chunks} == {tier}
