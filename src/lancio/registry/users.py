"""Who can act at all, by which address, and is it they?

Users belong to no organization: all of this works within `operating`, with the login's own rights. A password is kept
as its argon2id hash; disabling a user ends the user's sessions, and no context is set for one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.rows import class_row, dict_row

from lancio.postgres import named_queries
from lancio.registry import audit_entry, names, pages
from lancio.registry.acting import Actor, NotAllowed, quoted, shown, storable, uuid_of
from lancio.registry.refusal import NameRefused, RegistryRefused, Taken, not_there, refuse_changed
from lancio.registry.versions import version_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from lancio.registry.pages import Page
    from lancio.registry.secrets import Secret

_QUERIES: Final = named_queries("lancio.registry", "users.sql")

CHANGEABLE: Final = ("email", "username", "first_name", "last_name")

SHORTEST_PASSWORD: Final = 12
LONGEST_PASSWORD: Final = 1024

MEMORY_KIB, PASSES, LANES = 19_456, 2, 1
"""The cost of argon2id: OWASP's smallest recommended, tens of milliseconds. A hash says what it was made with."""


@dataclass(frozen=True, slots=True)
class User:
    """A row of platform.users, without the password's hash."""

    id: UUID
    email: str
    username: str | None
    first_name: str | None
    last_name: str | None
    auth_provider: str
    is_sso_user: bool
    mfa_enabled: bool
    has_password: bool
    disabled_at: datetime | None
    last_sign_in_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def version(self) -> int:
        """Another after each change."""
        return version_of(self.updated_at)

    @property
    def name(self) -> str:
        """First and last name, as far as they are known."""
        return " ".join(each for each in (self.first_name, self.last_name) if each)


@dataclass(frozen=True, slots=True)
class Belonging:
    """An organization that a user is a member of."""

    slug: str
    name: str
    role: str


def page(
    connection: psycopg.Connection[Any],
    *,
    like: str | None = None,
    disabled: bool | None = None,
    after: str | None = None,
    limit: int = pages.USUAL,
) -> Page[User]:
    """All users that the open transaction sees, by address; `like` is looked for in address and names.

    Raises:
        NameRefused: `after` is no mark of such a list.
    """
    key = pages.key_of(after, 1)
    with connection.cursor(row_factory=class_row(User)) as cursor:
        found = cursor.execute(
            _QUERIES["page"],
            {
                "after": None if key is None else key[0],
                "like": pages.like(like),
                "disabled": disabled,
                "limit": limit + 1,
            },
        ).fetchall()
        # Small letters as the database makes them, which sorts by them.
    return pages.cut(found, limit, lambda each: (_lower(connection, each.email),))


def named(connection: psycopg.Connection[Any], email: str) -> User:
    """The user of that address or id.

    Raises:
        NotThere: there is none.
    """
    with connection.cursor(row_factory=class_row(User)) as cursor:
        found = (
            cursor.execute(_QUERIES["one"], {"email": email, "id": uuid_of(email)}).fetchone()
            if storable(email)
            else None
        )
    if found is None:
        near = (
            [each for (each,) in connection.execute(_QUERIES["emails_like"], {"email": email}).fetchall()]
            if len(email) <= names.LONGEST_EMAIL and storable(email)
            else []
        )
        not_there("user", email, among=near, list_="lancio user list")
    return found


def organizations(connection: psycopg.Connection[Any], user: User) -> tuple[Belonging, ...]:
    """Those that a user is a member of, by slug."""
    with connection.cursor(row_factory=class_row(Belonging)) as cursor:
        return tuple(cursor.execute(_QUERIES["organizations"], {"id": user.id}).fetchall())


def add(
    connection: psycopg.Connection[Any],
    actor: Actor,
    *,
    email: str,
    username: str | None = None,
    first_name: str | None = None,
    last_name: str | None = None,
    password: Secret | None = None,
) -> User:
    """A new user; without a password nobody can sign in as the user yet.

    Raises:
        NotAllowed: the actor is not the operator.
        NameRefused: address, names or password cannot be.
        Taken: address or user name is another's.
    """
    _operator_only(actor, "add users")
    fields = _checked({"email": email, "username": username, "first_name": first_name, "last_name": last_name})
    hashed = None if password is None else hash_of(password)
    try:
        with connection.transaction():
            row = connection.execute(_QUERIES["add"], {**fields, "password_hash": hashed}).fetchone()
    except psycopg.errors.UniqueViolation as error:
        raise _taken(error, fields) from error
    assert row is not None  # noqa: S101  it was inserted
    made = named(connection, str(row[0]))
    _write(connection, actor, "user.add", None, made, "set" if hashed else None)
    return made


def update(
    connection: psycopg.Connection[Any],
    actor: Actor,
    email: str,
    changes: Mapping[str, Any],
    *,
    password: Secret | None = None,
    version: int | None = None,
) -> User:
    """The user as it is after `changes`: fields of `CHANGEABLE`. Another password ends the user's sessions.

    Raises:
        NotAllowed: the actor is neither the operator nor the user.
        NotThere: there is none of that address.
        NameRefused: a value cannot be.
        Taken: address or user name is another's.
        LostRace: it is another version by now.
    """
    before = _locked(connection, email, version)
    if before.id != actor.id:
        _operator_only(actor, "change other users")
    fields = _checked({**{each: getattr(before, each) for each in CHANGEABLE}, **changes})
    try:
        with connection.transaction():
            connection.execute(_QUERIES["update"], {**fields, "id": before.id})
    except psycopg.errors.UniqueViolation as error:
        raise _taken(error, fields) from error
    if password is not None:
        connection.execute(_QUERIES["set_password"], {"id": before.id, "password_hash": hash_of(password)})
        connection.execute(_QUERIES["end_sessions"], {"id": before.id, "reason": "password changed"})
    after = named(connection, str(before.id))
    said = None if password is None else "changed" if before.has_password else "set"
    _write(connection, actor, "user.update", before, after, said)
    return after


def disable(connection: psycopg.Connection[Any], actor: Actor, email: str) -> tuple[User, tuple[str, ...]]:
    """Let the user act nowhere from now on; the sessions end. With it the organizations that nobody else owns.

    Disabling who is disabled changes nothing.

    Raises:
        NotAllowed: the actor is not the operator.
        NotThere: there is none of that address.
    """
    _operator_only(actor, "disable users")
    before = _locked(connection, email, None)
    connection.execute(_QUERIES["disable"], {"id": before.id})
    connection.execute(_QUERIES["end_sessions"], {"id": before.id, "reason": "user disabled"})
    after = named(connection, str(before.id))
    if before.disabled_at is None:
        _write(connection, actor, "user.disable", before, after, None)
    alone = connection.execute(_QUERIES["owned_alone"], {"id": before.id}).fetchall()
    return after, tuple(slug for (slug,) in alone)


def enable(connection: psycopg.Connection[Any], actor: Actor, email: str) -> User:
    """Let a disabled user act again. Enabling who is enabled changes nothing.

    Raises:
        NotAllowed: the actor is not the operator.
        NotThere: there is none of that address.
    """
    _operator_only(actor, "enable users")
    before = _locked(connection, email, None)
    connection.execute(_QUERIES["enable"], {"id": before.id})
    after = named(connection, str(before.id))
    if before.disabled_at is not None:
        _write(connection, actor, "user.enable", before, after, None)
    return after


def signed_in(connection: psycopg.Connection[Any], email: str, password: Secret) -> Actor | None:
    """The actor that address and password are of; None if they are nobody's, or a disabled user's.

    It takes as long whether there is such a user or not.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_QUERIES["password_hash"], {"email": email}).fetchone() if storable(email) else None
    known = row is not None and row["password_hash"] is not None and row["password_hash"].startswith("$argon2id$")
    right = _verifies(row["password_hash"] if row is not None and known else _NOBODYS, password)
    if row is None or not known or not right or row["disabled"]:
        return None
    return Actor("user", row["id"], row["email"])


def hash_of(password: Secret) -> str:
    """The argon2id hash of a password, as `$argon2id$…`.

    Raises:
        NameRefused: the password is too short, too long, or has a zero byte.
    """
    text = password.reveal()
    if not SHORTEST_PASSWORD <= len(text) <= LONGEST_PASSWORD or "\0" in text:
        raise NameRefused(
            f"the password is too short: {len(text)} characters" if len(text) < SHORTEST_PASSWORD
            else "the password is too long" if len(text) > LONGEST_PASSWORD
            else "the password has a zero byte",
            cause=f"It takes {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters, of whatever kind.",
            remedy="Take several words, or let a password manager make one.",
        )  # fmt: skip
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    made = Argon2id(salt=os.urandom(16), length=32, iterations=PASSES, lanes=LANES, memory_cost=MEMORY_KIB)
    return made.derive_phc_encoded(text.encode("utf-8", "surrogatepass"))


_NOBODYS: Final = (
    f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$AAAAAAAAAAAAAAAAAAAAAA$"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)
"""A hash that no password has, and that takes as long to find that out."""


def _verifies(hashed: str, password: Secret) -> bool:
    from cryptography.exceptions import InvalidKey
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    try:
        Argon2id.verify_phc_encoded(password.reveal().encode("utf-8", "surrogatepass"), hashed)
    except (InvalidKey, ValueError):
        return False
    return True


def _operator_only(actor: Actor, what: str) -> None:
    if actor.kind in ("user", "api_key"):
        raise NotAllowed(
            f"{actor.said} may not {what}",
            cause="Users are the platform's, not an organization's: the operator keeps them.",
            remedy="Let the operator do it, without --as and LANCIO_USER.",
        )


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    checked = dict(fields)
    checked["email"] = names.email(fields["email"])
    for each in ("username", "first_name", "last_name"):
        checked[each] = names.name(fields[each], each.replace("_", " ")) if fields[each] else None
    return checked


def _locked(connection: psycopg.Connection[Any], email: str, version: int | None) -> User:
    if storable(email):
        connection.execute(_QUERIES["lock"], {"email": email, "id": uuid_of(email)})
    found = named(connection, email)
    if version is not None and version != found.version:
        refuse_changed("user", str(version), found.version, f"lancio user show {quoted(found.email)}")
    return found


def _taken(error: psycopg.errors.UniqueViolation, fields: Mapping[str, Any]) -> RegistryRefused:
    which = "username" if "username" in (error.diag.constraint_name or "") else "email"
    what = "user name" if which == "username" else "address"
    return Taken(
        f"the {what} {shown(fields[which])} is taken",
        cause="Another user has it, perhaps spelled with other capitals, perhaps a disabled one.",
        remedy="Look at that user.",
        commands=(f"lancio user list --like {quoted(fields['email'])}",) if which == "email" else ("lancio user list",),
    )


def _lower(connection: psycopg.Connection[Any], text: str) -> str:
    row = connection.execute("SELECT lower(%s)", (text,)).fetchone()
    assert row is not None  # noqa: S101  a SELECT without FROM has one row
    found: str = row[0]
    return found


def _write(
    connection: psycopg.Connection[Any],
    actor: Actor,
    action: str,
    before: User | None,
    after: User,
    password: str | None,
) -> None:
    audit_entry.insert(
        connection, actor, action, "user", after.id, organization=None,
        before=None if before is None else _told(before), after={**_told(after), "password": password},
    )  # fmt: skip


def _told(user: User) -> dict[str, Any]:
    return {
        "primary_email": user.email, "username": user.username, "first_name": user.first_name,
        "last_name": user.last_name, "disabled_at": user.disabled_at,
    }  # fmt: skip
