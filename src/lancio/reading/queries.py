"""What does a query or an expression read? Relations, columns, routines, types: with the scopes of SQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lancio.reading import tree
from lancio.reading.model import Detail, Output, Query, Ref, RowFact

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lancio.reading.reader import Reader
    from lancio.syntax.parser import Tree


@dataclass
class Source:
    """Something in FROM: a relation, or a subquery, CTE or function with the columns it gives (None: unknown).

    `stars` are the relations that a subquery passes on with all their columns.
    """

    relation: Ref | None = None
    columns: frozenset[str] | None = None
    stars: tuple[Ref, ...] = ()


@dataclass
class Scope:
    """The names that an expression sees: those of its own FROM, then those around it."""

    outer: Scope | None = None
    sources: dict[str, Source] = field(default_factory=dict)
    ctes: dict[str, Source] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)  # variables, output names, arguments: not columns
    types: dict[str, Ref] = field(default_factory=dict)  # of `names`, the types of those that are arguments
    merged: set[str] = field(default_factory=set)  # columns of USING

    def chain(self) -> Iterable[Scope]:
        """This scope and those around it, nearest first."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.outer

    def cte(self, name: str) -> Source | None:
        """The common table expression of that name, if one is seen from here."""
        for scope in self.chain():
            if name in scope.ctes:
                return scope.ctes[name]
        return None


def variables(names: Iterable[str], types: dict[str, Ref] | None = None) -> Scope:
    """A scope that knows names which are no columns: arguments and variables of a routine."""
    return Scope(names=set(names), types=types or {})


# Names that stand for a value without being a column.
_PSEUDO = frozenset(("excluded", "tableoid", "ctid", "xmin", "xmax", "cmin", "cmax", "value"))


def select(reader: Reader, node: Tree, scope: Scope | None = None) -> Query:
    """Read a SelectStmt's fields; what comes out are its output columns."""
    own = Scope(outer=scope)
    _with(reader, node.get("withClause"), own)
    if node.get("op", "SETOP_NONE") != "SETOP_NONE":
        left = select(reader, node.get("larg", {}), own)
        select(reader, node.get("rarg", {}), own)
        own.names.update(output.name for output in left.outputs)
        for each in node.get("sortClause", ()):
            expression(reader, each.get("SortBy", {}).get("node"), own)
        return left
    if node.get("valuesLists"):
        width = 0
        for row in node["valuesLists"]:
            cells = tree.items(row)
            width = max(width, len(cells))
            for cell in cells:
                expression(reader, cell, own)
        return Query(tuple(Output(f"column{index + 1}") for index in range(width)))
    for item in node.get("fromClause", ()):
        from_item(reader, item, own)
    around, reader.extension = reader.extension, _extension_asked(node) or reader.extension
    outputs = [output for target in node.get("targetList", ()) for output in _target(reader, target, own)]
    reader.extension = around
    expression(reader, node.get("whereClause"), own)
    aliases = {
        target["ResTarget"]["name"] for target in node.get("targetList", ()) if target.get("ResTarget", {}).get("name")
    }
    late = Scope(outer=own, names=aliases)
    for clause in ("groupClause", "distinctClause"):
        for each in node.get(clause, ()):
            expression(reader, each, late)
    expression(reader, node.get("havingClause"), own)
    for each in node.get("windowClause", ()):
        expression(reader, each, own)
    for each in node.get("sortClause", ()):
        expression(reader, each.get("SortBy", {}).get("node"), late)
    for clause in ("limitCount", "limitOffset"):
        expression(reader, node.get(clause), own)
    for each in node.get("lockingClause", ()):
        for locked in each.get("LockingClause", {}).get("lockedRels", ()):
            del locked  # names of sources of this query: read above
    return Query(tuple(outputs))


def _target(reader: Reader, target: Tree, scope: Scope) -> Iterable[Output]:
    fields = target.get("ResTarget", {})
    name, value = tree.unwrap(fields.get("val"))
    if name == "ColumnRef" and "A_Star" in (value.get("fields") or [{}])[-1]:
        return _star(reader, value, scope)
    expression(reader, fields.get("val"), scope)
    return (Output(fields.get("name") or _output_name(fields.get("val"))),)


def _star(reader: Reader, column: Tree, scope: Scope) -> Iterable[Output]:
    """The columns that `*` or `t.*` stands for."""
    parts = tree.strings(column["fields"][:-1])
    sources: list[Source] = []
    if not parts:
        sources = list(scope.sources.values())
    else:
        for each in scope.chain():
            if parts[-1] in each.sources:
                sources = [each.sources[parts[-1]]]
                break
        else:
            for word in parts:
                _column(reader, (word,), tree.location(column), scope)
    outputs: list[Output] = []
    for source in sources:
        if source.relation is not None:
            reader.emit("read", Ref("column", "*", of=(source.relation,)), tree.location(column), soft=True)
            outputs.append(Output("*", (source.relation,)))
        elif source.columns is not None:
            outputs.extend(Output("*", (relation,)) for relation in source.stars)
            outputs.extend(Output(name) for name in sorted(source.columns))
        else:
            outputs.append(Output("*"))
    return outputs


def _output_name(node: Tree | None) -> str:
    name, fields = tree.unwrap(node)
    if name == "ColumnRef":
        last = fields.get("fields", [{}])[-1]
        return tree.text_of(last)
    if name == "FuncCall":
        return tree.last(fields.get("funcname"))
    if name == "TypeCast":
        inner = _output_name(fields.get("arg"))
        return inner if inner != "?column?" else tree.last(fields.get("typeName", {}).get("names"))
    if name == "SubLink":
        kind = fields.get("subLinkType", "")
        targets = tree.unwrap(fields.get("subselect"))[1].get("targetList") or [{}]
        first = targets[0].get("ResTarget", {})
        named = first.get("name") or _output_name(first.get("val"))
        return {"EXISTS_SUBLINK": "exists", "ARRAY_SUBLINK": "array", "EXPR_SUBLINK": named}.get(kind, "?column?")
    if name == "A_Indirection":
        last = fields.get("indirection", [{}])[-1]
        return tree.text_of(last) or _output_name(fields.get("arg"))
    return {
        "CaseExpr": "case", "CoalesceExpr": "coalesce", "A_ArrayExpr": "array", "RowExpr": "row",
        "MinMaxExpr": "greatest", "XmlExpr": "xml",
    }.get(name, "?column?")  # fmt: skip


def _source(query: Query | None, aliases: tuple[str, ...] = ()) -> Source:
    """A query as something in FROM."""
    if query is None:
        return Source()
    stars = tuple(relation for output in query.outputs for relation in output.star)
    if any(output.name == "*" and not output.star for output in query.outputs) or (stars and aliases):
        return Source()
    names = [output.name for output in query.outputs if output.name != "*"]
    names[: len(aliases)] = aliases
    return Source(columns=frozenset(names), stars=stars)


def _with(reader: Reader, clause: Tree | None, scope: Scope) -> None:
    if not clause:
        return
    for each in clause.get("ctes", ()):
        cte = each.get("CommonTableExpr", {})
        aliases = tree.strings(cte.get("aliascolnames"))
        if clause.get("recursive"):
            scope.ctes[cte.get("ctename", "")] = Source(columns=None)
        query = statement(reader, cte.get("ctequery"), scope)
        scope.ctes[cte.get("ctename", "")] = _source(query, aliases)


def statement(reader: Reader, node: Tree | None, scope: Scope | None = None) -> Query | None:
    """Read a query or a data-modifying statement inside of another."""
    name, fields = tree.unwrap(node)
    if name == "SelectStmt":
        return select(reader, fields, scope)
    if name == "InsertStmt":
        return insert(reader, fields, scope)
    if name == "UpdateStmt":
        return update(reader, fields, scope)
    if name == "DeleteStmt":
        return delete(reader, fields, scope)
    if name == "MergeStmt":
        return merge(reader, fields, scope)
    return None


def from_item(reader: Reader, node: Tree, scope: Scope) -> None:
    """Read one item of a FROM clause and add what it names to the scope."""
    name, fields = tree.unwrap(node)
    if name == "RangeVar":
        _range_var(reader, fields, scope)
    elif name == "JoinExpr":
        from_item(reader, fields.get("larg", {}), scope)
        from_item(reader, fields.get("rarg", {}), scope)
        using = tree.strings(fields.get("usingClause"))
        for column in using:
            _column(reader, (column,), -1, scope, every=True)
        scope.merged.update(using)
        expression(reader, fields.get("quals"), scope)
        if fields.get("alias"):
            scope.sources[fields["alias"].get("aliasname", "")] = Source()
    elif name == "RangeSubselect":
        # Without LATERAL a subquery does not see the other items of its FROM.
        seen = scope if fields.get("lateral") else Scope(outer=scope.outer, ctes=scope.ctes, names=scope.names)
        query = statement(reader, fields.get("subquery"), seen)
        alias = fields.get("alias", {})
        shown = alias.get("aliasname", f"subquery {len(scope.sources)}")
        scope.sources[shown] = _source(query, tree.strings(alias.get("colnames")))
    elif name == "RangeFunction":
        called = ""
        for function in fields.get("functions", ()):
            for item in tree.items(function):
                expression(reader, item, scope)
                if "FuncCall" in item:
                    called = tree.last(item["FuncCall"].get("funcname"))
        for definition in fields.get("coldeflist", ()):
            type_name(reader, definition.get("ColumnDef", {}).get("typeName"))
        alias = fields.get("alias", {}).get("aliasname") or called
        scope.sources[alias] = Source()
    elif name in ("RangeTableSample", "RangeTableFunc", "JsonTable"):
        if "relation" in fields:
            from_item(reader, fields["relation"], scope)
        for key, value in fields.items():
            if key not in ("relation", "alias"):
                expression(reader, value, scope)
        if fields.get("alias"):
            scope.sources[fields["alias"].get("aliasname", "")] = Source()


def _range_var(reader: Reader, fields: Tree, scope: Scope) -> None:
    alias = fields.get("alias", {})
    shown = alias.get("aliasname") or fields.get("relname", "")
    if not fields.get("schemaname") and (cte := scope.cte(fields.get("relname", ""))):
        columns = tree.strings(alias.get("colnames"))
        scope.sources[shown] = Source(columns=frozenset(columns)) if columns else cte
        return
    ref = tree.relation(fields)
    reader.emit("read", ref, tree.location(fields))
    if alias.get("colnames"):
        scope.sources[shown] = Source()
    else:
        scope.sources[shown] = Source(relation=ref)


def expression(reader: Reader, node: Any, scope: Scope) -> None:
    """Read an expression, or a list of them."""
    if isinstance(node, list):
        for each in node:
            expression(reader, each, scope)
        return
    if not isinstance(node, dict):
        return
    for name, fields in node.items():
        if name == "ColumnRef":
            parts = fields.get("fields", ())
            if parts and "A_Star" in parts[-1]:
                _star(reader, fields, scope)
            else:
                _column(reader, tree.strings(parts), tree.location(fields), scope)
        elif name == "FuncCall":
            call(reader, fields, scope)
        elif name == "TypeCast":
            expression(reader, fields.get("arg"), scope)
            type_name(reader, fields.get("typeName"))
            _named_constant(reader, fields)
            label(reader, fields.get("typeName"), fields.get("arg"))
        elif name == "SubLink":
            expression(reader, fields.get("testexpr"), scope)
            statement(reader, fields.get("subselect"), scope)
        elif name == "CollateClause":
            expression(reader, fields.get("arg"), scope)
            reader.emit("read", tree.any_name("collation", tree.strings(fields.get("collname"))), tree.location(fields))
        elif name == "SelectStmt":
            select(reader, fields, scope)
        elif name == "typeName":
            type_name(reader, fields)
        elif isinstance(fields, list):
            expression(reader, fields, scope)
        elif isinstance(fields, dict):
            expression(reader, fields, scope)
            if name == "A_Expr":
                _compared(reader, fields, scope)
                parts = tree.strings(fields.get("name"))
                if len(parts) > 1 or (parts and parts[0] not in _PLAIN_OPERATORS):
                    reader.emit("read", tree.any_name("operator", parts), tree.location(fields))
            elif name == "CaseExpr":
                _in_case(reader, fields, scope)


_BY_NAME = {"regclass": "relation", "regtype": "type"}


def _named_constant(reader: Reader, cast: Tree) -> None:
    """`'platform.projects'::regclass` needs the relation as much as FROM does."""
    kind = _BY_NAME.get(tree.last(cast.get("typeName", {}).get("names")))
    text = tree.constant(cast.get("arg"))
    if kind and text:
        reader.emit("read", name_in_text(kind, text), tree.location(cast))


def label(reader: Reader, type_: Tree | None, value: Tree | None) -> None:
    """A constant of a type that may be an enum: then it needs the label, which may be younger than the type."""
    name, fields = tree.unwrap(value)
    if type_ and name == "A_Const" and "sval" in fields and not type_.get("arrayBounds"):
        ref, text = tree.type_ref(type_), tree.constant(value)
        if ref.kind == "type" and ref.schema != "pg_catalog" and ref.name not in _NO_ENUMS and text and len(text) < 64:
            reader.emit("read", Ref("label", text, of=(ref,)), tree.location(type_))


def constant_of(reader: Reader, beside: Ref, value: Tree | None, location: int) -> None:
    """A constant beside a column, or a thing of a type, that may be an enum: then it needs the label."""
    name, fields = tree.unwrap(value)
    if name != "A_Const" or "sval" not in fields:
        return
    text = tree.constant(value)
    if text and len(text) < 64 and reader.first_time(beside, text):
        reader.emit("read", Ref("label", text, of=(beside,)), location)


_PLAIN_OPERATORS = frozenset((
    "=", "<>", "<", ">", "<=", ">=", "+", "-", "*", "/", "%", "||", "~~", "!~~", "~~*", "!~~*", "~", "~*", "!~", "!~*",
    "->", "->>", "#>", "#>>", "@>", "<@", "&&", "?", "?|", "?&", "BETWEEN", "NOT BETWEEN", "BETWEEN SYMMETRIC",
    "NOT BETWEEN SYMMETRIC",
))  # fmt: skip
"""Operators that every server has; others may be somebody's own."""

_COMPARISONS = frozenset(("=", "<>", "<", ">", "<=", ">="))


def _compared(reader: Reader, fields: Tree, scope: Scope) -> None:
    """`state = 'pending'`, `state IN ('a', 'b')`, `state = ANY (ARRAY['a', 'b'])`."""
    if tree.strings(fields.get("name"))[-1:] and tree.strings(fields.get("name"))[-1] not in _COMPARISONS:
        return
    for one, other in (("lexpr", "rexpr"), ("rexpr", "lexpr")):
        kind, column = tree.unwrap(fields.get(one))
        if kind != "ColumnRef":
            continue
        inner_kind, inner = tree.unwrap(fields.get(other))
        elements = inner.get("elements") if inner_kind == "A_ArrayExpr" else tree.items(fields.get(other))
        values = elements or [fields.get(other)]
        if any("A_Const" in (value or {}) for value in values) and (beside := _beside(column, scope)) is not None:
            for value in values:
                constant_of(reader, beside, value, tree.location(fields))


def _in_case(reader: Reader, fields: Tree, scope: Scope) -> None:
    """`CASE state WHEN 'pending' THEN …`."""
    kind, column = tree.unwrap(fields.get("arg"))
    if kind == "ColumnRef" and (beside := _beside(column, scope)) is not None:
        for each in fields.get("args", ()):
            constant_of(reader, beside, each.get("CaseWhen", {}).get("expr"), tree.location(fields))


def _beside(column: Tree, scope: Scope) -> Ref | None:
    """The column that a name means, or the type of the argument; None where it is neither."""
    parts = tree.strings(column.get("fields"))
    if len(parts) > 1:
        source = next((each.sources[parts[-2]] for each in scope.chain() if parts[-2] in each.sources), None)
        return Ref("column", parts[-1], of=(source.relation,)) if source is not None and source.relation else None
    for each in scope.chain():
        if parts and parts[0] in each.types:
            return each.types[parts[0]]
        if parts and parts[0] in each.names:
            return None
        relations = tuple(source.relation for source in each.sources.values() if source.relation is not None)
        if parts and relations:
            return Ref("column", parts[0], of=relations)
    return None


_NO_ENUMS = frozenset(("text", "uuid", "json", "jsonb", "date", "regclass", "regtype", "inet", "bytea", "name", "xml"))


def name_in_text(kind: Any, text: str) -> Ref:
    """The object that a string names, as the reg* types read it (`platform.f(uuid)` for a routine)."""
    args: tuple[str, ...] | None = None
    if kind == "routine" and "(" in text:
        text, inside = text.rstrip().rstrip(")").split("(", 1)
        args = tuple(canonical_type(each.strip()) for each in inside.split(",") if each.strip())
    parts = []
    rest = text.strip()
    while rest:
        if rest[0] == '"':
            end = rest.find('"', 1)
            parts.append(rest[1:end] if end > 0 else rest[1:])
            rest = rest[end + 1 :] if end > 0 else ""
        else:
            part, _, rest = rest.partition(".")
            parts.append(part.lower())
            continue
        rest = rest.removeprefix(".")
    schema, name = tree.qualified(tuple(parts))
    return Ref(kind, name, schema, args)


def canonical_type(text: str) -> str:
    """A type as format_type() writes it, from the way a person does."""
    array = "[]" if text.endswith("[]") else ""
    bare = text.removesuffix("[]").strip().lower().split("(")[0].strip()
    return tree.WORDS.get(bare, bare) + array


def type_name(reader: Reader, node: Tree | None) -> None:
    """Read the name of a type."""
    if not node or not node.get("names"):
        return
    ref = tree.type_ref(node)
    if ref.kind == "column":
        reader.emit("read", ref.of[0], tree.location(node))
    reader.emit("read", ref, tree.location(node))


_EXISTENCE = {
    "to_regclass": "relation", "to_regtype": "type", "to_regproc": "routine", "to_regprocedure": "routine",
    "to_regnamespace": "schema", "to_regrole": "role",
}  # fmt: skip
_REQUIRED = {
    "nextval": "relation", "currval": "relation", "setval": "relation", "pg_get_serial_sequence": "relation",
    "format_type": None,
}  # fmt: skip


def call(reader: Reader, fields: Tree, scope: Scope) -> None:
    """Read a call of a function."""
    parts = tree.strings(fields.get("funcname"))
    schema, name = tree.qualified(parts)
    arguments = fields.get("args", [])
    for key in ("args", "agg_order", "agg_filter", "over"):
        expression(reader, fields.get(key), scope)
    if schema in (None, "pg_catalog"):
        first = tree.constant(arguments[0]) if arguments else None
        if name in ("set_config", "current_setting") and first:
            _setting(reader, name, first, arguments, tree.location(fields))
            return
        if name in _EXISTENCE:
            return  # a question, not a need
        kind = _REQUIRED.get(name)
        if kind and first:
            reader.emit("read", name_in_text(kind, first), tree.location(fields))
    reader.emit("call", Ref("routine", name, schema, None, len(arguments)), tree.location(fields))


def _extension_asked(select: Tree) -> str:
    """The extension whose row of pg_extension a query asks for; "" if it asks for none."""
    if not any(fields.get("relname") == "pg_extension" for _, fields in tree.walk(select.get("fromClause", ()))):
        return ""
    for name, fields in tree.walk(select.get("whereClause")):
        if name == "A_Expr" and tree.strings(fields.get("name")) == ("=",):
            column = tree.unwrap(fields.get("lexpr"))[1]
            if tree.last(column.get("fields")) == "extname":
                return tree.constant(fields.get("rexpr")) or ""
    return ""


def _with_extension(node: Tree, extension: str) -> str | None:
    """A text put together from constants and the name of the extension's schema, which is written `@extension`."""
    name, fields = tree.unwrap(node)
    if (constant := tree.constant(node)) is not None:
        return constant
    if name == "ColumnRef":
        return f"@{extension}" if tree.last(fields.get("fields")) == "nspname" else None
    if name == "TypeCast":
        return _with_extension(fields.get("arg", {}), extension)
    if name == "FuncCall" and tree.last(fields.get("funcname")) == "quote_ident":
        return _with_extension(fields["args"][0], extension) if fields.get("args") else None
    if name == "A_Expr" and tree.strings(fields.get("name")) == ("||",):
        left, right = (_with_extension(fields.get(side, {}), extension) for side in ("lexpr", "rexpr"))
        return left + right if left is not None and right is not None else None
    return None


def _setting(reader: Reader, function: str, name: str, arguments: list[Tree], location: int) -> None:
    if function == "current_setting":
        missing_ok = len(arguments) > 1 and tree.constant(arguments[1]) == "true"
        reader.emit("read", Ref("setting", name.lower()), location, soft=True if missing_ok else None)
        return
    value = tree.constant(arguments[1]) if len(arguments) > 1 else None
    local = len(arguments) > 2 and tree.constant(arguments[2]) == "true"
    if name.lower() == "search_path":
        if value is None and reader.extension and len(arguments) > 1:
            value = _with_extension(arguments[1], reader.extension)
        if value is None:
            reader.opaque("search_path is set to a computed value", location)
            return
        path = tuple(part.strip().strip('"') for part in value.split(",") if part.strip())
        reader.emit("set", Ref("setting", "search_path"), location, Detail(path=path, local=local))
    else:
        reader.emit("set", Ref("setting", name.lower()), location, Detail(local=local))


def _column(reader: Reader, parts: tuple[str, ...], location: int, scope: Scope, *, every: bool = False) -> None:
    """Read a column: `c`, `t.c` or `s.t.c`."""
    if not parts:
        return
    if len(parts) == 1:
        _bare_column(reader, parts[0], location, scope, every=every)
        return
    table, column = parts[-2], parts[-1]
    for each in scope.chain():
        source = each.sources.get(table)
        if source is not None:
            if source.relation is not None:
                reader.emit("read", Ref("column", column, of=(source.relation,)), location)
            elif source.stars and source.columns is not None and column not in source.columns:
                reader.emit("read", Ref("column", column, of=source.stars), location)
            return
        if table in each.names:
            return
    # `t.c` where t is a column or variable of a composite type, or NEW and OLD: nothing to be known from here.


def _bare_column(reader: Reader, name: str, location: int, scope: Scope, *, every: bool) -> None:
    relations: list[Ref] = []
    sure = True
    if name in _PSEUDO:
        return
    for each in scope.chain():
        if name in each.names or name in each.sources or (name in each.merged and not every):
            return
        for source in each.sources.values():
            if source.relation is not None:
                relations.append(source.relation)
            elif source.columns is None:
                sure = False
            elif name in source.columns and not every:
                return
            else:
                relations.extend(source.stars)
    if every:
        for relation in relations:
            reader.emit("read", Ref("column", name, of=(relation,)), location, soft=True)
    elif relations:
        reader.emit("read", Ref("column", name, of=tuple(relations)), location, soft=None if sure else True)


# Statements that change rows.


def insert(reader: Reader, fields: Tree, scope: Scope | None = None) -> Query:
    """Read INSERT."""
    own = Scope(outer=scope)
    _with(reader, fields.get("withClause"), own)
    target = tree.relation(fields.get("relation", {}))
    at = tree.location(fields.get("relation", {}))
    columns = tuple(column.get("ResTarget", {}).get("name", "") for column in fields.get("cols", ()))
    for column in fields.get("cols", ()):
        item = column.get("ResTarget", {})
        reader.emit("read", Ref("column", item.get("name", ""), of=(target,)), tree.location(item))
    source = fields.get("selectStmt")
    if source:
        statement(reader, source, own)
    certain = "valuesLists" in tree.unwrap(source)[1] and "onConflictClause" not in fields
    nothing = _nothing(columns, tree.unwrap(source)[1]) if certain else frozenset()
    given = tuple(column for column in columns if column not in nothing)
    detail = Detail(facet="rows", events=("insert",), each_row=certain, columns_of=given, keys=tuple(sorted(nothing)))
    reader.emit("write", target, at, detail)
    _inserted(reader, target, columns, tree.unwrap(source)[1] if source else {}, at)
    for row in constant_rows(target, columns, tree.unwrap(source)[1] if source else {}):
        reader.emit("rows", Ref("row", target.name, target.schema, of=(target,)), at, Detail(row=row))
    inner = Scope(outer=own, sources={fields.get("relation", {}).get("relname", ""): Source(relation=target)})
    alias = fields.get("relation", {}).get("alias", {}).get("aliasname")
    if alias:
        inner.sources = {alias: Source(relation=target)}
    conflict = fields.get("onConflictClause")
    if conflict:
        infer = conflict.get("infer", {})
        for element in infer.get("indexElems", ()):
            item = element.get("IndexElem", {})
            if item.get("name"):
                reader.emit("read", Ref("column", item["name"], of=(target,)), tree.location(infer))
            expression(reader, item.get("expr"), inner)
        keys = [element.get("IndexElem", {}).get("name", "") for element in infer.get("indexElems", ())]
        if keys and all(keys):
            asked = Detail(partial="whereClause" in infer)
            reader.emit("read", Ref("unique", ", ".join(keys), of=(target,)), tree.location(infer), asked)
        if infer.get("conname"):
            reader.emit("read", Ref("constraint", infer["conname"], of=(target,)), tree.location(infer))
        _assign(reader, conflict.get("targetList", ()), target, inner)
        expression(reader, conflict.get("whereClause"), inner)
        if conflict.get("action") == "ONCONFLICT_UPDATE":
            reader.emit("write", target, at, Detail(facet="rows", events=("update",)))
    return _returning(reader, fields, inner)


ROWS_READ = 1000
"""Of one INSERT so many rows are told one by one."""


def constant_rows(
    table: Ref, columns: tuple[str, ...], source: Tree, known: dict[str, str] | None = None
) -> Iterable[RowFact]:
    """The rows whose values the text gives as constants; values that are computed are left out of them."""
    if not columns:
        return
    lists = [tree.items(row) for row in source.get("valuesLists", ())]
    if not lists and source.get("targetList"):
        lists = [[target.get("ResTarget", {}).get("val", {}) for target in source["targetList"]]]
    for cells in lists[:ROWS_READ]:
        values = []
        for column, cell in zip(columns, cells, strict=False):
            value = tree.constant(cell)
            if value is None and known:
                value = known.get(_output_name(cell))
            if value is not None:
                values.append((column, value))
        yield RowFact(table, tuple(values))


def _nothing(columns: tuple[str, ...], source: Tree) -> frozenset[str]:
    """The columns that get NULL in one of the rows."""
    return frozenset(
        column
        for row in source.get("valuesLists", ())
        for column, cell in zip(columns, tree.items(row), strict=False)
        if cell.get("A_Const", {}).get("isnull")
    )


def _inserted(reader: Reader, table: Ref, columns: tuple[str, ...], source: Tree, at: int) -> None:
    """The constants that go into the columns of new rows."""
    rows = [tree.items(row) for row in source.get("valuesLists", ())]
    if not rows and source.get("targetList"):
        rows = [[target.get("ResTarget", {}).get("val", {}) for target in source["targetList"]]]
    beside = [Ref("column", column, of=(table,)) for column in columns]
    for row in rows:
        for column, cell in zip(beside, row, strict=False):
            constant_of(reader, column, cell, at)


def update(reader: Reader, fields: Tree, scope: Scope | None = None) -> Query:
    """Read UPDATE."""
    own = Scope(outer=scope)
    _with(reader, fields.get("withClause"), own)
    target = tree.relation(fields.get("relation", {}))
    at = tree.location(fields.get("relation", {}))
    inner = _target_scope(fields, target, own)
    for item in fields.get("fromClause", ()):
        from_item(reader, item, inner)
    reader.emit("write", target, at, Detail(facet="rows", events=("update",)))
    _assign(reader, fields.get("targetList", ()), target, inner)
    expression(reader, fields.get("whereClause"), inner)
    return _returning(reader, fields, inner)


def delete(reader: Reader, fields: Tree, scope: Scope | None = None) -> Query:
    """Read DELETE."""
    own = Scope(outer=scope)
    _with(reader, fields.get("withClause"), own)
    target = tree.relation(fields.get("relation", {}))
    inner = _target_scope(fields, target, own)
    for item in fields.get("usingClause", ()):
        from_item(reader, item, inner)
    at = tree.location(fields.get("relation", {}))
    reader.emit("write", target, at, Detail(facet="rows", events=("delete",)))
    expression(reader, fields.get("whereClause"), inner)
    return _returning(reader, fields, inner)


def merge(reader: Reader, fields: Tree, scope: Scope | None = None) -> Query:
    """Read MERGE."""
    own = Scope(outer=scope)
    _with(reader, fields.get("withClause"), own)
    target = tree.relation(fields.get("relation", {}))
    inner = _target_scope(fields, target, own)
    from_item(reader, fields.get("sourceRelation", {}), inner)
    expression(reader, fields.get("joinCondition"), inner)
    at = tree.location(fields.get("relation", {}))
    for each in fields.get("mergeWhenClauses", ()):
        clause = each.get("MergeWhenClause", {})
        expression(reader, clause.get("condition"), inner)
        event = {"CMD_INSERT": "insert", "CMD_UPDATE": "update", "CMD_DELETE": "delete"}.get(
            clause.get("commandType", "")
        )
        if event:
            reader.emit("write", target, at, Detail(facet="rows", events=(event,)))
        _assign(reader, clause.get("targetList", ()), target, inner)
        expression(reader, clause.get("values"), inner)
    return _returning(reader, fields, inner)


def _target_scope(fields: Tree, target: Ref, outer: Scope) -> Scope:
    shown = fields.get("relation", {})
    name = shown.get("alias", {}).get("aliasname") or shown.get("relname", "")
    return Scope(outer=outer, sources={name: Source(relation=target)})


def _assign(reader: Reader, targets: Iterable[Tree], target: Ref, scope: Scope) -> None:
    for each in targets:
        item = each.get("ResTarget", {})
        if item.get("name"):
            column = Ref("column", item["name"], of=(target,))
            reader.emit("read", column, tree.location(item))
            constant_of(reader, column, item.get("val"), tree.location(item))
        expression(reader, item.get("val"), scope)


def _returning(reader: Reader, fields: Tree, scope: Scope) -> Query:
    outputs: list[Output] = []
    clause = fields.get("returningClause", {})
    for target in clause.get("exprs", ()) or fields.get("returningList", ()):
        outputs.extend(_target(reader, target, scope))
    return Query(tuple(outputs))
