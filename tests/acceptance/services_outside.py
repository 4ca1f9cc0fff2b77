"""Services outside for the tests: a real Redis, and servers that say exactly what they are told to say."""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Self

from servers import redis_program

if TYPE_CHECKING:
    from pathlib import Path


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Redis:
    """Debian's redis-server in a folder of its own, without anything on disk."""

    def __init__(self, folder: Path, password: str) -> None:
        program = redis_program()
        self.port = free_port()
        config = folder / "redis.conf"
        config.write_text(f"port {self.port}\nbind 127.0.0.1\nrequirepass {password}\nsave ''\ndir {folder}\n")
        self._command = [program, str(config)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            time.sleep(0.05)
        raise AssertionError("redis-server does not start")

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(20)


class Speaker:
    """Accepts connections, reads what it is asked, and says `answer`: None for nothing at all, b"" to hang up."""

    def __init__(self, answer: bytes | None, pause_s: float = 0.0) -> None:
        self._answer, self._pause_s = answer, pause_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed: the test is over
                return
            self._open.append(connection)
            threading.Thread(target=self._speak, args=(connection,), daemon=True).start()

    def _speak(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.recv(4096)
            if self._answer is None:
                return
            if self._pause_s:
                for byte in self._answer:
                    connection.sendall(bytes([byte]))
                    time.sleep(self._pause_s)
            else:
                connection.sendall(self._answer)
            connection.shutdown(socket.SHUT_WR)
            connection.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for connection in self._open:
            connection.close()


def _mongodb_hello() -> bytes:
    """What a MongoDB 7 says to isMaster, as far as a driver's first question needs it."""
    fields = (
        b"\x08isWritablePrimary\0\x01" + b"\x10maxWireVersion\0" + struct.pack("<i", 21)
        + b"\x10minWireVersion\0" + struct.pack("<i", 0) + b"\x01ok\0" + struct.pack("<d", 1.0)
    )  # fmt: skip
    document = struct.pack("<i", len(fields) + 5) + fields + b"\0"
    body = struct.pack("<I", 0) + b"\0" + document
    return struct.pack("<iiii", 16 + len(body), 77, 1, 2013) + body


MONGODB_HELLO = _mongodb_hello()
