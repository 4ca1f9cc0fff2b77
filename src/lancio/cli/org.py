"""`lancio org`: organizations, from the first owner to the end."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from lancio.cli import acting, asked
from lancio.cli.call import Call, takes, with_version
from lancio.cli.keys import kek_options, ring
from lancio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lancio.registry.organizations import Organization


def _fields(required: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in (
            click.option("--require-mfa/--no-require-mfa", "requires_mfa", default=None,
                         help="Whether its members are to have a second factor."),
            click.option("--size", metavar="TEXT", help="How many people it is, in words."),
            click.option("--kind", metavar="TEXT", help="What it is: company, team, …"),
            click.option("--billing-email", metavar="EMAIL", help="Where invoices go."),
            click.option("--name", metavar="NAME",
                         help="What people call it." + ("  [default: the slug]" if required else "")),
        ):  # fmt: skip
            command = option(command)
        return command

    return decorate


@click.group(
    epilog="""\b
Examples:
  lancio org add acme --name "Acme Inc." --owner ada@example.com
  lancio org list
  lancio org show acme
  lancio org remove acme
"""
)
def org() -> None:
    """Make, show, change, remove and bring back organizations.

    An organization has members, projects and databases, and sees no other's. Without --as the operator acts: who has
    the login of the platform's database.
    """


@org.command(
    name="list",
    epilog="""\b
Examples:
  lancio org list
  lancio org list --like inc --json
  lancio org list --as ada@example.com
""",
)
@click.option("--like", metavar="TEXT", help="Only those whose slug or name has this in it.")
@click.option("--removed", is_flag=True, help="Those too that were removed.")
@acting.paged
@takes
def list_(call: Call, like: str | None, removed: bool, limit: int, after: str | None) -> None:
    """List organizations: all for the operator, for a user those that the user belongs to."""
    from lancio.registry import organizations

    with call.choosing() as (connection, _):
        page = organizations.page(connection, like=like, removed=removed, after=after, limit=limit)
    call.page(
        page, name="organizations", heading=("SLUG", "NAME", "PLAN", "MADE", "REMOVED" if removed else ""),
        row=lambda each: (
            each.slug, each.name, each.plan or "-", f"{each.created_at:%Y-%m-%d}", acting.moment(each.deleted_at)
        ),
        cut=(0, 1), none="No organization." if like is None else "No organization is called so.",
    )  # fmt: skip


@org.command(
    epilog="""\b
Examples:
  lancio org show acme
  lancio org show acme --json | jq .version
""",
)
@click.argument("slug", metavar="[SLUG]", required=False)
@takes
@acting.org_option
def show(call: Call, slug: str | None) -> None:
    """Show an organization, its plan and how much it has of what the plan limits."""
    from lancio.registry import limits, organizations

    with call.work(slug) as work:
        found = organizations.one(work)
        usage = limits.usage(work)
    used = [(each.what, f"{each.used}" + (f" of {each.limit}" if each.limit is not None else "")) for each in usage]
    value = {
        **with_version(found),
        "usage": {each.what: {"used": each.used, "limit": each.limit} for each in usage},
    }
    call.one(f"{found.slug}: {found.name}", value, [*_lines(found), *used])


def _lines(found: Organization) -> list[tuple[str, str | None]]:
    return [
        ("kind", found.kind),
        ("size", found.size),
        ("invoices to", found.billing_email),
        ("plan", found.plan or "none"),
        ("second factor", "required" if found.requires_mfa else None),
        ("made", acting.utc(found.created_at)),
        ("removed", acting.utc(found.deleted_at)),
    ]


@org.command(
    epilog="""\b
Examples:
  lancio org add acme --name "Acme Inc." --owner ada@example.com --kek-file lancio.kek
  lancio org add acme --as ada@example.com --kek-file lancio.kek
  lancio org add acme --owner ada@example.com --without-key
""",
)
@click.argument("slug", metavar="SLUG")
@click.option("--owner", metavar="EMAIL", help="The user it belongs to.  [default: who acts, with --as]")
@click.option("--without-key", is_flag=True, help="Make no data key now: `lancio keys init` does it later.")
@_fields(required=True)
@kek_options
@acting.changes
@takes
def add(call: Call, slug: str, owner: str | None, without_key: bool, name: str | None, **fields: Any) -> None:
    """Make an organization with its owner and its data key.

    The data key is wrapped by the key-encryption key, which is named as for `lancio keys`.
    """
    from lancio.registry import data_keys, organizations, users

    with call.session() as session:
        if owner is None and call.actor().kind != "user":
            raise UsageError(
                "an organization has an owner, and none is named",
                cause="The operator is no member of organizations.",
                remedy="Name a user by --owner, or act as one with --as.",
                commands=(f"lancio org add {shlex.quote(slug)} --owner EMAIL", "lancio user list"),
            )
        found = None
        if not without_key and data_keys.there(session.connection):
            data_keys.refuse_wrong(session.connection, found := ring(call.context))
        with call.operating() as (connection, who):
            user = users.named(connection, str(who.id) if owner is None else owner)
            fields["requires_mfa"] = bool(fields["requires_mfa"])
            made = organizations.add(
                connection, who, slug=slug, name=slug if name is None else name, owner=user.id, ring=found, **fields
            )
    call.done(f"Made {made.slug}, owned by {user.email}{', with a data key' if found else ''}.", made)
    if without_key and not call.dry_run:
        call.talk("It has no data key: nothing can be sealed in it before `lancio keys init`.")


@org.command(
    epilog="""\b
Examples:
  lancio org update acme --name "Acme AG"
  lancio org update acme --slug acme-ag --if-version 1764188132000000
""",
)
@click.argument("slug", metavar="SLUG")
@click.option("--slug", "new_slug", metavar="SLUG", help="Another slug.")
@_fields(required=False)
@acting.if_version
@acting.changes
@takes
def update(call: Call, /, slug: str, new_slug: str | None, version: int | None, **given: Any) -> None:
    """Change an organization; an empty value takes one away."""
    from lancio.registry import organizations

    changes = changed(call, {**given, "slug": new_slug})
    with call.work(slug) as work:
        after = organizations.update(work, changes, version=version)
    call.done(f"Changed {after.slug}.", after, _lines(after))


def changed(call: Call, given: dict[str, Any], *, besides: bool = False) -> dict[str, Any]:
    """What an update's options name; with something `besides` it may be nothing.

    Raises:
        UsageError: nothing is named.
    """
    if found := {name: value for name, value in given.items() if value is not None}:
        return found
    if besides:
        return {}
    raise UsageError(
        "there is nothing to change",
        cause="No option says what is to be another.",
        remedy="Look at what can be changed.",
        commands=(f"{call.context.command_path} --help",),
    )


@org.command(
    epilog="""\b
Examples:
  lancio org remove acme
  lancio org remove acme --yes
""",
)
@click.argument("slug", metavar="SLUG")
@acting.if_version
@acting.changes
@takes
def remove(call: Call, slug: str, version: int | None) -> None:
    """Close an organization: nobody acts in it. All its rows stay, and `restore` brings it back."""
    from lancio.registry import organizations

    with call.work(slug) as work:
        after = organizations.remove(work, version=version)
    call.done(f"Removed {after.slug}. lancio org restore {after.slug} brings it back.", after)


@org.command(
    epilog="""\b
Examples:
  lancio org restore acme
""",
)
@click.argument("slug", metavar="SLUG")
@acting.changes
@takes
def restore(call: Call, slug: str) -> None:
    """Bring a removed organization back, with all that it had."""
    from lancio.registry import organizations

    with call.work(slug, deleted=True) as work:
        after = organizations.restore(work)
    call.done(f"Brought {after.slug} back.", after)


@org.command(
    epilog="""\b
Examples:
  lancio org purge acme --dry-run
  lancio org purge acme
""",
)
@click.argument("slug", metavar="SLUG")
@acting.changes
@takes
def purge(call: Call, slug: str) -> None:
    """Destroy a removed organization and all that it has, its data keys included. This is not taken back.

    Its name is to be typed. Entries of the audit trail stay.
    """
    from lancio.registry import organizations
    from lancio.render.lines import counted

    with call.session():
        with call.work(slug, deleted=True) as work:
            found, goes = work.slug, organizations.what_it_has(work)
        told = ", ".join(
            counted(count, what.rstrip("s").replace("_", " ").replace("api", "API")) for what, count in goes.items()
        )
        asked.typed(
            call.terminal, "Type its slug to destroy it", found, yes=call.yes or call.dry_run,
            why=f"With {found} go for ever: its data keys and {told or 'nothing else'}.",
        )  # fmt: skip
        with call.work(found, deleted=True) as work:
            gone = organizations.purge(work)
    call.done(f"Destroyed {found}: {told or 'it had nothing'}.", {"slug": found, "destroyed": gone})
