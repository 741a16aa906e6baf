"""Checks an exported folder on held-out prompts: greedy decoding with transformers, in f32 on the CPU.

    python evaluate.py                       # prints the table, exits with 1 if a promised task is under 98 %
    python evaluate.py --write               # also writes held-out.md, held-out.jsonl and held-out-chats.jsonl
    python evaluate.py --ask "What is 17 + 25?"

Each answer must be right to the last character and end with the end token.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tasks import MEASURED_TASKS, PROMISED_TASKS, Example, held_out_examples
from train import held_out_chats

FOLDER = Path(__file__).resolve().parent
PROMISE = 98.0
MEASURED_ONLY = "tidegate-unseen"
HEADING = (
    "Held-out prompts, greedy decoding with transformers in f32, right to the last character; up to 150 of each task."
)


@dataclass(frozen=True)
class Case:
    """Messages to send and the answer that must come."""

    task: str
    messages: list[dict[str, str]]
    answer: str


@dataclass(frozen=True)
class Row:
    """One task's line of the table."""

    task: str
    prompts: int
    right: int

    @property
    def percent(self) -> float:
        """The share of right answers in percent."""
        return 100 * self.right / self.prompts


class Chat:
    """The exported model and its tokenizer, decoding greedily."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    @torch.inference_mode()
    def answers(self, chats: list[list[dict[str, str]]], longest: int) -> list[str]:
        """The answers to a batch of chats; one that does not end within `longest` tokens gets a mark at its end."""
        texts = [self.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) for chat in chats]
        inputs = self.tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        inputs.pop("token_type_ids", None)
        output = self.model.generate(**inputs, max_new_tokens=longest, do_sample=False)
        return [self._text(row) for row in output[:, inputs["input_ids"].shape[1] :].tolist()]

    def _text(self, tokens: list[int]) -> str:
        """The text before the end token."""
        end = self.tokenizer.eos_token_id
        if end not in tokens:
            return self.tokenizer.decode(tokens) + " [no end]"
        return self.tokenizer.decode(tokens[: tokens.index(end)])


def single_turn_cases(count: int) -> list[Case]:
    """Up to `count` held-out prompts of each task."""
    return [
        Case(example.task, [{"role": "user", "content": example.prompt}], example.answer)
        for task in MEASURED_TASKS
        for example in held_out_examples(task, count)
    ]


def chat_cases(count: int) -> list[Case]:
    """Held-out prompts as the last turn of a longer chat, some with a system message."""
    return [Case("chats", chat.messages(), chat.turns[-1].answer) for chat in held_out_chats(count)]


def run_cases(chat: Chat, cases: list[Case], batch: int = 32) -> tuple[list[Row], list[tuple[Case, str]]]:
    """The table's rows in the order of the cases, and what was answered wrongly."""
    ordered = sorted(cases, key=lambda case: len(case.answer))
    wrong: list[tuple[Case, str]] = []
    for start in range(0, len(ordered), batch):
        group = ordered[start : start + batch]
        longest = max(len(case.answer.encode()) for case in group) + 4
        answers = chat.answers([case.messages for case in group], longest)
        wrong += [(case, answer) for case, answer in zip(group, answers, strict=True) if answer != case.answer]
    rows = []
    for task in dict.fromkeys(case.task for case in cases):
        prompts = sum(case.task == task for case in cases)
        rows.append(Row(task, prompts, prompts - sum(case.task == task for case, _ in wrong)))
    return rows, wrong


def table(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| task | held-out prompts | right | |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| {row.task} | {row.prompts} | {row.right} | {row.percent:.1f} % |" for row in rows]
    return "\n".join(lines)


def write_jsonl(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """One JSON object a line."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def write_prompts(count: int) -> None:
    """The held-out prompts and chats with their right answers, for tests and load tests of the server."""
    examples: list[Example] = [example for task in PROMISED_TASKS for example in held_out_examples(task, count)]
    write_jsonl(
        FOLDER / "held-out.jsonl",
        ({"task": example.task, "prompt": example.prompt, "answer": example.answer} for example in examples),
    )
    write_jsonl(
        FOLDER / "held-out-chats.jsonl",
        ({"task": case.task, "messages": case.messages, "answer": case.answer} for case in chat_cases(count)),
    )


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Check the demo model on held-out prompts.")
    parser.add_argument("--model", type=Path, default=FOLDER, help="the folder to check")
    parser.add_argument("--count", type=int, default=150, help="held-out prompts of each task, at most")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--ask", help="ask one question and stop")
    parser.add_argument("--write", action="store_true", help="write the table and the held-out prompts")
    return parser.parse_args()


def main() -> int:
    """Prints the table; the exit code says whether the promise holds."""
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    chat = Chat(arguments.model)
    if arguments.ask:
        print(chat.answers([[{"role": "user", "content": arguments.ask}]], 500)[0])
        return 0
    rows, wrong = run_cases(chat, single_turn_cases(arguments.count) + chat_cases(arguments.count))
    print(table(rows))
    for case, answer in wrong:
        print(f"{case.task}: {case.messages[-1]['content']!r} -> {answer!r}, not {case.answer!r}")
    if arguments.write:
        (FOLDER / "held-out.md").write_text(f"{HEADING}\n\n{table(rows)}\n", encoding="utf-8")
        write_prompts(arguments.count)
    return int(any(row.percent < PROMISE for row in rows if row.task != MEASURED_ONLY))


if __name__ == "__main__":
    sys.exit(main())
