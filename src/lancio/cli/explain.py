"""`lancio explain`: an error text from anywhere, an SQLSTATE, an object or a file, into what is known of it."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from lancio.cli.options import USUAL, database_options, json_option, layout_options, source, terminal_of
from lancio.errors import LancioError, Unexplained, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lancio.cli import work
    from lancio.cli.options import Source
    from lancio.cli.terminal import Terminal
    from lancio.planner.account import Account
    from lancio.planner.diagnosis import Diagnosis, Evidence, Said, Spot, Way
    from lancio.planner.diagnosis.printed import Printed
    from lancio.planner.model import FileFacts, Graph, Place, Plan, Requirement


@click.command(
    epilog="""\b
Examples:
  lancio explain 'relation "platform.databases" does not exist'
  lancio explain 23505
  lancio explain platform.databases --platform
  lancio explain 006_register_railway_databases.sql --platform --database postgresql://postgres@localhost/app
  psql -f step.sql 2>&1 | lancio explain - migrations
  lancio apply migrations --json --yes | lancio explain -
""",
)
@click.argument("text", metavar="TEXT|SQLSTATE|OBJECT|FILE|-")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=str))
@click.option("--platform", is_flag=True, help="Look into the packaged migrations of the platform.")
@layout_options
@database_options
@click.option("--offline", is_flag=True, help="Ask no database, even where DATABASE_URL names one.")
@json_option
@click.pass_context
def explain(
    context: click.Context,
    text: str,
    folder: str | None,
    platform: bool,
    database: str | None,
    role: str | None,
    offline: bool,
    json_: bool,
) -> None:
    """Turn an error of PostgreSQL, as psql, a log or a driver printed it, into cause, solution and commands.

    An SQLSTATE is explained as well; of an object it is told who makes, changes and needs it, of a file what it needs
    and makes and what is likely to go wrong. The migrations of DIR tell who makes what is missing; without DIR
    ./migrations is read if it is there, else the platform's own. `-` reads the text from stdin.

    With --database or DATABASE_URL the live database is asked, read-only: who holds the lock, which rows stand in the
    way, which right is lacking. Exit status 1 where nothing in the text is recognized.
    """
    from lancio.cli import work
    from lancio.render import explained, json
    from lancio.render import text as render

    terminal = terminal_of(context)
    if text == "-":
        # What is no UTF-8 is still an error text: a log of another encoding must not end in a traceback.
        text = sys.stdin.buffer.read().decode(errors="replace") if hasattr(sys.stdin, "buffer") else sys.stdin.read()
    if not text.strip():
        raise UsageError(
            "there is no error text",
            cause="It is empty.",
            remedy="Give the line that begins with ERROR, an SQLSTATE, an object or a file.",
        )
    where = source(folder, platform=platform or (folder is None and not USUAL.is_dir()))
    with _asked(terminal, database, role, offline=offline) as session:
        graph = work.graph_of(where, major=session.major if session is not None else work.NEWEST)
        found = answer(text, graph, where, session)
    from lancio.planner.account import Account

    if json_:
        terminal.data(json.document(found))
    elif isinstance(found, Account):
        terminal.data(explained.account(found, terminal.cells))
    else:
        terminal.data(render.diagnosis(found, terminal.cells))


@contextlib.contextmanager
def _asked(
    terminal: Terminal, database: str | None, role: str | None, *, offline: bool
) -> Iterator[work.Session | None]:
    """The database that is named, if one is and it can be reached; the embedded server is never started for this."""
    from lancio.cli import work

    if offline or (database is None and not os.environ.get("DATABASE_URL")):
        yield None
        return
    with contextlib.ExitStack() as stack:
        session: work.Session | None = None
        try:
            session = stack.enter_context(work.session(database, role))
        except UsageError:
            raise
        except LancioError as error:
            terminal.talk(f"The database was not asked: {error.message}.")
        yield session


def answer(text: str, graph: Graph, where: Source, session: work.Session | None) -> Diagnosis | Account:
    """What is known of an error text, an SQLSTATE, an object or a file, with what these migrations know of it.

    Raises:
        Unexplained: nothing in the text was recognized.
    """
    from lancio.cli import work
    from lancio.planner.diagnosis import Way, printed

    plan = work.plan_of(graph, session, where) if session is not None else None
    way = (
        Way(where.words, session.target.psql, session.flags) if session is not None else Way(where.words)
    )  # fmt: skip
    asked = _Asked(graph, where, way, plan, session)
    said = printed.read(text)
    word = text.strip()
    near = ""
    if "\n" not in word and not said.found:
        account, near = asked.account(word)
        if account is not None:
            return account
    found = asked.diagnosis(said, text)
    if found is None:
        raise Unexplained(
            f"no error of PostgreSQL's was recognized: {_short(said.said.message or word)}",
            cause="No SQLSTATE stands in the text, none of PostgreSQL's sentences is in it, and no file or object of "
            f"{graph.folder} is called so, or raises it.",
            remedy=near
            or "Give the whole error, from the line with ERROR on. Its SQLSTATE tells most, whatever the language: "
            r"psql shows it after \set VERBOSITY verbose, a server's log with %e in log_line_prefix.",
        )
    return found


def _short(text: str) -> str:
    from lancio.planner.diagnosis import masked

    line = masked(" ".join(text.split()))
    return line if len(line) <= 120 else line[:119] + "…"


@dataclass(frozen=True)
class _Asked:
    """What an answer is made from."""

    graph: Graph
    where: Source
    way: Way
    plan: Plan | None
    session: work.Session | None

    # --- errors -------------------------------------------------------------------------------------------------------

    def diagnosis(self, printed: Printed, text: str) -> Diagnosis | None:
        """Cause and solution of an error; None where nothing of it is known."""
        from lancio.planner import diagnosis
        from lancio.planner.diagnosis.rules import UNKNOWN

        said = printed.said
        if (guard := _guard(said.message, self.graph, text)) is not None and guard.provider is not None:
            return self._guarded(said, guard)
        place, hint, detail = _raised(said.message, self.graph)
        if not printed.found and place is None:
            return None
        if not said.sqlstate:
            if place is None:
                return None
            said = replace(said, sqlstate="P0001")
        elif diagnosis.rule_of(said.sqlstate) is UNKNOWN:
            return None
        if hint and not said.hint:
            said = replace(said, hint=hint, detail=said.detail or detail)
        facts = self._file(printed.file) if printed.file else None
        file = facts.name if facts is not None else place.file if place is not None else ""
        spot, shown = self._spot(file, printed)
        found = diagnosis.diagnose(
            said,
            graph=self.graph,
            file=file,
            at=place,
            where=diagnosis.masked(shown) or (f"{printed.file}:{printed.line}" if printed.line else printed.file),
            way=self.way,
            spot=spot,
            evidence=self._evidence(said, spot),
            applied=self._applied(),
        )
        if place is not None and not shown:
            found = replace(found, where=str(place))
        if detail and found.sqlstate == "P0001":  # the file says itself why it raises this
            found = replace(found, cause=diagnosis.masked(detail), confidence="certain")
        if printed.original:
            found = replace(found, message=diagnosis.masked(printed.original))
        return found

    def _guarded(self, said: Said, guard: Requirement) -> Diagnosis:
        """The words of a guard that a file has: its requirement, and who provides it."""
        from lancio.planner import diagnosis, ways

        if guard.provider is None:
            raise AssertionError("a guard without a provider is none to be answered here")
        provider = guard.provider.file
        applied = self._applied()
        known = ways.unknown(self.graph, provider) if applied is None else applied - {provider}
        cause, solution, files = ways.way(self.graph, guard.at.file, provider, known)
        facts = [self.graph.file(each) for each in files]
        return diagnosis.Diagnosis(
            message=diagnosis.masked(said.message),
            cause=cause,
            solution=solution,
            commands=(self.way.lancio(*files),),
            where=str(guard.at),
            confidence="certain",
            sqlstate=said.sqlstate or "P0001",
            detail=diagnosis.masked(said.detail),
            hint=diagnosis.masked(said.hint),
            rule=diagnosis.rule_of(said.sqlstate or "P0001").name,
            evidence=(f"{guard.provider} makes {guard.object}, which {guard.at} needs",),
            instead=self.way.by_psql(*facts),
        )

    def _evidence(self, said: Said, spot: Spot | None) -> Evidence:
        from lancio.executor import evidence
        from lancio.planner.diagnosis import Evidence

        if self.session is None:
            return Evidence()
        # The text came from anywhere: what it quotes is never sent to the server, only the folder's own statement is.
        return evidence.gather(self.session.connection, replace(said, context=""), sql=spot.sql if spot else "")

    def _applied(self) -> frozenset[str] | None:
        if self.plan is None:
            return None
        return frozenset(each.name for each in self.plan.states if each.recorded or each.state == "applied")

    def _file(self, name: str) -> FileFacts | None:
        bare = re.split(r"[/\\]", name)[-1]
        same = [facts for facts in self.graph.files if facts.name == name or facts.name.rsplit("/", 1)[-1] == bare]
        return same[0] if len(same) == 1 else None

    def _spot(self, file: str, printed: Printed) -> tuple[Spot | None, str]:
        """The statement that a `file:line` means, and how its place is shown."""
        from lancio.planner.diagnosis import Spot

        if not file or not printed.line:
            return None, ""
        facts = self.graph.file(file)
        # psql counts to the statement's end, other tools to its beginning or to the place itself.
        before = [each for each in facts.statements if each.span.line <= printed.line]
        if not before:
            return None, f"{file}:{printed.line}"
        statement = before[-1]
        lines = statement.sql.split("\n")
        index = printed.at - 1 if 0 < printed.at <= len(lines) else printed.line - statement.span.line
        index = index if 0 <= index < len(lines) else 0
        at = statement.span.line + index
        shown = f"{file}:{at}\n  {lines[index].rstrip()}"
        if printed.at and 0 <= printed.caret <= len(lines[index]):
            shown += "\n  " + " " * printed.caret + "^"
        return Spot(statement.sql, statement.span.line, at), shown

    # --- files and objects --------------------------------------------------------------------------------------------

    def account(self, word: str) -> tuple[Account | None, str]:
        """A file or an object of that name; where there is none, what may have been meant.

        Raises:
            UsageError: several are called so.
        """
        from lancio.catalog import profile
        from lancio.planner import account, chronicle, history

        named = history.file_of(self.graph, word)
        facts = self.graph.file(named) if named is not None else self._file(word)
        if facts is not None:
            made = account.of_file(self.graph, facts.name, plan=self.plan, way=self.way)
            if self.session is not None:
                failures = tuple(replace(each, commands=self.session.here(each.commands)) for each in made.failures)
                made = replace(made, failures=failures)
            return made, ""
        if len(word) > 200 or len(word.split()) > 4:
            return None, ""
        major = self.session.major if self.session is not None else self.graph.server_version
        told = chronicle.of(self.graph, profile.load(major))
        try:
            live, invalid = self._live()
            return account.of_object(told, word, live=live, way=self.way, invalid=invalid), ""
        except UsageError as error:
            if error.message.startswith("no file makes"):
                return None, error.remedy if len(word.split()) == 1 and "Did you mean" in error.remedy else ""
            raise  # several are called so: which one is for the user to say

    def _live(self) -> tuple[frozenset[str] | None, frozenset[str]]:
        """The names of all that the database has, and of its indexes that were left invalid."""
        from lancio.executor import snapshot

        if self.session is None:
            return None, frozenset()
        objects = snapshot.take(self.session.connection, self.graph).catalog.objects.values()
        invalid = frozenset(each.name.full for each in objects if each.facts.get("valid") == "no")
        return frozenset(each.name.full for each in objects), invalid


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
