"""Which files are the migrations of a folder, and in which order do their names put them?"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from lancio.errors import SourceError
from lancio.syntax import lexer

if TYPE_CHECKING:
    from pathlib import Path

NUMBERED = re.compile(r"^(?:V|v)?(\d+)(?:[._-]|$)")
"""`001_name.sql`, `20260101120000_name.sql`, `V7__name.sql`: a number that gives an order."""


@dataclass(frozen=True)
class Migration:
    """One `.sql` file.

    `name` is its path relative to the folder, with `/`; `text` its bytes, valid UTF-8 without a byte-order mark;
    `number` what its name says about the order, or None; `digest` the SHA-256 of the text; `checksum` that of its
    tokens alone, so that comments, white space and line ends may change after it was applied.
    """

    name: str
    path: Path
    text: bytes = field(repr=False)
    number: int | None = None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the bytes, in hex."""
        return hashlib.sha256(self.text).hexdigest()

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the tokens, in hex.

        Line ends are taken for one another inside of strings too: a routine's body that was checked out on another
        system is the same body. PostgreSQL's own fingerprint of a statement would not do: it takes DEFAULT 1 and
        DEFAULT 2 for the same.
        """
        digest = hashlib.sha256()
        for token in lexer.tokens(self.text):
            if token.kind not in lexer.BLANK:
                piece = self.text[token.start : token.end]
                piece = lexer.joined(piece) if token.kind == "string" else piece
                digest.update(piece.replace(b"\r\n", b"\n"))
                digest.update(b"\0")
        return digest.hexdigest()


@dataclass(frozen=True)
class Folder:
    """A folder of migrations, in the order of their names: numbers first, by value, then by name."""

    path: Path
    migrations: tuple[Migration, ...]

    @property
    def groups(self) -> tuple[tuple[Migration, ...], ...]:
        """Files whose names put them in an order, group after group; inside a group nothing but the graph does."""
        groups: list[list[Migration]] = []
        for migration in self.migrations:
            if groups and groups[-1][-1].number == migration.number:
                groups[-1].append(migration)
            else:
                groups.append([migration])
        return tuple(tuple(group) for group in groups)


def read_folder(path: Path) -> Folder:
    """Read every `.sql` file below `path`; files and folders whose names begin with `.` or `_` are left out.

    Raises:
        SourceError: no such folder, no migrations in it, a file that is not UTF-8 or cannot be read, or two files
            that one file system would take for the same.
    """
    if path.is_file():
        raise SourceError(
            f"{path} is a file, not a folder",
            cause="Lancio reads folders: what one file needs is made by the others.",
            remedy=f"Name the folder: {path.parent}",
        )
    if not path.is_dir():
        raise SourceError(
            f"there is no folder {path}",
            cause="The path does not exist, or may not be read by this user.",
            remedy="Name the folder that holds the .sql files.",
        )
    try:
        found = sorted(
            item
            for item in path.rglob("*.sql")
            if item.is_file() and not any(part[0] in "._" for part in item.relative_to(path).parts)
        )
    except OSError as error:
        raise SourceError(f"{path} cannot be read", cause=str(error.strerror), remedy="Check its rights.") from error
    if not found:
        raise SourceError(
            f"{path} holds no .sql file",
            cause="A migration is a file whose name ends in .sql.",
            remedy="Name the folder that holds the migrations.",
        )
    names: dict[str, str] = {}
    migrations = []
    for item in found:
        name = item.relative_to(path).as_posix()
        if not name.isprintable():
            raise SourceError(
                f"a file's name holds characters that cannot be shown: {name!r}",
                cause="A line end or an escape code in a name would reach terminals, logs and commands.",
                remedy="Rename the file.",
            )
        if other := names.get(name.casefold()):
            raise SourceError(
                f"{other} and {name} are two files of one name",
                cause="Their names differ only in upper and lower case, so they are one file on many machines.",
                remedy="Rename one of them.",
            )
        names[name.casefold()] = name
        migrations.append(Migration(name, item, _text(item, name), _number(item.name)))
    migrations.sort(key=lambda each: (each.number is None, each.number or 0, each.name))
    return Folder(path, tuple(migrations))


def _number(name: str) -> int | None:
    match = NUMBERED.match(name)
    return int(match[1]) if match else None


def _text(path: Path, name: str) -> bytes:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{name} cannot be read", cause=str(error.strerror), remedy="Check its rights.") from error
    text = text.removeprefix(b"\xef\xbb\xbf")
    try:
        text.decode()
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise SourceError(
            f"{name} is not UTF-8",
            where=f"{name}:{line}",
            cause=f"The byte 0x{text[error.start]:02x} in line {line} belongs to another encoding.",
            remedy=f"Save it as UTF-8: iconv -f WINDOWS-1252 -t UTF-8 {path.name} > fixed.sql",
        ) from None
    if (zero := text.find(b"\0")) >= 0:
        line = text.count(b"\n", 0, zero) + 1
        raise SourceError(
            f"{name} holds a zero byte",
            where=f"{name}:{line}",
            cause="PostgreSQL's protocol ends a statement there.",
            remedy="Remove it; if the file is UTF-16, save it as UTF-8.",
        )
    return text
