"""What all tests share: clients of the router under test. Its addresses come from the environment; without them all fails."""

from __future__ import annotations

import os
from collections.abc import Iterator

import httpx
import pytest
from openai import OpenAI


def setting(name: str) -> str:
    """A variable that tests/sdk/cluster.py sets."""
    value = os.environ.get(name)
    assert value, f"{name} is not set: run tests/run, or tests/sdk/cluster.py with pytest as its command"
    return value


@pytest.fixture(scope="session")
def base_url() -> str:
    """The router's OpenAI API, with /v1."""
    return setting("TIDEGATE_TEST_BASE_URL")


@pytest.fixture(scope="session")
def client(base_url: str) -> Iterator[OpenAI]:
    """The stock SDK; without retries, so that each test sees the first answer."""
    with OpenAI(base_url=base_url, api_key="any", max_retries=0, timeout=60) as made:
        yield made


@pytest.fixture(scope="session")
def http(base_url: str) -> Iterator[httpx.Client]:
    """For what the SDK cannot send."""
    with httpx.Client(base_url=base_url.removesuffix("/v1"), timeout=60) as made:
        yield made


@pytest.fixture(scope="session")
def admin() -> Iterator[httpx.Client]:
    """The router's operator port."""
    with httpx.Client(base_url=setting("TIDEGATE_TEST_ADMIN_URL"), timeout=10) as made:
        yield made


@pytest.fixture(scope="session")
def model(client: OpenAI) -> str:
    """The one model that is served."""
    return client.models.list().data[0].id
