"""What becomes of the rows by a statement that cannot be said as a query: by routines, triggers and keys?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lancio.planner.foreseen import Type
from lancio.planner.questions import Asking, short

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from lancio.planner import contents
    from lancio.planner.contents import Rows
    from lancio.reading.model import Op, Ref

INSERT, DELETE, UPDATE = 4, 8, 16


class Aftermath(Asking):
    """Marks what is not known any more."""

    # What statements do to rows beyond what can be said.

    def effects(self, ops: Iterable[Op], depth: int = 0, *, asked: bool = False) -> None:
        """Whatever a statement writes, by its operations alone, is not known behind it.

        `asked`: what it asks of the rows is asked elsewhere; else it is said that nobody looks.
        """
        for op in ops:
            if op.verb == "opaque" or depth > _DEEPEST:
                self.blur_all()
                return
            if op.verb == "call":
                self.called_routine(op.ref, depth)
            elif op.verb == "write" and op.detail.facet == "rows":
                rows = self.named(op.ref)
                if rows is not None:
                    self.written(rows, op.detail.events)
            elif op.verb == "make" and op.ref.kind == "type":
                self.types[op.ref.schema or self.path[0], op.ref.name] = Type(reason=self.made(str(op.ref)))
            elif (rows := self._changed(op)) is not None:
                rows.blur(self.before)
            elif not asked:
                self._inside(op)

    def _changed(self, op: Op) -> Rows | None:
        """The table whose rows, or their form, an operation changes."""
        if op.ref.kind == "relation" and op.verb in ("alter", "rename", "move", "drop"):
            return self.named(op.ref) if op.verb != "alter" or op.detail.facet == "inheritance" else None
        if op.ref.kind == "column" and op.ref.of and op.verb in ("make", "drop", "rename", "write"):
            return self.named(op.ref.of[0]) if op.verb != "write" or op.detail.facet in ("type", "default") else None
        return None

    def _inside(self, op: Op) -> None:
        """What a routine asks of rows is not looked at, and that is said."""
        index = op.verb == "make" and op.ref.kind == "relation" and op.detail.unique and not op.detail.implied
        owners = op.detail.like if index else op.ref.of if op.ref.kind in ("column", "constraint") else ()
        rows = self.named(owners[0]) if owners else None
        if rows is None:
            return
        states = {
            "primary key": "23505",
            "unique": "23505",
            "foreign key": "23503",
            "check": "23514",
            "exclude": "23P01",
        }
        if op.ref.kind == "constraint" and op.verb == "make" and op.detail.validated and op.detail.contype in states:
            says = f"{op.detail.contype.upper()} {op.ref.name} of {short(rows)}"
            self.unsaid(rows, says, states[op.detail.contype], "it stands in a block of code")
        elif index:
            self.unsaid(rows, f"UNIQUE INDEX {op.ref.name} on {short(rows)}", "23505", "it stands in a block of code")
        elif op.detail.facet == "null" and op.detail.message != "dropped" and not op.detail.implied:
            says = f"SET NOT NULL {short(rows)}.{op.ref.name}"
            self.unsaid(rows, says, "23502", "it stands in a block of code")

    def blur_all(self) -> None:
        """What was done cannot be seen: nothing is known of any table's rows."""
        for rows in self.tables.values():
            rows.blur(self.before)

    def written(self, rows: Rows, events: Collection[str]) -> None:
        """Rows were written in a way that is not known."""
        if rows.nothing and "insert" not in events:
            return
        if set(events) == {"insert"}:
            rows.more = rows.more or self.before
        else:
            rows.blur(self.before)
        bits = sum(bit for bit, word in ((INSERT, "insert"), (DELETE, "delete"), (UPDATE, "update")) if word in events)
        self.along(rows, bits)

    def along(self, rows: Rows, bits: int, columns: Collection[str] | None = None) -> None:
        """What else changes when rows of a table are written: what keys and triggers do, and other tables' share.

        `columns` are those that an UPDATE sets, where that is known.
        """
        for called in rows.table.relatives if rows.there else ():
            if (other := self.tables.get(called)) is not None:
                other.blur(self.before)
        self._cascade(rows, bits, columns, set())
        for trigger in list(rows.triggers.values()):
            if trigger.bits & bits:
                self.fires(rows, trigger)

    def _cascade(self, rows: Rows, bits: int, columns: Collection[str] | None, seen: set[int]) -> None:
        """What foreign keys do with the rows that point to those that go or change."""
        for each in self.cascades:
            if each.parent is not rows or each.child.nothing or id(each) in seen:
                continue
            if bits & DELETE and each.delete == "c":
                seen.add(id(each))
                each.child.blur(self.before)
                self._cascade(each.child, DELETE, None, seen)
            set_ = (bits & DELETE and each.delete in "nd") or (
                bits & UPDATE and each.update in "cnd" and (columns is None or not {*columns}.isdisjoint(each.keys))
            )
            if set_:
                seen.add(id(each))
                for column in each.columns:
                    each.child.vague.setdefault(column, self.before)
                self._cascade(each.child, UPDATE, each.columns, seen)

    def fires(self, rows: Rows, trigger: contents.Trigger) -> None:
        """A trigger's routine: which columns of the row it sets, and which tables it writes."""
        text, ops = self.routine(*trigger.routine)
        if text is None:
            rows.blur(self.before)
            return
        self.effects(ops, 1)
        if trigger.bits & 2 and trigger.bits & 1:
            if _WHOLE_ROW.search(text):
                rows.blur(self.before)
            for match in _ASSIGNED.finditer(text):
                rows.vague.setdefault(match[1].strip('"').lower(), self.before)

    def called_routine(self, ref: Ref, depth: int) -> None:
        """Everything that a call may do."""
        for schema in (ref.schema,) if ref.schema else self.path:
            if (schema, ref.name) in self.routines or self.live.catalog.overloads(schema, ref.name):
                text, ops = self.routine(schema, ref.name)
                if text is not None:
                    self.effects(ops, depth + 1)
                elif not any(each.extension for each in self.live.catalog.overloads(schema, ref.name)):
                    self.blur_all()
                return


_DEEPEST = 8
"""So deep are calls of routines followed."""
_WHOLE_ROW = re.compile(
    r"(?i)\bnew\s*:?=|\binto\s+(?:strict\s+)?new\b|\breturn\s+(?:null|old)\b|\breturn\s+(?!new\b|query\b)\w"
)
_ASSIGNED = re.compile(r'(?i)\bnew\s*\.\s*("[^"]+"|\w+)\s*(?::=|=(?!=))')
