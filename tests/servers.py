"""Real PostgreSQL servers for the tests: where their programs come from, how they start, what they are asked.

Majors other than the embedded one come from `.servers/` (see scripts/install_servers.py), 15 from the distribution if
it is there. Each is started once a process, when it is first asked for, in a folder of its own that is removed at the
end; with pytest-xdist each worker has servers of its own. fsync is off for them (a test's data is no loss), and
everything else is at its default: what the leak tests look for in the log is what a user would find in his.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

import psycopg
from psycopg import conninfo, sql

from lancio import embedded

PROJECT = Path(__file__).resolve().parent.parent
POOL = PROJECT / ".servers"
EMBEDDED = 18
DEFAULT_VERSIONS = (18, 10, 12, 15, 17)
SUPERUSER = "postgres"
PASSWORD = "Pr0be-of-the-test-servers"

_serial = itertools.count(1)


class Unavailable(Exception):  # noqa: N818  (a fact about the machine, which becomes a skip)
    """A server that cannot be had here; the message names it and says why."""


@dataclass
class TestServer:
    """A running server that belongs to the tests."""

    __test__: ClassVar[bool] = False

    version: int
    """Major version."""
    host: str
    port: int
    superuser: str
    password: str
    bindir: Path | None = None
    """None for a server given by LANCIO_TEST_DSN."""
    installation: embedded.Installation | None = None
    data: Path | None = None
    socket: Path | None = None
    """The folder of its Unix socket."""
    log_file: Path | None = None
    home: Path | None = field(default=None, repr=False)

    def url(self, dbname: str = "postgres", *, user: str | None = None, password: str | None = None) -> str:
        """A connection string, with the password in it."""
        name, secret = quote(user or self.superuser, safe=""), quote(password or self.password, safe="")
        return f"postgresql://{name}:{secret}@{self.host}:{self.port}/{quote(dbname, safe='')}"

    def connect(self, dbname: str = "postgres", **arguments: object) -> psycopg.Connection:
        return psycopg.connect(self.url(dbname), autocommit=True, **arguments)

    def create_database(self, template: str | None = None, name: str | None = None) -> str:
        """Create a database and return its URL; `template` is a database's name (without sessions on it)."""
        name = name or f"t{os.getpid()}_{next(_serial)}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(template or "template0")
        )
        with self.connect() as connection:
            connection.execute(statement)
        return self.url(name)

    def drop_database(self, url_or_name: str) -> None:
        """Drop a database and end the sessions on it; it need not exist."""
        name = database_of(url_or_name)
        with self.connect() as connection:
            if self.version >= 13:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
                return
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))

    def stop(self) -> None:
        """Stop it cleanly and remove what it left; a server that was given is left alone."""
        if self.data is not None:
            embedded.halt(self.data)
        if self.home is not None:
            shutil.rmtree(self.home, ignore_errors=True)


def database_of(url_or_name: str) -> str:
    """The database that a URL names; a bare name is itself."""
    if "://" not in url_or_name:
        return url_or_name
    return str(conninfo.conninfo_to_dict(url_or_name)["dbname"])


def start(version: int) -> TestServer:
    """Start a server of a major version.

    Raises:
        Unavailable: it is not installed, or does not run on this machine.
    """
    account = embedded.ordinary_account() if os.geteuid() == 0 else None
    home = Path(tempfile.mkdtemp(prefix="lt-", dir="/tmp"))
    try:
        if account is not None:
            os.chown(home, account.uid, account.gid)
        installation = _installation(version, account, home)
        data, log = home / "data", home / "log"
        embedded.initialise(installation, data, account=account, superuser=SUPERUSER, password=PASSWORD, sync=False)
        running = embedded.launch(
            installation,
            data,
            sockets=embedded.socket_folder(home / "run", account),
            log=log,
            account=account,
            settings={"fsync": "off"},
        )
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
    return TestServer(
        version=version,
        host="127.0.0.1",
        port=running.port,
        superuser=SUPERUSER,
        password=PASSWORD,
        bindir=installation.bindir,
        installation=installation,
        data=data,
        socket=running.sockets,
        log_file=log,
        home=home,
    )


def given(dsn: str) -> TestServer:
    """The server that LANCIO_TEST_DSN names; it is neither started nor stopped here."""
    with psycopg.connect(dsn) as connection:
        info = connection.info
        return TestServer(
            version=info.server_version // 10000,
            host=info.host,
            port=info.port,
            superuser=info.user,
            password=info.password,
        )


def _installation(version: int, account: embedded.Account | None, home: Path) -> embedded.Installation:
    for folder in _folders(version, home):
        if not (folder / "bin" / "postgres").is_file():
            continue
        found = embedded.inspect_installation(folder / "bin", account, _libraries(folder))
        if isinstance(found, str) and account is not None:
            # A project under a closed home: the account PostgreSQL runs as gets a copy.
            copy = home / "installation"
            shutil.copytree(folder, copy, symlinks=True)
            found = embedded.inspect_installation(copy / "bin", account, _libraries(copy))
        if isinstance(found, str):
            raise Unavailable(f"PostgreSQL {version} does not run here: {found}")
        if found.major == version:
            return found
    raise Unavailable(
        f"PostgreSQL {version} is not installed (python scripts/install_servers.py {version} installs it)"
    )


def _folders(version: int, home: Path) -> list[Path]:
    if version == EMBEDDED:
        try:
            POOL.mkdir(exist_ok=True)
            return [embedded.unpack(POOL if os.access(POOL, os.W_OK) else home), POOL / f"pg{version}"]
        except embedded.EmbeddedError as error:
            if not (POOL / f"pg{version}").is_dir():
                raise Unavailable(f"PostgreSQL {version}: {error.message}: {error.cause}") from error
    debian = Path(f"/usr/lib/postgresql/{version}")
    # Of the distribution's only 15 is part of the matrix; the others are pinned, so that a failure can be repeated.
    return [debian, POOL / f"pg{version}"] if version == 15 else [POOL / f"pg{version}"]


def _libraries(folder: Path) -> Path | None:
    return None if folder.is_relative_to("/usr") else folder / "lib"


def psql_program() -> tuple[str, dict[str, str]]:
    """A psql and the environment it needs: of PATH, else the embedded one's.

    Raises:
        Unavailable: there is none.
    """
    if found := shutil.which("psql"):
        return found, {}
    return newest_program("psql")


def newest_program(name: str) -> tuple[str, dict[str, str]]:
    """A program of the embedded PostgreSQL and the environment it needs; those of .servers have no clients.

    Raises:
        Unavailable: there is none.
    """
    with contextlib.suppress(embedded.EmbeddedError):
        folder = embedded.unpack(POOL)
        return str(folder / "bin" / name), {"LD_LIBRARY_PATH": str(folder / "lib")}
    raise Unavailable(f"{name} is neither in PATH nor in the embedded PostgreSQL")


def run_psql(
    url: str,
    file: Path | str | None = None,
    sql: str | None = None,
    env: dict[str, str] | None = None,
    stop_on_error: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a file or a text with plain psql, as its users do: it goes on after an error unless told otherwise.

    The password travels in PGPASSWORD, never on the command line. Files of start-up (psqlrc) are not read.
    """
    program, own = psql_program()
    parts = {name: str(value) for name, value in conninfo.conninfo_to_dict(url).items() if value is not None}
    password = parts.pop("password", None)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    environment |= own | ({"PGPASSWORD": password} if password else {}) | (env or {})
    command = [program, "-X", "-d", conninfo.make_conninfo("", **parts)]
    if stop_on_error:
        command += ["-v", "ON_ERROR_STOP=1"]
    if file is not None:
        command += ["-f", str(file)]
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        input=sql if file is None else None,
        stdin=subprocess.DEVNULL if file is not None else None,
    )


def redis_program() -> str:
    """Where redis-server is; a named skip where it is not installed."""
    import pytest

    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed (make packages installs it)")
    return program
