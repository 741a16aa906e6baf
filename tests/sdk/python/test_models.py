"""`models.list` and `models.retrieve`."""

import pytest
from openai import NotFoundError, OpenAI


def test_the_list_names_one_model(client: OpenAI) -> None:
    models = client.models.list().data
    assert len(models) == 1
    assert models[0].object == "model"
    assert models[0].id
    assert models[0].owned_by


def test_the_listed_model_can_be_retrieved(client: OpenAI, model: str) -> None:
    assert client.models.retrieve(model).id == model


def test_another_model_cannot(client: OpenAI) -> None:
    with pytest.raises(NotFoundError) as caught:
        client.models.retrieve("no-such-model")
    assert caught.value.code == "model_not_found"
    assert "no-such-model" in caught.value.message
