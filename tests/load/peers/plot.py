"""Draws what each proxy takes of the processor as docs/router-benchmarks.svg: bars for a request and for a chunk, side by side."""

from html import escape

WIDTH, ROW, TOP, NAMES, BARS = 760, 28, 64, 130, 190
STYLE = """
    .ground { fill: #ffffff; stroke: #d0d7de; } .bar { fill: #8c959f; } .own { fill: #0969da; }
    .text { fill: #1f2328; font-size: 13px; } .head { fill: #1f2328; font-size: 15px; font-weight: 600; }
    @media (prefers-color-scheme: dark) {
      .ground { fill: #0d1117; stroke: #30363d; } .bar { fill: #6e7681; } .own { fill: #4493f8; }
      .text, .head { fill: #e6edf3; }
    }
"""


def panel(left: int, head: str, values: dict[str, float]) -> list[str]:
    """One group of bars, the longest as long as there is room for."""
    most = max(values.values(), default=1)
    lines = [f'  <text class="head" x="{left}" y="{TOP - 16}">{escape(head)}</text>']
    for number, (name, value) in enumerate(values.items()):
        y, length = TOP + number * ROW, max(1, round(BARS * value / most))
        kind = "own" if name.startswith("Tidegate") else "bar"
        start = left + NAMES
        lines += [
            f'  <text class="text" x="{start - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>',
            f'  <rect class="{kind}" x="{start}" y="{y}" width="{length}" height="18" rx="2"/>',
            f'  <text class="text" x="{start + length + 6}" y="{y + 14}">{value:,.0f}</text>',
        ]
    return lines


def drawing(requests: dict[str, float], chunks: dict[str, float]) -> str:
    """The picture, in microseconds of processor time."""
    height = TOP + ROW * max(len(requests), len(chunks)) + 12
    told = "; ".join(f"{name} {value:.0f} and {chunks.get(name, 0):.0f}" for name, value in requests.items())
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title about"'
        ' font-family="ui-sans-serif, system-ui, \'Segoe UI\', Helvetica, Arial, sans-serif">',
        '  <title id="title">Processor time of each proxy</title>',
        f'  <desc id="about">Microseconds for a request and for a chunk of a stream. {escape(told)}.</desc>',
        f"  <style>{STYLE}  </style>",
        f'  <rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="6"/>',
        *panel(16, "CPU µs per request", requests),
        *panel(16 + WIDTH // 2, "CPU µs per chunk of a stream", chunks),
        "</svg>",
        "",
    ])
