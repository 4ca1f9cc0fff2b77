"""Who acts, in which organization, and how are lists shown: what the registry's commands have in common."""

from __future__ import annotations

import contextlib
import os
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from lancio.cli.options import database_options, environment_options, json_option
from lancio.errors import LancioError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psycopg

    from lancio.cli.terminal import Terminal
    from lancio.cli.work import Session
    from lancio.registry.acting import Acting, Actor

P = ParamSpec("P")
R = TypeVar("R")

AS, ORGANIZATION = "lancio.as", "lancio.organization"
"""Where --as and --org are kept until `actor` and `work` ask for them."""


# --- options ----------------------------------------------------------------------------------------------------------


def _kept(where: str) -> Callable[[click.Context, click.Parameter, str | None], None]:
    def keep(context: click.Context, parameter: click.Parameter, given: str | None) -> None:
        if given is None:
            return
        if not given.strip():
            option = parameter.opts[0]
            raise UsageError(f"{option} is empty", cause="An empty value names nothing.", remedy=f"Omit {option}.")
        context.meta[where] = given.strip()

    return keep


def as_option(command: Callable[P, R]) -> Callable[P, R]:
    """`--as EMAIL`, or LANCIO_USER; `actor` takes it from the context."""
    return click.option(
        "--as", metavar="EMAIL", envvar="LANCIO_USER", expose_value=False, callback=_kept(AS),
        help="Act as this user, with the user's rights.  [default: LANCIO_USER, else the operator]",
    )(command)  # fmt: skip


def org_option(command: Callable[P, R]) -> Callable[P, R]:
    """`--org SLUG`, or LANCIO_ORG; `work` takes it from the context."""
    return click.option(
        "--org", metavar="SLUG", envvar="LANCIO_ORG", expose_value=False, callback=_kept(ORGANIZATION),
        help="The organization.  [default: LANCIO_ORG, else the only one there is]",
    )(command)  # fmt: skip


def common(command: Callable[P, R]) -> Callable[P, R]:
    """What every command of the registry takes: who acts, where, and `--json`."""
    return as_option(database_options(environment_options(json_option(command))))


def changes(command: Callable[P, R]) -> Callable[P, R]:
    """`--dry-run` and `--yes`."""
    dry = click.option("--dry-run", is_flag=True, help="Do it, show what comes of it, and take it back.")
    return dry(click.option("-y", "--yes", is_flag=True, help="Don't ask.")(command))


def if_version(command: Callable[P, R]) -> Callable[P, R]:
    """`--if-version N`: refuse if somebody else has changed it since."""
    return click.option(
        "--if-version", "version", metavar="N", type=int,
        help="Only if it is still this version, as show --json tells it.",
    )(command)  # fmt: skip


def paged(command: Callable[P, R]) -> Callable[P, R]:
    """`--limit` and `--after`."""
    for option in (
        click.option("--after", metavar="MARK", help="Go on from this mark, which the page before has told."),
        click.option(
            "--limit", type=click.IntRange(1, 1000), default=50, show_default=True, metavar="N",
            help="So many rows at most.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


# --- work -------------------------------------------------------------------------------------------------------------


def reads(context: click.Context) -> None:
    """This command changes nothing: a protected environment need not be asked for."""
    context.params["dry_run"] = True


@contextlib.contextmanager
def session(database: str | None, role: str | None) -> Iterator[Session]:
    """As `work.session`, for work on the platform's tables: what others made in schema public is not called, and what
    a refusal proposes means this database wherever it is pasted.

    Raises:
        UsageError: LANCIO_USER is set, and this command is the operator's: it would act with all rights unseen.
    """
    from lancio.cli import work as works
    from lancio.registry.context import OWN_NAMES, pin

    with works.session(database, role) as opened:
        pin(opened.connection, OWN_NAMES, session=True)
        try:
            _refuse_unheeded()
            yield opened
        except LancioError as error:
            error.commands = opened.here(error.commands)
            raise


def _refuse_unheeded() -> None:
    context = click.get_current_context()
    named = os.environ.get("LANCIO_USER", "").strip()
    if not named or any("--as" in each.opts for each in context.command.params):
        return
    from lancio.registry.acting import shown

    command = context.command_path
    arguments = [
        f" {each.make_metavar(context)}" for each in context.command.params if isinstance(each, click.Argument)
    ]
    raise UsageError(
        f"{command} is the operator's, and LANCIO_USER is set",
        cause=f"It cannot act with the rights of {shown(named)}: it would act with all there are.",
        remedy="If you are the operator, run it without LANCIO_USER.",
        commands=(f"LANCIO_USER= {command}{''.join(arguments)}",),
    )


def actor(context: click.Context, connection: psycopg.Connection[Any]) -> Actor:
    """The user that --as names, or the operator.

    Raises:
        ActingRefused: there is no such user, or this login may not say who acts.
    """
    from lancio.registry import acting

    named = context.meta.get(AS)
    return acting.operator() if named is None else acting.user_actor(connection, named)


@contextlib.contextmanager
def work(
    context: click.Context,
    opened: Session,
    *,
    organization: str | None = None,
    dry_run: bool = False,
    works_as: str | None = None,
    deleted: bool = False,
) -> Iterator[Acting]:
    """The transaction of this command in its organization; taken back at its end for a `dry_run`.

    Raises:
        UsageError: no organization is named, and there is not one alone.
        ActingRefused: as `registry.acting.acting`.
    """
    import psycopg

    from lancio.registry import acting

    if organization is not None and not organization.strip():
        raise UsageError(
            "no organization is named",
            cause="An empty text names nothing: perhaps a variable of the shell is not set.",
            remedy="Name it by its slug.",
            commands=("lancio org list",),
        )
    who = actor(context, opened.connection)
    named = organization or context.meta.get(ORGANIZATION) or _only(opened.connection, who)
    with acting.acting(
        opened.connection, who, organization=named, works_as=works_as or acting.APPLICATION, deleted=deleted
    ) as found:
        yield found
        if dry_run:
            raise psycopg.Rollback


@contextlib.contextmanager
def operating(opened: Session, *, dry_run: bool = False) -> Iterator[None]:
    """As `registry.acting.operating`; taken back at its end for a `dry_run`."""
    import psycopg

    from lancio.registry import acting

    with acting.operating(opened.connection):
        yield
        if dry_run:
            raise psycopg.Rollback


def _only(connection: psycopg.Connection[Any], who: Actor) -> str:
    from lancio.registry import acting, organizations

    with acting.belonging(connection, who):
        found = organizations.page(connection, limit=5)
    if len(found.rows) == 1:
        return found.rows[0].slug
    if not found.rows:
        raise UsageError(
            "there is no organization" if who.kind != "user" else f"{who.said} belongs to no organization",
            cause="Projects, members and databases belong to one.",
            remedy="Make one, or accept an invitation." if who.kind == "user" else "Make one.",
            commands=("lancio org add SLUG --owner EMAIL",),
        )
    slugs = [each.slug for each in found.rows]
    raise UsageError(
        "no organization is named",
        cause=f"There are several: {', '.join(slugs)}{' and more' if found.next else ''}.",
        remedy="Name one by --org, or by LANCIO_ORG.",
        commands=(f"export LANCIO_ORG={slugs[0]}",),
    )


# --- output -----------------------------------------------------------------------------------------------------------


def columns(terminal: Terminal) -> int | None:
    """The terminal's own columns; None where stdout is none, and nothing is cut."""
    return shutil.get_terminal_size().columns if terminal.out.isatty() else None


def moment(at: datetime | None) -> str:
    """`2026-11-26 20:15`, in UTC; nothing for none."""
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def utc(at: datetime | None) -> str | None:
    """The same with UTC behind it; None for none."""
    return None if at is None else f"{moment(at)} UTC"
