"""For whom does this transaction work, and does the database keep it to that?

After migration 007 a session sees the rows of the organization in its context and no other's. The context is set by
PostgreSQL (`platform.set_context()`, which looks whether the user is a member) for one transaction, and it is gone with
it: whoever gets the connection from a pool next begins with none.

    refuse_bypass(connection)               # once, as the program starts
    with context(connection, user=alice, organization=acme) as session:
        connection.execute("SELECT name FROM platform.databases_safe")

PostgreSQL is told who the user is and cannot know better: whoever calls this has looked, by a password or a token.

A role that policies do not bind (a superuser, BYPASSRLS, the owner or one of its members) would see every organization
whatever the context says. A program must not start as one, and `refuse_bypass` is how it does not.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row, tuple_row

from lancio.errors import LancioError
from lancio.postgres import named_queries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from uuid import UUID

_QUERIES: Final = named_queries("lancio.registry", "context.sql")

OWNER = "lancio_owner"
APPLICATION = "lancio_application"
BROKER = "lancio_service"
READONLY = "lancio_readonly"

ROLES = (APPLICATION, BROKER, READONLY)
"""Those that work; each is bound by the policies."""

_POWERS = (
    "pg_read_all_data",
    "pg_write_all_data",
    "pg_read_server_files",
    "pg_write_server_files",
    "pg_execute_server_program",
)
"""Roles of PostgreSQL's own whose members get at every row past the policies: by the key of contexts, or by files."""


OWN_NAMES: Final[dict[str, str]] = {"search_path": "pg_catalog, pg_temp"}
"""What others made in schema public is not called: a function or an operator there that fits better than PostgreSQL's
own would run with the rights of this session."""

QUIET: Final[dict[str, str]] = {
    "debug_print_parse": "off", "debug_print_rewritten": "off", "debug_print_plan": "off",
    "log_parameter_max_length_on_error": "0",
}  # fmt: skip
"""What a login may have set for itself (ALTER ROLE ... SET) would bring secrets into the server's log: plans with their
constants, and the parameters of what fails. All else that logs parameters is a superuser's to set."""


class BypassRefused(LancioError):  # noqa: N818  (a refusal, named as those of lancio.errors)
    """The session's role, or the state of the database, would let rows of every organization through."""

    code = "bypass"


class ContextRefused(LancioError):  # noqa: N818
    """There is no such context: the user is not a member, or a transaction is already open."""

    code = "context"


@dataclass(frozen=True, slots=True)
class Context:
    """Who works for which organization in this transaction."""

    user: UUID
    organization: UUID | None
    role: str | None
    """The user's role in the organization: owner, admin, developer, billing, read_only; None without one."""


@contextmanager
def context(connection: psycopg.Connection[Any], *, user: UUID, organization: UUID | None = None) -> Iterator[Context]:
    """One transaction that sees what `user` may see of `organization`.

    Without an organization: the user's own row, sessions, memberships, and the organizations to choose from. Committed
    at the end, rolled back by an exception; either way the context is gone.

    Raises:
        ContextRefused: the user is not there, is disabled or is not a member (which of these is not told), or the
            connection is in a transaction, which would keep the context longer than this block.
    """
    if connection.info.transaction_status != TransactionStatus.IDLE:
        raise ContextRefused(
            "a context is a transaction of its own, and one is open on this connection",
            cause="The context would hold until that transaction ends, for whatever it does next.",
            remedy="Commit or roll back first, or take another connection.",
        )
    with connection.transaction():
        try:
            with connection.cursor(row_factory=tuple_row) as cursor:
                asked = {"user": user, "organization": organization} | _pinned(QUIET)
                cursor.execute(_QUERIES["set_context"], asked)
                row = cursor.fetchone()
        except psycopg.errors.InsufficientPrivilege as error:
            if (error.diag.context or "").count("set_context(uuid,uuid)") == 0:
                raise ContextRefused(
                    "this role may not set a context",
                    cause=error.diag.message_primary or "",
                    remedy="Grant it what it works as.",
                    commands=(f'psql "$DATABASE_URL" -c "GRANT {APPLICATION} TO <role>"',),
                ) from error
            raise ContextRefused(
                "no context for this user and organization",
                cause="The user is not there, is disabled, or is not a member of the organization.",
                remedy="Name an organization the user belongs to.",
            ) from error
        yield Context(user, organization, None if row is None else row[0])


def pin(connection: psycopg.Connection[Any], settings: Mapping[str, str], *, session: bool = False) -> None:
    """Set these until the transaction ends (or the session), those that this server knows: `OWN_NAMES`, `QUIET`."""
    connection.execute(_QUERIES["pin"], {"local": not session} | _pinned(settings))


@contextmanager
def looking(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """A transaction that only looks, and finds names in `pg_catalog` alone; what it sets ends with it.

    In a transaction of the caller's it is a part that is rolled back, which no counter counts. One that is rolled back
    as a whole is counted, and the checklist would tell it as an error of somebody's.
    """
    inside = connection.info.transaction_status != TransactionStatus.IDLE
    with connection.transaction(force_rollback=inside):
        pin(connection, OWN_NAMES)
        yield


def _pinned(settings: Mapping[str, str]) -> dict[str, object]:
    return {"names": list(settings), "values": list(settings.values())}


def refuse_bypass(connection: psycopg.Connection[Any]) -> None:
    """Return if the policies of 007 are in force and bind this session; to be called as a program starts.

    Asked are the current role, the one that logged in, since RESET ROLE leads back to it, and all of which that one is
    a member, since SET ROLE leads there.

    Raises:
        BypassRefused: with every reason.
    """
    with looking(connection), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(_QUERIES["binding"], {"owner": OWNER, "roles": list(ROLES), "powers": list(_POWERS)})
        found = cursor.fetchone()
    assert found is not None  # noqa: S101  a SELECT without FROM has one row
    reasons = [
        *(f"{name} is a superuser" for name in found["superusers"]),
        *(f"{name} has BYPASSRLS" for name in found["bypassing"]),
        *(f"{name} has CREATEROLE, and may grant itself others" for name in found["granting"]),
        *(f"{name} has REPLICATION, and may copy the server" for name in found["replicating"]),
        *(f"it is a member of {name}" for name in found["powers"]),
        *(f"{name} is a member of {OWNER}, to which the tables belong" for name in found["owning"]),
        *(f"{name} owns platform.{table}" for name, table in found["owned"]),
    ]
    if reasons:
        raise BypassRefused(
            "this role would see the rows of every organization",
            cause=f"{'; '.join(reasons)}. Policies do not hold for it, or it could take them away.",
            remedy=f"Let the program log in as a role of its own that is granted {APPLICATION} alone.",
            commands=(f"psql \"$DATABASE_URL\" -c 'CREATE ROLE web LOGIN IN ROLE {APPLICATION}'",),
        )
    if found["schemas"] or found["databases"]:
        may = [f"it may create in schema {name}" for name in found["schemas"]]
        may += [f"{name} may create schemas in this database" for name in found["databases"]]
        raise BypassRefused(
            "what SQL of this login leaves behind would run in the transactions of other organizations",
            cause=f"{'; '.join(may)}. A function that was left there is called by later sessions of the login where it "
            "fits better than PostgreSQL's own.",
            remedy="Let the program's login create nothing here; what it uses may belong to another role.",
            commands=('psql "$DATABASE_URL" -c "REVOKE CREATE ON SCHEMA public FROM PUBLIC"',)
            if "public" in found["schemas"]
            else (),
        )
    if found["open"]:
        raise BypassRefused(
            "rows are not isolated in this database",
            cause=f"Row level security, FORCE, or the restrictive policy organization_<table> is missing on: "
            f"{', '.join(found['open'])}.",
            remedy="Apply migration 007.",
            commands=("lancio apply --platform",),
        )
