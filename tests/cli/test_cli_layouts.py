"""Folders of other tools on the command line: said, filled, run and told in commands that can be pasted."""

from __future__ import annotations

import io
import json
import shlex
from typing import TYPE_CHECKING

import psycopg
import pytest

from lancio.cli import main
from lancio.cli.options import LAYOUTS
from lancio.cli.terminal import Terminal
from lancio.reading.layouts import NAMES

if TYPE_CHECKING:
    from pathlib import Path


def lancio(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    status = main.run(words, Terminal(out, err, {}))
    return status, out.getvalue(), err.getvalue()


def write(folder: Path, **texts: str) -> str:
    folder.mkdir()
    for name, text in texts.items():
        (folder / f"{name}.sql").write_text(text, encoding="utf-8")
    return str(folder)


PARTED = {
    "1_town": "-- migrate:up\nCREATE SCHEMA {{ .S }};\nCREATE TABLE {{ .S }}.town (a int);\n"
    "-- migrate:down\nDROP SCHEMA {{ .S }} CASCADE;\n",
    "2_fill": "-- migrate:up\nINSERT INTO {{ .S }}.town VALUES (1);\n-- migrate:down\nDELETE FROM {{ .S }}.town;\n",
}


def test_the_command_line_knows_the_layouts_of_the_reading() -> None:
    assert LAYOUTS == NAMES


def test_the_layout_is_said_on_stderr_and_in_the_json(tmp_path: Path) -> None:
    where = write(tmp_path / "towns", **PARTED)
    status, out, err = lancio("graph", where, "--var", "S=app", "--json")
    assert (status, json.loads(out)["layout"]) == (0, "dbmate")
    assert err == "Layout dbmate: files parted by `-- migrate:up` and `-- migrate:down` (dbmate).\n"
    plain = write(tmp_path / "plain", a="SELECT 1;")
    assert lancio("graph", plain, "--json")[2] == ""
    status, out, _ = lancio("graph", where, "--layout", "diesel", "--json")
    assert (status, json.loads(out)["error"]["code"]) == (1, "source")


@pytest.mark.parametrize("given", ["S", "=v", "a b=c", "S=one\ntwo"])
def test_what_is_no_variable_is_refused(given: str, tmp_path: Path) -> None:
    status, _, err = lancio("graph", write(tmp_path / "towns", **PARTED), "--var", given)
    assert status == 2
    assert "is no variable" in err


def test_only_the_part_that_goes_up_is_run_with_its_places_filled(tmp_path: Path, database: str) -> None:
    where = write(tmp_path / "towns", **PARTED)
    status, _, err = lancio("apply", where, "--var", "S=app", "--database", database, "--yes")
    assert status == 0, err
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT a FROM app.town").fetchall() == [(1,)]
    again = lancio("status", where, "--var", "S=app", "--database", database, "--json")
    first = json.loads(again[1])["files"][0]
    assert (first["state"], first["recorded"]) == ("applied", True)
    _, out, err = lancio("rollback", where, "--var", "S=app", "--database", database, "--dry-run")
    assert "2_fill.sql" in out
    assert err.count("Layout dbmate") == 1


def test_commands_name_the_folder_the_layout_and_the_variables(tmp_path: Path, database: str) -> None:
    again = "DO $$ BEGIN EXECUTE format('CREATE TABLE {{ .S }}.%s ()', (SELECT 'town')); END $$;"
    broken = {**PARTED, "3_again": f"-- migrate:up\n{again}\n"}
    where = write(tmp_path / "new towns", **broken)
    words = ("--layout", "dbmate", "--var", "S=an app", "--database", database)
    status, out, err = lancio("preflight", where, "--only", "2_fill.sql", *words, "--json")
    assert status == 1, out + err  # a schema's name with a blank, put in as it is, is no SQL
    words = ("--layout", "dbmate", "--var", 'S="an app"', "--database", database)
    status, out, _ = lancio("preflight", where, "--only", "2_fill.sql", *words, "--json")
    (missing, *_rest) = json.loads(out)["missing"]
    read = shlex.join((where, "--layout", "dbmate", "--var", 'S="an app"'))
    assert status == 3
    assert any(each.startswith(f"lancio apply {read} --only") for each in missing["commands"])
    assert not any(each.startswith("psql") for each in missing["commands"])
    status, out, _ = lancio("apply", where, *words, "--yes", "--json")
    failed = [json.loads(line) for line in out.splitlines()][-1]
    assert status == 1
    (command,) = failed["error"]["commands"]
    assert command.startswith(f"lancio status {read} --database ")


def test_what_a_comment_requires_is_asked_of_the_database(tmp_path: Path, database: str) -> None:
    where = write(
        tmp_path / "needs",
        a="-- lancio: requires row app.town (a = 1)\n-- lancio: requires function app.f(int)\n"
        "-- lancio: requires role lancio_keeper_of_tests\nSELECT 1;",
    )
    status, out, _ = lancio("preflight", where, "--no-backup", "--database", database, "--json")
    assert status == 3
    assert [each["requirement"]["object"] for each in json.loads(out)["missing"]] == [
        "relation app.town", "row app.town (a = '1')", "function app.f(integer)", "role lancio_keeper_of_tests",
    ]  # fmt: skip
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "CREATE SCHEMA app; CREATE TABLE app.town (a int); INSERT INTO app.town VALUES (1);"
            "CREATE FUNCTION app.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE ROLE lancio_keeper_of_tests"
        )
        try:
            status, out, _ = lancio("preflight", where, "--no-backup", "--database", database, "--json")
        finally:
            connection.execute("DROP ROLE lancio_keeper_of_tests")
    assert (status, json.loads(out)["missing"]) == (0, [])
