"""How many steps of real histories can be taken back, with PostgreSQL as the judge?

    python bench/rollback.py FOLDER… [--preamble FILE]… [--var NAME=VALUE]… [--no-down] [--scratch URL] [--json] [-v]

Each FOLDER is one history; `--preamble` is given once a folder, in the same order (or not at all; `-` for none): SQL
that runs before the first file. Each step is taken back right after it ran: its undoing is committed, the catalog's
fingerprint compared with the one from before the step, then the step runs again and the fingerprint is compared with
the one from behind it.

  returned    the fingerprint came back both times; `down` by what its author wrote, `computed` from the catalog
  refused     it would not run: nothing brings back what it dropped or changed, or its own rehearsal did not give back
              the catalog (`caught`)
  wrong       it would have run, and a fingerprint was another one

Rows that a step wrote in a table that was there before count as if the table had rows now. With `--no-down` what the
authors wrote is left aside. Steps that do not run themselves are counted apart.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lancio.catalog import profile
from lancio.errors import LancioError, StepFailed
from lancio.executor import fingerprint
from lancio.executor.rollback import clockless
from lancio.planner import graph as planning
from lancio.proof import replay, scratch, undoing
from lancio.reading import source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lancio.proof.scratch import Scratch

PLATFORM = Path(__file__).resolve().parent.parent / "src" / "lancio" / "registry" / "schema"


@dataclass
class Result:
    """What was measured of one history."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    reasons: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def steps(self) -> int:
        """The steps that ran."""
        return sum(self.counts[each] for each in ("down", "computed", "none", "refused", "caught", "wrong"))

    @property
    def returned(self) -> int:
        """The steps that were taken back."""
        return sum(self.counts[each] for each in ("down", "computed", "none"))


def measure(server: Scratch, path: Path, preamble: bytes, variables: Mapping[str, str], *, downs: bool) -> Result:
    """Take back each step of a history right after it ran."""
    started = time.perf_counter()
    folder = source.read_folder(path, variables=variables)
    graph = planning.build(folder, profile.load(server.major))
    result = Result(path.name)
    name = server.create()
    with server.connect(name, replay.SESSION) as connection:
        if preamble:
            connection.execute(preamble)
        for facts in graph.files:
            before = fingerprint.take(connection)
            try:
                down = source.down_part(folder, facts.migration, variables) if downs else None
                found = undoing.undo(connection, facts, down)
            except StepFailed as error:
                result.counts["did not run"] += 1
                result.reasons.append((facts.name, error.message))
                continue
            if found.refused or found.obstacles:
                reasons = (*found.refused, *(each.says for each in found.obstacles))
                caught = bool(found.statements) and not found.obstacles
                result.counts["caught" if caught else "refused"] += 1
                result.reasons.append((facts.name, "; ".join(reasons)))
                continue
            after = fingerprint.take(connection)
            connection.execute("BEGIN")
            why = undoing.execute(connection, found.statements)
            connection.execute("COMMIT")
            connection.execute(replay.QUERIES["reset"].encode())
            back = fingerprint.take(connection)
            again = replay.run(connection, replay.script(facts.migration, facts.ops))
            anew = fingerprint.take(connection)
            same = clockless(anew.facts) == clockless(after.facts)  # a view may have the moment in it when it was made
            if why or back.hash != before.hash or isinstance(again, replay.Failed) or not same:
                result.counts["wrong"] += 1
                apart = [
                    str(each)[:200]
                    for pair in ((before, back), (after, anew))
                    for some in fingerprint.diff(*pair)
                    for each in some
                ]
                result.wrong.append(f"{facts.name}: {why or apart[:6] or again}")
            else:
                result.counts["down" if found.way == "written" else found.way] += 1
    server.drop(name)
    result.seconds = time.perf_counter() - started
    return result


def table(results: Sequence[Result]) -> str:
    """The measured histories, a line each."""
    columns = ("steps", "returned", "", "down", "computed", "refused", "caught", "wrong", "seconds")
    rows = [f"{'history':<14}" + "".join(f"{each:>10}" for each in columns)]
    for each in results:
        counts = each.counts
        cells = (
            each.steps, each.returned, f"{100 * each.returned / max(each.steps, 1):.1f} %", counts["down"],
            counts["computed"] + counts["none"], counts["refused"], counts["caught"], counts["wrong"],
            f"{each.seconds:.1f}",
        )  # fmt: skip
        rows.append(f"{each.name:<14}" + "".join(f"{cell:>10}" for cell in cells))
    return "\n".join(rows)


def main() -> int:
    """Measure and print; 1 if a step was taken back wrongly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, default=[PLATFORM])
    parser.add_argument("--preamble", action="append", default=[])
    parser.add_argument("--var", action="append", default=[])
    parser.add_argument("--no-down", action="store_true")
    parser.add_argument("--scratch")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("-v", dest="verbose", action="store_true")
    given = parser.parse_args()
    if given.preamble and len(given.preamble) != len(given.folders):
        parser.error("--preamble is given once a folder, or not at all")
    preambles = [
        b"" if each == "-" else Path(each).read_bytes() for each in given.preamble or ["-"] * len(given.folders)
    ]
    variables = dict(each.split("=", 1) for each in given.var)
    results = []
    try:
        with scratch.server(given.scratch) as server:
            for folder, preamble in zip(given.folders, preambles, strict=True):
                result = measure(server, folder, preamble, variables, downs=not given.no_down)
                results.append(result)
                if not given.json:
                    print(table([result]), flush=True)
                    for each in result.wrong:
                        print("  WRONG", each)
                    for file, why in result.reasons if given.verbose else ():
                        print(f"  {file}: {why}")
    except LancioError as error:
        print(error.message, error.cause, sep="\n", file=sys.stderr)
        return 1
    if given.json:
        print(
            json.dumps(
                [
                    {"history": each.name, "steps": each.steps, "returned": each.returned, **each.counts}
                    for each in results
                ]
            )
        )
    elif len(results) > 1:
        print(table(results))
    return 1 if any(each.wrong for each in results) else 0


if __name__ == "__main__":
    sys.exit(main())
