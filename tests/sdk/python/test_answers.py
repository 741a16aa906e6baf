"""The demo model through everything: each question gets the answer that the reference implementation gives.

`reference.jsonl` holds what transformers answers with the shipped weights, so that a server which mixes two streams up, or
computes something else than it should, is found out, whatever the model knows.
"""

from __future__ import annotations

import json
import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from openai import OpenAI

REFERENCE = Path(__file__).parents[3] / "backend" / "demo-model" / "reference.jsonl"
LONGEST = 64
SAMPLE = 150
# Two logits closer than 1e-4 may fall either way in another order of additions.
EQUAL = 0.98


def ask(client: OpenAI, model: str, prompt: str) -> str:
    """The greedy answer."""
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": prompt}], temperature=0, max_tokens=LONGEST
    )
    return answer.choices[0].message.content or ""


def test_every_question_gets_the_answer_of_the_reference(client: OpenAI, model: str) -> None:
    cases = [json.loads(line) for line in REFERENCE.read_text(encoding="utf-8").splitlines()]
    assert len({case["task"] for case in cases}) >= 7
    cases = random.Random(7).sample(cases, SAMPLE)
    # No more at once than there are slots: this test is about answers, not about admission.
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda case: ask(client, model, case["prompt"]), cases))
    other = [(case, answer) for case, answer in zip(cases, answers, strict=True) if answer != case["answer"]]
    share = 1 - len(other) / len(cases)
    print(f"{os.environ.get('TIDEGATE_TEST_TOPOLOGY')}: {share:.2%} of {len(cases)} answers equal the reference")
    assert share >= EQUAL, other[:5]
