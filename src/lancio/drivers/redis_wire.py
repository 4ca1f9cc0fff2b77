"""Redis's protocol (RESP 2), as far as a probe speaks it: a question, and an answer of bounded size.

What a server says against a question is kept as one word of a closed form: its text can hold what was asked.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Final, Self

_LARGEST: Final = 1 << 20
"""Bytes of an answer; a longer one is none that we asked for."""
_MOST_PARTS: Final = 4096
_DEEPEST: Final = 6
_ALERT: Final = b"\x15"
_WORD: Final = re.compile(rb"[A-Z][A-Z0-9_]{1,39}(?= |$)")
_NUMBER: Final = re.compile(rb"-?[0-9]{1,18}")

_BEGINNINGS: Final[dict[bytes, str]] = {
    b"ERR max number of clients": "MAXCLIENTS",
    b"ERR wrong number of arguments": "ARGUMENTS",
    b"ERR invalid password": "WRONGPASS",
    b"ERR operation not permitted": "NOAUTH",
    b"ERR unknown command": "UNKNOWN",
}
"""What is said with ERR alone as its first word, some of it by servers before 6, and the word that it has here."""


class NotRedis(Exception):  # noqa: N818  (what answers)
    """What came is no answer of Redis's."""

    def __init__(self, *, alert: bool = False) -> None:
        super().__init__()
        self.alert = alert
        """Whether it is TLS's."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer that is an error."""

    word: str
    """Its first word, as NOAUTH."""


Reply = str | bytes | int | None | list["Reply"] | Refused


class Line:
    """A connection to a server, on which one question waits for the answer of the one before."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._left = 0
        self._parts = 0

    async def ask(self, *words: str) -> Reply:
        """The answer to a command.

        Raises:
            NotRedis: it is none.
            OSError, EOFError: the line is broken.
        """
        said = [word.encode(errors="surrogateescape") for word in words]
        self._writer.write(b"*%d\r\n" % len(said) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in said))
        await self._writer.drain()
        self._left, self._parts = _LARGEST, _MOST_PARTS
        return await self._reply(0)

    async def listen(self) -> None:
        """Wait for a byte that nobody asked for.

        Raises:
            OSError: the line is broken; under TLS it may tell why.
        """
        await self._reader.read(1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.transport.abort()
        await asyncio.sleep(0)  # so that it is closed

    async def _reply(self, depth: int) -> Reply:
        kind = await self._reader.readexactly(1)
        if kind not in b"+-:$*":
            raise NotRedis(alert=kind == _ALERT)
        self._parts -= 1
        if depth > _DEEPEST or self._parts < 0:
            raise NotRedis
        text = await self._rest()
        if kind == b"+":
            return text.decode(errors="replace")
        if kind == b"-":
            return _refused(text)
        if not _NUMBER.fullmatch(text):
            raise NotRedis
        number = int(text)
        if kind == b":":
            return number
        if number < 0:
            return None
        if kind == b"$":
            return await self._bulk(number)
        if number > self._parts:
            raise NotRedis
        return [await self._reply(depth + 1) for _ in range(number)]

    async def _rest(self) -> bytes:
        """The rest of a line."""
        try:
            text = await self._reader.readline()
        except ValueError:  # too long a line
            raise NotRedis from None
        self._left -= len(text)
        if not text.endswith(b"\n"):
            raise EOFError
        if not text.endswith(b"\r\n") or self._left < 0:
            raise NotRedis
        return text[:-2]

    async def _bulk(self, length: int) -> bytes:
        self._left -= length + 2
        if self._left < 0:
            raise NotRedis
        told = await self._reader.readexactly(length + 2)
        if told[length:] != b"\r\n":
            raise NotRedis
        return told[:length]


def _refused(text: bytes) -> Refused:
    for beginning, word in _BEGINNINGS.items():
        if text.startswith(beginning):
            return Refused(word)
    found = _WORD.match(text)
    if found is None:
        raise NotRedis
    return Refused(found[0].decode("ascii"))
