"""Who acts, and in which organization?

    with acting(connection, actor, organization="acme") as work:
        work.require("project.add")
        connection.execute("INSERT INTO platform.projects …")

One transaction. Its role is one that the policies of migration 007 bind (`lancio_application`, or `lancio_service`
where secrets are opened), and its context is the organization: a member's by `platform.set_context()`, which looks
whether the user is a member, the operator's by `platform.enter_organization()`. Role and context are local to the
transaction. An organization that the actor does not see is not there: the same refusal, whether it exists or not.

The operator is who has the login of the platform's database, as the commands run by default. PostgreSQL is told who a
user is and cannot know better: whoever makes an `Actor` of kind `user` has looked, by a password or a token, or is the
operator.

Some questions are no organization's: which user has this address, whose is this token. They are asked with the rights
of the login itself (`Acting.as_login`, `operating`), for that alone, and work where the login is a superuser or has
BYPASSRLS. The changes that follow are made under the policies.
"""

from __future__ import annotations

import difflib
import getpass
import shlex
import socket
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from lancio.errors import LancioError
from lancio.postgres import named_queries
from lancio.registry import rights
from lancio.registry.context import APPLICATION as APPLICATION
from lancio.registry.context import BROKER as BROKER
from lancio.registry.context import OWN_NAMES, QUIET, pin

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

Kind = Literal["user", "api_key", "service", "system"]

_QUERIES: Final = named_queries("lancio.registry", "acting.sql")

_SETTLED: Final = {"row_security": "on"} | OWN_NAMES | QUIET
"""For each transaction. A session of Lancio may have row_security off, which makes an error of every row that a policy
holds back."""


class ActingRefused(LancioError):  # noqa: N818  (a refusal, named as those of lancio.errors)
    """Nobody can act so here: no such user or organization, or a login that may not become what works."""

    code = "acting"


class NotAllowed(LancioError):  # noqa: N818
    """The actor is known, and the actor's role does not go so far."""

    code = "not-allowed"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, as an entry of the audit trail names it."""

    kind: Kind
    id: UUID | None = None
    """The user's or the API key's; None for who is no row."""
    email: str | None = None
    """The user's address; for `system` and `service` whatever names it: `ada@laptop`."""
    scopes: frozenset[str] | None = None
    """Of an API key: the actions it is for."""
    user: UUID | None = None
    """Of an API key: the user whose rights it has besides."""
    projects: frozenset[UUID] | None = None
    """Of an API key: the projects it is limited to; None is all of them."""

    @property
    def said(self) -> str:
        """The actor in a sentence."""
        return self.email or (f"{self.kind} {self.id}" if self.id is not None else f"the {self.kind}")


def operator() -> Actor:
    """The actor of who has the database's own login: named by the operating system's user and host."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unknown"  # a process whose user has no name, as in some containers
    return Actor("system", email=f"{name}@{socket.gethostname()}")


@dataclass(frozen=True, slots=True)
class Acting:
    """A transaction under way: who acts in which organization, and as what."""

    connection: psycopg.Connection[Any] = field(repr=False)
    actor: Actor
    organization: UUID
    slug: str
    name: str
    role: str | None
    """The member's role; None for the operator and for an API key of no user."""
    projects: frozenset[UUID] | None
    """What the membership or the key is limited to; None is all projects. Lists are to be cut to it."""
    works_as: str
    """The role of PostgreSQL that the policies bind."""
    came_as: str
    """The one to come back to, as `SET ROLE` takes it: `none` for the login itself."""

    def may(self, action: str, project: UUID | None = None) -> bool:
        """Whether the actor may do this, in this project where it is one's.

        Raises:
            KeyError: there is no such action.
        """
        scopes = self.actor.scopes
        return (
            (scopes is None or action in scopes)
            and (self.role is None or rights.allowed(self.role, action))
            and rights.within(self.projects, action, project)
        )

    def require(self, action: str, project: UUID | None = None) -> None:
        """Return if the actor may do this; to be asked before the work.

        Raises:
            NotAllowed: with who could.
            KeyError: there is no such action.
        """
        if self.may(action, project):
            return
        what = rights.ACTIONS[action]
        if self.actor.scopes is not None and action not in self.actor.scopes:
            raise NotAllowed(
                f"the API key may not {what.says}",
                cause=f"Its scopes are {', '.join(sorted(self.actor.scopes)) or 'none'}, and this takes {action}.",
                remedy="Make another key with that scope.",
                commands=(f"lancio key add NAME --scope {action} --org {self.slug}",),
            )
        if self.role is not None and not rights.allowed(self.role, action):
            raise NotAllowed(
                f"{self.actor.said} may not {what.says}",
                cause=f"The role in {self.slug} is {self.role}, and this takes {_or(what.roles)}.",
                remedy=self._who_could(what.roles),
                commands=(f"lancio member role {self._word} {what.roles[-1]} --org {self.slug}",),
            )
        limited = "key" if self.role is None else "membership"
        raise NotAllowed(
            f"{self.actor.said} may not {what.says} here",
            cause=f"The {limited} in {self.slug} is limited to some projects"
            f"{', and this is not one of them' if project is not None else ', and this is about all of it'}.",
            remedy=self._who_could((rights.OWNER, rights.ADMIN)),
            commands=(f"lancio member list --org {self.slug}",),
        )

    @property
    def _word(self) -> str:
        """The user's address as a word of a command."""
        return quoted(self.actor.email) if self.actor.kind == "user" and self.actor.email else "EMAIL"

    def _who_could(self, roles: Sequence[str]) -> str:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            found = cursor.execute(
                _QUERIES["members_of_roles"], {"organization": self.organization, "roles": list(roles)}
            ).fetchall()
        emails = self.emails([each["user_id"] for each in found])
        names = [f"{emails[each['user_id']]} ({each['role']})" for each in found if each["user_id"] in emails]
        return f"Ask {_or(names)}." if names else f"Ask one who is {_or(roles)}."

    def emails(self, users: Collection[UUID]) -> dict[UUID, str]:
        """The addresses of users; those that this login may not look up are missing."""
        if not users:
            return {}
        with self.as_login(), self.connection.cursor(row_factory=dict_row) as cursor:
            found = cursor.execute(_QUERIES["emails"], {"ids": list(users)}).fetchall()
        return {each["id"]: each["email"] for each in found}

    @contextmanager
    def as_login(self) -> Iterator[None]:
        """The login's own rights for one question that is no organization's; then the policies again."""
        with self.working_as(self.came_as):
            yield

    @contextmanager
    def working_as(self, role: str) -> Iterator[None]:
        """Another role, for what it alone may do; the context stays. An exception takes back what was done as it."""
        with self.connection.transaction():  # a savepoint, which has the role of before when it is rolled back
            become(self.connection, role)
            yield
            become(self.connection, self.works_as)


@contextmanager
def acting(
    connection: psycopg.Connection[Any],
    actor: Actor,
    *,
    organization: UUID | str,
    works_as: str = APPLICATION,
    deleted: bool = False,
) -> Iterator[Acting]:
    """One transaction of `actor` in an organization, named by its slug or id, under the policies.

    Committed at the end, rolled back by an exception; role and context are gone either way. With `deleted`, one that
    was removed is found too.

    Raises:
        ActingRefused: there is no such organization for this actor, the user is not there or is disabled, migration
            007 is not applied, the login may not become `works_as`, or a transaction is open already.
    """
    with _transaction(connection) as came_as, connection.cursor(row_factory=dict_row) as cursor:
        user = actor.id if actor.kind == "user" else actor.user
        if actor.kind == "user" and user is None:
            raise ValueError("an actor of kind user has an id")
        if user is not None:
            _context(connection, user, None)
            become(connection, works_as)
        row = _organization(cursor, organization, deleted=deleted)
        if user is not None:
            become(connection, came_as)
            _context(connection, user, row["id"])
            become(connection, works_as)
            membership = cursor.execute(_QUERIES["membership"], {"organization": row["id"], "user": user}).fetchone()
            assert membership is not None  # noqa: S101  set_context() has seen it
            role, limited = membership["role"], membership["project_ids"]
        else:
            enter(connection, row["id"])
            become(connection, works_as)
            role, limited = None, None
        projects = None if limited is None else frozenset(limited)
        if actor.projects is not None:
            projects = actor.projects if projects is None else projects & actor.projects
        yield Acting(
            connection, actor, row["id"], row["slug"], row["name"], role, projects, works_as, came_as
        )  # fmt: skip


@contextmanager
def operating(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """One transaction with the login's own rights, for what is no organization's: users, plans, new organizations.

    Raises:
        ActingRefused: policies bind this login, 007 is not applied, or a transaction is open already.
    """
    with _transaction(connection, bypassing=True):
        yield


@contextmanager
def belonging(connection: psycopg.Connection[Any], actor: Actor) -> Iterator[None]:
    """One transaction in no organization, which sees what there is to choose from: a user's own organizations; for the
    operator all.

    Raises:
        ActingRefused: as `operating` and `acting`.
    """
    if actor.kind != "user" or actor.id is None:
        with operating(connection):
            yield
        return
    with _transaction(connection):
        _context(connection, actor.id, None)
        become(connection, APPLICATION)
        yield


@contextmanager
def entered(
    connection: psycopg.Connection[Any], actor: Actor, organization: UUID, works_as: str = APPLICATION
) -> Iterator[Acting]:
    """Within `operating`: what follows is done under the policies of one organization; then the login's rights again.

    The actor may be no member of it (yet): what is done is let through, and the caller has seen why.

    Raises:
        ActingRefused: as `acting`.
    """
    with connection.cursor(row_factory=dict_row) as cursor, connection.transaction():
        found = cursor.execute(_QUERIES["ready"]).fetchone()
        assert found is not None  # noqa: S101  a SELECT without FROM has one row
        enter(connection, organization)
        become(connection, works_as)
        row = _organization(cursor, organization, deleted=True)
        yield Acting(
            connection, actor, row["id"], row["slug"], row["name"], None, None, works_as, found["role"]
        )  # fmt: skip
        become(connection, found["role"])


def user_actor(connection: psycopg.Connection[Any], email: str) -> Actor:
    """The actor of a user, by address; for whoever may say who acts: the operator.

    Raises:
        ActingRefused: there is no such user, the user is disabled, or policies bind this login.
    """
    with operating(connection), connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_QUERIES["user"], {"email": email}).fetchone() if storable(email) else None
    if row is None:
        raise ActingRefused(
            f"there is no user {shown(email)}",
            cause="No user of the platform has this address.",
            remedy="Look for the right one, as the operator.",
            commands=("LANCIO_USER= lancio user list",),
        )
    if row["disabled"]:
        raise ActingRefused(
            f"the user {row['email']} is disabled",
            cause="A disabled user acts nowhere.",
            remedy="Let the operator enable the user.",
            commands=(f"LANCIO_USER= lancio user enable {quoted(row['email'])}",),
        )
    return Actor("user", row["id"], row["email"])


def enter(connection: psycopg.Connection[Any], organization: UUID) -> None:
    """The operator's context, until the transaction ends.

    Raises:
        ActingRefused: the login is no operator's.
    """
    try:
        connection.execute(_QUERIES["enter_organization"], {"organization": organization})
    except psycopg.errors.InsufficientPrivilege as error:
        raise ActingRefused(
            "this login enters no organization without being a member",
            cause=error.diag.message_primary or "",
            remedy="Act as a member, or log in as a superuser or as a member of lancio_owner with BYPASSRLS.",
            commands=("lancio org list --as EMAIL",),
        ) from error


def become(connection: psycopg.Connection[Any], role: str) -> None:
    """SET LOCAL ROLE; `none` is the login itself.

    Raises:
        ActingRefused: the login may not.
    """
    name = sql.SQL("NONE") if role == "none" else sql.Identifier(role)
    try:
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(name))
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue) as error:
        raise ActingRefused(
            f"this login may not become {role}",
            cause=error.diag.message_primary or "",
            remedy="Grant it that role.",
            commands=(f'psql "$DATABASE_URL" -c "GRANT {role} TO <login>"',),
        ) from error


def uuid_of(text: str) -> UUID | None:
    """The id that a text is, for what may be named by its id too."""
    try:
        return UUID(text) if len(text) <= 40 else None
    except ValueError:
        return None


def storable(text: str) -> bool:
    """Whether PostgreSQL can have such a text: no zero byte, no bytes of a command line that are no UTF-8."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def shown(text: str, most: int = 80) -> str:
    """What somebody typed, so that it can stand in a sentence: no control or direction characters, and not long."""
    cut = text if len(text) <= most else f"{text[: most - 1]}…"
    return "".join(each if each.isprintable() else f"\\u{{{ord(each):x}}}" for each in cut)


def quoted(text: str) -> str:
    """A word of a proposed command that a shell takes as it is: an address may be written to be pasted by mistake."""
    return shlex.quote(shown(text, 254))


def close(name: str, among: Collection[str]) -> str:
    """` Did you mean acme?`, or nothing."""
    # Addresses of one domain are alike from the start.
    found = difflib.get_close_matches(name[:300], among, n=1, cutoff=0.85 if "@" in name else 0.7)
    return f" Did you mean {found[0]}?" if found else ""


@contextmanager
def _transaction(connection: psycopg.Connection[Any], *, bypassing: bool = False) -> Iterator[str]:
    if connection.info.transaction_status != TransactionStatus.IDLE:
        raise ActingRefused(
            "a transaction is open on this connection already",
            cause="Role and context would hold until it ends, for whatever it does next.",
            remedy="Commit or roll back first, or take another connection.",
        )
    with connection.transaction():
        with connection.cursor(row_factory=dict_row) as cursor:
            found = cursor.execute(_QUERIES["ready"]).fetchone()
            assert found is not None  # noqa: S101  a SELECT without FROM has one row
            if not found["isolated"]:
                raise ActingRefused(
                    "organizations are not isolated in this database"
                    if found["there"]
                    else "the platform is not in this database",
                    cause="Migration 007 is not applied here, and without it no policy holds anyone back.",
                    remedy="Apply the platform's migrations.",
                    commands=("lancio apply --platform",),
                )
            if bypassing and not found["bypasses"]:
                raise ActingRefused(
                    "this is for the operator",
                    cause=f"Policies bind the login {found['login']}, so that it sees the rows of no organization that "
                    "it has not entered, and no user.",
                    remedy="Log in as a superuser, or as a member of lancio_owner with BYPASSRLS.",
                )
            pin(connection, _SETTLED)
        yield found["role"]


def _context(connection: psycopg.Connection[Any], user: UUID, organization: UUID | None) -> None:
    try:
        connection.execute(_QUERIES["set_context"], {"user": user, "organization": organization})
    except psycopg.errors.InsufficientPrivilege as error:
        if "set_context(uuid,uuid)" not in (error.diag.context or ""):
            raise ActingRefused(
                "this login may not set a context",
                cause=error.diag.message_primary or "",
                remedy="Grant it what it works as.",
                commands=(f'psql "$DATABASE_URL" -c "GRANT {APPLICATION} TO <login>"',),
            ) from error
        raise ActingRefused(
            "the user is not there, is disabled, or is no longer a member",
            cause="Which of these is not told.",
            remedy="Let the operator look.",
            commands=("LANCIO_USER= lancio user list",),
        ) from error


def _organization(cursor: psycopg.Cursor[dict[str, Any]], organization: UUID | str, *, deleted: bool) -> dict[str, Any]:
    if isinstance(organization, str):
        given = organization
        row = (
            cursor.execute(_QUERIES["organization"], {"slug": given, "id": uuid_of(given)}).fetchone()
            if storable(given)
            else None
        )
    else:
        given = str(organization)
        row = cursor.execute(_QUERIES["organization_by_id"], {"id": organization}).fetchone()
    if row is not None and (deleted or not row["deleted"]):
        return row
    if row is not None:
        raise ActingRefused(
            f"the organization {row['slug']} was removed",
            cause="Its rows are still there, and nothing is done with them.",
            remedy="Bring it back first.",
            commands=(f"lancio org restore {row['slug']}",),
        )
    slugs = (
        [each["slug"] for each in cursor.execute(_QUERIES["slugs_like"], {"slug": given}).fetchall()]
        if len(given) <= 100 and storable(given)
        else []
    )
    raise ActingRefused(
        f"there is no organization {shown(given)}",
        cause=f"None has this slug, or it is not one of yours.{close(given, slugs)}",
        remedy="Name one of those that there are.",
        commands=("lancio org list",),
    )


def _or(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
