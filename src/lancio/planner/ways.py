"""How does one say why a file cannot run yet, and what to run first? In the specification's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from lancio.planner.model import Graph


def way(graph: Graph, name: str, provider: str, applied: Collection[str], *, partly: bool = False) -> Way:
    """Cause and solution where `name` needs what `provider` makes, and the files to run, in order.

    Files that share a number are steps of one migration: "Step 3 run before Step 1", "Run Step 1 first". Otherwise
    the provider is applied alone if nothing else waits with it, else everything up to here in order: what the
    provider needs, and what needs the provider.
    """
    needed = label(graph, provider)
    if _number(graph, name) == _number(graph, provider) is not None:
        return f"{label(graph, name)} run before {needed}", f"Run {needed} first", (provider, name)
    order = [facts.name for facts in graph.files]
    before = order[: order.index(name)]
    ancestors = graph.ancestors(provider)
    waiting = tuple(
        each
        for each in before
        if each not in applied and (each == provider or each in ancestors or provider in graph.ancestors(each))
    )
    cause = f"{needed} {'only partly applied' if partly else 'not applied'}"
    if order.index(provider) == 0 or waiting in ((provider,), ()):
        return cause, f"Apply {needed[0].lower()}{needed[1:]}", (provider,)
    earlier = [each for each in before if _number(graph, each) != _number(graph, name)] or before
    return cause, f"Apply migrations {short(earlier[0])}-{short(earlier[-1])} in order", waiting


Way = tuple[str, str, tuple[str, ...]]
"""Cause, solution, files."""


def unknown(graph: Graph, provider: str) -> set[str]:
    """Which files to take for applied where no database was asked: all but the one that is missing and its heirs."""
    return {
        facts.name for facts in graph.files if facts.name != provider and provider not in graph.ancestors(facts.name)
    }


def label(graph: Graph, name: str) -> str:
    """`Migration 003`, or `Step 2` where several files share a number."""
    number = _number(graph, name)
    if number is None:
        return f"Migration {name}"
    same = [facts.name for facts in graph.files if facts.migration.number == number]
    return f"Step {same.index(name) + 1}" if len(same) > 1 else f"Migration {short(name)}"


def short(name: str) -> str:
    """A file's number as it is written: `003`; its name if it has none."""
    digits = ""
    for char in name.rsplit("/", 1)[-1].lstrip("Vv"):
        if not char.isdigit():
            break
        digits += char
    return digits or name


def _number(graph: Graph, name: str) -> int | None:
    return graph.file(name).migration.number
