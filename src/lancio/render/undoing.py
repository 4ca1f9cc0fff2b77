"""The undoing of steps as one SQL script that psql runs, for review."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lancio.planner.rows import identifier, literal
from lancio.render.lines import counted

if TYPE_CHECKING:
    from collections.abc import Sequence


class Part(NamedTuple):
    """What takes one step back: the migration's name, the statements, and the file that they are from ("" for none)."""

    name: str
    statements: tuple[str, ...]
    source: str


LOCK_TIMEOUT = "5s"

_LEDGER = """INSERT INTO lancio.step (run, backend_pid, migration, checksum, digest, position, state, started_at)
  SELECT s.run, pg_catalog.pg_backend_pid(), s.migration, s.checksum, s.digest, s.position, 'rolled back',
    pg_catalog.now()
  FROM lancio.step AS s WHERE s.migration = {name} ORDER BY s.id DESC LIMIT 1;"""

_FORMAT = """-- A ledger that an older Lancio wrote has to know this state first.
DO $lancio$
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_constraint
             WHERE conrelid = 'lancio.step'::pg_catalog.regclass AND conname = 'step_state_check') THEN
    ALTER TABLE lancio.step DROP CONSTRAINT step_state_check;
    ALTER TABLE lancio.step ADD CONSTRAINT step_state_check
      CHECK (state IN ('applied', 'adopted', 'edited', 'rolled back'));
  END IF;
END
$lancio$;"""


def script(parts: Sequence[Part], *, said: str, role: str | None, lost: Sequence[str]) -> str:
    """Each step's undoing in a transaction of its own with its ledger row; the first error ends it."""
    lines = [
        f"-- Takes {counted(len(parts), 'step')} back on {said}. Run it with psql; no other runner may be at work.",
        "-- Rows that go:",
    ]
    lines += [f"--   {' '.join(each.split())}" for each in lost] or ["--   none"]
    lines += ["", "\\set ON_ERROR_STOP on", f"SET lock_timeout = '{LOCK_TIMEOUT}';", "SET row_security = off;"]
    if role is not None:
        lines.append(f"SET ROLE {identifier(role)};")
    lines += ["", _FORMAT]
    for each in parts:
        source = f", by {each.source}" if each.source else ""
        lines += ["", f"-- {' '.join(each.name.split())}{source}", "BEGIN;", "SET LOCAL check_function_bodies = off;"]
        lines += [f"{statement};" for statement in each.statements]
        lines += [_LEDGER.format(name=literal(each.name).strip()), "COMMIT;"]
    return "\n".join(lines) + "\n"
