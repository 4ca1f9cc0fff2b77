"""`lancio check`: what conflicts with another branch, what commutes, and what is risky, for people and for CI."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import click

from lancio.cli.options import folder_options, json_option, source, terminal_of
from lancio.errors import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lancio.cli import git
    from lancio.cli.options import Source
    from lancio.planner.model import Finding, Graph
    from lancio.planner.rules import Severity
    from lancio.reading.source import Folder
    from lancio.render.check import Report

FORMATS = ("text", "json", "sarif", "github", "junit")
_LEVELS: dict[str, Severity] = {"error": "refusal", "warning": "warning", "note": "note"}


@click.command(
    epilog="""\b
Examples:
  lancio check migrations
  lancio check migrations --base origin/main
  lancio check migrations --base origin/main --format sarif > lancio.sarif
  lancio check migrations --ignore exclusive-lock --severity table-rewrite=error
""",
)
@folder_options
@click.option("--base", metavar="REF", help="Look at this branch's new files alone, and against those of REF.")
@click.option("--select", metavar="RULE", multiple=True, help="These rules alone; several with commas, or again.")
@click.option("--ignore", metavar="RULE", multiple=True, help="Not these rules.")
@click.option("--severity", metavar="RULE=LEVEL", multiple=True, help="Take a rule for an error, a warning or a note.")
@click.option("--format", "format_", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("--server-version", type=click.IntRange(10, 18), help="Bind for this major version.  [default: 18]")
@json_option
@click.pass_context
def check(
    context: click.Context,
    folder: str | None,
    platform: bool,
    order: str,
    base: str | None,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    severity: tuple[str, ...],
    format_: str,
    server_version: int | None,
    json_: bool,
) -> int:
    """Find what is wrong or risky in a folder; with --base, what conflicts with that branch and what commutes.

    With --base only the files that are new on this branch are looked at: the work tree against the commit where both
    branches went apart, and against what the other branch has added since. No database is asked. Exit status 1 if
    something found is an error.
    """
    from lancio.cli import work
    from lancio.render import check as rendering
    from lancio.render import json

    terminal = terminal_of(context)
    if order == "graph":
        raise UsageError(
            "check goes by the order of the names",
            cause="It tells where that order is wrong.",
            remedy="Leave --order away.",
        )
    chosen, left, graver = _rules(select), _rules(ignore), _severities(severity)
    where = source(folder, platform=platform)
    report = _report(where, base, server_version or work.NEWEST, chosen, left, graver)
    format_ = "json" if json_ else format_
    if format_ == "json":
        terminal.data(json.document(rendering.data(report)))
    elif format_ == "sarif":
        terminal.data(json.document(rendering.sarif(report)))
    elif format_ == "text":
        terminal.data(rendering.text(report, terminal.cells))
    else:
        terminal.data(rendering.github(report) if format_ == "github" else rendering.junit(report))
    return 1 if report.errors else 0


def _report(
    where: Source,
    base: str | None,
    major: int,
    select: frozenset[str],
    ignore: frozenset[str],
    severity: dict[str, Severity],
) -> Report:
    from lancio.catalog import profile
    from lancio.cli import git
    from lancio.planner import branches, kept, rules
    from lancio.reading import cache
    from lancio.render.check import Report

    known = profile.load(major)

    def build(folder: Folder) -> Graph:
        return kept.build(folder, known, kept=cache.usual())

    tree = git.tree_of(where.path) if base is not None else _quietly(where)
    prefix = tree.path if tree is not None else where.path.as_posix()
    judged = {"select": select, "ignore": ignore, "severity": severity}
    with contextlib.ExitStack() as stack:
        there = began = None
        if base is not None and tree is not None:
            tip, apart = tree.branch(base)
            there = _folder(where, stack.enter_context(tree.at(tip)))
            began = _folder(where, stack.enter_context(tree.at(apart)))
        try:
            here = where.read()
            build(here)
        except SourceError as error:
            if not error.where:
                raise
            unread = rules.judge([_unread(error)], (), **judged)  # type: ignore[arg-type]
            return Report(prefix, (), unread.findings, base=base or "")
        if base is None:
            graph = build(here)
            names = [facts.name for facts in graph.files]
            told = [*rules.of_graph(graph, names), *rules.of_requirements(graph, names), *rules.of_opaque(graph, names)]
            theirs: tuple[str, ...] = ()
            pairs: tuple[branches.Pair, ...] = ()
        else:
            met = branches.meet(here, there, began, build, known, base)
            graph, names, told, theirs, pairs = met.graph, list(met.ours), list(met.findings), met.theirs, met.pairs
            told += rules.of_opaque(graph, names)
        told += [finding for name in names for finding in rules.of_file(graph, name)]
        found = rules.judge(told, [graph.file(name) for name in names], **judged)  # type: ignore[arg-type]
    return Report(prefix, tuple(names), found.findings, found.silenced, base or "", theirs, pairs)


def _quietly(where: Source) -> git.Tree | None:
    """The repository that the folder lies in, if it lies in one: a report names its files from the root."""
    from lancio.cli import git

    with contextlib.suppress(SourceError, UsageError, ValueError):
        return git.tree_of(where.path)
    return None


def _folder(where: Source, path: object) -> Folder | None:
    """The folder as another commit has it, read as the one here is read."""
    from pathlib import Path

    from lancio.reading.source import read_folder

    if not isinstance(path, Path) or next(path.rglob("*.sql"), None) is None:
        return None
    return read_folder(path, layout=where.layout, variables=where.variables)


def _unread(error: SourceError) -> Finding:
    from lancio.planner import rules
    from lancio.planner.model import Place

    file, _, line = error.where.split("\n", 1)[0].rpartition(":")
    place = Place(file or error.where, int(line) if line.isdigit() else 1)
    return rules.found("unreadable", f"{error.message}. {error.cause}".rstrip(), place, error.remedy)


def _rules(given: Iterable[str]) -> frozenset[str]:
    """The rules that a flag names.

    Raises:
        UsageError: one that there is not.
    """
    from lancio.planner.rules import RULES

    names = [name for each in given for name in re.split(r"[\s,]+", each) if name]
    for name in names:
        if name not in RULES:
            raise _no_rule(name)
    return frozenset(names)


def _severities(given: Iterable[str]) -> dict[str, Severity]:
    from lancio.planner.rules import RULES

    found: dict[str, Severity] = {}
    for each in given:
        name, equals, level = each.partition("=")
        if name not in RULES:
            raise _no_rule(name)
        if not equals or level not in _LEVELS:
            raise UsageError(
                f"--severity {each} says no level",
                cause=f"There are: {', '.join(_LEVELS)}.",
                remedy="Give it as RULE=LEVEL.",
                commands=(f"lancio check --severity {name}=error",),
            )
        found[name] = _LEVELS[level]
    return found


def _no_rule(name: str) -> UsageError:
    import difflib

    from lancio.planner.rules import RULES

    near = difflib.get_close_matches(name, RULES, 3) or list(RULES)
    return UsageError(
        f"there is no rule {name}",
        cause=f"{'Near are' if len(near) < len(RULES) else 'There are'}: {', '.join(near)}.",
        remedy="Look into docs/reference/rules/.",
    )
