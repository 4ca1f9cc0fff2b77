"""The state of reading one file: where we are, what surrounds the statement, and the operations found so far."""

from __future__ import annotations

from bisect import bisect_right
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING

from lancio.reading.model import NOTHING, Detail, Guard, Op, Ref, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lancio.reading.model import Moment, Verb


MAX_CONSTANTS = 5000
"""How many different constants beside columns are looked at in one file; they matter where the column is an enum."""


class Reader:
    """Collects operations.

    `base` turns an offset inside the text being read into one of the file; where that text does not stand in the
    file as it is (a string built by format()), `fixed` is the span of the statement that it stands in.
    """

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.ops: list[Op] = []
        self.statement = 0
        self.base = 0
        self.fixed: Span | None = None
        self.whole = Span(0, 0, 1)  # the statement of the file that is being read
        self.when: Moment = "now"
        self.via = ""
        self.guards: tuple[Guard, ...] = ()
        self.soft = False
        self.depth = 0
        self.part_of: Ref | None = None
        self.holder: Ref | None = None  # the column, constraint or index whose expression is being read
        self.extension = ""  # the extension that the query asks pg_extension for
        self.looped = 0  # statements read so far in the rounds of loops over constants
        self.conditions = 0  # how many conditions were read so far
        self.temporary: set[str] = set()  # relations that end with the session
        self._names_temporary = b"pg_temp" in text
        self.tolerant = False  # a failure of making what is there already is handled
        self.check_bodies = True  # check_function_bodies
        self._beside: set[tuple[object, ...]] = set()
        self._ends = list(accumulate(len(line) + 1 for line in text.split(b"\n")))

    def line(self, offset: int) -> int:
        """The line of a byte of the file, from 1."""
        return bisect_right(self._ends, offset) + 1

    def span(self, location: int) -> Span:
        """The place of a node of the text being read."""
        if self.fixed is not None:
            return self.fixed
        if location < 0:
            return self.whole
        at = self.base + location
        return Span(at, self.whole.end, self.line(at))

    def emit(
        self, verb: Verb, ref: Ref, location: int = -1, detail: Detail = NOTHING, *, soft: bool | None = None
    ) -> None:
        """Note one operation."""
        if ref.schema == "pg_temp" and verb == "make":
            self.temporary.add(ref.name)
        if (self._names_temporary or self.temporary) and any(map(self._is_temporary, (ref, *ref.of, *detail.like))):
            return  # gone with the session: nothing that another file could need
        if self.tolerant and verb == "make":
            detail = detail._replace(if_not_exists=True)
        if self.part_of is not None and detail.part_of is None:
            detail = detail._replace(part_of=self.part_of)
        if self.holder is not None and verb in ("read", "call"):
            detail = detail._replace(holder=self.holder)
        self.ops.append(
            Op(
                verb,
                ref,
                self.span(location),
                detail,
                self.when,
                self.guards,
                self.statement,
                self.via,
                self.soft if soft is None else soft,
            )
        )

    def first_time(self, beside: Ref, text: str) -> bool:
        """Whether this constant beside this column is new: asked again under the same conditions it says nothing."""
        asked = (beside, text, self.guards, self.when, self.via, self.soft)
        new = asked not in self._beside and len(self._beside) < MAX_CONSTANTS
        self._beside.add(asked) if new else None
        return new

    def _is_temporary(self, ref: Ref) -> bool:
        return ref.schema == "pg_temp" or (ref.schema is None and ref.kind == "relation" and ref.name in self.temporary)

    def opaque(self, reason: str, location: int = -1) -> None:
        """Say that something here cannot be seen, and why."""
        self.emit("opaque", Ref("other", ""), location, Detail(reason=reason))

    def inside(
        self,
        *,
        when: Moment | None = None,
        via: str | None = None,
        guards: tuple[Guard, ...] = (),
        soft: bool = False,
        base: int | None = None,
        fixed: Span | None = None,
        part_of: Ref | None = None,
        holder: Ref | None = None,
    ) -> _Inside:
        """Read something that stands inside of the current statement."""
        inside = _Inside(self)
        self.part_of, self.holder = part_of or self.part_of, holder or self.holder
        self.when = when or self.when
        self.via = via if via is not None else self.via
        self.guards = self.guards + guards
        self.soft = self.soft or soft
        if base is not None and self.fixed is None:
            self.base = base
        if fixed is not None:
            self.fixed = fixed
        self.depth += 1
        return inside

    @contextmanager
    def collected(self) -> Iterator[list[Op]]:
        """Collect the operations of a routine's body apart from the rest.

        The conditions under which the routine is made are none under which it is called.
        """
        outer, self.ops = self.ops, []
        around = (self.guards, self.soft, self.tolerant)
        self.guards, self.soft, self.tolerant = (), False, False
        try:
            yield self.ops
        finally:
            self.ops = outer
            self.guards, self.soft, self.tolerant = around


class _Inside:
    """What surrounded the reader before, until the end of a block; a generator's context costs twice its time."""

    __slots__ = ("_before", "_reader")

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._before = (reader.when, reader.via, reader.guards, reader.soft, reader.base, reader.fixed, reader.part_of,
                        reader.holder)  # fmt: skip

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        reader = self._reader
        reader.depth -= 1
        (reader.when, reader.via, reader.guards, reader.soft, reader.base, reader.fixed, reader.part_of,
         reader.holder) = self._before  # fmt: skip
