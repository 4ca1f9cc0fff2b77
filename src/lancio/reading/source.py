"""Which files are the migrations of a folder, and in which order do their names put them?"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from lancio.errors import SourceError, UsageError
from lancio.reading import headers, layouts, markers, placeholders
from lancio.syntax import lexer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lancio.reading.layouts import After, Arranged, Entry, Found, Name
    from lancio.reading.placeholders import Filled


@dataclass(frozen=True, slots=True)
class Down:
    """What takes a migration back: the file, relative to the folder, and its text where it is the migration's own."""

    name: str
    path: Path
    text: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Migration:
    """One `.sql` file.

    `name` is its path relative to the folder, with `/`; `text` what of it is sent, valid UTF-8 without a byte-order
    mark: the part that goes up, its places filled. `number` is what its name says about the order, or None; `digest`
    the SHA-256 of the text; `checksum` that of its tokens alone, so that comments, white space and line ends may
    change after it was applied. `transaction` is unset where the file asks another tool for none. `filled` knows
    where the bytes of the text stand in the file, and `source` is all of the file, where that is not the text.
    A `repeatable` one runs behind all others, and again whenever its checksum changes; `replaces` are files that it
    stands for, each with the checksum that it had.
    """

    name: str
    path: Path
    text: bytes = field(repr=False)
    number: int | None = None
    down: Down | None = None
    transaction: bool = True
    after: tuple[After, ...] = ()
    source: bytes | None = field(default=None, repr=False)
    filled: Filled | None = field(default=None, repr=False)
    repeatable: bool = False
    replaces: tuple[tuple[str, str], ...] = ()

    def written(self, at: int) -> tuple[bytes, int]:
        """The bytes of the file, and the place in them of a byte of the text."""
        whole = self.text if self.source is None else self.source
        return whole, at if self.filled is None else self.filled.written(at)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the bytes, in hex."""
        return hashlib.sha256(self.text).hexdigest()

    @cached_property
    def identity(self) -> str:
        """All that is said of it, in one text: two migrations of one identity are the same in every graph."""
        down = self.down.name if self.down is not None else None
        filled = self.filled.pieces if self.filled is not None else None
        written = hashlib.sha256(self.source).hexdigest() if self.source is not None else ""
        said = (self.name, self.number, self.transaction, self.after, down, filled, written, self.digest)
        return repr((*said, "repeatable") if self.repeatable else said)

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the tokens, in hex.

        Line ends are taken for one another inside of strings too: a routine's body that was checked out on another
        system is the same body. PostgreSQL's own fingerprint of a statement would not do: it takes DEFAULT 1 and
        DEFAULT 2 for the same.
        """
        return checksum(self.text)


def checksum(text: bytes) -> str:
    """SHA-256 of a text's tokens, in hex; line ends inside of strings are taken for one another."""
    digest = hashlib.sha256()
    for token in lexer.tokens(text):
        if token.kind not in lexer.BLANK:
            piece = text[token.start : token.end]
            piece = lexer.joined(piece) if token.kind == "string" else piece
            digest.update(piece.replace(b"\r\n", b"\n"))
            digest.update(b"\0")
    return digest.hexdigest()


@dataclass(frozen=True)
class Folder:
    """A folder of migrations, in the order of its layout.

    `ordered`: every file has a place of its own; otherwise files of one number, and those without one, have none
    among them. `left_out` are .sql files that the layout has no place for, `elsewhere` what it has besides and
    cannot be read: migrations in another language, changes of other projects. `twins` are files of one version where
    a version should be one migration, `unused` variables that no file has a place for.
    """

    path: Path
    migrations: tuple[Migration, ...]
    layout: Name = "flat"
    ordered: bool = False
    left_out: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    twins: tuple[tuple[str, str], ...] = ()
    unused: tuple[str, ...] = ()

    @property
    def groups(self) -> tuple[tuple[Migration, ...], ...]:
        """Files whose names put them in an order, group after group; inside a group nothing but the graph does."""
        groups: list[list[Migration]] = []
        for migration in self.migrations:
            free = not (self.ordered or migration.repeatable)  # those that run again keep the order of their names
            if groups and groups[-1][-1].number == migration.number and free:
                groups[-1].append(migration)
            else:
                groups.append([migration])
        return tuple(tuple(group) for group in groups)


def read_folder(path: Path, *, layout: Name | None = None, variables: Mapping[str, str] | None = None) -> Folder:
    """Read the migrations below `path`; files and folders whose names begin with `.` or `_` are left out.

    The layout is recognized unless one is named; `variables` fill the places that other programs fill.

    Raises:
        UsageError: no such folder.
        SourceError: no migrations in it, a layout that cannot be told or is not kept, a file that is
            not UTF-8 or cannot be read, a place that nothing fills, or two files that one file system would take
            for the same.
    """
    return read(path, layout=layout, variables=variables).folder


Sign = tuple[int, int, int, int]
"""What the file system says of a file or a folder: inode, size, times of the last change of the text and of all."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A folder as it was read, and what decided how: folders and files by their paths below it, as they were then.

    `plain`: each text is the whole of a file, and nothing in it is filled.
    """

    folder: Folder
    folders: dict[str, Sign]
    files: dict[str, Sign]
    plain: bool


def sign(path: str) -> Sign:
    """What the file system says of a file or folder now.

    Raises:
        OSError: it is not there, or may not be looked at.
    """
    info = os.stat(path)  # noqa: PTH116  # half the time of a Path's
    return info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def read(path: Path, *, layout: Name | None = None, variables: Mapping[str, str] | None = None) -> Reading:
    """`read_folder`, and what it looked at."""
    found, texts, folders = _find(path)
    arranged = layouts.arrange(found, layout)
    if not arranged.entries:
        raise SourceError(
            f"{path} holds no migration that can be read",
            cause=f"Its files are {layouts.SAYS[arranged.layout]}, and none of them is for PostgreSQL to be run.",
            remedy=f"Name another folder, or another layout with --layout: {', '.join(layouts.NAMES)}.",
        )
    _no_two_of_one_name([entry.file for entry in arranged.entries])
    migrations, unused = _migrations(texts, arranged, variables or {})
    folder = Folder(
        path,
        migrations,
        arranged.layout,
        arranged.ordered,
        arranged.left_out,
        arranged.elsewhere,
        arranged.twins,
        unused,
    )
    plain = arranged.parted is None and all(each.source is None and each.filled is None for each in migrations)
    return Reading(folder, folders, texts.signs, plain)


class _Texts(dict[str, bytes]):
    """The texts of a folder's files, each read once when it is asked for."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.signs: dict[str, Sign] = {}

    def __missing__(self, name: str) -> bytes:
        self.look(name)
        self[name] = read_text(self.root, name)
        return self[name]

    def look(self, name: str) -> None:
        """Note how a file looks before it is read."""
        try:
            self.signs[name] = sign(f"{self.root}/{name}")
        except OSError as error:
            raise _unreadable(name, error) from error


def _find(path: Path) -> tuple[Found, _Texts, dict[str, Sign]]:
    """The files below a folder, sorted, and the folders that they are in."""
    if path.is_file():
        raise UsageError(
            f"{path} is a file, not a folder",
            cause="Lancio reads folders: what one file needs is made by the others.",
            remedy=f"Name the folder: {path.parent}",
        )
    if not path.is_dir():
        raise UsageError(
            f"there is no folder {path}",
            cause="The path does not exist, or may not be read by this user.",
            remedy="Name the folder that holds the .sql files.",
        )
    try:
        below, folders = _below(path)
        names = sorted(below, key=lambda each: each.split("/"))
    except OSError as error:
        raise SourceError(f"{path} cannot be read", cause=str(error.strerror), remedy="Check its rights.") from error
    found = [name for name in names if name.endswith(".sql")]
    if not found:
        raise SourceError(
            f"{path} holds no .sql file",
            cause="A migration is a file whose name ends in .sql.",
            remedy="Name the folder that holds the migrations.",
        )
    for name in found:
        if not name.isprintable():
            raise SourceError(
                f"a file's name holds characters that cannot be shown: {name!r}",
                cause="A line end or an escape code in a name would reach terminals, logs and commands.",
                remedy="Rename the file.",
            )
    texts = _Texts(path)
    other = tuple(name for name in names if not name.endswith(".sql"))
    for name in other:  # plans and settings of other tools are among them
        texts.look(name)
    return layouts.Found(path, tuple(found), other, texts.__getitem__), texts, folders


def _below(path: Path) -> tuple[list[str], dict[str, Sign]]:
    """The files and folders below a folder, by relative paths with `/`; `.` and `_` begin names not looked at."""
    found: list[str] = []
    folders: dict[str, Sign] = {}
    root = str(path)
    waiting = [""]
    while waiting:
        above = waiting.pop()
        where = f"{root}/{above}" if above else root
        folders[above] = sign(where)
        with os.scandir(where) as entries:
            for entry in entries:
                if entry.name[0] in "._":
                    continue
                name = f"{above}/{entry.name}" if above else entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name)
                elif entry.is_file():
                    found.append(name)
    return found, folders


def _no_two_of_one_name(names: list[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if other := seen.get(name.casefold()):
            raise SourceError(
                f"{other} and {name} are two files of one name",
                cause="Their names differ only in upper and lower case, so they are one file on many machines.",
                remedy="Rename one of them.",
            )
        seen[name.casefold()] = name


def _migrations(
    texts: _Texts, arranged: Arranged, variables: Mapping[str, str]
) -> tuple[tuple[Migration, ...], tuple[str, ...]]:
    """The migrations of a folder, parted and filled, and the variables that none of them has a place for."""
    habits = layouts.HABITS.get(arranged.layout, placeholders.Habits())
    parted = {entry.file: _parted(entry, texts, arranged) for entry in arranged.entries}
    gaps = {
        entry.file: [] if entry.raw else placeholders.gaps(parted[entry.file].up, habits) for entry in arranged.entries
    }
    template = placeholders.Template(variables, placeholders.proved(gaps.values()))
    left: list[tuple[str, bytes, placeholders.Gap]] = []
    migrations = []
    for entry in arranged.entries:
        up, whole = parted[entry.file].up, texts[entry.file]
        filled = None
        if gaps[entry.file]:
            filled, unfilled = placeholders.fill(up, gaps[entry.file], template)
            left += [(entry.file, up, gap) for gap in unfilled]
        text = up if filled is None else filled.text
        migrations.append(
            Migration(
                entry.file,
                texts.root / entry.file,
                text,
                entry.number,
                _down(entry, parted[entry.file], texts.root),
                entry.transaction and parted[entry.file].transaction,
                entry.after,
                None if text == whole else whole,
                filled,
                entry.repeatable,
            )
        )
    if left:
        raise placeholders.unfilled(left)
    used = {gap.name for each in gaps.values() for gap, _ in each}
    return _placed(migrations), tuple(sorted(variables.keys() - used))


def _placed(migrations: list[Migration]) -> tuple[Migration, ...]:
    """The same, as the files themselves say: without those that another one stands for, the repeatable ones last."""
    said = {each.name: headers.read(each.text) for each in migrations}
    gone = {name for header in said.values() for name, _ in header.replaces}
    found = [
        replace(
            each,
            repeatable=each.repeatable or said[each.name].repeatable,
            number=None if said[each.name].repeatable else each.number,
            replaces=said[each.name].replaces,
        )
        if said[each.name] != headers.NOTHING
        else each
        for each in migrations
        if each.name not in gone
    ]
    again = [each for each in found if each.repeatable]
    declared = sorted((each for each in again if said[each.name].repeatable), key=lambda each: each.name)
    by_layout = [each for each in again if not said[each.name].repeatable]
    return (*(each for each in found if not each.repeatable), *by_layout, *declared)


def _parted(entry: Entry, texts: _Texts, arranged: Arranged) -> markers.Parted:
    text = texts[entry.file]
    return (
        markers.Parted(text, None, True) if arranged.parted is None else markers.part(entry.file, text, arranged.parted)
    )


def _down(entry: Entry, parted: markers.Parted, root: Path) -> Down | None:
    if entry.down:
        return Down(entry.down, root / entry.down)
    return None if parted.down is None else Down(entry.file, root / entry.file, parted.down)


def down_part(folder: Folder, migration: Migration, variables: Mapping[str, str] | None = None) -> Migration | None:
    """What takes a migration back, as a migration of its own; None where nobody wrote that.

    Its places are filled as those of the part that goes up.

    Raises:
        SourceError: the file cannot be read, or nothing fills one of its places.
    """
    down = migration.down
    if down is None:
        return None
    text = down.text if down.text is not None else read_text(folder.path, down.name)
    gaps = placeholders.gaps(text, layouts.HABITS.get(folder.layout, placeholders.Habits()))
    if not gaps:
        return Migration(down.name, down.path, text, transaction=migration.transaction)
    template = placeholders.Template(variables or {}, placeholders.proved([gaps]))
    filled, left = placeholders.fill(text, gaps, template)
    if left:
        raise placeholders.unfilled([(down.name, text, gap) for gap in left])
    return Migration(down.name, down.path, filled.text, transaction=migration.transaction, source=text, filled=filled)


def _unreadable(name: str, error: OSError) -> SourceError:
    return SourceError(f"{name} cannot be read", cause=str(error.strerror), remedy="Check its rights.")


def read_text(root: Path, name: str) -> bytes:
    """The text of a file below a folder: UTF-8 without a byte-order mark or a zero byte.

    Raises:
        SourceError: it is not that, or cannot be read.
    """
    try:
        with open(f"{root}/{name}", "rb", buffering=0) as file:  # noqa: PTH123  # a Path costs as much again
            text = file.read()
    except OSError as error:
        raise _unreadable(name, error) from error
    text = text.removeprefix(b"\xef\xbb\xbf")
    try:
        text.decode()
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise SourceError(
            f"{name} is not UTF-8",
            where=f"{name}:{line}",
            cause=f"The byte 0x{text[error.start]:02x} in line {line} belongs to another encoding.",
            remedy=f"Save it as UTF-8: iconv -f WINDOWS-1252 -t UTF-8 {name.rpartition('/')[2]} > fixed.sql",
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
