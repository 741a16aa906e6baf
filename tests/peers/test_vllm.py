"""vLLM behind Tidegate answers as it does alone: see compare.py. Its installation takes minutes and gigabytes, so that it is no part of a
whole run: TIDEGATE_TEST_VLLM=VENV/bin/vllm tests/run build vllm
"""

from __future__ import annotations

from collections.abc import Iterator

import compare
import pytest
import vllm
from compare import ASKED, CHAT, COMMON, TRUTH, Requests
from conftest import ROOT, Scene, behind, free_ports

REQUESTS: Requests = COMMON | {
    "chat with fields of its own": (CHAT, {"messages": ASKED, "top_k": 3, "return_token_ids": True, "structured_outputs": {"json": TRUTH}, "max_tokens": 40}),
    "chat with its usage in each event, streamed": (
        CHAT, {"messages": ASKED, "stream": True, "stream_options": {"include_usage": True, "continuous_usage_stats": True}}
    ),
    "messages": ("/v1/messages", {"messages": ASKED, "max_tokens": 40}),
    "messages, streamed": ("/v1/messages", {"messages": ASKED, "max_tokens": 40, "stream": True}),
    "error: what it was not started for": ("/v1/embeddings", {"input": "x"}),
}
# Tokens that are ready together go into one event of a stream, and which are is chance: asked so often at most, until two streams are alike.
GROUPINGS = 20


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """vLLM with the demo model, and a router that knows it."""
    (port,) = free_ports(1)
    with behind("vllm", vllm.program(ROOT / "backend/demo-model", port), port, vllm.SETTINGS) as made:
        yield made


@pytest.mark.parametrize("name", REQUESTS)
def test_an_answer_is_that_of_the_peer_alone(scene: Scene, name: str) -> None:
    path, fields = REQUESTS[name]
    compare.same_with_and_without(scene, name, path, compare.bytes_of({}, fields), GROUPINGS)


def test_the_models_are_those_of_the_peer(scene: Scene) -> None:
    compare.names_of_models(scene)


def test_what_the_router_answers_itself(scene: Scene) -> None:
    compare.answered_by_the_router(scene)


def test_one_connection_carries_many_requests(scene: Scene) -> None:
    compare.one_kept_connection(scene, 50)


def test_many_at_once_get_their_own_answers(scene: Scene) -> None:
    compare.many_at_once(scene, {})
