"""Who opens a secret here, in the program, and where is it written down?

PostgreSQL hands out the envelope and the wrapped key it was sealed with by one function, which leaves an entry in
platform.audit_logs in the same transaction: what cannot be written down is not opened. Secret and key then exist in
this process alone.

    with context(connection, user=alice, organization=acme):
        secret = open_connection_string(connection, database, unwrap)

`unwrap` makes the key of what `platform.data_keys` holds, with the key-encryption key that PostgreSQL never gets. Rows
of another organization than the one in the context are not found, like rows that are not there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from lancio.errors import LancioError
from lancio.postgres import named_queries
from lancio.registry.secrets import CONNECTION_STRING, CREDENTIAL, Key, SealBroken, Secret, open_sealed

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

_QUERIES = named_queries("lancio.registry", "opening.sql")


class OpeningRefused(LancioError):  # noqa: N818  (a refusal, named as those of lancio.errors)
    """The secret is not opened: it is not there, its key was destroyed, or it could not be written down."""

    code = "opening"


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """The key that an envelope names, as `platform.data_keys` has it."""

    key_id: int
    organization_id: UUID | None
    """None for the single key of before migration 008."""
    wrapped: bytes | None = field(repr=False)
    """None for a single key that lives in a file."""
    kek_id: str | None
    check_value: bytes | None
    """None for a single key that this database has not seen yet."""
    state: str | None
    """`active` or `retired`; None for a key of before 008 that this database does not know."""


def open_connection_string(
    connection: psycopg.Connection[Any], database: UUID, unwrap: Callable[[WrappedKey], Key]
) -> Secret | None:
    """The connection string of a database; None for a placeholder.

    One without a password has nothing sealed: it is given as it is, and no entry is written. In a transaction that is
    open already, the entry stands or falls with that one.

    Raises:
        OpeningRefused: the database is not there or another organization's, its key was destroyed, the transaction is
            read-only, or the role may not open anything.
        SealBroken: the envelope does not verify, or is another organization's.
        KeyRefused: what `unwrap` raises.
    """
    row = _read(connection, "connection_string", database, "database")
    if row["envelope"] is None:
        return None if row["shown"] is None else Secret(row["shown"])
    return _opened(row, row_id=database, column=CONNECTION_STRING, unwrap=unwrap)


def open_credential(
    connection: psycopg.Connection[Any], credential: UUID, unwrap: Callable[[WrappedKey], Key]
) -> Secret | None:
    """The secret of a row of platform.credentials; None if it has none. Raises as `open_connection_string`."""
    row = _read(connection, "credential", credential, "credential")
    if row["envelope"] is None:
        return None
    return _opened(row, row_id=credential, column=CREDENTIAL, unwrap=unwrap)


def _read(connection: psycopg.Connection[Any], query: str, id_: UUID, what: str) -> dict[str, Any]:
    try:
        with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(_QUERIES[query], (id_,)).fetchone()
    except psycopg.errors.ReadOnlySqlTransaction as error:
        raise OpeningRefused(
            "no secret is opened in a read-only transaction",
            cause="Opening one leaves an entry in platform.audit_logs, in the same transaction.",
            remedy="Go to the primary, or begin a transaction that may write.",
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise OpeningRefused(
            "this role may not open secrets",
            cause=error.diag.message_primary or "",
            remedy="Let the broker open them: a role of its own that is granted lancio_service.",
            commands=("psql \"$DATABASE_URL\" -c 'GRANT lancio_service TO <role>'",),
        ) from error
    except psycopg.errors.DataException as error:
        raise SealBroken(
            f"the envelope of {what} {id_} does not belong to its row",
            cause=error.diag.message_primary or "",
            remedy="Write the credential anew.",
        ) from error
    if row is None:
        raise OpeningRefused(
            f"{what} {id_} is not there",
            cause="There is none of this id, or it belongs to another organization than the one in the context.",
            remedy="Set the context of the organization it belongs to.",
        )
    return row


def _opened(row: dict[str, Any], *, row_id: UUID, column: str, unwrap: Callable[[WrappedKey], Key]) -> Secret:
    if row["key_state"] == "destroyed":
        raise OpeningRefused(
            f"the secret is unreadable for ever: data key {row['key_id']} was destroyed",
            cause="What was sealed with it cannot be opened again, by anyone.",
            remedy="Write a new secret.",
        )
    wrapped = WrappedKey(
        key_id=row["key_id"],
        organization_id=row["key_organization_id"],
        wrapped=row["wrapped"],
        kek_id=row["kek_id"],
        check_value=row["check_value"],
        state=row["key_state"],
    )
    key = unwrap(wrapped)
    if wrapped.check_value is not None and key.check_value() != wrapped.check_value:
        raise SealBroken(
            f"the key at hand is not data key {wrapped.key_id} of this organization",
            cause="Its check value in platform.data_keys is another.",
            remedy="Take the key that the secret was sealed with.",
        )
    return open_sealed(row["envelope"], row_id=row_id, key=key, column=column)
