"""`lancio db update --from-env`: the placeholders that step 3 of the platform left get their connection strings."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lancio.cli import secret_input, tested

if TYPE_CHECKING:
    from lancio.cli.call import Call
    from lancio.registry.acting import Acting
    from lancio.registry.data_keys import DataKeys
    from lancio.registry.databases import Database


@dataclass(frozen=True, slots=True)
class Filled:
    """What became of the placeholders."""

    filled: tuple[tuple[Database, str], ...]
    """Those that were replaced, each with its variable."""
    left: tuple[Database, ...]
    """Those for which no variable is set."""


def fill(
    call: Call, project: str | None, variable: str, *, test: bool, timeout: float, local_files: bool
) -> int:  # fmt: skip
    """Replace the placeholders from the environment, probe what was replaced, and tell; the exit status.

    `variable` is the one to take; empty for those of each kind.

    Raises:
        Ambiguous: one variable would be the connection string of several databases.
        LancioError: as `databases.update`.
    """
    with call.session():
        keys = call.keys()
        with call.work() as work:
            done = _filled(call, work, keys, project, variable)
        found = [] if call.dry_run or not test else [
            tested.probed(call, keys, each, timeout=timeout, local_files=local_files) for each, _ in done.filled
        ]  # fmt: skip
    if call.json:
        call.document(
            {
                "dry_run": call.dry_run,
                "filled": [{"variable": named, **each.as_dict()} for each, named in done.filled],
                "left": [each.as_dict() for each in done.left],
                "tested": [each.as_dict() for each in found],
            }
        )
    else:
        call.terminal.data(_told(call, done) + "".join(each.told() for each in found))
    return 0 if all(each.reached for each in found) else 1


def _filled(call: Call, work: Acting, keys: DataKeys, project: str | None, variable: str) -> Filled:
    from lancio.registry import databases

    found = databases.every(work, databases.Filter(project=project, placeholder=True))
    filled: list[tuple[Database, str]] = []
    left: list[Database] = []
    for each in found:
        named = variable or secret_input.first_set(each.type, call.database)
        if named is None:
            left.append(each)
            continue
        alike = [other.name for other in found if other.type == each.type]
        if len(alike) > 1:
            raise databases.Ambiguous(
                f"{named} cannot be the connection string of {len(alike)} databases",
                cause=f"Placeholders of that kind are {', '.join(alike[:10])}.",
                remedy="Name one of them, and its variable.",
                commands=(f"lancio db update {shlex.quote(alike[0])} --from-env {named} --org {work.slug}",),
            )
        value = secret_input.parsed(call.terminal, secret_input.variable(named), each.type)
        after = databases.update(work, keys, each, databases.Change(value=value), version=each.version)
        filled.append((after, named))
    return Filled(tuple(filled), tuple(left))


def _told(call: Call, done: Filled) -> str:
    word = "would get" if call.dry_run else "has"
    lines = [
        f"{each.name} ({each.project}) {word} the connection string of {named}: {each.display}."
        for each, named in done.filled
    ]
    for each in done.left:
        wanted = " or ".join(secret_input.VARIABLES[each.type][:2])
        lines.append(f"{each.name} ({each.project}) stays a placeholder: {wanted} is not set.")
    if not lines:
        lines.append("There are no placeholders.")
    if call.dry_run:
        lines.append("Nothing was changed.")
    return "".join(f"{line}\n" for line in lines)
