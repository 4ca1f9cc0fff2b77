"""How is a credential sealed, and who may open it?

The envelope is the one that the platform makes in SQL, byte for byte:

    02 | key id, int4 big-endian | IV, 16 bytes | AES-256-CBC ciphertext, PKCS#7 padding | HMAC-SHA-256, 32 bytes

The MAC is over the column's full name, a zero byte, the row's id, the organization's id (16 bytes each) and everything
that stands before the MAC, so an envelope opens in its own column, row and organization only. A key that belongs to no
organization, as before migration 008, makes envelopes that begin with 01 and have no organization in the MAC. CBC with
HMAC, since pgcrypto has no authenticated mode and one format serves both sides; what was changed is refused before
anything is decrypted.

Nothing here opens a socket, and nothing here prints a secret: `Secret` and `Key` are masked wherever they are shown.
"""

from __future__ import annotations

import hmac as _hmac
import os
import re
import secrets as _random
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, NoReturn

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from lancio.errors import LancioError

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

CONNECTION_STRING: Final = "platform.databases.connection_string"
"""The full name of the column that connection strings are sealed for."""

CREDENTIAL: Final = "platform.credentials.secret_encrypted"
"""The full name of the column that a project's other secrets are sealed for."""

KEY_BYTES: Final = 64
"""Length of a key: 32 bytes to encrypt with, then 32 to authenticate with."""

_WITHOUT_ORGANIZATION: Final = 1
_OF_AN_ORGANIZATION: Final = 2
_HEADER: Final = 1 + 4 + 16
_MAC: Final = 32
_BLOCK: Final = 16
_SHORTEST: Final = _HEADER + _BLOCK + _MAC
_MAX_KEY_ID: Final = 999_999_999
_MASK: Final = "********"


class KeyRefused(LancioError):  # noqa: N818  (a refusal, named as those of lancio.errors)
    """There is no key, or the key file is not what it must be."""

    code = "key"


class SealBroken(LancioError):  # noqa: N818
    """An envelope that does not verify: changed, moved from another row, or sealed with another key."""

    code = "seal"


class Secret:
    """A text that is not shown: `str`, `repr`, f-strings and pickling give a mask or refuse.

    Two secrets are equal when their texts are; the comparison takes the same time whatever they are.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself. Whoever calls this answers for where it goes."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret('{_MASK}')"

    def __str__(self) -> str:
        return _MASK

    def __format__(self, spec: str) -> str:
        return format(_MASK, spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return _hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled: it would be written in clear")


@dataclass(frozen=True, slots=True)
class Key:
    """What credentials are sealed with, and the number it is known by."""

    id: int
    """From 1 to 999,999,999; it stands in each envelope in clear."""
    secret: bytes = field(repr=False)
    """64 bytes: 32 to encrypt with, 32 to authenticate with."""
    organization: UUID | None = None
    """Whose key it is; None for the single key of before migration 008."""

    SETTINGS: ClassVar[tuple[str, str]] = ("lancio.key_id", "lancio.key")

    def __post_init__(self) -> None:
        if isinstance(self.id, bool) or not isinstance(self.id, int) or not 1 <= self.id <= _MAX_KEY_ID:
            raise KeyRefused(
                "the key's id is not a whole number from 1 to 999999999",
                cause="It stands in every envelope, and both PostgreSQL and Lancio must read it as the same number.",
                remedy="Give the key another id.",
            )
        if not isinstance(self.secret, bytes) or len(self.secret) != KEY_BYTES:
            # A shorter one would work: pgcrypto pads it with zeros and falls back to a weaker cipher.
            raise KeyRefused(
                f"the key is not {KEY_BYTES} bytes long",
                cause="It takes 32 bytes to encrypt with and 32 to authenticate with.",
                remedy="Make one with lancio.registry.secrets.generate().",
            )

    @classmethod
    def random(cls, id: int = 1, organization: UUID | None = None) -> Key:  # noqa: A002  (the field's name)
        """A new key from the operating system's random numbers."""
        return cls(id, _random.token_bytes(KEY_BYTES), organization)

    def settings(self, *more: Key) -> dict[str, Secret]:
        """The session settings that PostgreSQL's side reads; to be set by bound parameter only.

        Args:
            more: other keys that rows may still be sealed with: retired ones of the organization, or the single key.
        """
        keys = (self, *more)
        values = (Secret(",".join(str(key.id) for key in keys)), Secret(",".join(key.secret.hex() for key in keys)))
        return dict(zip(self.SETTINGS, values, strict=True))

    def check_value(self) -> bytes:
        """32 bytes that tell this key from every other without telling the key: `platform.data_keys.check_value`."""
        organization = self.organization.bytes if self.organization is not None else bytes(16)
        return _hmac.digest(
            self.secret, b"platform.data_keys.check_value\x00" + self.id.to_bytes(4, "big") + organization, "sha256"
        )


def seal(
    plain: str | Secret,
    *,
    row_id: UUID,
    key: Key,
    column: str = CONNECTION_STRING,
    iv: bytes | None = None,
) -> bytes:
    """Seal a text for one column of one row.

    Args:
        plain: the text; it is encoded as UTF-8.
        row_id: the id of the row that the envelope is for; it opens in no other.
        key: what to seal it with; if it is an organization's, the envelope opens in that one's rows only.
        column: `schema.table.column`.
        iv: 16 bytes, for tests alone; without it they are random, as they must be.

    Raises:
        ValueError: an `iv` that is not 16 bytes long, or a column with a zero byte in its name.
    """
    if iv is None:
        iv = _random.token_bytes(_BLOCK)
    elif len(iv) != _BLOCK:
        raise ValueError("an IV is 16 bytes long")
    text = (plain.reveal() if isinstance(plain, Secret) else plain).encode("utf-8")
    padding = _BLOCK - len(text) % _BLOCK
    encryptor = Cipher(algorithms.AES256(key.secret[:32]), modes.CBC(iv)).encryptor()
    body = (
        bytes([_version_of(key)])
        + key.id.to_bytes(4, "big")
        + iv
        + encryptor.update(text + bytes([padding]) * padding)
        + encryptor.finalize()
    )
    return body + _mac(body, column=column, row_id=row_id, key=key)


def open_sealed(envelope: bytes, *, row_id: UUID, key: Key, column: str = CONNECTION_STRING) -> Secret:
    """Open an envelope.

    Raises:
        SealBroken: it does not verify. Nothing was decrypted then.
    """
    if not _well_formed(envelope):
        raise SealBroken(
            "the envelope is not one that Lancio seals",
            cause="Its length or its version is another: it was cut, changed, or made by something else.",
            remedy="Write the credential anew.",
        )
    if envelope[0] != _version_of(key):
        raise SealBroken(
            "the envelope was sealed with a key of another kind",
            cause="Those of an organization's key begin with 02, those of the single key of before with 01.",
            remedy=f"Take the key it names, {key_id_of(envelope)}; if that is the one at hand, it was changed.",
        )
    body, given = envelope[:-_MAC], envelope[-_MAC:]
    if not _hmac.compare_digest(_mac(body, column=column, row_id=row_id, key=key), given):
        if key_id_of(envelope) != key.id:
            raise SealBroken(
                f"the envelope names key {key_id_of(envelope)}, the key at hand is {key.id}",
                cause="It was sealed with another key, or it was changed.",
                remedy="Let LANCIO_KEY_FILE name the file of the key it was sealed with, or write the credential anew.",
            )
        raise SealBroken(
            "the envelope does not verify",
            cause="It was sealed for another row or organization or with another key, or it was changed.",
            remedy="Write the credential anew.",
        )
    decryptor = Cipher(algorithms.AES256(key.secret[:32]), modes.CBC(body[5:_HEADER])).decryptor()
    padded = decryptor.update(body[_HEADER:]) + decryptor.finalize()
    # What the MAC has vouched for was padded by someone who has the key.
    return Secret(padded[: -padded[-1]].decode("utf-8"))


def key_id_of(envelope: bytes) -> int:
    """The id of the key that an envelope says it was sealed with; unverified.

    Raises:
        SealBroken: it is no envelope.
    """
    if not _well_formed(envelope):
        raise SealBroken(
            "the envelope is not one that Lancio seals",
            cause="Its length or its version is another.",
            remedy="Write the credential anew.",
        )
    return int.from_bytes(envelope[1:5], "big")


def display_form(type_: str, host: str, port: int) -> str:
    """`redis://host:port`: what may be shown of a database, built from its parts and never cut out of a secret."""
    return f"{type_}://{_place(host, port)}"


def sealed_form(envelope: bytes, type_: str, host: str, port: int) -> str:
    """`redis://sealed:<8 hex of the MAC>@host:port`: what rests in `connection_string` beside its envelope.

    Written together with the envelope it belongs to, PostgreSQL takes the row as it is, without needing the key.

    Raises:
        SealBroken: it is no envelope.
    """
    key_id_of(envelope)
    return f"{type_}://sealed:{envelope[-_MAC : -_MAC + 4].hex()}@{_place(host, port)}"


def generate(path: Path, key_id: int = 1) -> Key:
    """Make a new key and write it to a file that only its owner may read.

    Raises:
        KeyRefused: the file exists (a key is never written over: what it sealed would be lost), or cannot be written.
    """
    key = Key.random(key_id)
    text = (
        "# Lancio's key. Whoever reads this file can open every credential sealed with it; without it nobody can.\n"
        f"key_id = {key.id}\n"
        f"key = {key.secret.hex()}\n"
    )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise KeyRefused(
            f"{path} exists",
            cause="A key is never written over: what it sealed could not be opened again.",
            remedy="Choose another file, or use the key that is there.",
        ) from error
    except OSError as error:
        raise KeyRefused(
            f"{path} cannot be written", cause=error.strerror or "", remedy="Choose a folder that can be written to."
        ) from error
    return key


def read_key_file(path: Path) -> Key:
    """The key in a file: a line `key_id = <number>`, a line `key = <128 hexadecimal digits>`, comments with `#`.

    Raises:
        KeyRefused: it cannot be read, others than its owner may read it, or it is not such a file. The message never
            quotes what is in it.
    """
    try:
        with path.open("rb") as file:
            # Of the opened file, not of the path: between two looks the path could become another file.
            status = os.fstat(file.fileno())
            content = file.read(65536)
    except OSError as error:
        raise KeyRefused(
            f"the key file {path} cannot be read",
            cause=error.strerror or "",
            remedy="Let LANCIO_KEY_FILE name the file, or make one with lancio.registry.secrets.generate().",
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise KeyRefused(
            f"the key file {path} is not a file",
            cause="A folder, a pipe or a device has no permissions that could protect a key.",
            remedy="Let LANCIO_KEY_FILE name an ordinary file.",
        )
    if status.st_mode & 0o077:
        raise KeyRefused(
            f"the key file {path} may be read by others than its owner",
            cause=f"Its mode is {stat.S_IMODE(status.st_mode):04o}.",
            remedy="Take the rights of the others away. If others may have read it, seal with a new key.",
            commands=(f"chmod 600 {path}",),
        )
    fields: dict[str, str] = {}
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), start=1):
        if not (stripped := line.strip()) or stripped.startswith("#"):
            continue
        name, separator, value = (part.strip() for part in stripped.partition("="))
        if not separator or name not in ("key_id", "key") or name in fields:
            raise _unreadable(path, number)
        fields[name] = value
    if not re.fullmatch(r"[1-9][0-9]{0,8}", fields.get("key_id", "")) or not re.fullmatch(
        rf"[0-9A-Fa-f]{{{KEY_BYTES * 2}}}", fields.get("key", "")
    ):
        raise _unreadable(path, None)
    return Key(int(fields["key_id"]), bytes.fromhex(fields["key"]))


def _unreadable(path: Path, line: int | None) -> KeyRefused:
    return KeyRefused(
        f"the key file {path} is not one",
        cause=f"It has one line key_id = <1 to 999999999> and one line key = <{KEY_BYTES * 2} hexadecimal digits>.",
        remedy="Correct it, or make a new one with lancio.registry.secrets.generate().",
        where=f"{path}:{line}" if line else "",
    )


def _well_formed(envelope: bytes) -> bool:
    return (
        len(envelope) >= _SHORTEST
        and envelope[0] in (_WITHOUT_ORGANIZATION, _OF_AN_ORGANIZATION)
        and envelope[1] < 128
        and (len(envelope) - _HEADER - _MAC) % _BLOCK == 0
    )


def _version_of(key: Key) -> int:
    return _WITHOUT_ORGANIZATION if key.organization is None else _OF_AN_ORGANIZATION


def _mac(body: bytes, *, column: str, row_id: UUID, key: Key) -> bytes:
    name = column.encode("utf-8")
    if b"\x00" in name:
        raise ValueError("a column's name has no zero byte")
    organization = b"" if key.organization is None else key.organization.bytes
    return _hmac.digest(key.secret[32:], name + b"\x00" + row_id.bytes + organization + body, "sha256")


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
