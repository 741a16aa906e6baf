"""A wire between the router and a peer that writes down every byte in both directions, and reads none of it before it is asked."""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import threading
from dataclasses import dataclass, field


@dataclass
class Answer:
    """What came back to a request."""

    status: int
    kind: str
    body: bytes


@dataclass
class Exchange:
    """One request and its answer, as they stood on the wire."""

    request: bytearray = field(default_factory=bytearray)
    answer: bytearray = field(default_factory=bytearray)

    def sent(self) -> bytes:
        """The request's body."""
        return bytes(self.request).partition(b"\r\n\r\n")[2]

    def came(self) -> Answer:
        """The answer, out of its chunks."""
        parsed = http.client.HTTPResponse(Wire(bytes(self.answer)))
        parsed.begin()
        return Answer(parsed.status, parsed.getheader("content-type", ""), parsed.read())


class Wire(socket.socket):
    """Bytes that came, where a socket is wanted."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.data = data

    def makefile(self, *_: object, **__: object) -> io.BytesIO:  # type: ignore[override]
        """All of them."""
        return io.BytesIO(self.data)


class Tap:
    """A listener that connects whoever comes with the peer at `port`."""

    def __init__(self, port: int) -> None:
        self.peer = port
        self.exchanges: list[Exchange] = []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        """Takes connections until the listener is closed."""
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.connect, args=(near,), daemon=True).start()

    def connect(self, near: socket.socket) -> None:
        """Carries one connection to its end."""
        try:
            far = socket.create_connection(("127.0.0.1", self.peer))
        except OSError:
            near.close()
            return
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        own: list[Exchange] = []
        there = threading.Thread(target=self.carry, args=(near, far, own, True), daemon=True)
        there.start()
        self.carry(far, near, own, False)
        there.join()
        near.close()
        far.close()

    def carry(self, source: socket.socket, to: socket.socket, own: list[Exchange], requests: bool) -> None:
        """Carries one direction to its end."""
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                with self.lock:
                    if requests and (not own or own[-1].answer):
                        own.append(Exchange())
                        self.exchanges.append(own[-1])
                    (own[-1].request if requests else own[-1].answer).extend(data)
                to.sendall(data)
        with contextlib.suppress(OSError):
            to.shutdown(socket.SHUT_WR)

    def posted(self) -> list[Exchange]:
        """All POSTs so far: what the router asks on its own is a GET."""
        with self.lock:
            return [exchange for exchange in self.exchanges if exchange.request.startswith(b"POST ")]

    def close(self) -> None:
        """Takes no further connection."""
        self.listener.close()
