"""What has become of a statement that stands alone, and what is left of it? The catalog is looked at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import orjson
import psycopg

from lancio.executor.lock import holder_of
from lancio.executor.session import array
from lancio.planner import segments
from lancio.postgres import named_queries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lancio.executor.events import Holder
    from lancio.executor.session import Connection
    from lancio.planner.model import FileFacts
    from lancio.planner.segments import Ran, What
    from lancio.reading.model import Statement

    Rows = Sequence[Sequence[str | None]]
    Ask = Callable[..., Rows]
    """A query and its parameters as text, to its rows as text."""

QUERIES = named_queries("lancio.executor", "remains.sql")

Standing = dict[str, object]

Decision = Literal["done", "again"]
"""What a person says of a statement of which nothing else tells."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`became`: done; again (it is to be sent, once more or at last); unknown.

    `clear` are statements that take away what is in its way, each with the words for it.
    """

    became: Literal["done", "again", "unknown"]
    clear: tuple[tuple[str, str], ...] = ()


def look(ask: Ask, what: What, before: Mapping[str, object] | None = None) -> Standing:
    """What stands about a statement now. `before` is the answer of an earlier look, for the names it found."""
    before = before or {}
    kind = what.kind
    if kind == "create index":
        rows = ask(QUERIES["indexes"], str(before.get("table") or what.of))
        return dict(orjson.loads(rows[0][0] or "{}")) if rows else {}
    if kind == "drop index":
        names = before.get("relations") or what.names
        return {"relations": [row[0] for row in ask(QUERIES["relations"], array(names))]}  # type: ignore[arg-type]
    if kind == "reindex" and what.waits:
        name = _bare(what.name) if what.scope == "schema" else what.name
        return {"leftovers": [row[0] for row in ask(QUERIES["leftovers"], what.scope, name)]}
    if kind in ("create database", "drop database"):
        return {"there": ask(QUERIES["database"], what.name)[0][0] != "0"}
    if kind in ("create tablespace", "drop tablespace"):
        return {"there": ask(QUERIES["tablespace"], what.name)[0][0] != "0"}
    if kind in ("create subscription", "drop subscription"):
        return {"there": ask(QUERIES["subscription"], what.name)[0][0] != "0"}
    if kind == "enum value":
        rows = ask(QUERIES["enum_value"], str(before.get("type") or what.name), what.of)
        return {"type": rows[0][0], "there": rows[0][1] in ("t", "true", "True")} if rows else {}
    if kind == "detach":
        named = (str(before.get("parent") or what.name), str(before.get("part") or what.of))
        rows = ask(QUERIES["partition"], *named)
        if rows:
            return {"parent": rows[0][0], "part": rows[0][1], "there": True, "pending": rows[0][2] == "true"}
        return {"there": False}
    return {}


def judge(what: What, ran: Ran | None, now: Standing) -> Verdict:
    """What has become of a statement, of which the ledger has `ran`, and what has to be cleared before it is sent."""
    sent = ran is not None and ran.state == "begun"
    before: Mapping[str, object] = ran.before if ran is not None else {}
    kind = what.kind
    if kind == "create index":
        # One that failed may have been made by hand since: it was not there before, and is there as it should be.
        return _index(what, ran is not None and ran.state in ("begun", "failed"), before, now)
    if kind == "drop index":
        was = before.get("relations")
        return Verdict("done" if sent and was and not now.get("relations") else "again")
    if kind == "reindex":
        leftovers: Sequence[str] = now.get("leftovers") or ()  # type: ignore[assignment]
        words = "{} was left by a REINDEX CONCURRENTLY that was cut off: dropped"
        return Verdict(
            "again", tuple((f"DROP INDEX CONCURRENTLY IF EXISTS {each}", words.format(each)) for each in leftovers)
        )
    if kind == "repeatable" or not sent:
        if kind == "detach" and now.get("pending"):
            finish = f"ALTER TABLE {now['parent']} DETACH PARTITION {now['part']} FINALIZE"
            return Verdict("done", ((finish, f"{now['part']} was half detached by an earlier attempt: finished"),))
        return Verdict("again")
    if kind in ("create database", "create tablespace", "create subscription", "enum value"):
        return Verdict("done" if now.get("there") and before.get("there") is False else "again")
    if kind in ("drop database", "drop tablespace", "drop subscription"):
        return Verdict("done" if not now.get("there") and before.get("there") else "again")
    if kind == "detach":
        if now.get("pending"):
            finish = f"ALTER TABLE {now['parent']} DETACH PARTITION {now['part']} FINALIZE"
            return Verdict("done", ((finish, f"{now['part']} was half detached by an earlier run: finished"),))
        return Verdict("done" if not now.get("there") and before.get("there") else "again")
    return Verdict("unknown")


def _index(what: What, sent: bool, before: Mapping[str, object], now: Standing) -> Verdict:
    indexes: Mapping[str, bool] = now.get("indexes") or {}  # type: ignore[assignment]
    were: Mapping[str, bool] = before.get("indexes") or {}  # type: ignore[assignment]
    schema = str(now.get("schema") or "")
    # PostgreSQL writes a name in quotes only where it must; so the comparison is without them.
    ours = [
        name
        for name in indexes
        if (_bare(name) == _bare(f"{schema}.{what.name}") if what.name else before and name not in were)
    ]
    words = "{} was left invalid by an earlier attempt: made anew"
    clear = tuple(
        (f"DROP INDEX CONCURRENTLY IF EXISTS {name}", words.format(name)) for name in ours if not indexes[name]
    )
    done = sent and any(indexes[name] and name not in were for name in ours)
    return Verdict("done" if done else "again", () if done else clear)


def _bare(name: str) -> str:
    return name.replace('""', "\0").replace('"', "").replace("\0", '"')


def builders(ask: Ask, index: str) -> list[Holder]:
    """Sessions that may be at work on an index that is invalid now."""
    return [holder_of(tuple(row)) for row in ask(QUERIES["builders"], index)]


def settled(
    connection: Connection,
    files: Mapping[str, FileFacts],
    rows: Mapping[str, tuple[Ran, ...]],
    decided: Mapping[tuple[str, int], Decision],
) -> dict[str, tuple[Ran, ...]]:
    """The ledger's statements of begun files, each that was sent without an answer looked at in the catalog.

    One that was carried out is `applied` then, one that can be sent again stays `begun`, and where nothing tells it is
    `in doubt`, unless it was `decided`, by file and line. Nothing is written.
    """
    return {
        name: tuple(_settled(connection, files.get(name), each, decided) for each in ran) for name, ran in rows.items()
    }


def unanswered(files: Mapping[str, FileFacts], rows: Mapping[str, tuple[Ran, ...]]) -> frozenset[tuple[str, int]]:
    """The places, by file and line, of the statements that were sent and that the ledger has no answer of."""
    return frozenset(
        (name, statement.span.line)
        for name, ran in rows.items()
        for each in ran
        if each.state in ("begun", "failed") and (statement := statement_of(files.get(name), each)) is not None
    )


def _settled(
    connection: Connection, facts: FileFacts | None, ran: Ran, decided: Mapping[tuple[str, int], Decision]
) -> Ran:
    statement = statement_of(facts, ran)
    if facts is None or ran.state not in ("begun", "failed") or statement is None:
        return ran
    if said := decided.get((facts.name, statement.span.line)):
        return replace(ran, state="applied" if said == "done" else "begun")
    about = segments.what(statement)
    verdict = judge(about, ran, look(asking(connection), about, ran.before))
    return ran if ran.state == "failed" and verdict.became != "done" else becoming(ran, verdict)


def becoming(ran: Ran, verdict: Verdict) -> Ran:
    """The statement in the state that a verdict gives it."""
    states: dict[str, Literal["applied", "begun", "in doubt"]] = {
        "done": "applied", "again": "begun", "unknown": "in doubt",
    }  # fmt: skip
    return replace(ran, state=states[verdict.became])


def statement_of(facts: FileFacts | None, ran: Ran) -> Statement | None:
    """The file's statement that the ledger means, if it still reads so."""
    if facts is None:
        return None
    statements = segments.whole(facts)
    found = statements[ran.ordinal - 1] if ran.ordinal <= len(statements) else None
    return found if found is not None and segments.text_hash(found) == ran.text_hash else None


def asking(connection: Connection) -> Ask:
    """A connection as that which the questions here are put to."""

    def ask(sql: str, *parameters: str) -> Rows:
        with psycopg.RawCursor(connection) as cursor:
            rows = cursor.execute(sql.encode(), parameters).fetchall()
        return [[_text(value) for value in row] for row in rows]

    return ask


def _text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "t" if value else "f"
    return orjson.dumps(value).decode() if isinstance(value, dict | list) else str(value)


# --- how far it is ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Underway:
    """What the server itself reports of a statement at work: its phase, and how much of that is done."""

    phase: str
    percent: float | None


_COUNTED = (
    ("tuples_done", "tuples_total"),
    ("blocks_done", "blocks_total"),
    ("lockers_done", "lockers_total"),
    ("partitions_done", "partitions_total"),
    ("heap_blks_scanned", "heap_blks_total"),
)


def underway(ask: Ask, pid: int, server_version: int) -> Underway | None:
    """How far the statement of a backend is; None where the server does not report on it."""
    rows = ask(QUERIES["underway_12" if server_version >= 120000 else "underway"], str(pid))
    if not rows:
        return None
    said = orjson.loads(rows[0][1] or "{}")
    phase = str(said.get("phase") or "").removeprefix("building index: ")
    if rows[0][0] == "vacuum" and phase == "vacuuming heap":
        counted: tuple[tuple[str, str], ...] = (("heap_blks_vacuumed", "heap_blks_total"),)
    else:
        counted = _COUNTED
    for done, total in counted:
        if said.get(total):
            return Underway(phase, round(100.0 * float(said.get(done) or 0) / float(said[total]), 1))
    return Underway(phase, None)
