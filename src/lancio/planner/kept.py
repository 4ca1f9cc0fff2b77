"""The graph of a folder, from the cache where nothing that it depends on has changed."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any

from lancio.planner import graph, model
from lancio.reading import cache
from lancio.reading.model import FileOps
from lancio.reading.source import Migration

if TYPE_CHECKING:
    from lancio.catalog.profile import Profile
    from lancio.planner.graph import Order
    from lancio.planner.model import Graph
    from lancio.reading.cache import Cache
    from lancio.reading.source import Folder

VALUES = (*cache.VALUES, model.Place, model.Because, model.Edge, model.Requirement, model.Opaque, model.Finding,
          model.Effect, model.Lock, model.Service, model.Check, model.FileFacts, model.Graph)  # fmt: skip


def build(folder: Folder, profile: Profile, *, order: Order = "name", kept: Cache | None) -> Graph:
    """What `graph.build` gives, value for value; from the cache if it has it.

    Raises:
        SourceError: a file cannot be parsed.
    """
    if kept is None:
        return graph.build(folder, profile, order=order)
    name = f"graph-{cache.key(order, str(profile.major), _identity(folder))}"
    reads = cache.Reads(kept, folder)
    if (packed := kept.get(name)) is not None and (found := _unpacked(packed, folder, reads)) is not None:
        return found
    made = graph.build(folder, profile, order=order, read=reads.read)
    reads.save()
    kept.put(name, _packed(made))
    return made


def _identity(folder: Folder) -> str:
    """A hash of all that a folder's graph depends on."""
    digest = hashlib.sha256()
    rest = (folder.layout, folder.ordered, folder.left_out, folder.elsewhere, folder.twins, folder.unused)
    digest.update(repr((folder.path.name, rest)).encode())
    for each in folder.migrations:
        down = each.down.name if each.down is not None else None
        filled = each.filled.pieces if each.filled is not None else None
        written = hashlib.sha256(each.source).hexdigest() if each.source is not None else ""
        said = (each.name, each.number, each.transaction, each.after, down, filled, written, each.digest)
        digest.update(repr(said).encode())
    return digest.hexdigest()


def _packed(made: Graph) -> bytes:
    """Without the files themselves, which are in the folder, and their operations, which are kept file by file."""
    owner = {id(facts.ops): facts.name for facts in made.files}

    def apart(value: object) -> object:
        if isinstance(value, Migration):
            return "file", value.name
        if isinstance(value, FileOps):
            return "ops", owner[id(value)], value.statements, value.directives, value.problems
        return None

    return cache.pack(made, apart)


def _unpacked(packed: bytes, folder: Folder, reads: cache.Reads) -> Graph | None:
    files = {each.name: each for each in folder.migrations}

    def apart(kept: Any) -> object:
        if kept[0] == "file":
            return files[kept[1]]
        return cache.Later(FileOps(kept[2], (), kept[3], kept[4]), partial(reads.read, files[kept[1]]))

    with graph.without_collecting():
        found = cache.unpack(packed, VALUES, apart)
    return found if isinstance(found, model.Graph) else None
