"""Three organizations with a row in every table, the roles that ask for them, and what each may see."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from servers import TestServer

PROOF = os.environ.get("LANCIO_PROOF") == "1"
"""Whether the full figures are asked for; else the same code runs on a small seeded sample."""

SPACE = UUID("7d0d3bd3-6f3e-4a53-9d8a-3a8a9b1d2c00")
ROLES = ("lancio_application", "lancio_service", "lancio_readonly", "lancio_owner")

PASSWORD = "Pr0be-of-the-matrix"

TENANTS = (
    "organization_members", "organization_invitations", "organization_feature_flags", "projects", "project_members",
    "project_addons", "project_metrics", "subscriptions", "invoices", "payment_methods", "tax_ids",
    "customer_profiles", "credits", "disk_config", "compute_config", "usage_metrics", "api_keys", "audit_logs",
    "credentials", "databases",
)  # fmt: skip
"""Tables whose rows name their organization."""
PERSONAL = ("users", "user_sessions")
"""Tables whose rows belong to a user."""
CATALOGUES = ("addons", "feature_flags", "billing_plans")
"""Tables whose rows belong to nobody: read by all that work, written by their owner."""
TABLES = (*TENANTS, "organizations", *PERSONAL, *CATALOGUES)


def made(kind: str, *of: object) -> UUID:
    """A UUID that is the same in every run."""
    return uuid5(SPACE, "/".join(map(str, (kind, *of))))


@dataclass(frozen=True)
class Organization:
    """One of those in the test: it has a user of its own, a project, and one row in each table."""

    name: str

    @property
    def id(self) -> UUID:
        return made("organization", self.name)

    @property
    def user(self) -> UUID:
        return made("user", self.name)

    @property
    def project(self) -> UUID:
        return made("project", self.name)

    def row(self, table: str, *more: object) -> UUID:
        """The id of its row in a table."""
        return {"organizations": self.id, "users": self.user, "projects": self.project}.get(
            table, made("row", table, self.name)
        ) if not more else made("row", table, self.name, *more)  # fmt: skip


OWN, OTHER, THIRD = map(Organization, ("own", "other", "third"))
EVERYBODY = made("user", "everybody")
"""A user who is a member of OWN and OTHER."""
PLAN, ADDON, FLAG = made("plan"), made("addon"), made("flag")


def values(table: str, of: Organization, tag: str = "") -> Mapping[str, object]:
    """A row for a table that belongs to an organization: all that it must have. `tag` makes it another one."""
    row = of.row(table, tag) if tag else of.row(table)
    mark = f"{of.name}{tag}"
    tenant = {"id": row, "organization_id": of.id}
    project = tenant | {"project_id": of.project}
    far = "2099-01-01"
    return {
        "organizations": {"id": row, "slug": f"test-{mark}", "name": mark},
        "users": {"id": row, "primary_email": f"{mark}@test.invalid"},
        "user_sessions": {"id": row, "user_id": of.user, "token_hash": b"\xff" * 16 + row.bytes, "expires_at": far},
        "organization_members": tenant | {"user_id": made("user", "spare", tag) if tag else of.user, "role": "admin"},
        "organization_invitations": tenant
        | {"email": f"{mark}@test.invalid", "token_hash": b"\xff" * 16 + row.bytes, "expires_at": far},
        "organization_feature_flags": tenant | {"flag_id": made("flag", tag) if tag else FLAG},
        "projects": tenant | {"slug": f"test-{mark}", "name": mark},
        "project_members": project | {"user_id": made("user", "spare", tag) if tag else of.user},
        "project_addons": project | {"addon_id": ADDON},
        "project_metrics": project
        | {"metric": f"m{tag}", "period_start": "2026-01-01", "period": "1 hour", "value": 1, "unit": "bytes"},
        "subscriptions": tenant | {"plan_id": PLAN},
        "invoices": tenant | {"number": f"INV-{mark}"},
        "payment_methods": tenant | {"provider_id": f"pm_{mark}", "type": "card"},
        "tax_ids": tenant | {"country": "IT", "type": "vat", "value": mark},
        "customer_profiles": tenant | {"billing_name": mark},
        "credits": tenant | {"amount_minor": 100, "remaining_minor": 100, "source": "promo"},
        "disk_config": project | {"size_gb": 8},
        "compute_config": project | {"instance_size": "micro"},
        "usage_metrics": project | {"metric": f"EGRESS{tag}", "period_start": "2026-01-01"},
        "api_keys": tenant | {"name": mark, "prefix": "lk", "token_hash": b"\xff" * 16 + row.bytes, "last4": "abcd"},
        "audit_logs": project | {"actor_type": "user", "action": f"test{tag}"},
        "credentials": project | {"kind": "token", "name": mark},
        "databases": {"id": row, "project_id": of.project, "name": mark, "type": "redis", "host": "cache.test",
                      "port": 6379, "connection_string": "redis://cache.test:6379"},
        "addons": {"id": row, "type": "t", "variant": mark, "name": mark},
        "feature_flags": {"id": row, "key": mark},
        "billing_plans": {"id": row, "code": mark, "name": mark},
    }[table]  # fmt: skip


def insert(table: str, row: Mapping[str, object]) -> sql.Composed:
    """An INSERT of one row, to be executed with its values."""
    return sql.SQL("INSERT INTO platform.{} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(map(sql.Placeholder, row)),
    )


ORDER = ("organizations", "users", "projects", "subscriptions")


def populate(connection: psycopg.Connection, organizations: Iterable[Organization] = (OWN, OTHER, THIRD)) -> None:
    """A row of each organization in each table; by a session that policies do not bind, at any level of the schema."""
    put = lambda table, row: connection.execute(insert(table, row), dict(row))  # noqa: E731
    for tag in ("", "new"):  # one that rows point at, and one that they don't
        put("billing_plans", {"id": made("plan", *tag.split()), "code": f"test{tag}", "name": "test"})
        put("addons", {"id": made("addon", *tag.split()), "type": "test", "variant": f"test{tag}", "name": "test"})
        put("feature_flags", {"id": made("flag", *tag.split()), "key": f"test{tag}"})
    put("users", {"id": EVERYBODY, "primary_email": "everybody@test.invalid"})
    put("users", {"id": made("user", "spare", "new"), "primary_email": "spare@test.invalid"})
    members = []
    for each in organizations:
        for table in (*ORDER, *(name for name in TABLES if name not in ORDER and name not in CATALOGUES)):
            put(table, values(table, each))
        members.append(each)
    for each in members[:2]:
        put("organization_members", {"id": made("both", each.name), "organization_id": each.id, "user_id": EVERYBODY})


def work_as(connection: psycopg.Connection, role: str) -> None:
    connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))


def set_context(connection: psycopg.Connection, user: UUID, organization: UUID | None = None) -> None:
    connection.execute("SELECT platform.set_context(%s, %s)", (user, organization))


@contextlib.contextmanager
def logins(server: TestServer, dbname: str) -> Iterator[dict[str, str]]:
    """The URL of a login of its own for each role: no session of a superuser that has SET ROLE."""
    with server.connect() as connection:
        for role in ROLES:
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE {}").format(
                    sql.Identifier(f"{dbname}_{role}"), PASSWORD, sql.Identifier(role)
                )
            )
        try:
            yield {role: server.url(dbname, user=f"{dbname}_{role}", password=PASSWORD) for role in ROLES}
        finally:
            for role in ROLES:
                connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(f"{dbname}_{role}")))
