"""A platform whose audit trail is sealed, and what can be done to it: for the tests of the trail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from keys import ACME, KEK, OTHER, RING, an_organization
from psycopg.rows import tuple_row

from lancio.registry import audit_seal
from lancio.registry.audit_seal import Anchor, Finding, Verified
from lancio.registry.key_encryption_key import KeyEncryptionKey, Ring

if TYPE_CHECKING:
    import psycopg

STRANGER = KeyEncryptionKey(bytes(range(32)), "another")

__all__ = [
    "ACME", "KEK", "OTHER", "RING", "STRANGER", "an_organization", "one", "sealed", "trail", "unguarded", "verified",
    "write",
]  # fmt: skip


def write(
    connection: psycopg.Connection, count: int = 1, organization: UUID | None = ACME, **columns: Any
) -> list[UUID]:
    """Entries as a program writes them; their ids."""
    ids = [uuid4() for _ in range(count)]
    values = {"actor_type": "system", "action": "test.write", "target_type": "test"} | columns
    names = ", ".join(values)
    places = ", ".join(["%s"] * len(values))
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO platform.audit_logs (id, organization_id, {names}) VALUES (%s, %s, {places})",
            [(id_, organization, *values.values()) for id_ in ids],
        )
    return ids


def sealed(connection: psycopg.Connection, ring: Ring = RING, **options: Any) -> int:
    """Seal what is there; how many entries."""
    steps = list(audit_seal.seal(connection, ring, **options))
    return steps[-1].entries if steps else 0


def verified(
    connection: psycopg.Connection, ring: Ring | None = RING, **options: Any
) -> tuple[list[Finding], Verified]:
    found = Verified()
    return list(audit_seal.verify(connection, ring, found, **options)), found


def trail(
    connection: psycopg.Connection, organization: UUID, ring: Ring | None = RING, anchors: tuple[Anchor, ...] = ()
) -> tuple[list[Finding], Verified]:
    found = Verified()
    with connection.transaction():
        return list(audit_seal.verify_trail(connection, organization, ring, found, anchors=anchors)), found


def unguarded(connection: psycopg.Connection, *statements: str, **values: Any) -> None:
    """What the owner of the database can do."""
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        for each in statements:
            connection.execute(each, values or None)


def one(connection: psycopg.Connection, statement: str, *values: Any) -> Any:
    with connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(statement, values).fetchone()
    return None if row is None else row[0]
