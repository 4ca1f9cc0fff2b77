"""The checklist as a value: which files are the steps, what blocks, what takes the time; no database is asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lancio.planner import checklist, checks
from lancio.planner.checklist import Answer, Evidence, Line
from lancio.planner.model import Check, Edge, Effect, FileFacts, FileState, Graph, Place, Plan, Requirement, Service
from lancio.reading.source import Migration


def facts(name: str, number: int | None = None, **given: object) -> FileFacts:
    empty = ("statements", "requires", "creates", "changes", "drops", "rows", "locks", "checks", "settings", "services",
             "opaque", "standing", "remains")  # fmt: skip
    values: dict[str, object] = dict.fromkeys(empty, ())
    values |= {
        "risk": "low",
        "risk_because": "",
        "declared_risk": "",
        "duration_ms": None,
        "impact": "",
        "after_run": "",
    }
    return FileFacts(migration=Migration(name, Path(name), b"SELECT 1;\n", number), **{**values, **given})  # type: ignore[arg-type]


def graph(*files: FileFacts, needs: tuple[tuple[str, str], ...] = ()) -> Graph:
    edges = tuple(Edge(file, on, "read-after-write", "hard", ()) for file, on in needs)
    return Graph("migrations", files, edges, (), (), (), 18)


def states(**given: str) -> tuple[FileState, ...]:
    """`a="applied"`, `b="not applied in the ledger"`: by the files' bare names."""
    return tuple(
        FileState(f"{name}.sql", said.removesuffix(" in the ledger"), said.endswith(" in the ledger"))  # type: ignore[arg-type]
        for name, said in given.items()
    )


def names(files: tuple[FileFacts, ...]) -> list[str]:
    return [each.name.removesuffix(".sql") for each in files]


def made(
    folder: Graph, stand: tuple[FileState, ...], evidence: Evidence | None = None, **given: object
) -> checklist.Checklist:
    plan = Plan(folder, (), (), stand, (), ())
    parted = checklist.parts(folder, stand, **given)  # type: ignore[arg-type]
    return checklist.make(parted, plan, evidence or Evidence())


# Which files are the steps.

FOUR = graph(*(facts(f"{name}.sql", number) for number, name in enumerate("abcd", 1)))


def test_the_steps_are_what_is_not_in_place() -> None:
    parted = checklist.parts(FOUR, states(a="applied", b="superseded", c="partly applied", d="not applied"))
    assert (names(parted.before), names(parted.steps)) == (["a", "b"], ["c", "d"])


def test_a_file_in_the_ledger_that_lost_something_is_verified_and_no_step() -> None:
    parted = checklist.parts(FOUR, states(a="partly applied in the ledger", b="implied", c="applied", d="not applied"))
    assert (names(parted.before), names(parted.steps)) == (["a", "b", "c"], ["d"])


def test_what_cannot_be_known_is_a_step_only_behind_all_that_is_there() -> None:
    parted = checklist.parts(FOUR, states(a="applied", b="unprovable", c="changed since", d="unprovable"))
    assert (names(parted.before), names(parted.steps)) == (["a", "b", "c"], ["d"])
    parted = checklist.parts(FOUR, states(a="applied", b="unprovable", c="not applied", d="unprovable"))
    assert (names(parted.before), names(parted.steps)) == (["a"], ["b", "c", "d"])


def test_where_all_is_in_place_the_steps_are_those_of_the_latest_run_or_the_last_file() -> None:
    stand = states(a="applied", b="applied", c="applied", d="applied")
    assert names(checklist.parts(FOUR, stand, last_run=("b.sql", "c.sql")).steps) == ["b", "c"]
    assert names(checklist.parts(FOUR, stand).steps) == ["d"]


def test_files_that_share_the_last_number_are_the_steps_whatever_their_state() -> None:
    folder = graph(facts("a.sql", 1), facts("b.sql", 6), facts("c.sql", 6))
    stand = states(a="not applied", b="applied", c="not applied")
    assert names(checklist.parts(folder, stand).steps) == ["b", "c"]


def test_named_steps_come_with_all_that_stands_before_them_and_all_they_need() -> None:
    folder = replace(FOUR, edges=graph(needs=(("b.sql", "d.sql"),)).edges)
    parted = checklist.parts(folder, states(a="applied", b="applied", c="applied", d="applied"), named=("b.sql",))
    assert (names(parted.before), names(parted.steps)) == (["a", "d"], ["b"])


def test_a_folder_without_files_has_no_steps() -> None:
    found = made(graph(), ())
    assert [len(phase.lines) for phase in found.phases] == [1, 0, 2]
    assert found.path.bottleneck.total_ms is None


# What blocks.


def test_what_the_first_step_needs_is_critical_and_what_a_later_one_needs_is_required_for_it() -> None:
    place = Place("b.sql", 1)
    extension = Requirement("extension citext", "extension", "hard", place, "missing")
    row = Requirement(
        "row t (id = '1')", "row", "row", place, "file", Place("a.sql", 3), "SELECT true", "Boss not found"
    )
    folder = graph(facts("a.sql", 1), facts("b.sql", 2, requires=(extension,)), facts("c.sql", 3, requires=(row,)))
    stand = states(a="applied", b="not applied", c="not applied")
    found = made(folder, stand, Evidence(answers={"SELECT true": Answer(True)}))
    assert [(item.says, item.weight, item.ticked) for item in found.path.blocking] == [
        ("Backup database", "CRITICAL", False),
        ("Verify migration a.sql applied", "CRITICAL", True),
        ("Verify citext extension installed", "CRITICAL", True),
        ("Verify Boss exists", "REQUIRED FOR STEP 2", True),
    ]
    # What no file makes is a line of its own in phase 1.
    assert [line.says for line in found.phases[0].lines][2:] == ["Extension citext exists"]


def test_a_backup_is_told_with_its_place_and_time() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    found = made(FOUR, states(a="applied", b="applied", c="applied", d="applied"), Evidence(backup=(at, "s3://b")))
    assert found.phases[0].lines[0] == Line("Database backup created", True, "at 2026-01-02 03:04:05+00:00, s3://b")
    assert found.path.blocking[0].ticked


@pytest.mark.parametrize("word", ["changed since", "unprovable", "not applied", "partly applied"])
def test_a_state_that_is_not_in_place_is_not_ticked(word: str) -> None:
    found = made(FOUR, states(a=word, b="applied", c="applied", d="not applied"), named=("d.sql",))
    assert found.phases[0].lines[1].ticked is False
    assert found.phases[0].lines[1].reason


@pytest.mark.parametrize("word", ["superseded", "implied"])
def test_a_state_that_stands_for_applied_is_ticked_and_said(word: str) -> None:
    found = made(FOUR, states(a=word, b="applied", c="applied", d="not applied"))
    assert (found.phases[0].lines[1].ticked, found.phases[0].lines[1].reason) == (True, word)


def test_an_edited_file_is_not_ticked() -> None:
    stand = (FileState("a.sql", "applied", True, (), True), *states(b="applied", c="applied", d="not applied"))
    line = made(FOUR, stand).phases[0].lines[1]
    assert (line.ticked, line.reason) == (False, "edited after it was applied")


# What verifies.


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT count(*) = 0 FROM a.b", "SELECT COUNT(*) FROM a.b; returns 0"),
        ("select COUNT( * )>=24 from p where x = 'y';", "SELECT COUNT(*) FROM p where x = 'y'; returns 24+"),
        ("SELECT count(*) > 1 FROM t", "SELECT COUNT(*) FROM t; returns more than 1"),
        ("SELECT count(*) < 9 FROM t", "SELECT COUNT(*) FROM t; returns < 9"),
        ("SELECT bool_and(a) FROM t", "SELECT bool_and(a) FROM t"),
    ],
)  # fmt: skip
def test_a_count_is_said_as_the_specification_says_it(sql: str, says: str) -> None:
    assert checklist.said(Check(sql, sql, once=False, declared=True))[0] == says


def test_a_check_of_one_moment_is_ticked_by_the_ledgers_record_of_it_alone() -> None:
    sql = "SELECT count(*) = 0 FROM t"
    check = Check(sql, sql, once=True, declared=True)
    folder = graph(facts("a.sql", 1, checks=(check,)))
    now = Evidence(answers={sql: Answer(False, count=3)})
    line = made(folder, states(a="applied"), now).phases[1].lines[1]
    assert (line.ticked, line.reason) == (False, "3 now, and no record of that moment")
    line = (
        made(folder, states(a="applied"), replace(now, kept={"a.sql": ("SELECT  count(*) = 0 FROM t;",)}))
        .phases[1]
        .lines[1]
    )
    assert (line.ticked, line.reason) == (True, "verified at the step")
    # A step that has not run is not verified by what happens to be so.
    line = made(folder, states(a="not applied"), Evidence(answers={sql: Answer(True, count=0)})).phases[1].lines[1]
    assert (line.ticked, line.reason) == (False, "a.sql has not run")


def test_what_a_check_lacks_is_asked_by_name_and_only_of_our_own_checks() -> None:
    assert checks.lacking("SELECT bool_and(x) FROM t") is None
    assert checks.lacking("SELECT count(*) = 0 FROM t") is None


# What takes the time.


def timed(*declared: int | None) -> Graph:
    return graph(*(facts(f"{name}.sql", 1, duration_ms=ms) for name, ms in zip("abc", declared, strict=False)))


STAND = states(a="not applied", b="not applied", c="not applied")


@pytest.mark.parametrize(
    ("declared", "measured", "expected"),
    [
        ((2000, 3000, 1000), {}, ("", None, 6000, False, 0)),
        ((2000, 30000, 1000), {}, ("b.sql", 30000, 33000, False, 0)),
        ((2000, 3000, 1000), {"a.sql": 20}, ("", None, 6000, False, 0)),
        ((2000, 3000, 1000), {"a.sql": 900, "b.sql": 50, "c.sql": 60}, ("a.sql", 900, 1010, True, 0)),
        ((2000, 3000, 1000), {"a.sql": 90, "b.sql": 1, "c.sql": 1}, ("", None, 92, True, 0)),
        ((None, None, None), {}, ("", None, None, False, 3)),
        ((None, 5000, None), {}, ("", None, 5000, False, 2)),
        ((None, 5000, 1000), {"a.sql": 70}, ("b.sql", 5000, 6070, False, 0)),
    ],
)
def test_the_bottleneck_is_the_step_that_takes_more_than_half(
    declared: tuple[int | None, ...], measured: dict[str, int], expected: tuple[object, ...]
) -> None:
    found = made(timed(*declared), STAND, Evidence(durations=measured)).path.bottleneck
    assert (found.file, found.takes_ms, found.total_ms, found.measured, found.unknown) == expected


# What comes after.


def test_actions_and_wanted_services_do_not_block() -> None:
    service = Service("redis", "REDIS_URL", False, 3)
    folder = graph(facts("a.sql", 1, after_run="Warm the cache; Tell the team", services=(service,)))
    found = made(folder, states(a="not applied"))
    assert [(item.says, item.ticked, item.reason) for item in found.path.non_blocking] == [
        ("Warm the cache", False, checklist.NO_ACTION),
        ("Tell the team", False, checklist.NO_ACTION),
        ("redis service", False, "REDIS_URL is not set"),
    ]
    assert [line.says for line in found.phases[2].lines][:2] == ["Warm the cache", "Tell the team"]


def test_what_makes_a_migration_known_is_the_most_telling_of_what_it_makes() -> None:
    def effect(thing: str, kind: str) -> Effect:
        return Effect(thing, kind, thing.split(" ", 1)[1], 1)

    tables = effect("table app.a", "relation"), effect("table app.b", "relation")
    folder = graph(
        facts("1_a.sql", 1, remains=(*tables, effect("schema app", "schema"))),
        facts("2_b.sql", 2, remains=(tables[0], effect("extension citext", "extension"))),
        facts("3_c.sql", 3, remains=tables),
        facts("4_d.sql", 4, remains=(effect("view app.v", "relation"),)),
        facts("5_e.sql", 5),
    )
    stand = tuple(FileState(each.name, "applied", False) for each in folder.files)
    found = made(folder, stand, named=("5_e.sql",))
    assert [line.says for line in found.phases[0].lines[1:]] == [
        "Migration 1 applied (app schema exists)",
        "Migration 2 applied (citext exists)",
        "Migration 3 applied (a and 1 more table exist)",
        "Migration 4 applied (view app.v exists)",
    ]
