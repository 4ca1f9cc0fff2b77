"""A run as it happens: events into lines, and on a terminal into one line that moves."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from lancio.render.lines import counted, lasted, listed, paint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lancio.cli.terminal import Terminal
    from lancio.executor.events import Event

LOST = ("08006", "57P01", "57P02", "57P03", "57P04", "57P05", "25P03", "25P04")
"""SQLSTATEs of a connection that ended: what became of the step is told behind it."""

LOUD = ("WARNING", "ERROR")
"""Server messages that a person has to see; a NOTICE is only told where somebody watches for it."""


class Lines:
    """Plain lines: what was applied goes to stdout, what happens besides to stderr."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal

    def show(self, event: Event) -> None:
        """Print what this event means to a reader; events that only move a bar say nothing here."""
        from lancio.executor import events

        match event:
            case events.StepApplied():
                self.step(applied(event))
            case events.StepSkipped():
                self.step(f"[{event.position}/{event.of}] {event.migration}: somebody else applied it meanwhile")
            case events.Notice() if event.severity in LOUD:
                self.aside(notice(event))
            case events.Waiting():
                self.aside(waiting(event))
            case events.StepFailed() | events.Interrupted() if event.migration:
                self.step(undone(event))
            case events.RunFinished():
                self.step(finished(event))
            case _:
                pass

    def step(self, line: str) -> None:
        """A step is behind us."""
        self.terminal.data(f"{line}\n")

    def aside(self, line: str) -> None:
        """Something to know that is not a result."""
        self.terminal.talk(line)


class Live(Lines):
    """The same lines, above one that shows the step at work, its statements and the time."""

    def __init__(self, terminal: Terminal, progress: Any) -> None:
        super().__init__(terminal)
        self.progress = progress
        self.tasks: dict[str, Any] = {}
        """The bars, by the file that each is of: several steps may be at work at once."""

    def show(self, event: Event) -> None:
        """Move the bar, then print as without one."""
        from lancio.executor import events

        match event:
            case events.StepStarted():
                self.tasks[event.migration] = self.progress.add_task(
                    f"[{event.position}/{event.of}] {event.migration}", total=max(1, event.statements), summary=""
                )
            case events.Progress() if event.migration in self.tasks:
                self.progress.update(self.tasks[event.migration], completed=event.ordinal, summary=event.summary[:40])
            case events.Underway() if event.migration in self.tasks:
                self.progress.update(self.tasks[event.migration], summary=underway(event))
            case events.StepApplied() | events.StepSkipped() | events.StepFailed():
                self._gone(event.migration)
            case events.Interrupted():
                for each in tuple(self.tasks):
                    self._gone(each)
            case _:
                pass
        super().show(event)

    def _gone(self, migration: str) -> None:
        task = self.tasks.pop(migration, None)
        if task is not None:
            self.progress.remove_task(task)

    def step(self, line: str) -> None:
        """Above the bar."""
        self._print(line)

    def aside(self, line: str) -> None:
        """Above the bar as well: two streams on one screen would tear it."""
        self._print(line)

    def _print(self, line: str) -> None:
        from rich.text import Text

        said = paint(line) if self.terminal.colours(self.terminal.out) else line
        self.progress.console.print(Text.from_ansi(said), soft_wrap=True)


@contextlib.contextmanager
def reporter(terminal: Terminal) -> Iterator[Lines]:
    """Lines that move where somebody looks, plain ones elsewhere."""
    if not terminal.live(terminal.out):
        yield Lines(terminal)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

    class Escaped(Progress):
        """File names are names, not markup."""

        def add_task(self, description: str, *args: Any, **fields: Any) -> TaskID:
            return super().add_task(escape(description), *args, **fields)

    console = Console(file=terminal.out, no_color=not terminal.colours(terminal.out), highlight=False)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[summary]}", style="dim", markup=False),
    )
    with Escaped(*columns, console=console, transient=True) as progress:
        yield Live(terminal, progress)


def applied(event: Any) -> str:
    """`[1/8] ✓ 001_create_platform_schema.sql  35 ms`."""
    resolved = " (its commit was found in the ledger after the connection broke)" if event.resolved else ""
    return f"[{event.position}/{event.of}] ✓ {event.migration}  {lasted(event.duration_ms)}{resolved}"


def notice(event: Any) -> str:
    """A warning of the server, with its hint."""
    place = f" ({event.where})" if event.where else ""
    said = [f"{event.severity}: {event.message}{place}"]
    said += [f"  {part}" for part in (event.detail, event.hint) if part]
    return "\n".join(said)


def waiting(event: Any) -> str:
    """Who keeps us from going on."""
    what = {"runner": "another runner of Lancio", "a lock": "a lock"}.get(event.what, f"a lock on {event.what}")
    if event.why and event.retry_in_s is not None:
        what = f"{what} ({event.why})"
    said = f"waiting for {what}, {lasted(event.waited_s * 1000)} so far"
    if event.holders:
        said += f": held by {listed([str(holder) for holder in event.holders], 3)}"
    if event.retry_in_s is not None:
        said += f"; the step was rolled back and is tried again in {lasted(event.retry_in_s * 1000)}"
    elif event.why:
        said += f"; {event.why}"
    return said


def undone(event: Any) -> str:
    """The step at which the run ended; the refusal that follows says why."""
    if getattr(event, "committed", False):
        return f"✓ {event.migration}  committed just before the run was stopped"
    place = f"[{event.position}/{event.of}] " if hasattr(event, "position") else ""
    in_doubt = getattr(event, "sqlstate", "") in LOST
    left = getattr(event, "kept", "") or "rolled back, nothing of it is left"
    return f"{place}✗ {event.migration}  {'lost' if in_doubt else left}"


def underway(event: Any) -> str:
    """`CREATE INDEX CONCURRENTLY by_email: scanning table 45 %`."""
    percent = "" if event.percent is None else f" {event.percent:.0f} %"
    return f"{event.summary[:40]}: {event.phase}{percent}"


def finished(event: Any) -> str:
    """`8 of 8 steps applied in 1.2 seconds.`"""
    said = f"{event.applied} of {counted(event.of, 'step')} applied in {lasted(event.duration_ms)}"
    ends = {"failed": "the run failed", "interrupted": "the run was interrupted", "lost": "the connection was lost"}
    return f"{said}; {ends[event.outcome]}." if event.outcome in ends else f"{said}."
