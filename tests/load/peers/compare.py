"""Puts one proxy after the other between the same clients and the same backend, and writes the table and the picture of docs/router-benchmarks.md.

    cargo build --release --workspace --bins
    python3 tests/load/peers/compare.py --venvs FOLDER          # nginx and haproxy from the system, the others from PyPI
    python3 tests/load/peers/compare.py --only Tidegate,nginx   # some of them

CPU time is that of the proxy's process tree (utime + stime of /proc/PID/stat) over what it did meanwhile: the figure that a busy
machine disturbs least. All proxies are measured in turns, round after round; the median of the rounds counts. Latency is what a proxy
adds to the same run without one.
"""

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import peers
import plot

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
BIN = ROOT / "target/release"
REPORT = ROOT / "docs/router-benchmarks.md"
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
COLUMNS = {
    "per_s": "requests/s, 64 connections", "cpu_request": "CPU µs/request", "chunks_s": "chunks/s, 64 streams",
    "cpu_chunk": "CPU µs/chunk", "p50": "added p50 ms at 200/s", "p99": "added p99 ms", "first": "added first chunk ms",
    "idle_mib": "MiB idle", "stream_kib": "KiB per open stream", "left_stream": "client left a stream, ms",
    "left_wait": "client left before the first byte, ms",
}


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, wanted = [], [pid]
    while wanted:
        found.append(wanted.pop())
        wanted += children.get(found[-1], [])
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process tree."""
    total = 0
    for one in tree(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def memory(pid: int) -> float:
    """Bytes of a process tree in memory."""
    total = 0
    for one in tree(pid):
        try:
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * PAGE
        except OSError:
            continue
    return total


class Clients:
    """The clients of one proxy."""

    def __init__(self, port: int, peer: "peers.Peer", mock: str):
        self.flags = ["--address", f"127.0.0.1:{port}", "--model", peer.model, "--token", peer.token]
        self.mock = mock

    def run(self, part: str, *more: str) -> dict:
        done = subprocess.run([BIN / "tidegate-peers", part, *self.flags, *more], capture_output=True, text=True, timeout=180)
        if done.returncode:
            raise RuntimeError(f"{part}: {done.stderr.strip()[:300]}")
        return json.loads(done.stdout)

    def open(self, streams: int) -> subprocess.Popen:
        words = [BIN / "tidegate-peers", "open", *self.flags, "--connections", str(streams)]
        opened = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if "open" not in opened.stdout.readline():
            raise RuntimeError("the streams did not open")
        return opened


def measure(clients: Clients, pid: int | None, args: argparse.Namespace) -> dict:
    """All figures of one proxy in one round; `pid` is None where there is none."""
    seconds = ["--seconds", str(args.seconds)]
    figures = {}
    slow = getattr(args, "slow", False)
    clients.run("requests", "--seconds", "0.5", "--connections", "8")
    idle = memory(pid) if pid else 0
    # All connections on both sides are open by then: what opening them costs is no request's.
    clients.run("requests", "--seconds", "1")
    before = cpu_seconds(pid) if pid else 0
    full = clients.run("requests", *seconds)
    figures["per_s"] = full["per_s"]
    if pid:
        figures["cpu_request"] = 1e6 * (cpu_seconds(pid) - before) / full["requests"]
        before = cpu_seconds(pid)
    streams = clients.run("streams", *seconds)
    figures["chunks_s"], figures["first"] = streams["per_s"], streams["first_ms"]
    if pid:
        figures["cpu_chunk"] = 1e6 * (cpu_seconds(pid) - before) / streams["chunks"]
    rate = "10" if slow else "200"
    paced = clients.run("paced", *seconds, "--rate", rate, "--connections", "20")
    figures["p50"], figures["p99"] = paced["p50_ms"], paced["p99_ms"]
    if pid:
        opened = clients.open(args.open)
        figures["idle_mib"] = idle / 2**20
        figures["stream_kib"] = (memory(pid) - idle) / args.open / 1024
        opened.stdin.close()
        opened.wait()
        left = clients.run("hangup", "--mock", clients.mock)
        figures["left_stream"], figures["left_wait"] = left["stream_ms"], left["wait_ms"]
    return figures


def wait_for(port: int, path: str = "/v1/models", seconds: float = 90) -> None:
    """Until somebody answers there."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
                connection.sendall(f"GET {path} HTTP/1.0\r\nhost: x\r\n\r\n".encode())
                if connection.recv(64).startswith(b"HTTP/1"):
                    return
        except OSError:
            pass
        time.sleep(0.2)
    raise RuntimeError(f"nobody answers on port {port}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def round_of(peer: "peers.Peer", mock: str, args: argparse.Namespace) -> dict:
    """Starts a proxy, measures it and ends it."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        log = open(Path(folder) / "log", "w")
        helpers = [subprocess.Popen(words, stdout=log, stderr=log) for words in peer.helpers(Path(folder), args)]
        process = subprocess.Popen(peer.command(port, mock, Path(folder), args), stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for(port, peer.probe)
            time.sleep(peer.settle)
            args.slow = peer.slow
            return measure(Clients(port, peer, mock), process.pid, args)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            return {"failed": str(error), "log": (Path(folder) / "log").read_text()[-600:]}
        finally:
            for one in [process, *helpers]:
                one.send_signal(signal.SIGTERM)
            for one in [process, *helpers]:
                try:
                    one.wait(10)
                except subprocess.TimeoutExpired:
                    one.kill()


def middle(rounds: list[dict], key: str) -> float | None:
    values = [figures[key] for figures in rounds if figures.get(key) is not None]
    return median(values) if values else None


def table(results: dict[str, list[dict]]) -> str:
    lines = ["| proxy | " + " | ".join(COLUMNS.values()) + " |", "|---|" + "--:|" * len(COLUMNS)]
    direct = results["direct"]
    for name, rounds in results.items():
        cells = []
        for key in COLUMNS:
            value = middle(rounds, key)
            if value is not None and key in ("p50", "p99", "first") and name != "direct":
                value -= middle(direct, key)
            digits = 0 if value is None or abs(value) >= 10 else 2 if key in ("p50", "p99", "first") else 1
            never = key.startswith("left") and name != "direct" and any("per_s" in one for one in rounds)
            cells.append(f"{value:,.{digits}f}" if value is not None else "never" if never else "–")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
        if failed := next((one["failed"] for one in rounds if "failed" in one), None):
            print(name, failed, next(one.get("log", "") for one in rounds if "failed" in one), file=sys.stderr)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venvs", type=Path, help="where virtual environments with proxies from PyPI are made and kept")
    parser.add_argument("--only", help="names of proxies, with commas between")
    parser.add_argument("--router", type=Path, default=BIN / "tidegate-router", help="another build of the router")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--open", type=int, default=1000, help="streams that are open at once for the memory of each")
    parser.add_argument("--plot", type=Path, help="where the bars are drawn; without --only beside the table")
    args = parser.parse_args()
    chosen = peers.chosen(args)
    backend = subprocess.Popen([BIN / "tidegate-peers", "mock"], stdout=subprocess.PIPE, text=True)
    mock = backend.stdout.readline().strip()
    results: dict[str, list[dict]] = {"direct": []} | {peer.name: [] for peer in chosen}
    try:
        for number in range(args.rounds):
            direct = peers.Peer("direct", lambda *_: [])
            results["direct"].append(measure(Clients(int(mock.rsplit(":")[-1]), direct, mock), None, args))
            for peer in chosen:
                if any("failed" in figures for figures in results[peer.name]):
                    continue
                results[peer.name].append(round_of(peer, mock, args))
                print(number, peer.name, json.dumps(results[peer.name][-1]), file=sys.stderr, flush=True)
    finally:
        backend.kill()
    block = f"<!-- table -->\n\n{peers.described(chosen, args)}\n\n{table(results)}\n\n<!-- end -->"
    print(block)
    if REPORT.exists() and not args.only:
        page = REPORT.read_text()
        REPORT.write_text(re.sub(r"<!-- table -->.*?<!-- end -->", lambda _: block, page, flags=re.DOTALL))
    if not args.only or args.plot:
        costs = ({name: cost for name, rounds in results.items() if (cost := middle(rounds, key))} for key in ("cpu_request", "cpu_chunk"))
        (args.plot or REPORT.with_suffix(".svg")).write_text(plot.drawing(*costs))


if __name__ == "__main__":
    main()
