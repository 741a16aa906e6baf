"""What hostile clients do to the others: latency of normal requests with and without an attack, in turns, and memory.

    cargo build --release --workspace --bins
    python3 tests/load/attacks.py [--rounds N] [--seconds S] [--idle N]

One router with its default flags in front of a backend that answers at once. Normal requests come at a fixed rate; attackers come from other
addresses of the loopback network, in a process with the lowest priority, since on one machine they take the router's processor otherwise. An
attack is bounded in what it sends a second, not in what it may reach. Ends with status 1 where the median of the rounds' 99th percentiles more
than doubles under an attack, a normal request fails, or memory is not bounded.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import re
import resource
import socket
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent.parent
BIN = ROOT / "target/release"
REPORT = ROOT / "docs/threat-model.md"
POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
# MiB that the router may grow by in each attack, besides what each connection that is held may take: 48 KiB, or the body that
# --max-body-size lets in.
ROOM_MIB = 24
CONNECTION_MIB = 48 / 1024
BODY_MIB = 10
POURED = 8


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of HTTP/2 (RFC 9113, section 4.1)."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


# `GET http://x/livez` in HPACK (RFC 7541): three entries of the static table, one literal path, one literal authority.
GET = b"\x82\x86\x04\x06/livez\x01\x01x"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")
RESETS = PREFACE + b"".join(frame(1, 5, 2 * n + 1, GET) + frame(3, 0, 2 * n + 1, (8).to_bytes(4, "big")) for n in range(2000))
LITERAL = b"\x00\x03x-y\x7f\xc1\x3e" + b"z" * 8128
CONTINUATIONS = PREFACE + frame(1, 1, 1, GET) + frame(9, 0, 1, LITERAL) * 200
HEADERS = POST + b"".join(b"x-%d: y\r\n" % n for n in range(5000)) + b"\r\n"
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"
CHUNK = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
ANNOUNCED = POST + b"content-length: 1099511627776\r\n\r\n" + b"x" * 100_000

# How often a second each is sent on a connection of its own, which is read to its end.
SENT = {
    "header floods": (HEADERS, 20),
    "huge bodies": (ANNOUNCED, 20),
    "HTTP/2 rapid resets": (RESETS, 10),
    "HTTP/2 CONTINUATION floods": (CONTINUATIONS, 10),
}


async def connect(port: int, number: int):
    """From an address of its own for each thousand connections."""
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(f"127.0.1.{1 + number // 1000}", 0))


async def send(port: int, number: int, what: bytes) -> None:
    """Sends it and waits until the router has had enough."""
    try:
        reader, writer = await connect(port, number % 1000)
        writer.write(what)
        await asyncio.wait_for(reader.read(), 5)
        writer.close()
    except (OSError, asyncio.TimeoutError):
        pass


async def hold(port: int, count: int, begun: bytes, trickle: bool, ready) -> None:
    """Connections that say nothing more, or a byte now and then."""
    held = []
    for number in range(count):
        held.append(await connect(port, number))
        held[-1][1].write(begun)
        if number % 200 == 0:
            await asyncio.sleep(0.01)
    ready.set()
    while True:
        await asyncio.sleep(1)
        for _, writer in held if trickle else []:
            if not writer.is_closing():
                writer.write(b"y")


async def pour(port: int, number: int) -> None:
    """Bodies without an end, one after the other: 3 MB a second, as a line brings them and not as memory does."""
    while True:
        try:
            _, writer = await connect(port, number)
            writer.write(CHUNKED)
            while True:
                writer.write(CHUNK)
                await writer.drain()
                await asyncio.sleep(0.005)
        except OSError:
            await asyncio.sleep(0.01)


async def pours(port: int, ready) -> None:
    """Some at once."""
    ready.set()
    await asyncio.gather(*(pour(port, number) for number in range(POURED)))


async def flood(port: int, what: bytes, rate: float, ready) -> None:
    running = set()
    ready.set()
    for number in range(10**9):
        task = asyncio.create_task(send(port, number, what))
        running.add(task)
        task.add_done_callback(running.discard)
        await asyncio.sleep(1 / rate)


def attack(name: str, port: int, args: argparse.Namespace, ready) -> None:
    """The attacker's process."""
    os.nice(19)
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    if name == "idle connections":
        work = hold(port, args.idle, b"", False, ready)
    elif name == "slow heads":
        work = hold(port, 1000, POST + b"x: ", True, ready)
    elif name == "endless bodies":
        work = pours(port, ready)
    else:
        work = flood(port, *SENT[name], ready)
    asyncio.run(work)


def memory(pid: int) -> float:
    """MiB."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024


def normal(port: int, seconds: float) -> dict:
    """Requests of others, from an address of their own."""
    words = [BIN / "tidegate-peers", "paced", "--address", f"127.0.0.1:{port}", "--rate", "200", "--connections", "20"]
    done = subprocess.run([*words, "--seconds", str(seconds)], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"normal requests: {done.stderr[:400]}")
    return json.loads(done.stdout)


def started(words: list, ready: str, out) -> tuple[subprocess.Popen, str]:
    """A process, and the address that it prints or that it was given."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE if not ready else out, stderr=out, text=True, env=os.environ | {"RUST_LOG": "error"})
    if not ready:
        return process, process.stdout.readline().strip().removeprefix("http://")
    host, port = ready.split(":")
    for _ in range(200):
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return process, ready
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nobody answers at {ready}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--idle", type=int, default=10_000, help="connections that say nothing")
    args = parser.parse_args()
    port, admin = free_port(), free_port()
    mock, backend = started([BIN / "tidegate-peers", "mock"], "", subprocess.DEVNULL)
    router = None
    try:
        words = ["--backend", f"http://{backend}", "--port", str(port), "--admin-port", str(admin)]
        router, _ = started([BIN / "tidegate-router", *words], f"127.0.0.1:{port}", subprocess.DEVNULL)
        time.sleep(1)
        normal(port, 1)
        good = measure(router.pid, port, args)
    finally:
        for process in (router, mock):
            if process:
                process.terminate()
                process.wait()
    sys.exit(0 if good else 1)


def measure(pid: int, port: int, args: argparse.Namespace) -> bool:
    """All attacks, in turns with none; true where every bar is held."""
    lines = ["| attack | p50 ms without, with | p99 ms without, with | times | MiB before, most |", "|---|--:|--:|--:|--:|"]
    good = True
    for name in ["idle connections", "slow heads", "endless bodies", *SENT]:
        quiet, loud, before, most = [], [], memory(pid), 0.0
        for _ in range(args.rounds):
            quiet.append(normal(port, args.seconds))
            ready = multiprocessing.Event()
            attacker = multiprocessing.Process(target=attack, args=(name, port, args, ready), daemon=True)
            attacker.start()
            if not ready.wait(60):
                raise RuntimeError(f"{name}: the attack did not begin")
            loud.append(normal(port, args.seconds))
            most = max(most, memory(pid))
            attacker.kill()
            attacker.join()
            time.sleep(0.5)
        p50, p99 = ([median(run[key] for run in runs) for runs in (quiet, loud)] for key in ("p50_ms", "p99_ms"))
        held = {
            "idle connections": args.idle * CONNECTION_MIB,
            "slow heads": 1000 * CONNECTION_MIB,
            "endless bodies": POURED * BODY_MIB,
        }
        bounded = most - before < ROOM_MIB + held.get(name, 0)
        good &= p99[1] < 2 * p99[0] and bounded
        lines.append(f"| {name} | {p50[0]:.2f}, {p50[1]:.2f} | {p99[0]:.2f}, {p99[1]:.2f} | {p99[1] / p99[0]:.2f} | {before:.0f}, {most:.0f} |")
        print(lines[-1], flush=True)
    made = f"{date.today()}, {os.cpu_count()} cores, medians of {args.rounds} rounds of {args.seconds:g} s each"
    block = f"<!-- attacks -->\n\n{made}\n\n" + "\n".join(lines) + "\n\n<!-- end attacks -->"
    print(block)
    page = REPORT.read_text()
    REPORT.write_text(re.sub(r"<!-- attacks -->.*<!-- end attacks -->", lambda _: block, page, flags=re.DOTALL))
    return good


if __name__ == "__main__":
    main()
