"""`lancio plan --save` and `lancio apply --plan`: a plan between the two commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lancio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lancio.cli.options import Source
    from lancio.cli.work import Choice, Session
    from lancio.executor.planfile import PlanFile
    from lancio.planner.model import Plan


def save(plan: Plan, session: Session, where: Source, order: str, choice: Choice, path: str) -> None:
    """Keep a plan.

    Raises:
        UsageError: it cannot be written there.
    """
    from lancio.executor import planfile

    chosen = planfile.Choice(where.said, choice.to, choice.only, choice.minimal, order)
    planfile.write(planfile.take(plan, session.connection, chosen, session.target.display), Path(path))


def promised(path: str, platform: bool, to: str | None, only: Sequence[str], order: str, *, adopt: bool) -> PlanFile:
    """The kept plan that is to be run.

    Raises:
        UsageError: it is none, or the command line says beside it what the plan itself says.
    """
    from lancio.executor import planfile

    kept = planfile.read(Path(path))
    given = {"--to": to is not None, "--only": bool(only), "--adopt": adopt, "--order graph": order != "name"}
    beside = [flag for flag, there in given.items() if there]
    if kept.choice.order == order and "--order graph" in beside:
        beside.remove("--order graph")  # as lancio.toml has it
    if beside:
        raise UsageError(
            f"--plan and {beside[0]} are both given",
            cause="The plan says itself which files it is of and in which order they run.",
            remedy=f"Leave {beside[0]} away, or make another plan.",
        )
    if platform and kept.choice.folder != "--platform":
        raise UsageError(
            f"{path} is a plan of {kept.choice.folder}",
            cause="--platform means other files.",
            remedy="Leave --platform away.",
        )
    return kept


def hold(kept: PlanFile, plan: Plan, session: Session, path: str) -> None:
    """Go on only where nothing has changed since.

    Raises:
        PlanChanged: with the names of what did.
    """
    from lancio.executor import planfile

    planfile.refuse_changed(
        kept, planfile.take(plan, session.connection, kept.choice, session.target.display), path
    )  # fmt: skip
