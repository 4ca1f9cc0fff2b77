"""`lancio org`: organizations, from the first owner to the end."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from lancio.cli import acting as cli_acting
from lancio.cli import asked
from lancio.cli.keys import kek_options, ring
from lancio.cli.options import terminal_of
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
@cli_acting.paged
@cli_acting.common
@click.pass_context
def list_(
    context: click.Context, like: str | None, removed: bool, limit: int, after: str | None, database: str | None,
    role: str | None, json_: bool,
) -> None:  # fmt: skip
    """List organizations: all for the operator, for a user those that the user belongs to."""
    from lancio.registry import acting, organizations

    del json_
    cli_acting.reads(context)
    with cli_acting.session(database, role) as session:
        who = cli_acting.actor(context, session.connection)
        with acting.belonging(session.connection, who):
            page = organizations.page(session.connection, like=like, removed=removed, after=after, limit=limit)
    cli_acting.show_page(
        context, page, name="organizations", heading=("SLUG", "NAME", "PLAN", "MADE", "REMOVED" if removed else ""),
        row=lambda each: (
            each.slug, each.name, each.plan or "-", f"{each.created_at:%Y-%m-%d}", cli_acting.moment(each.deleted_at)
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
@cli_acting.common
@cli_acting.org_option
@click.pass_context
def show(context: click.Context, slug: str | None, database: str | None, role: str | None, json_: bool) -> None:
    """Show an organization, its plan and how much it has of what the plan limits."""
    from lancio.registry import limits, organizations

    del json_
    cli_acting.reads(context)
    with cli_acting.session(database, role) as session, cli_acting.work(context, session, organization=slug) as work:
        found = organizations.one(work)
        usage = limits.usage(work)
    used = [
        (each.what, f"{each.used}" + (f" of {each.limit}" if each.limit is not None else "")) for each in usage
    ]  # fmt: skip
    value = {
        **cli_acting.with_version(found),
        "usage": {each.what: {"used": each.used, "limit": each.limit} for each in usage},
    }
    cli_acting.show_one(context, f"{found.slug}: {found.name}", value, [*_lines(found), *used])


def _lines(found: Organization) -> list[tuple[str, str | None]]:
    return [
        ("kind", found.kind),
        ("size", found.size),
        ("invoices to", found.billing_email),
        ("plan", found.plan or "none"),
        ("second factor", "required" if found.requires_mfa else None),
        ("made", f"{cli_acting.moment(found.created_at)} UTC"),
        ("removed", cli_acting.utc(found.deleted_at)),
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
@cli_acting.changes
@cli_acting.common
@click.pass_context
def add(
    context: click.Context, slug: str, owner: str | None, without_key: bool, dry_run: bool, yes: bool,
    database: str | None, role: str | None, json_: bool, name: str | None, billing_email: str | None,
    kind: str | None, size: str | None, requires_mfa: bool | None,
) -> None:  # fmt: skip
    """Make an organization with its owner and its data key.

    The data key is wrapped by the key-encryption key, which is named as for `lancio keys`.
    """
    from lancio.registry import data_keys, organizations, users

    del yes, json_
    with cli_acting.session(database, role) as session:
        connection = session.connection
        who = cli_acting.actor(context, connection)
        if owner is None and who.kind != "user":
            raise UsageError(
                "an organization has an owner, and none is named",
                cause="The operator is no member of organizations.",
                remedy="Name a user by --owner, or act as one with --as.",
                commands=(f"lancio org add {shlex.quote(slug)} --owner EMAIL", "lancio user list"),
            )
        sealing = not without_key and _has_keys(connection)
        found = ring(context) if sealing else None
        if found is not None:
            data_keys.refuse_wrong(connection, found)
        with cli_acting.operating(session, dry_run=dry_run):
            user = users.named(connection, owner or str(who.id))
            made = organizations.add(
                connection, who, slug=slug, name=slug if name is None else name, owner=user.id, ring=found, kind=kind,
                size=size, billing_email=billing_email, requires_mfa=bool(requires_mfa),
            )  # fmt: skip
    said = f"Made {made.slug}, owned by {user.email}{', with a data key' if found else ''}."
    cli_acting.show_one(context, cli_acting.done(said, dry_run=dry_run), cli_acting.with_version(made))
    if without_key and not dry_run and not terminal_of(context).json:
        terminal_of(context).talk("It has no data key: nothing can be sealed in it before `lancio keys init`.")


def _has_keys(connection: Any) -> bool:
    row = connection.execute("SELECT pg_catalog.to_regclass('platform.data_keys') IS NOT NULL").fetchone()
    return bool(row and row[0])


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
@cli_acting.if_version
@cli_acting.changes
@cli_acting.common
@click.pass_context
def update(
    context: click.Context, /, slug: str, new_slug: str | None, version: int | None, dry_run: bool, yes: bool,
    database: str | None, role: str | None, json_: bool, **given: Any,
) -> None:  # fmt: skip
    """Change an organization; an empty value takes one away."""
    from lancio.registry import organizations

    del yes, json_
    changes = {name: value for name, value in {**given, "slug": new_slug}.items() if value is not None}
    if not changes:
        raise nothing_to_change(context)
    with (
        cli_acting.session(database, role) as session,
        cli_acting.work(context, session, organization=slug, dry_run=dry_run) as work,
    ):
        after = organizations.update(work, changes, version=version)
    said = cli_acting.done(f"Changed {after.slug}.", dry_run=dry_run)
    cli_acting.show_one(context, said, cli_acting.with_version(after), _lines(after))


def nothing_to_change(context: click.Context) -> UsageError:
    """The refusal of an update that names nothing."""
    return UsageError(
        "there is nothing to change",
        cause="No option says what is to be another.",
        remedy="Look at what can be changed.",
        commands=(f"{context.command_path} --help",),
    )


@org.command(
    epilog="""\b
Examples:
  lancio org remove acme
  lancio org remove acme --yes
""",
)
@click.argument("slug", metavar="SLUG")
@cli_acting.if_version
@cli_acting.changes
@cli_acting.common
@click.pass_context
def remove(
    context: click.Context, slug: str, version: int | None, dry_run: bool, yes: bool, database: str | None,
    role: str | None, json_: bool,
) -> None:  # fmt: skip
    """Close an organization: nobody acts in it. All its rows stay, and `restore` brings it back."""
    from lancio.registry import organizations

    del yes, json_
    with (
        cli_acting.session(database, role) as session,
        cli_acting.work(context, session, organization=slug, dry_run=dry_run) as work,
    ):
        after = organizations.remove(work, version=version)
    said = cli_acting.done(f"Removed {after.slug}. lancio org restore {after.slug} brings it back.", dry_run=dry_run)
    cli_acting.show_one(context, said, cli_acting.with_version(after))


@org.command(
    epilog="""\b
Examples:
  lancio org restore acme
""",
)
@click.argument("slug", metavar="SLUG")
@cli_acting.changes
@cli_acting.common
@click.pass_context
def restore(
    context: click.Context, slug: str, dry_run: bool, yes: bool, database: str | None, role: str | None, json_: bool
) -> None:
    """Bring a removed organization back, with all that it had."""
    from lancio.registry import organizations

    del yes, json_
    with (
        cli_acting.session(database, role) as session,
        cli_acting.work(context, session, organization=slug, dry_run=dry_run, deleted=True) as work,
    ):
        after = organizations.restore(work)
    said = cli_acting.done(f"Brought {after.slug} back.", dry_run=dry_run)
    cli_acting.show_one(context, said, cli_acting.with_version(after))


@org.command(
    epilog="""\b
Examples:
  lancio org purge acme --dry-run
  lancio org purge acme
""",
)
@click.argument("slug", metavar="SLUG")
@cli_acting.changes
@cli_acting.common
@click.pass_context
def purge(
    context: click.Context, slug: str, dry_run: bool, yes: bool, database: str | None, role: str | None, json_: bool
) -> None:
    """Destroy a removed organization and all that it has, its data keys included. This is not taken back.

    Its name is to be typed. Entries of the audit trail stay.
    """
    from lancio.registry import organizations
    from lancio.render.lines import counted

    terminal = terminal_of(context)
    del json_
    with cli_acting.session(database, role) as session:
        with cli_acting.work(context, session, organization=slug, deleted=True) as work:
            found, goes = work.slug, organizations.what_it_has(work)
        told = ", ".join(
            counted(count, what.rstrip("s").replace("_", " ").replace("api", "API")) for what, count in goes.items()
        )
        asked.typed(
            terminal, "Type its slug to destroy it", found, yes=yes or dry_run,
            why=f"With {found} go for ever: its data keys and {told or 'nothing else'}.",
        )  # fmt: skip
        with cli_acting.work(context, session, organization=found, dry_run=dry_run, deleted=True) as work:
            gone = organizations.purge(work)
    said = cli_acting.done(f"Destroyed {found}: {told or 'it had nothing'}.", dry_run=dry_run)
    cli_acting.show_one(context, said, {"slug": found, "destroyed": gone})
