"""A secret that is shown once: how is it made, and how is it found again by its hash?

    lnk_7Hq2mXbA_<43 characters of 256 random bits><6 of a checksum>

What stands before the second `_` is kept in clear, so that people can tell tokens apart; it says nothing of the rest.
The last four characters, kept too, are the checksum's. Only the SHA-256 of the whole is kept besides: of 256 random
bits, nobody finds them by trying. The checksum tells a mistyped token from an unknown one without asking anybody.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from dataclasses import dataclass, field
from typing import Final, Literal

from lancio.registry.secrets import Secret

Kind = Literal["lnk", "lni"]
"""An API key's and an invitation's first letters: a search for leaked ones finds them by these."""

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHAPE: Final = re.compile(r"(lnk|lni)_[0-9A-Za-z]{8}_[0-9A-Za-z]{49}")
_CHECKED: Final = 6


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was just made."""

    secret: Secret = field(repr=False)
    """All of it: to be shown once."""
    prefix: str
    last4: str
    digest: bytes = field(repr=False)
    """What is kept: its SHA-256."""


def make(kind: Kind) -> Token:
    """A new token of 256 random bits."""
    prefix = f"{kind}_{''.join(secrets.choice(_DIGITS) for _ in range(8))}"
    body = f"{prefix}_{_word(secrets.randbits(256), 43)}"
    text = body + _checksum(body)
    return Token(Secret(text), prefix, text[-4:], digest(text))


def digest(text: str) -> bytes:
    """The SHA-256 by which a token is found."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def well_formed(text: str, kind: Kind) -> bool:
    """Whether it can be one that `make` made: shape and checksum. Says nothing of whether it is known."""
    return _SHAPE.fullmatch(text) is not None and text.startswith(kind) and text.endswith(_checksum(text[:-_CHECKED]))


def _checksum(body: str) -> str:
    return _word(zlib.crc32(body.encode()), _CHECKED)


def _word(number: int, length: int) -> str:
    found = ""
    for _ in range(length):
        number, digit = divmod(number, 62)
        found = _DIGITS[digit] + found
    return found
