"""What do CREATE TABLE, ALTER TABLE, CREATE INDEX, CREATE VIEW and their like make, change and need?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lancio.reading import queries, tree
from lancio.reading.model import Column, Detail, Output, Query, Ref
from lancio.reading.queries import Scope, Source

if TYPE_CHECKING:
    from lancio.reading.model import Moment
    from lancio.reading.reader import Reader
    from lancio.syntax.parser import Tree

CONTYPES = {
    "CONSTR_PRIMARY": "primary key", "CONSTR_UNIQUE": "unique", "CONSTR_FOREIGN": "foreign key",
    "CONSTR_CHECK": "check", "CONSTR_EXCLUSION": "exclude", "CONSTR_NOTNULL": "not null",
}  # fmt: skip


_LIKE = ((1 << 2, "checks"), (1 << 5, "identity"), (1 << 6, "indexes"))
"""Bits of TableLikeOption in parsenodes.h."""

INHERITS = frozenset(("checks",))
PARTITION = frozenset(("checks", "indexes", "foreign keys"))


def create_table(reader: Reader, fields: Tree, label: str = "table") -> None:
    """Read CREATE TABLE, and CREATE FOREIGN TABLE's inner part."""
    table = tree.relation(fields.get("relation", {}))
    at = tree.location(fields)
    _schema(reader, table, at)
    like: list[Ref] = []
    copies: list[frozenset[str]] = []
    columns: list[Column] = []
    for each in fields.get("inhRelations", ()):
        parent = tree.relation(each.get("RangeVar", {}))
        reader.emit("read", parent, tree.location(each.get("RangeVar", {})))
        like.append(parent)
        copies.append(PARTITION if fields.get("partbound") else INHERITS)
    if fields.get("ofTypename"):
        queries.type_name(reader, fields["ofTypename"])
        like.append(tree.any_name("relation", tree.strings(fields["ofTypename"].get("names"))))
    elements = [tree.unwrap(element) for element in fields.get("tableElts", ())]
    for name, element in elements:
        if name == "TableLikeClause":
            source = tree.relation(element.get("relation", {}))
            reader.emit("read", source, tree.location(element))
            like.append(source)
            copies.append(frozenset(what for bit, what in _LIKE if element.get("options", 0) & bit))
        elif name == "ColumnDef":
            columns.append(_column(reader, element))
    reader.emit(
        "make",
        table,
        at,
        Detail(
            label="partitioned table" if fields.get("partspec") else label,
            columns=tuple(columns),
            like=tuple(like),
            copies=tuple(copies),
            if_not_exists=bool(fields.get("if_not_exists")),
        ),
    )
    scope = Scope(sources={table.name: Source(relation=table)})
    primary = _primary_key(elements)
    for name, element in elements:
        with reader.inside(part_of=table):
            if name == "ColumnDef":
                _column_parts(reader, table, element, scope, primary)
            elif name == "Constraint" and not _redundant(element, tree.strings(element.get("keys")), primary):
                constraint(reader, table, element, scope)
    for element in fields.get("partspec", {}).get("partParams", ()):
        item = element.get("PartitionElem", {})
        queries.expression(reader, item.get("expr"), scope)


def _schema(reader: Reader, ref: Ref, at: int) -> None:
    if ref.schema and ref.schema != "pg_temp":
        reader.emit("read", Ref("schema", ref.schema), at)


def _column(reader: Reader, fields: Tree) -> Column:
    """The column itself; its type is read here, since it must be there before the table."""
    type_name = fields.get("typeName", {})
    kinds = {constraint.get("Constraint", {}).get("contype") for constraint in fields.get("constraints", ())}
    if not tree.is_serial(type_name):
        queries.type_name(reader, type_name)
    collation = tree.strings(fields.get("collClause", {}).get("collname"))
    if collation:
        reader.emit("read", tree.any_name("collation", collation), tree.location(fields))
    return Column(
        name=fields.get("colname", ""),
        type=tree.type_ref(type_name) if type_name else None,
        type_name=tree.type_text(type_name),
        not_null=bool(kinds & {"CONSTR_NOTNULL", "CONSTR_PRIMARY", "CONSTR_IDENTITY"}) or tree.is_serial(type_name),
        default=_has_default(fields) or tree.is_serial(type_name),
        generated="CONSTR_GENERATED" in kinds,
        identity="CONSTR_IDENTITY" in kinds,
    )


def _has_default(fields: Tree) -> bool:
    """Whether a column gets a default; DEFAULT NULL is none, and neither is NULL::text, as pg_dump writes it."""
    defaults = (each.get("Constraint", {}) for each in fields.get("constraints", ()))
    return any(each.get("contype") == "CONSTR_DEFAULT" and not _null(each.get("raw_expr", {})) for each in defaults)


def _null(expression: Tree) -> bool:
    cast = expression.get("TypeCast", {}).get("arg", expression)
    return bool(cast.get("A_Const", {}).get("isnull"))


def _primary_key(elements: list[tuple[str, Tree]]) -> tuple[str, ...]:
    """The columns of the primary key that a CREATE TABLE declares."""
    for name, element in elements:
        if name == "Constraint" and element.get("contype") == "CONSTR_PRIMARY":
            return tree.strings(element.get("keys"))
        for each in element.get("constraints", ()) if name == "ColumnDef" else ():
            if each.get("Constraint", {}).get("contype") == "CONSTR_PRIMARY":
                return (element.get("colname", ""),)
    return ()


def _redundant(element: Tree, columns: tuple[str, ...], primary: tuple[str, ...]) -> bool:
    """A UNIQUE without a name over the primary key's columns: PostgreSQL makes one index for both.

    transformIndexConstraints() in parse_utilcmd.c.
    """
    return element.get("contype") == "CONSTR_UNIQUE" and not element.get("conname") and columns == primary


def _column_parts(reader: Reader, table: Ref, fields: Tree, scope: Scope, primary: tuple[str, ...] = ()) -> None:
    """What stands behind a column's type: default, constraints, sequence."""
    column = fields.get("colname", "")
    at = tree.location(fields)
    if tree.is_serial(fields.get("typeName", {})):
        _owned_sequence(reader, table, column, at)
    for each in fields.get("constraints", ()):
        element = each.get("Constraint", {})
        kind = element.get("contype")
        if kind == "CONSTR_IDENTITY":
            _owned_sequence(reader, table, column, at)
        elif kind in ("CONSTR_DEFAULT", "CONSTR_GENERATED"):
            with reader.inside(holder=Ref("column", column, of=(table,))):
                _expression_of(reader, element.get("raw_expr"), scope, f"the default of {table}.{column}")
            queries.label(reader, fields.get("typeName"), element.get("raw_expr"))
        elif kind in CONTYPES and not _redundant(element, (column,), primary):
            constraint(reader, table, element, scope, (column,))


def _expression_of(reader: Reader, node: Tree | None, scope: Scope, via: str) -> None:
    """An expression that PostgreSQL keeps: what it needs must be there now, and is used again later."""
    with reader.inside(when=_kept(reader), via=via):
        queries.expression(reader, node, scope)


def _kept(reader: Reader) -> Moment:
    return "kept" if reader.when == "now" else reader.when


def _owned_sequence(reader: Reader, table: Ref, column: str, at: int) -> None:
    name = object_name(table.name, column, "seq")
    reader.emit(
        "make",
        Ref("relation", name, table.schema),
        at,
        Detail(label="sequence", implied=True, like=(table,), columns_of=(column,)),
    )


def object_name(first: str, second: str, label: str) -> str:
    """The name PostgreSQL gives to what has none, cut to 63 bytes (makeObjectName() in indexcmds.c)."""
    overhead = len(label) + 1 + (1 if second else 0)
    available = 63 - overhead
    one, two = first.encode(), second.encode()
    while len(one) + len(two) > available:
        if len(one) > len(two):
            one = one[:-1]
        else:
            two = two[:-1]
    parts = [one.decode(errors="ignore"), two.decode(errors="ignore") if second else "", label]
    return "_".join(part for part in parts if part)


_SUFFIX = {"primary key": "pkey", "unique": "key", "foreign key": "fkey", "check": "check", "exclude": "excl"}


def constraint(
    reader: Reader, table: Ref, fields: Tree, scope: Scope, columns: tuple[str, ...] = (), *, added: bool = False
) -> None:
    """Read a table or column constraint and what PostgreSQL makes with it (an index, a name)."""
    contype = CONTYPES.get(fields.get("contype", ""))
    at = tree.location(fields)
    if contype is None:
        return
    columns = columns or tree.strings(fields.get("keys")) or tree.strings(fields.get("fk_attrs"))
    if contype == "exclude":
        columns = tuple(
            tree.items(each)[0].get("IndexElem", {}).get("name", "expr") for each in fields.get("exclusions", ())
        )
    involved = columns
    if contype == "check":
        involved = _columns_in(fields.get("raw_expr"))
        columns = columns or (involved if len(involved) == 1 else ())
    for column in columns:
        reader.emit("read", Ref("column", column, of=(table,)), at)
    if contype == "not null":
        if added:
            reader.emit("write", Ref("column", columns[0] if columns else "", of=(table,)), at, Detail(facet="null"))
        return
    references = None
    if contype == "foreign key":
        target = tree.relation(fields.get("pktable", {}))
        if target.schema is None and target.name == table.name:
            target = table
        keys = tree.strings(fields.get("pk_attrs"))
        reader.emit("read", target, at)
        for key in keys:
            reader.emit("read", Ref("column", key, of=(target,)), at)
        references = (target, keys)
    via_index = fields.get("indexname")
    if via_index:
        index_ref = Ref("relation", via_index, table.schema)
        reader.emit("read", index_ref, at)
        if (wanted := str(fields.get("conname", via_index))) != via_index:
            reader.emit("rename", index_ref, at, Detail(label="index", to=wanted))
    name = fields.get("conname") or via_index or _constraint_name(table, contype, columns)
    with reader.inside(holder=Ref("constraint", name, table.schema, of=(table,))):
        _expression_of(reader, fields.get("raw_expr"), scope, f"the check {name} of {table}")
    for each in fields.get("exclusions", ()):
        _index_element(reader, tree.items(each)[0].get("IndexElem", {}), scope, table)
    queries.expression(reader, fields.get("where_clause"), scope)
    detail = Detail(
        label=contype,
        contype=contype,
        columns_of=involved,
        references=references,
        validated=not fields.get("skip_validation", False),
        implied=not fields.get("conname"),
    )
    reader.emit("make", Ref("constraint", name, table.schema, of=(table,)), at, detail)
    if contype in ("primary key", "unique", "exclude") and not via_index:
        index = Detail(label="index", columns_of=columns, unique=contype != "exclude", implied=True, like=(table,))
        reader.emit("make", Ref("relation", name, table.schema), at, index)
    if contype == "primary key":
        for column in columns:
            reader.emit("write", Ref("column", column, of=(table,)), at, Detail(facet="null", implied=True))


def _columns_in(node: Tree | None) -> tuple[str, ...]:
    """The columns that a check names, each once, in order."""
    found = {
        tree.last(fields.get("fields")): None
        for name, fields in tree.walk(node)
        if name == "ColumnRef" and tree.strings(fields.get("fields"))
    }
    return tuple(found)


def _constraint_name(table: Ref, contype: str, columns: tuple[str, ...]) -> str:
    if contype == "primary key":
        return object_name(table.name, "", "pkey")
    return object_name(table.name, "_".join(columns), _SUFFIX[contype])


def create_table_as(reader: Reader, fields: Tree) -> None:
    """Read CREATE TABLE AS, SELECT INTO's twin, and CREATE MATERIALIZED VIEW."""
    into = fields.get("into", {})
    name = tree.relation(into.get("rel", {}))
    at = tree.location(into.get("rel", {}))
    _schema(reader, name, at)
    label = "materialized view" if fields.get("objtype") == "OBJECT_MATVIEW" else "table"
    with reader.inside(via=f"the query of {name}"):
        query = queries.statement(reader, fields.get("query"))
    _make_from_query(reader, name, label, query, tree.strings(into.get("colNames")), fields, at)


def create_view(reader: Reader, fields: Tree) -> None:
    """Read CREATE VIEW."""
    view = tree.relation(fields.get("view", {}))
    at = tree.location(fields.get("view", {}))
    _schema(reader, view, at)
    with reader.inside(when=_kept(reader), via=f"the query of {view}"):
        query = queries.statement(reader, fields.get("query"))
    _make_from_query(reader, view, "view", query, tree.strings(fields.get("aliases")), fields, at)


def _make_from_query(
    reader: Reader,
    ref: Ref,
    label: str,
    query: Query | None,
    aliases: tuple[str, ...],
    fields: Tree,
    at: int,
) -> None:
    outputs = list(query.outputs) if query else []
    for index, alias in enumerate(aliases):
        if index < len(outputs) and outputs[index].name != "*":
            outputs[index] = Output(alias)
    detail = Detail(
        label=label,
        query=Query(tuple(outputs)),
        replace=bool(fields.get("replace")),
        if_not_exists=bool(fields.get("if_not_exists")),
    )
    reader.emit("make", ref, at, detail)


def create_sequence(reader: Reader, fields: Tree) -> None:
    """Read CREATE SEQUENCE."""
    name = tree.relation(fields.get("sequence", {}))
    at = tree.location(fields.get("sequence", {}))
    _schema(reader, name, at)
    table, columns = _owned_by(reader, fields)
    optional = bool(fields.get("if_not_exists"))
    detail = Detail(label="sequence", if_not_exists=optional, like=table, columns_of=columns)
    reader.emit("make", name, at, detail)


def alter_sequence(reader: Reader, fields: Tree) -> None:
    """Read ALTER SEQUENCE."""
    table, columns = _owned_by(reader, fields)
    name = tree.relation(fields.get("sequence", {}))
    facet = "owned by" if table else "definition"
    detail = Detail(if_exists=bool(fields.get("missing_ok")), facet=facet, like=table, columns_of=columns)
    reader.emit("alter", name, tree.location(fields.get("sequence", {})), detail)


def _owned_by(reader: Reader, fields: Tree) -> tuple[tuple[Ref, ...], tuple[str, ...]]:
    """The table and the column that a sequence belongs to."""
    owner = tree.option(fields.get("options"), "owned_by")
    if isinstance(owner, dict):
        parts = tuple(tree.text_of(each) for each in tree.items(owner))
        if len(parts) > 1:
            schema, table = tree.qualified(parts[:-1])
            owner_table = Ref("relation", table, schema)
            reader.emit("read", Ref("column", parts[-1], of=(owner_table,)))
            return (owner_table,), (parts[-1],)
    return (), ()


def create_index(reader: Reader, fields: Tree) -> None:
    """Read CREATE INDEX."""
    table = tree.relation(fields.get("relation", {}))
    at = tree.location(fields.get("relation", {}))
    reader.emit("read", table, at)
    scope = Scope(sources={table.name: Source(relation=table)})
    elements = [each.get("IndexElem", {}) for each in fields.get("indexParams", ())]
    included = [each.get("IndexElem", {}).get("name", "") for each in fields.get("indexIncludingParams", ())]
    keys = [element.get("name", "") for element in elements]
    base = "_".join(_numbered([*map(_index_word, elements), *included]))
    name = fields.get("idxname") or object_name(table.name, base, "idx")
    columns: list[str] = [*_columns_in(fields.get("whereClause"))]
    with reader.inside(holder=Ref("relation", name, table.schema)):
        for element in elements:
            _index_element(reader, element, scope, table)
            columns += [element["name"]] if element.get("name") else _columns_in(element.get("expr"))
        queries.expression(reader, fields.get("whereClause"), scope)
    for each in included:
        reader.emit("read", Ref("column", each, of=(table,)), at)
        columns.append(each)
    method = fields.get("accessMethod", "btree")
    reader.emit("read", Ref("access method", method), at)
    detail = Detail(
        label="index",
        if_not_exists=bool(fields.get("if_not_exists")),
        columns_of=tuple(columns),
        unique=bool(fields.get("unique")),
        keys=tuple(keys) if fields.get("unique") and all(keys) else (),
        partial="whereClause" in fields,
        concurrently=bool(fields.get("concurrent")),
        base=base,
        implied=not fields.get("idxname"),
        like=(table,),
    )
    reader.emit("make", Ref("relation", name, table.schema), at, detail)


def _numbered(words: list[str]) -> list[str]:
    """Index columns' names are made distinct by a number (ChooseIndexColumnNames() in indexcmds.c)."""
    out: list[str] = []
    for word in words:
        name, count = word, 0
        while name in out:
            count += 1
            name = f"{word}{count}"
        out.append(name)
    return out


def _index_element(reader: Reader, element: Tree, scope: Scope, table: Ref) -> None:
    if element.get("name"):
        reader.emit("read", Ref("column", element["name"], of=(table,)), -1)
    queries.expression(reader, element.get("expr"), scope)
    opclass = tree.strings(element.get("opclass"))
    if opclass:
        reader.emit("read", tree.any_name("opclass", opclass))
    collation = tree.strings(element.get("collation"))
    if collation:
        reader.emit("read", tree.any_name("collation", collation))


def _index_word(element: Tree) -> str:
    """What an index's element brings into the name that PostgreSQL gives the index."""
    if element.get("name"):
        return str(element["name"])
    name, fields = tree.unwrap(element.get("expr"))
    return tree.last(fields.get("funcname")) if name == "FuncCall" else "expr"


_LABELS = {
    "OBJECT_TABLE": "table", "OBJECT_VIEW": "view", "OBJECT_MATVIEW": "materialized view", "OBJECT_INDEX": "index",
    "OBJECT_SEQUENCE": "sequence", "OBJECT_FOREIGN_TABLE": "foreign table", "OBJECT_TYPE": "type",
}  # fmt: skip


def alter_table(reader: Reader, fields: Tree) -> None:
    """Read ALTER TABLE, INDEX, VIEW, SEQUENCE and TYPE … ATTRIBUTE."""
    table = tree.relation(fields.get("relation", {}))
    at = tree.location(fields.get("relation", {}))
    optional = bool(fields.get("missing_ok"))
    label = _LABELS.get(fields.get("objtype", ""), "table")
    scope = Scope(sources={table.name: Source(relation=table)})
    with reader.inside(soft=optional):
        reader.emit("alter", table, at, Detail(label=label, facet="touched", if_exists=optional))
        for each in fields.get("cmds", ()):
            _alter(reader, table, each.get("AlterTableCmd", {}), scope, at)


_FACETS = {
    "AT_EnableRowSecurity": "rls", "AT_DisableRowSecurity": "rls", "AT_ForceRowSecurity": "rls",
    "AT_NoForceRowSecurity": "rls", "AT_ChangeOwner": "owner", "AT_SetRelOptions": "options",
    "AT_ResetRelOptions": "options", "AT_ReplicaIdentity": "replica identity", "AT_SetLogged": "persistence",
    "AT_SetUnLogged": "persistence", "AT_ClusterOn": "cluster", "AT_DropCluster": "cluster",
    "AT_SetTableSpace": "tablespace", "AT_SetAccessMethod": "access method", "AT_DropOids": "options",
    "AT_ReAddStatistics": "statistics", "AT_GenericOptions": "options",
}  # fmt: skip


def _alter(reader: Reader, table: Ref, command: Tree, scope: Scope, at: int) -> None:
    subtype = command.get("subtype", "")
    name = command.get("name", "")
    column = Ref("column", name, of=(table,))
    missing_ok = bool(command.get("missing_ok"))
    node, definition = tree.unwrap(command.get("def"))
    if subtype in ("AT_AddColumn", "AT_AddColumnToView"):
        made = _column(reader, definition)
        detail = Detail(label="column", columns=(made,), if_not_exists=missing_ok)
        reader.emit("make", Ref("column", made.name, of=(table,)), tree.location(definition), detail)
        with reader.inside(part_of=Ref("column", made.name, of=(table,))):
            _column_parts(reader, table, definition, scope)
    elif subtype == "AT_DropColumn":
        cascade = command.get("behavior") == "DROP_CASCADE"
        reader.emit("drop", column, at, Detail(label="column", if_exists=missing_ok, cascade=cascade))
    elif subtype == "AT_AlterColumnType":
        reader.emit("write", column, at, Detail(facet="type", columns=(_column(reader, definition),)))
        queries.expression(reader, definition.get("raw_default"), scope)
    elif subtype == "AT_ColumnDefault":
        reader.emit("write", column, at, Detail(facet="default", message="" if command.get("def") else "dropped"))
        with reader.inside(holder=column):
            _expression_of(reader, command.get("def"), scope, f"the default of {table}.{name}")
        queries.constant_of(reader, column, command.get("def"), at)
    elif subtype in ("AT_SetNotNull", "AT_DropNotNull"):
        message = "dropped" if subtype == "AT_DropNotNull" else ""
        reader.emit("write", column, at, Detail(facet="null", message=message))
    elif subtype in ("AT_AddIdentity", "AT_SetIdentity", "AT_DropIdentity", "AT_SetExpression", "AT_DropExpression"):
        message = "dropped" if subtype in ("AT_DropIdentity", "AT_DropExpression") else ""
        reader.emit("write", column, at, Detail(facet="default", message=message))
        if subtype == "AT_AddIdentity":
            _owned_sequence(reader, table, name, at)
        if subtype == "AT_SetExpression":
            queries.expression(reader, command.get("def"), scope)
    elif subtype in ("AT_SetStatistics", "AT_SetOptions", "AT_ResetOptions", "AT_SetStorage", "AT_SetCompression"):
        if name:
            reader.emit("write", column, at, Detail(facet="options"))
    elif subtype in ("AT_AddConstraint", "AT_AddIndexConstraint") and node == "Constraint":
        constraint(reader, table, definition, scope, added=True)
    elif subtype == "AT_DropConstraint":
        detail = Detail(label="constraint", if_exists=missing_ok, cascade=command.get("behavior") == "DROP_CASCADE")
        reader.emit("drop", Ref("constraint", name, table.schema, of=(table,)), at, detail)
    elif subtype in ("AT_ValidateConstraint", "AT_AlterConstraint"):
        target = name or definition.get("conname", "")
        facet = "valid" if subtype == "AT_ValidateConstraint" else "definition"
        reader.emit("write", Ref("constraint", target, table.schema, of=(table,)), at, Detail(facet=facet))
    elif subtype in ("AT_AttachPartition", "AT_DetachPartition", "AT_AddInherit", "AT_DropInherit"):
        child = tree.relation(definition.get("name", definition))
        reader.emit("alter", child, at, Detail(facet="inheritance"))
        reader.emit("write", table, at, Detail(facet=f"child {child}"))
    elif "Trig" in subtype and subtype.startswith(("AT_Enable", "AT_Disable")):
        if name:
            reader.emit("write", Ref("trigger", name, table.schema, of=(table,)), at, Detail(facet="enabled"))
        else:
            reader.emit("write", table, at, Detail(facet="triggers"))
    elif "Rule" in subtype and subtype.startswith(("AT_Enable", "AT_Disable")):
        reader.emit("write", Ref("rule", name, table.schema, of=(table,)), at, Detail(facet="enabled"))
    elif subtype in _FACETS:
        reader.emit("write", table, at, Detail(facet=_FACETS[subtype], message=subtype))
        if subtype == "AT_ChangeOwner":
            role(reader, command.get("newowner", {}), at)
    elif subtype in ("AT_AddOf", "AT_DropOf"):
        if node == "TypeName":
            queries.type_name(reader, definition)
        reader.emit("write", table, at, Detail(facet="definition"))
    else:
        reader.opaque(f"ALTER TABLE … {subtype.removeprefix('AT_')} is not read", at)


def role(reader: Reader, spec: Tree, at: int) -> None:
    """A role that is named, rather than PUBLIC or CURRENT_USER."""
    fields = spec.get("RoleSpec", spec)
    if fields.get("roletype") == "ROLESPEC_CSTRING":
        reader.emit("read", Ref("role", fields.get("rolename", "")), at)


def create_foreign_table(reader: Reader, fields: Tree) -> None:
    """Read CREATE FOREIGN TABLE."""
    reader.emit("read", Ref("server", fields.get("servername", "")))
    create_table(reader, fields.get("base") or fields.get("base_stmt") or {}, "foreign table")


def truncate(reader: Reader, fields: Tree) -> None:
    """Read TRUNCATE."""
    for each in fields.get("relations", ()):
        table = tree.relation(each.get("RangeVar", {}))
        at = tree.location(each.get("RangeVar", {}))
        reader.emit("write", table, at, Detail(facet="rows", events=("truncate",)))


def touch(reader: Reader, fields: Tree) -> None:
    """Read what works on one relation without changing what others could see: REINDEX, CLUSTER, LOCK, REFRESH."""
    ranges = [fields["relation"]] if "relation" in fields else []
    ranges += [each.get("RangeVar", {}) for each in fields.get("relations", ())]
    ranges += [each.get("VacuumRelation", {}).get("relation", {}) for each in fields.get("rels", ())]
    for each in ranges:
        if each.get("relname"):
            reader.emit("read", tree.relation(each), tree.location(each))
    if fields.get("indexname"):
        schema = fields.get("relation", {}).get("schemaname")
        reader.emit("read", Ref("relation", fields["indexname"], schema))


def copy(reader: Reader, fields: Tree) -> None:
    """Read COPY."""
    if fields.get("relation"):
        table = tree.relation(fields["relation"])
        at = tree.location(fields["relation"])
        for column in tree.strings(fields.get("attlist")):
            reader.emit("read", Ref("column", column, of=(table,)), at)
        if fields.get("is_from"):
            reader.emit("write", table, at, Detail(facet="rows", events=("insert",)))
        else:
            reader.emit("read", table, at)
    queries.statement(reader, fields.get("query"))
