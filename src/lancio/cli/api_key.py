"""`lancio api-key`, `lancio key` for short: by which programs get in. (`lancio keys` are those that seal.)"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lancio.cli import acting as cli_acting
from lancio.cli.member import lasting
from lancio.cli.options import json_option, terminal_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from lancio.registry.api_keys import ApiKey


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    return cli_acting.org_option(cli_acting.common(command))


@click.group(
    epilog="""\b
Examples:
  lancio api-key add deploy --scope database.read --scope database.open --org acme
  lancio api-key list --org acme
  lancio api-key revoke deploy --org acme
"""
)
def api_key() -> None:
    """Make, show and revoke API keys: by which programs act in an organization. `lancio key` is the same command.

    Not to be confused with `lancio keys`: those are the encryption keys that secrets are sealed with.
    """


@api_key.command(
    name="list",
    epilog="""\b
Examples:
  lancio api-key list --org acme
  lancio api-key list --org acme --all --json
""",
)
@click.option("--project", "of_project", metavar="SLUG", help="Only those that are limited to this project.")
@click.option("--all", "all_", is_flag=True, help="Those too that were revoked or have expired.")
@cli_acting.paged
@_common
@click.pass_context
def list_(
    context: click.Context, of_project: str | None, all_: bool, limit: int, after: str | None, database: str | None,
    role: str | None, json_: bool,
) -> None:  # fmt: skip
    """List the API keys of an organization; of each only what tells it from others is known."""
    from lancio.registry import api_keys

    del json_
    cli_acting.reads(context)
    with cli_acting.session(database, role) as session, cli_acting.work(context, session) as work:
        page = api_keys.page(work, project=of_project, all_=all_, after=after, limit=limit)
    cli_acting.show_page(
        context, page, name="api_keys", heading=("NAME", "KEY", "SCOPES", "PROJECT", "LAST USED", "STATE"),
        row=lambda each: (
            each.name, _key(each), ", ".join(each.scopes), each.project or "all",
            cli_acting.moment(each.last_used_at) or "never", each.state,
        ),
        cut=(0, 2, 3), none="No API key.", plain=_plain,
    )  # fmt: skip


def _key(of: ApiKey) -> str:
    return f"{of.prefix}…{of.last4}"


def _plain(of: ApiKey) -> dict[str, Any]:
    found = {**cli_acting.with_version(of), "state": of.state}
    del found["expired"]
    return found


@api_key.command(
    epilog="""\b
Examples:
  lancio api-key show deploy --org acme
""",
)
@click.argument("name", metavar="NAME")
@_common
@click.pass_context
def show(context: click.Context, name: str, database: str | None, role: str | None, json_: bool) -> None:
    """Show an API key by its name, or by what stands before its second underscore."""
    from lancio.registry import api_keys

    del json_
    cli_acting.reads(context)
    with cli_acting.session(database, role) as session, cli_acting.work(context, session) as work:
        found = api_keys.one(work, name)
        people = work.emails([each for each in (found.user_id,) if each is not None])
    whose = "the operator's: its scopes alone" if found.user_id is None else people.get(found.user_id, "a member's")
    lines = [
        ("key", _key(found)),
        ("scopes", ", ".join(found.scopes)),
        ("project", found.project or "all"),
        ("rights of", whose),
        ("made", f"{cli_acting.moment(found.created_at)} UTC"),
        ("last used", f"{cli_acting.moment(found.last_used_at)} UTC" if found.last_used_at else "never"),
        ("expires", f"{cli_acting.moment(found.expires_at)} UTC" if found.expires_at else "never"),
        ("revoked", cli_acting.utc(found.revoked_at)),
    ]
    cli_acting.show_one(context, f"{found.name}: {found.state}", _plain(found), lines)


@api_key.command(
    epilog="""\b
Examples:
  lancio api-key add deploy --scope database.read --scope database.open --org acme
  lancio api-key add ci --scope database.test --project shop --expires 90d --org acme > key
""",
)
@click.argument("name", metavar="NAME")
@click.option("--scope", "scopes", metavar="ACTION", multiple=True,
              help="What it may do; may be given again. `lancio api-key scopes` lists them.")  # fmt: skip
@click.option("--project", "of_project", metavar="SLUG", help="Only in this project.  [default: in all]")
@click.option("--expires", metavar="TIME", help="How long it is good: 24h, 90d.  [default: until it is revoked]")
@cli_acting.changes
@_common
@click.pass_context
def add(
    context: click.Context, name: str, scopes: tuple[str, ...], of_project: str | None, expires: str | None,
    dry_run: bool, yes: bool, database: str | None, role: str | None, json_: bool,
) -> None:  # fmt: skip
    """Make an API key. It is printed once and not kept; with --as it does no more than that user may."""
    from lancio.registry import api_keys
    from lancio.render import json

    del yes, json_
    terminal = terminal_of(context)
    lasts = None if expires is None else lasting("--expires", expires)
    with cli_acting.session(database, role) as session, cli_acting.work(context, session, dry_run=dry_run) as work:
        made, token = api_keys.add(work, name, scopes, project=of_project, lasts=lasts)
        of = work.slug
    if terminal.json:
        terminal.data(json.document({**_plain(made), "token": None if dry_run else token.reveal()}))
        return
    said = f"Made the API key {made.name} of {of}, for {', '.join(made.scopes)}."
    terminal.talk(cli_acting.done(said, dry_run=dry_run))
    if not dry_run:
        terminal.talk("It is shown once:")
        terminal.data(f"{token.reveal()}\n")


@api_key.command(
    epilog="""\b
Examples:
  lancio api-key revoke deploy --org acme
""",
)
@click.argument("name", metavar="NAME")
@cli_acting.changes
@_common
@click.pass_context
def revoke(
    context: click.Context, name: str, dry_run: bool, yes: bool, database: str | None, role: str | None, json_: bool
) -> None:
    """End an API key: at once, and for good."""
    from lancio.registry import api_keys

    del yes, json_
    with cli_acting.session(database, role) as session, cli_acting.work(context, session, dry_run=dry_run) as work:
        after = api_keys.revoke(work, name)
    said = cli_acting.done(f"Revoked the API key {after.name}.", dry_run=dry_run)
    cli_acting.show_one(context, said, _plain(after))


@api_key.command(
    epilog="""\b
Examples:
  lancio api-key scopes
""",
)
@json_option
@click.pass_context
def scopes(context: click.Context, json_: bool) -> None:
    """List what an API key can be for, and which roles may give it. No database is asked."""
    from lancio.registry import rights
    from lancio.render import json, table

    terminal = terminal_of(context)
    if json_:
        terminal.data(
            json.document({name: {"says": each.says, "roles": each.roles} for name, each in rights.ACTIONS.items()})
        )
        return
    rows = [
        ("SCOPE", "TO", "ROLES"),
        *((name, each.says, ", ".join(each.roles)) for name, each in rights.ACTIONS.items()),
    ]
    terminal.data(table.fitted(rows, cli_acting.columns(terminal), cut=(2, 1)))
