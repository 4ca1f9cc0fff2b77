"""`--jobs` and `--one-by-one` on the command line."""

from __future__ import annotations

import io
import json

import psycopg
import pytest

from lancio.cli import main
from lancio.cli.terminal import Terminal


def lancio(*words):
    out, err = io.StringIO(), io.StringIO()
    status = main.run(words, Terminal(out, err, {}))
    return status, out.getvalue(), err.getvalue()


@pytest.fixture
def folder(tmp_path):
    for n in range(3):
        (tmp_path / f"{n}.sql").write_text(f"CREATE TABLE t{n} (id int PRIMARY KEY);\n")
    (tmp_path / "3.sql").write_text("CREATE TABLE t3 (a int REFERENCES t0, b int REFERENCES t1);\n")
    return tmp_path


def test_the_plan_tells_what_would_run_at_once_and_apply_does_it(database, folder):
    where = (str(folder), "--database", database)
    status, out, _ = lancio("plan", *where, "--jobs", "3")
    assert status == 0
    assert "On 3 connections up to 3 of 4 steps run at once" in " ".join(out.split())
    assert "4. 3.sql: waits for 1 and 2" in out
    _, out, _ = lancio("plan", *where, "--jobs", "3", "--json")
    told = json.loads(out)["side_by_side"]
    assert (told["connections"], told["at_once"], [each["after"] for each in told["steps"]]) == (
        3, 3, [[], [], [], [1, 2]],
    )  # fmt: skip
    status, out, err = lancio("apply", *where, "--jobs", "3", "--yes")
    assert status == 0, err
    assert "4 of 4 steps applied" in out
    with psycopg.connect(database) as connection:
        pids = connection.execute("SELECT count(DISTINCT backend_pid) FROM lancio.step").fetchone()
        assert pids > (1,), "one connection did it all"


def test_one_by_one_applies_all(database, folder):
    status, out, _ = lancio("apply", str(folder), "--database", database, "--one-by-one", "--yes")
    assert (status, "4 of 4 steps applied" in out) == (0, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("apply", "--jobs", "2", "--one-by-one"), "--one-by-one and --jobs are both given"),
        (("plan", "--jobs", "2", "--sql"), "--jobs and --sql are both given"),
        (("plan", "--jobs", "2", "--rehearse"), "--jobs and --rehearse are both given"),
        (("apply", "--jobs", "0"), "0 is not in the range"),
        (("apply", "--jobs", "many"), "not a valid integer"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_asked(folder, words, says):
    status, _, err = lancio(words[0], str(folder), *words[1:])
    assert status == 2
    assert says in err
