"""Conversations of one or more turns, as token ids in the form of the chat template."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tasks import TRAINED_TASKS, Example, Source, draw
from vocabulary import ASSISTANT, BEGIN, CONTEXT_LENGTH, END, SPECIAL_IDS, SYSTEM, USER, encode_text

TASK_INDEX = {task.__name__.replace("_", "-"): index for index, task in enumerate(TRAINED_TASKS)}
TURN_SHARES = (64, 18, 10, 8)
SYSTEM_SHARE = 0.15
SYSTEM_MESSAGES = (
    "You are a helpful assistant.",
    "You are a friendly and helpful assistant. Answer in short sentences.",
    "You are a demo.",
    "Answer briefly.",
    "Be concise and correct.",
    "Today we play with numbers and words.",
)


@dataclass(frozen=True)
class Conversation:
    """A system message (or none) and turns; the last turn's prompt is the one that is asked now."""

    system: str | None
    turns: tuple[Example, ...]

    def messages(self) -> list[dict[str, str]]:
        """The messages up to and with the last prompt, as a chat request has them."""
        messages = [{"role": "system", "content": self.system}] if self.system else []
        for turn in self.turns:
            messages.append({"role": "user", "content": turn.prompt})
            messages.append({"role": "assistant", "content": turn.answer})
        return messages[:-1]


@dataclass(frozen=True)
class Encoded:
    """A conversation's token ids, and for each the weight of its loss (above zero in answers) and its task's index."""

    tokens: list[int]
    weights: list[float]
    tasks: list[int]


def draw_system(source: Source) -> str | None:
    """A system message, for some conversations."""
    if source.rng.random() >= SYSTEM_SHARE:
        return None
    if source.rng.random() < 0.5:
        return source.rng.choice(SYSTEM_MESSAGES)
    return source.sentence(2, 12).capitalize() + "."


def draw_conversation(rng: random.Random, shares: Sequence[float] = tuple(TRAINED_TASKS.values())) -> Conversation:
    """A conversation of training examples, with the tasks in the given shares."""
    source = Source(rng, held_out=False)
    count = rng.choices(range(1, 5), TURN_SHARES)[0]
    tasks = rng.choices(list(TRAINED_TASKS), shares, k=count)
    return Conversation(draw_system(source), tuple(draw(task, source) for task in tasks))


def held_out_conversation(rng: random.Random, last: Example) -> Conversation:
    """A held-out example as the last turn after one to three turns of training examples."""
    source = Source(rng, held_out=False)
    tasks = rng.choices(list(TRAINED_TASKS), list(TRAINED_TASKS.values()), k=rng.randint(1, 3))
    return Conversation(draw_system(source), (*(draw(task, source) for task in tasks), last))


def encode(conversation: Conversation) -> Encoded:
    """Token ids and loss weights: an answer of n tokens weighs sqrt(n), so that long ones do not drown short ones."""
    encoded = Encoded([SPECIAL_IDS[BEGIN]], [0.0], [0])

    def append(role: str, text: str, weigh: bool = False, task: int = 0) -> None:
        content = [*encode_text(text), SPECIAL_IDS[END]]
        encoded.tokens.extend([SPECIAL_IDS[role], *content])
        encoded.weights.extend([0.0, *([len(content) ** -0.5 if weigh else 0.0] * len(content))])
        encoded.tasks.extend([task] * (len(content) + 1))

    if conversation.system:
        append(SYSTEM, conversation.system)
    for turn in conversation.turns:
        append(USER, turn.prompt)
        append(ASSISTANT, turn.answer, weigh=True, task=TASK_INDEX.get(turn.task, 0))
    del encoded.tokens[CONTEXT_LENGTH:], encoded.weights[CONTEXT_LENGTH:], encoded.tasks[CONTEXT_LENGTH:]
    return encoded
