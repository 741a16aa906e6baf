"""Runs Tidegate's engine and its rivals side by side, and writes the tables of docs/engine-benchmarks.md.

    cargo build --release --workspace --examples
    python3 -m venv VENV && VENV/bin/pip install mistralrs llama-cpp-python gguf numpy safetensors torch transformers
    VENV/bin/python tests/load/engines/compare.py --models FOLDER

llama-cpp-python is built from source, for some minutes. Each engine is a process of its own, one at a time; the engines take
turns, round after round, and the median of the rounds counts.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from statistics import median

import measure
import models

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
BENCH = ROOT / "target/release/examples/engine-bench"
CANDLE_BENCH = ROOT / "target/release/examples/candle-bench"
REPORT = ROOT / "docs/engine-benchmarks.md"
# Model, its form, and who runs it: name, and arguments that differ.
GROUPS = {
    "llama-64m, f32": [("Tidegate", "llama-64m"), ("llama.cpp", "llama-64m/model-f32.gguf"),
                       ("mistral.rs", "llama-64m"), ("candle-transformers", "llama-64m"),
                       ("transformers", "llama-64m")],
    "llama-64m, Q8_0": [("Tidegate", "llama-64m/model-q8_0.gguf"), ("llama.cpp", "llama-64m/model-q8_0.gguf"),
                        ("mistral.rs", "llama-64m")],
    "qwen2-494m, Q8_0": [("Tidegate", "qwen2-494m/model-q8_0.gguf"), ("llama.cpp", "qwen2-494m/model-q8_0.gguf")],
}
SCRIPTS = {"llama.cpp": "rival_llama_cpp.py", "mistral.rs": "rival_mistralrs.py",
           "transformers": "rival_transformers.py"}
COLUMNS = [f"{n} stream{'s' if n > 1 else ''}" for n in measure.STREAMS]


def bytes_per_token(group: str) -> int:
    """Bytes of weights that a token reads: all but an embedding of its own, of which it reads a row."""
    name, kind = group.split(", ")
    shape = models.SHAPES[name]
    per_weight = 4 if kind == "f32" else 34 / 32
    total = sum(array.size for _, array in models.weights(shape))
    own = 0 if shape["tie_word_embeddings"] else shape["vocab_size"] * shape["hidden_size"]
    return int((total - own) * per_weight)


def command(group: str, engine: str, path: Path, threads: int, size: int) -> list[str]:
    """What measures an engine."""
    if engine == "Tidegate":
        streams = ",".join(map(str, measure.STREAMS))
        return [str(BENCH), str(path), "--json", "--streams", streams, "--bytes", str(size)]
    if engine == "candle-transformers":
        return [str(CANDLE_BENCH), str(path), "--streams", ",".join(map(str, measure.STREAMS))]
    quantize = ["--quantize", "Q8_0"] if engine == "mistral.rs" and "Q8_0" in group else []
    return [sys.executable, str(HERE / SCRIPTS[engine]), str(path), "--threads", str(threads), *quantize]


def run(words: list[str], threads: int) -> dict:
    """The figures of one run; what went wrong where there are none."""
    environment = os.environ | {"RAYON_NUM_THREADS": str(threads), "CANDLE_NUM_THREADS": str(threads)}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=600)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        said = [line for line in done.stderr.splitlines() if re.match(r"\w*(Error|Exception)\b", line)]
        return {"failed": said[-1][:120] if said else f"exit status {done.returncode}"}
    return json.loads(lines[-1])


def middle(rounds: list[dict], *keys: str) -> float | None:
    """The median over rounds of a figure; none where an engine does not give it."""
    found = []
    for figures in rounds:
        for key in keys:
            figures = figures.get(key) if isinstance(figures, dict) else None
        if figures is not None:
            found.append(figures)
    return median(found) if found else None


def text(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def table(group: str, results: dict) -> str:
    """A group's table: tokens per second, and Tidegate's part of each rival's."""
    lines = [f"| {group} | " + " | ".join(COLUMNS) + f" | prefill of {measure.PROMPT} | first token, 8 decode, ms | memory MiB |",
             "|---|" + "--:|" * (len(COLUMNS) + 3)]
    rates = {}
    for engine, rounds in results.items():
        figures = [middle(rounds, "decode", str(n)) for n in measure.STREAMS] + [middle(rounds, "prefill")]
        rates[engine] = figures
        more = [middle(rounds, "first_token_ms"), middle(rounds, "peak_mib")]
        lines.append(f"| {engine} | " + " | ".join(map(text, figures + more)) + " |")
    for engine, figures in rates.items():
        if engine == "Tidegate" or None in figures:
            continue
        ratios = [f"{ours / theirs:.2f}" for ours, theirs in zip(rates["Tidegate"], figures)]
        lines.append(f"| *Tidegate / {engine}* | " + " | ".join(ratios) + " | | |")
    limit = middle(results["Tidegate"], "limit")
    one, *_, many, _ = rates["Tidegate"]
    lines.append(f"\nLimit by a read-only sum over as many bytes in the same runs: {limit:.0f} tokens/s; one stream "
                 f"{100 * one / limit:.0f} % of it, {measure.STREAMS[-1]} streams {many / one:.1f} times one.")
    for engine, rounds in results.items():
        if failures := {figures["failed"] for figures in rounds if "failed" in figures}:
            lines.append(f"\n{engine} fails here: `{failures.pop()}`.")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="where models are made and kept")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    args.models.mkdir(exist_ok=True)
    for name in models.SHAPES:
        models.make(args.models, name)
    tables = []
    for group, engines in GROUPS.items():
        size = bytes_per_token(group)
        results = {engine: [] for engine, _ in engines}
        for _ in range(args.rounds):
            for engine, path in engines:
                words = command(group, engine, args.models / path, args.threads, size)
                results[engine].append(run(words, args.threads))
        starts = {engine: rounds[0].get("tokens") for engine, rounds in results.items()}
        print(group, starts, flush=True)
        tables.append(table(group, results))
    cpu = next(line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line)
    made = f"{cpu}, {args.threads} threads, {platform.system()}, {date.today()}, medians of {args.rounds} rounds"
    block = f"<!-- tables -->\n\n{made}\n\n" + "\n\n".join(tables) + "\n\n<!-- end -->"
    print(block)
    if REPORT.exists():
        page = REPORT.read_text()
        REPORT.write_text(re.sub(r"<!-- tables -->.*<!-- end -->", lambda _: block, page, flags=re.DOTALL))


if __name__ == "__main__":
    main()
