"""What may a thing be called?

Names are for people: any language, one line, at most `LONGEST` characters; what cannot be seen (control characters,
direction marks, characters of no width) is refused, since two names that look alike would be two. Slugs are for
commands and addresses. Each function gives the name as it is kept.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from lancio.registry.acting import shown, uuid_of
from lancio.registry.refusal import NameRefused

LONGEST: Final = 200
"""Characters of a name."""
LONGEST_SLUG: Final = 63
LONGEST_EMAIL: Final = 254

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_CODE = re.compile(r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_JOINERS: Final = "\u200c\u200d"
"""Without these two some scripts are not written right, and emoji are not put together."""


def name(text: str, what: str = "name") -> str:
    """A name for people, in NFC and without spaces around it.

    Raises:
        NameRefused: it is empty, too long, or has characters that cannot be seen.
    """
    if len(text) > LONGEST:
        raise _too_long(text, what, LONGEST)
    kept = unicodedata.normalize("NFC", text).strip()
    if not kept.strip(_JOINERS):
        raise NameRefused(
            f"the {what} is empty", cause="There is nothing to call it by.", remedy="Give it one that people know."
        )
    for each in kept:
        # Control, direction and format characters, lone halves of pairs, line and paragraph ends; not private use,
        # which some fonts show, and not what this version of Unicode does not know yet.
        if each not in _JOINERS and unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            raise NameRefused(
                f"the {what} has a character that cannot be seen: U+{ord(each):04X}",
                cause=f"{unicodedata.name(each, 'A control character')} would make two names look alike, or upset a "
                f"terminal. The name is {shown(kept)}.",
                remedy="Write it without.",
            )
    return kept


def slug(text: str, what: str = "slug") -> str:
    """A name for commands and addresses: small letters, digits and hyphens.

    Raises:
        NameRefused: it is not one.
    """
    if uuid_of(text) is not None:
        raise NameRefused(
            f"{shown(text)} is no {what}",
            cause="It is written as an id is, and things may be named by their ids too.",
            remedy="Give it a name that people know.",
        )
    return _word(text, what, _SLUG, "small letters a to z, digits, and hyphens inside")


def code(text: str, what: str = "code") -> str:
    """The code of a plan: as a slug, and with underscores.

    Raises:
        NameRefused: it is not one.
    """
    return _word(text, what, _CODE, "small letters a to z, digits, and hyphens and underscores inside")


def slug_of(text: str) -> str:
    """The slug that a name suggests: `Zoë & Söhne` is `zoe-sohne`. Empty where the name has nothing of it."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST_SLUG].strip("-")


def email(text: str, what: str = "address") -> str:
    """An e-mail address, as it was spelled, without spaces around it.

    Whether anybody reads it there is not known. Two spellings that differ in case are one address.

    Raises:
        NameRefused: it is not one.
    """
    kept = text.strip()
    if len(kept) > LONGEST_EMAIL:
        raise _too_long(kept, what, LONGEST_EMAIL)
    if not _EMAIL.fullmatch(kept) or not kept.isprintable():
        raise NameRefused(
            f"{shown(kept) or 'an empty text'} is no {what}",
            cause="An e-mail address has something on both sides of one @, and no space.",
            remedy="Write it as ada@example.com.",
        )
    return kept


def _word(text: str, what: str, pattern: re.Pattern[str], of: str) -> str:
    if len(text) > LONGEST_SLUG:
        raise _too_long(text, what, LONGEST_SLUG)
    if not pattern.fullmatch(text):
        proposed = slug_of(text)
        raise NameRefused(
            f"{shown(text) or 'an empty text'} is no {what}",
            cause=f"It has {of}.",
            remedy=f"Write it as {proposed}." if proposed else "Write it so.",
        )
    return text


def _too_long(text: str, what: str, most: int) -> NameRefused:
    return NameRefused(
        f"the {what} is too long: {len(text):,} characters",
        cause=f"It may have {most}. It begins with {shown(text, 30)}",
        remedy="Shorten it.",
    )
