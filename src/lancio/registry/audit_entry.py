"""Who did what to what? One entry of platform.audit_logs, in the transaction that does it.

The entry stands or falls with what it speaks of. What a row was and what it became is told by the fields that are named
here for its kind; a field that is not named is not taken, so that no secret comes in by being passed along.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from psycopg.types.json import Jsonb

from lancio.postgres import named_queries

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

    from lancio.registry.acting import Actor

_QUERIES: Final = named_queries("lancio.registry", "audit_entry.sql")

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "organization": ("slug", "name", "kind", "size", "billing_email", "requires_mfa", "deleted_at"),
    "project": ("slug", "name", "region", "cloud_provider", "is_sensitive", "deleted_at"),
    "member": ("email", "user_id", "role", "project_ids"),
    "invitation": ("email", "role", "project_ids", "expires_at", "accepted_at", "revoked_at"),
    "user": ("primary_email", "username", "first_name", "last_name", "disabled_at", "password"),
    "api_key": ("name", "prefix", "last4", "scopes", "project_id", "user_id", "expires_at", "revoked_at"),
    "billing_plan": (
        "code", "name", "price_minor", "currency", "billing_interval", "limits", "features", "is_public", "valid_to",
    ),
    "subscription": ("plan", "status", "current_period_start", "current_period_end", "cancel_at"),
    "database": (
        "name", "project", "type", "host", "port", "database", "username", "ssl_enabled", "status", "placeholder",
        "connection_string", "metadata", "version",
    ),
    "credential_rotation": ("step", "database", "name", "way", "old_login", "new_login", "reason"),
    "credential": ("name", "kind", "key_id", "version", "state", "expires_at", "rotated_at"),
}  # fmt: skip
"""What an entry may tell of each kind of target. `password` of a user is `set`, `changed` or
`removed`, `connection_string` of a database `changed`."""


def insert(
    connection: psycopg.Connection[Any],
    actor: Actor,
    action: str,
    target_type: str,
    target_id: UUID | str,
    *,
    organization: UUID | None,
    project: UUID | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write an entry. With both `before` and `after`, the fields that are equal in them are left out.

    `target_type` is a key of `FIELDS`. Without an organization the entry is the platform's own, and the login's own
    rights are needed to write it.

    Raises:
        KeyError: there is no such kind of target.
    """
    names = FIELDS[target_type]
    was, became = taken(before, names), taken(after, names)
    if was is not None and became is not None:
        equal = {name for name in was if name in became and was[name] == became[name]}
        was = {name: value for name, value in was.items() if name not in equal}
        became = {name: value for name, value in became.items() if name not in equal}
    connection.execute(
        _QUERIES["insert"],
        {
            "organization": organization,
            "project": project,
            "actor_type": actor.kind,
            "actor_id": actor.id,
            "actor_email": actor.email,
            "action": action,
            "target_type": target_type,
            "target_id": str(target_id),
            "before": None if was is None else Jsonb(was),
            "after": None if became is None else Jsonb(became),
        },
    )


def taken(values: Mapping[str, Any] | None, names: tuple[str, ...]) -> dict[str, Any] | None:
    """The named fields that are there, as JSON has them; those that are None are left out."""
    if values is None:
        return None
    return {name: plain(values[name]) for name in names if values.get(name) is not None}


def plain(value: Any) -> Any:
    """A value of a row as JSON has it."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, list | tuple | frozenset | set):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    return value
