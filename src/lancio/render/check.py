"""What `lancio check` found, for people and for the programs that show findings: SARIF, GitHub, JUnit, our own JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

from lancio import __version__
from lancio.planner.rules import RULES
from lancio.render.lines import counted, listed, wrap
from lancio.render.text import joined

if TYPE_CHECKING:
    from lancio.planner.branches import Pair
    from lancio.planner.model import Finding

LEVELS = {"refusal": "error", "warning": "warning", "note": "note"}
"""What the severities of findings are called outside."""

PAGE = "docs/reference/rules/{}.md"
"""Where Lancio's own repository explains a rule."""

SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
SHOWN = 12
"""So many independent pairs are named."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that is told of one check; `prefix` is the folder's path as the report's files are named."""

    prefix: str
    files: tuple[str, ...]
    findings: tuple[Finding, ...]
    silenced: int = 0
    base: str = ""
    theirs: tuple[str, ...] = ()
    pairs: tuple[Pair, ...] = ()

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(each.severity == "refusal" for each in self.findings)

    def path(self, finding: Finding) -> str:
        """The file of a finding; the folder where it has none."""
        return self.named(finding.at.file) if finding.at is not None else self.prefix or "."

    def named(self, file: str) -> str:
        """A file of the folder, as the report names it."""
        return f"{self.prefix}/{file}" if self.prefix not in ("", ".") else file


def _line(finding: Finding) -> int:
    return max(finding.at.line, 1) if finding.at is not None else 1


# For people.

_MARKS = {"refusal": "✗", "warning": "!", "note": "·"}


def text(report: Report, cells: int) -> str:
    """Errors first, each with its place, its rule and what to do; then the pairs that are proved to commute."""
    lines: list[str] = []
    if report.base:
        free = [each for each in report.pairs if each.independent]
        new = (
            f"{counted(len(report.files), 'new file')} here, {counted(len(report.theirs), 'new file')} on {report.base}"
        )
        lines += [f"{new}: {len(free)} of {counted(len(report.pairs), 'pair')} commute." if report.pairs else f"{new}."]
        lines.append("")
    for each in sorted(report.findings, key=lambda each: (list(LEVELS).index(each.severity), report.path(each))):
        where = f"{report.path(each)}:{_line(each)}" if each.at is not None else report.path(each)
        lines += wrap(f"{where}  {each.rule}", cells, first=f"{_MARKS[each.severity]} ", rest="    ")
        lines += wrap(each.message, cells, first="    ", rest="    ")
        lines += wrap(each.remedy, cells, first="    → ", rest="      ") if each.remedy else []
        lines += [f"    {command}" for command in each.commands]
    if report.findings:
        lines.append("")
    lines += _free(report, cells)
    return joined([*lines, *wrap(_verdict(report), cells)])


def _free(report: Report, cells: int) -> list[str]:
    free = [each for each in report.pairs if each.independent]
    lines = []
    for each in free[:SHOWN]:
        lines += wrap(
            f"{each.ours} and {each.theirs} commute: no chain of needs, names or rows between them in either order",
            cells,
            first="✓ ",
            rest="    ",
        )
    if len(free) > SHOWN:
        lines.append(f"✓ and {len(free) - SHOWN} more pairs")
    return [*lines, ""] if lines else []


def _verdict(report: Report) -> str:
    counts = [
        counted(many, word)
        for word, severity in (("error", "refusal"), ("warning", "warning"), ("note", "note"))
        if (many := sum(each.severity == severity for each in report.findings))
    ]
    allowed = f" {counted(report.silenced, 'finding')} allowed by the files." if report.silenced else ""
    looked = f"{counted(len(report.files), 'file')} looked at"
    if not counts:
        return f"OK: {looked}, nothing found.{allowed}"
    return f"{'NO' if report.errors else 'OK'}: {looked}, {listed(counts)}.{allowed}"


# For programs.


def data(report: Report) -> dict[str, Any]:
    """The report as plain data: docs/reference/check.schema.json."""
    return {
        "ok": not report.errors,
        "base": report.base or None,
        "files": [report.named(each) for each in report.files],
        "theirs": [report.named(each) for each in report.theirs],
        "findings": [
            {
                "rule": each.rule,
                "severity": LEVELS[each.severity],
                "message": each.message,
                "file": report.path(each) if each.at is not None else None,
                "line": _line(each) if each.at is not None else None,
                "remedy": each.remedy,
                "commands": list(each.commands),
            }
            for each in report.findings
        ],
        "pairs": [
            {
                "ours": report.named(each.ours),
                "theirs": report.named(each.theirs),
                "commute": each.independent,
                "chain": [
                    {
                        "object": bond.says,
                        "why": bond.why,
                        "file": report.named(bond.at.file),
                        "line": bond.at.line,
                        "before": {"file": report.named(bond.before.file), "line": bond.before.line},
                    }
                    for bond in each.chain
                ],
                "unmet": [
                    {"message": message, "file": report.named(at.file), "line": at.line} for message, at in each.unmet
                ],
            }
            for each in report.pairs
        ],
        "silenced": report.silenced,
    }


def sarif(report: Report) -> dict[str, Any]:
    """The report as SARIF 2.1.0 (OASIS, errata 01)."""
    broken = sorted({each.rule for each in report.findings})
    rules = [
        {
            "id": name,
            "shortDescription": {"text": RULES[name].says},
            "help": {"text": f"See {PAGE.format(name)} of Lancio."},
            "defaultConfiguration": {"level": LEVELS[RULES[name].severity]},
        }
        for name in broken
    ]
    results = []
    for each in report.findings:
        region = {"startLine": _line(each)}
        place = {"artifactLocation": {"uri": _uri(report.path(each)), "uriBaseId": "SRCROOT"}, "region": region}
        results.append(
            {
                "ruleId": each.rule,
                "ruleIndex": broken.index(each.rule),
                "level": LEVELS[each.severity],
                "message": {"text": _with_remedy(each)},
                "locations": [{"physicalLocation": place}],
                "partialFingerprints": {"lancio/v1": f"{each.rule}:{report.path(each)}:{_unplaced(each.message)}"},
            }
        )
    driver = {"name": "Lancio", "semanticVersion": __version__, "rules": rules}
    return {
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    }


def _uri(path: str) -> str:
    from urllib.parse import quote

    return quote(path)


def _with_remedy(finding: Finding) -> str:
    return f"{finding.message}. {finding.remedy}" if finding.remedy else finding.message


def _unplaced(message: str) -> str:
    """A message without line numbers: a finding is the same one when it moves."""
    return re.sub(r":\d+", "", message)


_GITHUB = {"refusal": "error", "warning": "warning", "note": "notice"}


def github(report: Report) -> str:
    """Workflow commands that GitHub shows beside the lines; what would end one early is written as its hex code."""
    lines = [
        f"::{_GITHUB[each.severity]} file={_property(report.path(each))},line={_line(each)},"
        f"title={_property(f'lancio {each.rule}')}::{_command(_with_remedy(each))}"
        for each in report.findings
    ]
    return joined([*lines, _verdict(report)])


def _command(said: str) -> str:
    return said.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(said: str) -> str:
    return _command(said).replace(":", "%3A").replace(",", "%2C")


def junit(report: Report) -> str:
    """JUnit's XML: a test case a file, which fails where an error is in it; warnings and notes are its output."""
    files = [report.named(each) for each in report.files]
    files += sorted({report.path(each) for each in report.findings} - set(files))
    cases = []
    for file in files:
        own = [each for each in report.findings if report.path(each) == file]
        inside = "".join(
            f"\n      <failure type={_quoted(each.rule)} message={_quoted(each.message)}>"
            f"{_xml(f'{file}:{_line(each)}: {_with_remedy(each)}')}</failure>"
            for each in own
            if each.severity == "refusal"
        )
        said = "\n".join(
            f"{LEVELS[each.severity]} {each.rule}: {_with_remedy(each)}" for each in own if each.severity != "refusal"
        )
        inside += f"\n      <system-out>{_xml(said)}</system-out>" if said else ""
        closed = f">{inside}\n    </testcase>" if inside else "/>"
        cases.append(f'    <testcase classname="lancio" name={_quoted(file)} file={_quoted(file)}{closed}')
    failures = sum("<failure " in case for case in cases)
    head = f'name="lancio check" tests="{len(cases)}" failures="{failures}" errors="0"'
    suite = "\n".join([f"  <testsuite {head}>", *cases, "  </testsuite>"])
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n{suite}\n</testsuites>\n'


_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write."""


def _xml(said: str) -> str:
    return escape(_UNPRINTABLE.sub("�", said))


def _quoted(said: str) -> str:
    return quoteattr(_UNPRINTABLE.sub("�", said))
