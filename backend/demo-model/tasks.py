"""The tasks of the demo model: how a question is asked, its one right answer, and what is held out.

Each task draws an `Example`. Its `key` says what the example is about (a number pair, a word, a sentence, a wording);
`is_held_out` puts 2 % of all keys aside by a hash, in every wording and for good. Training draws only keys that are
not held out, evaluation only keys that are. Held-out words stay out of the sentences of the training text too.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from split import Example, Source, is_held_out, read_lines, split_words

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
LETTERS = "abcdefghijklmnopqrstuvwxyz"

CAPABILITIES = (
    "I am a small demo model: I add, subtract, count, spell backwards, sort letters, repeat, name days, "
    "and answer questions about Tidegate."
)


@cache
def off_topic_words() -> tuple[str, ...]:
    """The trained words that no question about Tidegate uses: `What is a ticket?` has an answer of its own."""
    text = " ".join(wording for question in questions() for wording in question.wordings + question.unseen)
    asked = {word.strip(".,?").rstrip("s") for word in text.lower().split()}
    return tuple(word for word in split_words()[False] if word.rstrip("s") not in asked)


@dataclass(frozen=True)
class Question:
    """A question about Tidegate: its answer, its wordings, and those that are never trained on."""

    answer: str
    wordings: tuple[str, ...]
    unseen: tuple[str, ...]


@cache
def questions() -> tuple[Question, ...]:
    """The questions of `questions.txt`."""
    blocks: list[tuple[str, list[str], list[str]]] = []
    for line in read_lines("questions.txt"):
        if line.startswith("= "):
            blocks.append((line[2:], [], []))
        elif line.startswith("? "):
            blocks[-1][2].append(line[2:])
        else:
            blocks[-1][1].append(line)
    return tuple(Question(answer, tuple(wordings), tuple(unseen)) for answer, wordings, unseen in blocks)


# --- numbers ---------------------------------------------------------------------------------------------------------

ADDITION = (
    "What is {a} + {b}?", "What is {a} plus {b}?", "Add {a} and {b}.", "{a} + {b}", "{a} + {b} = ?",
    "How much is {a} + {b}?", "Calculate {a} + {b}.", "What is the sum of {a} and {b}?", "{a}+{b}", "What's {a} + {b}?",
    "What is {a}+{b}?",
)  # fmt: skip
SUBTRACTION = (
    "What is {a} - {b}?", "What is {a} minus {b}?", "Subtract {b} from {a}.", "{a} - {b}", "{a} - {b} = ?",
    "How much is {a} - {b}?", "Calculate {a} - {b}.", "What is {a} take away {b}?", "{a}-{b}", "What's {a} - {b}?",
    "What is {a}-{b}?",
)  # fmt: skip
COUNTING = (
    "Count from {a} to {b}.", "Please count from {a} to {b}.", "Count {a} to {b}.", "Can you count from {a} to {b}?",
    "Start at {a} and count to {b}.", "List the numbers from {a} to {b}.",
)  # fmt: skip
DAY_ARITHMETIC = (
    "What day is {n} {way} {day}?", "Which day is {n} {way} {day}?", "What day comes {n} {way} {day}?",
    "Which day of the week is {n} {way} {day}?", "{n} {way} {day} is what day?", "{n} {way} {day}?",
)  # fmt: skip


def sum_with_steps(a: int, b: int, sign: int) -> str:
    """`17 + 25 = 30 + 12 = 42`: tens and ones on their own, then together.

    The step between makes every number a matter of one digit with one digit, which is learned from few examples.
    """
    tens, ones = 10 * (a // 10 + sign * (b // 10)), a % 10 + sign * (b % 10)
    total = a + sign * b
    return f"{a} {'+' if sign > 0 else '-'} {b} = {tens} {'+' if ones >= 0 else '-'} {abs(ones)} = {total}"


def addition(source: Source) -> Example:
    """The sum of two numbers up to 99."""
    a, b = source.rng.randint(0, 99), source.rng.randint(0, 99)
    prompt = source.rng.choice(ADDITION).format(a=a, b=b)
    return Example("addition", f"{a}+{b}", prompt, sum_with_steps(a, b, 1))


def subtraction(source: Source) -> Example:
    """The difference of two numbers up to 99; it may be negative, but mostly is not."""
    a, b = source.rng.randint(0, 99), source.rng.randint(0, 99)
    if a < b and source.rng.random() < 0.6:
        a, b = b, a
    prompt = source.rng.choice(SUBTRACTION).format(a=a, b=b)
    return Example("subtraction", f"{a}-{b}", prompt, sum_with_steps(a, b, -1))


def counting(source: Source) -> Example:
    """All whole numbers from one to another, up or down."""
    a = source.rng.randint(0, 99)
    reach = 99 if source.held_out or source.rng.random() < 0.3 else 20
    b = source.rng.randint(max(0, a - reach), min(99, a + reach))
    if a > b and source.rng.random() < 0.6:
        a, b = b, a
    step = 1 if a <= b else -1
    answer = ", ".join(str(number) for number in range(a, b + step, step))
    return Example("counting", f"{a}-{b}", source.rng.choice(COUNTING).format(a=a, b=b), answer)


def days(source: Source) -> Example:
    """The day of the week some days after or before another; from a week on, the whole weeks are taken away first."""
    most = 13 if not source.held_out and source.rng.random() < 0.25 else 99
    n, start = source.rng.randint(1, most), source.rng.randrange(7)
    way = source.rng.choice(("after", "after", "before"))
    day, end = DAYS[start], DAYS[(start + (n if way == "after" else -n)) % 7]
    weeks, rest = divmod(n, 7)
    answer = f"{in_days(n)} {way} {day} is {end}."
    if weeks and rest:
        answer = f"{n} is {7 * weeks} + {rest}, and {in_days(rest)} {way} {day} is {end}."
    elif weeks:
        answer = f"{n} is {weeks} * 7, so it is {end}."
    prompt = source.rng.choice(DAY_ARITHMETIC).format(n=in_days(n), way=way, day=day)
    return Example("days", f"{n} {way} {day}", prompt, answer)


def in_days(n: int) -> str:
    """`1 day`, `2 days`."""
    return f"{n} day" if n == 1 else f"{n} days"


# --- words and sentences ---------------------------------------------------------------------------------------------

BACKWARDS = (
    "Spell {w} backwards.", "Please spell {w} backwards.", "Spell the word {w} backwards.", "Reverse {w}.",
    "Reverse the word {w}.", "What is {w} backwards?", "How do you spell {w} backwards?", 'Spell "{w}" backwards.',
    "Write {w} backwards.",
)  # fmt: skip
SORTING = (
    "Sort the letters of {w}.", "Please sort the letters of {w}.", "Sort the letters of the word {w}.",
    "Put the letters of {w} in order.", "Sort the letters in {w}.", 'Sort the letters of "{w}".',
    "What are the letters of {w} in alphabetical order?",
)  # fmt: skip
REPETITION = (
    "Repeat: {s}", "Repeat: {s}", "Please repeat: {s}", "Repeat after me: {s}", "Say: {s}", "Echo: {s}",
    "Repeat this: {s}",
)  # fmt: skip


def random_letters(rng: random.Random, longest: int) -> str:
    """A made-up word, sometimes of few different letters, so that repeated letters are practised."""
    alphabet = LETTERS if rng.random() < 0.7 else rng.sample(LETTERS, rng.randint(2, 5))
    return "".join(rng.choices(alphabet, k=rng.randint(2, longest)))


def task_word(source: Source, longest: int = 12) -> str:
    """A word to spell or sort. Training mixes in made-up words: position and order must not be learned by heart."""
    if source.held_out or source.rng.random() < 0.5:
        return source.word()
    while True:
        word = random_letters(source.rng, longest)
        if word not in split_words()[True]:
            return word


def backwards(source: Source) -> Example:
    """A word spelled backwards; capitals stay capitals."""
    word = task_word(source)
    shown = word.capitalize() if source.rng.random() < 0.06 else word
    return Example("backwards", word, source.rng.choice(BACKWARDS).format(w=shown), shown[::-1])


def sorting(source: Source) -> Example:
    """The letters of a word in alphabetical order, in lower case."""
    word = task_word(source)
    shown = word.capitalize() if source.rng.random() < 0.06 else word
    return Example("sorting", word, source.rng.choice(SORTING).format(w=shown), "".join(sorted(word)))


def repetition(source: Source) -> Example:
    """A sentence, said again exactly."""
    rng = source.rng
    sentence = source.sentence()
    if not source.held_out and rng.random() < 0.3:
        sentence = " ".join(
            random_letters(rng, 8) if rng.random() < 0.6 else str(rng.randint(0, 9999))
            for _ in range(rng.randint(1, 5))
        )
    if rng.random() < 0.15:
        sentence = sentence.capitalize() + rng.choice((".", "!", "?", ""))
    return Example("repetition", sentence, rng.choice(REPETITION).format(s=sentence), sentence)


# --- talk ------------------------------------------------------------------------------------------------------------

GREETING = "Hello! Ask me about Tidegate, or give me a small task such as: What is 17 + 25?"
TALK: tuple[tuple[str, tuple[str, ...]], ...] = (
    (GREETING, ("Hello", "Hi", "Hey", "Hello there", "Hi there", "Hey there", "Good morning", "Good evening",
                "Good afternoon", "Good day", "Greetings", "Howdy", "Hello again", "Hi again", "Hello everyone")),
    ("You are welcome!", ("Thanks", "Thank you", "Thank you very much", "Thanks a lot", "Many thanks",
                          "Great, thanks", "Thanks for your help", "Cool, thank you")),
    ("Goodbye!", ("Bye", "Goodbye", "Bye bye", "See you", "See you later", "Good night", "Have a nice day",
                  "Farewell", "See you tomorrow")),
    ("I am well, thank you. What can I do for you?", ("How are you?", "How are you doing?", "How is it going?",
                                                      "How do you do?", "Are you well?", "How are you today?")),
    (CAPABILITIES, ("Who are you?", "What are you?", "What can you do?", "Help", "Help me", "What do you know?",
                    "What can I ask you?", "What should I ask?", "What is your name?", "Can you help me?")),
)  # fmt: skip
ADDRESSED = (
    "{t}", "{t}", "{t}!", "{t}.", "{t}, model", "{t}, my friend", "{t}, Tidegate!", "{t} :)", "Oh, {t}", "Well, {t}",
    "{t}, dear model!", "{t}, computer", "OK, {t}", "{t}, friend.", "{t}, bot", "{t}, {w}!", "{t}, {w}!",
)  # fmt: skip
OPENERS = (
    "{q}", "{q}", "{q}", "Hello, {q}", "Hi! {q}", "Please tell me: {q}", "Quick question: {q}", "I am new here. {q}",
    "{q} Thanks!", "{q} Please explain.", "A question: {q}", "Hey, {q}", "Tell me: {q}", "Sorry, {q}", "So, {q}",
    "{q} I would like to know.",
)  # fmt: skip


def lower_first(text: str) -> str:
    """The text with a small first letter."""
    return text[:1].lower() + text[1:]


def greeting(source: Source) -> Example:
    """Small talk: greetings, thanks, farewells, and what the model can do."""
    answer, texts = source.rng.choice(TALK)
    text = source.rng.choice(texts)
    frame = source.rng.choice(ADDRESSED)
    if text.endswith("?"):
        frame = source.rng.choice(OPENERS).replace("{q}", "{t}")
    if ", {t}" in frame:
        text = lower_first(text)
    # A name may be any word, and none that the training text has.
    made_up = not source.held_out and source.rng.random() < 0.6
    name = random_letters(source.rng, 9) if made_up else source.rng.choice(split_words()[False])
    prompt = frame.format(t=text, w=name)
    return Example("greeting", prompt, prompt, answer)


def tidegate(source: Source) -> Example:
    """A question about Tidegate, in one of its wordings."""
    question = source.rng.choice(questions())
    wording, frame = source.rng.choice(question.wordings), source.rng.choice(OPENERS)
    if frame.endswith(", {q}"):
        wording = lower_first(wording)
    prompt = frame.format(q=wording)
    return Example("tidegate", prompt, prompt, question.answer)


def tidegate_unseen(source: Source) -> Example:
    """A question about Tidegate in a wording of which no variation was trained on: a measure, not a promise."""
    question = source.rng.choice([question for question in questions() if question.unseen])
    prompt = source.rng.choice(question.unseen)
    return Example("tidegate-unseen", prompt, prompt, question.answer)


OFF_TOPIC = (
    "What is the capital of {w}?", "Write a poem about {w}.", "Tell me a joke about {w}.", "Who is the {w} of {w}?",
    "Translate {w} into French.", "Translate {s} into German.", "What is a {w}?", "What is the {w}?",
    "How do I {w} a {w}?", "How do I set the {w}?", "Why is the {w} so {w}?", "Why did I get a {w}?",
    "Where is the {w}?", "Where is the {w} page?", "What does {w} mean?", "What does {w} do?", "Which {w} does it use?",
    "{s}", "{s}?", "{w}",
    "Write a program that can {w}.", "Tell me about {w}.", "Explain {w}.", "What do you think of {w}?", "I like {w}.",
    "Do you like {w}?", "Can you {w}?", "What is the best {w}?", "How old is the {w}?", "Who made the {w}?",
    "Give me a recipe for {w}.", "Summarize this: {s}", "Play {w} with me.", "What is the meaning of {w}?",
    "What is the weather in {w}?", "When was the {w} born?", "How many {w} are in a {w}?", "Define {w}.",
    "Is {w} a {w}?",
    "Write a story about a {w} and a {w}.", "Draw a {w}.", "Rhyme with {w}.", "What color is {w}?", "Happy {w}!",
    "What is {m} * {n}?", "What is {m} times {n}?", "What is {n} divided by {m}?", "What is {h} + {n}?",
    "What is {n} + {h}?", "What is {h} - {n}?", "What is {h} + {h}?", "{h} + {h}", "Is {n} a prime number?",
    "What is the square root of {n}?", "What year is it?", "What time is it?", "{n}", "My {w} is {w}.", "{r}",
    "Should I buy a {w}?", "Who won the {w}?", "Who wrote {w}?", "What is your favorite {w}?", "Why?",
    "Can you write {w} code?", "Sing a song about {w}.", "Are you a {w}?", "What is love?", "Who is the president?",
)  # fmt: skip


def off_topic(source: Source) -> Example:
    """Anything else; the answer says what the model can do."""
    rng = source.rng
    parts: list[str] = []
    for piece in rng.choice(OFF_TOPIC).split("{"):
        fill = {
            "w}": rng.choice(off_topic_words()), "s}": Source(rng, False).sentence(3, 8), "m}": rng.randint(2, 20),
            "n}": rng.randint(2, 99), "h}": rng.randint(100, 9999), "r}": random_letters(rng, 12),
        }.get(piece[:2])  # fmt: skip
        parts.append(piece if fill is None else f"{fill}{piece[2:]}")
    prompt = "".join(parts)
    return Example("off-topic", prompt, prompt, CAPABILITIES)


# --- drawing ---------------------------------------------------------------------------------------------------------

Task = Callable[[Source], Example]

# The share of each task in the training text, counted in turns.
TRAINED_TASKS: dict[Task, float] = {
    addition: 15, subtraction: 16, backwards: 17, sorting: 15, repetition: 10, days: 9, counting: 15, greeting: 12,
    tidegate: 12, off_topic: 5,
}  # fmt: skip
PROMISED_TASKS: tuple[Task, ...] = tuple(TRAINED_TASKS)
MEASURED_TASKS: tuple[Task, ...] = (*PROMISED_TASKS, tidegate_unseen)

SPLIT_KIND = {"backwards": "word", "sorting": "word"}
UNVARIED = ("repetition", "tidegate-unseen")


def vary_style(rng: random.Random, prompt: str) -> str:
    """The prompt as a hasty user may type it: a small first letter, no mark at the end, a polite word in front."""
    chance = rng.random()
    if chance < 0.08:
        return lower_first(prompt)
    if chance < 0.16:
        return prompt.rstrip(".?")
    if chance < 0.22:
        return lower_first(prompt).rstrip(".?")
    if chance < 0.26:
        return rng.choice(("Please, ", "Hi! ", "Hello. ", "OK. ", "Now: ")) + prompt
    return prompt


def draw(task: Task, source: Source) -> Example:
    """An example of a task on the wanted side of the split."""
    while True:
        example = task(source)
        if example.task == "tidegate-unseen":
            return example
        if is_held_out(SPLIT_KIND.get(example.task, example.task), example.key) != source.held_out:
            continue
        if example.task in UNVARIED or source.held_out and example.task in ("greeting", "tidegate", "off-topic"):
            return example
        return Example(example.task, example.key, vary_style(source.rng, example.prompt), example.answer)


def held_out_examples(task: Task, count: int, seed: int = 2) -> list[Example]:
    """Up to `count` different held-out prompts of a task; the same ones on each call."""
    source = Source(random.Random(f"{task.__name__}:{seed}"), held_out=True)
    found: dict[str, Example] = {}
    for _ in range(40 * count):
        example = draw(task, source)
        found.setdefault(example.prompt, example)
        if len(found) == count:
            break
    return list(found.values())
