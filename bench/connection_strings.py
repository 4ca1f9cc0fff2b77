"""How many connection strings a second are read, shown and written, and how many by their drivers?

    python bench/connection_strings.py [--strings 20000] [--turns 5]

The strings are the valid ones of the tests' generator that have a form in the driver; drivers only read. It ends with
status 1 where reading a million would take longer than five minutes of one core.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "registry"))

from drivers_reading import dns_that_knows_all, read
from made_strings import Maker

from lancio.registry.connection_strings import parse

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 300.0
"""Seconds of one core for a million."""


def seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--strings", type=int, default=20_000)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    maker = Maker(1)
    made = [maker.valid() for _ in range(options.strings)]
    slow = False
    print(
        f"{platform.machine()}, Python {platform.python_version()}, processor time, medians of {options.turns} turns\n"
    )
    print("| kind | read, us | shown, us | written, us | its driver (redis-py: both), us |\n|---|---|---|---|---|")
    with dns_that_knows_all():
        for kind in ("postgresql", "redis", "mongodb"):
            texts = [each.text for each in made if each.kind == kind and each.driver]
            values = [parse(text) for text in texts]
            columns: list[list[float]] = [[], [], [], []]
            for _ in range(options.turns):
                columns[0].append(seconds(lambda texts=texts: [parse(text) for text in texts]))  # type: ignore[misc]
                columns[1].append(seconds(lambda values=values: [value.display for value in values]))  # type: ignore[misc]
                columns[2].append(seconds(lambda values=values: [value.build() for value in values]))  # type: ignore[misc]
                columns[3].append(seconds(lambda texts=texts, kind=kind: [read(kind, text) for text in texts]))  # type: ignore[misc]
            each = [1e6 * statistics.median(column) / len(texts) for column in columns]
            slow = slow or each[0] > LIMIT
            print(f"| {kind} | " + " | ".join(f"{figure:.0f}" for figure in each) + " |")
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
