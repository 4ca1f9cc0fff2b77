"""Which places does another program fill, and where does a refusal point?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lancio.errors import LancioError, SourceError
from lancio.reading import operations, placeholders
from lancio.reading.layouts import HABITS
from lancio.reading.placeholders import Habits, Template
from lancio.reading.source import read_folder

if TYPE_CHECKING:
    from pathlib import Path

    from lancio.reading.layouts import Name

FILES: dict[str, tuple[Name, str]] = {
    "flat": ("flat", "1_a.sql"), "flyway": ("flyway", "V1__a.sql"), "up-down": ("up-down", "1_a.up.sql"),
    "prisma": ("prisma", "1_a/migration.sql"), "sqitch": ("sqitch", "deploy/a.sql"),
}  # fmt: skip


def filled(text: str, habits: Habits, **variables: str) -> str:
    """A text filled on its own; what is left is put in «»."""
    raw = text.encode()
    found = placeholders.gaps(raw, habits)
    result, left = placeholders.fill(raw, found, Template(variables, placeholders.proved([found])))
    shown = result.text.decode()
    return shown + "".join(f" «{text[gap.start : gap.end]}»" for gap in left)


PSQL = [
    ("SELECT :x, :'x', :\"x\"", "SELECT v, 'v', \"v\""),
    ("SELECT a::x, a[1:n], a[:lower], b := c", "SELECT a::x, a[1:n], a[:lower], b := c"),
    ("SELECT a[:x], a[1:'n']", "SELECT a[v], a[1:'n']"),
    ("SELECT ':x', $$ :x $$, \":x\" -- :x\n/* :x */", "SELECT ':x', $$ :x $$, \":x\" -- :x\n/* :x */"),
    ('SELECT \'{"a":"x"}\', :{?x}, :{?none}', 'SELECT \'{"a":"x"}\', TRUE, FALSE'),
    ("SELECT :none, :'none'", "SELECT :none, :'none' «:none» «:'none'»"),
]


@pytest.mark.parametrize(("text", "expected"), PSQL)
@pytest.mark.parametrize("layout", ["flat", "sqitch"])
def test_psqls_variables_are_filled_as_psql_does(layout: Name, text: str, expected: str) -> None:
    assert filled(text, HABITS[layout], x="v") == expected


def test_psqls_variables_are_quoted_as_psql_does() -> None:
    assert filled("SELECT :'x', :\"x\"", HABITS["flat"], x='it\'s "a\\b"') == (
        'SELECT  E\'it\'\'s "a\\\\b"\', "it\'s ""a\\b"""'
    )


def test_other_layouts_leave_colons_alone() -> None:
    text = "SELECT :x, :'x'"
    assert filled(text, Habits(), x="v") == text


DOLLAR = [
    ("flyway", "-- ${s}\nSELECT '${s}', \"${s}\", ${s}, $$${s}$$", "-- v\nSELECT 'v', \"v\", v, $$v$$"),
    ("flyway", "SELECT '${none}'", "SELECT '${none}' «${none}»"),
    ("flyway", "SELECT '${flyway:user}'", "SELECT '${flyway:user}' «${flyway:user}»"),
    ("flat", "SELECT ${none}, $(none), $1, '${none}', $x$ ${none} $x$ -- ${none}",
     "SELECT ${none}, $(none), $1, '${none}', $x$ ${none} $x$ -- ${none} «${none}» «$(none)»"),
    ("flat", "SELECT ${s}, $(s), '${s}'", "SELECT v, v, 'v'"),
    ("goose", "-- +goose envsub on\nSELECT $s, '$s$', $1, $s$ $s $s$",
     "-- +goose envsub on\nSELECT v, '$s$', $1, $s$ v $s$"),
    ("flat", "SELECT $s$ $s $s$", "SELECT $s$ $s $s$"),
    ("goose", "SELECT '${s}', ${none};\n-- +goose ENVSUB ON\nSELECT '${s}', ${d:-1};\n-- +goose ENVSUB OFF\n-- ${s}",
     "SELECT '${s}', ${none};\n-- +goose ENVSUB ON\nSELECT 'v', 1;\n-- +goose ENVSUB OFF\n-- ${s}"),
]  # fmt: skip


@pytest.mark.parametrize(("layout", "text", "expected"), DOLLAR)
def test_dollar_places_are_filled_as_the_layouts_tool_does(layout: Name, text: str, expected: str) -> None:
    assert filled(text, HABITS.get(layout, Habits()), s="v") == expected


TEMPLATES = [
    ('SELECT {{ index .Options "s" }}, {{.s}}, {{- s -}}', "SELECT v, v, v"),
    ("SELECT '{{ .s }}', '{{ .none }}'", "SELECT 'v', '{{ .none }}'"),  # nothing proves a template: data
    ("SELECT {{ .s }}, '{{ .none }}'", "SELECT v, '{{ .none }}' «{{ .none }}»"),
    ("SELECT '{{1,2},{3,4}}'::int[]", "SELECT '{{1,2},{3,4}}'::int[]"),
    ("SELECT {{ if .s }} 1 {{ end }}", "SELECT {{ if .s }} 1 {{ end }} «{{ if .s }}» «{{ end }}»"),
    ('SELECT "{{ .none }}"', 'SELECT "{{ .none }}" «{{ .none }}»'),
    ('SELECT "{{ .s }}".t', 'SELECT "v".t'),
]


@pytest.mark.parametrize(("text", "expected"), TEMPLATES)
def test_a_templates_places_are_told_from_data(text: str, expected: str) -> None:
    assert filled(text, Habits(), s="v") == expected


def test_rivers_comment_gets_its_dot() -> None:
    text = "CREATE TABLE /* TEMPLATE: schema */job (s /* TEMPLATE: schema */state) /* TEMPLATE: other */"
    assert filled(text, Habits()) == text
    assert filled(text, Habits(), schema="q") == "CREATE TABLE q.job (s q.state) /* TEMPLATE: other */"
    assert filled(text, Habits(), schema="") == "CREATE TABLE job (s state) /* TEMPLATE: other */"


def test_a_place_in_one_file_proves_the_folder_a_template(tmp_path: Path) -> None:
    (tmp_path / "1_a.up.sql").write_text("CREATE SCHEMA {{ .S }};\n", encoding="utf-8")
    (tmp_path / "2_b.up.sql").write_text("SELECT '{{ .Other }}';\n", encoding="utf-8")
    with pytest.raises(SourceError) as caught:
        read_folder(tmp_path, variables={"S": "s"})
    assert (caught.value.message, caught.value.remedy) == (
        "2_b.up.sql: nothing fills `{{ .Other }}`", "Give what it would put there: --var Other=VALUE",
    )  # fmt: skip


def test_all_that_is_unfilled_is_told_at_once_with_the_first_place(tmp_path: Path) -> None:
    (tmp_path / "V1__a.sql").write_text(
        "SELECT 1;\n\tCREATE SCHEMA ${b};\nCREATE TABLE ${b}.é${a} ();\n", encoding="utf-8"
    )
    with pytest.raises(SourceError) as caught:
        read_folder(tmp_path)
    assert caught.value.where == f"V1__a.sql:2\n     CREATE SCHEMA ${{b}};\n    {' ' * 15}^"
    assert caught.value.remedy.endswith("--var a=VALUE --var b=VALUE")
    assert "2 more such places" in caught.value.cause


def test_more_than_a_name_is_refused_as_such(tmp_path: Path) -> None:
    (tmp_path / "1_a.sql").write_text("{{ if .x }}\nSELECT 1;\n{{ end }}\n", encoding="utf-8")
    with pytest.raises(SourceError, match="more than the name of a variable"):
        read_folder(tmp_path, variables={"x": "1"})


def test_an_error_behind_a_filled_place_points_into_the_file_as_it_is_written(tmp_path: Path) -> None:
    line = "CREATE TABLE {{ .Schema }}.t (é int) WITH WITH;"
    (tmp_path / "1_a.up.sql").write_text(f"SELECT 1;\n{line}\n", encoding="utf-8")
    (migration,) = read_folder(tmp_path, variables={"Schema": "a_much_longer_name_than_the_place"}).migrations
    with pytest.raises(LancioError) as caught:
        operations.read(migration)
    assert caught.value.where == f"1_a.up.sql:2\n    {line}\n    {' ' * line.rindex('WITH')}^"


def test_a_variable_without_a_place_and_a_text_left_as_it_is_are_known(tmp_path: Path) -> None:
    (tmp_path / "1_a.sql").write_text("SELECT :x;\n", encoding="utf-8")
    (tmp_path / "2_b.sql").write_text("SELECT 2;\n", encoding="utf-8")
    folder = read_folder(tmp_path, variables={"x": "1", "y": "2"})
    assert folder.unused == ("y",)
    assert [each.source for each in folder.migrations] == [b"SELECT :x;\n", None]
    other = read_folder(tmp_path, variables={"x": "2"}).migrations[0]
    assert other.checksum != folder.migrations[0].checksum


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.lists(st.sampled_from(["${a}", "${b}", "é", "x", " ", "\n", "{{ .a }}", ":a ", "'", "$$"]), max_size=12),
    st.text(alphabet="xyé", max_size=9),
    st.sampled_from([Habits(), Habits(psql=True), Habits(dollar_everywhere=True)]),
)
def test_every_byte_of_a_filled_text_is_traced_to_the_file(pieces: list[str], value: str, habits: Habits) -> None:
    raw = "".join(pieces).encode()
    found = placeholders.gaps(raw, habits)
    result, _ = placeholders.fill(raw, found, Template({"a": value}, placeholders.proved([found])))
    spans = [(gap.start, gap.end) for gap, _ in found]
    for at, byte in enumerate(result.text):
        there = result.written(at)
        inside = any(start <= there <= end for start, end in spans)
        assert inside or raw[there] == byte
    assert result.text.count(b"\n") == raw.count(b"\n")


def test_lines_of_data_behind_copy_are_no_places() -> None:
    text = "SELECT :'x';\nCOPY t FROM STDIN;\n12:ab\n\\.\n"
    assert filled(text, HABITS["flat"], x="v") == text.replace(":'x'", "'v'")
