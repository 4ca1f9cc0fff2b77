"""The plans made by hand are the executor's, and the other look at the catalog is the planner's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lancio.proof import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

for folder in ("executor", "planner"):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / folder))


@pytest.fixture(scope="session")
def memory() -> Iterator[scratch.Scratch]:
    """A scratch server of its own: a database is copied there in a tenth of the time that the tests' server takes."""
    with scratch.server() as made:
        yield made


@pytest.fixture
def place(memory: scratch.Scratch) -> Iterator[scratch.Scratch]:
    """The same, with the databases of a test gone behind it."""
    yield memory
    memory.clear()
