"""Which rules does `lancio check` know, and which of them does one file break by itself?

A rule's name is a promise: it stands in `-- lancio: allow NAME reason`, in configurations and in other programs'
reports, and has a page of its own in docs/reference/rules/. What concerns two branches is in `branches.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from lancio.planner import segments
from lancio.planner.model import Finding, Place
from lancio.reading import tree
from lancio.syntax import parser

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from lancio.planner.model import FileFacts, Graph
    from lancio.reading.model import Statement
    from lancio.syntax.parser import RawStatement, Tree

Severity = Literal["note", "warning", "refusal"]
"""As findings have it; what is told outside calls a refusal an error."""

ALL_AT_ONCE = 11
"""The major version from which ADD COLUMN with a constant default does not rewrite the table."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that `check` looks for: its name for good, how grave it is, and one line that says it."""

    name: str
    severity: Severity
    says: str


RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        # This branch and the other one.
        Rule("conflict", "refusal", "A file of this branch and one of the other may not swap places."),
        Rule("shared-rows", "warning", "A file of each branch writes rows that the other writes, reads or reshapes."),
        Rule("same-number", "refusal", "Both branches give one number to different files."),
        Rule("number-gap", "warning", "A new file's number leaves others out."),
        Rule("out-of-order", "refusal", "A new file's name puts it before one that is released already."),
        Rule("edited-file", "refusal", "A released file has other statements here."),
        Rule("deleted-file", "refusal", "A released file is not here."),
        Rule("renamed-file", "refusal", "A released file has another name here."),
        # The folder.
        Rule("wrong-order", "refusal", "The order of the names is not the one that the files need."),
        Rule("loop", "refusal", "Files need each other in a circle."),
        Rule("unprovided", "refusal", "A file needs what no file before it makes."),
        Rule("name-taken", "refusal", "A file makes what is there already under that name."),
        Rule("still-needed", "refusal", "A file drops or changes what something else stands on."),
        Rule("directive", "refusal", "A `-- lancio:` line cannot be understood, or contradicts the SQL."),
        Rule("unreadable", "refusal", "A file that PostgreSQL's grammar does not accept, or that cannot be read."),
        Rule("layout", "warning", "A file has no place in the folder's layout."),
        Rule("opaque", "warning", "A place that cannot be seen through: nothing is proved about its file."),
        Rule("allow", "warning", "An `allow` line that allows nothing, or gives no reason."),
        # What a statement does to those who use the database meanwhile.
        Rule("transaction-control", "refusal", "A file cannot be sent in whole transactions."),
        Rule("not-null-without-default", "refusal", "A NOT NULL column without a default can't be added to rows."),
        Rule("data-loss", "warning", "Rows or columns that exist are gone."),
        Rule("drop-cascade", "warning", "CASCADE takes away what is not named."),
        Rule("table-rewrite", "warning", "All rows are written anew while nobody may read or write."),
        Rule("set-not-null", "warning", "SET NOT NULL reads all rows while nobody may read or write."),
        Rule("constraint-without-not-valid", "warning", "ADD CONSTRAINT checks all rows while nobody may write."),
        Rule("unique-without-index", "warning", "The index of a new key is built while nobody may read or write."),
        Rule("index-not-concurrent", "warning", "CREATE INDEX lets nobody write to a table that exists."),
        Rule("rename", "warning", "Programs that know the old name fail at once."),
        Rule("exclusive-lock", "note", "ACCESS EXCLUSIVE on tables that exist."),
    )
}  # fmt: skip

OF_GRAPH = {
    "order": "wrong-order", "loop": "loop", "directive": "directive", "declared": "directive", "layout": "layout",
}  # fmt: skip
"""Findings of a graph, and the rules that they become."""

OF_REQUIREMENTS = {"name": "name-taken", "dependents": "still-needed"}
"""Kinds of requirements whose lack is more than an object that nothing provides."""


def found(rule: str, message: str, at: Place | None, remedy: str, commands: tuple[str, ...] = ()) -> Finding:
    """A finding of a rule, as grave as the rule is by itself."""
    return Finding(rule, RULES[rule].severity, message, at, remedy, commands)


# What the graph knows already.


def of_graph(graph: Graph, names: Collection[str]) -> list[Finding]:
    """Findings that a graph bears of these files; those without a place are about the folder."""
    return [
        replace(each, rule=OF_GRAPH[each.rule])
        for each in graph.findings
        if each.rule in OF_GRAPH and (each.at is None or each.at.file in names)
    ]


def of_requirements(graph: Graph, names: Collection[str], released: Collection[str] = ()) -> list[Finding]:
    """What these files need and nothing before them provides.

    What one of the `released` files lacks too is there from somewhere else: it ran.
    """
    given = {
        (each.kind, each.object)
        for facts in graph.files
        if facts.name in released
        for each in facts.requires
        if each.source == "missing"
    }
    told = []
    for facts in graph.files:
        if facts.name not in names:
            continue
        late = {(each.kind, each.object) for each in facts.requires if each.strength == "late"}
        for each in facts.requires:
            key = (each.kind, each.object)
            if each.source != "missing" or key in given or key in late or each.strength == "external":
                continue
            rule = OF_REQUIREMENTS.get(each.kind, "unprovided")
            told.append(found(rule, each.message or _lacks(each.object), each.at, _HELP[rule]))
    return told


_HELP = {
    "unprovided": "Add the file that makes it before this one; or, where it is there from elsewhere, say so: "
    "-- lancio: allow unprovided REASON",
    "name-taken": "Take another name, or drop the other object first.",
    "still-needed": "Drop or change that first, or write CASCADE if it may go too.",
}


def _lacks(what: str) -> str:
    return f"{what} is made by no file before it"


def of_opaque(graph: Graph, names: Collection[str]) -> list[Finding]:
    """Places of these files that hide what they need and make."""
    return [
        found(
            "opaque",
            f"what stands here cannot be seen through: {each.reason}",
            each.at,
            "Write it as plain SQL, or say what it does: -- lancio: requires …, -- lancio: creates …",
        )
        for each in graph.opaque
        if each.at.file in names
    ]


# What the statements of one file do.


class Told(NamedTuple):
    """What a statement breaks, and the byte of it that shows it."""

    rule: str
    at: int
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class _File:
    """One file with what its statements have to be seen against."""

    facts: FileFacts
    before: Sequence[FileFacts]
    major: int
    fresh: frozenset[tuple[str | None, str]]

    def exists(self, relation: Tree) -> bool:
        """Whether a relation is there before the file begins: the file's own are empty, and nobody uses them."""
        ref = tree.relation(relation)
        return ref.schema != "pg_temp" and not (
            {(ref.schema, ref.name), (None, ref.name)} & self.fresh
            or (ref.schema is None and any(name == ref.name for _, name in self.fresh))
        )


def of_file(graph: Graph, name: str) -> list[Finding]:
    """The risks of one file's statements; what a DO block or a routine runs is not looked at."""
    position = [facts.name for facts in graph.files].index(name)
    facts = graph.files[position]
    ops = facts.ops.ops if facts.ops is not None else ()
    fresh = frozenset((op.ref.schema, op.ref.name) for op in ops if op.verb == "make" and op.ref.kind == "relation")
    spoken = [(each, parsed) for each in facts.statements for parsed in parser.parse(each.sql.encode())]
    file = _File(
        facts, graph.files[:position], graph.server_version, fresh | _temporary(parsed for _, parsed in spoken)
    )
    findings = list(_control(facts, graph.server_version))
    for statement, parsed in spoken:
        for told in _LOOKS.get(parsed.node, _nothing)(file, parsed.tree):
            line = statement.span.line + statement.sql.encode().count(b"\n", 0, max(told.at, 0))
            place = Place(name, line, statement.summary)
            findings.append(found(told.rule, told.message, place, told.remedy))
    exclusive = [lock for lock in facts.locks if lock.mode == "ACCESS EXCLUSIVE"]
    if exclusive:
        place = Place(name, exclusive[0].line)
        first = exclusive[0].relation
        which = first if len(exclusive) == 1 else f"{first} and {len(exclusive) - 1} more"
        findings.append(
            found(
                "exclusive-lock",
                f"ACCESS EXCLUSIVE on {which}: nobody reads or writes there until the step ends",
                place,
                "Keep such steps short, and apart from those that write many rows.",
            )
        )
    return findings


def _temporary(statements: Iterable[RawStatement]) -> set[tuple[str | None, str]]:
    """Tables that end with the session: the operations of a file leave them out."""
    relations = [
        each.tree.get("relation") or each.tree.get("into", {}).get("rel", {})
        for each in statements
        if each.node in ("CreateStmt", "CreateTableAsStmt")
    ]
    return {(None, each.get("relname", "")) for each in relations if each.get("relpersistence") == "t"}


def _control(facts: FileFacts, major: int) -> Iterator[Finding]:
    for statement, message, cause, remedy in segments.cut(facts, major).problems:
        place = Place(facts.name, statement.span.line, statement.summary)
        yield found("transaction-control", f"{message}: {cause}", place, remedy)


def _nothing(_file: _File, _tree: Tree) -> Iterator[Told]:
    return iter(())


def _index(file: _File, fields: Tree) -> Iterator[Told]:
    relation = fields.get("relation", {})
    if not fields.get("concurrent") and file.exists(relation):
        yield Told(
            "index-not-concurrent",
            0,
            f"nobody writes to {_name(relation)} while this index is built",
            "CREATE INDEX CONCURRENTLY, which runs outside of a transaction.",
        )


def _reindex(file: _File, fields: Tree) -> Iterator[Told]:
    if tree.option(fields.get("params"), "concurrently") is None and file.exists(fields.get("relation", {})):
        yield Told(
            "index-not-concurrent",
            0,
            "nobody writes to the table while its index is built anew",
            "REINDEX … CONCURRENTLY (from PostgreSQL 12 on), which runs outside of a transaction.",
        )


def _drop(file: _File, fields: Tree) -> Iterator[Told]:
    kind = fields.get("removeType", "")
    names = [_parts(each) for each in fields.get("objects", ())]
    if kind in ("OBJECT_TABLE", "OBJECT_FOREIGN_TABLE", "OBJECT_SCHEMA"):
        for parts in names:
            schema, name = tree.qualified(parts)
            if kind == "OBJECT_SCHEMA" or file.exists({"relname": name, **({"schemaname": schema} if schema else {})}):
                what = "all that the schema holds is" if kind == "OBJECT_SCHEMA" else "its rows are"
                message = f"{'.'.join(parts)} is dropped: {what} gone"
                yield Told("data-loss", 0, message, "Back it up, and drop it when no program uses it any more.")
    if fields.get("behavior") == "DROP_CASCADE":
        yield _cascades(f"{', '.join('.'.join(parts) for parts in names)} is dropped with whatever stands on it")


def _cascades(message: str, at: int = 0) -> Told:
    return Told("drop-cascade", at, message, "Name what is to go, each in a statement of its own, without CASCADE.")


def _parts(node: Tree) -> tuple[str, ...]:
    kind, fields = tree.unwrap(node)
    if kind == "List":
        return tree.strings(fields.get("items"))
    if kind == "ObjectWithArgs":
        return tree.strings(fields.get("objname"))
    if kind == "TypeName":
        return tree.strings(fields.get("names"))
    return (fields.get("sval", ""),)


def _truncate(file: _File, fields: Tree) -> Iterator[Told]:
    relations = [each.get("RangeVar", {}) for each in fields.get("relations", ())]
    for relation in relations:
        if file.exists(relation):
            message = f"{_name(relation)} is emptied: its rows are gone"
            yield Told("data-loss", relation.get("location", 0), message, "Back them up.")
    if fields.get("behavior") == "DROP_CASCADE":
        yield _cascades("every table that points to one of these is emptied too")


def _delete(file: _File, fields: Tree) -> Iterator[Told]:
    relation = fields.get("relation", {})
    if "whereClause" not in fields and "usingClause" not in fields and file.exists(relation):
        yield Told("data-loss", 0, f"all rows of {_name(relation)} are deleted", "Say which rows, or back them up.")


def _rename(file: _File, fields: Tree) -> Iterator[Told]:
    relation = fields.get("relation", {})
    kind = fields.get("renameType", "")
    if kind not in ("OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_COLUMN", "OBJECT_MATVIEW") or not file.exists(relation):
        return
    old = f"{_name(relation)}.{fields.get('subname')}" if kind == "OBJECT_COLUMN" else _name(relation)
    yield Told(
        "rename",
        relation.get("location", 0),
        f"programs that know {old} fail from this step on",
        "Add the new name beside the old one (a column kept in step, or a view), and drop the old one later.",
    )


def _schema(file: _File, fields: Tree) -> Iterator[Told]:
    relation = fields.get("relation", {})
    if fields.get("objectType") in ("OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW") and file.exists(relation):
        yield Told(
            "rename",
            relation.get("location", 0),
            f"programs that know {_name(relation)} in its old schema fail from this step on",
            "Leave a view of the old name behind, or have both schemas on the search_path.",
        )


def _rewritten(file: _File, fields: Tree) -> Iterator[Told]:
    if file.exists(fields.get("relation", {})):
        yield _rewrites(f"CLUSTER writes {_name(fields['relation'])} anew", 0)


def _vacuum(_file: _File, fields: Tree) -> Iterator[Told]:
    if fields.get("is_vacuumcmd") and tree.option(fields.get("options"), "full") is not None:
        yield _rewrites("VACUUM FULL writes its tables anew", 0)


def _rewrites(message: str, at: int) -> Told:
    return Told(
        "table-rewrite",
        at,
        f"{message}, and nobody reads or writes there meanwhile",
        "Do it in steps: a new column, filled in batches, then taken in the old one's place.",
    )


def _alter(file: _File, fields: Tree) -> Iterator[Told]:
    relation = fields.get("relation", {})
    if fields.get("objtype") not in ("OBJECT_TABLE", "OBJECT_FOREIGN_TABLE", None) or not file.exists(relation):
        return
    table = _name(relation)
    for each in fields.get("cmds", ()):
        command = each.get("AlterTableCmd", {})
        _, definition = tree.unwrap(command.get("def"))
        at = definition.get("location", relation.get("location", 0))
        look = _COMMANDS.get(command.get("subtype", ""))
        if look is not None:
            yield from look(file, table, command, definition, at)


def _add_column(file: _File, table: str, _command: Tree, definition: Tree, at: int) -> Iterator[Told]:
    column = f"{table}.{definition.get('colname', '')}"
    constraints = {each["Constraint"]["contype"]: each["Constraint"] for each in definition.get("constraints", ())}
    serial = tree.is_serial(definition.get("typeName", {}))
    identity = "CONSTR_IDENTITY" in constraints
    stored = constraints.get("CONSTR_GENERATED", {}).get("generated_kind", "s") == "s"
    generated = "CONSTR_GENERATED" in constraints
    default = constraints.get("CONSTR_DEFAULT", {}).get("raw_expr")
    filled = serial or identity or generated or (default is not None and not _is_null(default))
    if {"CONSTR_NOTNULL", "CONSTR_PRIMARY"} & constraints.keys() and not filled:
        yield Told(
            "not-null-without-default",
            at,
            f"{column} is NOT NULL and has no default: it can't be added to a table that has rows",
            "Give it a default; or add it without NOT NULL, fill it, and SET NOT NULL in a later step.",
        )
    if serial or identity or (generated and stored):
        yield _rewrites(f"{column} gets a value of its own in each row: {table} is written anew", at)
    elif default is not None and (volatile := _volatile(default)):
        yield _rewrites(f"the default {volatile}() of {column} differs from row to row: {table} is written anew", at)
    elif default is not None and not _is_null(default) and file.major < ALL_AT_ONCE:
        yield _rewrites(f"below PostgreSQL 11 a default writes {table} anew", at)
    for contype in ("CONSTR_UNIQUE", "CONSTR_PRIMARY"):
        if contype in constraints:
            yield _unindexed(column, constraints[contype].get("location", at))


def _is_null(node: Tree) -> bool:
    kind, fields = tree.unwrap(node)
    return _is_null(fields.get("arg", {})) if kind == "TypeCast" else kind == "A_Const" and bool(fields.get("isnull"))


VOLATILE = frozenset(
    ("random", "gen_random_uuid", "uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4", "uuidv4", "uuidv7",
     "clock_timestamp", "timeofday", "nextval", "gen_random_bytes", "random_normal")
)  # fmt: skip
"""Functions whose value differs from row to row (pg_proc.provolatile = 'v')."""


def _volatile(node: Tree) -> str:
    for kind, fields in tree.walk(node):
        if kind == "FuncCall" and (name := tree.last(fields.get("funcname"))) in VOLATILE:
            return name
    return ""


def _drop_column(_file: _File, table: str, command: Tree, _definition: Tree, at: int) -> Iterator[Told]:
    column = f"{table}.{command.get('name', '')}"
    yield Told(
        "data-loss",
        at,
        f"{column} is dropped: what it holds is gone",
        "Back it up, and drop it when no program reads or writes it any more.",
    )
    if command.get("behavior") == "DROP_CASCADE":
        yield _cascades(f"{column} is dropped with whatever stands on it", at)


def _drop_constraint(_file: _File, table: str, command: Tree, _definition: Tree, at: int) -> Iterator[Told]:
    if command.get("behavior") == "DROP_CASCADE":
        yield _cascades(f"{command.get('name', '')} of {table} is dropped with the keys that point to it", at)


def _set_not_null(_file: _File, table: str, command: Tree, _definition: Tree, at: int) -> Iterator[Told]:
    column = command.get("name", "")
    yield Told(
        "set-not-null",
        at,
        f"all rows of {table} are read for a NULL in {column} while nobody may read or write",
        f"First ADD CHECK ({column} IS NOT NULL) NOT VALID, then VALIDATE it in another step: from PostgreSQL 12 on "
        "SET NOT NULL goes by it and reads no rows.",
    )


def _alter_type(file: _File, table: str, command: Tree, definition: Tree, at: int) -> Iterator[Told]:
    column = command.get("name", "")
    new = _type(definition.get("typeName", {}))
    old = _old_type(file, table.rpartition(".")[2], column)
    if old is not None and "raw_default" not in definition and _same_bytes(old, new):
        return
    was = f" from {_spelled(old)}" if old else ""
    yield _rewrites(f"{table}.{column} becomes {_spelled(new)}{was}: {table} and its indexes may be written anew", at)


_Type = tuple[str, tuple[int, ...]]


def _type(type_name: Tree) -> _Type:
    mods = tuple(int(text) for each in type_name.get("typmods", ()) if (text := tree.constant(each) or "").isdigit())
    return tree.type_text(type_name), mods


def _spelled(type_: _Type) -> str:
    return type_[0] + (f"({', '.join(map(str, type_[1]))})" if type_[1] else "")


def _same_bytes(old: _Type, new: _Type) -> bool:
    """Whether every value of the old type is one of the new, byte for byte, and none has to be looked at."""
    (was, had), (becomes, has) = old, new
    texts = ("text", "character varying")
    if was in texts and becomes in texts:
        return not has or (was == "character varying" and bool(had) and has[0] >= had[0])
    if was == becomes == "numeric":
        return not has or (len(had) == len(has) == 2 and has[0] >= had[0] and has[1] == had[1])
    return (was == becomes and (had == has or (not has and was in ("bit varying", "interval")))) or (
        (was, becomes) == ("cidr", "inet")
    )


def _old_type(file: _File, table: str, column: str) -> _Type | None:
    """The type of a column as the files before say it last; None where they don't."""
    last: _Type | None = None
    wanted = (table.encode(), column.encode())
    for facts in (*file.before, file.facts):
        if not all(word in facts.migration.text for word in wanted):
            continue
        for statement in facts.statements:
            if facts is file.facts and "ALTER" in statement.summary:
                break
            for parsed in parser.parse(statement.sql.encode()):
                if parsed.tree.get("relation", {}).get("relname") == table:
                    last = _typed(parsed.node, parsed.tree, column) or last
    return last


def _typed(node: str, fields: Tree, column: str) -> _Type | None:
    last = None
    for each in fields.get("tableElts", ()) if node == "CreateStmt" else ():
        if each.get("ColumnDef", {}).get("colname") == column:
            last = _type(each["ColumnDef"].get("typeName", {}))
    for each in fields.get("cmds", ()) if node == "AlterTableStmt" else ():
        command = each.get("AlterTableCmd", {})
        definition = command.get("def", {}).get("ColumnDef", {})
        if column in (definition.get("colname"), command.get("name")) and "typeName" in definition:
            last = _type(definition["typeName"])
    return last


def _add_constraint(_file: _File, table: str, _command: Tree, definition: Tree, at: int) -> Iterator[Told]:
    contype = definition.get("contype", "")
    name = definition.get("conname") or "the constraint"
    if contype in ("CONSTR_CHECK", "CONSTR_FOREIGN") and not definition.get("skip_validation"):
        who = "read or write" if contype == "CONSTR_CHECK" else "write"
        yield Told(
            "constraint-without-not-valid",
            at,
            f"{name} checks all rows of {table} while nobody may {who} there",
            "ADD CONSTRAINT … NOT VALID here, and VALIDATE CONSTRAINT in a step of its own.",
        )
    if (contype in ("CONSTR_UNIQUE", "CONSTR_PRIMARY") and not definition.get("indexname")) or (
        contype == "CONSTR_EXCLUSION"
    ):
        yield _unindexed(f"{name} of {table}", at)


def _unindexed(what: str, at: int) -> Told:
    return Told(
        "unique-without-index",
        at,
        f"the index of {what} is built while nobody may read or write",
        "CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT … USING INDEX.",
    )


def _whole(file: _File, table: str, command: Tree, _definition: Tree, at: int) -> Iterator[Told]:
    del file
    words = {"AT_SetLogged": "SET LOGGED", "AT_SetUnLogged": "SET UNLOGGED", "AT_SetAccessMethod": "SET ACCESS METHOD",
             "AT_SetTableSpace": "SET TABLESPACE"}  # fmt: skip
    yield _rewrites(f"{words[command['subtype']]} writes {table} anew", at)


_COMMANDS = {
    "AT_AddColumn": _add_column, "AT_DropColumn": _drop_column, "AT_DropConstraint": _drop_constraint,
    "AT_SetNotNull": _set_not_null, "AT_AlterColumnType": _alter_type, "AT_AddConstraint": _add_constraint,
    "AT_SetLogged": _whole, "AT_SetUnLogged": _whole, "AT_SetAccessMethod": _whole, "AT_SetTableSpace": _whole,
}  # fmt: skip
_LOOKS = {
    "IndexStmt": _index, "ReindexStmt": _reindex, "DropStmt": _drop, "TruncateStmt": _truncate, "DeleteStmt": _delete,
    "RenameStmt": _rename, "AlterObjectSchemaStmt": _schema, "AlterTableStmt": _alter, "ClusterStmt": _rewritten,
    "VacuumStmt": _vacuum,
}  # fmt: skip


def _name(relation: Tree) -> str:
    schema = relation.get("schemaname")
    return f"{schema}.{relation.get('relname')}" if schema else str(relation.get("relname", ""))


# What is silenced, left out, or graver than by itself.


@dataclass(frozen=True, slots=True)
class Judged:
    """What is to be told, and how many findings a file's `allow` lines keep back."""

    findings: tuple[Finding, ...]
    silenced: int


def judge(
    findings: Iterable[Finding],
    files: Iterable[FileFacts],
    *,
    select: Collection[str] = (),
    ignore: Collection[str] = (),
    severity: Mapping[str, Severity] | None = None,
) -> Judged:
    """Take away what the files allow and what is not asked for, and change how grave rules are.

    An `allow` line before a file's first statement is for the whole file, another one for the statement that it
    stands in or before.
    """
    allowed: dict[str, list[_Allowance]] = {}
    wrong: list[Finding] = []
    for facts in files:
        allowed[facts.name], bad = _allowances(facts)
        wrong += bad
    left: list[Finding] = []
    silenced = 0
    for each in findings:
        meets = [one for one in allowed.get(each.at.file, ()) if one.meets(each)] if each.at is not None else []
        for one in meets:
            one.used = True
        silenced += bool(meets)
        if not meets:
            left.append(each)
    for facts in files:
        wrong += [
            found("allow", f"this allows {one.rule}, which nothing here breaks", one.place, "Take the line away.")
            for one in allowed[facts.name]
            if not one.used
        ]
    chosen = [
        replace(each, severity=(severity or {}).get(each.rule, each.severity))
        for each in (*left, *wrong)
        if (not select or each.rule in select) and each.rule not in ignore
    ]
    return Judged(tuple(dict.fromkeys(chosen)), silenced)


@dataclass(slots=True)
class _Allowance:
    """One `-- lancio: allow RULE reason`, and the lines of the file that it is for."""

    rule: str
    place: Place
    lines: range
    used: bool = False

    def meets(self, finding: Finding) -> bool:
        return finding.rule == self.rule and finding.at is not None and finding.at.line in self.lines


_ALLOW = re.compile(r"([\w-]+)(?:\s+(.*))?$")


def _allowances(facts: FileFacts) -> tuple[list[_Allowance], list[Finding]]:
    found_, wrong = [], []
    for each in facts.ops.directives if facts.ops is not None else ():
        if each.word != "allow":
            continue
        place = Place(facts.name, each.line, f"-- lancio: allow {each.text}")
        match = _ALLOW.match(each.text)
        if match is None or match[1] not in RULES:
            known = ", ".join(sorted(RULES))
            wrong.append(found("allow", f"`{each.text}` names no rule", place, f"There are: {known}."))
        elif not (match[2] or "").strip():
            message = f"this allows {match[1]} and does not say why"
            wrong.append(found("allow", message, place, f"-- lancio: allow {match[1]} REASON"))
        else:
            found_.append(_Allowance(match[1], place, _lines(facts.statements, each.line)))
    return found_, wrong


def _lines(statements: Sequence[Statement], line: int) -> range:
    if not statements or line < statements[0].span.line:
        return range(1 << 31)
    for each in statements:
        end = each.span.line + each.sql.count("\n")
        if line <= end:
            return range(min(line, each.span.line), end + 1)
    return range(0)
