"""`lancio explain`: an error text from anywhere into cause and solution."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from lancio.cli.options import USUAL, json_option, layout_options, source, terminal_of

if TYPE_CHECKING:
    from lancio.planner.diagnosis import Diagnosis, Said
    from lancio.planner.model import Graph, Place, Requirement

SQLSTATE = re.compile(r"[0-9A-Z]{5}")

# psql and libpq print no SQLSTATE unless asked to; PostgreSQL's sentence tells it as well.
STATES = (
    (re.compile(r"^(?:relation|table|view|sequence|index|materialized view) .*does not exist"), "42P01"),
    (re.compile(r"^(?:function|procedure|aggregate|operator) .*does not exist"), "42883"),
    (re.compile(r"^schema .*does not exist"), "3F000"),
    (re.compile(r"^column .*does not exist"), "42703"),
    (
        re.compile(r"^(?:extension|type|role|policy|trigger|language|collation|rule|constraint) .*does not exist"),
        "42704",
    ),
    (re.compile(r"^relation .*already exists"), "42P07"),
    (re.compile(r"^schema .*already exists"), "42P06"),
    (re.compile(r"^column .*already exists"), "42701"),
    (re.compile(r"^function .*already exists"), "42723"),
    (re.compile(r"already exists$"), "42710"),
    (re.compile(r"^permission denied|^must be owner"), "42501"),
    (re.compile(r"^syntax error"), "42601"),
    (re.compile(r"^duplicate key value|^could not create unique index"), "23505"),
    (re.compile(r"contains null values|violates not-null constraint"), "23502"),
    (re.compile(r"violates foreign key constraint"), "23503"),
    (re.compile(r"violates check constraint|is violated by some row"), "23514"),
    (re.compile(r"due to lock timeout|could not obtain lock"), "55P03"),
    (re.compile(r"^deadlock detected"), "40P01"),
    (re.compile(r"^could not serialize access"), "40001"),
    (re.compile(r"cannot run inside a transaction block"), "25001"),
    (re.compile(r"^current transaction is aborted"), "25P02"),
    (re.compile(r"^canceling statement"), "57014"),
    (re.compile(r"^terminating connection due to administrator command"), "57P01"),
    (re.compile(r"cannot drop .*because other objects depend on it"), "2BP01"),
)


@click.command(
    epilog="""\b
Examples:
  lancio explain 'relation "platform.databases" does not exist'
  lancio explain 42P01
  lancio explain "Lancio project not found" --platform
  psql -f step.sql 2>&1 | lancio explain - migrations
""",
)
@click.argument("text", metavar="TEXT|SQLSTATE|-")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=str))
@click.option("--platform", is_flag=True, help="Look into the packaged migrations of the platform.")
@layout_options
@json_option
@click.pass_context
def explain(context: click.Context, text: str, folder: str | None, platform: bool, json_: bool) -> None:
    """Turn an error of PostgreSQL, as psql, a log or a driver printed it, into cause, solution and commands.

    The migrations of DIR tell who makes the object that is missing; without DIR ./migrations is read if it is there,
    else the platform's own. `-` reads the text from stdin.
    """
    from lancio.cli import work
    from lancio.render import json
    from lancio.render import text as render

    terminal = terminal_of(context)
    if text == "-":
        text = sys.stdin.read()
    where = source(folder, platform=platform or (folder is None and not USUAL.is_dir()))
    graph = work.graph_of(where)
    found = answer(text, graph, where.words)
    if json_:
        terminal.data(json.document(found))
    else:
        terminal.data(render.diagnosis(found, terminal.cells))


def answer(text: str, graph: Graph, folder: str) -> Diagnosis:
    """Cause and solution of an error text (or an SQLSTATE alone), with what these migrations know of it.

    Raises:
        UsageError: there is nothing in the text.
    """
    from lancio.errors import UsageError
    from lancio.planner import diagnosis, ways

    said = read(text)
    if not text.strip():
        raise UsageError(
            "there is no error text",
            cause="It is empty.",
            remedy="Give the line that begins with ERROR, or a SQLSTATE.",
        )
    way = diagnosis.Way(folder)
    if (guard := _guard(said.message, graph, text)) is not None and guard.provider is not None:
        provider = guard.provider.file
        cause, solution, files = ways.way(graph, guard.at.file, provider, ways.unknown(graph, provider))
        return diagnosis.Diagnosis(
            message=diagnosis.masked(said.message),
            cause=f"{cause}: {guard.provider} makes {guard.object}, which {guard.at} needs.",
            solution=solution,
            commands=tuple(line for each in files for line in way.commands(graph.file(each))),
            where=str(guard.at),
            confidence="certain",
            sqlstate=said.sqlstate,
            detail=diagnosis.masked(said.detail),
            hint=diagnosis.masked(said.hint),
        )
    place, hint, detail = _raised(said.message, graph)
    if hint and not said.hint:
        said = diagnosis.Said(said.sqlstate, said.message, said.detail or detail, hint)
    found = diagnosis.diagnose(said, graph=graph, file=place.file if place is not None else "", at=place, way=way)
    if detail and found.sqlstate == "P0001":  # the file says itself why it raises this
        found = replace(found, cause=diagnosis.masked(detail), confidence="certain")
    return found


def read(text: str) -> Said:
    """Take a printed error apart: SQLSTATE, message, DETAIL, HINT; psql's `file:line:` before them is dropped."""
    from lancio.planner.diagnosis import Said

    text = text.strip()
    if SQLSTATE.fullmatch(text) and any(char.isdigit() for char in text):
        return Said(text, "")
    parts: dict[str, str] = {}
    message = ""
    for line in text.splitlines():
        found = re.search(r"\b(ERROR|FATAL|PANIC|WARNING|DETAIL|HINT|CONTEXT|SQL state|SQLSTATE)\s*[:=]\s*(.*)", line)
        if found is None:
            message = message or line.strip()
        elif found[1] in ("ERROR", "FATAL", "PANIC", "WARNING"):
            parts.setdefault("message", found[2].strip())
        else:
            parts.setdefault(found[1].upper().replace(" ", ""), found[2].strip())
    message = parts.get("message", message)
    state = parts.get("SQLSTATE", "")[:5]
    if verbose := re.match(r"([0-9A-Z]{5}):\s+(.*)", message):
        state, message = verbose[1], verbose[2]
    if inside := re.search(r"\(?SQLSTATE[ :=]+([0-9A-Z]{5})\)?", message):
        state, message = inside[1], message.replace(inside[0], "").strip()
    if not state:
        state = next((code for pattern, code in STATES if pattern.search(message)), "P0001")
    return Said(state, message, parts.get("DETAIL", ""), parts.get("HINT", ""))


def _guard(message: str, graph: Graph, text: str) -> Requirement | None:
    """The requirement whose guard in a file says just this; psql's prefix names the file, if it is in the text."""
    named = [facts for facts in graph.files if facts.name.rsplit("/", 1)[-1] in text]
    for facts in (*named, *reversed(graph.files)):
        for item in facts.requires:
            if item.message and item.message == message:
                return item
    return None


def _raised(message: str, graph: Graph) -> tuple[Place | None, str, str]:
    """Where a file raises this message by itself, and the HINT and the DETAIL it gives."""
    from lancio.planner.model import Place

    if len(message) < 8:
        return None, "", ""
    literal = message.replace("'", "''")
    for facts in graph.files:
        for statement in facts.statements:
            at = statement.sql.find(f"'{literal}")
            if at < 0:
                continue
            line = statement.span.line + statement.sql.count("\n", 0, at)
            raised = statement.sql[at : statement.sql.find(";", at)]
            return Place(facts.name, line, message), _option(raised, "HINT"), _option(raised, "DETAIL")
    return None, "", ""


def _option(raised: str, name: str) -> str:
    """The text of an option of RAISE; literals that follow one another on lines of their own are one."""
    found = re.search(rf"{name}\s*=\s*('(?:[^']|'')*'(?:\s*\n\s*'(?:[^']|'')*')*)", raised)
    return re.sub(r"'\s*\n\s*'", "", found[1])[1:-1].replace("''", "'") if found else ""
