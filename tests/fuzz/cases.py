"""One case of fuzzing, and what must hold of it. Run as a program it does this in a process of its own.

The program reads pickled cases from its standard input. It writes the number of each case before it begins, then one
line of JSON with what came out; so whoever started it knows which case a process did not survive.
"""

from __future__ import annotations

import faulthandler
import hashlib
import itertools
import json
import pickle
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lancio.catalog import profile
from lancio.errors import LancioError, SyntaxRefused
from lancio.planner import graph
from lancio.reading import operations
from lancio.reading.source import Migration, read_folder
from lancio.render import json as rendered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lancio.reading.layouts import Name
    from lancio.reading.model import FileOps, Op, Span

LIMIT = 5.0
"""Seconds of processor time for one answer: a machine that is busy with other things makes nothing slow."""

MEMORY = 3 << 30
"""Bytes of address space: a text of some kilobytes that takes more is one that ends the process."""

NAME = "dir/a file.sql"

Kind = Literal["text", "folder"]


@dataclass(frozen=True, slots=True)
class Case:
    """A text to be read, or a folder of files to be planned; `origin` says how to make it again."""

    kind: Kind
    origin: str
    files: dict[str, bytes]
    layout: Name | None = None
    variables: dict[str, str] = field(default_factory=dict)


def read(text: bytes) -> tuple[str, FileOps | None]:
    """What `operations.read` makes of a text: in words, for comparing, and as it is."""
    try:
        found = operations.read(Migration(NAME, Path(NAME), text))
    except SyntaxRefused as error:
        refused = error
    else:
        return spelled(found), found
    place = re.match(rf"{NAME}:(\d+)\n", refused.where)
    assert place is not None, f"no file and line: {refused.where!r}"
    assert 1 <= int(place[1]) <= text.count(b"\n") + 1, refused.where
    return told(refused), None


def told(error: LancioError) -> str:
    """A refusal in words; each has what it takes to be understood."""
    assert error.message, error.as_dict()
    assert error.cause, error.as_dict()
    assert error.remedy, error.as_dict()
    return json.dumps(error.as_dict())


def spelled(value: object) -> str:
    """A value in characters that are the same for the same value, whatever the order of its sets."""
    if isinstance(value, frozenset):
        return f"{{{','.join(sorted(map(spelled, value)))}}}"
    if isinstance(value, tuple):
        return f"({','.join(map(spelled, value))})"
    fields = getattr(value, "__dataclass_fields__", None)
    return repr(value) if fields is None else spelled(tuple(getattr(value, name) for name in fields))


def places_hold(text: bytes, found: FileOps) -> None:
    """Statements follow one another; every place is in the file, and its line is the one that its byte is in."""
    ends = [0, *(at + 1 for at, byte in enumerate(text) if byte == 10)]
    lines = len(ends)
    for one, other in itertools.pairwise(found.statements):
        assert one.span.end <= other.span.start, (one.span, other.span)
    for each in found.statements:
        assert each.sql.encode() == text[each.span.start : each.span.end], each
        assert each.summary or not each.sql.strip(), each
    for span, what in _spans(found.ops):
        assert 0 <= span.start <= span.end <= len(text), (span, what)
        assert 1 <= span.line <= lines, (span, what)
        if span.start:
            assert ends[span.line - 1] <= span.start, (span, what)
            assert span.line == lines or span.start < ends[span.line], (span, what)


def _spans(ops: tuple[Op, ...]) -> Iterator[tuple[Span, str]]:
    for op in ops:
        yield op.span, f"{op.verb} {op.ref} {op.detail.reason}"
        yield from _spans(op.detail.body)


def look_at_text(case: Case) -> str:
    """Read the text twice."""
    (text,) = case.files.values()
    answer, found = read(text)
    if found is not None:
        places_hold(text, found)
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
    assert read(text)[0] == answer, "read again it says something else"
    return answer


def look_at_folder(case: Case) -> str:
    """Read the files as the migrations of a folder, and draw the graph in both orders."""
    root = Path(tempfile.mkdtemp(prefix="lancio-fuzz-"))
    try:
        for name, content in case.files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        return planned(case, root).replace(str(root), "")
    finally:
        shutil.rmtree(root)


def planned(case: Case, root: Path) -> str:
    """The graphs of a folder as JSON, or why there is none."""
    try:
        folder = read_folder(root, layout=case.layout, variables=case.variables)
        signal.setitimer(signal.ITIMER_PROF, LIMIT)
        said = [rendered.graph(graph.build(folder, profile.load(18)))]
        signal.setitimer(signal.ITIMER_PROF, LIMIT)
        said.append(rendered.graph(graph.build(folder, profile.load(18), order="graph")))
    except LancioError as error:
        refused = error
    else:
        return json.dumps(said)
    if isinstance(refused, SyntaxRefused):
        assert re.match(r"[^\n]+:\d+(\n|$)", refused.where), refused.where
    return told(refused)


def main() -> None:
    """Look at each case; a case that takes too long ends the process with a traceback."""
    faulthandler.enable()
    faulthandler.register(signal.SIGPROF, chain=True)
    if sys.platform == "linux":  # elsewhere the system takes no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    cases: list[Case] = pickle.load(sys.stdin.buffer)
    profile.load(18)
    for at, case in enumerate(cases):
        print(at, flush=True)
        begun = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, LIMIT)
        said: dict[str, object] = {}
        try:
            answer = look_at_text(case) if case.kind == "text" else look_at_folder(case)
            said["digest"] = hashlib.sha256(answer.encode(errors="surrogatepass")).hexdigest()
            said["refused"] = answer.startswith('{"code"')
        except Exception as error:  # whatever else comes is what is looked for
            said["failed"] = "".join(traceback.format_exception(error, limit=-6))[-4000:]
        signal.setitimer(signal.ITIMER_PROF, 0)
        said["seconds"] = round(time.process_time() - begun, 3)
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    sys.modules["cases"] = sys.modules["__main__"]  # by that name the cases were pickled
    main()
