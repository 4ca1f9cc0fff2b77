"""Which words of a command line and its environment are secrets, and a text without them: the last door.

Whoever knows that a connection string is one shows it without its password. But a URL may stand where a folder, a name
or a command should, and is then repeated by whoever did not find that folder.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MASK = "***"

SHORTEST = 6
"""Characters from which on a password is looked for in every text; a shorter one may be a part of any word."""

_URL = re.compile(r"(\b[a-z][a-z0-9+.-]*:/{1,2}[^\s:@/]*:)(?!\d{1,5}(?:[/,?\s\"']|$))[^\s\"'…]+", re.IGNORECASE)
_OPTION = re.compile(r"(\b(?:ssl)?password\s*=\s*)'?(.+)", re.IGNORECASE | re.DOTALL)


def secrets_of(words: Iterable[str], environ: Mapping[str, str]) -> tuple[str, ...]:
    """The passwords in these words and in the environment, in each form in which they may be repeated.

    Words of every day are none: what is a name or a message is not to be made unreadable.
    """
    found: set[str] = set()
    given = [secret for word in (*words, environ.get("DATABASE_URL", "")) for secret in _secrets_in(word)]
    for secret in (*given, environ.get("PGPASSWORD", "")):
        found |= {form for form in _forms(secret) if _telling(form)}
    return tuple(sorted(found))


def masked(text: str, secrets: Iterable[str]) -> str:
    """The text without these secrets, those too that overlap."""
    spans = sorted(
        (found.start(), found.end())
        for secret in secrets
        if secret in text
        for found in re.finditer(re.escape(secret), text)
    )
    shown, end = [], 0
    for start, until in spans:
        if start >= end:
            shown += [text[end:start], MASK]
        end = max(end, until)
    return "".join((*shown, text[end:]))


def masked_address(text: str) -> str:
    """The text without what stands behind the user of an address, cut off or not."""
    return _URL.sub(rf"\1{MASK}", text)


def _secrets_in(word: str) -> Iterator[str]:
    _, _, rest = word.partition("://")
    # Without a scheme: `user:password@host`, and no sentence of a server's with a colon in it.
    rest = rest or (word if re.match(r"[^\s:@/]+:(?!\s)", word) else "")
    if "@" in rest:
        yield rest.rpartition("@")[0].partition(":")[2]
    elif "://" in word and not re.match(r"\d{1,5}(?:[/,?]|$)", behind := rest.partition(":")[2]):
        yield behind
    if option := _OPTION.search(word):
        given = option[2]
        yield given.strip("'")
        yield re.sub(r"\\(.)", r"\1", given).strip("'")
        yield given.partition("&")[0]


def _forms(secret: str) -> Iterator[str]:
    if not secret:
        return
    import json
    from urllib.parse import quote, unquote

    for plain in {secret, unquote(secret), re.sub(r"/+", "/", secret), re.sub(r"/(?:\./)+", "/", secret)}:
        yield plain
        yield quote(plain, safe="")
        yield quote(plain)
        yield json.dumps(plain)[1:-1]
        yield json.dumps(plain, ensure_ascii=False)[1:-1]
        yield repr(plain)[1:-1]
        yield plain.replace("'", "'\"'\"'")
        yield " ".join(plain.split())


def _telling(text: str) -> bool:
    """Whether a text is odd enough to be looked for: not a word, a name or a number that may stand anywhere."""
    return len(text) >= SHORTEST and not re.fullmatch(r"[a-z_-]*|[0-9]*|[A-Z]?[a-z]*", text)
