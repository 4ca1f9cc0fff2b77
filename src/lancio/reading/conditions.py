"""Which facts of the catalog does a condition ask for?

`IF to_regclass('platform.projects') IS NULL`, `IF NOT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'x')`:
files that may be run again are full of these. Read as facts they become guards around what stands inside, and,
where the branch only raises, requirements with the file's own words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lancio.reading import queries, tree
from lancio.reading.model import ANY_SCHEMA, Guard, Ref, RowFact

if TYPE_CHECKING:
    from collections.abc import Callable

    from lancio.syntax.parser import Tree

    Evaluate = Callable[[Tree | None], str | None]

UNKNOWN = (Guard(None, "unknown"),)
Facts = tuple[tuple[Guard, ...], tuple[Guard, ...]]
"""What is known where the condition is true, and where it is not."""


def facts(node: Tree | None, evaluate: Evaluate) -> Facts:
    """The facts of an expression; UNKNOWN where it asks for something else."""
    name, fields = tree.unwrap(node)
    if name == "BoolExpr":
        return _bool(fields, evaluate)
    if name == "NullTest":
        ref = _looked_up(fields.get("arg"), evaluate)
        if ref is None:
            return UNKNOWN, UNKNOWN
        missing, there = (Guard(ref, "missing"),), (Guard(ref, "exists"),)
        return (missing, there) if fields.get("nulltesttype") == "IS_NULL" else (there, missing)
    if name == "SubLink" and fields.get("subLinkType") == "EXPR_SUBLINK":
        return facts(_alone(fields.get("subselect")), evaluate)
    if name == "SubLink" and fields.get("subLinkType") == "EXISTS_SUBLINK":
        found = asked(fields.get("subselect"), evaluate)
        if found is None:
            return _row_asked(fields.get("subselect"), evaluate)
        return (Guard(found, "exists"),), (Guard(found, "missing"),)
    return UNKNOWN, UNKNOWN


def _row_asked(query: Tree | None, evaluate: Evaluate) -> Facts:
    """`EXISTS (SELECT … FROM account WHERE email = 'x')`: a fact that only the database knows."""
    rows = wanted_rows(tree.unwrap(query)[1], evaluate)
    if len(rows) != 1 or not rows[0].values:
        return UNKNOWN, UNKNOWN
    table = rows[0].table
    if table.schema in ("pg_catalog", "information_schema") or table.name.startswith("pg_"):
        return UNKNOWN, UNKNOWN
    ref = Ref("row", table.name, table.schema, of=(table,))
    return (Guard(ref, "exists", row=rows[0]),), (Guard(ref, "missing", row=rows[0]),)


def _alone(query: Tree | None) -> Tree | None:
    """The expression of a subquery that is nothing else: `(SELECT to_regclass('x') IS NOT NULL)`."""
    select = tree.unwrap(query)[1]
    targets = select.get("targetList", ())
    if len(targets) != 1 or select.get("fromClause") or select.get("whereClause"):
        return None
    found: Tree | None = targets[0].get("ResTarget", {}).get("val")
    return found


def _bool(fields: Tree, evaluate: Evaluate) -> Facts:
    parts = [facts(each, evaluate) for each in fields.get("args", ())]
    if fields.get("boolop") == "NOT_EXPR":
        true, false = parts[0]
        return false, true
    every_true = tuple(guard for part in parts for guard in part[0])
    every_false = tuple(guard for part in parts for guard in part[1])
    if fields.get("boolop") == "AND_EXPR":
        return every_true, UNKNOWN
    return UNKNOWN, every_false


def alternatives(node: Tree | None, evaluate: Evaluate) -> list[Facts]:
    """The operands of an OR, each with its facts; a single condition stands alone."""
    name, fields = tree.unwrap(node)
    if name == "BoolExpr" and fields.get("boolop") == "OR_EXPR":
        return [each for part in fields.get("args", ()) for each in alternatives(part, evaluate)]
    return [facts(node, evaluate)]


_LOOKUPS = {
    "to_regclass": "relation", "to_regtype": "type", "to_regproc": "routine", "to_regprocedure": "routine",
    "to_regnamespace": "schema", "to_regrole": "role",
}  # fmt: skip


def _looked_up(node: Tree | None, evaluate: Evaluate) -> Ref | None:
    name, fields = tree.unwrap(node)
    if name == "TypeCast":
        return _looked_up(fields.get("arg"), evaluate)
    if name != "FuncCall" or not fields.get("args"):
        return None
    kind = _LOOKUPS.get(tree.last(fields.get("funcname")))
    text = evaluate(fields["args"][0])
    return queries.name_in_text(kind, text) if kind and text else None


_CATALOGS: dict[str, tuple[str, str, str, str]] = {
    # catalog: kind, column of the name, column of the schema, column of the relation
    "pg_extension": ("extension", "extname", "", ""),
    "pg_namespace": ("schema", "nspname", "", ""),
    "pg_roles": ("role", "rolname", "", ""),
    "pg_authid": ("role", "rolname", "", ""),
    "pg_user": ("role", "usename", "", ""),
    "pg_class": ("relation", "relname", "nspname", ""),
    "pg_tables": ("relation", "tablename", "schemaname", ""),
    "pg_views": ("relation", "viewname", "schemaname", ""),
    "pg_matviews": ("relation", "matviewname", "schemaname", ""),
    "pg_sequences": ("relation", "sequencename", "schemaname", ""),
    "pg_indexes": ("relation", "indexname", "schemaname", ""),
    "pg_type": ("type", "typname", "nspname", ""),
    "pg_proc": ("routine", "proname", "nspname", ""),
    "pg_policies": ("policy", "policyname", "schemaname", "tablename"),
    "pg_policy": ("policy", "polname", "", "polrelid"),
    "pg_trigger": ("trigger", "tgname", "", "tgrelid"),
    "pg_constraint": ("constraint", "conname", "", "conrelid"),
    "pg_attribute": ("column", "attname", "", "attrelid"),
    "pg_publication": ("publication", "pubname", "", ""),
    "pg_language": ("language", "lanname", "", ""),
    "pg_enum": ("label", "enumlabel", "", "enumtypid"),
}
_RANKS = {"pg_namespace": 1, "pg_class": 2, "pg_type": 2}
"""Of several catalogs in one query, the one with the highest rank (3) holds what is asked for."""

_INFORMATION: dict[str, tuple[str, str, str, str]] = {
    "tables": ("relation", "table_name", "table_schema", ""),
    "views": ("relation", "table_name", "table_schema", ""),
    "sequences": ("relation", "sequence_name", "sequence_schema", ""),
    "schemata": ("schema", "schema_name", "", ""),
    "columns": ("column", "column_name", "table_schema", "table_name"),
    "routines": ("routine", "routine_name", "routine_schema", ""),
    "triggers": ("trigger", "trigger_name", "event_object_schema", "event_object_table"),
    "table_constraints": ("constraint", "constraint_name", "table_schema", "table_name"),
}


def asked(node: Tree | None, evaluate: Evaluate) -> Ref | None:
    """The object whose presence a query on the catalogs asks for, or None."""
    name, select = tree.unwrap(node)
    if name != "SelectStmt":
        return None
    shape, rank = None, 0
    for range_var in _relations(select.get("fromClause", ())):
        relation = range_var.get("relname", "")
        schema = range_var.get("schemaname")
        if schema == "information_schema":
            shape = _INFORMATION.get(relation) or shape
        elif schema in (None, "pg_catalog") and relation in _CATALOGS and _RANKS.get(relation, 3) > rank:
            shape, rank = _CATALOGS[relation], _RANKS.get(relation, 3)
    if shape is None:
        return None
    kind, name_column, schema_column, relation_column = shape
    values: dict[str, str] = {}
    conditions = [select.get("whereClause"), *_join_conditions(select.get("fromClause", ()))]
    for condition in conditions:
        if not _equalities(condition, evaluate, values):
            return None  # something else is asked as well
    if name_column not in values:
        return None
    schema = values.get(schema_column, ANY_SCHEMA) if schema_column else None
    if not relation_column:
        return Ref(kind, values[name_column], schema)  # type: ignore[arg-type]
    named = values.get(relation_column) or values.get("typname" if kind == "label" else "relname")
    if named is None:
        return None
    relation = queries.name_in_text("relation", named)
    if schema:
        relation = Ref("relation", relation.name, schema)
    if kind == "label":
        relation = Ref("type", relation.name, relation.schema)
    part_schema = None if kind in ("column", "label") else relation.schema
    return Ref(kind, values[name_column], part_schema, of=(relation,))  # type: ignore[arg-type]


def _relations(nodes: list[Tree]) -> list[Tree]:
    return [fields for name, fields in tree.walk(nodes) if name == "RangeVar"]


def _join_conditions(nodes: list[Tree]) -> list[Tree]:
    return [fields["quals"] for name, fields in tree.walk(nodes) if name == "JoinExpr" and "quals" in fields]


# Conditions on these say more about the object, not which one it is.
_INCIDENTAL = frozenset((
    "relkind", "contype", "table_type", "constraint_type", "attnum", "attisdropped", "tgisinternal", "typtype",
    "data_type", "prokind", "udt_name", "is_nullable", "cmd", "relnamespace", "pronamespace", "typnamespace",
    "oid", "table_catalog",
))  # fmt: skip


def _equalities(node: Tree | None, evaluate: Evaluate, values: dict[str, str]) -> bool:
    """Collect `column = constant` of a conjunction; False where something else narrows the answer."""
    name, fields = tree.unwrap(node)
    if not name:
        return True
    if name == "BoolExpr" and fields.get("boolop") == "AND_EXPR":
        return min((_equalities(each, evaluate, values) for each in fields.get("args", ())), default=True)
    if name == "BoolExpr" and fields.get("boolop") == "NOT_EXPR":
        inner = tree.unwrap(fields["args"][0])
        return inner[0] == "ColumnRef" and _last(inner[1]) in _INCIDENTAL
    if name == "ColumnRef":
        return _last(fields) in _INCIDENTAL
    if name != "A_Expr" or fields.get("kind") not in ("AEXPR_OP", "AEXPR_IN", "AEXPR_OP_ANY"):
        return False
    left, right = fields.get("lexpr"), fields.get("rexpr")
    if tree.unwrap(left)[0] != "ColumnRef" and tree.unwrap(right)[0] == "ColumnRef":
        left, right = right, left
    kind, column = tree.unwrap(left)
    if kind == "TypeCast":
        kind, column = tree.unwrap(column.get("arg"))
    if kind != "ColumnRef":
        return False
    word = _last(column)
    if word in _INCIDENTAL:
        return True
    if tree.strings(fields.get("name")) != ("=",) or fields.get("kind") != "AEXPR_OP":
        return False
    if tree.unwrap(right)[0] == "ColumnRef":
        other = _last(tree.unwrap(right)[1])
        return other.endswith("oid") or other in _INCIDENTAL  # a join
    looked_up = _looked_up(right, evaluate)
    if looked_up is not None:
        values[word] = f"{looked_up.schema}.{looked_up.name}" if looked_up.schema else looked_up.name
        return True
    text = evaluate(right)
    if text is None:
        return False
    values[word] = text
    return True


def _last(column: Tree) -> str:
    parts = tree.strings(column.get("fields"))
    return parts[-1] if parts else ""


def wanted_rows(select: Tree, evaluate: Evaluate) -> tuple[RowFact, ...]:
    """The rows that a query asks for by constants: one for each table whose columns are compared with some."""
    tables: dict[str, Ref] = {}
    for range_var in _relations(select.get("fromClause", ())):
        shown = range_var.get("alias", {}).get("aliasname") or range_var.get("relname", "")
        tables[shown] = tree.relation(range_var)
    found: dict[str, list[tuple[str, str]]] = {}
    for condition in [select.get("whereClause"), *_join_conditions(select.get("fromClause", ()))]:
        for column, value in _constants(condition, evaluate):
            parts = tree.strings(column.get("fields"))
            if len(parts) > 1 and parts[-2] in tables:
                found.setdefault(parts[-2], []).append((parts[-1], value))
            elif len(parts) == 1 and len(tables) == 1:
                found.setdefault(next(iter(tables)), []).append((parts[0], value))
    return tuple(RowFact(tables[shown], tuple(values)) for shown, values in found.items())


def _constants(node: Tree | None, evaluate: Evaluate) -> list[tuple[Tree, str]]:
    name, fields = tree.unwrap(node)
    if name == "BoolExpr" and fields.get("boolop") == "AND_EXPR":
        return [each for part in fields.get("args", ()) for each in _constants(part, evaluate)]
    if name != "A_Expr" or fields.get("kind") != "AEXPR_OP" or tree.strings(fields.get("name")) != ("=",):
        return []
    for left, right in ((fields.get("lexpr"), fields.get("rexpr")), (fields.get("rexpr"), fields.get("lexpr"))):
        kind, column = tree.unwrap(left)
        if kind == "ColumnRef" and (value := evaluate(right)) is not None:
            return [(column, value)]
    return []
