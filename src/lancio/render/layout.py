"""Where does each box of a picture stand, and which way do its lines go?

A layered layout after Sugiyama: boxes fall into columns (whoever needs something stands to the right of it), the order
inside a column is swept until few lines cross, and each box is drawn towards its neighbours as far as the others in its
column let it. The same input gives the same places.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

BETWEEN = 12.0
"""Pixels between two boxes of a column."""

THREAD = 8.0
"""Pixels between a line that passes through a column and what stands next to it there."""

ACROSS = 56.0
"""Pixels between two columns: room for the lines to turn."""

SWEEPS = 12
"""How often the columns are ordered from left to right and back; no better order is found by more on 342 files."""

ROUNDS = 36
"""How often the boxes are drawn towards their neighbours, from the left and from the right in turn."""

ALONE = 0.01
"""How much a box without neighbours insists on its place."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Layout:
    """The upper left corner of each box, the points of each line, and the size of the whole, all in pixels.

    A line's points are its start, the right edge of its column, the left and the right end of its way through each
    column it passes, and its end: from the first to the second, the third to the fourth … it runs straight.
    """

    corners: tuple[Point, ...]
    lines: tuple[tuple[Point, ...], ...]
    width: float
    height: float


@dataclass(slots=True)
class _Net:
    """Boxes and the places where a line passes through a column, alike: neighbours left and right, and the columns."""

    columns: list[list[int]]
    left: list[list[int]]
    right: list[list[int]]
    height: list[float]
    boxes: int

    def passes(self, node: int) -> bool:
        """Whether it is not a box but a line on its way."""
        return node >= self.boxes


def arrange(sizes: Sequence[tuple[float, float]], links: Sequence[tuple[int, int]]) -> Layout:
    """Place boxes of these widths and heights; each link goes from a box to a later one (so there is no loop).

    Raises:
        ValueError: a link that does not lead to a later box.
    """
    if any(start >= end for start, end in links):
        raise ValueError("a link has to lead to a later box")
    level = _levels(len(sizes), links)
    net, routes = _net(sizes, links, level)
    _uncross(net)
    middle = _places(net)
    widths = [max((sizes[node][0] for node in column if not net.passes(node)), default=0.0) for column in net.columns]
    lefts: list[float] = []
    at = 0.0
    for each in widths:
        lefts.append(at)
        at += each + ACROSS
    top = min((middle[node] - net.height[node] / 2 for node in range(len(middle))), default=0.0)
    bottom = max((middle[node] + net.height[node] / 2 for node in range(len(middle))), default=0.0)
    corners = tuple((lefts[level[node]], middle[node] - sizes[node][1] / 2 - top) for node in range(len(sizes)))
    lines = []
    for (start, end), route in zip(links, routes, strict=True):
        column = level[start]
        points = [(lefts[column] + each, middle[start] - top) for each in (sizes[start][0], widths[column])]
        for column, node in enumerate(route, level[start] + 1):
            points += [(lefts[column], middle[node] - top), (lefts[column] + widths[column], middle[node] - top)]
        points.append((lefts[level[end]], middle[end] - top))
        lines.append(tuple(points))
    return Layout(corners, tuple(lines), max(at - ACROSS, 0.0), bottom - top)


def _levels(boxes: int, links: Sequence[tuple[int, int]]) -> list[int]:
    """The column of each box: right of all it needs, and as near as can be to what needs it."""
    before: list[list[int]] = [[] for _ in range(boxes)]
    after: list[list[int]] = [[] for _ in range(boxes)]
    for start, end in links:
        before[end].append(start)
        after[start].append(end)
    level = [0] * boxes
    for box in range(boxes):
        level[box] = max((level[each] + 1 for each in before[box]), default=0)
    for box in reversed(range(boxes)):
        if len(after[box]) > len(before[box]):
            level[box] = min(level[each] for each in after[box]) - 1
    # Drawn to the right, all may have left a column empty.
    used = {each: position for position, each in enumerate(sorted(set(level)))}
    return [used[each] for each in level]


def _net(
    sizes: Sequence[tuple[float, float]], links: Sequence[tuple[int, int]], level: list[int]
) -> tuple[_Net, list[list[int]]]:
    """Break each long link at every column that it passes; links from one box share their way as far as they can."""
    net = _Net(
        [[] for _ in range(max(level, default=-1) + 1)],
        [[] for _ in sizes], [[] for _ in sizes], [height for _, height in sizes], len(sizes),
    )  # fmt: skip
    for box, column in enumerate(level):
        net.columns[column].append(box)
    trunks: dict[int, list[int]] = {}
    routes = []
    for start, end in links:
        trunk = trunks.setdefault(start, [])
        far = level[end] - level[start] - 1
        for column in range(level[start] + 1 + len(trunk), level[end]):
            node = len(net.left)
            last = trunk[-1] if trunk else start
            trunk.append(node)
            net.left.append([last])
            net.right.append([])
            net.height.append(0.0)
            net.columns[column].append(node)
            net.right[last].append(node)
        route = trunk[:far]
        last = route[-1] if route else start
        net.right[last].append(end)
        net.left[end].append(last)
        routes.append(route)
    return net, routes


def _uncross(net: _Net) -> None:
    """Order each column by where its neighbours stand, from both sides in turn, and keep the best order that came."""
    best = [list(column) for column in net.columns]
    fewest = _crossings(net)
    for sweep in range(SWEEPS):
        rightward = sweep % 2 == 0
        neighbours = net.left if rightward else net.right
        columns = net.columns[1:] if rightward else net.columns[-2::-1]
        first = net.columns[0 if rightward else -1] if net.columns else []
        position = {node: at for at, node in enumerate(first)}
        for column in columns:
            weight = {
                node: _weight([position[each] for each in neighbours[node]], at) for at, node in enumerate(column)
            }
            column.sort(key=lambda node: weight[node])
            position |= {node: at for at, node in enumerate(column)}
        if fewest == 0:
            break
        crossings = _crossings(net)
        if crossings < fewest:
            fewest, best = crossings, [list(column) for column in net.columns]
    net.columns[:] = best


def _weight(places: list[int], own: int) -> float:
    """The mean of the neighbours' places; who has none stays where it is."""
    return sum(places) / len(places) if places else float(own)


def _crossings(net: _Net) -> int:
    """How many pairs of lines cross between neighbouring columns, counted in a tree of sums."""
    total = 0
    for left, right in pairwise(net.columns):
        position = {node: at for at, node in enumerate(right)}
        sums = [0] * (len(right) + 1)
        seen = 0
        for node in left:
            ends = sorted(position[each] for each in net.right[node])
            for end in ends:
                at, above = end + 1, 0
                while at:
                    above += sums[at]
                    at &= at - 1
                total += seen - above
            for end in ends:
                at = end + 1
                while at <= len(right):
                    sums[at] += 1
                    at += at & -at
            seen += len(ends)
    return total


def _places(net: _Net) -> list[float]:
    """The middle of each box on the axis along the columns: near its neighbours, in the order of its column."""
    place = [0.0] * len(net.left)
    gaps = [[_gap(net, one, other) for one, other in pairwise(column)] for column in net.columns]
    for column, apart in zip(net.columns, gaps, strict=True):
        at = -sum(apart) / 2
        for node, gap in zip(column, [*apart, 0.0], strict=True):
            place[node] = at
            at += gap
    pulls = [
        ([(each, _pull(net, each, node)) for each in net.left[node]],
         [(each, _pull(net, each, node)) for each in net.right[node]])
        for node in range(len(net.left))
    ]  # fmt: skip
    for round_ in range(ROUNDS):
        rightward = round_ % 2 == 0
        for column, apart in list(zip(net.columns, gaps, strict=True))[:: 1 if rightward else -1]:
            wanted = []
            for node in column:
                ahead, behind = pulls[node] if rightward else pulls[node][::-1]
                # First each side in turn carries its places through; then both sides count alike.
                looked_back = 1.0 if round_ >= ROUNDS // 3 else 0.05
                weight = sum(pull for _, pull in ahead) + looked_back * sum(pull for _, pull in behind)
                place_sum = sum(place[each] * pull for each, pull in ahead)
                place_sum += looked_back * sum(place[each] * pull for each, pull in behind)
                wanted.append((place_sum / weight, weight) if weight else (place[node], ALONE))
            for node, at in zip(column, _spaced(wanted, apart), strict=True):
                place[node] = at
    return place


def _gap(net: _Net, one: int, other: int) -> float:
    """How far apart the middles of two neighbours in a column have to be."""
    thread = net.passes(one) or net.passes(other)
    return (net.height[one] + net.height[other]) / 2 + (THREAD if thread else BETWEEN)


def _pull(net: _Net, one: int, other: int) -> float:
    """How much a link pulls its ends together: the inner part of a long one most, so that it runs straight."""
    return (1.0, 2.0, 8.0)[net.passes(one) + net.passes(other)]


def _spaced(wanted: list[tuple[float, float]], apart: list[float]) -> list[float]:
    """The places nearest to those that are wanted (place and weight) that keep their order and their distances.

    With the distances taken off, that is a least-squares fit of a rising line: whoever wants to stand above the one
    before joins it at their common mean.
    """
    offsets = [0.0]
    for gap in apart:
        offsets.append(offsets[-1] + gap)
    blocks: list[tuple[float, float, int]] = []  # the sum of what is wanted, its weight, how many
    for (place, weight), offset in zip(wanted, offsets, strict=True):
        block = ((place - offset) * weight, weight, 1)
        while blocks and blocks[-1][0] / blocks[-1][1] > block[0] / block[1]:
            before = blocks.pop()
            block = (before[0] + block[0], before[1] + block[1], before[2] + block[2])
        blocks.append(block)
    means = [total / weight for total, weight, count in blocks for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]
