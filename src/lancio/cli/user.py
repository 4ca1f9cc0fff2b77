"""`lancio user`: who can act at all. The operator keeps them; everybody may change the own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lancio.cli import acting as cli_acting
from lancio.cli import asked
from lancio.cli.options import terminal_of
from lancio.cli.org import nothing_to_change

if TYPE_CHECKING:
    from collections.abc import Callable

    from lancio.cli.terminal import Terminal
    from lancio.registry.secrets import Secret
    from lancio.registry.users import Belonging, User


def _fields(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--password-file", metavar="FILE", help="The file that holds the password; - is stdin."),
        click.option("--password", "asks", is_flag=True, help="Ask for a password, or take it from stdin."),
        click.option("--username", metavar="NAME", help="The user's name on the platform."),
        click.option("--last-name", metavar="NAME", help="The last name."),
        click.option("--first-name", metavar="NAME", help="The first name."),
    ):
        command = option(command)
    return command


def _password(terminal: Terminal, asks: bool, file: str | None) -> Secret | None:
    if not asks and file is None:
        return None
    return asked.secret(terminal, "Password", file, option="--password-file", twice=True)


@click.group(
    epilog="""\b
Examples:
  lancio user add ada@example.com --first-name Ada --last-name Lovelace --password
  lancio user list --like ada
  lancio user show ada@example.com
  lancio user disable ada@example.com
"""
)
def user() -> None:
    """Add, show, change, disable and enable users.

    A user belongs to no organization by itself: `lancio member` makes members of users.
    """


@user.command(
    name="list",
    epilog="""\b
Examples:
  lancio user list
  lancio user list --like example.com --json
""",
)
@click.option("--like", metavar="TEXT", help="Only those whose address or name has this in it.")
@click.option("--disabled/--enabled", "disabled", default=None, help="Only those who are disabled, or not.")
@cli_acting.paged
@cli_acting.common
@click.pass_context
def list_(
    context: click.Context, like: str | None, disabled: bool | None, limit: int, after: str | None,
    database: str | None, role: str | None, json_: bool,
) -> None:  # fmt: skip
    """List the users of the platform; a user sees the own row."""
    from lancio.registry import acting, users

    del json_
    cli_acting.reads(context)
    with cli_acting.session(database, role) as session:
        who = cli_acting.actor(context, session.connection)
        with acting.belonging(session.connection, who):
            page = users.page(session.connection, like=like, disabled=disabled, after=after, limit=limit)
    cli_acting.show_page(
        context, page, name="users", heading=("EMAIL", "NAME", "PASSWORD", "STATE", "ADDED"),
        row=lambda each: (
            each.email, each.name or each.username or "-", "yes" if each.has_password else "no", _state(each),
            f"{each.created_at:%Y-%m-%d}",
        ),
        cut=(0, 1), none="No user." if like is None else "No user is called so.",
    )  # fmt: skip


def _state(of: User) -> str:
    return "enabled" if of.disabled_at is None else "disabled"


@user.command(
    epilog="""\b
Examples:
  lancio user show ada@example.com
""",
)
@click.argument("email", metavar="EMAIL")
@cli_acting.common
@click.pass_context
def show(context: click.Context, email: str, database: str | None, role: str | None, json_: bool) -> None:
    """Show a user, and the organizations that the user belongs to."""
    from lancio.registry import acting, users

    del json_
    cli_acting.reads(context)
    with cli_acting.session(database, role) as session:
        who = cli_acting.actor(context, session.connection)
        with acting.belonging(session.connection, who):
            found = users.named(session.connection, email)
            belongs = users.organizations(session.connection, found)
    value = {**cli_acting.with_version(found), "organizations": [cli_acting.with_version(each) for each in belongs]}
    cli_acting.show_one(context, found.email, value, _lines(found, belongs))


def _lines(found: User, belongs: tuple[Belonging, ...] = ()) -> list[tuple[str, str | None]]:
    return [
        ("name", found.name),
        ("user name", found.username),
        ("password", "set" if found.has_password else "none"),
        ("second factor", "yes" if found.mfa_enabled else None),
        ("signed in", cli_acting.utc(found.last_sign_in_at)),
        ("added", f"{cli_acting.moment(found.created_at)} UTC"),
        ("disabled", cli_acting.utc(found.disabled_at)),
        *((f"{each.role} of", each.slug) for each in belongs),
    ]


@user.command(
    epilog="""\b
Examples:
  lancio user add ada@example.com --first-name Ada --last-name Lovelace
  lancio user add ada@example.com --password-file - < password
""",
)
@click.argument("email", metavar="EMAIL")
@_fields
@cli_acting.changes
@cli_acting.common
@click.pass_context
def add(
    context: click.Context, email: str, first_name: str | None, last_name: str | None, username: str | None,
    asks: bool, password_file: str | None, dry_run: bool, yes: bool, database: str | None, role: str | None,
    json_: bool,
) -> None:  # fmt: skip
    """Add a user. The password is kept as its argon2id hash; without one nobody signs in as the user yet."""
    from lancio.registry import users

    del yes, json_
    password = _password(terminal_of(context), asks, password_file)
    with cli_acting.session(database, role) as session:
        who = cli_acting.actor(context, session.connection)
        with cli_acting.operating(session, dry_run=dry_run):
            made = users.add(
                session.connection, who, email=email, username=username, first_name=first_name, last_name=last_name,
                password=password,
            )  # fmt: skip
    said = f"Added {made.email}{'' if password else ', without a password'}."
    cli_acting.show_one(context, cli_acting.done(said, dry_run=dry_run), cli_acting.with_version(made))


@user.command(
    epilog="""\b
Examples:
  lancio user update ada@example.com --email ada@example.org
  lancio user update ada@example.com --password
  lancio user update ada@example.com --as ada@example.com --last-name King
""",
)
@click.argument("email", metavar="EMAIL")
@click.option("--email", "new_email", metavar="EMAIL", help="Another address.")
@_fields
@cli_acting.if_version
@cli_acting.changes
@cli_acting.common
@click.pass_context
def update(
    context: click.Context, /, email: str, new_email: str | None, asks: bool, password_file: str | None,
    version: int | None, dry_run: bool, yes: bool, database: str | None, role: str | None, json_: bool, **given: Any,
) -> None:  # fmt: skip
    """Change a user; an empty value takes one away. Another password ends the user's sessions."""
    from lancio.registry import users

    del yes, json_
    changes = {name: value for name, value in {**given, "email": new_email}.items() if value is not None}
    password = _password(terminal_of(context), asks, password_file)
    if not changes and password is None:
        raise nothing_to_change(context)
    with cli_acting.session(database, role) as session:
        who = cli_acting.actor(context, session.connection)
        with cli_acting.operating(session, dry_run=dry_run):
            after = users.update(session.connection, who, email, changes, password=password, version=version)
    said = cli_acting.done(f"Changed {after.email}.", dry_run=dry_run)
    cli_acting.show_one(context, said, cli_acting.with_version(after), _lines(after))


@user.command(
    epilog="""\b
Examples:
  lancio user disable ada@example.com
""",
)
@click.argument("email", metavar="EMAIL")
@cli_acting.changes
@cli_acting.common
@click.pass_context
def disable(
    context: click.Context, email: str, dry_run: bool, yes: bool, database: str | None, role: str | None, json_: bool
) -> None:
    """Let a user act nowhere any more: sessions end, API keys with the user's rights open nothing."""
    from lancio.registry import users

    del yes, json_
    with cli_acting.session(database, role) as session:
        who = cli_acting.actor(context, session.connection)
        with cli_acting.operating(session, dry_run=dry_run):
            after, alone = users.disable(session.connection, who, email)
    said = cli_acting.done(f"Disabled {after.email}.", dry_run=dry_run)
    cli_acting.show_one(context, said, {**cli_acting.with_version(after), "owned_alone": list(alone)})
    if alone and not terminal_of(context).json:
        terminal_of(context).talk(f"Nobody else owns {', '.join(alone)}: make another member an owner there.")


@user.command(
    epilog="""\b
Examples:
  lancio user enable ada@example.com
""",
)
@click.argument("email", metavar="EMAIL")
@cli_acting.changes
@cli_acting.common
@click.pass_context
def enable(
    context: click.Context, email: str, dry_run: bool, yes: bool, database: str | None, role: str | None, json_: bool
) -> None:
    """Let a disabled user act again."""
    from lancio.registry import users

    del yes, json_
    with cli_acting.session(database, role) as session:
        who = cli_acting.actor(context, session.connection)
        with cli_acting.operating(session, dry_run=dry_run):
            after = users.enable(session.connection, who, email)
    said = cli_acting.done(f"Enabled {after.email}.", dry_run=dry_run)
    cli_acting.show_one(context, said, cli_acting.with_version(after))
