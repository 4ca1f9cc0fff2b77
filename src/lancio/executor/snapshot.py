"""What does a live database hold, as the planner's catalog value?"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from lancio.catalog.model import BEFORE, Catalog, Live, Name, Object
from lancio.postgres import named_queries
from lancio.reading.model import Column, Detail, Ref

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lancio.planner.model import Graph
    from lancio.reading.model import Kind

_RELATIONS = {
    "r": "table", "p": "partitioned table", "v": "view", "m": "materialized view", "f": "foreign table",
    "S": "sequence", "c": "composite type", "i": "index", "I": "index",
}  # fmt: skip
_CONSTRAINTS = {"p": "primary key", "u": "unique", "f": "foreign key", "c": "check", "x": "exclude", "t": "trigger"}
_EVENTS = ((4, "insert"), (8, "delete"), (16, "update"), (32, "truncate"))
_TYPES = {"d": "domain"}

Rows = list[dict[str, Any]]


@contextmanager
def moment(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """A read-only transaction in which all is read as of one moment.

    Beside a run at work the catalog and the ledger would otherwise be of different ones, and a step that was committed
    in between look like one that is recorded and gone, or there and not recorded.
    """
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def take(connection: psycopg.Connection[Any], graph: Graph) -> Live:
    """Read the whole catalog in one read-only snapshot, that of `moment` in one, and ask the probes of the graph's
    requirements.

    Nothing is changed and nothing is locked beyond ACCESS SHARE. A probe that fails (its table is not there) is
    answered None.
    """
    queries = named_queries("lancio.executor", "snapshot.sql")
    idle = connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    with (
        (moment if idle else psycopg.Connection.transaction)(connection),
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        cursor.execute("SET LOCAL statement_timeout = '60s'")
        cursor.execute("SET LOCAL row_security = off")  # a filtered answer would be an error, never a fact
        (server,) = cursor.execute(queries["server"].encode()).fetchall()
        installable: Rows | None
        try:
            with connection.transaction():
                installable = cursor.execute(queries["installable"].encode()).fetchall()
        except psycopg.Error as error:
            if error.sqlstate is None:  # the connection, not the question
                raise
            # The server reads every control file to answer, and one that it cannot read fails the whole answer.
            installable = None
        found: dict[str, Rows] = {
            name: cursor.execute(query.encode()).fetchall()
            for name, query in queries.items()
            if name not in ("server", "installable")
        }
        cursor.execute("SET LOCAL lock_timeout = '1s'")  # of a table that somebody has locked nothing is known
        probes = dict.fromkeys(
            probe
            for facts in graph.files
            for probe in (*(each.probe for each in facts.requires), *facts.questions)
            if probe
        )
        answers = {probe: _ask(connection, probe) for probe in probes}
    return Live(
        catalog=_catalog(server, found),
        answers=answers,
        version=server["version"],
        user=server["user"],
        database=server["database"],
        superuser=server["superuser"],
        can_create=server["can_create"],
        read_only=server["standby"] or server["read_only"],
        bypass_rls=server["bypass_rls"] or server["superuser"],
        extensions=None if installable is None else tuple(row["name"] for row in installable),
        trusted=tuple(row["name"] for row in installable or () if row["trusted"]),
    )


def _ask(connection: psycopg.Connection[Any], probe: str) -> bool | None:
    try:
        # With a parameter the protocol takes one statement only, whatever a directive says.
        with connection.transaction(), psycopg.RawCursor(connection) as cursor:
            row = cursor.execute(f"SELECT ({probe}) WHERE $1 = ''".encode(), ("",)).fetchone()
    except psycopg.Error as error:
        if error.sqlstate is None:  # the connection, not the question
            raise
        return None
    return bool(row and row[0])


def _catalog(server: Mapping[str, Any], found: Mapping[str, Rows]) -> Catalog:
    catalog = Catalog()
    catalog.live = True
    catalog.path = tuple(server["path"]) or ("public",)
    for kind, group, column in (
        ("schema", "schemas", "nspname"),
        ("extension", "extensions", "extname"),
        ("role", "roles", "rolname"),
    ):
        for row in found[group]:
            made = catalog.add(Name(kind, "", row[column]), kind, BEFORE)  # type: ignore[arg-type]
            if not row.get("may_create", True):
                made.facts["create"] = "no"
    for row in found["relations"]:
        table = catalog.find(Name("relation", row["schema"], row["of"])) if row["of"] else None
        relation = catalog.add(Name("relation", row["schema"], row["name"]), _RELATIONS[row["kind"]], BEFORE, table)
        relation.extension = row["extension"] or ""
        relation.facts["owner"] = "yes" if row["owned"] else "no"
        if row["unique"] is not None:
            relation.detail = Detail(
                label="index",
                columns_of=tuple(row["columns"]),
                unique=row["unique"],
                keys=tuple(row["columns"]) if row["unique"] and row["plain"] else (),
                partial=row["partial"],
            )
        if row["valid"] is False:
            relation.facts["valid"] = "no"
        relation.facts["rls"] = "on" if row["rls"] else "off"
        relation.facts["plain"] = "yes" if row["plain"] and not row["included"] else "no"
    for row in found["types"]:
        kind = _TYPES.get(row["kind"], "type")
        type_ = catalog.add(Name("type", row["schema"], row["name"]), kind, BEFORE)
        type_.extension = row["extension"] or ""
        if row["kind"] == "e":
            type_.detail = Detail(label="type", contype="enum")
        for label in row["labels"]:
            catalog.add(Name("label", row["schema"], label, row["name"]), "label", BEFORE, type_)
    for row in found["columns"]:
        _part(catalog, "column", "column", row, Detail(label="column", columns=(_column(row),)))
    for row in found["routines"]:
        routine = catalog.add(Name("routine", row["schema"], row["name"], "", row["args"]), "function", BEFORE)
        routine.detail = Detail(
            label="function",
            defaults=row["defaults"],
            variadic=row["variadic"],
            result=row["result"],
            columns_of=tuple(row["names"]),
        )
        routine.extension = row["extension"] or ""
        if row["definition"]:
            routine.facts["definition"] = row["definition"]
        if row["source"]:
            routine.facts["source"] = row["source"]
    for row in found["constraints"]:
        label = _CONSTRAINTS.get(row["kind"], "constraint")
        constraint = _part(catalog, "constraint", label, row, Detail(columns_of=tuple(row["columns"])))
        if constraint is not None and row["target"]:
            constraint.facts["references"] = row["target"]
    for row in found["triggers"]:
        executes = Ref("routine", row["routine"], row["routine_schema"], (), 0)
        events = tuple(word for bit, word in _EVENTS if row["type"] & bit)
        each_row = bool(row["type"] & 1)
        _part(catalog, "trigger", "trigger", row, Detail("trigger", routine=executes, events=events, each_row=each_row))
        if row["empty"] and (table := catalog.find(Name("relation", row["schema"], row["relation"]))):
            table.facts["empty"] = "yes"
    for kind, group in (("policy", "policies"), ("rule", "rules")):
        for row in found[group]:
            does = Detail(events=(row["command"],) if kind == "policy" else ())
            _part(catalog, kind, kind, row, does)  # type: ignore[arg-type]
    _others(catalog, found["others"])
    for row in found["dependents"]:
        stands = catalog.find(_dependent(row))
        on = catalog.find(_stood_on(row))
        if stands is not None and on is not None and stands is not on:
            catalog.stands(stands.id, on)
    return catalog


def _column(row: Mapping[str, Any]) -> Column:
    return Column(row["name"], type_name=row["type"], not_null=row["not_null"], default=row["has_default"])


def _part(catalog: Catalog, kind: Kind, label: str, row: Mapping[str, Any], detail: Detail) -> Object | None:
    owner = catalog.find(Name("relation", row["schema"], row["relation"]))
    if owner is None:
        return None
    return catalog.add(Name(kind, row["schema"], row["name"], row["relation"]), label, BEFORE, owner, detail)


def _dependent(row: Mapping[str, Any]) -> Name:
    of = "" if row["kind"] == "relation" else row["relation"]
    return Name(row["kind"], row["schema"], row["name"], of)


def _stood_on(row: Mapping[str, Any]) -> Name:
    if row["on_kind"] == "column":
        return Name("column", row["on_schema"], row["on_column"], row["on_name"])
    return Name(row["on_kind"], row["on_schema"], row["on_name"], "", row["on_args"] or "")


def _others(catalog: Catalog, rows: Iterable[Mapping[str, Any]]) -> None:
    for row in rows:
        name = Name(row["kind"], row["schema"], row["name"])
        if catalog.find(name) is None:
            catalog.add(name, row["kind"], BEFORE)
