"""Which server version does a statement's own syntax need?

PostgreSQL's grammar of today reads every statement; an older server stumbles over what came later. The versions are
those of PostgreSQL's release notes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lancio.reading import tree
from lancio.syntax import lexer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lancio.syntax.parser import RawStatement, Tree


class Feature(NamedTuple):
    """Something that a statement says: since which major version servers know it, and what an older one offers."""

    name: str
    since: int
    instead: str = ""


Found = tuple[Feature, int]
"""A feature, and the byte of the statement at which it stands (-1: its beginning)."""


def used(statement: RawStatement, sql: str) -> Iterator[Found]:
    """The features that one statement uses, each once; `sql` is its text."""
    told: set[str] = set()
    for name, fields in ((statement.node, statement.tree), *tree.walk(statement.tree)):
        for feature, holds in NODES.get(name, ()):
            if feature.name not in told and holds(fields):
                told.add(feature.name)
                yield feature, int(fields.get("location", -1))
    if statement.node == "CreateTrigStmt" and (at := _words(sql, "execute", "function")) >= 0:
        yield EXECUTE_FUNCTION, at


def _words(sql: str, first: str, second: str) -> int:
    """Where two words stand beside each other; -1 if they do not."""
    raw = sql.encode()
    before, at = "", -1
    for token in lexer.tokens(raw):
        if token.kind in lexer.BLANK:
            continue
        word = raw[token.start : token.end].decode().lower() if token.kind == "word" else ""
        if (before, word) == (first, second):
            return at
        before, at = word, token.start
    return -1


EXECUTE_FUNCTION = Feature("EXECUTE FUNCTION", 11, "EXECUTE PROCEDURE means the same on every version")


def _has(*names: str) -> Callable[[Tree], bool]:
    return lambda fields: any(bool(fields.get(name)) for name in names)


def _is(name: str, *values: object) -> Callable[[Tree], bool]:
    return lambda fields: fields.get(name) in values


def _option(name: str, *lists: str) -> Callable[[Tree], bool]:
    return lambda fields: any(tree.option(fields.get(key), name) is not None for key in lists)


def _always(_: Tree) -> bool:
    return True


def _partitioned_key(fields: Tree) -> bool:
    """A key in the CREATE TABLE of a partitioned table."""
    return bool(fields.get("partspec")) and any(
        inner.get("contype") in ("CONSTR_PRIMARY", "CONSTR_UNIQUE", "CONSTR_FOREIGN")
        for name, inner in tree.walk(fields.get("tableElts", ()))
        if name == "Constraint"
    )


def _constraint(kind: str, **more: object) -> Callable[[Tree], bool]:
    return lambda fields: (
        fields.get("contype") == kind and all(fields.get(name) == value for name, value in more.items())
    )


def _not_enforced(fields: Tree) -> bool:
    return fields.get("contype") in ("CONSTR_CHECK", "CONSTR_FOREIGN") and not fields.get("is_enforced")


def _generated(kind: str) -> Callable[[Tree], bool]:
    return _constraint("CONSTR_GENERATED", generated_kind=kind)


def _strategy(name: str) -> Callable[[Tree], bool]:
    return lambda fields: (
        str(fields.get("partspec", {}).get("strategy", "")).lower() in (name, f"partition_strategy_{name}")
    )


def _out_argument(fields: Tree) -> bool:
    return bool(fields.get("is_procedure")) and any(
        each.get("FunctionParameter", {}).get("mode") == "FUNC_PARAM_OUT" for each in fields.get("parameters", ())
    )


def _old_or_new(fields: Tree) -> bool:
    """RETURNING with the row before or after, where neither is a table's own name there."""
    returning = fields.get("returningClause", {})
    own = {inner.get("aliasname") for name, inner in _aliases(fields)} | {fields.get("relation", {}).get("relname")}
    return bool(returning.get("options")) or any(
        name == "ColumnRef" and len(parts := tree.strings(inner.get("fields"))) > 1 and parts[0] in {"old", "new"} - own
        for name, inner in tree.walk(returning.get("exprs", ()))
    )


def _aliases(fields: Tree) -> Iterator[tuple[str, Tree]]:
    yield "alias", fields.get("relation", {}).get("alias", {})
    for name, inner in tree.walk(fields):
        if name == "RangeVar":
            yield name, inner.get("alias", {})


def _of(
    node: str, *uses: tuple[str, int, Callable[[Tree], bool]] | tuple[str, int, Callable[[Tree], bool], str]
) -> None:
    for use in uses:
        NODES.setdefault(node, []).append((Feature(use[0], use[1], *use[3:]), use[2]))


NODES: dict[str, list[tuple[Feature, Callable[[Tree], bool]]]] = {}
"""For each node of the parse tree the features that it may show."""

_of(
    "Constraint",
    ("GENERATED … AS IDENTITY", 10, _is("contype", "CONSTR_IDENTITY"), "serial"),
    ("GENERATED … STORED", 12, _generated("s"), "a trigger"),
    ("GENERATED … VIRTUAL", 18, _generated("v"), "a view"),
    ("INCLUDE", 11, _has("including")),
    ("NULLS NOT DISTINCT", 15, _has("nulls_not_distinct"), "a unique index on coalesce(…)"),
    ("ON DELETE SET NULL (columns)", 15, _has("fk_del_set_cols")),
    ("WITHOUT OVERLAPS", 18, _has("without_overlaps"), "EXCLUDE USING gist"),
    ("PERIOD in a foreign key", 18, _has("fk_with_period")),
    ("NOT ENFORCED", 18, _not_enforced),
    (
        "NOT NULL … NOT VALID",
        18,
        _constraint("CONSTR_NOTNULL", skip_validation=True),
        "CHECK (… IS NOT NULL) NOT VALID",
    ),
)
_of(
    "CreateStmt",
    ("PARTITION BY", 10, _has("partspec")),
    ("PARTITION BY HASH", 11, _strategy("hash")),
    ("a key on a partitioned table", 11, _partitioned_key),
    ("PARTITION … DEFAULT", 11, lambda fields: bool(fields.get("partbound", {}).get("is_default"))),
    ("CREATE TABLE … USING", 12, _has("accessMethod")),
)
_of(
    "ColumnDef",
    ("COMPRESSION", 14, _has("compression")),
    ("STORAGE in CREATE TABLE", 16, _has("storage_name"), "ALTER COLUMN … SET STORAGE"),
)
_of(
    "IndexStmt",
    ("INCLUDE", 11, _has("indexIncludingParams")),
    ("NULLS NOT DISTINCT", 15, _has("nulls_not_distinct"), "a unique index on coalesce(…)"),
)
_of("ViewStmt", ("security_invoker", 15, _option("security_invoker", "options")))
_of(
    "AlterTableCmd",
    ("ALTER COLUMN … DROP EXPRESSION", 13, _is("subtype", "AT_DropExpression")),
    ("ALTER COLUMN … SET EXPRESSION", 17, _is("subtype", "AT_SetExpression")),
    ("SET COMPRESSION", 14, _is("subtype", "AT_SetCompression")),
    ("SET ACCESS METHOD", 15, _is("subtype", "AT_SetAccessMethod")),
    ("ATTACH and DETACH PARTITION", 10, _is("subtype", "AT_AttachPartition", "AT_DetachPartition")),
    ("DETACH PARTITION … CONCURRENTLY", 14, _is("subtype", "AT_DetachPartitionFinalize")),
    (
        "security_invoker",
        15,
        lambda fields: _option("security_invoker", "items")(fields.get("def", {}).get("List", {})),
    ),
)
_of("PartitionCmd", ("DETACH PARTITION … CONCURRENTLY", 14, _has("concurrent")))
_of(
    "CreateTrigStmt",
    ("REFERENCING … TABLE", 10, _has("transitionRels")),
    ("CREATE OR REPLACE TRIGGER", 14, _has("replace"), "DROP TRIGGER IF EXISTS before it"),
)
_of(
    "CreateFunctionStmt",
    ("CREATE PROCEDURE", 11, _has("is_procedure"), "a function"),
    ("a body in SQL (BEGIN ATOMIC, RETURN)", 14, _has("sql_body"), "AS $$ … $$"),
    ("OUT arguments of a procedure", 14, _out_argument, "INOUT"),
)
_of("CallStmt", ("CALL", 11, _always))
_of(
    "MergeStmt",
    ("MERGE", 15, _always, "INSERT … ON CONFLICT"),
    ("MERGE … RETURNING", 17, _has("returningClause")),
)
_of("MergeWhenClause", ("WHEN NOT MATCHED BY SOURCE", 17, _is("matchKind", "MERGE_WHEN_NOT_MATCHED_BY_SOURCE")))
_of(
    "CommonTableExpr",
    ("WITH … AS [NOT] MATERIALIZED", 12, _is("ctematerialized", "CTEMaterializeAlways", "CTEMaterializeNever")),
    ("SEARCH and CYCLE", 14, _has("search_clause", "cycle_clause")),
)
_of(
    "SelectStmt",
    ("WITH TIES", 13, _is("limitOption", "LIMIT_OPTION_WITH_TIES")),
    ("GROUP BY DISTINCT", 14, _has("groupDistinct")),
)
_of("JsonIsPredicate", ("IS JSON", 16, _always))
_of("JsonObjectConstructor", ("JSON_OBJECT", 16, _always, "json_build_object()"))
_of("JsonArrayConstructor", ("JSON_ARRAY", 16, _always, "json_build_array()"))
_of("JsonFuncExpr", ("JSON_VALUE, JSON_QUERY, JSON_EXISTS", 17, _always, "jsonb_path_query()"))
_of("JsonTable", ("JSON_TABLE", 17, _always))
for _statement in ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"):
    _of(_statement, ("RETURNING old or new", 18, _old_or_new))
_of("ReindexStmt", ("REINDEX CONCURRENTLY", 12, _option("concurrently", "params")))
_of(
    "CopyStmt",
    ("COPY … WHERE", 12, _has("whereClause")),
    ("COPY … ON_ERROR", 17, _option("on_error", "options")),
)
_of("DefineStmt", ("a collation that is not deterministic", 12, _option("deterministic", "definition")))
_of("DropdbStmt", ("DROP DATABASE … FORCE", 13, _option("force", "options")))
_of("CreatePublicationStmt", ("CREATE PUBLICATION", 10, _always))
_of(
    "PublicationObjSpec",
    (
        "FOR TABLES IN SCHEMA",
        15,
        _is("pubobjtype", "PUBLICATIONOBJ_TABLES_IN_SCHEMA", "PUBLICATIONOBJ_TABLES_IN_CUR_SCHEMA"),
    ),
    ("columns or rows of a publication", 15, lambda fields: _has("whereClause", "columns")(fields.get("pubtable", {}))),
)
_of("CreateSubscriptionStmt", ("CREATE SUBSCRIPTION", 10, _always))
_of(
    "CreateStatsStmt",
    ("CREATE STATISTICS", 10, _always),
    (
        "CREATE STATISTICS on expressions",
        14,
        lambda fields: any("expr" in each.get("StatsElem", {}) for each in fields.get("exprs", ())),
    ),
)
_of("CreateAmStmt", ("CREATE ACCESS METHOD", 10, _always))  # for indexes 9.6 has it; this Lancio speaks to 10 and later
_of("AlterTypeStmt", ("ALTER TYPE … SET", 13, _always))
_of(
    "GrantRoleStmt",
    (
        "GRANT … WITH INHERIT or SET",
        16,
        lambda fields: _option("inherit", "opt")(fields) or _option("set", "opt")(fields),
    ),
)
_of("TransactionStmt", ("COMMIT AND CHAIN", 12, _has("chain")))
