"""How does one see that a step did what it should? One SELECT for each kind of thing that it makes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lancio.planner.model import Check
from lancio.planner.rows import identifier, literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lancio.catalog.model import Object

_VALID = (
    "coalesce((SELECT i.indisvalid FROM pg_index i WHERE i.indexrelid = to_regclass(w.n)), "
    "to_regclass(w.n) IS NOT NULL)"
)
_COLUMNS = (
    "(SELECT count(*) FROM pg_attribute a WHERE a.attrelid = to_regclass(w.r) AND a.attname = ANY (w.n::name[]) "
    "AND NOT a.attisdropped) = cardinality(w.n::name[])"
)
_ROUTINE = (
    "EXISTS (SELECT FROM pg_proc p WHERE p.proname = w.n AND p.pronamespace = to_regnamespace(w.r) "
    "AND p.pronargs = w.a::int)"
)
_QUERIES = {
    "schema": ("to_regnamespace(w.n) IS NOT NULL", ("n",)),
    "extension": ("EXISTS (SELECT FROM pg_extension x WHERE x.extname = w.n)", ("n",)),
    "role": ("to_regrole(w.n) IS NOT NULL", ("n",)),
    "relation": (_VALID, ("n",)),
    "column": (_COLUMNS, ("r", "n")),
    "routine": (_ROUTINE, ("r", "n", "a")),
    "type": ("to_regtype(w.n) IS NOT NULL", ("n",)),
    "trigger": ("EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = to_regclass(w.r) AND t.tgname = w.n)", ("r", "n")),
    "policy": ("EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = to_regclass(w.r) AND p.polname = w.n)", ("r", "n")),
    "constraint": (
        "EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = to_regclass(w.r) AND k.conname = w.n)",
        ("r", "n"),
    ),
    "rls": ("EXISTS (SELECT FROM pg_class c WHERE c.oid = to_regclass(w.n) AND c.relrowsecurity)", ("n",)),
}
"""For each kind, what holds of one wanted object, by an index of its catalog, and the names that it takes: of the
object (n; an array of those of a relation's columns), of its relation or schema (r), the number of arguments (a). The
names of all objects come as one array, so that the text is the same for any number of them and the server plans it
once."""

_PLURALS = {
    "schema": ("schema", "schemas"), "extension": ("extension", "extensions"), "role": ("role", "roles"),
    "relation": ("relation", "relations (indexes among them valid)"), "column": ("column", "columns"),
    "routine": ("function", "functions"), "type": ("type", "types"), "trigger": ("trigger", "triggers"),
    "policy": ("policy", "policies"), "constraint": ("constraint", "constraints"),
    "rls": ("table has row level security", "tables have row level security"),
}  # fmt: skip


def created(objects: Iterable[Object], rls: Iterable[Object]) -> tuple[Check, ...]:
    """A check for each kind of object that a step makes, and one for the tables it enables row level security on."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    for each in objects:
        if each.name.kind in _QUERIES and not each.extension:
            groups.setdefault(each.name.kind, []).append(_names(each))
    for each in rls:
        groups.setdefault("rls", []).append((_full(each.name.schema, each.name.name),))
    found = []
    for kind, (holds, columns) in _QUERIES.items():
        wanted = sorted(set(groups.get(kind, ())))
        if not wanted:
            continue
        asked = _by_relation(wanted) if kind == "column" else wanted
        arrays = ", ".join(f"{literal(_array([row[at] for row in asked]))}::text[]" for at in range(len(columns)))
        sql = f"SELECT bool_and({holds}) FROM unnest({arrays}) AS w({', '.join(columns)})"
        count = f"{len(wanted)} {_PLURALS[kind][len(wanted) > 1]}"
        found.append(Check(count if kind == "rls" else f"{count} made", sql, once=False, declared=False))
    return tuple(found)


_LISTED = re.compile(
    r"SELECT bool_and\((?P<holds>.*)\) FROM (?P<wanted>unnest\(.*\) AS w\((?P<columns>[a-z, ]+)\))", re.DOTALL
)


def lacking(sql: str) -> str | None:
    """For a check that `created` made, a SELECT of one array: the names of what does not hold; None for others.

    What hangs on a table that is not there is left out: it is the table that is missing.
    """
    match = _LISTED.fullmatch(sql)
    if match is None:
        return None
    columns = match["columns"].split(", ")
    said, where = "w.n", ""
    if "r" in columns and "a" not in columns:
        said, where = "w.r || '.' || w.n", " AND to_regclass(w.r) IS NOT NULL"
    elif "a" in columns:
        said = "w.r || '.' || w.n || '()'"
    elif "relrowsecurity" in match["holds"]:
        where = " AND to_regclass(w.n) IS NOT NULL"
    holds, wanted = match["holds"], match["wanted"]
    return f"SELECT array_agg({said} ORDER BY {said}) FROM {wanted} WHERE ({holds}) IS NOT TRUE{where}"


def _names(each: Object) -> tuple[str, ...]:
    """The names of an object, in the order of its kind's query; those that reg* types read are quoted as SQL."""
    name = each.name
    if name.kind in ("relation", "type"):
        return (_full(name.schema, name.name),)
    if name.kind in ("schema", "role"):
        return (identifier(name.name),)
    if name.kind == "extension":
        return (name.name,)
    if name.kind == "routine":
        return identifier(name.schema), name.name, str(len(name.args.split(", ")) if name.args else 0)
    return _full(name.schema, name.of), name.name


def _by_relation(columns: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Each relation once, with the names of its columns as an array: it is looked up once for all of them."""
    names: dict[str, list[str]] = {}
    for relation, column in columns:
        names.setdefault(relation, []).append(column)
    return [(relation, _array(each)) for relation, each in names.items()]


def _full(schema: str, name: str) -> str:
    return f"{identifier(schema)}.{identifier(name)}" if schema else identifier(name)


def _array(names: list[str]) -> str:
    """An array's text form; plain names stand in it as they are."""
    plain = re.compile(r"[A-Za-z0-9_.]+")
    quoted = ('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in names)
    return "{" + ",".join(name if plain.fullmatch(name) and name.upper() != "NULL" else each
                          for name, each in zip(names, quoted, strict=True)) + "}"  # fmt: skip
