"""`lancio db test`: how far does one come to a registered database, and what is written down of it?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from lancio.cli import acting
from lancio.cli.call import Call, takes
from lancio.cli.keys import kek_options
from lancio.cli.secret_input import no_secret
from lancio.errors import LancioError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lancio.drivers.model import Probe
    from lancio.registry.data_keys import DataKeys
    from lancio.registry.databases import Database

P = ParamSpec("P")
R = TypeVar("R")


def probe_options(command: Callable[P, R]) -> Callable[P, R]:
    """`--timeout` and `--local-files`: how a database is probed."""
    timeout = click.option(
        "--timeout", type=click.FloatRange(0.1, 600), default=10.0, show_default=True, metavar="SECONDS",
        help="How long the probe of one host may take.",
    )  # fmt: skip
    files = click.option(
        "--local-files", is_flag=True,
        help="The string may name certificates, keys and Unix sockets of this machine: they are used.",
    )  # fmt: skip
    return timeout(files(command))


@click.command(
    epilog="""\b
Examples:
  lancio db test cache --project shop
  lancio db test --all --json
""",
)
@click.argument("names", metavar="[NAME]...", nargs=-1, callback=no_secret)
@click.option("--project", metavar="SLUG", help="The project.  [default: looked for in all]")
@click.option("--all", "all_", is_flag=True, help="All databases that are active, of --project where it is given.")
@probe_options
@click.option("--dry-run", is_flag=True, help="Write no health into the registry.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@kek_options
@acting.org_option
@takes
def test(call: Call, names: tuple[str, ...], project: str | None, all_: bool, timeout: float, local_files: bool) -> int:
    """Connect to each host of a database as a program would, and tell how far it came. Exit status 1 if one fails.

    Looked at are the name, the connection, TLS, the greeting, the login and a first question. What was found is written
    down as the database's health.
    """
    from lancio.registry import databases

    if bool(names) == all_:
        raise UsageError(
            "no database is named" if not names else "names and --all are given together",
            cause="A test is of some databases, or of all.",
            remedy="Name one, or say --all.",
            commands=("lancio db test --all",),
        )
    with call.session():
        keys = call.keys()
        with call.work() as work:
            if all_:
                found = databases.every(work, databases.Filter(project=project, status="active"))
            else:
                found = tuple(databases.one(work, each, project=project) for each in dict.fromkeys(names))
        tested = []
        for each in found:
            tested.append(probed(call, keys, each, timeout=timeout, local_files=local_files))
            if not call.json:
                call.terminal.data(tested[-1].told())
    if call.json:
        call.document({"dry_run": call.dry_run, "tested": [each.as_dict() for each in tested]})
    elif not tested:
        call.talk("There is nothing to test.")
    return 0 if all(each.reached for each in tested) else 1


@dataclass(frozen=True, slots=True)
class Tested:
    """What a test of one database found."""

    database: Database
    probes: tuple[Probe, ...] = ()
    """One a host."""
    refused: LancioError | None = None
    """Why its connection string could not be opened."""
    changed: bool = False
    """It was changed meanwhile, and nothing was written down."""

    @property
    def reached(self) -> bool:
        """Every host passed every layer."""
        return self.finding is None

    @property
    def finding(self) -> str | None:
        """What is written down: None where all is well, else a sentence without a secret."""
        if self.refused is not None:
            return f"{self.refused.code}: {self.refused.message}"[:500]
        bad = [each.finding for each in self.probes if each.finding is not None]
        if not bad:
            return None
        of = f" ({len(bad)} of {len(self.probes)} hosts)" if len(self.probes) > 1 else ""
        return f"{bad[0].code}: {bad[0].message}{of}"[:500]

    @property
    def health(self) -> str:
        """What is written down: of a failure that says nothing of the database, that nothing is known."""
        from lancio.drivers.model import FROM_HERE

        told = {each.finding.code for each in self.probes if each.finding is not None}
        return "healthy" if not told else "unknown" if told <= FROM_HERE else "unhealthy"

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
        if self.changed:
            lines.append(f"    {self.database.name} was changed meanwhile: nothing is written down. Test it again.\n")
        return "".join(lines)

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "name": self.database.name,
            "project": self.database.project,
            "reached": self.reached,
            "health": self.health if self.refused is None else None,
            "changed_meanwhile": self.changed,
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


def probed(call: Call, keys: DataKeys, found: Database, *, timeout: float, local_files: bool) -> Tested:
    """Open, probe, write down: two transactions, and none is open while a server is waited for.

    That it was opened is written down in a dry run too.

    Raises:
        NotAllowed: the actor may not test databases.
    """
    from lancio import drivers
    from lancio.drivers.model import Limits
    from lancio.registry import databases
    from lancio.registry.acting import NotAllowed

    try:
        with call.work(kept=True) as work:
            value = databases.value_of(work, keys, found, action="database.test")
    except NotAllowed:
        raise
    except LancioError as refused:
        return Tested(found, refused=refused)
    limits = Limits(connect_s=min(5.0, timeout), total_s=timeout)
    tested = Tested(found, tuple(drivers.probe(value, limits=limits, local_files=local_files)))
    if call.dry_run:
        return tested
    with call.work() as work:
        written = databases.write_health(work, found, tested.health, tested.finding)
    return replace(tested, changed=not written)
