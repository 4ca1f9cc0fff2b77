"""What other readings are measured by, on histories small enough to count by hand."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from histories import folder

from lancio.errors import LancioError
from lancio.proof.leave_one_out import Truth

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture(scope="module")
def bench():
    loaded = []
    for name in ("corpora", "others"):
        spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        loaded.append(name)
    yield module
    for name in loaded:
        del sys.modules[name]


def history(bench, tmp_path, *texts):
    return bench.read(folder(tmp_path / "h", *texts), None, {})


def pairs(answer):
    return {(int(each.file[0]), int(each.needs[0])) for each in answer.edges}


HISTORY = (
    "CREATE TABLE a (id int); CREATE TYPE mood AS ENUM ('ok');",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER TABLE a ADD m mood;",
    "CREATE VIEW v AS SELECT f() FROM a;",
    "DROP VIEW v; CREATE TABLE b (id int); INSERT INTO b VALUES (1);",
    "-- nothing",
)


def test_names_are_bound_to_the_file_that_created_them(bench, tmp_path):
    answer = bench.names(history(bench, tmp_path, *HISTORY))
    assert pairs(answer) == {(2, 1), (3, 1), (3, 2), (4, 3)}


def test_mentions_are_bound_to_the_last_file_that_has_the_name(bench, tmp_path):
    answer = bench.mentions(history(bench, tmp_path, *HISTORY))
    assert pairs(answer) == {(2, 1), (3, 2), (4, 3)}


def test_each_kind_of_object_is_known_by_the_last_part_of_its_name(bench, tmp_path):
    made = (
        "CREATE SEQUENCE s.a; CREATE TABLE s.t (id int); CREATE MATERIALIZED VIEW s.b AS SELECT 1;"
        "CREATE INDEX c ON s.t (id); CREATE TYPE s.d AS (x int); CREATE DOMAIN s.e AS int;"
        "CREATE TYPE s.f AS RANGE (subtype = int4); CREATE PROCEDURE s.g() LANGUAGE sql AS '';"
    )
    for drop in (
        "SEQUENCE s.a",
        "TABLE t",
        "MATERIALIZED VIEW b",
        "INDEX s.c",
        "TYPE d",
        "DOMAIN s.e",
        "TYPE s.f",
        "PROCEDURE g",
    ):
        answer = bench.names(history(bench, tmp_path, made, f"DROP {drop};"))
        assert pairs(answer) == {(2, 1)}, drop


def test_a_chain_said_as_hard_has_full_recall_and_the_precision_of_chance(bench, tmp_path):
    read = history(bench, tmp_path, *HISTORY)
    names = tuple(f"{number}.sql" for number in range(1, 6))
    needs = frozenset({(2, 1), (3, 1)})
    none = frozenset()
    said = {(2, 1): 'relation "a" does not exist', (3, 1): 'column "x" does not exist'}
    truth = Truth(names, frozenset(range(1, 6)), needs, needs, none, none, none, messages=said)
    score = bench.scored(read, truth, bench.chain(read))
    measured = {name: (share.hit, share.of) for name, share in score.shares.items()}
    assert measured["direct"] == (2, 2)
    assert measured["precision"] == (1, 4)
    assert measured["ordered"] == (10, 10)
    turned = bench.Answer((bench.edge("1.sql", "2.sql"),))
    scored = bench.scored(read, truth, turned)
    assert scored.backward == 1
    assert {kind: (share.hit, share.of) for kind, share in scored.kinds.items()} == {
        "relation": (0, 1),
        "column": (0, 1),
    }
    assert bench.tables({"h": {"chain": score}}, {"chain": score}).splitlines()[2] == "| h | 2 | 100.0 / 25.0 |"


def test_what_a_tool_says_is_taken_once_a_pair_and_without_files_that_need_themselves(bench, tmp_path, monkeypatch):
    seen = []

    def run(_command, *, input: str, **_options):  # noqa: A002
        seen.extend(each["name"] for each in json.loads(input)["files"])
        edges = [{"file": f"{a}.sql", "needs": f"{b}.sql", "strength": "hard"} for a, b in ((2, 1), (2, 1), (3, 3))]
        said = json.dumps({"edges": edges, "unread": {"3.sql": "no"}, "skipped": {"x": 1}})
        return type("Done", (), {"stdout": said})

    monkeypatch.setattr(bench.subprocess, "run", run)
    answer = bench.asked("pg-topo")(history(bench, tmp_path, *HISTORY))
    assert [(each.file, each.needs) for each in answer.edges] == [("2.sql", "1.sql")]
    assert (answer.unread, answer.skipped) == ({"3.sql": "no"}, {"x": 1})
    assert seen == ["1.sql", "2.sql", "3.sql", "4.sql"], "a file of comments alone is given to nobody"


def test_a_tool_that_is_not_there_is_a_refusal_that_says_how_to_get_it(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "HERE", tmp_path)
    with pytest.raises(LancioError) as refusal:
        bench.asked("pg-topo")(history(bench, tmp_path, *HISTORY))
    assert "npm install" in refusal.value.remedy
