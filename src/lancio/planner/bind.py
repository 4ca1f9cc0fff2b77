"""What do the names of the files mean? Operations walked in order over a catalog, as a compiler resolves names.

Each read becomes a need on who made the object, each write a hazard for who used it, and what nobody made is a
requirement. The catalog may be empty (a folder on its own) or a live server's: then what comes out is the preflight.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lancio.catalog.model import BEFORE, Catalog, Gone, Name, Object, Site, Version
from lancio.errors import SyntaxRefused
from lancio.planner import types
from lancio.planner.locks import MODES
from lancio.planner.model import Because, Lock, Opaque, Place, Requirement
from lancio.planner.rows import contradicts, probe, row_text
from lancio.reading import directives, operations
from lancio.reading.model import ANY_SCHEMA
from lancio.reading.queries import name_in_text
from lancio.reading.relations import INHERITS, PARTITION, object_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lancio.catalog.profile import Profile
    from lancio.planner.model import Hazard, Strength
    from lancio.reading.model import Detail, FileOps, Guard, Kind, Op, Ref, RowFact
    from lancio.reading.source import Migration

SYSTEM = frozenset(("pg_catalog", "information_schema", "pg_toast", "pg_temp"))
SYSTEM_COLUMNS = frozenset(("tableoid", "ctid", "xmin", "xmax", "cmin", "cmax", "oid"))
CALL_DEPTH = 12
"""How many calls deep a routine's body is followed."""

PARTS = frozenset(("column", "constraint", "trigger", "policy", "rule", "label"))
"""Objects that belong to another one and are named with it."""

_LASTING = ("bodies", "heirs", "partitions", "transitions", "secured")
"""What a binder keeps from file to file beside the catalog and the edges."""

SCHEMALESS = frozenset(("schema", "extension", "role", "language", "server", "publication", "subscription",
                        "event trigger", "foreign data wrapper", "access method", "tablespace", "cast"))  # fmt: skip


@dataclass(slots=True)
class Bound:
    """What binding one file found."""

    requirements: dict[tuple[str, str], Requirement] = field(default_factory=dict)
    made: list[int] = field(default_factory=list)
    changed: dict[tuple[int, str], tuple[str, str, Site]] = field(default_factory=dict)
    dropped: list[tuple[str, str, str, Site]] = field(default_factory=list)
    rows: dict[str, None] = field(default_factory=dict)
    locks: dict[str, tuple[int, int]] = field(default_factory=dict)
    settings: dict[str, None] = field(default_factory=dict)
    questions: dict[str, None] = field(default_factory=dict)  # about rows, for a live database
    opaque: list[Opaque] = field(default_factory=list)
    destroys: list[tuple[str, Site]] = field(default_factory=list)

    def missing(self) -> list[Requirement]:
        """The requirements that nothing provides."""
        return [each for each in self.requirements.values() if each.source == "missing"]


class Binder:
    """Binds files one after the other over one catalog.

    `files` are the migrations that sites point into, whatever order they are bound in; `answers` what a live database
    said to questions about rows.
    """

    def __init__(
        self,
        catalog: Catalog,
        profile: Profile,
        files: Sequence[tuple[Migration, FileOps]],
        answers: Mapping[str, bool | None] | None = None,
    ) -> None:
        self.catalog = catalog
        self.answers = answers or {}
        self.profile = profile
        self.files = files
        self.edges: dict[tuple[int, int, Hazard, Strength], dict[tuple[str, int], Because]] = {}
        self.bodies: dict[int, Site] = {}  # routines that files made, and where: asked again at the end
        self.current = -1
        self.bound = Bound()
        self.path: tuple[str, ...] = catalog.path
        self._calls: set[int] = set()  # routines whose bodies this statement has run
        self._depth = 0
        self._perhaps = 0  # how many triggers deep that fire only if there are rows
        self._made_now: list[Object] = []
        self._read_now: list[Object] = []
        self._held_now: list[tuple[Object, Ref]] = []  # what an expression names, and what keeps the expression
        self._statement = -1
        self.heirs: dict[int, list[int]] = {}  # tables that inherit from a table, partitions among them
        self.partitions: dict[int, list[int]] = {}
        self._keyless: list[tuple[Object, tuple[str, ...], Op]] = []  # foreign keys whose key was not there yet
        self.transitions: set[str] = set()  # names that triggers give to the rows they hand over
        self._dropped: list[tuple[str, str, Site, list[int]]] = []  # by this statement, and what stood on each
        self._truths: dict[tuple[int, Ref | None], bool | None] = {}  # what this statement's conditions found
        self._left: set[int] = set()  # objects that this statement found and left alone
        self._places: dict[Site, Place] = {}
        self._searched: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())  # a path, and its schemas
        self.secured: dict[int, set[int]] = {}  # by file, the tables whose row level security it switched

    def state(self) -> dict[str, Any]:
        """All that the next files are bound over, but for the edges drawn so far: they are known by then.

        Late edges may still get reasons at the end. The values are the binder's own, not copies.
        """
        late = {key: because for key, because in self.edges.items() if key[3] == "late"}
        return {"catalog": vars(self.catalog), "late": late, **{name: getattr(self, name) for name in _LASTING}}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from where another binder's `state` was taken."""
        vars(self.catalog).update(state["catalog"])
        self.edges = state["late"]
        for name in _LASTING:
            setattr(self, name, state[name])

    # Places and edges.

    def place(self, site: Site) -> Place:
        """The place of a site, for people."""
        found = self._places.get(site)
        if found is None:
            found = self._places[site] = self._place(site)
        return found

    def _place(self, site: Site) -> Place:
        migration, ops = self.files[site.file]
        return Place(migration.name, site.line, directives.words(ops, site.statement, site.line))

    def edge(self, site: Site, needs: Site, hazard: Hazard, strength: Strength, says: str, kind: str) -> None:
        """`site`'s file must stay behind `needs`'s file."""
        if needs.file < 0 or needs.file == site.file:
            return
        because = self.edges.setdefault((site.file, needs.file, hazard, strength), {})
        if (says, needs.line) not in because and len(because) < MAX_EVIDENCE:
            because[says, needs.line] = Because(says, kind, self.place(site), self.place(needs))

    # Names.

    def schemas(self, ref: Ref) -> tuple[str, ...]:
        """The schemas that a name is looked for in."""
        if ref.schema == ANY_SCHEMA:
            return tuple(each.name.name for each in self.catalog.within("") if each.name.kind == "schema")
        if ref.schema:
            return (ref.schema,)
        path, schemas = self._searched
        if path is not self.path:
            path = self.path
            schemas = tuple(found for schema in path if schema != "$user" and (found := self.schema_of(schema)))
            if not any(schema.startswith("@") for schema in path):  # where an extension lies may change
                self._searched = path, schemas
        return schemas

    def schema_of(self, part: str) -> str:
        """The schema that a part of a search_path names; `@extension` is the schema its members are in."""
        if not part.startswith("@"):
            return part
        return next((each.name.schema for each in self.catalog.objects.values() if each.extension == part[1:]), "")

    def creation_schema(self, ref: Ref) -> str:
        """The schema that a new object goes to."""
        if ref.kind in SCHEMALESS:
            return ""
        if ref.schema:
            return ref.schema
        for schema in map(self.schema_of, self.path):
            if schema not in ("$user", "pg_temp") and self.catalog.find(Name("schema", "", schema)):
                return schema
        return next(
            (each for each in map(self.schema_of, self.path) if each and each not in ("$user", *SYSTEM)), "public"
        )

    def resolve(self, ref: Ref) -> Object | None:
        """The object that a name means here, or None: built in, or missing."""
        kind = ref.kind
        if kind in SCHEMALESS:
            return self.catalog.find(Name(kind, "", ref.name))
        if kind == "routine":
            found = self.routine(ref)
            return found[0] if found else None
        if kind == "column":
            for relation in ref.of:
                owner = self.resolve(relation)
                if owner is not None and (column := self.catalog.part("column", owner, ref.name)):
                    return column
            return None
        if kind in ("trigger", "policy", "rule", "constraint", "label"):
            owner = self.resolve(ref.of[0]) if ref.of else None
            return self.catalog.part(kind, owner, ref.name) if owner else None
        for schema in self.schemas(ref):
            found_one = self.catalog.find(Name(kind, schema, ref.name))
            if found_one is None and kind == "type":
                found_one = self.catalog.find(Name("relation", schema, ref.name))
            if found_one is None and kind == "relation":
                found_one = self.catalog.find(Name("type", schema, ref.name))
            if found_one is not None:
                return found_one
        return None

    def routine(self, ref: Ref) -> list[Object]:
        """The routines that a name and its arguments may mean.

        pg_catalog is searched first unless a path says otherwise, so what is built in hides a member of the same
        name that an extension brings (gen_random_uuid() from 13 on).
        """
        if ref.schema is None and ref.args is None and "pg_catalog" not in self.path and self.builtin(ref):
            return []
        for schema in self.schemas(ref):
            overloads = self.catalog.overloads(schema, ref.name)
            if ref.args is not None:
                wanted = [types.bare(each) for each in ref.args]
                overloads = [each for each in overloads if [types.bare(arg) for arg in _arguments(each)] == wanted]
            elif ref.arity is not None:
                overloads = [each for each in overloads if _accepts(each, ref.arity)]
            if overloads:
                return overloads
        return []

    def builtin(self, ref: Ref) -> bool:
        """Whether the server has it by itself."""
        if ref.schema in SYSTEM:
            return True
        if ref.schema is not None and ref.kind != "operator":
            return False
        if ref.kind in ("trigger", "policy", "rule", "constraint", "label", "schema"):
            return ref.name in SYSTEM or ref.name.startswith("pg_")
        return self.profile.has(ref.kind, ref.name, ref.arity)

    # Binding.

    def file(self, index: int) -> Bound:
        """Bind the operations of one file; the catalog is then as it leaves it."""
        _, ops = self.files[index]
        self.current, self.bound = index, Bound()
        self.path = self.catalog.path
        self._statement, self._placed = -1, None
        for op in ops.ops:
            if op.statement != self._statement:
                self._end_statement()
                self._statement = op.statement
            self.op(op)
        self._end_statement()
        self.bound.made = [each for each in self.bound.made if each in self.catalog.objects]
        return self.bound

    def _end_statement(self) -> None:
        for made in self._made_now:
            if made.name.kind not in ("relation", "trigger", "policy", "rule") or made.label not in FALLING:
                continue  # a table's parts do not all hang on all that its statement names
            for read in self._read_now:
                if read is not made:
                    self.catalog.stands(made.id, read)
        for found, ref in self._held_now:
            holder = self.resolve(ref)
            if holder is not None and holder.parent != found.id:
                self.catalog.stands(holder.id, found)
        for says, done, site, dependents in self._dropped:
            self.blocked(
                says, done, site, [self.catalog.objects[each] for each in dependents if each in self.catalog.objects]
            )
        self._dropped.clear()
        for target, columns, op in self._keyless:  # the key may have come behind the reference to it
            if not self.unique_keys(target, columns):
                listed = ", ".join(columns)
                says = (
                    f"a unique key on {target.name.full} ({listed})" if columns else f"a primary key of {target.says}"
                )
                message = f'there is no unique constraint matching given keys for referenced table "{target.name.name}"'
                self.lack("unique key", says, op, message)
        self._keyless.clear()
        self._made_now, self._read_now, self._held_now = [], [], []
        self._left.clear()
        self._calls.clear()
        self._truths.clear()

    def site(self, op: Op) -> Site:
        """Where we are; inside a called routine, the statement that calls."""
        if self._depth:
            return self._caller
        if op is not self._placed:
            self._placed, self._here = op, Site(self.current, op.statement, op.span.line)
        return self._here

    def blocked(self, says: str, done: str, site: Site, dependents: list[Object]) -> None:
        """A DROP or a change of type under something that stands on it: PostgreSQL refuses it without CASCADE."""
        if not dependents:
            return
        names = ", ".join(sorted(each.says for each in dependents))
        wanted = f"nothing to stand on {says}: {names}"
        self.bound.requirements["dependents", wanted] = Requirement(
            wanted, "dependents", "hard", self.place(site), "missing", None, "",
            f"cannot {done} {says} because other objects depend on it",
        )  # fmt: skip

    _caller = _here = BEFORE
    _placed: Op | None = None  # the operation that `_here` is the site of

    def op(self, op: Op) -> None:
        """Bind one operation."""
        truth = self.guarded(op)
        if truth is False:
            self.would_make(op)
            return
        maybe = truth is None or op.soft
        verb = op.verb
        whole = self.resolve(op.detail.part_of) if self._left and op.detail.part_of is not None else None
        if whole is not None and whole.id in self._left:
            return
        if verb == "opaque":
            self.bound.opaque.append(Opaque(self.place(self.site(op)), op.detail.reason))
        elif verb == "read":
            self.read(op, maybe=maybe)
        elif verb == "call":
            self.call(op, maybe=maybe)
        elif verb == "make":
            self.make(op, maybe=maybe)
        elif verb in ("alter", "write"):
            self.write(op, maybe=maybe)
        elif verb == "drop":
            self.drop(op)
        elif verb in ("rename", "move"):
            self.rename(op, maybe=maybe)
        elif verb == "rows":
            self.rows(op)
        elif verb == "set" and op.ref.name == "search_path":
            self.path = op.detail.path if op.detail.path is not None else self.catalog.path

    def would_make(self, op: Op) -> None:
        """An object that the file makes only where it is not there yet."""
        if op.verb != "make" or op.detail.implied:
            return
        for guard in op.guards:
            if guard.ref is not None and guard.truth == "missing" and guard.ref.name == op.ref.name:
                found = self.resolve(guard.ref)
                if found is not None and found.maker.file != self.current:
                    found.also.append(self.site(op))

    def guarded(self, op: Op) -> bool | None:
        """Whether the conditions around an operation hold: True, False, or None where that cannot be known."""
        known = True
        for guard in op.guards:
            # A condition is asked once, when its branch is entered; what the branch does may make it untrue.
            asked = guard.asked, guard.ref
            if asked not in self._truths:
                self._truths[asked] = self.there(guard, op)
            there = self._truths[asked]
            truth = None if there is None or guard.truth == "unknown" else there is (guard.truth == "exists")
            if truth is False:
                return False
            known = known and truth is True
        return True if known else None

    def there(self, guard: Guard, op: Op) -> bool | None:
        """Whether what a condition asks for is there; None where that cannot be known."""
        ref = guard.ref
        if ref is None:
            return None
        if guard.row is not None:
            return self.row_there(guard.row)
        found = self.resolve(ref)
        if found is not None:
            if found.maker.file != self.current:
                self.edge(self.site(op), found.maker, "read-after-write", "set", found.says, found.name.kind)
            return True
        if self.builtin(ref):
            return True
        if ref.kind == "role" and not self.catalog.live:
            return None  # roles are the server's: which ones it has, no folder says
        return False

    def row_there(self, row: RowFact) -> bool | None:
        """Whether a table has such a row: False where the database has none, and no file before made one."""
        table = self.resolve(row.table)
        if table is None:
            return None
        question = probe(table.name.full, row)
        self.bound.questions[question] = None
        made = any(not contradicts(fact, row) for fact, _ in table.rows)
        return False if not made and self.answers.get(question) is False else None

    # Reading.

    def read(self, op: Op, *, maybe: bool) -> None:
        """An object that must be there."""
        ref = op.ref
        if ref.kind == "setting":
            if "." in ref.name:
                self.bound.settings[ref.name] = None
        elif ref.kind == "row":
            self.need_row(op, maybe=maybe)
        elif ref.kind == "set":
            self.read_set(op)
        elif ref.kind == "column":
            self.read_column(op, maybe=maybe)
        elif ref.kind == "label":
            self.read_label(op, maybe=maybe)
        elif ref.kind == "unique":
            self.read_unique(op, maybe=maybe)
        else:
            found = self.resolve(ref)
            if found is not None:
                self.need(found, op)
            elif not self.builtin(ref):
                self.missing(op, ref, maybe=maybe)

    def need(
        self,
        found: Object,
        op: Op,
        mode: str = "ACCESS SHARE",
        strength: Strength = "hard",
        *,
        name_only: bool = False,
    ) -> None:
        """The current file needs an object that is there."""
        site = self.site(op)
        version = found.cells.get("exists")
        maker = version.maker if version else BEFORE
        self._read_now.append(found)
        if op.detail.holder is not None and found.name.kind in ("routine", "type"):
            self._held_now.append((found, op.detail.holder))
        if strength == "hard":
            strength = "order" if op.soft else self.firm
        if strength == "hard" and self.asked_for(found, op):
            strength = "set"  # the file does without it where it is not there
        self.lock(found, mode, site)
        if maker.file == self.current:
            return
        if version is not None and (not version.readers or version.readers[-1].file != site.file):
            version.readers.append(site)
        self.made_by(found, site, strength, name_only=name_only)
        if found.placed_by is not None and op.ref.schema and strength == "hard":
            self.edge(site, found.placed_by, "read-after-write", "hard", f"schema {found.name.schema}", "schema")
        self.require_object(found, strength, site, op.detail.message)

    @property
    def firm(self) -> Strength:
        """How strong a need is here: inside a trigger that fires for rows which may not be there, it is not sure."""
        return "late" if self._perhaps else "hard"

    def need_owner(self, op: Op) -> None:
        """The table whose column, constraint, trigger … an operation names must be there, under that name."""
        owner = self.resolve(op.ref.of[0]) if op.ref.of else None
        if owner is not None:
            self.need(owner, op)

    def made_by(self, found: Object, site: Site, strength: Strength = "hard", *, name_only: bool = False) -> None:
        """An edge to who made an object.

        Where the file that made it took away what bore the name before, without that file the earlier one is still
        there: that one's maker is needed, and this file's place is a matter of order (`name_only`: whatever the
        earlier one was). Where several files would make it (IF NOT EXISTS, OR REPLACE), none of them alone is needed.
        """
        maker = found.cells["exists"].maker if "exists" in found.cells else BEFORE
        if maker.file < 0 and found.former is None and not found.also and not found.extension:
            return  # it was there before
        says, kind = found.says, found.name.kind
        if strength == "hard" and found.former is not None and (found.alike or name_only):
            self.edge(site, found.former, "read-after-write", "hard", says, kind)
            strength = "order"
        made_with = self.catalog.find(Name("extension", "", found.extension)) if found.extension else found
        also = made_with.also if made_with is not None else ()
        others = {each.file: each for each in also if each.file not in (maker.file, site.file)}
        if strength == "hard" and others:
            strength = "order"
            for each in others.values():
                self.edge(site, each, "read-after-write", strength, says, kind)
        self.edge(site, maker, "read-after-write", strength, says, kind)

    def asked_for(self, found: Object, op: Op) -> bool:
        """Whether the operation stands under a test that the object is there."""
        asked = (self.resolve(guard.ref) for guard in op.guards if guard.ref is not None and guard.truth == "exists")
        return any(each is not None and (each is found or each.parent == found.id) for each in asked)

    def conditions(self, op: Op) -> list[str]:
        """The objects that must be there for the operation to run at all, as kind and name."""
        found = (self.resolve(guard.ref) for guard in op.guards if guard.ref is not None and guard.truth == "exists")
        return [f"{each.name.kind} {each.name.full}" for each in found if each is not None]

    def require_object(self, found: Object, strength: Strength, site: Site, message: str) -> None:
        """Note that an object which is there is required; of an extension's member, the extension."""
        if found.extension and (owner := self.catalog.find(Name("extension", "", found.extension))) is not None:
            found = owner
        if strength not in ("set", "order") and found.name.kind not in PARTS:
            self.require(found.says, found.name.kind, strength, site, found.maker, message)

    def require(self, says: str, kind: str, strength: Strength, site: Site, maker: Site, message: str) -> None:
        """Note a requirement that is met."""
        known = self.bound.requirements.get((kind, says))
        if known is not None and (known.strength == "hard" or strength == "late"):
            return
        provider = self.place(maker) if maker.file >= 0 else None
        self.bound.requirements[kind, says] = Requirement(
            says, kind, strength, self.place(site), "file" if provider else "database", provider, "", message
        )

    def missing(self, op: Op, ref: Ref, *, maybe: bool, strength: Strength = "hard") -> None:
        """Nothing provides it: a requirement, unless the file could do without it."""
        extension = self.profile.extension_of(ref.kind, ref.name, ref.arity)
        site = self.site(op)
        says = f"{_word(op, ref)} {ref}"
        kind: str = ref.kind
        if extension and ref.kind in ("routine", "type", "opclass", "operator"):
            says, kind = f"extension {extension}", "extension"
        if maybe or (kind, says) in self.bound.requirements:
            return
        if self._depth and ref.schema is None and ref.name in self.transitions:
            return  # rows that a trigger hands to its function
        if strength == "hard":
            strength = self.firm
        self.bound.requirements[kind, says] = Requirement(
            says, kind, strength, self.place(site), "missing", None, "", op.detail.message
        )

    def read_column(self, op: Op, *, maybe: bool) -> None:
        """A column of one of the relations that are in sight."""
        ref = op.ref
        first_owner: Object | None = None
        for relation in ref.of:
            owner = self.resolve(relation)
            if owner is None:
                return  # a missing relation is a requirement of its own, and a built-in one has what it has
            if ref.name == "*":
                owner.cells.setdefault("columns", Version(owner.maker)).readers.append(self.site(op))
                for column in self.catalog.parts("column", owner):
                    self._read_now.append(column)
                    # What `*` stands for is decided by what is there: another order gives another result, no failure.
                    self.edge(self.site(op), column.maker, "read-after-write", "order", column.says, "column")
                return
            column_found = self.catalog.part("column", owner, ref.name)
            if column_found is not None:
                self.need_column(column_found, op)
                return
            if owner.open or ref.name in SYSTEM_COLUMNS or owner.label in ("index", "sequence"):
                return
            first_owner = first_owner or owner
        if first_owner is None or ref.name in {relation.name for relation in ref.of}:
            return
        if maybe:
            return
        says = f"column {first_owner.name.full}.{ref.name}"
        site = self.site(op)
        if ("column", says) not in self.bound.requirements:
            self.bound.requirements["column", says] = Requirement(says, "column", "hard", self.place(site), "missing")

    def read_label(self, op: Op, *, maybe: bool) -> None:
        """A constant where an enum is expected, by a cast or by the column that it stands beside."""
        owner, value = op.ref.of[0], op.ref.name
        type_ = self.type_of(owner) if owner.kind == "column" else self.resolve(owner)
        if type_ is None or type_.detail.contype != "enum":
            return
        found = self.catalog.part("label", type_, value)
        if found is not None:
            self.need(found, op)
        elif not maybe:
            says = f"value '{value}' of type {type_.name.full}"
            message = f'invalid input value for enum {type_.name.name}: "{value}"'
            self.lack("label", says, op, message)

    def type_of(self, ref: Ref) -> Object | None:
        """The type of a column, where it is one that somebody made."""
        for relation in ref.of:
            owner = self.resolve(relation)
            column = self.catalog.part("column", owner, ref.name) if owner is not None else None
            if column is not None:
                if column.type_id is None:
                    self.typed(column)
                return self.catalog.objects.get(column.type_id or 0)
        return None

    def typed(self, column: Object) -> None:
        """Note the type of a column by its id: it may get another name."""
        described = column.detail.columns[0] if column.detail.columns else None
        if described is None or described.type_name.endswith("]"):
            return
        ref = described.type or name_in_text("type", described.type_name)
        found = self.resolve(ref) if ref.schema != "pg_catalog" else None
        column.type_id = found.id if found is not None else 0

    def read_unique(self, op: Op, *, maybe: bool) -> None:
        """A unique key over exactly these columns: what ON CONFLICT names."""
        table = self.resolve(op.ref.of[0])
        if table is None or table.label not in ("table", "partitioned table"):
            return
        columns = tuple(op.ref.name.split(", "))
        keys = self.unique_keys(table, columns, partial=op.detail.partial)
        for each in keys:
            self.need(each, op, strength="hard" if len(keys) == 1 else "order")
        if keys:
            return
        if not maybe and not table.open:
            self.lack(
                "unique key", f"a unique key on {table.name.full} ({op.ref.name})", op,
                "there is no unique or exclusion constraint matching the ON CONFLICT specification",
            )  # fmt: skip

    def lack(self, kind: str, says: str, op: Op, message: str) -> None:
        """Note a requirement that nothing meets."""
        self.bound.requirements.setdefault(
            (kind, says), Requirement(says, kind, "hard", self.place(self.site(op)), "missing", None, "", message)
        )

    def need_column(self, column: Object, op: Op) -> None:
        """A column that is there."""
        site = self.site(op)
        version = column.cells["exists"]
        self._read_now.append(column)
        if version.maker.file == self.current:
            return
        if not version.readers or version.readers[-1].file != site.file:
            version.readers.append(site)
        self.made_by(column, site, self.firm)
        if "type" in column.cells:  # what stands on it would be in the way of who changes its type
            self.edge(site, column.cells["type"].maker, "read-after-write", "order", f"{column.says} (type)", "column")
        for stem in column.stems:
            self.edge(site, stem, "read-after-write", self.firm, column.says, "column")

    def read_set(self, op: Op) -> None:
        """Every object of a kind in a schema: a soft edge on each that made one."""
        wanted = {"tables": ("table", "partitioned table"), "table": ("table", "partitioned table", "view")}
        labels = wanted.get(op.ref.name)
        for each in self.catalog.within(op.ref.schema) if op.ref.schema else list(self.catalog.objects.values()):
            if labels and each.label not in labels:
                continue
            if each.parent is None and each.name.kind in ("relation", "routine", "type"):
                self.edge(self.site(op), each.maker, "read-after-write", "set", each.says, each.name.kind)

    # Rows.

    def rows(self, op: Op) -> None:
        """Rows that the file makes, as far as constants tell."""
        row = op.detail.row
        table = self.resolve(op.ref.of[0])
        if row is None or table is None or not row.values:
            return
        site = self.site(op)
        table.rows.append((row, site))
        if not self._depth and len(self.bound.rows) < MAX_EVIDENCE:
            self.bound.rows[row_text(table.name.full, row)] = None

    def need_row(self, op: Op, *, maybe: bool) -> None:
        """A row that must be there: made by a file, or asked of the live database."""
        row = op.detail.row
        if row is None:
            return
        table = self.resolve(op.ref.of[0])
        full = table.name.full if table else str(op.ref.of[0])
        says = f"row {row_text(full, row)}"
        site = self.site(op)
        providers = [made for fact, made in (table.rows if table else ()) if not contradicts(fact, row)]
        if providers:
            self.edge(site, providers[-1], "read-after-write", "row", says, "row")
        if maybe:
            return
        provider = self.place(providers[-1]) if providers and providers[-1].file >= 0 else None
        self.bound.requirements["row", says] = Requirement(
            says, "row", "row", self.place(site), "file" if provider else "missing", provider,
            probe(full, row), op.detail.message, row,
        )  # fmt: skip

    # Calls.

    def call(self, op: Op, *, maybe: bool) -> None:
        """A routine that is called: it must be there, and what its body does happens now."""
        found = self.routine(op.ref)
        if not found:
            if op.ref.arity == 1 and self.resolve(_as_type(op.ref)):
                return  # a cast written as a call
            if self.builtin(op.ref):
                return
            self.missing(op, op.ref, maybe=maybe)
            return
        for each in found[:1] if len(found) == 1 else found:
            self.need(each, op)
        if op.when == "now" or self._depth:
            for each in found:
                self.run(each, op)

    def run(self, routine: Object, op: Op) -> None:
        """What a routine's body does, at the place of the call."""
        if definition := routine.facts.pop("definition", ""):
            self.read_live(routine, definition)
        if routine.id in self._calls or self._depth >= CALL_DEPTH or not routine.detail.body:
            return  # once in a statement: a second call needs what the first one did
        before, path = self._caller, self.path
        self._caller = self.site(op)
        self._calls.add(routine.id)
        self._depth += 1
        if routine.detail.path is not None:
            self.path = routine.detail.path
        for each in routine.detail.body:
            self.op(each)
        self._depth -= 1
        self._caller, self.path = before, path

    def read_live(self, routine: Object, definition: str) -> None:
        """Read what a routine of the live database does, the first time it is called."""
        try:
            routine.detail = operations.read_routine(definition)
        except SyntaxRefused as refused:
            reason = f"the body of {routine.says} in the database cannot be read: {refused.message}"
            self.bound.opaque.append(Opaque(self.place(self._caller), reason))

    def fire(self, table: Object, events: Iterable[str], op: Op) -> None:
        """The triggers that a change of rows runs."""
        for trigger in self.catalog.parts("trigger", table):
            executes = trigger.detail.routine
            if executes is None or not set(trigger.detail.events) & set(events):
                continue
            self.edge(self.site(op), trigger.maker, "read-after-write", "order", trigger.says, "trigger")
            perhaps = trigger.detail.each_row and not op.detail.each_row
            if perhaps and table.facts.get("empty") == "yes" and not table.rows:
                continue
            self._perhaps += perhaps
            for routine in self.routine(executes):
                self.need(routine, op)
                self.run(routine, op)
            self._perhaps -= perhaps

    # Making.

    def make(self, op: Op, *, maybe: bool) -> None:
        """A new object, whose name must be free."""
        if op.detail.path == ():  # SET search_path FROM CURRENT
            op = op._replace(detail=op.detail._replace(path=self.path))
        ref, detail = op.ref, op.detail
        site = self.site(op)
        parent: Object | None = None
        if ref.of:
            parent = self.resolve(ref.of[0])
            if parent is None:
                if not self.builtin(ref.of[0]):
                    self.missing(op, ref.of[0], maybe=maybe)
                return
            self.need(parent, op)
            self.lock(parent, _make_lock(ref.kind, detail), site)
        name = self.new_name(op, parent)
        existing = self.catalog.find(name)
        if existing is not None and existing.facts.get("perhaps") == "gone":
            self.catalog.remove(existing, site)
            existing = None
        if existing is not None and not detail.implied:
            self.made_again(existing, op, maybe=maybe)
            return
        if detail.implied:
            if detail.contype == "foreign key" and len(detail.columns_of) > 1 and self.profile.major < 12:
                # Below 12 only the first column of a foreign key goes into its name.
                name = name._replace(name=object_name(name.of, detail.columns_of[0], "fkey"))
            name = self.free_name(name)
        self.free_for(name, site, firm=not detail.replace and not detail.if_not_exists)
        if name.kind == "routine" and detail.replace:
            for other in self.catalog.overloads(name.schema, name.name):
                if other.name.args == name.args:
                    self.made_again(other, op, maybe=maybe)
                    return
        owner = parent
        if owner is None and detail.like and detail.label in ("index", "sequence"):
            owner = self.resolve(detail.like[0])
            if owner is not None:
                self.lock(owner, _make_lock("index" if detail.label == "index" else "relation", detail), site)
        made = self.catalog.add(name, detail.label or ref.kind, site, owner, detail)
        if ref.schema is None and owner is None and name.schema and name.schema != "public":
            self.placed_by_path(made, site)
        if name.kind == "column" and parent is not None:
            self.typed(made)
            for reader in parent.cells["columns"].readers if "columns" in parent.cells else ():
                # It took all columns, or filled those that there were.
                self.edge(site, reader, "write-after-read", "order", made.says, "column")
            self.inherited(parent, name.name, detail, site)
        self._made_now.append(made)
        self.bound.made.append(made.id)
        if asked := self.conditions(op):
            made.facts["where"] = "\n".join(asked)
        if detail.references is not None and (target := self.resolve(detail.references[0])) is not None:
            self.lock(target, "SHARE ROW EXCLUSIVE", site)
            self.catalog.stands(made.id, target)
            keys = self.unique_keys(target, detail.references[1])
            for unique in keys:
                self.need(unique, op, strength="hard" if len(keys) == 1 else "order")
            if keys:
                unique = keys[0]
                self.catalog.stands(made.id, unique)
                self.fitting_types(
                    op, parent, detail.columns_of, target, detail.references[1] or unique.detail.columns_of
                )
            elif not maybe and not target.open and target.label in ("table", "partitioned table"):
                self._keyless.append((target, detail.references[1], op))
        if name.kind == "relation":
            self.columns(made, detail, site)
            self.copied(made, detail, site)
            if made.label == "index" and owner is not None:
                self.on_partitions(owner, made, site)
        elif name.kind == "type":
            for label in detail.columns:
                self.catalog.add(Name("label", name.schema, label.name, name.name), "label", site, made)
        elif name.kind == "extension":
            self.members(made, detail, op, maybe=maybe)
        elif name.kind == "trigger":
            self.transitions.update(detail.columns_of)
        if name.kind == "routine" and detail.body:
            self.bodies[made.id] = site

    def placed_by_path(self, made: Object, site: Site) -> None:
        """An object without a schema in its name goes to the first one of the search_path that is there."""
        schema = self.catalog.find(Name("schema", "", made.name.schema))
        if schema is not None and schema.maker.file >= 0:
            made.placed_by = schema.maker
            self.edge(site, schema.maker, "read-after-write", "set", schema.says, "schema")

    def castable_default(self, column: Object, op: Op) -> None:
        """A column's default must be gone before the column gets an enum for a type, or another one."""
        now = op.detail.columns[0] if op.detail.columns else None
        if now is None or not column.detail.columns:
            return
        self.typed(column)
        old = self.catalog.objects.get(column.type_id or 0)
        new = self.resolve(now.type) if now.type is not None else None
        if old is new and (old is not None or types.assignable(_type_name(column), now.type_name)):
            return
        if any(each is not None and each.detail.contype != "enum" for each in (old, new)) or types.is_text(
            now.type_name
        ):
            return  # what a cast between other types does is theirs to know
        version = column.cells.get("default")
        if column.detail.columns[0].default:
            if self.guarded(op) is True and not op.soft:
                message = (
                    f'default for column "{column.name.name}" cannot be cast automatically to type {now.type_name}'
                )
                self.lack("default", f"no default of {column.says}", op, message)
        elif version is not None:
            self.edge(self.site(op), version.maker, "read-after-write", "hard", f"{column.says} (default)", "column")

    def fitting_types(
        self, op: Op, table: Object | None, columns: tuple[str, ...], target: Object, keys: tuple[str, ...]
    ) -> None:
        """A foreign key must stay behind who gave its two sides types that can be compared."""
        for column, key in zip(columns, keys, strict=False):
            here = self.catalog.part("column", table, column) if table is not None else None
            there = self.catalog.part("column", target, key)
            if here is None or there is None:
                continue
            pair = _type_name(here), _type_name(there)
            if not types.comparable(*pair) and self.guarded(op) is True and not op.soft:
                says = f"types that can be compared: {here.says} ({pair[0]}), {there.says} ({pair[1]})"
                self.lack("type", says, op, f"key columns {here.says} and {there.says} are of incompatible types")
            for one, other in ((here, there), (there, here)):
                for before, changed_by in one.retyped:
                    if not types.comparable(before, _type_name(other)):
                        says = f"{one.says} (type)"
                        self.edge(self.site(op), changed_by, "read-after-write", "hard", says, "column")

    def free_for(self, name: Name, site: Site, *, firm: bool = True) -> None:
        """A new name must stay behind who freed it, unless several would have, or the new one would give way."""
        freed = self.catalog.freed.get(name)
        if freed is None:
            return
        gone = self.catalog.gone.get(self.catalog.last.get(name, 0))
        others = [each for each in gone.also if each.file != freed.file] if gone is not None else []
        strength: Strength = "hard" if firm and not others else "order"
        for each in (freed, *others):
            self.edge(site, each, "write-after-write", strength, f"name {name.full}", name.kind)

    def unique_keys(self, table: Object, columns: tuple[str, ...], *, partial: bool = False) -> list[Object]:
        """The constraints or indexes that make these columns unique; without columns, the primary key.

        The one that a foreign key would take comes first. `partial`: an index over some of the rows will do.
        """
        found = []
        for each in self.catalog.parts("constraint", table):
            wanted = set(each.detail.columns_of) == set(columns) if columns else each.label == "primary key"
            if each.label in ("primary key", "unique") and wanted:
                found.append(each)
        for child in sorted(table.children):
            index = self.catalog.objects[child]
            fits = partial or not index.detail.partial
            if index.label == "index" and columns and fits and set(index.detail.keys) == set(columns):
                found.append(index)
        return found

    def new_name(self, op: Op, parent: Object | None) -> Name:
        """The full name of an object that is made."""
        ref = op.ref
        if parent is not None:
            return Name(ref.kind, parent.name.schema, ref.name, parent.name.name)
        schema = self.creation_schema(ref)
        if op.detail.like and op.detail.label in ("index", "sequence"):
            owner = self.resolve(op.detail.like[0])
            schema = owner.name.schema if owner else schema
        if ref.kind == "routine":
            return Name("routine", schema, ref.name, "", ", ".join(ref.args or ()))
        return Name(ref.kind, schema, ref.name)

    def free_name(self, name: Name) -> Name:
        """The name that PostgreSQL chooses where its first choice is taken: a number is put behind it."""
        base, number = name.name, 0
        while self.catalog.find(name) is not None or (
            name.kind == "relation" and self.catalog.find(name._replace(kind="type")) is not None
        ):
            number += 1
            name = name._replace(name=f"{base}{number}")
        return name

    def made_again(self, existing: Object, op: Op, *, maybe: bool) -> None:
        """CREATE of what is there: left alone, replaced, or refused."""
        site = self.site(op)
        detail = op.detail
        if detail.if_not_exists:
            self._left.add(existing.id)
            if existing.maker.file != self.current:
                existing.also.append(site)
                self.edge(site, existing.maker, "write-after-write", "order", existing.says, existing.name.kind)
            return
        if detail.replace:
            if existing.label in FALLING:
                for each in self.catalog.stood_on(existing.id):  # it stands on what its new definition names
                    self.catalog.release(existing.id, each, site)
                self._made_now.append(existing)
            former = self.catalog.former.get(existing.name) if existing.former is not None else None
            if former is not None and self.misfit(former.detail, existing, detail):
                self.edge(site, existing.maker, "read-after-write", "hard", existing.says, existing.name.kind)
            self.rewrite(existing, "body", op, strength="order")
            if (wrong := self.misfit(existing.detail, existing, detail)) and not maybe:
                self.lack("definition", f"{existing.says} to be one that can be replaced by this", op, wrong)
            existing.also.append(site)
            existing.detail = detail
            if existing.name.kind == "relation":
                for column in self.catalog.parts("column", existing):
                    column.label = "column"
                self.columns(existing, detail, site)
            if existing.name.kind == "routine" and detail.body:
                self.bodies[existing.id] = site
            return
        self.taken(existing, site, soft=maybe)

    def taken(self, existing: Object, site: Site, *, soft: bool) -> None:
        """A name that is to be given is somebody's."""
        if soft or existing.maker.file == self.current:
            return
        says = f"the name {existing.name.full} to be free"
        self.bound.requirements.setdefault(
            ("name", says),
            Requirement(
                says, "name", "hard", self.place(site), "missing",
                self.place(existing.maker) if existing.maker.file >= 0 else None, "",
                f'{existing.label} "{existing.name.name}" already exists',
            ),
        )  # fmt: skip

    def misfit(self, before: Detail, existing: Object, now: Detail) -> str:
        """Why PostgreSQL would not let a definition take another one's place by OR REPLACE; "" if it would."""
        if existing.name.kind == "routine":
            results = [types.bare(each.removeprefix("SETOF ")) for each in (before.result, now.result)]
            if all(results) and results[0] != results[1] and not any(map(types.made_of_columns, results)):
                return "cannot change return type of existing function"
            names = before.columns_of, now.columns_of
            if len(names[0]) == len(names[1]) and names[0] != names[1]:
                return "cannot change name of input parameter"
            return "cannot remove parameter defaults from existing function" if before.defaults > now.defaults else ""
        if existing.label != "view" or now.query is None:
            return ""
        old = [each.name.name for each in self.catalog.parts("column", existing)]
        if before is not existing.detail:
            old = [each.name for each in before.query.outputs] if before.query is not None else []
        new = self.outputs(now)
        if existing.open or new is None or "*" in old:
            return ""
        if len(new) < len(old):
            return "cannot drop columns from view"
        return "" if new[: len(old)] == old else "cannot change name of view column"

    def outputs(self, detail: Detail) -> list[str] | None:
        """The columns of a query in order; None where they are not known."""
        names: list[str] = []
        for output in detail.query.outputs if detail.query is not None else ():
            if output.name != "*":
                names.append(output.name)
                continue
            for star in output.star:
                owner = self.resolve(star)
                if owner is None or owner.open:
                    return None
                names += [each.name.name for each in self.catalog.parts("column", owner)]
            if not output.star:
                return None
        return names

    def columns(self, made: Object, detail: Detail, site: Site) -> None:
        """The columns of a new relation: its own, those it is made like, those of its query."""
        if detail.label in ("index", "sequence"):
            return
        for source in detail.like:
            owner = self.resolve(source)
            made.open = made.open or owner is None or owner.open
            for column in self.catalog.parts("column", owner) if owner else ():
                self.column(made, column.name.name, column.detail, site, column)
        for each in detail.columns:
            self.column(made, each.name, detail.__class__(label="column", columns=(each,)), site)
        if detail.query is not None:
            for output in detail.query.outputs:
                if output.name != "*":
                    self.column(made, output.name, detail.__class__(label="column"), site)
                    continue
                made.open = made.open or not output.star
                for star in output.star:
                    owner = self.resolve(star)
                    made.open = made.open or owner is None or owner.open
                    for column in self.catalog.parts("column", owner) if owner else ():
                        self.column(made, column.name.name, column.detail, site, column)

    def column(self, relation: Object, name: str, detail: Detail, site: Site, taken: Object | None = None) -> None:
        """One column of a relation, unless it is there (a replaced view keeps its own).

        One that is `taken` over from another relation is there only if that one's was when this was made.
        """
        full = Name("column", relation.name.schema, name, relation.name.name)
        if self.catalog.find(full) is not None:
            return
        made = self.catalog.add(full, "column", site, relation, detail)
        if taken is None:
            self.typed(made)
        else:
            makers = (taken.maker, *taken.stems)
            made.stems = tuple(each for each in dict.fromkeys(makers) if each.file not in (-1, site.file))
            made.type_id = taken.type_id

    def copied(self, made: Object, detail: Detail, site: Site) -> None:
        """What a table takes over beside columns: from LIKE … INCLUDING, from its parents, as a partition."""
        for source, what in zip(detail.like, detail.copies, strict=False):
            owner = self.resolve(source)
            if owner is None:
                continue
            if what in (INHERITS, PARTITION):
                self.heirs.setdefault(owner.id, []).append(made.id)
            if "foreign keys" in what:
                self.partitions.setdefault(owner.id, []).append(made.id)
            for each in self.catalog.parts("constraint", owner):
                plural = {"check": "checks", "foreign key": "foreign keys"}.get(each.label)
                if plural in what:
                    self.also("constraint", each.label, each.name.name, made, each.detail, site)
                elif each.label in ("primary key", "unique", "exclude") and "indexes" in what:
                    suffix = {"primary key": "pkey", "unique": "key", "exclude": "excl"}[each.label]
                    columns = "" if suffix == "pkey" else "_".join(each.detail.columns_of)
                    name = object_name(made.name.name, columns, suffix)
                    self.also("constraint", each.label, name, made, each.detail, site)
                    self.also("relation", "index", name, made, each.detail, site)
            for child in sorted(owner.children) if "indexes" in what else ():
                index = self.catalog.objects[child]
                if index.label == "index" and self.twin(index) is None:
                    name = object_name(made.name.name, index.detail.base, "idx")
                    self.also("relation", "index", name, made, index.detail, site)
            for column in self.catalog.parts("column", made) if "identity" in what else ():
                if any(each.name == column.name.name and each.identity for each in column.detail.columns):
                    owned = column.detail._replace(columns_of=(column.name.name,))
                    name = object_name(made.name.name, column.name.name, "seq")
                    self.also("relation", "sequence", name, made, owned, site)

    def also(self, kind: Kind, label: str, name: str, owner: Object, detail: Detail, site: Site) -> None:
        """Something that PostgreSQL makes together with a table."""
        of = "" if kind == "relation" else owner.name.name
        full = self.free_name(Name(kind, owner.name.schema, name, of)) if kind == "relation" else Name(
            kind, owner.name.schema, name, of
        )  # fmt: skip
        if self.catalog.find(full) is None:
            made = self.catalog.add(full, label, site, owner, detail._replace(implied=True))
            self.bound.made.append(made.id)

    def on_partitions(self, table: Object, index: Object, site: Site) -> None:
        """An index of a partitioned table is made on each partition too."""
        for child in self.partitions.get(table.id, ()):
            each = self.catalog.objects.get(child)
            if each is not None:
                name = object_name(each.name.name, index.detail.base, "idx")
                self.also("relation", "index", name, each, index.detail, site)

    def inherited(self, table: Object, column: str, detail: Detail, site: Site) -> None:
        """A column that is added to a table is added to those that inherit from it."""
        for child in self.heirs.get(table.id, ()):
            heir = self.catalog.objects.get(child)
            if heir is not None and self.catalog.part("column", heir, column) is None:
                full = Name("column", heir.name.schema, column, heir.name.name)
                self.bound.made.append(self.catalog.add(full, "column", site, heir, detail).id)
                self.inherited(heir, column, detail, site)

    def members(self, made: Object, detail: Detail, op: Op, *, maybe: bool) -> None:
        """What an extension brings; where it needs others, they must be there or come with it (CASCADE)."""
        site = self.site(op)
        known = self.profile.extension(made.name.name)
        if known is None:
            message = f"what extension {made.name.name} brings is not known here"
            self.bound.opaque.append(Opaque(self.place(site), message))
            return
        schema = known.schema or detail.to or self.creation_schema(_anything(op.ref))
        for needed in known.requires:
            other = self.catalog.find(Name("extension", "", needed))
            if other is not None:
                self.need(other, op)
            elif detail.cascade:
                extra = self.catalog.add(Name("extension", "", needed), "extension", site)
                self.bound.made.append(extra.id)
                self.members(extra, detail, op, maybe=maybe)
            elif not maybe:
                says = f"extension {needed}"
                self.bound.requirements.setdefault(
                    ("extension", says), Requirement(says, "extension", "hard", self.place(site), "missing")
                )
        for kind, name, args in known.members:
            full = Name(kind, schema, name, "", args)
            if self.catalog.find(full) is None:
                member = self.catalog.add(full, _MEMBER_WORDS.get(kind, kind), site, made)
                member.extension = made.name.name

    # Changing.

    def write(self, op: Op, *, maybe: bool) -> None:
        """A part of an object is changed."""
        ref, facet = op.ref, op.detail.facet
        found = self.resolve(ref)
        if found is None:
            if self.builtin(ref) or (ref.kind == "column" and any(self._unknown(each) for each in ref.of)):
                return
            if not op.detail.if_exists:
                self.missing(op, ref, maybe=maybe)
            return
        site = self.site(op)
        self.need_owner(op)
        if facet == "rows":
            self.need(found, op, "ROW EXCLUSIVE" if "truncate" not in op.detail.events else "ACCESS EXCLUSIVE")
            if set(op.detail.events) & {"delete", "truncate"} and found.maker.file != self.current:
                self.bound.destroys.append((f"{op.detail.events[0]}s rows of {found.name.full}", site))
            if op.detail.each_row and "insert" in op.detail.events:
                self.inserted(found, op)
            self.fire(found, op.detail.events, op)
            return
        if facet == "touched":
            self.need(found, op)
            return
        if facet == "owned by" and (table := self.resolve(op.detail.like[0])) is not None:
            self.catalog.adopt(found, table)
            found.detail = found.detail._replace(columns_of=op.detail.columns_of)
        self.rewrite(found, facet, op)

    def inserted(self, table: Object, op: Op) -> None:
        """Rows that are certain: each column that they do not fill must take NULL, or have a default."""
        site = self.site(op)
        table.cells.setdefault("columns", Version(table.maker)).readers.append(site)
        fills = any("insert" in each.detail.events for each in self.catalog.parts("trigger", table))
        given, nothing = set(op.detail.columns_of), set(op.detail.keys)
        if not given | nothing:
            return
        for column in self.catalog.parts("column", table):
            described = column.detail.columns[0] if column.detail.columns else None
            if column.name.name in given or described is None:
                continue
            default = described.default or described.identity or described.generated
            facet = "null"
            if default and column.name.name not in nothing:
                facet = "default" if described.not_null else ""
            elif described.not_null:
                if not fills and self.guarded(op) is True and not op.soft:
                    says = f"a value, or a default, for {column.says}, which is NOT NULL"
                    message = f'null value in column "{column.name.name}" of relation "{table.name.name}"'
                    self.lack("value", says, op, f"{message} violates not-null constraint")
                continue
            if facet in column.cells:  # it was not so from the beginning
                self.edge(
                    site, column.cells[facet].maker, "read-after-write", "hard", f"{column.says} ({facet})", "column"
                )

    def _unknown(self, relation: Ref) -> bool:
        owner = self.resolve(relation)
        return owner is None or owner.open

    def rewrite(self, found: Object, facet: str, op: Op, strength: Strength = "hard") -> None:
        """Write a cell: behind who wrote it, and behind who read it."""
        site = self.site(op)
        owner = self.catalog.objects.get(found.parent or 0, found)
        # Such a change is made to whatever bears the name.
        named = found.name.kind == "routine" or facet in ("comment", "acl", "owner")
        self.need(found, op, strength=strength, name_only=named)
        self.lock(owner if owner.name.kind == "relation" else found, _alter_lock(facet), site)
        version = found.cells.get(facet)
        if version is not None:
            self.edge(site, version.maker, "write-after-write", "order", f"{found.says} ({facet})", found.name.kind)
        readers = version.readers if version else []
        if facet in ("type", "body", "definition"):
            readers = readers + found.cells["exists"].readers
        if facet == "type" and found.name.kind == "column":
            views = [self.catalog.objects[each] for each in sorted(found.dependents) if each in self.catalog.objects]
            held = [each.id for each in views if each.label in _HOLD_TYPES]
            self._dropped.append((found.says, "alter the type of", site, held))
            self.behind_release(found, site, _HOLD_TYPES)
            self.castable_default(found, op)
            found.retyped.append((_type_name(found), site))
            found.detail = found.detail._replace(columns=op.detail.columns)
            self.typed(found)
        for reader in readers:  # it runs with either; only a name that is gone would stop it
            self.edge(site, reader, "write-after-read", "order", found.says, found.name.kind)
        found.cells[facet] = Version(site)
        self.described(found, facet, op, site)
        if facet == "rls":
            word = op.detail.message
            if word in ("AT_EnableRowSecurity", "AT_DisableRowSecurity"):
                self.secured.setdefault(site.file, set()).add(found.id)
                found.facts["rls"] = "on" if word == "AT_EnableRowSecurity" else "off"
        if found.maker.file != self.current:
            self.bound.changed.setdefault((found.id, facet), (found.says, found.name.kind, site))

    def described(self, found: Object, facet: str, op: Op, site: Site) -> None:
        """Keep what is known of a column true: whether it takes NULL, and whether it has a default."""
        if found.name.kind != "column" or not found.detail.columns or facet not in ("null", "default"):
            return
        set_now = op.detail.message != "dropped"
        column = found.detail.columns[0]
        if facet == "null":
            column = column._replace(not_null=set_now)
            table = self.catalog.objects.get(found.parent or 0)
            if set_now and table is not None and "columns" in table.cells:
                for reader in table.cells["columns"].readers:
                    self.edge(site, reader, "write-after-read", "order", found.says, "column")
        else:
            column = column._replace(default=set_now, identity=False, generated=False)
            for each in self.catalog.stood_on(found.id):  # what the default before it called or counted by
                if each.name.kind == "routine" or each.label == "sequence":
                    self.catalog.release(found.id, each, site)
        found.detail = found.detail._replace(columns=(column, *found.detail.columns[1:]))

    def drop(self, op: Op) -> None:
        """An object goes; its name is free from here on."""
        ref, detail = op.ref, op.detail
        found = self.resolve(ref)
        truth = self.guarded(op)
        if found is not None and truth is None and not op.soft:
            # Whether it runs is not known: what may be gone is still asked for, and may be made again.
            found.facts["perhaps"] = "gone"
            self.edge(self.site(op), found.maker, "read-after-write", "order", found.says, found.name.kind)
            return
        if found is None:
            if detail.if_exists:
                self.gone_before(op)
            if not detail.if_exists and not self.builtin(ref) and not op.soft and truth is True:
                self.missing(op, ref, maybe=False)
            return
        site = self.site(op)
        self.need_owner(op)
        if detail.if_exists:
            self.edge(site, found.maker, "read-after-write", "order", found.says, found.name.kind)
        else:
            # A table's constraint, trigger or policy, and a routine, goes by its name, whatever it is.
            self.need(found, op, "ACCESS EXCLUSIVE", name_only=found.name.kind in (*PARTS, "routine"))
        self.take_away(found, op, site)

    def gone_before(self, op: Op) -> None:
        """DROP IF EXISTS of what another file has dropped before: either of them would do."""
        schemas = self.schemas(op.ref) if op.ref.kind not in SCHEMALESS else ("",)
        for schema in schemas:
            name = Name(op.ref.kind, schema, op.ref.name, op.ref.of[0].name if op.ref.of else "")
            if name in self.catalog.last:
                self.catalog.gone[self.catalog.last[name]].also.append(self.site(op))

    def take_away(self, found: Object, op: Op, site: Site) -> None:
        """Remove an object, what hangs on it where CASCADE says so, and note who used any of it."""
        if found.id not in self.catalog.objects:
            return
        owner = self.catalog.objects.get(found.parent) if found.parent else None
        self.lock(owner if owner and owner.name.kind == "relation" else found, "ACCESS EXCLUSIVE", site)
        if found.maker.file != self.current:
            self.bound.dropped.append((found.says, found.name.kind, found.name.full, site))
            if found.name.kind in ("relation", "column", "schema") and found.label not in ("index", "view"):
                self.bound.destroys.append((f"drops {found.says}", site))
        for each_id in found.dependents if op.detail.cascade else ():
            if each_id in self.catalog.gone:
                self.catalog.gone[each_id].also.append(site)
        dependents = [self.catalog.objects.get(each) for each in sorted(found.dependents)] if op.detail.cascade else []
        inside = self.catalog.within(found.name.name) if found.name.kind == "schema" else []
        if found.name.kind == "column" and owner is not None:
            for each in self.standing_on(owner, found.name.name):
                self.take_away(each, op, site)
        if not op.detail.cascade:
            for each in (found, *(self.catalog.objects[part] for part in found.children)):
                self.behind_release(each, site)
        references = found.detail.references if found.label == "foreign key" else None
        if references is not None and (target := self.resolve(references[0])) is not None:
            self.lock(target, "ACCESS EXCLUSIVE", site)  # its triggers go, too
        twin = self.twin(found)
        gone = self.catalog.remove(found, site)
        if twin is not None:
            gone += self.catalog.remove(twin, site)
        if not op.detail.cascade and op.verb == "drop" and self.guarded(op) is True and not op.soft:
            standing = sorted({each for part in gone for each in part.dependents})
            self._dropped.append((found.says, "drop", site, standing))
        for each in gone:
            for version in each.cells.values():
                for reader in version.readers:
                    self.edge(site, reader, "write-after-read", "hard", each.says, each.name.kind)
                self.edge(site, version.maker, "write-after-write", "order", each.says, each.name.kind)
        for other in [*inside, *(each for each in dependents if each is not None)]:
            if other.id in self.catalog.objects and (other in inside or other.label in FALLING):
                self.take_away(other, op, site)

    def behind_release(self, found: Object, site: Site, labels: frozenset[str] | None = None) -> None:
        """What is dropped or changed without CASCADE must stay behind who took away what had stood on it."""
        released = [
            changed_by
            for changed_by, dependent in found.released
            if dependent in self.catalog.objects and dependent not in found.dependents
        ]
        for each in found.dependents:
            gone = self.catalog.gone.get(each)
            if gone is None or (labels is not None and gone.label not in labels):
                continue
            if self.alone_released(found, each, gone):
                released.append(gone.by)
        for each_site in released:
            self.edge(
                site, each_site, "write-after-write", "hard", f"nothing to stand on {found.says}", found.name.kind
            )

    def alone_released(self, found: Object, dependent: int, gone: Gone) -> bool:
        """Whether only the file that dropped a dependent could have: without it, that would still stand there.

        It is not where another file drops it as well, or what bears its name later, or where that stands on the same.
        """
        if gone.maker.file == gone.by.file or any(other.file != gone.by.file for other in gone.also):
            return False
        last = self.catalog.last[gone.name]
        if last != dependent and self.catalog.gone[last].by.file != gone.by.file:
            return False
        now = self.catalog.find(gone.name)
        return now is None or now.id not in found.dependents

    def standing_on(self, table: Object, column: str) -> list[Object]:
        """The constraints, indexes and owned sequences of a table that involve a column: they go with it."""
        parts = [self.catalog.objects[each] for each in sorted(table.children)]
        return [
            each
            for each in parts
            if (each.name.kind == "constraint" or each.label in ("index", "sequence"))
            and column in each.detail.columns_of
        ]

    def twin(self, found: Object) -> Object | None:
        """The index of a unique constraint, and the other way round: they go and are renamed together."""
        if found.name.kind == "constraint" and found.label in ("primary key", "unique", "exclude"):
            index = self.catalog.find(Name("relation", found.name.schema, found.name.name))
            return index if index is not None and index.label == "index" else None
        if found.label == "index" and found.parent in self.catalog.objects:
            constraint = self.catalog.part("constraint", self.catalog.objects[found.parent], found.name.name)
            return constraint if constraint is not None and constraint.label != "foreign key" else None
        return None

    def rename(self, op: Op, *, maybe: bool) -> None:
        """Another name for an object: the old one is free, the new one must have been."""
        found = self.resolve(op.ref)
        if found is None:
            if not op.detail.if_exists and not self.builtin(op.ref):
                self.missing(op, op.ref, maybe=maybe)
            return
        site = self.site(op)
        self.need_owner(op)
        self.need(found, op, "ACCESS EXCLUSIVE")
        to = op.detail.to
        name = found.name._replace(schema=to) if op.verb == "move" else found.name._replace(name=to)
        taken = self.catalog.find(name)
        if taken is not None and taken is not found and "perhaps" not in taken.facts and self.guarded(op) is True:
            self.taken(taken, site, soft=op.soft)
        self.free_for(name, site)
        says = found.says
        for version in found.cells.values():
            for reader in version.readers:
                self.edge(site, reader, "write-after-read", "hard", says, found.name.kind)
        if found.name.kind == "schema":
            for each in self.catalog.within(found.name.name):
                if each.name.schema == found.name.name:  # the parts of a table move with it
                    self.catalog.rename(each, each.name._replace(schema=to), site)
        if found.name.kind == "column" and found.parent in self.catalog.objects:
            for each in self.standing_on(self.catalog.objects[found.parent], found.name.name):
                columns = tuple(to if column == found.name.name else column for column in each.detail.columns_of)
                each.detail = each.detail._replace(columns_of=columns)
        twin = self.twin(found)
        self.catalog.rename(found, name, site)
        if twin is not None:
            self.catalog.rename(twin, twin.name._replace(schema=name.schema, name=name.name), site)
        if found.maker.file != self.current:
            # Whoever uses the new name needs this file.
            found.cells["exists"] = Version(site)
            self.bound.changed.setdefault((found.id, "name"), (found.says, found.name.kind, site))

    # What is asked at the end.

    def late(self) -> dict[int, list[Requirement]]:
        """What the routines' bodies need when they are called, bound over the catalog as it is now, by file."""
        found: dict[int, list[Requirement]] = {}
        for routine_id, site in self.bodies.items():
            routine = self.catalog.objects.get(routine_id)
            if routine is None:
                continue
            self.current, self.bound = site.file, Bound()
            self.path = routine.detail.path or self.catalog.path
            for op in routine.detail.body:
                self._late_op(op, site._replace(line=op.span.line))
            found.setdefault(site.file, []).extend(self.bound.requirements.values())
        return found

    def _late_op(self, op: Op, site: Site) -> None:
        if op.verb not in ("read", "call", "write", "alter") or op.ref.kind in _NOT_LATE:
            return
        self._depth, self._caller = 1, site  # what is noted is noted at the routine's own statement
        maybe = self.guarded(op) is not True or op.soft
        self._depth = 0
        found = self.routine(op.ref) if op.ref.kind == "routine" else [each for each in [self.resolve(op.ref)] if each]
        for each in found[:1]:
            if each.maker.file == self.current:
                continue
            self.edge(site, each.maker, "read-after-write", "late", each.says, each.name.kind)
            self.require_object(each, "late", site, "")
        if not found and not self.builtin(op.ref) and not maybe:
            if op.ref.kind == "routine" and op.ref.arity == 1 and self.resolve(_as_type(op.ref)):
                return
            self._depth = 1
            self.missing(op, op.ref, maybe=False, strength="late")
            self._depth = 0

    # Locks.

    def lock(self, found: Object, mode: str, site: Site) -> None:
        """A lock on a relation that others could be using: one that this file did not make."""
        if found.name.kind != "relation" or found.maker.file == self.current:
            return
        rank = MODES.index(mode)
        known = self.bound.locks.get(found.name.full)
        if known is None or known[0] < rank:
            self.bound.locks[found.name.full] = (rank, site.line)

    def locks(self) -> tuple[Lock, ...]:
        """The locks of the file that was bound last, strongest first."""
        ordered = sorted(self.bound.locks.items(), key=lambda item: (-item[1][0], item[0]))
        return tuple(Lock(relation, MODES[rank], line) for relation, (rank, line) in ordered)


_NOT_LATE = frozenset(("setting", "row", "set", "column", "label", "unique"))

_HOLD_TYPES = frozenset(("view", "materialized view", "rule"))
"""What stands in the way of a column's other type."""

FALLING = frozenset(("view", "materialized view", "rule", "trigger", "policy", "foreign key"))
"""What DROP … CASCADE takes away with what it stands on, where it is another object's (a table or column stays)."""

MAX_EVIDENCE = 40
"""How many reasons an edge keeps: enough to show, and the rest are of the same kind."""

_MEMBER_WORDS = {"relation": "table", "routine": "function"}


def _arguments(routine: Object) -> list[str]:
    return routine.name.args.split(", ") if routine.name.args else []


def _type_name(column: Object) -> str:
    return column.detail.columns[0].type_name if column.detail.columns else ""


def _accepts(routine: Object, arity: int) -> bool:
    """Whether a call with so many arguments can mean this routine."""
    count = len(_arguments(routine))
    least = count - routine.detail.defaults - (1 if routine.detail.variadic else 0)
    return least <= arity and (arity <= count or routine.detail.variadic)


def _as_type(ref: Ref) -> Ref:
    return ref.__class__("type", ref.name, ref.schema)


def _anything(ref: Ref) -> Ref:
    """A reference that asks only for the schema new objects go to."""
    return ref.__class__("relation", ref.name)


def _word(op: Op, ref: Ref) -> str:
    if ref is op.ref and op.detail.label and op.verb != "make":
        return op.detail.label
    words: dict[Kind, str] = {"relation": "relation", "routine": "function"}
    return words.get(ref.kind, ref.kind)


def _make_lock(kind: str, detail: Detail) -> str:
    if kind == "index":
        return "SHARE UPDATE EXCLUSIVE" if detail.concurrently else "SHARE"
    if kind == "trigger" or detail.contype == "foreign key":
        return "SHARE ROW EXCLUSIVE"
    return "ACCESS EXCLUSIVE"


def _alter_lock(facet: str) -> str:
    if facet in ("comment", "valid"):
        return "SHARE UPDATE EXCLUSIVE"
    if facet in ("acl", "body", "default privileges"):
        return "ACCESS SHARE"
    return "ACCESS EXCLUSIVE"
