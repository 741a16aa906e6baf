"""Compares what a peer answers behind Tidegate with what it answers alone.

Each request is compared twice. What the client got through Tidegate is what the peer sent in that very exchange, and what the peer got is
what the client sent: byte for byte, with nothing left out. And it is what the peer answers without Tidegate, but for what no two answers
have in common: see OWN.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
from dataclasses import replace
from typing import Any

from conftest import MODEL, Scene, ask
from tap import Answer

# A path and the fields beside the pinned ones, by what the request is. The names say what is expected: an error, or a stream.
Requests = dict[str, tuple[str, dict[str, Any]]]

# No two answers of a server have these in common: names by chance, the time of day, and how long each step took.
OWN = [
    (rb'"(id|item_id)":"[^"]*"', rb'"\1":"-"'),
    (rb'"(created|created_at|completed_at)":[\d.]+', rb'"\1":0'),
    (rb'"timings":\{[^{}]*\}', b'"timings":{}'),
    (rb'"time_ms":\d+', b'"time_ms":0'),
]
CHAT = "/v1/chat/completions"
QUESTION = "What is 17 + 25?"
RIGHT = "17 + 25 = 30 + 12 = 42"
ASKED = [{"role": "user", "content": QUESTION}]
TOO_LONG = [{"role": "user", "content": "long " * 400}]
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}}
CALL = {"messages": ASKED, "tools": [TOOL], "tool_choice": "required", "max_tokens": 60}
TRUTH = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "truth", "schema": TRUTH}}
USAGE = {"include_usage": True}

# What every peer is asked.
COMMON: Requests = {
    "chat": (CHAT, {"messages": ASKED}),
    "chat, streamed": (CHAT, {"messages": ASKED, "stream": True}),
    "chat, streamed with usage": (CHAT, {"messages": ASKED, "stream": True, "stream_options": USAGE}),
    "chat with probabilities": (CHAT, {"messages": ASKED, "logprobs": True, "top_logprobs": 2, "max_tokens": 4}),
    "chat, several answers": (CHAT, {"messages": ASKED, "n": 2, "temperature": 0.2, "max_tokens": 4}),
    "chat with a tool": (CHAT, CALL),
    "chat with a tool, streamed": (CHAT, CALL | {"stream": True}),
    "chat with a schema": (CHAT, {"messages": ASKED, "response_format": SCHEMA, "max_tokens": 40}),
    "chat with fields that nobody knows": (CHAT, {"messages": ASKED, "x_own": {"deep": [1, None, "é€😀"]}, "x_other": 1.50}),
    "completion": ("/v1/completions", {"prompt": "2, 3, 4, 5", "max_tokens": 12}),
    "completion, streamed": ("/v1/completions", {"prompt": "2, 3, 4, 5", "max_tokens": 12, "stream": True}),
    "responses, a path that passes": ("/v1/responses", {"input": QUESTION}),
    "responses, a path that passes, streamed": ("/v1/responses", {"input": QUESTION, "stream": True}),
    "error: no messages": (CHAT, {}),
    "error: a role that the template refuses": (CHAT, {"messages": [{"role": "robot", "content": "x"}]}),
    "error: a value of a wrong kind": (CHAT, {"messages": ASKED, "temperature": "hot"}),
    "error: a prompt that is too long": (CHAT, {"messages": TOO_LONG}),
    "error: a prompt that is too long, streamed": (CHAT, {"messages": TOO_LONG, "stream": True}),
    "error: a path that it does not have": ("/v1/no/such/path", {}),
}


def bytes_of(pinned: dict[str, Any], fields: dict[str, Any]) -> bytes:
    """A request's body, written as no program here would write it by itself."""
    return json.dumps({"model": MODEL, "temperature": 0, "seed": 7} | pinned | fields, ensure_ascii=False, indent=1).encode()


def without_own(answer: Answer) -> Answer:
    """The answer without what is its own."""
    body = answer.body
    for pattern, instead in OWN:
        body = re.sub(pattern, instead, body)
    return replace(answer, body=body)


def same_with_and_without(scene: Scene, name: str, path: str, body: bytes, tries: int = 1) -> None:
    """One request through Tidegate and one without it; where chance has a part in the peer's answers, until both came out alike."""
    for left in reversed(range(tries)):
        through = as_it_was_sent(scene, path, body)
        alone = ask(scene.peer, path, body)
        if without_own(through) == without_own(alone) or left == 0:
            break
    assert without_own(through) == without_own(alone)
    assert (through.status == 200) == (not name.startswith("error")), through.body
    assert through.kind.startswith("text/event-stream") == ("streamed" in name and through.status == 200)


def as_it_was_sent(scene: Scene, path: str, body: bytes) -> Answer:
    """The answer through Tidegate, which is the one that the peer sent."""
    before = len(scene.tap.posted())
    through = ask(scene.router, path, body)
    exchanges = scene.tap.posted()[before:]
    assert len(exchanges) == 1, "one request is one request to the peer"
    assert exchanges[0].sent() == body
    assert through == exchanges[0].came(), "byte for byte what the peer sent"
    return through


def names_of_models(scene: Scene) -> None:
    """The list is the fleet's, so that it is Tidegate's to write; the names in it are the peer's."""
    own, listed = (json.loads(ask(port, "/v1/models").body)["data"] for port in (scene.peer, scene.router))
    assert [model["id"] for model in listed] == [model["id"] for model in own] == [MODEL]
    assert {key: listed[0][key] for key in ("object", "owned_by")} == {"object": "model", "owned_by": "tidegate"}


def answered_by_the_router(scene: Scene) -> None:
    """Without JSON, or without a model that it knows, there is nobody to ask. The status is the one that OpenAI has for it."""
    before = len(scene.tap.posted())
    unknown = ask(scene.router, CHAT, bytes_of({}, {"model": "nobody", "messages": ASKED}))
    assert (unknown.status, json.loads(unknown.body)["error"]["code"]) == (404, "model_not_found")
    broken = [ask(port, CHAT, b'{"model": "' + MODEL.encode()) for port in (scene.router, scene.peer)]
    assert [answer.status for answer in broken] == [400, 400]
    assert all(json.loads(answer.body)["error"]["message"] for answer in broken)
    assert len(scene.tap.posted()) == before


def one_kept_connection(scene: Scene, requests: int) -> None:
    """Requests one after the other on one connection to the router, all answered right."""
    connection = http.client.HTTPConnection("127.0.0.1", scene.router, timeout=60)
    body = bytes_of({}, {"messages": ASKED})
    for _ in range(requests):
        connection.request("POST", CHAT, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["choices"][0]["message"]["content"]) == (200, RIGHT)
    connection.close()


def many_at_once(scene: Scene, pinned: dict[str, Any]) -> None:
    """Chats all at once get what each gets alone."""
    questions = [[{"role": "user", "content": f"What is {number} + 25?"}] for number in range(10, 34)]
    bodies = [bytes_of(pinned, {"messages": question}) for question in questions]
    alone = [without_own(ask(scene.peer, CHAT, body)) for body in bodies]
    together: dict[int, Answer] = {}

    def caller(number: int) -> None:
        together[number] = without_own(ask(scene.router, CHAT, bodies[number]))

    callers = [threading.Thread(target=caller, args=(number,)) for number in range(len(bodies))]
    for each in callers:
        each.start()
    for each in callers:
        each.join()
    assert [together.get(number) for number in range(len(bodies))] == alone
