"""The checklist for a terminal, and as Markdown in which nothing of what is named becomes markup."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from lancio.executor.counters import Since
from lancio.planner.checklist import Bottleneck, Checklist, Item, Line, Path, Phase
from lancio.render import checklist as rendered
from lancio.render.lines import width

NONE = Bottleneck("", None, 6000, False, 0)


def made(*lines: Line, bottleneck: Bottleneck = NONE, blocking: tuple[Item, ...] = ()) -> Checklist:
    path = Path(
        blocking, (), bottleneck, "Database connection stability", (Line("Pre-test connection", True, "20 of 20"),)
    )
    return Checklist((Phase("Phase 1: Verify Prerequisites", lines),), path)


def test_ticked_unticked_and_history_have_marks_and_reasons() -> None:
    said = rendered.text(made(Line("one", True), Line("two", False, "because"), Line("three", None, "later")), 80)
    assert "- [x] one\n- [ ] two\n        because\n- [·] three\n        later\n" in said
    assert "Bottleneck: None (total execution ~6 seconds)" in said


@pytest.mark.parametrize(
    ("bottleneck", "says"),
    [
        (NONE, "None (total execution ~6 seconds)"),
        (Bottleneck("", None, 51, True, 0), "None (total execution 51 ms)"),
        (Bottleneck("b.sql", 30000, 33000, True, 0), "b.sql (30 seconds of 33 seconds)"),
        (Bottleneck("", None, 2000, False, 1), "None (total execution ~2 seconds, without 1 step of unknown duration)"),
        (Bottleneck("", None, None, False, 3), "not known: nothing was measured here, and no file declares a duration"),
    ],
)  # fmt: skip
def test_the_bottleneck_in_words(bottleneck: Bottleneck, says: str) -> None:
    assert rendered.bottleneck(bottleneck) == says


def test_no_line_is_wider_than_the_terminal() -> None:
    long = Line("x" * 300, False, "ünïcode 漢字 " * 30)
    for cells in (60, 80, 100):
        said = rendered.text(made(long, blocking=(Item("y" * 200, "CRITICAL", False, "z " * 100),)), cells)
        assert max(width(line) for line in said.splitlines()) <= cells


def test_of_many_lines_those_that_are_ticked_are_counted() -> None:
    lines = [*(Line(f"Migration {n} applied", True) for n in range(200)), Line("open", False, "why")]
    for said in (rendered.text(made(*lines), 80), rendered.markdown(made(*lines))):
        assert "200 more lines as well" in said
        assert "open" in said
        assert "Migration 17" not in said
    assert len(rendered.data(made(*lines))["phases"][0]["lines"]) == 201


HOSTILE = (
    "a`b", "``", "*bold* _it_", "[x](http://evil.example)", "<img src=x onerror=alert(1)>", "<!-- hidden", "@someone",
    "fixes #12", "GH-12", "a\n- [x] forged", "a\r\n## heading", "| cell |", "&lt;b&gt;", "$x$", "~~gone~~", "\\",
    "www.evil.example", "http://evil.example", "x\x1b[31mred",
)  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_text_in_markdown(name: str) -> None:
    given = Line(f"Step 1: {name}", False, name, name)
    said = rendered.markdown(made(given, Line(name, True, name), blocking=(Item(name, "CRITICAL", False, name),)))
    lines = said.splitlines()
    assert sum(line.startswith("- [") for line in lines) == 3  # two of the phase, one of the mitigation
    assert [line for line in lines if line.startswith("## ")] == ["## Execution checklist", "## Critical path"]
    assert "\x1b" not in said
    # Outside of code nothing is left that Markdown or GitHub would take for more than text.
    plain = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", said)
    plain = re.sub(r"\\[!-/:-@\[-`{-~]", "", plain).replace("<!-- -->", "")
    text = plain.replace("**", "").replace("- [x]", "").replace("- [ ]", "").replace("## ", "")
    assert not re.search(r"[`*_\[\]<>|~&$#]", text), text
    assert "://" not in text
    assert "www." not in text
    assert "@someone" not in said.replace("`@someone`", "")
    assert "GH-12" not in said.replace("`GH-12`", "")


def test_code_with_backticks_has_a_longer_fence() -> None:
    assert rendered.code("a") == "`a`"
    assert rendered.code("a`b") == "``a`b``"
    assert rendered.code("``") == "``` `` ```"


def test_what_was_counted_since_a_run_is_told_with_what_it_cannot_tell() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    since = Since(3, at, at, "", 10, 2, 0, 0, None, "done", 1)
    said = rendered.since(since, ["001.sql: 1 table made"], "No count tells why.", 80)
    assert "Run 3 ended 2026-01-02 00:00:00 +0000." in said
    assert "1 later run without an end" in said
    assert "✗ 2 rollbacks" in said
    assert "✓ 0 deadlocks" in said
    assert "checksum failures are not counted here" in said
    assert "✗ does not hold: 001.sql: 1 table made" in said
    assert said.endswith("No count tells why.\n")
    unknown = rendered.since(Since(3, at, at, "reset in between", outcome="failed"), [], "", 80)
    assert "not known: reset in between" in unknown
    assert "rollbacks" not in unknown
    assert "failed; its own rollback may be counted" in unknown
