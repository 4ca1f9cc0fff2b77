"""`lancio rollback` as a user has it: shown, refused, agreed to, run, and run again."""

from __future__ import annotations

import io
import json
from pathlib import Path

import psycopg
import pytest

from lancio.cli import main
from lancio.cli.options import platform_folder
from lancio.cli.terminal import Terminal
from lancio.executor import fingerprint
from servers import run_psql

pytestmark = [pytest.mark.embedded, pytest.mark.slow]


def lancio(url: str, *words: str) -> tuple[int, str, str]:
    if words[0] == "rollback" and not {"--no-rehearsal", "--scratch"} & set(words):
        words = (*words, "--scratch", url)  # a server that runs already: a second one takes seconds to make
    return alone(url, *words)


def alone(url: str, *words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    status = main.run([*words, "--database", url], Terminal(out, err, {}))
    return status, out.getvalue(), err.getvalue()


def said(text: str) -> str:
    return " ".join(text.split())


def printed(url: str) -> fingerprint.Fingerprint:
    with psycopg.connect(url) as connection:
        return fingerprint.take(connection)


def execute(url: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def story(tmp_path: Path, database: str) -> str:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "001_t.sql").write_text("CREATE TABLE t (id serial PRIMARY KEY, name text NOT NULL UNIQUE);")
    (folder / "002_seed.sql").write_text("INSERT INTO t (name) VALUES ('seed');")
    (folder / "003_mail.sql").write_text("ALTER TABLE t ADD COLUMN mail text; CREATE VIEW v AS SELECT mail FROM t;")
    (folder / "004_u.sql").write_text("CREATE TABLE u (id integer);")
    assert lancio(database, "apply", str(folder), "--yes", "--no-backup")[0] == 0
    return str(folder)


def test_a_rollback_shows_what_is_lost_asks_and_apply_makes_all_as_before(story, database):
    before = printed(database)
    execute(database, "INSERT INTO t (name, mail) VALUES ('a', 'a@b'), ('b', NULL)")
    status, out, _ = lancio(database, "rollback", story, "--to", "002_seed.sql", "--dry-run")
    assert status == 0
    assert "Rehearsed on" in said(out)
    assert "the catalog's fingerprint came back" in said(out)
    assert "1 value of column public.t.mail" in said(out)
    assert "1 table or column without any" in said(out)
    status, out, err = lancio(database, "rollback", story, "--to", "002_seed.sql")
    assert status == 3
    assert "rows would be lost" in err
    assert printed(database).hash == before.hash
    status, out, _ = lancio(database, "rollback", story, "--to", "002_seed.sql", "--yes")
    assert status == 0
    assert "2 steps taken back" in out
    assert execute(database, "SELECT count(*) FROM t") == [(3,)]
    status, out, _ = lancio(database, "status", story)
    assert "004_u.sql" in out
    assert lancio(database, "apply", story, "--yes", "--no-backup")[0] == 0
    assert printed(database).hash == before.hash


def test_without_a_word_the_last_step_goes_and_nothing_is_asked_where_nothing_is_lost(story, database):
    status, out, _ = alone(database, "rollback", story)
    assert status == 0
    assert "a scratch PostgreSQL" in said(out)
    assert "DATA LOSS: none" in out
    assert execute(database, "SELECT to_regclass('u') IS NULL") == [(True,)]


def test_a_step_that_others_hang_on_is_refused_with_their_names_or_takes_them_along(story, database):
    status, _, err = lancio(database, "rollback", story, "001_t.sql", "--yes")
    assert status == 3
    assert "003_mail.sql hangs on 001_t.sql because of" in said(err)
    assert "--with-dependents" in err
    status, out, err = lancio(database, "rollback", story, "001_t.sql", "--with-dependents", "--yes")
    assert status == 0, err
    assert execute(database, "SELECT to_regclass('t') IS NULL, to_regclass('u') IS NOT NULL") == [(True, True)]
    assert "lancio apply" in out
    assert "--only 001_t.sql" in out


def test_what_nothing_brings_back_is_refused_and_what_is_behind_it_can_go_alone(story, database):
    Path(story, "005_drop.sql").write_text("DROP VIEW v; ALTER TABLE t DROP COLUMN mail;")
    Path(story, "006_w.sql").write_text("CREATE TABLE w (id integer);")
    assert lancio(database, "apply", story, "--yes", "--no-backup")[0] == 0
    status, out, _ = lancio(database, "rollback", story, "--last", "2", "--yes")
    assert status == 3
    assert "the step drops column public.t.mail, whose values are in no file" in said(out)
    assert "lancio restore" in out
    assert "--to 005_drop.sql" in out
    assert lancio(database, "rollback", story, "--to", "005_drop.sql", "--yes")[0] == 0
    status, out, _ = lancio(database, "rollback", story, "--json", "--dry-run")
    document = json.loads(out)
    assert status == 3
    assert not document["go"]
    assert document["steps"][0]["refused"]


def test_the_json_of_a_run_is_one_line_an_event(story, database):
    status, out, _ = lancio(database, "rollback", story, "--last", "2", "--yes", "--json")
    events = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert [each["event"] for each in events] == ["step-rolled-back", "step-rolled-back", "rolled-back"]
    assert events[0]["migration"] == "004_u.sql"
    document = json.loads(lancio(database, "rollback", story, "--all", "--dry-run", "--json")[1])
    assert {(row["table"], row["rows"]) for row in document["data_loss"]} == {("public.t", 1)}


def test_the_script_does_with_psql_what_the_command_does(story, database):
    start = printed(database)
    status, out, _ = lancio(database, "rollback", story, "--all", "--script")
    assert status == 0
    assert "CASCADE" not in out
    ran = run_psql(database, sql=out)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert printed(database).facts != start.facts
    assert execute(database, "SELECT to_regclass('t') IS NULL") == [(True,)]
    assert "001_t.sql" in lancio(database, "plan", story)[1]
    assert lancio(database, "apply", story, "--yes", "--no-backup")[0] == 0
    assert printed(database).hash == start.hash


def test_values_of_a_column_that_a_later_step_renamed_are_counted(story, database):
    (Path(story) / "005_renamed.sql").write_text("ALTER TABLE t RENAME COLUMN mail TO post;")
    assert lancio(database, "apply", story, "--yes", "--no-backup")[0] == 0
    execute(database, "UPDATE t SET post = 'x'")
    status, out, _ = lancio(database, "rollback", story, "--last", "3", "--dry-run")
    assert status == 0
    assert "1 value of column public.t.post" in said(out)


def test_an_edited_file_is_not_taken_back(story, database):
    Path(story, "004_u.sql").write_text("CREATE TABLE u (id bigint);")
    status, _, err = lancio(database, "rollback", story, "--yes")
    assert status == 3
    assert "was changed after it was applied" in err


def test_a_file_whose_edit_was_accepted_later_is_not_the_last_step(story, database):
    Path(story, "001_t.sql").write_text(
        "-- a table\nCREATE TABLE t (id serial PRIMARY KEY, name text NOT NULL UNIQUE);\n;"
    )
    assert lancio(database, "adopt", story, "--edited", "001_t.sql")[0] == 0
    status, out, _ = lancio(database, "rollback", story, "--yes")
    assert (status, "004_u.sql" in out, "001_t.sql" in out) == (0, True, False)


def test_from_an_older_checkout_the_last_step_is_not_another_one(story, database):
    Path(story, "004_u.sql").unlink()
    assert "! 004_u.sql is recorded as applied and is not in this folder." in lancio(database, "status", story)[1]
    for words in ([], ["--last", "2"], ["--to", "001_t.sql"]):
        status, _, err = lancio(database, "rollback", story, "--yes", *words)
        assert (status, "004_u.sql" in err) == (3, True)
    status, out, _ = lancio(database, "rollback", story, "003_mail.sql", "--yes")
    assert status == 0
    assert "004_u.sql was applied later and is not in this folder: it stays" in said(out)


def test_a_table_that_if_not_exists_passed_over_is_not_dropped(tmp_path, database):
    (tmp_path / "001.sql").write_text(
        "CREATE TABLE IF NOT EXISTS t (id integer); CREATE INDEX IF NOT EXISTS i ON t (id);"
    )
    execute(database, "CREATE TABLE t (id integer); INSERT INTO t VALUES (1)")
    for expected in (3, 0):  # once it was there before, once it was not
        assert lancio(database, "apply", str(tmp_path), "--yes", "--no-backup")[0] == 0
        status, out, _ = lancio(database, "rollback", str(tmp_path), "--yes")
        assert (status, "public.t was there before it" in said(out)) == (expected, expected == 3)
        assert "it makes public.t IF NOT EXISTS" in said(out)
        execute(database, "DROP TABLE IF EXISTS t; DROP SCHEMA lancio CASCADE")


def test_a_baseline_that_was_only_recorded_is_neither_the_last_step_nor_taken_back(story, database):
    words = ["--out", "003_base.sql", "--archive", f"{story}-old", "--scratch", database]
    assert main.run(["squash", story, "--to", "003_mail.sql", *words], Terminal(io.StringIO(), io.StringIO(), {})) == 0
    assert lancio(database, "apply", story, "--yes", "--no-backup")[0] == 0
    assert "[1/1] ↩ 004_u.sql" in lancio(database, "rollback", story, "--dry-run")[1]
    status, _, err = lancio(database, "rollback", story, "--all", "--yes")
    assert (status, "003_base.sql did not run here" in err) == (3, True)


def test_without_a_rehearsal_only_what_people_wrote_runs(story, database):
    status, out, _ = lancio(database, "rollback", story, "--no-rehearsal", "--yes")
    assert status == 3
    assert "nobody wrote what takes it back" in said(out)
    Path(story, "004_u.rollback.sql").write_text("DROP TABLE u;")
    status, _, err = lancio(database, "rollback", story, "--no-rehearsal")
    assert status == 3
    assert "what would be lost is not known" in err
    assert lancio(database, "rollback", story, "--no-rehearsal", "--yes")[0] == 0
    assert execute(database, "SELECT to_regclass('u') IS NULL") == [(True,)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--last", "1", "--all"], "exclude each other"),
        (["--script", "--json"], "both given"),
        (["nothing.sql"], "there is no file nothing.sql"),
        (["--no-rehearsal", "--scratch", "x"], "go with the rehearsal"),
        (["--before", "/nowhere.sql"], "cannot be read"),
        (["--last", "0"], "0"),
    ],
)
def test_words_that_make_no_sense_are_refused(story, database, words, expected):
    status, out, err = lancio(database, "rollback", story, *words)
    assert status in (1, 2)
    assert expected in said(out + err)


def test_a_database_without_a_ledger_is_sent_to_adopt(tmp_path, database):
    (tmp_path / "1.sql").write_text("CREATE TABLE t (id integer);")
    status, _, err = lancio(database, "rollback", str(tmp_path), "--yes")
    assert status == 2
    assert "lancio adopt" in err


def test_what_was_there_before_the_first_file_comes_from_a_preamble(tmp_path, database):
    folder = tmp_path / "m"
    folder.mkdir()
    execute(database, "CREATE TABLE other (id integer PRIMARY KEY)")
    (folder / "1.sql").write_text("CREATE TABLE t (id integer REFERENCES other);")
    assert lancio(database, "apply", str(folder), "--yes", "--no-backup")[0] == 0
    status, _, err = lancio(database, "rollback", str(folder), "--yes")
    assert status == 1
    assert "--before" in err
    (tmp_path / "before.sql").write_text("CREATE TABLE other (id integer PRIMARY KEY);")
    assert lancio(database, "rollback", str(folder), "--yes", "--before", str(tmp_path / "before.sql"))[0] == 0
    assert execute(database, "SELECT to_regclass('t') IS NULL, to_regclass('other') IS NOT NULL") == [(True, True)]


def test_a_role_that_the_files_make_is_made_in_each_rehearsal(tmp_path, database, scratch_url):
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "1.sql").write_text("CREATE TABLE t (id integer);")
    (folder / "2.sql").write_text("CREATE ROLE comes_along; CREATE TABLE u (id integer);")
    try:
        assert lancio(database, "apply", str(folder), "--yes")[0] == 0
        status, out, err = alone(database, "rollback", str(folder), "1.sql", "--yes", "--scratch", scratch_url)
        assert status == 0, out + err
    finally:
        execute(database, "DROP ROLE IF EXISTS comes_along")
    assert execute(scratch_url, "SELECT FROM pg_roles WHERE rolname = 'comes_along'") == []


def test_all_platform_files_are_taken_back_to_the_empty_database_with_their_rows_counted(database):
    empty = printed(database)
    assert lancio(database, "apply", "--platform", "--yes", "--no-backup")[0] == 0
    document = json.loads(lancio(database, "rollback", "--platform", "--all", "--dry-run", "--json")[1])
    counted = {row["table"]: row["rows"] for row in document["data_loss"]}
    files = [each for each in platform_folder().glob("*.sql") if ".rollback." not in each.name]
    assert len(document["steps"]) == len(files)
    assert counted["platform.databases"] == 2
    assert counted["platform.organizations"] == counted["platform.projects"] == 1
    status, _, err = lancio(database, "rollback", "--platform", "--all", "--yes")
    assert status == 0, err
    assert printed(database).hash == empty.hash
    assert lancio(database, "apply", "--platform", "--yes", "--no-backup")[0] == 0


def test_no_secret_of_a_row_is_shown(tmp_path, database):
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "1.sql").write_text("CREATE TABLE t (name text, url text);")
    (folder / "2.sql").write_text("INSERT INTO t (name, url) VALUES ('a', 'redis://:hunter2@cache:6379');")
    assert lancio(database, "apply", str(folder), "--yes", "--no-backup")[0] == 0
    status, out, err = lancio(database, "rollback", str(folder), "--dry-run")
    assert status == 0
    assert "1 row of public.t where" in said(out)
    assert "hunter2" not in out + err
    execute(database, "INSERT INTO t SELECT * FROM t")
    status, out, err = lancio(database, "rollback", str(folder), "--yes")
    assert status == 3
    assert "2 rows of public.t are like the one that it made" in said(out)
    assert "hunter2" not in out + err


def test_a_file_may_name_the_database_it_runs_in(tmp_path, database):
    name = database.rpartition("/")[2].partition("?")[0]
    folder = tmp_path / "named"
    folder.mkdir()
    (folder / "001_t.sql").write_text("CREATE TABLE t (id integer);")
    (folder / "002_set.sql").write_text(f"ALTER DATABASE {name} SET statement_timeout = '90s';")
    (folder / "003_u.sql").write_text("CREATE TABLE u (id integer);")
    assert alone(database, "apply", str(folder), "--yes", "--no-backup")[0] == 0
    status, out, err = alone(database, "drift", str(folder))
    assert status == 0, out + err
    assert "No drift" in out
    status, out, err = alone(database, "rollback", str(folder), "--to", "002_set.sql", "--yes")
    assert status == 0, out + err
    assert execute(database, "SELECT to_regclass('u') IS NULL") == [(True,)]
