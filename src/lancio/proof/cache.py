"""Where what was proved once is kept: a folder that may be deleted at any time, by any number of processes at once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def folder(environ: Mapping[str, str] | None = None) -> Path:
    """`LANCIO_CACHE`, else `XDG_CACHE_HOME/lancio`, else `~/.cache/lancio`; it need not exist.

    A relative XDG_CACHE_HOME is ignored, as the XDG specification demands.
    """
    environ = os.environ if environ is None else environ
    if named := environ.get("LANCIO_CACHE"):
        return Path(named).expanduser().absolute()
    if (given := environ.get("XDG_CACHE_HOME", "")) and Path(given).is_absolute():
        return Path(given) / "lancio"
    return Path(environ.get("HOME") or Path.home()).absolute() / ".cache" / "lancio"


def key(parts: Iterable[str]) -> str:
    """SHA-256 over texts, in hex; where one ends counts."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:{part};".encode())
    return digest.hexdigest()


class Cache:
    """JSON values by key, one file each. What cannot be read or written is as if it were not there."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def get(self, name: str) -> Any:
        """The value of a key, None if there is none (or a spoilt one)."""
        try:
            return json.loads(self._path(name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def put(self, name: str, value: object) -> None:
        """Keep a value; readers see the old file or the new one, never half of it."""
        path = self._path(name)
        fresh = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        with contextlib.suppress(OSError):  # a full disk or a closed folder costs time, not truth
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                fresh.write_text(json.dumps(value, separators=(",", ":")), encoding="utf-8")
                fresh.replace(path)
            finally:
                fresh.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.place / name[:2] / f"{name}.json"
