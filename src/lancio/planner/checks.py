"""How does one see that a step did what it should? One SELECT for each kind of thing that it makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lancio.planner.model import Check
from lancio.planner.rows import literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lancio.catalog.model import Object

_QUERIES = {
    "schema": "SELECT 1 FROM pg_namespace WHERE nspname = w.n",
    "extension": "SELECT 1 FROM pg_extension WHERE extname = w.n",
    "role": "SELECT 1 FROM pg_roles WHERE rolname = w.n",
    "relation": "SELECT 1 FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace "
    "LEFT JOIN pg_index i ON i.indexrelid = c.oid "
    "WHERE s.nspname = w.s AND c.relname = w.n AND i.indisvalid IS DISTINCT FROM false",
    "column": "SELECT 1 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
    "JOIN pg_namespace s ON s.oid = c.relnamespace "
    "WHERE s.nspname = w.s AND c.relname = w.o AND a.attname = w.n AND NOT a.attisdropped",
    "routine": "SELECT 1 FROM pg_proc p JOIN pg_namespace s ON s.oid = p.pronamespace "
    "WHERE s.nspname = w.s AND p.proname = w.n AND p.pronargs = w.o::int",
    "type": "SELECT 1 FROM pg_type t JOIN pg_namespace s ON s.oid = t.typnamespace "
    "WHERE s.nspname = w.s AND t.typname = w.n",
    "trigger": "SELECT 1 FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
    "JOIN pg_namespace s ON s.oid = c.relnamespace WHERE s.nspname = w.s AND c.relname = w.o AND t.tgname = w.n",
    "policy": "SELECT 1 FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid "
    "JOIN pg_namespace s ON s.oid = c.relnamespace WHERE s.nspname = w.s AND c.relname = w.o AND p.polname = w.n",
    "constraint": "SELECT 1 FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid "
    "JOIN pg_namespace s ON s.oid = c.relnamespace WHERE s.nspname = w.s AND c.relname = w.o AND k.conname = w.n",
    "rls": "SELECT 1 FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace "
    "WHERE s.nspname = w.s AND c.relname = w.n AND c.relrowsecurity",
}
"""For each kind, the rows of a catalog that show one wanted object: schema w.s, name w.n, relation or arguments w.o."""

_PLURALS = {
    "schema": "schemas", "extension": "extensions", "role": "roles", "relation": "relations (indexes valid)",
    "column": "columns", "routine": "functions", "type": "types", "trigger": "triggers", "policy": "policies",
    "constraint": "constraints", "rls": "tables have row level security",
}  # fmt: skip


def created(objects: Iterable[Object], rls: Iterable[Object]) -> tuple[Check, ...]:
    """A check for each kind of object that a step makes, and one for the tables it enables row level security on."""
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for each in objects:
        name = each.name
        if name.kind in _QUERIES and not each.extension:
            other = str(len(name.args.split(", ")) if name.args else 0) if name.kind == "routine" else name.of
            groups.setdefault(name.kind, []).append((name.schema, name.name, other))
    for each in rls:
        groups.setdefault("rls", []).append((each.name.schema, each.name.name, ""))
    found = []
    for kind in _QUERIES:
        wanted = sorted(set(groups.get(kind, ())))
        if wanted:
            rows = ", ".join("(" + ", ".join(literal(part) for part in row) + ")" for row in wanted)
            sql = f"SELECT NOT EXISTS (SELECT FROM (VALUES {rows}) AS w(s, n, o) WHERE NOT EXISTS ({_QUERIES[kind]}))"
            says = f"{len(wanted)} {_PLURALS[kind]}" + ("" if kind == "rls" else " made are there")
            found.append(Check(says, sql, once=False, declared=False))
    return tuple(found)
