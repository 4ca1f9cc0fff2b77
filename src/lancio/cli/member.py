"""`lancio member`: who belongs to an organization, and as what."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from lancio.cli import acting, asked
from lancio.cli.call import Call, takes, with_version
from lancio.cli.options import duration
from lancio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lancio.registry.members import Invitation, Member

ROLES = ("owner", "admin", "developer", "billing", "read_only")
"""`registry.rights.ROLES`; written again, because a command line is parsed before anything heavy is imported."""


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
@acting.paged
@acting.org_option
@takes
def list_(call: Call, only: str | None, invitations: bool, all_: bool, limit: int, after: str | None) -> None:
    """List the members of an organization, those who came first before; or its invitations."""
    from lancio.registry import members
    from lancio.registry.pages import Page

    if (invitations and (only or after)) or (all_ and not invitations):
        raise UsageError(
            "--invitations lists all of them" if invitations else "--all is for --invitations",
            cause="--only and --after are for members, --all for invitations.",
            remedy="Leave one of them out.",
            commands=("lancio member list --invitations --all", "lancio member list --only admin"),
        )
    with call.work() as work:
        if invitations:
            invited: Page[Invitation] = Page(members.invitations(work, all_=all_), None)
        else:
            page = members.page(work, role=only, after=after, limit=limit)
    if invitations:
        now = datetime.now(UTC)
        call.page(
        invited, name="invitations", heading=("EMAIL", "ROLE", "STATE", "INVITED", "EXPIRES"),
            row=lambda each: (
                each.email, each.role, each.state(now), acting.moment(each.invited_at),
                acting.moment(each.expires_at),
            ),
            cut=(0,), none="No invitation.",
            plain=lambda each: {**with_version(each), "state": each.state(now)},
        )  # fmt: skip
        return
    call.page(
        page, name="members", heading=("EMAIL", "ROLE", "PROJECTS", "SINCE"),
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
@acting.changes
@acting.org_option
@takes
def add(call: Call, email: str, as_role: str, of_projects: tuple[str, ...]) -> None:
    """Make a user a member at once; `invite` asks the user first."""
    from lancio.registry import members

    with call.work() as work:
        made = members.add(work, email, as_role, of_projects=of_projects or None)
        of = work.slug
    call.done(f"{made.said} is {_a(made.role)} of {of}{_in(made)}.", made)


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
@acting.changes
@acting.org_option
@takes
def invite(call: Call, email: str, as_role: str, of_projects: tuple[str, ...], expires: str) -> None:
    """Invite an address. The token is printed once and not kept: hand it on, over a way that only they read.

    An invitation that was open for the same address is revoked.
    """
    from lancio.registry import members

    lasts = lasting("--expires", expires)
    with call.work() as work:
        made, token = members.invite(work, email, as_role, of_projects=of_projects or None, lasts=lasts)
        of = work.slug
    said = f"Invited {made.email} to {of} as {_a(made.role)}, until {acting.utc(made.expires_at)}."
    command = f"lancio member accept --as {shlex.quote(made.email)}"
    call.once(said, with_version(made), token, f"They accept it with `{command}` and this token, shown once:")


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
@acting.changes
@takes
def accept(call: Call, token_file: str | None) -> None:
    """Accept an invitation, as the user that it was made for."""
    from lancio.registry import members

    with call.session():
        if call.actor().kind != "user":
            raise UsageError(
                "an invitation is accepted by a user",
                cause="The operator is no member of organizations.",
                remedy="Say who accepts it.",
                commands=("lancio member accept --as EMAIL",),
            )
        token = asked.secret(call.terminal, "Token", token_file, option="--token-file")
        with call.operating() as (connection, who):
            of, made = members.accept(connection, who, token)
    call.done(f"{made.said} is {_a(made.role)} of {of}{_in(made)}.", {**with_version(made), "organization": of})


@member.command(
    epilog="""\b
Examples:
  lancio member uninvite bob@example.com --org acme
""",
)
@click.argument("email", metavar="EMAIL")
@acting.changes
@acting.org_option
@takes
def uninvite(call: Call, email: str) -> None:
    """Take an open invitation back: its token is good for nothing."""
    from lancio.registry import members

    with call.work() as work:
        ended = members.revoke(work, email)
        of = work.slug
    call.done(f"Took back the invitation of {ended.email} to {of}.", ended)


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
@acting.if_version
@acting.changes
@acting.org_option
@takes
def role(
    call: Call, email: str, as_role: str | None, of_projects: tuple[str, ...], everywhere: bool, version: int | None
) -> None:
    """Change what a member may do, and in which projects. The last owner stays one."""
    from lancio.registry import members

    if of_projects and everywhere:
        raise UsageError(
            "--project and --all-projects are both given", cause="They contradict each other.", remedy="Give one."
        )
    if as_role is None and not of_projects and not everywhere:
        raise UsageError(
            "there is nothing to change",
            cause="Neither a role nor projects are named.",
            remedy="Name what is to be another.",
            commands=(f"{call.context.command_path} --help",),
        )
    with call.work() as work:
        after = members.change(
            work, email, as_role, of_projects=of_projects or None, everywhere=everywhere, version=version
        )
        of = work.slug
    call.done(f"{after.said} is {_a(after.role)} of {of}{_in(after)}.", after)


@member.command(
    epilog="""\b
Examples:
  lancio member remove bob@example.com --org acme
""",
)
@click.argument("email", metavar="EMAIL")
@acting.changes
@acting.org_option
@takes
def remove(call: Call, email: str) -> None:
    """Take a member out; the member's API keys here are revoked. The last owner stays, and everybody may leave."""
    from lancio.registry import members
    from lancio.render.lines import counted

    with call.work() as work:
        before, keys = members.remove(work, email)
        of = work.slug
    said = f"{before.said} is no member of {of} any more."
    if keys:
        said += f" {counted(keys, 'API key')} revoked."
    call.done(said, {**with_version(before), "api_keys_revoked": keys})
