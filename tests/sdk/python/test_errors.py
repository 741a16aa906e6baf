"""Errors as the SDK types them: what is wrong, and which parameter says so."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from openai import BadRequestError, NotFoundError, OpenAI

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
BAD_SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "strange"}}}


def refused(client: OpenAI, model: str, **parameters: Any) -> BadRequestError:
    """The 400 that a chat request gets."""
    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(**{"model": model, "messages": HELLO, **parameters})
    error = caught.value
    assert error.type == "invalid_request_error"
    assert error.code
    assert error.request_id
    return error


@pytest.mark.parametrize(
    ("param", "parameters"),
    [
        ("functions", {"functions": [{"name": "f", "parameters": {"type": "object", "properties": {}}}]}),
        ("modalities", {"modalities": ["text", "audio"]}),
        ("reasoning_effort", {"reasoning_effort": "high"}),
    ],
)
def test_what_is_not_supported_is_refused_by_name(
    client: OpenAI, model: str, param: str, parameters: dict[str, Any]
) -> None:
    error = refused(client, model, **parameters)
    assert error.param == param
    assert param in error.message


@pytest.mark.parametrize(
    ("param", "parameters"),
    [
        ("temperature", {"temperature": 2.5}),
        ("temperature", {"temperature": -0.1}),
        ("top_p", {"top_p": 1.5}),
        ("n", {"n": 0}),
        ("n", {"n": 17}),
        ("max_tokens", {"max_tokens": 0}),
        ("max_tokens", {"max_tokens": -1}),
        ("max_tokens", {"max_tokens": 1_000_000}),
        ("max_completion_tokens", {"max_completion_tokens": 0}),
        ("presence_penalty", {"presence_penalty": 3}),
        ("frequency_penalty", {"frequency_penalty": -3}),
        ("stop", {"stop": ["a", "b", "c", "d", "e"]}),
        ("messages", {"messages": []}),
        ("messages[0].role", {"messages": [{"role": "nobody", "content": "x"}]}),
        ("temperature", {"temperature": "hot"}),
        ("top_logprobs", {"top_logprobs": 2}),
        ("top_logprobs", {"logprobs": True, "top_logprobs": 21}),
        ("logit_bias", {"logit_bias": {"5": 101}}),
        ("logit_bias", {"logit_bias": {"100000": 1}}),
        ("response_format.json_schema.schema", {"response_format": BAD_SCHEMA}),
        ("tool_choice", {"tool_choice": "required"}),
        ("min_p", {"extra_body": {"min_p": 2}}),
        ("stop_token_ids", {"extra_body": {"stop_token_ids": [100_000]}}),
        ("no_such_parameter", {"extra_body": {"no_such_parameter": 1}}),
    ],
)
def test_what_is_out_of_range_is_refused_by_name(
    client: OpenAI, model: str, param: str, parameters: dict[str, Any]
) -> None:
    assert refused(client, model, **parameters).param == param


def test_a_prompt_beyond_the_context_says_both_lengths(client: OpenAI, model: str) -> None:
    error = refused(client, model, messages=[{"role": "user", "content": "water " * 20_000}])
    assert error.code == "context_length_exceeded"
    assert sum(word.strip(".,'").isdigit() for word in error.message.split()) >= 2


def test_an_unknown_model_is_not_found(client: OpenAI) -> None:
    with pytest.raises(NotFoundError) as caught:
        client.chat.completions.create(model="no-such-model", messages=HELLO)
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"


def answer(http: httpx.Client, status: int, method: str = "POST", path: str = "/v1/chat/completions", **how: Any) -> Any:
    """The error of a request that the SDK cannot send."""
    got = http.request(method, path, **how)
    assert got.status_code == status, got.text
    assert got.headers["x-request-id"]
    assert got.headers["content-type"].startswith("application/json")
    error = got.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert error["code"]
    return error


JSON = {"content-type": "application/json"}


def test_what_is_not_json_is_refused(http: httpx.Client) -> None:
    answer(http, 400, content=b"{not json", headers=JSON)
    answer(http, 400, content=b'{"model": "\xff"}', headers=JSON)
    answer(http, 400, content=b"", headers=JSON)
    answer(http, 400, content=b"[]", headers=JSON)


def test_the_envelope_of_http_is_checked(http: httpx.Client, model: str) -> None:
    answer(http, 415, content=b"model=x", headers={"content-type": "application/x-www-form-urlencoded"})
    answer(http, 404, method="GET", path="/v1/nowhere")
    answer(http, 405, method="DELETE")
    answer(http, 413, content=b" " * (11 * 1024 * 1024), headers=JSON)
    body = {"model": model, "messages": HELLO}
    headers = http.post("/v1/chat/completions", json=body, headers={"x-large": "a" * 100_000})
    assert headers.status_code == 431
