# ruff: noqa: E501  (one case a line)
"""Which folders are refused, in which order names put files, and what changes a checksum."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lancio.errors import LancioError, SourceError, UsageError
from lancio.reading.source import Migration, read_folder


def write(folder: Path, **files: bytes) -> Path:
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".sql")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    return folder


def refused(path: Path, how: type[LancioError] = SourceError) -> LancioError:
    with pytest.raises(how) as caught:
        read_folder(path)
    assert caught.value.cause
    assert caught.value.remedy
    return caught.value


def test_a_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    assert "there is no folder" in refused(tmp_path / "absent", UsageError).message
    write(tmp_path, a=b"SELECT 1")
    assert "is a file, not a folder" in refused(tmp_path / "a.sql", UsageError).message


def test_a_folder_without_migrations_is_refused(tmp_path: Path) -> None:
    assert "holds no .sql file" in refused(tmp_path).message
    write(tmp_path, _draft=b"", **{".hidden__a": b"", "_old__b": b""})
    (tmp_path / "a.txt").write_text("SELECT 1")
    assert "holds no .sql file" in refused(tmp_path).message


def test_bytes_that_are_no_utf8_are_refused_with_their_line(tmp_path: Path) -> None:
    write(tmp_path, a="SELECT 1;\nSELECT 'é'".encode("latin-1"))
    error = refused(tmp_path)
    assert (error.where, error.message) == ("a.sql:2", "a.sql is not UTF-8")
    assert "0xe9" in error.cause


def test_a_zero_byte_is_refused_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, a=b"SELECT 1;\n\nSELECT '\0'")
    assert refused(tmp_path).where == "a.sql:3"


def test_names_that_differ_in_case_alone_are_refused(tmp_path: Path) -> None:
    write(tmp_path, **{"001_a": b"", "001_A": b""})
    assert "two files of one name" in refused(tmp_path).message


def test_numbers_order_by_value_and_names_without_one_come_last_in_one_group(tmp_path: Path) -> None:
    write(tmp_path, **{"10_b": b"", "9_a": b"", "010_d": b"", "zeta": b"", "alpha": b"", "sub__1_x": b"", "20x": b""})
    (tmp_path / "V3__flyway.sql").write_text("")
    (tmp_path / "4 with spaces.sql").write_text("")
    (tmp_path / "20240101120000_stamp.sql").write_text("")
    folder = read_folder(tmp_path)
    assert [[each.name for each in group] for group in folder.groups] == [
        ["sub/1_x.sql"], ["V3__flyway.sql"], ["4 with spaces.sql"], ["9_a.sql"], ["010_d.sql", "10_b.sql"],
        ["20240101120000_stamp.sql"], ["20x.sql", "alpha.sql", "zeta.sql"],
    ]  # fmt: skip


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    write(tmp_path, a=b"\xef\xbb\xbfSELECT 1")
    assert read_folder(tmp_path).migrations[0].text == b"SELECT 1"


def checksum(text: str) -> str:
    return Migration("a.sql", Path("a.sql"), text.encode()).checksum


SAME = [
    ("SELECT 1;", "SELECT  1 ;\n"), ("SELECT 1; SELECT 2", "-- x\nSELECT 1;\r\n/* y /* z */ */ SELECT\t2"),
    ("SELECT 'a', 1", "SELECT 'a' /* b */ , -- c\r 1"), ("SELECT a+b", "SELECT a + b"), ("SELECT -1", "SELECT - 1"),
    ("SELECT 'a'\n'b'", "SELECT 'a'\r\n\r\n   'b'"),
    ("DO $$\nBEGIN\nEND\n$$", "DO $$\r\nBEGIN\r\nEND\r\n$$"),
]  # fmt: skip
OTHER = [
    ("SELECT 1", "SELECT 2"), ("DEFAULT 1", "DEFAULT 2"), ("SELECT 'a b'", "SELECT 'a  b'"), ("SELECT ab", "SELECT a b"),
    ("SELECT '-- x'", "SELECT '-- y'"), ("SELECT $$ -- x\n$$", "SELECT $$ -- y\n$$"), ('SELECT "a"', 'SELECT "A"'),
    ("SELECT 1;", "SELECT 1; DROP TABLE t"), ("SELECT 'a','b'", "SELECT 'a''b'"), ("SELECT a--b\n", "SELECT a - -b\n"),
    ("SELECT 1 2", "SELECT 12"), ("SELECT 'a' 'b'", "SELECT 'a'\n'c'"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SAME)
def test_comments_white_space_and_line_ends_do_not_change_a_checksum(one: str, other: str) -> None:
    assert checksum(one) == checksum(other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_whatever_the_server_would_see_changes_a_checksum(one: str, other: str) -> None:
    assert checksum(one) != checksum(other)


_WORDS = st.lists(
    st.sampled_from(["SELECT", "1", "'a -- b'", "$$ /* $$", '"c d"', ",", "(", ")", "x", "E'\\''"]), min_size=1
)
_BLANKS = st.sampled_from([" ", "\n", "\r\n", "\t ", " -- é ' \n", " /* $$ /* ' */ */ "])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(_WORDS, st.lists(_BLANKS, min_size=1), st.lists(_BLANKS, min_size=1))
def test_blanks_never_change_a_checksum(words: list[str], one: list[str], other: list[str]) -> None:
    def put(blanks: list[str]) -> str:
        return "".join(word + (blanks[index % len(blanks)]) for index, word in enumerate(words))

    quoted = [a[:1] == "'" or a[-1:] == "'" for a in words]
    if any(first and second for first, second in pairwise(quoted)):
        return  # two strings with a line end between them are one: a difference that the server sees too
    assert checksum(put(one)) == checksum(put(other))
