"""Where can files be tried without harm to anything?

On databases of our own, which are gone at the end: on a PostgreSQL started for this alone (in a temporary folder, with
fsync off: its data is no loss), or on a given server where the role may CREATE DATABASE.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import conninfo, sql

from lancio import embedded, postgres, settings
from lancio.errors import EmbeddedError, ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PREFIX = "lancio_scratch_"
"""How the names of all scratch databases begin."""

STRATEGY_SINCE = 15
"""The major version from which CREATE DATABASE can copy through the log, without a checkpoint at both ends."""

JIT_SINCE = 11
"""The major version from which there is a setting jit, which sessions on scratch databases switch off."""

_FOLDER = "lancio-scratch-"
_QUICK = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",  # a worker in a template would be in the way of copying it
    "max_wal_size": "256MB",
}

MEMORY = Path("/dev/shm")  # noqa: S108  (a scratch server's folder in it has a name of its own, and is closed to others)
MEMORY_FREE = 2 * 1024**3
"""Bytes that a file system in memory must have free to be used: a copy of a database there takes a tenth of the time
that it takes on a disk (0.06 s against 0.6 s, for 300 relations)."""


@dataclass
class Scratch:
    """A server on which databases are made and thrown away; `clear` drops them."""

    conninfo: str = field(repr=False)
    """Of a database from which others can be made; a password may be in it."""
    said: str
    """The server in words."""
    version: int
    """server_version_num: 180001."""
    family: str = field(default_factory=lambda: f"{PREFIX}{os.getpid()}_{secrets.token_hex(4)}_")
    """How the names of these databases begin; processes that work together share it."""
    installation: embedded.Installation | None = None
    """The programs of a server of our own."""
    folder: Path | None = None
    """Of a server of our own: `data` and `log` are in it, and all of it is removed with the server."""
    named: str | None = None
    """What the first database is called on a server of our own, so that a file may speak of its database by name."""
    _serial: int = 0

    @property
    def major(self) -> int:
        """The major version: 18."""
        return self.version // 10000

    def create(self, template: str | None = None) -> str:
        """Make a database, empty or a copy of another one of these (which nobody may be connected to); its name.

        Raises:
            ServerError: the server refuses, with its own words.
        """
        self._serial += 1
        name = f"{self.family}{os.getpid()}_{self._serial}"
        if template is None and self.folder is not None and self.named is not None and not self._there(self.named):
            name = self.named
        words = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(template or "template0")
        )
        if self.major >= STRATEGY_SINCE:
            words += sql.SQL(" STRATEGY wal_log")
        self._administer(words, "a scratch database cannot be made")
        return name

    def drop(self, name: str) -> None:
        """Drop a database made here, whoever is connected to it."""
        force = 13  # the major version from which DROP DATABASE can end the sessions itself
        words = sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name))
        if self.major >= force:
            words += sql.SQL(" WITH (FORCE)")
        self._administer(words, f"the scratch database {name} cannot be dropped")

    def clear(self) -> None:
        """Drop all of the family, whichever process made them."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            rows = connection.execute(
                "SELECT datname FROM pg_database WHERE left(datname, length(%(family)s)) = %(family)s",
                {"family": self.family},
            )
            names = [row[0] for row in rows]
        for name in names:
            self.drop(name)

    @contextlib.contextmanager
    def connect(self, name: str, options: str = "") -> Iterator[psycopg.Connection[Any]]:
        """A session in autocommit mode on a database made here."""
        if self.major < JIT_SINCE:
            options = options.replace("-c jit=off", "")
        target = conninfo.make_conninfo(self.conninfo, dbname=name, **({"options": options} if options else {}))
        connection = psycopg.connect(target, autocommit=True, prepare_threshold=None)
        try:
            yield connection
        finally:
            connection.close()

    def _there(self, name: str) -> bool:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
        return found is not None

    def _administer(self, words: sql.Composed, failed: str) -> None:
        try:
            with psycopg.connect(self.conninfo, autocommit=True) as connection:
                connection.execute(words)
        except psycopg.Error as error:
            raise ServerError(
                failed,
                cause=" ".join(str(error.diag.message_primary or error).split()),
                remedy="Name by --scratch a server where this role may CREATE DATABASE, or leave the flag out: "
                "then a server of our own is started.",
            ) from None


@contextlib.contextmanager
def server(
    url: str | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    major: int | None = None,
    exact: bool = True,
    configured: Mapping[str, str] | None = None,
    named: str | None = None,
) -> Iterator[Scratch]:
    """A scratch server: the one that `url` names, or one started for this and removed at the end.

    One of our own is of that `major` version, if one is asked; another one does where this machine lacks it, unless
    that has to be `exact`. Of a given one it is the caller's to look. One of our own is started with the settings that
    are `configured`, besides those that make it quick, and its first database is called as `named` says.

    At the end, also after Ctrl-C, every database that was made is dropped.

    Raises:
        UsageError: `url` is no connection string.
        ServerError: nobody answers there, or no PostgreSQL can be started here.
    """
    with contextlib.ExitStack() as stack:
        own = _own(os.environ if environ is None else environ, major, configured or {}, exact=exact)
        scratch = replace(stack.enter_context(own), named=named) if url is None else at(url)
        try:
            yield scratch
        except psycopg.Error as error:
            raise postgres.interrupted(postgres.resolve(scratch.conninfo), error) from error
        finally:
            with undisturbed():
                scratch.clear()


def version_of(url: str | None = None, environ: Mapping[str, str] | None = None) -> str:
    """The version that `server` would have, as people say it ("18.1"); nothing is started for it.

    Raises:
        UsageError: `url` is no connection string.
        ServerError: nobody answers there, or no PostgreSQL can be started here.
    """
    environ = os.environ if environ is None else environ
    if url is None:
        return installation(environ).version
    with contextlib.closing(postgres.connect(postgres.resolve(url))) as connection:
        return str(connection.info.parameter_status("server_version"))


def at(url: str, family: str = "") -> Scratch:
    """A given server, for databases of one's own, or of the `family` of another process, which will clear them.

    Raises:
        UsageError: `url` is no connection string.
        ServerError: nobody answers there.
    """
    target = postgres.resolve(url)
    with contextlib.closing(postgres.connect(target)) as connection:
        version = connection.info.server_version
    scratch = Scratch(target.conninfo, target.display, version)
    return replace(scratch, family=family) if family else scratch


@contextlib.contextmanager
def _own(
    environ: Mapping[str, str], major: int | None, configured: Mapping[str, str], *, exact: bool
) -> Iterator[Scratch]:
    account = _account()
    _sweep()
    found = installation(environ, major, exact=exact)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-", dir=_place(environ)))
    except OSError as error:
        raise ServerError(
            "there is no room for a scratch server",
            cause=f"{error.filename}: {error.strerror}.",
            remedy="Let TMPDIR name a folder that you may write to, or name a server by --scratch.",
        ) from error
    data = folder / "data"
    try:
        if account is not None:
            os.chown(folder, account.uid, account.gid)
        password = secrets.token_urlsafe(24)
        embedded.initialise(found, data, account=account, superuser=embedded.SUPERUSER, password=password, sync=False)
        running = embedded.launch(
            found,
            data,
            sockets=embedded.socket_folder(folder / "run", account),
            log=folder / "log",
            account=account,
            settings={**_QUICK, **configured},
        )
        target = conninfo.make_conninfo(
            "",
            host="127.0.0.1",
            hostaddr="127.0.0.1",
            port=running.port,
            user=embedded.SUPERUSER,
            password=password,
            dbname="postgres",
            sslmode="disable",
            gssencmode="disable",
            target_session_attrs="any",
            options="",
        )
        with psycopg.connect(target, autocommit=True) as connection:
            version = connection.info.server_version
        yield Scratch(target, f"a scratch PostgreSQL {found.version}", version, installation=found, folder=folder)
    finally:
        with undisturbed():
            _remove(folder)


def _account() -> embedded.Account | None:
    return embedded.ordinary_account() if os.geteuid() == 0 else None


def installation(environ: Mapping[str, str], major: int | None = None, *, exact: bool = True) -> embedded.Installation:
    """The programs of a server of our own, unpacked beside the embedded server's; of that major version, if asked.

    Raises:
        EmbeddedError: there are none.
        ServerError: they cannot be unpacked.
    """
    account = _account()
    programs = settings.home(environ)
    try:
        programs.mkdir(mode=0o755 if account else 0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ServerError(
            "there is no room for a scratch server's programs",
            cause=f"{error.filename}: {error.strerror}.",
            remedy="Let LANCIO_HOME name a folder that you may write to, or name a server by --scratch.",
        ) from error
    try:
        return embedded.choose_installation(environ, programs, account, major)
    except EmbeddedError as error:
        if major is None:
            raise
        if not exact:
            return embedded.choose_installation(environ, programs, account, None)
        raise EmbeddedError(
            f"no PostgreSQL {major} can be started here as a scratch server",
            cause=error.cause,
            remedy="Name a server of that version by --scratch, or its programs by LANCIO_PGBIN.",
        ) from error


def _place(environ: Mapping[str, str]) -> Path | None:
    """The folder for temporary files, or one in memory where there is room and TMPDIR does not say otherwise."""
    if environ.get("TMPDIR"):
        return None
    try:
        found = os.statvfs(MEMORY)
    except OSError:
        return None
    roomy = found.f_bavail * found.f_frsize >= MEMORY_FREE
    return MEMORY if roomy and os.access(MEMORY, os.W_OK | os.X_OK) else None


def _sweep() -> None:
    """Remove the servers of processes that were killed before they could do it themselves."""
    places = {Path(tempfile.gettempdir()), MEMORY}
    for folder in (found for place in places for found in place.glob(f"{_FOLDER}*")):
        owner = folder.name.removeprefix(_FOLDER).partition("-")[0]
        with contextlib.suppress(OSError):  # somebody else's, or gone meanwhile
            if owner.isdigit() and not Path(f"/proc/{owner}").exists() and Path("/proc/self").exists():
                _remove(folder)


def _remove(folder: Path) -> None:
    embedded.halt(folder / "data")
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """No second Ctrl-C or kill between here and the end: a half-finished cleaning would leave databases behind."""
    import signal

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
