"""The migrations of a folder without reading its files again, where nothing of it has changed since they were read.

The file system is asked how each folder and file looks: its inode, its size, the times of its last changes (of which
programs can set one, not the other). File systems count time in steps, and some in long ones, so what was changed
shortly before it was read may have been changed once more without a trace: it is read again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lancio.errors import SourceError
from lancio.reading import cache, headers, layouts, markers, placeholders, source
from lancio.reading.garbage import without_collecting
from lancio.reading.source import Down, Folder, Migration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lancio.reading.cache import Cache
    from lancio.reading.layouts import Name
    from lancio.reading.source import Reading, Sign

SETTLED_NS = 2_000_000_000
"""So long before it was read must a file's last change lie for its sign to be trusted (FAT counts in two seconds)."""

_ELSEWHERE = ("deploy", "revert", "verify")
"""Names of folders whose layout is decided by a file beside them."""


def read_folder(
    path: Path, *, layout: Name | None = None, variables: Mapping[str, str] | None = None, kept: Cache | None
) -> Folder:
    """What `source.read_folder` gives, from the cache as far as nothing has changed.

    The texts of unchanged files are read when they are asked for, and refused where they are not what they were.

    Raises:
        SourceError: as `source.read_folder` does.
    """
    if kept is None or path.name in _ELSEWHERE:
        return source.read_folder(path, layout=layout, variables=variables)
    with without_collecting():
        return _known(path, layout, variables, kept)


def _known(path: Path, layout: Name | None, variables: Mapping[str, str] | None, kept: Cache) -> Folder:
    name = f"folder-{cache.key(str(path.absolute()), str(layout), repr(sorted((variables or {}).items())))}"
    whole = _Whole(path, layout, variables)
    now = time.time_ns()
    packed = kept.get(name)
    notes = cache.unpack(packed, (layouts.After, Notes)) if packed is not None else None
    if isinstance(notes, Notes):
        found = _found(notes, path, whole, now)
        if found is not None:
            folder, fresh = found
            if fresh:
                kept.put(name, cache.pack(notes))
            return folder
    reading = source.read(path, layout=layout, variables=variables)
    kept.put(name, cache.pack(_notes(reading, now)))
    return reading.folder


@dataclass(slots=True)
class Notes:
    """What is kept of a folder: how it looked when it was read (and when that was), and what was found.

    `rest` are the fields of the Folder behind its migrations, `said` what is noted of each of those, by name.
    """

    folders: dict[str, tuple[int, Sign]]
    files: dict[str, tuple[int, Sign]]
    plain: bool
    rest: tuple[Any, ...]
    said: dict[str, dict[str, Any]]


class _Whole:
    """A folder that is read from its files when a text is first asked for."""

    def __init__(self, path: Path, layout: Name | None, variables: Mapping[str, str] | None) -> None:
        self._ask = path, layout, variables

    @cached_property
    def _migrations(self) -> dict[str, Migration]:
        path, layout, variables = self._ask
        return {each.name: each for each in source.read_folder(path, layout=layout, variables=variables).migrations}

    def migration(self, name: str, identity: str) -> Migration:
        """One migration, read.

        Raises:
            SourceError: it is not the one that it was when the folder was looked at.
        """
        found = self._migrations.get(name)
        if found is None or found.identity != identity:
            raise SourceError(
                f"{name} was changed while Lancio was at work",
                cause="It is not what it was when the folder was looked at.",
                remedy="Run the command again.",
            )
        return found


class Kept(Migration):
    """A migration whose texts are read when they are asked for."""

    # Each of these is a field of a Migration; here they come from the file.
    _read: _Whole

    def __init__(self, root: Path, said: Mapping[str, Any], whole: _Whole) -> None:
        vars(self).update(said)
        vars(self).update(_root=root, _read=whole)

    @cached_property
    def _file(self) -> Migration:
        return self._read.migration(self.name, self.identity)

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return vars(self)["_root"] / self.name  # type: ignore[no-any-return]

    @property
    def text(self) -> bytes:
        """What of it is sent."""
        return self._file.text

    @property
    def source(self) -> bytes | None:
        """All of the file, where that is not the text."""
        return self._file.source if vars(self)["_parts"] else None

    @property
    def filled(self) -> placeholders.Filled | None:
        """Where its bytes stand in the file."""
        return self._file.filled if vars(self)["_parts"] else None

    @property
    def down(self) -> Down | None:
        """What takes it back."""
        name = vars(self)["_down"]
        if name is None or name == self.name:
            return self._file.down if name is not None else None
        return Down(name, vars(self)["_root"] / name)


def _said(each: Migration) -> dict[str, Any]:
    """What is noted of a migration."""
    return {
        "name": each.name,
        "number": each.number,
        "transaction": each.transaction,
        "after": each.after,
        "digest": each.digest,
        "identity": each.identity,
        "_parts": each.source is not None or each.filled is not None,
        "_down": each.down.name if each.down is not None else None,
        "repeatable": each.repeatable,
        "replaces": each.replaces,
    }


def _notes(reading: Reading, now: int) -> Notes:
    folder = reading.folder
    return Notes(
        {name: (now, sign) for name, sign in reading.folders.items()},
        {name: (now, sign) for name, sign in reading.files.items()},
        reading.plain,
        (folder.layout, folder.ordered, folder.left_out, folder.elsewhere, folder.twins, folder.unused),
        {each.name: _said(each) for each in folder.migrations},
    )


def _settled(noted: tuple[int, Sign]) -> bool:
    """Whether what was changed last was so long before it was read that a later change would show."""
    when, (_, _, modified, changed) = noted
    return max(modified, changed) < when - SETTLED_NS


def _found(notes: Notes, path: Path, whole: _Whole, now: int) -> tuple[Folder, bool] | None:
    """The folder as it was noted, with the files that changed read again, and whether the notes are new then.

    None where more has changed than the text of files that are sent as they are.
    """
    root = str(path)
    try:
        for name, noted in notes.folders.items():
            if not _settled(noted) or source.sign(f"{root}/{name}") != noted[1]:
                return None
        changed = {}
        for name, noted in notes.files.items():
            seen = source.sign(f"{root}/{name}")
            if seen != noted[1] or not _settled(noted):
                changed[name] = seen
    except OSError:
        return None
    said = notes.said
    layout, *rest = notes.rest
    if changed and not (notes.plain and changed.keys() <= said.keys()):
        return None
    again: dict[str, Migration] = {}
    for name, seen in changed.items():
        text = source.read_text(path, name)
        before = Kept(path, said[name], whole)
        header = headers.read(text)
        moved = header.replaces != before.replaces or (header.repeatable != before.repeatable and layout != "flyway")
        if moved or header.repeatable > before.repeatable or not _plain(text, layout):
            return None
        again[name] = Migration(
            name, before.path, text, before.number, before.down, before.transaction, before.after,
            repeatable=before.repeatable, replaces=before.replaces,
        )  # fmt: skip
        notes.files[name] = (now, seen)
        said[name] = _said(again[name])
    migrations = tuple(again.get(name) or Kept(path, each, whole) for name, each in said.items())
    return Folder(path, migrations, layout, *rest), bool(changed)


def _plain(text: bytes, layout: Name) -> bool:
    """Whether a text is sent as it is, whatever stands in the other files: no part of it, no place to fill."""
    habits = layouts.HABITS.get(layout, placeholders.Habits())
    return not placeholders.gaps(text, habits) and not any(each.inside(text) for each in markers.ALL)
