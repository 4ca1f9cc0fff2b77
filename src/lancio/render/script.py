"""A plan as one SQL script: what would be sent, in the order in which it would be, to be read before it is run.

It runs by psql alone and leaves the database that `lancio apply` leaves, without the ledger. Values that come from the
environment are psql variables: none of them stands in it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lancio.planner import segments
from lancio.planner.model import folded
from lancio.planner.rows import identifier, literal
from lancio.render.lines import clean, counted, listed, wrap
from lancio.render.words import duration, risk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lancio.planner.model import Check, FileFacts, Plan, Step
    from lancio.planner.segments import Cut
    from lancio.reading.model import Statement

CELLS = 100
MAJOR = 18
SHOWN = 12
"""So many locks and checks of a step are named in its comment."""

_EARLY = re.compile(r"(?i)set\s+transaction\b")
"""What PostgreSQL takes before any query of a transaction only."""


def script(plan: Plan, *, said: str, role: str | None, lock_timeout_ms: int, variables: Mapping[str, str]) -> str:
    """The script of a plan that is a go.

    `said` is the database in words, `role` the one that files run as, `variables` which environment variable fills
    which setting (`lancio.redis_url`). The same plan gives the same bytes.
    """
    read = sorted({name for step in plan.steps for name in step.facts.settings if name in variables})
    lines = [*_comment(f"Lancio's plan for {said}: {counted(len(plan.steps), 'step')}."), "--"]
    if not plan.steps:
        return "\n".join([*lines, *_comment("Nothing is left to run."), ""])
    lines += _comment(
        "Run it by psql, which stops at the first error: each step is one transaction, so the steps before stay."
    )
    lines += [r'--   psql -X -v ON_ERROR_STOP=1 -f plan.sql "$DATABASE_URL"']
    for name in read:
        lines += ["--", *_comment(f"{name} comes from {variables[name]}, and is not set where that is not given:")]
        lines += [rf"--   psql … -c '\set {_variable(name)} `printenv {variables[name]}`' -f plan.sql"]
    lines += [
        "--",
        *_comment(
            "It writes no ledger. Do not let Lancio apply the same files while it runs, nor this while Lancio does."
        ),
        "",
        r"\set ON_ERROR_STOP on",
        *_session(role, lock_timeout_ms),
    ]
    for step in plan.steps:
        lines += ["", *_head(step, len(plan.steps)), *_step(step, role, read), *_fresh(role, lock_timeout_ms)]
    return "\n".join([*lines, ""])


def _session(role: str | None, lock_timeout_ms: int) -> list[str]:
    return [
        "SET client_encoding = 'UTF8';",
        "SET standard_conforming_strings = on;",
        *([f"SET ROLE {identifier(role)};"] if role is not None else []),
        f"SET lock_timeout = '{lock_timeout_ms}ms';",
        "SET statement_timeout = 0;",
        "SET row_security = off;",
    ]


def _fresh(role: str | None, lock_timeout_ms: int) -> list[str]:
    """What keeps one file's settings from the next one."""
    return [
        "RESET ALL;", "RESET SESSION AUTHORIZATION;", "DISCARD TEMP;", "DISCARD SEQUENCES;", "UNLISTEN *;",
        *_session(role, lock_timeout_ms),
    ]  # fmt: skip


def _head(step: Step, of: int) -> list[str]:
    facts = step.facts
    lines = ["-- " + "=" * (CELLS - 3), *_comment(f"Step {step.position} of {of}: {facts.name}")]
    lines += _comment(f"risk: {risk(facts)}")
    lines += _comment(f"duration: {duration(facts, step)}")
    locks = [f"{lock.mode} on {lock.relation}" for lock in facts.locks]
    lines += _comment(f"locks: {listed(locks, SHOWN) if locks else 'none on what is there'}")
    checks = [check.says for check in facts.checks]
    lines += _comment(f"verifies: {listed(checks, SHOWN) if checks else 'nothing'}")
    for word, text in (("impact", facts.impact), ("after the run", facts.after_run)):
        lines += _comment(f"{word}: {text}") if text else []
    cut = _cut(step)
    if cut.apart:
        lines += _comment(
            f"segments: {counted(len(cut.segments), 'transaction')} or statements outside of one; where it ends in "
            "the middle, those before stay: go on behind them by hand, and drop an index that was left invalid first"
        )
    return [*lines, "-- " + "=" * (CELLS - 3)]


def _comment(text: str) -> list[str]:
    """Lines that are comments whatever is in the text: names may hold line ends."""
    return wrap(clean(text), CELLS, first="-- ", rest="--   ")


def _cut(step: Step) -> Cut:
    return step.cut or segments.cut(step.facts, MAJOR)


def _step(step: Step, role: str | None, read: list[str]) -> Iterator[str]:
    facts, cut = step.facts, _cut(step)
    if not cut.apart:
        body = folded(facts.statements)
        statements = facts.statements if body is None else body
        own = next((each for each in facts.statements[:1] if each.control == "begin"), None)
        yield from _opened(facts, statements, own, read)
        yield "SET CONSTRAINTS ALL IMMEDIATE;"
        yield from _settle(role)
        yield from map(_verification, facts.checks)
        yield "COMMIT;"
        return
    left = {each.span.start for each in facts.statements}
    for each in segments.whole(facts):
        if step.begun and each.span.start not in left and segments.sets(each):
            yield f"-- line {each.span.line} again, for the session"
            yield _ended(each)
    parts = [
        each._replace(statements=tuple(one for one in each.statements if one.span.start in left))
        for each in cut.segments
    ]
    parts = [each for each in parts if each.statements]
    last = parts[-1] if parts and not parts[-1].alone else None
    for segment in parts:
        if not segment.alone:
            yield from _opened(facts, segment.statements, segment.begin, read)
            yield "SET CONSTRAINTS ALL IMMEDIATE;"
            if segment is last:
                yield from _settle(role)
                yield from map(_verification, facts.checks)
            yield "COMMIT;"
            continue
        statement = segment.statements[0]
        waits = segments.what(statement).waits
        yield f"-- line {statement.span.line}: outside of a transaction"
        if waits:
            yield r"SELECT pg_catalog.current_setting('lock_timeout') AS lancio_lock_timeout \gset"
            yield "SET lock_timeout = 0;"
        yield from _settings(facts, read, local=False)
        yield _ended(statement)
        if waits:
            yield "SET lock_timeout = :'lancio_lock_timeout';"
    if last is None and facts.checks:
        yield from ("BEGIN;", *_settle(role), *map(_verification, facts.checks), "COMMIT;")


def _opened(
    facts: FileFacts, statements: tuple[Statement, ...], own: Statement | None, read: list[str]
) -> Iterator[str]:
    """From BEGIN to the last statement of a transaction."""
    yield _ended(own) if own is not None else "BEGIN;"
    early = next((at for at, each in enumerate(statements) if not _EARLY.match(each.sql)), len(statements))
    yield from map(_ended, statements[:early])
    yield from _settings(facts, read, local=True)
    for each in statements[early:]:
        yield f"-- line {each.span.line}"
        yield _ended(each)


def _settings(facts: FileFacts, read: list[str], *, local: bool) -> Iterator[str]:
    for name in read:
        if name in facts.settings:
            variable = _variable(name)
            yield rf"\if :{{?{variable}}}"
            value = f"pg_catalog.set_config({literal(name)}, :'{variable}', {'true' if local else 'false'})"
            yield f"SELECT {value} IS NOT NULL AS {variable}_is_set;"
            yield r"\endif"


def _settle(role: str | None) -> list[str]:
    """What a file may have set must not reach its verification."""
    return [
        "SET LOCAL SESSION AUTHORIZATION DEFAULT;",
        f"SET LOCAL ROLE {identifier(role) if role is not None else 'NONE'};",
        "SET LOCAL search_path TO DEFAULT;",
        "SET LOCAL row_security = off;",
        "SET LOCAL statement_timeout = 0;",
    ]


def _ended(statement: Statement) -> str:
    """A statement with its semicolon, on a line of its own where a comment would swallow it."""
    last = statement.sql.rpartition("\n")[2]
    return f"{statement.sql}\n;" if "--" in last else f"{statement.sql};"


def _verification(check: Check) -> str:
    """A block that raises where the check does not hold."""
    query = check.sql.strip().rstrip(";")
    message = literal(f"verification failed: {check.says}")
    body = (
        f"BEGIN\n  IF (\n{query}\n  ) IS NOT TRUE THEN\n    RAISE EXCEPTION USING MESSAGE = {message};\n  END IF;\nEND"
    )
    tag = "verify"
    while f"${tag}$" in body:
        tag += "_"
    return f"DO ${tag}$\n{body}\n${tag}$;"


def _variable(setting: str) -> str:
    return re.sub(r"\W", "_", setting)
