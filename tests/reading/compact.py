"""Operations in one line each: `read relation a.t`, `?read column a.t|b.u.c` (soft), `kept call routine f(…)`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lancio.reading import operations
from lancio.reading.source import Migration

if TYPE_CHECKING:
    from lancio.reading.model import FileOps, Op, Ref


def file(sql: str, name: str = "a.sql") -> FileOps:
    return operations.read(Migration(name, Path(name), sql.encode()))


def name(ref: Ref) -> str:
    if ref.of and ref.kind in ("column", "label"):
        return "|".join(str(each) for each in ref.of) + f".{ref.name}"
    if ref.kind == "row":
        return str(ref.of[0])
    return str(ref)


def line(op: Op) -> str:
    words = ["?" * op.soft + op.verb, op.ref.kind, name(op.ref)]
    if op.when != "now":
        words.insert(0, op.when)
    if op.verb in ("rename", "move"):
        words.append("to " + op.detail.to)
    if op.verb == "write":
        words.append(op.detail.facet + (" " + ",".join(op.detail.events) if op.detail.events else ""))
    if op.detail.row is not None:
        words.append("(" + ", ".join(f"{column} = {value}" for column, value in op.detail.row.values) + ")")
    if op.detail.message and op.verb == "read":
        words.append(repr(op.detail.message))
    if op.verb == "opaque":
        words = ["opaque", op.detail.reason]
    if op.detail.implied and op.verb == "make":
        words.append("(named by PostgreSQL)")
    words += [
        f"[{guard.truth}" + (f" {guard.ref.kind} {name(guard.ref)}]" if guard.ref else "]") for guard in op.guards
    ]
    return " ".join(words)


def lines(sql: str, *, kinds: tuple[str, ...] = (), verbs: tuple[str, ...] = ()) -> list[str]:
    """Each operation once, in order; of some kinds or verbs alone if asked."""
    found = [
        line(op) for op in file(sql).ops if (not kinds or op.ref.kind in kinds) and (not verbs or op.verb in verbs)
    ]
    return list(dict.fromkeys(found))
