"""What was read before need not be read again: a folder of answers, each under the hash of all that it depends on.

Only ever a shortcut. An answer that is not there, not whole or not ours is worked out anew, the folder may be deleted
at any time, and several processes may write to it at once: each file is put into its place whole, by a rename. It is
used only while nobody else can write to it, and what is unpacked can be nothing but the plain values named here.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pickle
import pwd
import stat
import sys
import time
from dataclasses import fields, is_dataclass
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lancio
from lancio.reading import model
from lancio.syntax import parser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


VARIABLE = "LANCIO_CACHE"
"""Names the folder, or is `off`."""

DAYS = 30
"""After so many days without use an answer is forgotten."""

LIMIT = 512 << 20
"""Bytes that the folder may hold; what was not used for longest goes first."""

_DAY = 86_400
_MARK = b"lancio\n"
_SIZE = hashlib.blake2b().digest_size

VALUES = (model.Span, model.Ref, model.Guard, model.Column, model.RowFact, model.Detail, model.Op, model.Output,
          model.Query, model.Directive, model.Statement, model.FileOps, frozenset)  # fmt: skip
"""The classes of which the answer to "what does this file say" is made."""


class Cache:
    """Answers in a folder, by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, name: str) -> bytes | None:
        """The answer of that name, if it is there and whole."""
        path = self.folder / name
        try:
            found = path.read_bytes()
            if time.time() - path.stat().st_mtime > _DAY:
                os.utime(path)  # it is still used
        except OSError:
            return None
        start = len(_MARK) + _SIZE
        whole = found.startswith(_MARK) and hashlib.blake2b(found[start:]).digest() == found[len(_MARK) : start]
        return found[start:] if whole else None

    def put(self, name: str, answer: bytes) -> None:
        """Keep an answer. Where that cannot be done, it is not kept."""
        passing = self.folder / f"{name}.{os.getpid()}.{time.monotonic_ns()}"
        try:
            with passing.open("xb") as file:
                file.write(_MARK + hashlib.blake2b(answer).digest() + answer)
            (self.folder / name).unlink(missing_ok=True)  # ext4 writes out at once what replaces another file
            passing.replace(self.folder / name)
            self._sweep()
        except OSError:
            with contextlib.suppress(OSError):
                passing.unlink()

    def _sweep(self) -> None:
        """Once a day: forget what was not used for long, and what is too much."""
        swept = self.folder / "swept"
        now = time.time()
        if swept.exists() and now - swept.stat().st_mtime < _DAY:
            return
        swept.touch()
        size = 0
        known = [(each.stat(), each) for each in self.folder.iterdir() if each != swept]
        for info, each in sorted(known, key=lambda item: -item[0].st_mtime):
            size += info.st_size
            if size > LIMIT or now - info.st_mtime > DAYS * _DAY:
                each.unlink(missing_ok=True)


def usual(environ: Mapping[str, str] | None = None) -> Cache | None:
    """The user's cache: LANCIO_CACHE, else XDG_CACHE_HOME/lancio, else ~/.cache/lancio.

    None where LANCIO_CACHE is `off`, where the folder cannot be made, or where it is not this user's alone.
    """
    environ = os.environ if environ is None else environ
    named = environ.get(VARIABLE, "")
    if named.lower() in ("off", "0", "no", "false"):
        return None
    base = environ.get("XDG_CACHE_HOME", "")
    if not Path(base).is_absolute():
        base = str(Path(environ.get("HOME") or pwd.getpwuid(os.geteuid()).pw_dir) / ".cache")
    folder = Path(named).expanduser().absolute() if named else Path(base) / "lancio"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        info = folder.lstat()
    except OSError:
        return None
    ours = stat.S_ISDIR(info.st_mode) and info.st_uid == os.geteuid() and not info.st_mode & 0o022
    return Cache(folder) if ours else None


@cache
def version() -> str:
    """A hash of all that an answer depends on beside the files: our own code, the parser's library, Python."""
    digest = hashlib.blake2b(f"{lancio.__version__} {sys.version}".encode())
    package = Path(lancio.__file__).parent
    for room in ("syntax", "reading", "catalog", "planner"):
        for path in sorted((package / room).rglob("*")):
            if path.suffix in (".py", ".json", ".sql"):
                digest.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes())
    library = parser.library_path().stat()
    digest.update(f"{library.st_size} {library.st_mtime_ns}".encode())
    return digest.hexdigest()


def key(*parts: str) -> str:
    """The name of the answer to a question that these are all parts of."""
    return hashlib.sha256("\0".join((version(), *parts)).encode()).hexdigest()


# Packing: Python's own pickle, from which nothing can come but the classes that are named.


class _Packer(pickle.Pickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=5)

    def reducer_override(self, obj: Any) -> Any:
        kind: Any = type(obj)
        values = _values_of(kind)
        return (kind, values(obj)) if values is not None else NotImplemented


class _PackerApart(_Packer):
    """Asked for each value: only where some are not to be packed."""

    def __init__(self, file: io.BytesIO, apart: Callable[[object], object]) -> None:
        super().__init__(file)
        self._apart = apart

    def persistent_id(self, obj: object) -> object:
        return self._apart(obj)


@cache
def _values_of(kind: Any) -> Callable[[object], tuple[object, ...]] | None:
    """What gives the values of a dataclass's fields; None for any other class."""
    if not is_dataclass(kind):
        return None
    found = attrgetter(*(each.name for each in fields(kind)))
    return found if len(fields(kind)) > 1 else lambda value: (found(value),)


class _Unpacker(pickle.Unpickler):
    def __init__(self, packed: bytes, classes: Iterable[type], apart: Callable[[object], object]) -> None:
        super().__init__(io.BytesIO(packed))
        self._classes = {(each.__module__, each.__qualname__): each for each in classes}
        self._apart = apart

    def find_class(self, module: str, name: str) -> type:
        try:
            return self._classes[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is no value of ours") from None

    def persistent_load(self, pid: object) -> object:
        return self._apart(pid)


def _nothing(_: object) -> None:
    return None


def pack(value: object, apart: Callable[[object], object] | None = None) -> bytes:
    """A value as bytes; `apart` gives a plain value for what is not to be packed, and None for the rest."""
    file = io.BytesIO()
    (_Packer(file) if apart is None else _PackerApart(file, apart)).dump(value)
    return file.getvalue()


def unpack(packed: bytes, classes: Iterable[type], apart: Callable[[object], object] = _nothing) -> Any:
    """The value again, made of these classes alone; None where the bytes are nothing of the kind."""
    try:
        return _Unpacker(packed, classes, apart).load()
    except Exception:  # bytes that we did not write can fail in any way; then there is no answer
        return None
