"""Small histories, written where a test wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lancio.catalog import profile
from lancio.planner import graph
from lancio.proof import replay
from lancio.reading.source import read_folder

if TYPE_CHECKING:
    from pathlib import Path

    from lancio.planner.model import Graph


def folder(path: Path, *texts: str) -> Path:
    """Files 1.sql, 2.sql, … with these texts."""
    path.mkdir(exist_ok=True)
    for number, text in enumerate(texts, 1):
        (path / f"{number}.sql").write_text(text)
    return path


def history(path: Path, *texts: str, preamble: bytes = b"") -> replay.History:
    migrations = read_folder(folder(path, *texts)).migrations
    return replay.History(tuple(replay.script(each) for each in migrations), preamble)


def planned(path: Path, *texts: str) -> Graph:
    return graph.build(read_folder(folder(path, *texts)), profile.load(18))
