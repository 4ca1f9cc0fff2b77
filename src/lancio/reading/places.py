"""How is a place of a file shown to a person?"""

from __future__ import annotations

WIDTH = 100
"""How much of a long line is shown around the place, in characters."""


def pointed(name: str, text: bytes, at: int) -> str:
    """`file:line`, below it the line itself, and a caret under the byte `at`."""
    line_start = text.rfind(b"\n", 0, at) + 1
    line_end = text.find(b"\n", at)
    line = text[line_start : line_end if line_end >= 0 else len(text)].decode(errors="replace").rstrip("\r")
    before = text[line_start:at].decode(errors="replace")
    shown, offset = _window(line.replace("\t", " "), len(before))
    return f"{name}:{line_of(text, at)}\n    {shown}\n    {' ' * offset}^"


def line_of(text: bytes, at: int) -> int:
    """The line of a byte, from 1."""
    return text.count(b"\n", 0, at) + 1


def _window(line: str, at: int) -> tuple[str, int]:
    """At most WIDTH characters of a line around the place, and where the place is in them."""
    if len(line) <= WIDTH:
        return line, at
    start = max(0, min(at - WIDTH // 2, len(line) - WIDTH))
    return line[start : start + WIDTH], at - start
