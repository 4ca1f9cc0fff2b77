"""What does a statement ask of the rows, and with which queries is it answered?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lancio.planner.foreseen import Foreseen
from lancio.planner.rows import identifier

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from lancio.catalog.model import Live
    from lancio.planner.contents import Facts, Rows
    from lancio.planner.model import Place

NEW_ROW = "a new row"
"""What a row is called that the plan inserts, and that has no key yet."""

SAMPLES = 3
"""So many of the rows that stand in the way are named."""


@dataclass(frozen=True, slots=True)
class Question:
    """What one statement asks of the rows of one table.

    `find` gives the names of a few rows that stand in the way, none where none does; `count` two numbers, of all rows
    and of those in the way, and of a unique key a third, of the values that come more than once; `sample` the names of
    the first of them. `evaluate` is a query of one column, an expression over every row: where evaluating it fails,
    the statement fails. Its other columns are the rows' ctid, by which a query `… WHERE ctid > $1` can go on.
    `hand` is for a person to run. `unknown` says why there is no query; `found_may_pass` why rows that are found may
    not be in the way then, and `none_may_fail` why other rows may be there then.
    """

    at: Place
    says: str
    table: str
    sqlstate: str
    singular: str = ""
    plural: str = ""
    find: str = ""
    count: str = ""
    sample: str = ""
    evaluate: str = ""
    go_on: str = ""
    named: str = ""
    """SQL for the name of the row with a ctid ($1)."""
    key: str = "ctid"
    hand: str = ""
    path: tuple[str, ...] = ()
    unknown: str = ""
    found_may_pass: str = ""
    none_may_fail: str = ""
    errors: bool = False
    """Whether an error of the data in any of these queries is an answer: the statement will fail with it."""
    guesses: tuple[str, ...] = ()
    """Queries that give a row where the answer depends on which of several rows PostgreSQL happens to take."""
    atleast: bool = False
    """Whether `count` finds some of the rows in the way, and not always all."""


class Asking(Foreseen):
    """Writes the questions down, as they come up."""

    def __init__(self, live: Live, facts: Facts) -> None:
        super().__init__(live, facts)
        self.found: list[Question] = []
        self.doubt = ""  # why what is walked over now may not be reached

    # Questions.

    def unsaid(self, rows: Rows, says: str, sqlstate: str, reason: str) -> None:
        """A question that cannot be asked."""
        if not rows.nothing:
            self.found.append(Question(self.place, says, rows.said, sqlstate, unknown=reason))

    def question(
        self, rows: Rows, says: str, sqlstate: str, singular: str, plural: str, queries: Mapping[str, Any],
        *, errors: bool = False, parent: Rows | None = None, key: str = "", atleast: bool = False,
    ) -> None:  # fmt: skip
        """Ask it, unless there are certainly no rows to ask about."""
        if rows.nothing:
            return
        if rows.unknown:
            self.unsaid(rows, says, sqlstate, rows.unknown)
            return
        doubt = self.doubt or (parent.more if parent is not None else "")
        if parent is not None and parent.unknown:
            self.unsaid(rows, says, sqlstate, parent.unknown)
            return
        columns = rows.key
        named = key or (columns[0] if len(columns) == 1 else f"({', '.join(columns)})" if columns else "ctid")
        self.found.append(
            Question(
                self.place, says, rows.said, sqlstate, singular, plural,
                key=named, path=self.path, found_may_pass=doubt, none_may_fail=rows.more, errors=errors,
                atleast=atleast,
                guesses=(*rows.guesses, *(parent.guesses if parent is not None and parent is not rows else ())),
                **queries,
            )
        )  # fmt: skip

    def rows_break(self, rows: Rows, says: str, sqlstate: str, singular: str, plural: str, bad: str, *,
                   alias: str = "", only: bool = False, errors: bool = False, source: str = "",
                   parent: Rows | None = None) -> None:  # fmt: skip
        """Ask for the rows of which a condition holds."""
        alias = alias or identifier(rows.name)
        source = source or rows.source(alias, only=only)
        name = self.name(rows, alias)
        order = f" ORDER BY {rows.key_of(alias)}, {alias}.ctid"
        queries = {
            "find": f"SELECT {name} FROM {source} WHERE {bad} LIMIT {SAMPLES + 1}",
            "count": f"SELECT (SELECT count(*) FROM {source}), (SELECT count(*) FROM {source} WHERE {bad})",
            "sample": f"SELECT {name} FROM {source} WHERE {bad}{order} LIMIT {SAMPLES + 1}",
            "hand": f"SELECT {name} FROM {source} WHERE {bad}",
        }
        if errors and not rows.touched and rows.table.kind == "r" and not rows.table.parted:
            queries |= self._evaluation(rows, alias, source, bad)
        self.question(rows, says, sqlstate, singular, plural, queries, errors=errors, parent=parent)

    def evaluates(self, rows: Rows, says: str, value: str, *, own: bool = False) -> None:
        """Ask whether an expression can be evaluated for every row; `own`: the statement itself makes the value."""
        alias = identifier(rows.name)
        source = rows.source(alias)
        queries = {
            "evaluate": f"SELECT count({value}) FROM {source}",
            "hand": f"SELECT {self.name(rows, alias)}, {value} FROM {source}",
            "count": f"SELECT count(*), 0 FROM {source}",
        }
        if rows.simple and rows.table.kind == "r" and not rows.table.parted:
            queries |= self._evaluation(rows, alias, source, value)
        self.question(rows, says, "22000", "fails", "fail", queries, errors=own or not rows.touched)

    def _evaluation(self, rows: Rows, alias: str, source: str, value: str) -> dict[str, str]:
        """How to find the rows for which an expression fails: one by one, in the order in which they lie there."""
        return {
            "go_on": f"SELECT {alias}.ctid AS at, {value} IS NULL AS v FROM {source} WHERE {alias}.ctid > $1",
            "named": f"SELECT {self.name(rows, alias)} AS name, {alias}.ctid AS at FROM {source} "
            f"WHERE {alias}.ctid > $1 ORDER BY {alias}.ctid LIMIT 1",
        }

    def name(self, rows: Rows, alias: str) -> str:
        """How a row is named to people: its key, or the place where it lies."""
        if rows.there and len(rows.key) == 1:
            name = f"{rows.key_of(alias)}::text"
        elif rows.there and rows.key:
            name = f"'(' || array_to_string({rows.key_of(alias)}, ', ') || ')'"
        elif rows.there and (rows.table.parted or rows.table.kind == "p"):
            name = f"{alias}.tableoid::regclass || ' ' || {alias}.ctid"
        else:
            name = f"{alias}.ctid::text"
        return f"coalesce({name}, '{NEW_ROW}')" if rows.added else name

    def not_null(self, rows: Rows, column: str, says: str, *, source: str = "") -> None:
        """Ask for rows in which a column is NULL."""
        if column not in rows.columns:
            return
        if column in rows.vague:
            self.unsaid(rows, says, "23502", rows.vague[column])
            return
        alias = identifier(rows.name)
        self.rows_break(rows, says, "23502", "is NULL", "are NULL",
                        f"{alias}.{identifier(column)} IS NULL", source=source)  # fmt: skip

    def unique(
        self, rows: Rows, says: str, keys: Sequence[str], *, where: str = "", nulls_distinct: bool = True,
        used: Collection[str] = (), source: str = "", errors: bool = False,
    ) -> None:  # fmt: skip
        """Ask for values that come more than once."""
        if vague := sorted(set(used) & rows.vague.keys()):
            self.unsaid(rows, says, "23505", rows.vague[vague[0]])
            return
        alias = identifier(rows.name)
        source = source or rows.source(alias, only=True)
        names = [f'"lancio:{number}"' for number in range(len(keys))]
        columns = ", ".join(f"{key} AS {name}" for key, name in zip(keys, names, strict=True))
        head = f"{self.name(rows, alias)} AS name, {rows.key_of(alias)} AS key, {alias}.ctid AS at"
        inner = f"(SELECT {head}, {columns} FROM {source}{f' WHERE {where}' if where else ''}) AS k"
        present = " AND ".join(f"{name} IS NOT NULL" for name in names)
        filtered = f" WHERE {present}" if nulls_distinct else ""
        group = ", ".join(names)
        doubles = f"SELECT count(*) AS n FROM {inner}{filtered} GROUP BY {group} HAVING count(*) > 1"
        each = f"SELECT name, key, at, count(*) OVER (PARTITION BY {group}) AS n FROM {inner}{filtered}"
        queries = {
            "find": f"SELECT ''::text FROM ({doubles} LIMIT 1) AS d",
            "count": f"SELECT (SELECT count(*) FROM {source}), coalesce(sum(d.n), 0)::bigint, count(*) "
            f"FROM ({doubles}) AS d",
            "sample": f"SELECT name FROM ({each}) AS d WHERE n > 1 ORDER BY key, at LIMIT {SAMPLES + 1}",
            "hand": f"SELECT name FROM ({each}) AS d WHERE n > 1",
        }
        self.question(rows, says, "23505", "", "", queries, errors=errors)


def short(rows: Rows) -> str:
    """A table as people say it."""
    return rows.name if rows.schema == "public" else f"{rows.schema}.{rows.name}"
