"""Which steps may run side by side, and how long that would take."""

from __future__ import annotations

from dataclasses import replace

from lancio.catalog import profile
from lancio.planner import graph, schedule
from lancio.planner.model import Plan, Step
from lancio.reading import source
from lancio.render import abreast


def plan(folder, files, *, done=(), expected=None):
    for name, text in files.items():
        (folder / name).write_text(text)
    found = graph.build(source.read_folder(folder), profile.load(18))
    left = [each for each in found.files if each.name not in done]
    steps = tuple(Step(each, at, (expected or {}).get(each.name)) for at, each in enumerate(left, 1))
    return Plan(found, steps, tuple(done), (), (), ())


def after(folder, files, **how):
    return [sorted(each) for each in schedule.made(plan(folder, files, **how)).after]


def test_a_step_waits_for_what_makes_what_it_needs(tmp_path):
    files = {
        "1.sql": "CREATE TABLE a (id int PRIMARY KEY);",
        "2.sql": "CREATE TABLE b (id int);",
        "3.sql": "CREATE VIEW v AS SELECT id FROM a;",
    }
    assert after(tmp_path, files) == [[], [], [1]]


def test_keys_to_one_table_wait_for_each_other_and_indexes_of_one_do_not(tmp_path):
    files = {
        "1.sql": "CREATE TABLE a (id int PRIMARY KEY, note text);",
        "2.sql": "CREATE TABLE b (a int REFERENCES a);",
        "3.sql": "CREATE TABLE c (a int REFERENCES a);",
        "4.sql": "CREATE INDEX one ON a (note);",
        "5.sql": "CREATE INDEX two ON a (note);",
    }
    waits = after(tmp_path, files)
    assert 2 in waits[2], "both lock the parent in a mode that excludes itself"
    assert 4 not in waits[4], "SHARE lets SHARE in"


def test_a_chain_through_files_that_have_run_still_binds(tmp_path):
    files = {
        "0.sql": "CREATE TABLE a (id int); CREATE TABLE b (id int);",
        "1.sql": "INSERT INTO a VALUES (1);",
        "2.sql": "UPDATE a SET id = 2; INSERT INTO b SELECT id FROM a;",
        "3.sql": "UPDATE b SET id = 3;",
        "4.sql": "CREATE TABLE z (id int);",
    }
    assert after(tmp_path, files, done=["0.sql", "2.sql"]) == [[], [1], []]


def test_what_cannot_be_seen_through_and_what_is_outside_of_a_transaction_have_the_run_to_themselves(tmp_path):
    files = {
        "1.sql": "CREATE TABLE a (id int);",
        "2.sql": "DO $$ BEGIN EXECUTE (SELECT max(says) FROM a_table_of_statements); END $$;",
        "3.sql": "CREATE TABLE b (id int);",
        "4.sql": "CREATE INDEX CONCURRENTLY i ON a (id);",
        "5.sql": "CREATE TABLE c (id int);",
    }
    made = schedule.made(plan(tmp_path, files))
    assert [sorted(each) for each in made.after] == [[], [1], [2], [1, 2, 3], [2, 4]]
    assert made.solo == {4}


def test_the_longest_begins_first_and_the_course_adds_up(tmp_path):
    files = {f"{n}.sql": f"CREATE TABLE t{n} (id int);" for n in range(1, 5)}
    took = {"1.sql": 100, "2.sql": 200, "3.sql": 900, "4.sql": 300}
    made = schedule.made(plan(tmp_path, files, expected=took))
    turns = schedule.Turns(made)
    assert [turns.begin() for _ in range(4)] == [3, 4, 2, 1]
    course = schedule.course(made, 2)
    assert (course.ends, course.one_by_one, course.width) == (900, 1500, 2)
    assert schedule.course(made, 1).ends == 1500


def test_no_course_runs_more_than_it_may_or_before_what_it_waits_for(tmp_path):
    files = {f"{n:02}.sql": f"CREATE TABLE t{n} (id int PRIMARY KEY);" for n in range(8)}
    files |= {f"{n:02}.sql": f"ALTER TABLE t{n % 8} ADD COLUMN c{n} int;" for n in range(8, 24)}
    made = schedule.made(plan(tmp_path, files, expected={name: 10 + 7 * at for at, name in enumerate(files)}))
    for jobs in (1, 2, 3, 8):
        times = schedule.course(made, jobs).times
        for at, (start, _) in enumerate(times):
            assert all(times[each - 1][1] <= start for each in made.after[at])
            assert sum(begins <= start < ends for begins, ends in times) <= jobs


def test_the_text_says_who_waits_and_how_long_it_takes(tmp_path):
    files = {
        "1.sql": "CREATE TABLE a (id int);", "2.sql": "CREATE TABLE b (id int);", "3.sql": "ALTER TABLE a ADD c int;",
    }  # fmt: skip
    made = schedule.made(plan(tmp_path, files, expected={"1.sql": 4000, "2.sql": 5000, "3.sql": 1000}))
    text = abreast.text(made, schedule.course(made, 2), 100)
    assert "On 2 connections up to 2 of 3 steps run at once, about 5 seconds instead of 10 seconds:" in text
    assert "3. 3.sql: waits for 1\n" in text
    unknown = replace(made, steps=(replace(made.steps[0], expected_ms=None), *made.steps[1:]))
    text = abreast.text(unknown, schedule.course(unknown, 2), 200)
    assert "nobody has measured or declared 1 step" in text
    assert abreast.data(unknown, schedule.course(unknown, 2))["expected_ms"] is None


def test_where_all_wait_for_each_other_the_text_says_so(tmp_path):
    files = {"1.sql": "CREATE TABLE a (id int);", "2.sql": "ALTER TABLE a ADD b int;"}
    made = schedule.made(plan(tmp_path, files))
    assert "one after the other" in abreast.text(made, schedule.course(made, 4), 200)
