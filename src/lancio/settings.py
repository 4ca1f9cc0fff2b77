"""What flags and environment variables say, read once and handed on as a value."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lancio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT_HOME = Path("/var/lib/lancio")
"""Root's data folder: PostgreSQL runs as an ordinary account there, and root's own home is closed to all of them."""


@dataclass(frozen=True)
class Settings:
    """One invocation's settings; a flag wins over the variable of the same meaning."""

    home: Path
    """Where the embedded server and Lancio's caches live: LANCIO_HOME, or the user's data folder."""
    database: str | None = None
    """A connection string from --database. Without it DATABASE_URL, the PG* variables, the embedded server."""
    role: str | None = None
    """The role to become with SET ROLE once connected."""
    key_file: Path | None = None
    """The file of the key that seals credentials: LANCIO_KEY_FILE."""

    @classmethod
    def read(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        database: str | None = None,
        role: str | None = None,
        key_file: Path | None = None,
    ) -> Settings:
        """Put flags and environment together.

        Raises:
            UsageError: a flag that is given but empty.
        """
        environ = os.environ if environ is None else environ
        for flag, value in (("--database", database), ("--role", role)):
            if value is not None and not value.strip():
                raise UsageError(
                    f"{flag} is empty", cause="An empty value names nothing.", remedy=f"Give it a value or omit {flag}."
                )
        if role is not None and "://" in role:
            # It would be sent, refused, and be in the server's log with whatever is in it.
            raise UsageError(
                "--role is no name of a role",
                cause="It looks like an address. (It is not shown, for a password may be in it.)",
                remedy="Give the address as --database, and the role's bare name as --role.",
            )
        if key_file is None and (named := environ.get("LANCIO_KEY_FILE")):
            key_file = Path(named).expanduser()
        return cls(home(environ), database, role, key_file)


def home(environ: Mapping[str, str]) -> Path:
    """The user's data folder for Lancio; it need not exist.

    `LANCIO_HOME`, else `/var/lib/lancio` for root, else `XDG_DATA_HOME/lancio`, else `~/.local/share/lancio`.
    A relative XDG_DATA_HOME is ignored, as the XDG specification demands.
    """
    if named := environ.get("LANCIO_HOME"):
        return Path(named).expanduser().absolute()
    if os.geteuid() == 0:
        return ROOT_HOME
    if (data := environ.get("XDG_DATA_HOME", "")) and Path(data).is_absolute():
        return Path(data) / "lancio"
    own = environ.get("HOME") or pwd.getpwuid(os.geteuid()).pw_dir
    return Path(own).absolute() / ".local" / "share" / "lancio"
