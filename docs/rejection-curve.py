"""Draws docs/rejection-curve.svg: what share of requests is refused at each fill of a fleet, for the three priorities.

    python3 docs/rejection-curve.py          writes the picture
    python3 docs/rejection-curve.py --check  fails where the picture is not what would be written
"""

from __future__ import annotations

import sys
from math import floor
from pathlib import Path

PICTURE = Path(__file__).with_suffix(".svg")
WIDTH, HEIGHT, LEFT, TOP, WIDE, HIGH = 760, 330, 62, 34, 640, 220
SLOTS, QUEUE, THRESHOLD, START = 12, 50, 0.8, 0.7
SHARES = {"high": 1.0, "normal": THRESHOLD, "low": THRESHOLD / 2}
COLOURS = {"high": "#2563a8", "normal": "#b3541e", "low": "#6b7280"}
# Where each name stands beside its curve: p, and pixels to the left or right.
NAMES = {"high": (0.2, 14, "start"), "normal": (0.8, -12, "end"), "low": (0.55, 12, "start")}
MOST = SLOTS + QUEUE + 6


def curve(share: float) -> tuple[float, int]:
    """Where refusing begins and where it is certain, in requests held; the rules are those of shared/admission/src/decide.rs."""
    capacity = SLOTS + floor(QUEUE * share)
    return max(START * capacity, SLOTS), capacity


def x(held: float) -> float:
    """Pixels of a number of requests held."""
    return LEFT + WIDE * held / MOST


def y(p: float) -> float:
    """Pixels of a probability."""
    return TOP + HIGH * (1 - p)


def line(points: list[tuple[float, float]], colour: str) -> str:
    """A curve through points of (held, p)."""
    path = " ".join(f"{x(held):.1f},{y(p):.1f}" for held, p in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5" stroke-linejoin="round"/>'


def text(at: float, down: float, words: str, anchor: str = "middle", style: str = "") -> str:
    """Some words."""
    return f'<text x="{at:.1f}" y="{down:.1f}" text-anchor="{anchor}" {style}>{words}</text>'


def frame() -> list[str]:
    """Axes, their words, and the share of the fleet that runs."""
    parts = [f'<rect x="{x(0):.1f}" y="{TOP}" width="{x(SLOTS) - x(0):.1f}" height="{HIGH}" fill="#3f8f5f" fill-opacity="0.14"/>']
    parts += [f'<path d="M{LEFT} {TOP}V{TOP + HIGH}H{LEFT + WIDE}" fill="none" stroke="#888" stroke-width="1"/>']
    for p in (0, 0.5, 1):
        parts += [text(LEFT - 8, y(p) + 4, f"{p:.0%}", "end")]
        parts += [f'<path d="M{LEFT} {y(p):.1f}H{LEFT + WIDE}" stroke="#888" stroke-opacity="0.25"/>']
    for held in range(0, MOST, 10):
        parts += [text(x(held), TOP + HIGH + 18, str(held))]
    parts += [text(LEFT + WIDE / 2, TOP + HIGH + 40, "requests held: running, given up but not yet stopped, and waiting")]
    parts += [text(LEFT, TOP - 14, "chance that the next request is refused", "start")]
    parts += [text(x(SLOTS / 2), TOP + HIGH / 2, f"{SLOTS} slots", style='font-size="12"')]
    return parts


def picture() -> str:
    """The whole picture."""
    alt = "Rejection curves of three priorities: nothing is refused while slots are free; refusals begin at 70 % of the capacity and are certain at all of it."
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{alt}">']
    parts += ['<rect width="100%" height="100%" fill="#fff"/>', '<g font-family="system-ui, sans-serif" font-size="13" fill="#222">', *frame()]
    for name, share in SHARES.items():
        start, capacity = curve(share)
        parts += [line([(0, 0), (start, 0), (capacity, 1), (MOST, 1)], COLOURS[name])]
        at, beside, anchor = NAMES[name]
        words = f"{name}: {start:.0f} to {capacity}"
        parts += [text(x(start + at * (capacity - start)) + beside, y(at) + 4, words, anchor, f'fill="{COLOURS[name]}" font-weight="600" font-size="12"')]
    return "\n".join([*parts, "</g>", "</svg>", ""])


def main() -> int:
    """Writes or checks."""
    if sys.argv[1:] == ["--check"]:
        fresh = PICTURE.read_text(encoding="utf-8") == picture()
        print("fresh" if fresh else f"{PICTURE.name} is not what the rules say: run python3 docs/rejection-curve.py")
        return 0 if fresh else 1
    PICTURE.write_text(picture(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
