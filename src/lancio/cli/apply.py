"""`lancio apply`: what changes a database."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

import click

from lancio.cli import backing, planfile
from lancio.cli.adopt import doubted, proof_options, proposal, stand, tell, write
from lancio.cli.backing import backup_first_options
from lancio.cli.backup import backup_options, terms
from lancio.cli.options import (
    choice_options,
    data_limit,
    data_options,
    database_options,
    folder_options,
    jobs_option,
    json_option,
    patience,
    source,
    terminal_of,
    waiting_options,
)
from lancio.cli.report import around_options
from lancio.errors import LancioError, NoGo, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lancio.cli import work
    from lancio.cli.terminal import Terminal
    from lancio.planner.model import Plan


@click.command(
    epilog="""\b
Examples:
  lancio apply migrations
  lancio apply migrations --to 005_create_audit_logs.sql
  lancio apply migrations --only 006_register_railway_databases.sql
  lancio apply migrations --adopt
  lancio apply --plan plan.json
  lancio apply migrations --backup
  REDIS_URL=redis://:secret@cache:6379 LANCIO_KEY_FILE=lancio.key lancio apply --platform --yes
  lancio apply migrations --no-backup
  lancio apply migrations --baseline queries.sql --report run.html
  lancio apply migrations --lock-timeout 500ms --lock-wait 30m
  lancio apply migrations --jobs 4
  lancio apply migrations --json --yes | jq -c 'select(.event == "step-applied")'
""",
)
@folder_options
@choice_options
@data_options
@backup_options
@waiting_options
@click.option("--adopt", is_flag=True, help="First record what ran here without Lancio; then run only what is missing.")
@proof_options
@click.option(
    "--plan", "kept", metavar="FILE", help="Run what `lancio plan --save` kept, if nothing has changed since."
)
@click.option(
    "--done", metavar="FILE:LINE", multiple=True, help="Of a statement in doubt: it was carried out; go on behind it."
)
@click.option("--again", metavar="FILE:LINE", multiple=True, help="Of a statement in doubt: send it again.")
@jobs_option
@click.option("--one-by-one", is_flag=True, help="Send each step when the one before is on the disk, no sooner.")
@backup_first_options
@around_options
@click.option("-y", "--yes", is_flag=True, help="Don't ask; without a terminal nothing is asked anyway.")
@database_options
@json_option
@click.pass_context
def apply(
    context: click.Context,
    folder: str | None,
    platform: bool,
    order: str,
    to: str | None,
    only: tuple[str, ...],
    adopt: bool,
    origin: str | None,
    implied: bool,
    by_order: bool,
    trust_history: bool,
    kept: str | None,
    backup: bool,
    backup_to: str | None,
    scratch: str | None,
    baseline: Path | None,
    report: Path | None,
    done: tuple[str, ...],
    again: tuple[str, ...],
    jobs: int,
    one_by_one: bool,
    yes: bool,
    database: str | None,
    role: str | None,
    json_: bool,
) -> int:
    """Run what is left to run: each step in a transaction, with its verification and its ledger row.

    A file that cannot be one transaction runs in several, or outside of one; what of it ran is in the ledger, and a
    run that ended in the middle goes on there.

    Nothing is sent unless the preflight is a go; where the database has rows, that takes a known backup
    (--backup, `lancio backup make`, `lancio backup note`) or --no-backup. Addresses of services come from REDIS_URL and
    MONGO_URL, the key that seals their credentials from the file LANCIO_KEY_FILE; none of them is ever printed.

    Exit status 0 when all is applied, 1 when a step failed (it was rolled back, the ones before it stay), 3 for a
    no-go, 130 after Ctrl-C.
    """
    from lancio.cli import work
    from lancio.render import json, text
    from lancio.render.lines import counted

    terminal = terminal_of(context)
    if (origin or implied or by_order or trust_history) and not adopt:
        raise UsageError(
            "--from, --implied, --by-order and --trust-history go with --adopt",
            cause="They say what counts as proof that a file ran here.",
            remedy="Add --adopt, or leave them away.",
        )
    if one_by_one and jobs > 1:
        raise UsageError(
            "--one-by-one and --jobs are both given",
            cause="One by one means that no step is under way beside another.",
            remedy="Give one of them.",
        )
    backing.given(backup=backup, backup_to=backup_to, scratch=scratch, adopt=adopt)
    promise = planfile.promised(kept, platform, to, only, order, adopt=adopt) if kept is not None else None
    if promise is not None:
        to, only, order = promise.choice.to, promise.choice.only, promise.choice.order
        folder = promise.choice.folder if folder is None and not platform else folder
        platform = platform or promise.choice.folder == "--platform"
        folder = None if platform else folder
    way: work.Order = "graph" if order == "graph" else "name"
    where = source(folder, platform=platform)
    with work.session(database, role) as session:
        graph = work.graph_of(where, order=way, major=session.major)
        choice = work.Choice(to, only, promise is not None and promise.choice.minimal, decisions(done, again))
        proposed = None
        if not adopt:
            plan = work.plan_of(graph, session, where, choice, data=data_limit(), look="required")
        else:
            plan = work.plan_of(graph, session, where, choice)
            proposed = proposal(
                plan, session, where.words, origin, implied=implied, by_order=by_order, trust=trust_history
            )
            adopted = [row.file for row in proposed.rows]
            plan = work.plan_of(graph, session, where, choice, adopted=adopted, data=data_limit(), look="required")
            plan = doubted(plan, session, proposed, where.words)
        if promise is not None:
            planfile.hold(promise, plan, session, str(kept))
        if backup and plan.steps:
            plan = backing.first(plan, session, where, choice, backup_to, scratch, terminal)
        settings = work.run_settings(plan)  # what the environment lacks is told first: it needs no database
        if not plan.go:
            if json_:
                terminal.data(f"{json.line({'event': 'no-go', **json.preflight(plan)})}\n")
            else:
                terminal.data(text.preflight(plan, terminal.cells, server=session.said))
            return NoGo.exit_status
        if proposed is not None and proposed.rows and not (yes or json_) and _asks(terminal):
            tell(terminal, proposed, (), dry_run=True, json_=False)
            if not click.confirm(f"Record these on {session.said}?", err=True):
                terminal.talk("Nothing was changed.")
                return 1
        if proposed is not None and (new := write(graph, session, proposed)):
            if json_:
                terminal.data(f"{json.line({'event': 'adopted', 'files': list(new)})}\n")
            else:
                terminal.data(f"{counted(len(new), 'file')} adopted: in the ledger now, and not run.\n")
        if stood := stand(plan, session):
            if json_:
                terminal.data(f"{json.line({'event': 'adopted', 'files': list(stood)})}\n")
            else:
                terminal.data(f"{', '.join(stood)}: recorded, not run; all that it stands for ran here.\n")
        if not plan.steps:
            if json_:
                terminal.data(f"{json.line({'event': 'nothing-to-do', 'done': list(plan.done)})}\n")
            else:
                terminal.data(text.plan(plan, terminal.cells))
            return 0
        if not (yes or json_) and _asks(terminal):
            terminal.data(text.plan(plan, terminal.cells))
            if not click.confirm(f"Run this on {session.said}?", err=True):
                terminal.talk("Nothing was changed.")
                return 1
        if promise is not None:
            planfile.hold(promise, plan, session, str(kept))  # somebody may have been asked meanwhile
        return launch(
            plan, session, where.words, settings, terminal,
            baseline=baseline, report=report, decided=choice.decided, jobs=jobs, one_by_one=one_by_one,
        )  # fmt: skip


def _asks(terminal: Terminal) -> bool:
    return sys.stdin.isatty() and terminal.err.isatty()


def decisions(done: Sequence[str], again: Sequence[str]) -> dict[tuple[str, int], Literal["done", "again"]]:
    """What --done and --again say of statements in doubt, by file and line.

    Raises:
        UsageError: one is not FILE:LINE, or is given both ways.
    """
    found: dict[tuple[str, int], Literal["done", "again"]] = {}
    words: tuple[tuple[Literal["done", "again"], Sequence[str]], ...] = (("done", done), ("again", again))
    for word, places in words:
        for place in places:
            name, _, line = place.rpartition(":")
            if not name or not line.isdecimal():
                raise UsageError(
                    f"--{word} {place} is no place",
                    cause="It takes a file of the folder and the line at which the statement begins.",
                    remedy=f"For example: --{word} 004_index.sql:12",
                )
            if found.setdefault((name, int(line)), word) != word:
                raise UsageError(
                    f"{place} cannot be both done and to be sent again",
                    cause="It was given to --done and to --again.",
                    remedy="Leave one of them away.",
                )
    return found


def launch(
    plan: Plan,
    session: work.Session,
    folder: str,
    settings: Mapping[str, str],
    terminal: Terminal,
    *,
    baseline: Path | None = None,
    report: Path | None = None,
    decided: Mapping[tuple[str, int], Literal["done", "again"]] | None = None,
    jobs: int = 1,
    one_by_one: bool = False,
) -> int:
    """Run the plan, show its events, and return the exit status; `folder` is how a command line names it.

    The queries of `baseline` are timed before and after; the `report` is written however the run ends. `jobs` steps may
    run at once; `one_by_one`: nothing is sent before the step in front is on the disk.

    Raises:
        LancioError: what the runner refuses, and how it ended if not well; its events were shown before. Slower: all
            is applied, and the baseline has a finding.
    """
    from lancio import postgres
    from lancio.cli import baseline as baselines
    from lancio.cli import progress
    from lancio.cli.report import Recorder
    from lancio.executor import runner
    from lancio.render import json

    old = baselines.before(session, baseline, terminal) if baseline is not None else None
    recorder = Recorder(report, plan, session) if report is not None else None
    stream = runner.apply(
        plan,
        session.connection,
        settings=settings,
        role=session.role,
        reconnect=lambda: postgres.connect(session.target),
        folder=folder,
        flags=session.flags,
        terms=terms(),
        psql=session.target.psql,
        **patience(),
        decided=decided,
        ahead=0 if one_by_one else runner.AHEAD,
        jobs=jobs,
    )
    if recorder is not None:
        stream = recorder.listen(stream)
    try:
        if terminal.json:
            for event in stream:
                terminal.data(f"{json.line(event.as_dict())}\n")
        else:
            with progress.reporter(terminal) as lines:
                for event in stream:
                    lines.show(event)
    except LancioError as error:
        error.commands = session.here(error.commands)
        raise
    finally:
        if recorder is not None:
            terminal.talk(recorder.finish())
    if old is not None:
        baselines.after(session, old, terminal)
    return 0
