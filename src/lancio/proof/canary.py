"""Is this secret in these bytes, and in which form?

A canary is a random text that stands for a secret. Nobody else has it, so wherever a part of it is found, it came from
where it was planted. It is looked for in each form that a text takes on its way through programs: as it is (UTF-8),
percent-encoded, JSON-escaped, in hexadecimal, base64 (at each of its three alignments, both alphabets), UTF-16, and
with the control bytes that pglz (PostgreSQL's compression of long values and page images) puts between 8 literals.

What is looked for are pieces, not the whole: a line break in base64, the header of a page of the write-ahead log or a
limit of length cuts a text in two, and one half of a secret is a leak as well. What is compressed by anything else
(gzip, lz4, zstd) or encrypted is not seen.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

_LETTERS: Final = string.ascii_letters + string.digits
_PIECE: Final = 12
"""Characters of a piece: 71 bits, so it is nowhere by chance."""
_TAIL: Final = 'é/"'
"""What a password may hold and each encoding writes in its own way: by it the forms are told apart."""
_LITERALS: Final = 8
"""So many literals stand between two control bytes of pglz."""
SHOWN: Final = 4
"""Characters of a canary that may be printed."""

CLEAR, PERCENT, JSON, HEX, BASE64, UTF16, PGLZ = (
    "in clear", "percent-encoded", "JSON-escaped", "hexadecimal", "base64", "UTF-16", "compressed (pglz)",
)  # fmt: skip


class Hit(NamedTuple):
    """One place in some bytes where a canary is, or a piece of it."""

    canary: str
    """Its name: what it stands for."""
    form: str
    offset: int
    """Of the first byte of the piece that was found."""


@dataclass(frozen=True, slots=True)
class Canary:
    """A random text and what is looked for of it; `repr` and `str` show neither."""

    name: str
    """What it stands for: `secret`, `key`, `control`."""
    text: str = field(repr=False)
    pieces: tuple[tuple[int, bytes], ...] = field(repr=False)
    """Parts of its bytes with where they begin in them."""
    needles: tuple[tuple[str, re.Pattern[bytes]], ...] = field(repr=False)
    """Every form of every piece, by the form's name."""
    tail: str = field(default="", repr=False)

    @classmethod
    def random(cls, name: str) -> Canary:
        """A new one: 24 letters and digits, and behind them what encodings change."""
        return cls.of_text(name, "".join(secrets.choice(_LETTERS) for _ in range(2 * _PIECE)))

    @classmethod
    def of_text(cls, name: str, core: str) -> Canary:
        """One whose letters and digits are chosen: `core` is 24 of them."""
        pieces = ((0, core[:_PIECE].encode()), (_PIECE, core[_PIECE:].encode()))
        needles = [(form, re.compile(re.escape(each))) for form, each in _needles(pieces)]
        needles += [(PGLZ, each) for each in _compressed(pieces)]
        return cls(name, core + _TAIL, pieces, tuple(needles), _TAIL)

    @classmethod
    def of_key(cls, name: str, key: bytes) -> Canary:
        """What is looked for of a key: the beginnings of its halves, one to encrypt and one to authenticate with, as
        bytes and as the hexadecimal digits that a session's setting holds.

        `key` is 32 bytes long or more.
        """
        pieces = tuple((at, key[at : at + _PIECE]) for at in (0, len(key) // 2))
        needles: list[tuple[str, bytes]] = []
        for _, piece in pieces:
            digits = piece.hex()
            needles += [(CLEAR, piece), (HEX, digits.encode()), (HEX, digits.upper().encode())]
            needles += [(BASE64, each) for each in dict.fromkeys(_in_base64(piece))]
            needles += [(f"{BASE64} of its digits", each) for each in dict.fromkeys(_in_base64(digits.encode()))]
            needles += [(f"{UTF16} of its digits", digits.encode("utf-16-le")[:-1])]
        return cls(name, key.hex(), pieces, tuple((form, re.compile(re.escape(each))) for form, each in needles))

    @property
    def prefix(self) -> str:
        """As much of it as may be shown."""
        return f"{self.text[:SHOWN]}…"

    @property
    def bare(self) -> str:
        """Its letters and digits alone: what can be a name."""
        return self.text.removesuffix(self.tail)

    def __str__(self) -> str:
        return self.prefix

    def find(self, data: bytes) -> list[Hit]:
        """Every place in `data` where a piece of it is, one for each occurrence, in the order of their offsets."""
        found: dict[int, str] = {}
        for form, needle in self.needles:
            for match in needle.finditer(data):
                found.setdefault(match.start(), form)
        hits: list[Hit] = []
        for at in sorted(found):
            form = self._told(data, at) if found[at] == CLEAR else found[at]
            # The pieces of one occurrence are one hit; encoded as UTF-16 or hexadecimal it is twice as long.
            if not hits or at - hits[-1].offset > 2 * len(self.text.encode()) + _PIECE:
                hits.append(Hit(self.name, form, at))
        return hits

    def forms(self) -> dict[str, bytes]:
        """The whole canary in each form: what a search must find, each written down somewhere."""
        plain = self.text.encode()
        compressed = b"\0".join(plain[at : at + _LITERALS] for at in range(0, len(plain), _LITERALS))
        return {
            CLEAR: plain,
            PERCENT: quote(self.text, safe="").encode(),
            JSON: json.dumps(self.text).encode(),
            HEX: plain.hex().encode(),
            BASE64: base64.b64encode(plain),
            UTF16: self.text.encode("utf-16-le"),
            PGLZ: compressed,
        }

    def _told(self, data: bytes, at: int) -> str:
        """Which of the forms that leave letters and digits alone it is, by what follows."""
        if not self.tail:
            return CLEAR
        piece = next(start for start, each in self.pieces if data.startswith(each, at))
        behind = data[at + len(self.text) - len(self.tail) - piece :][:16]
        if behind.lower().startswith(quote(self.tail[0]).lower().encode()):
            return PERCENT
        return JSON if behind.startswith(json.dumps(self.tail[0])[1:-1].encode()) else CLEAR


def _needles(pieces: Iterable[tuple[int, bytes]]) -> Iterable[tuple[str, bytes]]:
    for _, piece in pieces:
        yield CLEAR, piece
        yield HEX, piece.hex().encode()
        yield HEX, piece.hex().upper().encode()
        yield from ((BASE64, each) for each in dict.fromkeys(_in_base64(piece)))
        # The zero bytes stand before or behind: with those between the letters both byte orders are found.
        yield UTF16, b"\0".join(piece[index : index + 1] for index in range(len(piece)))


def _compressed(pieces: Iterable[tuple[int, bytes]]) -> Iterable[re.Pattern[bytes]]:
    """What pglz makes of each piece, wherever in it the first control byte stands.

    A control byte is zero if the 8 items behind it are literals; where one of them refers to earlier text (`y` behind
    `yyy`, or what follows the canary) it is not, so it may be any. Each piece is looked for since such a reference may
    stand in the other.
    """
    for _, piece in pieces:
        for first in range(1, _LITERALS + 1):
            parts = [piece[:first], *(piece[i : i + _LITERALS] for i in range(first, len(piece), _LITERALS))]
            yield re.compile(b".".join(parts), re.DOTALL)


def find(data: bytes, canaries: Iterable[Canary]) -> list[Hit]:
    """The hits of several canaries."""
    return [hit for each in canaries for hit in each.find(data)]


def _in_base64(piece: bytes) -> Iterable[bytes]:
    """What base64 makes of a text with the piece in it, wherever it begins: the characters that it alone decides."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + piece)
        # The first character or two hold bits of what stands before, the last ones of what follows.
        whole = encoded[(before * 8 + 5) // 6 : (before + len(piece)) * 8 // 6]
        yield whole
        yield whole.replace(b"+", b"-").replace(b"/", b"_")
