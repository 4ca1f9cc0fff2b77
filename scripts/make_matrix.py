"""Run the platform's migrations and the executor on every major version, and write the table into the docs.

    python scripts/make_matrix.py [MAJOR ...]      default: 10 to 18

For each version the server is installed (see install_servers.py) and started, the tests of each capability run against
it, and the row of that version in docs/reference/server-versions.md is written anew, with what passed, failed and was
skipped. Rows of versions that are not asked for stay as they are. Exit status 1 if a test failed.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "scripts")]

import install_servers  # noqa: E402

import servers  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "server-versions.md"
BEGIN, END = "<!-- matrix: written by `make matrix` -->", "<!-- matrix: end -->"
LIMIT = 3600
"""Seconds after which the tests of one version count as hanging."""

CAPABILITIES = {
    "platform": ("tests/registry/test_schema.py",),
    "psql = lancio": ("tests/acceptance/test_same_catalog.py", "tests/acceptance/test_specification.py"),
    "executor": ("tests/executor/test_runner.py", "tests/executor/test_ledger.py", "tests/executor/test_counters.py",
                 "tests/executor/test_fingerprint.py"),
    "killed, restarted": ("tests/executor/test_runner_killed.py",),
    "CONCURRENTLY": ("tests/executor/test_runner_alone.py",),
    "no-go": ("tests/acceptance/test_error_scenarios.py",),
    "verify": ("tests/proof/test_verify.py",),
    "status": ("tests/registry/test_state.py",),
    "checklist": ("tests/acceptance/test_checklist_states.py",),
    "explain": ("tests/executor/test_diagnosis.py",),
    "a history": ("tests/acceptance/test_a_history_on_every_version.py",),
    "sealing": ("tests/acceptance/test_sealed_by_lancio.py",),
}  # fmt: skip
"""The columns of the table, and the test files whose counts stand in them."""

WHOLE = re.compile(r"tests/(?:executor|proof|registry)/")
"""Of these files every test runs on each version; of the others those that ask for it (mark every_version): what they
hold besides does not depend on the server."""

ADDRESS = re.compile(r"^\| (\d+) \|", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    major: int
    cells: tuple[str, ...]
    failed: bool


def measured(major: int) -> Row:
    """Run the tests of every capability on one major version."""
    said = io.StringIO()
    if major != servers.EMBEDDED:
        with contextlib.redirect_stdout(said):
            install_servers.main([str(major)])
    try:
        server = servers.start(major)
    except servers.Unavailable as error:
        sys.stdout.write(f"PostgreSQL {major}: {error}\n")
        reason = said.getvalue().strip().rpartition(": ")[2] or str(error)
        return Row(major, ("not to be had", _today(), *(_cell(reason) for _ in CAPABILITIES)), failed=True)
    try:
        with server.connect() as connection:
            exact = connection.info.parameter_status("server_version") or ""
    finally:
        server.stop()
    counts = _counts(major)
    cells = tuple(_said(counts[name]) for name in CAPABILITIES)
    failed = any(each["failed"] or not each["passed"] for each in counts.values())
    return Row(major, (exact.split()[0], _today(), *cells), failed)


def _counts(major: int) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {name: Counter() for name in CAPABILITIES}
    of = {file: name for name, group in CAPABILITIES.items() for file in group}
    environment = {name: value for name, value in os.environ.items() if name not in ("LANCIO_CI", "LANCIO_TEST_DSN")}
    environment |= {"LANCIO_TEST_SERVER": str(major), "LANCIO_TEST_VERSIONS": str(major)}
    for mark, whole in (("postgres", True), ("every_version", False)):
        files = [file for file in of if bool(WHOLE.match(file)) == whole]
        with tempfile.TemporaryDirectory() as scratch:
            report = Path(scratch, "report.xml")
            command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-m", mark, f"--junitxml={report}"]
            subprocess.run(
                [*command, "-o", "junit_family=xunit1", *files], cwd=ROOT, env=environment, check=False, timeout=LIMIT
            )
            for case in ET.parse(report).iter("testcase"):
                kinds = {child.tag for child in case}
                kind = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
                counts[of[case.get("file", "")]][kind] += 1
    return counts


def _said(counts: Counter[str]) -> str:
    return f"{counts['passed']}/{counts['failed']}/{counts['skipped']}"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())


def _today() -> str:
    return dt.datetime.now(tz=dt.UTC).date().isoformat()


def table(rows: dict[int, str]) -> str:
    """The table with these lines, by their major versions."""
    head = ["", "version", "on", *CAPABILITIES]
    return "\n".join(
        [
            f"| {' | '.join(head)} |".replace("|  |", "| |"),
            "|---" * len(head) + "|",
            *(rows[key] for key in sorted(rows)),
        ]
    )


def written(page: str, row: Row) -> str:
    """The page with this version's row in place of the one that was there."""
    before, begin, rest = page.partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{PAGE.name} has no place for the table: {BEGIN} … {END}")
    rows = {int(match[1]): line for line in old.splitlines() if (match := ADDRESS.match(line))}
    rows[row.major] = f"| {row.major} | {' | '.join(row.cells)} |"
    return f"{before}{begin}\n\n{table(rows)}\n\n{end}{after}"


def main(arguments: list[str]) -> int:
    """Measure what is asked for, and write each row as soon as it is there."""
    majors = [int(word) for word in arguments] or sorted(install_servers.RELEASES)
    failed = []
    for major in majors:
        sys.stdout.write(f"== PostgreSQL {major}\n")
        sys.stdout.flush()
        row = measured(major)
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), row), encoding="utf-8")
        if row.failed:
            failed.append(major)
    sys.stdout.write(f"{PAGE.relative_to(ROOT)} is written. ")
    sys.stdout.write(f"Failures on {', '.join(map(str, failed))}.\n" if failed else "All passed.\n")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
