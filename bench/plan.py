"""What does planning cost beside the parser alone?

The floor is libpg_query's JSON form of every file, read by orjson, on one core. Against it, turn by turn in the same
process: the whole cold plan (read the folder, parse, read the operations, bind, edges, checks), the same folder
again with the cache, and once more after one file of it was changed. Processor time, medians; the database is not
asked.

    python bench/plan.py FOLDER...            each folder on its own, and all together
    python bench/plan.py --growth FOLDER...   the same files over and over under new names, up to 20,000
    python bench/plan.py --rows               a file of 330,000 single-row INSERTs (20 MB)
"""

from __future__ import annotations

import argparse
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from lancio.catalog import profile
from lancio.planner import kept
from lancio.reading import cache, known
from lancio.reading.source import read_folder
from lancio.syntax import parser

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lancio.catalog.profile import Profile
    from lancio.planner.model import Graph

GOALS = {"cold": 4.0, "unchanged": 0.5, "and edges": 0.5, "last changed": 1.0, "first changed": 1.0}
SIZES = (500, 2_000, 5_000, 10_000, 20_000)


def floor(texts: Sequence[bytes]) -> None:
    library = parser._library()
    for text in texts:
        result = library.pg_query_parse(text)
        orjson.loads(result.parse_tree)
        library.pg_query_free_parse_result(result)


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def measure(folder: Path, facts: Profile, turns: int) -> dict[str, float]:
    """Medians of the processor seconds for one folder."""
    with tempfile.TemporaryDirectory(prefix="lancio-bench-") as scratch:
        copy = Path(scratch, folder.name)
        shutil.copytree(folder, copy)
        ours = cache.usual({cache.VARIABLE: str(Path(scratch, "cache"))})
        texts = [each.text for each in read_folder(copy).migrations]
        names = [each.name for each in read_folder(copy).migrations]
        first, changed = copy / names[0], copy / names[-1]

        def plan() -> Graph:
            return kept.build(known.read_folder(copy, kept=ours), facts, kept=ours)

        plan()
        time.sleep(2.1)  # what was changed less than two seconds before is read again
        plan()
        taken: dict[str, list[float]] = {}
        for _ in range(turns):
            taken.setdefault("floor", []).append(seconds(lambda: floor(texts)))
            taken.setdefault("cold", []).append(seconds(lambda: kept.build(read_folder(copy), facts, kept=None)))
            taken.setdefault("unchanged", []).append(seconds(plan))
            taken.setdefault("and edges", []).append(seconds(lambda: plan().edges))
        for turn in range(turns):
            taken["floor"].append(seconds(lambda: floor(texts)))
            with changed.open("a") as file:
                file.write(f"\nSELECT {turn};\n")
            taken.setdefault("last changed", []).append(seconds(plan))
        for turn in range(turns):
            taken["floor"].append(seconds(lambda: floor(texts)))
            with first.open("a") as file:
                file.write(f"\nSELECT {turn};\n")
            taken.setdefault("first changed", []).append(seconds(plan))
    return {name: statistics.median(each) for name, each in taken.items()}


def compare(folders: Sequence[Path], turns: int) -> bool:
    facts = profile.load()
    print(f"{'folder':20} {'floor ms':>9} " + " ".join(f"{name:>16}" for name in GOALS))
    total: dict[str, float] = {}
    for folder in folders:
        found = measure(folder, facts, turns)
        show(folder.name, found)
        total = {name: total.get(name, 0) + took for name, took in found.items()}
    show("all", total)
    return all(total[name] <= goal * total["floor"] for name, goal in GOALS.items())


def show(name: str, found: dict[str, float]) -> None:
    parts = " ".join(f"{found[each] * 1000:7.1f} = {found[each] / found['floor']:5.2f}x" for each in GOALS)
    print(f"{name:20} {found['floor'] * 1000:9.1f} {parts}", flush=True)


# Growth: one process a size, so that its peak of memory is its own.


def grow(folders: Sequence[Path]) -> None:
    for size in SIZES:
        arguments = [sys.executable, __file__, "--one-size", str(size), *map(str, folders)]
        print(subprocess.run(arguments, check=True, text=True, stdout=subprocess.PIPE).stdout, end="", flush=True)


def one_size(size: int, folders: Sequence[Path]) -> None:
    """Plan `size` files: those of the folders again and again, each time in a schema of its own."""
    texts = [
        (each.text.decode(), place) for place, folder in enumerate(folders) for each in read_folder(folder).migrations
    ]
    with tempfile.TemporaryDirectory(prefix="lancio-bench-") as scratch:
        made: set[str] = set()
        for number in range(size):
            turn, at = divmod(number, len(texts))
            text, place = texts[at]
            schema = f"turn_{turn}_{place}"
            first = "" if schema in made else f"CREATE SCHEMA {schema};\n"
            made.add(schema)
            own = re.sub(r'(?:\b(?:public|auth)|"public")\.', f"{schema}.", text)
            Path(scratch, f"{number:06}.sql").write_text(f"{first}SET search_path = {schema};\n{own}")
        files = [path.read_bytes() for path in sorted(Path(scratch).iterdir())]
        least = seconds(lambda: floor(files))
        took = seconds(lambda: kept.build(read_folder(Path(scratch)), profile.load(), kept=None))
    print(f"{size:6} files: floor {least:6.2f} s, cold {took:7.2f} s = {took / least:5.1f}x, "
          f"{took / size * 1000:5.2f} ms a file, peak {peak():5.0f} MB")  # fmt: skip


def rows(count: int = 330_000) -> None:
    with tempfile.TemporaryDirectory(prefix="lancio-bench-") as scratch:
        lines = (f"INSERT INTO names (id, name) VALUES ({at}, 'name number {at}');" for at in range(count))
        text = "CREATE TABLE names (id int, name text);\n" + "\n".join(lines)
        Path(scratch, "001.sql").write_text(text)
        took = seconds(lambda: kept.build(read_folder(Path(scratch)), profile.load(), kept=None))
    print(f"{count} INSERTs, {len(text) / 1e6:.1f} MB: {took:.1f} s, peak {peak():.0f} MB")


def peak() -> float:
    """The most memory this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folders", nargs="*", type=Path)
    arguments.add_argument("--turns", type=int, default=5)
    arguments.add_argument("--growth", action="store_true")
    arguments.add_argument("--one-size", type=int, help=argparse.SUPPRESS)
    arguments.add_argument("--rows", action="store_true")
    given = arguments.parse_args()
    if given.rows:
        rows()
    elif given.one_size:
        one_size(given.one_size, given.folders)
    elif given.growth:
        grow(given.folders)
    else:
        return 0 if compare(given.folders, given.turns) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
