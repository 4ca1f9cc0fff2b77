"""`lancio graph --witness`: each edge with PostgreSQL's own sentence for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lancio.errors import UsageError
from lancio.render import json, lines

if TYPE_CHECKING:
    from pathlib import Path

    from lancio.cli.terminal import Terminal
    from lancio.planner.model import Graph
    from lancio.proof.witness import Proof, Witness

_HOW = {
    "without": "{file} without it",
    "before": "{file} just before it",
    "swapped": "{needs} behind {file}",
}


def show(terminal: Terminal, graph: Graph, url: str | None, before: Path | None) -> None:
    """Prove the graph's edges on a scratch server and print them, as text or as JSON.

    `before` is a file of SQL that makes what is to be there before the first file.

    Raises:
        SourceError: that file cannot be read.
        ServerError: there is no scratch server to be had.
    """
    from lancio.proof import cache, scratch, witness

    live = terminal.live(terminal.err)

    def tell(done: int, of: int) -> None:
        if live:
            terminal.err.write(f"\r{done} of {of} files left out{' ' if done < of else chr(10)}")
            terminal.err.flush()

    version = scratch.version_of(url)
    said = f"PostgreSQL {version}"
    proof = witness.prove(
        graph,
        cache.Cache(cache.folder() / "witnesses"),
        lambda: scratch.server(url),
        version,
        preamble=_preamble(before),
        tell=tell,
    )
    if terminal.json:
        terminal.data(json.document(document(graph, proof, said)))
    else:
        terminal.data("\n".join(text(graph, proof, said, terminal.cells)) + "\n")


def _preamble(before: Path | None) -> bytes:
    try:
        return b"" if before is None else before.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{before} cannot be read", cause=f"{error.strerror}.", remedy="Name a file of SQL by --before."
        ) from error


def text(graph: Graph, proof: Proof, server: str, cells: int) -> list[str]:
    """Every edge that was asked about, file by file, and the sum."""
    standing = sum(each.stands for each in proof.witnesses.values())
    told = lines.heading(f"WITNESSES: {standing} of {lines.counted(len(proof.witnesses), 'edge')}", cells)
    last = ""
    # An edge may be there twice, of two strengths.
    for file, needs, hazard in dict.fromkeys((each.file, each.needs, each.hazard) for each in graph.edges):
        found = proof.witnesses.get((file, needs, hazard))
        if found is None:
            continue
        if file != last:
            told += ["", file]
            last = file
        told += lines.wrap(f"behind {needs} ({hazard})", cells, first="  ", rest="    ")
        told += lines.wrap(_said(found, file, needs), cells, first="      ")
    return [*told, "", *lines.wrap(_sum(proof, server), cells)]


def _said(found: Witness, file: str, needs: str) -> str:
    if found.kind == "runs":
        return "not witnessed: it ran"
    if found.kind == "broken":
        return f"not witnessed: it fails in the whole history too: {found.message}"
    place = f", line {found.line}" if found.line else ""
    return f"{_HOW[found.kind].format(file=file, needs=needs)}: {found.message} ({found.sqlstate}{place})"


def _sum(proof: Proof, server: str) -> str:
    if not proof.proved:
        return f"All {proof.kept} were proved earlier, on the same files."
    took = lines.lasted(proof.seconds * 1000)
    kept = f"; {proof.kept} were proved earlier" if proof.kept else ""
    return f"{proof.proved} proved now by {lines.counted(proof.runs, 'run')} on {server}, in {took}{kept}."


def document(graph: Graph, proof: Proof, server: str) -> dict[str, Any]:
    """The graph as JSON with a witness at every edge that was asked about."""
    told = json.graph(graph)
    for edge in told["edges"]:
        found = proof.witnesses.get((edge["file"], edge["needs"], edge["hazard"]))
        if found is not None:
            edge["witness"] = json.plain(found)
    told["witnesses"] = {
        "server": server,
        "standing": sum(each.stands for each in proof.witnesses.values()),
        "kept": proof.kept,
        "proved": proof.proved,
        "runs": proof.runs,
        "seconds": round(proof.seconds, 3),
    }
    return told
