"""What do the statements about everything but tables and routines make, change, drop and need?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lancio.reading import queries, tree
from lancio.reading.model import Column, Detail, Ref
from lancio.reading.queries import Scope, Source
from lancio.reading.relations import role

if TYPE_CHECKING:
    from lancio.reading.model import Kind, Verb
    from lancio.reading.reader import Reader
    from lancio.syntax.parser import Tree

OPCLASS_ITEM_FUNCTION = 2
"""From parsenodes.h."""

RELATIONS = {
    "OBJECT_TABLE": "table", "OBJECT_VIEW": "view", "OBJECT_MATVIEW": "materialized view", "OBJECT_INDEX": "index",
    "OBJECT_SEQUENCE": "sequence", "OBJECT_FOREIGN_TABLE": "foreign table",
}  # fmt: skip
ROUTINES = {
    "OBJECT_FUNCTION": "function", "OBJECT_PROCEDURE": "procedure", "OBJECT_ROUTINE": "routine",
    "OBJECT_AGGREGATE": "aggregate",
}  # fmt: skip
PARTS = {
    "OBJECT_TRIGGER": "trigger", "OBJECT_POLICY": "policy", "OBJECT_RULE": "rule", "OBJECT_TABCONSTRAINT": "constraint",
}  # fmt: skip
PLAIN: dict[str, Kind] = {
    "OBJECT_SCHEMA": "schema", "OBJECT_EXTENSION": "extension", "OBJECT_LANGUAGE": "language", "OBJECT_ROLE": "role",
    "OBJECT_PUBLICATION": "publication", "OBJECT_SUBSCRIPTION": "subscription", "OBJECT_EVENT_TRIGGER": "event trigger",
    "OBJECT_FOREIGN_SERVER": "server", "OBJECT_FDW": "foreign data wrapper", "OBJECT_ACCESS_METHOD": "access method",
    "OBJECT_TABLESPACE": "tablespace",
}  # fmt: skip
NAMED: dict[str, Kind] = {
    "OBJECT_COLLATION": "collation", "OBJECT_CONVERSION": "conversion", "OBJECT_STATISTIC_EXT": "statistics",
    "OBJECT_TSPARSER": "text search", "OBJECT_TSDICTIONARY": "text search", "OBJECT_TSTEMPLATE": "text search",
    "OBJECT_TSCONFIGURATION": "text search", "OBJECT_OPCLASS": "opclass", "OBJECT_OPFAMILY": "opclass",
}  # fmt: skip


def named(objtype: str, node: Tree) -> tuple[Ref, str] | None:
    """The object that DROP, COMMENT, ALTER … OWNER and their like name, with its word; None if it is not followed."""
    kind, fields = tree.unwrap(node)
    parts = tuple(tree.text_of(each) for each in tree.items(node)) if kind == "List" else ()
    if kind == "String":
        parts = (tree.text_of(node),)
    if objtype in RELATIONS:
        ref = tree.relation(fields) if kind == "RangeVar" else tree.any_name("relation", parts)
        return ref, RELATIONS[objtype]
    if objtype == "OBJECT_COLUMN":
        schema, table = tree.qualified(parts[:-1])
        return Ref("column", parts[-1], of=(Ref("relation", table, schema),)), "column"
    if objtype in PARTS:
        schema, table = tree.qualified(parts[:-1])
        word = PARTS[objtype]
        return Ref(word, parts[-1], schema, of=(Ref("relation", table, schema),)), word  # type: ignore[arg-type]
    if objtype in ROUTINES:
        return routine(fields), ROUTINES[objtype]
    if objtype in ("OBJECT_TYPE", "OBJECT_DOMAIN"):
        names = fields.get("names") if kind == "TypeName" else [{"String": {"sval": part}} for part in parts]
        return tree.any_name("type", tree.strings(names)), "type" if objtype == "OBJECT_TYPE" else "domain"
    if objtype in PLAIN:
        name = fields.get("rolename", "") if kind == "RoleSpec" else (parts[-1] if parts else "")
        return Ref(PLAIN[objtype], name), PLAIN[objtype]
    if objtype in NAMED:
        if NAMED[objtype] == "opclass":
            parts = parts[1:]  # the access method stands first
        return tree.any_name(NAMED[objtype], parts), NAMED[objtype]
    if objtype == "OBJECT_OPERATOR":
        return tree.any_name("operator", tree.strings(fields.get("objname"))), "operator"
    if objtype == "OBJECT_DOMCONSTRAINT":
        items = tree.items(node)
        if items:
            return tree.any_name("type", tree.strings(items[0].get("TypeName", {}).get("names"))), "domain"
    return None


def routine(fields: Tree) -> Ref:
    """The routine of an ObjectWithArgs: its input types, or None where the text leaves them out."""
    schema, name = tree.qualified(tree.strings(fields.get("objname")))
    if fields.get("args_unspecified"):
        return Ref("routine", name, schema)
    args = tuple(tree.type_text(each.get("TypeName", {})) for each in fields.get("objargs", ()))
    return Ref("routine", name, schema, args, len(args))


def drop(reader: Reader, fields: Tree) -> None:
    """Read DROP."""
    objtype = fields.get("removeType", "")
    missing_ok = bool(fields.get("missing_ok"))
    for each in fields.get("objects", ()):
        found = named(objtype, each)
        if found is None:
            if objtype in ("OBJECT_CAST", "OBJECT_TRANSFORM", "OBJECT_USER_MAPPING"):
                continue  # known by their types alone; nothing else names them
            reader.opaque(f"DROP {objtype.removeprefix('OBJECT_')} is not read")
            continue
        ref, label = found
        if objtype in PARTS and missing_ok:
            reader.emit("read", ref.of[0], soft=True)
        cascade = fields.get("behavior") == "DROP_CASCADE"
        detail = Detail(label=label, if_exists=missing_ok, cascade=cascade, concurrently=bool(fields.get("concurrent")))
        reader.emit("drop", ref, -1, detail)


def rename(reader: Reader, fields: Tree) -> None:
    """Read ALTER … RENAME."""
    objtype = fields.get("renameType", "")
    missing_ok = bool(fields.get("missing_ok"))
    table = tree.relation(fields["relation"]) if fields.get("relation") else None
    at = tree.location(fields)
    sub = fields.get("subname", "")
    found: tuple[Ref, str] | None
    if objtype in ("OBJECT_COLUMN", "OBJECT_ATTRIBUTE") and table:
        found = Ref("column", sub, of=(table,)), "column"
    elif objtype in PARTS and table:
        found = Ref(PARTS[objtype], sub, table.schema, of=(table,)), PARTS[objtype]  # type: ignore[arg-type]
    elif objtype in RELATIONS and table:
        found = table, RELATIONS[objtype]
    elif objtype == "OBJECT_SCHEMA":
        found = Ref("schema", sub), "schema"
    elif objtype == "OBJECT_ROLE":
        found = Ref("role", sub), "role"
    elif objtype == "OBJECT_DOMCONSTRAINT":
        found = named("OBJECT_DOMAIN", fields.get("object", {}))
        if found:
            reader.emit("alter", found[0], at)
        return
    else:
        found = named(objtype, fields.get("object", {}))
    if found is None:
        reader.opaque(f"RENAME of {objtype.removeprefix('OBJECT_').lower()} is not read", at)
        return
    ref, label = found
    reader.emit("rename", ref, at, Detail(label=label, to=fields.get("newname", ""), if_exists=missing_ok))


def set_schema(reader: Reader, fields: Tree) -> None:
    """Read ALTER … SET SCHEMA."""
    objtype = fields.get("objectType", "")
    at = tree.location(fields)
    found: tuple[Ref, str] | None
    if fields.get("relation"):
        found = tree.relation(fields["relation"]), RELATIONS.get(objtype, "table")
    else:
        found = named(objtype, fields.get("object", {}))
    schema = fields.get("newschema", "")
    reader.emit("read", Ref("schema", schema), at)
    if found is None:
        reader.opaque(f"SET SCHEMA of {objtype.removeprefix('OBJECT_').lower()} is not read", at)
        return
    ref, label = found
    reader.emit("move", ref, at, Detail(label=label, to=schema, if_exists=bool(fields.get("missing_ok"))))


def owner(reader: Reader, fields: Tree) -> None:
    """Read ALTER … OWNER TO."""
    role(reader, fields.get("newowner", {}), -1)
    objtype = fields.get("objectType", "")
    found = (
        (tree.relation(fields["relation"]), "table")
        if fields.get("relation")
        else named(objtype, fields.get("object", {}))
    )
    if found:
        reader.emit("alter", found[0], -1, Detail(facet="owner", label=found[1]))


def comment(reader: Reader, fields: Tree) -> None:
    """Read COMMENT ON and SECURITY LABEL."""
    found = named(fields.get("objtype", ""), fields.get("object", {}))
    if found:
        reader.emit("alter", found[0], -1, Detail(facet="comment", label=found[1]))


_TARGETS: dict[str, Kind] = {
    "OBJECT_TABLE": "relation", "OBJECT_SEQUENCE": "relation", "OBJECT_SCHEMA": "schema", "OBJECT_TYPE": "type",
    "OBJECT_DOMAIN": "type", "OBJECT_LANGUAGE": "language", "OBJECT_FOREIGN_SERVER": "server",
    "OBJECT_FDW": "foreign data wrapper",
}  # fmt: skip


def grant(reader: Reader, fields: Tree) -> None:
    """Read GRANT and REVOKE on objects."""
    for each in fields.get("grantees", ()):
        role(reader, each, -1)
    objtype = fields.get("objtype", "")
    if fields.get("targtype") == "ACL_TARGET_ALL_IN_SCHEMA":
        for each in fields.get("objects", ()):
            schema = tree.text_of(each)
            reader.emit("read", Ref("schema", schema))
            reader.emit("read", Ref("set", objtype.removeprefix("OBJECT_").lower(), schema))
        return
    for each in fields.get("objects", ()):
        kind, inner = tree.unwrap(each)
        if kind == "RangeVar":
            table = tree.relation(inner)
            reader.emit("alter", table, tree.location(inner), Detail(facet="acl"))
            for privilege in fields.get("privileges", ()):
                for column in tree.strings(privilege.get("AccessPriv", {}).get("cols")):
                    reader.emit("read", Ref("column", column, of=(table,)), tree.location(inner))
        elif kind == "ObjectWithArgs":
            reader.emit("alter", routine(inner), -1, Detail(facet="acl", label="function"))
        elif kind == "TypeName" or objtype in ("OBJECT_TYPE", "OBJECT_DOMAIN"):
            parts = (
                tree.strings(inner.get("names")) if kind == "TypeName" else tuple(map(tree.text_of, tree.items(each)))
            )
            reader.emit("alter", tree.any_name("type", parts), -1, Detail(facet="acl"))
        elif objtype in _TARGETS:
            reader.emit("alter", Ref(_TARGETS[objtype], tree.text_of(each)), -1, Detail(facet="acl"))


def grant_role(reader: Reader, fields: Tree) -> None:
    """Read GRANT role TO role."""
    for each in fields.get("granted_roles", ()):
        reader.emit("read", Ref("role", each.get("AccessPriv", {}).get("priv_name", "")))
    for each in fields.get("grantee_roles", ()):
        role(reader, each, -1)


def default_privileges(reader: Reader, fields: Tree) -> None:
    """Read ALTER DEFAULT PRIVILEGES."""
    schemas = tree.option(fields.get("options"), "schemas")
    for each in tree.items(schemas) if isinstance(schemas, dict) else ():
        reader.emit("alter", Ref("schema", tree.text_of(each)), -1, Detail(facet="default privileges"))
    for each in fields.get("action", {}).get("grantees", ()):
        role(reader, each, -1)


def create_schema(reader: Reader, fields: Tree) -> None:
    """Read CREATE SCHEMA; statements inside of it are read by the caller."""
    name = fields.get("schemaname") or fields.get("authrole", {}).get("rolename", "")
    reader.emit(
        "make", Ref("schema", name), -1, Detail(label="schema", if_not_exists=bool(fields.get("if_not_exists")))
    )
    role(reader, fields.get("authrole", {}), -1)


def create_extension(reader: Reader, fields: Tree) -> None:
    """Read CREATE EXTENSION."""
    schema = tree.option(fields.get("options"), "schema")
    name = tree.text_of(schema) if isinstance(schema, dict) else None
    if name:
        reader.emit("read", Ref("schema", name))
    detail = Detail(
        label="extension",
        if_not_exists=bool(fields.get("if_not_exists")),
        to=name or "",
        cascade=bool(tree.option(fields.get("options"), "cascade")),
    )
    reader.emit("make", Ref("extension", fields.get("extname", "")), -1, detail)


def alter_extension(reader: Reader, fields: Tree) -> None:
    """Read ALTER EXTENSION."""
    reader.emit("alter", Ref("extension", fields.get("extname", "")), -1, Detail(facet="version"))


def create_enum(reader: Reader, fields: Tree) -> None:
    """Read CREATE TYPE … AS ENUM."""
    ref = tree.any_name("type", tree.strings(fields.get("typeName")))
    _in_schema(reader, ref)
    labels = tuple(Column(label) for label in tree.strings(fields.get("vals")))
    reader.emit("make", ref, -1, Detail(label="type", columns=labels, contype="enum"))


def alter_enum(reader: Reader, fields: Tree) -> None:
    """Read ALTER TYPE … ADD VALUE and RENAME VALUE."""
    ref = tree.any_name("type", tree.strings(fields.get("typeName")))
    for name in ("oldVal", "newValNeighbor"):
        if fields.get(name):
            reader.emit("read", Ref("label", fields[name], of=(ref,)))
    label = Ref("label", fields.get("newVal", ""), of=(ref,))
    if fields.get("oldVal"):
        old = Ref("label", fields["oldVal"], of=(ref,))
        reader.emit("rename", old, -1, Detail(label="label", to=fields.get("newVal", "")))
    else:
        optional = bool(fields.get("skipIfNewValExists"))
        reader.emit("make", label, -1, Detail(label="label", if_not_exists=optional))


def _in_schema(reader: Reader, ref: Ref) -> None:
    if ref.schema:
        reader.emit("read", Ref("schema", ref.schema))


def create_composite(reader: Reader, fields: Tree) -> None:
    """Read CREATE TYPE … AS (…)."""
    ref = tree.relation(fields.get("typevar", {}))
    _in_schema(reader, ref)
    columns = []
    for each in fields.get("coldeflist", ()):
        column = each.get("ColumnDef", {})
        queries.type_name(reader, column.get("typeName"))
        columns.append(Column(column.get("colname", ""), type_name=tree.type_text(column.get("typeName", {}))))
    reader.emit("make", ref, -1, Detail(label="composite type", columns=tuple(columns)))


def create_range(reader: Reader, fields: Tree) -> None:
    """Read CREATE TYPE … AS RANGE."""
    ref = tree.any_name("type", tree.strings(fields.get("typeName")))
    _in_schema(reader, ref)
    subtype = tree.option(fields.get("params"), "subtype")
    if isinstance(subtype, dict):
        queries.type_name(reader, subtype.get("TypeName"))
    reader.emit("make", ref, -1, Detail(label="type", contype="range"))


def create_domain(reader: Reader, fields: Tree) -> None:
    """Read CREATE DOMAIN."""
    ref = tree.any_name("type", tree.strings(fields.get("domainname")))
    _in_schema(reader, ref)
    queries.type_name(reader, fields.get("typeName"))
    for each in fields.get("constraints", ()):
        queries.expression(reader, each.get("Constraint", {}).get("raw_expr"), Scope())
    reader.emit("make", ref, -1, Detail(label="domain", contype="domain"))


def alter_domain(reader: Reader, fields: Tree) -> None:
    """Read ALTER DOMAIN."""
    ref = tree.any_name("type", tree.strings(fields.get("typeName")))
    queries.expression(reader, fields.get("def"), Scope())
    reader.emit("alter", ref, -1, Detail(facet="definition", label="domain"))


def alter_type(reader: Reader, fields: Tree) -> None:
    """Read ALTER TYPE … SET."""
    reader.emit("alter", tree.any_name("type", tree.strings(fields.get("typeName"))), -1, Detail(label="type"))


SUPPORT = frozenset(("sfunc", "finalfunc", "combinefunc", "procedure", "function", "input", "output", "receive",
                     "send", "msfunc", "minvfunc", "mfinalfunc"))  # fmt: skip
"""What aggregates, operators and base types call."""

_DEFINED: dict[str, tuple[Kind, str]] = {
    "OBJECT_OPERATOR": ("operator", "operator"), "OBJECT_TYPE": ("type", "type"),
    "OBJECT_COLLATION": ("collation", "collation"), "OBJECT_TSPARSER": ("text search", "text search parser"),
    "OBJECT_TSDICTIONARY": ("text search", "text search dictionary"),
    "OBJECT_TSTEMPLATE": ("text search", "text search template"),
    "OBJECT_TSCONFIGURATION": ("text search", "text search configuration"),
}  # fmt: skip


def define(reader: Reader, fields: Tree) -> None:
    """Read CREATE AGGREGATE, OPERATOR, TYPE (base or shell), COLLATION and TEXT SEARCH."""
    kind = fields.get("kind", "")
    parts = tree.strings(fields.get("defnames"))
    schema, name = tree.qualified(parts)
    for each in fields.get("definition", ()):
        inner, value = tree.unwrap(each.get("DefElem", {}).get("arg"))
        word = each.get("DefElem", {}).get("defname", "").lower()
        if inner == "TypeName" and word in SUPPORT:
            target_schema, target = tree.qualified(tree.strings(value.get("names")))
            reader.emit("read", Ref("routine", target, target_schema))
        elif inner == "TypeName" and word in ("stype", "leftarg", "rightarg", "mstype", "basetype"):
            queries.type_name(reader, value)
    if schema:
        reader.emit("read", Ref("schema", schema))
    replace = bool(fields.get("replace"))
    if kind == "OBJECT_AGGREGATE":
        arguments: list[str] = []
        for item in tree.items(fields["args"][0]) if fields.get("args") else ():
            type_name = item.get("FunctionParameter", {}).get("argType", {})
            queries.type_name(reader, type_name)
            arguments.append(tree.type_text(type_name))
        ref = Ref("routine", name, schema, tuple(arguments), len(arguments))
        reader.emit("make", ref, -1, Detail(label="aggregate", replace=replace))
    elif kind in _DEFINED:
        what, label = _DEFINED[kind]
        optional = bool(fields.get("if_not_exists"))
        reader.emit("make", Ref(what, name, schema), -1, Detail(label=label, replace=replace, if_not_exists=optional))
    else:
        reader.opaque(f"CREATE {kind.removeprefix('OBJECT_')} is not read")


def create_cast(reader: Reader, fields: Tree) -> None:
    """Read CREATE CAST."""
    queries.type_name(reader, fields.get("sourcetype"))
    queries.type_name(reader, fields.get("targettype"))
    if fields.get("func"):
        reader.emit("read", routine(fields["func"]))
    name = f"{tree.type_text(fields.get('sourcetype', {}))} AS {tree.type_text(fields.get('targettype', {}))}"
    reader.emit("make", Ref("cast", name), -1, Detail(label="cast"))


def create_opclass(reader: Reader, fields: Tree) -> None:
    """Read CREATE OPERATOR CLASS and FAMILY."""
    parts = tree.strings(fields.get("opclassname") or fields.get("opfamilyname"))
    queries.type_name(reader, fields.get("datatype"))
    for each in fields.get("items", ()):
        item = each.get("CreateOpClassItem", {})
        if item.get("name") and item.get("itemtype") == OPCLASS_ITEM_FUNCTION:
            reader.emit("read", routine(item["name"]))
    reader.emit("make", tree.any_name("opclass", parts), -1, Detail(label="operator class"))


def create_role(reader: Reader, fields: Tree) -> None:
    """Read CREATE ROLE and CREATE USER."""
    reader.emit("make", Ref("role", fields.get("role", "")), -1, Detail(label="role"))


def alter_role(reader: Reader, fields: Tree) -> None:
    """Read ALTER ROLE, with or without SET."""
    spec = fields.get("role", {})
    if spec.get("roletype") == "ROLESPEC_CSTRING":
        reader.emit("alter", Ref("role", spec.get("rolename", "")), -1, Detail(facet="settings", label="role"))


def drop_role(reader: Reader, fields: Tree) -> None:
    """Read DROP ROLE."""
    for each in fields.get("roles", ()):
        spec = each.get("RoleSpec", {})
        detail = Detail(label="role", if_exists=bool(fields.get("missing_ok")))
        reader.emit("drop", Ref("role", spec.get("rolename", "")), -1, detail)


def owned(reader: Reader, fields: Tree) -> None:
    """Read DROP OWNED and REASSIGN OWNED: which objects they reach no file says."""
    for each in fields.get("roles", ()):
        role(reader, each, -1)
    reader.opaque("what a role owns is known to the server alone")


def create_policy(reader: Reader, fields: Tree) -> None:
    """Read CREATE POLICY and ALTER POLICY."""
    table = tree.relation(fields.get("table", {}))
    at = tree.location(fields.get("table", {}))
    name = fields.get("policy_name", "")
    reader.emit("read", table, at)
    for each in fields.get("roles", ()):
        role(reader, each, at)
    scope = Scope(sources={table.name: Source(relation=table)})
    with reader.inside(when="kept" if reader.when == "now" else None, via=f"the policy {name} of {table}"):
        queries.expression(reader, fields.get("qual"), scope)
        queries.expression(reader, fields.get("with_check"), scope)
    verb: Verb = "make" if "cmd_name" in fields else "alter"
    command = fields.get("cmd_name", "all")
    detail = Detail(label="policy", events=(command,))
    reader.emit(verb, Ref("policy", name, table.schema, of=(table,)), at, detail)


def create_trigger(reader: Reader, fields: Tree) -> None:
    """Read CREATE TRIGGER."""
    table = tree.relation(fields.get("relation", {}))
    at = tree.location(fields.get("relation", {}))
    schema, function = tree.qualified(tree.strings(fields.get("funcname")))
    executes = Ref("routine", function, schema, (), 0)
    reader.emit("read", table, at)
    reader.emit("read", executes, at)
    for column in tree.strings(fields.get("columns")):
        reader.emit("read", Ref("column", column, of=(table,)), at)
    events = int(fields.get("events", 0))
    names = tuple(
        word for bit, word in ((4, "insert"), (8, "delete"), (16, "update"), (32, "truncate")) if events & bit
    )
    sources = {"new": Source(relation=table), "old": Source(relation=table)}
    queries.expression(reader, fields.get("whenClause"), Scope(sources=sources))
    detail = Detail(
        label="trigger",
        routine=executes,
        events=names,
        replace=bool(fields.get("replace")),
        each_row=bool(fields.get("row")),
        columns_of=tuple(
            each.get("TriggerTransition", {}).get("name", "") for each in fields.get("transitionRels", ())
        ),
    )
    reader.emit("make", Ref("trigger", fields.get("trigname", ""), table.schema, of=(table,)), at, detail)


def create_rule(reader: Reader, fields: Tree) -> None:
    """Read CREATE RULE."""
    table = tree.relation(fields.get("relation", {}))
    at = tree.location(fields.get("relation", {}))
    reader.emit("read", table, at)
    sources = {"new": Source(relation=table), "old": Source(relation=table)}
    for action in fields.get("actions", ()):
        queries.statement(reader, action, Scope(sources=sources))
    detail = Detail(label="rule", replace=bool(fields.get("replace")))
    reader.emit("make", Ref("rule", fields.get("rulename", ""), table.schema, of=(table,)), at, detail)


def create_event_trigger(reader: Reader, fields: Tree) -> None:
    """Read CREATE EVENT TRIGGER: from here on every DDL statement runs its function."""
    schema, function = tree.qualified(tree.strings(fields.get("funcname")))
    reader.emit("read", Ref("routine", function, schema, (), 0))
    reader.emit("make", Ref("event trigger", fields.get("trigname", "")), -1, Detail(label="event trigger"))


def create_publication(reader: Reader, fields: Tree) -> None:
    """Read CREATE and ALTER PUBLICATION."""
    for each in fields.get("pubobjects", ()):
        spec = each.get("PublicationObjSpec", {})
        inner = spec.get("pubtable", {}).get("relation")
        if inner:
            reader.emit("read", tree.relation(inner), tree.location(inner))
        elif spec.get("name"):
            reader.emit("read", Ref("schema", spec["name"]))
    ref = Ref("publication", fields.get("pubname", ""))
    if "action" in fields:
        reader.emit("alter", ref, -1, Detail(label="publication"))
    else:
        reader.emit("make", ref, -1, Detail(label="publication"))


def create_statistics(reader: Reader, fields: Tree) -> None:
    """Read CREATE STATISTICS."""
    scope = Scope()
    for each in fields.get("relations", ()):
        queries.from_item(reader, each, scope)
    for each in fields.get("exprs", ()):
        element = each.get("StatsElem", {})
        for source in scope.sources.values():
            if element.get("name") and source.relation:
                reader.emit("read", Ref("column", element["name"], of=(source.relation,)))
        queries.expression(reader, element.get("expr"), scope)
    ref = tree.any_name("statistics", tree.strings(fields.get("defnames")))
    optional = bool(fields.get("if_not_exists"))
    if ref.name:
        reader.emit("make", ref, -1, Detail(label="statistics", if_not_exists=optional))


SIMPLE: dict[str, tuple[Kind, str, tuple[tuple[Kind, str], ...]]] = {
    "CreateForeignServerStmt": ("server", "servername", (("foreign data wrapper", "fdwname"),)),
    "CreateFdwStmt": ("foreign data wrapper", "fdwname", ()),
    "CreatePLangStmt": ("language", "plname", ()),
    "CreateAmStmt": ("access method", "amname", ()),
    "CreateSubscriptionStmt": ("subscription", "subname", ()),
}
"""Statements that make an object of one name: its kind, the field, and what else they name."""


def simple(reader: Reader, node: str, fields: Tree) -> None:
    """Read a statement of SIMPLE."""
    kind, field, needs = SIMPLE[node]
    for needed, name in needs:
        if fields.get(name):
            reader.emit("read", Ref(needed, fields[name]))
    optional = bool(fields.get("if_not_exists"))
    reader.emit("make", Ref(kind, fields.get(field, "")), -1, Detail(label=kind, if_not_exists=optional))


def user_mapping(reader: Reader, fields: Tree) -> None:
    """Read CREATE and ALTER USER MAPPING."""
    reader.emit("read", Ref("server", fields.get("servername", "")))
    role(reader, fields.get("user", {}), -1)


def variable_set(reader: Reader, fields: Tree) -> None:
    """Read SET and RESET."""
    name = fields.get("name", "").lower()
    local = bool(fields.get("is_local"))
    if name == "search_path":
        if fields.get("kind") != "VAR_SET_VALUE":
            reader.emit("set", Ref("setting", name), -1, Detail(local=local))
            return
        values = [tree.constant(each) for each in fields.get("args", ())]
        path = tuple(value for value in values if value is not None)
        for schema in path:
            if schema not in ("$user", "public") and not schema.startswith("pg_"):
                reader.emit("read", Ref("schema", schema), soft=True)  # SET takes any name; what follows may not
        reader.emit("set", Ref("setting", name), -1, Detail(path=path, local=local))
        return
    if name in ("role", "session_authorization") and fields.get("args"):
        value = tree.constant(fields["args"][0])
        if value and value not in ("none", "default"):
            reader.emit("read", Ref("role", value))
    if name:
        reader.emit("set", Ref("setting", name), -1, Detail(local=local))
