"""Under names that say nothing of an order the files are put into a right one, from what is in them alone."""

from __future__ import annotations

import random
import re
import string
from typing import TYPE_CHECKING

import outside
import pytest
from outside import (
    ALL,
    AUDIT,
    BILLING,
    CHAIN,
    FOLDER,
    ISOLATION,
    KEYS,
    LANCIO,
    NAMES,
    PLATFORM,
    PROOF,
    ROTATIONS,
    STEP_1,
    STEP_2,
    STEP_3,
    USERS,
    contents,
    differs,
    facts,
    lancio,
    psql,
)

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Stage
    from servers import TestServer

BEFORE = {
    BILLING: {PLATFORM},
    USERS: {PLATFORM, BILLING},
    LANCIO: {PLATFORM, USERS},
    AUDIT: {PLATFORM, USERS},
    STEP_1: {PLATFORM, USERS},
    STEP_2: {PLATFORM, BILLING, USERS, AUDIT, STEP_1},
    STEP_3: {STEP_1, LANCIO},
    ISOLATION: {PLATFORM, BILLING, USERS, AUDIT, STEP_1, STEP_2},
    KEYS: {PLATFORM, USERS, AUDIT, STEP_1, ISOLATION},
    NAMES: {PLATFORM, STEP_1, ISOLATION},
    CHAIN: {PLATFORM, BILLING, USERS, AUDIT, STEP_1, ISOLATION, KEYS},
    ROTATIONS: {PLATFORM, STEP_1, ISOLATION, KEYS},
}
"""What the specification wants before each file; 003 alters tables of 002, and step 2 covers the table of step 1."""

SEEDS = range(60) if PROOF else range(3)
DIRECTIVE = re.compile(rb"^-- lancio:.*\n", re.MULTILINE)


def random_names(seed: int) -> list[str]:
    dice = random.Random(seed)
    letters = string.ascii_lowercase + "äßñ_-"
    names: set[str] = set()
    while len(names) < len(ALL):
        names.add("".join(dice.choices(letters, k=dice.randint(2, 14))).strip("-_") or "x")
    shuffled = sorted(names)
    dice.shuffle(shuffled)
    return shuffled


ADVERSARIAL = {
    "reversed": list("mlkjihgfedcba"),
    "telling the wrong story": [
        "zz_last", "register", "after_everything", "final", "enable_rls", "first", "a_foundation", "aa_create_schema",
        "b_isolate", "c_keys", "d_names", "e_chain", "before_all",
    ],
    "one number for all": [f"001_{letter}" for letter in "mlkjihgfedcba"],
    "blanks and capitals": ["z z", "Y y", "x X", "W", "v é", "U.u", "t'T", "s $s", "r=r", "q+q", "p p", "o-o", "n,n"],
}  # fmt: skip


def copied(folder: Path, stems: list[str], *, directives: bool) -> dict[str, str]:
    """The files under these names; the names they had, by the new ones."""
    folder.mkdir()
    names: dict[str, str] = {}
    for name, stem in zip(ALL, stems, strict=True):
        text = (FOLDER / name).read_bytes()
        if not directives:
            assert DIRECTIVE.search(text)
            text = DIRECTIVE.sub(b"", text)
            assert b"-- lancio:" not in text
        (folder / f"{stem}.sql").write_bytes(text)
        names[f"{stem}.sql"] = name
    return names


def wrong(order: list[str]) -> list[str]:
    """Each pair in the order that the specification has the other way round."""
    assert sorted(order) == sorted(ALL)
    return [
        f"{need} behind {name}"
        for name, needs in BEFORE.items()
        for need in needs
        if order.index(need) > order.index(name)
    ]


def test_the_judge_of_an_order_can_refuse() -> None:
    assert wrong(list(ALL)) == []
    for name, needs in BEFORE.items():
        for need in needs:
            swapped = list(ALL)
            one, other = swapped.index(name), swapped.index(need)
            swapped[one], swapped[other] = swapped[other], swapped[one]
            assert wrong(swapped)


@pytest.mark.parametrize(
    ("seed", "directives"),
    [(seed, directives) for seed in SEEDS for directives in (True, False) if PROOF or directives == (seed % 2 == 0)],
)
def test_random_names_get_a_right_order_and_the_same_catalog(
    server: TestServer, database: str, stage: Stage, tmp_path: Path, seed: int, directives: bool
) -> None:
    names = copied(tmp_path / "m", random_names(seed), directives=directives)
    drawn = lancio("graph", str(tmp_path / "m"), "--format", "json")
    assert wrong([names[name] for name in drawn.json["files"]]) == []
    assert drawn.json["files"] == _applied_like_the_numbered_folder(server, database, stage, tmp_path / "m")


@pytest.mark.parametrize("how", ADVERSARIAL)
def test_names_that_lead_astray_get_a_right_order_and_the_same_catalog(
    server: TestServer, database: str, stage: Stage, tmp_path: Path, how: str
) -> None:
    names = copied(tmp_path / "m", ADVERSARIAL[how], directives=False)
    order = _applied_like_the_numbered_folder(server, database, stage, tmp_path / "m")
    assert wrong([names[name] for name in order]) == []


def _applied_like_the_numbered_folder(server: TestServer, database: str, stage: Stage, folder: Path) -> list[str]:
    """Apply the folder, compare what it made, and return its files in the order they ran."""
    said = lancio("apply", str(folder), "--database", database, "--json")
    assert said.status == 0, said.text
    numbered = stage(server, *ALL)
    assert differs(facts(numbered), facts(database)) == []
    assert contents(numbered) == contents(database)
    return list(outside.one(database, "SELECT array_agg(migration ORDER BY id) FROM lancio.step"))


def test_the_order_is_one_that_psql_can_run_on_every_version(
    every_server: TestServer, every_database: str, tmp_path: Path
) -> None:
    folder = tmp_path / "m"
    copied(folder, random_names(1000), directives=False)
    said = lancio("graph", str(folder), "--format", "json", "--server-version", str(every_server.version))
    for name in said.json["files"]:
        done = psql(every_database, name, folder=folder)
        assert "ERROR" not in done.err, done.err


def test_the_edges_do_not_depend_on_the_names(tmp_path: Path) -> None:
    def edges(folder: Path, names: dict[str, str]) -> set[tuple[str, str, str, str]]:
        found = lancio("graph", str(folder), "--format", "json").json["edges"]
        return {
            (names[edge["file"]], names[edge["needs"]], edge["hazard"], edge["strength"])
            for edge in found
            if edge["strength"] != "order"
        }

    numbered = edges(FOLDER, {name: name for name in ALL})
    assert (STEP_1, USERS, "read-after-write", "hard") in numbered
    assert (STEP_3, LANCIO, "read-after-write", "row") in numbered
    assert edges(tmp_path / "m", copied(tmp_path / "m", random_names(7), directives=False)) == numbered


def test_numbers_that_contradict_the_needs_are_a_no_go_with_the_proposed_order(
    server: TestServer, database: str, stage: Stage, tmp_path: Path
) -> None:
    folder = tmp_path / "m"
    names = copied(folder, [f"{len(ALL) - place:03}_x" for place in range(len(ALL))], directives=False)
    empty = facts(database)
    said = lancio("apply", str(folder), "--database", database)
    assert said.status == 3, said.text
    assert "--order graph" in said.text
    assert facts(database) == empty
    proposed = lancio("graph", str(folder), "--format", "json", "--order", "graph").json["files"]
    assert wrong([names[name] for name in proposed]) == []
    done = lancio("apply", str(folder), "--database", database, "--order", "graph")
    assert done.status == 0, done.text
    assert differs(facts(stage(server, *ALL)), facts(database)) == []
