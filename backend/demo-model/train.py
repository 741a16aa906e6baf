"""Trains the demo model on text that it generates, and prints how it does on what was held out.

    python train.py --minutes 60 --out .        # for a time
    python train.py --steps 6000 --out .        # for a number of steps
    python train.py --device cuda --steps 6000 --out .

Time on two CPU cores: 7,000 to 8,000 tokens a second where both are free, so 100 minutes see some 45 million tokens. The
shipped weights saw some 40 million, in several runs that went on from each other with `--start-from` (steps of 5,000 tokens,
`--rate 0.6`, at the end 0.2) while tasks and rates were still being changed; a run from random weights in one go has not been
made with the final settings. A stopped run leaves its last weights in --out.

At the start the script measures a few steps and prints how long the run will take on this machine. It never trains on
held-out keys (see tasks.py). `evaluate.py` makes the committed table, by greedy decoding of the exported folder.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, multiprocessing

from conversation import Conversation, Encoded, draw_conversation, encode, held_out_conversation
from model import Llama, LlamaConfig, checkpoint_name, export
from optimizer import Optimizer
from tasks import MEASURED_TASKS, PROMISED_TASKS, TRAINED_TASKS, Example, held_out_examples
from vocabulary import PAD, SPECIAL_IDS

WARM_UP = 0.01
DECAY_FROM = 0.15
MICRO_BATCHES = 8


@dataclass(frozen=True)
class Batch:
    """Padded rows: inputs, the tokens that should follow, the weight of each one's loss, and its task.

    `tokens` counts what is not padding.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor
    tasks: Tensor
    tokens: int


class TaskShares:
    """How often each task is drawn: its share in `TRAINED_TASKS` times what is still wrong in it.

    The answers about Tidegate are long and soon known by heart; what they cost is better spent on the tasks that are
    not. The loss is that of the training text, per token, over the last steps; nothing held out has a part in this.
    """

    FLOOR = 0.03
    CEILING = 1.0
    MEMORY = 0.95

    def __init__(self) -> None:
        self.base = list(TRAINED_TASKS.values())
        self.losses = [self.CEILING] * len(self.base)

    def shares(self) -> list[float]:
        """The share of each task now, in the order of `TRAINED_TASKS`."""
        return [
            base * (self.FLOOR + min(loss, self.CEILING)) for base, loss in zip(self.base, self.losses, strict=True)
        ]

    def observe(self, losses: Tensor, tasks: Tensor) -> None:
        """Takes in the losses of one step's answer tokens and the task of each."""
        counts = torch.bincount(tasks, minlength=len(self.base)).tolist()
        sums = torch.bincount(tasks, weights=losses, minlength=len(self.base)).tolist()
        for index, (count, total) in enumerate(zip(counts, sums, strict=True)):
            if count:
                self.losses[index] += (total / count - self.losses[index]) * (1 - self.MEMORY)

    def __str__(self) -> str:
        """The running loss per token of each task."""
        return ", ".join(f"{task.__name__} {loss:.3f}" for task, loss in zip(TRAINED_TASKS, self.losses, strict=True))


def collate(rows: list[Encoded], device: str) -> Batch:
    """Pads rows to the longest one."""
    length = max(len(row.tokens) for row in rows)
    tokens = torch.full((len(rows), length), SPECIAL_IDS[PAD])
    weights = torch.zeros(len(rows), length)
    tasks = torch.zeros(len(rows), length, dtype=torch.long)
    for index, row in enumerate(rows):
        tokens[index, : len(row.tokens)] = torch.tensor(row.tokens)
        weights[index, : len(row.weights)] = torch.tensor(row.weights)
        tasks[index, : len(row.tasks)] = torch.tensor(row.tasks)
    count = sum(len(row.tokens) for row in rows)
    return Batch(tokens[:, :-1].to(device), tokens[:, 1:].to(device), weights[:, 1:].to(device), tasks[:, 1:], count)


def draw_batches(rng: random.Random, tokens: int, shares: list[float], device: str) -> list[Batch]:
    """The rows of one step, cut by length into micro-batches of about the same number of tokens."""
    rows: list[Encoded] = []
    drawn = 0
    while drawn < tokens:
        rows.append(encode(draw_conversation(rng, shares)))
        drawn += len(rows[-1].tokens)
    rows.sort(key=lambda row: len(row.tokens))
    groups: list[list[Encoded]] = [[]]
    filled = 0
    for row in rows:
        if filled > drawn / MICRO_BATCHES and len(groups) < MICRO_BATCHES:
            groups.append([])
            filled = 0
        groups[-1].append(row)
        filled += len(row.tokens)
    return [collate(group, device) for group in groups]


def answer_losses(model: Llama, batch: Batch) -> Tensor:
    """The cross-entropy of each token of the answers, in the order of the batch's weights above zero."""
    chosen = batch.weights > 0
    logits = model.lm_head(model.hidden(batch.inputs)[chosen])
    return F.cross_entropy(logits.float(), batch.targets[chosen], reduction="none")


def autocast(device: str) -> torch.autocast:
    """bf16 matrix products on a GPU, plain f32 on a CPU."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=device != "cpu")


def sum_over_workers(model: Llama, numbers: list[float]) -> list[float]:
    """Adds up the gradients of all workers, and the numbers; one exchange a step."""
    if not dist.is_initialized():
        return numbers
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    flat = torch.cat([*(gradient.flatten() for gradient in gradients), torch.tensor(numbers)])
    dist.all_reduce(flat)
    sizes = [gradient.numel() for gradient in gradients]
    *parts, rest = flat.split([*sizes, len(numbers)])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
    return rest.tolist()


def train_step(
    model: Llama, optimizer: Optimizer, batches: list[Batch], progress: float, shares: TaskShares
) -> tuple[float, float]:
    """One update; returns the mean loss and the first worker's progress, which all workers follow."""
    losses, tasks, loss_sum = [], [], 0.0
    for batch in batches:
        chosen = batch.weights > 0
        with autocast(batch.inputs.device.type):
            token_losses = answer_losses(model, batch)
        loss = (token_losses * batch.weights[chosen]).sum()
        loss.backward()
        loss_sum += loss.item()
        losses.append(token_losses.detach().cpu())
        tasks.append(batch.tasks[chosen.cpu()])
    shares.observe(torch.cat(losses), torch.cat(tasks))
    weight = float(sum(batch.weights.sum() for batch in batches))
    is_first = not dist.is_initialized() or dist.get_rank() == 0
    loss_sum, weight, progress = sum_over_workers(model, [loss_sum, weight, progress if is_first else 0.0])
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad /= weight
    optimizer.step(learning_rate_scale(progress))
    return loss_sum / weight, progress


def learning_rate_scale(progress: float) -> float:
    """A short warm-up, a plateau, then a straight line down to zero."""
    if progress < WARM_UP:
        return progress / WARM_UP
    return min(1.0, max(0.0, (1 - progress) / (1 - DECAY_FROM)))


@torch.no_grad()
def right_answers(model: Llama, conversations: list[Conversation], device: str) -> int:
    """How many last answers greedy decoding would give exactly.

    The answer is fed in and the most likely token compared at each of its places; all of them agree if and only if
    greedy decoding gives this answer and its end.
    """
    rows = []
    for conversation in conversations:
        row = encode(conversation)
        last = len(conversation.turns[-1].answer.encode()) + 1
        rows.append(Encoded(row.tokens, [0.0] * (len(row.tokens) - last) + [1.0] * last, row.tasks))
    rows.sort(key=lambda row: len(row.tokens))
    right = 0
    for start in range(0, len(rows), 32):
        batch = collate(rows[start : start + 32], device)
        wrong = (model(batch.inputs).argmax(-1) != batch.targets) & (batch.weights > 0)
        right += int((~wrong.any(dim=1)).sum())
    return right


def held_out_table(model: Llama, device: str, count: int) -> str:
    """The held-out table, one short line: the share of right answers of each task, and of last turns in chats."""
    cells = []
    for task in MEASURED_TASKS:
        examples = held_out_examples(task, count)
        right = right_answers(model, [Conversation(None, (example,)) for example in examples], device)
        cells.append(f"{task.__name__} {100 * right / len(examples):.1f}")
    chats = held_out_chats(count)
    cells.append(f"chats {100 * right_answers(model, chats, device) / len(chats):.1f}")
    return ", ".join(cells)


def held_out_chats(count: int, seed: int = 3) -> list[Conversation]:
    """Conversations of several turns whose last turn is a held-out prompt, all tasks in turn."""
    rng = random.Random(seed)
    each = -(-count // len(PROMISED_TASKS))
    last_turns: list[Example] = [
        example for task in PROMISED_TASKS for example in held_out_examples(task, each, seed=seed)
    ]
    return [held_out_conversation(rng, last) for last in last_turns]


def measure_step(model: Llama, arguments: argparse.Namespace) -> float:
    """Seconds a step takes here, measured on three steps with a learning rate of zero after one to warm up."""
    rng, shares, optimizer = random.Random(0), TaskShares(), Optimizer(model)
    start = 0.0
    for step in range(4):
        if step == 1:
            start = time.monotonic()
        batches = draw_batches(rng, arguments.tokens // arguments.workers, shares.shares(), arguments.device)
        train_step(model, optimizer, batches, 0.0, shares)
    return (time.monotonic() - start) / 3


def load_weights(model: Llama, folder: Path) -> None:
    """Starts from the weights of an exported folder."""
    weights = load_file(str(folder / "model.safetensors"))
    model.load_state_dict({name: weights[checkpoint_name(name)] for name in model.state_dict()})


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the demo model.")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--steps", type=int, default=0, help="how many steps; 0: as many as --minutes allow")
    parser.add_argument("--minutes", type=float, default=0.0, help="how long; 0: as long as --steps take")
    parser.add_argument("--tokens", type=int, default=5000, help="tokens in one step")
    parser.add_argument("--workers", type=int, default=2, help="processes of one CPU thread that share each step")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report-every", type=float, default=120.0, help="seconds between held-out tables")
    parser.add_argument("--count", type=int, default=60, help="held-out prompts of each task in a report, at most")
    parser.add_argument("--rate", type=float, default=0.6, help="factor on the learning rates")
    parser.add_argument("--start-from", type=Path, help="an exported folder whose weights to go on with")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    arguments = parser.parse_args()
    if not arguments.steps and not arguments.minutes:
        parser.error("give --steps or --minutes")
    return arguments


def report(model: Llama, arguments: argparse.Namespace, shares: TaskShares) -> None:
    """Prints the losses and the held-out table, and writes the folder: a stopped run leaves its last weights."""
    print(f"  loss per token: {shares}")
    print(f"  held out: {held_out_table(model, arguments.device, arguments.count)}", flush=True)
    export(model.state_dict(), model.config, arguments.out)


def train(model: Llama, arguments: argparse.Namespace, worker: int) -> None:
    """The training loop of one worker; all workers make the same updates, and the first one reports."""
    rng, shares, optimizer = random.Random(f"{arguments.seed}:{worker}"), TaskShares(), Optimizer(model, arguments.rate)
    start = reported = time.monotonic()
    step, seen, mean_loss, progress = 0, 0, 0.0, 0.0
    while progress < 1.0:
        batches = draw_batches(rng, arguments.tokens // arguments.workers, shares.shares(), arguments.device)
        step += 1
        now = time.monotonic()
        by_steps = step / arguments.steps if arguments.steps else 0.0
        by_time = (now - start) / (60 * arguments.minutes) if arguments.minutes else 0.0
        loss, progress = train_step(model, optimizer, batches, max(by_steps, by_time), shares)
        seen += arguments.workers * sum(batch.tokens for batch in batches)
        mean_loss += (loss - mean_loss) * max(0.03, 1 / step)
        if worker == 0 and (now - reported > arguments.report_every or progress >= 1.0):
            rate = seen / (now - start)
            print(f"{100 * progress:.0f} % step {step} loss {mean_loss:.4f} {seen / 1e6:.1f} M tokens, {rate:.0f}/s")
            report(model, arguments, shares)
            reported = time.monotonic()


def run_worker(worker: int, arguments: argparse.Namespace, meeting_place: str) -> None:
    """One of the processes that train together: the same weights at the start, its own text."""
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if arguments.workers > 1:
        dist.init_process_group("gloo", f"file://{meeting_place}", rank=worker, world_size=arguments.workers)
    model = Llama(LlamaConfig()).to(arguments.device)
    if arguments.start_from:
        load_weights(model, arguments.start_from)
    seconds = measure_step(model, arguments)
    steps = arguments.steps or round(60 * arguments.minutes / seconds)
    if worker == 0:
        print(
            f"{model.parameter_count():,} parameters; a step of {arguments.tokens} tokens takes {seconds:.2f} s here "
            f"({arguments.tokens / seconds:.0f} tokens/s); {steps} steps take about {steps * seconds / 60:.0f} minutes",
            flush=True,
        )
    train(model, arguments, worker)


def main() -> None:
    """Trains, and leaves the folder."""
    arguments = parse_arguments()
    if arguments.device != "cpu":
        arguments.workers = 1
    with tempfile.TemporaryDirectory() as folder:
        meeting_place = str(Path(folder) / "workers")
        if arguments.workers == 1:
            run_worker(0, arguments, meeting_place)
        else:
            multiprocessing.spawn(run_worker, (arguments, meeting_place), nprocs=arguments.workers)


if __name__ == "__main__":
    main()
