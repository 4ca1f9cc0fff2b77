"""`lancio prove-no-leak`: plant a secret, and look for it everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lancio.cli.options import environment_options, json_option, terminal_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lancio.proof.leaks import Layout, Report
    from lancio.proof.places import Searched

AGAINST = ("plain", "literals")
SHOWN = 3
"""So many sightings of a place are shown; the JSON has up to twenty."""

_SIZES = ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB"))
_JUDGED = {
    "platform": "the platform as it is",
    "plain": "a layout that keeps the plain text, in which it must be found",
    "literals": "the platform, written to by literals as nobody should",
}


@click.command(
    epilog="""\b
Examples:
  lancio prove-no-leak
  lancio prove-no-leak --against plain      the detector must find it here
  lancio prove-no-leak --against literals   what a literal in a statement gives away
  lancio prove-no-leak --database postgresql://postgres@db.example/app --json
""",
)
@click.option(
    "--against",
    type=click.Choice(AGAINST),
    help="Judge something that leaks instead, to see that the search finds it.",
)
@click.option("--database", metavar="URL", help="A database to judge from here.  [default: a server of our own]")
@click.option("--role", metavar="NAME", help="Become this role (SET ROLE) there.")
@environment_options
@click.option("-y", "--yes", is_flag=True, help="Go on in a protected environment; nothing is committed there.")
@json_option
@click.pass_context
def prove_no_leak(
    context: click.Context, against: str | None, database: str | None, role: str | None, yes: bool, json_: bool
) -> int:
    """Plant a secret, go every way in and out with it, and look for it everywhere it could rest or pass.

    Without --database (or --env) on a PostgreSQL of our own, which is removed at the end: its files, logs, dumps and
    all else can be searched there. With it in one transaction of that database that is rolled back, as far as can be
    seen from here; DATABASE_URL alone is not taken for that. Each search has to find a control first. Exit status 1 if
    the secret or the key was found anywhere, or if a search proved nothing.
    """
    from lancio.cli import environments, work
    from lancio.cli.signals import cleaning
    from lancio.errors import UsageError
    from lancio.proof import leaks
    from lancio.render import json

    del yes
    terminal = terminal_of(context)
    environment = environments.current()
    given = database is not None or (environment is not None and environment.chosen)
    if role is not None and not given:
        raise UsageError(
            "--role is given without a database",
            cause="On a server of our own there are no other roles.",
            remedy="Name the database by --database.",
        )
    if against is not None and given:
        raise UsageError(
            f"--against {against} is not for a given database",
            cause="It makes the platform leak, so it runs on a server of our own.",
            remedy="Leave --database out.",
        )
    layout: Layout = next((each for each in leaks.LAYOUTS if each == against), "platform")
    with cleaning():
        if given:
            with work.session(database, role) as session:
                report = leaks.on_given(session.target, session.connection, role=session.role)
        else:
            report = leaks.on_our_own(layout)
    if json_:
        terminal.data(json.document(document(report)))
    else:
        terminal.data("\n".join(shown(report, terminal.cells)) + "\n")
    return 0 if report.sound and not report.leaking else 1


def document(report: Report) -> dict[str, object]:
    """The report as JSON has it."""
    return {
        "clean": report.sound and not report.leaking,
        "leaking": [each.name for each in report.leaking],
        "sound": report.sound,
        "server": report.server,
        "layout": report.layout,
        "canary": report.canary,
        "seconds": round(report.seconds, 1),
        "places": [
            {
                "name": each.name,
                "how": each.how,
                "searched": not each.why_not,
                "why_not": each.why_not,
                "pieces": each.pieces,
                "unit": each.unit,
                "bytes": each.bytes,
                "control": each.control,
                "found": each.found,
                "sightings": each.sightings,
                "note": each.note,
            }
            for each in report.places
        ],
        "ways": report.gone,
        "doubts": report.doubts,
    }


def shown(report: Report, cells: int) -> Iterator[str]:
    """The report as a person reads it, line by line."""
    from lancio.render import lines

    searched = [each for each in report.places if not each.why_not]
    yield from lines.heading(f"NO LEAK? {report.server}", cells)
    yield ""
    yield from lines.wrap(
        f"Judged is {_JUDGED[report.layout]}. A secret ({report.canary}) and its key went "
        f"{lines.counted(len(report.gone), 'way')} in and out; then each place was searched for them.",
        cells,
    )
    yield ""
    names = max(lines.width(each.name) for each in report.places) + 2
    amounts = max((lines.width(_amount(each)) for each in searched), default=0) + 2
    for each in searched:
        mark = "✗" if each.found else "✓" if each.proved else "!"
        says = f"found {_times(each.found)}" if each.found else "nothing" if each.proved else "NOT PROVED"
        yield f"{mark} {lines.pad(each.name, names)}{lines.pad(_amount(each), amounts)}{says}"
        for sighting in each.sightings[:SHOWN]:
            what = f"{sighting.where} at byte {sighting.offset}: the {sighting.what}, {sighting.form}"
            yield from lines.wrap(lines.clean(what), cells, first="    ")
        if each.found > SHOWN:
            yield f"    … and {each.found - min(SHOWN, len(each.sightings))} more"
        if not each.proved:
            yield from lines.wrap("its control was not found, so this search proves nothing", cells, first="    ")
        if each.note:
            yield from lines.wrap(each.note, cells, first="    ")
    skipped = [each for each in report.places if each.why_not]
    if skipped:
        yield ""
        yield "Not searched, and so not known to be clean:"
        for each in skipped:
            yield from lines.wrap(f"{each.name}: {each.why_not}", cells, first="· ")
    if report.doubts:
        yield ""
        yield "Not as it should have gone:"
        for doubt in report.doubts:
            yield from lines.wrap(doubt, cells, first="! ")
    yield ""
    yield from lines.wrap(_sum(report, searched), cells)


def _sum(report: Report, searched: list[Searched]) -> str:
    from lancio.render import lines

    proved = sum(each.proved for each in searched)
    works = f"The search works: its control was found in {proved} of {len(searched)} places."
    if report.leaking:
        verdict = f"LEAKING in {lines.counted(len(report.leaking), 'place')}: "
        verdict += f"{lines.listed([each.name for each in report.leaking])}."
    elif report.sound:
        verdict = f"Nothing was found in {lines.counted(len(searched), 'place')}."
    else:
        verdict = "Nothing was found, but not everything was proved."
    return f"{verdict} {works} {lines.lasted(report.seconds * 1000)}."


def _amount(each: Searched) -> str:
    from lancio.render import lines

    unit = each.unit if each.pieces == 1 else lines.counted(2, each.unit).partition(" ")[2]
    return f"{each.pieces:,} {unit}, {_size(each.bytes)}"


def _size(count: int) -> str:
    for unit, name in _SIZES:
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} B"


def _times(number: int) -> str:
    return "once" if number == 1 else "twice" if number == 2 else f"{number} times"
