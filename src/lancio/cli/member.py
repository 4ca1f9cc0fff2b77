"""`lancio member`: who belongs to an organization, and as what."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from lancio.cli import acting as cli_acting
from lancio.cli import asked
from lancio.cli.options import duration, terminal_of
from lancio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lancio.registry.members import Invitation, Member

ROLES = ("owner", "admin", "developer", "billing", "read_only")
"""`registry.rights.ROLES`; written again, because a command line is parsed before anything heavy is imported."""


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    return cli_acting.org_option(cli_acting.common(command))


def _membership(command: Callable[..., Any]) -> Callable[..., Any]:
    """EMAIL, what the member is, and where."""
    for option in (
        click.option("--project", "of_projects", metavar="SLUG", multiple=True,
                     help="Only in this project; may be given again.  [default: in all]"),
        click.argument("as_role", metavar="[ROLE]", type=click.Choice(ROLES), default="developer"),
        click.argument("email", metavar="EMAIL"),
    ):  # fmt: skip
        command = option(command)
    return command


@click.group(
    epilog="""\b
Examples:
  lancio member invite bob@example.com developer --org acme
  lancio member accept --as bob@example.com
  lancio member list --org acme
  lancio member role bob@example.com admin --org acme
"""
)
def member() -> None:
    """Add, invite, show, change and remove the members of an organization.

    ROLE is owner, who may everything; admin, all but what concerns owners, the plan and the end of the organization;
    developer, who works with databases and API keys; billing, who takes plans; or read_only, who looks.
    """


@member.command(
    name="list",
    epilog="""\b
Examples:
  lancio member list --org acme
  lancio member list --org acme --only owner
  lancio member list --org acme --invitations
""",
)
@click.option("--only", metavar="ROLE", type=click.Choice(ROLES), help="Only those of this role.")
@click.option("--invitations", is_flag=True, help="The open invitations instead.")
@click.option("--all", "all_", is_flag=True, help="With --invitations: those too that are no longer open.")
@cli_acting.paged
@_common
@click.pass_context
def list_(
    context: click.Context, only: str | None, invitations: bool, all_: bool, limit: int, after: str | None,
    database: str | None, role: str | None, json_: bool,
) -> None:  # fmt: skip
    """List the members of an organization, those who came first before; or its invitations."""
    from lancio.registry import members
    from lancio.registry.pages import Page

    del json_
    cli_acting.reads(context)
    with cli_acting.session(database, role) as session, cli_acting.work(context, session) as work:
        if invitations:
            invited: Page[Invitation] = Page(members.invitations(work, all_=all_), None)
        else:
            page = members.page(work, role=only, after=after, limit=limit)
    if invitations:
        now = datetime.now(UTC)
        cli_acting.show_page(
            context, invited, name="invitations", heading=("EMAIL", "ROLE", "STATE", "INVITED", "EXPIRES"),
            row=lambda each: (
                each.email, each.role, each.state(now), cli_acting.moment(each.invited_at),
                cli_acting.moment(each.expires_at),
            ),
            cut=(0,), none="No invitation.",
            plain=lambda each: {**cli_acting.with_version(each), "state": each.state(now)},
        )  # fmt: skip
        return
    cli_acting.show_page(
        context, page, name="members", heading=("EMAIL", "ROLE", "PROJECTS", "SINCE"),
        row=lambda each: (each.said, each.role, _where(each), f"{each.created_at:%Y-%m-%d}"),
        cut=(0, 2), none="No member.",
    )  # fmt: skip


def _where(of: Member) -> str:
    return "all" if of.projects is None else ", ".join(of.projects) or "none that is there"


@member.command(
    epilog="""\b
Examples:
  lancio member add bob@example.com developer --org acme
  lancio member add eve@example.com read_only --project shop --org acme
""",
)
@_membership
@cli_acting.changes
@_common
@click.pass_context
def add(
    context: click.Context, email: str, as_role: str, of_projects: tuple[str, ...], dry_run: bool, yes: bool,
    database: str | None, role: str | None, json_: bool,
) -> None:  # fmt: skip
    """Make a user a member at once; `invite` asks the user first."""
    from lancio.registry import members

    del yes, json_
    with cli_acting.session(database, role) as session, cli_acting.work(context, session, dry_run=dry_run) as work:
        made = members.add(work, email, as_role, of_projects=of_projects or None)
        of = work.slug
    said = cli_acting.done(f"{made.said} is {_a(made.role)} of {of}{_in(made)}.", dry_run=dry_run)
    cli_acting.show_one(context, said, cli_acting.with_version(made))


def _a(role: str) -> str:
    return {"owner": "an owner", "admin": "an admin", "developer": "a developer"}.get(role, f"a {role} member")


def _in(of: Member) -> str:
    return "" if of.projects is None else f", in {', '.join(of.projects)} alone"


@member.command(
    epilog="""\b
Examples:
  lancio member invite bob@example.com developer --org acme
  lancio member invite bob@example.com --expires 24h --org acme > token
""",
)
@_membership
@click.option("--expires", metavar="TIME", default="7d", show_default=True,
              help="How long it is good: 30m, 24h, 7d.")  # fmt: skip
@cli_acting.changes
@_common
@click.pass_context
def invite(
    context: click.Context, email: str, as_role: str, of_projects: tuple[str, ...], expires: str, dry_run: bool,
    yes: bool, database: str | None, role: str | None, json_: bool,
) -> None:  # fmt: skip
    """Invite an address. The token is printed once and not kept: hand it on, over a way that only they read.

    An invitation that was open for the same address is revoked.
    """
    from lancio.registry import members
    from lancio.render import json

    del yes, json_
    terminal = terminal_of(context)
    lasts = lasting("--expires", expires)
    with cli_acting.session(database, role) as session, cli_acting.work(context, session, dry_run=dry_run) as work:
        made, token = members.invite(work, email, as_role, of_projects=of_projects or None, lasts=lasts)
        of = work.slug
    if terminal.json:
        shown = None if dry_run else token.reveal()
        terminal.data(json.document({**cli_acting.with_version(made), "token": shown}))
        return
    until = f"until {cli_acting.moment(made.expires_at)} UTC"
    said = f"Invited {made.email} to {of} as {_a(made.role)}, {until}."
    terminal.talk(cli_acting.done(said, dry_run=dry_run))
    if not dry_run:
        command = f"lancio member accept --as {shlex.quote(made.email)}"
        terminal.talk(f"They accept it with `{command}` and this token, shown once:")
        terminal.data(f"{token.reveal()}\n")


def lasting(option: str, text: str) -> timedelta:
    """A time that a person wrote as `30m`, `24h` or `90d`.

    Raises:
        UsageError: it is none.
    """
    given = text.strip()
    if given.endswith("d") and given[:-1].isdecimal() and len(given) <= 6:
        return timedelta(days=int(given[:-1]))
    try:
        return timedelta(seconds=duration(option, given))
    except UsageError:
        raise UsageError(
            f"{option} {text[:40]!r} is no time",
            cause="It takes a number with m, h or d behind it.",
            remedy=f"Write it as {option} 24h or 7d.",
        ) from None


@member.command(
    epilog="""\b
Examples:
  lancio member accept --as bob@example.com
  lancio member accept --as bob@example.com --token-file token
""",
)
@click.option("--token-file", metavar="FILE", help="The file that holds the token; - is stdin.  [default: it is asked]")
@cli_acting.changes
@cli_acting.common
@click.pass_context
def accept(
    context: click.Context, token_file: str | None, dry_run: bool, yes: bool, database: str | None, role: str | None,
    json_: bool,
) -> None:  # fmt: skip
    """Accept an invitation, as the user that it was made for."""
    from lancio.registry import members

    del yes, json_
    with cli_acting.session(database, role) as session:
        who = cli_acting.actor(context, session.connection)
        if who.kind != "user":
            raise UsageError(
                "an invitation is accepted by a user",
                cause="The operator is no member of organizations.",
                remedy="Say who accepts it.",
                commands=("lancio member accept --as EMAIL",),
            )
        token = asked.secret(terminal_of(context), "Token", token_file, option="--token-file")
        with cli_acting.operating(session, dry_run=dry_run):
            of, made = members.accept(session.connection, who, token)
    said = cli_acting.done(f"{made.said} is {_a(made.role)} of {of}{_in(made)}.", dry_run=dry_run)
    cli_acting.show_one(context, said, {**cli_acting.with_version(made), "organization": of})


@member.command(
    epilog="""\b
Examples:
  lancio member uninvite bob@example.com --org acme
""",
)
@click.argument("email", metavar="EMAIL")
@cli_acting.changes
@_common
@click.pass_context
def uninvite(
    context: click.Context, email: str, dry_run: bool, yes: bool, database: str | None, role: str | None, json_: bool
) -> None:
    """Take an open invitation back: its token is good for nothing."""
    from lancio.registry import members

    del yes, json_
    with cli_acting.session(database, role) as session, cli_acting.work(context, session, dry_run=dry_run) as work:
        ended = members.revoke(work, email)
        of = work.slug
    said = cli_acting.done(f"Took back the invitation of {ended.email} to {of}.", dry_run=dry_run)
    cli_acting.show_one(context, said, cli_acting.with_version(ended))


@member.command(
    epilog="""\b
Examples:
  lancio member role bob@example.com admin --org acme
  lancio member role eve@example.com developer --project shop --project api --org acme
  lancio member role eve@example.com --all-projects --org acme
""",
)
@click.argument("email", metavar="EMAIL")
@click.argument("as_role", metavar="[ROLE]", type=click.Choice(ROLES), required=False)
@click.option("--project", "of_projects", metavar="SLUG", multiple=True,
              help="From now on only in this project; may be given again.")  # fmt: skip
@click.option("--all-projects", "everywhere", is_flag=True, help="From now on in all projects.")
@cli_acting.if_version
@cli_acting.changes
@_common
@click.pass_context
def role(
    context: click.Context, email: str, as_role: str | None, of_projects: tuple[str, ...], everywhere: bool,
    version: int | None, dry_run: bool, yes: bool, database: str | None, role: str | None, json_: bool,
) -> None:  # fmt: skip
    """Change what a member may do, and in which projects. The last owner stays one."""
    from lancio.registry import members

    del yes, json_
    if of_projects and everywhere:
        raise UsageError(
            "--project and --all-projects are both given", cause="They contradict each other.", remedy="Give one."
        )
    if as_role is None and not of_projects and not everywhere:
        raise UsageError(
            "there is nothing to change",
            cause="Neither a role nor projects are named.",
            remedy="Name what is to be another.",
            commands=(f"{context.command_path} --help",),
        )
    with cli_acting.session(database, role) as session, cli_acting.work(context, session, dry_run=dry_run) as work:
        after = members.change(
            work, email, as_role, of_projects=of_projects or None, everywhere=everywhere, version=version
        )
        of = work.slug
    said = cli_acting.done(f"{after.said} is {_a(after.role)} of {of}{_in(after)}.", dry_run=dry_run)
    cli_acting.show_one(context, said, cli_acting.with_version(after))


@member.command(
    epilog="""\b
Examples:
  lancio member remove bob@example.com --org acme
""",
)
@click.argument("email", metavar="EMAIL")
@cli_acting.changes
@_common
@click.pass_context
def remove(
    context: click.Context, email: str, dry_run: bool, yes: bool, database: str | None, role: str | None, json_: bool
) -> None:
    """Take a member out; the member's API keys here are revoked. The last owner stays, and everybody may leave."""
    from lancio.registry import members
    from lancio.render.lines import counted

    del yes, json_
    with cli_acting.session(database, role) as session, cli_acting.work(context, session, dry_run=dry_run) as work:
        before, keys = members.remove(work, email)
        of = work.slug
    said = f"{before.said} is no member of {of} any more."
    if keys:
        said += f" {counted(keys, 'API key')} revoked."
    said = cli_acting.done(said, dry_run=dry_run)
    cli_acting.show_one(context, said, {**cli_acting.with_version(before), "api_keys_revoked": keys})
