"""`lancio rollback`: steps taken back, newest first."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lancio.cli.options import database_options, folder_options, json_option, source, terminal_of
from lancio.errors import EditedFile, NoGo, SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from lancio.cli import work
    from lancio.cli.options import Source
    from lancio.cli.terminal import Terminal
    from lancio.executor.ledger import Applied
    from lancio.executor.rollback import Count, Undo
    from lancio.planner.model import Edge, Graph
    from lancio.planner.rollback import Choice
    from lancio.proof.scratch import Scratch
    from lancio.proof.undoing import Loss, Rehearsed, Undoing
    from lancio.reading.source import Migration

SHOWN = 12
"""So many tables and columns of the data-loss note are named; all are in the JSON."""


@click.command(
    epilog="""\b
Examples:
  lancio rollback migrations --dry-run
  lancio rollback migrations --last 2
  lancio rollback migrations 007_add_invoices.sql --with-dependents
  lancio rollback migrations --to 005_create_audit_logs.sql
  lancio rollback migrations --script > back.sql
  lancio rollback --platform --all --yes
""",
)
@folder_options
@click.argument("files", metavar="[FILE]...", nargs=-1)
@click.option("--to", metavar="FILE", help="Take back everything that was applied behind this file.")
@click.option(
    "--last", type=click.IntRange(1), is_flag=False, flag_value=1, metavar="[N]",
    help="Take back the N steps that were applied last.  [default: 1]",
)  # fmt: skip
@click.option("--all", "all_", is_flag=True, help="Take back every applied step.")
@click.option("--with-dependents", is_flag=True, help="Take back the later steps that hang on these, too.")
@click.option("--dry-run", is_flag=True, help="Show what would run and be lost. Changes nothing.")
@click.option("--script", is_flag=True, help="Print the SQL that would run, for psql. Changes nothing.")
@click.option("--no-rehearsal", is_flag=True, help="Run what was written by hand without trying it first.")
@click.option("--before", metavar="FILE", help="SQL for the scratch database: what was there before the first file.")
@click.option("--scratch", metavar="URL", help="A server to make scratch databases on, not one of our own.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask, not even where rows are lost.")
@database_options
@json_option
@click.pass_context
def rollback(
    context: click.Context,
    folder: str | None,
    platform: bool,
    order: str,
    files: tuple[str, ...],
    to: str | None,
    last: int | None,
    all_: bool,
    with_dependents: bool,
    dry_run: bool,
    script: bool,
    no_rehearsal: bool,
    before: str | None,
    scratch: str | None,
    yes: bool,
    database: str | None,
    role: str | None,
    json_: bool,
) -> int:
    """Take applied steps back, the newest first, each in one transaction with its ledger row.

    What a file's author wrote to take it back is used; where there is nothing, or it does not give back the catalog
    from before, the inverse is worked out: what the step made is dropped, what it changed is set back, what it dropped
    without rows is made again. All of it is rehearsed on a scratch database first. What nothing brings back, such as a
    dropped column's values, is refused with its reason.

    Rows that would be lost are counted; then only --yes, or an answer at a terminal, goes on. Exit status 0 when the
    steps are taken back, 1 when one failed (it stays, those before it are taken back), 3 where one is refused.
    """
    from lancio.cli import work

    terminal = terminal_of(context)
    if platform and folder is not None:  # with --platform there is no DIR, so the first word is a file
        files = (folder, *files)
        folder = None
    chosen = [bool(files), to is not None, last is not None, all_]
    if sum(chosen) > 1:
        raise UsageError(
            "FILE, --to, --last and --all exclude each other",
            cause="Each of them says by itself which steps are meant.",
            remedy="Give one of them.",
        )
    if script and json_:
        raise UsageError(
            "--script and --json are both given", cause="--script prints SQL, and nothing else.", remedy="Give one."
        )
    if no_rehearsal and (before or scratch):
        raise UsageError(
            "--before and --scratch go with the rehearsal",
            cause="--no-rehearsal tries nothing.",
            remedy="Leave --no-rehearsal away, or the others.",
        )
    way: work.Order = "graph" if order == "graph" else "name"
    where = source(folder, platform=platform)
    with work.session(database, role) as session:
        graph = work.graph_of(where, order=way, major=session.major)
        applied, elsewhere = _applied(session, graph, where)
        wanted = _wanted(graph, applied, files, to, last, all_=all_)
        if not wanted:
            if json_:
                terminal.data(_line({"event": "nothing-to-do"}))
            else:
                terminal.data("Nothing to take back: no step of the folder is applied behind that.\n")
            return 0
        unseen = _unseen(applied, elsewhere, wanted)
        if unseen and not (files or all_):
            _refuse_unseen(unseen, wanted, where, session)
        choice = _choice(graph, applied, wanted, where, session, with_dependents=with_dependents)
        _unedited(graph, applied, choice)
        _ran_itself(graph, applied, choice)
        downs = _downs(where, graph, choice)
        if no_rehearsal:
            prepared = _unrehearsed(graph, choice, downs)
        else:
            prepared = _rehearsed(graph, choice, applied, downs, session, before, scratch)
        stay = [f"{name} was applied later and is not in this folder: it stays" for name in unseen]
        prepared = replace(prepared, notes=(*prepared.notes, *stay))
        if script:
            return _script(terminal, prepared, session, where)
        if json_ and (dry_run or prepared.refused):
            terminal.data(_document(prepared, session))
        elif not json_:
            _show(terminal, prepared, session, where)
        if prepared.refused:
            return NoGo.exit_status
        if dry_run:
            return 0
        if not _agreed(terminal, prepared, session, yes=yes, json_=json_):
            return 1
        return _launch(terminal, prepared, graph, session, where, alone=not choice.together, json_=json_)


# --- which steps ------------------------------------------------------------------------------------------------------


def _applied(session: work.Session, graph: Graph, where: Source) -> tuple[dict[str, Applied], dict[str, Applied]]:
    """The applied steps of this folder, and those of files that it does not have, in the order they were applied in.

    A baseline that was only recorded stands where the last of the files ran that it stands for.

    Raises:
        UsageError: there is no ledger, or it has none of them.
    """
    from lancio.executor import ledger
    from lancio.planner import squashed

    known = ledger.read(session.connection)
    replaces = {facts.name: [name for name, _ in facts.migration.replaces] for facts in graph.files}
    gone = {name for names in replaces.values() for name in names}

    def ran(name: str) -> int:
        each = known[name]
        stands_for = [known[one].ran for one in replaces.get(name, ()) if one in known]
        return max(stands_for) if each.origin == squashed.ORIGIN and stands_for else each.ran

    found = {name: known[name] for name in sorted(known, key=ran)}
    if not replaces.keys() & found.keys() and not (known or ledger.exists(session.connection)):
        raise UsageError(
            "this database has no ledger",
            cause="Which files were applied here, and in which order, is written there.",
            remedy="Where they ran without Lancio, let it take them over first.",
            commands=session.here((f"lancio adopt {where.words}",)),
        )
    return (
        {name: each for name, each in found.items() if name in replaces},
        {name: each for name, each in found.items() if name not in replaces and name not in gone},
    )


def _unseen(applied: Mapping[str, Applied], elsewhere: Mapping[str, Applied], wanted: Sequence[str]) -> list[str]:
    """The steps that were applied behind the first of those wanted, and whose files are not here."""
    first = min(applied[name].ran for name in wanted)
    return [name for name, each in elsewhere.items() if each.ran > first]


def _refuse_unseen(unseen: Sequence[str], wanted: Sequence[str], where: Source, session: work.Session) -> None:
    """Refuse to pass over steps whose files are not here: from an older checkout the last file is not the last step.

    Raises:
        NoGo: with the names.
    """
    from lancio.render.lines import counted

    raise NoGo(
        f"{counted(len(unseen), 'step')} of files that are not in this folder came behind {wanted[0]}",
        cause=f"{', '.join(unseen[-SHOWN:])}: without the file nobody can tell what it hangs on, nor take it back.",
        remedy="Go to the folder as it was when that ran. Where it is another folder's, say which steps are meant:",
        commands=session.here((f"lancio rollback {where.words} {' '.join(wanted)}",)),
    )


def _wanted(
    graph: Graph, applied: Mapping[str, Applied], files: Sequence[str], to: str | None, last: int | None, *, all_: bool
) -> list[str]:
    known = [facts.name for facts in graph.files]
    for name in (*files, *((to,) if to is not None else ())):
        if name not in known:
            raise UsageError(
                f"there is no file {name} in {graph.folder}",
                cause="A file is named by its path relative to the folder.",
                remedy=f"Name one of: {', '.join(known[:12])}",
            )
        if name not in applied:
            raise UsageError(
                f"{name} is not applied here",
                cause="The ledger of this database does not have it, or it was taken back already.",
                remedy="Look at lancio status for what is applied.",
            )
    names = list(applied)
    if files:
        return list(dict.fromkeys(files))
    if to is not None:
        return names[names.index(to) + 1 :]
    return names if all_ else names[-(last or 1) :]


def _choice(
    graph: Graph, applied: Mapping[str, Applied], wanted: Sequence[str], where: Source, session: work.Session, *,
    with_dependents: bool,
) -> Choice:  # fmt: skip
    from lancio.planner import rollback as choosing

    choice = choosing.choose(graph, list(applied), wanted)
    if choice.hanging and not with_dependents:
        raise NoGo(
            f"{choice.hanging[0].needs} cannot be taken back alone: {len(choice.hanging)} later "
            f"{'step hangs' if len(choice.hanging) == 1 else 'steps hang'} on it",
            cause=" ".join(f"{_hangs(edge)}." for edge in choice.hanging[:SHOWN]),
            remedy="Take them back with it, or leave it.",
            commands=session.here((f"lancio rollback {where.words} {' '.join(wanted)} --with-dependents",)),
        )
    return choice


def _hangs(edge: Edge) -> str:
    because = edge.because[0] if edge.because else None
    why = f" because of {because.object} ({because.at.file}:{because.at.line})" if because is not None else ""
    return f"{edge.file} hangs on {edge.needs}{why}"


def _unedited(graph: Graph, applied: Mapping[str, Applied], choice: Choice) -> None:
    for name in choice.steps:
        if applied[name].checksum != graph.file(name).migration.checksum:
            raise EditedFile(
                f"{name} was changed after it was applied",
                cause="What is to be taken back is what ran, and that is not in the file any more.",
                remedy="Get back the file as it was, or accept the edit where it makes no difference.",
                commands=(f"lancio adopt {graph.folder} --edited {name}",),
            )


def _ran_itself(graph: Graph, applied: Mapping[str, Applied], choice: Choice) -> None:
    """Refuse a baseline that never ran here: what it stands for is taken back file by file.

    Raises:
        NoGo: with its name.
    """
    from lancio.planner import squashed

    for name in choice.steps:
        if applied[name].origin == squashed.ORIGIN:
            files = [each for each, _ in graph.file(name).migration.replaces]
            raise NoGo(
                f"{name} did not run here: it stands for {len(files)} files that did",
                cause="Taken back as one, all of them would go, and the ledger would still have each of them.",
                remedy="Take back what ran, from the folder as it was before it was squashed.",
                commands=(f"lancio rollback FOLDER-AS-IT-WAS {files[-1]}",),
            )


def _downs(where: Source, graph: Graph, choice: Choice) -> dict[str, Migration]:
    from lancio.reading import source as reading

    folder = where.read() if any(graph.file(name).migration.down for name in choice.steps) else None
    found = {}
    for migration in folder.migrations if folder is not None else ():
        if migration.name in choice.steps and folder is not None:
            down = reading.down_part(folder, migration, where.variables)
            if down is not None:
                found[migration.name] = down
    return found


# --- what would run ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the data-loss note: what goes, and how many rows that is here.

    `then` is the same by the names that it has when the step's turn comes.
    """

    loss: Loss
    step: str
    count: Count
    then: Loss


@dataclass(frozen=True, slots=True)
class Prepared:
    """The undoing of the steps, newest first; for each one why it is refused, where it is; and what is lost."""

    undoings: tuple[Undoing, ...]
    why: Mapping[str, tuple[str, ...]]
    hanging: tuple[Edge, ...]
    rows: tuple[Row, ...]
    server: str
    notes: tuple[str, ...]
    rehearsed: bool
    same_version: bool = True

    @property
    def refused(self) -> bool:
        """Whether one of the steps is."""
        return any(self.why.values())

    @property
    def loses(self) -> bool:
        """Whether rows go, or may, as nobody could count them."""
        return any(row.count.rows is None or row.count.rows > 0 for row in self.rows)


def _unrehearsed(graph: Graph, choice: Choice, downs: Mapping[str, Migration]) -> Prepared:
    """What people wrote, as it stands."""
    from lancio.proof import undoing

    found, why = [], {}
    for name in reversed(choice.steps):
        facts = graph.file(name)
        statements: tuple[str, ...] = ()
        if (down := downs.get(name)) is None:
            said = "nobody wrote what takes it back, and it is worked out in a rehearsal: leave --no-rehearsal away"
        else:
            statements, said = undoing.written_down(down)
            said = said or ("" if statements else f"{down.name} has no statement")
        why[name] = (said,) if said else ()
        found.append(undoing.Undoing(facts, "written", statements, down.name if down else ""))
    return Prepared(
        tuple(found), why, choice.hanging, (), "", ("what is lost is not known without a rehearsal",), rehearsed=False
    )


def _rehearsed(
    graph: Graph, choice: Choice, applied: Mapping[str, Applied], downs: Mapping[str, Migration], session: work.Session,
    before: str | None, url: str | None,
) -> Prepared:  # fmt: skip
    from lancio.executor import fingerprint
    from lancio.planner import segments
    from lancio.planner.diagnosis import masked
    from lancio.proof import scratch, undoing
    from lancio.render import lines

    preamble = _text(before)
    notes = []
    # A server of our own has nobody else's roles.
    read = {effect.name for facts in graph.files for effect in facts.creates if effect.kind == "role"}
    roles = read if url is not None else None
    named = session.connection.info.dbname
    with (
        scratch.server(url, major=session.major, exact=False, named=named) as server,
        _as_user(server, session) as options,
    ):
        with _database(server, options, preamble, roles) as connection:
            whole: Rehearsed | None = None
            for each in undoing.rehearse(
                connection,
                [graph.file(name) for name in choice.kept],
                [graph.file(name) for name in choice.steps],
                downs,
            ):
                if isinstance(each, undoing.Rehearsed):
                    whole = each
            if whole is None:
                raise AssertionError("a rehearsal ends with its whole")
            why = {each.name: _reasons(each, session) for each in whole.undoings}
            if not any(why.values()) and (said := undoing.undone(connection, whole)):
                why[whole.undoings[-1].name] = (said,)
        if not choice.together and not any(why.values()):
            with _database(server, options, preamble, roles) as connection:
                in_order = undoing.replayed(connection, [graph.file(name) for name in applied])
            if in_order.hash != whole.end.hash:
                said = "later steps that stay would be otherwise without it, though nothing was read that says so"
                why[whole.undoings[-1].name] = (f"{said}: --to takes back all that was applied behind a file",)
        same = server.major == session.major
        if not same:
            notes.append(
                f"rehearsed on PostgreSQL {server.major}, and this server is {session.major}: "
                "a server of that version can be named by --scratch"
            )
        elif apart := len(set(fingerprint.take(session.connection).facts) ^ set(whole.end.facts)):
            notes.append(
                f"the catalog here differs from what the files make in {lines.counted(apart, 'fact')}; each step is "
                "taken back only where it leaves those alone"
            )
        counted = tuple(_counted(whole, session))
        rows = tuple(row for row in counted if not row.loss.where or row.count.rows != 0)
        notes += [
            f"no row of {row.loss.table} is like the one that {row.step} made ({masked(row.loss.where)}): "
            "if it was changed, it stays"
            for row in counted
            if row not in rows
        ]

        def before_it(name: str) -> set[str]:
            """Tables that were there when the step ran, as it locked them; IF NOT EXISTS had passed over them."""
            facts = graph.file(name)
            # A file in segments may have made it itself before, and one that drops tables may have made it anew.
            unclear = segments.cut(facts, session.major).apart or any(each.kind == "relation" for each in facts.drops)
            return set() if unclear or name in downs else {relation for relation, _ in applied[name].locks}

        for row in rows:
            if not row.loss.column and not row.loss.where and row.then.table in before_it(row.step):
                why[row.step] = (*why[row.step], f"{row.then.table} was there before it, and is not the step's to drop")
            if row.loss.where and (row.count.rows or 0) > 1:
                like = f"{row.count.rows} rows of {row.loss.table} are like the one that it made"
                why[row.step] = (*why[row.step], f"{like} ({masked(row.loss.where)})")
        return Prepared(
            whole.undoings, why, choice.hanging, rows, server.said, tuple(notes), rehearsed=True, same_version=same
        )


def _text(path: str | None) -> bytes:
    if path is None:
        return b""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read", cause=str(error.strerror), remedy="Check the path.") from error


@contextlib.contextmanager
def _as_user(server: Scratch, session: work.Session) -> Iterator[str]:
    """The options of sessions that own what they make under the name that the files run as in the real database."""
    import psycopg
    from psycopg import sql

    from lancio.proof import replay

    user = session.role or session.connection.info.user
    with _without_new_roles(server, {user}):
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (user,)).fetchone() is None:
                connection.execute(sql.SQL("CREATE ROLE {} SUPERUSER").format(sql.Identifier(user)))
        escaped = user.replace("\\", "\\\\").replace(" ", "\\ ")
        try:
            yield f"{replay.SESSION} -c role={escaped}"
        finally:
            server.clear()


@contextlib.contextmanager
def _without_new_roles(server: Scratch, of: Collection[str] | None) -> Iterator[None]:
    """Drop the roles that come meanwhile, as far as nothing hangs on them: they belong to a whole server.

    `of` are those that may be ours; None: all.
    """
    import psycopg
    from psycopg import sql

    listed = "SELECT rolname FROM pg_roles"
    with psycopg.connect(server.conninfo, autocommit=True) as connection:
        there = {row[0] for row in connection.execute(listed)}
    try:
        yield
    finally:
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            came = {row[0] for row in connection.execute(listed)} - there
            for role in came if of is None else came & {*of}:
                # What has rights in another database of that server is somebody else's.
                with contextlib.suppress(psycopg.errors.DependentObjectsStillExist):
                    connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@contextlib.contextmanager
def _database(server: Scratch, options: str, preamble: bytes, roles: Collection[str] | None) -> Iterator[Any]:
    """A database for the files; the roles that they make go with it, so that they can be made in the next one."""
    import psycopg

    with _without_new_roles(server, roles):
        name = server.create()
        try:
            with server.connect(name, options) as connection:
                try:
                    if preamble.strip():
                        connection.execute(preamble)
                except psycopg.Error as error:
                    raise SourceError(
                        "the file behind --before does not run on an empty database",
                        cause=" ".join(str(error.diag.message_primary or error).split()),
                        remedy="Mend it: it makes what was there before the first file.",
                    ) from None
                yield connection
        finally:
            server.drop(name)


def _reasons(undoing: Undoing, session: work.Session) -> tuple[str, ...]:
    """Why a step may not be taken back here: rows that are not there any more are in nobody's way."""
    from lancio.executor import rollback as running

    reasons = list(undoing.refused)
    for obstacle in undoing.obstacles if undoing.way != "written" else ():
        if obstacle.if_empty and obstacle.name and running.count(session.connection, obstacle.name).rows == 0:
            continue
        reasons.append(obstacle.says)
    return tuple(reasons)


def _counted(whole: Rehearsed, session: work.Session) -> Iterator[Row]:
    from lancio.executor import rollback as running

    seen: set[tuple[str, str, str]] = set()
    dropped = {loss.key for each in whole.undoings for loss in each.losses if not loss.column and not loss.where}
    for undoing in whole.undoings:
        for loss in undoing.losses:
            if (loss.column or loss.where) and loss.key in dropped:
                continue  # counted with its table
            column = whole.names.get(loss.attribute, loss.column) if loss.attribute is not None else loss.column
            now = replace(loss, table=whole.names.get(loss.key, loss.table), column=column)
            if (now.table, now.column, now.where) not in seen:
                seen.add((now.table, now.column, now.where))
                count = running.count(session.connection, now.table, now.column, now.where)
                yield Row(now, undoing.name, count, loss)


# --- showing ----------------------------------------------------------------------------------------------------------


def _line(data: Mapping[str, Any]) -> str:
    from lancio.render import json

    return f"{json.line(dict(data))}\n"


def _said(undoing: Undoing) -> str:
    from lancio.render.lines import counted

    if undoing.way == "none":
        return "nothing in the catalog to take back"
    how = f"by {undoing.source}" if undoing.way == "written" else "worked out"
    return f"{how}, {counted(len(undoing.statements), 'statement')}" if undoing.statements else how


def _row(row: Row) -> str:
    from lancio.planner.diagnosis import masked
    from lancio.render.lines import counted

    loss, count = row.loss, row.count
    number = counted(count.rows, "row") if count.rows is not None else f"unknown how many rows ({count.why})"
    if loss.column:
        values = counted(count.rows, "value") if count.rows is not None else number
        return f"{values} of column {loss.table}.{loss.column}"
    return f"{number} of {loss.table}" + (f" where {masked(loss.where)}" if loss.where else "")


def _show(terminal: Terminal, prepared: Prepared, session: work.Session, where: Source) -> None:
    from lancio.render import lines

    cells = terminal.cells
    of = len(prepared.undoings)
    text = [*lines.heading(f"ROLLBACK: {lines.counted(of, 'step')} of {session.said}", cells), ""]
    if prepared.rehearsed:
        came = "not all of it may run" if prepared.refused else "the catalog's fingerprint came back"
        text += [*lines.wrap(f"Rehearsed on {prepared.server}: {came}.", cells)]
    for note in prepared.notes:
        text += lines.wrap(f"Note: {note}.", cells)
    for edge in prepared.hanging:
        text += lines.wrap(f"{_hangs(edge)}, and goes with it.", cells)
    text.append("")
    for position, each in enumerate(prepared.undoings, 1):
        reasons = prepared.why.get(each.name, ())
        text += lines.wrap(
            f"[{position}/{of}] {'✗' if reasons else '↩'} {each.name}  {_said(each) if not reasons else 'refused'}",
            cells,
        )
        for reason in reasons[:SHOWN]:
            text += lines.wrap(f"✗ {lines.clean(reason)}", cells, first="    ", rest="      ")
        if len(reasons) > SHOWN:
            text.append(f"    ✗ and {len(reasons) - SHOWN} more reasons")
        for note in each.notes[:SHOWN]:
            text += lines.wrap(f"Note: {lines.clean(note)}", cells, first="    ", rest="      ")
    text.append("")
    if prepared.refused:
        text += lines.wrap(
            "REFUSED: nothing was changed. What is in no file comes back from a backup: lancio restore BACKUP.", cells
        )
        blocked = next(each.name for each in prepared.undoings if prepared.why.get(each.name))
        if prepared.undoings[0].name != blocked:
            text += lines.wrap(f"What was applied behind {blocked} can go alone:", cells)
            text += [f"  {each}" for each in session.here((f"lancio rollback {where.words} --to {blocked}",))]
    else:
        text += _lost(prepared, cells)
    terminal.data("\n".join(text) + "\n")


def _lost(prepared: Prepared, cells: int) -> list[str]:
    from lancio.render import lines

    if not prepared.rehearsed:
        return []
    full = [row for row in prepared.rows if row.count.rows != 0]
    empty = len(prepared.rows) - len(full)
    more = f"{empty} {'table or column' if empty == 1 else 'tables or columns'} without any"
    if not full:
        return lines.wrap(f"DATA LOSS: none{f'; {more}' if empty else ''}.", cells)
    text = ["DATA LOSS"]
    for row in full[:SHOWN]:
        text += lines.wrap(f"! {lines.clean(_row(row))}", cells, first="  ", rest="    ")
    if len(full) > SHOWN:
        text.append(f"  ! and {len(full) - SHOWN} more tables and columns with rows")
    if empty:
        text.append(f"  · and {more}")
    return text


def _document(prepared: Prepared, session: work.Session) -> str:
    from lancio.render import json

    return json.document(_data(prepared, session))


def _data(prepared: Prepared, session: work.Session) -> dict[str, Any]:
    from lancio.planner.diagnosis import masked

    return {
        "go": not prepared.refused,
        "server": session.said,
        "rehearsed": prepared.server or None,
        "notes": list(prepared.notes),
        "hanging": [{"file": edge.file, "needs": edge.needs, "says": _hangs(edge)} for edge in prepared.hanging],
        "steps": [
            {
                "file": each.name,
                "way": each.way,
                "source": each.source or None,
                "statements": list(each.statements),
                "refused": list(prepared.why.get(each.name, ())),
                "notes": list(each.notes),
                "proved": each.proved,
            }
            for each in prepared.undoings
        ],
        "data_loss": [
            {
                "step": row.step,
                "table": row.loss.table,
                "column": row.loss.column or None,
                "where": masked(row.loss.where) or None,
                "rows": row.count.rows,
            }
            for row in prepared.rows
        ],
    }


def _script(terminal: Terminal, prepared: Prepared, session: work.Session, where: Source) -> int:
    from lancio.render import undoing as rendering

    if prepared.refused:
        _show_refused(terminal, prepared, where)
        return NoGo.exit_status
    lost = [_row(row) for row in prepared.rows if row.count.rows != 0]
    parts = [rendering.Part(each.name, each.statements, each.source) for each in prepared.undoings]
    terminal.data(rendering.script(parts, said=session.said, role=session.role, lost=lost))
    return 0


def _show_refused(terminal: Terminal, prepared: Prepared, where: Source) -> None:
    for each in prepared.undoings:
        for reason in prepared.why.get(each.name, ()):
            terminal.talk(f"{each.name}: {reason}")
    terminal.talk(f"REFUSED: there is no script; see lancio rollback {where.words} --dry-run.")


def _agreed(terminal: Terminal, prepared: Prepared, session: work.Session, *, yes: bool, json_: bool) -> bool:
    """Whether it may go on.

    Raises:
        NoGo: rows would be lost, and nobody is there to say that they may.
    """
    if yes:
        return True
    asks = not json_ and sys.stdin.isatty() and terminal.err.isatty()
    if asks:
        what = "Lose these rows and take" if prepared.loses else "Take"
        if click.confirm(f"{what} the steps back on {session.said}?", err=True):
            return True
        terminal.talk("Nothing was changed.")
        return False
    if prepared.loses or not prepared.rehearsed:
        rows = [_row(row) for row in prepared.rows if row.count.rows != 0]
        raise NoGo(
            "rows would be lost" if rows else "what would be lost is not known",
            cause="; ".join(rows[:SHOWN]) or "Nothing was rehearsed.",
            remedy="Make a backup, then say that they may go: --yes.",
        )
    return True


# --- running ----------------------------------------------------------------------------------------------------------


def _launch(
    terminal: Terminal,
    prepared: Prepared,
    graph: Graph,
    session: work.Session,
    where: Source,
    *,
    alone: bool,
    json_: bool,
) -> int:
    from lancio.executor import rollback as running
    from lancio.planner.diagnosis import Way
    from lancio.render import lines

    undos = [_undo(each, prepared.rows) for each in prepared.undoings]
    way = Way(where.words, flags=session.flags)
    took = 0.0
    for event in running.roll_back(
        session.connection, undos, graph=graph, role=session.role, way=way, same_version=prepared.same_version
    ):
        if not isinstance(event, running.StepRolledBack):
            continue
        took += event.duration_ms
        if json_:
            terminal.data(_line(event.as_dict()))
        else:
            terminal.data(f"[{event.position}/{event.of}] ↩ {event.migration}  {lines.lasted(event.duration_ms)}\n")
    if json_:
        rows = sum(row.count.rows or 0 for row in prepared.rows)
        terminal.data(
            _line({"event": "rolled-back", "steps": len(undos), "rows_lost": rows, "duration_ms": round(took, 1)})
        )
    else:
        terminal.data(f"{lines.counted(len(undos), 'step')} taken back in {lines.lasted(took)}.\n")
        # Where later steps stayed, a file that comes before them runs when it is named by itself.
        only = "".join(f" --only {each.facts.name}" for each in reversed(undos)) if alone else ""
        terminal.data(
            "".join(f"To run them again:  {each}\n" for each in session.here((f"lancio apply {where.words}{only}",)))
        )
    return 0


def _undo(each: Undoing, counted: Sequence[Row]) -> Undo:
    from lancio.executor.rollback import Undo

    rows = sum(1 for loss in each.losses if loss.where) if each.way == "computed" else 0
    change = (each.change.removed, each.change.added) if each.proved else None
    empty = [row.then for row in counted if row.step == each.name and row.count.rows == 0]
    none = tuple((loss.table, f"{loss.column} IS NOT NULL" if loss.column else "") for loss in empty)
    return Undo(each.facts, each.statements, frozenset(range(rows)), change, none)
