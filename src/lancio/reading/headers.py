"""What does a file say of its own place among the others?

-- lancio: repeatable                      it runs behind all others, and again whenever it changes
-- lancio: replaces 001_users.sql 5f1d…    it stands for that file, whose checksum was this
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lancio.syntax import lexer

_LINE = re.compile(r"--\s*lancio:\s*(repeatable|replaces)(?:\s+(.*?))?\s*$")
_REPLACED = re.compile(r"(.+?)\s+([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of its place; `replaces` are the files that it stands for, with their checksums."""

    repeatable: bool = False
    replaces: tuple[tuple[str, str], ...] = ()


NOTHING = Header()


def read(text: bytes) -> Header:
    """The lines of a file that are about its place; those that cannot be understood are left out."""
    if b"lancio:" not in text or not (b"repeatable" in text or b"replaces" in text):
        return NOTHING
    repeatable = False
    replaces: list[tuple[str, str]] = []
    for token in lexer.tokens(text):
        if token.kind != "line comment":
            continue
        match = _LINE.match(text[token.start : token.end].decode().rstrip())
        if match is None:
            continue
        if match[1] == "repeatable":
            repeatable = True
        elif pair := _REPLACED.fullmatch(match[2] or ""):
            replaces.append((pair[1], pair[2]))
    return Header(repeatable, tuple(replaces))


def replaced(file: str, checksum: str) -> str:
    """The line that says that a file is replaced."""
    return f"-- lancio: replaces {file} {checksum}"
