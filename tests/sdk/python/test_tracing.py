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


def exported() -> list[dict[str, Any]]:
    """All spans that have reached the collector."""
    return [json.loads(line) for line in Path(setting("TIDEGATE_TEST_SPANS")).read_text().splitlines()]


def spans_of(trace: str, served: int) -> list[dict[str, Any]]:
    """The spans of a trace, once `served` SERVER spans of it have arrived and nothing has followed for a while."""
    deadline = time.monotonic() + 10
    spans: list[dict[str, Any]] = []
    while True:
        before, spans = spans, [span for span in exported() if span["trace"] == trace]
        complete = sum(span["kind"] == SERVER for span in spans) >= served and spans == before
        if complete or time.monotonic() > deadline:
            return spans
        # Longer than the processes gather spans before they send them.
        time.sleep(0.5)


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
    def listings() -> int:
        return sum(span["name"].startswith("GET /v1/models/") and not span["parent"] for span in exported())

    before = listings()
    client.models.retrieve(model)
    deadline = time.monotonic() + 10
    while listings() == before:
        assert time.monotonic() < deadline, "no new trace arrived"
        time.sleep(0.05)
