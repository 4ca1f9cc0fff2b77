"""Whatever stands in a file: an answer or a refusal with its place, soon, and the same each time.

A seeded sample runs always. LANCIO_PROOF=1 runs 100,000 cases; LANCIO_FUZZ_CORPUS names a folder with other histories
to be broken beside those of the repository.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cases
import grammar
import mutations
import pytest
from cases import Case

if TYPE_CHECKING:
    from collections.abc import Sequence

PROOF = os.environ.get("LANCIO_PROOF") == "1"
CASES = 100_000 if PROOF else 400
PART = 2_500
"""Cases of one test: the tests are what is shared out over processes."""
BATCH = 500
"""Cases of one process."""

ROOT = Path(__file__).resolve().parents[2]
STORIES = ROOT / "tests" / "stories"
OWN = (ROOT / "src" / "lancio" / "registry", STORIES, STORIES / "layouts", STORIES / "declared")

SILENCE = 300
"""Seconds after which a process that spends no time of its own is stopped: it waits for something."""


class Outcome(NamedTuple):
    """What came of one case: a digest of the answer, or what was wrong with it; and its seconds."""

    case: Case
    digest: str
    failed: str
    refused: bool
    seconds: float


PROGRAM = Path(cases.__file__)


def run(batch: Sequence[Case], hash_seed: int = 0, program: Path = PROGRAM) -> list[Outcome]:
    """Look at each case in another process; after one that it did not survive, go on with the next in a new one."""
    outcomes: list[Outcome] = []
    while len(outcomes) < len(batch):
        outcomes += _run(batch[len(outcomes) :], hash_seed, program)
    return outcomes


def _run(batch: Sequence[Case], hash_seed: int, program: Path) -> list[Outcome]:
    command = [sys.executable, str(program)]
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    try:
        done = subprocess.run(
            command, input=pickle.dumps(list(batch)), env=environment, capture_output=True, timeout=SILENCE
        )
        said, errors, end = done.stdout, done.stderr, f"the process ended with {done.returncode}"
    except subprocess.TimeoutExpired as expired:
        said, errors, end = expired.stdout or b"", expired.stderr or b"", "the process waited for something"
    lines = said.decode().splitlines()
    outcomes = [_outcome(case, json.loads(line)) for case, line in zip(batch, lines[1::2], strict=False)]
    if len(outcomes) < len(batch):
        assert lines, f"{end} before the first case:\n{errors.decode(errors='replace')}"
        why = f"{end}:\n{errors.decode(errors='replace')[-3000:]}"
        outcomes.append(Outcome(batch[len(outcomes)], "", why, refused=False, seconds=0.0))
    return outcomes


def _outcome(case: Case, said: dict[str, Any]) -> Outcome:
    return Outcome(case, said.get("digest", ""), said.get("failed", ""), said.get("refused", False), said["seconds"])


def made(part: int, count: int, known: mutations.Sources) -> list[Case]:
    """The cases of a part: of ten, three are made from nothing, five are broken texts and two are broken folders."""
    found = grammar.text_cases(part, count * 3 // 10)
    known = known.beside({f"{at:04}.sql": each.files["a.sql"] for at, each in enumerate(found)})
    for at in range(count - len(found)):
        origin = f"part {part}, {at}"
        make = mutations.folder_case if at % 7 < 2 else mutations.text_case
        found.append(make(random.Random(origin), known, origin))
    return found


def keep(outcome: Outcome, folder: Path) -> str:
    """What failed, with the files that did it put where they can be looked at."""
    place = folder / outcome.case.origin.replace("/", " ")
    for name, content in outcome.case.files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    return f"{outcome.case.kind} {outcome.case.origin} ({place}):\n{outcome.failed}"


@pytest.fixture(scope="module")
def known() -> mutations.Sources:
    others = os.environ.get("LANCIO_FUZZ_CORPUS")
    return mutations.sources([*OWN, *([Path(others)] if others else [])])


@pytest.mark.slow
@pytest.mark.parametrize("part", range(-(-CASES // PART)))
def test_whatever_a_file_holds_is_read_or_refused(part: int, known: mutations.Sources, tmp_path: Path) -> None:
    chosen = made(part, min(PART, CASES), known)
    outcomes = [each for at in range(0, len(chosen), BATCH) for each in run(chosen[at : at + BATCH])]
    failures = [keep(each, tmp_path) for each in outcomes if each.failed]
    assert not failures, "\n\n".join([f"{len(failures)} of {len(chosen)} cases", *failures[:20]])
    # Cases that are all refused, or all read, would look into half of the house.
    ends = Counter((each.case.kind, each.refused) for each in outcomes)
    assert all(ends[kind, refused] >= len(outcomes) // 100 for kind in ("text", "folder") for refused in (True, False))
    again = run(chosen[:: len(chosen) // 100], hash_seed=part + 1)
    assert [each.digest for each in again] == [each.digest for each in outcomes[:: len(chosen) // 100]]


STAND_IN = f"""
import os, sys, time
sys.path.insert(0, {str(PROGRAM.parent)!r})
import cases

def look_at_text(case):
    match case.files["a.sql"]:
        case b"raise":
            return {{}}["nothing"]
        case b"hang":
            while True:
                pass
        case b"die":
            os.abort()
        case b"eat":
            return bytearray(cases.MEMORY * 2)
    return case.origin

cases.look_at_text = look_at_text
cases.LIMIT = 0.3
cases.main()
"""


def test_a_case_that_raises_hangs_dies_or_takes_all_memory_is_found_and_those_behind_it_are_looked_at(
    tmp_path: Path,
) -> None:
    program = tmp_path / "stand_in.py"
    program.write_text(STAND_IN, encoding="utf-8")
    words = ("good", "raise", "good", "hang", "good", "die", "hang", "eat", "good")
    outcomes = run([Case("text", "x", {"a.sql": word.encode()}) for word in words], program=program)
    assert [bool(each.failed) for each in outcomes] == [word != "good" for word in words]
    assert [bool(each.digest) for each in outcomes] == [word == "good" for word in words]
    signs = {"raise": "KeyError", "hang": "in look_at_text", "die": "Aborted", "eat": "MemoryError"}
    for word, each in zip(words, outcomes, strict=True):
        assert signs.get(word, "") in each.failed


def test_the_same_number_gives_the_same_cases(known: mutations.Sources) -> None:
    assert made(3, 60, known) == made(3, 60, known) != made(4, 60, known)


def doubled(first: str, step: str) -> str:
    """A block in which every variable is twice as long as the one before."""
    lines = (f"x{at + 1} {step.format(x=f'x{at}')};" for at in range(45))
    return f"DO $$ DECLARE x0 {first}; {' '.join(lines)} BEGIN EXECUTE x45; END $$"


LONG = 60_000
FOUND = {
    "a long loop over many constants": "DO $$ DECLARE x text; BEGIN FOREACH x IN ARRAY ARRAY["
    + ",".join(["'a'"] * 1900)
    + "] LOOP "
    + "EXECUTE format('CREATE TABLE %I (a int)', x); INSERT INTO t (a) SELECT a FROM u;" * 150
    + " END LOOP; END $$",
    "a string left open in a text that is parsed in pieces": "SELECT 1;" + "SELECT -(-1);" * 200 + "'",
    "a text that doubles": doubled("text := 'ab'", "text := {x} || {x}"),
    "a quote that doubles": doubled("text := ''''", "text := quote_literal({x})"),
    "a text that concat() doubles": doubled("text := 'ab'", "text := concat({x}, {x})"),
    "a text that format() doubles": doubled("text := 'ab'", "text := format('%1$s%1$s', {x})"),
    "an array that doubles": doubled("text[] := ARRAY['a']", "text[] := {x} || {x}"),
    "format() of a number without end": f"DO $$ BEGIN EXECUTE format('%{'1' * 5000}$s', 'a'); END $$",
    "empty lines before a mistake": "\n" * LONG + "'",
    "COPY in every line before a mistake": "copy \n" * (LONG // 6) + "'",
    "blanks in a directive": f"-- lancio: verify SELECT{' ' * LONG}1\nSELECT 1",
    "blanks in a directive of yoyo": f"-- depends: a{' ' * LONG}b\nSELECT 1",
    "blanks in a row": f"-- lancio: requires row t (a = 1{' ' * LONG}x)\nSELECT 1",
    "brackets in a row": f"-- lancio: requires row {'(' * LONG}\nSELECT 1",
    "a server version without end": f"-- lancio: requires server >= {'9' * 5000}\nSELECT 1",
    "braces": "--" + "{{" * (LONG // 2),
    "blanks behind braces": "--{{" + " " * LONG,
    "defaults of a variable": "--${a:b" + ":-" * (LONG // 2),
}


@pytest.mark.parametrize("kind", ["text", "folder"])
def test_what_once_raised_or_took_all_time_or_memory_does_not_any_more(kind: cases.Kind) -> None:
    outcomes = run([Case(kind, name, {"a.sql": text.encode()}) for name, text in FOUND.items()])
    assert {each.case.origin: each.failed or each.seconds for each in outcomes if each.failed or each.seconds > 1} == {}
