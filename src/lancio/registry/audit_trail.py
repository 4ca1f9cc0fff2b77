"""Who did what, when, to what? The entries of platform.audit_logs: asked for, page by page, and handed on.

    page = entries(connection, Query(organization=acme, action="secret.open"))
    more = entries(connection, Query(organization=acme, action="secret.open", before=page[-1].place))

The newest come first. A session sees what the policies let it see: a member the entries of the organization in the
context, who works for the platform all of them. Each filter has an index, and a page begins at a place, not at a
count, so the last one costs what the first one does.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID

from psycopg import sql
from psycopg.rows import class_row, tuple_row

from lancio.errors import LancioError
from lancio.postgres import named_queries
from lancio.registry.context import OWN_NAMES, pin

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime

    import psycopg

_QUERIES = named_queries("lancio.registry", "audit_trail.sql")

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
"""What a spreadsheet takes for the beginning of a formula, or a tab and a line end that lead to one."""


class AuditRefused(LancioError):  # noqa: N818  (a refusal, named as those of lancio.errors)
    """The audit trail is not sealed, verified or pruned as asked, or cannot be read here."""

    code = "audit"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry stands among all: by its time, then by its number."""

    occurred_at: datetime
    seq: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of platform.audit_logs. Secrets were left out of it when it was written."""

    id: UUID
    seq: int
    organization_id: UUID | None
    """None for what concerns the platform itself."""
    project_id: UUID | None
    occurred_at: datetime
    actor_type: str
    """`user`, `api_key`, `service` or `system`."""
    actor_id: UUID | None
    actor_email: str | None
    action: str
    method: str | None
    """`sql`: no program wrote this change down, the database did."""
    status: int | None
    target_type: str | None
    target_id: str | None
    ip: str | None
    user_agent: str | None
    request_id: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    @property
    def place(self) -> Place:
        """Where a page that goes on after this entry begins."""
        return Place(self.occurred_at, self.seq)


@dataclass(frozen=True, slots=True)
class Query:
    """Which entries: those that all of these are true of."""

    organization: UUID | None = None
    platform: bool = False
    """Only those of no organization."""
    project: UUID | None = None
    actor: str | None = None
    """An id, or an e-mail address."""
    user: UUID | None = None
    """Whose address `actor` is: what the database writes by itself names a user by the id alone."""
    action: str | None = None
    """As it is, or `secret.*` for all that begin so."""
    target_type: str | None = None
    target_id: str | None = None
    since: datetime | None = None
    """From this time on."""
    until: datetime | None = None
    """Before this time."""
    before: Place | None = None
    """Older than the entry at this place: the next page."""
    after: int | None = None
    """Of a higher number than this."""
    oldest_first: bool = field(default=False, compare=False)

    def where(self) -> tuple[sql.Composed, dict[str, Any]]:
        """The conditions, and the values they name."""
        found: list[sql.SQL] = []
        values: dict[str, Any] = {}

        def add(condition: str, **given: object) -> None:
            found.append(sql.SQL(condition))
            values.update(given)

        if self.organization is not None:
            add("a.organization_id = %(organization)s", organization=self.organization)
        if self.platform:
            add("a.organization_id IS NULL")
        if self.project is not None:
            add("a.project_id = %(project)s", project=self.project)
        if self.actor is not None:
            try:
                add("a.actor_id = %(actor)s", actor=UUID(self.actor))
            except ValueError:
                named = (
                    "(a.actor_id = %(user)s OR a.actor_email = %(actor)s)" if self.user else "a.actor_email = %(actor)s"
                )
                add(named, actor=self.actor, user=self.user)
        if self.action is not None and not self.action.endswith("*"):
            add('a.action COLLATE "C" = %(action)s', action=self.action)
        elif self.action is not None and (begin := self.action[:-1]):
            # Under policies LIKE is asked for each row.
            code = ord(begin[-1]) + 1
            behind = begin[:-1] + chr({0xD800: 0xE000, 0x110000: 0x10FFFF}.get(code, code))
            add('a.action COLLATE "C" >= %(begin)s AND a.action COLLATE "C" < %(behind)s', begin=begin, behind=behind)
        if self.target_type is not None:
            add("a.target_type = %(target_type)s", target_type=self.target_type)
        if self.target_id is not None:
            add("a.target_id = %(target_id)s", target_id=self.target_id)
        if self.since is not None:
            add("a.occurred_at >= %(since)s", since=self.since)
        if self.until is not None:
            add("a.occurred_at < %(until)s", until=self.until)
        if self.before is not None:
            add("(a.occurred_at, a.seq) < (%(at)s, %(at_seq)s)", at=self.before.occurred_at, at_seq=self.before.seq)
        if self.after is not None:
            add("a.seq > %(after)s", after=self.after)
        # A time that no program can hold is not listed; `verify` counts it. isfinite() is no range of an index, and the
        # planner expects it of a third of the rows.
        add("a.occurred_at > '-infinity' AND a.occurred_at < 'infinity'")
        return sql.SQL(" WHERE ") + sql.SQL(" AND ").join(found), values


def refuse_unready(connection: psycopg.Connection[Any]) -> None:
    """Return if migration 010 is applied.

    Raises:
        AuditRefused: it is not.
    """
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        there = cursor.execute(_QUERIES["ready"]).fetchone()
    if there is None or not there[0]:
        raise AuditRefused(
            "entries have no numbers in this database",
            cause="Migration 010 is not applied here.",
            remedy="Apply it.",
            commands=("lancio apply --platform",),
        )


def all_rows(connection: psycopg.Connection[Any]) -> None:
    """Make an error of rows that a policy would hide, in this session: for who works for the platform."""
    pin(connection, {"row_security": "off"} | OWN_NAMES, session=True)
    refuse_unready(connection)


def named(connection: psycopg.Connection[Any], kind: Literal["organization", "project"], said: str) -> UUID:
    """The id of an organization or a project by its slug. An id is taken as it is: entries outlive what they speak of.

    Raises:
        AuditRefused: there is none of this slug.
    """
    with contextlib.suppress(ValueError):
        return UUID(said)
    with connection.cursor(row_factory=tuple_row) as cursor:
        # What is no text is no name either.
        asked = {"named": said.encode("utf-8", "replace").decode().replace("\0", "\ufffd")}
        found = cursor.execute(_QUERIES[kind], asked).fetchone()
    if found is None:
        raise AuditRefused(
            f"there is no {kind} {said}",
            cause="No slug is so. One that was removed has its entries under its id.",
            remedy="Give its slug or its id.",
        )
    return UUID(str(found[0]))


def slugs(connection: psycopg.Connection[Any], organizations: set[UUID]) -> dict[UUID, str]:
    """The slugs of those organizations that are still there."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        return dict(cursor.execute(_QUERIES["organization_names"], {"ids": list(organizations)}).fetchall())


def user_named(connection: psycopg.Connection[Any], email: str) -> UUID | None:
    """The id of the user with this address, for who sees users."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        found = cursor.execute(_QUERIES["user"], {"email": email}).fetchone()
    return None if found is None else found[0]


def emails(connection: psycopg.Connection[Any], entries: Collection[Entry]) -> dict[UUID, str]:
    """The addresses of the users that these entries name by their id alone, of those that are still there."""
    ids = {each.actor_id for each in entries if each.actor_type == "user" and each.actor_id and not each.actor_email}
    with connection.cursor(row_factory=tuple_row) as cursor:
        return dict(cursor.execute(_QUERIES["emails"], {"ids": list(ids)}).fetchall())


def entries(connection: psycopg.Connection[Any], query: Query, *, limit: int = 50) -> list[Entry]:
    """A page of entries, the newest first (`oldest_first`: by number, from the lowest)."""
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        asked, values = _asked(query)
        return cursor.execute(asked + sql.SQL(" LIMIT %(limit)s"), values | {"limit": limit}).fetchall()


def entry(connection: psycopg.Connection[Any], id_: UUID) -> Entry | None:
    """The entry of that id; None if there is none that the session may see."""
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        asked = sql.SQL(_QUERIES["columns"].rstrip(";")) + sql.SQL(" WHERE a.id = %(id)s")
        return cursor.execute(asked, {"id": id_}).fetchone()


def numbered(connection: psycopg.Connection[Any], number: int) -> Entry | None:
    """The entry of that number; None if there is none that the session may see."""
    found = entries(connection, Query(after=number - 1, oldest_first=True), limit=1)
    return found[0] if found and found[0].seq == number else None


def stream(connection: psycopg.Connection[Any], query: Query) -> Iterator[Entry]:
    """All entries, as they come: few of them are held at a time. One state of the database, whatever is written
    meanwhile."""
    with connection.transaction(), connection.cursor("lancio_export", row_factory=class_row(Entry)) as cursor:
        cursor.itersize = 1000
        asked, values = _asked(query)
        yield from cursor.execute(asked, values)


def _asked(query: Query) -> tuple[sql.Composed, dict[str, Any]]:
    where, values = query.where()
    order = " ORDER BY a.seq" if query.oldest_first else " ORDER BY a.occurred_at DESC, a.seq DESC"
    return sql.SQL(_QUERIES["columns"].rstrip(";")) + where + sql.SQL(order), values


# --- handing on -------------------------------------------------------------------------------------------------------

COLUMNS: Final = tuple(each.name for each in fields(Entry))


def record(entry: Entry) -> dict[str, Any]:
    """An entry in the words of JSON."""
    plain = {name: getattr(entry, name) for name in COLUMNS}
    return {
        name: value if value is None or isinstance(value, (int, str, dict, list)) else _text(value)
        for name, value in plain.items()
    }


def json_line(entry: Entry) -> str:
    """One line of JSON without its end."""
    return json.dumps(record(entry), ensure_ascii=False, separators=(",", ":"))


def csv_header() -> str:
    """The first line of CSV."""
    return _csv(COLUMNS)


def csv_line(entry: Entry) -> str:
    """A line of CSV with its end (RFC 4180); what a spreadsheet would calculate is text, by an apostrophe before it."""
    return _csv([_guarded(value) for value in record(entry).values()])


def _guarded(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"'{text}" if text.lstrip(" \u00a0\u3000\ufeff").startswith(FORMULA) or text.startswith(_WIDE) else text


_WIDE: Final = ("\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The full-width forms of = + - @, which some spreadsheets take for them."""


def _csv(values: Any) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(values)
    return out.getvalue()


def _text(value: object) -> str:
    isoformat = getattr(value, "isoformat", None)
    return isoformat() if isoformat is not None else str(value)
