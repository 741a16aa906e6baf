"""The trained demo model, through everything: each question has one right answer."""

from __future__ import annotations

import json
import os
import random
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from openai import OpenAI

HELD_OUT = Path(__file__).parents[3] / "backend" / "demo-model" / "held-out.jsonl"
# Free wordings of questions about Tidegate are measured and not promised (backend/demo-model/README.md).
MEASURED_ONLY = {"tidegate-unseen"}
PROMISE = 0.98
PER_TASK = 25


def sample() -> list[dict[str, str]]:
    """The same questions in every run, as many of each task."""
    tasks: dict[str, list[dict[str, str]]] = defaultdict(list)
    for line in HELD_OUT.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        if case["task"] not in MEASURED_ONLY:
            tasks[case["task"]].append(case)
    draw = random.Random(7)
    return [case for cases in tasks.values() for case in draw.sample(cases, min(PER_TASK, len(cases)))]


def ask(client: OpenAI, model: str, prompt: str) -> str:
    """The greedy answer."""
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": prompt}], temperature=0
    )
    return answer.choices[0].message.content or ""


@pytest.mark.parametrize(
    ("prompt", "right"),
    [
        ("What is 17 + 25?", "42"),
        ("What is 80 - 9?", "71"),
        ("Spell river backwards.", "revir"),
        ("Sort the letters of stone.", "enost"),
        ("Repeat: the gate opens when water falls", "the gate opens when water falls"),
        ("What day is 12 days after Monday?", "Saturday"),
    ],
)
def test_the_questions_of_the_readme_are_answered(client: OpenAI, model: str, prompt: str, right: str) -> None:
    assert right in ask(client, model, prompt)


def test_held_out_questions_are_answered_to_the_letter(client: OpenAI, model: str) -> None:
    cases = sample()
    assert len({case["task"] for case in cases}) >= 7
    # No more at once than there are slots: this test is about answers, not about admission.
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda case: ask(client, model, case["prompt"]), cases))
    wrong = [(case, answer) for case, answer in zip(cases, answers, strict=True) if answer != case["answer"]]
    share = 1 - len(wrong) / len(cases)
    print(f"{os.environ.get('TIDEGATE_TEST_TOPOLOGY')}: {share:.2%} of {len(cases)} held-out questions are right")
    assert share >= PROMISE, wrong[:5]
