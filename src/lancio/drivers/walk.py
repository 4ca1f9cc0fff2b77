"""A probe's way through the layers: each is timed, the first that fails ends it, and all of it ends in time."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from lancio.drivers.findings import Failed, finding
from lancio.drivers.model import LAYERS, Probe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator

    from lancio.drivers.model import Layer, Limits, Role
    from lancio.registry.connection_strings import Host, Kind


class _Enough(Exception):  # noqa: N818
    """The next layer was not asked for."""


class Walk:
    """What a probe has found so far. The driver writes version, role and address into it."""

    def __init__(self, upto: Layer) -> None:
        self.version: str | None = None
        self.role: Role | None = None
        self.address: str | None = None
        self.at: Layer = "name"
        self._took: dict[Layer, float] = {}
        self._last = LAYERS.index(upto)

    @contextlib.contextmanager
    def layer(self, layer: Layer) -> Iterator[None]:
        """Go through a layer. One that lies behind the last that was asked for ends the probe instead.

        The same layer may be entered again (another attempt): its times add up.
        """
        if LAYERS.index(layer) > self._last:
            raise _Enough
        self.at = layer
        start = time.perf_counter()
        yield
        self._took[layer] = self._took.get(layer, 0.0) + (time.perf_counter() - start) * 1000

    def without(self, layer: Layer) -> None:
        """Take back a layer: it was gone through and does not hold, and nothing asks for it."""
        self._took.pop(layer, None)

    def probe(self, kind: Kind, host: Host, failed: Failed | None) -> Probe:
        """What was found, as a value. A layer that failed after all is not among those that were passed."""
        end = LAYERS.index(failed.layer) if failed else len(LAYERS)
        took = tuple((layer, self._took[layer]) for layer in LAYERS[:end] if layer in self._took)
        return Probe(
            kind, host, took, self.version, self.role, self.address, finding(kind, host, failed) if failed else None
        )


async def until_one(probes: Iterable[Coroutine[Any, Any, Probe]], will_do: Callable[[Probe], bool]) -> list[Probe]:
    """The probes that have ended when one will do, in the order that they are given in; all of them if none does."""
    running = [asyncio.create_task(each) for each in probes]
    try:
        for ended in asyncio.as_completed(running):
            if will_do(await ended):
                break
    finally:
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return [each.result() for each in running if not each.cancelled()]


async def walked(kind: Kind, host: Host, limits: Limits, upto: Layer, way: Callable[[Walk], Awaitable[None]]) -> Probe:
    """Go the way of a driver through the layers, and tell how far it came.

    `way` raises Failed for what it knows; any other Exception becomes `unexpected` with its class's name. It is
    cancelled when `limits.total_s` is over, and must end then without waiting for the server.
    """
    walk = Walk(upto)
    failed: Failed | None = None
    try:
        async with asyncio.timeout(limits.total_s):
            await way(walk)
    except _Enough:
        pass
    except Failed as found:
        failed = found
    except TimeoutError:
        failed = Failed(walk.at, "timeout")
    except Exception as error:  # a probe has an answer for whatever a server sends
        failed = Failed(walk.at, "unexpected", type(error).__name__)
    return walk.probe(kind, host, failed)
