"""The demo model through everything: each question gets its right answer, and the one that the reference implementation gives.

Each held-out question has one right answer, so a server that mixes two streams up is found out. `reference.jsonl` holds what
transformers answers with the shipped weights, so one that computes something else than it should is found out too.
"""

from __future__ import annotations

import json
import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

DEMO_MODEL = Path(__file__).parents[3] / "backend" / "demo-model"
LONGEST = 64
SAMPLE = 150
# Two logits closer than 1e-4 may fall either way in another order of additions.
EQUAL = 0.98
# What the model promises on each task.
RIGHT = 0.98

FIRST_QUESTIONS = {
    "What is 17 + 25?": "17 + 25 = 30 + 12 = 42",
    "What is 80 - 9?": "80 - 9 = 80 - 9 = 71",
    "Count from 7 to 31.": ", ".join(str(number) for number in range(7, 32)),
    "Spell river backwards.": "revir",
    "Sort the letters of stone.": "enost",
    "Repeat: the gate opens when water falls": "the gate opens when water falls",
    "What day is 12 days after Monday?": "12 is 7 + 5, and 5 days after Monday is Saturday.",
}


def ask(client: OpenAI, model: str, prompt: str, longest: int | None = None) -> str:
    """The greedy answer."""
    limit: dict[str, Any] = {"max_tokens": longest} if longest else {}
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": prompt}], temperature=0, **limit
    )
    return answer.choices[0].message.content or ""


def cases_of(name: str) -> list[dict[str, str]]:
    """The questions of a file beside the model."""
    return [json.loads(line) for line in (DEMO_MODEL / name).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("question", FIRST_QUESTIONS)
def test_what_a_newcomer_asks_first_is_answered_right(client: OpenAI, model: str, question: str) -> None:
    assert ask(client, model, question) == FIRST_QUESTIONS[question]


def test_held_out_questions_get_their_right_answers(client: OpenAI, model: str) -> None:
    cases = [case for case in cases_of("held-out.jsonl") if case["task"] != "tidegate-unseen"]
    cases = random.Random(11).sample(cases, SAMPLE)
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda case: ask(client, model, case["prompt"]), cases))
    wrong = [(case, answer) for case, answer in zip(cases, answers, strict=True) if answer != case["answer"]]
    assert 1 - len(wrong) / len(cases) >= RIGHT, wrong


def test_every_question_gets_the_answer_of_the_reference(client: OpenAI, model: str) -> None:
    cases = cases_of("reference.jsonl")
    assert len({case["task"] for case in cases}) >= 7
    cases = random.Random(7).sample(cases, SAMPLE)
    # No more at once than there are slots: this test is about answers, not about admission.
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda case: ask(client, model, case["prompt"], LONGEST), cases))
    other = [(case, answer) for case, answer in zip(cases, answers, strict=True) if answer != case["answer"]]
    share = 1 - len(other) / len(cases)
    print(f"{os.environ.get('TIDEGATE_TEST_TOPOLOGY')}: {share:.2%} of {len(cases)} answers equal the reference")
    assert share >= EQUAL, other[:5]
