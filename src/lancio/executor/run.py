"""What is one run of a plan, whoever carries out its steps: its terms, its events so far, its end."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from lancio.executor import events, segments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from queue import SimpleQueue

    from lancio.executor.events import Event
    from lancio.executor.session import Connection, Signals
    from lancio.executor.waiting import Patience
    from lancio.planner.diagnosis import Way
    from lancio.planner.model import Plan
    from lancio.planner.segments import Ran


@dataclass
class Run:
    """The terms of a run and how far it is; its connections are the lanes' own."""

    plan: Plan
    signals: Signals
    settings: dict[str, str]
    reconnect: Callable[[], Connection]
    way: Way
    patience: Patience
    ahead: int = 0
    """How many steps may be on their way to the server behind the one at work."""
    id: int | None = None
    number: int = 0
    pending: list[Event] = field(default_factory=list)
    """Events that are not in the ledger yet: they go there with a commit to come."""
    written_at: float = 0.0
    """When events were last written, on the monotonic clock."""
    applied: list[str] = field(default_factory=list)
    outcome: str = ""
    started: float = field(default_factory=time.monotonic)
    known: dict[str, str] = field(default_factory=dict)
    """Checksums of what the ledger had when the run began."""
    begun: dict[str, tuple[Ran, ...]] = field(default_factory=dict)
    """Of files that are not one transaction and not applied whole, the statements that the ledger has."""
    decided: Mapping[tuple[str, int], Literal["done", "again"]] = field(default_factory=dict)
    """What a person says of statements in doubt, by file and line."""
    major: int = 18
    """The server's major version."""
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    outbox: SimpleQueue[Event | object] | None = None
    """Where lanes side by side leave their events, in the order of their numbers."""
    _telling: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def of(self) -> int:
        """How many steps the plan has."""
        return len(self.plan.steps)

    def next(self) -> int:
        """The number of the next event, as far as it is known: it is settled when the event is told."""
        return self.number + 1

    def tell(self, event: Event) -> Event:
        """Number an event, keep it for the ledger, and hand it on."""
        with self._telling:
            self.number += 1
            if event.number != self.number:
                event = replace(event, number=self.number)
            self.pending.append(event)
            if self.outbox is not None:
                self.outbox.put(event)
        return event

    def finished(self, outcome: str) -> Event:
        """The run's last event."""
        return self.tell(
            events.RunFinished(
                number=self.next(),
                run=self.id,
                outcome=outcome,
                applied=len(self.applied),
                of=self.of,
                duration_ms=round((time.monotonic() - self.started) * 1000, 1),
            )
        )

    def half_done(self, name: str) -> bool:
        """Whether a part of a file may be in the database, though its step is not applied."""
        return any(step.facts.name == name and segments.apart(self, step) for step in self.plan.steps)

    def half_way(self, name: str) -> str:
        """How far a file is that is not one transaction, in words; "" for every other one."""
        for step in self.plan.steps:
            if step.facts.name == name and segments.apart(self, step):
                return segments.stands(self, step).says
        return ""

    def standing(self) -> frozenset[str]:
        """The files that are applied here, those of this run among them."""
        return frozenset(self.applied).union(
            state.name for state in self.plan.states if state.recorded or state.state == "applied"
        )
