"""Who fails without whom: histories small enough to know the answer."""

from __future__ import annotations

import json

import pytest
from histories import history

from lancio.errors import SourceError
from lancio.proof import leave_one_out
from lancio.proof.cache import Cache

pytestmark = pytest.mark.embedded

CHAIN = (
    "CREATE TABLE a (id integer PRIMARY KEY, old text);",
    "CREATE TABLE b (id integer REFERENCES a);",
    "CREATE INDEX ON b (id);",
    "INSERT INTO a SELECT 1, 'x';",
    "UPDATE a SET old = 'y';",
    "ALTER TABLE a DROP COLUMN old;",
    "CREATE TABLE c ();",
    "SELECT missing;",
)


def test_failures_changes_and_hazards_of_a_history(place, tmp_path):
    truth = leave_one_out.truth(place, history(tmp_path / "h", *CHAIN), jobs=1)
    assert truth.left_out == frozenset(range(1, 9))
    # 3 stands on b alone, and fails without a because b is not made then.
    assert truth.closure == {(2, 1), (3, 1), (3, 2), (4, 1), (5, 1), (6, 1)}
    # 5 does something else without 4 too, so that it fails without 1 may be because 4 did; the catalog does not tell.
    assert truth.direct == truth.closure - {(3, 1), (5, 1)}
    assert truth.changed == {(5, 4)}  # UPDATE 0 instead of UPDATE 1
    assert truth.hazards == {(6, 4), (6, 5)}  # who drops the column must wait for who uses it
    assert {(2, 1), (3, 2), (6, 1)} <= truth.catalog_edges
    assert truth.broken == {8: 'column "missing" does not exist'}
    assert truth.messages[2, 1] == 'relation "a" does not exist'
    assert truth.messages[6, 5] == 'column "old" of relation "a" does not exist'


def test_two_processes_say_the_same_as_one(place, tmp_path):
    one = leave_one_out.truth(place, history(tmp_path / "h", *CHAIN), jobs=1)
    assert leave_one_out.truth(place, history(tmp_path / "h", *CHAIN), jobs=2) == one


def test_what_must_be_there_before_is_there(place, tmp_path):
    made = history(
        tmp_path / "h", "CREATE TABLE b (id integer REFERENCES a);", preamble=b"CREATE TABLE a (id int PRIMARY KEY)"
    )
    assert leave_one_out.truth(place, made, jobs=1).broken == {}


def test_a_sample_leaves_out_so_many_and_the_same_each_time(place, tmp_path):
    made = history(tmp_path / "h", *CHAIN)
    first = leave_one_out.truth(place, made, sample=3, seed=7, jobs=1)
    assert len(first.left_out) == 3
    assert first == leave_one_out.truth(place, made, sample=3, seed=7, jobs=1)
    whole = leave_one_out.truth(place, made, jobs=1)
    assert first.closure == {pair for pair in whole.closure if pair[1] in first.left_out}
    assert first.direct <= whole.direct


def test_an_interrupted_run_goes_on_where_it_was(place, tmp_path):
    made, cache = history(tmp_path / "h", *CHAIN), Cache(tmp_path / "cache")
    heard: list[tuple[int, int]] = []
    leave_one_out.truth(place, made, jobs=1, cache=cache, limit_s=0, tell=lambda *each: heard.append(each))
    assert heard == [(1, 8)]
    whole = leave_one_out.truth(place, made, jobs=1, cache=cache, tell=lambda *each: heard.append(each))
    assert heard == [(1, 8), *((done, 8) for done in range(2, 9))]
    heard.clear()
    assert leave_one_out.truth(place, made, jobs=1, cache=cache, tell=lambda *each: heard.append(each)) == whole
    assert heard == []


def test_a_spoilt_cache_is_as_good_as_none(place, tmp_path):
    made, cache = history(tmp_path / "h", *CHAIN[:3]), Cache(tmp_path / "cache")
    whole = leave_one_out.truth(place, made, jobs=1, cache=cache)
    for kept in (tmp_path / "cache").rglob("*.json"):
        kept.write_text('{"fai')
    assert leave_one_out.truth(place, made, jobs=1, cache=cache) == whole


def test_a_truth_made_elsewhere_is_read(tmp_path):
    path = tmp_path / "truth.json"
    path.write_text(json.dumps({
        "files": ["1.sql", "2.sql", "3.sql"], "left_out": 2, "closure": [[2, 1]], "direct": [[2, 1]], "changed": [],
        "catalog_edges": [[2, 1]], "hazards": [[3, 2, "no"]], "first_message": {"2,1": "why"},
        "broken_in_full_run": {"3": "x"},
    }))  # fmt: skip
    truth = leave_one_out.load(path)
    assert truth.left_out == {1, 2}
    assert truth.closure == truth.direct == truth.catalog_edges == {(2, 1)}
    assert truth.messages == {(2, 1): "why", (3, 2): "no"}
    assert truth.broken == {3: "x"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": ["1.sql"], "closure": [1]}'])
def test_a_file_that_is_no_truth_is_refused(tmp_path, text):
    path = tmp_path / "truth.json"
    path.write_text(text)
    with pytest.raises(SourceError):
        leave_one_out.load(path)
