"""Which SQL takes back what a file did, told from PostgreSQL's own catalog before and after it?

Both catalogs are of one scratch database, so an object that was renamed, moved or replaced is still known by its OID:
what is new is dropped, what is gone is made again from its definition, what changed is set back. What held rows and is
gone cannot be made again from any file; that, and what PostgreSQL cannot take back, is refused with the reason.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from psycopg.rows import dict_row

from lancio.postgres import named_queries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

QUERIES = named_queries("lancio.proof", "inverse.sql")


class Key(NamedTuple):
    """An object's address in pg_depend; `sub` is a column's number."""

    catalog: str
    objid: int
    sub: int = 0


@dataclass(frozen=True)
class Thing:
    """One object: `name` and `bare` as SQL has them, quoted; `above` is the table, view or type it belongs to."""

    key: Key
    kind: str
    name: str
    bare: str
    above: Key | None
    facts: dict[str, Any]


@dataclass(frozen=True)
class Survey:
    """A catalog with all that is needed to make its objects again; `user` is who made the survey."""

    user: str
    major: int
    things: dict[Key, Thing]
    grants: dict[Key, dict[tuple[str, str], bool]]
    defaults: frozenset[tuple[str, str | None, str, str, str]]
    comments: dict[Key, tuple[str, str, str]]
    depends: tuple[tuple[Key, Key, str], ...]

    def named(self, thing: Thing) -> str:
        """The object as people say it: "column public.t.c", "constraint k on public.t"."""
        kind = (
            _WORDS.get(str(thing.facts.get("kind", "")), thing.kind).lower() if thing.kind == "relation" else thing.kind
        )
        if thing.kind == "other":
            return thing.name
        if thing.kind == "column":
            return f"column {self.above(thing)}.{thing.name}"
        if thing.kind in ("constraint", "trigger", "policy", "rule"):
            return f"{kind} {thing.name} on {self.above(thing)}"
        return f"{kind} {thing.name}"

    def above(self, thing: Thing) -> str:
        """The name of the table, view or type that an object belongs to."""
        return self.things[thing.above].name if thing.above in self.things else "?"


@dataclass(frozen=True, slots=True)
class Lost:
    """A table, or a column of one, that goes with its rows; `table` and `column` are quoted names."""

    table: str
    column: str = ""


@dataclass(frozen=True, slots=True)
class Inverse:
    """The statements that take a file back, in their order, and why it cannot be taken back where there are reasons."""

    statements: tuple[str, ...]
    refused: tuple[str, ...]


def survey(connection: psycopg.Connection[Any]) -> Survey:
    """Read the catalog of a scratch database, with every name in full.

    Raises:
        psycopg.Error: it cannot be read.
    """
    with connection.transaction(), psycopg.RawCursor(connection, row_factory=dict_row) as cursor:
        path = cursor.execute(
            b"SELECT current_setting('search_path') AS path, quote_ident(current_user) AS who"
        ).fetchone()
        assert path is not None  # noqa: S101  (a SELECT without FROM has one row)
        cursor.execute(b"SELECT set_config('search_path', 'pg_catalog', true)")
        things = {}
        for row in cursor.execute(QUERIES["things"].encode()).fetchall():
            key = Key(row["class"], row["objid"], row["sub"])
            above = Key(row["above_class"], row["above"]) if row["above_class"] else None
            things[key] = Thing(key, row["kind"], row["name"], row["bare"], above, row["facts"])
        grants: dict[Key, dict[tuple[str, str], bool]] = defaultdict(dict)
        for row in cursor.execute(QUERIES["grants"].encode()).fetchall():
            grants[Key(row["class"], row["objid"], row["sub"])][row["grantee"], row["privilege"]] = row["grantable"]
        defaults = frozenset(
            (row["role"], row["schema"], row["type"], row["grantee"], row["privilege"])
            for row in cursor.execute(QUERIES["defaults"].encode()).fetchall()
        )
        comments = {
            Key(row["class"], row["objid"], row["sub"]): (row["description"], row["type"], row["identity"])
            for row in cursor.execute(QUERIES["comments"].encode()).fetchall()
        }
        alias = {
            (row["class"], row["objid"]): Key(row["of_class"], row["of_objid"], row["of_sub"])
            for row in cursor.execute(QUERIES["aliases"].encode()).fetchall()
        }

        def real(key: Key) -> Key:
            for _ in range(4):  # an array of a table's row type is the longest way
                found = alias.get((key.catalog, key.objid))
                if found is None or found == key:
                    break
                key = found
            return key

        depends = set()
        for row in cursor.execute(QUERIES["depends"].encode()).fetchall():
            left = real(Key(row["class"], row["objid"], row["sub"]))
            right = real(Key(row["ref_class"], row["ref_objid"], row["ref_sub"]))
            if left != right:
                depends.add((left, right, row["type"]))
        cursor.execute(b"SELECT set_config('search_path', $1, true)", (path["path"],))
    major = connection.info.server_version // 10000
    return Survey(path["who"], major, things, dict(grants), defaults, comments, tuple(sorted(depends)))


def lost(before: Survey, after: Survey) -> tuple[Lost, ...]:
    """The tables, and the columns of tables that stay, which `before` has and `after` has not; by the names there."""
    gone = [thing for key, thing in before.things.items() if key not in after.things]
    tables = {thing.key for thing in gone if thing.kind == "relation" and thing.facts["kind"] in ("r", "p")}
    found = {Lost(before.things[key].name) for key in tables}
    for thing in gone:
        if thing.kind == "column" and thing.above not in tables and not thing.facts["inherited"]:
            found.add(Lost(before.above(thing), thing.name))
    return tuple(sorted(found, key=lambda each: (each.table, each.column)))


def invert(before: Survey, after: Survey) -> Inverse:
    """The SQL that leads from the catalog after a file back to the one before it."""
    work = _Inversion(before, after)
    work.sort_out()
    statements = (*work.taken_down(), *work.renamed(), *work.emptied(), *work.made(), *work.late, *work.set_back())
    return Inverse(tuple(statements), tuple(dict.fromkeys(work.refused)))


_AUTOMATIC = frozenset("aiPSe")
"""Kinds of dependency by which an object goes with the one it depends on."""

_WORDS = {
    "r": "TABLE", "p": "TABLE", "f": "FOREIGN TABLE", "v": "VIEW", "m": "MATERIALIZED VIEW", "S": "SEQUENCE",
    "c": "TYPE",
}  # fmt: skip
_HOLDS = frozenset("rp")
_GRANT_WORDS = {"pg_namespace": "SCHEMA", "pg_type": "TYPE"}
_DEFAULT_WORDS = {"r": "TABLES", "S": "SEQUENCES", "f": "FUNCTIONS", "T": "TYPES", "n": "SCHEMAS"}
_TRIGGER_WORDS = {"O": "ENABLE", "D": "DISABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}
_REPLICA = {"d": "DEFAULT", "n": "NOTHING", "f": "FULL"}

_WIDER = (
    ("smallint", "integer", "bigint", "numeric"),
    ("real", "double precision"),
    ("character varying", "text"),
    ("json", "jsonb"),
)
"""Types in an order in which every value of one is a value of the next, but for how JSON is written."""


@dataclass
class _Inversion:
    before: Survey
    after: Survey
    refused: list[str] = field(default_factory=list)
    drop: set[Key] = field(default_factory=set)
    make: set[Key] = field(default_factory=set)
    changed: dict[Key, tuple[Thing, Thing]] = field(default_factory=dict)
    replaced: dict[Key, str] = field(default_factory=dict)  # set back in place, by OR REPLACE
    late: list[str] = field(default_factory=list)  # the same, but once all names are back
    early: set[Key] = field(default_factory=set)  # types that are made first, as columns go back to them

    # What is new, gone and changed.

    def sort_out(self) -> None:
        before, after = self.before.things, self.after.things
        self.drop = {key for key in after if key not in before}
        self.make = {key for key in before if key not in after}
        self._of_new_and_gone()
        for key in before.keys() & after.keys():
            if before[key] != after[key]:
                self.changed[key] = (before[key], after[key])
        for _, (old, new) in sorted(self.changed.items()):
            getattr(self, f"_sort_{old.kind.replace(' ', '_')}", self._sort_rest)(old, new)
        self._gone()

    def _of_new_and_gone(self) -> None:
        for key in sorted(self.drop):
            if self.after.things[key].kind == "setting":
                self.refused.append(
                    f"settings of {self.after.things[key].name} are changed, which are more than this database's own"
                )
        self.drop = {key for key in self.drop if self.after.things[key].kind != "setting"}

    def _gone(self) -> None:
        """What is gone and cannot be made again."""
        for key in sorted(self.make):
            thing = self.before.things[key]
            said = self.before.named(thing)
            if thing.kind == "relation" and thing.facts["kind"] in _HOLDS:
                self.refused.append(f"the step drops {said}, whose rows are in no file")
            elif thing.kind == "column" and thing.above not in self.make:
                if not thing.facts["inherited"]:
                    why = "which is not made again" if thing.facts["generated"] else "whose values are in no file"
                    self.refused.append(f"the step drops {said}, {why}")
            elif (
                thing.kind == "relation"
                and thing.facts["kind"] == "S"
                and not thing.facts["identity"]
                and not self._goes_with(self.before, key, self.make)
            ):
                self.refused.append(f"the step drops {said}, whose last value is in no file")
            elif (thing.kind == "relation" and thing.facts["kind"] == "f") or (
                (
                    thing.kind == "other"
                    or (thing.kind == "routine" and thing.facts["kind"] == "a")
                    or (thing.kind == "type" and thing.facts["kind"] in ("r", "b"))
                    or thing.kind == "setting"
                )
                and (thing.kind != "other" or not self._goes_with(self.before, key, self.make))
            ):
                self.refused.append(f"the step drops {said}, which is not made again from the catalog")

    def _rebuild(self, key: Key, seen: tuple[Key, ...] = ()) -> None:
        """Drop an object and make it again from its earlier definition, with all that hangs on it."""
        if key in seen or (key in self.drop and key in self.make):
            return
        self.drop.add(key)
        self.make.add(key)
        for one, other, how in self.after.depends:
            if (
                other[:2] != key[:2]
                or one[:2] == key[:2]
                or one not in self.after.things
                or one not in self.before.things
            ):
                continue
            hanging = self.after.things[one]
            if (
                how in _AUTOMATIC
                or hanging.kind in ("trigger", "policy", "rule", "index", "constraint")
                or (hanging.kind == "relation" and hanging.facts["kind"] in ("v", "m"))
            ):
                self._rebuild(one, (*seen, key))
            else:
                self.refused.append(
                    f"{self.after.named(self.after.things[key])} is to be made anew, and "
                    f"{self.after.named(hanging)} hangs on it"
                )

    def _sort_relation(self, old: Thing, new: Thing) -> None:
        was, now = old.facts, new.facts
        if was["kind"] != now["kind"] or was["partitioned"] != now["partitioned"] or was["method"] != now["method"]:
            self.refused.append(f"it makes something else of {self.before.named(old)}")
        if was["kind"] == "c" and was["columns"] != now["columns"]:
            self.refused.append(f"it changes the attributes of {self.before.named(old)}")
        if was["kind"] in ("v", "m") and not self._same_text(old, new):
            if was["kind"] == "v" and was["columns"] == now["columns"] and not self.moved():
                self.replaced[old.key] = _view(old, replace=True)
            else:
                self._rebuild(old.key)

    def _sort_column(self, old: Thing, new: Thing) -> None:
        was, now = old.facts, new.facts
        if was["inherited"] and now["inherited"]:
            del self.changed[old.key]
            return
        said = self.before.named(old)
        if was["generated"] != now["generated"] and not (
            was["generated"] and now["generated"] and self.before.major >= 17
        ):
            self.refused.append(f"PostgreSQL cannot make {said} a generated column again, or cease to be one")
        if was["identity"] and not now["identity"]:
            self.refused.append(f"it takes away the identity of {said}, whose last value is in no file")
        if _retyped(was, now) and (why := _narrows(was["type"], now["type"])):
            self.refused.append(f"it changes the type of {said} from {was['type']} to {now['type']}: {why}")
        self._types_first(was)

    def _types_first(self, was: dict[str, Any]) -> None:
        for key in self.make:
            if (
                key.catalog == "pg_type"
                and self.before.things[key].kind == "type"
                and (was["typeid"] == key.objid or was["type"].removesuffix("[]") == self.before.things[key].name)
            ):
                self.early.add(key)

    def _sort_constraint(self, old: Thing, new: Thing) -> None:
        if not old.facts["inherited"] and not self._same_text(old, new):
            self._rebuild(old.key)

    def _sort_index(self, old: Thing, new: Thing) -> None:
        """An index only changes with the names in its definition."""

    def _sort_trigger(self, old: Thing, new: Thing) -> None:
        if not self._same_text(old, new):
            self._rebuild(old.key)

    _sort_policy = _sort_trigger
    _sort_rule = _sort_trigger

    def _sort_statistics(self, old: Thing, new: Thing) -> None:
        """As an index."""

    def _sort_schema(self, old: Thing, new: Thing) -> None:
        """A name and an owner."""

    def _sort_routine(self, old: Thing, new: Thing) -> None:
        was, now = old.facts, new.facts
        if was["definition"] == now["definition"] or (was["definition"] is not None and self._same_text(old, new)):
            return
        if now["defaults"] > was["defaults"] or was["names"] != now["names"]:
            self._rebuild(old.key)
        elif was["definition"] is not None and self.moved():
            self.late.append(was["definition"].rstrip())  # it may name what has its earlier name only then
        elif was["definition"] is not None:
            self.replaced[old.key] = was["definition"].rstrip()
        else:
            self.refused.append(f"it changes {self.before.named(old)}, an aggregate")

    def _sort_type(self, old: Thing, new: Thing) -> None:
        was, now = old.facts, new.facts
        if was["labels"] is not None:
            known = {oid for oid, _ in was["labels"]}
            for oid, label in now["labels"]:
                if oid not in known:
                    self.refused.append(
                        f"it adds the value {label} to {self.before.named(old)}, and PostgreSQL takes no value out of "
                        "an enum"
                    )

    def _sort_extension(self, old: Thing, new: Thing) -> None:
        if old.facts["version"] != new.facts["version"]:
            self.refused.append(
                f"it updates {self.before.named(old)}, and PostgreSQL knows no way back to version "
                f"{old.facts['version']}"
            )

    def _sort_publication_relation(self, old: Thing, new: Thing) -> None:
        """It only changes with the names of the two."""

    def _sort_rest(self, old: Thing, new: Thing) -> None:
        if old.kind == "setting":
            self.refused.append(f"settings of {old.name} are changed, which concerns more than this database's objects")
        elif old.facts != new.facts:
            self.refused.append(f"it changes {self.before.named(old)}, which is not taken back from the catalog")

    def _same_text(self, old: Thing, new: Thing) -> bool:
        """Whether two definitions are the same but for names that were changed meanwhile."""
        was, now = old.facts["definition"], new.facts["definition"]
        if was == now:
            return True
        for one, other in self._names():
            pattern, plain = rf"(?<![\w\"]){re.escape(other)}(?![\w\"])", one.replace("\\", r"\\")
            now, was = re.sub(pattern, plain, now), re.sub(pattern, plain, was)
        return bool(was == now)

    def _names(self) -> list[tuple[str, str]]:
        """Names before and after, of what bears another one, the longest first."""
        found = {(old.name, new.name) for old, new in self._pairs() if self._renamed(old, new)}
        found |= {
            (_without_arguments(old), _without_arguments(new)) for old, new in self._pairs() if self._renamed(old, new)
        }
        return sorted(((one, other) for one, other in found if one != other), key=lambda each: (-len(each[1]), each))

    def moved(self) -> bool:
        """Whether something bears another name, or is gone that a definition may name."""
        return any(self._renamed(old, new) for old, new in self._pairs()) or any(
            self.before.things[key].kind in ("relation", "routine", "type", "column") for key in self.make - self.drop
        )

    def _pairs(self) -> Iterator[tuple[Thing, Thing]]:
        for key, old in self.before.things.items():
            if (new := self.after.things.get(key)) is not None and old is not new:
                yield old, new

    @staticmethod
    def _renamed(old: Thing, new: Thing) -> bool:
        if old.kind == "routine":
            return (old.bare.removesuffix(old.facts["arguments"]), old.facts["schema"]) != (
                new.bare.removesuffix(new.facts["arguments"]), new.facts["schema"]
            )  # fmt: skip
        if old.kind in ("other", "publication relation", "setting"):
            return False
        return old.bare != new.bare or old.facts.get("schema") != new.facts.get("schema")

    # Taking down: what is new goes, what hangs on it first.

    @staticmethod
    def _above(key: Key, within: set[Key]) -> Key | None:
        """What a column, or an object that goes with another one, goes with."""
        if key.sub and Key(key.catalog, key.objid) in within:
            return Key(key.catalog, key.objid)
        return None

    def _goes_with(self, of: Survey, key: Key, within: set[Key]) -> bool:
        return self._covers(of, within).get(key) is not None

    def _covers(self, of: Survey, within: set[Key]) -> dict[Key, Key]:
        """For each of these objects that goes with another one of them, that one."""
        found: dict[Key, Key] = {}
        for key in within:
            if (above := self._above(key, within)) is not None:
                found[key] = above
        for one, other, how in of.depends:
            if how in _AUTOMATIC and one in within and one not in found:
                if other in within:
                    found[one] = other
                elif other.sub and Key(other.catalog, other.objid) in within:
                    found[one] = Key(other.catalog, other.objid)
        return found

    def taken_down(self) -> Iterator[str]:
        """DROP of what is new, and before it of what it hangs on, set back what stays and hangs on something new."""
        yield from self._detached()
        early = [self.before.things[key] for key in sorted(self.early)]
        taken = {thing.name: key for key, thing in self.after.things.items() if thing.kind == "type"}
        aside: dict[Key, str] = {}
        for thing in early:
            if (key := taken.get(thing.name)) is not None:
                word = "DOMAIN" if self.after.things[key].facts["kind"] == "d" else "TYPE"
                yield f"ALTER {word} {thing.name} RENAME TO {_quoted('undone_' + _plain(thing.bare))}"
                aside[key] = f"{thing.facts['schema']}.{_quoted('undone_' + _plain(thing.bare))}"
            yield from self._creation(thing)
        covers = self._covers(self.after, self.drop)

        def top(key: Key) -> Key | None:
            key = members.get(key, key)
            seen = set()
            while key in covers and key not in seen:
                seen.add(key)
                key = covers[key]
            if key in nodes:
                return key
            whole = Key(key.catalog, key.objid)
            return whole if whole in nodes else None

        set_back = {
            key for key, (old, new) in self.changed.items() if old.kind == "column" and self._column_back(old, new)
        }
        nodes = {key for key in self.drop if key not in covers} | set(self.replaced) | set_back
        nodes = {key for key in nodes if not self._left_alone(key) and key not in self._emptied()}
        members = {one: other for one, other, how in self.after.depends if how == "e"}
        waits: dict[Key, set[Key]] = {key: set() for key in nodes}
        reasons: dict[tuple[Key, Key], list[Key]] = defaultdict(list)
        for one, other, _ in self.after.depends:
            first, then = top(one), top(other)
            if first is not None and then is not None and first != then:
                waits[then].add(first)
                reasons[first, then].append(one)
        for key in nodes:  # a primary key goes before the NOT NULL that it needs
            thing = self.after.things[key]
            if thing.kind == "constraint" and thing.facts["type"] == "n":
                waits[key] |= {
                    each for each in nodes
                    if self.after.things[each].kind == "constraint" and self.after.things[each].facts["type"] == "p"
                    and self.after.things[each].above == thing.above
                }  # fmt: skip
        while nodes:
            ready = [key for key in nodes if not waits[key] & nodes]
            if not ready:
                yield from self._loop_cut(nodes, waits, reasons)
                ready = [key for key in nodes if not waits[key] & nodes]
                if not ready:
                    self.refused.append("what it makes depends on itself in a way that no order of DROP takes apart")
                    return
            key = max(ready, key=lambda each: (each.objid, each.sub))
            nodes.remove(key)
            if key in self.replaced and key not in self.drop:
                yield self.replaced[key]
            elif key in self.drop:
                yield self._dropping(self.after.things[key], aside.get(key))
            else:
                yield from self._column_back(*self.changed[key])

    def _emptied(self) -> list[Key]:
        """New schemas that hold something which goes back to where it was: they can go only then."""
        homes = {
            new.facts["schema"] for old, new in self.changed.values()
            if "schema" in new.facts and new.facts["schema"] != old.facts["schema"]
        }  # fmt: skip
        return sorted(
            key for key in self.drop if self.after.things[key].kind == "schema" and self.after.things[key].name in homes
        )

    def emptied(self) -> Iterator[str]:
        """DROP of the schemas that are empty once all is back in its own."""
        for key in self._emptied():
            yield self._dropping(self.after.things[key])

    def _left_alone(self, key: Key) -> bool:
        """What goes by itself although pg_depend does not say so, or is set back in another way."""
        thing = self.after.things[key]
        if thing.kind in ("column", "constraint", "index") and thing.facts.get("inherited"):
            return True
        if thing.kind == "relation" and thing.facts["identity"]:
            return True
        if thing.kind == "constraint" and thing.facts["type"] == "n" and key not in self.make:
            # NOT NULL of a column that stays: set back with the column, by its own words.
            column = Key("pg_class", thing.above.objid, thing.facts["columns"][0]) if thing.above else key
            return column in self.changed
        return False

    def _loop_cut(
        self, nodes: set[Key], waits: dict[Key, set[Key]], reasons: dict[tuple[Key, Key], list[Key]]
    ) -> Iterator[str]:
        """Drop the parts (foreign keys, defaults, triggers …) by which tables hang on each other."""
        for then in sorted(nodes):
            for first in sorted(waits[then] & nodes):
                parts = reasons[first, then]
                things = [self.after.things.get(part) for part in parts]
                if not things or any(thing is None for thing in things):
                    continue
                words = []
                for thing in things:
                    assert thing is not None  # noqa: S101  (looked at above)
                    if thing.kind in ("constraint", "trigger", "policy", "rule") and thing.key != first:
                        words.append(self._dropping(thing))
                    elif thing.kind == "column" and thing.facts["default"] is not None:
                        words.append(f"ALTER TABLE {self.after.above(thing)} ALTER COLUMN {thing.name} DROP DEFAULT")
                    else:
                        break
                else:
                    yield from dict.fromkeys(words)
                    waits[then].discard(first)
                    for other in waits:  # the same parts are in nobody's way any more
                        if first in waits[other] and set(reasons[first, other]) <= set(parts):
                            waits[other].discard(first)

    def _detached(self) -> Iterator[str]:
        """Partitions and children go from parents that they did not have."""
        for old, new in self.changed.values():
            if old.kind == "relation" and new.facts["parents"] and new.facts["parents"] != old.facts["parents"]:
                for parent in new.facts["parents"]:
                    if new.facts["bound"]:
                        yield f"ALTER TABLE {parent} DETACH PARTITION {new.name}"
                    elif parent not in (old.facts["parents"] or ()):
                        yield f"ALTER TABLE {new.name} NO INHERIT {parent}"

    def _dropping(self, thing: Thing, aside: str | None = None) -> str:
        above = self.after.above(thing) if thing.above is not None else ""
        if thing.kind == "relation":
            return f"DROP {_WORDS[thing.facts['kind']]} {thing.name}"
        if thing.kind == "column":
            return f"ALTER TABLE {above} DROP COLUMN {thing.name}"
        if thing.kind == "constraint":
            word = "TABLE" if thing.above and thing.above.catalog == "pg_class" else "DOMAIN"
            return f"ALTER {word} {above} DROP CONSTRAINT {thing.name}"
        if thing.kind in ("trigger", "policy", "rule"):
            return f"DROP {thing.kind.upper()} {thing.name} ON {above}"
        if thing.kind == "routine":
            return f"DROP {_routine(thing)} {thing.name}"
        if thing.kind == "type":
            return f"DROP {_type(thing)} {aside or thing.name}"
        if thing.kind == "publication relation":
            return f"ALTER PUBLICATION {thing.bare} DROP TABLE {thing.name}"
        if thing.kind == "other":
            return f"DROP {thing.name}"
        return f"DROP {thing.kind.upper()} {thing.name}"

    def _column_back(self, old: Thing, new: Thing) -> list[str]:
        """What has to be taken from a column before what it hangs on can go; by its names after the file."""
        was, now = old.facts, new.facts
        if was["inherited"] and now["inherited"]:
            return []
        head = f"ALTER TABLE {self.after.above(new)} ALTER COLUMN {new.name}"
        retyped = _retyped(was, now)
        words = []
        if now["default"] is not None and (retyped or was["default"] != now["default"]):
            words.append(f"{head} DROP DEFAULT")
        if now["identity"] and not was["identity"]:
            words.append(f"{head} DROP IDENTITY")
        if retyped:
            collation = f" COLLATE {was['collation']}" if was["collation"] else ""
            type_ = self._type_then(was)
            way = _way_back(new.name, type_, now["type"], same=was["typeid"] == now["typeid"])
            words.append(f"{head} TYPE {type_}{collation}{way}")
        return words

    def _type_then(self, was: dict[str, Any]) -> str:
        """An earlier type by the name that it bears after the file."""
        found = self.after.things.get(Key("pg_type", was["typeid"]))
        return found.name if found is not None else str(was["type"])

    # Names.

    def renamed(self) -> Iterator[str]:
        """Names and schemas as they were."""
        waiting = []
        for key, (old, new) in sorted(self.changed.items()):
            if key in self.drop or not self._renamed(old, new):
                continue
            if old.kind == "column" and new.facts["inherited"]:
                continue
            if old.kind == "constraint" and old.facts["inherited"]:
                continue
            waiting.append((old, new))
        # A schema first, since the names of all others stand in it; then what stands in schemas, then their parts.
        ranks = {"schema": 0, "relation": 1, "routine": 1, "type": 1, "index": 1, "statistics": 1}
        waiting.sort(key=lambda each: (ranks.get(each[0].kind, 2), each[0].key))
        schemas = {new.name: old.name for old, new in waiting if old.kind == "schema"}
        tables: dict[Key, str] = {}
        taken = {self._place(new, new.bare) for _, new in waiting}
        held: list[tuple[str, str]] = []
        for old, new in waiting:
            above = tables.get(old.above) or self.before.above(old) if old.above in self.before.things else ""
            head, bare = _head(new, above)
            schema = schemas.get(new.facts.get("schema", ""), new.facts.get("schema"))
            full = f"{schema}.{bare}" if schema and old.kind in ranks and old.kind != "schema" else new.bare
            follows = old.kind == "index" or old.facts.get("owned") or old.facts.get("identity")
            if old.kind in ranks and old.kind != "schema" and schema != old.facts["schema"] and not follows:
                yield f"ALTER {_word(new)} {full}{_arguments(new)} SET SCHEMA {old.facts['schema']}"
            if old.kind in ranks and old.kind != "schema":
                full = f"{old.facts['schema']}.{bare}"
            goal = _without_arguments(old)
            if bare == goal:
                continue
            if self._place(old, old.bare) in taken - {self._place(new, new.bare)}:
                # Names that were swapped: by way of one that nobody has.
                between = _quoted("undone_" + _plain(goal))
                yield _rename(old, new, head, full, bare, between, above)
                held.append((between, goal))
                yield_full = (
                    f"{old.facts['schema']}.{between}" if old.kind in ranks and old.kind != "schema" else between
                )
                self._later.append(_rename(old, new, head, yield_full, between, goal, above))
            else:
                yield _rename(old, new, head, full, bare, goal, above)
        yield from self._later

    _later: list[str] = field(default_factory=list)

    @staticmethod
    def _place(thing: Thing, bare: str) -> tuple[str, object, str]:
        kind = "relation" if thing.kind in ("relation", "index", "type") else thing.kind
        return kind, thing.above if kind != "relation" else thing.facts.get("schema"), bare

    # Making again.

    def made(self) -> Iterator[str]:
        """What is gone, each behind what it depends on."""
        covers = self._covers(self.before, self.make)
        nodes = {key for key in self.make - self.early if not self._made_along(key)}
        waits: dict[Key, set[Key]] = {key: set() for key in nodes}

        def node(key: Key) -> Key | None:
            for each in (key, Key(key.catalog, key.objid), covers.get(key)):
                if each is not None and each in nodes:
                    return each
            return None

        for one, other, _ in self.before.depends:
            first, then = node(other), node(one)
            if first is not None and then is not None and first != then:
                waits[then].add(first)
        while nodes:
            ready = [key for key in nodes if not waits[key] & nodes]
            if not ready:
                self.refused.append("what it drops depends on itself in a way that no order of CREATE puts together")
                return
            key = min(ready, key=lambda each: (each.objid, each.sub))
            nodes.remove(key)
            yield from self._creation(self.before.things[key])

    def _made_along(self, key: Key) -> bool:
        thing = self.before.things[key]
        if thing.kind in ("column", "setting"):
            return True
        if thing.kind in ("constraint", "index") and thing.facts["inherited"]:
            return True
        if thing.kind == "constraint" and thing.facts["type"] == "n" and thing.above is not None:
            return Key("pg_class", thing.above.objid) in self.make
        if (
            thing.above is not None
            and thing.above in self.make
            and self.before.things[thing.above].facts.get("kind") in _HOLDS
        ):
            return True
        return thing.kind == "relation" and thing.facts["kind"] in ("r", "p", "f", "S")

    def _creation(self, thing: Thing) -> Iterator[str]:
        facts = thing.facts
        above = self.before.above(thing) if thing.above is not None else ""
        if thing.kind == "schema":
            yield f"CREATE SCHEMA {thing.name}"
        elif thing.kind == "extension":
            yield f"CREATE EXTENSION {thing.name} SCHEMA {facts['schema']} VERSION '{facts['version']}'"
        elif thing.kind == "relation" and facts["kind"] == "c":
            yield f"CREATE TYPE {thing.name} AS ({', '.join(facts['columns'] or ())})"
        elif thing.kind == "relation":
            yield _view(thing)
        elif thing.kind == "constraint":
            word = "TABLE" if thing.above and thing.above.catalog == "pg_class" else "DOMAIN"
            yield f"ALTER {word} {above} ADD CONSTRAINT {thing.name} {facts['definition']}"
        elif thing.kind == "policy":
            yield f"CREATE POLICY {thing.name} ON {above} {facts['definition']}"
        elif thing.kind == "type" and facts["kind"] == "e":
            yield f"CREATE TYPE {thing.name} AS ENUM ({', '.join(label for _, label in facts['labels'] or ())})"
        elif thing.kind == "type" and facts["kind"] == "d":
            rest = f" DEFAULT {facts['default']}" if facts["default"] is not None else ""
            rest += " NOT NULL" if facts["notnull"] and self.before.major < 17 else ""
            yield f"CREATE DOMAIN {thing.name} AS {facts['base']}{rest}"
        elif thing.kind == "publication relation":
            yield f"ALTER PUBLICATION {thing.bare} ADD TABLE {thing.name}"
        elif facts.get("definition") is not None:
            yield facts["definition"].rstrip().removesuffix(";")
        if thing.kind in ("trigger", "rule") and facts["enabled"] != "O":
            yield f"ALTER TABLE {above} {_TRIGGER_WORDS[facts['enabled']]} {thing.kind.upper()} {thing.name}"
        if "owner" in facts and facts["owner"] != self.before.user:
            yield f"ALTER {_word(thing)} {thing.name} OWNER TO {facts['owner']}"
        yield from self._granted(thing.key, self._usual(thing), self.before.grants.get(thing.key, {}))
        if (comment := self.before.comments.get(thing.key)) is not None:
            yield self._comment(comment, comment[0])

    def _usual(self, thing: Thing) -> dict[tuple[str, str], bool]:
        """What a newly made object lets do: what its owner and PUBLIC have by default."""
        owner = thing.facts.get("owner", "")
        if thing.kind == "schema":
            return {(owner, each): False for each in ("CREATE", "USAGE")}
        if thing.kind == "routine":
            return {(who, "EXECUTE"): False for who in (owner, "PUBLIC")}
        if thing.kind == "type":
            return {(who, "USAGE"): False for who in (owner, "PUBLIC")}
        had = self.before.grants.get(thing.key, {})
        return {pair: False for pair in had if pair[0] == owner}

    # Setting back what is in place.

    def set_back(self) -> Iterator[str]:
        """All that ALTER, GRANT and COMMENT set, as it was; by the names of before."""
        for key, (old, new) in sorted(self.changed.items()):
            if key in self.drop:
                continue
            if old.kind == "column":
                yield from self._column(old, new)
            elif old.kind == "relation":
                yield from self._relation(old, new)
            elif old.kind == "type":
                yield from self._type(old, new)
            elif old.kind == "index":
                yield from self._index(old, new)
            elif old.kind in ("trigger", "rule") and old.facts["enabled"] != new.facts["enabled"]:
                words = _TRIGGER_WORDS[old.facts["enabled"]]
                yield f"ALTER TABLE {self.before.above(old)} {words} {old.kind.upper()} {old.name}"
            elif old.kind == "extension" and old.facts["schema"] != new.facts["schema"]:
                yield f"ALTER EXTENSION {old.name} SET SCHEMA {old.facts['schema']}"
            if "owner" in old.facts and old.facts["owner"] != new.facts["owner"]:
                owner = "CURRENT_USER" if old.facts["owner"] == self.before.user else old.facts["owner"]
                yield f"ALTER {_word(old)} {old.name} OWNER TO {owner}"
        stay = [key for key in self.before.things if key in self.after.things and key not in self.drop]
        for key in sorted(stay):
            was, now = self.before.grants.get(key, {}), self.after.grants.get(key, {})
            if was != now:
                yield from self._granted(key, now, was)
            had, has = self.before.comments.get(key), self.after.comments.get(key)
            if (had and had[0]) != (has and has[0]):
                yield self._commented(key, had, has)
        yield from self._default_grants()

    def _column(self, old: Thing, new: Thing) -> Iterator[str]:
        was, now = old.facts, new.facts
        if was["inherited"] and now["inherited"]:
            return
        head = f"ALTER TABLE {self.before.above(old)} ALTER COLUMN {old.name}"
        retyped = _retyped(was, now)
        if was["generated"] and now["generated"] and was["generated"] != now["generated"]:
            yield f"{head} SET EXPRESSION AS ({was['generated']})"
        if now["notnull"] and not was["notnull"]:
            yield f"{head} DROP NOT NULL"
        if was["notnull"] and not now["notnull"] and not self._named_not_null(old):
            yield f"{head} SET NOT NULL"
        if was["default"] is not None and (retyped or was["default"] != now["default"]):
            yield f"{head} SET DEFAULT {was['default']}"
        if was["identity"] and now["identity"] and was["identity"] != now["identity"]:
            yield f"{head} SET GENERATED {'ALWAYS' if was['identity'] == 'a' else 'BY DEFAULT'}"
        if was["storage"] != now["storage"] and not retyped:
            yield f"{head} SET STORAGE {_STORAGE[was['storage']]}"
        if was["statistics"] != now["statistics"]:
            yield f"{head} SET STATISTICS {was['statistics'] or -1}"
        if was["options"] != now["options"]:
            yield from _options(head, was["options"], now["options"])

    def _named_not_null(self, column: Thing) -> bool:
        """Whether a constraint makes it NOT NULL again: from PostgreSQL 18 on that has a name."""
        return any(
            key.catalog == "pg_constraint" and thing.facts["type"] in "np" and thing.above == column.above
            and column.key.sub in (thing.facts["columns"] or ())
            for key, thing in self.before.things.items() if key in self.make and thing.kind == "constraint"
        )  # fmt: skip

    def _relation(self, old: Thing, new: Thing) -> Iterator[str]:
        was, now = old.facts, new.facts
        word = _WORDS[was["kind"]]
        head = f"ALTER {word} {old.name}"
        if was["parents"] and was["parents"] != now["parents"]:
            for parent in was["parents"]:
                if was["bound"]:
                    yield f"ALTER TABLE {parent} ATTACH PARTITION {old.name} {was['bound']}"
                elif parent not in (now["parents"] or ()):
                    yield f"{head} INHERIT {parent}"
        if was["persistence"] != now["persistence"]:
            yield f"{head} SET {'LOGGED' if was['persistence'] == 'p' else 'UNLOGGED'}"
        if was["security"] != now["security"]:
            yield f"{head} {'ENABLE' if was['security'] else 'DISABLE'} ROW LEVEL SECURITY"
        if was["forced"] != now["forced"]:
            yield f"{head} {'FORCE' if was['forced'] else 'NO FORCE'} ROW LEVEL SECURITY"
        if was["replica"] != now["replica"] and was["replica"] in _REPLICA:
            yield f"{head} REPLICA IDENTITY {_REPLICA[was['replica']]}"
        if was["options"] != now["options"] and old.key not in self.replaced:
            yield from _options(head, was["options"], now["options"])
        if was["sequence"] != now["sequence"]:
            yield f"{head} {was['sequence']}"
        if was["owned"] != now["owned"]:
            yield f"{head} OWNED BY {was['owned'] or 'NONE'}"

    def _index(self, old: Thing, new: Thing) -> Iterator[str]:
        table = self.before.above(old)
        if old.facts["clustered"] != new.facts["clustered"]:
            yield f"ALTER TABLE {table} " + (
                f"CLUSTER ON {old.bare}" if old.facts["clustered"] else "SET WITHOUT CLUSTER"
            )
        if old.facts["replica"] and not new.facts["replica"]:
            yield f"ALTER TABLE {table} REPLICA IDENTITY USING INDEX {old.bare}"

    def _type(self, old: Thing, new: Thing) -> Iterator[str]:
        was, now = old.facts, new.facts
        if was["labels"] is not None:
            labels = dict(now["labels"])
            for oid, label in was["labels"]:
                if labels.get(oid, label) != label:
                    yield f"ALTER TYPE {old.name} RENAME VALUE {labels[oid]} TO {label}"
        if was["kind"] == "d":
            if was["default"] != now["default"]:
                yield f"ALTER DOMAIN {old.name} " + (
                    "DROP DEFAULT" if was["default"] is None else f"SET DEFAULT {was['default']}"
                )
            if was["notnull"] != now["notnull"] and self.before.major < 17:
                yield f"ALTER DOMAIN {old.name} {'SET' if was['notnull'] else 'DROP'} NOT NULL"

    def _granted(self, key: Key, now: dict[tuple[str, str], bool], was: dict[tuple[str, str], bool]) -> Iterator[str]:
        """GRANT and REVOKE between two sets of privileges."""
        thing = self.before.things[key]
        if thing.kind == "column":
            where, column = f"TABLE {self.before.above(thing)}", f" ({thing.name})"
        elif thing.kind == "relation":
            where, column = f"{'SEQUENCE' if thing.facts['kind'] == 'S' else 'TABLE'} {thing.name}", ""
        elif thing.kind == "routine":
            where, column = f"{_routine(thing)} {thing.name}", ""
        else:
            where, column = f"{_GRANT_WORDS.get(key.catalog, thing.kind.upper())} {thing.name}", ""
        for grantee, privilege in sorted(now.keys() - was.keys()):
            yield f"REVOKE {privilege}{column} ON {where} FROM {grantee}"
        for (grantee, privilege), grantable in sorted(was.items()):
            has = now.get((grantee, privilege))
            if has and not grantable:
                yield f"REVOKE GRANT OPTION FOR {privilege}{column} ON {where} FROM {grantee}"
            elif has is None or (grantable and not has):
                yield f"GRANT {privilege}{column} ON {where} TO {grantee}{' WITH GRANT OPTION' if grantable else ''}"

    def _default_grants(self) -> Iterator[str]:
        groups = (
            (self.after.defaults - self.before.defaults, "REVOKE", "FROM"),
            (self.before.defaults - self.after.defaults, "GRANT", "TO"),
        )
        for rows, verb, towards in groups:
            for role, schema, type_, grantee, privilege in sorted(rows, key=str):
                if grantee == role:
                    continue  # an owner's own rights are there where nothing is said
                inside = f" IN SCHEMA {schema}" if schema else ""
                whose = "" if role == self.before.user else f" FOR ROLE {role}"
                yield (
                    f"ALTER DEFAULT PRIVILEGES{whose}{inside} {verb} {privilege} ON {_DEFAULT_WORDS[type_]} "
                    f"{towards} {grantee}"
                )

    def _commented(self, key: Key, had: tuple[str, str, str] | None, has: tuple[str, str, str] | None) -> str:
        said = had or has
        assert said is not None  # noqa: S101  (one of them differs from nothing)
        thing = self.before.things[key]
        words = {"column": f"COLUMN {self.before.above(thing)}.{thing.name}"}.get(thing.kind)
        if thing.kind in ("constraint", "trigger", "policy", "rule"):
            on = "DOMAIN " if thing.above and thing.above.catalog == "pg_type" else ""
            words = f"{thing.kind.upper()} {thing.name} ON {on}{self.before.above(thing)}"
        if words is None and thing.kind != "other":
            words = f"{_word(thing)} {thing.name}"
        return f"COMMENT ON {words or thing.name} IS {_literal(had[0]) if had else 'NULL'}"

    def _comment(self, comment: tuple[str, str, str], text: str) -> str:
        _, type_, identity = comment
        return f"COMMENT ON {_COMMENT_WORDS.get(type_, type_.upper())} {identity} IS {_literal(text)}"


_STORAGE = {"p": "PLAIN", "e": "EXTERNAL", "x": "EXTENDED", "m": "MAIN"}
_COMMENT_WORDS = {
    "table constraint": "CONSTRAINT", "domain constraint": "CONSTRAINT", "table column": "COLUMN",
    "statistics object": "STATISTICS",
}  # fmt: skip


def _view(thing: Thing, *, replace: bool = False) -> str:
    options = f" WITH ({', '.join(thing.facts['options'])})" if thing.facts["options"] else ""
    verb = "CREATE OR REPLACE" if replace else "CREATE"
    query = thing.facts["definition"].rstrip().removesuffix(";")
    return f"{verb} {_WORDS[thing.facts['kind']]} {thing.name}{options} AS\n{query}"


def _routine(thing: Thing) -> str:
    return {"p": "PROCEDURE", "a": "AGGREGATE"}.get(thing.facts["kind"], "FUNCTION")


def _type(thing: Thing) -> str:
    return "DOMAIN" if thing.facts["kind"] == "d" else "TYPE"


def _word(thing: Thing) -> str:
    """The word for it behind ALTER."""
    if thing.kind == "relation":
        return _WORDS[thing.facts["kind"]]
    if thing.kind == "routine":
        return _routine(thing)
    return _type(thing) if thing.kind == "type" else thing.kind.upper()


def _arguments(thing: Thing) -> str:
    return str(thing.facts["arguments"]) if thing.kind == "routine" else ""


def _without_arguments(thing: Thing) -> str:
    return thing.bare.removesuffix(_arguments(thing)) if thing.kind == "routine" else thing.bare


def _head(thing: Thing, above: str) -> tuple[str, str]:
    return above, _without_arguments(thing)


def _rename(old: Thing, new: Thing, above: str, full: str, bare: str, goal: str, table: str) -> str:
    if old.kind == "column":
        return f"ALTER TABLE {table} RENAME COLUMN {bare} TO {goal}"
    if old.kind == "constraint":
        word = "TABLE" if old.above and old.above.catalog == "pg_class" else "DOMAIN"
        return f"ALTER {word} {table} RENAME CONSTRAINT {bare} TO {goal}"
    if old.kind in ("trigger", "policy", "rule"):
        return f"ALTER {old.kind.upper()} {bare} ON {above} RENAME TO {goal}"
    return f"ALTER {_word(new)} {full}{_arguments(new)} RENAME TO {goal}"


def _options(head: str, was: Iterable[str] | None, now: Iterable[str] | None) -> Iterator[str]:
    had, has = set(was or ()), set(now or ())
    names = {each.partition("=")[0] for each in had}
    if gone := sorted({each.partition("=")[0] for each in has} - names):
        yield f"{head} RESET ({', '.join(gone)})"
    if back := sorted(had - has):
        yield f"{head} SET ({', '.join(back)})"


def _base(type_: str) -> str:
    return type_.partition("(")[0].strip() + type_.partition(")")[2]


def _rank(type_: str) -> tuple[int, int] | None:
    for group, names in enumerate(_WIDER):
        if _base(type_) in names:
            return group, names.index(_base(type_))
    return None


_TIMES = frozenset(("timestamp without time zone", "timestamp with time zone"))
_WORDLIKE = frozenset(("text", "character varying"))


def _narrows(was: str, now: str) -> str:
    """Why values did not survive a change of their type, as far as the two types tell; "" where they did."""
    if _base(was) == _base(now):
        if _base(was) in _WORDLIKE or _base(now) not in ("numeric", *_TIMES) or now == _base(now):
            return ""  # a text that is too long is refused, not cut
        return "" if was == now else "digits that it rounded away are in no file"
    if {_base(was), _base(now)} <= _TIMES:
        return ""
    if _base(now) in _WORDLIKE:
        return ""  # every value has a text, and is read back from it
    one, other = _rank(was), _rank(now)
    if one is not None and other is not None and one[0] == other[0] and (one[1] < other[1] or one[0] in (0, 2)):
        # Integers and texts are refused where they do not fit; only what is rounded is lost without a word.
        return "" if _base(was) != "numeric" else "digits that it rounded away are in no file"
    if _base(was) in _WORDLIKE or ("." in _base(was) and "." in _base(now)):
        return ""  # what could be read as the new type is written as a text again
    return "what the old values were cannot be told from the new ones"


def _retyped(was: dict[str, Any], now: dict[str, Any]) -> bool:
    return bool((was["typeid"], was["typmod"], was["collation"]) != (now["typeid"], now["typmod"], now["collation"]))


def _way_back(column: str, was: str, now: str, *, same: bool) -> str:
    """The USING that leads back; none where PostgreSQL assigns one type to the other, or it is the `same`."""
    if same or _base(was) in _WORDLIKE or {_base(was), _base(now)} <= _TIMES:
        return ""
    one, other = _rank(was), _rank(now)
    if one is not None and other is not None and one[0] == other[0]:
        return ""
    return f" USING {column}::text::{was}"


def _literal(text: str) -> str:
    doubled = text.replace("'", "''")
    return "E'" + doubled.replace("\\", "\\\\") + "'" if "\\" in text else f"'{doubled}'"


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
