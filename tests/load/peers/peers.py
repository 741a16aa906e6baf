"""The proxies that are compared: how each is started before the same backend, with nothing in its way that others lack.

Each serves its clients on one thread, as far as it can be told to, but for two rows.
"""

import platform
import re
import subprocess
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

BIN = Path(__file__).resolve().parent.parent.parent.parent / "target/release"
Command = Callable[[int, str, Path, Namespace], list]


@dataclass
class Peer:
    """A proxy."""

    name: str
    # What starts it: port, the backend's address, a folder of its own, and the flags.
    command: Command
    model: str = "mock"
    token: str = "none"
    # A path that it answers once it serves.
    probe: str = "/v1/models"
    # Seconds until it has looked at its backend.
    settle: float = 1.0
    # A Python program that serves some tens of requests a second.
    slow: bool = False
    # A package of PyPI, and what else it needs; none for what the system has.
    packages: list[str] = field(default_factory=list)
    # What runs beside it.
    helpers: Callable[[Path, Namespace], list] = lambda *_: []
    version: Callable[[Namespace], str] = lambda _: ""


def nginx(port: int, mock: str, folder: Path, _: Namespace) -> list:
    (folder / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream backend {{ server {mock}; keepalive 1100; }}
  server {{
    listen 127.0.0.1:{port}; keepalive_requests 1000000;
    location / {{
      proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
      proxy_read_timeout 60s;
    }}
  }}
}}
""")
    return ["nginx", "-c", folder / "nginx.conf", "-p", folder]


def haproxy(*settings: str) -> Command:
    def command(port: int, mock: str, folder: Path, _: Namespace) -> list:
        (folder / "haproxy.cfg").write_text(f"""
global
  maxconn 8192
  {" ".join(settings)}
defaults
  mode http
  option http-no-delay
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend in
  bind 127.0.0.1:{port}
  default_backend out
backend out
  server one {mock} maxconn 4096
""")
        return ["haproxy", "-db", "-f", folder / "haproxy.cfg"]

    return command


def tidegate(*more: str) -> Command:
    def command(port: int, mock: str, folder: Path, args: Namespace) -> list:
        # As many slots as anybody asks for: what is measured is the way, not the refusals.
        # Without a line per request, as the others.
        return ["env", "RUST_LOG=warn", args.router, "--port", str(port), "--admin-port", "0", "--backend", f"http://{mock}",
                "--backend-slots", "4000", *(word.format(folder=folder) for word in more)]

    return command


def redis(folder: Path, _: Namespace) -> list:
    return [["redis-server", "--port", "0", "--unixsocket", folder / "redis.sock", "--save", "", "--daemonize", "no"]]


def python(package: str, *words: str) -> Command:
    def command(port: int, mock: str, folder: Path, args: Namespace) -> list:
        filled = [word.format(port=port, mock=mock, folder=folder) for word in words]
        return ["env", "TOKIO_WORKER_THREADS=1", args.venvs / package / "bin" / filled[0], *filled[1:]]

    return command


def litellm(port: int, mock: str, folder: Path, args: Namespace) -> list:
    (folder / "config.yaml").write_text(f"""
model_list:
  - model_name: mock
    litellm_params: {{model: openai/mock, api_base: "http://{mock}/v1", api_key: none}}
general_settings: {{dangerously_permit_weak_or_unset_master_key: true}}
""")
    words = ["--config", folder / "config.yaml", "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    return [args.venvs / "litellm" / "bin/litellm", *words]


def said(*words: str) -> Callable[[Namespace], str]:
    """The version that a program of the system prints."""

    def version(_: Namespace) -> str:
        done = subprocess.run(words, capture_output=True, text=True)
        found = re.search(r"\d+\.\d+[\w.+-]*", done.stdout + done.stderr)
        return found.group() if found else "?"

    return version


def installed(package: str) -> Callable[[Namespace], str]:
    def version(args: Namespace) -> str:
        words = [args.venvs / package / "bin/pip", "show", package]
        found = re.search(r"^Version: (.*)$", subprocess.run(words, capture_output=True, text=True).stdout, re.M)
        return found.group(1) if found else "?"

    return version


ONE = ["--worker-threads", "1"]
ROUTER = ["--worker-urls", "http://{mock}", "--host", "127.0.0.1", "--port", "{port}", "--policy", "round_robin"]
ALL = [
    Peer("nginx", nginx, version=said("nginx", "-v")),
    Peer("haproxy", haproxy("nbthread", "1"), version=said("haproxy", "-v")),
    Peer("haproxy (all cores)", haproxy()),
    Peer("Tidegate", tidegate(*ONE), version=said(BIN / "tidegate-router", "--version")),
    Peer("Tidegate (all cores)", tidegate()),
    Peer("Tidegate (Redis)", tidegate(*ONE, "--redis-url", "unix://{folder}/redis.sock"), helpers=redis, settle=3),
    Peer("vllm-router", python("vllm-router", "vllm-router", *ROUTER), packages=["vllm-router"], probe="/health",
         settle=5, version=installed("vllm-router")),
    Peer("smg", python("smg", "smg", "launch", *ROUTER), packages=["smg"], probe="/health", settle=5,
         version=installed("smg")),
    Peer("litellm", litellm, packages=["litellm[proxy]"], probe="/health/liveliness", slow=True, settle=3,
         version=installed("litellm")),
]


def chosen(args: Namespace) -> list[Peer]:
    """The proxies that are asked for; those from PyPI are installed where they are not yet."""
    names = args.only.split(",") if args.only else [peer.name for peer in ALL]
    if unknown := set(names) - {peer.name for peer in ALL}:
        raise SystemExit(f"unknown: {', '.join(unknown)}; there are: {', '.join(peer.name for peer in ALL)}")
    picked = [peer for peer in ALL if peer.name in names]
    for peer in picked:
        for package in peer.packages:
            if args.venvs is None:
                raise SystemExit(f"{peer.name} comes from PyPI: say with --venvs where its virtual environment may be made")
            folder = args.venvs / package.split("[")[0]
            if not (folder / "installed").exists():
                subprocess.run(["python3", "-m", "venv", folder], check=True)
                subprocess.run([folder / "bin/pip", "install", "-q", package], check=True)
                (folder / "installed").touch()
    return picked


def described(picked: list[Peer], args: Namespace) -> str:
    """Machine, day and versions."""
    names = (line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line)
    cpu = [line.split(":")[1].strip() for line in names]
    versions = ", ".join(f"{peer.name} {version}" for peer in picked if (version := peer.version(args)))
    return (f"{cpu[0]}, {len(cpu)} cores, {platform.system()}, {date.today()}, medians of {args.rounds} rounds of "
            f"{args.seconds:g} s. {versions}.")
