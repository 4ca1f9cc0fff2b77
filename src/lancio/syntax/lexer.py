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
  | (?P<estring>[eE]'(?:[^'\\]|\\.|'')*(?:'|\\?\Z))
  | (?P<string>(?:[bBxX]|[uU]&)?'(?:[^']|'')*(?:'|\Z))
  | (?P<quoted>(?:[uU]&)?"(?:[^"]|"")*(?:"|\Z))
  | (?P<word>[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*)
  | (?P<param>\$[0-9]+)
  | (?P<number>(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+
      |(?:[0-9][0-9_]*(?:\.(?!\.)[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?))
  | (?P<mark>:=|\.\.|::|[(),;\[\].:])
  | (?P<operator>(?:(?!--|/\*)[-+*/<>=~!@\#%^&|`?])+)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK = re.compile(rb"/\*|\*/")
_CONTINUED = re.compile(rb"(?:[ \t\f\v]|--[^\n\r]*+)*+[\n\r](?:[ \t\n\r\f\v]|--[^\n\r]*+[\n\r])*+(?=')")
"""What may stand between the parts of one string: white space and comments with at least one line end."""
_PART = re.compile(rb"'(?:[^']|'')*(?:'|\Z)")
_EPART = re.compile(rb"'(?:[^'\\]|\\.|'')*(?:'|\\?\Z)", re.DOTALL)
_SPECIAL = frozenset(b"~!@#%^&|`?")


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
        elif kind in ("estring", "string"):
            stop = _continued(text, stop, end, _EPART if kind == "estring" else _PART)
            kind = "string"
        elif kind == "operator" and stop - at > 1:
            whole, stop = stop, _operator_end(text, at, stop)
            yield Token(kind, at, stop)
            # The signs that were cut off stand alone, each of them; matching them again would take square time.
            for at in range(stop, whole):
                yield Token(kind, at, at + 1)
            at = whole
            continue
        yield Token(kind, at, stop)
        at = stop


def _continued(text: bytes, at: int, end: int, part: re.Pattern[bytes]) -> int:
    """Where a string ends that may go on in the next line, as the SQL standard has it."""
    while between := _CONTINUED.match(text, at, end):
        following = part.match(text, between.end(), end)
        if following is None:
            break
        at = following.end()
    return at


def _operator_end(text: bytes, at: int, stop: int) -> int:
    """Where an operator ends: one of SQL's own characters alone does not end in + or -, so `a=-1` has two."""
    if _SPECIAL.isdisjoint(text[at:stop]):
        while stop - at > 1 and text[stop - 1] in b"+-":
            stop -= 1
    return stop


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
    """The characters that a string token stands for: quotes, dollar quotes and escapes taken away.

    Of a bit string (`B'1'`, `X'1F'`) its digits. A token that is not closed loses nothing but its opening.
    """
    if text[:1] == b"$":
        width = text.index(b"$", 1) + 1
        quote = text[:width]
        return text[width : -width if len(text) >= 2 * width and text.endswith(quote) else None].decode(
            errors="replace"
        )
    escaped = text[:1] in b"eE"
    body = _parts(text[text.index(b"'") :], _EPART if escaped else _PART)
    if escaped:
        return _unescape(body)
    return _unicode(body) if text[:1] in b"uU" else body.decode(errors="replace")


def joined(text: bytes) -> bytes:
    """A string token as it stands, but with one line end between its parts, whatever white space was there."""
    part = _EPART if text[:1] in b"eE" else _PART
    at = text.find(b"'")
    if text[:1] == b"$" or at < 0:
        return text
    found = []
    while match := part.match(text, at):
        found.append(match[0])
        if (between := _CONTINUED.match(text, match.end())) is None:
            break
        at = between.end()
    return text[: text.index(b"'")] + b"\n".join(found)


def _parts(text: bytes, part: re.Pattern[bytes]) -> bytes:
    """What stands in the quotes of a string, its parts in several lines put together, doubled quotes made one."""
    found = []
    at = 0
    while match := part.match(text, at):
        piece = match[0][1:]
        if part is _EPART:
            found.append(_CLOSE_E.sub(_undouble, piece))
        else:
            found.append(re.sub(rb"''?", lambda each: each[0][1:], piece))
        between = _CONTINUED.match(text, match.end())
        if between is None:
            break
        at = between.end()
    return b"".join(found)


_CLOSE_E = re.compile(rb"\\.|''?", re.DOTALL)


def _undouble(match: re.Match[bytes]) -> bytes:
    return match[0] if match[0][:1] == b"\\" else match[0][1:]


_UNICODE = re.compile(r"\\(?:\\|\+([0-9a-fA-F]{6})|([0-9a-fA-F]{4}))")


def _unicode(text: bytes) -> str:
    """The characters of `U&'…'` and `U&"…"` with the usual escape character (UESCAPE is not followed)."""

    def one(match: re.Match[str]) -> str:
        digits = match[1] or match[2]
        return _character(int(digits, 16)) if digits else "\\"

    return _pairs(_UNICODE.sub(one, text.decode(errors="replace")))


def _character(code: int) -> str:
    return chr(code) if 0 < code <= 0x10FFFF else "\N{REPLACEMENT CHARACTER}"


def _pairs(text: str) -> str:
    """Two surrogates, as `\\uD83D\\uDE00` writes them, are one character; a single one is none."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


_ESCAPES = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{1,3})|(.))", re.DOTALL)


def _unescape(text: bytes) -> str:
    """The characters of `E'…'`. Octal and hexadecimal escapes are bytes, several of which may make one character."""

    def one(match: re.Match[bytes]) -> bytes:
        if match[1]:
            return bytes((int(match[1], 16),))
        if match[2] or match[3]:
            return _character(int(match[2] or match[3], 16)).encode("utf-8", "surrogatepass")
        if match[4]:
            return bytes((int(match[4], 8) & 0xFF,))
        return _ESCAPES.get(match[5], match[5])

    return _pairs(_ESCAPE.sub(one, text).decode("utf-8", "surrogatepass" if b"\\u" in text.lower() else "replace"))


def identifier(text: bytes) -> str:
    """The name that a word or a quoted token stands for: folded to lower case, or its quotes taken away.

    PostgreSQL folds ASCII letters only, and cuts a name after 63 bytes.
    """
    if text[:1] == b'"' or text[1:3] == b'&"':
        name = text[text.index(b'"') + 1 : -1].replace(b'""', b'"')
        if text[:1] != b'"':
            name = _unicode(name).encode()
    else:
        name = bytes(byte + 32 if 65 <= byte <= 90 else byte for byte in text)
    return name[:63].decode(errors="ignore")
