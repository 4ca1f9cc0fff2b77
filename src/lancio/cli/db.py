"""`lancio db`: the databases that are registered, from the first entry to the last."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from lancio.cli import acting, asked, placeholders, secret_input
from lancio.cli.call import Call, takes
from lancio.cli.imported import import_
from lancio.cli.keys import kek_options
from lancio.cli.rotate import rotate
from lancio.cli.secret_input import name_argument, no_secret, secret_options
from lancio.cli.tested import probe_options, test
from lancio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lancio.registry.databases import Database

P = ParamSpec("P")
R = TypeVar("R")

KINDS = ("postgresql", "redis", "mongodb")
STATUSES = ("active", "inactive", "error", "maintenance")
HEALTHS = ("healthy", "unhealthy", "unknown")

_PROJECT = click.option("--project", metavar="SLUG", help="The project.  [default: looked for in all]")


def _meta(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise UsageError(
                "--meta takes NAME=VALUE", cause="One was given without.", remedy="Write it as --meta team=payments."
            )
        no_secret(context, parameter, value)
        found[name] = value
    return found


def _meta_option(command: Callable[P, R]) -> Callable[P, R]:
    return click.option(
        "--meta", multiple=True, metavar="NAME=VALUE", callback=_meta,
        help="A note that everybody may see; may be given again.",
    )(command)  # fmt: skip


# --- the commands -----------------------------------------------------------------------------------------------------


@click.group(
    epilog="""\b
Examples:
  lancio db list --project shop
  lancio db add cache --project shop --from-env REDIS_URL
  lancio db import .env --project shop --dry-run
  lancio db test cache
  lancio db update --from-env
  lancio db rotate main --project shop --admin-file admin.url
"""
)
def db() -> None:
    """Register databases, look at them, reach them, change and remove them.

    A connection string is asked for without being shown, or read from stdin, a file or a variable; it is never an
    argument. It is sealed with the organization's key before it is sent: the key-encryption key comes from --kek-file,
    --kek-command, LANCIO_KEK_FILE, LANCIO_KEK_COMMAND, LANCIO_KEK or lancio.toml.
    """


for each in (rotate, test, import_):
    db.add_command(each)


@db.command(
    "list",
    epilog="""\b
Examples:
  lancio db list
  lancio db list --project shop --type redis --health unhealthy
  lancio db list --name rail --json | jq -r '.databases[].name'
""",
)
@_PROJECT
@click.option("--type", "type_", type=click.Choice(KINDS), help="Of this kind alone.")
@click.option("--status", type=click.Choice(STATUSES), help="Of this status alone.")
@click.option("--health", type=click.Choice(HEALTHS), help="Of this health alone.")
@click.option("--host", metavar="HOST", help="At this host alone.")
@click.option("--name", "prefix", metavar="TEXT", help="Whose name begins so, in any case.")
@click.option("--text", metavar="TEXT", help="Whose name has this in it, in any case.")
@click.option("--placeholders", is_flag=True, help="Those alone whose connection string is still to come.")
@acting.paged
@click.option("--all", "all_", is_flag=True, help="All pages.")
@acting.org_option
@takes
def list_(
    call: Call,
    project: str | None,
    type_: str | None,
    status: str | None,
    health: str | None,
    host: str | None,
    prefix: str | None,
    text: str | None,
    placeholders: bool,
    limit: int,
    after: str | None,
    all_: bool,
) -> None:
    """List what is registered, by name. No key is needed, and no secret is shown."""
    from dataclasses import astuple

    from lancio.registry import databases, pages

    for given in (host, prefix, text):
        no_secret(call.context, click.Option(["--text"]), given or "")
    wanted = databases.Filter(project, type_, status, health, host, prefix, text, True if placeholders else None)
    with call.work() as work:
        if all_:
            page = pages.Page(databases.every(work, wanted, after=after), None)
        else:
            page = databases.page(work, wanted, after=after, limit=limit)
        of = work.slug
    filtered = any(each is not None for each in astuple(wanted))
    call.page(
        page, name="databases", heading=("NAME", "PROJECT", "TYPE", "STATUS", "HEALTH", "ADDRESS"),
        row=lambda each: (
            each.name, each.project, each.type, each.status, "placeholder" if each.placeholder else each.health,
            each.display.partition("://")[2],
        ),
        cut=(0, 1, 5), none=f"No database of {of} is so." if filtered else f"{of} has none.",
        plain=databases.Database.as_dict, more=", or --all",
    )  # fmt: skip


@db.command(
    epilog="""\b
Examples:
  lancio db show cache
  lancio db show "Railway Redis" --project lancio-studio --json
""",
)
@name_argument()
@_PROJECT
@acting.org_option
@takes
def show(call: Call, name: str, project: str | None) -> None:
    """Show one database, without its secret. NAME may be its id."""
    from lancio.registry import databases

    with call.work() as work:
        found = databases.one(work, name, project=project)
    if call.json:
        call.document(found.as_dict())
    else:
        call.terminal.data(_told(found))


def _told(found: Database) -> str:
    from lancio.registry import databases
    from lancio.render import lines, text

    health = f"{found.health}: {found.health_error}" if found.health_error else found.health
    facts = {
        "Name": found.name,
        "Project": found.project,
        "Type": found.type,
        "Address": found.display,
        "Host": f"{found.host}:{found.port}",
        "Database": found.database,
        "User": found.username,
        "TLS": found.config.get("tls") or ("yes" if found.ssl_enabled else "no"),
        "Secret": "none yet: a placeholder" if found.placeholder else "sealed" if found.sealed else "none",
        "Status": found.status,
        "Health": health,
        "Tested": None if found.health_at is None else f"{found.health_at:%Y-%m-%d %H:%M:%S %Z}",
        "Version": str(found.version),
        "Changed": f"{found.updated_at:%Y-%m-%d %H:%M:%S %Z}",
        "Id": str(found.id),
        **{f"  {name}": str(value) for name, value in found.metadata.items() if name != databases.PLACEHOLDER},
    }
    return text.table([[lines.clean(name), lines.clean(value)] for name, value in facts.items() if value])


def _again(command: str, name: str, project: str | None, variable: str) -> str:
    within = "" if project is None else f" --project {shlex.quote(project)}"
    return f"lancio db {command} {shlex.quote(name)}{within} --from-env {variable}"


@db.command(
    epilog="""\b
Examples:
  lancio db add cache --project shop                          asks for the connection string
  lancio db add cache --project shop --from-env REDIS_URL
  pass show shop/orders | lancio db add orders --project shop --stdin
  lancio db add orders --project shop --file orders.url --dry-run
""",
)
@name_argument()
@_PROJECT
@click.option("--type", "type_", type=click.Choice(KINDS), help="The kind.  [default: told by the scheme]")
@click.option("--status", type=click.Choice(STATUSES), default="active", show_default=True, help="Its status.")
@_meta_option
@secret_options
@acting.changes
@kek_options
@acting.org_option
@takes
def add(
    call: Call,
    name: str,
    project: str | None,
    type_: str | None,
    status: str,
    meta: dict[str, str],
    stdin: bool,
    file: str | None,
    from_env: str | None,
) -> None:
    """Register a database under a name that is new in its project. Nothing is connected to: see lancio db test."""
    from lancio.registry import databases, names

    name = names.name(name)
    if from_env == "":
        from_env = secret_input.of_kind(type_, call.database)
    with call.session():
        keys = call.keys()
        with call.work() as work:  # before somebody types a secret for nothing
            into = databases.project_of(work, project)
            work.require("database.add", into.id)
            databases.refuse_taken(work, into, name)
        text = secret_input.read(
            call.terminal, stdin=stdin, file=file, from_env=from_env, prompt=f"Connection string of {name}",
            again=_again("add", name, project, "REDIS_URL"),
        )  # fmt: skip
        value = secret_input.parsed(call.terminal, text, type_)
        with call.work() as work:
            made = databases.add(work, keys, into, name, value, status=status, metadata=meta)
            of = work.slug
    if call.json:
        call.document({"dry_run": call.dry_run, "database": made.as_dict()})
    elif call.dry_run:
        call.terminal.data(f"{made.name} would be registered in {made.project}: {made.display}. Nothing was changed.\n")
    else:
        call.terminal.data(f"Registered {made.name} in {made.project}: {made.display}.\n")
        reach = f"lancio db test {shlex.quote(made.name)} --project {made.project} --org {of}"
        call.talk(f"To see whether it is reached: {reach}")


@db.command(
    epilog="""\b
Examples:
  lancio db reveal cache --project shop
  lancio db reveal cache --project shop --yes | pbcopy
""",
)
@name_argument()
@_PROJECT
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@kek_options
@acting.org_option
@takes
def reveal(call: Call, name: str, project: str | None) -> None:
    """Print a connection string in clear on stdout. Asks first, and leaves an entry in the audit trail."""
    from lancio.registry import databases
    from lancio.render import json

    out = call.terminal.out
    with call.session():
        if not call.yes:
            if call.json or not (sys.stdin.isatty() and call.terminal.err.isatty()):
                raise UsageError(
                    "a secret would be shown, and nobody was asked",
                    cause="There is no terminal to ask on.",
                    remedy="Say --yes, and mind where stdout goes: a log keeps it.",
                )
            where = "on this terminal" if out.isatty() else "where stdout goes"
            if not click.confirm(f"Show the secret of {name} {where}?", err=True):
                raise UsageError("nothing was shown", cause="It was not confirmed.", remedy="Run it again.")
        keys = call.keys()
        with call.work() as work:
            found = databases.one(work, name, project=project)
            text = databases.value_of(work, keys, found, action="database.reveal").build()
    # Past the terminal's mask, which would take it for what must not be shown.
    out.write(
        json.document({"name": found.name, "project": found.project, "connection_string": text})
        if call.json
        else f"{text}\n"
    )
    out.flush()


@db.command(
    epilog="""\b
Examples:
  lancio db update cache --project shop                       asks for the new connection string
  lancio db update cache --rename sessions --meta team=web
  lancio db update "Railway Redis" --from-env REDIS_URL
  lancio db update --from-env                                 all placeholders, from the environment
""",
)
@name_argument(required=False)
@_PROJECT
@click.option("--rename", metavar="NAME", callback=no_secret, help="Call it so from now on.")
@click.option("--status", type=click.Choice(STATUSES), help="Its status from now on.")
@_meta_option
@click.option("--no-meta", multiple=True, metavar="NAME", help="Remove this note; may be given again.")
@secret_options
@acting.if_version
@click.option("--no-test", is_flag=True, help="Don't probe the placeholders that were replaced.")
@probe_options
@acting.changes
@kek_options
@acting.org_option
@takes
def update(
    call: Call,
    name: str | None,
    project: str | None,
    rename: str | None,
    status: str | None,
    meta: dict[str, str],
    no_meta: tuple[str, ...],
    stdin: bool,
    file: str | None,
    from_env: str | None,
    version: int | None,
    no_test: bool,
    timeout: float,
    local_files: bool,
) -> int:
    """Change a database: its connection string (asked for where nothing else is named), name, status or notes.

    Without NAME, --from-env replaces all placeholders that step 3 of the platform's migrations left, from REDIS_URL,
    MONGO_URL or POSTGRES_URL, and probes them; exit status 1 if one is not reached. An update is refused when somebody
    else changed the database since it was read, with who it was.
    """
    from lancio.registry import databases

    besides = rename is not None or status is not None or bool(meta or no_meta)
    if name is None:
        if from_env is None or stdin or file is not None or besides or version is not None:
            raise UsageError(
                "no database is named",
                cause="Without a name, all placeholders are meant, and --from-env is all that can be said of them.",
                remedy="Name the database, or say --from-env alone.",
                commands=("lancio db list --placeholders", "lancio db update --from-env"),
            )
        return placeholders.fill(
            call, project, from_env, test=not no_test, timeout=timeout, local_files=local_files
        )  # fmt: skip
    if both := sorted(meta.keys() & set(no_meta)):
        raise UsageError(
            f"--meta and --no-meta both name {both[0]}", cause="They contradict each other.", remedy="Give one."
        )
    value = None
    with call.session():
        asks = stdin or file is not None or from_env is not None or not besides
        keys = call.keys() if asks else None
        with call.work() as work:
            before = databases.one(work, name, project=project)
            work.require("database.update", before.project_id)
        if asks:
            if from_env == "":
                from_env = secret_input.of_kind(before.type, call.database)
            text = secret_input.read(
                call.terminal, stdin=stdin, file=file, from_env=from_env,
                prompt=f"New connection string of {before.name}",
                again=_again("update", name, project, secret_input.VARIABLES[before.type][0]),
            )  # fmt: skip
            value = secret_input.parsed(call.terminal, text)
        change = databases.Change(rename, value, status, {**meta, **dict.fromkeys(no_meta)})
        with call.work() as work:
            # The version that was read before somebody typed: what was changed meanwhile is not written over.
            after = databases.update(
                work, keys, before, change, version=before.version if version is None else version
            )  # fmt: skip
    if call.json:
        call.document({"dry_run": call.dry_run, "before": before.as_dict(), "database": after.as_dict()})
    else:
        call.terminal.data(_changed(before, after, string=value is not None, dry=call.dry_run))
    return 0


def _changed(before: Database, after: Database, *, string: bool, dry: bool) -> str:
    if after.version == before.version:
        return f"{before.name} is so already. Nothing was changed.\n"
    said = []
    if before.name != after.name:
        said.append(f"called {after.name}")
    if string:
        said.append(f"a new connection string, {after.display}")
    if before.status != after.status:
        said.append(f"status {after.status}")
    if before.metadata != after.metadata and not (string and before.placeholder):
        said.append("other notes")
    what = "; ".join(said) or "its row"
    if dry:
        return f"{before.name} ({before.project}) would be changed: {what}. Nothing was changed.\n"
    return f"Changed {before.name} ({before.project}): {what}. It is version {after.version} now.\n"


@db.command(
    epilog="""\b
Examples:
  lancio db remove cache --project shop --dry-run
  lancio db remove cache --project shop
""",
)
@name_argument()
@_PROJECT
@acting.if_version
@acting.changes
@acting.org_option
@takes
def remove(call: Call, name: str, project: str | None, version: int | None) -> None:
    """Take a database out of the registry, its sealed connection string with it; its name is to be typed.

    The database itself, and what is in it, is not touched.
    """
    from lancio.registry import databases

    with call.session():
        with call.work() as work:
            found = databases.one(work, name, project=project)
            work.require("database.remove", found.project_id)
        why = f"{found.name} of {found.project}, {found.display}, will be gone with its sealed connection string."
        asked.typed(
            call.terminal, f"Type {found.name} to remove it", found.name, yes=call.yes or call.dry_run, why=why
        )  # fmt: skip
        with call.work() as work:
            databases.remove(work, found, version=found.version if version is None else version)
    if call.json:
        call.document({"dry_run": call.dry_run, "removed": found.as_dict()})
    elif call.dry_run:
        call.terminal.data(f"{found.name} would be taken out of {found.project}. Nothing was changed.\n")
    else:
        call.terminal.data(f"Removed {found.name} from {found.project}.\n")
