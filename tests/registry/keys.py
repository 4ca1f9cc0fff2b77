"""Two organizations, a key-encryption key, and secrets of theirs: for the tests of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid4, uuid5

from psycopg.rows import tuple_row

from lancio.registry.key_encryption_key import KeyEncryptionKey, Ring

if TYPE_CHECKING:
    import psycopg

KEK = KeyEncryptionKey(bytes(range(100, 132)), "a test")
RING = Ring(KEK)
ACME = UUID("0b5d2a64-6d8e-4f0b-9f3a-6a1f0f1c0a01")
OTHER = UUID("0b5d2a64-6d8e-4f0b-9f3a-6a1f0f1c0a02")


def an_organization(connection: psycopg.Connection, organization: UUID) -> UUID:
    """Make an organization with one project; returns the project."""
    slug = f"test-{organization.hex[-12:]}"
    project = uuid5(organization, "project")
    connection.execute(
        "INSERT INTO platform.organizations (id, slug, name) VALUES (%s, %s, %s)", (organization, slug, slug)
    )
    connection.execute(
        "INSERT INTO platform.projects (id, organization_id, slug, name) VALUES (%s, %s, %s, %s)",
        (project, organization, slug, slug),
    )
    return project


def slug_of(organization: UUID) -> str:
    return f"test-{organization.hex[-12:]}"


def database(connection: psycopg.Connection, project: UUID, connection_string: str) -> UUID:
    """Register a database; SQL seals, so the session must have the key."""
    row = uuid4()
    connection.execute(
        "INSERT INTO platform.databases (id, project_id, name, type, host, port, connection_string)"
        " VALUES (%s, %s, %s, 'redis', 'cache.test', 6379, %s)",
        (row, project, f"db-{row}", connection_string),
    )
    return row


def opened(connection: psycopg.Connection, row: UUID) -> str | None:
    """What SQL opens, with the keys that the session has."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute("SELECT platform.decrypt_database_connection_string(%s)", (row,)).fetchone()[0]
