"""What do the steps of a plan need of a database besides its objects and rows?

Rights, server version, extensions, settings, room and locks, each with the statement that needs it. What an earlier
step makes belongs to the role that makes it, so only what is there already is asked for. What stands under a condition
that the catalog does not decide is needed perhaps; what stands in a routine's body or behind SET ROLE is left out:
nobody can say from here as whom it runs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lancio.catalog.model import Name
from lancio.planner import features
from lancio.planner.locks import MODES
from lancio.planner.model import Place
from lancio.planner.rows import identifier
from lancio.planner.surroundings import Asked, Extension, NewIndex, Rewrite, Right
from lancio.reading import tree
from lancio.reading.model import ANY_SCHEMA
from lancio.reading.relations import CONTYPES
from lancio.syntax import parser

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lancio.catalog.model import Live, Object
    from lancio.planner.features import Feature
    from lancio.planner.model import FileFacts, Service, Step
    from lancio.reading.model import Guard, Op, Ref, Statement
    from lancio.syntax.parser import RawStatement, Tree

SET_OPTION = 160000
"""From this version on, to become a role or to give it something takes the SET option of the membership."""

_PLAIN_ROWS = re.compile(r"(?i)\s*insert\s+into\s[^;]*?\bvalues\b")
_NEWER = re.compile(r"(?i)\b(?:returning|with|json_\w+|materialized|select)\b")
_ROWS = re.compile(r"(?i)\bfrom\b|\bupdate\b")
_QUERIES = ("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES", "TABLE", "COPY", "EXPLAIN")


def read(steps: Sequence[Step], live: Live) -> Asked:
    """Everything that these steps ask for; nothing is connected to."""
    collected = _Collected(live)
    for step in steps:
        collected.step(step)
    return collected.asked()


@dataclass
class _Collected:
    """Walks the steps in their order, and keeps what they ask for."""

    live: Live
    rights: dict[Right, tuple[Place, str]] = field(default_factory=dict)
    attributes: dict[str, tuple[Place, str]] = field(default_factory=dict)
    features: dict[tuple[str, str], tuple[Feature, Place]] = field(default_factory=dict)
    extensions: list[Extension] = field(default_factory=list)
    settings: dict[str, Place] = field(default_factory=dict)
    rewrites: list[tuple[int, Rewrite]] = field(default_factory=list)
    indexes: list[tuple[int, NewIndex]] = field(default_factory=list)
    locks: dict[str, tuple[str, Place]] = field(default_factory=dict)
    services: list[tuple[Service, Place]] = field(default_factory=list)
    by_row: set[str] = field(default_factory=set)
    conditional: set[Right] = field(default_factory=set)
    maybe: bool = False  # the operation at hand stands under a condition that nobody can answer from here
    own: set[Name] = field(default_factory=set)  # what a step has made or dropped by then
    gone: set[Name] = field(default_factory=set)  # of it, what it dropped
    path: tuple[str, ...] = ()
    bare: Place | None = None
    waits: Place | None = None

    def asked(self) -> Asked:
        return Asked(
            self.rights, self.attributes, tuple(self.features.values()), tuple(self.extensions), self.settings,
            tuple(self.rewrites), tuple(self.indexes), self.locks, tuple(self.services), self.bare, self.waits,
            frozenset(self.by_row), frozenset(self.conditional),
        )  # fmt: skip

    def step(self, step: Step) -> None:
        """One file, with a session as it is at its beginning."""
        facts = step.facts
        self.path = self.live.catalog.path
        self.services += [(each, Place(facts.name, each.line)) for each in facts.services]
        for lock in facts.locks:
            if self._known(lock.relation) is not None:
                place = Place(facts.name, lock.line)
                known = self.locks.get(lock.relation)
                if known is None or MODES.index(known[0]) < MODES.index(lock.mode):
                    self.locks[lock.relation] = lock.mode, place
        ops = facts.ops.ops if facts.ops is not None else ()
        by_statement: dict[int, list[Op]] = {}
        for op in ops:
            by_statement.setdefault(op.statement, []).append(op)
        given: set[str] = set()
        stranger = False
        # Of a file that is finished, fewer statements are sent than were read.
        read = facts.ops.statements if facts.ops is not None else facts.statements
        ordinals = {each.span.start: at for at, each in enumerate(read)}
        for statement in facts.statements:
            index = ordinals[statement.span.start]
            place = Place(facts.name, statement.span.line, statement.summary)
            parsed = _parsed(statement)
            if parsed is not None:
                self._features(parsed, statement, place)
            if statement.alone == "CONCURRENTLY":
                self.waits = self.waits or place
            for op in by_statement.get(index, ()):
                self._setting(op, facts, statement, given)
                if not stranger:
                    self._op(op, facts, statement)
            if parsed is not None and not stranger:
                self._tree(parsed, place, step.position)
                stranger = _becomes(parsed)

    def _known(self, full: str) -> Object | None:
        schema, _, name = full.partition(".")
        return self.live.catalog.find(Name("relation", schema, name))

    # Names.

    def _find(self, ref: Ref) -> Object | None:
        """What a name means among what was there before the plan; None for what a step makes, or nobody knows."""
        schemas = (ref.schema,) if ref.schema else self.path
        for schema in schemas:
            if ref.kind == "routine":
                if any(name.schema == schema and name.name == ref.name for name in self.own if name.kind == "routine"):
                    return None
                found = self.live.catalog.overloads(schema, ref.name)
                if ref.args is not None:
                    found = [each for each in found if each.name.args == ", ".join(ref.args)]
                if found:
                    return found[0] if len(found) == 1 else None
                continue
            name = Name(ref.kind, "" if ref.kind in _WITHOUT_SCHEMA else schema, ref.name)
            if name in self.own:
                return None
            if (object_ := self.live.catalog.find(name)) is not None:
                return object_
        return None

    def _made(self, op: Op) -> None:
        """A step makes it: from now on it is this role's own."""
        ref = op.ref
        schema = "" if ref.kind in _WITHOUT_SCHEMA else ref.schema or next(iter(self.path), "public")
        self.own.add(Name(ref.kind, schema, ref.name))
        self.gone.discard(Name(ref.kind, schema, ref.name))

    def _holds(self, guard: Guard) -> bool | None:
        """Whether a condition around an operation will hold by then; None where the catalog does not decide it."""
        ref = guard.ref
        if ref is None or guard.row is not None or guard.truth == "unknown" or ref.schema == ANY_SCHEMA:
            return None
        if ref.of:
            owner = self._find(ref.of[0])
            if owner is None:
                return None
            there = self.live.catalog.find(Name(ref.kind, owner.name.schema, ref.name, owner.name.name)) is not None
        else:
            schemas = ("",) if ref.kind in _WITHOUT_SCHEMA else (ref.schema,) if ref.schema else self.path
            names = [Name(ref.kind, schema or "", ref.name) for schema in schemas]
            made = any(name in self.own and name not in self.gone for name in names)
            there = made or (self._find(ref) is not None)
            if ref.kind == "routine":
                there = made or any(self.live.catalog.overloads(schema or "", ref.name) for schema in schemas)
        return there == (guard.truth == "exists")

    # Rights.

    def _need(self, right: Right, op: Op, facts: FileFacts) -> None:
        place = _place(facts, op)
        self._keep(right, place, place.text)

    def _keep(self, right: Right, place: Place, what: str) -> None:
        if right not in self.rights:
            self.rights[right] = place, what
            if self.maybe:
                self.conditional.add(right)
        elif not self.maybe and right in self.conditional:
            self.conditional.discard(right)
            self.rights[right] = place, what

    def _right(self, object_: Object, right: str, op: Op, facts: FileFacts) -> None:
        wanted = _right(object_, right)
        if wanted is not None and not object_.extension:
            self._need(wanted, op, facts)
            if object_.name.schema:
                self._need(_on_schema(object_.name.schema, "USAGE"), op, facts)

    def _op(self, op: Op, facts: FileFacts, statement: Statement) -> None:
        if op.verb == "set" and op.ref.name == "search_path" and op.ref.kind == "setting":
            self.path = op.detail.path if op.detail.path is not None else self.live.catalog.path
        held = [self._holds(guard) for guard in op.guards]
        if False in held:
            return
        self.maybe = None in held
        if op.when == "call" or op.soft or op.detail.part_of is not None:
            if op.verb == "make" and op.when != "call":
                self._references(op, facts)
                self._made(op)
            return
        match op.verb:
            case "make":
                self._make(op, facts)
            case "alter" | "write" | "drop" | "rename" | "move":
                self._change(op, facts)
            case "read" if op.ref.kind == "relation" and op.when == "now":
                if statement.summary.startswith(_QUERIES) and self._in_from(op, facts):
                    found = self._find(op.ref)
                    if found is not None and found.label != "sequence":
                        self._right(found, "SELECT", op, facts)
                        self._right(found, "NO RLS", op, facts)
            case "read" if op.ref.kind == "schema" and op.detail.label == "":
                found = self._find(op.ref)
                if found is not None:
                    self._need(_on_schema(op.ref.name, "USAGE"), op, facts)
            case "call" if op.when == "now":
                found = self._find(op.ref)
                if found is not None:
                    self._right(found, "EXECUTE", op, facts)
            case _:
                pass

    def _in_from(self, op: Op, facts: FileFacts) -> bool:
        """Whether the relation is read, and not only named in a text as regclass reads it."""
        written = facts.migration.text[op.span.start : op.span.start + 130].decode(errors="replace").lower()
        return written.lstrip('"').startswith((op.ref.schema or op.ref.name).lower())

    def _make(self, op: Op, facts: FileFacts) -> None:
        ref, detail = op.ref, op.detail
        there = self._find(ref) if ref.kind in ("relation", "routine", "type", "schema", "extension", "role") else None
        if there is not None and detail.replace:
            self._right(there, "OWNER", op, facts)
        elif there is None or not detail.if_not_exists:
            if ref.kind in ("relation", "routine", "type"):
                schema = ref.schema or next(iter(self.path), "public")
                if ref.schema is None and self.path == self.live.catalog.path and not detail.like:
                    self.bare = self.bare or _place(facts, op)
                if self.live.catalog.find(Name("schema", "", schema)) and Name("schema", "", schema) not in self.own:
                    self._need(_on_schema(schema, "CREATE"), op, facts)
            elif ref.kind in ("schema", "publication"):
                self._need(Right("database", "", "CREATE"), op, facts)
            elif ref.kind == "role":
                self._create_role(op, facts)
            self._made(op)
        tables = (*ref.of[:1], *(detail.like[:1] if detail.label == "index" else ()))
        for table in tables if ref.kind != "label" else ():
            if (found := self._find(table)) is not None:
                self._right(found, "TRIGGER" if ref.kind == "trigger" else "OWNER", op, facts)
        if ref.kind == "label" and ref.of and (found := self._find(ref.of[0])) is not None:
            self._right(found, "OWNER", op, facts)
        if ref.kind == "trigger" and detail.routine is not None and (found := self._find(detail.routine)) is not None:
            self._right(found, "EXECUTE", op, facts)
        self._references(op, facts)

    def _references(self, op: Op, facts: FileFacts) -> None:
        """A foreign key may point only at what its maker may refer to."""
        references = op.detail.references
        if references is not None and not op.soft and (found := self._find(references[0])) is not None:
            self._right(found, "REFERENCES", op, facts)

    def _change(self, op: Op, facts: FileFacts) -> None:
        ref, detail = op.ref, op.detail
        if op.verb == "write" and detail.facet == "rows":
            if (found := self._find(ref)) is not None:
                for event in detail.events:
                    self._right(found, event.upper(), op, facts)
                if detail.events != ("truncate",):
                    self._right(found, "NO RLS", op, facts)
            return
        if detail.facet in ("acl", "default privileges"):
            return  # a grant option would do as well as ownership
        if ref.kind == "role":
            if ref.name != self.live.user:
                self._create_role(op, facts)
            return
        whole = ref.of[0] if ref.of else ref
        if (found := self._find(whole)) is None:
            return
        part = bool(ref.of)
        self._right(found, "DROP" if op.verb == "drop" and not part else "OWNER", op, facts)
        if op.verb == "drop" and not part:
            self.own.add(found.name)  # whatever bears the name later is a step's own
            self.gone.add(found.name)
        if op.verb == "move" and self.live.catalog.find(Name("schema", "", detail.to)):
            self._need(_on_schema(detail.to, "CREATE"), op, facts)

    def _create_role(self, op: Op, facts: FileFacts) -> None:
        if not self.maybe:
            place = _place(facts, op)
            self.attributes.setdefault("createrole", (place, place.text))

    def _setting(self, op: Op, facts: FileFacts, statement: Statement, given: set[str]) -> None:
        if op.ref.kind != "setting" or "." not in op.ref.name:
            return
        if op.verb == "set":
            given.add(op.ref.name)
        elif op.verb == "read" and not op.soft and op.when == "now" and not op.guards and op.ref.name not in given:
            place = Place(facts.name, op.span.line, statement.summary)
            by_row = statement.summary.startswith(_QUERIES) and _ROWS.search(statement.sql) is not None
            if op.ref.name not in self.settings or (op.ref.name in self.by_row and not by_row):
                self.settings[op.ref.name] = place
                (self.by_row.add if by_row else self.by_row.discard)(op.ref.name)

    # What only the tree tells.

    def _features(self, parsed: RawStatement, statement: Statement, place: Place) -> None:
        for feature, at in features.used(parsed, statement.sql):
            lines = statement.sql.encode().count(b"\n", 0, at) if at > 0 else 0
            known = (place.file, feature.name)
            if known not in self.features:
                self.features[known] = feature, place._replace(line=place.line + lines)

    def _tree(self, parsed: RawStatement, place: Place, position: int) -> None:
        node, fields = parsed.node, parsed.tree
        self.maybe = False
        if (because := _superuser(node, fields)) is not None:
            self.attributes.setdefault("superuser", (place, because))
        if node == "CreateExtensionStmt":
            self.extensions.append(_extension(fields, place, update=False))
        elif node == "AlterExtensionStmt":
            self.extensions.append(_extension(fields, place, update=True))
        elif node == "AlterTableStmt" and fields.get("objtype") in ("OBJECT_TABLE", "OBJECT_MATVIEW"):
            found = self._find(tree.relation(fields.get("relation", {})))
            if found is not None:
                self._altered(found, fields, place, position)
        elif node == "IndexStmt":
            found = self._find(tree.relation(fields.get("relation", {})))
            if found is not None:
                keys = [each.get("IndexElem", {}) for each in fields.get("indexParams", ())]
                also = [each.get("IndexElem", {}) for each in fields.get("indexIncludingParams", ())]
                columns = tuple(each.get("name", "") for each in (*keys, *also))
                made = NewIndex(found.name.full, fields.get("idxname", "an index"), columns, place)
                self.indexes.append((position, made))
        elif node in ("ClusterStmt", "VacuumStmt", "RefreshMatViewStmt"):
            self._whole(node, fields, place, position)
        elif node == "VariableSetStmt" and fields.get("name"):
            self._keep(Right("setting", fields["name"].lower(), "SET", bare=fields["name"].lower()), place, place.text)
        elif node == "CreateFunctionStmt":
            language = tree.option(fields.get("options"), "language")
            if isinstance(language, dict):
                name = tree.text_of(language).lower()
                self._keep(Right("language", identifier(name), "USAGE", bare=name), place, place.text)
        for role in _roles(node, fields):
            right = "SET" if self.live.version >= SET_OPTION else "MEMBER"
            if Name("role", "", role) not in self.own:
                self._keep(Right("role", identifier(role), right, bare=role), place, place.text)

    def _altered(self, table: Object, fields: Tree, place: Place, position: int) -> None:
        for each in fields.get("cmds", ()):
            command = each.get("AlterTableCmd", {})
            definition = command.get("def", {})
            for because, calls in self._rewrites(table, command, definition):
                self.rewrites.append((position, Rewrite(table.name.full, because, place, calls)))
            constraint = definition.get("Constraint", {})
            key = CONTYPES.get(constraint.get("contype", "")) in ("primary key", "unique", "exclude")
            if key and not constraint.get("indexname"):
                made = constraint.get("conname") or "the index of a key"
                columns = tree.strings(constraint.get("keys"))
                self.indexes.append((position, NewIndex(table.name.full, made, columns, place)))

    def _rewrites(self, table: Object, command: Tree, definition: Tree) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Why a part of ALTER TABLE writes the whole table anew (ATPrepAlterColumnType and its like in tablecmds.c)."""
        subtype, name = command.get("subtype", ""), command.get("name", "")
        column = definition.get("ColumnDef", {})
        if subtype in _ALWAYS:
            yield _ALWAYS[subtype], ()
        elif subtype == "AT_AlterColumnType":
            held = self.live.catalog.find(Name("column", table.name.schema, name, table.name.name))
            old = held.detail.columns[0].type_name if held is not None and held.detail.columns else ""
            if column.get("raw_default") or not _coercible(old, column.get("typeName", {})):
                yield f"another type for {name}", ()
        elif subtype == "AT_AddColumn":
            yield from self._added(column)

    def _added(self, column: Tree) -> Iterator[tuple[str, tuple[str, ...]]]:
        name = column.get("colname", "")
        if tree.is_serial(column.get("typeName", {})):
            yield f"the numbers of the new column {name}", ()
            return
        for each in column.get("constraints", ()):
            constraint = each.get("Constraint", {})
            kind = constraint.get("contype")
            if kind == "CONSTR_IDENTITY":
                yield f"the numbers of the new column {name}", ()
            elif kind == "CONSTR_GENERATED" and constraint.get("generated_kind") != "v":
                yield f"the generated column {name}", ()
            elif kind == "CONSTR_DEFAULT":
                default = constraint.get("raw_expr", {})
                nodes = ({"": default}, *({key: value} for key, value in tree.walk(default)))
                calls = [tree.last(node["FuncCall"].get("funcname")) for node in nodes if "FuncCall" in node]
                if self.live.version < CONSTANT_DEFAULT and not default.get("A_Const", {}).get("isnull"):
                    yield f"the default of the new column {name}, before PostgreSQL 11", ()
                elif calls:
                    yield f"the volatile default of the new column {name}", tuple(dict.fromkeys(calls))

    def _whole(self, node: str, fields: Tree, place: Place, position: int) -> None:
        if node == "VacuumStmt" and not tree.option(fields.get("options"), "full"):
            return
        ranges = [fields["relation"]] if "relation" in fields else []
        ranges += [each.get("VacuumRelation", {}).get("relation", {}) for each in fields.get("rels", ())]
        because = {"ClusterStmt": "CLUSTER", "VacuumStmt": "VACUUM FULL"}.get(node, "REFRESH MATERIALIZED VIEW")
        for each in ranges:
            found = self._find(tree.relation(each))
            if found is not None:
                self.rewrites.append((position, Rewrite(found.name.full, because, place)))


CONSTANT_DEFAULT = 110000
"""From this version on a column's constant default is kept once, not in every row."""

_WITHOUT_SCHEMA = frozenset(("schema", "extension", "role", "language", "publication", "server", "event trigger"))

_ALWAYS = {
    "AT_SetLogged": "SET LOGGED", "AT_SetUnLogged": "SET UNLOGGED", "AT_SetAccessMethod": "SET ACCESS METHOD",
    "AT_SetTableSpace": "SET TABLESPACE",
}  # fmt: skip

_SUPERUSER = {
    "CreateEventTrigStmt": "CREATE EVENT TRIGGER", "CreateFdwStmt": "CREATE FOREIGN DATA WRAPPER",
    "CreateTableSpaceStmt": "CREATE TABLESPACE", "CreateAmStmt": "CREATE ACCESS METHOD",
    "CreateOpClassStmt": "CREATE OPERATOR CLASS", "CreateOpFamilyStmt": "CREATE OPERATOR FAMILY",
    "LoadStmt": "LOAD",
}  # fmt: skip
"""Statements that only a superuser may run, on every version (from 15 on some settings can be granted)."""


def _superuser(node: str, fields: Tree) -> str | None:
    """What it is about a statement that takes a superuser; None for all others."""
    if node in _SUPERUSER:
        return _SUPERUSER[node]
    if node == "CreatePublicationStmt" and fields.get("for_all_tables"):
        return "FOR ALL TABLES"
    if node == "CreateCastStmt" and "func" not in fields and not fields.get("inout"):
        return "CREATE CAST … WITHOUT FUNCTION"
    if node == "DefineStmt" and fields.get("kind") in ("OBJECT_TSPARSER", "OBJECT_TSTEMPLATE"):
        return "CREATE TEXT SEARCH PARSER or TEMPLATE"
    if node == "DefineStmt" and fields.get("kind") == "OBJECT_TYPE" and fields.get("definition"):
        return "CREATE TYPE of a base type"
    if node == "CreateFunctionStmt" and tree.option(fields.get("options"), "leakproof"):
        return "LEAKPROOF"
    if node in ("CreateRoleStmt", "AlterRoleStmt"):
        value = tree.option(fields.get("options"), "superuser")
        if isinstance(value, dict) and value.get("Boolean", {}).get("boolval"):
            return "SUPERUSER"
    return None


def _becomes(parsed: RawStatement) -> bool:
    """Whether what follows runs as another role."""
    fields = parsed.tree
    return parsed.node == "VariableSetStmt" and fields.get("name", "") in ("role", "session_authorization") \
        and fields.get("kind") == "VAR_SET_VALUE"  # fmt: skip


def _roles(node: str, fields: Tree) -> Iterator[str]:
    """The roles that a statement becomes, or hands something over to."""
    if node == "VariableSetStmt" and fields.get("name") == "role":
        value = tree.constant((fields.get("args") or [{}])[0])
        if value and value != "none":
            yield value
    specs: list[Tree] = [fields.get("newowner") or {}, fields.get("authrole") or {}]
    specs += [each.get("AlterTableCmd", {}).get("newowner") or {} for each in fields.get("cmds", ())]
    for spec in specs:
        role: Tree = spec.get("RoleSpec", spec)
        if role.get("roletype") == "ROLESPEC_CSTRING":
            yield role.get("rolename", "")


def _extension(fields: Tree, place: Place, *, update: bool) -> Extension:
    options = fields.get("options")
    version, schema = (tree.option(options, name) for name in ("new_version", "schema"))
    return Extension(
        fields.get("extname", ""),
        tree.text_of(version) if isinstance(version, dict) else "",
        tree.text_of(schema) if isinstance(schema, dict) else "",
        bool(tree.option(options, "cascade")),
        update,
        place,
    )


def _parsed(statement: Statement) -> RawStatement | None:
    """The tree of a statement; None where it is one of those that only bring constant rows."""
    if _PLAIN_ROWS.match(statement.sql) and not _NEWER.search(statement.sql):
        return None
    try:
        found = parser.parse(statement.sql.encode())
    except parser.ParseError:  # it stands inside of a text that is only as a whole a statement
        return None
    return found[0] if len(found) == 1 else None


def _right(object_: Object, right: str) -> Right | None:
    """A right on an object; None for what has no rights of its own."""
    name = object_.name
    said = f"{identifier(name.schema)}.{identifier(name.name)}" if name.schema else identifier(name.name)
    match name.kind:
        case "relation" | "type" | "schema" | "extension":
            return Right(name.kind, said, right, name.schema, name.name)
        case "routine":
            return Right(name.kind, f"{said}({name.args})", right, name.schema, name.name, name.args)
        case _:
            return None


def _on_schema(name: str, right: str) -> Right:
    return Right("schema", identifier(name), right, "", name)


# Which types are stored alike, so that another type costs no rewrite.

_TYPE = re.compile(r"^(.*?)(?:\((\d+)(?:,(\d+))?\))?( (?:with|without) time zone)?$")
_ALIKE = frozenset((
    ("character varying", "text"), ("text", "character varying"), ("cidr", "inet"), ("xml", "text"),
    ("integer", "oid"), ("bit", "bit varying"),
))  # fmt: skip
_GROWING = frozenset((
    "character varying", "bit varying", "numeric", "timestamp with time zone", "timestamp without time zone",
    "time with time zone", "time without time zone", "interval",
))  # fmt: skip


def _coercible(old: str, type_name: Tree) -> bool:
    """Whether rows stay as they are when a column of the type `old` (as format_type() says it) gets this one."""
    found = _TYPE.match(old)
    if found is None or not old:
        return False
    if type_name.get("arrayBounds"):
        return old == tree.type_text(type_name) and not type_name.get("typmods")
    base = found[1] + (found[4] or "")
    before = [int(part) for part in (found[2], found[3]) if part]
    new = tree.type_text(type_name)
    after = [int(value) for each in type_name.get("typmods", ()) if (value := tree.constant(each) or "").isdigit()]
    if (base, new) in _ALIKE:
        return not after
    if base != new:
        return False
    if before == after:
        return True
    if base not in _GROWING:
        return False
    if not after:
        return True  # without a limit
    if not before:
        return False
    scale = before[1:] == after[1:] or base != "numeric"
    return after[0] >= before[0] and scale


def _place(facts: FileFacts, op: Op) -> Place:
    # Of a file that is finished, fewer statements are sent than were read.
    statements = facts.ops.statements if facts.ops is not None else facts.statements
    return Place(facts.name, op.span.line, statements[op.statement].summary)
