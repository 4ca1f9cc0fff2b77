"""`lancio report`: what a run did, and the page that `lancio apply --report` leaves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from lancio.cli.options import USUAL, database_options, folder_options, json_option, source, terminal_of
from lancio.errors import LancioError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lancio.cli.work import Session
    from lancio.executor.events import Event
    from lancio.executor.reports import Report
    from lancio.planner.model import Graph, Plan

P = ParamSpec("P")
R = TypeVar("R")

FORMATS = {".html": "html", ".htm": "html", ".json": "json", ".txt": "text"}
"""Which form is meant by a file's ending, where --format does not say."""


@click.command(
    epilog="""\b
Examples:
  lancio report
  lancio report --list
  lancio report 12 migrations --out run-12.html
  lancio report --platform --format json
""",
)
@click.argument("run", metavar="[RUN]", required=False)
@folder_options
@click.option("--list", "list_", is_flag=True, help="List the runs, newest first.")
@click.option(
    "--format", "format_", type=click.Choice(["text", "html", "json"]), help="How it is written.  [default: text]"
)
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="Where to; its ending tells the format.")
@database_options
@json_option
@click.pass_context
def report(
    context: click.Context,
    run: str | None,
    folder: str | None,
    platform: bool,
    order: str,
    list_: bool,
    format_: str | None,
    out: Path | None,
    database: str | None,
    role: str | None,
    json_: bool,
) -> None:
    """Show a run of the ledger, the newest or the one named: who, when, how long, locks, verifications, its failure.

    Where the folder is there, or DIR names it, the page has the graph, and what was foreseen is read from the files.
    Changes nothing.
    """
    from lancio.cli import work
    from lancio.executor import reports
    from lancio.render import json, text
    from lancio.render import report as rendered

    terminal = terminal_of(context)
    if run is not None and not run.isdecimal() and folder is None:
        run, folder = None, run
    if run is not None and not (run.isdecimal() and run.isascii() and len(run) < 18):
        raise UsageError(
            f"{run!r} is no run", cause="A run has a number.", remedy="Take one of `lancio report --list`."
        )
    form = _form(format_, out, json_=json_)
    if list_ and (run is not None or form == "html"):
        raise UsageError(
            "--list goes without a run and as text or JSON",
            cause="It lists all runs.",
            remedy="Leave one of them away.",
        )
    with work.session(database, role) as session:
        if list_:
            runs = reports.listed(session.connection)
            if form == "json":
                written = json.document({"runs": [json.plain(each) for each in runs]})
            elif runs:
                written = text.table(rendered.listing(runs))
            else:
                written = f"No run of Lancio is recorded in {session.said}.\n"
        else:
            graph = None
            if folder is not None or platform or USUAL.is_dir():
                way: work.Order = "graph" if order == "graph" else "name"
                graph = work.graph_of(source(folder, platform=platform), order=way, major=session.major)
            found = reports.gather(session.connection, int(run) if run is not None else None, graph)
            written = drawn(found, graph, form, session, terminal.cells)
    if out is None:
        terminal.data(written)
    else:
        write(out, written)
        if json_:
            terminal.data(json.document({"out": str(out)}))
        terminal.talk(f"Written to {out}.")


def drawn(found: Report, graph: Graph | None, form: str, session: Session, cells: int) -> str:
    """A report in one of its forms; what the connection's password is stands in none of them."""
    from lancio import __version__
    from lancio.render import json
    from lancio.render import report as rendered

    found = masked(found, session.target.redacted)
    if form == "json":
        return json.document(rendered.data(found))
    return rendered.page(found, graph, __version__) if form == "html" else rendered.text(found, cells)


def write(path: Path, text: str) -> None:
    """Write a report to a file.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written", cause=f"{error.strerror}.", remedy="Name another place."
        ) from error


def masked(value: Any, redacted: Callable[[str], str]) -> Any:
    """A value in which every text has gone through `redacted`."""
    from dataclasses import fields, is_dataclass, replace

    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, tuple | list):
        return type(value)(masked(each, redacted) for each in value)
    if isinstance(value, dict):
        return {name: masked(each, redacted) for name, each in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{each.name: masked(getattr(value, each.name), redacted) for each in fields(value)})
    return value


# --- around a run -----------------------------------------------------------------------------------------------------


def around_options(command: Callable[P, R]) -> Callable[P, R]:
    """`--baseline` and `--report` of `lancio apply`."""
    for decorate in reversed(
        (
            click.option(
                "--baseline",
                metavar="FILE.sql",
                type=click.Path(path_type=Path),
                help="Time these queries before and after; slower ones are exit status 1, and stay applied.",
            ),
            click.option(
                "--report",
                metavar="FILE",
                type=click.Path(path_type=Path),
                help="Write the run's report (.html, .json, .txt), however it ends.",
            ),
        )
    ):
        command = decorate(command)
    return command


class Recorder:
    """What `apply --report FILE` does around a run: the catalog before, the catalog behind, the file."""

    def __init__(self, path: Path, plan: Plan, session: Session) -> None:
        """Read the catalog as it is.

        Raises:
            UsageError: the file could not be written.
            ServerError: the catalog cannot be read.
        """
        from lancio.executor import fingerprint

        if not path.absolute().parent.is_dir():
            raise UsageError(
                f"{path} cannot be written", cause="Its folder is not there.", remedy="Make it, or name another place."
            )
        if path.is_dir():
            raise UsageError(
                f"{path} cannot be written", cause="It is a folder.", remedy=f"Name a file in it: {path / 'run.html'}."
            )
        if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
            raise UsageError(f"{path} cannot be written", cause="Permission denied.", remedy="Name another place.")
        self.path, self.plan, self.session = path, plan, session
        self.before = fingerprint.take(session.connection).hash
        self.run: int | None = None
        self._stream: Iterator[Event] = iter(())

    def listen(self, stream: Iterator[Event]) -> Iterator[Event]:
        """The events, from which the run's number is taken."""
        self._stream = stream
        for event in stream:
            self.run = event.run if event.run is not None else self.run
            yield event

    def finish(self) -> str:
        """Record what is known now and write the file; what there is to say of it.

        Also where the run failed or its connection was lost: then another one looks.
        """
        import contextlib
        from collections.abc import Generator
        from dataclasses import replace

        import psycopg

        from lancio import postgres
        from lancio.executor import fingerprint, reports

        # Whoever read the events may have gone away in the middle: the run has to end before its connection is used.
        if isinstance(self._stream, Generator):
            self._stream.close()
        if self.run is None:
            return "No report: the run did not begin."
        try:
            with contextlib.ExitStack() as stack:
                connection = self.session.connection
                if connection.closed or connection.broken:
                    again = postgres.connect(self.session.target, role=self.session.role)
                    connection = stack.enter_context(contextlib.closing(again))
                reports.note(connection, self.run, self.before, fingerprint.take(connection).hash, self.plan)
                found = reports.gather(connection, self.run, self.plan.graph)
                session = replace(self.session, connection=connection)
                write(self.path, drawn(found, self.plan.graph, _form(None, self.path), session, 100))
        except LancioError as error:
            return f"No report: {error.message}. {error.cause}"
        except psycopg.Error as error:  # how the run ended is what has to be told, whatever happens here
            return f"No report: the ledger could not be read. {self.session.target.redacted(str(error))}"
        return f"Report: {self.path}"


def _form(given: str | None, out: Path | None, *, json_: bool = False) -> str:
    """Raises:
    UsageError: --json and another --format.
    """
    if json_ and given not in (None, "json"):
        raise UsageError(
            f"--json and --format {given} are both given",
            cause="They ask for two forms of one document.",
            remedy="Give one of them.",
        )
    if json_ or given is not None:
        return "json" if json_ else str(given)
    return FORMATS.get(out.suffix.lower(), "html") if out is not None else "text"
