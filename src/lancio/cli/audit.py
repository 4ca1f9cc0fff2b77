"""`lancio audit`: what was done, by whom, and whether it is still what was written down."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from lancio.cli.acting import columns, reads
from lancio.cli.acting import session as session_of
from lancio.cli.asked import typed
from lancio.cli.keys import kek_options, ring, ring_if_named
from lancio.cli.options import database_options, environment_options, json_option, terminal_of
from lancio.errors import UsageError
from lancio.render.lines import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    import psycopg

    from lancio.cli.terminal import Terminal
    from lancio.registry.audit_seal import Anchor, Finding, Verified
    from lancio.registry.audit_trail import Entry, Query

P = ParamSpec("P")
R = TypeVar("R")

FOLLOWED = 2000
"""So far back is looked for entries of transactions that began before others and ended after them."""

_YES = click.option("-y", "--yes", is_flag=True, help="Don't ask.")
_DRY = click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing.")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _when(_: click.Context, parameter: click.Parameter, given: str | None) -> datetime | None:
    """A time as people write it: 2026-11-05, 2026-11-05T14:00+01:00, or 7d for seven days ago."""
    if given is None:
        return None
    option, text = parameter.opts[0], given.strip()
    try:
        if ago := re.fullmatch(r"([0-9]{1,6})([smhdw])", text):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{option} {given!r} is no time",
            cause="It takes a date, a date with a time, or how long ago.",
            remedy=f"Give it as {option} 2026-11-05, {option} 2026-11-05T14:00+01:00 or {option} 7d. Without an"
            f" offset it is UTC.",
        ) from None


def _filters(command: Callable[P, R]) -> Callable[P, R]:
    for option in reversed(
        (
            click.option("--org", metavar="NAME", help="Entries of this organization (slug or id)."),
            click.option("--platform-only", is_flag=True, help="Entries of no organization."),
            click.option("--project", metavar="NAME", help="Entries of this project (slug or id)."),
            click.option("--actor", metavar="WHO", help="By this actor: an id or an e-mail address."),
            click.option("--action", metavar="WHAT", help="This action; secret.* for all that begin so."),
            click.option("--target", metavar="TYPE[:ID]", help="What it was done to: database, or database:<id>."),
            click.option(
                "--since", metavar="TIME", callback=_when, help="From then on: a date, a time, or 7d, 12h, 30m."
            ),
            click.option("--until", metavar="TIME", callback=_when, help="Before then."),
        )
    ):
        command = option(command)
    return command


def _common(command: Callable[P, R]) -> Callable[P, R]:
    return database_options(environment_options(json_option(command)))


def _query(connection: psycopg.Connection[Any], given: dict[str, Any], **more: Any) -> Query:
    from lancio.registry import audit_trail
    from lancio.registry.acting import storable

    audit_trail.all_rows(connection)
    if given["org"] is not None and given["platform_only"]:
        raise UsageError("--org and --platform-only are both given", remedy="Give one of them.")
    for name in ("actor", "action", "target"):
        if (text := given[name]) is not None and not (text.strip() and storable(text)):
            raise UsageError(f"--{name} is no text", cause="It names nothing.", remedy=f"Omit --{name}.")
    type_, _, id_ = (given["target"] or "").partition(":")
    return audit_trail.Query(
        organization=None if given["org"] is None else audit_trail.named(connection, "organization", given["org"]),
        platform=given["platform_only"],
        project=None if given["project"] is None else audit_trail.named(connection, "project", given["project"]),
        actor=given["actor"],
        user=audit_trail.user_named(connection, given["actor"]) if "@" in (given["actor"] or "") else None,
        action=given["action"],
        target_type=type_ or None,
        target_id=id_ or None,
        since=given["since"],
        until=given["until"],
        **more,
    )


@click.group(
    epilog="""\b
Examples:
  lancio audit list --org acme --since 7d
  lancio audit show 1042
  lancio audit seal --kek-file lancio.kek
  lancio audit verify --kek-file lancio.kek --anchor anchors.jsonl
  lancio audit export --since 2026-01-01 > audit.jsonl
"""
)
def audit() -> None:
    """Read, seal, verify, hand on and prune the entries of what was done.

    Sealing and verifying take the key-encryption key as `lancio keys` does: a file (--kek-file, LANCIO_KEK_FILE), the
    variable LANCIO_KEK, or a program (--kek-command, LANCIO_KEK_COMMAND); lancio.toml may name one of them.
    """


# --- reading ----------------------------------------------------------------------------------------------------------


@audit.command(
    name="list",
    epilog="""\b
Examples:
  lancio audit list
  lancio audit list --org acme --action 'secret.*' --since 24h
  lancio audit list --target database:6f2dd6c7-8f5c-4b6e-9d5c-0a1b2c3d4e5f --json
  lancio audit list --follow
""",
)
@_filters
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Entries a page.")
@click.option("--before", type=click.IntRange(1), metavar="NUMBER", help="The page after the entry of this number.")
@click.option("--follow", is_flag=True, help="Show entries as they come, until Ctrl-C.")
@_common
@click.pass_context
def list_(
    context: click.Context,
    /,
    limit: int,
    before: int | None,
    follow: bool,
    database: str | None,
    role: str | None,
    json_: bool,
    **given: Any,
) -> None:
    """Show entries, the newest first."""
    from lancio.registry import audit_trail
    from lancio.render import json

    terminal = terminal_of(context)
    reads(context)
    if follow and before is not None:
        raise UsageError("--follow and --before are both given", remedy="Give one of them.")
    with session_of(database, role) as session:
        place = None
        if before is not None:
            audit_trail.all_rows(session.connection)
            if (last := audit_trail.numbered(session.connection, before)) is None:
                raise audit_trail.AuditRefused(
                    f"there is no entry {before}", remedy="Give the number that the page before ends with."
                )
            place = last.place
        query = _query(session.connection, given, before=place)
        # One more than is shown tells whether there are more.
        found = audit_trail.entries(session.connection, query, limit=limit + 1)
        more, found = len(found) > limit, found[:limit]
        if follow:
            _follow(terminal, session.connection, query, found, json_=json_)
            return
        shown = _table(session.connection, found, columns(terminal)) if found and not json_ else ""
    if json_:
        terminal.data(
            json.document(
                {"entries": [audit_trail.record(each) for each in found], "before": found[-1].seq if more else None}
            )
        )
        return
    terminal.data(shown or "There are no such entries.\n")
    if more:
        terminal.talk(f"There are more: the same with --before {found[-1].seq}")


def _follow(
    terminal: Terminal, connection: psycopg.Connection[Any], query: Query, first: list[Entry], *, json_: bool
) -> None:
    """Until Ctrl-C. An entry of a transaction that ends late has a lower number than some that were shown."""
    from dataclasses import replace

    from lancio.registry import audit_trail

    def late(highest: int) -> list[Entry]:
        asked = replace(query, after=max(highest - FOLLOWED, 0), oldest_first=True)
        return audit_trail.entries(connection, asked, limit=100_000)

    newest = audit_trail.entries(connection, audit_trail.Query(), limit=1)
    highest = newest[0].seq if newest else 0
    known = {each.seq for each in late(highest)}
    fresh, head = first[::-1], True
    while True:
        if json_:
            terminal.data("".join(f"{audit_trail.json_line(each)}\n" for each in fresh))
        elif fresh:
            terminal.data(_table(connection, fresh, columns(terminal), head=head))
            head = False
        time.sleep(0.5)
        fresh = [each for each in late(highest) if each.seq not in known]
        known.update(each.seq for each in fresh)
        highest = max(known, default=highest)
        known = {each for each in known if each > highest - FOLLOWED}


def _table(connection: psycopg.Connection[Any], found: list[Entry], cells: int | None, *, head: bool = True) -> str:
    """An entry a line. Where the terminal is too narrow, target and organization stand on a second one: an id or
    an address is there to be typed, and not cut."""
    from lancio.registry import audit_trail
    from lancio.render import table
    from lancio.render.lines import clean, width

    slugs = audit_trail.slugs(connection, {each.organization_id for each in found if each.organization_id})
    emails = audit_trail.emails(connection, found)
    rows = [("NUMBER", "TIME (UTC)", "WHO", "ACTION", "TARGET", "ORG")] if head else []
    for each in found:
        at = each.occurred_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        target = " ".join(filter(None, (each.target_type, each.target_id)))
        organization = slugs.get(each.organization_id, str(each.organization_id)) if each.organization_id else "-"
        rows.append((str(each.seq), at, _who(each, emails), each.action, target, organization))
    whole = table.fitted(rows, None)
    if cells is None or max(map(width, whole.splitlines())) <= cells:
        return whole
    first = table.fitted([row[:4] for row in rows], cells, cut=(3,), whole=(0, 1, 2)).splitlines()
    indent = " " * (max(len(row[0]) for row in rows) + 2)
    return "".join(
        f"{line}\n{indent}{'  '.join(map(clean, filter(None, rest)))}\n"
        for line, (_, _, _, _, *rest) in zip(first, rows, strict=True)
    )


def _who(entry: Entry, emails: dict[UUID, str]) -> str:
    """The address of who acted, or what there is of it: the id, the login."""
    if email := entry.actor_email or (emails.get(entry.actor_id) if entry.actor_id else None):
        return email
    return " ".join(map(str, filter(None, (entry.actor_type, entry.actor_id or (entry.after or {}).get("login")))))


@audit.command(
    epilog="""\b
Examples:
  lancio audit show 1042
  lancio audit show 6f2dd6c7-8f5c-4b6e-9d5c-0a1b2c3d4e5f --json
""",
)
@click.argument("entry", metavar="ENTRY")
@_common
@click.pass_context
def show(context: click.Context, entry: str, database: str | None, role: str | None, json_: bool) -> None:
    """Show an entry (its number or its id) with what it says of before and after."""
    from uuid import UUID

    from lancio.registry import audit_trail
    from lancio.render import json
    from lancio.render.lines import clean

    terminal = terminal_of(context)
    reads(context)
    try:
        asked: int | UUID = int(entry) if re.fullmatch(r"[0-9]{1,18}", entry) else UUID(entry)
    except ValueError:
        raise UsageError(
            f"{entry!r} is neither the number nor the id of an entry",
            remedy="Give one of them.",
            commands=("lancio audit list",),
        ) from None
    with session_of(database, role) as session:
        audit_trail.all_rows(session.connection)
        found = (
            audit_trail.numbered(session.connection, asked)
            if isinstance(asked, int)
            else audit_trail.entry(session.connection, asked)
        )
        if found is None:
            raise audit_trail.AuditRefused(
                f"there is no entry {entry}",
                cause="It was never written, its transaction was rolled back, or it was pruned. That it was removed is "
                "what `lancio audit verify` tells.",
                remedy="Look at the list.",
                commands=("lancio audit list", "lancio audit verify"),
            )
        emails = audit_trail.emails(session.connection, [found])
    if json_:
        terminal.data(json.document(audit_trail.record(found)))
        return
    told = audit_trail.record(found)
    told["actor_email"] = told["actor_email"] or next(iter(emails.values()), None)
    for name, value in told.items():
        if value is None:
            continue
        if isinstance(value, dict):
            terminal.data(f"{name}\n")
            for key, each in value.items():
                terminal.data(clean(f"  {key}: {each if isinstance(each, str) else json.line(each)}") + "\n")
        else:
            terminal.data(clean(f"{name.ljust(16)} {value}") + "\n")


@audit.command(
    epilog="""\b
Examples:
  lancio audit export > audit.jsonl
  lancio audit export --format csv --org acme --since 2026-01-01 --until 2026-04-01 > acme.csv
""",
)
@_filters
@click.option(
    "--format",
    "format_",
    type=click.Choice(("jsonl", "csv")),
    default="jsonl",
    show_default=True,
    help="JSON Lines or CSV.",
)
@_common
@click.pass_context
def export(
    context: click.Context, /, format_: str, database: str | None, role: str | None, json_: bool, **given: Any
) -> None:
    """Print entries, the oldest first: one line each, however many there are.

    In CSV a text that a spreadsheet would calculate begins with an apostrophe; JSON Lines has it as it is.
    """
    from lancio.registry import audit_trail

    terminal = terminal_of(context)
    reads(context)
    if json_ and format_ == "csv":
        raise UsageError("--json and --format csv are both given", remedy="Give one of them.")
    with session_of(database, role) as session:
        query = _query(session.connection, given, oldest_first=True)
        lines: list[str] = [audit_trail.csv_header()] if format_ == "csv" else []
        count = 0
        for each in audit_trail.stream(session.connection, query):
            lines.append(audit_trail.csv_line(each) if format_ == "csv" else f"{audit_trail.json_line(each)}\n")
            count += 1
            if len(lines) >= 500:
                terminal.data("".join(lines))
                lines = []
        if lines:
            terminal.data("".join(lines))
    if not json_:
        terminal.talk(f"{counted(count, 'entry')}.")


# --- sealing, verifying -----------------------------------------------------------------------------------------------


def _anchors(given: Path | None) -> list[Anchor]:
    from lancio.registry import audit_seal

    if given is None:
        return []
    try:
        text = given.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{given} cannot be read",
            cause=getattr(error, "strerror", None) or "It is no text.",
            remedy="Name the file of the anchors.",
        ) from error
    return audit_seal.anchors_of(text)


_ANCHOR = click.option(
    "--anchor",
    "anchors",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="What `lancio audit anchor` printed once, to compare with.",
)


@audit.command(
    epilog="""\b
Examples:
  lancio audit seal --kek-file lancio.kek
  lancio audit seal --every 60
""",
)
@click.option(
    "--batch", type=click.IntRange(1, 100_000), default=5000, show_default=True, help="Entries a round, at most."
)
@click.option(
    "--wait", type=click.FloatRange(0, 86_400), default=10.0, show_default=True, metavar="SECONDS",
    help="How long to wait for transactions that began to write before.",
)  # fmt: skip
@click.option("--every", type=click.FloatRange(1, 86_400), metavar="SECONDS", help="Again and again, until Ctrl-C.")
@click.option(
    "--anchor", "anchors", metavar="FILE", type=click.Path(path_type=Path),
    help="Go on from a last round whose key is lost, if it is the one of the last anchor.",
)  # fmt: skip
@_YES
@kek_options
@_common
@click.pass_context
def seal(
    context: click.Context,
    batch: int,
    wait: float,
    every: float | None,
    anchors: Path | None,
    yes: bool,
    database: str | None,
    role: str | None,
    json_: bool,
) -> None:
    """Seal the entries that are committed and not sealed yet. Nobody who writes waits for it.

    Entries younger than the last seal can be removed without a trace by who owns the database: seal often. Entries of
    transactions that are still open, and those after them, are left to the next time. Killed half-way, run it again.
    """
    from lancio.registry import audit_seal
    from lancio.render import json

    del yes  # asked for by the protected environments
    terminal = terminal_of(context)
    trusted = _anchors(anchors)
    with session_of(database, role) as session:
        audit_seal.prepare(session.connection)
        keys, known = ring(context), None
        while True:
            if known is not None:  # an older state that was put back meanwhile is not sealed over
                audit_seal.refuse_rewritten(session.connection, known)
            last = None
            steps = audit_seal.seal(
                session.connection, keys, batch=batch, wait_s=wait, anchor=trusted[-1] if trusted else None
            )
            for last in steps:  # noqa: B007  the last one is what is told
                pass
            left = audit_seal.unsealed(session.connection)
            if json_:
                said = {"entries": last.entries if last else 0, "round": last.round if last else None, "left": left}
                terminal.data(f"{json.line(said)}\n" if every else json.document(said))
            elif last is not None or not every:
                done = "Nothing was to be sealed"
                if last is not None and last.entries:
                    done = f"{counted(last.entries, 'entry')} sealed, up to round {last.round}"
                elif last is not None:
                    done += f"; round {last.round} vouches with the key {keys.current.id} for all before"
                terminal.data(f"{done}.\n")
                if left:
                    terminal.talk(
                        f"{counted(left, 'entry')} of transactions that are open,"
                        " or younger than one of them: seal again."
                    )
            if every is None:
                return
            trusted, known = [], audit_seal.anchor(session.connection)
            time.sleep(every)


@audit.command(
    epilog="""\b
Examples:
  lancio audit verify --kek-file lancio.kek
  lancio audit verify --kek-file lancio.kek --anchor anchors.jsonl
  lancio audit verify --org acme --json
""",
)
@click.option("--org", metavar="NAME", help="Only the entries and seals of this organization (slug or id).")
@_ANCHOR
@click.option(
    "--resume", metavar="FILE", type=click.Path(path_type=Path),
    help="Only what came after its last anchor: what was before was verified then.",
)  # fmt: skip
@click.option(
    "--limit", type=click.IntRange(1), default=100, show_default=True, help="So many findings are told one by one."
)
@kek_options
@_common
@click.pass_context
def verify(
    context: click.Context,
    org: str | None,
    anchors: Path | None,
    resume: Path | None,
    limit: int,
    database: str | None,
    role: str | None,
    json_: bool,
) -> int:
    """Name each entry that was changed, removed or slipped in since it was sealed. Nothing is changed.

    With the key-encryption key the seals are proved to be made with it. Without it only their hashes are compared, and
    who changed entries and made the hashes anew is not found. That the end was not cut off shows only against an
    anchor. Exit status 1 if anything is not as it was sealed.
    """
    from lancio.registry import audit_seal, audit_trail
    from lancio.render import json

    terminal = terminal_of(context)
    reads(context)
    if org is not None and resume is not None:
        raise UsageError("--org and --resume are both given", remedy="Give one of them.")
    wanted, since = _anchors(anchors), _anchors(resume)
    found, told = audit_seal.Verified(), list[audit_seal.Finding]()
    with session_of(database, role) as session:
        audit_seal.prepare(session.connection)
        keys = ring_if_named(context)
        organization = None if org is None else audit_trail.named(session.connection, "organization", org)
        wanted = [each for each in wanted if each.organization == organization]
        if anchors is not None and not wanted:
            raise audit_trail.AuditRefused(
                f"{anchors} has no anchor of {'the whole' if org is None else org}",
                cause="An anchor of an organization says nothing about the others.",
                remedy="Give one that was made for what is verified.",
                commands=("lancio audit anchor > anchors.jsonl",),
            )
        steps: Iterator[Finding]
        if organization is None:
            last = [each for each in since if each.organization is None]
            steps = audit_seal.verify(
                session.connection, keys, found, anchors=wanted, resume=last[-1] if last else None
            )
            _tell(terminal, steps, told, limit, json_=json_)
        else:
            with session.connection.transaction():
                session.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                steps = audit_seal.verify_trail(session.connection, organization, keys, found, anchors=wanted)
                _tell(terminal, steps, told, limit, json_=json_)
    if json_:
        terminal.data(json.document({**json.plain(found), "ok": not found.findings, "told": json.plain(told)}))
    else:
        _sum_up(terminal, found, limit, one=organization is not None)
    return 1 if found.findings else 0


def _tell(terminal: Terminal, steps: Iterator[Finding], told: list[Finding], limit: int, *, json_: bool) -> None:
    """All of them are counted, and so many kept."""
    from lancio.render.lines import clean

    for each in steps:
        if len(told) < limit:
            told.append(each)
            if not json_:
                terminal.data(f"{each.kind.upper()}: {clean(each.says)}.\n")


def _sum_up(terminal: Terminal, found: Verified, limit: int, *, one: bool) -> None:
    if found.findings > limit:
        terminal.data(f"… and {found.findings - limit} more.\n")
    unit = "seals" if one else "rounds"
    if not found.last:
        terminal.data("Nothing is sealed here yet.\n")
    else:
        terminal.data(
            f"{counted(found.entries, 'entry')} as {'it was' if found.entries == 1 else 'they were'} sealed, in"
            f" {counted(found.seals if one else found.rounds, unit[:-1])}.\n"
        )
    if found.pruned:
        terminal.data(f"{counted(found.pruned, 'entry')} pruned, as a sealed record says.\n")
    if found.unsealed:
        since = (
            f", the oldest of {found.unsealed_since.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
            if found.unsealed_since
            else ""
        )
        terminal.data(f"{counted(found.unsealed, 'entry')} not sealed yet{since}: of them nothing is proved.\n")
    if found.findings:
        terminal.data(f"{counted(found.findings, 'finding')}: the trail is not what was written down.\n")
    elif found.last and found.key:
        terminal.data(f"Proved with the key-encryption key up to {unit[:-1]} {found.proved}.\n")
    if not found.key and found.last:
        terminal.data(
            "No key was at hand: whoever changed entries and made the hashes anew would not be found. "
            "Name the key-encryption key (--kek-file) to prove it.\n"
        )
    if found.anchored:
        terminal.data(f"As the anchor knows it: {unit[:-1]} {found.anchored[-1]}.\n")
    elif found.last:
        terminal.talk(f"That no {unit} were cut off at the end shows only against an anchor: lancio audit anchor")


@audit.command(
    epilog="""\b
Examples:
  lancio audit anchor >> anchors.jsonl
  lancio audit anchor --org acme | ssh witness 'cat >> acme.jsonl'
""",
)
@click.option("--org", metavar="NAME", help="Of this organization's own seals (slug or id), for itself to keep.")
@_common
@click.pass_context
def anchor(context: click.Context, org: str | None, database: str | None, role: str | None, json_: bool) -> None:
    """Print the end of the chain as a line of JSON, to be kept where the owner of the database cannot write."""
    from lancio.registry import audit_seal, audit_trail

    del json_  # it is JSON anyway
    terminal = terminal_of(context)
    reads(context)
    with session_of(database, role) as session:
        audit_seal.prepare(session.connection)
        organization = None if org is None else audit_trail.named(session.connection, "organization", org)
        found = audit_seal.anchor(session.connection, organization)
    if found is None:
        raise audit_trail.AuditRefused(
            "nothing is sealed here yet",
            cause="There is no end of a chain to keep.",
            remedy="Seal first.",
            commands=("lancio audit seal --kek-file lancio.kek",),
        )
    terminal.data(f"{found.line()}\n")


@audit.command(
    epilog="""\b
Examples:
  lancio audit prune --before 400d --dry-run
  lancio audit prune --before 2026-01-01 --kek-file lancio.kek
""",
)
@click.option(
    "--before",
    metavar="TIME",
    required=True,
    callback=_when,
    help="What was written before then: a date, a time, or 400d.",
)
@_DRY
@_YES
@kek_options
@_common
@click.pass_context
def prune(
    context: click.Context,
    before: datetime,
    dry_run: bool,
    yes: bool,
    database: str | None,
    role: str | None,
    json_: bool,
) -> None:
    """Take away sealed entries that are older than you keep, and leave a sealed record of it.

    Whole rounds, the oldest first, each in a short transaction of its own; they are verified before. The rest verifies
    as before, and says how many are gone. Export them first if they are to be kept elsewhere. Killed half-way, run it
    again.
    """
    from lancio.registry import audit_seal
    from lancio.render import json

    terminal = terminal_of(context)
    with session_of(database, role) as session:
        plan = audit_seal.outlook(session.connection, before)
        if dry_run:
            audit_seal.refuse_unfit(session.connection, ring_if_named(context), plan)
            if json_:
                terminal.data(
                    json.document({"rounds": len(plan.rounds), "entries": plan.of, "before": before.isoformat()})
                )
            else:
                terminal.data(
                    f"{counted(plan.of, 'entry')} in {counted(len(plan.rounds), 'round')} would be pruned."
                    f" Nothing was changed.\n"
                )
            return
        keys = ring(context)
        if plan.rounds:
            typed(
                terminal, "Type prune to go on", "prune", yes=yes,
                why=f"{counted(plan.of, 'entry')} in {counted(len(plan.rounds), 'round')} will be gone.",
            )  # fmt: skip
        done = audit_seal.Pruned()
        for _ in audit_seal.prune(session.connection, keys, before, done):
            pass
    if json_:
        terminal.data(
            json.document({"rounds": len(done.rounds), "entries": done.entries, "before": before.isoformat()})
        )
        return
    terminal.data(f"{counted(done.entries, 'entry')} in {counted(len(done.rounds), 'round')} pruned.\n")
    if done.kept_back:
        terminal.talk(
            f"{counted(done.kept_back, 'round')} {'is' if done.kept_back == 1 else 'are'} old enough and stay:"
            " one before has younger entries."
        )
