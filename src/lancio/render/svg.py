"""A graph as a picture that every browser shows: no script, no font from elsewhere, light and dark by themselves."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from lancio.render import layout
from lancio.render.lines import clean, counted, width
from lancio.render.outline import outline, short
from lancio.render.words import creates, noun, risk

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from lancio.planner.model import Graph
    from lancio.render.outline import Box, Link, Outline

CELL = 7.3
"""Pixels that a character takes in the 12 pixel monospace fonts of all systems, at most."""

NAME = 38
"""So many characters of a name stand in a box; all of it is in the tooltip."""

PAD, ROW, EDGE = 12.0, 18.0, 24.0
"""Pixels beside a box's text, from line to line of it, and around the whole."""

TOLD = 4
"""So many objects are told in a line's tooltip, and so many lines of what a file creates; the rest is counted."""

TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0L8 4L0 8Z"/></marker></defs>'
)
"""The head of an arrow."""

STYLE = """\
:root{color-scheme:light dark}
svg{background:#fff}
text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#1f2328}
.head{font-size:15px;font-weight:600}
.quiet{fill:#59636e}
.box rect{fill:#f6f8fa;stroke:#818b98}
.many rect{fill:#ddf4ff;stroke:#0969da}
.center rect{fill:#fff8c5;stroke:#9a6700;stroke-width:2.5}
.blind rect{stroke-dasharray:5 3}
.line path{fill:none;stroke:#818b98;stroke-width:1.2}
.line .hit{stroke:transparent;stroke-width:9}
.late path:first-of-type{stroke-dasharray:4 4}
.line:hover path:first-of-type{stroke:#cf222e;stroke-width:2.5}
.box:hover rect{stroke:#cf222e}
marker path{fill:#818b98}
@media (prefers-color-scheme:dark){
svg{background:#0d1117}
text{fill:#e6edf3}
.quiet{fill:#9198a1}
.box rect{fill:#151b23;stroke:#656c76}
.many rect{fill:#0c2d4d;stroke:#4493f8}
.center rect{fill:#3b2e0a;stroke:#d29922}
.line path{stroke:#656c76}
.line .hit{stroke:transparent}
.line:hover path:first-of-type,.box:hover rect{stroke:#ff7b72}
marker path{fill:#656c76}
}"""


def graph(
    graph: Graph,
    title: str = "",
    *,
    only: Collection[str] | None = None,
    center: Collection[str] = (),
    all_edges: bool = False,
    unfold: bool = False,
    classes: Mapping[str, str] | None = None,
) -> str:
    """One SVG document: what is needed on the left, what needs it on the right.

    `only` draws these files alone, `center` marks some; `all_edges` and `unfold` are the outline's. `classes` gives a
    file's box a class, which the page that holds the picture colours; a box of several files gets it if all have it.
    """
    shown = outline(graph, only=only, keep=center, all_edges=all_edges, unfold=unfold)
    labels = [_label(box) for box in shown.boxes]
    sizes = [(max(width(line) for line in label) * CELL + 2 * PAD, len(label) * ROW + PAD) for label in labels]
    placed = layout.arrange(sizes, [(link.before, link.after) for link in shown.links])
    head = 3 * ROW
    said = _said(shown, all_edges=all_edges)
    title = title or f"Migrations of {graph.folder}"
    wide = max(placed.width, width(title) * CELL * 15 / 12, width(said) * CELL) + 2 * EDGE
    tall = placed.height + head + 2 * EDGE
    size = f'width="{_n(wide)}" height="{_n(tall)}" viewBox="0 0 {_n(wide)} {_n(tall)}"'
    role = 'role="graphics-document document" aria-labelledby="name" aria-describedby="said"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {role}>',
        f'<title id="name">{_text(title)}</title>',
        f'<desc id="said">{_text(said)}</desc>',
        f"<style>\n{STYLE}\n</style>",
        TIP,
        f'<text class="head" x="{_n(EDGE)}" y="{_n(EDGE + 15)}">{_text(title)}</text>',
        f'<text class="quiet" x="{_n(EDGE)}" y="{_n(EDGE + 15 + ROW)}">{_text(said)}</text>',
        f'<g transform="translate({_n(EDGE)} {_n(EDGE + head)})">',
    ]
    for link, points in zip(shown.links, placed.lines, strict=True):
        lines.append(_line(link, points))
    for box, label, its_size, corner in zip(shown.boxes, labels, sizes, placed.corners, strict=True):
        lines.append(_box(graph, box, label, its_size, corner, center, classes or {}))
    return "\n".join([*lines, "</g>", "</svg>"]) + "\n"


def _said(shown: Outline, *, all_edges: bool) -> str:
    said = f"{counted(shown.files, 'file')}, {counted(shown.needs, 'pair')} bound to their order"
    if not all_edges and shown.told < shown.needs:
        said += f"; {shown.told} are drawn, the others follow from them"
    folded = sum(len(box.files) for box in shown.boxes if len(box.files) > 1)
    if folded:
        boxes = sum(len(box.files) > 1 for box in shown.boxes)
        said += f"; {folded} files that hang together are folded into {counted(boxes, 'box')}"
    return f"{said}. What is needed stands on the left."


def _label(box: Box) -> list[str]:
    first = _short(box.files[0])
    if len(box.files) == 1:
        return [first]
    if len(box.files) == 2:
        return [first, _short(box.files[1])]
    return [first, f"… {len(box.files) - 2} more …", _short(box.files[-1])]


def _short(name: str) -> str:
    """A file's short name, the middle of a long one left out: its number and what it is about stay."""
    said = short(name)
    return said if len(said) <= NAME else f"{said[: NAME // 6]}…{said[-(NAME - NAME // 6 - 1) :]}"


def _box(
    graph: Graph,
    box: Box,
    label: list[str],
    size: tuple[float, float],
    corner: layout.Point,
    center: Collection[str],
    given: Mapping[str, str],
) -> str:
    facts = [graph.file(name) for name in box.files]
    classes = ["box"]
    if len(box.files) > 1:
        classes.append("many")
    if any(name in center for name in box.files):
        classes.append("center")
    if any(each.opaque for each in facts):
        classes.append("blind")
    if len(its := {given.get(name, "") for name in box.files}) == 1:
        classes += [each for each in its if each]
    if len(facts) == 1:
        made = creates(facts[0])
        told = [facts[0].name, *(f"creates {each}" for each in made[:TOLD])]
        if len(made) > TOLD:
            told.append(f"and {len(made) - TOLD} more")
        told.append(f"risk {risk(facts[0])}")
        told += [f"not seen through: line {each.at.line}, {each.reason}" for each in facts[0].opaque[:TOLD]]
    else:
        told = [counted(len(facts), "file"), *box.files]
    x, y = corner
    rows = "".join(
        f'<text x="{_n(x + PAD)}" y="{_n(y + PAD / 2 + ROW * number + 13)}">{_text(row)}</text>'
        for number, row in enumerate(label)
    )
    return (
        f'<g class="{" ".join(classes)}" role="graphics-symbol img"><title>{_text(chr(10).join(told))}</title>'
        f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(size[0])}" height="{_n(size[1])}" rx="5"/>{rows}</g>'
    )


def _line(link: Link, points: tuple[layout.Point, ...]) -> str:
    path = f"M{_n(points[0][0])} {_n(points[0][1])}"
    for at, (x, y) in enumerate(points[1:]):
        before = points[at]
        middle = _n((before[0] + x) / 2)
        straight = at % 2 == 0 or y == before[1]
        path += f"H{_n(x)}" if straight else f"C{middle} {_n(before[1])} {middle} {_n(y)} {_n(x)} {_n(y)}"
    late = all(edge.strength in ("late", "set") for edge in link.edges)
    first = link.edges[0]
    told = [f"{first.file} stays behind {first.needs}" if len({(e.file, e.needs) for e in link.edges}) == 1 else ""]
    because = [each for edge in link.edges for each in edge.because]
    told += [f"{noun(each.object)}: {each.at} ← {each.provider}" for each in because[:TOLD]]
    if len(because) > TOLD:
        told.append(f"and {counted(len(because) - TOLD, 'reason')} more")
    return (
        f'<g class="line{" late" if late else ""}"><title>{_text(chr(10).join(each for each in told if each))}</title>'
        f'<path d="{path}" marker-end="url(#tip)"/><path class="hit" d="{path}"/></g>'
    )


def _n(number: float) -> str:
    """A number with one digit behind the point, if it needs one."""
    return f"{number:.1f}".removesuffix(".0")


def _text(text: str) -> str:
    """Text as XML has it; of control characters only the line end stays, and whatever XML forbids is replaced."""
    return escape("\n".join(clean(line) for line in text.split("\n")))
