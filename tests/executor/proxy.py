"""A wire between libpq and PostgreSQL that can be cut, or lie, at a chosen moment."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit


class Proxy:
    """Forwards TCP. `cut_after` drops the connection once the server has sent these bytes, which are held back."""

    def __init__(self, url: str, *, cut_after: bytes | None = None, backend_pid: int | None = None) -> None:
        parts = urlsplit(url)
        self.target = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self.cut_after = cut_after
        self.backend_pid = backend_pid
        self.armed = False
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        login = parts.netloc.rsplit("@", 1)[0]
        port = self._listener.getsockname()[1]
        self.url = urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}", query="sslmode=disable"))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._ends = [self._listener]
        self._threads[0].start()

    def cut(self) -> None:
        """End the connections there are; new ones go through."""
        for end in self._ends[1:]:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End every connection and wait for the threads: nothing may outlive the test."""
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=10)
        for end in self._ends:
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self.target)
                self._ends += [client, server]
                for arguments in ((client, server, False), (server, client, True)):
                    self._threads.append(threading.Thread(target=self._forward, args=arguments, daemon=True))
                    self._threads[-1].start()

    def _forward(self, source: socket.socket, sink: socket.socket, from_server: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if from_server and self.backend_pid is not None:
                    data = self._other_pid(data)
                if from_server and self.armed and self.cut_after is not None and self.cut_after in data:
                    self.armed = False
                    self.cuts += 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _other_pid(self, data: bytes) -> bytes:
        at = data.find(b"K\x00\x00\x00\x0c")
        if at < 0:
            return data
        return data[: at + 5] + struct.pack("!I", self.backend_pid) + data[at + 9 :]
