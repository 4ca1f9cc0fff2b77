"""Who belongs to an organization, as what, and how does one come to belong to it?

A member is added by who may, or invited: the invitation's token is shown once, kept as its hash, good for one
acceptance by the address that it was made for, until it expires or is revoked. An organization always has an owner.

Addresses of users are looked up with the login's own rights (`Acting.as_login`), everything else is under the policies.
"""

from __future__ import annotations

import hmac
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from psycopg.rows import dict_row

from lancio.postgres import named_queries
from lancio.registry import audit_entry, limits, names, organizations, pages, projects, rights, tokens
from lancio.registry.acting import Acting, Actor, entered, quoted, shown, storable, uuid_of
from lancio.registry.refusal import NameRefused, NotThere, RegistryRefused, Taken, not_there, refuse_changed
from lancio.registry.versions import version_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from lancio.registry.pages import Page
    from lancio.registry.secrets import Secret

_QUERIES: Final = named_queries("lancio.registry", "members.sql")

LASTS: Final = timedelta(days=7)
"""How long an invitation is good where nothing is said."""
LONGEST: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Member:
    """A row of platform.organization_members."""

    id: UUID
    user_id: UUID
    email: str | None
    """None where this login may not look users up."""
    role: str
    project_ids: tuple[UUID, ...] | None
    projects: tuple[str, ...] | None
    """The slugs of those that the membership is limited to; None is all of them."""
    created_at: datetime
    updated_at: datetime

    @property
    def version(self) -> int:
        """Another after each change."""
        return version_of(self.updated_at)

    @property
    def said(self) -> str:
        """What to call the member."""
        return self.email or str(self.user_id)


@dataclass(frozen=True, slots=True)
class Invitation:
    """A row of platform.organization_invitations, without the hash."""

    id: UUID
    email: str
    role: str
    project_ids: tuple[UUID, ...] | None
    invited_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    revoked_at: datetime | None

    def state(self, now: datetime) -> str:
        """`open`, `accepted`, `revoked` or `expired`."""
        if self.accepted_at is not None:
            return "accepted"
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at <= now else "open"


def page(work: Acting, *, role: str | None = None, after: str | None = None, limit: int = pages.USUAL) -> Page[Member]:
    """The members, those who came first before; of one role where it is given.

    Raises:
        NotAllowed: the actor may not see them.
        NameRefused: `after` is no mark of such a list.
    """
    work.require("member.read")
    key = _moment(pages.key_of(after, 2))
    found = _rows(
        work, "page", role=role, after_time=key and key[0], after_id=key and key[1], limit=limit + 1
    )  # fmt: skip
    made = _members(work, found)
    return pages.cut(made, limit, lambda each: (each.created_at.isoformat(), str(each.id)))


def one(work: Acting, email: str) -> Member:
    """The member of that address or user id.

    Raises:
        NotAllowed: the actor may not see members.
        NotThere: there is none, or this login may not look users up by address.
    """
    work.require("member.read")
    user = _user(work, email)
    found = [] if user is None else _rows(work, "one", user=user["id"])
    if not found:
        with work.as_login():
            values = {"organization": work.organization}
            near = [each for (each,) in work.connection.execute(_QUERIES["emails"], values).fetchall()]
        not_there("member", email, organization=work.slug, among=near, list_=f"lancio member list --org {work.slug}")
    return _members(work, found)[0]


def add(work: Acting, email: str, role: str, *, of_projects: Sequence[str] | None = None) -> Member:
    """A user becomes a member at once.

    Raises:
        NotAllowed: the actor may not, or may not make owners.
        NotThere: no user has that address; or there is no such project.
        RegistryRefused: the user is disabled, or an owner would be limited to projects.
        Taken: the user is a member already.
        LimitReached: the organization's plan allows no more members.
    """
    work.require("member.add")
    limited = _granted(work, role, of_projects)
    email = names.email(email)
    user = _user(work, email)
    if user is None:
        raise _no_user(work, email, role)
    if user["disabled"]:
        raise RegistryRefused(
            f"the user {user['email']} is disabled",
            cause="A disabled user acts nowhere.",
            remedy="Let the operator enable the user.",
            commands=(f"lancio user enable {quoted(user['email'])}",),
        )
    limits.require(work, "members")
    return _added(work, user["id"], role, limited, invited_by=_user_of(work.actor))


def change(
    work: Acting,
    email: str,
    role: str | None = None,
    *,
    of_projects: Sequence[str] | None = None,
    everywhere: bool = False,
    version: int | None = None,
) -> Member:
    """Another role, or other projects: `of_projects` limits to them, `everywhere` takes the limit away.

    Raises:
        NotAllowed: the actor may not, or may not make or change owners.
        NotThere: there is no such member or project.
        RegistryRefused: it is the last owner, or an owner would be limited to projects.
        LostRace: it is another version by now.
    """
    work.require("member.role")
    organizations.lock(work)
    before = one(work, email)
    if version is not None and version != before.version:
        refuse_changed("member", str(version), before.version, f"lancio member list --org {work.slug} --json")
    role = before.role if role is None else role
    kept = None if everywhere or before.projects is None or role == rights.OWNER else before.projects
    limited = _granted(work, role, of_projects if of_projects is not None else kept)
    if rights.OWNER in (before.role, role):
        work.require("member.owner")
    if before.role == rights.OWNER != role:
        _refuse_last_owner(work, before)
    work.connection.execute(_QUERIES["change"], {"id": before.id, "role": role, "projects": limited})
    after = one(work, str(before.user_id))
    _write(work, "member.role", after.id, before=_told(before), after=_told(after))
    return after


def remove(work: Acting, email: str) -> tuple[Member, int]:
    """Take somebody out; with it how many API keys that had the member's rights were revoked. One may leave oneself.

    Raises:
        NotAllowed: the actor may not, or may not remove owners.
        NotThere: there is no such member.
        RegistryRefused: it is the last owner.
    """
    organizations.lock(work)
    before = one(work, email)
    if work.actor.kind != "user" or before.user_id != work.actor.id:
        work.require("member.remove")
        if before.role == rights.OWNER:
            work.require("member.owner")
    if before.role == rights.OWNER:
        _refuse_last_owner(work, before)
    values = {"organization": work.organization, "user": before.user_id, "id": before.id}
    revoked = work.connection.execute(_QUERIES["revoke_keys"], values).fetchall()
    work.connection.execute(_QUERIES["remove_from_projects"], values)
    work.connection.execute(_QUERIES["remove"], values)
    _write(work, "member.remove", before.id, before=_told(before), after=None)
    for (key,) in revoked:
        audit_entry.insert(
            work.connection, work.actor, "api_key.revoke", "api_key", key, organization=work.organization,
            before={"user_id": before.user_id},
        )  # fmt: skip
    return before, len(revoked)


# --- invitations ------------------------------------------------------------------------------------------------------


def invitations(work: Acting, *, all_: bool = False) -> tuple[Invitation, ...]:
    """The open ones (expired ones too), the newest first; all that there ever were with `all_`.

    Raises:
        NotAllowed: the actor may not see them.
    """
    work.require("member.read")
    return tuple(_invitation(each) for each in _rows(work, "invitations", all=all_))


def invite(
    work: Acting,
    email: str,
    role: str,
    *,
    of_projects: Sequence[str] | None = None,
    lasts: timedelta = LASTS,
) -> tuple[Invitation, Secret]:
    """An invitation and its token, which is not kept. One that was open for the same address is revoked by it.

    Raises:
        NotAllowed: the actor may not, or may not make owners.
        NameRefused: that is no address, or no time that an invitation may last.
        Taken: the address is a member's already.
        NotThere: there is no such project.
    """
    work.require("member.add")
    limited = _granted(work, role, of_projects)
    email = names.email(email)
    if not timedelta(minutes=1) <= lasts <= LONGEST:
        raise NameRefused(
            "an invitation does not last so long" if lasts > LONGEST else "an invitation lasts longer",
            cause="It lasts from a minute to ninety days.",
            remedy="Give it a week.",
        )
    organizations.lock(work)
    user = _user(work, email)
    if user is not None and _rows(work, "one", user=user["id"]):
        raise _member_already(work, user["email"])
    for each in _rows(work, "open_invitation", email=email):
        _revoked(work, _invitation(each))
    token = tokens.make("lni")
    row = work.connection.execute(
        _QUERIES["invite"],
        {
            "organization": work.organization, "email": email, "role": role, "projects": limited,
            "token_hash": token.digest, "invited_by": _user_of(work.actor), "seconds": lasts.total_seconds(),
        },
    ).fetchone()  # fmt: skip
    assert row is not None  # noqa: S101  it was inserted
    made = _invitation(_rows(work, "open_invitation", email=email)[0])
    _write(work, "member.invite", made.id, before=None, after=asdict(made), kind="invitation")
    return made, token.secret


def revoke(work: Acting, email: str) -> Invitation:
    """Take an open invitation back.

    Raises:
        NotAllowed: the actor may not.
        NotThere: none is open for that address.
    """
    work.require("member.add")
    found = _rows(work, "open_invitation", email=email) if storable(email) else []
    if not found:
        among = [each.email for each in invitations(work)]
        not_there(
            "open invitation for", email, organization=work.slug, among=among,
            list_=f"lancio member list --invitations --org {work.slug}",
        )  # fmt: skip
    before = _invitation(found[0])
    _revoked(work, before)
    return before


def accept(connection: psycopg.Connection[Any], actor: Actor, token: Secret) -> tuple[str, Member]:
    """The user takes an invitation; the organization's slug, and the new member. Within `operating`.

    Raises:
        RegistryRefused: the token is unknown, was used, revoked or has expired, or was made for another address; the
            organization was removed.
        Taken: the user is a member already.
        LimitReached: the organization's plan allows no more members.
    """
    if actor.kind != "user" or actor.id is None:
        raise RegistryRefused(
            "an invitation is accepted by a user",
            cause="The operator is no member of organizations.",
            remedy="Say who accepts it.",
            commands=("lancio member accept --as EMAIL",),
        )
    text = token.reveal().strip()
    if not tokens.well_formed(text, "lni"):
        raise RegistryRefused(
            "this is no invitation's token",
            cause="It begins with lni_, and its last characters check the others: part of it is missing, or mistyped.",
            remedy="Copy it again, all of it.",
        )
    digest = tokens.digest(text)
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_QUERIES["invitation_of_token"], {"token_hash": digest}).fetchone()
    if row is None or not hmac.compare_digest(bytes(row["token_hash"]), digest):
        raise RegistryRefused(
            "there is no such invitation",
            cause="Its token is well-formed, and nobody made it here.",
            remedy="Ask for another invitation.",
        )
    reason = (
        "it was accepted already" if row["accepted_at"] is not None
        else "it was revoked" if row["revoked_at"] is not None
        else f"it has expired, on {row['expires_at'].astimezone(UTC):%Y-%m-%d %H:%M} UTC" if row["expired"]
        else "the organization was removed" if row["removed"]
        else ""
    )  # fmt: skip
    if reason:
        raise RegistryRefused(
            "this invitation is no longer open",
            cause=f"{reason[0].upper()}{reason[1:]}.",
            remedy=f"Ask somebody of {row['slug']} for another.",
            commands=(f"lancio member invite {quoted(actor.email or 'EMAIL')} {row['role']} --org {row['slug']}",),
        )
    if (actor.email or "").lower() != row["email"].lower():
        raise RegistryRefused(
            "this invitation was made for another address",
            cause=f"{actor.said} accepts it, and it was sent to somebody else.",
            remedy="Accept it as the user it was made for.",
        )
    with entered(connection, actor, row["organization_id"]) as work:
        organizations.lock(work)
        limits.require(work, "members")
        limited = None if row["project_ids"] is None else list(row["project_ids"])
        added = _added(work, actor.id, row["role"], limited, invited_by=row["invited_by"], email=actor.email)
        connection.execute(_QUERIES["accepted"], {"id": row["id"]})
        _write(
            work, "member.accept", row["id"], before=None, after={"email": row["email"], "role": row["role"]},
            kind="invitation",
        )  # fmt: skip
    return row["slug"], added


# --- inside -----------------------------------------------------------------------------------------------------------


def _granted(work: Acting, role: str, of_projects: Sequence[str] | None) -> list[UUID] | None:
    """The projects' ids, once it is clear that the actor may give such a membership."""
    if role not in rights.ROLES:
        raise NameRefused(
            f"there is no role {shown(role)}",
            cause=f"A member is one of: {', '.join(rights.ROLES)}.",
            remedy="Name one of them.",
        )
    if role == rights.OWNER:
        work.require("member.owner")
        if of_projects is not None:
            raise RegistryRefused(
                "an owner is not limited to projects",
                cause="To own the organization is to reach all of it.",
                remedy="Take another role, or name no project.",
            )
    if of_projects is None:
        return None
    if not of_projects:
        raise RegistryRefused(
            "a membership that is limited to no project reaches nothing",
            cause="No project is named.",
            remedy="Name projects, or say nothing of them: then it reaches all.",
        )
    return projects.ids(work, tuple(of_projects))


def _added(
    work: Acting,
    user: UUID,
    role: str,
    limited: list[UUID] | None,
    *,
    invited_by: UUID | None,
    email: str | None = None,
) -> Member:
    row = work.connection.execute(
        _QUERIES["add"],
        {
            "organization": work.organization, "user": user, "role": role, "projects": limited,
            "invited_by": invited_by,
        },
    ).fetchone()  # fmt: skip
    if row is None:
        raise _member_already(work, email or work.emails([user]).get(user) or str(user))
    made = _members(work, _rows(work, "one", user=user))[0]
    _write(work, "member.add", made.id, before=None, after=_told(made))
    return made


def _refuse_last_owner(work: Acting, member: Member) -> None:
    row = work.connection.execute(
        _QUERIES["other_owners"], {"organization": work.organization, "id": member.id}
    ).fetchone()
    if row is not None and row[0]:
        return
    raise RegistryRefused(
        f"{member.said} is the last owner of {work.slug}",
        cause="An organization without an owner could be changed by nobody in it.",
        remedy="Make another member an owner first, or remove the organization.",
        commands=(f"lancio member role EMAIL owner --org {work.slug}", f"lancio org remove {work.slug}"),
    )


def _revoked(work: Acting, invitation: Invitation) -> None:
    work.connection.execute(_QUERIES["revoke"], {"id": invitation.id})
    _write(work, "member.uninvite", invitation.id, before=asdict(invitation), after=None, kind="invitation")


def _rows(work: Acting, query: str, **values: Any) -> list[dict[str, Any]]:
    with work.connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_QUERIES[query], {"organization": work.organization, **values}).fetchall()


def _user(work: Acting, email: str) -> dict[str, Any] | None:
    if not storable(email):
        return None
    with work.as_login():
        return next(iter(_rows(work, "user", email=email.strip(), id=uuid_of(email.strip()))), None)


def _members(work: Acting, rows: Sequence[dict[str, Any]]) -> list[Member]:
    emails = work.emails({each["user_id"] for each in rows})
    wanted = {id_ for each in rows for id_ in each["project_ids"] or ()}
    slugs = {each["id"]: each["slug"] for each in _rows(work, "slugs", ids=list(wanted))} if wanted else {}
    return [
        Member(
            each["id"],
            each["user_id"],
            emails.get(each["user_id"]),
            each["role"],
            None if each["project_ids"] is None else tuple(each["project_ids"]),
            # A project that was purged is in the list and nowhere else.
            None
            if each["project_ids"] is None
            else tuple(sorted(slugs[id_] for id_ in each["project_ids"] if id_ in slugs)),
            each["created_at"],
            each["updated_at"],
        )
        for each in rows
    ]


def _invitation(row: dict[str, Any]) -> Invitation:
    limited = row["project_ids"]
    return Invitation(**{**row, "project_ids": None if limited is None else tuple(limited)})


def _moment(key: tuple[str, ...] | None) -> tuple[datetime, UUID] | None:
    if key is None:
        return None
    try:
        return datetime.fromisoformat(key[0]), UUID(key[1])
    except ValueError:
        raise pages.no_mark() from None


def _told(member: Member) -> dict[str, Any]:
    return {
        "email": member.email, "user_id": member.user_id, "role": member.role, "project_ids": member.project_ids
    }  # fmt: skip


def _write(
    work: Acting,
    action: str,
    id_: UUID,
    *,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
    kind: str = "member",
) -> None:
    audit_entry.insert(
        work.connection, work.actor, action, kind, id_, organization=work.organization, before=before, after=after
    )


def _user_of(actor: Actor) -> UUID | None:
    return actor.id if actor.kind == "user" else actor.user


def _no_user(work: Acting, email: str, role: str) -> RegistryRefused:
    return NotThere(
        f"there is no user {shown(email)}",
        cause="No user of the platform has this address, or this login may not look users up.",
        remedy="Invite the address, or let the operator add the user first.",
        commands=(
            f"lancio member invite {quoted(email)} {role} --org {work.slug}",
            f"lancio user add {quoted(email)}",
        ),
    )


def _member_already(work: Acting, email: str) -> Taken:
    return Taken(
        f"{email} is a member of {work.slug} already",
        cause="A user belongs to an organization once.",
        remedy="Change the role, if that is what you want.",
        commands=(f"lancio member role {quoted(email)} ROLE --org {work.slug}",),
    )
