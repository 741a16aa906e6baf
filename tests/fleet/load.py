"""Callers without any patience: no retry, no second connection; every answer is compared with the one that the model gave alone."""

from __future__ import annotations

import http.client
import json
import threading
from dataclasses import dataclass, field

MODEL = "tidegate-demo"
# Each has one right answer, so that mixed-up streams would show.
QUESTIONS = ["What is 17 + 25?", "What is 8 + 9?", "Count from 1 to 9.", "Spell the word river."]
PATIENCE = 60


def ask(connection: http.client.HTTPConnection, question: str, stream: bool, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """One chat at temperature 0: its status and its text. A stream without its end is an error."""
    body = {"model": MODEL, "temperature": 0, "stream": stream, "messages": [{"role": "user", "content": question}]}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"} | (headers or {}))
    answer = connection.getresponse()
    text = answer.read().decode()
    if answer.status != 200 or not stream:
        return answer.status, text if answer.status != 200 else json.loads(text)["choices"][0]["message"]["content"]
    events = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    if events[-1:] != ["[DONE]"]:
        raise EOFError(f"a stream without its end: {text[-200:]}")
    pieces = [json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events[:-1]]
    return 200, "".join(pieces)


@dataclass
class Callers:
    """Threads that ask one question after the other until they are told to stop."""

    port: int
    count: int
    expected: dict[str, str] = field(default_factory=dict)
    answered: int = 0
    failures: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Callers:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        for question in QUESTIONS:
            status, self.expected[question] = ask(connection, question, stream=False)
            assert status == 200, self.expected[question]
        self.threads = [threading.Thread(target=self.call, args=(number,)) for number in range(self.count)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def call(self, number: int) -> None:
        """One caller. Odd ones keep their connection, even ones connect anew each time."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        at = number
        while not self.stop.is_set():
            question, stream = QUESTIONS[at % len(QUESTIONS)], at // len(QUESTIONS) % 2 == 0
            at += 1
            try:
                status, text = ask(connection, question, stream)
                failure = "" if (status, text) == (200, self.expected[question]) else f"{status} {text}"
            except (OSError, http.client.HTTPException, EOFError, ValueError, KeyError) as error:
                failure = repr(error)
                connection.close()
            if number % 2 == 0:
                connection.close()
            with self.lock:
                self.answered += 1
                if failure:
                    self.failures.append(f"caller {number}, {question!r}, stream {stream}: {failure}")

    def further(self, answers: int) -> None:
        """Waits until so many more answers have come."""
        goal = self.answered + answers
        while self.answered < goal and not self.stop.wait(0.02):
            pass
