"""What is around the catalog, as plain facts: rights, sizes, who holds what, settings, the server, services, backups.

`Asked` is what a plan needs to know; `Surroundings` is what the world answered. The executor asks, `preflight` judges.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from lancio.planner.features import Feature
    from lancio.planner.model import Place, Service


class Right(NamedTuple):
    """A right that a step needs. `name` is SQL text for people; `schema`, `bare` and `args` are how catalogs have it.

    `right` is PostgreSQL's word, or OWNER, DROP (owner of it or of its schema), NO RLS (no row level security holds).
    """

    kind: str  # relation, schema, database, routine, type, role, language, setting, extension
    name: str
    right: str
    schema: str = ""
    bare: str = ""
    args: str = ""


class Rewrite(NamedTuple):
    """A relation that a statement writes anew as a whole."""

    relation: str
    because: str
    at: Place
    calls: tuple[str, ...] = ()  # only if one of these functions is volatile


class NewIndex(NamedTuple):
    """An index that a statement builds over a relation that is there already."""

    relation: str
    name: str
    columns: tuple[str, ...]
    at: Place


class Extension(NamedTuple):
    """An extension that a statement makes or brings to a version; "" where that is the newest."""

    name: str
    version: str
    schema: str
    cascade: bool
    update: bool
    at: Place


@dataclass(frozen=True, slots=True)
class Asked:
    """What the steps of a plan need of their surroundings, each with the place that needs it."""

    rights: dict[Right, tuple[Place, str]] = field(default_factory=dict)  # and what needs it, as people say it
    attributes: dict[str, tuple[Place, str]] = field(default_factory=dict)  # superuser, createrole
    features: tuple[tuple[Feature, Place], ...] = ()
    extensions: tuple[Extension, ...] = ()
    settings: dict[str, Place] = field(default_factory=dict)  # custom ones that are read and never set before
    rewrites: tuple[tuple[int, Rewrite], ...] = ()  # by the step's position
    indexes: tuple[tuple[int, NewIndex], ...] = ()
    locks: dict[str, tuple[str, Place]] = field(default_factory=dict)  # the strongest on each relation: mode, place
    services: tuple[tuple[Service, Place], ...] = ()
    bare: Place | None = None  # the first that makes something without saying in which schema
    waits: Place | None = None  # the first that waits for every older transaction: CONCURRENTLY
    by_row: frozenset[str] = frozenset()  # of the settings, those read once a row: without rows not at all
    conditional: frozenset[Right] = frozenset()  # of the rights, those needed only if an unknown condition holds

    @property
    def relations(self) -> list[str]:
        """Every relation whose size matters."""
        known = (
            *self.locks,
            *(each.relation for _, each in self.rewrites),
            *(each.relation for _, each in self.indexes),
        )
        return sorted(set(known))

    @property
    def calls(self) -> list[str]:
        """Every function whose volatility matters, by its bare name."""
        return sorted({name for _, each in self.rewrites for name in each.calls})


class Held(NamedTuple):
    """Whether this role has a right (None: what it is on is not there), and who can give it."""

    held: bool | None
    owner: str = ""


class Table(NamedTuple):
    """The size of a relation in bytes with its indexes and TOAST, its rows by statistics (None: never counted)."""

    bytes: int
    rows: float | None
    widths: dict[str, float]  # of its columns, in bytes, as far as statistics say
    tablespace: str = ""  # "" is the database's own


class Backend(NamedTuple):
    """A session of somebody else; never what it runs, which may hold a secret. What is not shown to us is ""."""

    pid: int  # 0: a prepared transaction
    user: str
    application: str
    state: str
    age_s: float  # of its transaction
    prepared: str = ""  # the name of a prepared transaction
    wraparound: bool = False  # an autovacuum that does not give way

    def __str__(self) -> str:
        if self.prepared:
            return f"prepared transaction {self.prepared!r}, owner {self.user}"
        if self.wraparound:
            return f"autovacuum to prevent wraparound, pid {self.pid}"
        parts = (f"pid {self.pid}", f"user {self.user}" if self.user else "", self.application, self.state)
        return ", ".join(part for part in parts if part)


class Holder(NamedTuple):
    """A lock that a backend holds on a relation."""

    relation: str
    mode: str  # SHARE ROW EXCLUSIVE
    by: Backend


class Setting(NamedTuple):
    """A setting of the session and where it comes from: `role`, `database`, `configuration file`, `default` …"""

    value: str
    source: str


class Available(NamedTuple):
    """An extension as this server has it."""

    versions: tuple[str, ...]
    default: str
    installed: str
    schema: str  # that it is installed in
    requires: dict[str, tuple[str, ...]]  # of each version
    superuser: bool = True
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """The connection itself."""

    pings_ms: tuple[float, ...]
    told_pid: int  # by the protocol
    server_pid: int  # by the server
    local: bool  # by a socket or the loopback
    tls: bool = False
    proved: bool = False  # through a pooler that keeps one server process for it


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a service outside answered: `layer` is where it ended, `code` a word of a closed list."""

    layer: str  # variable, address, dns, tcp, tls, hello
    code: str
    says: str  # without any part of a credential
    where: str = ""  # host:port
    took_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that is known."""

    at: datetime
    where: str
    who: str
    age_s: float


@dataclass(frozen=True, slots=True)
class Rows:
    """Tables of users that hold rows; `unsure` are those where it could not be asked, or not in time."""

    tables: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()
    more: int = 0  # further tables with pages that were not looked at


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the world answered."""

    version: int
    version_text: str
    user: str
    superuser: bool
    createrole: bool
    rights: dict[Right, Held]
    extensions: dict[str, Available]
    settings: dict[str, Setting]
    custom: dict[str, bool]  # whether a custom setting has a value here
    tables: dict[str, Table]
    holders: tuple[Holder, ...]
    oldest: Backend | None  # the oldest transaction of somebody else in this database
    volatile: frozenset[str]
    free_bytes: int | None  # on the disk of the data folder; None where that is not known from here
    why_unknown: str
    line: Line
    services: dict[str, Outcome]  # by `key`
    rows: Rows
    backup: Backup | None
    standby: bool = False
    creates_in: str | None = None  # the schema in which a name without one is made


def key(service: Service) -> str:
    """What a service's outcome is kept under."""
    return f"{service.name} {service.variable}"
