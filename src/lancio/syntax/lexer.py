"""Which tokens does a text consist of?

The rules are those of PostgreSQL's own scanner (`src/backend/parser/scan.l`, and `pl_scanner.c` for PL/pgSQL, which
uses the same); a test holds them against it. It is written again here because the scanner gives no comments without
a second pass, and because the reading of PL/pgSQL needs tokens with exact places.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

BLANK = frozenset(("space", "line comment", "block comment"))
"""Kinds of tokens that mean nothing to the server."""

_TOKEN = re.compile(
    rb"""
    (?P<space>[ \t\n\r\f\v]+)
  | (?P<line_comment>--[^\n\r]*)
  | (?P<block_comment>/\*)
  | (?P<dollar>\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$)
  | (?P<estring>[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z))
  | (?P<string>(?:[bBxXnN]|[uU]&)?'(?:[^']|'')*(?:'|\Z))
  | (?P<quoted>(?:[uU]&)?"(?:[^"]|"")*(?:"|\Z))
  | (?P<word>[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*)
  | (?P<param>\$[0-9]+)
  | (?P<number>(?:0[xX][0-9a-fA-F_]+|(?:[0-9][0-9_]*(?:\.(?!\.)[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?))
  | (?P<mark>:=|\.\.|::|[(),;\[\].:])
  | (?P<operator>(?:(?!--|/\*)[-+*/<>=~!@\#%^&|`?])+)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK = re.compile(rb"/\*|\*/")


class Token(NamedTuple):
    """A piece of the text: byte offsets, end exclusive.

    `kind` is one of: space, line comment, block comment, string, quoted (an identifier in double quotes), word,
    param, number, mark, operator, other. A string that is never closed reaches to the end of the text.
    """

    kind: str
    start: int
    end: int


def tokens(text: bytes, start: int = 0, end: int | None = None) -> Iterator[Token]:
    """Every token of `text[start:end]`, blanks and comments included, without a gap."""
    end = len(text) if end is None else end
    at = start
    match_at = _TOKEN.match
    while at < end:
        match = match_at(text, at, end)
        if match is None:  # cannot happen: the last alternative takes any byte
            raise AssertionError(at)
        kind = match.lastgroup or "other"
        stop = match.end()
        if kind == "block_comment":
            kind, stop = "block comment", _block_end(text, stop, end)
        elif kind == "line_comment":
            kind = "line comment"
        elif kind == "dollar":
            close = text.find(match[0], stop, end)
            kind, stop = "string", end if close < 0 else close + len(match[0])
        elif kind == "estring":
            kind = "string"
        yield Token(kind, at, stop)
        at = stop


def _block_end(text: bytes, at: int, end: int) -> int:
    """Where the block comment ends whose opening stands before `at`; they nest."""
    depth = 1
    while depth:
        match = _BLOCK.search(text, at, end)
        if match is None:
            return end
        depth += 1 if match[0] == b"/*" else -1
        at = match.end()
    return at


def string_value(text: bytes) -> str:
    """The characters that a string token stands for: quotes, dollar quotes and escapes taken away."""
    if text[:1] == b"$":
        width = text.index(b"$", 1) + 1
        return text[width:-width].decode(errors="replace")
    if text[:1] in b"eE" and text[1:2] == b"'":
        return _unescape(text[2:-1].replace(b"''", b"'"))
    body = text[text.index(b"'") + 1 : -1]
    return body.replace(b"''", b"'").decode(errors="replace")


_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{1,3})|(.))", re.DOTALL)


def _unescape(text: bytes) -> str:
    def one(match: re.Match[str]) -> str:
        hexadecimal = match[1] or match[2] or match[3]
        if hexadecimal:
            code = int(hexadecimal, 16)
            return chr(code) if code <= 0x10FFFF else "\N{REPLACEMENT CHARACTER}"
        if match[4]:
            return chr(int(match[4], 8) & 0xFF)
        return _ESCAPES.get(match[5], match[5])

    return _ESCAPE.sub(one, text.decode(errors="replace"))


def identifier(text: bytes) -> str:
    """The name that a word or a quoted token stands for: folded to lower case, or its quotes taken away.

    PostgreSQL folds ASCII letters only, and cuts a name after 63 bytes.
    """
    if text[:1] == b'"':
        name = text[1:-1].replace(b'""', b'"')
    else:
        name = bytes(byte + 32 if 65 <= byte <= 90 else byte for byte in text)
    return name[:63].decode(errors="ignore")
