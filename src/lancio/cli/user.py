"""`lancio user`: who can act at all. The operator keeps them; everybody may change the own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lancio.cli import acting, asked
from lancio.cli.call import Call, takes, with_version
from lancio.cli.org import changed

if TYPE_CHECKING:
    from collections.abc import Callable

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


def _password(call: Call, asks: bool, file: str | None) -> Secret | None:
    if not asks and file is None:
        return None
    return asked.secret(call.terminal, "Password", file, option="--password-file", twice=True)


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
@acting.paged
@takes
def list_(call: Call, like: str | None, disabled: bool | None, limit: int, after: str | None) -> None:
    """List the users of the platform; a user sees the own row."""
    from lancio.registry import users

    with call.choosing() as (connection, _):
        page = users.page(connection, like=like, disabled=disabled, after=after, limit=limit)
    call.page(
        page, name="users", heading=("EMAIL", "NAME", "PASSWORD", "STATE", "ADDED"),
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
@takes
def show(call: Call, email: str) -> None:
    """Show a user, and the organizations that the user belongs to."""
    from lancio.registry import users

    with call.choosing() as (connection, _):
        found = users.named(connection, email)
        belongs = users.organizations(connection, found)
    value = {**with_version(found), "organizations": [with_version(each) for each in belongs]}
    call.one(found.email, value, _lines(found, belongs))


def _lines(found: User, belongs: tuple[Belonging, ...] = ()) -> list[tuple[str, str | None]]:
    return [
        ("name", found.name),
        ("user name", found.username),
        ("password", "set" if found.has_password else "none"),
        ("second factor", "yes" if found.mfa_enabled else None),
        ("signed in", acting.utc(found.last_sign_in_at)),
        ("added", acting.utc(found.created_at)),
        ("disabled", acting.utc(found.disabled_at)),
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
@acting.changes
@takes
def add(call: Call, email: str, asks: bool, password_file: str | None, **fields: str | None) -> None:
    """Add a user. The password is kept as its argon2id hash; without one nobody signs in as the user yet."""
    from lancio.registry import users

    password = _password(call, asks, password_file)
    with call.operating() as (connection, who):
        made = users.add(connection, who, email=email, password=password, **fields)
    call.done(f"Added {made.email}{'' if password else ', without a password'}.", made)


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
@acting.if_version
@acting.changes
@takes
def update(
    call: Call, /, email: str, new_email: str | None, asks: bool, password_file: str | None, version: int | None,
    **given: Any,
) -> None:  # fmt: skip
    """Change a user; an empty value takes one away. Another password ends the user's sessions."""
    from lancio.registry import users

    password = _password(call, asks, password_file)
    changes = changed(call, {**given, "email": new_email}, besides=password is not None)
    with call.operating() as (connection, who):
        after = users.update(connection, who, email, changes, password=password, version=version)
    call.done(f"Changed {after.email}.", after, _lines(after))


@user.command(
    epilog="""\b
Examples:
  lancio user disable ada@example.com
""",
)
@click.argument("email", metavar="EMAIL")
@acting.changes
@takes
def disable(call: Call, email: str) -> None:
    """Let a user act nowhere any more: sessions end, API keys with the user's rights open nothing."""
    from lancio.registry import users

    with call.operating() as (connection, who):
        after, alone = users.disable(connection, who, email)
    call.done(f"Disabled {after.email}.", {**with_version(after), "owned_alone": list(alone)})
    if alone:
        call.talk(f"Nobody else owns {', '.join(alone)}: make another member an owner there.")


@user.command(
    epilog="""\b
Examples:
  lancio user enable ada@example.com
""",
)
@click.argument("email", metavar="EMAIL")
@acting.changes
@takes
def enable(call: Call, email: str) -> None:
    """Let a disabled user act again."""
    from lancio.registry import users

    with call.operating() as (connection, who):
        after = users.enable(connection, who, email)
    call.done(f"Enabled {after.email}.", after)
