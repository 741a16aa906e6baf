"""One trace id runs from the client's `traceparent` through router and backend to the collector."""

from __future__ import annotations

import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

from conftest import setting
from openai import OpenAI

SERVER = 2


def spans_of(trace: str, wanted: int) -> list[dict[str, Any]]:
    """The spans of a trace, once at least `wanted` of them have arrived."""
    file = Path(setting("TIDEGATE_TEST_SPANS"))
    deadline = time.monotonic() + 10
    while True:
        spans = [json.loads(line) for line in file.read_text().splitlines() if trace in line]
        if len(spans) >= wanted or time.monotonic() > deadline:
            return spans
        time.sleep(0.05)


def test_router_and_backend_join_the_clients_trace(client: OpenAI, model: str) -> None:
    trace, parent = secrets.token_hex(16), secrets.token_hex(8)
    client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "What is 2 + 2?"}],
        extra_headers={"traceparent": f"00-{trace}-{parent}-01", "tracestate": "test=1"},
    )
    spans = spans_of(trace, 2)
    served = [span for span in spans if span["kind"] == SERVER]
    assert len(served) == 2, f"router and backend each serve the request: {spans}"
    (first,) = [span for span in served if span["parent"] == parent]
    (second,) = [span for span in served if span is not first]
    known = {span["id"]: span for span in spans}
    above = second
    while above["parent"] != parent:
        assert above["parent"] in known, f"a span without its parent: {above} in {spans}"
        above = known[above["parent"]]
    assert above is first, "the backend's span hangs below the router's"
    assert first["service"] == "tidegate-router"
    if os.environ["TIDEGATE_TEST_TOPOLOGY"] != "embedded":
        assert second["service"] == "tidegate-backend"


def test_a_client_without_a_trace_is_traced_too(client: OpenAI, model: str) -> None:
    before = {span["trace"] for span in spans_of("", 0)}
    client.models.retrieve(model)
    deadline = time.monotonic() + 10
    while {span["trace"] for span in spans_of("", 0)} <= before:
        assert time.monotonic() < deadline, "no new trace arrived"
        time.sleep(0.05)
