"""Files that are not one transaction: their segments, the ledger of their statements, and where a run goes on."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import psycopg
import pytest
from test_runner_alone import applied, run, state

from lancio.catalog import profile
from lancio.errors import ConnectionLost, EditedFile, NoGo, StepFailed
from lancio.executor import events, fingerprint, ledger, remains, runner, segments, snapshot
from lancio.planner import graph, plan
from lancio.planner import segments as cutting
from lancio.reading.source import read_folder

if TYPE_CHECKING:
    from pathlib import Path

MIXED = """\
CREATE TABLE item (id integer, note text);
INSERT INTO item SELECT n, 'note' FROM generate_series(1, 100) AS n;
CREATE INDEX CONCURRENTLY item_id ON item (id);
VACUUM ANALYZE item;
SET search_path = aside, public;
CREATE SCHEMA aside;
CREATE TABLE other (id integer);
CREATE INDEX CONCURRENTLY other_id ON other (id);
ALTER TABLE other ADD COLUMN more text;
"""


def write(folder: Path, *texts: str) -> Path:
    folder.mkdir(exist_ok=True)
    for number, text in enumerate(texts, 1):
        (folder / f"{number:03}.sql").write_text(text)
    return folder


def planned(url: str, folder: Path, *texts: str, decided=None) -> plan.Plan:
    write(folder, *texts)
    with psycopg.connect(url, autocommit=True) as connection:
        found = graph.build(read_folder(folder), profile.load(connection.info.server_version // 10000))
        recorded = {name: each.checksum for name, each in ledger.read(connection).items()}
        files = {each.name: each for each in found.files}
        half = remains.settled(connection, files, ledger.in_progress(connection), decided or {})
        return plan.make(found, snapshot.take(connection, found), ledger=recorded, durations={}, environ={},
                         begun=ledger.begun(connection), in_progress=half)  # fmt: skip


def rows(url: str, sql: str):
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(sql).fetchall()


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for each in statements:
            connection.execute(each)


def cut(folder: Path, text: str, major: int = 18) -> list[tuple[str, list[int]]]:
    found = graph.build(read_folder(write(folder, text)), profile.load(major))
    made = cutting.cut(found.files[0], major, cutting.committing(found.files[0].statements))
    assert not made.problems
    return [(each.alone, [statement.span.line for statement in each.statements]) for each in made.segments]


# --- how a file is cut ------------------------------------------------------------------------------------------------


def test_a_file_is_cut_at_what_stands_alone(tmp_path):
    assert cut(tmp_path, MIXED) == [
        ("", [1, 2]), ("CONCURRENTLY", [3]), ("VACUUM", [4]), ("", [5, 6, 7]), ("CONCURRENTLY", [8]), ("", [9]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1;\nSELECT 2;\n", [("", [1, 2])]),
        ("BEGIN;\nSELECT 1;\nCOMMIT;\nVACUUM;\n", [("", [2]), ("VACUUM", [4])]),
        ("SELECT 1;\nBEGIN ISOLATION LEVEL SERIALIZABLE;\nSELECT 2;\nCOMMIT;\nSELECT 3;\n",
         [("", [1]), ("", [3]), ("", [5])]),
        ("SELECT 1;\nBEGIN;\nSET LOCAL work_mem = '1MB';\nCOMMIT;\n", [("", [1]), ("", [3])]),
        ("-- lancio: no-transaction\nSELECT 1;\nSELECT 2;\nBEGIN;\nSELECT 3;\nSELECT 4;\nCOMMIT;\n",
         [("", [2]), ("", [3]), ("", [5, 6])]),
        ("DO $$ BEGIN\nCOMMIT; END $$;\nDO $$ BEGIN RAISE NOTICE 'COMMIT;'; END $$;\n", [("DO", [1]), ("", [3])]),
        ("CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;\nCALL p();\n", [("", [1]), ("CALL", [2])]),
        ("CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; END $$;\nCALL p();\n", [("", [1, 2])]),
        ("CREATE DATABASE d;\nDROP DATABASE d;\n", [("CREATE DATABASE", [1]), ("DROP DATABASE", [2])]),
        ("CREATE TYPE t AS ENUM ('a');\nALTER TYPE t ADD VALUE 'b';\nSELECT 'b'::t;\n", [("", [1, 2, 3])]),
        ("", []),
    ],
)  # fmt: skip
def test_kinds_of_files_are_cut_so(tmp_path, text, expected):
    assert cut(tmp_path, text) == expected


def test_a_new_value_of_an_enum_ends_its_transaction_where_it_is_used_and_below_12_stands_alone(tmp_path):
    write(tmp_path / "f", "CREATE TYPE t AS ENUM ('a');\nCREATE TABLE k (v t);\n",
          "ALTER TYPE t ADD VALUE 'b';\nSELECT 1;\nINSERT INTO k VALUES ('b');\n"
          "ALTER TABLE k ALTER COLUMN v SET DEFAULT 'b';\n")  # fmt: skip
    for major, expected in ((18, [("", [1, 2]), ("", [3, 4])]), (11, [(cutting.ENUM, [1]), ("", [2, 3, 4])])):
        found = graph.build(read_folder(tmp_path / "f"), profile.load(major))
        made = cutting.cut(found.files[1], major)
        assert [(each.alone, [one.span.line for one in each.statements]) for each in made.segments] == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("BEGIN;\nCREATE INDEX CONCURRENTLY i ON t (id);\nCOMMIT;", "own BEGIN"),
        ("DISCARD ALL;", "runner's lock"),
        ("SELECT 1; ROLLBACK;", "Take it away"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_the_line_and_a_remedy(database, tmp_path, text, said):
    made = planned(database, tmp_path / "m", "CREATE TABLE t (id integer);", text)
    assert not made.go
    assert said in "".join(finding.remedy for finding in made.findings)
    with pytest.raises(NoGo):
        run(database, made)


# --- a run ------------------------------------------------------------------------------------------------------------


def test_a_mixed_file_runs_and_is_recorded_once(every_database, tmp_path):
    told = run(every_database, planned(every_database, tmp_path / "m", MIXED))
    assert told[-1].outcome == "done"
    assert applied(every_database) == ["001.sql"]
    assert state(every_database) is True
    assert rows(every_database, "SELECT count(*) FROM lancio.begun") == [(0,)]
    recorded = rows(every_database, "SELECT ordinal, line, duration_ms IS NOT NULL FROM lancio.statement ORDER BY 1")
    assert recorded == [(n, n, n in (3, 4, 8)) for n in range(1, 10)]
    assert rows(every_database, "SELECT count(*), max(duration_ms) > 0 FROM lancio.step") == [(1, True)]
    # a setting of an early segment holds in a later one
    assert rows(every_database, "SELECT to_regclass('aside.other_id') IS NOT NULL, current_schema()") == [
        (True, "public")
    ]
    assert [each.ordinal for each in told if isinstance(each, events.Progress)] == list(range(1, 10))
    assert planned(every_database, tmp_path / "m", MIXED).steps == ()


def test_after_a_failure_it_says_how_far_it_is_and_goes_on_at_the_right_line(every_database, tmp_path):
    broken = MIXED.replace("ALTER TABLE other ADD", "ALTER TABLE nowhere ADD")
    made = planned(every_database, tmp_path / "m", MIXED)
    write(tmp_path / "m", broken)
    found = graph.build(read_folder(tmp_path / "m"), profile.load(18))
    made = plan.Plan(found, (plan.Step(found.files[0], 1),), (), (), (), ())
    with pytest.raises(StepFailed) as raised:
        run(every_database, made)
    assert "8 of 9 statements ran; goes on at line 9" in raised.value.cause
    assert applied(every_database) == []
    again = planned(every_database, tmp_path / "m", MIXED)  # edited behind what ran
    assert again.go
    (stands,) = again.states
    assert (stands.state, stands.begun) == ("partly applied", "8 of 9 statements ran; goes on at line 9")
    told = run(every_database, again)
    assert [each.ordinal for each in told if isinstance(each, events.Progress)] == [9]
    # search_path was set by a statement that ran before: it is set again
    assert rows(every_database, "SELECT count(*) FROM information_schema.columns WHERE table_name = 'other' AND "
                "table_schema = 'aside' AND column_name = 'more'") == [(1,)]  # fmt: skip
    assert rows(every_database, "SELECT count(*) FROM item") == [(100,)]
    assert applied(every_database) == ["001.sql"]


def test_what_ran_may_not_be_edited(database, tmp_path):
    bad = "CREATE TABLE a (id integer);\nVACUUM a;\nSELECT 1 / 0;\n"
    with pytest.raises(StepFailed):
        run(database, planned(database, tmp_path / "m", bad))
    stale = planned(database, tmp_path / "m", "-- aside\n" + bad.replace("1 / 0", "1"))
    assert stale.go, [each.message for each in stale.missing]
    made = planned(database, tmp_path / "m", bad.replace("id integer", "id bigint"))
    assert not made.go
    assert any("001.sql:1 was edited after it ran" in each.message for each in made.findings)
    edited = plan.Plan(made.graph, (plan.Step(made.graph.files[0], 1),), (), (), (), ())
    with pytest.raises(EditedFile, match="line 1"):
        run(database, edited)
    run(database, stale)
    assert applied(database) == ["001.sql"]


def test_a_verification_that_fails_at_the_end_is_asked_again_and_nothing_runs_twice(database, tmp_path):
    text = "-- lancio: verify SELECT EXISTS (SELECT FROM item)\nCREATE TABLE item (id integer);\nVACUUM item;\n"
    with pytest.raises(StepFailed) as raised:
        run(database, planned(database, tmp_path / "m", text))
    assert "2 of 2 statements ran; its verification is left" in raised.value.cause
    made = planned(database, tmp_path / "m", text)
    assert made.states[0].begun == "2 of 2 statements ran; its verification is left"
    execute(database, "INSERT INTO item VALUES (7)")
    run(database, made)
    assert applied(database) == ["001.sql"]


def test_an_invalid_index_of_a_hand_is_built_anew_though_the_file_says_if_not_exists(every_database, tmp_path):
    execute(every_database, "CREATE TABLE item (id integer)", "INSERT INTO item VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        execute(every_database, "CREATE UNIQUE INDEX CONCURRENTLY item_id ON item (id)")
    execute(every_database, "DELETE FROM item")
    assert state(every_database) is False
    text = "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS item_id ON item (id);\nSELECT 1;\n"
    told = run(every_database, planned(every_database, tmp_path / "m", text))
    assert any("made anew" in each.message for each in told if isinstance(each, events.Notice))
    assert state(every_database) is True


def test_an_index_that_somebody_builds_at_this_moment_is_waited_for(database, tmp_path):
    execute(database, "CREATE TABLE item (id integer)")
    made = planned(
        database, tmp_path / "m", "CREATE INDEX CONCURRENTLY IF NOT EXISTS item_id ON item (id);\nSELECT 1;\n"
    )
    with psycopg.connect(database) as holder:
        holder.execute("INSERT INTO item VALUES (1)")
        other = threading.Thread(target=execute, args=(database, "CREATE INDEX CONCURRENTLY item_id ON item (id)"))
        other.start()
        until = time.monotonic() + 20
        while state(database) is None and time.monotonic() < until:
            time.sleep(0.02)
        oid = rows(database, "SELECT 'item_id'::regclass::oid")
        told: list[events.Event] = []
        running = threading.Thread(target=lambda: told.extend(run(database, made)))
        running.start()
        time.sleep(1)
        holder.rollback()
        running.join(30)
        other.join(30)
    assert told[-1].outcome == "done"
    assert any(isinstance(each, events.Waiting) and each.holders for each in told)
    assert rows(database, "SELECT 'item_id'::regclass::oid") == oid
    assert state(database) is True


def test_what_a_cut_off_reindex_left_is_taken_away(database, tmp_path):
    execute(database, "CREATE TABLE item (id integer)", "CREATE INDEX item_id ON item (id)",
            "CREATE INDEX item_id_ccnew ON item (id)",
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'item_id_ccnew'::regclass")  # fmt: skip
    told = run(database, planned(database, tmp_path / "m", "REINDEX INDEX CONCURRENTLY item_id;\nSELECT 1;\n"))
    assert any("item_id_ccnew" in each.message for each in told if isinstance(each, events.Notice))
    assert rows(database, "SELECT to_regclass('item_id_ccnew') IS NULL") == [(True,)]


# --- what was in doubt ------------------------------------------------------------------------------------------------


def cut_off(url: str, folder: Path, *texts: str, at: int, done: bool) -> None:
    """As a run leaves it that ended while its statement `at` (from 1) was at work: carried out, or not."""
    made = planned(url, folder, *texts)
    name = made.steps[-1].facts.name
    stopped = []

    class StopError(Exception):
        pass

    before = segments.Walk._watch

    def watch(self, sent, part, **more):
        if self.name == name and part.statements[0][0] == at and part.alone:
            if done:
                yield from before(self, sent, part, **more)
            stopped.append(at)
            raise StopError
        return (yield from before(self, sent, part, **more))

    patch = pytest.MonkeyPatch()
    patch.setattr(segments.Walk, "_watch", watch)
    with patch.context(), pytest.raises(StopError):
        run(url, made)
    patch.undo()
    assert stopped


CASES = [
    ("CREATE INDEX CONCURRENTLY item_id ON item (id);", None),
    ("CREATE INDEX CONCURRENTLY ON item (id);", None),
    ("DROP INDEX CONCURRENTLY old;", None),
    ("VACUUM item;", None),
    ("REINDEX TABLE CONCURRENTLY item;", 12),
    ("ALTER TABLE parts DETACH PARTITION part CONCURRENTLY;", 14),
]


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize(("text", "since"), CASES)
def test_a_statement_without_an_answer_is_looked_at_in_the_catalog(every_database, tmp_path, text, since, done):
    version = rows(every_database, "SELECT current_setting('server_version_num')::integer / 10000")[0][0]
    if since is not None and version < since:
        return  # this version's grammar does not have it
    first = ("CREATE TABLE item (id integer); CREATE INDEX old ON item (id);"
             "CREATE TABLE parts (id integer) PARTITION BY RANGE (id);"
             "CREATE TABLE part PARTITION OF parts FOR VALUES FROM (1) TO (2);")  # fmt: skip
    mixed = f"CREATE TABLE a (id integer);\n{text}\nCREATE TABLE b (id integer);\n"
    cut_off(every_database, tmp_path / "m", first, mixed, at=2, done=done)
    made = planned(every_database, tmp_path / "m", first, mixed)
    assert made.go, [each.message for each in made.missing] + [each.message for each in made.findings]
    certain = "VACUUM" not in text and "REINDEX" not in text
    ran = 2 if done and certain else 1
    assert made.states[1].begun.startswith(f"{ran} of 3 statements ran")
    told = run(every_database, made)
    assert told[-1].outcome == "done"
    said = [each.message for each in told if isinstance(each, events.Notice) and "had done this" in each.message]
    assert bool(said) == (done and certain)
    assert applied(every_database) == ["001.sql", "002.sql"]
    count = "SELECT count(*) FROM pg_index WHERE indrelid = 'item'::regclass"
    assert rows(every_database, count) == [(2 if "CREATE INDEX" in text else 0 if "DROP" in text else 1,)]


@pytest.mark.parametrize("done", [True, False])
def test_a_database_that_was_or_was_not_created_is_known(server, database, tmp_path, done):
    name = f"made_{os.getpid()}_{done}".lower()
    text = f"SELECT 1;\nCREATE DATABASE {name};\nSELECT 2;\n"
    try:
        cut_off(database, tmp_path / "m", text, at=2, done=done)
        run(database, planned(database, tmp_path / "m", text))
        assert rows(database, f"SELECT count(*) FROM pg_database WHERE datname = '{name}'") == [(1,)]
    finally:
        execute(database, f"DROP DATABASE IF EXISTS {name}")


def test_what_nothing_tells_is_refused_until_a_person_says(database, tmp_path):
    text = ("CREATE TABLE log (id serial);\n"
            "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log DEFAULT VALUES; COMMIT; END $$;\n"
            "CALL p();\nSELECT 1;\n")  # fmt: skip
    cut_off(database, tmp_path / "m", text, at=3, done=True)
    made = planned(database, tmp_path / "m", text)
    assert not made.go
    (finding,) = [each for each in made.findings if each.rule == "in-doubt"]
    assert "001.sql:3" in finding.message
    assert any("--done 001.sql:3" in each for each in finding.commands)
    said = {("001.sql", 3): "done"}
    made = planned(database, tmp_path / "m", text, decided=said)
    assert made.go
    with psycopg.connect(database, autocommit=True) as connection:
        assert list(runner.apply(made, connection, decided=said))[-1].outcome == "done"
    assert rows(database, "SELECT count(*) FROM log") == [(1,)]


def test_a_lost_connection_in_the_middle_is_told_and_the_next_run_goes_on(database, tmp_path):
    text = "CREATE TABLE item (id integer);\nCREATE INDEX CONCURRENTLY item_id ON item (id);\nSELECT 1;\n"
    made = planned(database, tmp_path / "m", text)
    with psycopg.connect(database) as holder:
        raised: list[BaseException] = []

        def go() -> None:
            try:
                run(database, made)
            except ConnectionLost as error:
                raised.append(error)

        running = threading.Thread(target=go)
        running.start()
        until = time.monotonic() + 20
        while state(database) is None and time.monotonic() < until:
            if rows(database, "SELECT to_regclass('item') IS NOT NULL") == [(True,)]:
                holder.execute("LOCK TABLE item IN ROW EXCLUSIVE MODE")
            time.sleep(0.005)
        execute(
            database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lancio apply'"
        )
        running.join(60)
    if raised:  # the lock came in time
        assert "1 of 3 statements ran" in raised[0].cause
        assert planned(database, tmp_path / "m", text).states[0].begun == "1 of 3 statements ran; goes on at line 2"
        run(database, planned(database, tmp_path / "m", text))
    assert applied(database) == ["001.sql"]
    assert state(database) is True


def test_progress_of_a_long_statement_is_told(database, tmp_path):
    text = ("CREATE TABLE item (id integer);\nINSERT INTO item SELECT n FROM generate_series(1, 1000) AS n;\n"
            "CREATE FUNCTION slow(n integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS "
            "$$ BEGIN PERFORM pg_sleep(0.004); RETURN n; END $$;\n"
            "CREATE INDEX CONCURRENTLY item_id ON item (slow(id));\n")  # fmt: skip
    told = run(database, planned(database, tmp_path / "m", text))
    seen = [each for each in told if isinstance(each, events.Underway)]
    assert seen
    assert all(each.line == 4 for each in seen)
    assert any("scanning table" in each.phase for each in seen)


def test_the_catalog_is_that_of_psql(database, server, tmp_path):
    """Statement by statement, each by itself, as psql -f sends the file."""
    other = server.create_database()
    try:
        with psycopg.connect(other, autocommit=True) as connection:
            for line in MIXED.splitlines():
                connection.execute(line)
        run(database, planned(database, tmp_path / "m", MIXED))
        with psycopg.connect(database, autocommit=True) as one, psycopg.connect(other, autocommit=True) as two:
            assert fingerprint.take(one).hash == fingerprint.take(two).hash
    finally:
        server.drop_database(other)
