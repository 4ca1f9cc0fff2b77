"""Which programs may act in an organization, by which key, and whose key is this?

A key is 256 random bits (registry/tokens.py), shown once and kept as its SHA-256. It may do what its scopes name,
actions of registry/rights.py, and of those only what its maker may too: what a member loses, the member's keys lose. A
key that the operator makes is nobody's, and has its scopes alone.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from psycopg.rows import class_row, dict_row

from lancio.postgres import named_queries
from lancio.registry import audit_entry, names, organizations, pages, projects, rights, tokens
from lancio.registry.acting import Actor, NotAllowed, close, shown, storable, uuid_of
from lancio.registry.refusal import NameRefused, RegistryRefused, Taken, not_there

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import psycopg

    from lancio.registry.acting import Acting
    from lancio.registry.pages import Page
    from lancio.registry.secrets import Secret

_QUERIES: Final = named_queries("lancio.registry", "api_keys.sql")

LONGEST: Final = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A row of platform.api_keys, without the hash."""

    id: UUID
    name: str
    prefix: str
    last4: str
    scopes: tuple[str, ...]
    project: str | None
    """The slug of the one it is limited to."""
    project_id: UUID | None
    user_id: UUID | None
    """Whose rights it has; None for one of the operator's."""
    expires_at: datetime | None
    expired: bool | None
    last_used_at: datetime | None
    """To the minute."""
    revoked_at: datetime | None
    created_by: UUID | None
    created_at: datetime

    def __post_init__(self) -> None:
        """A driver gives lists."""
        object.__setattr__(self, "scopes", tuple(self.scopes))

    @property
    def state(self) -> str:
        """`in use`, `expired` or `revoked`."""
        return "revoked" if self.revoked_at is not None else "expired" if self.expired else "in use"


def page(
    work: Acting,
    *,
    project: str | None = None,
    all_: bool = False,
    after: str | None = None,
    limit: int = pages.USUAL,
) -> Page[ApiKey]:
    """The keys that can be used, by name; of one project where it is given, and with `all_` the ended ones too.

    Raises:
        NotAllowed: the actor may not see them.
        NotThere: there is no such project.
        NameRefused: `after` is no mark of such a list.
    """
    work.require("api_key.read")
    key = pages.key_of(after, 2)
    try:
        after_id = None if key is None else UUID(key[1])
    except ValueError:
        raise pages.no_mark() from None
    with work.connection.cursor(row_factory=class_row(ApiKey)) as cursor:
        found = cursor.execute(
            _QUERIES["page"],
            {
                **_reach(work),
                "project": None if project is None else projects.one(work, project).id,
                "all": all_,
                "after_name": None if key is None else key[0],
                "after_id": after_id,
                "limit": limit + 1,
            },
        ).fetchall()
    return pages.cut(found, limit, lambda each: (each.name, str(each.id)))


def one(work: Acting, name: str) -> ApiKey:
    """The key of that name, prefix or id.

    Raises:
        NotAllowed: the actor may not see keys.
        NotThere: there is none.
    """
    work.require("api_key.read")
    with work.connection.cursor(row_factory=class_row(ApiKey)) as cursor:
        found = cursor.execute(_QUERIES["named"], {**_reach(work), "name": name}).fetchone() if storable(name) else None
    if found is None:
        among = [each for (each,) in work.connection.execute(_QUERIES["names"], _reach(work)).fetchall()]
        not_there("API key", name, organization=work.slug, among=among, list_=f"lancio api-key list --org {work.slug}")
    return found


def add(
    work: Acting,
    name: str,
    scopes: Sequence[str],
    *,
    project: str | None = None,
    lasts: timedelta | None = None,
) -> tuple[ApiKey, Secret]:
    """A new key and its token, which is not kept. Without `lasts` it does not expire.

    Raises:
        NotAllowed: the actor may not make keys here, or may not itself what a scope names.
        NameRefused: the name cannot be, a scope is no action, or it would last too short or too long.
        NotThere: there is no such project.
        Taken: a key that is in use has this name.
    """
    found = None if project is None else projects.one(work, project)
    limited = None if found is None else found.id
    work.require("api_key.add", limited)
    name = names.name(name)
    if uuid_of(name) is not None or name.lower().startswith("lnk_"):
        raise NameRefused(
            f"no API key is called {name}",
            cause="It is written as an id or as the beginning of a key, by which keys are named too.",
            remedy="Call it by what it is for.",
        )
    wanted = tuple(dict.fromkeys(scopes))
    _refuse_scopes(work, wanted, limited)
    if lasts is not None and not timedelta(minutes=1) <= lasts <= LONGEST:
        raise NameRefused(
            "a key does not last so long" if lasts > LONGEST else "a key lasts longer",
            cause="It lasts from a minute to ten years, or until it is revoked.",
            remedy="Give it ninety days.",
        )
    organizations.lock(work)
    taken = work.connection.execute(
        _QUERIES["name_in_use"], {"organization": work.organization, "name": name}
    ).fetchone()
    if taken is None or taken[0]:
        raise Taken(
            f"there is an API key {name} in {work.slug} already",
            cause="Two keys of one name could not be told apart when one is to be revoked.",
            remedy="Take another name, or revoke that one.",
            commands=(f"lancio api-key list --org {work.slug}",),
        )
    token = tokens.make("lnk")
    user = work.actor.id if work.actor.kind == "user" else work.actor.user
    work.connection.execute(
        _QUERIES["add"],
        {
            "organization": work.organization, "project": limited, "user": user, "name": name, "prefix": token.prefix,
            "token_hash": token.digest, "last4": token.last4, "scopes": list(wanted),
            "seconds": None if lasts is None else lasts.total_seconds(),
        },
    )  # fmt: skip
    made = _read(work, token.prefix)
    _write(work, "api_key.add", made, before=None, after=_told(made))
    return made, token.secret


def revoke(work: Acting, name: str) -> ApiKey:
    """End a key; at once, and for good.

    Raises:
        NotAllowed: the actor may not.
        NotThere: there is none of that name.
        RegistryRefused: it was revoked before.
    """
    before = one(work, name)
    work.require("api_key.revoke", before.project_id)
    row = work.connection.execute(_QUERIES["lock"], {"id": before.id}).fetchone()
    if row is not None and row[0] is not None:
        raise RegistryRefused(
            f"the API key {before.name} was revoked before",
            cause=f"Since {row[0].astimezone(UTC):%Y-%m-%d %H:%M} UTC nobody gets in with it.",
            remedy="There is nothing left to do.",
        )
    work.connection.execute(_QUERIES["revoke"], {"id": before.id})
    after = _read(work, before.prefix)
    _write(work, "api_key.revoke", after, before=_told(before), after=_told(after))
    return after


def find(connection: psycopg.Connection[Any], token: Secret) -> tuple[Actor, UUID] | None:
    """Who acts with this token, and in which organization; None if nobody does. Within `operating`.

    Nothing tells an unknown token from one that was revoked, has expired, or whose user is no member any more. A token
    is found by its SHA-256, so that how long it takes says nothing of how much of it is right.
    """
    text = token.reveal().strip()
    digest = tokens.digest(text)
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_QUERIES["of_token"], {"token_hash": digest}).fetchone()
    known = hmac.compare_digest(digest, digest if row is None else bytes(row["token_hash"]))
    if row is None or not known or row["shut"]:
        return None
    connection.execute(_QUERIES["used"], {"id": row["id"]})
    limited = None if row["project_id"] is None else frozenset((row["project_id"],))
    actor = Actor("api_key", row["id"], row["name"], frozenset(row["scopes"]), row["user_id"], limited)
    return actor, row["organization_id"]


def _refuse_scopes(work: Acting, scopes: Sequence[str], project: UUID | None) -> None:
    if not scopes:
        raise NameRefused(
            "an API key without a scope could do nothing",
            cause="No scope is named.",
            remedy="Name what it is for; `lancio api-key scopes` lists them.",
            commands=("lancio api-key scopes",),
        )
    for each in scopes:
        if each not in rights.ACTIONS:
            raise NameRefused(
                f"there is no scope {shown(each)}",
                cause=f"A scope is an action.{close(each, rights.ACTIONS)}",
                remedy="Name one of those that there are.",
                commands=("lancio api-key scopes",),
            )
    beyond = [each for each in scopes if not work.may(each, project if rights.ACTIONS[each].of_project else None)]
    if beyond:
        raise NotAllowed(
            f"{work.actor.said} may not give {', '.join(beyond)}",
            cause=f"A key does no more than its maker may, who is {work.role or 'a key'} in {work.slug}.",
            remedy="Leave it out, or ask one who may.",
            commands=(f"lancio member list --org {work.slug}",),
        )


def _reach(work: Acting) -> dict[str, Any]:
    return {"organization": work.organization, "projects": None if work.projects is None else list(work.projects)}


def _read(work: Acting, prefix: str) -> ApiKey:
    with work.connection.cursor(row_factory=class_row(ApiKey)) as cursor:
        found = cursor.execute(
            _QUERIES["named"], {"organization": work.organization, "projects": None, "name": prefix}
        ).fetchone()
    assert found is not None  # noqa: S101  this transaction has just written it
    return found


def _told(key: ApiKey) -> dict[str, Any]:
    return {
        "name": key.name, "prefix": key.prefix, "last4": key.last4, "scopes": key.scopes, "project_id": key.project_id,
        "user_id": key.user_id, "expires_at": key.expires_at, "revoked_at": key.revoked_at,
    }  # fmt: skip


def _write(
    work: Acting, action: str, key: ApiKey, *, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> None:
    audit_entry.insert(
        work.connection, work.actor, action, "api_key", key.id, organization=work.organization,
        project=key.project_id, before=before, after=after,
    )  # fmt: skip
