"""What the bench of corpora counts, on histories small enough to count by hand."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from histories import planned

from lancio.planner.model import Edge
from lancio.proof.leave_one_out import Truth
from lancio.reading.source import read_folder

BENCH = Path(__file__).resolve().parents[2] / "bench" / "corpora.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("corpora", BENCH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["corpora"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["corpora"]


def truth(**lists):
    none = dict.fromkeys(("closure", "direct", "changed", "catalog_edges", "hazards"), frozenset())
    files = tuple(f"{number}.sql" for number in range(1, 5))
    return Truth(files, frozenset(range(1, 5)), **none | {name: frozenset(pairs) for name, pairs in lists.items()})


def scored(bench, tmp_path, known, *edges):
    graph = planned(tmp_path / "h", *(["SELECT 1;"] * 4))
    made = tuple(Edge(f"{file}.sql", f"{needs}.sql", hazard, strength, ()) for file, needs, hazard, strength in edges)
    history = bench.History("h", read_folder(tmp_path / "h"), b"", replace(graph, edges=made))
    result = bench.Result("h", 4, 4, 0, {})
    bench.score(history, known, result)
    return {name: (share.hit, share.of) for name, share in result.shares.items()}, result.misses


READ, WRITE = "read-after-write", "write-after-read"


def test_a_pair_is_found_through_others_by_hard_and_row_edges(bench, tmp_path):
    known = truth(closure=[(2, 1), (3, 2), (3, 1)], direct=[(2, 1), (3, 2)])
    shares, misses = scored(bench, tmp_path, known, (2, 1, READ, "hard"), (3, 2, READ, "row"))
    assert (shares["direct"], shares["closure"], shares["precision"]) == ((2, 2), (3, 3), (2, 2))
    assert shares["ordered"] == (3, 6)
    assert misses == []


@pytest.mark.parametrize("strength", ["order", "late", "set", "external"])
def test_a_chain_of_weak_edges_earns_nothing(bench, tmp_path, strength):
    known = truth(closure=[(2, 1)], direct=[(2, 1)])
    shares, misses = scored(bench, tmp_path, known, (2, 1, READ, strength))
    assert (shares["direct"], shares["precision"]) == ((0, 1), (0, 0))
    assert [(miss.measure, miss.file, miss.other) for miss in misses] == [("direct", "2.sql", "1.sql")]


def test_write_after_read_is_an_order_and_no_need(bench, tmp_path):
    known = truth(closure=[(2, 1)], direct=[(2, 1)], hazards=[(3, 2)])
    shares, _ = scored(bench, tmp_path, known, (2, 1, WRITE, "hard"), (3, 2, WRITE, "hard"))
    assert (shares["direct"], shares["hazards"], shares["precision"]) == ((0, 1), (1, 1), (0, 0))


def test_an_edge_is_true_if_the_file_fails_or_changes_or_the_catalog_has_it(bench, tmp_path):
    known = truth(closure=[(2, 1)], direct=[(2, 1)], changed=[(3, 1)], catalog_edges=[(4, 1)])
    edges = [(file, 1, READ, "hard") for file in (2, 3, 4)] + [(4, 2, READ, "hard"), (1, 3, READ, "hard")]
    shares, misses = scored(bench, tmp_path, known, *edges)
    assert shares["precision"] == (3, 5)
    assert [(miss.file, miss.other) for miss in misses if miss.measure == "precision"] == [
        ("1.sql", "3.sql"),
        ("4.sql", "2.sql"),
    ]


def test_files_that_were_not_left_out_count_on_neither_side(bench, tmp_path):
    known = replace(truth(closure=[(2, 1), (3, 2)], direct=[(2, 1), (3, 2)]), left_out=frozenset({1}))
    shares, _ = scored(bench, tmp_path, known, (4, 2, READ, "hard"))
    assert (shares["direct"], shares["precision"], shares["ordered"]) == ((0, 1), (0, 0), (0, 3))


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ('relation "a" already exists', "name taken"),
        ('column "c" of relation "t" does not exist', "column"),
        ('invalid input value for enum mood: "glad"', "label"),
        ("cannot drop table t because other objects depend on it", "stood on"),
        ('insert or update on table "b" violates foreign key constraint "f"', "data"),
        ("function f() does not exist", "routine"),
        ("", "cascade"),
    ],
)
def test_a_miss_has_its_class_from_postgresqls_sentence(bench, sentence, kind):
    assert bench.class_of(sentence) == kind


@pytest.mark.embedded
def test_a_whole_history_is_measured(bench, place, tmp_path, monkeypatch):
    monkeypatch.setenv("LANCIO_CACHE", str(tmp_path / "cache"))
    planned(
        tmp_path / "h", "CREATE TABLE a (id int PRIMARY KEY);", "CREATE TABLE b (id int REFERENCES a);", "DROP TABLE b;"
    )
    options = argparse.Namespace(var=[], sample=None, seed=0, limit=None, jobs=1, preflight=None)
    result = bench.measure(tmp_path / "h", None, None, place, options)
    shares = {name: (share.hit, share.of) for name, share in result.shares.items()}
    assert shares["direct"] == (2, 2)
    assert shares["closure"] == (3, 3)
    assert shares["false go"] == (0, 3)
    assert shares["made read"] == shares["made real"] == (7, 7)
    assert shares["gone read"] == shares["gone real"] == (3, 3)
    assert result.misses == []
