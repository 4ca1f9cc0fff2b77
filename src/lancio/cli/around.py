"""A plan, completed by what is around the database's catalog."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from lancio.cli.backup import AGE, NO_BACKUP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lancio.catalog.model import Live
    from lancio.cli.options import Source
    from lancio.cli.work import Session
    from lancio.planner.model import Missing, Plan


def complete(
    plan: Plan,
    live: Live,
    session: Session,
    source: Source,
    environ: Mapping[str, str] | None,
    *,
    wanted: bool,
) -> Plan:
    """Ask what the plan needs of its surroundings, and judge the answers; nothing is changed.

    --no-backup and --backup-age are taken from the command line's context. With `wanted=False` services that are only
    wanted are not asked.
    """
    from lancio.executor import backups, surroundings
    from lancio.planner import asked, preflight

    context = click.get_current_context(silent=True)
    given = context.meta if context is not None else {}
    needs = asked.read(plan.steps, live)
    around = surroundings.take(
        session.connection, needs, os.environ if environ is None else environ, wanted=wanted
    )  # fmt: skip
    # A backup of what some files touch counts for these files alone.
    around = replace(around, backup=backups.latest(session.connection, [step.facts.name for step in plan.steps]))
    terms = preflight.Terms(
        backup=not given.get(NO_BACKUP, False),
        backup_age_s=given.get(AGE) or preflight.BACKUP_AGE_S,
        folder=source.words,
        database=live.database,
        psql=session.target.psql(),
        dump=re.sub(r"\s+$", "", f"pg_dump -Fc -f backup.dump {session.target.psql_target}"),
    )
    judged = preflight.judge(plan, needs, around, terms)
    return judged if terms.backup else replace(judged, missing=tuple(map(_unbacked, judged.missing)))


def _unbacked(item: Missing) -> Missing:
    """What was asked on these terms is to be run on them, too."""
    again = (f"{each} --no-backup" if each.startswith("lancio apply ") else each for each in item.commands)
    return replace(item, commands=tuple(again))
