"""Where a step failed and why, in words: the line of the file, the server's message, what the command was for."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from lancio.executor.composed import check_at
from lancio.planner.diagnosis import Diagnosis, Said
from lancio.postgres import redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lancio.executor.composed import Composed
    from lancio.executor.session import Failure, ServerMessage
    from lancio.reading.model import Statement


def line_of(statement: Statement, message: ServerMessage) -> int:
    """The line in the file that an error or notice speaks of, as exactly as the server says it."""
    line = statement.span.line
    if message.position:
        # PostgreSQL counts characters, from 1.
        return line + statement.sql.count("\n", 0, message.position - 1)
    found = re.search(r"PL/pgSQL function inline_code_block line (\d+)", message.context)
    if found and (body := re.search(r"\$(?:[^\W\d]\w*)?\$|'", statement.sql)):
        # PL/pgSQL counts lines from the one that opens the body.
        return line + statement.sql.count("\n", 0, body.end()) + int(found[1]) - 1
    return line


def shown(name: str, statement: Statement, message: ServerMessage) -> str:
    """`file:line` with the line and, where the server gave a position, a caret under it."""
    line = line_of(statement, message)
    lines = statement.sql.split("\n")
    index = line - statement.span.line
    if not 0 <= index < len(lines):
        return f"{name}:{line}"
    text = lines[index].rstrip("\r").replace("\t", " ")
    said = f"{name}:{line}\n  {text.rstrip()}"
    if message.position:
        before = statement.sql[: message.position - 1]
        said += "\n  " + " " * (len(before) - (before.rfind("\n") + 1)) + "^"
    return said


def said_by(error: ServerMessage) -> Said:
    """The server's error as the diagnosis takes it."""
    return Said(
        sqlstate=error.sqlstate,
        message=error.message,
        detail=error.detail,
        hint=error.hint,
        context=error.context,
        schema=error.schema,
        table=error.table,
        column=error.column,
        constraint=error.constraint,
        datatype=error.datatype,
    )


def explained(diagnosis: Diagnosis, sent: Composed, failure: Failure) -> Diagnosis:
    """Add which command failed, where it was none of the file's statements, and what stays of the file."""
    diagnosis = _placed(diagnosis, sent, failure)
    if sent.kept and not sent.alone:
        return _replaced(diagnosis, cause=f"{diagnosis.cause} {kept(sent.kept)}")
    return diagnosis


def kept(half_way: str) -> str:
    """What stays of a file that is not one transaction, as a sentence."""
    return f"The file is not one transaction: {half_way} when it is run again."


def _placed(diagnosis: Diagnosis, sent: Composed, failure: Failure) -> Diagnosis:
    if checks := sent.checks.get(failure.index):
        if failure.error.sqlstate == "P0004":
            return diagnosis
        check = check_at(checks, failure.error.position)
        named = f"the check {check.says!r}" if check else "a check"
        return _replaced(diagnosis, cause=f"{named} could not be asked: {diagnosis.cause}")
    if sent.alone:
        building = any(" INDEX " in statement.sql.upper() for _, statement in sent.statements.values())
        left = "An index that it was building is left invalid; running it again drops that and builds it anew."
        said = [diagnosis.cause, "It ran outside of a transaction.", *([left] if building else [])]
        return _replaced(diagnosis, cause=" ".join([*said, kept(sent.kept)] if sent.kept else said))
    if failure.index == sent.constraints:
        return _replaced(diagnosis, cause=f"A deferred constraint fails at the step's end: {diagnosis.cause}")
    if failure.index == sent.ledger:
        return _replaced(diagnosis, cause=f"The ledger row could not be written: {diagnosis.cause}")
    if failure.index in sent.settings:
        return _replaced(diagnosis, cause=f"A setting could not be handed over: {diagnosis.cause}")
    return diagnosis


def without(diagnosis: Diagnosis, secrets: Sequence[str]) -> Diagnosis:
    """The diagnosis without the values of the settings that were handed over."""
    listed = {
        name: tuple(redact(each, secrets) for each in getattr(diagnosis, name))
        for name in ("commands", "evidence", "instead")
    }
    return _replaced(
        replace(diagnosis, **listed),  # type: ignore[arg-type]
        **{
            name: redact(getattr(diagnosis, name), secrets)
            for name in ("message", "cause", "solution", "where", "detail", "hint")
        },
    )


def _replaced(diagnosis: Diagnosis, **changes: str) -> Diagnosis:
    return replace(diagnosis, **changes)  # type: ignore[arg-type]
