"""Redis servers for the tests: Debian's redis-server as it is wanted, and answers on the wire that no server gives."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING, ClassVar, Self

import redis

from acceptance.services_outside import free_port
from servers import redis_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PASSWORD = "s3cret-Pa55word"


@contextlib.contextmanager
def running(folder: Path, *lines: str, port: int | None = None, ready: bool = True, sentinel: bool = False,
            save: bool = False) -> Iterator[int]:  # fmt: skip
    """A redis-server with these lines in its configuration, and its port. `save`: its data on disk."""
    program = redis_program()
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "redis.conf"
    given = {line.split()[0] for line in lines}
    own = [f"port {port}", "bind 127.0.0.1", f"dir {folder}", *([] if save or sentinel else ["save ''"])]
    config.write_text("\n".join([*(line for line in own if line.split()[0] not in given), *lines, ""]))
    command = [program, str(config), *(["--sentinel"] if sentinel else [])]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        if ready:
            until = time.monotonic() + 20
            while not listens(port) and not any(line.startswith("port 0") for line in lines):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < until, "redis-server does not start"
                time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait(20)


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def until(holds: Callable[[], bool], patience_s: float = 20.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + patience_s
    while True:
        with contextlib.suppress(redis.RedisError):
            if holds():
                return
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.05)


class StandIn:
    """Says `greeting` to who comes, then to each command what `answers` has under its name (a list: in turn).

    What is not there is answered as Redis 7 would; None hangs up, "" is silence.
    """

    AS_REDIS: ClassVar[dict[str, bytes]] = {
        "PING": b"+PONG\r\n",
        "AUTH": b"+OK\r\n",
        "SELECT": b"+OK\r\n",
        "HELLO": b"*6\r\n+version\r\n$6\r\n7.0.15\r\n+mode\r\n+standalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n",
    }

    def __init__(self, answers: dict[str, list[bytes | None] | bytes | None] | None = None,
                 greeting: bytes | None = b"", drip_s: float = 0.0) -> None:  # fmt: skip
        self._answers = {**self.AS_REDIS, **(answers or {})}
        self._greeting = greeting
        self._drip_s = drip_s
        self.heard: list[list[str]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._lines: list[socket.socket] = []
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=self._serve, daemon=True, name="stand-in")]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for line in self._lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for line in self._lines:
            line.close()

    def _serve(self) -> None:
        while not self._closed.is_set():
            try:
                line, _ = self._listener.accept()
            except OSError:  # closed: the test is over
                return
            self._lines.append(line)
            self._threads.append(threading.Thread(target=self._speak, args=(line,), daemon=True, name="stand-in"))
            self._threads[-1].start()

    def _speak(self, line: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError, ValueError), line.makefile("rb") as reader:
            try:
                if self._greeting is None:
                    return
                self._send(line, self._greeting)
                while words := self._command(reader):
                    self.heard.append(words)
                    answer = self._answers.get(words[0], b"-ERR unknown command, with args beginning with: \r\n")
                    if isinstance(answer, list):
                        answer = answer.pop(0) if len(answer) > 1 else answer[0]
                    if answer is None:
                        return
                    self._send(line, answer)
            finally:
                line.shutdown(socket.SHUT_RDWR)

    def _send(self, line: socket.socket, answer: bytes) -> None:
        if not self._drip_s:
            line.sendall(answer)
            return
        for byte in answer:
            if self._closed.wait(self._drip_s):
                return
            line.sendall(bytes([byte]))

    @staticmethod
    def _command(reader: object) -> list[str]:
        first = reader.readline()  # type: ignore[attr-defined]
        if not first.startswith(b"*"):
            return []
        words = []
        for _ in range(int(first[1:])):
            length = int(reader.readline()[1:])  # type: ignore[attr-defined]
            words.append(reader.read(length + 2)[:-2].decode())  # type: ignore[attr-defined]
        return words
