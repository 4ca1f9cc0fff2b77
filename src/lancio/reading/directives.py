"""What do the comments of a file declare?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lancio.reading.model import Directive
from lancio.syntax import lexer

if TYPE_CHECKING:
    from collections.abc import Callable

_LINE = re.compile(r"--\s*lancio:\s*([a-z][a-z-]*)\s*(.*?)\s*$")

WORDS = frozenset(("requires", "wants", "creates", "after", "verify", "verify-once", "duration", "impact", "after-run",
                   "risk"))  # fmt: skip


def read(text: bytes, line: Callable[[int], int]) -> tuple[tuple[Directive, ...], tuple[str, ...]]:
    """The `-- lancio:` comment lines of a file, and what is wrong with those that cannot be understood."""
    found: list[Directive] = []
    problems: list[str] = []
    if b"lancio:" not in text:
        return (), ()
    for token in lexer.tokens(text):
        if token.kind != "line comment":
            continue
        comment = text[token.start : token.end].decode()
        match = _LINE.match(comment)
        if match is None:
            continue
        at = line(token.start)
        if match[1] not in WORDS:
            problems.append(f"line {at}: `lancio: {match[1]}` is not a directive; there are {', '.join(sorted(WORDS))}")
            continue
        found.append(Directive(match[1], match[2], at))
    return tuple(found), tuple(problems)
