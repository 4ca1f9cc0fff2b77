"""A scratch server for the commands that run files on one: started once, since each start costs seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lancio.proof import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def scratch_url() -> Iterator[str]:
    """The connection string of a server of our own, with its data in memory where there is room."""
    with scratch.server() as made:
        yield made.conninfo
