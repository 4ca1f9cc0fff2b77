"""A folder that was read before is the same folder, whatever happened to it since."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lancio.errors import SourceError
from lancio.reading import cache, known, source
from lancio.reading.source import Folder, read_folder

if TYPE_CHECKING:
    from collections.abc import Callable

STORIES = Path(__file__).parents[1] / "stories"
LAYOUTS = sorted(
    each.parent.relative_to(STORIES / "layouts").as_posix()
    for each in (STORIES / "layouts").rglob("expected.toml")
    if "refused" not in each.read_text()
)


@pytest.fixture
def ours(tmp_path: Path) -> cache.Cache:
    found = cache.usual({cache.VARIABLE: str(tmp_path / "cache")})
    assert found is not None
    return found


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if all files had been written long ago."""
    monkeypatch.setattr(known, "SETTLED_NS", -(10**18))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "migrations"
    path.mkdir()
    for at in (1, 2, 3):
        (path / f"00{at}_t.sql").write_text(f"CREATE TABLE t{at} (id int);\n")
    return path


def said(found: Folder) -> list[object]:
    files = [
        (each.name, each.path, each.text, each.number, each.down, each.transaction, each.after, each.source,
         each.filled, each.digest, each.checksum, each.identity)
        for each in found.migrations
    ]  # fmt: skip
    rest = (found.path, found.layout, found.ordered, found.left_out, found.elsewhere, found.twins, found.unused)
    return [*files, rest, [[each.name for each in group] for group in found.groups]]


def answer(ask: Callable[[], Folder]) -> object:
    """What comes of it, a refusal too."""
    try:
        return said(ask())
    except SourceError as refused:
        return refused.as_dict()


def agree(path: Path, ours: cache.Cache, variables: dict[str, str] | None = None) -> None:
    for _ in range(2):
        found = known.read_folder(path, variables=variables, kept=ours)
        assert said(found) == said(read_folder(path, variables=variables))


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("name", LAYOUTS)
def test_a_known_folder_is_the_folder(name: str, ours: cache.Cache) -> None:
    path = STORIES / "layouts" / name
    agree(path, ours, tomllib.loads((path / "expected.toml").read_text()).get("variables"))


@pytest.mark.usefixtures("settled")
def test_an_unchanged_folder_is_not_read(folder: Path, ours: cache.Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    known.read_folder(folder, kept=ours)
    monkeypatch.setattr(source, "read_text", None)
    monkeypatch.setattr(source, "read", None)
    assert [each.name for each in known.read_folder(folder, kept=ours).migrations] == [
        "001_t.sql", "002_t.sql", "003_t.sql"
    ]  # fmt: skip


@pytest.mark.usefixtures("settled")
def test_of_a_changed_folder_the_changed_file_is_read(
    folder: Path, ours: cache.Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    known.read_folder(folder, kept=ours)
    (folder / "002_t.sql").write_text("CREATE TABLE t2 (id text);\n")
    asked = []
    read = source.read_text
    monkeypatch.setattr(source, "read_text", lambda root, name: asked.append(name) or read(root, name))
    found = known.read_folder(folder, kept=ours)
    assert asked == ["002_t.sql"]
    assert found.migrations[1].text == b"CREATE TABLE t2 (id text);\n"
    agree(folder, ours)


def test_what_was_written_a_moment_ago_is_read_again(folder: Path, ours: cache.Cache) -> None:
    """Two changes in one step of the file system's clock leave one sign."""
    known.read_folder(folder, kept=ours)
    for at in range(30):
        (folder / "003_t.sql").write_text(f"CREATE TABLE t3 (c{at:02} int);\n")
        assert f"c{at:02}" in known.read_folder(folder, kept=ours).migrations[2].text.decode()


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(
    "change",
    [
        lambda path: (path / "004_new.sql").write_text("SELECT 1;"),
        lambda path: (path / "002_t.sql").unlink(),
        lambda path: (path / "002_t.sql").rename(path / "005_t.sql"),
        lambda path: (path / "003_t.sql").write_text("CREATE TABLE t3 (${name} int);"),
        lambda path: (path / "below").mkdir() or (path / "below" / "004_x.sql").write_text("SELECT 2;"),
        lambda path: [each.write_text(f"-- migrate:up\n{each.read_text()}\n-- migrate:down\nDROP TABLE x;\n")
                      for each in path.glob("*.sql")],
        lambda path: (path / "001_t.sql").write_bytes(b"\xef\xbb\xbfSELECT 1;"),
    ],
)  # fmt: skip
def test_every_other_change_is_seen(folder: Path, ours: cache.Cache, change: object) -> None:
    known.read_folder(folder, kept=ours)
    change(folder)  # type: ignore[operator]
    agree(folder, ours, {"name": "id"})
    assert known.read_folder(folder, variables={"name": "x"}, kept=ours).path == folder
    assert answer(lambda: known.read_folder(folder, kept=ours)) == answer(lambda: read_folder(folder))


@pytest.mark.usefixtures("settled")
def test_a_file_that_cannot_be_read_any_more_is_refused(folder: Path, ours: cache.Cache) -> None:
    known.read_folder(folder, kept=ours)
    (folder / "002_t.sql").write_bytes(b"SELECT '\xff';")
    with pytest.raises(SourceError, match="not UTF-8"):
        known.read_folder(folder, kept=ours)


@pytest.mark.usefixtures("settled")
def test_a_text_that_changed_behind_our_back_is_refused(folder: Path, ours: cache.Cache) -> None:
    known.read_folder(folder, kept=ours)
    found = known.read_folder(folder, kept=ours)
    (folder / "001_t.sql").write_text("DROP TABLE t1;")
    with pytest.raises(SourceError, match="was changed while Lancio was at work") as caught:
        _ = found.migrations[0].text
    assert caught.value.remedy
    assert found.migrations[1].text == b"CREATE TABLE t2 (id int);\n"


@pytest.mark.usefixtures("settled")
def test_other_variables_and_layouts_are_other_folders(folder: Path, ours: cache.Cache) -> None:
    (folder / "002_t.sql").write_text("CREATE TABLE ${name} (id int);")
    for name in ("one", "two", "one"):
        assert name in known.read_folder(folder, variables={"name": name}, kept=ours).migrations[1].text.decode()


@pytest.mark.usefixtures("settled")
def test_damaged_notes_are_no_notes(folder: Path, ours: cache.Cache) -> None:
    known.read_folder(folder, kept=ours)
    for each in list(ours.folder.iterdir()):
        ours.put(each.name, cache.pack({"folders": {}, "files": {}}) if each.name.startswith("folder-") else b"x")
    agree(folder, ours)
