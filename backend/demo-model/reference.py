"""Writes reference.jsonl: what transformers answers with the shipped weights, greedily, in f32 on the CPU.

    python reference.py

The tests ask the server the same questions, two hundred of them at once, and expect the same answers to the last
character: right or wrong, each stream must get its own. Run it again whenever model.safetensors changes.
"""

from __future__ import annotations

import torch

from evaluate import FOLDER, Case, Chat, single_turn_cases, write_jsonl

PER_TASK = 24
LONGEST = 64
BATCH = 24


def answers(chat: Chat, cases: list[Case]) -> list[str]:
    """The answers in the order of the cases, cut after `LONGEST` tokens."""
    texts: list[str] = []
    for start in range(0, len(cases), BATCH):
        group = [case.messages for case in cases[start : start + BATCH]]
        texts += chat.answers(group, LONGEST)
    return [text.removesuffix(" [no end]") for text in texts]


def main() -> None:
    """Writes the file."""
    torch.set_num_threads(1)
    cases = single_turn_cases(PER_TASK)
    records = zip(cases, answers(Chat(FOLDER), cases), strict=True)
    write_jsonl(
        FOLDER / "reference.jsonl",
        ({"task": case.task, "prompt": case.messages[-1]["content"], "answer": answer} for case, answer in records),
    )
    print(f"{len(cases)} answers")


if __name__ == "__main__":
    main()
