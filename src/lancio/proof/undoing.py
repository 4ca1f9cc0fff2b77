"""How is each step taken back, and does that give back the catalog from before it?

Every step runs once more on a scratch database. What a person wrote to take it back is tried first, then what the
catalog before and after it tells; each in a transaction of its own, behind the step that it is for. What gives back the
catalog's fingerprint is what may run.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import psycopg

from lancio.errors import LancioError, StepFailed
from lancio.executor import fingerprint
from lancio.planner.diagnosis import masked
from lancio.postgres import named_queries
from lancio.proof import inverse, replay
from lancio.proof.replay import Failed
from lancio.proof.written import Obstacle, Written, written
from lancio.reading import operations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from lancio.executor.fingerprint import Fact, Fingerprint
    from lancio.planner.model import FileFacts
    from lancio.proof.inverse import Key, Survey
    from lancio.reading.model import Ref
    from lancio.reading.source import Migration

QUERIES = named_queries("lancio.proof", "undoing.sql")

Way = Literal["written", "computed", "none"]
"""Where the SQL comes from: a person wrote it, the catalog told it, or there was nothing to take back."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Rows that go: of a table that is dropped, of a column, or those that `where` finds; `key` is the table's.

    `attribute` is the column's key, by which it is known after it was renamed.
    """

    key: Key
    table: str
    column: str = ""
    where: str = ""
    attribute: Key | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What a step did to the catalog's facts."""

    removed: tuple[Fact, ...] = ()
    added: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class Undoing:
    """How one step is taken back.

    `statements` run in this order in one transaction; `refused` says why they must not, and is empty where they may.
    `source` is the file of what a person wrote. `proved`: they gave back the fingerprint from before the step.
    """

    facts: FileFacts = field(repr=False)
    way: Way
    statements: tuple[str, ...] = ()
    source: str = ""
    refused: tuple[str, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
    losses: tuple[Loss, ...] = ()
    notes: tuple[str, ...] = ()
    change: Change = Change()
    proved: bool = False

    @property
    def name(self) -> str:
        """The migration's name."""
        return self.facts.name


def written_down(down: Migration) -> tuple[tuple[str, ...], str]:
    """The statements of what a person wrote to take a step back, and why they cannot run ("" where they can).

    They run in one transaction: the file's own BEGIN and COMMIT and CONCURRENTLY fall away.
    """
    try:
        ops = operations.read(down)
    except LancioError as error:
        return (), error.message
    for statement in ops.statements:
        if statement.control in ("rollback", "prepare"):
            return (), f"it has {statement.summary}"
        if statement.alone and statement.alone not in replay.WITHOUT:
            return (), f"{statement.summary} runs in no transaction"
    return tuple(piece.decode().rstrip().removesuffix(";") for _, piece in replay.script(down, ops).pieces), ""


class Standing(NamedTuple):
    """How a scratch database stands: what is asked of it takes longer than a small step."""

    catalog: Survey
    print: Fingerprint


def standing(connection: psycopg.Connection[Any]) -> Standing:
    """Look at a scratch database."""
    return Standing(inverse.survey(connection), fingerprint.take(connection))


def undo(connection: psycopg.Connection[Any], facts: FileFacts, down: Migration | None) -> Undoing:
    """Run the step on a scratch database that stands before it, and find out how it is taken back.

    The database then stands behind the step.

    Raises:
        StepFailed: the step itself does not run there.
    """
    return _undone(connection, facts, down, standing(connection))[0]


def _undone(
    connection: psycopg.Connection[Any], facts: FileFacts, down: Migration | None, begin: Standing
) -> tuple[Undoing, Standing]:
    """The undoing of the step, and how the database stands behind the step."""
    locked, find = _run(connection, facts)
    end = standing(connection)
    return _told(connection, facts, down, begin, end, locked, find), end


def _told(
    connection: psycopg.Connection[Any], facts: FileFacts, down: Migration | None, begin: Standing, end: Standing,
    locked: list[int], find: Callable[[Ref], int | None],
) -> Undoing:  # fmt: skip
    ops = facts.ops or operations.read(facts.migration)
    (before, print_before), (after, print_after) = begin, end
    removed, added = fingerprint.diff(print_before, print_after)
    change = Change(tuple(removed), tuple(added))
    found = written(facts, ops, before, after, locked, find) if before.things else Written()
    inverted = inverse.invert(before, after)
    notes: list[str] = []
    if down is not None:
        statements, why = written_down(down)
        if not why:  # an empty one says that there is nothing to do, which the catalog confirms or not
            tried = _tried(connection, statements, print_before, after)
            if not tried.why:
                stays = tuple(
                    f"its author's SQL decides what becomes of this: {each}"
                    for each in (*inverted.refused, *(each.says for each in found.obstacles))
                )
                return Undoing(
                    facts, "written", statements, down.name, losses=tried.losses, change=change, proved=True,
                    notes=(*tried.notes, *stays),
                )  # fmt: skip
            why = tried.why
        notes.append(f"{_place(facts, down)} is not used: {why}")
    # Names and literals are quoted where they were made.
    rows = tuple(f"DELETE FROM {after.things[row.table].name} WHERE {row.where}" for row in found.made)  # noqa: S608
    losses = tuple(Loss(row.table, after.things[row.table].name, where=row.where) for row in found.made)
    statements = (*rows, *inverted.statements)
    if inverted.refused:
        return Undoing(
            facts, "computed", refused=inverted.refused, obstacles=found.obstacles, notes=tuple(notes), change=change
        )  # fmt: skip
    if not statements and change != Change():
        refused = (f"nothing is known that takes back what it changes: {_named(removed, added)}",)
        return Undoing(
            facts, "computed", refused=refused, obstacles=found.obstacles, notes=tuple(notes), change=change
        )  # fmt: skip
    if not statements:
        return Undoing(facts, "none", obstacles=found.obstacles, notes=tuple(notes), change=change, proved=True)
    tried = _tried(connection, statements, print_before, after)
    perhaps = {
        inverse.Key("pg_class", find(op.ref) or 0) for op in ops.ops if op.verb == "make" and op.detail.if_not_exists
    }
    if may_have_been := [loss.table for loss in tried.losses if loss.key in perhaps and not loss.column]:
        more = f" and {len(may_have_been) - 3} more" if len(may_have_been) > 3 else ""
        named = f"{', '.join(may_have_been[:3])}{more}"
        notes.append(f"it makes {named} IF NOT EXISTS: a table that was there before the step would go as well")
    return Undoing(
        facts,
        "computed",
        statements,
        refused=(tried.why,) if tried.why else (),
        obstacles=found.obstacles,
        losses=(*losses, *tried.losses),
        notes=tuple(notes),
        change=change,
        proved=not tried.why,
    )


def _place(facts: FileFacts, down: Migration) -> str:
    return down.name if down.name != facts.name else f"the down part of {down.name}"


@dataclass(frozen=True, slots=True)
class _Tried:
    why: str
    losses: tuple[Loss, ...] = ()
    notes: tuple[str, ...] = ()


def _tried(
    connection: psycopg.Connection[Any], statements: Iterable[str], wanted: Fingerprint, after: Survey
) -> _Tried:
    """Run an undoing, look, and take it back."""
    connection.execute("BEGIN")
    try:
        failed = execute(connection, statements)
        if failed:
            return _Tried(failed)
        undone, found = inverse.survey(connection), fingerprint.take(connection)
        rows = [each[0] for each in connection.execute(QUERIES["written"].encode())]
    finally:
        connection.execute("ROLLBACK")
        connection.execute(replay.QUERIES["reset"].encode())
    if found.hash != wanted.hash:
        named = _named(*fingerprint.diff(wanted, found))
        return _Tried(f"it does not give back the catalog from before: {named} would be otherwise")
    losses = tuple(_loss(after, each) for each in inverse.lost(after, undone))
    touched = [
        after.things[key].name
        for key in (inverse.Key("pg_class", oid) for oid in rows)
        if key in after.things and key in undone.things and after.things[key].kind == "relation"
    ]
    notes = (f"it writes rows of {', '.join(sorted(touched))}",) if touched else ()
    return _Tried("", losses, notes)


def _named(lacking: Iterable[Fact], more: Iterable[Fact]) -> str:
    """Three of these objects by name, and how many more there are."""
    kinds = list(dict.fromkeys(f"{each.kind} {each.identity}" for each in (*lacking, *more)))
    return f"{', '.join(kinds[:3])}{f' and {len(kinds) - 3} more' if len(kinds) > 3 else ''}"


def _loss(of: Survey, each: inverse.Lost) -> Loss:
    things = of.things.values()
    table = next(thing.key for thing in things if thing.kind == "relation" and thing.name == each.table)
    columns = (thing.key for thing in things if thing.kind == "column" and thing.above == table)
    attribute = next((key for key in columns if of.things[key].name == each.column), None)
    return Loss(table, each.table, each.column, attribute=attribute)


def execute(connection: psycopg.Connection[Any], statements: Iterable[str]) -> str:
    """Run the statements of an undoing in the transaction that is open; what PostgreSQL said to the one that failed."""
    connection.execute("SET LOCAL check_function_bodies = off")
    for statement in statements:
        try:
            connection.execute(statement.encode())
        except psycopg.Error as error:
            if error.sqlstate is None:  # the connection, not the statement
                raise
            opening = " ".join(statement.split())[:80]
            return f"PostgreSQL refuses `{masked(opening)}`: {error.diag.message_primary}"
    try:
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except psycopg.Error as error:
        return f"a deferred constraint fails: {error.diag.message_primary}"
    return ""


def _run(connection: psycopg.Connection[Any], facts: FileFacts) -> tuple[list[int], Callable[[Ref], int | None]]:
    """Run the step; the tables on which it held ROW EXCLUSIVE at its end, and what finds the table of a name in it."""
    script = replay.script(facts.migration, facts.ops)
    names: dict[tuple[str | None, str], int] = {}
    locked: list[int] = []
    if script.together and script.text:
        connection.execute("BEGIN")
        done = replay.send(connection, script)
        if not isinstance(done, Failed):
            locked = [row[0] for row in connection.execute(QUERIES["written"].encode())]
            names = _names(connection)
            try:
                connection.execute("COMMIT")
            except psycopg.errors.DatabaseError as error:
                done = Failed(error.diag.message_primary or str(error), error.sqlstate or "")
        elif done.sqlstate == replay.UNSAFE_ENUM:
            connection.execute("ROLLBACK")
            done = replay.run(connection, script)
            names = _names(connection)
    else:
        done = replay.run(connection, script)
        names = _names(connection)
    if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        connection.execute("ROLLBACK")
    connection.execute(replay.QUERIES["reset"].encode())
    if isinstance(done, Failed):
        raise StepFailed(
            f"{facts.name} does not run on the scratch database: {done.message}",
            cause="The way back is found by running the files once more, from an empty database on.",
            remedy="Give by --before a file with what was in the database before the first of them, or a server that "
            "has what they need by --scratch.",
            where=f"{facts.name}:{done.line}" if done.line else facts.name,
        )

    def find(ref: Ref) -> int | None:
        return names.get((ref.schema, ref.name))

    return locked, find


def _names(connection: psycopg.Connection[Any]) -> dict[tuple[str | None, str], int]:
    """The tables by schema and name, and without a schema those that the search_path finds."""
    found: dict[tuple[str | None, str], int] = {}
    for schema, name, oid, visible in connection.execute(QUERIES["tables"].encode()):
        found[schema, name] = oid
        if visible:
            found[None, name] = oid
    return found


# --- a whole rollback -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """The undoing of several steps, in the order in which they are undone, and how tables and columns end up called.

    `start` is the catalog from before the first of the steps, `end` the one behind the last.
    """

    undoings: tuple[Undoing, ...]
    start: Fingerprint
    end: Fingerprint
    names: Mapping[Key, str]


def rehearse(
    connection: psycopg.Connection[Any],
    kept: Iterable[FileFacts],
    steps: Iterable[FileFacts],
    downs: Mapping[str, Migration],
) -> Iterator[Undoing | Rehearsed]:
    """Run the files that stay, then those that are to be undone; the undoing of each as it is known, then the whole.

    Raises:
        StepFailed: a file does not run there.
    """
    for facts in kept:
        _run(connection, facts)
    begin = now = standing(connection)
    found: list[Undoing] = []
    for facts in steps:
        undoing, now = _undone(connection, facts, downs.get(facts.name), now)
        found.append(undoing)
        yield undoing
    names = {key: thing.name for key, thing in now.catalog.things.items() if thing.kind in ("relation", "column")}
    yield Rehearsed(tuple(reversed(_going(found))), begin.print, now.print, names)


def _going(found: list[Undoing]) -> list[Undoing]:
    """Rows of tables that go with the same rollback are no obstacle: an earlier step of it made the table."""
    dropped: set[Key] = set()
    settled = []
    for undoing in found:
        obstacles = tuple(each for each in undoing.obstacles if each.table is None or each.table not in dropped)
        settled.append(replace(undoing, obstacles=obstacles))
        dropped |= {loss.key for loss in undoing.losses if not loss.column and not loss.where}
    return settled


def replayed(connection: psycopg.Connection[Any], files: Iterable[FileFacts]) -> Fingerprint:
    """The catalog after these files ran in this order.

    Raises:
        StepFailed: a file does not run there.
    """
    for facts in files:
        _run(connection, facts)
    return fingerprint.take(connection)


def undone(connection: psycopg.Connection[Any], whole: Rehearsed) -> str:
    """Run all undoings one behind the other, each in a transaction; why they do not give back the catalog, or ""."""
    for undoing in whole.undoings:
        connection.execute("BEGIN")
        why = execute(connection, undoing.statements)
        connection.execute("ROLLBACK" if why else "COMMIT")
        connection.execute(replay.QUERIES["reset"].encode())
        if why:
            return f"{undoing.name}: {why}"
    if fingerprint.take(connection).hash != whole.start.hash:
        return "all of them together do not give back the catalog from before the first"
    return ""
