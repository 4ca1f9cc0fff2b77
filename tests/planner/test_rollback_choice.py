"""Which steps go together, and what hangs on them."""

from __future__ import annotations

from lancio.catalog import profile
from lancio.planner import graph, rollback
from lancio.reading.source import read_folder


def built(folder, *texts):
    for number, text in enumerate(texts, 1):
        (folder / f"{number}.sql").write_text(text)
    return graph.build(read_folder(folder), profile.load(18))


APPLIED = ["1.sql", "2.sql", "3.sql", "4.sql"]


def story(folder):
    return built(
        folder,
        "CREATE TABLE t (id integer);",
        "ALTER TABLE t ADD COLUMN a integer;",
        "CREATE VIEW v AS SELECT a FROM t;",
        "CREATE TABLE u (id integer);",
    )


def test_what_hangs_on_a_step_goes_with_it_directly_or_through_others(tmp_path):
    choice = rollback.choose(story(tmp_path), APPLIED, ["1.sql"])
    assert choice.steps == ("1.sql", "2.sql", "3.sql")
    assert choice.kept == ("4.sql",)
    assert {edge.file for edge in choice.hanging} == {"2.sql", "3.sql"}
    assert not choice.together


def test_what_is_not_applied_hangs_on_nothing(tmp_path):
    choice = rollback.choose(story(tmp_path), ["1.sql", "2.sql"], ["2.sql"])
    assert (choice.steps, choice.kept, choice.hanging, choice.together) == (("2.sql",), ("1.sql",), (), True)


def test_a_step_on_which_nothing_hangs_goes_alone(tmp_path):
    choice = rollback.choose(story(tmp_path), APPLIED, ["3.sql"])
    assert (choice.steps, choice.hanging) == (("3.sql",), ())
    assert not choice.together


def test_steps_go_in_the_order_they_were_applied_in_whatever_their_names_say(tmp_path):
    choice = rollback.choose(story(tmp_path), ["4.sql", "1.sql", "2.sql"], ["4.sql", "2.sql"])
    assert choice.steps == ("4.sql", "2.sql")
