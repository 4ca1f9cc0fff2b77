"""Which rows will a table hold when a statement is reached? Said as a query over the rows that are there now."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from lancio.planner.pieces import Unsaid
from lancio.planner.rows import identifier

ONLY = "\x01"
"""Stands in a query where ONLY goes if the rows of a table itself are meant, without those of its children."""

KEY = '"lancio:key"'
"""The column by which a row is named to people: its primary key as it is now, or NULL."""

_SHOWN = frozenset((
    "smallint", "integer", "bigint", "uuid", "date", "oid", "timestamp without time zone", "timestamp with time zone",
))  # fmt: skip
"""Types of primary keys whose values may be shown: a text may be a secret, or a person's name."""

Called = tuple[str, str]
"""Schema and name of a relation, a type or a routine."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its type and its default as SQL text."""

    name: str
    type: str
    not_null: bool = False
    default: str = ""
    made: bool = False
    """Whether PostgreSQL makes its values: an identity, a generated column, a sequence."""
    domain: Called | None = None
    computed: bool = False
    """Whether it is a generated column."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """A constraint of a live table, as pg_get_constraintdef() gives it."""

    name: str
    kind: str  # contype: c, f, n, p, u, x
    definition: str
    validated: bool
    references: Called | None = None
    columns: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    """Of a foreign key, its own columns and those that it points to."""
    delete: str = "a"
    update: str = "a"
    """What it does when a row that it points to goes or changes: pg_constraint's a, r, c, n, d."""


@dataclass(frozen=True, slots=True)
class Index:
    """A unique index over columns, without a condition."""

    name: str
    columns: tuple[str, ...]
    primary: bool = False
    nulls_distinct: bool = True


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger of a live table: pg_trigger's bits (1 for each row, 2 before, 4 insert, 8 delete, 16 update)."""

    name: str
    bits: int
    routine: Called


@dataclass(frozen=True, slots=True)
class Table:
    """A live table."""

    schema: str
    name: str
    kind: str  # relkind
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    indexes: tuple[Index, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    relatives: tuple[Called, ...] = ()
    """Its parents and children, whose rows are its own too."""
    parted: bool = False  # whether it has children
    ruled: bool = False
    partition_key: str = ""  # pg_get_partkeydef()


@dataclass(frozen=True, slots=True)
class Facts:
    """What a live database says about the tables that a plan names."""

    tables: tuple[Table, ...]
    others: frozenset[Called] = frozenset()
    """Views and foreign tables; a materialized view is a table."""
    domains: tuple[tuple[Called, Constraint], ...] = ()
    """Constraints of domains."""
    version: int = 180000


@dataclass
class Cascade:
    """A foreign key that changes its own rows when those it points to go or change."""

    name: str
    parent: Rows
    child: Rows
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    delete: str
    update: str


@dataclass
class Kept:
    """A constraint that a later VALIDATE may ask for: its own table's text, and how its columns are called by now."""

    sql: str  # ALTER TABLE … ADD CONSTRAINT …
    owner: Rows
    path: tuple[str, ...]
    parent: Rows | None = None
    names: dict[str, str] = field(default_factory=dict)  # as in the text: as they are called now
    parent_names: dict[str, str] = field(default_factory=dict)


@dataclass
class Rows:
    """The rows of one table at one place of the plan.

    `query` is a SELECT of ctid, tableoid, KEY and every column, or "" where the rows are those that are there now.
    `unknown` says why nothing is known of them, `more` why there may be others besides, and `vague` why the values of
    a column are not known.
    """

    table: Table  # as it is now; of a table that the plan makes, without a key
    schema: str
    name: str
    columns: dict[str, Column]
    there: bool = True  # whether the table is there now
    query: str = ""
    unknown: str = ""
    more: str = ""
    vague: dict[str, str] = field(default_factory=dict)
    guesses: tuple[str, ...] = ()  # queries that give a row where the rows depend on what PostgreSQL happens to take
    added: bool = False  # whether it holds rows that are not there now
    simple: bool = True  # whether each row of the query is one of the table's own, in their order
    constraints: dict[str, Kept] = field(default_factory=dict)
    indexes: dict[str, Index] = field(default_factory=dict)
    triggers: dict[str, Trigger] = field(default_factory=dict)

    @property
    def said(self) -> str:
        """Its name as SQL text."""
        return f"{identifier(self.schema)}.{identifier(self.name)}"

    @property
    def touched(self) -> bool:
        """Whether the rows, or what they are called, differ from those that are there now."""
        return bool(self.query) or not self.there

    @property
    def nothing(self) -> bool:
        """Whether it is certain that there is no row."""
        return not self.there and not self.query and not self.unknown and not self.more

    @property
    def key(self) -> tuple[str, ...]:
        """The primary key's columns now, where their values may be shown."""
        types = {column.name: column.type for column in self.table.columns}
        shown = all(re.sub(r"\(\d+\)", "", types.get(name, "")) in _SHOWN for name in self.table.key)
        return self.table.key if shown else ()

    def key_of(self, alias: str) -> str:
        """The expression that names a row, for rows that are read under an alias."""
        if self.touched:
            return f"{alias}.{KEY}"
        return self._own_key(alias)

    def _own_key(self, alias: str) -> str:
        if not self.there or not self.key:
            return "NULL::text"
        if len(self.key) == 1:
            return f"{alias}.{identifier(self.key[0])}"
        return f"ARRAY[{', '.join(f'{alias}.{identifier(name)}::text' for name in self.key)}]"

    @property
    def key_type(self) -> str:
        """The type of what names a row."""
        if not self.there or not self.key:
            return "text"
        types = {column.name: column.type for column in self.table.columns}
        return types[self.key[0]] if len(self.key) == 1 else "text[]"

    def source(self, alias: str, *, only: bool = False) -> str:
        """What stands in FROM to read the rows under an alias."""
        only = only and self.table.kind == "r"
        if not self.touched:
            return f"{'ONLY ' if only and self.table.parted else ''}{self.said} AS {alias}"
        return f"({self.rows()}) AS {alias}".replace(ONLY, "ONLY " if only and self.table.parted else "")

    def rows(self) -> str:
        """The query of its rows, with ONLY's mark in it."""
        if self.query:
            return self.query
        live = f"{identifier(self.table.schema)}.{identifier(self.table.name)}"
        if not self.there:
            nulls = [f"NULL::{column.type} AS {identifier(name)}" for name, column in self.columns.items()]
            inside = ", ".join(("NULL::tid AS ctid", "NULL::oid AS tableoid", f"NULL::text AS {KEY}", *nulls))
            return f"SELECT {inside} WHERE false"
        inside = ", ".join(("t.ctid", "t.tableoid", f"{self._own_key('t')} AS {KEY}",
                            *(f"t.{identifier(name)}" for name in self.columns)))  # fmt: skip
        return f"SELECT {inside} FROM {ONLY}{live} AS t"

    def _outputs(self, alias: str, columns: dict[str, str]) -> str:
        head = (f"{alias}.ctid", f"{alias}.tableoid", f"{alias}.{KEY}")
        named = (
            said if said == f"{alias}.{identifier(name)}" else f"{said} AS {identifier(name)}"
            for name, said in columns.items()
        )
        return ", ".join((*head, *named))

    def _through(self, alias: str) -> dict[str, str]:
        return {name: f"{alias}.{identifier(name)}" for name in self.columns}

    # What statements do to them.

    def blur(self, reason: str) -> None:
        """From here on nothing is known of the rows."""
        self.unknown = self.unknown or reason

    def rename_column(self, old: str, new: str) -> None:
        """A column is called otherwise from here on."""
        if old not in self.columns or new in self.columns:
            raise Unsaid("it renames a column that is not known")
        outputs = {(new if name == old else name): said for name, said in self._through("t").items()}
        self.query = f"SELECT {self._outputs('t', outputs)} FROM ({self.rows()}) AS t"
        self.columns = {
            (new if name == old else name): replace(column, name=new) if name == old else column
            for name, column in self.columns.items()
        }
        if old in self.vague:
            self.vague[new] = self.vague.pop(old)
        for key, index in list(self.indexes.items()):
            if old in index.columns:
                columns = tuple(new if name == old else name for name in index.columns)
                self.indexes[key] = replace(index, columns=columns)

    def add_column(self, column: Column, value: str) -> None:
        """A column more, whose value in every row is an expression over the others."""
        if column.name in self.columns:
            raise Unsaid("it adds a column that is there")
        alias = identifier(self.name)
        outputs = self._through(alias) | {column.name: value}
        if not self.nothing:
            self.query = f"SELECT {self._outputs(alias, outputs)} FROM ({self.rows()}) AS {alias}"
        self.columns[column.name] = column

    def drop_column(self, name: str) -> None:
        """A column less."""
        self.columns.pop(name, None)
        self.vague.pop(name, None)
        self.indexes = {key: each for key, each in self.indexes.items() if name not in each.columns}
        if not self.nothing:
            self.query = f"SELECT {self._outputs('t', self._through('t'))} FROM ({self.rows()}) AS t"

    def retype(self, name: str, column: Column, value: str) -> None:
        """Another type for a column, with an expression for its values."""
        alias = identifier(self.name)
        if not self.nothing:
            outputs = self._through(alias) | {name: value}
            self.query = f"SELECT {self._outputs(alias, outputs)} FROM ({self.rows()}) AS {alias}"
        self.columns[name] = column

    def update(self, alias: str, values: dict[str, str], where: str, prefix: str = "") -> None:
        """UPDATE without FROM."""
        inner = f"({self.rows()}) AS {alias}"
        if where:
            outputs = self._outputs(alias, self._through(alias))
            inner = f'(SELECT {outputs}, ({where}) IS TRUE AS "lancio:hit" FROM {inner}) AS {alias}'
        self._set(alias, values, f"{alias}.{HIT}" if where else "", inner, prefix)

    def update_from(self, alias: str, values: dict[str, str], sources: str, where: str, prefix: str = "") -> None:
        """UPDATE with FROM; of several rows that match one PostgreSQL takes any, and then nobody knows which."""
        if self.added:
            raise Unsaid("it updates rows that earlier statements of the plan insert")
        joined = f'(SELECT true AS "lancio:hit") AS "lancio:from" CROSS JOIN {sources}'
        inner = f"({self.rows()}) AS {alias} LEFT JOIN ({joined}) ON ({where or 'true'})"
        one = (
            f"{prefix}SELECT 1 FROM ({self.rows()}) AS {alias} CROSS JOIN {sources}{f' WHERE {where}' if where else ''}"
        )
        several = f"{one} GROUP BY {alias}.tableoid, {alias}.ctid HAVING count(*) > 1 LIMIT 1"
        self.guesses = (*self.guesses, several.replace(ONLY, ""))
        distinct = f"DISTINCT ON ({alias}.tableoid, {alias}.ctid) "
        self._set(alias, values, f'"lancio:from".{HIT}', inner, prefix, distinct)
        self.simple = False

    def _set(self, alias: str, values: dict[str, str], hit: str, inner: str, prefix: str, distinct: str = "") -> None:
        outputs = self._through(alias)
        for name, value in values.items():
            new = f"({value})::{self.columns[name].type}"
            outputs[name] = f"CASE WHEN {hit} THEN {new} ELSE {outputs[name]} END" if hit else new
        self.query = f"{prefix}SELECT {distinct}{self._outputs(alias, outputs)} FROM {inner}"

    def delete(self, alias: str, where: str, prefix: str = "") -> None:
        """DELETE: the rows that stay are those of which the condition does not hold."""
        kept = f"({where}) IS NOT TRUE" if where else "false"
        self._filter(alias, kept, prefix)

    def delete_using(self, alias: str, sources: str, where: str, prefix: str = "") -> None:
        """DELETE with USING."""
        self._filter(alias, f"NOT EXISTS (SELECT FROM {sources} WHERE {where or 'true'})", prefix)

    def _filter(self, alias: str, kept: str, prefix: str) -> None:
        outputs = self._outputs(alias, self._through(alias))
        self.query = f"{prefix}SELECT {outputs} FROM ({self.rows()}) AS {alias} WHERE {kept}"

    def insert(self, query: str, given: tuple[str, ...], defaults: dict[str, str]) -> None:
        """INSERT of the rows of a query, whose columns are those given; the others have these defaults."""
        names = ", ".join(identifier(name) for name in given)
        outputs = []
        for name, column in self.columns.items():
            value = f"v.{identifier(name)}" if name in given else defaults[name]
            outputs.append(f"({value})::{column.type} AS {identifier(name)}")
        head = ("NULL::tid AS ctid", "NULL::oid AS tableoid", f"NULL::{self.key_type} AS {KEY}")
        new = f"SELECT {', '.join((*head, *outputs))} FROM ({query}) AS v ({names})"
        self.query = new if self.nothing else f"{self.rows()} UNION ALL {new}"
        self.added, self.simple = True, False

    def empty(self) -> None:
        """TRUNCATE."""
        self.query = f"SELECT {self._outputs('t', self._through('t'))} FROM ({self.rows()}) AS t WHERE false"
        self.unknown = self.more = ""
        self.vague, self.guesses = {}, ()


HIT = '"lancio:hit"'


def of(table: Table) -> Rows:
    """The rows of a live table, as they are."""
    return Rows(
        table,
        table.schema,
        table.name,
        {column.name: column for column in table.columns},
        indexes={index.name: index for index in table.indexes},
        triggers={trigger.name: trigger for trigger in table.triggers},
    )
