"""A client that hangs up frees its slot."""

from __future__ import annotations

import time
from typing import Any

import httpx
from openai import OpenAI


def taken(admin: httpx.Client) -> dict[str, Any]:
    """What the ledger says is running, given up or waiting."""
    (pool,) = admin.get("/fleet").raise_for_status().json()["pools"]
    return {name: pool[name] for name in ("running", "abandoned", "queued")}


def wait_for(admin: httpx.Client, wanted: dict[str, Any], limit: float) -> float:
    """Seconds until the ledger says so; fails after `limit`."""
    start = time.monotonic()
    while (found := taken(admin)) != wanted:
        assert time.monotonic() - start < limit, f"after {limit} s: {found}"
        time.sleep(0.01)
    return time.monotonic() - start


NOTHING = {"running": 0, "abandoned": 0, "queued": 0}


def long_stream(client: OpenAI, model: str) -> Any:
    """A stream with many seconds' worth of tokens in it."""
    messages: list[Any] = [{"role": "user", "content": "Count from 0 to 99."}]
    return client.chat.completions.create(model=model, messages=messages, stream=True, temperature=0, n=16)


def test_a_stream_that_is_closed_early_frees_its_slot_within_a_second(
    client: OpenAI, admin: httpx.Client, model: str
) -> None:
    wait_for(admin, NOTHING, 10)
    stream = long_stream(client, model)
    next(iter(stream))
    assert taken(admin)["running"] == 1
    stream.close()
    wait_for(admin, NOTHING, 1)


def test_many_that_hang_up_leave_nothing_behind(client: OpenAI, admin: httpx.Client, model: str) -> None:
    for _ in range(12):
        stream = long_stream(client, model)
        next(iter(stream))
        stream.close()
    wait_for(admin, NOTHING, 1)
    answer = client.completions.create(model=model, prompt="The gate", max_tokens=3)
    assert answer.usage is not None
    wait_for(admin, NOTHING, 1)
