"""What a rotation is, and what follows what: values and decisions, no effects."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from lancio.errors import LancioError, UsageError

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

Kind = Literal["postgresql", "redis"]

Way = Literal["two-logins", "same-login"]
"""A second login beside the old one, or a new password for the same login."""
WAYS: Final[tuple[Way, ...]] = get_args(Way)

State = Literal["planned", "made", "proved", "registered", "done", "abandoned"]
STATES: Final[tuple[State, ...]] = get_args(State)
FINISHED: Final[frozenset[State]] = frozenset({"done", "abandoned"})

Step = Literal["make", "prove", "register", "end"]
"""`end` ends the old login."""

STEP: Final[dict[State, Step]] = {"planned": "make", "made": "prove", "proved": "register", "registered": "end"}
"""What is to be done next, by what has been reached."""

AFTER: Final[dict[Step, State]] = {"make": "made", "prove": "proved", "register": "registered", "end": "done"}

Reason = Literal[
    "unsupported",  # this kind of database, or its topology, or its version
    "way",  # it is not rotated in this way
    "placeholder",  # nothing is registered yet
    "no-password",  # the connection string names no user or no password: nothing to rotate
    "under-way",  # an unfinished rotation is there
    "none",  # none is
    "held",  # another run is at it
    "overtaken",  # what is registered is neither the old nor the new string
    "lost",  # the sealed strings of the rotation are not there any more
    "old-login",  # the registered login does not log in
    "administrator",  # the administrator's does not
    "unreachable",  # nobody answers at the source
    "no-rights",  # who was let in may not do it
    "login-taken",  # a login of the new one's name is there, and is not ours
    "superuser",  # a superuser is not given a second login
    "shared",  # other databases may have the login, and would be shut out at once
    "proof",  # the new login does not log in
    "changed",  # the source is not as the rotation left it
    "refused",  # the source says no for a reason that is none of these
]

SECRET_BYTES: Final = 32

FOR_EVER: Final = "until-said"
"""Of --keep-old: the old login works until --drop-old ends it."""

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST_KEPT_S: Final = 366 * 86400
_LONGEST_ROLE: Final = 63


class CredentialRotationRefused(LancioError):  # noqa: N818  (a refusal, named as those of lancio.errors)
    """A login is not changed, or not further than its state says. `reason` tells why; no secret is in it."""

    code = "credential-rotation"

    def __init__(
        self, reason: Reason, message: str, *, cause: str, remedy: str, commands: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, cause=cause, remedy=remedy, commands=commands)
        self.reason = reason
        self.more["reason"] = reason


@dataclass(frozen=True, slots=True)
class Rotation:
    """A row of platform.credential_rotations."""

    id: UUID
    organization_id: UUID
    project_id: UUID
    database_id: UUID
    database_name: str
    kind: Kind
    way: Way
    state: State
    old_login: str
    new_login: str
    old_id: UUID | None
    candidate_id: UUID | None
    keep_seconds: int | None
    """How long the old login is kept once the new one is registered; None until it is said."""
    kept: float | None
    """Seconds that it is kept from now; negative once they are over, infinite until it is said. None before the new
    one is registered."""
    failure: str | None
    notes: tuple[str, ...]
    created_at: datetime
    updated_at: datetime

    @property
    def finished(self) -> bool:
        """Nothing more is to be done."""
        return self.state in FINISHED


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a rotation would do, after a look at the source."""

    way: Way
    old_login: str
    new_login: str
    steps: tuple[str, ...]
    """A sentence each, in their order."""
    notes: tuple[str, ...] = ()
    """What to know besides."""


def step_of(rotation: Rotation, *, end_now: bool = False) -> Step | None:
    """What is to be done next; None where nothing is, or not yet."""
    if rotation.finished:
        return None
    step = STEP[rotation.state]
    if step == "end" and not end_now and rotation.kept is not None and rotation.kept > 0:
        return None
    return step


def new_password() -> str:
    """32 random bytes in letters, digits, - and _: 43 characters that need no quoting in a URL, a shell or a file."""
    return secrets.token_urlsafe(SECRET_BYTES)


def group_of(login: str, role_setting: str | None, memberships: tuple[str, ...]) -> str:
    """The role that owns things: what an earlier rotation's login works as, else the login itself."""
    return role_setting if role_setting is not None and role_setting in memberships else login


def logins_beside(group: str) -> tuple[str, ...]:
    """Names for a second login, in the order in which they are to be tried: `<group>_a`, `<group>_b`, …"""
    stem = group
    while len(stem.encode()) > _LONGEST_ROLE - 2:
        stem = stem[:-1]
    return tuple(f"{stem}_{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")


def kept_seconds(text: str) -> int | None:
    """The seconds of `90s`, `30m`, `24h`, `7d`, `2w`, 0; None for `until-said`.

    Raises:
        UsageError: it is none of these, or longer than a year.
    """
    wanted = text.strip().lower()
    if wanted == FOR_EVER:
        return None
    match = re.fullmatch(r"([0-9]{1,9})([smhdw]?)", wanted, re.ASCII)
    if match is None or (not match[2] and int(match[1]) != 0):
        raise UsageError(
            f"--keep-old {text!r} is no length of time",
            cause="It is a whole number with s, m, h, d or w behind it, 0, or until-said.",
            remedy="Write it as --keep-old 24h.",
        )
    seconds = int(match[1]) * _UNITS[match[2] or "s"]
    if seconds > _LONGEST_KEPT_S:
        raise UsageError(
            f"--keep-old {text} is more than a year",
            cause="A login that is kept that long is not rotated.",
            remedy=f"Keep it for less, or say {FOR_EVER}.",
        )
    return seconds
