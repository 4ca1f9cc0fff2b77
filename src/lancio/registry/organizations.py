"""Which organizations are there, and how do they come, change and go?

An organization begins with an owner, and with a data key where migration 008 is applied, in one transaction: there is
none without. Removed it is closed, with all its rows, and can be brought back; purged it is gone.

Functions that take an `Acting` work in its transaction; the others in one that `operating` or `belonging` has opened.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.rows import class_row, dict_row

from lancio.postgres import named_queries
from lancio.registry import audit_entry, data_keys, names, pages
from lancio.registry.acting import BROKER, ActingRefused, Actor, entered, shown
from lancio.registry.refusal import RegistryRefused, Taken, not_there, refuse_changed
from lancio.registry.versions import version_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from lancio.registry.acting import Acting
    from lancio.registry.key_encryption_key import Ring
    from lancio.registry.pages import Page

_QUERIES: Final = named_queries("lancio.registry", "organizations.sql")

CHANGEABLE: Final = ("slug", "name", "kind", "size", "billing_email", "requires_mfa")


@dataclass(frozen=True, slots=True)
class Organization:
    """A row of platform.organizations."""

    id: UUID
    slug: str
    name: str
    kind: str | None
    size: str | None
    billing_email: str | None
    plan: str | None
    """The code of its plan."""
    requires_mfa: bool
    deleted_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def version(self) -> int:
        """Another after each change."""
        return version_of(self.updated_at)


def page(
    connection: psycopg.Connection[Any],
    *,
    like: str | None = None,
    removed: bool = False,
    after: str | None = None,
    limit: int = pages.USUAL,
) -> Page[Organization]:
    """Those that the open transaction sees, by slug; `like` is looked for in slug and name.

    Raises:
        NameRefused: `after` is no mark of such a list.
    """
    key = pages.key_of(after, 1)
    with connection.cursor(row_factory=class_row(Organization)) as cursor:
        found = cursor.execute(
            _QUERIES["page"],
            {
                "after": None if key is None else key[0],
                "like": pages.like(like),
                "removed": removed,
                "limit": limit + 1,
            },
        ).fetchall()
    return pages.cut(found, limit, lambda each: (each.slug,))


def one(work: Acting) -> Organization:
    """The organization that is acted in.

    Raises:
        NotAllowed: the actor may not look at it.
    """
    work.require("organization.read")
    return _read(work.connection, work.organization)


def add(
    connection: psycopg.Connection[Any],
    actor: Actor,
    *,
    slug: str,
    name: str,
    owner: UUID,
    ring: Ring | None,
    kind: str | None = None,
    size: str | None = None,
    billing_email: str | None = None,
    requires_mfa: bool = False,
) -> Organization:
    """A new organization with its owner and its data key; within `operating`.

    `owner` is a user that `users.named` has found. Without `ring` there is no data key, and nothing is sealed in it
    until `lancio keys init` makes one.

    Raises:
        NameRefused: slug, name or address cannot be.
        Taken: the slug is another's.
        KeyRefused: what `data_keys.make` raises.
    """
    fields = _checked(
        {
            "slug": slug, "name": name, "kind": kind, "size": size, "billing_email": billing_email,
            "requires_mfa": requires_mfa,
        }
    )  # fmt: skip
    if actor.kind == "user" and owner != actor.id:
        raise RegistryRefused(
            "an organization is made by its owner",
            cause=f"{actor.said} acts, and another is named as owner.",
            remedy="Add the other as a member afterwards, or let the operator make it.",
        )
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_QUERIES["add"], fields).fetchone()
        if row is None:
            raise _taken(fields["slug"])
        id_: UUID = row["id"]
        with entered(connection, actor, id_):
            member = cursor.execute(_QUERIES["add_owner"], {"organization": id_, "user": owner}).fetchone()
            assert member is not None  # noqa: S101  it was inserted
            made = _read(connection, id_)
            audit_entry.insert(
                connection, actor, "organization.add", "organization", id_, organization=id_, after=asdict(made)
            )
            audit_entry.insert(
                connection, actor, "member.add", "member", member["id"], organization=id_,
                after={"user_id": owner, "role": "owner"},
            )  # fmt: skip
        if ring is not None:
            with entered(connection, actor, id_, BROKER):
                data_keys.make(connection, ring, id_)
    return made


def update(work: Acting, changes: Mapping[str, Any], *, version: int | None = None) -> Organization:
    """The organization as it is after `changes`: fields of `CHANGEABLE`. With `version`, only if it is still that one.

    Raises:
        NotAllowed: the actor may not.
        NameRefused: a value cannot be.
        Taken: the slug is another's.
        LostRace: it is another version by now.
    """
    work.require("organization.update")
    connection = work.connection
    before = _locked(work, version)
    fields = _checked({**{each: getattr(before, each) for each in CHANGEABLE}, **changes})
    try:
        with connection.transaction():
            connection.execute(_QUERIES["update"], {**fields, "id": before.id})
    except psycopg.errors.UniqueViolation as error:
        raise _taken(fields["slug"]) from error
    after = _read(connection, before.id)
    _write(work, "organization.update", before, after)
    return after


def remove(work: Acting, *, version: int | None = None) -> Organization:
    """Close it: nobody acts in it until `restore`. Its rows stay, and its slug stays its own.

    Raises:
        NotAllowed: the actor may not.
        LostRace: it is another version by now.
    """
    work.require("organization.remove")
    before = _locked(work, version)
    work.connection.execute(_QUERIES["remove"], {"id": before.id})
    after = _read(work.connection, before.id)
    _write(work, "organization.remove", before, after)
    return after


def restore(work: Acting) -> Organization:
    """Bring it back; `work` was begun with `deleted`.

    Raises:
        NotAllowed: the actor may not.
        RegistryRefused: it was not removed.
    """
    work.require("organization.restore")
    before = _locked(work, None)
    if before.deleted_at is None:
        raise RegistryRefused(
            f"the organization {work.slug} was not removed",
            cause="There is nothing to bring back.",
            remedy="Look at it.",
            commands=(f"lancio org show {work.slug}",),
        )
    work.connection.execute(_QUERIES["restore"], {"id": before.id})
    after = _read(work.connection, before.id)
    _write(work, "organization.restore", before, after)
    return after


def what_it_has(work: Acting) -> dict[str, int]:
    """How many rows of which kind would go with it.

    Raises:
        NotAllowed: the actor may not purge it.
    """
    work.require("organization.purge")
    with work.connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(_QUERIES["what_it_has"], {"id": work.organization}).fetchone()
    assert found is not None  # noqa: S101  a SELECT without FROM has one row
    return {name: count for name, count in found.items() if count}


def purge(work: Acting) -> dict[str, int]:
    """Destroy a removed organization with all that hangs on it, its data keys included; this is not taken back.

    Entries of the audit trail stay, without the organization. `work` was begun with `deleted`.

    Raises:
        NotAllowed: the actor may not.
        RegistryRefused: it was not removed before.
        ActingRefused: the login may not write an entry that is no organization's.
    """
    gone = what_it_has(work)
    before = _locked(work, None)
    if before.deleted_at is None:
        raise RegistryRefused(
            f"the organization {work.slug} is in use",
            cause="Only one that was removed is purged, so that there is time to think of it again.",
            remedy="Remove it first.",
            commands=(f"lancio org remove {work.slug}",),
        )
    try:
        with work.as_login():
            work.connection.execute(_QUERIES["purge"], {"id": before.id})
            audit_entry.insert(
                work.connection, work.actor, "organization.purge", "organization", before.id, organization=None,
                before=asdict(before),
            )  # fmt: skip
    except psycopg.errors.InsufficientPrivilege as error:
        raise ActingRefused(
            "this login purges no organization",
            cause="Policies bind it, and that an organization is gone is written down for the platform, not for one.",
            remedy="Let the operator do it: a superuser, or a member of lancio_owner with BYPASSRLS.",
        ) from error
    return gone


def lock(work: Acting) -> None:
    """Let whoever changes who is in the organization go one by one, until the transaction ends."""
    work.connection.execute(_QUERIES["lock"], {"id": work.organization})


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    checked = dict(fields)
    checked["slug"] = names.slug(fields["slug"])
    checked["name"] = names.name(fields["name"])
    for each in ("kind", "size"):
        checked[each] = names.name(fields[each], each) if fields[each] else None
    checked["billing_email"] = names.email(fields["billing_email"]) if fields["billing_email"] else None
    return checked


def _read(connection: psycopg.Connection[Any], id_: UUID) -> Organization:
    with connection.cursor(row_factory=class_row(Organization)) as cursor:
        found = cursor.execute(_QUERIES["one"], {"id": id_}).fetchone()
    if found is None:
        not_there("organization", str(id_), list_="lancio org list")
    return found


def _locked(work: Acting, version: int | None) -> Organization:
    """As it is now, and until the transaction ends nobody else changes it.

    A row that another transaction has just changed is waited for, and read as that one left it.
    """
    lock(work)
    found = _read(work.connection, work.organization)
    if version is not None and version != found.version:
        refuse_changed("organization", str(version), found.version, f"lancio org show {found.slug}")
    return found


def _taken(slug: str) -> Taken:
    return Taken(
        f"the slug {shown(slug)} is taken",
        cause="Another organization has it, or had it and was removed.",
        remedy="Take another.",
        commands=("lancio org list --removed",),
    )


def _write(work: Acting, action: str, before: Organization, after: Organization) -> None:
    audit_entry.insert(
        work.connection, work.actor, action, "organization", after.id, organization=after.id,
        before=asdict(before), after=asdict(after),
    )  # fmt: skip
