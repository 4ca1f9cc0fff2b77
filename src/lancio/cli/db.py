"""`lancio db`: the databases that are registered, from the first entry to the last."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

import click

from lancio.cli import acting as acts
from lancio.cli import asked, secret_input
from lancio.cli.keys import kek_options
from lancio.cli.options import terminal_of
from lancio.cli.rotate import rotate
from lancio.cli.secret_input import name_argument, no_secret, secret_options
from lancio.errors import LancioError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lancio.cli.terminal import Terminal
    from lancio.cli.work import Session
    from lancio.drivers.model import Probe
    from lancio.registry.acting import Acting
    from lancio.registry.connection_strings import ConnectionString, Kind
    from lancio.registry.data_keys import DataKeys
    from lancio.registry.databases import Database
    from lancio.registry.imports import Planned

P = ParamSpec("P")
R = TypeVar("R")

KINDS = ("postgresql", "redis", "mongodb")
STATUSES = ("active", "inactive", "error", "maintenance")
HEALTHS = ("healthy", "unhealthy", "unknown")
FORMS = ("env", "csv", "service")

VARIABLES = {
    "postgresql": ("DATABASE_URL", "DATABASE_PRIVATE_URL", "POSTGRES_URL", "DATABASE_PUBLIC_URL"),
    "redis": ("REDIS_URL", "REDIS_PRIVATE_URL", "REDIS_PUBLIC_URL"),
    "mongodb": ("MONGO_URL", "MONGO_PRIVATE_URL", "MONGODB_URL", "MONGODB_URI", "MONGO_PUBLIC_URL"),
}
"""Where --from-env looks for the string of a kind when no variable is named; the first that is set."""

LARGEST_FILE = 16 << 20
"""Bytes of a file to be imported."""

_YES = click.option("-y", "--yes", is_flag=True, help="Don't ask.")
_PROJECT = click.option("--project", metavar="SLUG", help="The project.  [default: looked for in all]")
_FILES = click.option(
    "--local-files", is_flag=True,
    help="The string may name certificates, keys and Unix sockets of this machine: they are used.",
)  # fmt: skip
_TIMEOUT = click.option(
    "--timeout", type=click.FloatRange(0.1, 600), default=10.0, show_default=True, metavar="SECONDS",
    help="How long the probe of one host may take.",
)  # fmt: skip


def _common(command: Callable[P, R]) -> Callable[P, R]:
    return acts.org_option(acts.common(command))


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


def keys_of(context: click.Context, session: Session) -> DataKeys:
    """The keys of a command that seals or opens; a wrong KEK is told before anything else is done.

    Raises:
        KeyRefused: none is named, or it is not the one of this database.
    """
    from lancio.cli import keys as commands
    from lancio.registry import data_keys

    data_keys.refuse_unready(session.connection)
    found = commands.ring(context)
    data_keys.refuse_wrong(session.connection, found)
    return data_keys.DataKeys(found, single=commands.single())


def _on_terminal(terminal: Terminal) -> bool:
    return sys.stdin.isatty() and terminal.err.isatty() and not terminal.json


def parsed(text: str, kind: str | None = None) -> ConnectionString:
    """The parts of a connection string that somebody gave.

    Raises:
        ConnectionStringRefused: it is none.
    """
    from lancio.registry import connection_strings

    return connection_strings.parse(text, cast("Kind | None", kind))


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


db.add_command(rotate)


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
@acts.paged
@click.option("--all", "all_", is_flag=True, help="All pages.")
@_common
@click.pass_context
def list_(
    context: click.Context,
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
    database: str | None,
    role: str | None,
    json_: bool,
) -> None:
    """List what is registered, by name. No key is needed, and no secret is shown."""
    from lancio.registry import databases
    from lancio.render import json
    from lancio.render.table import fitted

    terminal = terminal_of(context)
    acts.reads(context)
    for given in (host, prefix, text):
        no_secret(context, click.Option(["--text"]), given or "")
    wanted = databases.Filter(project, type_, status, health, host, prefix, text, True if placeholders else None)
    found: list[Database] = []
    with acts.session(database, role) as session, acts.work(context, session) as work:
        while True:
            page = databases.page(work, wanted, after=after, limit=1000 if all_ else limit)
            found += page.rows
            after = page.next
            if not all_ or after is None:
                break
        organization = work.slug
    if json_:
        terminal.data(json.document({"databases": [each.as_dict() for each in found], "next": after}))
        return
    if not found:
        terminal.talk(f"No database of {organization} is so." if any_of(wanted) else f"{organization} has none.")
        return
    rows = [("NAME", "PROJECT", "TYPE", "STATUS", "HEALTH", "ADDRESS")]
    rows += [
        (
            each.name,
            each.project,
            each.type,
            each.status,
            "placeholder" if each.placeholder else each.health,
            each.display.partition("://")[2],
        )
        for each in found
    ]
    terminal.data(fitted(rows, acts.columns(terminal), cut=(0, 1, 5)))
    if after is not None:
        terminal.talk(f"There are more: add --after {after}, or --all.")


def any_of(wanted: object) -> bool:
    """Whether a filter asks for anything."""
    from dataclasses import astuple

    return any(each is not None for each in astuple(wanted))  # type: ignore[call-overload]


@db.command(
    epilog="""\b
Examples:
  lancio db show cache
  lancio db show "Railway Redis" --project lancio-studio --json
""",
)
@name_argument()
@_PROJECT
@_common
@click.pass_context
def show(
    context: click.Context, name: str, project: str | None, database: str | None, role: str | None, json_: bool
) -> None:
    """Show one database, without its secret. NAME may be its id."""
    from lancio.registry import databases
    from lancio.render import json

    terminal = terminal_of(context)
    acts.reads(context)
    with acts.session(database, role) as session, acts.work(context, session) as work:
        found = databases.one(work, name, project=project)
    if json_:
        terminal.data(json.document(found.as_dict()))
    else:
        terminal.data(_told(found))


def _told(found: Database) -> str:
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
        **{f"  {name}": str(value) for name, value in found.metadata.items() if name != databases_placeholder()},
    }
    return text.table([[lines.clean(name), lines.clean(value)] for name, value in facts.items() if value])


def databases_placeholder() -> str:
    """The name that marks placeholders in metadata."""
    from lancio.registry import databases

    return databases.PLACEHOLDER


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
@acts.changes
@kek_options
@_common
@click.pass_context
def add(
    context: click.Context,
    name: str,
    project: str | None,
    type_: str | None,
    status: str,
    meta: dict[str, str],
    stdin: bool,
    file: str | None,
    from_env: str | None,
    dry_run: bool,
    yes: bool,
    database: str | None,
    role: str | None,
    json_: bool,
) -> None:
    """Register a database under a name that is new in its project. Nothing is connected to: see lancio db test."""
    from lancio.registry import databases
    from lancio.registry import names as registry_names
    from lancio.render import json

    del yes  # asked for by the protected environments
    terminal = terminal_of(context)
    registry_names.name(name)
    if from_env == "":
        from_env = _variable_of(type_, database)
    value = parsed(
        secret_input.read(
            terminal, stdin=stdin, file=file, from_env=from_env, prompt=f"Connection string of {name}", name=name
        ),
        type_,
    )
    with acts.session(database, role) as session:
        keys = keys_of(context, session)
        with acts.work(context, session, dry_run=dry_run) as work:
            made = databases.add(
                work, keys, databases.project_of(work, project), name, value, status=status, metadata=meta
            )
    if json_:
        terminal.data(json.document({"dry_run": dry_run, "database": made.as_dict()}))
    elif dry_run:
        terminal.data(f"{made.name} would be registered in {made.project}: {made.display}. Nothing was changed.\n")
    else:
        terminal.data(f"Registered {made.name} in {made.project}: {made.display}.\n")
        terminal.talk(f"To see whether it is reached: lancio db test {shlex.quote(made.name)} --project {made.project}")


def _variables(kind: str, database: str | None) -> tuple[str, ...]:
    """Where a string of this kind may be; not in DATABASE_URL where that one names the registry itself."""
    from lancio.cli import environments

    named = database is not None or environments.serving(database, os.environ) is not None
    return tuple(each for each in VARIABLES[kind] if named or each != "DATABASE_URL")


def _variable_of(kind: str | None, database: str | None) -> str:
    """The variable that holds a string of this kind, the first that is set."""
    if kind is None:
        raise UsageError(
            "--from-env names no variable",
            cause="Without the kind of database nothing tells which one is meant.",
            remedy="Name it: --from-env REDIS_URL; or say --type.",
        )
    looked = _variables(kind, database)
    found = next((each for each in looked if os.environ.get(each)), None)
    if found is None:
        raise UsageError(
            f"no variable holds a connection string of {kind}",
            cause=f"None of these is set: {', '.join(looked)}.",
            remedy="Set one, or run the command where it is: railway run lancio … has Railway's.",
        )
    return found


@db.command(
    epilog="""\b
Examples:
  lancio db reveal cache --project shop
  lancio db reveal cache --project shop --yes | pbcopy
""",
)
@name_argument()
@_PROJECT
@_YES
@kek_options
@_common
@click.pass_context
def reveal(
    context: click.Context,
    name: str,
    project: str | None,
    yes: bool,
    database: str | None,
    role: str | None,
    json_: bool,
) -> None:
    """Print a connection string in clear on stdout. Asks first, and leaves an entry in the audit trail."""
    from lancio.registry import databases
    from lancio.render import json

    terminal = terminal_of(context)
    with acts.session(database, role) as session:
        if not yes:
            if not _on_terminal(terminal):
                raise UsageError(
                    "a secret would be shown, and nobody was asked",
                    cause="There is no terminal to ask on.",
                    remedy="Say --yes, and mind where stdout goes: a log keeps it.",
                )
            where = "on this terminal" if terminal.out.isatty() else "where stdout goes"
            if not click.confirm(f"Show the secret of {name} {where}?", err=True):
                raise UsageError("nothing was shown", cause="It was not confirmed.", remedy="Run it again.")
        keys = keys_of(context, session)
        with acts.work(context, session) as work:
            found = databases.one(work, name, project=project)
            value = databases.value_of(work, keys, found, action="database.reveal")
    text = value.build()
    # Past the terminal's mask, which would take it for what must not be shown.
    terminal.out.write(json.document({"name": found.name, "project": found.project, "connection_string": text})
                       if json_ else f"{text}\n")  # fmt: skip
    terminal.out.flush()


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
@acts.if_version
@click.option("--no-test", is_flag=True, help="Don't probe the placeholders that were replaced.")
@_TIMEOUT
@_FILES
@acts.changes
@kek_options
@_common
@click.pass_context
def update(
    context: click.Context,
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
    dry_run: bool,
    yes: bool,
    database: str | None,
    role: str | None,
    json_: bool,
) -> int:
    """Change a database: its connection string (asked for where nothing else is named), name, status or notes.

    Without NAME, --from-env replaces all placeholders that step 3 of the platform's migrations left, from REDIS_URL,
    MONGO_URL or POSTGRES_URL, and probes them; exit status 1 if one is not reached. An update is refused when somebody
    else changed the database since it was read, with who it was.
    """
    from lancio.registry import databases
    from lancio.render import json

    del yes
    terminal = terminal_of(context)
    if name is None:
        if from_env is None or stdin or file or rename or status or meta or no_meta or version:
            raise UsageError(
                "no database is named",
                cause="Without a name, all placeholders are meant, and --from-env is all that can be said of them.",
                remedy="Name the database, or say --from-env alone.",
                commands=("lancio db list --placeholders", "lancio db update --from-env"),
            )
        return _fill(
            context, project, from_env, test=not no_test, timeout=timeout, local_files=local_files, dry_run=dry_run,
            database=database, role=role,
        )  # fmt: skip
    asks = stdin or file is not None or from_env is not None or not (rename or status or meta or no_meta)
    with acts.session(database, role) as session:
        keys = keys_of(context, session) if asks else None
        with acts.work(context, session) as work:
            before = databases.one(work, name, project=project)
            work.require("database.update", before.project_id)
        value = None
        if asks:
            variable = _variable_of(before.type, database) if from_env == "" else from_env
            prompt = f"New connection string of {before.name}"
            value = parsed(
                secret_input.read(
                    terminal, stdin=stdin, file=file, from_env=variable, prompt=prompt, name=shlex.quote(name)
                )
            )  # fmt: skip
        change = databases.Change(rename, value, status, {**meta, **dict.fromkeys(no_meta)})
        with acts.work(context, session, dry_run=dry_run) as work:
            # The version that was read before somebody typed: what was changed meanwhile is not written over.
            after = databases.update(work, keys, before, change, version=version or before.version)
    if json_:
        terminal.data(json.document({"dry_run": dry_run, "before": before.as_dict(), "database": after.as_dict()}))
    else:
        terminal.data(_changed(before, after, string=value is not None, dry=dry_run))
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


def _fill(
    context: click.Context,
    project: str | None,
    variable: str,
    *,
    test: bool,
    timeout: float,
    local_files: bool,
    dry_run: bool,
    database: str | None,
    role: str | None,
) -> int:
    """Replace placeholders from the environment, and probe what was replaced."""
    from lancio.registry import databases
    from lancio.render import json

    terminal = terminal_of(context)
    filled: list[tuple[Database, str]] = []
    left: list[Database] = []
    with acts.session(database, role) as session:
        keys = keys_of(context, session)
        with acts.work(context, session, dry_run=dry_run) as work:
            found = _placeholders(work, project)
            for each in found:
                looked = _variables(each.type, database)
                named = variable or next((name for name in looked if os.environ.get(name)), "")
                alike = [other.name for other in found if other.type == each.type]
                if named and len(alike) > 1:
                    raise databases.Ambiguous(
                        f"{named} cannot be the connection string of {len(alike)} databases",
                        cause=f"Placeholders of that kind are {', '.join(alike[:10])}.",
                        remedy="Name one of them, and its variable.",
                        commands=(f"lancio db update {shlex.quote(alike[0])} --from-env {named}",),
                    )
                if not named:
                    left.append(each)
                    continue
                text = secret_input.variable(named)
                secret_input.hide(terminal, text)
                value = parsed(text, each.type)
                after = databases.update(work, keys, each, databases.Change(value=value), version=each.version)
                filled.append((after, named))
        tested = [] if dry_run or not test else [
            _test(context, session, keys, each, timeout=timeout, files=local_files, dry=False) for each, _ in filled
        ]  # fmt: skip
    if terminal.json:
        terminal.data(
            json.document(
                {
                    "dry_run": dry_run,
                    "filled": [{"variable": named, **each.as_dict()} for each, named in filled],
                    "left": [each.as_dict() for each in left],
                    "tested": [each.as_dict() for each in tested],
                }
            )
        )
    else:
        _tell_filled(terminal, filled, left, dry=dry_run)
        for done in tested:
            terminal.data(done.told())
    return 0 if all(each.reached for each in tested) else 1


def _tell_filled(
    terminal: Terminal, filled: Sequence[tuple[Database, str]], left: Sequence[Database], *, dry: bool
) -> None:
    for each, named in filled:
        word = "would get" if dry else "has"
        terminal.data(f"{each.name} ({each.project}) {word} the connection string of {named}: {each.display}.\n")
    for each in left:
        wanted = " or ".join(VARIABLES[each.type][:2])
        terminal.data(f"{each.name} ({each.project}) stays a placeholder: {wanted} is not set.\n")
    if not filled and not left:
        terminal.data("There are no placeholders.\n")
    if dry:
        terminal.data("Nothing was changed.\n")


def _placeholders(work: Acting, project: str | None) -> list[Database]:
    from lancio.registry import databases

    found: list[Database] = []
    after: str | None = None
    while True:
        page = databases.page(work, databases.Filter(project=project, placeholder=True), after=after, limit=1000)
        found += page.rows
        if (after := page.next) is None:
            return found


@db.command(
    epilog="""\b
Examples:
  lancio db test cache --project shop
  lancio db test --all --json
""",
)
@click.argument("names", metavar="[NAME]...", nargs=-1, callback=no_secret)
@_PROJECT
@click.option("--all", "all_", is_flag=True, help="All databases that are active, of --project where it is given.")
@_TIMEOUT
@_FILES
@click.option("--dry-run", is_flag=True, help="Write no health into the registry.")
@_YES
@kek_options
@_common
@click.pass_context
def test(
    context: click.Context,
    names: tuple[str, ...],
    project: str | None,
    all_: bool,
    timeout: float,
    local_files: bool,
    dry_run: bool,
    yes: bool,
    database: str | None,
    role: str | None,
    json_: bool,
) -> int:
    """Connect to each host of a database as a program would, and tell how far it came. Exit status 1 if one fails.

    Looked at are the name, the connection, TLS, the greeting, the login and a first question. What was found is written
    down as the database's health.
    """
    from lancio.registry import databases
    from lancio.render import json

    del yes
    terminal = terminal_of(context)
    if bool(names) == all_:
        raise UsageError(
            "no database is named" if not names else "names and --all are given together",
            cause="A test is of some databases, or of all.",
            remedy="Name one, or say --all.",
            commands=("lancio db test --all",),
        )
    with acts.session(database, role) as session:
        keys = keys_of(context, session)
        with acts.work(context, session) as work:
            if all_:
                found: list[Database] = []
                after: str | None = None
                while True:
                    page = databases.page(
                        work, databases.Filter(project=project, status="active"), after=after, limit=1000
                    )
                    found += page.rows
                    if (after := page.next) is None:
                        break
            else:
                found = [databases.one(work, each, project=project) for each in dict.fromkeys(names)]
        tested = []
        for each in found:
            tested.append(_test(context, session, keys, each, timeout=timeout, files=local_files, dry=dry_run))
            if not json_:
                terminal.data(tested[-1].told())
    if json_:
        terminal.data(json.document({"dry_run": dry_run, "tested": [each.as_dict() for each in tested]}))
    elif not tested:
        terminal.talk("There is nothing to test.")
    return 0 if all(each.reached for each in tested) else 1


class Tested:
    """What a test of one database found."""

    def __init__(self, database: Database, probes: Sequence[Probe] = (), refused: LancioError | None = None) -> None:
        self.database, self.probes, self.refused = database, tuple(probes), refused

    @property
    def reached(self) -> bool:
        """Every host passed every layer."""
        return self.refused is None and all(each.finding is None for each in self.probes)

    @property
    def finding(self) -> str | None:
        """What is written down: None where all is well, else a sentence without a secret."""
        if self.refused is not None:
            return f"{self.refused.code}: {self.refused.message}"[:500]
        bad = [each for each in self.probes if each.finding is not None]
        if not bad:
            return None
        first = bad[0].finding
        assert first is not None  # noqa: S101  chosen so
        of = f" ({len(bad)} of {len(self.probes)} hosts)" if len(self.probes) > 1 else ""
        return f"{first.code}: {first.message}{of}"[:500]

    def told(self) -> str:
        """Some lines for people."""
        title = f"{self.database.name} ({self.database.project})"
        if self.refused is not None:
            return f"✗ {title}: {self.refused.message}. {self.refused.remedy}\n"
        lines = []
        for each in self.probes:
            took = sum(ms for _, ms in each.took_ms)
            if each.finding is None:
                kind = " ".join(word for word in (each.version, each.role) if word)
                lines.append(f"✓ {title} at {each.host.shown}: {kind or 'reached'}, {took:.0f} ms\n")
                continue
            passed = f" after {', '.join(each.passed)}" if each.passed else ""
            lines.append(f"✗ {title} at {each.host.shown}: {each.finding.code} at {each.finding.layer}{passed}\n")
            lines.append(f"    {each.finding.message}\n")
            lines.append(f"    {each.finding.remedy}\n")
        return "".join(lines)

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "name": self.database.name,
            "project": self.database.project,
            "reached": self.reached,
            "refused": self.refused.as_dict() if self.refused is not None else None,
            "hosts": [
                {
                    "host": each.host.shown,
                    "address": each.address,
                    "version": each.version,
                    "role": each.role,
                    "took_ms": {layer: round(ms, 3) for layer, ms in each.took_ms},
                    "code": each.finding.code if each.finding else None,
                    "layer": each.finding.layer if each.finding else None,
                    "message": each.finding.message if each.finding else None,
                    "remedy": each.finding.remedy if each.finding else None,
                }
                for each in self.probes
            ],
        }


def _test(
    context: click.Context, session: Session, keys: DataKeys, found: Database, *, timeout: float, files: bool, dry: bool
) -> Tested:
    """Open, probe, write down: two transactions, and none is open while a server is waited for."""
    from lancio import drivers
    from lancio.drivers.model import Limits
    from lancio.registry import databases
    from lancio.registry.acting import NotAllowed

    try:
        with acts.work(context, session) as work:
            value = databases.value_of(work, keys, found, action="database.test")
    except NotAllowed:
        raise
    except LancioError as refused:
        return Tested(found, refused=refused)
    tested = Tested(
        found, drivers.probe(value, limits=Limits(connect_s=min(5.0, timeout), total_s=timeout), local_files=files)
    )
    if not dry:
        with acts.work(context, session) as work:
            databases.write_health(work, found, tested.finding)
    return tested


@db.command(
    epilog="""\b
Examples:
  lancio db remove cache --project shop --dry-run
  lancio db remove cache --project shop
""",
)
@name_argument()
@_PROJECT
@acts.if_version
@acts.changes
@_common
@click.pass_context
def remove(
    context: click.Context,
    name: str,
    project: str | None,
    version: int | None,
    dry_run: bool,
    yes: bool,
    database: str | None,
    role: str | None,
    json_: bool,
) -> None:
    """Take a database out of the registry, its sealed connection string with it; its name is to be typed.

    The database itself, and what is in it, is not touched.
    """
    from lancio.registry import databases
    from lancio.render import json

    terminal = terminal_of(context)
    with acts.session(database, role) as session:
        with acts.work(context, session) as work:
            found = databases.one(work, name, project=project)
            work.require("database.remove", found.project_id)
        why = f"{found.name} of {found.project}, {found.display}: its sealed connection string will be gone."
        asked.typed(terminal, f"Type {found.name} to remove it", found.name, yes=yes or dry_run, why=why)
        with acts.work(context, session, dry_run=dry_run) as work:
            databases.remove(work, found, version=version or found.version)
    if json_:
        terminal.data(json.document({"dry_run": dry_run, "removed": found.as_dict()}))
    elif dry_run:
        terminal.data(f"{found.name} would be taken out of {found.project}. Nothing was changed.\n")
    else:
        terminal.data(f"Removed {found.name} from {found.project}.\n")


@db.command(
    "import",
    epilog="""\b
Examples:
  lancio db import .env --project shop --dry-run
  lancio db import databases.csv --skip-refused
  railway variables --kv | lancio db import - --form env --project shop
""",
)
@click.argument("file", metavar="FILE", callback=no_secret)
@click.option("--project", metavar="SLUG", help="The project of the lines that name none.")
@click.option("--form", type=click.Choice(FORMS), help="How FILE is written.  [default: told by its name]")
@click.option("--skip-refused", is_flag=True, help="Leave out the lines that are refused, and take the others.")
@acts.changes
@kek_options
@_common
@click.pass_context
def import_(
    context: click.Context,
    file: str,
    project: str | None,
    form: str | None,
    skip_refused: bool,
    dry_run: bool,
    yes: bool,
    database: str | None,
    role: str | None,
    json_: bool,
) -> int:
    """Register the databases that a .env, a CSV or a pg_service.conf lists; - is stdin.

    Each line is told: new, same, changed, or refused with its number. All are taken or none, unless --skip-refused is
    given; a second run changes nothing. What is registered already is opened to be compared, and that is written down.
    """
    from lancio.registry import imports
    from lancio.registry.connection_strings import listed
    from lancio.render import json

    del yes
    terminal = terminal_of(context)
    text = _file(terminal, file)
    listing = listed.read(text, cast("listed.Form", form or _form(file)))
    for each in listing.entries:
        secret_input.hide(terminal, each.value.build())
    with acts.session(database, role) as session:
        keys = keys_of(context, session)
        with acts.work(context, session) as work:
            planned = imports.plan(work, keys, listing, project)
            refused = [each for each in planned if each.what == "refused"]
            done = not dry_run and (not refused or skip_refused)
            if done:
                imports.carry_out(work, keys, planned)
    status = 1 if refused and not skip_refused else 0
    if json_:
        lines = [each.as_dict() for each in planned]
        terminal.data(json.document({"dry_run": dry_run, "done": done, "lines": lines}))
        return status
    terminal.data(_listed(terminal, planned))
    terminal.talk(_summary(planned, done=done, dry=dry_run))
    return status


def _listed(terminal: Terminal, planned: Sequence[Planned]) -> str:
    from lancio.render.table import fitted

    if not planned:
        return "No line names a database.\n"
    rows: list[tuple[str, ...]] = [("LINE", "", "NAME", "PROJECT", "WHAT")]
    for each in planned:
        what = each.refused.message if each.refused is not None else each.value.display if each.value else ""
        rows.append((str(each.line), each.what, each.name or "-", each.project or "-", what))
    return fitted(rows, acts.columns(terminal), cut=(2, 3, 4))


def _summary(planned: Sequence[Planned], *, done: bool, dry: bool) -> str:
    counted = {what: sum(each.what == what for each in planned) for what in ("new", "changed", "same", "refused")}
    said = ", ".join(f"{count} {what}" for what, count in counted.items() if count) or "nothing"
    if done:
        return f"Done: {said}."
    if dry:
        return f"{said}. Nothing was changed."
    return f"{said}. Nothing was changed: all lines are taken or none. Correct those refused, or say --skip-refused."


def _form(file: str) -> str:
    name = Path(file).name.lower()
    if name.endswith((".csv", ".tsv")):
        return "csv"
    return "service" if "pg_service" in name or name.endswith(".conf") else "env"


def _file(terminal: Terminal, named: str) -> str:
    """What is to be imported.

    Raises:
        UsageError: it cannot be read, or is too large.
    """
    if named == "-":
        content = sys.stdin.buffer.read(LARGEST_FILE + 1)
    else:
        path = secret_input.path_of(named)
        try:
            with path.open("rb") as opened:
                mode = os.fstat(opened.fileno()).st_mode
                content = opened.read(LARGEST_FILE + 1)
        except OSError as error:
            raise UsageError(
                f"{path} cannot be read", cause=f"{error.strerror}.", remedy="Name a .env, a CSV or a service file."
            ) from error
        if mode & 0o077:
            terminal.talk(f"Others than you may read {path}: chmod 600 {shlex.quote(str(path))}, or delete it.")
    if len(content) > LARGEST_FILE:
        raise UsageError(
            f"it is larger than {LARGEST_FILE >> 20} MB", cause="No list of databases is.", remedy="Divide it."
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(
            "it is not a text in UTF-8", cause="Its bytes are none.", remedy="Save it in UTF-8 and run it again."
        ) from None
