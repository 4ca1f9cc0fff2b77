"""`lancio shadow`: what migration 007 would deny, by caller and query, before it does."""

from __future__ import annotations

import click

from lancio.cli.options import database_options, json_option, terminal_of


@click.group(
    epilog="""\b
Examples:
  lancio shadow on
  lancio shadow report
  lancio shadow off
"""
)
def shadow() -> None:
    """Note what migration 007 would deny, while every row still passes.

    Begin it on a platform with 001 to 006, let the programs work, read the report, end it, apply 007.
    """


_YES = click.option("-y", "--yes", is_flag=True, help="Don't ask before a protected environment is touched.")


@shadow.command(
    name="on",
    epilog="""\b
Examples:
  lancio shadow on
  lancio shadow on --database postgresql://postgres@db.example/app --yes
""",
)
@_YES
@database_options
@json_option
@click.pass_context
def on_(context: click.Context, yes: bool, database: str | None, role: str | None, json_: bool) -> None:
    """Begin: from now on statements are noted that 007 would keep from rows. Nobody stops seeing any."""
    from lancio.cli import work
    from lancio.registry import shadow as mode
    from lancio.render import json

    del yes  # asked for by the protected environments
    terminal = terminal_of(context)
    with work.session(database, role) as session:
        mode.on(session.connection)
    if json_:
        terminal.data(json.document({"shadow": "on"}))
    else:
        terminal.data("Shadow mode is on: what 007 would deny is noted, and every row still passes.\n")


@shadow.command(
    epilog="""\b
Examples:
  lancio shadow report
  lancio shadow report --json | jq '.denials[] | select(.context)'
""",
)
@database_options
@json_option
@click.pass_context
def report(context: click.Context, database: str | None, role: str | None, json_: bool) -> int:
    """Show what was noted, by role, program, table and query.

    Exit status 3 if 007 would deny anything, else 0.
    """
    from lancio.cli import work
    from lancio.errors import NoGo
    from lancio.registry import shadow as mode
    from lancio.render import json, text
    from lancio.render.lines import clean, counted, wrap

    terminal = terminal_of(context)
    context.params["dry_run"] = True  # it reads: a protected environment need not be asked for
    with work.session(database, role) as session:
        found = mode.report(session.connection)
    if json_:
        terminal.data(json.document({"denials": [json.plain(each) for each in found.denials], "full": found.full}))
    elif not found.denials:
        terminal.data("Nothing was noted that 007 would deny.\n")
    else:
        callers: dict[tuple[str, str], list[mode.Denial]] = {}
        for each in found.denials:
            callers.setdefault((each.role, each.application_name), []).append(each)
        for (who, program), denials in callers.items():
            terminal.data(f"{clean(who)} ({clean(program) or 'no application_name'})\n")
            rows = [("TABLE", "WOULD BE", "CONTEXT", "SESSIONS", "LAST")]
            for each in denials:
                last = each.last_at.isoformat(sep=" ", timespec="seconds")
                rows.append(
                    (each.relation, each.kind, "set" if each.context else "none", str(each.sessions), last)
                )  # fmt: skip
            head, *lines = text.table(rows).splitlines()
            terminal.data(f"  {head}\n")
            for line, denial in zip(lines, denials, strict=True):
                query = wrap(clean(denial.query), terminal.cells, first="      ")
                terminal.data("".join(f"{said}\n" for said in (f"  {line}", *query)))
        terminal.data(f"007 would deny {counted(len(found.denials), 'statement')}.\n")
    if found.full:
        terminal.talk("The notes have reached 64 MiB, and no more are taken: read them, end it, begin anew.")
    return NoGo.exit_status if found.denials else 0


@shadow.command(
    epilog="""\b
Examples:
  lancio shadow off
""",
)
@_YES
@database_options
@json_option
@click.pass_context
def off(context: click.Context, yes: bool, database: str | None, role: str | None, json_: bool) -> None:
    """End: everything is as before, and what was noted is gone."""
    from lancio.cli import work
    from lancio.registry import shadow as mode
    from lancio.render import json

    del yes  # asked for by the protected environments
    terminal = terminal_of(context)
    with work.session(database, role) as session:
        mode.off(session.connection)
    if json_:
        terminal.data(json.document({"shadow": "off"}))
    else:
        terminal.data("Shadow mode is off.\n")
