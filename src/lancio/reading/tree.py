"""Small questions to a syntax tree: names, types, constants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lancio.reading.model import Ref

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lancio.reading.model import Kind
    from lancio.syntax.parser import Tree


def unwrap(node: Tree | None) -> tuple[str, Tree]:
    """The name and the fields of a node; ("", {}) for none."""
    if not node:
        return "", {}
    ((name, fields),) = node.items()
    return name, fields


def text_of(node: Tree) -> str:
    """The characters of a String node."""
    value: str = node.get("String", {}).get("sval", "")
    return value


def strings(nodes: Iterable[Tree] | None) -> tuple[str, ...]:
    """The characters of a list of String nodes."""
    return tuple([node["String"].get("sval", "") if "String" in node else "" for node in nodes]) if nodes else ()


def last(nodes: Iterable[Tree] | None) -> str:
    """The last part of a dotted name; "" for none."""
    parts = strings(nodes)
    return parts[-1] if parts else ""


def items(node: Tree | None) -> list[Tree]:
    """The nodes of a List."""
    found: list[Tree] = (node or {}).get("List", {}).get("items", [])
    return found


def qualified(parts: tuple[str, ...]) -> tuple[str | None, str]:
    """Schema and name from a dotted name; a leading database name is dropped, as PostgreSQL allows none but its own."""
    return (parts[-2] if len(parts) > 1 else None), (parts[-1] if parts else "")


def relation(range_var: Tree) -> Ref:
    """The relation that a RangeVar names."""
    if range_var.get("relpersistence") == "t" and not range_var.get("schemaname"):
        return Ref("relation", range_var.get("relname", ""), "pg_temp")
    return Ref("relation", range_var.get("relname", ""), range_var.get("schemaname"))


def any_name(kind: Kind, parts: tuple[str, ...]) -> Ref:
    """The object of `kind` that a dotted name stands for."""
    schema, name = qualified(parts)
    return Ref(kind, name, schema)


WORDS = {
    "int4": "integer", "int8": "bigint", "int2": "smallint", "bool": "boolean", "varchar": "character varying",
    "bpchar": "character", "float8": "double precision", "float4": "real", "timestamptz": "timestamp with time zone",
    "timestamp": "timestamp without time zone", "timetz": "time with time zone", "time": "time without time zone",
    "varbit": "bit varying", "int": "integer", "decimal": "numeric", "serial": "integer", "serial4": "integer",
    "bigserial": "bigint", "serial8": "bigint", "smallserial": "smallint", "serial2": "smallint",
}  # fmt: skip
"""Names in pg_type, and the words that format_type() gives for them."""

SERIAL = frozenset(("serial", "serial4", "bigserial", "serial8", "smallserial", "serial2"))


def type_ref(type_name: Tree) -> Ref:
    """The type that a TypeName names; of an array its element; of `t.c%TYPE` the relation."""
    parts = strings(type_name.get("names"))
    if type_name.get("pct_type"):
        schema, name = qualified(parts[:-1])
        return Ref("column", parts[-1], None, of=(Ref("relation", name, schema),))
    schema, name = qualified(parts)
    return Ref("type", name, schema)


def type_text(type_name: Tree) -> str:
    """The type as format_type() writes it, without a length or precision: how routines are told apart."""
    parts = strings(type_name.get("names"))
    if not parts:
        return ""
    schema, name = qualified(parts)
    array = "[]" if type_name.get("arrayBounds") else ""
    if schema in (None, "pg_catalog") and name in WORDS:
        return WORDS[name] + array
    if schema == "pg_catalog":
        schema = None
    return (f"{schema}.{name}" if schema else name) + array


def is_serial(type_name: Tree) -> bool:
    """Whether the column gets a sequence of its own."""
    parts = strings(type_name.get("names"))
    return len(parts) == 1 and parts[0] in SERIAL


def constant(node: Tree | None) -> str | None:
    """The text of a constant, casts taken away; None for anything else, NULL among it."""
    name, fields = unwrap(node)
    if name == "TypeCast":
        return constant(fields.get("arg"))
    if name != "A_Const" or fields.get("isnull"):
        return None
    for kind in ("sval", "fval", "bsval"):
        if kind in fields:
            value: str = fields[kind].get(kind, "")
            return value
    if "boolval" in fields:
        return "true" if fields["boolval"].get("boolval") else "false"
    if "ival" in fields:
        return str(fields["ival"].get("ival", 0))
    return None


def option(definition: Iterable[Tree] | None, name: str) -> Any:
    """The argument of a DefElem of that name, or None."""
    for element in definition or ():
        fields = element.get("DefElem", {})
        if fields.get("defname") == name:
            return fields.get("arg", True)
    return None


def location(fields: Tree) -> int:
    """Where a node stands, as a byte offset, or -1: its own place or that of the first node below that has one."""
    at: int = fields.get("location", -1)
    if at >= 0:
        return at
    if "relation" in fields:
        return int(fields["relation"].get("location", -1))
    return -1


def walk(node: Any) -> list[tuple[str, Tree]]:
    """Every node below `node`, in the order of the text."""
    found: list[tuple[str, Tree]] = []
    _walk(node, found)
    return found


def _walk(node: Any, found: list[tuple[str, Tree]]) -> None:
    if isinstance(node, dict):
        for name, value in node.items():
            if isinstance(value, dict):
                if name[:1].isupper():
                    found.append((name, value))
                _walk(value, found)
            elif isinstance(value, list):
                for each in value:
                    _walk(each, found)
    elif isinstance(node, list):
        for each in node:
            _walk(each, found)
