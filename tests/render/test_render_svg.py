"""Pictures that people read: every file is in them, nothing breaks out of them, and boxes do not lie on each other."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree as ET

import graphs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lancio.planner.model import Graph, Opaque, Place
from lancio.render import layout, svg
from lancio.render.outline import MANY, outline, reduced

NAMES = {"s": "http://www.w3.org/2000/svg"}


@st.composite
def pairs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    size = draw(st.integers(1, 25))
    edges = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).filter(lambda pair: pair[0] < pair[1])
    return size, sorted(draw(st.sets(edges, max_size=60))) if size > 1 else []


def history(size: int, *links: tuple[int, int]) -> Graph:
    """Files 0 to size - 1 in order, and an edge from each pair's second to its first."""
    names = [f"{number:04}_file.sql" for number in range(size)]
    files = tuple(graphs.facts(name, number) for number, name in enumerate(names))
    edges = tuple(graphs.edge(names[b], names[a], (f"table t{a}", "relation", 1)) for a, b in sorted(links))
    return Graph("migrations", files, edges, (), (), (), 18)


def reach(size: int, links: list[tuple[int, int]]) -> set[tuple[int, int]]:
    found = set(links)
    for middle in range(size):
        found |= {(a, d) for a, b in found if b == middle for c, d in found if c == middle}
    return found


@given(pairs())
def test_the_reduction_reaches_what_all_pairs_reach_and_none_of_it_is_spare(
    case: tuple[int, list[tuple[int, int]]],
) -> None:
    size, links = case
    kept = reduced(size, links)
    assert set(kept) <= set(links)
    assert reach(size, kept) == reach(size, links)
    for one in kept:
        assert one not in reach(size, [each for each in kept if each != one])


@settings(deadline=None)
@given(pairs())
def test_boxes_do_not_lie_on_each_other_and_lines_run_from_left_to_right(
    case: tuple[int, list[tuple[int, int]]],
) -> None:
    size, links = case
    sizes = [(60.0 + 10 * (number % 4), 20.0 + 18 * (number % 3)) for number in range(size)]
    placed = layout.arrange(sizes, links)
    boxes = [(*corner, *its_size) for corner, its_size in zip(placed.corners, sizes, strict=True)]
    for at, (x, y, wide, tall) in enumerate(boxes):
        assert x >= -0.01
        assert y >= -0.01
        assert x + wide <= placed.width + 0.01
        assert y + tall <= placed.height + 0.01
        for other_x, other_y, other_wide, other_tall in boxes[:at]:
            apart = x + wide <= other_x or other_x + other_wide <= x
            assert apart or y + tall <= other_y + 0.01 or other_y + other_tall <= y + 0.01
    for line in placed.lines:
        assert all(one[0] <= other[0] for one, other in pairwise(line))


@settings(deadline=None)
@given(pairs())
def test_no_line_runs_through_a_box(case: tuple[int, list[tuple[int, int]]]) -> None:
    size, links = case
    placed = layout.arrange([(80.0, 30.0)] * size, links)
    for (start, end), line in zip(links, placed.lines, strict=True):
        # Its straight parts are those that pass a column; between columns there are no boxes.
        for (left, level), (right, _) in list(pairwise(line))[::2]:
            for box, (x, y) in enumerate(placed.corners):
                if box not in (start, end) and left < x + 80 and x < right:
                    assert not y + 0.01 < level < y + 29.99


def test_a_link_back_is_refused() -> None:
    with pytest.raises(ValueError, match="later box"):
        layout.arrange([(1.0, 1.0)] * 2, [(1, 0)])


def test_the_picture_is_xml_with_a_title_and_every_file() -> None:
    drawn = svg.graph(graphs.specification())
    root = ET.fromstring(drawn)
    assert root.find("s:title", NAMES) is not None
    assert root.find("s:desc", NAMES) is not None
    told = [each.text or "" for each in root.iterfind(".//s:g/s:title", NAMES)]
    for facts in graphs.specification().files:
        assert any(facts.name in each for each in told)
    texts = {each.text for each in root.iterfind(".//s:text", NAMES)}
    assert "001_create_platform_schema" in texts
    assert "script" not in drawn
    assert "prefers-color-scheme:dark" in drawn
    assert "http" not in drawn.replace('xmlns="http://www.w3.org/2000/svg"', "")


def test_a_line_tells_the_object_and_both_places() -> None:
    drawn = svg.graph(graphs.specification())
    assert f"platform.databases table: {graphs.REGISTER}:30 ← {graphs.TABLE}:12" in drawn


def test_names_cannot_break_out_of_the_picture() -> None:
    graph = history(2, (0, 1))
    evil = '</title><script>"&\x1b\x00'
    files = (graph.files[0], graphs.facts(evil, 1))
    edge = replace(graph.edges[0], file=evil)
    blind = Opaque(Place(evil, 1), "<&\x07>")
    drawn = svg.graph(replace(graph, files=files, edges=(edge,), folder="<b>&", opaque=(blind,)))
    ET.fromstring(drawn)
    assert "<script" not in drawn
    assert "<b>" not in drawn


def test_the_same_graph_gives_the_same_bytes() -> None:
    links = [(a, b) for b in range(90) for a in (b // 2, b // 3) if a < b]
    assert svg.graph(history(90, *links)) == svg.graph(history(90, *links))


def test_of_many_files_those_that_hang_together_are_one_box() -> None:
    size = MANY + 20
    chain = [(number, number + 1) for number in range(29)]
    leaves = [(29, number) for number in range(30, size)]
    shown = outline(history(size, *chain, *leaves))
    assert [len(box.files) for box in shown.boxes] == [30, size - 30]
    unfolded = outline(history(size, *chain, *leaves), unfold=True)
    assert len(unfolded.boxes) == size
    kept = outline(history(size, *chain, *leaves), keep=["0040_file.sql"])
    assert ("0040_file.sql",) in [box.files for box in kept.boxes]
    assert sum(len(box.files) for box in kept.boxes) == size


@given(pairs())
def test_folding_loses_no_file_and_every_link_leads_to_a_later_box(case: tuple[int, list[tuple[int, int]]]) -> None:
    size, links = case
    spread = [(a * 3, b * 3) for a, b in links]
    shown = outline(history(size * 3 + MANY, *spread))
    assert sorted(name for box in shown.boxes for name in box.files) == sorted(
        facts.name for facts in history(size * 3 + MANY).files
    )
    assert all(link.before < link.after for link in shown.links)
    home = {name: number for number, box in enumerate(shown.boxes) for name in box.files}
    told = {(link.before, link.after) for link in shown.links}
    for edge in history(size * 3 + MANY, *spread).edges:
        if home[edge.needs] != home[edge.file]:
            assert (home[edge.needs], home[edge.file]) in reach(len(shown.boxes), sorted(told))


def test_all_edges_are_drawn_where_they_are_asked_for() -> None:
    graph = history(3, (0, 1), (1, 2), (0, 2))
    assert len(outline(graph).links) == 2
    assert len(outline(graph, all_edges=True).links) == 3


def test_three_hundred_files_are_laid_out_in_well_under_a_second() -> None:
    links = {(a, b) for b in range(1, 342) for a in (b - 1 - b % 7, b // 2, b // 5) if 0 <= a < b}
    graph = history(342, *links)
    began = time.process_time()
    drawn = svg.graph(graph, unfold=True)
    assert time.process_time() - began < 1
    assert len(re.findall(r'class="box', drawn)) == 342
