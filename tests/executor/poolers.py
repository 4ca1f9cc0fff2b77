"""Poolers for the tests: Debian's pgbouncer in a folder of its own, and one that lies about the process it gives."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from lancio import embedded


@contextmanager
def pgbouncer(server, mode, *, size=6):
    """A function from a database's URL to one through pgbouncer in that pool mode; skipped where there is none."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed (make packages installs it)")
    account = embedded.ordinary_account() if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="lb-", dir="/tmp"))
    port = _free_port()
    (folder / "users").write_text(f'"{server.superuser}" "{server.password}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={server.host} port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {folder}/users\n"
        f"pool_mode = {mode}\ndefault_pool_size = {size}\nlogfile = {folder}/log\n"
    )
    if account is not None:
        for path in (folder, *folder.iterdir()):
            os.chown(path, account.uid, account.gid)
    who = {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}
    process = subprocess.Popen(
        [program, str(folder / "pgbouncer.ini")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **who
    )

    def through(url):
        parts = urlsplit(url)
        login = parts.netloc.rsplit("@", 1)[0]
        return urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}"))

    try:
        until = time.monotonic() + 10
        while True:
            try:
                psycopg.connect(through(server.url())).close()
                break
            except psycopg.Error as error:
                if time.monotonic() > until or process.poll() is not None:
                    raise AssertionError(
                        f"pgbouncer does not start: {error}; {(folder / 'log').read_text()}"
                    ) from error
                time.sleep(0.05)
        yield through
    finally:
        process.terminate()
        process.wait(timeout=10)
        shutil.rmtree(folder, ignore_errors=True)


class Liar:
    """A pooler in transaction mode that tells each client a server process id that is real, of one of its servers.

    So the one comparison that finds most poolers finds nothing. Each transaction gets the next of its servers.
    """

    def __init__(self, url, servers=3):
        self._servers = [psycopg.connect(url, autocommit=True) for _ in range(servers)]
        self._ends = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        parts = urlsplit(url)
        port = self._listener.getsockname()[1]
        login = parts.netloc.rsplit("@", 1)[0]
        self.url = urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}", query="sslmode=disable"))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self):
        for end in (self._listener, *self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=10)
        for end in (self._listener, *self._ends, *self._servers):
            end.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._ends.append(client)
                self._threads.append(threading.Thread(target=self._serve, args=(client,), daemon=True))
                self._threads[-1].start()

    def _serve(self, client):
        with suppress(OSError, EOFError):
            (length,) = struct.unpack("!I", _read(client, 4))
            _read(client, length - 4)
            told = self._servers[0].info
            hello = b"R" + struct.pack("!II", 8, 0)
            for name in ("server_version", "client_encoding", "standard_conforming_strings", "DateStyle", "TimeZone"):
                pair = f"{name}\0{told.parameter_status(name)}\0".encode()
                hello += b"S" + struct.pack("!I", len(pair) + 4) + pair
            client.sendall(
                hello + b"K" + struct.pack("!III", 12, told.backend_pid, 1) + b"Z" + struct.pack("!Ic", 5, b"I")
            )
            turn = 0
            while True:
                server = socket.socket(fileno=os.dup(self._servers[turn % len(self._servers)].fileno()))
                server.setblocking(True)
                turn += 1
                with server:
                    self._transaction(client, server)

    def _transaction(self, client, server):
        """Forward messages until the server is ready and in no transaction."""
        state = b""
        while state != b"I":
            kind, text = _message(client)
            if kind == b"X":
                raise EOFError
            server.sendall(kind + struct.pack("!I", len(text) + 4) + text)
            if kind in (b"Q", b"S"):
                while True:
                    said, words = _message(server)
                    client.sendall(said + struct.pack("!I", len(words) + 4) + words)
                    if said == b"Z":
                        state = words
                        break


def _message(end):
    kind = _read(end, 1)
    (length,) = struct.unpack("!I", _read(end, 4))
    return kind, _read(end, length - 4)


def _read(end, count):
    data = b""
    while len(data) < count:
        if not (part := end.recv(count - len(data))):
            raise EOFError
        data += part
    return data


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]
