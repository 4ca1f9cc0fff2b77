"""`lancio api-key`, `lancio key` for short: by which programs get in. (`lancio keys` are those that seal.)"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lancio.cli import acting
from lancio.cli.alike import Alike
from lancio.cli.call import Call, takes, with_version
from lancio.cli.member import lasting
from lancio.cli.options import json_option, terminal_of

if TYPE_CHECKING:
    from lancio.registry.api_keys import ApiKey


@click.group(
    cls=Alike,
    like=("keys", "The keys that secrets are sealed with"),
    epilog="""\b
Examples:
  lancio api-key add deploy --scope database.read --scope database.open --org acme
  lancio api-key list --org acme
  lancio api-key revoke deploy --org acme
""",
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
@acting.paged
@acting.org_option
@takes
def list_(call: Call, of_project: str | None, all_: bool, limit: int, after: str | None) -> None:
    """List the API keys of an organization; of each only what tells it from others is known."""
    from lancio.registry import api_keys

    with call.work() as work:
        page = api_keys.page(work, project=of_project, all_=all_, after=after, limit=limit)
    call.page(
        page, name="api_keys", heading=("NAME", "KEY", "SCOPES", "PROJECT", "LAST USED", "STATE"),
        row=lambda each: (
            each.name, _key(each), ", ".join(each.scopes), each.project or "all",
            acting.moment(each.last_used_at) or "never", each.state,
        ),
        cut=(0, 2, 3), none="No API key.", plain=_plain,
    )  # fmt: skip


def _key(of: ApiKey) -> str:
    return f"{of.prefix}…{of.last4}"


def _plain(of: ApiKey) -> dict[str, Any]:
    found = {**with_version(of), "state": of.state}
    del found["expired"]
    return found


@api_key.command(
    epilog="""\b
Examples:
  lancio api-key show deploy --org acme
""",
)
@click.argument("name", metavar="NAME")
@acting.org_option
@takes
def show(call: Call, name: str) -> None:
    """Show an API key by its name, or by what stands before its second underscore."""
    from lancio.registry import api_keys

    with call.work() as work:
        found = api_keys.one(work, name)
        people = work.emails([each for each in (found.user_id,) if each is not None])
    whose = "the operator's: its scopes alone" if found.user_id is None else people.get(found.user_id, "a member's")
    lines = [
        ("key", _key(found)),
        ("scopes", ", ".join(found.scopes)),
        ("project", found.project or "all"),
        ("rights of", whose),
        ("made", acting.utc(found.created_at)),
        ("last used", acting.utc(found.last_used_at) or "never"),
        ("expires", acting.utc(found.expires_at) or "never"),
        ("revoked", acting.utc(found.revoked_at)),
    ]
    call.one(f"{found.name}: {found.state}", _plain(found), lines)


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
@acting.changes
@acting.org_option
@takes
def add(call: Call, name: str, scopes: tuple[str, ...], of_project: str | None, expires: str | None) -> None:
    """Make an API key. It is printed once and not kept; with --as it does no more than that user may."""
    from lancio.registry import api_keys

    lasts = None if expires is None else lasting("--expires", expires)
    with call.work() as work:
        made, token = api_keys.add(work, name, scopes, project=of_project, lasts=lasts)
        of = work.slug
    said = f"Made the API key {made.name} of {of}, for {', '.join(made.scopes)}."
    call.once(said, _plain(made), token, "It is shown once:")


@api_key.command(
    epilog="""\b
Examples:
  lancio api-key revoke deploy --org acme
""",
)
@click.argument("name", metavar="NAME")
@acting.changes
@acting.org_option
@takes
def revoke(call: Call, name: str) -> None:
    """End an API key: at once, and for good."""
    from lancio.registry import api_keys

    with call.work() as work:
        after = api_keys.revoke(work, name)
    call.done(f"Revoked the API key {after.name}.", _plain(after))


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
    terminal.data(table.fitted(rows, acting.columns(terminal), cut=(2, 1)))
