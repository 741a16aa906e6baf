"""llama.cpp's own server behind Tidegate answers as it does alone: see compare.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import compare
import gguf
import pytest
from compare import ASKED, CHAT, COMMON, Requests
from conftest import MODEL, ROOT, SLOTS, Scene, behind, free_ports

# Nothing of an earlier request is used again, so that the counts of cached tokens are the same each time.
PINNED = {"cache_prompt": False}
PROGRESS = {"return_progress": True, "timings_per_token": True}
REQUESTS: Requests = COMMON | {
    "chat with fields of its own, streamed": (CHAT, {"messages": ASKED, "top_k": 3, "min_p": 0.1, "stream": True} | PROGRESS),
    "messages": ("/v1/messages", {"messages": ASKED, "max_tokens": 40}),
    "messages, streamed": ("/v1/messages", {"messages": ASKED, "max_tokens": 40, "stream": True}),
    "a count of tokens": ("/v1/messages/count_tokens", {"messages": ASKED}),
    "error: what it was not started for": ("/v1/embeddings", {"input": "x"}),
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """llama.cpp with the demo model, and a router that knows it."""
    model = tmp_path_factory.mktemp("model") / "demo.gguf"
    gguf.write(ROOT / "backend/demo-model", model)
    (port,) = free_ports(1)
    program = [os.environ["TIDEGATE_TEST_PEERS"], Path(__file__).with_name("llama_cpp.py"), model, MODEL, port, SLOTS]
    with behind("llama.cpp", program, port, {}) as made:
        yield made


@pytest.mark.parametrize("name", REQUESTS)
def test_an_answer_is_that_of_the_peer_alone(scene: Scene, name: str) -> None:
    path, fields = REQUESTS[name]
    compare.same_with_and_without(scene, name, path, compare.bytes_of(PINNED, fields))


def test_the_models_are_those_of_the_peer(scene: Scene) -> None:
    compare.names_of_models(scene)


def test_what_the_router_answers_itself(scene: Scene) -> None:
    compare.answered_by_the_router(scene)


def test_a_kept_connection_outlives_those_of_the_peer(scene: Scene) -> None:
    """llama.cpp ends a connection after a hundred requests: nobody before the router sees that."""
    compare.one_kept_connection(scene, 250)


def test_many_at_once_get_their_own_answers(scene: Scene) -> None:
    compare.many_at_once(scene, PINNED)
