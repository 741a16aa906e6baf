"""Checks the rules of the house that no compiler knows (CONTRIBUTING.md): a rule without a gate rots.

Prints each breach as `file: what is wrong` and exits with 1 if there is one.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 400
MAX_FUNCTION = 35
CHECKED = {".rs", ".py", ".mjs", ".js", ".css", ".html", ".lua", ".sh", ".md"}
BANNED_NAMES = {"mod.rs", "util.rs", "utils.rs", "common.rs", "helpers.rs", "misc.rs"}
TOP_LEVEL = {"Cargo.toml", "Cargo.lock", "router", "backend", "shared", "deploy", "tests", "docs", "README.md"}
TOP_LEVEL |= {"CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE-MIT", "LICENSE-APACHE", "clippy.toml", "deny.toml", "rustfmt.toml"}
MARKERS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|\bunimplemented!|\btodo!")
ALLOW = re.compile(r"#!?\[allow\(")
EXPECT = re.compile(r"#!?\[expect\((?:[^()]|\([^()]*\))*\)\]")
FUNCTION = re.compile(r"^( *)(?:pub(?:\([^)]*\))? )?(?:const )?(?:async )?(?:unsafe )?fn (\w+)")
MENTIONED = re.compile(r"`((?:router|backend|shared|tests|docs|deploy)/[\w./-]+)`")
# Ends what writes to it before its end, which pipefail takes for a failure, now and then.
LEAVES_EARLY = re.compile(r"\|\s*(?:head\b|grep (?:-\w+ )*-\w*[qm])")
IGNORED = re.compile(r"#\[ignore\b|pytest\.mark\.skip|pytest\.skip\(|\btest\.skip\(|\bskip: *true")


def tracked() -> list[Path]:
    """All files that belong to the repository, also those not committed yet."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for name in names.split("\0") if name and (path := ROOT / name).is_file()]


def rust(path: Path, text: str) -> list[str]:
    """What a Rust file breaks."""
    found = []
    if path.name in BANNED_NAMES:
        found.append("a name that says nothing; name the file after what it holds, `name.rs` beside `name/`")
    if not text.startswith("//!"):
        found.append("does not open with `//!` and its duty")
    if ALLOW.search(text):
        found.append("#[allow]; use #[expect(.., reason = \"..\")]")
    if any("reason" not in match.group() for match in EXPECT.finditer(text)):
        found.append("#[expect] without a reason")
    return found + long_functions(text)


def long_functions(text: str) -> list[str]:
    """Rust functions of too many lines, blank ones and comments not counted; rustfmt's layout shows where one ends."""
    found = []
    lines = text.split("\n")
    for start, line in enumerate(lines):
        if not (match := FUNCTION.match(line)) or line.endswith((";", "}")):
            continue
        ends = (match[1] + "}", match[1] + ")")
        end = next((at for at in range(start, len(lines)) if lines[at].startswith(ends)), start)
        if lines[end].endswith("{"):
            end = next((at for at in range(end + 1, len(lines)) if lines[at] == ends[0]), end)
        body = [each for each in lines[start + 1 : end] if each.strip() and not each.lstrip().startswith("//")]
        if len(body) > MAX_FUNCTION:
            found.append(f"{match[2]} has {len(body)} lines; at most {MAX_FUNCTION} are wanted")
    return found


def source(path: Path, text: str) -> list[str]:
    """What any source file breaks."""
    found = []
    if (lines := text.count("\n")) >= MAX_LINES:
        found.append(f"{lines} lines; fewer than {MAX_LINES} are wanted")
    if path != Path(__file__).resolve() and MARKERS.search(text):
        found.append("a marker of unfinished work")
    if path != Path(__file__).resolve() and IGNORED.search(text):
        found.append("a test that is skipped")
    return found


def script(text: str) -> list[str]:
    """What a shell script breaks."""
    if "pipefail" not in text:
        return []
    return [f"`{match.group()}` ends a pipeline early, under pipefail" for match in LEAVES_EARLY.finditer(text)]


def page(path: Path, text: str) -> list[str]:
    """What a page for people breaks."""
    missing = sorted({name for name in MENTIONED.findall(text) if not (ROOT / name).exists()})
    return [f"names {name}, which is not there" for name in missing]


def main() -> int:
    """Looks at every file; returns the exit status."""
    breaches = []
    files = tracked()
    for name in sorted({path.relative_to(ROOT).parts[0] for path in files}):
        if name not in TOP_LEVEL and not name.startswith("."):
            breaches.append(f"{name}: does not belong at the top level")
    for path in files:
        is_script = path.read_bytes().startswith(b"#!/usr/bin/env bash")
        if path.suffix not in CHECKED and not is_script:
            continue
        text = path.read_text(encoding="utf-8")
        found = page(path, text) if path.suffix == ".md" else source(path, text)
        found += script(text) if is_script else []
        found += rust(path, text) if path.suffix == ".rs" else []
        breaches += [f"{path.relative_to(ROOT)}: {what}" for what in found]
    print("\n".join(breaches) if breaches else f"{len(files)} files keep the rules of the house")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
