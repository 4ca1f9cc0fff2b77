from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lancio.render import lines

ANSI = re.compile(r"\033\[[0-9;]*m")


@pytest.mark.parametrize(("columns", "expected"), [(None, 80), (20, 60), (60, 60), (77, 77), (100, 100), (400, 100)])
def test_a_picture_is_between_60_and_100_cells_wide(columns: int | None, expected: int) -> None:
    assert lines.fit(columns) == expected


def test_wide_characters_take_two_cells_and_combining_ones_none() -> None:
    assert lines.width("abc") == 3
    assert lines.width("表") == 2
    assert lines.width("e\u0301") == 1
    assert lines.width("─✓│") == 3


@given(st.text(), st.integers(min_value=8, max_value=100))
def test_no_line_is_wider_than_it_may_be(text: str, cells: int) -> None:
    for line in lines.wrap(text, cells, first="  • "):
        assert lines.width(line) <= cells


@given(st.text(alphabet=st.characters(categories=("L", "N", "P")), min_size=1), st.integers(min_value=8, max_value=60))
def test_wrapping_loses_no_character(text: str, cells: int) -> None:
    assert "".join(line.strip() for line in lines.wrap(text, cells)) == lines.clean(text)


@given(st.lists(st.text(), max_size=4), st.text())
def test_every_line_of_a_box_is_as_wide_as_the_box(said: list[str], title: str) -> None:
    body = [line for each in said for line in lines.wrap(each, 56)]
    assert {lines.width(line) for line in lines.box(title, [body], 60)} == {60}


def test_control_characters_of_a_file_name_do_not_reach_the_terminal() -> None:
    assert "\033" not in "".join(lines.box("a\033[31mb\r\n.sql", [], 60))


@given(st.text())
def test_colour_adds_nothing_that_is_read(text: str) -> None:
    plain = ANSI.sub("", text)
    assert ANSI.sub("", lines.paint(plain)) == plain


def test_a_verdict_is_painted() -> None:
    assert lines.paint("NO-GO: 1") == "\033[1;31mNO-GO\033[0m: 1"
    assert lines.paint("GO: 1") == "\033[1;32mGO\033[0m: 1"


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [(1, "policy", "1 policy"), (25, "policy", "25 policies"), (8, "index", "8 indexes"), (2, "key", "2 keys")],
)
def test_things_are_counted_in_english(number: int, noun: str, said: str) -> None:
    assert lines.counted(number, noun) == said


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [
        (0, "0 ms"),
        (12.4, "12 ms"),
        (1000, "1 second"),
        (2500, "2.5 seconds"),
        (60000, "1 minute"),
        (90000, "1 minute 30 s"),
    ],
)
def test_durations_are_said_as_people_say_them(milliseconds: float, said: str) -> None:
    assert lines.lasted(milliseconds) == said


def test_a_long_list_ends_in_a_count() -> None:
    assert lines.listed([]) == ""
    assert lines.listed(["a"]) == "a"
    assert lines.listed(["a", "b", "c"]) == "a, b and c"
    assert lines.listed(["a", "b", "c", "d", "e"], 3) == "a, b and 3 more"
