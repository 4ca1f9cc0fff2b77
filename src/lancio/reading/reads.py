"""What do the files of a folder say, as far as that is known from before? What is not is read, side by side.

Reading is a function of a file's bytes, so it can be done anywhere. Where there is much of it, other processes take a
share each: they are forked from this one, where that is safe (on Linux, with no second thread), and send what they
read through a pipe. What does not come, for whatever reason, is read here when it is asked for.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

from lancio.errors import SourceError
from lancio.reading import cache, model, operations

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lancio.reading.cache import Cache
    from lancio.reading.model import FileOps, Op
    from lancio.reading.source import Folder, Migration

LEAST = 300_000
"""Bytes for which a second process is worth its while (seen: a fork and its pipe take 10 ms)."""

MOST = 8
"""So many processes at once."""


class Reads:
    """What the files of a folder say, as far as it is known from before; `save` keeps what was read anew."""

    def __init__(self, kept: Cache, folder: Folder) -> None:
        self._cache = kept
        self._folder = folder
        self._name = f"read-{cache.key(str(folder.path.absolute()))}"
        self._known: dict[str, bytes] | None = None
        self._read: dict[str, FileOps] = {}  # in this process, and not asked for yet
        self._new = False

    def read(self, migration: Migration) -> FileOps:
        """All that one file says.

        Raises:
            SyntaxRefused: PostgreSQL's grammar does not accept it.
        """
        known = self._packed()
        if migration.digest not in known and not self._new:
            self._new = True
            missing = [each for each in self._folder.migrations if each.digest not in known]
            self._read, packed = _ahead(missing)
            known.update(packed)
        if (read := self._read.pop(migration.digest, None)) is not None:
            return read
        if (kept := known.get(migration.digest)) is not None:
            found = cache.unpack(kept, cache.VALUES)
            if isinstance(found, model.FileOps):
                return found
        read = operations.read(migration)
        known[migration.digest] = cache.pack(read)
        self._new = True
        return read

    def _packed(self) -> dict[str, bytes]:
        if self._known is None:
            kept = self._cache.get(self._name)
            found = cache.unpack(kept, ()) if kept is not None else None
            self._known = found if isinstance(found, dict) else {}
        return self._known

    def save(self) -> None:
        """Keep what was read, for the files that the folder has now."""
        if self._new:
            known = self._packed()
            present = {each.digest for each in self._folder.migrations}
            self._cache.put(self._name, cache.pack({digest: known[digest] for digest in known if digest in present}))


def _ahead(migrations: Sequence[Migration]) -> tuple[dict[str, FileOps], dict[str, bytes]]:
    """What these files say, by digest: as it was read here, and packed; those that cannot be read are left out."""
    shares = _shares(migrations, _processes(migrations))
    others = [_fork(share) for share in shares[1:]]
    found = _read(shares[0])
    packed = {digest: cache.pack(each) for digest, each in found.items()}
    for pid, pipe in others:
        with os.fdopen(pipe, "rb") as answer:
            sent = cache.unpack(answer.read(), ())
        os.waitpid(pid, 0)
        packed.update(sent if isinstance(sent, dict) else {})
    return found, packed


def _processes(migrations: Sequence[Migration]) -> int:
    if sys.platform != "linux" or threading.active_count() > 1:
        return 1
    size = sum(len(each.text) for each in migrations)
    return max(1, min(len(os.sched_getaffinity(0)), MOST, size // LEAST + 1))


def _shares(migrations: Sequence[Migration], count: int) -> list[list[Migration]]:
    """So many parts of about the same size: the largest file first, each to the part that has least."""
    shares: list[list[Migration]] = [[] for _ in range(count)]
    sizes = [0] * count
    for each in sorted(migrations, key=lambda each: -len(each.text)):
        least = sizes.index(min(sizes))
        shares[least].append(each)
        sizes[least] += len(each.text)
    return shares


def _read(migrations: Sequence[Migration]) -> dict[str, FileOps]:
    found = {}
    for each in migrations:
        try:
            found[each.digest] = operations.read(each)
        except SourceError:
            continue  # it is refused where it is asked for, the first in the folder's order first
    return found


def _fork(migrations: Sequence[Migration]) -> tuple[int, int]:
    """A process that reads these files: its id, and the pipe that its answer comes from."""
    answer, send = os.pipe()
    pid = os.fork()
    if pid:
        os.close(send)
        return pid, answer
    status = 1
    try:
        os.close(answer)
        with os.fdopen(send, "wb") as pipe:
            read = _read(migrations)
            pipe.write(cache.pack({digest: cache.pack(each) for digest, each in read.items()}))
        status = 0
    finally:
        os._exit(status)  # nothing of the other process's may be flushed, closed or run here a second time


class Later(model.FileOps):
    """What a file says, its operations read when they are first asked for."""

    __slots__ = ("_found", "_read")
    _found: tuple[Op, ...] | None
    _read: Callable[[], FileOps]

    def __init__(self, known: FileOps, read: Callable[[], FileOps]) -> None:
        for name, value in (("statements", known.statements), ("directives", known.directives),
                            ("problems", known.problems), ("_read", read), ("_found", None)):  # fmt: skip
            object.__setattr__(self, name, value)

    @property
    def ops(self) -> tuple[Op, ...]:
        """The operations."""
        if self._found is None:
            object.__setattr__(self, "_found", self._read().ops)
        return self._found or ()
