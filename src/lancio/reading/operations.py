"""What does a file do, statement by statement?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from lancio.errors import SyntaxRefused
from lancio.reading import directives, objects, queries, relations, routines, tree
from lancio.reading.model import NOTHING, FileOps, Span, Statement
from lancio.reading.placeholders import copy_in
from lancio.reading.places import line_of, pointed
from lancio.reading.reader import Reader
from lancio.reading.source import Migration
from lancio.syntax import lexer, parser

if TYPE_CHECKING:
    from collections.abc import Callable

    from lancio.reading.model import Detail
    from lancio.reading.queries import Scope
    from lancio.syntax.parser import RawStatement, Tree

HANDLERS: dict[str, Callable[[Reader, Tree], object]] = {
    "CreateStmt": relations.create_table,
    "CreateTableAsStmt": relations.create_table_as,
    "ViewStmt": relations.create_view,
    "CreateSeqStmt": relations.create_sequence,
    "AlterSeqStmt": relations.alter_sequence,
    "IndexStmt": relations.create_index,
    "AlterTableStmt": relations.alter_table,
    "CreateForeignTableStmt": relations.create_foreign_table,
    "TruncateStmt": relations.truncate,
    "ReindexStmt": relations.touch,
    "ClusterStmt": relations.touch,
    "LockStmt": relations.touch,
    "VacuumStmt": relations.touch,
    "RefreshMatViewStmt": relations.touch,
    "CopyStmt": relations.copy,
    "DropStmt": objects.drop,
    "RenameStmt": objects.rename,
    "AlterObjectSchemaStmt": objects.set_schema,
    "AlterOwnerStmt": objects.owner,
    "CommentStmt": objects.comment,
    "SecLabelStmt": objects.comment,
    "GrantStmt": objects.grant,
    "GrantRoleStmt": objects.grant_role,
    "AlterDefaultPrivilegesStmt": objects.default_privileges,
    "CreateSchemaStmt": objects.create_schema,
    "CreateExtensionStmt": objects.create_extension,
    "AlterExtensionStmt": objects.alter_extension,
    "AlterExtensionContentsStmt": objects.alter_extension,
    "CreateEnumStmt": objects.create_enum,
    "AlterEnumStmt": objects.alter_enum,
    "CompositeTypeStmt": objects.create_composite,
    "CreateRangeStmt": objects.create_range,
    "CreateDomainStmt": objects.create_domain,
    "AlterDomainStmt": objects.alter_domain,
    "AlterTypeStmt": objects.alter_type,
    "DefineStmt": objects.define,
    "CreateCastStmt": objects.create_cast,
    "CreateOpClassStmt": objects.create_opclass,
    "CreateOpFamilyStmt": objects.create_opclass,
    "CreateRoleStmt": objects.create_role,
    "AlterRoleStmt": objects.alter_role,
    "AlterRoleSetStmt": objects.alter_role,
    "DropRoleStmt": objects.drop_role,
    "DropOwnedStmt": objects.owned,
    "ReassignOwnedStmt": objects.owned,
    "CreatePolicyStmt": objects.create_policy,
    "AlterPolicyStmt": objects.create_policy,
    "CreateTrigStmt": objects.create_trigger,
    "RuleStmt": objects.create_rule,
    "CreateEventTrigStmt": objects.create_event_trigger,
    "CreatePublicationStmt": objects.create_publication,
    "AlterPublicationStmt": objects.create_publication,
    "CreateStatsStmt": objects.create_statistics,
    "CreateUserMappingStmt": objects.user_mapping,
    "AlterUserMappingStmt": objects.user_mapping,
    "VariableSetStmt": objects.variable_set,
}

SILENT = frozenset((
    "TransactionStmt", "VariableShowStmt", "NotifyStmt", "ListenStmt", "UnlistenStmt", "DiscardStmt",
    "ConstraintsSetStmt", "CheckPointStmt", "LoadStmt", "DeallocateStmt", "ClosePortalStmt", "FetchStmt",
    "AlterEventTrigStmt", "AlterDatabaseStmt", "AlterDatabaseSetStmt", "AlterSystemStmt", "CreatedbStmt", "DropdbStmt",
    "AlterStatsStmt", "AlterTSDictionaryStmt", "AlterTSConfigurationStmt", "AlterOperatorStmt", "AlterOpFamilyStmt",
    "DropUserMappingStmt", "AlterForeignServerStmt", "AlterFdwStmt", "AlterSubscriptionStmt", "DropSubscriptionStmt",
    "AlterObjectDependsStmt", "AlterCollationStmt", "AlterTableMoveAllStmt", "CreateTransformStmt",
    "CreateConversionStmt", "CreateTableSpaceStmt", "DropTableSpaceStmt", "AlterTableSpaceOptionsStmt",
))  # fmt: skip
"""Statements that touch nothing which another migration could make, or nothing that the catalog value holds."""


def read_statement(reader: Reader, node: str, fields: Tree, scope: Scope | None = None) -> None:
    """Read one statement, wherever it stands: in the file, in a body, in a string."""
    handler = HANDLERS.get(node)
    if node == "SelectStmt" and fields.get("intoClause"):
        relations.create_table_as(reader, {"into": fields["intoClause"], "query": {"SelectStmt": fields}})
    elif node in ("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"):
        queries.statement(reader, {node: fields}, scope)
    elif node == "CreateFunctionStmt":
        routines.create_routine(reader, fields, read_statement)
    elif node == "AlterFunctionStmt":
        reader.emit("alter", objects.routine(fields.get("func", {})))
    elif node == "DoStmt":
        routines.do(reader, fields, read_statement)
    elif node == "CallStmt":
        queries.call(reader, fields.get("funccall", {}), scope or queries.Scope())
    elif node == "CreateSchemaStmt":
        objects.create_schema(reader, fields)
        _schema_elements(reader, fields)
    elif node in ("ExplainStmt", "PrepareStmt", "DeclareCursorStmt"):
        name, inner = tree.unwrap(fields.get("query", {}))
        read_statement(reader, name, inner, scope)
    elif node == "VariableSetStmt" and fields.get("name", "").lower() == "check_function_bodies":
        value = tree.constant((fields.get("args") or [{}])[0])
        reader.check_bodies = value not in ("off", "false", "0", "no")
    elif handler is not None:
        handler(reader, fields)
    elif node in objects.SIMPLE:
        objects.simple(reader, node, fields)
    elif node not in SILENT:
        reader.opaque(f"{node.removesuffix('Stmt')} is not read")


def _schema_elements(reader: Reader, fields: Tree) -> None:
    """The statements inside CREATE SCHEMA: names without a schema belong to it."""
    schema = fields.get("schemaname", "")
    for element in fields.get("schemaElts", ()):
        name, inner = tree.unwrap(element)
        for key in ("relation", "view", "sequence"):
            if isinstance(inner.get(key), dict):
                inner[key].setdefault("schemaname", schema)
        read_statement(reader, name, inner)


def read(migration: Migration) -> FileOps:
    """All that one file says.

    Raises:
        SyntaxRefused: PostgreSQL's grammar does not accept it, with the file, the line and the place.
    """
    text = migration.text
    reader = Reader(text)
    declared, problems = directives.read(text, reader.line)
    directives.require(reader, declared)
    statements: list[Statement] = []
    rows = _Rows()
    try:
        for index, statement in enumerate(parser.statements(text)):
            reader.statement = index
            reader.whole = Span(statement.start, statement.end, reader.line(statement.start))
            reader.base = 0
            table = rows.table(statement)
            if table is not None and rows.known[table] > MAX_ROWS:
                statements.append(Statement(_sql(text, statement), reader.whole, rows.summaries[table]))
                if rows.known[table] == MAX_ROWS + 1:
                    reader.opaque(f"more rows for {table[0]} than {MAX_ROWS:,} in this file are not looked at")
                continue
            statements.append(_statement(text, statement, reader.whole))
            if table is not None:
                rows.summaries[table] = statements[-1].summary
            try:
                read_statement(reader, statement.node, statement.tree)
            except RecursionError:
                raise parser.ParseError(parser.TOO_DEEP, statement.start) from None
    except parser.ParseError as error:
        raise refusal(migration, error) from None
    directives.create(reader, declared)
    return FileOps(tuple(statements), tuple(reader.ops), declared, problems)


MAX_ROWS = 10_000
"""So many statements of one file that insert constants into the same columns of a table are looked at one by one."""


class _Rows:
    """Statements that insert constants, and nothing else, by their table and columns."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, ...], int] = {}
        self.summaries: dict[tuple[str, ...], str] = {}

    def table(self, statement: RawStatement) -> tuple[str, ...] | None:
        """The table and the columns, counted once more; None where the statement does anything besides."""
        fields = statement.tree
        if statement.node != "InsertStmt" or not fields.keys() <= {"relation", "cols", "selectStmt", "override"}:
            return None
        lists = fields.get("selectStmt", {}).get("SelectStmt", {}).get("valuesLists", ())
        if not lists or any("A_Const" not in value for each in lists for value in tree.items(each)):
            return None
        relation = fields["relation"]
        columns = (each["ResTarget"].get("name", "") for each in fields.get("cols", ()))
        table = (str(tree.relation(relation)), *columns)
        self.known[table] = self.known.get(table, 0) + 1
        return table


def read_routine(definition: str) -> Detail:
    """What a routine does, from its definition as a server gives it (pg_get_functiondef).

    Raises:
        SyntaxRefused: it cannot be read.
    """
    ops = read(Migration("definition", Path("definition"), definition.encode())).ops
    return next((op.detail for op in reversed(ops) if op.verb == "make" and op.ref.kind == "routine"), NOTHING)


_CONTROL = {
    "TRANS_STMT_BEGIN": "begin", "TRANS_STMT_START": "begin", "TRANS_STMT_COMMIT": "commit",
    "TRANS_STMT_ROLLBACK": "rollback", "TRANS_STMT_PREPARE": "prepare", "TRANS_STMT_COMMIT_PREPARED": "prepare",
    "TRANS_STMT_ROLLBACK_PREPARED": "prepare", "TRANS_STMT_SAVEPOINT": "savepoint",
    "TRANS_STMT_RELEASE": "savepoint", "TRANS_STMT_ROLLBACK_TO": "savepoint",
}  # fmt: skip


def _statement(text: bytes, statement: RawStatement, span: Span) -> Statement:
    control = _CONTROL.get(statement.tree.get("kind", ""), "") if statement.node == "TransactionStmt" else ""
    sql = _sql(text, statement)
    return Statement(sql, span, summary(sql), control, alone(statement))  # type: ignore[arg-type]


def _sql(text: bytes, statement: RawStatement) -> str:
    return text[statement.start : statement.end].decode()


_ALONE = {
    "CreatedbStmt": "CREATE DATABASE", "DropdbStmt": "DROP DATABASE", "CreateTableSpaceStmt": "CREATE TABLESPACE",
    "DropTableSpaceStmt": "DROP TABLESPACE", "AlterSystemStmt": "ALTER SYSTEM",
}  # fmt: skip


def alone(statement: RawStatement) -> str:
    """What it is about a statement that PostgreSQL refuses inside a transaction block; "" for all others."""
    node, fields = statement.node, statement.tree
    if node in _ALONE:
        return _ALONE[node]
    if node == "VacuumStmt" and fields.get("is_vacuumcmd"):
        return "VACUUM"
    if node in ("IndexStmt", "DropStmt") and fields.get("concurrent"):
        return "CONCURRENTLY"
    if node == "ReindexStmt" and (
        fields.get("kind") in ("REINDEX_OBJECT_SCHEMA", "REINDEX_OBJECT_SYSTEM", "REINDEX_OBJECT_DATABASE")
        or tree.option(fields.get("params"), "concurrently")
    ):
        return "REINDEX"
    if node == "AlterTableStmt":
        for each in fields.get("cmds", ()):
            command = each.get("AlterTableCmd", {})
            definition = command.get("def", {}).get("PartitionCmd", {})
            if command.get("subtype") == "AT_DetachPartition" and definition.get("concurrent"):
                return "DETACH PARTITION CONCURRENTLY"
    if node == "ClusterStmt" and "relation" not in fields:
        return "CLUSTER of all tables"
    if node == "AlterDatabaseStmt" and tree.option(fields.get("options"), "tablespace"):
        return "ALTER DATABASE SET TABLESPACE"
    if node == "DiscardStmt" and fields.get("target") == "DISCARD_ALL":
        return "DISCARD ALL"
    if node in ("CreateSubscriptionStmt", "DropSubscriptionStmt"):
        return "CREATE SUBSCRIPTION" if node == "CreateSubscriptionStmt" else "DROP SUBSCRIPTION"
    return ""


_NAME = re.compile(r'^(?:[\w$]+|"[^"]*")(?:\.(?:[\w$]+|"[^"]*"))*$')
_KEYWORDS = frozenset(
    re.split(
        r"\s+",
        """create or replace alter drop table index view function procedure trigger policy schema extension
        type domain sequence unique materialized if not exists only concurrently insert into update delete
        from select do grant revoke comment on column is set begin commit rollback temporary temp constraint
        call truncate refresh role aggregate rule event publication statistics cast operator with recursive
        merge using copy lock vacuum analyze reindex foreign server data wrapper all in to""",
    )
)


_PIECE = re.compile(
    rb"""(?:[ \t\n\r\f\v]++|--[^\n\r]*+)*+
    ((?![eEbBxX]'|[uU]&['"])[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*|"(?:[^"]|"")*"?|\.(?![0-9.])|(?<=\.)\*)""",
    re.VERBOSE,
)
"""A word, a quoted name or a dot behind blanks: what an opening is made of."""


def summary(sql: str) -> str:
    """The opening words of a statement and the first name behind them: `CREATE TABLE platform.databases`."""
    words: list[str] = []
    raw = sql.encode()
    at = last_end = 0
    while True:
        match = _PIECE.match(raw, at)
        if match is None:  # the end of the opening, or a comment inside of it
            ahead = (each.start for each in lexer.tokens(raw, at) if each.kind not in lexer.BLANK)
            match = _PIECE.match(raw, next(ahead, len(raw))) if raw.find(b"/*", at) >= 0 else None
        if match is None:
            break
        at = match.end()
        piece = match[1].decode()
        if words and (piece == "." or words[-1].endswith(".")) and match.start(1) == last_end:
            words[-1] += piece
        elif piece.lower() in _KEYWORDS:
            words.append(piece.upper())
        elif _NAME.match(piece) and words:
            words.append(piece)
        else:
            break
        last_end = at
        named = not (words[-1].isupper() and words[-1].lower() in _KEYWORDS)
        if (named and raw[at : at + 1] != b"." and not words[-1].endswith(".")) or len(words) > 8:
            break
    return " ".join(words) or (sql.split() or [""])[0].upper()


_META = re.compile(rb"^[ \t]*(\\[A-Za-z!?]+)[^\n]*", re.MULTILINE)


def refusal(migration: Migration, error: parser.ParseError) -> SyntaxRefused:
    """The refusal for a text that does not parse: file, line, the line as it is written and a caret under the place."""
    name = migration.name
    at = max(0, min(error.position, len(migration.text)))
    if at == len(migration.text):  # the end of the text: show the last line that holds something
        at = max(0, len(migration.text.rstrip()) - 1)
    text, at = migration.written(at)
    where = pointed(name, text, at)
    meta = _META.search(text)
    if meta is not None and meta.start() <= at:
        number = line_of(text, meta.start(1))
        command = meta[1].decode()
        return SyntaxRefused(
            f"{name}: {command} is a command of psql, not SQL",
            where=f"{name}:{number}\n    {meta[0].decode(errors='replace').strip()}\n    ^",
            cause="A line that begins with a backslash is carried out by psql itself; the server never sees it.",
            remedy="Write in SQL what it does (\\i: put the text here; \\set: write the value; \\copy: use INSERT), "
            "or take the line out.",
        )
    copy = copy_in(text)
    if copy is not None and copy[0] <= at:
        return SyntaxRefused(
            f"{name}: COPY … FROM STDIN holds data, not SQL",
            where=where,
            cause="The lines behind it are data that psql sends apart from the statement.",
            remedy="Use INSERT … VALUES, or load the data apart from the migrations.",
        )
    if error.message == parser.TOO_DEEP:
        return SyntaxRefused(
            f"{name}: {error.message}",
            where=where,
            cause=f"Lancio reads statements in which up to {parser.MAX_DEPTH} operators, parentheses or set operations "
            "stand in one another; PostgreSQL itself may well run this one.",
            remedy="Split the statement (a long UNION ALL: use VALUES or several INSERTs).",
        )
    return SyntaxRefused(
        f"{name}: {error.message}",
        where=where,
        cause="PostgreSQL's grammar does not accept the text at this place.",
        remedy="Mend the statement; nothing was run.",
    )
