"""From flags to the values that the commands render: a graph, a session, a plan, the settings of a run."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from lancio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import psycopg

    from lancio.cli.options import Source
    from lancio.planner.model import Graph, Plan
    from lancio.postgres import Target

Order = Literal["name", "graph"]

NEWEST = 18
"""The major version that a graph is bound for where no server is asked."""

SERVICES = {"REDIS_URL": ("lancio.redis_url", "redis"), "MONGO_URL": ("lancio.mongodb_url", "mongodb")}
"""Environment variables of services, the session settings they fill and the type the service is registered under."""

ABSENT = "absent"
"""The value that says: there is no such service, register nothing."""


@dataclass(frozen=True, slots=True)
class Session:
    """A database that was reached, and what it is."""

    target: Target
    connection: psycopg.Connection[Any]
    role: str | None = None
    flags: str = ""
    """What a command needs besides, to reach the same database as the same role; without a password."""

    def here(self, commands: Sequence[str]) -> tuple[str, ...]:
        """Lancio's own commands so that they mean this database, wherever they are pasted."""
        return tuple(
            f"{each}{self.flags}"
            if each.removeprefix("LANCIO_USER= ").startswith("lancio ") and not each.endswith(self.flags or "\n")
            else each
            for each in commands
        )

    @property
    def major(self) -> int:
        """The server's major version."""
        return self.connection.info.server_version // 10000

    @property
    def said(self) -> str:
        """The database in words, without any secret."""
        return f"{self.target.display} (PostgreSQL {self.connection.info.parameter_status('server_version')})"


def graph_of(source: Source, *, order: Order = "name", major: int = NEWEST) -> Graph:
    """Read a folder and bind it for a server of that major version; nothing is connected to.

    Raises:
        SourceError: the folder or one of its files cannot be read.
    """
    from lancio.catalog import profile
    from lancio.planner import kept
    from lancio.reading import cache

    return kept.build(source.read(), profile.load(major), order=order, kept=cache.usual())


@contextlib.contextmanager
def session(database: str | None, role: str | None, *, target: Target | None = None) -> Iterator[Session]:
    """Connect to what the flags and the environment name, and hang up at the end.

    Raises:
        UsageError: an empty flag, or a connection string that is not one.
        ServerError: nobody answers there, or not for us.
    """
    import psycopg

    from lancio import postgres
    from lancio.cli import environments, options
    from lancio.executor import pooler
    from lancio.executor.session import QUERIES
    from lancio.settings import Settings

    serving = environments.serving(database, os.environ) if target is None else None
    if serving is not None:
        database, role = serving.address(os.environ), role or serving.role
    settings = Settings.read(database=database, role=role)
    flags = ""
    named = target is not None
    target = postgres.resolve(settings.database) if target is None else target
    if serving is not None:
        flags = serving.flags
    elif named or target.origin == "--database":
        flags = f" --database {target.psql_target}"
    if settings.role is not None and (serving is None or settings.role != serving.role):
        flags += f" --role {shlex.quote(settings.role)}"
    if not named:
        environments.permit()
    connection = postgres.connect(target, role=settings.role)
    # Asked now: of a connection that broke it is 0, which would look like another process.
    process = told = connection.info.backend_pid
    try:
        if options.pooler() is not None:
            pooler.prove(connection, lambda: postgres.connect(target))
        else:
            process = pooler.process(connection)
        if options.pooler() is not None or process == told:
            # A plan is read by a person, and a large catalog by us: the run does without these two limits as well.
            connection.execute(QUERIES["unhurried"])
        yield Session(target, connection, settings.role, flags)
    except psycopg.Error as error:
        if process != told and error.sqlstate in pooler.ITS_ERRORS:
            raise pooler.refusal(connection, process) from None
        raise postgres.interrupted(target, error) from None
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class Choice:
    """Which files of a folder are to run, as the command line says it.

    `to` ends the plan at a file, `only` names the files, `minimal` leaves out what `to` does not need. `decided` says
    of statements in doubt, by file and line, whether they were done.
    """

    to: str | None = None
    only: tuple[str, ...] = ()
    minimal: bool = False
    decided: Mapping[tuple[str, int], Literal["done", "again"]] = field(default_factory=dict)


def plan_of(
    graph: Graph,
    session: Session,
    source: Source,
    choice: Choice | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    data: float | Literal[False] | None = False,
    adopted: Sequence[str] = (),
    look: Literal["", "required", "all"] = "",
) -> Plan:
    """Ask the live database and make the plan of what is chosen, or of all files; nothing is changed there.

    Files in `adopted` count as recorded.

    `data` is how many seconds one question about the rows may take; None leaves them alone and says so, False leaves
    them alone.

    With `look` what is around the catalog is asked as well (rights, locks, room, backups …): of services outside all of
    them, or only the required ones.

    Raises:
        UsageError: the choice names a file that the folder does not have.
    """
    from lancio.catalog import profile
    from lancio.executor import ledger, remains, snapshot
    from lancio.planner import outcomes, plan
    from lancio.reading import cache

    choice = choice or Choice()
    for name in (*choice.only, *((choice.to,) if choice.to is not None else ())):
        if name not in {facts.name for facts in graph.files}:
            raise UsageError(
                f"there is no file {name} in {graph.folder}",
                cause="--to and --only take a file's path relative to the folder.",
                remedy=f"Name one of: {', '.join(facts.name for facts in graph.files[:12])}",
            )
    with snapshot.moment(session.connection):
        recorded = ledger.read(session.connection)
        begun = ledger.in_progress(session.connection)
        sent = ledger.begun(session.connection)
        durations = ledger.durations(session.connection)
        live = snapshot.take(session.connection, graph)
    files = {facts.name: facts for facts in graph.files}
    if wrong := sorted(choice.decided.keys() - remains.unanswered(files, begun)):
        name, line = wrong[0]
        raise UsageError(
            f"{name}:{line} is no statement that was sent and not answered",
            cause="--done and --again decide about a statement of unknown outcome, by the line at which it begins.",
            remedy="The preflight names the statements in doubt; where it names none, there is nothing to decide.",
            commands=(f"lancio preflight {source.words}",),
        )
    if begun:
        begun = remains.settled(session.connection, files, begun, choice.decided)
    made = plan.make(
        graph,
        live,
        in_progress=begun,
        ledger={name: applied.checksum for name, applied in recorded.items()},
        origins={name: applied.origin for name, applied in recorded.items()},
        outcomes=outcomes.kept(graph, profile.load(graph.server_version), cache.usual()),
        begun=sent,
        durations={name: round(took) for name, took in durations.items()},
        environ=os.environ if environ is None else environ,
        to=choice.to,
        only=choice.only,
        minimal=choice.minimal,
        adopted=tuple(adopted),
        folder=source.words,
        psql=session.target.psql,
    )
    if data is not False:
        from lancio.executor import data as rows

        limits = rows.Limits(data, rows.TOTAL * data) if data is not None else None
        made = rows.look(made, session.connection, live, limits, folder=source.words, psql=session.target.psql())
    if look:
        from lancio.cli import around

        made = around.complete(made, live, session, source, environ, wanted=look == "all")
    missing = tuple(replace(item, commands=session.here(item.commands)) for item in made.missing)
    findings = tuple(replace(item, commands=session.here(item.commands)) for item in made.findings)
    return replace(made, missing=missing, findings=findings)


def run_settings(plan: Plan, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The session settings of a run: addresses of services and the sealing key. They hold secrets: never print them.

    Only what the steps of the plan read is given to them.

    Raises:
        UsageError: a service's address with a credential in it, and no key to seal it with; or a key file that is
            not one.
    """
    environ = os.environ if environ is None else environ
    read = {name for step in plan.steps for name in step.facts.settings}
    settings: dict[str, str] = {}
    sealing: list[str] = []
    for variable, (setting, kind) in SERVICES.items():
        value = environ.get(variable, "").strip()
        if value and setting in read:
            settings[setting] = value
            if value != ABSENT and not bare(value, kind):
                sealing.append(variable)
    key_file = environ.get("LANCIO_KEY_FILE", "").strip()
    if sealing and not key_file:
        named = " and ".join(sealing)
        raise UsageError(
            f"{named} {'is' if len(sealing) == 1 else 'are'} set, but there is no key to seal the credential with",
            cause="The platform keeps no credential in plain text, and LANCIO_KEY_FILE names no key.",
            remedy=f"Let LANCIO_KEY_FILE name a key file, or unset {named} to register a placeholder, which "
            "`lancio db update --from-env` replaces.",
            commands=(
                "(umask 077; printf 'key_id = 1\\nkey = %s\\n' \"$(openssl rand -hex 64)\" > lancio.key)",
                'export LANCIO_KEY_FILE="$PWD/lancio.key"',
            ),
        )
    if key_file and read & {"lancio.key", "lancio.key_id"}:
        from pathlib import Path

        from lancio.registry import secrets

        key = secrets.read_key_file(Path(key_file).expanduser())
        settings |= {name: secret.reveal() for name, secret in key.settings().items()}
    return settings


def environment_settings() -> dict[str, str]:
    """The session settings that a run fills from outside, and the variable that a script of psql takes each from."""
    known = {setting: variable for variable, (setting, _) in SERVICES.items()}
    return known | {"lancio.key": "LANCIO_KEY", "lancio.key_id": "LANCIO_KEY_ID"}


def bare(value: str, kind: str) -> bool:
    """Whether an address is exactly `type://host:port`, which holds nothing to seal."""
    return re.fullmatch(rf"{kind}://[^/@:?#\s]+:\d+", value) is not None
