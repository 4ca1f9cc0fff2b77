"""How wide is a line, where does it break, and what does colour add to it?"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NARROWEST, WIDEST, USUAL = 60, 100, 80

_PAINT = (
    (re.compile(r"✓"), "32"),
    (re.compile(r"✗"), "31"),
    (re.compile(r"\bNO-GO\b"), "1;31"),
    (re.compile(r"(?<!-)\bGO\b"), "1;32"),
    (re.compile(r"(?<=│ )! "), "33"),
    (re.compile(r"\bSTEP \d+\b"), "1"),
    (re.compile(r"^[A-Z][A-Z0-9 ():,?—–-]{11,}$", re.MULTILINE), "1"),
    (re.compile(r"^(?:Cause|Solution|Remedy|Run):", re.MULTILINE), "1"),
)


def fit(columns: int | None) -> int:
    """The width to draw in: the terminal's columns kept between 60 and 100, or 80 where there is no terminal."""
    return USUAL if columns is None else max(NARROWEST, min(WIDEST, columns))


def width(text: str) -> int:
    """How many terminal cells `text` takes: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) or unicodedata.category(char) in ("Cf", "Mn", "Me")
        else 2 if unicodedata.east_asian_width(char) in "WF"
        else 1
        for char in text
    )  # fmt: skip


def pad(text: str, cells: int) -> str:
    """`text` with spaces behind it until it takes `cells`; longer text stays as it is."""
    return text + " " * max(0, cells - width(text))


def clean(text: str) -> str:
    """`text` on one line, without control characters: a file's name may hold anything."""
    return "".join(
        " " if char in "\t\r\n" else char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text
    )


def wrap(text: str, cells: int, *, first: str = "", rest: str | None = None) -> list[str]:
    """Break `text` into lines of at most `cells`; `first` opens the first line, `rest` (else spaces) the others.

    A word longer than a line is cut, so that no line ever is wider than `cells`.
    """
    rest = " " * width(first) if rest is None else rest
    lines: list[str] = []
    line, empty = first, True
    for given in clean(text).split(" "):
        word = given
        if not word:
            continue
        room = cells - width(line) - (0 if empty else 1)
        if width(word) > room and not empty:
            lines.append(line)
            line, empty = rest, True
            room = cells - width(line)
        while width(word) > max(1, room):
            head = _head(word, max(1, room))
            lines.append(line + head)
            word, line = word[len(head) :], rest
            room = cells - width(line)
        line = line + word if empty else f"{line} {word}"
        empty = False
    if not empty or not lines:
        lines.append(line)
    return [each.rstrip() for each in lines]


def box(title: str, sections: Sequence[Iterable[str]], cells: int, *, foot: bool = False) -> list[str]:
    """A frame `cells` wide with a title row and, under it, the lines of each section, an empty row between them.

    `foot` marks the middle of the lower edge, where an arrow leaves.
    """
    inside = cells - 4
    rows = [f"┌{'─' * (cells - 2)}┐"]
    rows += [f"│ {pad(line, inside)} │" for line in wrap(title, inside, rest="  ")]
    bodies = [lines for section in sections if (lines := list(section))]
    if bodies:
        rows.append(f"├{'─' * (cells - 2)}┤")
    for number, lines in enumerate(bodies):
        if number:
            rows.append(f"│{' ' * (cells - 2)}│")
        rows += [f"│ {pad(line, inside)} │" for line in lines]
    middle = cells // 2
    rows.append(f"└{'─' * (middle - 1)}┬{'─' * (cells - 2 - middle)}┘" if foot else f"└{'─' * (cells - 2)}┘")
    return rows


def heading(text: str, cells: int) -> list[str]:
    """A title with a double line under it, as long as the title."""
    return [*wrap(text, cells), "═" * min(cells, width(text))]


def listed(words: Sequence[str], most: int | None = None) -> str:
    """`a, b and c`; beyond `most` words `a, b and 7 more`."""
    if most is not None and len(words) > most:
        return f"{', '.join(words[: most - 1])} and {len(words) - most + 1} more"
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def counted(number: int, noun: str) -> str:
    """`1 table`, `2 tables`, `3 indexes`, `4 policies`."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{number} {noun[:-1]}ies"
    return f"{number} {noun}{'es' if noun.endswith(('s', 'x', 'ch', 'sh')) else 's'}"


def lasted(milliseconds: float) -> str:
    """A duration as people say it: `12 ms`, `2 seconds`, `1.4 seconds`, `3 minutes`."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 60:
        said = f"{seconds:.1f}".removesuffix(".0")
        return f"{said} second{'' if said == '1' else 's'}"
    minutes, left = divmod(round(seconds), 60)
    return f"{counted(minutes, 'minute')}{f' {left} s' if left else ''}"


def paint(text: str) -> str:
    """`text` with terminal colours. Only colour is added: what is read stays the same without it."""
    for pattern, colour in _PAINT:
        text = pattern.sub(lambda match, colour=colour: f"\033[{colour}m{match[0]}\033[0m", text)  # type: ignore[misc]
    return text


def _head(word: str, cells: int) -> str:
    """As many characters of `word` as fit into `cells`, one at least."""
    taken = 0
    for index, char in enumerate(word):
        taken += width(char)
        if taken > cells:
            return word[: max(1, index)]
    return word
