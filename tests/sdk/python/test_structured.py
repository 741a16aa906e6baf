"""Answers that a schema allows, and calls of tools, through the SDK. The demo model was trained for neither."""

from __future__ import annotations

import json
from enum import Enum
from typing import Annotated, Any

from openai import OpenAI
from pydantic import BaseModel, Field

HELLO: list[Any] = [{"role": "user", "content": "Hello!"}]


class Colour(Enum):
    """Of two."""

    RED = "red"
    GREEN = "green"


class Lock(BaseModel):
    """Part of an answer."""

    shut: bool
    colour: Colour


class Gate(BaseModel):
    """What an answer must be."""

    open: bool
    colour: Colour
    heights: Annotated[list[bool], Field(max_length=3)]
    lock: Lock | None


ADD: Any = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds two digits.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"a": {"enum": [1, 2, 3]}, "b": {"enum": [1, 2, 3]}},
            "required": ["a", "b"],
            "additionalProperties": False,
        },
    },
}


def test_the_sdk_parses_what_its_own_models_ask_for(client: OpenAI, model: str) -> None:
    for seed in range(3):
        answer = client.chat.completions.parse(
            model=model, messages=HELLO, response_format=Gate, temperature=1, seed=seed, max_tokens=900
        )
        assert answer.choices[0].finish_reason == "stop"
        assert isinstance(answer.choices[0].message.parsed, Gate)


def test_a_json_object_is_one(client: OpenAI, model: str) -> None:
    # The closing bracket as soon as it may come.
    answer = client.chat.completions.create(
        model=model, messages=HELLO, response_format={"type": "json_object"}, logit_bias={str(ord("}")): 100}
    )
    assert json.loads(answer.choices[0].message.content or "") == {}


def test_a_required_tool_is_called_whole_and_streamed(client: OpenAI, model: str) -> None:
    parameters: dict[str, Any] = {"model": model, "messages": HELLO, "tools": [ADD], "temperature": 0}
    answer = client.chat.completions.create(**parameters, tool_choice="required", parallel_tool_calls=False)
    assert answer.choices[0].finish_reason == "tool_calls"
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "add"
    assert set(json.loads(call.function.arguments)) == {"a", "b"}
    with client.chat.completions.stream(**parameters, tool_choice="required", parallel_tool_calls=False) as stream:
        stream.until_done()
        (streamed,) = stream.get_final_completion().choices[0].message.tool_calls or []
    assert (streamed.function.name, streamed.function.arguments) == (call.function.name, call.function.arguments)


def test_a_conversation_goes_on_after_a_call(client: OpenAI, model: str) -> None:
    choice: Any = {"type": "function", "function": {"name": "add"}}
    answer = client.chat.completions.create(model=model, messages=HELLO, tools=[ADD], tool_choice=choice, temperature=0)
    message = answer.choices[0].message
    (call,) = message.tool_calls or []
    messages = [*HELLO, message, {"role": "tool", "tool_call_id": call.id, "content": "4"}]
    after = client.chat.completions.create(model=model, messages=messages, tools=[ADD], temperature=0, max_tokens=20)
    assert after.choices[0].message.content


def test_without_a_choice_the_model_may_talk(client: OpenAI, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=HELLO, tools=[ADD], tool_choice="none", temperature=0)
    assert answer.choices[0].message.content
    assert not answer.choices[0].message.tool_calls
