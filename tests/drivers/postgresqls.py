"""PostgreSQL servers with TLS and one way to log in for each user; standbys; and answers that no server would give."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from authority import Authority, Issued

import servers
from lancio import embedded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PASSWORD = "Canary-of-the-password-7f3a"
USERS = (
    "scram_user", "md5_user", "plain_user", "tls_user", "clear_user", "cert_user", "with_cert", "rejected_user",
    "trusted_user", "full_user", "idle_user", "unlisted_user", "nologin_user", "blind_user", "reader_user",
)  # fmt: skip


@dataclass
class Secured:
    """A server with TLS, and its certificates."""

    server: servers.TestServer
    authority: Authority
    stranger: Authority
    """One that the server does not know."""
    client: Issued
    """For cert_user."""
    folder: Path
    account: embedded.Account | None

    def url(self, user: str = "scram_user", password: str | None = PASSWORD, *, host: str = "localhost",
            database: str = "app_canary", **options: object) -> str:  # fmt: skip
        """A connection string, by TLS to the certificate's name where options do not say otherwise."""
        given = {"sslmode": "verify-full", "sslrootcert": self.authority.file} | options
        pairs = {name: str(value) for name, value in given.items() if value is not None}
        secret = f":{quote(password, safe='')}" if password is not None else ""
        query = urlencode(pairs, quote_via=quote)
        return f"postgresql://{user}{secret}@{quote(host, safe='')}:{self.server.port}/{database}?{query}"

    def present(self, label: str, **how: int) -> Issued:
        """A certificate for localhost that is wrong in something, by this server's authority."""
        return self.authority.issue(label, "localhost", "127.0.0.1", owner=self.account, **how)  # type: ignore[arg-type]

    @contextlib.contextmanager
    def presenting(self, issued: Issued) -> Iterator[None]:
        """The server with another certificate."""
        self.settings(ssl_cert_file=str(issued.certificate), ssl_key_file=str(issued.key))
        try:
            yield
        finally:
            self.settings(ssl_cert_file=str(self.own.certificate), ssl_key_file=str(self.own.key))

    @property
    def own(self) -> Issued:
        """The server's."""
        return Issued(*(self.folder / f"server.{ending}" for ending in ("crt", "key", "pem")))

    def settings(self, **values: str) -> None:
        """Set them, and wait until new sessions have them."""
        with self.server.connect() as connection:
            for name, value in values.items():
                connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
            connection.execute("SELECT pg_reload_conf()")
        for _ in range(200):
            with self.server.connect() as connection:
                shown = {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in values}  # type: ignore[index]
            if shown == values:
                return
        raise AssertionError(f"{shown} instead of {values}")

    def log(self) -> str:
        return self.server.log_file.read_text(encoding="utf-8", errors="replace")  # type: ignore[union-attr]


@contextlib.contextmanager
def secured(version: int) -> Iterator[Secured]:
    """A server of a major version with one way to log in for each user.

    Raises:
        Unavailable: it is not there.
    """
    server = servers.start(version)
    folder = Path(tempfile.mkdtemp(prefix="lt-tls-", dir="/tmp"))
    try:
        account = _account()
        folder.chmod(0o755)
        authority, stranger = Authority(folder), Authority(folder / "stranger", "A stranger")
        authority.issue("server", "localhost", "127.0.0.1", owner=account)
        client = authority.issue("client", subject="cert_user")
        made = Secured(server, authority, stranger, client, folder, account)
        _users(made)
        (server.data / "pg_hba.conf").write_text(_hba(version), encoding="ascii")  # type: ignore[operator]
        made.settings(
            ssl_ca_file=str(authority.file), ssl_cert_file=str(made.own.certificate), ssl_key_file=str(made.own.key)
        )
        made.settings(ssl="on")
        yield made
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _users(made: Secured) -> None:
    with made.server.connect() as connection:
        for user in USERS:
            method = "md5" if user == "md5_user" else "scram-sha-256"
            connection.execute(f"SET password_encryption = '{method}'")
            connection.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'")
        connection.execute("ALTER ROLE nologin_user NOLOGIN")
        connection.execute("ALTER ROLE full_user CONNECTION LIMIT 0")
        connection.execute("ALTER ROLE reader_user SET default_transaction_read_only = on")
        for database in ("app_canary", "closed_canary", "shut_canary", "blind_canary"):
            connection.execute(f"CREATE DATABASE {database}")
        connection.execute("REVOKE CONNECT ON DATABASE closed_canary FROM PUBLIC")
        connection.execute("ALTER DATABASE shut_canary ALLOW_CONNECTIONS false")
    with made.server.connect("blind_canary") as connection:
        connection.execute("REVOKE EXECUTE ON FUNCTION pg_is_in_recovery() FROM PUBLIC")


def _hba(version: int) -> str:
    wanted = "verify-ca" if version >= 12 else "1"
    lines = [
        "local all all scram-sha-256",
        "hostssl all tls_user all scram-sha-256",
        "hostnossl all clear_user all scram-sha-256",
        "host all md5_user all md5",
        "host all plain_user all password",
        "hostssl all cert_user all cert",
        f"hostssl all with_cert all scram-sha-256 clientcert={wanted}",
        "host all rejected_user all reject",
        "host all trusted_user all trust",
        "host all scram_user,full_user,idle_user,nologin_user,blind_user,reader_user,nobody_at_all all scram-sha-256",
        "host all postgres all scram-sha-256",
    ]
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def standby(version: int) -> Iterator[servers.TestServer]:
    """A server that recovers and never ends: a stopped one's folder, as a standby without a primary.

    That needs no pg_basebackup, which only the embedded server has.
    """
    server = servers.start(version)
    try:
        embedded.halt(_data(server))
        _standing_by(server, {"hot_standby": "on"})
        _again(server)
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def starting(version: int) -> Iterator[servers.TestServer]:
    """A server that does not come up: it waits for an archive's answer before it has recovered anything."""
    server = servers.start(version)
    try:
        embedded.halt(_data(server))
        _standing_by(server, {"port": str(server.port), "unix_socket_directories": f"'{server.socket}'"},
                     restore_command="sleep 60; false")  # fmt: skip
        assert server.bindir is not None
        assert server.installation is not None
        account = _account()
        subprocess.run(
            [server.bindir / "pg_ctl", "start", "-W", "-s", "-D", _data(server), "-l", server.log_file],
            check=True, env=server.installation.environment(), stdout=subprocess.DEVNULL,
            user=account.uid if account else None, group=account.gid if account else None, cwd="/",
        )  # fmt: skip
        deadline = time.monotonic() + 10
        while not _listens(server.port):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield server
    finally:
        if (running := embedded.read_postmaster(_data(server))) is not None:
            os.kill(running.pid, signal.SIGQUIT)
            while embedded.read_postmaster(_data(server)) is not None:
                time.sleep(0.02)
        server.stop()


@contextlib.contextmanager
def small(version: int, connections: int) -> Iterator[servers.TestServer]:
    """A server of so many connections."""
    server = servers.start(version)
    try:
        with server.connect() as connection:
            for name, value in (
                ("max_connections", connections), ("superuser_reserved_connections", 0), ("max_wal_senders", 0)
            ):  # fmt: skip
                connection.execute(f"ALTER SYSTEM SET {name} = {value}")
        embedded.halt(_data(server))
        _again(server)
        yield server
    finally:
        server.stop()


def _listens(port: int) -> bool:
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0


def _standing_by(server: servers.TestServer, settings: dict[str, str], restore_command: str = "") -> None:
    """Make its folder a standby's, before 12 and since."""
    data = _data(server)
    restoring = f"restore_command = '{restore_command}'\n" if restore_command else ""
    modern = server.version >= 12
    mark = data / ("standby.signal" if modern else "recovery.conf")
    mark.write_text("" if modern else "standby_mode = on\n" + restoring, encoding="ascii")
    if (account := _account()) is not None:
        os.chown(mark, account.uid, account.gid)
    with (data / "postgresql.auto.conf").open("a", encoding="ascii") as file:
        file.write("".join(f"{name} = {value}\n" for name, value in settings.items()) + (restoring if modern else ""))


def _again(server: servers.TestServer) -> None:
    assert server.installation is not None
    assert server.socket is not None
    assert server.log_file is not None
    running = embedded.launch(
        server.installation, _data(server), sockets=server.socket, log=server.log_file, account=_account(),
        settings={"fsync": "off"},
    )  # fmt: skip
    assert running.port is not None
    server.port = running.port


def _data(server: servers.TestServer) -> Path:
    assert server.data is not None
    return server.data


def _account() -> embedded.Account | None:
    return embedded.ordinary_account() if os.geteuid() == 0 else None


# --- answers that no server would give --------------------------------------------------------------------------------


@contextlib.contextmanager
def answering(script: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of something that goes by a script with each connection; an end of the line ends the script."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []
    lines: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            lines.append(line)
            threads.append(threading.Thread(target=one, args=(line,)))
            threads[-1].start()

    def one(line: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError), line:
            script(line)

    accepting = threading.Thread(target=serve)
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()
        for line in lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def refusal(state: str, routine: str = "", text: str = "canary-text") -> bytes:
    """An ErrorResponse."""
    fields = {"S": "FATAL", "V": "FATAL", "C": state, "M": text, "R": routine}
    return message(b"E", b"".join(f"{key}{value}\0".encode() for key, value in fields.items()) + b"\0")


def pooler(state: str, text: str) -> bytes:
    """An ErrorResponse as poolers in between make it (pgbouncer 1.18)."""
    return message(b"E", f"SFATAL\0C{state}\0M{text}\0\0".encode())


def request(number: int, body: bytes = b"") -> bytes:
    """An Authentication message."""
    return message(b"R", struct.pack("!i", number) + body)


def exactly(line: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        piece = line.recv(count - len(found))
        if not piece:
            raise EOFError
        found += piece
    return found


def started(line: socket.socket) -> None:
    """Say no to TLS, and take the startup message."""
    while True:
        length, code = struct.unpack("!ii", exactly(line, 8))
        exactly(line, length - 8)
        if code != 80877103:
            return
        line.sendall(b"N")


def taken(line: socket.socket) -> bytes:
    """A message of the client's."""
    exactly(line, 1)
    return exactly(line, struct.unpack("!i", exactly(line, 4))[0] - 4)
