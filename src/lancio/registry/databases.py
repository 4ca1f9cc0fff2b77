"""Which databases has an organization, where are they, and who changed them?

A database is registered in a project under a name that is unique there. Its connection string is sealed in this process
with the organization's data key: PostgreSQL gets the envelope and what may be shown, and never sees a secret. All of it
works in the transaction of an `Acting`, and each change writes its entry into the audit trail in that transaction.

What stands in `host` and `port` is one address, as the specification has it: of several hosts the first one, of a
socket `localhost`, and the kind's usual port where a string names none (mongodb+srv). All of them, and whether they
are a replica set's, a cluster's or sentinels, stand in `config`, without any secret (decisions/0019).
"""

from __future__ import annotations

import unicodedata
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from lancio.postgres import named_queries
from lancio.registry import audit_entry, limits, names, opening, pages, projects, secrets
from lancio.registry import connection_strings as strings
from lancio.registry.acting import shown, storable
from lancio.registry.context import BROKER
from lancio.registry.refusal import LostRace, NameRefused, NotThere, RegistryRefused, Taken, not_there

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from lancio.registry.acting import Acting
    from lancio.registry.connection_strings import ConnectionString, Kind
    from lancio.registry.data_keys import DataKeys
    from lancio.registry.pages import Page

Status = Literal["active", "inactive", "error", "maintenance"]
STATUSES: Final[tuple[Status, ...]] = ("active", "inactive", "error", "maintenance")
HEALTHS: Final = ("healthy", "unhealthy", "unknown")
KINDS: Final[tuple[Kind, ...]] = ("postgresql", "redis", "mongodb")

MOST_METADATA: Final = 20
"""Entries of metadata that a person may give; each key and each value has at most `LONGEST_METADATA` characters."""
LONGEST_METADATA: Final = 200
PLACEHOLDER: Final = "placeholder"

FEW: Final = 1000
"""Up to so many names of an organization are gone through as fast as a text is found by its grams."""

_QUERIES: Final = dict(named_queries("lancio.registry", "databases.sql"))
_ALL: Final = "FROM platform.databases d\n"
_QUERIES["page_of_gram"] = _QUERIES["page"].replace(_ALL, f"FROM ({_QUERIES['of_gram'].rstrip(';')}) d\n", 1)


class Ambiguous(RegistryRefused):
    """Several projects have a database of that name."""

    code = "registry.ambiguous"


class Placeholder(RegistryRefused):
    """The database is registered and its connection string was never given."""

    code = "registry.placeholder"


@dataclass(frozen=True, slots=True)
class Database:
    """A row of platform.databases, without a secret."""

    id: UUID
    project_id: UUID
    project: str
    """The project's slug."""
    name: str
    type: Kind
    host: str
    port: int
    database: str | None
    username: str | None
    ssl_enabled: bool
    status: Status
    health: str
    health_error: str | None
    health_at: datetime | None
    config: Mapping[str, Any] = field(repr=False)
    metadata: Mapping[str, Any]
    sealed: bool
    """Whether something is sealed: without, the address is all that there is."""
    version: int
    created_at: datetime
    updated_at: datetime
    name_key: str = field(repr=False)

    @property
    def placeholder(self) -> bool:
        """Registered without a connection string, which is to come."""
        return self.metadata.get(PLACEHOLDER) is True

    @property
    def display(self) -> str:
        """`redis://host:port/0`: all hosts where they are known, and no secret."""
        said, first = self.config.get("display"), self.config.get("address")
        # Written by something else meanwhile (by SQL, for one), the row's own address holds.
        if isinstance(said, str) and first == [self.host, self.port]:
            return said
        return secrets.display_form(self.type, self.host, self.port)

    def as_dict(self) -> dict[str, object]:
        """For `--json` and the API."""
        return {
            "id": str(self.id),
            "project": self.project,
            "name": self.name,
            "type": self.type,
            "display": self.display,
            "host": self.host,
            "port": self.port,
            "hosts": self.config.get("hosts") if self.display == self.config.get("display") else None,
            "database": self.database,
            "username": self.username,
            "ssl_enabled": self.ssl_enabled,
            "status": self.status,
            "health": self.health,
            "health_error": self.health_error,
            "health_at": None if self.health_at is None else self.health_at.isoformat(),
            "placeholder": self.placeholder,
            "sealed": self.sealed,
            "metadata": {name: value for name, value in self.metadata.items() if name != PLACEHOLDER},
            "version": self.version,
            "created_at": self.created_at.isoformat(),
            "updated_at": self.updated_at.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Filter:
    """Which databases a list is to have; None is all."""

    project: str | None = None
    type: str | None = None
    status: str | None = None
    health: str | None = None
    host: str | None = None
    """The host's name, in any case."""
    prefix: str | None = None
    """What the name begins with, in any case."""
    text: str | None = None
    """What stands anywhere in the name, in any case."""
    placeholder: bool | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What is to become of a database; None leaves it as it is."""

    name: str | None = None
    value: ConnectionString | None = None
    status: str | None = None
    metadata: Mapping[str, str | None] = field(default_factory=dict)
    """Entries to be set; None removes one."""

    @property
    def nothing(self) -> bool:
        """Whether nothing is to be changed."""
        return self.name is None and self.value is None and self.status is None and not self.metadata


def refuse_unready(work: Acting) -> None:
    """Return if migration 009 is applied.

    Raises:
        RegistryRefused: it is not.
    """
    row = work.connection.execute(_QUERIES["ready"]).fetchone()
    if row is None or not (row["ready"] if isinstance(row, dict) else row[0]):
        raise RegistryRefused(
            "databases have no versions here",
            cause="Migration 009 is not applied.",
            remedy="Apply the platform's migrations.",
            commands=("lancio apply --platform",),
        )


# --- reading ----------------------------------------------------------------------------------------------------------


def page(
    work: Acting, wanted: Filter | None = None, *, after: str | None = None, limit: int = pages.USUAL
) -> Page[Database]:
    """The databases that the actor reaches, by name.

    Raises:
        NotAllowed: the actor may not look at databases.
        NameRefused: `after` is no mark of such a list, or nothing can be called as is looked for.
        NotThere: there is no such project.
    """
    work.require("database.read")
    refuse_unready(work)
    wanted = wanted or Filter()
    for text in (wanted.host, wanted.prefix, wanted.text):
        pages.like(text)  # refuses what cannot be
    key = pages.key_of(after, 2)
    if key is not None and not _is_id(key[1]):
        pages.key_of("", 2)  # which refuses it
    asked = _rows(work, "asked", organization=work.organization, text=wanted.text or None, few=FEW)[0]
    grams = _grams(asked["key"]) if asked["many"] else []
    found = _rows(
        work,
        "page_of_gram" if grams else "page",
        **_reach(work),
        project=None if wanted.project is None else projects.one(work, wanted.project).id,
        gone=asked["gone"] or None,
        type=wanted.type,
        status=wanted.status,
        health=wanted.health,
        host=wanted.host,
        prefix=wanted.prefix or None,
        key=asked["key"],
        grams=grams,
        placeholder=wanted.placeholder,
        after=None if key is None else key[0],
        after_id=None if key is None else key[1],
        limit=limit + 1,
    )
    return pages.cut([_database(row) for row in found], limit, lambda each: (each.name_key, str(each.id)))


def every(work: Acting, wanted: Filter | None = None, *, after: str | None = None) -> tuple[Database, ...]:
    """All of them, or all from a mark on. Raises as `page`."""
    return pages.every(lambda mark: page(work, wanted, after=mark, limit=pages.MOST), after)


def one(work: Acting, name: str, *, project: str | None = None) -> Database:
    """The database of that name, or of that id.

    Raises:
        NotAllowed: the actor may not look at databases.
        NotThere: there is none that the actor reaches, or no such project.
        Ambiguous: several projects have one, and none was named.
    """
    work.require("database.read")
    refuse_unready(work)
    in_project = None if project is None else projects.one(work, project).id
    listing = f"lancio db list --org {work.slug}" + (f" --project {project}" if project is not None else "")
    if not storable(name) or len(name) > 4 * names.LONGEST:
        not_there("database", name, organization=work.slug, list_=listing)
    given = unicodedata.normalize("NFC", name)
    found = [_database(row) for row in _rows(work, "named", **_reach(work), project=in_project, name=given)]
    if not found and _is_id(name):
        found = [_database(row) for row in _rows(work, "by_id", **_reach(work), id=UUID(name))]
        found = [each for each in found if in_project in (None, each.project_id)]
    if len(found) == 1:
        return found[0]
    if found:
        listed = [each.project for each in found[:10]]
        more = " and more" if len(found) > 10 else ""
        raise Ambiguous(
            f"several databases are called {shown(name)}",
            cause=f"Names are unique within a project, and these have one: {', '.join(listed)}{more}.",
            remedy="Name the project too.",
            commands=tuple(f"lancio db show {_quoted(name)} --project {each} --org {work.slug}" for each in listed[:3]),
        )
    key = _rows(work, "key", text=given[:200])[0]["key"]
    grams = _grams(key)[:40]
    near = _rows(
        work,
        "near",
        **_reach(work),
        project=in_project,
        key=key,
        grams=grams,
        parts=[gram.to_bytes(3, "big") for gram in grams],
    )
    return not_there(
        "database", name, organization=project or work.slug, among=[row["name"] for row in near], list_=listing
    )


def find(work: Acting, project: projects.Project, name: str) -> Database | None:
    """The database that has exactly this name, as `names.name` gives it, in a project; None where there is none."""
    found = _rows(work, "named", **_reach(work), project=project.id, name=name)
    return _database(found[0]) if found else None


def value_of(work: Acting, keys: DataKeys, database: Database, *, action: str = "database.open") -> ConnectionString:
    """The connection string, opened; an entry of it is left where something was sealed.

    Args:
        action: `database.open`, `database.reveal` or `database.test`: what the actor has to be allowed, and the name
            of the entry.

    Raises:
        NotAllowed: the actor may not.
        Placeholder: there is none yet.
        OpeningRefused, SealBroken, KeyRefused: it cannot be opened.
        ConnectionStringRefused: what was sealed is none, by the rules of its kind.
    """
    work.require(action, database.project_id)
    with work.working_as(BROKER):
        secret = opening.open_connection_string(work.connection, database.id, keys.unwrap)
    if secret is None:
        raise Placeholder(
            f"{database.name} is a placeholder: its connection string was never registered",
            cause="A migration has registered the service with its usual address, and the credential is still to come.",
            remedy="Register its connection string.",
            commands=(
                f"lancio db update {_quoted(database.name)} --project {database.project} --org {work.slug}",
                f"lancio db update --from-env --org {work.slug}",
            ),
        )
    if database.sealed:
        _write(work, action, database, None, None)
    return strings.parse(secret.reveal(), database.type)


# --- changing ---------------------------------------------------------------------------------------------------------


def project_of(work: Acting, named: str | None) -> projects.Project:
    """The project that is meant; without a name the only one that there is.

    Raises:
        NotThere: there is none of that name, or none at all.
        Ambiguous: there are several, and none was named.
    """
    if named is not None:
        return projects.one(work, named)
    found = [row["slug"] for row in _rows(work, "only_project", **_reach(work))]
    if len(found) == 1:
        return projects.one(work, found[0])
    if not found:
        raise NotThere(
            f"{work.slug} has no project that you see",
            cause="A database belongs to a project.",
            remedy="Add a project first.",
            commands=(f"lancio project add NAME --org {work.slug}",),
        )
    raise Ambiguous(
        "which project is not said",
        cause=f"{work.slug} has several: {', '.join(found[:10])}{' and more' if len(found) > 10 else ''}.",
        remedy="Name one by --project.",
        commands=(f"lancio project list --org {work.slug}",),
    )


def refuse_taken(work: Acting, project: projects.Project, name: str) -> None:
    """Return if the project has no database of that name; what `add` would find, before a secret is asked for.

    Raises:
        NameRefused: the name cannot be.
        Taken: it has one.
    """
    if (found := find(work, project, names.name(name))) is not None:
        raise _taken(work, found.name, project.slug)


def add(
    work: Acting,
    keys: DataKeys,
    project: projects.Project,
    name: str,
    value: ConnectionString,
    *,
    status: str = "active",
    metadata: Mapping[str, str | None] | None = None,
) -> Database:
    """Register a database.

    Raises:
        NotAllowed: the actor may not.
        NameRefused: the name, the status or the metadata cannot be.
        Taken: the project has one of that name.
        LimitReached: the organization's plan allows no more.
        KeyRefused: there is no key to seal with.
    """
    work.require("database.add", project.id)
    refuse_unready(work)
    id_, kept = uuid.uuid4(), names.name(name)
    limits.require(work, "databases")
    values = {
        "id": id_,
        "project": project.id,
        "organization": work.organization,
        "name": kept,
        "type": value.kind,
        "status": _status(status),
        "metadata": Jsonb(_metadata({}, metadata or {})),
    }
    try:
        with work.working_as(BROKER):
            work.connection.execute(_QUERIES["add"], {**values, **_sealed(work, keys, id_, value, {})})
    except psycopg.errors.UniqueViolation as error:
        raise _taken(work, kept, project.slug) from error
    made = _read(work, id_)
    _write(work, "database.add", made, None, made)
    return made


def update(
    work: Acting, keys: DataKeys | None, database: Database, change: Change, *, version: int | None = None
) -> Database:
    """The database as it is after the change. With `version`, only if it is still that one.

    `keys` are needed for a connection string.

    Raises:
        NotAllowed: the actor may not.
        NotThere: it was removed meanwhile.
        LostRace: it is another version by now; who changed what is said.
        NameRefused: the name, the status or the metadata cannot be, or the string is of another kind.
        Taken: the project has one of that name.
        KeyRefused: there is no key to seal with.
    """
    work.require("database.update", database.project_id)
    before = _locked(work, database, version)
    if change.value is not None and change.value.kind != before.type:
        raise NameRefused(
            f"{before.name} is a database of {strings.refusal.NAMES[before.type]}",
            cause=f"The connection string is of {strings.refusal.NAMES[change.value.kind]}: programs that ask for this "
            "name would get a client of another kind.",
            remedy="Register it under another name.",
            commands=(f"lancio db add NAME --project {before.project} --org {work.slug}",),
        )
    metadata = _metadata(before.metadata, change.metadata)
    values: dict[str, Any] = {
        "id": before.id,
        "name": before.name if change.name is None else names.name(change.name),
        "status": before.status if change.status is None else _status(change.status),
    }
    query = "update"
    if change.value is not None:
        assert keys is not None  # noqa: S101  a string is sealed
        query = "update_string"
        metadata.pop(PLACEHOLDER, None)
    try:
        with work.working_as(BROKER):
            if change.value is not None and keys is not None:
                values |= _sealed(work, keys, before.id, change.value, before.config)
                if before.placeholder and values["database"] is None:
                    values["database"] = before.database  # which the migration has named
            work.connection.execute(_QUERIES[query], {**values, "metadata": Jsonb(metadata)})
    except psycopg.errors.UniqueViolation as error:
        raise _taken(work, values["name"], before.project) from error
    after = _read(work, before.id)
    if after.version != before.version:
        _write(work, "database.update", before, before, after, string=change.value is not None)
    return after


def remove(work: Acting, database: Database, *, version: int | None = None) -> None:
    """Take it out of the registry, its sealed connection string with it. The database itself is not touched.

    Raises:
        NotAllowed: the actor may not.
        NotThere: it was removed meanwhile.
        LostRace: it is another version by now.
    """
    work.require("database.remove", database.project_id)
    before = _locked(work, database, version)
    with work.working_as(BROKER):
        work.connection.execute(_QUERIES["remove"], {"id": before.id})
    _write(work, "database.remove", before, before, None)


def write_health(work: Acting, database: Database, health: str, finding: str | None = None) -> bool:
    """Write down what a probe found; False where the database was changed since it was read, and nothing is written.

    `health` is one of HEALTHS, `finding` a code and a sentence without a secret where all is not well.

    Raises:
        NotAllowed: the actor may not test databases.
    """
    work.require("database.test", database.project_id)
    with work.working_as(BROKER):
        found = {"id": database.id, "version": database.version, "health": health, "error": finding}
        return bool(_rows(work, "health", **found))


def same(one: ConnectionString, other: ConnectionString) -> bool:
    """Whether two strings are read as the same parts."""
    return one == other or one.build() == other.build()


# --- inside -----------------------------------------------------------------------------------------------------------


def address(value: ConnectionString) -> tuple[str, int]:
    """The one host and port that stand for a connection string in platform.databases."""
    first = value.hosts[0]
    named = "" if first.name[:1] in ("/", "@") else first.name  # a path is no host there
    host = named or first.address or "localhost"
    return host, first.port if first.port is not None else value.default_port


def _sealed(
    work: Acting, keys: DataKeys, row: UUID, value: ConnectionString, config: Mapping[str, Any]
) -> dict[str, Any]:
    """The columns that a connection string fills. An address alone holds nothing to seal."""
    host, port = address(value)
    bare = secrets.display_form(value.kind, host, port)
    values: dict[str, Any] = {
        "host": host,
        "port": port,
        "database": value.database,
        # Where the user may be a password it is not written down.
        "username": value.user if value.shown_user == value.user else None,
        "ssl_enabled": value.tls not in ("off", "optional"),
        "config": Jsonb(
            {
                **config,
                "display": value.display,
                "address": [host, port],
                "hosts": [each.shown for each in value.hosts],
                "tls": value.tls,
            }
        ),
    }
    if value.build() == bare or _reads_as(bare, value):
        return {**values, "shown": bare, "envelope": None}
    key = keys.active(work.connection, work.organization)
    envelope = secrets.seal(value.build(), row_id=row, key=key)
    return {**values, "shown": secrets.sealed_form(envelope, value.kind, host, port), "envelope": envelope}


def _reads_as(bare: str, value: ConnectionString) -> bool:
    try:
        return strings.parse(bare, value.kind) == value
    except strings.ConnectionStringRefused:
        return False


def _locked(work: Acting, database: Database, version: int | None) -> Database:
    refuse_unready(work)
    _rows(work, "lock", organization=work.organization, id=database.id)
    found = [_database(row) for row in _rows(work, "by_id", **_reach(work), id=database.id)]
    if not found:
        raise NotThere(
            f"the database {shown(database.name)} is not there any more",
            cause=_since(work, database, database.version) or "It was removed meanwhile.",
            remedy="Look at what is registered.",
            commands=(f"lancio db list --org {work.slug}",),
        )
    if version is not None and found[0].version != version:
        _lost(work, found[0], version)
    return found[0]


def _lost(work: Acting, now: Database, version: int) -> NoReturn:
    changes = _since(work, now, version)
    ahead = version > now.version
    raise LostRace(
        f"{now.name} is not version {version} yet" if ahead else f"{now.name} was changed since you read it",
        cause=f"It is version {now.version}: the number is another database's, or mistyped."
        if ahead
        else f"It was version {version} then, and is {now.version} now. "
        f"{changes or 'The audit trail has no entry of it: its row was written by SQL, or sealed anew.'}",
        remedy="Look at it as it is now, and say it again if it still holds.",
        commands=(f"lancio db show {_quoted(now.name)} --project {now.project} --org {work.slug}",),
    )


def _since(work: Acting, database: Database, version: int) -> str:
    """Who changed what, in a sentence for each."""
    found = _rows(
        work,
        "since",
        organization=work.organization,
        id=database.id,
        version=version,
    )
    said = []
    for row in reversed(found):
        who = row["actor_email"] or (f"{row['actor_type']} {row['actor_id']}" if row["actor_id"] else row["actor_type"])
        what = sorted({*(row["before"] or {}), *(row["after"] or {})} - {"version"})
        when = f"{row['occurred_at']:%Y-%m-%d %H:%M:%S %Z}".strip()
        verb = "removed it" if row["action"] == "database.remove" else f"changed {', '.join(what) or 'it'}"
        said.append(f"{shown(who)} {verb} at {when}.")
    return " ".join(said)


def _write(
    work: Acting, action: str, of: Database, before: Database | None, after: Database | None, *, string: bool = False
) -> None:
    audit_entry.insert(
        work.connection,
        work.actor,
        action,
        "database",
        of.id,
        organization=work.organization,
        project=of.project_id,
        before=None if before is None else _told(before),
        after=({"name": of.name} if before is None else None)
        if after is None
        else {**_told(after), **({"connection_string": "changed"} if string else {})},
    )


def _told(database: Database) -> dict[str, Any]:
    return {
        "name": database.name,
        "project": database.project,
        "type": database.type,
        "host": database.host,
        "port": database.port,
        "database": database.database,
        "username": database.username,
        "ssl_enabled": database.ssl_enabled,
        "status": database.status,
        "placeholder": database.placeholder or None,
        "metadata": {name: value for name, value in database.metadata.items() if name != PLACEHOLDER} or None,
        "version": database.version,
    }


def _reach(work: Acting) -> dict[str, Any]:
    return {
        "organization": work.organization,
        "projects": None if work.projects is None else list(work.projects),
    }


def _read(work: Acting, id_: UUID) -> Database:
    return _database(_rows(work, "by_id", organization=work.organization, projects=None, id=id_)[0])


def _rows(work: Acting, query: str, **values: Any) -> list[dict[str, Any]]:
    with work.connection.cursor(row_factory=dict_row) as cursor:
        # Planned for the values at hand: which filters are given decides which index serves.
        return cursor.execute(_QUERIES[query], values, prepare=False).fetchall()


def _grams(key: bytes) -> list[int]:
    """As platform_private.name_grams() makes them."""
    return sorted({int.from_bytes(key[at : at + 3], "big") for at in range(len(key) - 2)})


def _database(row: Mapping[str, Any]) -> Database:
    plain = {name: value if isinstance(value, dict) else {} for name, value in row.items() if name in _OBJECTS}
    return Database(**{**row, **plain, "ssl_enabled": bool(row["ssl_enabled"])})


_OBJECTS: Final = ("config", "metadata")


def _status(status: str) -> str:
    if status not in STATUSES:
        raise NameRefused(
            f"{shown(status)} is no status", cause=f"There are: {', '.join(STATUSES)}.", remedy="Take one of them."
        )
    return status


def _metadata(before: Mapping[str, Any], change: Mapping[str, str | None]) -> dict[str, Any]:
    """Metadata is shown to everyone: what looks like a connection string with a password is not taken."""
    after = dict(before)
    for given, value in change.items():
        name = names.name(given, "metadata's name")
        if name == PLACEHOLDER:
            raise NameRefused(
                "placeholder is no metadata of yours",
                cause="It marks databases whose connection string is still to come.",
                remedy="Take another name.",
            )
        if value is None:
            after.pop(name, None)
            continue
        if _holds_a_secret(value):
            raise NameRefused(
                f"the metadata {shown(name)} looks like a connection string with a password",
                cause="Metadata is shown to everyone who sees the database.",
                remedy="Leave it out: the connection string is sealed where it belongs.",
            )
        after[name] = names.name(value, "metadata's value")
    if change and len(after) - (PLACEHOLDER in after) > MOST_METADATA:
        raise NameRefused(
            f"a database may have {MOST_METADATA} entries of metadata",
            cause=f"It would have {len(after)}.",
            remedy="Remove some.",
        )
    return after


def _holds_a_secret(text: str) -> bool:
    scheme, separator, rest = text.partition("://")
    return bool(separator and scheme and "@" in rest and ":" in rest.rpartition("@")[0])


def _taken(work: Acting, name: str, project: str) -> Taken:
    return Taken(
        f"the project {project} has a database {shown(name)} already",
        cause="Names are unique within a project, so that a program knows which one it gets.",
        remedy="Take another name, or change the one that is there.",
        commands=(f"lancio db show {_quoted(name)} --project {project} --org {work.slug}",),
    )


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _quoted(name: str) -> str:
    import shlex

    return shlex.quote(shown(name))
