"""What are the organizations' data keys wrapped with, and where does it come from?

The key-encryption key (KEK) is 32 bytes that stay with the program: in a file that only its owner may read, in an
environment variable, or in the output of a command that asks a key manager. It never goes to PostgreSQL. What rests
there is the wrapped data key,

    01 | nonce, 12 bytes | AES-256-GCM ciphertext of the 64 bytes | tag, 16 bytes

whose associated data is `platform.data_keys.wrapped`, a zero byte, the key's id (4 bytes, big-endian) and its
organization (16 bytes; zeros for the first single key). So a wrapped key opens in its own row only.

A KEK is known by its check value, 16 hexadecimal digits that say nothing about it: they tell a wrong KEK at once.
There is no default, and none is made unasked.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac as _hmac
import os
import re
import secrets as _random
import selectors
import shlex
import signal
import stat
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lancio.errors import LancioError
from lancio.registry.secrets import KEY_BYTES, Key, KeyRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from uuid import UUID

KEK_BYTES: Final = 32
"""Length of a key-encryption key."""

WRAPPED_BYTES: Final = 1 + 12 + KEY_BYTES + 16
"""Length of a wrapped data key."""

COMMAND_SECONDS: Final = 30.0
"""How long a command may take to print the key."""

_VERSION: Final = 1
_NONCE: Final = 12
_NOBODY: Final = bytes(16)
_LONGEST: Final = 65_536


class WrapBroken(LancioError):  # noqa: N818  (a refusal, named as those of lancio.errors)
    """A wrapped data key that does not open: changed, moved from another row, or wrapped with another KEK."""

    code = "wrap"


@dataclass(frozen=True, slots=True)
class KeyEncryptionKey:
    """What data keys are wrapped with."""

    secret: bytes = field(repr=False)
    """32 bytes."""
    origin: str = field(default="", compare=False)
    """Where it came from, in words: a file's path, a variable's name, a command's first word."""

    def __post_init__(self) -> None:
        if not isinstance(self.secret, bytes) or len(self.secret) != KEK_BYTES:
            raise KeyRefused(
                f"the key-encryption key is not {KEK_BYTES} bytes long",
                remedy="Make one.",
                commands=(_MAKE,),
            )

    @classmethod
    def random(cls) -> KeyEncryptionKey:
        """A new one from the operating system's random numbers."""
        return cls(_random.token_bytes(KEK_BYTES))

    @property
    def id(self) -> str:
        """The check value: 16 hexadecimal digits that may be shown."""
        return self._derived(b"lancio.kek.id")[:8].hex()

    def wrap(self, key: Key) -> bytes:
        """A data key as it may rest in the database, in the row of its id and organization."""
        nonce = _random.token_bytes(_NONCE)
        sealed = AESGCM(self._derived(b"lancio.kek.wrap")).encrypt(nonce, key.secret, _bound(key.id, key.organization))
        return bytes([_VERSION]) + nonce + sealed

    def unwrap(self, wrapped: bytes, key_id: int, organization: UUID | None) -> Key:
        """The data key.

        Raises:
            WrapBroken: it was changed, stood in another row, or was wrapped with another KEK.
        """
        if len(wrapped) != WRAPPED_BYTES or wrapped[0] != _VERSION:
            raise WrapBroken(
                f"data key {key_id} is not one that Lancio wrapped",
                cause="Its length or its version is another: it was cut or changed.",
                remedy="Restore it from a backup of the keys.",
                commands=(_RESTORE,),
            )
        nonce, sealed = wrapped[1 : 1 + _NONCE], wrapped[1 + _NONCE :]
        try:
            secret = AESGCM(self._derived(b"lancio.kek.wrap")).decrypt(nonce, sealed, _bound(key_id, organization))
        except InvalidTag:
            raise WrapBroken(
                f"data key {key_id} does not open with the key-encryption key {self.id}",
                cause="It was wrapped with another one, it was changed, or it was taken from another row.",
                remedy="Restore it from a backup of the keys.",
                commands=(_RESTORE,),
            ) from None
        return Key(key_id, secret, organization)

    def mac(self, purpose: bytes, content: bytes) -> bytes:
        """HMAC-SHA-256 of the content under a key that serves this purpose alone."""
        return _hmac.digest(self._derived(purpose), content, "sha256")

    def _derived(self, purpose: bytes) -> bytes:
        return _hmac.digest(self.secret, purpose, "sha256")


@dataclass(frozen=True, slots=True)
class Ring:
    """The KEK in use, and those that data keys may still be wrapped with while a rotation runs."""

    current: KeyEncryptionKey
    others: tuple[KeyEncryptionKey, ...] = ()

    def __iter__(self) -> Iterator[KeyEncryptionKey]:
        yield self.current
        yield from self.others

    def of(self, kek_id: str) -> KeyEncryptionKey:
        """The one with that check value.

        Raises:
            KeyRefused: it is not among them.
        """
        for each in self:
            if each.id == kek_id:
                return each
        raise wrong(self, (kek_id,))

    def unwrap(self, wrapped: bytes, kek_id: str, key_id: int, organization: UUID | None) -> Key:
        """The data key.

        Raises:
            KeyRefused: the KEK that it is wrapped with is not here.
            WrapBroken: it does not open with it.
        """
        return self.of(kek_id).unwrap(wrapped, key_id, organization)


# --- where it comes from ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Source:
    """Where a KEK is to be read from: one of the three."""

    file: Path | None = None
    variable: str | None = None
    command: tuple[str, ...] = field(default=(), repr=False)
    """The argument vector; no shell sees it."""
    said: str = ""
    """Who named it: an option, a variable, a line of lancio.toml."""

    def read(self, environ: Mapping[str, str], *, seconds: float = COMMAND_SECONDS) -> KeyEncryptionKey:
        """The key.

        Raises:
            KeyRefused: it cannot be had, or is not one. What was read is never quoted.
        """
        if self.file is not None:
            return read_file(self.file)
        if self.variable is not None:
            if not (given := environ.get(self.variable, "").strip()):
                raise KeyRefused(
                    f"{self.variable} is not set",
                    cause=f"{self.said or 'The configuration'} says that it holds the key-encryption key.",
                    remedy="Set it to the 64 hexadecimal digits of the key.",
                )
            return _parsed(given, f"the variable {self.variable}")
        return read_command(self.command, environ, seconds=seconds)


def named(environ: Mapping[str, str], *, old: bool = False) -> Source | None:
    """What LANCIO_KEK_FILE, LANCIO_KEK or LANCIO_KEK_COMMAND names; None where none of them is set.

    `old`: LANCIO_OLD_KEK_FILE and so on, the one that a rotation leaves.

    Raises:
        KeyRefused: two of them are set, or the command is not one line of words.
    """
    stem = "LANCIO_OLD_KEK" if old else "LANCIO_KEK"
    given = {
        name: value for name in (f"{stem}_FILE", stem, f"{stem}_COMMAND") if (value := environ.get(name, "").strip())
    }
    if not given:
        return None
    if len(given) > 1:
        raise KeyRefused(
            f"{' and '.join(given)} are set together",
            cause="Each of them names a key-encryption key, and which of them is meant is not guessed.",
            remedy="Keep one of them.",
            commands=tuple(f"unset {name}" for name in list(given)[1:]),
        )
    ((name, value),) = given.items()
    if name == stem:
        return Source(variable=name, said=name)
    if name.endswith("_FILE"):
        return Source(file=Path(value).expanduser(), said=name)
    return Source(command=words(value, name), said=name)


def words(command: str, said: str) -> tuple[str, ...]:
    """A command as the argument vector it is; quotes and backslashes as in a shell, and nothing else of one.

    Raises:
        KeyRefused: a quote that does not end, or no word at all.
    """
    try:
        found = tuple(shlex.split(command))
    except ValueError:
        found = ()
    if not found:
        raise KeyRefused(
            f"{said} is no command",
            cause="It is split into words as a shell would, and a quote does not end or no word is there.",
            remedy="Write the program and its arguments, with quotes around what has spaces.",
        )
    return found


def missing() -> KeyRefused:
    """The refusal where a KEK is needed and none is named."""
    return KeyRefused(
        "there is no key-encryption key",
        cause="Neither --kek-file nor --kek-command, LANCIO_KEK_FILE, LANCIO_KEK, LANCIO_KEK_COMMAND nor lancio.toml "
        "names one, and there is no default.",
        remedy="Name the one that the data keys are wrapped with. On a new platform make one, and keep a copy where "
        "the backups of the database are not.",
        commands=("export LANCIO_KEK_FILE=lancio.kek", _MAKE),
    )


def wrong(ring: Ring, wanted: Sequence[str], *, where: str = "this database") -> KeyRefused:
    """The refusal where data keys are wrapped with other KEKs than those at hand."""
    here = ", ".join(f"{each.id}{f' ({each.origin})' if each.origin else ''}" for each in ring)
    one = len(wanted) == 1
    return KeyRefused(
        f"the key-encryption key{'' if one else 's'} {', '.join(wanted)} {'is' if one else 'are'} not here",
        cause=f"Data keys in {where} are wrapped with {'it' if one else 'them'}. At hand: {here}.",
        remedy="Let --kek-file or LANCIO_KEK_FILE name the right one: in a file that Lancio made stands its check "
        "value. While a rotation runs, LANCIO_OLD_KEK_FILE names the other.",
        commands=("lancio keys status", f"grep -l {shlex.quote(wanted[0])} *.kek"),
    )


def generate(path: Path) -> KeyEncryptionKey:
    """Make a new KEK and write it to a file that only its owner may read.

    Raises:
        KeyRefused: the file exists (a key is never written over), or cannot be written.
    """
    key = KeyEncryptionKey(_random.token_bytes(KEK_BYTES), str(path))
    text = (
        "# Lancio's key-encryption key. Whoever has it and the database can open every secret; without it nobody can.\n"
        f"# Its check value, which may be shown: {key.id}\n"
        f"kek = {key.secret.hex()}\n"
    )
    write_private(path, text.encode("ascii"), "A key is never written over: what it wrapped could not be opened again.")
    return key


def write_private(path: Path, content: bytes, why: str) -> None:
    """Write a new file of mode 0600; it is whole and on the disk when this returns.

    What a killed process leaves of it is refused by who reads it.

    Raises:
        KeyRefused: it exists, with `why` as the cause, or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise KeyRefused(f"{path} exists", cause=why, remedy="Choose another file.") from error
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(path.absolute().parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise _unwritable(path, error) from error


def read_private(path: Path, what: str, *, longest: int = _LONGEST) -> bytes:
    """What is in a file that nobody but its owner may read.

    Raises:
        KeyRefused: it cannot be read, is no ordinary file, is too long, or others may read it.
    """
    try:
        # Without O_NONBLOCK a pipe would be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            # Of the opened file, not of the path: between two looks the path could become another file.
            status = os.fstat(descriptor)
            ordinary = stat.S_ISREG(status.st_mode)
            content = _all_of(descriptor, longest + 1) if ordinary else b""
        finally:
            os.close(descriptor)
    except OSError as error:
        raise KeyRefused(
            f"{what} {path} cannot be read",
            cause=f"{error.strerror}." if error.strerror else "",
            remedy="Name a file that is there and yours.",
        ) from error
    if not ordinary:
        raise KeyRefused(
            f"{what} {path} is not a file",
            cause="A folder, a pipe or a device has no permissions that could protect a key.",
            remedy="Name an ordinary file.",
        )
    if status.st_mode & 0o077:
        raise KeyRefused(
            f"{what} {path} may be read by others than its owner",
            cause=f"Its mode is {stat.S_IMODE(status.st_mode):04o}.",
            remedy="Take the rights of the others away. If others may have read it, rotate it.",
            commands=(f"chmod 600 {shlex.quote(str(path))}",),
        )
    if os.geteuid() != 0 and status.st_uid not in (os.geteuid(), 0):
        raise KeyRefused(
            f"{what} {path} belongs to another user",
            cause="Its owner can read it, and put another in its place.",
            remedy="Make a copy that belongs to the user who runs Lancio.",
            commands=(f"chown {os.geteuid()} {shlex.quote(str(path))}",),
        )
    if len(content) > longest:
        raise KeyRefused(
            f"{what} {path} is too long", cause=f"It has more than {longest} bytes.", remedy="Name the right file."
        )
    return content


def _all_of(descriptor: int, most: int) -> bytes:
    found = b""
    while len(found) < most and (piece := os.read(descriptor, most - len(found))):
        found += piece
    return found


def read_file(path: Path) -> KeyEncryptionKey:
    """The KEK in a file: a line `kek = <64 hexadecimal digits>` and comments with `#`, or the digits alone.

    Raises:
        KeyRefused: it cannot be read, others than its owner may read it, or it is not such a file. The message never
            quotes what is in it.
    """
    content = read_private(path, "the key-encryption key file")
    return _parsed(content.decode("utf-8", "replace"), f"the file {path}", str(path))


def read_command(
    command: Sequence[str], environ: Mapping[str, str], *, seconds: float = COMMAND_SECONDS
) -> KeyEncryptionKey:
    """The KEK that a command prints.

    It runs without a shell and without an input, in a process group of its own that is killed when its time is over.
    What it writes to stderr is dropped: a secret may be in it.

    Raises:
        KeyRefused: it cannot be started, takes too long, fails, or prints something else. Only its first word is shown.
    """
    first = command[0]
    try:
        process = subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=dict(environ), start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        said = f"{error.strerror}." if isinstance(error, OSError) and error.strerror else ""
        raise _no_answer(first, "cannot be started", said) from None
    try:
        output, problem = _output(process, time.monotonic() + seconds)
    finally:
        # Also what it has started and left behind, which may hold the pipe or the key.
        with contextlib.suppress(ProcessLookupError, PermissionError):  # all of it is gone
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None  # noqa: S101  a pipe was asked for
        process.stdout.close()
    if problem == "late":
        raise _no_answer(
            first, f"did not end within {seconds:g} seconds", "Perhaps it waits for an answer; it has no terminal."
        )
    if problem == "long":
        raise _no_answer(first, "printed too much", f"A key is {KEK_BYTES * 2} hexadecimal digits.")
    if process.returncode:
        how = (
            f"Its exit status is {process.returncode}"
            if process.returncode > 0
            else f"Signal {-process.returncode} ended it"
        )
        raise _no_answer(first, "failed", f"{how}. What it wrote is not shown, since a secret may be in it.")
    return _parsed(output.decode("utf-8", "replace"), f"the output of {first}", first)


def _output(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, str]:
    """What it prints until it ends; with `late` or `long` where it does not end as it should."""
    assert process.stdout is not None  # noqa: S101  a pipe was asked for
    found = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            # A child that goes on may hold the pipe after its parent has ended: then the parent's end is the end.
            if not selector.select(min(left, 0.05)):
                if process.poll() is not None:
                    return bytes(found), ""
                continue
            if not (piece := os.read(process.stdout.fileno(), 8192)):
                try:
                    process.wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    return b"", "late"
                return bytes(found), ""
            found += piece
            if len(found) > _LONGEST:
                return b"", "long"
    return b"", "late"


def _parsed(text: str, where: str, origin: str = "") -> KeyEncryptionKey:
    """The key in a text: `kek = …` or the bare value, in hexadecimal digits or base64; comments with `#`."""
    lines = [stripped for line in text.splitlines() if (stripped := line.strip()) and not stripped.startswith("#")]
    secret: bytes | None = None
    if len(lines) == 1:
        value = re.sub(r"\Akek\s*=\s*", "", lines[0])
        if re.fullmatch(rf"[0-9A-Fa-f]{{{KEK_BYTES * 2}}}", value):
            secret = bytes.fromhex(value)
        elif re.fullmatch(r"[A-Za-z0-9+/]{43}=", value):
            try:
                secret = base64.b64decode(value, validate=True)
            except binascii.Error:
                secret = None
    if secret is None or len(set(secret)) < 8:
        # Thirty-two random bytes with fewer than eight different ones do not come in the age of the universe.
        raise KeyRefused(
            f"{where} holds no key-encryption key",
            cause=f"It is one line: {KEK_BYTES * 2} hexadecimal digits of {KEK_BYTES} random bytes (or their base64), "
            "with `kek = ` before them or without."
            if secret is None
            else "It is no random number: a few bytes repeat.",
            remedy="Correct it, or make a new one.",
            commands=(_MAKE,),
        )
    return KeyEncryptionKey(secret, origin or where)


def _bound(key_id: int, organization: UUID | None) -> bytes:
    owner = _NOBODY if organization is None else organization.bytes
    return b"platform.data_keys.wrapped\0" + key_id.to_bytes(4, "big") + owner


def _no_answer(first: str, what: str, cause: str) -> KeyRefused:
    return KeyRefused(
        f"the command {first} that should print the key-encryption key {what}",
        cause=cause,
        remedy="Run it by hand and mend it: it prints the key and nothing else to stdout, and ends with 0.",
    )


def _unwritable(path: Path, error: OSError) -> KeyRefused:
    return KeyRefused(
        f"{path} cannot be written",
        cause=f"{error.strerror}." if error.strerror else "",
        remedy="Choose a folder that can be written to.",
    )


_MAKE: Final = "lancio keys init --kek-file lancio.kek"
_RESTORE: Final = "lancio keys restore keys.backup"
