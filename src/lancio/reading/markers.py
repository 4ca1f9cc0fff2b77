"""Which part of a file goes up, where comment lines part it as dbmate, goose and sql-migrate have them?

What does not belong to a part is blanked out byte by byte and its line ends stay, so that every place in what is
left is the place in the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lancio.errors import SourceError
from lancio.reading.places import pointed
from lancio.syntax import lexer

if TYPE_CHECKING:
    from collections.abc import Iterator

Section = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class Markers:
    """How a tool parts its files.

    `line` finds its comment lines: group 1 is the word (`up`, `Up`, `NO TRANSACTION` …), group 2 the options behind
    it. `outside` is the option of an up section, or the word on a line of its own, that asks for no transaction.
    `strict`: a statement above the first section is refused; else it is passed over.
    """

    tool: str
    line: re.Pattern[bytes]
    outside: bytes
    up: str
    strict: bool = True

    def inside(self, text: bytes) -> bool:
        """Whether a text has a marker that begins a section."""
        if self.up[:-2].strip().lower().encode() not in text.lower():
            return False  # most files: not looked through line by line
        return any(_section(match[1]) is not None for match in self.line.finditer(text))


DBMATE = Markers(
    "dbmate", re.compile(rb"(?m)^--[ \t]*migrate:(up|down)\b[ \t]*(.*)$"), b"transaction:false", "migrate:up"
)
GOOSE = Markers(
    "goose",
    re.compile(rb"(?mi)^--[ \t]*\+goose[ \t]+(Up|Down|NO TRANSACTION)\b[ \t]*(.*)$"),
    b"NO TRANSACTION",
    "+goose Up",
)
SQL_MIGRATE = Markers(
    "sql-migrate",
    re.compile(rb"(?m)^-- \+migrate[ \t]+(Up|Down)\b[ \t]*(.*)$"),
    b"notransaction",
    "+migrate Up",
    strict=False,
)
ALL = (DBMATE, GOOSE, SQL_MIGRATE)


@dataclass(frozen=True, slots=True)
class Parted:
    """The two parts of a file, each as long as the file; `down` is None where the file has none."""

    up: bytes
    down: bytes | None
    transaction: bool


def part(name: str, text: bytes, markers: Markers) -> Parted:
    """The parts of a file.

    Raises:
        SourceError: no section goes up, or a statement stands before the first one.
    """
    sections = list(_sections(text, markers))
    if not any(section == "up" for section, _, _ in sections):
        raise SourceError(
            f"{name} has no line `-- {markers.up}`",
            where=f"{name}:1",
            cause=f"The other files of the folder are parted as {markers.tool} has it, and this one says nowhere what "
            "is to be run.",
            remedy=f"Put `-- {markers.up}` above what is to be run, or read all files as they stand: --layout flat.",
        )
    first = sections[0][1]
    above = next((token.start for token in lexer.tokens(text, 0, first) if token.kind not in lexer.BLANK), None)
    if above is not None and markers.strict:
        raise SourceError(
            f"{name} has a statement before its first section",
            where=pointed(name, text, above),
            cause=f"{markers.tool} runs no statement above `-- {markers.up}`.",
            remedy="Move it below that line.",
        )
    down = [(start, end) for section, start, end in sections if section == "down"]
    up = [(start, end) for section, start, end in sections if section == "up"]
    head = [(0, first)] if above is None else []
    return Parted(only(text, head + up), only(text, down) if down else None, not _asks_for_none(text, markers))


def _section(word: bytes) -> Section | None:
    lowered = word.lower()
    return "up" if lowered == b"up" else "down" if lowered == b"down" else None


def _sections(text: bytes, markers: Markers) -> Iterator[tuple[Section, int, int]]:
    """Each section with the bytes from its marker to the next section's."""
    found = [
        (section, match.start()) for match in markers.line.finditer(text) if (section := _section(match[1])) is not None
    ]
    for index, (section, start) in enumerate(found):
        yield section, start, found[index + 1][1] if index + 1 < len(found) else len(text)


def _asks_for_none(text: bytes, markers: Markers) -> bool:
    """Whether the file asks to be run outside of a transaction."""
    for match in markers.line.finditer(text):
        if match[1].upper() == markers.outside:
            return True
        if _section(match[1]) == "up" and markers.outside in match[2].split():
            return True
    return False


def only(text: bytes, spans: list[tuple[int, int]]) -> bytes:
    """The text with everything outside of the spans blanked out; spans are in order and do not overlap."""
    kept: list[bytes] = []
    at = 0
    for start, end in spans:
        kept += [blank(text[at:start]), text[start:end]]
        at = end
    kept.append(blank(text[at:]))
    return b"".join(kept)


def blank(text: bytes) -> bytes:
    """As many spaces as there are bytes, line ends kept."""
    return re.sub(rb"[^\r\n]", b" ", text)
