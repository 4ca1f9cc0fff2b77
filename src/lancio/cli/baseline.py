"""`lancio baseline`: chosen queries before and after, and which of them are slower."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString, ParamSpec, TypeVar

import click

from lancio.cli.options import (
    choice_options,
    database_options,
    environment_options,
    folder_options,
    json_option,
    source,
    terminal_of,
)
from lancio.errors import NoGo, ServerError, Slower, StepFailed, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lancio.cli.terminal import Terminal
    from lancio.cli.work import Session
    from lancio.planner.model import Step
    from lancio.postgres import Target
    from lancio.proof.baseline import Comparison, Place, Tell
    from lancio.proof.chosen import Chosen, LeftOut
    from lancio.proof.records import Baseline
    from lancio.proof.scratch import Scratch

P = ParamSpec("P")
R = TypeVar("R")

FOUNDATION = "005_create_audit_logs.sql"
"""The platform's last file before migration 006, whose queries are to stay as quick as they are."""
LAUNCHED = "006_register_railway_databases.sql"
"""Migration 006's last step. Behind it, from 007 on, who asks without a context is shown no rows at all."""


def queries_options(command: Callable[P, R]) -> Callable[P, R]:
    """`--queries`, `--top`, `--roll-back`: what is watched; `--time-limit`: how long one query may take."""
    for decorate in reversed(
        (
            click.option(
                "--queries",
                metavar="FILE.sql",
                type=click.Path(path_type=Path),
                help="The queries: each is named by the comment line above it.",
            ),
            click.option(
                "--top", type=click.IntRange(1, 500), metavar="N", help="The N that took most, by pg_stat_statements."
            ),
            click.option("--roll-back", is_flag=True, help="Run those that write, too, and roll them back each time."),
            click.option(
                "--time-limit",
                type=click.FloatRange(0.05, 86_400),
                default=60.0,
                show_default=True,
                metavar="SECONDS",
                help="How long one query may take.",
            ),
        )
    ):
        command = decorate(command)
    return command


def limit_option(command: Callable[P, R]) -> Callable[P, R]:
    """`--limit`."""
    return click.option(
        "--limit",
        type=click.FloatRange(0.1, 1000),
        default=10.0,
        show_default=True,
        metavar="PERCENT",
        help="By how much a query may get slower.",
    )(command)


@click.group(
    epilog="""\b
Examples:
  lancio baseline record --queries queries.sql --out baseline.json
  lancio baseline compare baseline.json
  lancio baseline rehearse migrations --queries queries.sql --rows rows.sql
"""
)
def baseline() -> None:
    """Time chosen queries before and after a change, and tell which are slower by more than 10 %, and not by chance.

    Queries are asked in READ ONLY transactions under a time limit; nothing is changed.
    """


@baseline.command(
    epilog="""\b
Examples:
  lancio baseline record --queries queries.sql --out baseline.json
  lancio baseline record --top 20 --out baseline.json
  lancio baseline record --platform --out baseline.json
""",
)
@click.option("--platform", is_flag=True, help="The packaged queries of the platform.")
@queries_options
@click.option(
    "--out", metavar="FILE.json", type=click.Path(path_type=Path), help="Where the baseline is kept.  [default: stdout]"
)
@environment_options
@database_options
@json_option
@click.pass_context
def record(
    context: click.Context,
    platform: bool,
    queries: Path | None,
    top: int | None,
    roll_back: bool,
    time_limit: float,
    out: Path | None,
    database: str | None,
    role: str | None,
    json_: bool,
) -> int:
    """Measure the queries as they are now and keep it in a file, to be held against later.

    Exit status 1 if a query failed.
    """
    from lancio.cli import measured, work
    from lancio.render import json

    terminal = terminal_of(context)
    if out is not None and not out.absolute().parent.is_dir():
        raise UsageError(
            f"{out} cannot be written", cause="Its folder is not there.", remedy="Make it, or name another place."
        )
    with work.session(database, role) as session:
        made = recorded(
            session, _chosen(session, platform, queries, top, roll_back=roll_back), time_limit, _tell(terminal)
        )
    document = json.document(_data(made))
    if out is not None:
        _write(out, document)
    if json_ or out is None:
        terminal.data(document)
    else:
        terminal.data(measured.recorded(made, str(out), terminal.cells))
    return 1 if any(each.failed for each in made.queries) else 0


@baseline.command(
    epilog="""\b
Examples:
  lancio baseline compare baseline.json
  lancio baseline compare --against "$COPY_FROM_BEFORE" --queries queries.sql
  lancio baseline compare baseline.json --limit 25 --json
""",
)
@click.argument("recorded_file", metavar="[FILE.json]", required=False, type=click.Path(path_type=Path))
@click.option("--against", metavar="URL", help="A database in the state before, to be measured side by side.")
@click.option("--platform", is_flag=True, help="The packaged queries of the platform.")
@queries_options
@limit_option
@environment_options
@database_options
@json_option
@click.pass_context
def compare(
    context: click.Context,
    recorded_file: Path | None,
    against: str | None,
    platform: bool,
    queries: Path | None,
    top: int | None,
    roll_back: bool,
    time_limit: float,
    limit: float,
    database: str | None,
    role: str | None,
    json_: bool,
) -> int:
    """Hold the database against a recorded baseline, or against one in the state before; exit status 1 for a finding.

    Side by side (--against) is sure: each query is timed in both in turn. A record from another moment is told in
    yardsticks, and is less sure.
    """
    from lancio import postgres
    from lancio.cli import work
    from lancio.proof import baseline as measuring
    from lancio.proof import records

    terminal = terminal_of(context)
    if (recorded_file is None) == (against is None):
        raise UsageError(
            "a recorded baseline or --against is needed, and only one of them",
            cause="They are what the database is held against.",
            remedy="Give the file that `baseline record` made, or a database in the state before.",
            commands=(
                "lancio baseline compare baseline.json",
                'lancio baseline compare --against "$COPY_FROM_BEFORE" --queries queries.sql',
            ),
        )
    if recorded_file is not None and (platform or queries is not None or top is not None or roll_back):
        raise UsageError(
            "a recorded baseline has its own queries",
            cause="It is held against the same queries, as they were recorded.",
            remedy="Leave --queries, --top, --platform and --roll-back away, or record it anew.",
        )
    options = measuring.Options(limit=limit / 100, timeout_s=time_limit)
    if recorded_file is not None:
        old = records.read(recorded_file)
        with work.session(database, role) as session:
            new = recorded(session, old.chosen, time_limit, _tell(terminal), old)
        return show(terminal, measuring.against_record(old.queries, new.queries, options.limit), (), json_=json_)
    with work.session(database, role) as session:
        chosen = _chosen(session, platform, queries, top, roll_back=roll_back)
        before = measuring.Place(postgres.resolve(against), session.role)
        found = measuring.side_by_side(before, _place(session), chosen, options, _tell(terminal))
    return show(terminal, found, chosen.left_out, json_=json_)


@baseline.command(
    epilog="""\b
Examples:
  lancio baseline rehearse migrations --queries queries.sql --rows rows.sql
  lancio baseline rehearse migrations --since 011_orders.sql --queries queries.sql --rows rows.sql
  lancio baseline rehearse --platform
""",
)
@folder_options
@choice_options
@queries_options
@click.option(
    "--rows",
    metavar="FILE.sql",
    type=click.Path(path_type=Path),
    help="SQL that makes the rows to measure on, run in the state before.",
)
@click.option("--since", metavar="FILE", help="Files up to this one make the state before.")
@click.option("--as", "asker", metavar="ROLE", help="Ask the queries as this role (row level security is its own).")
@click.option("--scratch", metavar="URL", help="The server for the copies.  [default: one of its own]")
@limit_option
@database_options
@json_option
@click.pass_context
def rehearse(
    context: click.Context,
    folder: str | None,
    platform: bool,
    order: str,
    to: str | None,
    only: tuple[str, ...],
    queries: Path | None,
    top: int | None,
    roll_back: bool,
    time_limit: float,
    rows: Path | None,
    since: str | None,
    asker: str | None,
    scratch: str | None,
    limit: float,
    database: str | None,
    role: str | None,
    json_: bool,
) -> int:
    """Run the plan on a copy and time the queries in turn on it and on one as it was; exit status 1 for a finding.

    The copies have the database's schema and the rows that --rows makes; the database itself is only read. With
    --platform queries and rows are packaged, the state before is that of 005, the plan that of 006, and a role without
    rights of its own asks, so that row level security counts.
    """
    from lancio.cli import work
    from lancio.proof import baseline as measuring
    from lancio.proof import rehearse as rehearsing
    from lancio.proof import scratch as scratches

    terminal = terminal_of(context)
    way: work.Order = "graph" if order == "graph" else "name"
    where = source(folder, platform=platform)
    options = measuring.Options(limit=limit / 100, timeout_s=time_limit)
    since = since or (FOUNDATION if platform else None)
    to = to or (LAUNCHED if platform and not only else None)
    made_rows = _text(rows) if rows is not None else (_packaged("rows.sql").read_text("utf-8") if platform else "")
    with work.session(database, role) as session:
        graph = work.graph_of(where, order=way, major=session.major)
        names = [facts.name for facts in graph.files]
        if since is not None and since not in names:
            raise UsageError(
                f"there is no file {since} in {graph.folder}",
                cause="--since takes a file's path relative to the folder.",
                remedy=f"Name one of: {', '.join(names[:12])}",
            )
        plan = work.plan_of(graph, session, where, work.Choice(to, only))
        if not plan.go:
            terminal.talk("NO-GO: see lancio preflight.")
            return NoGo.exit_status
        split = names.index(since) if since is not None else -1
        first = [step for step in plan.steps if names.index(step.facts.name) <= split]
        rest = [step for step in plan.steps if names.index(step.facts.name) > split]
        if not rest:
            raise UsageError(
                "there is nothing to measure",
                cause="No file is left to run here" + (f" behind {since}." if since else "."),
                remedy="Name another database, or an earlier file by --since.",
            )
        chosen = _chosen(session, platform, queries, top, roll_back=roll_back)
        with scratches.server(scratch) as server, rehearsing.begun(server, session.target, session.connection) as begin:
            tell = _tell(terminal)
            tell(f"the state before, on {server.said}")
            _run(server, begin.name, first)
            _fill(server, begin.name, made_rows, str(rows or "rows.sql"))
            with _asker(server, begin.name, asker, platform=platform) as asking:
                copy = server.create(begin.name)
                tell(f"{len(rest)} steps on a copy of it")
                _run(server, copy, rest)
                before, after = (measuring.Place(_target(server, name), asking) for name in (begin.name, copy))
                found = measuring.side_by_side(before, after, chosen, options, tell)
                server.drop(copy)  # before the role that it knows
    steps = [step.facts.name for step in rest]
    return show(terminal, found, chosen.left_out, json_=json_, steps=steps)


def recorded(session: Session, chosen: Chosen, time_limit: float, tell: Tell, like: Baseline | None = None) -> Baseline:
    """Measure the chosen queries in this session's database, as its role, in the way of an earlier baseline."""
    from lancio.proof import baseline as measuring
    from lancio.proof import records

    options = measuring.Options(timeout_s=time_limit)
    queries = measuring.record(_place(session), chosen, options, tell, like.queries if like is not None else ())
    tell("")
    version = str(session.connection.info.parameter_status("server_version"))
    return records.make(session.target.display, version, queries, chosen.left_out)


def show(
    terminal: Terminal,
    found: Comparison,
    left_out: Sequence[LeftOut],
    *,
    json_: bool,
    steps: Sequence[str] = (),
) -> int:
    """Tell a comparison; the exit status."""
    from lancio.cli import measured
    from lancio.render import json

    _tell(terminal)("")
    if json_:
        terminal.data(json.document(measured.data(found, left_out, steps)))
    else:
        terminal.data(measured.text(found, left_out, terminal.cells, steps))
    return 1 if found.findings else 0


# --- around a run -----------------------------------------------------------------------------------------------------


def before(session: Session, file: Path, terminal: Terminal) -> Baseline:
    """What `apply --baseline FILE` measures before anything is sent.

    Raises:
        SourceError, UsageError: the file's queries cannot be read.
    """
    from lancio.proof import chosen

    terminal.talk(f"Baseline: {file} is measured before the run.")
    return recorded(session, chosen.read(file), 60.0, _tell(terminal))


def after(session: Session, old: Baseline, terminal: Terminal) -> None:
    """Measure again, and tell.

    Raises:
        Slower: there is a finding; what was applied stays.
    """
    from lancio.cli import measured
    from lancio.proof import baseline as measuring
    from lancio.render import json

    new = recorded(session, old.chosen, 60.0, _tell(terminal), old)
    found = measuring.against_record(old.queries, new.queries, 0.10)
    if terminal.json:
        terminal.data(f"{json.line({'event': 'baseline', **measured.data(found, (), ())})}\n")
    else:
        terminal.data(f"\n{measured.text(found, (), terminal.cells)}")
    if found.findings:
        from lancio.render.lines import counted

        raise Slower(
            f"all steps are applied, and {counted(len(found.findings), 'query')} of the baseline "
            f"{'is' if len(found.findings) == 1 else 'are'} worse than before",
            cause="; ".join(f"{each.query.name}: {each.because}" for each in found.findings),
            remedy=". ".join(dict.fromkeys(line for each in found.findings for line in each.advice))
            or "Look at the plans above. Nothing was taken back: what to undo is for you to say.",
            commands=tuple(
                f"{session.target.psql()} -c {shlex.quote(line)}"
                for line in dict.fromkeys(line for each in found.findings for line in each.commands)
            ),
        )


# --- pieces -----------------------------------------------------------------------------------------------------------


def _chosen(session: Session, platform: bool, queries: Path | None, top: int | None, *, roll_back: bool) -> Chosen:
    from lancio.proof import chosen

    if (queries is not None) + (top is not None) + (platform and queries is None) != 1:
        raise UsageError(
            "which queries are to be timed?",
            cause="They come from --queries FILE.sql, from --top N, or packaged with --platform: one of them.",
            remedy="Write the queries that matter into a file, a comment line with a name above each.",
            commands=("lancio baseline record --queries queries.sql --out baseline.json",),
        )
    if top is not None:
        return chosen.top(session.connection, top, session.target.psql())
    return chosen.read(queries if queries is not None else _packaged("queries.sql"), roll_back=roll_back)


def _packaged(name: str) -> Path:
    import lancio.registry

    return Path(lancio.registry.__file__).parent / "performance" / name


def _place(session: Session) -> Place:
    from lancio.proof.baseline import Place

    return Place(session.target, session.role)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read", cause=f"{error.strerror}.", remedy="Check the path and its rights."
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is no text in UTF-8", cause=f"Byte {error.start} fits nothing.", remedy="Save it as UTF-8."
        ) from None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written", cause=f"{error.strerror}.", remedy="Name another place by --out."
        ) from error


def _tell(terminal: Terminal) -> Tell:
    """How far it is, in one line that a person sees being written over, at the end by nothing; nobody else is told."""
    if terminal.json or not terminal.live(terminal.err):
        return lambda _: None

    def tell(said: str) -> None:
        terminal.err.write(f"\r\033[K{said}\r")
        terminal.err.flush()

    return tell


def _data(made: Baseline) -> dict[str, object]:
    from lancio.proof import records

    return records.data(made)


def _run(server: Scratch, name: str, steps: Sequence[Step]) -> None:
    """Run steps on a scratch database.

    Raises:
        StepFailed: one of them does not run there.
    """
    from lancio.proof import replay

    with server.connect(name, replay.SESSION) as connection:
        for step in steps:
            migration, ops = step.facts.migration, step.facts.ops
            alone = not migration.transaction or any(each.alone for each in step.facts.statements)
            script = replay.as_written(migration, ops) if alone else replay.script(migration, ops)
            done = replay.run(connection, script)
            if isinstance(done, replay.Failed):
                raise StepFailed(
                    f"{step.facts.name} does not run on the copy",
                    where=f"{step.facts.name}:{done.line}" if done.line else step.facts.name,
                    cause=f"{done.message} (SQLSTATE {done.sqlstate}).",
                    remedy="Rehearse the plan; a row that it needs can be made by --rows.",
                    commands=("lancio plan --rehearse",),
                )


def _fill(server: Scratch, name: str, text: str, said: str) -> None:
    """Make the rows, and let the planner know them.

    Raises:
        UsageError: PostgreSQL refuses them.
    """
    import psycopg

    with server.connect(name) as connection:
        try:
            if text.strip():
                connection.execute(text.encode())
        except psycopg.Error as error:
            raise UsageError(
                f"{said} does not run on the copy",
                cause=f"{error.diag.message_primary or error}.",
                remedy="It runs behind the files that make the state before (--since), as one transaction.",
            ) from None
        connection.execute("VACUUM (ANALYZE)")


@contextlib.contextmanager
def _asker(server: Scratch, name: str, given: str | None, *, platform: bool) -> Iterator[str | None]:
    """The role that asks: a given one, or for the platform one that has nothing but the right to read it.

    Raises:
        ServerError: it cannot be made there.
    """
    if given is not None or not platform:
        yield given
        return
    made = f"{server.family}asker"
    _as_owner(
        server,
        name,
        made,
        "CREATE ROLE {role} NOLOGIN",
        "GRANT {role} TO CURRENT_USER",
        "GRANT USAGE ON SCHEMA platform TO {role}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA platform TO {role}",
    )
    try:
        yield made
    finally:
        _as_owner(server, name, made, "DROP OWNED BY {role}", "DROP ROLE {role}")


def _as_owner(server: Scratch, name: str, role: str, *statements: LiteralString) -> None:
    import psycopg
    from psycopg import sql

    try:
        with server.connect(name) as connection:
            for each in statements:
                connection.execute(sql.SQL(each).format(role=sql.Identifier(role)))
    except psycopg.Error as error:
        raise ServerError(
            "the role that asks cannot be made on the scratch server",
            cause=f"{error.diag.message_primary or error}.",
            remedy="Leave --scratch away: then a server of our own is started. Or name a role by --as.",
        ) from None


def _target(server: Scratch, name: str) -> Target:
    """A database on the scratch server, as a target."""
    from psycopg.conninfo import make_conninfo

    from lancio import postgres

    return postgres.resolve(make_conninfo(server.conninfo, dbname=name))
